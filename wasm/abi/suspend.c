/*
 * Where a handshake waits for an answer from outside. OpenSSL calls back and wants the answer at once; here no other
 * code is called. The operation returns with one of OpenSSL's own retry codes. TypeScript finds the answer in its own
 * time, gives it, and calls the operation again:
 *
 *   SSL_ERROR_WANT_CLIENT_HELLO_CB   which SSL_CTX is for this client
 *   SSL_ERROR_WANT_RETRY_VERIFY      is the peer, whose certificate OpenSSL has checked, accepted
 *   SSL_ERROR_WANT_X509_LOOKUP       sign this (external_key.c)
 *
 * Here are the questions and their answers. OpenSSL's state machine can wait before and after each message
 * (WORK_MORE_…); the linker puts our functions in between (--wrap, in openssl.lock): instead/suspend_verify.c and
 * instead/suspend_sign.c. Its own SSL_set_retry_verify is for clients only and verifies the chain anew each time.
 */
#include "suspend.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static int suspend_index = -1;

static void free_suspend(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    wassl_suspend *s = p;

    if (s != NULL) {
        free(s->message);
        free(s->to_sign);
        free(s->signature);
        free(s);
    }
}

int wassl_suspend_init(void)
{
    suspend_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_suspend);
    return suspend_index >= 0;
}

wassl_suspend *wassl_suspend_of(SSL *ssl, int make)
{
    wassl_suspend *s = SSL_get_ex_data(ssl, suspend_index);

    if (s != NULL || !make)
        return s;
    if ((s = calloc(1, sizeof *s)) == NULL)
        return NULL;
    if (!SSL_set_ex_data(ssl, suspend_index, s)) {
        free(s);
        return NULL;
    }
    return s;
}

/* ---- which context is for this client --------------------------------------------------------------------- */

/* All that client-hello.ts reads. */
static int hash_of_told(SSL_CONNECTION *sc, uint8_t *out)
{
    static const unsigned extensions[] = { TLSEXT_IDX_server_name, TLSEXT_IDX_supported_groups,
        TLSEXT_IDX_signature_algorithms, TLSEXT_IDX_application_layer_protocol_negotiation, TLSEXT_IDX_supported_versions };
    const CLIENTHELLO_MSG *hello = sc->clienthello;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    size_t i;
    int ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL)
        && EVP_DigestUpdate(md, PACKET_data(&hello->ciphersuites), PACKET_remaining(&hello->ciphersuites));

    for (i = 0; ok && i < OSSL_NELEM(extensions); i++) {
        const RAW_EXTENSION *e = &hello->pre_proc_exts[extensions[i]];
        int length = e->present ? (int)PACKET_remaining(&e->data) : -1;

        ok = EVP_DigestUpdate(md, &length, sizeof length) && (length < 0 || EVP_DigestUpdate(md, PACKET_data(&e->data), (size_t)length));
    }
    ok = ok && EVP_DigestFinal_ex(md, out, NULL);
    EVP_MD_CTX_free(md);
    return ok;
}

static int client_hello(SSL *ssl, int *alert, void *arg)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    wassl_suspend *s = wassl_suspend_of(ssl, 1);
    uint8_t told[SHA256_DIGEST_LENGTH];

    if (s == NULL || !hash_of_told(sc, told))
        return SSL_CLIENT_HELLO_ERROR;
    /*
     * Asked once: a second ClientHello, after a HelloRetryRequest, is of the same client. OpenSSL takes one with
     * another name, and the first was chosen for; RFC 8446 §4.1.2 lets a client change nothing of that.
     */
    if (sc->hello_retry_request == SSL_HRR_PENDING && memcmp(told, s->told, sizeof told) != 0) {
        *alert = SSL_AD_ILLEGAL_PARAMETER;
        return SSL_CLIENT_HELLO_ERROR;
    }
    memcpy(s->told, told, sizeof told);
    if (s->hello == ANSWERED) {
        if (s->hello_alert >= 0) {
            *alert = s->hello_alert;
            return SSL_CLIENT_HELLO_ERROR;
        }
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    s->hello = WAITING;
    return SSL_CLIENT_HELLO_RETRY;
}

EXPORT void wassl_SSL_CTX_suspend_client_hello(SSL_CTX *ctx) { SSL_CTX_set_client_hello_cb(ctx, client_hello, NULL); }

/* Two bytes, most significant first, as on the wire. */
static uint8_t *put16(uint8_t *p, size_t n)
{
    *p++ = (uint8_t)(n >> 8);
    *p++ = (uint8_t)n;
    return p;
}

EXPORT wassl_bytes *wassl_SSL_get_client_hello(SSL *ssl)
{
    wassl_suspend *s = wassl_suspend_of(ssl, 0);
    const unsigned char *ciphers, *data;
    size_t ciphers_length, count = 0, need, length, i;
    int *present = NULL;
    wassl_bytes *out = NULL;
    uint8_t *p;

    if (s == NULL || s->hello != WAITING || !SSL_client_hello_get1_extensions_present(ssl, &present, &count))
        return NULL;
    ciphers_length = SSL_client_hello_get0_ciphers(ssl, &ciphers);
    need = 4 + ciphers_length;
    for (i = 0; i < count; i++)
        if (SSL_client_hello_get0_ext(ssl, (unsigned)present[i], &data, &length))
            need += 4 + length;
    if ((out = wassl_bytes_new(NULL, need)) != NULL) {
        p = put16(out->data, SSL_client_hello_get0_legacy_version(ssl));
        p = put16(p, ciphers_length);
        memcpy(p, ciphers, ciphers_length);
        p += ciphers_length;
        for (i = 0; i < count; i++)
            if (SSL_client_hello_get0_ext(ssl, (unsigned)present[i], &data, &length)) {
                p = put16(put16(p, (size_t)present[i]), length);
                memcpy(p, data, length);
                p += length;
            }
    }
    OPENSSL_free(present);
    return out;
}

static int copy(void **to, size_t *to_length, const void *from, size_t length, size_t size)
{
    /* One more, so that no entries are not no memory: NULL means OpenSSL's own. */
    void *memory = from == NULL ? NULL : OPENSSL_memdup(from, (length + (length == 0)) * size);

    if (from != NULL && memory == NULL)
        return 0;
    OPENSSL_free(*to);
    *to = memory;
    *to_length = memory == NULL ? 0 : length;
    return 1;
}

#define TAKE_OVER(sc, ctx, field) \
    copy((void **)&(sc)->ext.field, &(sc)->ext.field##_len, (ctx)->ext.field, (ctx)->ext.field##_len, \
        sizeof *(ctx)->ext.field)

static int take_over_groups(SSL_CONNECTION *sc, SSL_CTX *ctx)
{
    return TAKE_OVER(sc, ctx, supportedgroups) && TAKE_OVER(sc, ctx, keyshares) && TAKE_OVER(sc, ctx, tuples);
}

/* X509_VERIFY_PARAM_set1 would leave standing what `ctx` does not name: flags, a time, a depth. */
static int take_over_param(SSL_CONNECTION *sc, SSL_CTX *ctx)
{
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();

    if (param == NULL || !X509_VERIFY_PARAM_inherit(param, ctx->param)) {
        X509_VERIFY_PARAM_free(param);
        return 0;
    }
    X509_VERIFY_PARAM_free(sc->param);
    sc->param = param;
    return 1;
}

/*
 * SSL_set_SSL_CTX, which takes over certificates only, and the rest of what an SSL has from its SSL_CTX: all that
 * SSL_new copies and a TlsContext can set. What fails half way refuses the client.
 */
static int take_over(SSL *ssl, SSL_CONNECTION *sc, SSL_CTX *ctx)
{
    SSL_CTX *before = sc->session_ctx;

    if (SSL_set_SSL_CTX(ssl, ctx) != ctx || !SSL_CTX_up_ref(ctx))
        return 0;
    sc->session_ctx = ctx; /* whose keys tickets are under */
    SSL_CTX_free(before);
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx), SSL_CTX_get_verify_callback(ctx));
    SSL_clear_options(ssl, ~(uint64_t)0);
    SSL_set_options(ssl, SSL_CTX_get_options(ctx));
    sc->num_tickets = SSL_CTX_get_num_tickets(ctx);
    sc->max_cert_list = ctx->max_cert_list;
    SSL_set_max_send_fragment(ssl, (long)ctx->max_send_fragment);
    sc->split_send_fragment = ctx->split_send_fragment; /* which the call above only lowers */
    sc->max_early_data = ctx->max_early_data;
    sc->recv_max_early_data = ctx->recv_max_early_data;
    sc->psk_server_callback = ctx->psk_server_callback;
    sc->psk_find_session_cb = ctx->psk_find_session_cb;
    return take_over_param(sc, ctx)
        && SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(ctx))
        && SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(ctx))
        && SSL_set_session_id_context(ssl, ctx->sid_ctx, (unsigned)ctx->sid_ctx_length)
        && take_over_groups(sc, ctx);
}

EXPORT int wassl_SSL_answer_client_hello(SSL *ssl, SSL_CTX *ctx, int alert)
{
    wassl_suspend *s = wassl_suspend_of(ssl, 0);
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);

    if (s == NULL || s->hello != WAITING || (ctx != NULL && !take_over(ssl, sc, ctx)))
        return 0;
    s->hello = ANSWERED;
    s->hello_alert = alert;
    return 1;
}

/* ---- is the peer to be believed --------------------------------------------------------------------------- */

EXPORT int wassl_SSL_suspend_verify(SSL *ssl, int mode)
{
    wassl_suspend *s = wassl_suspend_of(ssl, 1);

    if (s != NULL)
        s->verify_mode = mode;
    return s != NULL;
}

int wassl_verify_mode(SSL *ssl)
{
    wassl_suspend *s = wassl_suspend_of(ssl, 0);

    return s == NULL ? 0 : s->verify_mode;
}

EXPORT int wassl_SSL_answer_verify(SSL *ssl, int accept)
{
    wassl_suspend *s = wassl_suspend_of(ssl, 0);

    if (s == NULL || s->verify != WAITING)
        return 0;
    s->verify = ANSWERED;
    s->verify_accepts = accept;
    return 1;
}
