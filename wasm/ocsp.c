/* OCSP stapling (RFC 6066 §8): a server's response, and a client's judgement of it (RFC 6960). */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <string.h>
#include <time.h>

static int ocsp_index = -1;

/* Clocks differ, by so many seconds at most. */
#define SKEW 300
/* How long a response counts that does not say until when, in seconds. */
#define WITHOUT_NEXT_UPDATE (7 * 86400)

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

/* The moment as of which certificates are verified. */
static time_t moment(SSL *ssl)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    return X509_VERIFY_PARAM_get_flags(param) & X509_V_FLAG_USE_CHECK_TIME ? X509_VERIFY_PARAM_get_time(param)
                                                                            : time(NULL);
}

/* X509_cmp_time answers 0 for a time that is none. */
static int is_current(const ASN1_GENERALIZEDTIME *from, const ASN1_GENERALIZEDTIME *until, time_t now)
{
    time_t early = now - SKEW, late = now + SKEW, oldest = now - WITHOUT_NEXT_UPDATE;

    if (X509_cmp_time(from, &late) >= 0)
        return 0;
    return until != NULL ? X509_cmp_time(until, &early) > 0 : X509_cmp_time(from, &oldest) > 0;
}

/* The entry about `leaf`, whose issuer is `issuer`; each entry has its own hash of the issuer's name. */
static OCSP_SINGLERESP *entry_about(OCSP_BASICRESP *response, X509 *leaf, X509 *issuer)
{
    int i;

    for (i = 0; i < OCSP_resp_count(response); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(response, i);
        const OCSP_CERTID *theirs = OCSP_SINGLERESP_get0_id(single);
        ASN1_OBJECT *algorithm;
        OCSP_CERTID *ours;
        int same;

        if (!OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, (OCSP_CERTID *)theirs))
            continue;
        ours = OCSP_cert_to_id(EVP_get_digestbyobj(algorithm), leaf, issuer);
        same = ours != NULL && OCSP_id_cmp(ours, theirs) == 0;
        OCSP_CERTID_free(ours);
        if (same)
            return single;
    }
    return NULL;
}

/* X509_V_OK, or what is wrong; then `reason` says it in words. */
static int judge(SSL *ssl, const unsigned char *der, long length, const char **reason)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    X509 *leaf = sk_X509_value(chain, 0), *issuer = sk_X509_value(chain, 1);
    OCSP_RESPONSE *whole = d2i_OCSP_RESPONSE(NULL, &der, length);
    OCSP_BASICRESP *basic = NULL;
    OCSP_SINGLERESP *single;
    ASN1_GENERALIZEDTIME *from, *until;
    int why, result = X509_V_ERR_OCSP_VERIFY_FAILED;

    *reason = NULL;
    if (leaf == NULL)
        *reason = "OCSP: no certificate was verified";
    else if (issuer == NULL)
        issuer = leaf; /* it is a trust anchor itself */
    if (*reason != NULL)
        ;
    else if (whole == NULL)
        *reason = "OCSP: the response is malformed";
    else if (OCSP_response_status(whole) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        *reason = "OCSP: the responder answered with an error";
    else if ((basic = OCSP_response_get1_basic(whole)) == NULL)
        *reason = "OCSP: the response is of an unknown kind";
    else if (OCSP_basic_verify(basic, chain, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), 0) <= 0)
        *reason = "OCSP: the response is not signed by whom it must be";
    else if ((single = entry_about(basic, leaf, issuer)) == NULL)
        *reason = "OCSP: the response is about another certificate";
    else {
        int status = OCSP_single_get0_status(single, &why, NULL, &from, &until);

        if (!is_current(from, until, moment(ssl)))
            *reason = "OCSP: the response is stale";
        else if (status == V_OCSP_CERTSTATUS_REVOKED) {
            *reason = "OCSP: the certificate is revoked";
            result = X509_V_ERR_CERT_REVOKED;
        } else if (status != V_OCSP_CERTSTATUS_GOOD) {
            *reason = "OCSP: the responder does not know the certificate";
            result = X509_V_ERR_OCSP_CERT_UNKNOWN;
        } else
            result = X509_V_OK;
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(whole);
    return result;
}

/* The client's side, once the server has said all that it has to say before the keys. */
static int check(SSL *ssl, void *required)
{
    const unsigned char *der = NULL;
    long length = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    const char *reason = "OCSP: the server sent no response";
    int result;

    if (SSL_session_reused(ssl)) /* no certificate was sent; the session's was judged */
        return 1;
    if (length > 0 && der != NULL)
        result = judge(ssl, der, length, &reason);
    else if (required != NULL)
        result = X509_V_ERR_OCSP_VERIFY_NEEDED;
    else
        return 1;
    if (result == X509_V_OK) {
        ERR_clear_error(); /* what was tried in vain on the way */
        return 1;
    }
    SSL_set_verify_result(ssl, result);
    ERR_raise_data(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED, "%s", reason);
    return 0;
}

EXPORT int tls_SSL_CTX_check_ocsp_response(SSL_CTX *ctx, int required)
{
    return tls_SSL_CTX_request_ocsp_response(ctx) && SSL_CTX_set_tlsext_status_cb(ctx, check) == 1
        && SSL_CTX_set_tlsext_status_arg(ctx, required ? &ocsp_index : NULL) == 1;
}

EXPORT const uint8_t *tls_SSL_get0_ocsp_response(SSL *ssl, unsigned *length)
{
    const unsigned char *der = NULL;
    long n = SSL_get_tlsext_status_ocsp_resp(ssl, &der);

    *length = n > 0 ? (unsigned)n : 0;
    return n > 0 ? der : NULL;
}
