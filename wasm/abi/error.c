/* The error queue. */
#include "internal.h"

#include <openssl/err.h>

#include "crypto/asn1err.h"
#include "crypto/bioerr.h"
#include "crypto/bnerr.h"
#include "crypto/cryptoerr.h"
#include "crypto/dherr.h"
#include "crypto/ecerr.h"
#include "crypto/err.h"
#include "crypto/evperr.h"
#include "crypto/objectserr.h"
#include "crypto/ocsperr.h"
#include "crypto/pemerr.h"
#include "crypto/pkcs12err.h"
#include "crypto/pkcs7err.h"
#include "crypto/randerr.h"
#include "crypto/rsaerr.h"
#include "crypto/x509err.h"
#include "crypto/x509v3err.h"
#include "prov/proverr.h"

int __real_ossl_err_load_SSL_strings(void);

/* OpenSSL puts 1,600 texts into a table as it starts. Here they wait until an error is to be told. */
int __wrap_ossl_err_load_SSL_strings(void) { return 1; }
int ossl_err_load_crypto_strings(void) { return 1; }

/* Stands in for crypto/err/err_all.c: not the texts of libraries that are not here. */
static void load_texts(void)
{
    static int loaded;

    if (loaded)
        return;
    loaded = 1;
    ossl_err_load_ERR_strings();
    __real_ossl_err_load_SSL_strings();
    ossl_err_load_ASN1_strings();
    ossl_err_load_BIO_strings();
    ossl_err_load_BN_strings();
    ossl_err_load_CRYPTO_strings();
    ossl_err_load_DH_strings();
    ossl_err_load_EC_strings();
    ossl_err_load_EVP_strings();
    ossl_err_load_OBJ_strings();
    ossl_err_load_OCSP_strings();
    ossl_err_load_PEM_strings();
    ossl_err_load_PKCS12_strings();
    ossl_err_load_PKCS7_strings();
    ossl_err_load_PROV_strings();
    ossl_err_load_RAND_strings();
    ossl_err_load_RSA_strings();
    ossl_err_load_X509V3_strings();
    ossl_err_load_X509_strings();
}

static unsigned failed_before;

/* ERR_clear_error goes through all of the queue, which is nearly always empty. */
EXPORT void wassl_ERR_clear_error(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
    failed_before = wassl_failed_allocations;
}

EXPORT unsigned long wassl_ERR_peek_error(void) { return ERR_peek_error(); }

EXPORT const char *wassl_ERR_lib_error_string(unsigned long e)
{
    load_texts();
    return ERR_lib_error_string(e);
}

EXPORT const char *wassl_ERR_reason_error_string(unsigned long e)
{
    load_texts();
    return ERR_reason_error_string(e);
}

EXPORT int wassl_ERR_get_lib(unsigned long e) { return ERR_GET_LIB(e); }
EXPORT int wassl_ERR_get_reason(unsigned long e) { return ERR_GET_REASON(e); }
EXPORT void wassl_ERR_raise(int lib, int reason) { ERR_raise(lib, reason); }

EXPORT unsigned long wassl_ERR_get_error(const char **data)
{
    int flags = 0;
    unsigned long e;

    /* OpenSSL does not always say so: what had no memory may look like input that is wrong. */
    if (wassl_failed_allocations != failed_before) {
        ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
        failed_before = wassl_failed_allocations;
    }
    e = ERR_get_error_all(NULL, NULL, NULL, data, &flags);

    if (!(flags & ERR_TXT_STRING))
        *data = NULL;
    return e;
}
