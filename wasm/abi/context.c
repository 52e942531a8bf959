/* SSL_CTX: what many connections share. */
#include "internal.h"

#include "ssl/ssl_local.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>

static int alpn_index = -1;

static void free_alpn(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    OPENSSL_free(p);
}

int wassl_context_init(void)
{
    alpn_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_alpn);
    return alpn_index >= 0;
}

EXPORT SSL_CTX *wassl_SSL_CTX_new(int role)
{
    const SSL_METHOD *method;
    SSL_CTX *ctx;

    if (role & WASSL_ROLE_DTLS)
        method = role & WASSL_ROLE_SERVER ? DTLS_server_method() : DTLS_client_method();
    else
        method = role & WASSL_ROLE_SERVER ? TLS_server_method() : TLS_client_method();
    ctx = SSL_CTX_new(method);
    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_msg_callback(ctx, wassl_message_callback);
    SSL_CTX_set_cert_verify_callback(ctx, wassl_verify_paths, NULL);
    return ctx;
}

EXPORT void wassl_SSL_CTX_free(SSL_CTX *c)
{
    int last = c != NULL && c->references.val == 1;

    SSL_CTX_free(c);
    if (last)
        wassl_forget_stack();
}

EXPORT int wassl_SSL_CTX_set_min_proto_version(SSL_CTX *c, int v) { return SSL_CTX_set_min_proto_version(c, v); }
EXPORT int wassl_SSL_CTX_set_max_proto_version(SSL_CTX *c, int v) { return SSL_CTX_set_max_proto_version(c, v); }
EXPORT uint64_t wassl_SSL_CTX_set_options(SSL_CTX *c, uint64_t o) { return SSL_CTX_set_options(c, o); }
EXPORT uint64_t wassl_SSL_CTX_clear_options(SSL_CTX *c, uint64_t o) { return SSL_CTX_clear_options(c, o); }
EXPORT uint32_t wassl_SSL_CTX_set_mode(SSL_CTX *c, uint32_t m) { return (uint32_t)SSL_CTX_set_mode(c, m); }
EXPORT uint32_t wassl_SSL_CTX_clear_mode(SSL_CTX *c, uint32_t m) { return (uint32_t)SSL_CTX_clear_mode(c, m); }
EXPORT void wassl_SSL_CTX_set_verify(SSL_CTX *c, int mode) { SSL_CTX_set_verify(c, mode, wassl_verify_callback); }
EXPORT void wassl_SSL_CTX_set_verify_depth(SSL_CTX *c, int depth) { SSL_CTX_set_verify_depth(c, depth); }
EXPORT void wassl_SSL_CTX_set_max_cert_list(SSL_CTX *c, size_t n) { SSL_CTX_set_max_cert_list(c, (long)n); }
EXPORT void wassl_SSL_CTX_set_security_level(SSL_CTX *c, int level) { SSL_CTX_set_security_level(c, level); }
EXPORT int wassl_SSL_CTX_get_security_level(SSL_CTX *c) { return SSL_CTX_get_security_level(c); }
EXPORT int wassl_SSL_CTX_set_cipher_list(SSL_CTX *c, const char *s) { return SSL_CTX_set_cipher_list(c, s); }
EXPORT int wassl_SSL_CTX_set_ciphersuites(SSL_CTX *c, const char *s) { return SSL_CTX_set_ciphersuites(c, s); }
EXPORT int wassl_SSL_CTX_set1_groups_list(SSL_CTX *c, const char *s) { return SSL_CTX_set1_groups_list(c, s); }
EXPORT int wassl_SSL_CTX_set1_sigalgs_list(SSL_CTX *c, const char *s) { return SSL_CTX_set1_sigalgs_list(c, s); }

EXPORT int wassl_SSL_CTX_set_max_send_fragment(SSL_CTX *c, size_t n) { return SSL_CTX_set_max_send_fragment(c, (long)n) == 1; }

/* RFC 7301 §3.2: the server picks, by its own order; no common protocol is a fatal alert. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length,
    const unsigned char *offered, unsigned int offered_length, void *arg)
{
    const wassl_bytes *ours = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), alpn_index);
    unsigned char *chosen;

    if (ours == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_select_next_proto(&chosen, out_length, ours->data, ours->length, offered, offered_length)
        != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

EXPORT int wassl_SSL_CTX_set_alpn(SSL_CTX *ctx, const uint8_t *wire, size_t length)
{
    wassl_bytes *copy;

    /* For the client this returns 0 on success, unlike its siblings; it also checks the wire format. */
    if (SSL_CTX_set_alpn_protos(ctx, wire, (unsigned int)length) != 0)
        return 0;
    copy = OPENSSL_malloc(sizeof *copy + length);
    if (copy == NULL)
        return 0;
    copy->length = (uint32_t)length;
    memcpy(copy->data, wire, length);
    OPENSSL_free(SSL_CTX_get_ex_data(ctx, alpn_index));
    if (!SSL_CTX_set_ex_data(ctx, alpn_index, copy)) {
        OPENSSL_free(copy);
        return 0;
    }
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    return 1;
}

EXPORT X509_STORE *wassl_SSL_CTX_get_cert_store(SSL_CTX *c) { return SSL_CTX_get_cert_store(c); }
EXPORT X509_VERIFY_PARAM *wassl_SSL_CTX_get0_param(SSL_CTX *c) { return SSL_CTX_get0_param(c); }

/* A list has 65,535 bytes, and in TLS 1.3 other extensions stand in the same message beside it (RFC 8446 §4.3.2). */
#define MOST_NAMES 65000

EXPORT int wassl_SSL_CTX_send_ca_names(SSL_CTX *ctx)
{
    STACK_OF(X509) *anchors = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(ctx));
    const STACK_OF(X509_NAME) *names;
    int i, total = 0, ok = anchors != NULL;

    for (i = 0; ok && i < sk_X509_num(anchors); i++)
        ok = SSL_CTX_add_client_CA(ctx, sk_X509_value(anchors, i));
    OSSL_STACK_OF_X509_free(anchors);
    names = SSL_CTX_get_client_CA_list(ctx);
    for (i = 0; ok && i < sk_X509_NAME_num(names); i++)
        total += 2 + i2d_X509_NAME(sk_X509_NAME_value(names, i), NULL);
    if (ok && total > MOST_NAMES) {
        ERR_raise_data(ERR_LIB_SSL, SSL_R_LENGTH_TOO_LONG, "%d bytes of names, and %d are the most", total, MOST_NAMES);
        return 0;
    }
    return ok;
}

extern unsigned ossl_explicit_parameters; /* patches/trust.patch */

/*
 * Of an EC key with explicit parameters OpenSSL's own error says nothing. `before`: how many were refused until then.
 */
static int told(int ok, unsigned before)
{
    if (!ok && ossl_explicit_parameters != before)
        ERR_raise(ERR_LIB_EC, EC_R_EXPLICIT_PARAMS_NOT_SUPPORTED);
    return ok;
}

EXPORT int wassl_SSL_CTX_use_certificate_chain(SSL_CTX *ctx, const uint8_t *data, size_t length)
{
    unsigned before = ossl_explicit_parameters;
    STACK_OF(X509) *list = wassl_parse_certificates(data, length);
    int ok = 0;

    if (list == NULL)
        return 0;
    if (SSL_CTX_use_certificate(ctx, sk_X509_value(list, 0))) {
        X509_free(sk_X509_shift(list));
        ok = SSL_CTX_set1_chain(ctx, list);
    }
    OSSL_STACK_OF_X509_free(list);
    return told(ok == 1, before);
}

struct passphrase {
    const char *text; /* NULL = there is no passphrase */
    int asked;
};

/* Answers with the passphrase that was given, and never asks a terminal. */
static int give_passphrase(char *buffer, int size, int writing, void *u)
{
    struct passphrase *pass = u;
    size_t n = pass->text == NULL ? 0 : strlen(pass->text);

    pass->asked = 1;
    if (pass->text == NULL || n > (size_t)size)
        return -1;
    memcpy(buffer, pass->text, n);
    return (int)n;
}

/* DER: EncryptedPrivateKeyInfo (RFC 5958 §3), PrivateKeyInfo, or the algorithm's own form, with nothing behind it. */
static EVP_PKEY *read_key(const uint8_t *der, size_t length, const char *pass)
{
    const unsigned char *p = der;
    PKCS8_PRIV_KEY_INFO *plain;
    EVP_PKEY *key = NULL;
    X509_SIG *encrypted;

    ERR_set_mark();
    encrypted = d2i_X509_SIG(NULL, &p, (long)length);
    ERR_pop_to_mark();
    if (encrypted == NULL) {
        p = der;
        key = d2i_AutoPrivateKey(NULL, &p, (long)length);
    } else if (pass == NULL) {
        ERR_raise(ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ);
    } else if ((plain = PKCS8_decrypt(encrypted, pass, (int)strlen(pass))) != NULL) {
        key = EVP_PKCS82PKEY(plain);
        PKCS8_PRIV_KEY_INFO_free(plain);
    }
    X509_SIG_free(encrypted);
    if (key != NULL && p != der + length) {
        ERR_raise(ERR_LIB_ASN1, ASN1_R_LENGTH_TOO_LONG);
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

/* The first private key in PEM, whichever kind it is of. */
static EVP_PKEY *read_pem_key(const uint8_t *data, size_t length, const char *pass)
{
    unsigned before = ossl_explicit_parameters;
    struct passphrase secret = { pass, 0 };
    BIO *in = wassl_pem(data, length);
    unsigned char *der = NULL;
    EVP_PKEY *key = NULL;
    long n;

    if (in != NULL && PEM_bytes_read_bio(&der, &n, NULL, PEM_STRING_EVP_PKEY, in, give_passphrase, &secret)) {
        key = read_key(der, (size_t)n, pass);
        /* One wrong passphrase in 256 gives what looks like a whole text. */
        if (key == NULL && secret.asked && ossl_explicit_parameters == before)
            ERR_raise(ERR_LIB_PEM, PEM_R_BAD_DECRYPT);
    }
    OPENSSL_free(der);
    BIO_free(in);
    return key;
}

EXPORT int wassl_SSL_CTX_use_PrivateKey(SSL_CTX *ctx, const uint8_t *data, size_t length, const char *pass)
{
    unsigned before = ossl_explicit_parameters;
    EVP_PKEY *key;
    int ok;

    wassl_bound_file();
    key = (wassl_looks_like_pem(data, length) ? read_pem_key : read_key)(data, length, pass);
    ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    wassl_forget_stack();
    return told(ok, before);
}

EXPORT int wassl_SSL_CTX_use_PKCS12(SSL_CTX *ctx, const uint8_t *data, size_t length, const char *pass)
{
    unsigned before = ossl_explicit_parameters;
    const unsigned char *p = data;
    PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)length);
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    STACK_OF(X509) *chain = NULL;
    int ok = 0;

    wassl_bound_file();
    if (p12 != NULL && PKCS12_parse(p12, pass, &key, &leaf, &chain)) {
        if (key == NULL || leaf == NULL)
            ERR_raise(ERR_LIB_SSL, leaf == NULL ? SSL_R_NO_CERTIFICATE_ASSIGNED : SSL_R_NO_PRIVATE_KEY_ASSIGNED);
        else
            ok = SSL_CTX_use_cert_and_key(ctx, leaf, key, chain, 1) == 1;
    }
    PKCS12_free(p12);
    EVP_PKEY_free(key);
    X509_free(leaf);
    OSSL_STACK_OF_X509_free(chain);
    wassl_forget_stack();
    return told(ok, before);
}

EXPORT int wassl_SSL_CTX_swap_identity(SSL_CTX *a, SSL_CTX *b)
{
    CERT_PKEY *pkeys = a->cert->pkeys, *key = a->cert->key;

    if (!wassl_swap_ocsp_responses(a, b))
        return 0;
    a->cert->pkeys = b->cert->pkeys;
    a->cert->key = b->cert->key;
    b->cert->pkeys = pkeys;
    b->cert->key = key;
    return 1;
}

EXPORT void wassl_SSL_CTX_set_quiet_shutdown(SSL_CTX *c, int on) { SSL_CTX_set_quiet_shutdown(c, on); }
EXPORT int wassl_SSL_CTX_get_quiet_shutdown(SSL_CTX *c) { return SSL_CTX_get_quiet_shutdown(c); }
EXPORT int wassl_SSL_CTX_set_session_cache_mode(SSL_CTX *c, int m) { return (int)SSL_CTX_set_session_cache_mode(c, m); }
EXPORT int wassl_SSL_CTX_set_num_tickets(SSL_CTX *c, size_t n) { return SSL_CTX_set_num_tickets(c, n); }
EXPORT void wassl_SSL_CTX_set_timeout(SSL_CTX *c, int seconds) { SSL_CTX_set_timeout(c, seconds); }
EXPORT int wassl_SSL_CTX_session_counter(SSL_CTX *c, int which) { return (int)SSL_CTX_ctrl(c, which, 0, NULL); }

EXPORT int wassl_SSL_CTX_set_max_early_data(SSL_CTX *c, uint32_t n) { return SSL_CTX_set_max_early_data(c, n); }
EXPORT int wassl_SSL_CTX_set_recv_max_early_data(SSL_CTX *c, uint32_t n) { return SSL_CTX_set_recv_max_early_data(c, n); }

EXPORT int wassl_SSL_CTX_set_session_id_context(SSL_CTX *c, const uint8_t *id, size_t n)
{
    return SSL_CTX_set_session_id_context(c, id, (unsigned int)n);
}
