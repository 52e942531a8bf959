/*
 * OpenSSL's random numbers, in place of crypto/rand/rand_lib.c: each is asked of the host when it is wanted, since
 * crypto.getRandomValues is a generator already. OpenSSL's own behind it cost thirty times as much, most of it in AES,
 * and is a state that no two instances may share.
 */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/randerr.h>
#include <string.h>
#include <unistd.h>

#include "crypto/context.h"
#include "crypto/rand.h"

static int zeros;

void wassl_random_zeros(int on) { zeros = on; }

int RAND_bytes_ex(OSSL_LIB_CTX *ctx, unsigned char *buf, size_t num, unsigned int strength)
{
    if (zeros) {
        memset(buf, 0, num);
        return 1;
    }
    if (getentropy(buf, num) == 0)
        return 1;
    ERR_raise(ERR_LIB_RAND, RAND_R_ERROR_RETRIEVING_ENTROPY);
    return 0;
}

int RAND_priv_bytes_ex(OSSL_LIB_CTX *ctx, unsigned char *buf, size_t num, unsigned int strength)
{
    return RAND_bytes_ex(ctx, buf, num, strength);
}

int RAND_bytes(unsigned char *buf, int num)
{
    return num >= 0 && RAND_bytes_ex(NULL, buf, (size_t)num, 0);
}

int RAND_priv_bytes(unsigned char *buf, int num) { return RAND_bytes(buf, num); }

int RAND_status(void) { return 1; }

/* What else asks for a generator: there is none, and nothing to be seeded or given back. */
void *ossl_rand_ctx_new(OSSL_LIB_CTX *libctx) { return &zeros; }
void ossl_rand_ctx_free(void *rand) {}
void *ossl_prov_drbg_nonce_ctx_new(OSSL_LIB_CTX *libctx) { return &zeros; }
void ossl_prov_drbg_nonce_ctx_free(void *nonce) {}
void ossl_rand_cleanup_int(void) {}
void ossl_random_add_conf_module(void) {}
int ossl_rand_check_random_provider_on_load(OSSL_LIB_CTX *ctx, OSSL_PROVIDER *provider) { return 1; }
int ossl_rand_check_random_provider_on_unload(OSSL_LIB_CTX *ctx, OSSL_PROVIDER *provider) { return 1; }
EVP_RAND_CTX *RAND_get0_private(OSSL_LIB_CTX *ctx) { return NULL; }

/* And what a provider's own would be seeded from. */
size_t ossl_rand_get_entropy(OSSL_LIB_CTX *ctx, unsigned char **out, int entropy, size_t least, size_t most) { return 0; }
size_t ossl_rand_get_user_entropy(OSSL_LIB_CTX *ctx, unsigned char **out, int entropy, size_t least, size_t most) { return 0; }
size_t ossl_rand_get_nonce(OSSL_LIB_CTX *ctx, unsigned char **out, size_t least, size_t most, const void *salt, size_t length)
{
    return 0;
}
size_t ossl_rand_get_user_nonce(OSSL_LIB_CTX *ctx, unsigned char **out, size_t least, size_t most, const void *salt, size_t length)
{
    return 0;
}
void ossl_rand_cleanup_entropy(OSSL_LIB_CTX *ctx, unsigned char *buffer, size_t length) {}
void ossl_rand_cleanup_user_entropy(OSSL_LIB_CTX *ctx, unsigned char *buffer, size_t length) {}
void ossl_rand_cleanup_nonce(OSSL_LIB_CTX *ctx, unsigned char *buffer, size_t length) {}
void ossl_rand_cleanup_user_nonce(OSSL_LIB_CTX *ctx, unsigned char *buffer, size_t length) {}
