/*
 * Curve448, which has no arithmetic here: what uses such a key fails. Stands in for crypto/ec/curve448/, which code for
 * all keys of RFC 7748 and 8032 refers to.
 */
#include <openssl/crypto.h>

#include "crypto/ecx.h"

int ossl_x448(uint8_t out[56], const uint8_t key[56], const uint8_t peer[56]) { return 0; }
void ossl_x448_public_from_private(uint8_t out[56], const uint8_t key[56]) { OPENSSL_cleanse(out, 56); }
int ossl_ed448_public_from_private(OSSL_LIB_CTX *ctx, uint8_t out[57], const uint8_t key[57], const char *propq) { return 0; }
int ossl_ed448_pubkey_verify(const uint8_t *key, size_t length) { return 0; }

int ossl_ed448_sign(OSSL_LIB_CTX *ctx, uint8_t *out, const uint8_t *message, size_t length, const uint8_t public_key[57],
    const uint8_t private_key[57], const uint8_t *context, size_t context_length, const uint8_t phflag, const char *propq)
{
    return 0;
}

int ossl_ed448_verify(OSSL_LIB_CTX *ctx, const uint8_t *message, size_t length, const uint8_t signature[114],
    const uint8_t public_key[57], const uint8_t *context, size_t context_length, const uint8_t phflag, const char *propq)
{
    return 0;
}
