/*
 * The identities of a client that has several: it shows the one that the server's CertificateRequest asks for. OpenSSL
 * itself has one certificate for each kind of key, picks among them in TLS 1.3 only, and does not look at the
 * authorities that the server names.
 */
#include "suspend.h"

typedef struct identity identity;

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) *chain;
    identity *next;
};

static int identities_index = -1;

static void free_identities(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    identity *i, *next;

    for (i = p; i != NULL; i = next) {
        next = i->next;
        X509_free(i->certificate);
        EVP_PKEY_free(i->key);
        OSSL_STACK_OF_X509_free(i->chain);
        OPENSSL_free(i);
    }
}

int wassl_identities_init(void)
{
    identities_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_identities);
    return identities_index >= 0;
}

/* The server takes this kind of key. Only TLS 1.2 names kinds; EdDSA counts as ECDSA there (RFC 8422 §5.5). */
static int is_of_kind(const SSL_CONNECTION *sc, const EVP_PKEY *key)
{
    int kind = EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS") ? TLS_CT_RSA_SIGN : TLS_CT_ECDSA_SIGN;
    size_t i;

    for (i = 0; i < sc->s3.tmp.ctype_len && sc->s3.tmp.ctype[i] != kind; i++)
        ;
    return sc->s3.tmp.ctype_len == 0 || i < sc->s3.tmp.ctype_len;
}

static int is_issued_by(X509 *certificate, const STACK_OF(X509_NAME) *authorities)
{
    int i;

    for (i = 0; i < sk_X509_NAME_num(authorities); i++)
        if (X509_NAME_cmp(X509_get_issuer_name(certificate), sk_X509_NAME_value(authorities, i)) == 0)
            return 1;
    return 0;
}

/* The server names its issuer, or that of a certificate between; or it names no authority. */
static int is_of_authority(SSL *ssl, const identity *of)
{
    const STACK_OF(X509_NAME) *authorities = SSL_get0_peer_CA_list(ssl);
    int i;

    if (sk_X509_NAME_num(authorities) <= 0 || is_issued_by(of->certificate, authorities))
        return 1;
    for (i = 0; i < sk_X509_num(of->chain); i++)
        if (is_issued_by(sk_X509_value(of->chain, i), authorities))
            return 1;
    return 0;
}

/* Makes it the connection's only one. Then OpenSSL says whether it can sign in a way that the server takes. */
static int can_sign(SSL *ssl, SSL_CONNECTION *sc, const identity *with)
{
    SSL_certs_clear(ssl);
    return SSL_use_cert_and_key(ssl, with->certificate, with->key, with->chain, 1) == 1 && tls_choose_sigalg(sc, 0)
        && sc->s3.tmp.sigalg != NULL;
}

/*
 * The first that can sign and is what the server asks for; else the first that can sign, as a client with one identity
 * shows that one whatever authorities are named: a server may accept more than it names. Else there is none, and the
 * client says so. Answers like SSL_CTX_set_cert_cb(3): 0 = no memory, with which another might have been chosen.
 */
static int choose_identity(SSL *ssl, void *arg)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    const identity *list = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), identities_index), *i;
    unsigned failures = wassl_failed_allocations;

    for (i = list; i != NULL; i = i->next)
        if (is_of_kind(sc, i->key) && is_of_authority(ssl, i) && can_sign(ssl, sc, i))
            return wassl_failed_allocations == failures;
    for (i = list; i != NULL; i = i->next)
        if (can_sign(ssl, sc, i))
            return wassl_failed_allocations == failures;
    SSL_certs_clear(ssl);
    return wassl_failed_allocations == failures;
}

EXPORT int wassl_SSL_CTX_keep_identity(SSL_CTX *ctx)
{
    const CERT_PKEY *used = ctx->cert->key;
    identity *list = SSL_CTX_get_ex_data(ctx, identities_index), *last, *kept = OPENSSL_zalloc(sizeof *kept);

    if (kept == NULL || (used->chain != NULL && (kept->chain = X509_chain_up_ref(used->chain)) == NULL)
        || !X509_up_ref(used->x509)) {
        free_identities(NULL, kept, NULL, 0, 0, NULL);
        return 0;
    }
    kept->certificate = used->x509;
    if (!EVP_PKEY_up_ref(used->privatekey)) {
        free_identities(NULL, kept, NULL, 0, 0, NULL);
        return 0;
    }
    kept->key = used->privatekey;
    for (last = list; last != NULL && last->next != NULL; last = last->next)
        ;
    if (last != NULL) {
        last->next = kept;
    } else if (!SSL_CTX_set_ex_data(ctx, identities_index, kept)) {
        free_identities(NULL, kept, NULL, 0, 0, NULL);
        return 0;
    }
    ssl_cert_clear_certs(ctx->cert);
    SSL_CTX_set_cert_cb(ctx, choose_identity, NULL);
    return 1;
}
