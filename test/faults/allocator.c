/*
 * An allocator that fails when it is told to, for test/faults; linked with FAULT_WRAP_FLAGS in wasm/openssl.lock. Each
 * way to be given memory is one allocation (realloc, in wasm/instead/libc.c, is a malloc); emscripten's own functions do the work.
 */
#include <emscripten.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <malloc.h>

static unsigned counted, first, last; /* those that fail, of those counted; none: 0 and 0 */
static unsigned failed;
static int filling;

static int fails(void)
{
    counted++;
    if (counted < first || counted > last)
        return 0;
    failed++;
    return 1;
}

/* From now on, the n-th allocation (1 = the next) and so many behind it fail, 0 = none. Counts anew. */
EMSCRIPTEN_KEEPALIVE void faults_fail(unsigned n, unsigned count)
{
    counted = failed = 0;
    first = count == 0 ? 1 : n;
    last = count == 0 ? 0 : count > UINT32_MAX - n ? UINT32_MAX : n + count - 1;
}

/* Since then: how many there were, how many failed. */
EMSCRIPTEN_KEEPALIVE unsigned faults_counted(void) { return counted; }
EMSCRIPTEN_KEEPALIVE unsigned faults_failed(void) { return failed; }

/* From now on, what is given back is filled with 0xdd: a pointer found there traps, a length is none. */
EMSCRIPTEN_KEEPALIVE void faults_fill(int on) { filling = on; }

void *__real_emscripten_builtin_malloc(size_t);
void *__real_emscripten_builtin_calloc(size_t, size_t);
int __real_posix_memalign(void **, size_t, size_t);
void __real_emscripten_builtin_free(void *);

/* wasm/instead/libc.c calls these. */
void *__wrap_emscripten_builtin_malloc(size_t size)
{
    return fails() ? NULL : __real_emscripten_builtin_malloc(size);
}

void *__wrap_emscripten_builtin_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_emscripten_builtin_calloc(count, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    return fails() ? 12 /* ENOMEM */ : __real_posix_memalign(out, alignment, size);
}

/* Once a block is overwritten. */
void __wrap_emscripten_builtin_free(void *block)
{
    if (block != NULL && filling)
        memset(block, 0xdd, malloc_usable_size(block));
    __real_emscripten_builtin_free(block);
}
