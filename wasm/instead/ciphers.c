/*
 * Which ciphers OpenSSL's older functions find by name: those of an encrypted PEM file ("DEK-Info: AES-256-CBC,…").
 * Stands in for crypto/evp/c_allc.c, whose list of everything would link a second set of ciphers that nothing calls,
 * AES-GCM with look-up tables among them: TLS, PKCS #8 and #12 ask the provider, by any name.
 */
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "crypto/evp.h"

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
}
