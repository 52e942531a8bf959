/* Digests, with and without a key, and what is made of them. */
#include "internal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

EXPORT EVP_MD_CTX *wassl_EVP_DigestInit(const char *algorithm, const wassl_bytes *key)
{
    EVP_MD *md = EVP_MD_fetch(NULL, algorithm, NULL);
    EVP_MD_CTX *ctx = md == NULL ? NULL : EVP_MD_CTX_new();
    EVP_PKEY *hmac = NULL;
    int ok = 0;

    if (ctx != NULL && key == NULL) {
        ok = EVP_DigestInit_ex2(ctx, md, NULL);
    } else if (ctx != NULL) {
        hmac = EVP_PKEY_new_raw_private_key_ex(NULL, "HMAC", NULL, key->data, key->length);
        ok = hmac != NULL && EVP_DigestSignInit_ex(ctx, NULL, algorithm, NULL, NULL, hmac, NULL) == 1;
    }
    EVP_PKEY_free(hmac);
    EVP_MD_free(md);
    if (!ok) {
        EVP_MD_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

EXPORT int wassl_EVP_DigestUpdate(EVP_MD_CTX *ctx, const void *data, size_t length)
{
    /* With a key too: it passes this on. */
    return EVP_DigestUpdate(ctx, data, length);
}

EXPORT wassl_bytes *wassl_EVP_DigestFinal(EVP_MD_CTX *ctx)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t length = sizeof digest;
    unsigned int plain = 0;
    wassl_bytes *b = NULL;

    if (EVP_MD_CTX_get_pkey_ctx(ctx) != NULL) {
        if (EVP_DigestSignFinal(ctx, digest, &length) == 1)
            b = wassl_bytes_new(digest, length);
    } else if (EVP_DigestFinal_ex(ctx, digest, &plain)) {
        b = wassl_bytes_new(digest, plain);
    }
    OPENSSL_cleanse(digest, sizeof digest);
    return b;
}

EXPORT EVP_MD_CTX *wassl_EVP_MD_CTX_dup(const EVP_MD_CTX *ctx) { return EVP_MD_CTX_dup(ctx); }

EXPORT void wassl_EVP_MD_CTX_free(EVP_MD_CTX *ctx) { EVP_MD_CTX_free(ctx); }

EXPORT wassl_bytes *wassl_PKCS5_PBKDF2_HMAC(const char *algorithm, const wassl_bytes *password, const wassl_bytes *salt,
    uint32_t rounds, size_t length)
{
    EVP_MD *md = EVP_MD_fetch(NULL, algorithm, NULL);
    wassl_bytes *b = md == NULL || rounds > INT_MAX ? NULL : wassl_bytes_new(NULL, length);

    wassl_bound_file();
    if (b != NULL
        && !PKCS5_PBKDF2_HMAC((const char *)password->data, (int)password->length, salt->data, (int)salt->length,
            (int)rounds, md, (int)length, b->data)) {
        wassl_bytes_free(b);
        b = NULL;
    }
    EVP_MD_free(md);
    return b;
}

EXPORT int wassl_CRYPTO_memcmp(const void *a, const void *b, size_t length) { return CRYPTO_memcmp(a, b, length) == 0; }
