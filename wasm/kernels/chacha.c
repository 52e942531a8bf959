/*
 * ChaCha20 (RFC 8439), four blocks abreast: register i holds word i of all four. Stands in for
 * crypto/chacha/chacha_enc.c.
 */
#include <openssl/crypto.h>
#include <stddef.h>
#include <string.h>
#include <wasm_simd128.h>

#include "crypto/chacha.h"

#define ADD wasm_i32x4_add
#define XOR wasm_v128_xor
/* Whole bytes are moved by one shuffle; the others take two shifts. */
#define ROTL16(x) wasm_i8x16_shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define ROTL8(x) wasm_i8x16_shuffle(x, x, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14)
#define ROTL(x, n) wasm_v128_or(wasm_i32x4_shl(x, n), wasm_u32x4_shr(x, 32 - n))

#define QUARTER(a, b, c, d)     \
    do {                        \
        a = ADD(a, b);          \
        d = ROTL16(XOR(d, a));  \
        c = ADD(c, d);          \
        b = ROTL(XOR(b, c), 12);\
        a = ADD(a, b);          \
        d = ROTL8(XOR(d, a));   \
        c = ADD(c, d);          \
        b = ROTL(XOR(b, c), 7); \
    } while (0)

/* 256 bytes of the key stream, xored into `in`. */
static inline void four_blocks(unsigned char *out, const unsigned char *in, const v128_t state[16])
{
    v128_t x[16];

    for (int i = 0; i < 16; i++)
        x[i] = state[i];
    for (int round = 0; round < 10; round++) {
        QUARTER(x[0], x[4], x[8], x[12]);
        QUARTER(x[1], x[5], x[9], x[13]);
        QUARTER(x[2], x[6], x[10], x[14]);
        QUARTER(x[3], x[7], x[11], x[15]);
        QUARTER(x[0], x[5], x[10], x[15]);
        QUARTER(x[1], x[6], x[11], x[12]);
        QUARTER(x[2], x[7], x[8], x[13]);
        QUARTER(x[3], x[4], x[9], x[14]);
    }
    for (int i = 0; i < 16; i += 4) {
        v128_t a = ADD(x[i], state[i]), b = ADD(x[i + 1], state[i + 1]);
        v128_t c = ADD(x[i + 2], state[i + 2]), d = ADD(x[i + 3], state[i + 3]);
        v128_t ab0 = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), ab1 = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
        v128_t cd0 = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), cd1 = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
        v128_t block[4] = {
            wasm_i64x2_shuffle(ab0, cd0, 0, 2),
            wasm_i64x2_shuffle(ab0, cd0, 1, 3),
            wasm_i64x2_shuffle(ab1, cd1, 0, 2),
            wasm_i64x2_shuffle(ab1, cd1, 1, 3),
        };

        for (int j = 0; j < 4; j++) {
            size_t at = (size_t)(64 * j + 4 * i);

            wasm_v128_store(out + at, XOR(wasm_v128_load(in + at), block[j]));
        }
    }
}

void ChaCha20_ctr32(unsigned char *out, const unsigned char *in, size_t length, const unsigned int key[8],
    const unsigned int counter[4])
{
    v128_t state[16];

    state[0] = wasm_i32x4_splat(0x61707865);
    state[1] = wasm_i32x4_splat(0x3320646e);
    state[2] = wasm_i32x4_splat(0x79622d32);
    state[3] = wasm_i32x4_splat(0x6b206574);
    for (int i = 0; i < 8; i++)
        state[4 + i] = wasm_i32x4_splat((int)key[i]);
    state[12] = ADD(wasm_i32x4_splat((int)counter[0]), wasm_i32x4_const(0, 1, 2, 3));
    for (int i = 1; i < 4; i++)
        state[12 + i] = wasm_i32x4_splat((int)counter[i]);

    for (; length >= 256; length -= 256, in += 256, out += 256) {
        four_blocks(out, in, state);
        state[12] = ADD(state[12], wasm_i32x4_splat(4));
    }
    if (length > 0) {
        unsigned char last[256] = { 0 };

        memcpy(last, in, length);
        four_blocks(last, last, state);
        memcpy(out, last, length);
        /* It may have been a key of Poly1305. */
        OPENSSL_cleanse(last, sizeof(last));
    }
}
