/*
 * AES-GCM for OpenSSL's default provider, from aes_gcm.c. Stands in for
 * providers/implementations/ciphers/cipher_aes_gcm.c and cipher_aes_gcm_hw.c: what is ours is the context and the six
 * operations; all else is OpenSSL's still.
 */
#include <openssl/crypto.h>

#include "prov/ciphercommon.h"
#include "prov/ciphercommon_gcm.h"
#include "prov/implementations.h"
#include "prov/providercommon.h"

#include "aes_gcm.h"

typedef struct {
    PROV_GCM_CTX base; /* must be first */
    aes_gcm_key key;
    aes_gcm_message message;
} context;

static int set_key(PROV_GCM_CTX *base, const unsigned char *key, size_t length)
{
    context *ctx = (context *)base;

    aes_gcm_init(&ctx->key, key, (int)length * 8);
    base->key_set = 1;
    /* A message that was begun is not continued with another key. */
    if (base->iv_state == IV_STATE_COPIED)
        base->iv_state = IV_STATE_FINISHED;
    return 1;
}

static int set_iv(PROV_GCM_CTX *base, const unsigned char *iv, size_t length)
{
    context *ctx = (context *)base;

    aes_gcm_start(&ctx->key, &ctx->message, iv, length);
    return 1;
}

static int update_aad(PROV_GCM_CTX *base, const unsigned char *aad, size_t length)
{
    context *ctx = (context *)base;

    /* SP 800-38D: the additional data comes first, and has fewer than 2^61 bytes. */
    if (ctx->message.length > 0 || ctx->message.aad_length + length > (uint64_t)1 << 61)
        return 0;
    aes_gcm_aad(&ctx->key, &ctx->message, aad, length);
    return 1;
}

static int update(PROV_GCM_CTX *base, const unsigned char *in, size_t length, unsigned char *out)
{
    context *ctx = (context *)base;

    /* No more than 2^39 - 256 bits, or the counter would begin again. */
    if (ctx->message.length + length > ((uint64_t)1 << 36) - 32)
        return 0;
    aes_gcm_crypt(&ctx->key, &ctx->message, base->enc, in, out, length);
    return 1;
}

static int final(PROV_GCM_CTX *base, unsigned char *tag)
{
    context *ctx = (context *)base;
    uint8_t expected[GCM_TAG_MAX_SIZE];
    int good;

    if (base->enc) {
        aes_gcm_tag(&ctx->key, &ctx->message, tag);
        base->taglen = GCM_TAG_MAX_SIZE;
        return 1;
    }
    aes_gcm_tag(&ctx->key, &ctx->message, expected);
    good = base->taglen <= sizeof(expected) && CRYPTO_memcmp(tag, expected, base->taglen) == 0;
    OPENSSL_cleanse(expected, sizeof(expected));
    /* Neither more data nor another tag for a message that is not genuine. */
    if (!good)
        base->iv_state = IV_STATE_FINISHED;
    return good;
}

/* A record of TLS 1.2. */
static int one_shot(PROV_GCM_CTX *base, unsigned char *aad, size_t aad_length, const unsigned char *in, size_t length,
    unsigned char *out, unsigned char *tag, size_t tag_length)
{
    base->taglen = GCM_TAG_MAX_SIZE;
    return update_aad(base, aad, aad_length) && update(base, in, length, out) && final(base, tag);
}

static const PROV_GCM_HW operations = { set_key, set_iv, update_aad, update, final, one_shot };

static void *aes_gcm_newctx(void *provctx, size_t bits)
{
    context *ctx;

    if (!ossl_prov_is_running() || (ctx = OPENSSL_zalloc(sizeof(*ctx))) == NULL)
        return NULL;
    ossl_gcm_initctx(provctx, &ctx->base, bits, &operations);
    return ctx;
}

static void *aes_gcm_dupctx(void *ctx)
{
    return ctx == NULL || !ossl_prov_is_running() ? NULL : OPENSSL_memdup(ctx, sizeof(context));
}

static OSSL_FUNC_cipher_freectx_fn aes_gcm_freectx;
static void aes_gcm_freectx(void *ctx)
{
    OPENSSL_clear_free(ctx, sizeof(context));
}

/* ossl_aes128gcm_functions, ossl_aes192gcm_functions, ossl_aes256gcm_functions */
IMPLEMENT_aead_cipher(aes, gcm, GCM, AEAD_FLAGS, 128, 8, 96);
IMPLEMENT_aead_cipher(aes, gcm, GCM, AEAD_FLAGS, 192, 8, 96);
IMPLEMENT_aead_cipher(aes, gcm, GCM, AEAD_FLAGS, 256, 8, 96);
