/*
 * GHASH (NIST SP 800-38D), without a look-up by a secret.
 *
 * A single product multiplies 64-bit integers with holes between the bits, into which carries fall and are masked away
 * (the ctmul of T. Pornin's BearSSL). Bulk data takes another way: sixteen chains of Horner's rule abreast, all of
 * which multiply by the same H^16. Byte i of all sixteen lies in one register, and its two nibbles index, by
 * i8x16.swizzle, a table of 16 products that lies in a register too. (Shoup's 4-bit tables, turned on their side: there
 * the index is an address and can be seen in the cache; here it is data.)
 */
#ifndef WASSL_KERNELS_GHASH_H
#define WASSL_KERNELS_GHASH_H

#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#define GHASH_LANES 16

/* An element of GF(2^128) as GHASH has it: the most significant bit of `hi` is the coefficient of x^0. */
typedef struct {
    uint64_t hi, lo;
} ghash_element;

typedef struct {
    /* H^1 to H^16 */
    ghash_element power[GHASH_LANES];
    /* Byte k of the products of H^16 and the 16 polynomials of degree < 4, and of these times x^4. */
    uint8_t high[17][16], low[17][16];
} ghash_key;

static inline uint64_t ghash_load64(const uint8_t *p)
{
    uint64_t x;

    memcpy(&x, p, 8);
    return __builtin_bswap64(x);
}

static inline void ghash_store64(uint8_t *p, uint64_t x)
{
    x = __builtin_bswap64(x);
    memcpy(p, &x, 8);
}

static inline ghash_element ghash_load(const uint8_t *p)
{
    return (ghash_element){ ghash_load64(p), ghash_load64(p + 8) };
}

/*
 * The low 64 bits of the product of two polynomials over GF(2). With a bit in four, 16 sums of ones fit before a carry.
 */
static inline uint64_t ghash_mul64(uint64_t a, uint64_t b)
{
    const uint64_t m = 0x1111111111111111;
    uint64_t a0 = a & m, a1 = a & m << 1, a2 = a & m << 2, a3 = a & m << 3;
    uint64_t b0 = b & m, b1 = b & m << 1, b2 = b & m << 2, b3 = b & m << 3;

    return (((a0 * b0) ^ (a1 * b3) ^ (a2 * b2) ^ (a3 * b1)) & m)
        | (((a0 * b1) ^ (a1 * b0) ^ (a2 * b3) ^ (a3 * b2)) & m << 1)
        | (((a0 * b2) ^ (a1 * b1) ^ (a2 * b0) ^ (a3 * b3)) & m << 2)
        | (((a0 * b3) ^ (a1 * b2) ^ (a2 * b1) ^ (a3 * b0)) & m << 3);
}

static inline uint64_t ghash_reverse(uint64_t x)
{
    x = (x & 0x5555555555555555) << 1 | (x >> 1 & 0x5555555555555555);
    x = (x & 0x3333333333333333) << 2 | (x >> 2 & 0x3333333333333333);
    x = (x & 0x0f0f0f0f0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0f);
    return __builtin_bswap64(x);
}

/* A product before reduction: 256 bits, x^0 first, the last bit unused. */
typedef struct {
    uint64_t w[4];
} ghash_wide;

static inline ghash_wide ghash_mul_wide(ghash_element x, ghash_element y)
{
    /* Karatsuba; the high half of each product is the low half of the reversed factors' product, reversed. */
    uint64_t xr = ghash_reverse(x.hi), yr = ghash_reverse(y.hi);
    uint64_t xs = ghash_reverse(x.lo), ys = ghash_reverse(y.lo);
    /* In the reversed ones bit i is the coefficient of x^i, which makes these the low halves. */
    uint64_t l0 = ghash_mul64(xr, yr), l2 = ghash_mul64(xs, ys), l1 = ghash_mul64(xr ^ xs, yr ^ ys) ^ l0 ^ l2;
    uint64_t h0 = ghash_mul64(x.hi, y.hi), h2 = ghash_mul64(x.lo, y.lo);
    uint64_t h1 = ghash_mul64(x.hi ^ x.lo, y.hi ^ y.lo) ^ h0 ^ h2;

    /*
     * l: coefficients 0 to 63 from bit 0 up; h: coefficients 126 down to 63, from bit 0 up, so 64 and on without bit 63.
     */
    return (ghash_wide){ {
        ghash_reverse(l0),
        h0 << 1 ^ ghash_reverse(l1),
        h1 << 1 ^ ghash_reverse(l2),
        h2 << 1,
    } };
}

/* Modulo x^128 + x^7 + x^2 + x + 1: whatever lies beyond comes back at four places. */
static inline ghash_element ghash_reduce(ghash_wide p)
{
    uint64_t w1 = p.w[1], w2 = p.w[2], w3 = p.w[3], w0 = p.w[0];

    w2 ^= w3 << 63 ^ w3 << 62 ^ w3 << 57;
    w1 ^= w3 ^ w3 >> 1 ^ w3 >> 2 ^ w3 >> 7;
    w1 ^= w2 << 63 ^ w2 << 62 ^ w2 << 57;
    w0 ^= w2 ^ w2 >> 1 ^ w2 >> 2 ^ w2 >> 7;
    return (ghash_element){ w0, w1 };
}

static inline ghash_element ghash_mul(ghash_element x, ghash_element y)
{
    return ghash_reduce(ghash_mul_wide(x, y));
}

static inline void ghash_init(ghash_key *key, const uint8_t h[16])
{
    uint8_t product[16][17] = { { 0 } };
    ghash_element m;

    key->power[0] = ghash_load(h);
    for (int i = 1; i < GHASH_LANES; i++)
        key->power[i] = ghash_mul(key->power[i - 1], key->power[0]);

    /* In a nibble, too, the most significant bit is x^0: 8 = 1, 4 = x, 2 = x^2, 1 = x^3. */
    m = key->power[GHASH_LANES - 1];
    ghash_store64(product[8], m.hi);
    ghash_store64(product[8] + 8, m.lo);
    for (int n = 4; n > 0; n >>= 1)
        for (int k = 0; k < 17; k++)
            product[n][k] = (uint8_t)(product[2 * n][k] >> 1 | (k > 0 ? product[2 * n][k - 1] << 7 : 0));
    for (int n = 3; n < 16; n++)
        for (int k = 0; k < 17; k++)
            product[n][k] = product[n & 8][k] ^ product[n & 4][k] ^ product[n & 2][k] ^ product[n & 1][k];

    for (int k = 0; k < 17; k++)
        for (int n = 0; n < 16; n++) {
            key->high[k][n] = product[n][k];
            key->low[k][n] = (uint8_t)(product[n][k] >> 4 | (k > 0 ? product[n][k - 1] << 4 : 0));
        }
    OPENSSL_cleanse(product, sizeof(product));
}

/* Horner's rule over whole blocks, one after the other. */
static inline ghash_element ghash_blocks(const ghash_key *key, ghash_element y, const uint8_t *p, size_t blocks)
{
    for (; blocks > 0; blocks--, p += 16) {
        ghash_element x = ghash_load(p);

        y = ghash_mul((ghash_element){ y.hi ^ x.hi, y.lo ^ x.lo }, key->power[0]);
    }
    return y;
}

/* Byte i of block j ⇄ byte j of register i. */
static inline void ghash_transpose(v128_t x[16])
{
    v128_t y[16];

#define UNPACK(to, from, low, high)                                                          \
    for (int i = 0; i < 8; i++) {                                                            \
        to[2 * i] = low(from[i], from[i + 8]);                                               \
        to[2 * i + 1] = high(from[i], from[i + 8]);                                          \
    }
#define LOW(a, b) wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    /* Four perfect shuffles of 256 bytes. */
    UNPACK(y, x, LOW, HIGH)
    UNPACK(x, y, LOW, HIGH)
    UNPACK(y, x, LOW, HIGH)
    UNPACK(x, y, LOW, HIGH)
#undef UNPACK
#undef LOW
#undef HIGH
}

typedef struct {
    v128_t byte[16];
} ghash_lanes;

/* lanes * H^16, lane by lane. */
static inline void ghash_mul_lanes(const ghash_key *key, ghash_lanes *lanes)
{
    const v128_t nibble = wasm_i8x16_splat(0x0f);
    v128_t p[32];

    for (int i = 0; i < 32; i++)
        p[i] = wasm_i8x16_splat(0);
    /* Two bytes at a time, so that a table that was fetched serves both. */
    for (int i = 0; i < 16; i += 2) {
        v128_t high0 = wasm_v128_and(wasm_u16x8_shr(lanes->byte[i], 4), nibble);
        v128_t low0 = wasm_v128_and(lanes->byte[i], nibble);
        v128_t high1 = wasm_v128_and(wasm_u16x8_shr(lanes->byte[i + 1], 4), nibble);
        v128_t low1 = wasm_v128_and(lanes->byte[i + 1], nibble);
        v128_t carry = p[i];

#pragma clang loop unroll(full)
        for (int k = 0; k < 17; k++) {
            v128_t high = wasm_v128_load(key->high[k]), low = wasm_v128_load(key->low[k]);

            p[i + k] = wasm_v128_xor(carry, wasm_v128_xor(wasm_i8x16_swizzle(high, high0),
                                                wasm_i8x16_swizzle(low, low0)));
            carry = wasm_v128_xor(p[i + k + 1], wasm_v128_xor(wasm_i8x16_swizzle(high, high1),
                                                    wasm_i8x16_swizzle(low, low1)));
        }
        p[i + 17] = carry;
    }
    /*
     * Byte 16 + j comes back at j, and what is shifted out of it at j + 1: from the last one on, which feeds byte 16.
     */
    for (int j = 15; j >= 0; j--) {
        /* By nibble: times 1 + x + x^2 + x^7, the byte itself and the one after it. */
        const v128_t here_high = wasm_u8x16_const(0x00, 0x1c, 0x38, 0x24, 0x70, 0x6c, 0x48, 0x54,
                                                  0xe1, 0xfd, 0xd9, 0xc5, 0x91, 0x8d, 0xa9, 0xb5);
        const v128_t here_low = wasm_u8x16_const(0x00, 0x01, 0x03, 0x02, 0x07, 0x06, 0x04, 0x05,
                                                 0x0e, 0x0f, 0x0d, 0x0c, 0x09, 0x08, 0x0a, 0x0b);
        const v128_t next_high = wasm_u8x16_const(0x00, 0x20, 0x40, 0x60, 0x80, 0xa0, 0xc0, 0xe0,
                                                  0x00, 0x20, 0x40, 0x60, 0x80, 0xa0, 0xc0, 0xe0);
        const v128_t next_low = wasm_u8x16_const(0x00, 0xc2, 0x84, 0x46, 0x08, 0xca, 0x8c, 0x4e,
                                                 0x10, 0xd2, 0x94, 0x56, 0x18, 0xda, 0x9c, 0x5e);
        v128_t high = wasm_v128_and(wasm_u16x8_shr(p[16 + j], 4), nibble);
        v128_t low = wasm_v128_and(p[16 + j], nibble);

        p[j] = wasm_v128_xor(p[j], wasm_v128_xor(wasm_i8x16_swizzle(here_high, high),
                                                 wasm_i8x16_swizzle(here_low, low)));
        p[j + 1] = wasm_v128_xor(p[j + 1], wasm_v128_xor(wasm_i8x16_swizzle(next_high, high),
                                                         wasm_i8x16_swizzle(next_low, low)));
    }
    for (int i = 0; i < 16; i++)
        lanes->byte[i] = p[i];
}

/* Takes up the next 16 blocks, one for each lane. */
static inline void ghash_add_lanes(ghash_lanes *lanes, const uint8_t p[256])
{
    v128_t x[16];

    for (int i = 0; i < 16; i++)
        x[i] = wasm_v128_load(p + 16 * i);
    ghash_transpose(x);
    for (int i = 0; i < 16; i++)
        lanes->byte[i] = wasm_v128_xor(lanes->byte[i], x[i]);
}

/* Instead of the last multiplication: lane j by H^(16 - j), and all together. */
static inline ghash_element ghash_join_lanes(const ghash_key *key, ghash_lanes *lanes)
{
    ghash_wide sum = { { 0 } };

    ghash_transpose(lanes->byte);
    for (int j = 0; j < GHASH_LANES; j++) {
        uint8_t block[16];
        ghash_wide product;

        wasm_v128_store(block, lanes->byte[j]);
        product = ghash_mul_wide(ghash_load(block), key->power[GHASH_LANES - 1 - j]);
        for (int i = 0; i < 4; i++)
            sum.w[i] ^= product.w[i];
    }
    return ghash_reduce(sum);
}

#endif
