/* OCSP stapling (RFC 6066 §8): a server's response, and a client's judgement of it (RFC 6960). */
#include "internal.h"

#include "ssl/ssl_local.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
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

int wassl_ocsp_init(void)
{
    ocsp_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_response);
    return ocsp_index >= 0;
}

/* A connection that began before the context had others has its own certificates, of which this response is not. */
static int has_certificate(SSL_CTX *ctx, X509 *x)
{
    size_t i;

    for (i = 0; i < ctx->cert->ssl_pkey_num; i++)
        if (ctx->cert->pkeys[i].x509 == x)
            return 1;
    return 0;
}

/* The server's side: staples a copy, which OpenSSL then owns. */
static int staple(SSL *ssl, void *arg)
{
    SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    const wassl_bytes *response = SSL_CTX_get_ex_data(ctx, ocsp_index);
    uint8_t *copy;

    if (response == NULL || !has_certificate(ctx, SSL_get_certificate(ssl)))
        return SSL_TLSEXT_ERR_NOACK;
    if ((copy = OPENSSL_memdup(response->data, response->length)) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)response->length);
    return SSL_TLSEXT_ERR_OK;
}

EXPORT int wassl_SSL_CTX_set_ocsp_response(SSL_CTX *ctx, const uint8_t *der, size_t length)
{
    wassl_bytes *copy = OPENSSL_malloc(sizeof *copy + length);

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

int wassl_swap_ocsp_responses(SSL_CTX *a, SSL_CTX *b)
{
    void *of_a = SSL_CTX_get_ex_data(a, ocsp_index), *of_b = SSL_CTX_get_ex_data(b, ocsp_index);

    if (of_a == of_b)
        return 1;
    if (!SSL_CTX_set_ex_data(a, ocsp_index, of_b))
        return 0;
    if (!SSL_CTX_set_ex_data(b, ocsp_index, of_a)) {
        SSL_CTX_set_ex_data(a, ocsp_index, of_a);
        return 0;
    }
    SSL_CTX_set_tlsext_status_cb(a, staple);
    return SSL_CTX_set_tlsext_status_cb(b, staple) == 1;
}

EXPORT int wassl_SSL_CTX_request_ocsp_response(SSL_CTX *ctx)
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

/* How strong what we verify must be, in X509_VERIFY_PARAM's levels. */
static int level(SSL *ssl)
{
    int own = X509_VERIFY_PARAM_get_auth_level(SSL_get0_param(ssl));

    return own >= 0 ? own : SSL_get_security_level(ssl);
}

/* SHA-1 and weaker never are. Half a hash's bits resist who looks for collisions. */
static int is_strong(SSL *ssl, const X509_ALGOR *algorithm)
{
    static const int bits[] = { 112, 112, 112, 128, 192, 256 };
    int digest = NID_undef, key = NID_undef, l = level(ssl);
    const EVP_MD *md;

    if (!OBJ_find_sigid_algs(OBJ_obj2nid(algorithm->algorithm), &digest, &key))
        return 0;
    if (key == NID_rsassaPss) {
        RSA_PSS_PARAMS *pss = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algorithm->parameter);

        digest = pss == NULL || pss->hashAlgorithm == NULL ? NID_sha1 : OBJ_obj2nid(pss->hashAlgorithm->algorithm);
        RSA_PSS_PARAMS_free(pss);
    } else if (digest == NID_undef) {
        return 1; /* Ed25519 has its own */
    }
    md = EVP_get_digestbynid(digest);
    return md != NULL && EVP_MD_get_size(md) * 4 >= bits[l > 5 ? 5 : l];
}

/*
 * Whether the issuer of the peer's certificate has authorized the signer (RFC 6960 §4.2.2.2): it has issued its
 * certificate itself, for this purpose. Verified as the peer's own chain is: as of the same moment, by the same flags,
 * as strong.
 */
static int is_delegate(SSL *ssl, X509 *signer, X509 *issuer, STACK_OF(X509) *chain)
{
    X509_VERIFY_PARAM *ours = SSL_get0_param(ssl), *param;
    unsigned long flags = X509_VERIFY_PARAM_get_flags(ours)
        & ~(unsigned long)(X509_V_FLAG_POLICY_CHECK | X509_V_FLAG_POLICY_MASK | X509_V_FLAG_IGNORE_CRITICAL);
    X509_STORE_CTX *ctx;
    int ok = 0;

    if (!(X509_get_extension_flags(signer) & EXFLAG_XKUSAGE) || !(X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN)
        || !(X509_get_key_usage(signer) & X509v3_KU_DIGITAL_SIGNATURE))
        return 0;
    ctx = X509_STORE_CTX_new();
    if (ctx != NULL && X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), signer, chain)) {
        param = X509_STORE_CTX_get0_param(ctx);
        if (X509_get_ext_by_NID(signer, NID_id_pkix_OCSP_noCheck, -1) >= 0)
            flags &= ~(unsigned long)X509_V_FLAG_CRL_CHECK;
        X509_VERIFY_PARAM_set_flags(param, flags);
        if (flags & X509_V_FLAG_USE_CHECK_TIME)
            X509_VERIFY_PARAM_set_time(param, X509_VERIFY_PARAM_get_time(ours));
        X509_VERIFY_PARAM_set_auth_level(param, level(ssl));
        X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_OCSP_HELPER);
        X509_STORE_CTX_set_trust(ctx, X509_TRUST_OCSP_REQUEST);
        ok = X509_verify_cert(ctx) == 1 && sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) > 1
            && X509_cmp(sk_X509_value(X509_STORE_CTX_get0_chain(ctx), 1), issuer) == 0;
    }
    X509_STORE_CTX_free(ctx);
    return ok;
}

/*
 * Whether an entry is about `leaf`, whose issuer is `issuer`: 1, 0, or -1 when that cannot be told. Each has its own
 * hash of the issuer.
 */
static int is_about(OCSP_CERTID *theirs, X509 *leaf, X509 *issuer)
{
    ASN1_OBJECT *algorithm;
    ASN1_INTEGER *serial;
    OCSP_CERTID *ours;
    const EVP_MD *md;
    int same;

    OCSP_id_get0_info(NULL, &algorithm, NULL, &serial, theirs);
    if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0)
        return 0;
    md = EVP_get_digestbyobj(algorithm);
    if (md == NULL || EVP_MD_get_size(md) < SHA_DIGEST_LENGTH || (ours = OCSP_cert_to_id(md, leaf, issuer)) == NULL)
        return -1;
    same = OCSP_id_cmp(ours, theirs) == 0;
    OCSP_CERTID_free(ours);
    return same;
}

/* From the best to the worst. */
static const struct {
    int error;
    const char *reason;
} verdicts[] = {
    { X509_V_OK, NULL },
    { X509_V_ERR_OCSP_VERIFY_FAILED, "OCSP: the response is stale" },
    { X509_V_ERR_OCSP_CERT_UNKNOWN, "OCSP: the responder does not know the certificate" },
    { X509_V_ERR_OCSP_VERIFY_FAILED, "OCSP: the response names a certificate by a hash that is unknown or too weak" },
    { X509_V_ERR_OCSP_VERIFY_FAILED, "OCSP: the response has a critical extension that is unknown" },
    { X509_V_ERR_CERT_REVOKED, "OCSP: the certificate is revoked" },
};
enum { GOOD, STALE, UNKNOWN, NAMELESS, CRITICAL, REVOKED };

static int verdict(SSL *ssl, OCSP_SINGLERESP *single)
{
    ASN1_GENERALIZEDTIME *from, *until;
    int status = OCSP_single_get0_status(single, NULL, NULL, &from, &until);

    if (status == V_OCSP_CERTSTATUS_REVOKED)
        return REVOKED;
    if (OCSP_SINGLERESP_get_ext_by_critical(single, 1, -1) >= 0)
        return CRITICAL;
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return UNKNOWN;
    return is_current(from, until, moment(ssl)) ? GOOD : STALE;
}

/* X509_V_OK, or what is wrong; then `reason` says it in words. */
static int judge(SSL *ssl, const unsigned char *der, long length, const char **reason)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    X509 *leaf = sk_X509_value(chain, 0), *issuer = sk_X509_value(chain, 1), *signer;
    const unsigned char *end = der + length;
    OCSP_RESPONSE *whole = d2i_OCSP_RESPONSE(NULL, &der, length);
    OCSP_BASICRESP *basic = NULL;
    int i, worst = -1, result = X509_V_ERR_OCSP_VERIFY_FAILED;

    *reason = NULL;
    if (leaf == NULL)
        *reason = "OCSP: no certificate was verified";
    else if (issuer == NULL)
        issuer = leaf; /* it is a trust anchor itself */
    if (*reason != NULL)
        ;
    else if (whole == NULL || der != end)
        *reason = "OCSP: the response is malformed";
    else if (OCSP_response_status(whole) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        *reason = "OCSP: the responder answered with an error";
    else if ((basic = OCSP_response_get1_basic(whole)) == NULL)
        *reason = "OCSP: the response is of an unknown kind";
    else if (!is_strong(ssl, OCSP_resp_get0_tbs_sigalg(basic)))
        *reason = "OCSP: the signature of the response is too weak";
    else if (OCSP_basic_verify(basic, chain, NULL, OCSP_NOVERIFY) <= 0 || !OCSP_resp_get0_signer(basic, &signer, chain)
        || (signer != issuer && !is_delegate(ssl, signer, issuer, chain)))
        *reason = "OCSP: the response is not signed by the issuer or a responder that it authorized";
    else if (OCSP_BASICRESP_get_ext_by_critical(basic, 1, -1) >= 0)
        worst = CRITICAL;
    else {
        /* Of several entries about it the strictest counts. */
        for (i = 0; i < OCSP_resp_count(basic); i++) {
            OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
            int about = is_about((OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single), leaf, issuer), v;

            if (about != 0 && (v = about < 0 ? NAMELESS : verdict(ssl, single)) > worst)
                worst = v;
        }
        if (worst < 0)
            *reason = "OCSP: the response is about another certificate";
    }
    if (worst >= 0) {
        *reason = verdicts[worst].reason;
        result = verdicts[worst].error;
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(whole);
    return result;
}

/* status_request among the TLS features that a certificate promises, or that its issuer does for it (RFC 7633). */
static int must_staple(STACK_OF(X509) *chain)
{
    int i, j, at, found = 0;

    for (i = 0; i < sk_X509_num(chain); i++) {
        X509 *x = sk_X509_value(chain, i);

        for (at = -1; (at = X509_get_ext_by_NID(x, NID_tlsfeature, at)) >= 0;) {
            const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(x, at));
            const unsigned char *p = ASN1_STRING_get0_data(value), *end = p + ASN1_STRING_length(value);
            /* What cannot be read may say so. */
            ASN1_SEQUENCE_ANY *features = d2i_ASN1_SEQUENCE_ANY(NULL, &p, ASN1_STRING_length(value));

            found |= features == NULL || p != end;
            for (j = 0; j < sk_ASN1_TYPE_num(features); j++) {
                const ASN1_TYPE *feature = sk_ASN1_TYPE_value(features, j);

                found |= feature->type != V_ASN1_INTEGER || ASN1_INTEGER_get(feature->value.integer) == TLSEXT_TYPE_status_request;
            }
            sk_ASN1_TYPE_pop_free(features, ASN1_TYPE_free);
        }
    }
    return found;
}

/* The client's side, once the server has said all that it has to say before the keys. */
static int check(SSL *ssl, void *required)
{
    unsigned failures = wassl_failed_allocations;
    const unsigned char *der = NULL;
    long length = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    const char *reason = "OCSP: the server sent no response";
    int result = X509_V_OK;

    if (SSL_session_reused(ssl)) /* no certificate was sent; the session's was judged */
        return 1;
    if (length > 0 && der != NULL)
        result = judge(ssl, der, length, &reason);
    else if (required != NULL)
        result = X509_V_ERR_OCSP_VERIFY_NEEDED;
    else if (must_staple(SSL_get0_verified_chain(ssl))) {
        result = X509_V_ERR_OCSP_VERIFY_NEEDED;
        reason = "OCSP: the server sent no response, and its certificate says that there is one";
    }
    if (wassl_failed_allocations != failures) {
        result = X509_V_ERR_OUT_OF_MEM;
        reason = "OCSP: memory is exhausted";
        ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
    }
    if (result == X509_V_OK) {
        ERR_clear_error(); /* what was tried in vain on the way */
        return 1;
    }
    SSL_set_verify_result(ssl, result);
    ERR_raise_data(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED, "%s", reason);
    return 0;
}

EXPORT int wassl_SSL_CTX_check_ocsp_response(SSL_CTX *ctx, int required)
{
    return wassl_SSL_CTX_request_ocsp_response(ctx) && SSL_CTX_set_tlsext_status_cb(ctx, check) == 1
        && SSL_CTX_set_tlsext_status_arg(ctx, required ? &ocsp_index : NULL) == 1;
}

EXPORT const uint8_t *wassl_SSL_get0_ocsp_response(SSL *ssl, unsigned *length)
{
    const unsigned char *der = NULL;
    long n = SSL_get_tlsext_status_ocsp_resp(ssl, &der);

    *length = n > 0 ? (unsigned)n : 0;
    return n > 0 ? der : NULL;
}
