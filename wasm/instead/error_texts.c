/* The texts of errors, when they are wanted. */
#include "internal.h"

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
void wassl_load_error_texts(void)
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
