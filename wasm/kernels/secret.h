/*
 * What a compiler is not to know about a secret. That a mask is all ones or none it sees by itself, and then it may
 * branch on what the mask was made of, or select; nor does a shift of a sign bit keep it from that.
 * test/kernels/branches.txt says what came of it in the module that is linked.
 */
#ifndef WASSL_SECRET_H
#define WASSL_SECRET_H

#include <stdint.h>

static inline __attribute__((always_inline)) uint32_t opaque32(uint32_t x)
{
    __asm__("" : "+r"(x));
    return x;
}

static inline __attribute__((always_inline)) uint64_t opaque64(uint64_t x)
{
    __asm__("" : "+r"(x));
    return x;
}

#endif
