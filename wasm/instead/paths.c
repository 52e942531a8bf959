/*
 * Other paths. From a certificate OpenSSL follows one path to a trust anchor, and judges it. Where authorities are
 * cross-signed there are several, and the one that it happens on may be the one that is bad: it ends at an authority
 * that is not trusted any more, goes through a certificate that has expired or must not sign for this name, or runs in
 * a circle. Go and browsers try the others; so do we.
 *
 * When a path fails, an intermediate of it is left out of what the peer sent, and OpenSSL builds and judges anew: by
 * the same parameters, all of it, and ending at the first failure. The first path that is good is the one that counts.
 * If no path is good, the verdict is that of the path without anything left out. Nothing is accepted that would not be
 * if the peer had left those certificates out itself.
 */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

/*
 * What one verification may cost at most beyond the first path: so many paths, and right signatures in them. A wrong
 * one ends its path.
 */
#define PATHS 10
#define SIGNATURES 32

typedef struct {
    X509_STORE_CTX *first;
    int paths, signatures;
    unsigned failures; /* of allocations, before */
} search;

/* Told of each failure, and of each certificate whose signature is right. */
static int count(int ok, X509_STORE_CTX *ctx)
{
    search *s = X509_STORE_CTX_get_app_data(ctx);

    return ok && --s->signatures >= 0;
}

/* Whether another path could do better. Of the leaf itself only that which depends on what is above it. */
static int depends_on_path(int error, int depth)
{
    switch (error) {
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
    case X509_V_ERR_NO_EXPLICIT_POLICY:
        return 1;
    case X509_V_ERR_UNSPECIFIED:
    case X509_V_ERR_OUT_OF_MEM:
    case X509_V_ERR_STORE_LOOKUP:
        return 0;
    default:
        return depth > 0;
    }
}

/* Which certificate of the path to leave out first. */
static int suspect(STACK_OF(X509) *path, int error, int depth)
{
    int i = sk_X509_num(path) - 1;

    if (error == X509_V_ERR_CERT_SIGNATURE_FAILURE) /* another issuer of that name may have the right key */
        return depth + 1;
    if (error == X509_V_ERR_PERMITTED_VIOLATION || error == X509_V_ERR_EXCLUDED_VIOLATION)
        while (i > 1 && X509_get_ext_by_NID(sk_X509_value(path, i), NID_name_constraints, -1) < 0)
            i--;
    else if (depth > 0)
        return depth;
    return i;
}

/* The list without that certificate; 0 = it is not in the list. */
static STACK_OF(X509) *without(STACK_OF(X509) *list, X509 *x)
{
    STACK_OF(X509) *rest = sk_X509_new_null();
    int i;

    for (i = 0; rest != NULL && i < sk_X509_num(list); i++)
        if (X509_cmp(sk_X509_value(list, i), x) != 0)
            sk_X509_push(rest, sk_X509_value(list, i));
    if (sk_X509_num(rest) < sk_X509_num(list))
        return rest;
    sk_X509_free(rest);
    return NULL;
}

static int leave_out(search *, STACK_OF(X509) *untrusted, STACK_OF(X509) *path, int error, int depth);

/* Judges a path with what `untrusted` has, and if it is bad those with still less. */
static int judge(search *s, STACK_OF(X509) *untrusted)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();
    X509 *leaf = X509_STORE_CTX_get0_cert(s->first);
    int good = 0;

    if (ctx != NULL && param != NULL && X509_VERIFY_PARAM_inherit(param, X509_STORE_CTX_get0_param(s->first))
        && X509_STORE_CTX_init(ctx, X509_STORE_CTX_get0_store(s->first), leaf, untrusted)
        && X509_STORE_CTX_set_app_data(ctx, s)) {
        X509_STORE_CTX_set0_param(ctx, param);
        param = NULL;
        X509_STORE_CTX_set_verify_cb(ctx, count);
        good = X509_verify_cert(ctx) == 1 && X509_STORE_CTX_get_error(ctx) == X509_V_OK;
        if (wassl_failed_allocations != s->failures)
            good = s->paths = 0;
        else if (!good)
            good = leave_out(s, untrusted, X509_STORE_CTX_get0_chain(ctx), X509_STORE_CTX_get_error(ctx),
                X509_STORE_CTX_get_error_depth(ctx));
        else {
            X509_STORE_CTX_set0_verified_chain(s->first, X509_STORE_CTX_get1_chain(ctx));
            X509_STORE_CTX_set_current_cert(s->first, leaf);
            X509_STORE_CTX_set_error_depth(s->first, 0);
            X509_STORE_CTX_set_error(s->first, X509_V_OK);
        }
    }
    X509_VERIFY_PARAM_free(param);
    X509_STORE_CTX_free(ctx);
    return good;
}

static int leave_out(search *s, STACK_OF(X509) *untrusted, STACK_OF(X509) *path, int error, int depth)
{
    int length = sk_X509_num(path), at = suspect(path, error, depth), i;

    if (!depends_on_path(error, depth))
        return 0;
    /* First the suspect, then the others, from above. */
    for (i = length; i > 0; i--) {
        int index = i == length ? at : i;
        X509 *x = index > 0 && (i == length || i != at) ? sk_X509_value(path, index) : NULL; /* above the anchor is none */
        STACK_OF(X509) *rest = x == NULL ? NULL : without(untrusted, x);
        int good = 0;

        if (rest == NULL)
            continue;
        if (s->paths > 0 && s->signatures > 0) {
            s->paths--;
            good = judge(s, rest);
        }
        sk_X509_free(rest);
        if (good || s->paths == 0)
            return good;
    }
    return 0;
}

int wassl_find_other_path(X509_STORE_CTX *ctx, int error, int depth)
{
    search s = { ctx, PATHS, SIGNATURES, wassl_failed_allocations };
    int good;

    ERR_set_mark();
    good = leave_out(&s, X509_STORE_CTX_get0_untrusted(ctx), X509_STORE_CTX_get0_chain(ctx), error, depth)
        && wassl_failed_allocations == s.failures;
    ERR_pop_to_mark();
    return good;
}

int wassl_verify_paths(X509_STORE_CTX *ctx, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    int result;

    wassl_forget_verify_failure(ssl);
    ERR_set_mark();
    result = X509_verify_cert(ctx);
    /* Also where a failure would end nothing (SSL_VERIFY_NONE): what is told is what is wrong with every path. */
    if (result >= 0 && wassl_SSL_verify_failures(ssl) > 0
        && wassl_find_other_path(ctx, wassl_SSL_verify_error(ssl, 0), wassl_SSL_verify_depth(ssl, 0))) {
        wassl_forget_verify_failure(ssl);
        result = 1;
    } else
        wassl_refine_verify_failure(ssl, ctx);
    /*
     * What went wrong on the way to yes is told by the verdict. In the queue it would end the handshake that waits for
     * an answer.
     */
    if (result > 0)
        ERR_pop_to_mark();
    else
        ERR_clear_last_mark();
    return result;
}
