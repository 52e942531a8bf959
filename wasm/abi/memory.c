/* The heap, and starting up. */
#include "internal.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <wasm_simd128.h>

EXPORT int wassl_prepare(void)
{
    static const int roles[] = { 0, WASSL_ROLE_SERVER };
    size_t i;

    /* No configuration file (there is no file system), no atexit (the module never exits). */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) != 1
        || !wassl_ssl_init() || !wassl_context_init() || !wassl_psk_init() || !wassl_ocsp_init() || !wassl_suspend_init()
        || !wassl_anchors_init() || !wassl_tickets_init() || !wassl_session_init())
        return 0;
    /* A context has random keys for tickets. These go with it. */
    wassl_random_zeros(1);
    for (i = 0; i < sizeof roles / sizeof *roles; i++) {
        SSL_CTX *ctx = wassl_SSL_CTX_new(roles[i]);

        if (ctx == NULL)
            return 0;
        SSL_CTX_free(ctx);
    }
    wassl_random_zeros(0);
    ERR_clear_error();
    return 1;
}

EXPORT uint32_t wassl_abi_version(void) { return WASSL_ABI_VERSION; }
EXPORT const char *wassl_OpenSSL_version(int t) { return OpenSSL_version(t); }
EXPORT void *wassl_heap_malloc(size_t n) { return malloc(n); }
EXPORT void wassl_heap_free(void *p) { free(p); }

EXPORT size_t wassl_heap_used(void) { return mallinfo().uordblks; }

/* It begins at the bottom of memory (openssl.lock), but for the address that is none, and is seldom used beyond a tenth. */
void wassl_forget_stack(void)
{
    volatile v128_t here;
    v128_t *p, *end = (v128_t *)&here;
    int i;

    for (p = (v128_t *)sizeof *p; end - p >= 4; p += 4)
        if (wasm_v128_any_true(p[0] | p[1] | p[2] | p[3]))
            for (i = 0; i < 4; i++)
                p[i] = wasm_i64x2_splat(0);
    for (; p < end; p++)
        *p = wasm_i64x2_splat(0);
}

wassl_bytes *wassl_bytes_new(const void *data, size_t length)
{
    wassl_bytes *b = malloc(sizeof *b + length);

    if (b == NULL)
        return NULL;
    b->length = (uint32_t)length;
    if (data != NULL && length > 0)
        memcpy(b->data, data, length);
    return b;
}

wassl_bytes *wassl_bytes_from_bio(BIO *mem)
{
    char *data = NULL;
    long length;
    wassl_bytes *b;

    if (mem == NULL)
        return NULL;
    length = BIO_get_mem_data(mem, &data);
    b = length < 0 ? NULL : wassl_bytes_new(data, (size_t)length);
    BIO_free(mem);
    return b;
}

int wassl_looks_like_pem(const uint8_t *data, size_t length)
{
    static const char begin[] = "-----BEGIN";
    size_t i;

    /* DER: a SEQUENCE of more than 127 bytes. Anything else is text, which may begin with comments. */
    if (length > 1 && data[0] == 0x30 && data[1] >= 0x80)
        return 0;
    for (i = 0; i + sizeof begin - 1 <= length; i++)
        if (data[i] == '-' && memcmp(data + i, begin, sizeof begin - 1) == 0)
            return 1;
    return 0;
}
