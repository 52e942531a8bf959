/*
 * The ciphers of key files as they were written until some years ago, by Windows, macOS and Java too: DES, RC2 and RC4,
 * which here decrypt only. The block functions are OpenSSL's. Its providers of them have every mode and both
 * directions, which is twice the size.
 *
 * Which addresses they read depends on the key. That tells a secret where another program can watch the cache while it
 * decides how often something is decrypted; a file is decrypted once, by the one that has its passphrase.
 */
#include "internal/deprecated.h"

#include <openssl/core_dispatch.h>
#include <openssl/des.h>
#include <openssl/rc2.h>
#include <openssl/rc4.h>
#include <string.h>

#include "file_ciphers.h"
#include "prov/ciphercommon.h"

typedef struct {
    PROV_CIPHER_CTX base; /* must be first */
    union {
        DES_key_schedule des[3];
        RC2_KEY rc2;
        RC4_KEY rc4;
    } key;
} file_cipher;

/* ---- block functions, in place -------------------------------------------------------------------------------- */

/* With one key or two, which stand for three. */
static int des_init(PROV_CIPHER_CTX *base, const uint8_t *key, size_t length)
{
    DES_key_schedule *des = ((file_cipher *)base)->key.des;
    size_t i;

    for (i = 0; i < 3; i++)
        DES_set_key_unchecked((const_DES_cblock *)(key + 8 * i % length), &des[i]);
    return 1;
}

static void des_block(file_cipher *c, uint32_t *block)
{
    DES_decrypt3(block, &c->key.des[0], &c->key.des[1], &c->key.des[2]);
}

static int rc2_init(PROV_CIPHER_CTX *base, const uint8_t *key, size_t length)
{
    RC2_set_key(&((file_cipher *)base)->key.rc2, (int)length, key, (int)length * 8);
    return 1;
}

static void rc2_block(file_cipher *c, uint32_t *block) { RC2_decrypt((unsigned long *)block, &c->key.rc2); }

/* ---- modes: `in` and `out` may be the same ---------------------------------------------------------------------- */

static int cbc(file_cipher *c, uint8_t *out, const uint8_t *in, size_t length,
    void (*decrypt)(file_cipher *, uint32_t *))
{
    for (; length >= 8; length -= 8, in += 8, out += 8) {
        uint32_t block[2], before[2], next[2];

        memcpy(block, in, 8);
        memcpy(next, in, 8);
        memcpy(before, c->base.iv, 8);
        decrypt(c, block);
        block[0] ^= before[0];
        block[1] ^= before[1];
        memcpy(out, block, 8);
        memcpy(c->base.iv, next, 8);
    }
    return 1;
}

static int des_cbc(PROV_CIPHER_CTX *base, uint8_t *out, const uint8_t *in, size_t length)
{
    return cbc((file_cipher *)base, out, in, length, des_block);
}

static int rc2_cbc(PROV_CIPHER_CTX *base, uint8_t *out, const uint8_t *in, size_t length)
{
    return cbc((file_cipher *)base, out, in, length, rc2_block);
}

static int rc4_init(PROV_CIPHER_CTX *base, const uint8_t *key, size_t length)
{
    RC4_set_key(&((file_cipher *)base)->key.rc4, (int)length, key);
    return 1;
}

static int rc4_stream(PROV_CIPHER_CTX *base, uint8_t *out, const uint8_t *in, size_t length)
{
    RC4(&((file_cipher *)base)->key.rc4, length, in, out);
    return 1;
}

/* ---- as OpenSSL finds them: provider.c ----------------------------------------------------------------------- */

static const PROV_CIPHER_HW des_hw = { des_init, des_cbc, NULL };
static const PROV_CIPHER_HW rc2_hw = { rc2_init, rc2_cbc, NULL };
static const PROV_CIPHER_HW rc4_hw = { rc4_init, rc4_stream, NULL };

static void *new_cipher(void *provider, size_t key_bits, size_t block_bits, size_t iv_bits, unsigned mode,
    const PROV_CIPHER_HW *hw)
{
    file_cipher *c = OPENSSL_zalloc(sizeof *c);

    if (c != NULL)
        ossl_cipher_generic_initkey(c, key_bits, block_bits, iv_bits, mode, 0, hw, provider);
    return c;
}

static void free_cipher(void *c)
{
    ossl_cipher_generic_reset_ctx(c);
    OPENSSL_clear_free(c, sizeof(file_cipher));
}

#define CIPHER(name, hw, key_bits, block_bits, iv_bits, mode, kind)                                       \
    static void *name##_new(void *provider)                                                              \
    {                                                                                                    \
        return new_cipher(provider, key_bits, block_bits, iv_bits, mode, hw);                            \
    }                                                                                                    \
    static int name##_params(OSSL_PARAM params[])                                                        \
    {                                                                                                    \
        return ossl_cipher_generic_get_params(params, mode, 0, key_bits, block_bits, iv_bits);           \
    }                                                                                                    \
    const OSSL_DISPATCH wassl_##name[] = {                                                               \
        { OSSL_FUNC_CIPHER_NEWCTX, (void (*)(void))name##_new },                                         \
        { OSSL_FUNC_CIPHER_FREECTX, (void (*)(void))free_cipher },                                       \
        { OSSL_FUNC_CIPHER_DECRYPT_INIT, (void (*)(void))ossl_cipher_generic_dinit },                    \
        { OSSL_FUNC_CIPHER_UPDATE, (void (*)(void))ossl_cipher_generic_##kind##_update },                \
        { OSSL_FUNC_CIPHER_FINAL, (void (*)(void))ossl_cipher_generic_##kind##_final },                  \
        { OSSL_FUNC_CIPHER_GET_PARAMS, (void (*)(void))name##_params },                                  \
        { OSSL_FUNC_CIPHER_GET_CTX_PARAMS, (void (*)(void))ossl_cipher_generic_get_ctx_params },         \
        OSSL_DISPATCH_END                                                                                \
    };

CIPHER(des_cbc, &des_hw, 64, 64, 64, EVP_CIPH_CBC_MODE, block)
CIPHER(des_ede_cbc, &des_hw, 128, 64, 64, EVP_CIPH_CBC_MODE, block)
CIPHER(des_ede3_cbc, &des_hw, 192, 64, 64, EVP_CIPH_CBC_MODE, block)
CIPHER(rc2_cbc, &rc2_hw, 128, 64, 64, EVP_CIPH_CBC_MODE, block)
CIPHER(rc2_64_cbc, &rc2_hw, 64, 64, 64, EVP_CIPH_CBC_MODE, block)
CIPHER(rc2_40_cbc, &rc2_hw, 40, 64, 64, EVP_CIPH_CBC_MODE, block)
CIPHER(rc4, &rc4_hw, 128, 8, 0, EVP_CIPH_STREAM_CIPHER, stream)
CIPHER(rc4_40, &rc4_hw, 40, 8, 0, EVP_CIPH_STREAM_CIPHER, stream)
