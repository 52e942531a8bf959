/*
 * The algorithms OpenSSL finds when it asks its default provider. Stands in for providers/defltprov.c and
 * crypto/provider_predefined.c, whose tables name all that OpenSSL has: what no TLS connection, certificate or key file
 * asks for would be linked for their sake, and each table is gone through before its first algorithm is found.
 *
 * Not here, although TLS or X.509 would know what to do with it: X448 and Ed448, ciphers without encryption, key
 * formats other than PKCS #8, PKCS #12 and the traditional PEM of RSA and EC keys. Keys are read and never written, so
 * there are no encoders.
 */
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "crypto/provider_local.h"
#include "file_ciphers.h"
#include "prov/bio.h"
#include "prov/implementations.h"
#include "prov/names.h"
#include "prov/provider_ctx.h"
#include "prov/providercommon.h"
#include "prov/seeding.h"

#define DEFAULT "provider=default"
#define END { NULL, NULL, NULL, NULL }

static const OSSL_ALGORITHM digests[] = {
    { PROV_NAMES_SHA1, DEFAULT, ossl_sha1_functions, NULL },
    { PROV_NAMES_SHA2_224, DEFAULT, ossl_sha224_functions, NULL },
    { PROV_NAMES_SHA2_256, DEFAULT, ossl_sha256_functions, NULL },
    { PROV_NAMES_SHA2_384, DEFAULT, ossl_sha384_functions, NULL },
    { PROV_NAMES_SHA2_512, DEFAULT, ossl_sha512_functions, NULL },
    /* ML-KEM */
    { PROV_NAMES_SHA3_256, DEFAULT, ossl_sha3_256_functions, NULL },
    { PROV_NAMES_SHA3_512, DEFAULT, ossl_sha3_512_functions, NULL },
    { PROV_NAMES_SHAKE_128, DEFAULT, ossl_shake_128_functions, NULL },
    { PROV_NAMES_SHAKE_256, DEFAULT, ossl_shake_256_functions, NULL },
    /* Encrypted PEM of old ("DEK-Info"). */
    { PROV_NAMES_MD5, DEFAULT, ossl_md5_functions, NULL },
    END
};

static const OSSL_ALGORITHM ciphers[] = {
    { PROV_NAMES_AES_256_GCM, DEFAULT, ossl_aes256gcm_functions, NULL },
    { PROV_NAMES_AES_128_GCM, DEFAULT, ossl_aes128gcm_functions, NULL },
    { PROV_NAMES_ChaCha20_Poly1305, DEFAULT, ossl_chacha20_ossl_poly1305_functions, NULL },
    { PROV_NAMES_AES_256_CCM, DEFAULT, ossl_aes256ccm_functions, NULL },
    { PROV_NAMES_AES_128_CCM, DEFAULT, ossl_aes128ccm_functions, NULL },
    { PROV_NAMES_AES_256_CBC, DEFAULT, ossl_aes256cbc_functions, NULL },
    { PROV_NAMES_AES_192_CBC, DEFAULT, ossl_aes192cbc_functions, NULL },
    { PROV_NAMES_AES_128_CBC, DEFAULT, ossl_aes128cbc_functions, NULL },
    /* Encrypted PEM: see ciphers.c. */
    { PROV_NAMES_AES_256_CFB, DEFAULT, ossl_aes256cfb_functions, NULL },
    { PROV_NAMES_AES_192_CFB, DEFAULT, ossl_aes192cfb_functions, NULL },
    { PROV_NAMES_AES_128_CFB, DEFAULT, ossl_aes128cfb_functions, NULL },
    { PROV_NAMES_AES_256_CTR, DEFAULT, ossl_aes256ctr_functions, NULL },
    { PROV_NAMES_AES_192_CTR, DEFAULT, ossl_aes192ctr_functions, NULL },
    { PROV_NAMES_AES_128_CTR, DEFAULT, ossl_aes128ctr_functions, NULL },
    { PROV_NAMES_AES_256_OFB, DEFAULT, ossl_aes256ofb_functions, NULL },
    { PROV_NAMES_AES_192_OFB, DEFAULT, ossl_aes192ofb_functions, NULL },
    { PROV_NAMES_AES_128_OFB, DEFAULT, ossl_aes128ofb_functions, NULL },
    /* PKCS #12, PKCS #8 and PEM of old: see file_ciphers.c. */
    { PROV_NAMES_DES_EDE3_CBC, DEFAULT, wassl_des_ede3_cbc, NULL },
    { PROV_NAMES_DES_EDE_CBC, DEFAULT, wassl_des_ede_cbc, NULL },
    { PROV_NAMES_DES_CBC, DEFAULT, wassl_des_cbc, NULL },
    { PROV_NAMES_RC2_CBC, DEFAULT, wassl_rc2_cbc, NULL },
    { PROV_NAMES_RC2_64_CBC, DEFAULT, wassl_rc2_64_cbc, NULL },
    { PROV_NAMES_RC2_40_CBC, DEFAULT, wassl_rc2_40_cbc, NULL },
    { PROV_NAMES_RC4, DEFAULT, wassl_rc4, NULL },
    { PROV_NAMES_RC4_40, DEFAULT, wassl_rc4_40, NULL },
    END
};

static const OSSL_ALGORITHM macs[] = {
    { PROV_NAMES_HMAC, DEFAULT, ossl_hmac_functions, NULL },
    END
};

static const OSSL_ALGORITHM kdfs[] = {
    { PROV_NAMES_HKDF, DEFAULT, ossl_kdf_hkdf_functions, NULL },
    { PROV_NAMES_TLS1_3_KDF, DEFAULT, ossl_kdf_tls1_3_kdf_functions, NULL },
    { PROV_NAMES_TLS1_PRF, DEFAULT, ossl_kdf_tls1_prf_functions, NULL },
    { PROV_NAMES_PBKDF2, DEFAULT, ossl_kdf_pbkdf2_functions, NULL },
    { PROV_NAMES_PKCS12KDF, DEFAULT, ossl_kdf_pkcs12_functions, NULL },
    /* The same files: PBES1 (RFC 8018 §6.1), and PBES2 with scrypt (RFC 7914 §7). */
    { PROV_NAMES_PBKDF1, DEFAULT, ossl_kdf_pbkdf1_functions, NULL },
    { PROV_NAMES_SCRYPT, DEFAULT, ossl_kdf_scrypt_functions, NULL },
    END
};

static const OSSL_ALGORITHM keymgmts[] = {
    { PROV_NAMES_EC, DEFAULT, ossl_ec_keymgmt_functions, NULL },
    { PROV_NAMES_RSA, DEFAULT, ossl_rsa_keymgmt_functions, NULL },
    { PROV_NAMES_RSA_PSS, DEFAULT, ossl_rsapss_keymgmt_functions, NULL },
    { PROV_NAMES_ED25519, DEFAULT, ossl_ed25519_keymgmt_functions, NULL },
    { PROV_NAMES_X25519, DEFAULT, ossl_x25519_keymgmt_functions, NULL },
    { PROV_NAMES_X25519MLKEM768, DEFAULT, ossl_mlx_x25519_kem_kmgmt_functions, NULL },
    { PROV_NAMES_SecP256r1MLKEM768, DEFAULT, ossl_mlx_p256_kem_kmgmt_functions, NULL },
    { PROV_NAMES_SecP384r1MLKEM1024, DEFAULT, ossl_mlx_p384_kem_kmgmt_functions, NULL },
    { PROV_NAMES_ML_KEM_512, DEFAULT, ossl_ml_kem_512_keymgmt_functions, NULL },
    { PROV_NAMES_ML_KEM_768, DEFAULT, ossl_ml_kem_768_keymgmt_functions, NULL },
    { PROV_NAMES_ML_KEM_1024, DEFAULT, ossl_ml_kem_1024_keymgmt_functions, NULL },
    { PROV_NAMES_DH, DEFAULT, ossl_dh_keymgmt_functions, NULL },
    /* PSK binders of TLS 1.3 are signatures with such a key. */
    { PROV_NAMES_HMAC, DEFAULT, ossl_mac_legacy_keymgmt_functions, NULL },
    END
};

static const OSSL_ALGORITHM exchanges[] = {
    { PROV_NAMES_X25519, DEFAULT, ossl_x25519_keyexch_functions, NULL },
    { PROV_NAMES_ECDH, DEFAULT, ossl_ecdh_keyexch_functions, NULL },
    { PROV_NAMES_DH, DEFAULT, ossl_dh_keyexch_functions, NULL },
    END
};

static const OSSL_ALGORITHM kems[] = {
    { "X25519MLKEM768", DEFAULT, ossl_mlx_kem_asym_kem_functions, NULL },
    { "SecP256r1MLKEM768", DEFAULT, ossl_mlx_kem_asym_kem_functions, NULL },
    { "SecP384r1MLKEM1024", DEFAULT, ossl_mlx_kem_asym_kem_functions, NULL },
    { PROV_NAMES_ML_KEM_512, DEFAULT, ossl_ml_kem_asym_kem_functions, NULL },
    { PROV_NAMES_ML_KEM_768, DEFAULT, ossl_ml_kem_asym_kem_functions, NULL },
    { PROV_NAMES_ML_KEM_1024, DEFAULT, ossl_ml_kem_asym_kem_functions, NULL },
    END
};

static const OSSL_ALGORITHM signatures[] = {
    { PROV_NAMES_ECDSA, DEFAULT, ossl_ecdsa_signature_functions, NULL },
    { PROV_NAMES_RSA, DEFAULT, ossl_rsa_signature_functions, NULL },
    { PROV_NAMES_ED25519, DEFAULT, ossl_ed25519_signature_functions, NULL },
    { PROV_NAMES_HMAC, DEFAULT, ossl_mac_legacy_hmac_signature_functions, NULL },
    END
};

/* TLS 1.2 without forward secrecy. */
static const OSSL_ALGORITHM asym_ciphers[] = {
    { PROV_NAMES_RSA, DEFAULT, ossl_rsa_asym_cipher_functions, NULL },
    END
};

#define DER(structure) DEFAULT ",fips=yes,input=der,structure=" structure

static const OSSL_ALGORITHM decoders[] = {
    { "EC", DER("SubjectPublicKeyInfo"), ossl_SubjectPublicKeyInfo_der_to_ec_decoder_functions, NULL },
    { "RSA", DER("SubjectPublicKeyInfo"), ossl_SubjectPublicKeyInfo_der_to_rsa_decoder_functions, NULL },
    { "RSA-PSS", DER("SubjectPublicKeyInfo"), ossl_SubjectPublicKeyInfo_der_to_rsapss_decoder_functions, NULL },
    { "ED25519", DER("SubjectPublicKeyInfo"), ossl_SubjectPublicKeyInfo_der_to_ed25519_decoder_functions, NULL },
    { "EC", DER("PrivateKeyInfo"), ossl_PrivateKeyInfo_der_to_ec_decoder_functions, NULL },
    { "EC", DER("type-specific"), ossl_type_specific_no_pub_der_to_ec_decoder_functions, NULL },
    { "RSA", DER("PrivateKeyInfo"), ossl_PrivateKeyInfo_der_to_rsa_decoder_functions, NULL },
    { "RSA", DER("type-specific"), ossl_type_specific_keypair_der_to_rsa_decoder_functions, NULL },
    { "RSA-PSS", DER("PrivateKeyInfo"), ossl_PrivateKeyInfo_der_to_rsapss_decoder_functions, NULL },
    { "ED25519", DER("PrivateKeyInfo"), ossl_PrivateKeyInfo_der_to_ed25519_decoder_functions, NULL },
    { "DER", DER("SubjectPublicKeyInfo"), ossl_SubjectPublicKeyInfo_der_to_der_decoder_functions, NULL },
    END
};

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_DIGEST:
        return digests;
    case OSSL_OP_CIPHER:
        return ciphers;
    case OSSL_OP_MAC:
        return macs;
    case OSSL_OP_KDF:
        return kdfs;
    case OSSL_OP_KEYMGMT:
        return keymgmts;
    case OSSL_OP_KEYEXCH:
        return exchanges;
    case OSSL_OP_KEM:
        return kems;
    case OSSL_OP_SIGNATURE:
        return signatures;
    case OSSL_OP_ASYM_CIPHER:
        return asym_ciphers;
    case OSSL_OP_DECODER:
        return decoders;
    default:
        return NULL;
    }
}

static void teardown(void *provctx)
{
    BIO_meth_free(ossl_prov_ctx_get0_core_bio_method(provctx));
    ossl_prov_ctx_free(provctx);
}

static const OSSL_DISPATCH functions[] = {
    { OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown },
    { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query },
    { OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))ossl_prov_get_capabilities },
    OSSL_DISPATCH_END
};

static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provctx)
{
    OSSL_FUNC_core_get_libctx_fn *get_libctx = NULL;
    OSSL_FUNC_core_get_params_fn *get_params = NULL;
    BIO_METHOD *bio;

    if (!ossl_prov_bio_from_dispatch(in) || !ossl_prov_seeding_from_dispatch(in))
        return 0;
    for (; in->function_id != 0; in++) {
        if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
            get_libctx = OSSL_FUNC_core_get_libctx(in);
        else if (in->function_id == OSSL_FUNC_CORE_GET_PARAMS)
            get_params = OSSL_FUNC_core_get_params(in);
    }
    if (get_libctx == NULL)
        return 0;
    *provctx = ossl_prov_ctx_new();
    bio = ossl_bio_prov_init_bio_method();
    if (*provctx == NULL || bio == NULL) {
        ossl_prov_ctx_free(*provctx);
        BIO_meth_free(bio);
        *provctx = NULL;
        return 0;
    }
    ossl_prov_ctx_set0_libctx(*provctx, (OSSL_LIB_CTX *)get_libctx(handle));
    ossl_prov_ctx_set0_handle(*provctx, handle);
    ossl_prov_ctx_set0_core_bio_method(*provctx, bio);
    ossl_prov_ctx_set0_core_get_params(*provctx, get_params);
    *out = functions;
    return 1;
}

const OSSL_PROVIDER_INFO ossl_predefined_providers[] = {
    { "default", NULL, init, NULL, 1 },
    { NULL, NULL, NULL, NULL, 0 }
};
