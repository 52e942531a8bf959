/* The heap, the stack, and blocks of bytes. */
#include "internal.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <wasm_simd128.h>

EXPORT void *wassl_heap_malloc(size_t n) { return malloc(n); }
EXPORT void wassl_heap_free(void *p) { free(p); }
EXPORT void wassl_bytes_free(wassl_bytes *b) { free(b); }

EXPORT size_t wassl_heap_used(void) { return mallinfo().uordblks; }

/*
 * It begins at the bottom of memory (openssl.lock), but for the address that is none, and is seldom used beyond a
 * tenth.
 */
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
