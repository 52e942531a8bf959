/*
 * Which ciphers OpenSSL's older functions find by name: those of an encrypted PEM file ("DEK-Info: AES-256-CBC,…").
 * Stands in for crypto/evp/c_allc.c, whose list of everything would link a second set of ciphers that nothing calls,
 * AES-GCM with look-up tables among them: TLS, PKCS #8 and #12 ask the provider, by any name.
 */
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "crypto/evp.h"

/* What has to be known before EVP_CipherInit_ex(3) asks the provider for the cipher. */
#define CIPHER(name, nid, block, key, iv, mode)                                              \
    const EVP_CIPHER *EVP_##name(void)                                                       \
    {                                                                                        \
        static const EVP_CIPHER cipher = { nid, block, key, iv, mode, EVP_ORIG_GLOBAL, .prov = NULL }; \
        return &cipher;                                                                      \
    }
#define AES(bits)                                                                            \
    CIPHER(aes_##bits##_cbc, NID_aes_##bits##_cbc, 16, bits / 8, 16, EVP_CIPH_CBC_MODE)      \
    CIPHER(aes_##bits##_cfb128, NID_aes_##bits##_cfb128, 1, bits / 8, 16, EVP_CIPH_CFB_MODE) \
    CIPHER(aes_##bits##_ofb, NID_aes_##bits##_ofb128, 1, bits / 8, 16, EVP_CIPH_OFB_MODE)    \
    CIPHER(aes_##bits##_ctr, NID_aes_##bits##_ctr, 1, bits / 8, 16, EVP_CIPH_CTR_MODE)

AES(128)
AES(192)
AES(256)
CIPHER(des_cbc, NID_des_cbc, 8, 8, 8, EVP_CIPH_CBC_MODE)
CIPHER(des_ede3_cbc, NID_des_ede3_cbc, 8, 24, 8, EVP_CIPH_CBC_MODE)

void openssl_add_all_ciphers_int(void)
{
    EVP_add_cipher(EVP_aes_128_cbc());
    EVP_add_cipher(EVP_aes_128_cfb());
    EVP_add_cipher(EVP_aes_128_ofb());
    EVP_add_cipher(EVP_aes_128_ctr());
    EVP_add_cipher(EVP_aes_192_cbc());
    EVP_add_cipher(EVP_aes_192_cfb());
    EVP_add_cipher(EVP_aes_192_ofb());
    EVP_add_cipher(EVP_aes_192_ctr());
    EVP_add_cipher(EVP_aes_256_cbc());
    EVP_add_cipher(EVP_aes_256_cfb());
    EVP_add_cipher(EVP_aes_256_ofb());
    EVP_add_cipher(EVP_aes_256_ctr());
    EVP_add_cipher(EVP_des_cbc());
    EVP_add_cipher(EVP_des_ede3_cbc());
}
