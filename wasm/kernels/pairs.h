/*
 * Two field elements side by side, one in each half of the vectors, for arithmetic modulo primes of 255 and 256 bits:
 * SIMD128 makes two products of 32-bit words at once, and WebAssembly has none of 64-bit words.
 *
 * An element has nine signed digits of 29 bits. Digits between -2^28 and 2^28 leave room to add and subtract a few
 * elements without carrying: "n" beside a value says that its digits are less than n * 2^28 in magnitude, and a product
 * may be made of n and m when n * m <= 13, since 9 * 13 * 2^56 < 2^63.
 */
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#define DIGITS 9
#define BITS 29

/* Two field elements x and y, digit by digit: x0 y0 x1 y1, x2 y2 x3 y3, …, x8 y8 0 0. */
#define VECTORS 5
typedef v128_t pair[VECTORS];

#define EACH(v) for (int v = 0; v < VECTORS; v++)

static const pair zero;

/* Lane x of one and lane y of the other; x and y exchanged; x or y in both. */
#define BLEND(x, y) wasm_i32x4_shuffle(x, y, 0, 5, 2, 7)
#define SWAP(p) wasm_i32x4_shuffle(p, p, 1, 0, 3, 2)
#define BOTH_X(p) wasm_i32x4_shuffle(p, p, 0, 0, 2, 2)
#define BOTH_Y(p) wasm_i32x4_shuffle(p, p, 1, 1, 3, 3)
#define ADD wasm_i32x4_add
#define SUB wasm_i32x4_sub
#define NEG wasm_i32x4_neg
#define TIMES2(p) wasm_i32x4_shl(p, 1)
#define TIMES4(p) wasm_i32x4_shl(p, 2)

#define INLINE static inline __attribute__((always_inline))

/* Of two factors, b and with its even and odd digits exchanged too. A square has each product of two digits twice. */
INLINE void factors(v128_t *x, v128_t *y, v128_t *swapped, const v128_t *a, const v128_t *b, int square)
{
#pragma unroll
    EACH(v) {
        x[v] = a[v];
        y[v] = square ? TIMES2(x[v]) : b[v];
        swapped[v] = wasm_i64x2_shuffle(y[v], y[v], 1, 0);
    }
}

/* Digit i of x by digit j of y, for both elements. */
INLINE v128_t digits_product(const v128_t *x, const v128_t *y, const v128_t *swapped, int i, int j)
{
    const v128_t with = (i ^ j) & 1 ? swapped[j / 2] : y[j / 2];

    return i & 1 ? wasm_i64x2_extmul_high_i32x4(x[i / 2], with) : wasm_i64x2_extmul_low_i32x4(x[i / 2], with);
}

/* t and all products of digits whose places add up to k. */
INLINE v128_t column(v128_t t, const v128_t *x, const v128_t *y, const v128_t *swapped, int k, int square)
{
#pragma unroll
    for (int i = k < DIGITS ? 0 : k - DIGITS + 1; i < DIGITS && i <= k; i++) {
        int j = k - i;

        if (!square || i < j)
            t = wasm_i64x2_add(t, digits_product(x, y, swapped, i, j));
        else if (i == j)
            t = wasm_i64x2_add(t, digits_product(x, x, x, i, i));
    }
    return t;
}

/* From digits that are 2^28 too large, in the low halves of 64-bit words. */
INLINE void pack(v128_t *out, const v128_t digit[DIGITS])
{
#pragma unroll
    for (int v = 0; v < VECTORS - 1; v++)
        out[v] = SUB(wasm_i32x4_shuffle(digit[2 * v], digit[2 * v + 1], 0, 2, 4, 6), wasm_i32x4_const_splat(1 << 28));
    out[4] = SUB(wasm_i32x4_shuffle(digit[8], zero[0], 0, 2, 4, 6), wasm_i32x4_make(1 << 28, 1 << 28, 0, 0));
}

/* Little-endian 64-bit words, as BIGNUMs have them. */
typedef uint64_t words[4];

/* Digits of 2, not in Montgomery form. */
static void digits_of(pair out, const words x, const words y)
{
    int32_t lanes[4 * VECTORS] = { 0 };

    for (int i = 0; i < DIGITS; i++) {
        int word = BITS * i / 64, bit = BITS * i % 64;
        uint64_t u = x[word] >> bit, v = y[word] >> bit;

        if (bit > 64 - BITS && word < 3) {
            u |= x[word + 1] << (64 - bit);
            v |= y[word + 1] << (64 - bit);
        }
        lanes[2 * i] = (int32_t)(u & ((1 << BITS) - 1));
        lanes[2 * i + 1] = (int32_t)(v & ((1 << BITS) - 1));
    }
    memcpy(out, lanes, sizeof(lanes));
}

/* What the digits of x (lane 0) or y add up to, in two's complement. */
static void digits_sum(uint64_t sum[5], const pair digits, int lane)
{
    int32_t lanes[4 * VECTORS];

    memcpy(lanes, digits, sizeof(lanes));
    memset(sum, 0, 5 * sizeof(sum[0]));
    for (int i = 0; i < DIGITS; i++) {
        int word = BITS * i / 64, bit = BITS * i % 64;
        __int128 part = (__int128)lanes[2 * i + lane] << bit;
        unsigned __int128 carry = 0;

        for (int at = word; at < 5; at++) {
            carry += (unsigned __int128)sum[at] + (uint64_t)part;
            sum[at] = (uint64_t)carry;
            carry >>= 64;
            part >>= 64;
        }
    }
}

static void pair_select(pair out, uint32_t mask, const pair yes, const pair no)
{
    v128_t lanes = wasm_i32x4_splat((int32_t)mask);

    EACH(v) out[v] = wasm_v128_bitselect(yes[v], no[v], lanes);
}

