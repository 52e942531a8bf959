/*
 * What OpenSSL refers to and nothing here reaches: each of these would link code, which is cut off here. They are
 * linked before the archives, or in their place with --wrap where an object file has other functions that are needed
 * (openssl.lock).
 */
#include <openssl/asn1t.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "crypto/x509.h"
#include "internal/ffc.h"
#include "internal/conf.h"
#include "internal/nelem.h"
#include "internal/param_names.h"
#include "ssl/ssl_local.h"

/* ---- configuration files: no file, no environment, no-autoload-config ------------------------------------------ */

int ssl_ctx_system_config(SSL_CTX *ctx) { return 1; }
int ossl_config_int(const OPENSSL_INIT_SETTINGS *settings) { return 1; }
void ossl_no_config_int(void) { }
void OPENSSL_load_builtin_modules(void) { }
void __wrap_ossl_config_modules_free(void) { }

/* ---- making keys for files, and writing them: keys are read here ------------------------------------------------- */

int __wrap_DH_generate_parameters_ex(DH *dh, int length, int generator, BN_GENCB *cb) { return 0; }

int __wrap_ossl_dh_generate_ffc_parameters(DH *dh, int type, int bits, int q_bits, BN_GENCB *cb) { return 0; }

/*
 * A key of TLS 1.2's DHE is looked at with DH_check_params(3), which does not ask. Who does is told that it cannot be
 * said.
 */
int __wrap_BN_check_prime(const BIGNUM *p, BN_CTX *ctx, BN_GENCB *cb) { return -1; }

int __wrap_RSA_generate_multi_prime_key(RSA *rsa, int bits, int primes, BIGNUM *e, BN_GENCB *cb) { return 0; }

OSSL_ENCODER_CTX *__wrap_OSSL_ENCODER_CTX_new_for_pkey(const EVP_PKEY *pkey, int selection, const char *output_type,
    const char *output_struct, const char *propquery)
{
    return NULL;
}

/* ---- EVP_PKEY_METHODs of old: they serve engines and applications that bring their own -------------------------- */

const EVP_PKEY_METHOD *__wrap_EVP_PKEY_meth_find(int type) { return NULL; }

/* ---- PKCS #7 that is streamed: PKCS #12 has it only whole ------------------------------------------------------ */

BIO *__wrap_PKCS7_dataInit(PKCS7 *p7, BIO *bio) { return NULL; }
int __wrap_PKCS7_dataFinal(PKCS7 *p7, BIO *bio) { return 0; }

/* ---- printing --------------------------------------------------------------------------------------------------- */

int ASN1_item_print(BIO *out, const ASN1_VALUE *value, int indent, const ASN1_ITEM *item, const ASN1_PCTX *context)
{
    return 0;
}

void __wrap_ERR_print_errors_cb(int (*cb)(const char *text, size_t length, void *u), void *u) { }
int __wrap_ASN1_buf_print(BIO *out, const unsigned char *data, size_t length, int indent) { return 0; }
int __wrap_ECPKParameters_print(BIO *out, const EC_GROUP *group, int indent) { return 0; }
int __wrap_ossl_ffc_params_print(BIO *out, const FFC_PARAMS *params, int indent) { return 0; }

int __wrap_ASN1_bn_print(BIO *out, const char *title, const BIGNUM *number, unsigned char *unused, int indent)
{
    return 0;
}

/* ---- X.509 extensions: read, not printed or made from text ---------------------------------------------------- */

/* Those that OpenSSL itself asks for, while it verifies and looks at revocation lists. By NID. */
#define READ(nid, item) { nid, 0, ASN1_ITEM_ref(item), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }

static const X509V3_EXT_METHOD extensions[] = {
    READ(NID_netscape_cert_type, ASN1_BIT_STRING),
    READ(NID_subject_key_identifier, ASN1_OCTET_STRING),
    READ(NID_key_usage, ASN1_BIT_STRING),
    READ(NID_subject_alt_name, GENERAL_NAMES),
    READ(NID_issuer_alt_name, GENERAL_NAMES),
    READ(NID_basic_constraints, BASIC_CONSTRAINTS),
    READ(NID_crl_number, ASN1_INTEGER),
    READ(NID_certificate_policies, CERTIFICATEPOLICIES),
    READ(NID_authority_key_identifier, AUTHORITY_KEYID),
    READ(NID_crl_distribution_points, CRL_DIST_POINTS),
    READ(NID_ext_key_usage, EXTENDED_KEY_USAGE),
    READ(NID_delta_crl, ASN1_INTEGER),
    READ(NID_crl_reason, ASN1_ENUMERATED),
    READ(NID_invalidity_date, ASN1_GENERALIZEDTIME),
    READ(NID_policy_constraints, POLICY_CONSTRAINTS),
    READ(NID_proxyCertInfo, PROXY_CERT_INFO_EXTENSION),
    READ(NID_name_constraints, NAME_CONSTRAINTS),
    READ(NID_policy_mappings, POLICY_MAPPINGS),
    READ(NID_inhibit_any_policy, ASN1_INTEGER),
    READ(NID_issuing_distribution_point, ISSUING_DIST_POINT),
    READ(NID_certificate_issuer, GENERAL_NAMES),
    READ(NID_freshest_crl, CRL_DIST_POINTS),
};

const X509V3_EXT_METHOD *__wrap_X509V3_EXT_get_nid(int nid)
{
    size_t i;

    for (i = 0; i < OSSL_NELEM(extensions); i++)
        if (extensions[i].ext_nid == nid)
            return &extensions[i];
    return NULL;
}

/* ---- names of parameters ----------------------------------------------------------------------------------------- */

/* OpenSSL's is a switch over the letters of all names there are; only AES-GCM asks. */
static const struct {
    const char *name;
    int index;
} params[] = {
    { OSSL_CIPHER_PARAM_IVLEN, PIDX_CIPHER_PARAM_IVLEN },
    { OSSL_CIPHER_PARAM_KEYLEN, PIDX_CIPHER_PARAM_KEYLEN },
    { OSSL_CIPHER_PARAM_AEAD_TAG, PIDX_CIPHER_PARAM_AEAD_TAG },
    { OSSL_CIPHER_PARAM_AEAD_TAGLEN, PIDX_CIPHER_PARAM_AEAD_TAGLEN },
    { OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, PIDX_CIPHER_PARAM_AEAD_TLS1_AAD },
    { OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD, PIDX_CIPHER_PARAM_AEAD_TLS1_AAD_PAD },
    { OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, PIDX_CIPHER_PARAM_AEAD_TLS1_IV_FIXED },
    { OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN, PIDX_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN },
    { OSSL_CIPHER_PARAM_AEAD_TLS1_SET_IV_INV, PIDX_CIPHER_PARAM_AEAD_TLS1_SET_IV_INV },
    { OSSL_CIPHER_PARAM_AEAD_IV_GENERATED, PIDX_CIPHER_PARAM_AEAD_IV_GENERATED },
    { OSSL_CIPHER_PARAM_IV, PIDX_CIPHER_PARAM_IV },
    { OSSL_CIPHER_PARAM_UPDATED_IV, PIDX_CIPHER_PARAM_UPDATED_IV },
};

int ossl_param_find_pidx(const char *name)
{
    size_t i;

    for (i = 0; i < OSSL_NELEM(params); i++)
        if (strcmp(name, params[i].name) == 0)
            return params[i].index;
    return -1;
}
