/* OCSP stapling (RFC 6066 §8): the response is carried; who judges it is another matter. */
#include "tls.h"

#include <openssl/crypto.h>
#include <string.h>

static int ocsp_index = -1;

static void free_response(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    OPENSSL_free(p);
}

int tls_ocsp_init(void)
{
    ocsp_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_response);
    return ocsp_index >= 0;
}

/* The server's side: staples a copy, which OpenSSL then owns. */
static int staple(SSL *ssl, void *arg)
{
    const tls_bytes *response = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ocsp_index);
    uint8_t *copy;

    if (response == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    if ((copy = OPENSSL_memdup(response->data, response->length)) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)response->length);
    return SSL_TLSEXT_ERR_OK;
}

EXPORT int tls_SSL_CTX_set_ocsp_response(SSL_CTX *ctx, const uint8_t *der, size_t length)
{
    tls_bytes *copy = OPENSSL_malloc(sizeof *copy + length);

    if (copy == NULL)
        return 0;
    copy->length = (uint32_t)length;
    memcpy(copy->data, der, length);
    OPENSSL_free(SSL_CTX_get_ex_data(ctx, ocsp_index));
    if (!SSL_CTX_set_ex_data(ctx, ocsp_index, copy)) {
        OPENSSL_free(copy);
        return 0;
    }
    return SSL_CTX_set_tlsext_status_cb(ctx, staple) == 1;
}

EXPORT int tls_SSL_CTX_request_ocsp_response(SSL_CTX *ctx)
{
    return SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp) == 1;
}

EXPORT const uint8_t *tls_SSL_get0_ocsp_response(SSL *ssl, unsigned *length)
{
    const unsigned char *der = NULL;
    long n = SSL_get_tlsext_status_ocsp_resp(ssl, &der);

    *length = n > 0 ? (unsigned)n : 0;
    return n > 0 ? der : NULL;
}
