/*
 * Private keys that are elsewhere and sign in their own time, as WebCrypto's do. OpenSSL knows their public half and
 * takes it for the whole key, for it looks at the private one only when it signs: instead/suspend_sign.c.
 */
#include "suspend.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>

static int key_index = -1;

static void free_external(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    free(p);
}

int wassl_external_key_init(void)
{
    key_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_EVP_PKEY, 0, NULL, NULL, NULL, free_external);
    return key_index >= 0;
}

wassl_external_key *wassl_external_key_of(EVP_PKEY *key)
{
    return key == NULL ? NULL : EVP_PKEY_get_ex_data(key, key_index);
}

EXPORT X509 *wassl_SSL_CTX_get0_certificate(SSL_CTX *ctx) { return SSL_CTX_get0_certificate(ctx); }

EXPORT int wassl_SSL_CTX_use_external_key(SSL_CTX *ctx, unsigned id, const uint16_t *algorithms, size_t count)
{
    X509 *x = SSL_CTX_get0_certificate(ctx);
    EVP_PKEY *key = x == NULL ? NULL : EVP_PKEY_dup(X509_get0_pubkey(x));
    wassl_external_key *e = malloc(sizeof *e + count * sizeof *algorithms);
    int ok = 0;

    if (key != NULL && e != NULL) {
        e->id = id;
        e->count = count;
        memcpy(e->algorithms, algorithms, count * sizeof *algorithms);
        if (EVP_PKEY_set_ex_data(key, key_index, e)) {
            e = NULL;
            ok = SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
        }
    }
    free(e);
    EVP_PKEY_free(key);
    return ok;
}

/* ---- the answer ------------------------------------------------------------------------------------------- */

EXPORT wassl_bytes *wassl_SSL_get_to_be_signed(SSL *ssl, unsigned *algorithm, unsigned *id)
{
    wassl_suspend *s = wassl_suspend_of(ssl, 0);

    if (s == NULL || s->sign != WAITING)
        return NULL;
    *algorithm = s->algorithm;
    *id = wassl_external_key_of(SSL_CONNECTION_FROM_SSL(ssl)->s3.tmp.cert->privatekey)->id;
    return wassl_bytes_new(s->to_sign, s->to_sign_length);
}

/* Whether the peer, who has the certificate, will find it good. */
static int fits(SSL_CONNECTION *sc, const wassl_suspend *s, const uint8_t *signature, size_t length)
{
    const SIGALG_LOOKUP *algorithm = sc->s3.tmp.sigalg;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key;
    const EVP_MD *md;
    int ok = ctx != NULL && tls1_lookup_md(SSL_CONNECTION_GET_CTX(sc), algorithm, &md)
        && EVP_DigestVerifyInit_ex(ctx, &key, md == NULL ? NULL : EVP_MD_get0_name(md), NULL, NULL,
               sc->s3.tmp.cert->privatekey, NULL) == 1
        && (algorithm->sig != EVP_PKEY_RSA_PSS
            || (EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) > 0
                && EVP_PKEY_CTX_set_rsa_pss_saltlen(key, RSA_PSS_SALTLEN_DIGEST) > 0))
        && EVP_DigestVerify(ctx, signature, length, s->to_sign, s->to_sign_length) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

EXPORT int wassl_SSL_answer_signature(SSL *ssl, const uint8_t *signature, size_t length)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    wassl_suspend *s = wassl_suspend_of(ssl, 0);

    if (s == NULL || s->sign != WAITING)
        return 0;
    if (length > 0) {
        if (!fits(sc, s, signature, length)) {
            s->sign = ANSWERED;
            return -1;
        }
        if ((s->signature = malloc(length)) == NULL)
            return 0;
        memcpy(s->signature, signature, length);
        s->signature_length = length;
    }
    s->sign = ANSWERED;
    return 1;
}
