/*
 * Whom to trust (X509_STORE), how to verify (X509_VERIFY_PARAM), and the verification of a chain outside of a
 * handshake.
 */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

EXPORT X509_STORE *wassl_X509_STORE_new(void) { return X509_STORE_new(); }
EXPORT void wassl_X509_STORE_free(X509_STORE *store) { X509_STORE_free(store); }
EXPORT X509_VERIFY_PARAM *wassl_X509_STORE_get0_param(X509_STORE *store) { return X509_STORE_get0_param(store); }

EXPORT int wassl_X509_STORE_add_ca(X509_STORE *store, const uint8_t *data, size_t length)
{
    STACK_OF(X509) *list = wassl_parse_certificates(data, length);
    int i, count = 0;

    if (list == NULL)
        return 0;
    for (i = 0; i < sk_X509_num(list); i++) {
        X509 *x = sk_X509_value(list, i);

        if (!X509_STORE_add_cert(store, x) || !wassl_anchors_given(store, x) || !wassl_anchors_load(store, X509_get_subject_name(x))) {
            count = 0;
            break;
        }
        count++;
    }
    OSSL_STACK_OF_X509_free(list);
    return count;
}

EXPORT int wassl_X509_STORE_add_crl(X509_STORE *store, const uint8_t *data, size_t length)
{
    const unsigned char *p = data;
    STACK_OF(X509_CRL) *list;
    unsigned failures = wassl_failed_allocations;
    X509_CRL *crl = NULL;
    BIO *in = NULL;
    int i, count = 0;

    if ((list = sk_X509_CRL_new_null()) == NULL)
        return 0;
    if (wassl_looks_like_pem(data, length)) {
        if ((in = wassl_pem(data, length)) == NULL)
            goto done;
        while ((crl = wassl_read_pem(in, PEM_STRING_X509_CRL, (d2i_of_void *)d2i_X509_CRL, NULL,
                    (void (*)(void *))X509_CRL_free)) != NULL
            && sk_X509_CRL_push(list, crl))
            crl = NULL;
        if (crl != NULL || !wassl_at_end_of_pem(sk_X509_CRL_num(list)))
            goto done;
    } else {
        if ((crl = d2i_X509_CRL(NULL, &p, (long)length)) == NULL)
            goto done;
        if (p != data + length) { /* something stands behind the list */
            ERR_raise(ERR_LIB_ASN1, ASN1_R_LENGTH_TOO_LONG);
            goto done;
        }
        if (!sk_X509_CRL_push(list, crl))
            goto done;
        crl = NULL;
    }
    if (wassl_failed_allocations != failures) { /* what a list says of itself may be missing */
        ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
        goto done;
    }
    /* All are read: none is added when one is broken. */
    for (i = 0; i < sk_X509_CRL_num(list); i++) {
        if (!X509_STORE_add_crl(store, sk_X509_CRL_value(list, i))) {
            count = 0;
            break;
        }
        count++;
    }
done:
    X509_CRL_free(crl);
    BIO_free(in);
    sk_X509_CRL_pop_free(list, X509_CRL_free);
    return count;
}

EXPORT void wassl_X509_VERIFY_PARAM_set_time(X509_VERIFY_PARAM *p, double s) { X509_VERIFY_PARAM_set_time(p, (time_t)s); }
EXPORT void wassl_X509_VERIFY_PARAM_set_depth(X509_VERIFY_PARAM *p, int depth) { X509_VERIFY_PARAM_set_depth(p, depth); }
EXPORT void wassl_X509_VERIFY_PARAM_set_flags(X509_VERIFY_PARAM *p, uint32_t f) { X509_VERIFY_PARAM_set_flags(p, f); }
EXPORT void wassl_X509_VERIFY_PARAM_set_hostflags(X509_VERIFY_PARAM *p, uint32_t f) { X509_VERIFY_PARAM_set_hostflags(p, f); }
EXPORT void wassl_X509_VERIFY_PARAM_set_auth_level(X509_VERIFY_PARAM *p, int l) { X509_VERIFY_PARAM_set_auth_level(p, l); }

EXPORT int wassl_X509_VERIFY_PARAM_set_purpose(X509_VERIFY_PARAM *p, const char *name)
{
    int index = X509_PURPOSE_get_by_sname(name);

    return index >= 0 && X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_get_id(X509_PURPOSE_get0(index)));
}

EXPORT int wassl_X509_VERIFY_PARAM_add_policy(X509_VERIFY_PARAM *p, const char *oid)
{
    ASN1_OBJECT *policy = OBJ_txt2obj(oid, 1);

    if (policy != NULL && X509_VERIFY_PARAM_add0_policy(p, policy))
        return 1;
    ASN1_OBJECT_free(policy);
    return 0;
}

EXPORT int wassl_X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM *p, const char *name)
{
    return X509_VERIFY_PARAM_set1_host(p, name, 0);
}

EXPORT int wassl_X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *p, const char *ip)
{
    return X509_VERIFY_PARAM_set1_ip_asc(p, ip);
}

EXPORT int wassl_X509_VERIFY_PARAM_set1_email(X509_VERIFY_PARAM *p, const char *email)
{
    return X509_VERIFY_PARAM_set1_email(p, email, 0);
}

/* ---- the verification of a chain ------------------------------------------------------------------------------- */

typedef struct {
    int error, depth;
    X509 *certificate;
} failure;

/* Each certificate fails in a handful of ways at most. */
#define MAX_FAILURES 256

struct wassl_verification {
    STACK_OF(X509) *chain;
    int count, capacity;
    failure *failures;
    int exhausted; /* memory was */
};

static void add_failure(wassl_verification *v, int error, int depth, X509 *certificate)
{
    if (v->count == MAX_FAILURES)
        return;
    if (v->count == v->capacity) {
        int capacity = v->capacity == 0 ? 4 : v->capacity * 2;
        failure *more = realloc(v->failures, (size_t)capacity * sizeof *more);

        if (more == NULL) {
            v->exhausted = 1;
            return;
        }
        v->failures = more;
        v->capacity = capacity;
    }
    if (certificate != NULL)
        X509_up_ref(certificate);
    v->failures[v->count++] = (failure){ error, depth, certificate };
}

/*
 * Goes on after each failure, so that all are found. The first is the one a verification that stops would end with. It
 * is not asked about what OpenSSL verifies on the way: see verified.c.
 */
static int record(int ok, X509_STORE_CTX *ctx)
{
    if (!ok)
        add_failure(X509_STORE_CTX_get_app_data(ctx), X509_STORE_CTX_get_error(ctx),
            X509_STORE_CTX_get_error_depth(ctx), X509_STORE_CTX_get_current_cert(ctx));
    return 1;
}

static void forget_failures(wassl_verification *v)
{
    while (v->count > 0)
        X509_free(v->failures[--v->count].certificate);
}

EXPORT void wassl_verification_free(wassl_verification *v)
{
    if (v == NULL)
        return;
    forget_failures(v);
    free(v->failures);
    OSSL_STACK_OF_X509_free(v->chain);
    free(v);
}

EXPORT wassl_verification *wassl_X509_verify_cert(X509_STORE *store, STACK_OF(X509) *certificates)
{
    wassl_verification *v = calloc(1, sizeof *v);
    unsigned failures = wassl_failed_allocations;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int result, error;

    if (v == NULL || ctx == NULL
        || !X509_STORE_CTX_init(ctx, store, sk_X509_value(certificates, 0), certificates)
        || !X509_STORE_CTX_set_app_data(ctx, v)) /* or record() would note failures nowhere */
        goto failed;
    X509_STORE_CTX_set_verify_cb(ctx, record);
    result = X509_verify_cert(ctx);
    error = X509_STORE_CTX_get_error(ctx);
    /* It may end without asking the callback; never is that a good chain. */
    if (v->count == 0 && (result != 1 || error != X509_V_OK))
        add_failure(v, error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error, X509_STORE_CTX_get_error_depth(ctx),
            X509_STORE_CTX_get_current_cert(ctx));
    if (result >= 0 && v->count > 0 && wassl_find_other_path(ctx, v->failures->error, v->failures->depth))
        forget_failures(v);
    if (v->count > 0)
        wassl_refine_failure(ctx, &v->failures->error, &v->failures->depth, &v->failures->certificate);
    v->chain = X509_STORE_CTX_get1_chain(ctx);
    ERR_clear_error();
    /* A verdict that came of exhausted memory is none. */
    if (wassl_failed_allocations != failures || v->chain == NULL || v->exhausted) {
        ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
        goto failed;
    }
    X509_STORE_CTX_free(ctx);
    return v;
failed:
    X509_STORE_CTX_free(ctx);
    wassl_verification_free(v);
    return NULL;
}

EXPORT STACK_OF(X509) *wassl_verification_chain(wassl_verification *v) { return v->chain; }
EXPORT int wassl_verification_failures(wassl_verification *v) { return v->count; }
EXPORT int wassl_verification_error(wassl_verification *v, int i) { return v->failures[i].error; }
EXPORT int wassl_verification_depth(wassl_verification *v, int i) { return v->failures[i].depth; }
EXPORT X509 *wassl_verification_certificate(wassl_verification *v, int i) { return v->failures[i].certificate; }
