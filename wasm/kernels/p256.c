/*
 * P-256: the group's operations that cost time, in place of crypto/ec/ecp_nistp256.c.
 *
 * Every formula for points is arranged so that two products of field elements are always wanted at the same time
 * (pairs.h). Field elements are in Montgomery form (R = 2^261).
 *
 * What depends on a secret: base_times() and point_times() take the same steps for every scalar, and read all of a
 * table to take one entry; masks are made by mask_of(), which the compiler cannot look into. verify's sum,
 * both_times(), is of public values, and takes whatever is shortest.
 */
#include "crypto/bn.h"
#include "crypto/bn/bn_local.h"
/* Macros of what is defined here. */
#undef mul
#undef mul_add
#include "crypto/ec/ec_local.h"
#include "modinv.h"
#include "pairs.h"
#include "secret.h"

/*
 * Column k of a product begins with a constant that makes it positive, since only unsigned 64-bit words can be shifted
 * cheaply, and rounds it, so that digits come out as those between -2^28 and 2^28, plus 2^28. What this adds to later
 * columns, through carries and multiples of p, is taken away there.
 */
#define SHIFTED(k, from, bits) ((k) >= (from) && (k) < (from) + DIGITS ? (uint64_t)1 << (28 + (bits)) : 0)
#define BIAS(k) \
    (((k) < 17 ? (uint64_t)1 << 63 : 0) + ((uint64_t)1 << 28) - ((k) > 0 ? (uint64_t)1 << 34 : 0) \
        - SHIFTED(k, 3, 9) - SHIFTED(k, 6, 18) + SHIFTED(k, 7, 21) - SHIFTED(k, 8, 24))
#define BIASES(k) { BIAS(k), BIAS(k) }
static const uint64_t bias[2 * DIGITS][2] = {
    BIASES(0), BIASES(1), BIASES(2), BIASES(3), BIASES(4), BIASES(5), BIASES(6), BIASES(7), BIASES(8),
    BIASES(9), BIASES(10), BIASES(11), BIASES(12), BIASES(13), BIASES(14), BIASES(15), BIASES(16), BIASES(17)
};

/*
 * out = a * b / R + addend (mod p), each for both elements, with digits of 1. With "square", b is a.
 *
 * p = 2^256 - 2^224 + 2^192 + 2^96 - 1 is -1 modulo 2^29, so a column is made a multiple of 2^29 by adding p times its
 * own lowest digit, and that is four shifts. The value is then at most p/2 more in magnitude than a * b / R + addend.
 */
static inline __attribute__((always_inline)) void product(v128_t *out, const v128_t *a, const v128_t *b, const v128_t *addend,
    int square)
{
    const v128_t mask = wasm_i64x2_const_splat((1 << BITS) - 1);
    v128_t x[VECTORS], y[VECTORS], swapped[VECTORS], m[DIGITS], digit[DIGITS], carry = wasm_i64x2_const_splat(0);

    factors(x, y, swapped, a, b, square);
#pragma unroll
    for (int k = 0; k < 2 * DIGITS; k++) {
        v128_t t = column(wasm_v128_load(bias[k]), x, y, swapped, k, square);

        if (k >= DIGITS) {
            const v128_t e = addend[(k - DIGITS) / 2];

            t = wasm_i64x2_add(t, (k - DIGITS) & 1 ? wasm_i64x2_extend_high_i32x4(e) : wasm_i64x2_extend_low_i32x4(e));
        }
        if (k >= 3 && k < 3 + DIGITS)
            t = wasm_i64x2_add(t, wasm_i64x2_shl(m[k - 3], 9));
        if (k >= 6 && k < 6 + DIGITS)
            t = wasm_i64x2_add(t, wasm_i64x2_shl(m[k - 6], 18));
        if (k >= 7 && k < 7 + DIGITS)
            t = wasm_i64x2_sub(t, wasm_i64x2_shl(m[k - 7], 21));
        if (k >= 8 && k < 8 + DIGITS)
            t = wasm_i64x2_add(t, wasm_i64x2_shl(m[k - 8], 24));
        t = wasm_i64x2_add(t, carry);
        if (k < DIGITS)
            m[k] = wasm_v128_and(t, mask);
        else
            digit[k - DIGITS] = k < 2 * DIGITS - 1 ? wasm_v128_and(t, mask) : t;
        carry = wasm_u64x2_shr(t, BITS);
    }
    pack(out, digit);
}

static __attribute__((noinline)) void mul_add(pair out, const pair a, const pair b, const pair addend)
{
    product(out, a, b, addend, 0);
}

static __attribute__((noinline)) void square_add(pair out, const pair a, const pair addend)
{
    product(out, a, a, addend, 1);
}

static void mul(pair out, const pair a, const pair b)
{
    mul_add(out, a, b, zero);
}

static void square(pair out, const pair a)
{
    square_add(out, a, zero);
}

/* Digits of 1 again, and a little; of 7 at most. */
static void carried(pair out, const pair in)
{
    v128_t before = wasm_i64x2_const_splat(0), carry;

    EACH(v) {
        carry = wasm_i32x4_shr(ADD(in[v], wasm_i32x4_const_splat(1 << 28)), BITS);
        if (v == VECTORS - 1)
            carry = wasm_i32x4_const_splat(0);
        out[v] = ADD(SUB(in[v], wasm_i32x4_shl(carry, BITS)), wasm_i64x2_shuffle(before, carry, 1, 2));
        before = carry;
    }
}

/*
 * Is the x (or y) of a square or product of few digits 0? Of a value between -p and p only 0 is, and there is one way
 * to write it.
 */
static int is_zero(const pair p, v128_t lane)
{
    v128_t all = wasm_i64x2_const_splat(0);

    EACH(v) all = wasm_v128_or(all, p[v]);
    return !wasm_v128_any_true(wasm_v128_and(all, lane));
}

#define LANE_X wasm_i32x4_const(-1, 0, -1, 0)
#define LANE_Y wasm_i32x4_const(0, -1, 0, -1)

/* ---- in and out -------------------------------------------------------------------------------------------------- */

static const words prime = { 0xffffffffffffffff, 0x00000000ffffffff, 0, 0xffffffff00000001 };
static const words order = { 0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000 };
/* R^2 modulo p: from words into Montgomery form. */
static const words r_squared = { 0x0000000000000c00, 0xffffeffffffffc00, 0xfffffffffffffbff, 0x000013fffffff7ff };
static const words generator[2] = {
    { 0xf4a13945d898c296, 0x77037d812deb33a0, 0xf8bce6e563a440f2, 0x6b17d1f2e12c4247 },
    { 0xcbb6406837bf51f5, 0x2bce33576b315ece, 0x8ee7eb4a7c0f9e16, 0x4fe342e2fe1a7f9b }
};

static void encode(pair out, const words x, const words y)
{
    pair digits, factor;

    digits_of(digits, x, y);
    digits_of(factor, r_squared, r_squared);
    mul(out, digits, factor);
}

/* The words of x and y, out of Montgomery form, between 0 and p. */
static void decode(words x, words y, const pair in)
{
    static const words one = { 1, 0, 0, 0 };
    pair digits, factor;

    digits_of(factor, one, one);
    mul(digits, in, factor);
    for (int lane = 0; lane < 2; lane++) {
        uint64_t *to = lane == 0 ? x : y, sum[5], mask;
        unsigned __int128 carry = 0;

        /* Between -p and p: p is added if it is negative. */
        digits_sum(sum, digits, lane);
        mask = opaque64(0 - (sum[4] >> 63));
        for (int word = 0; word < 4; word++) {
            carry = (unsigned __int128)sum[word] + (prime[word] & mask) + (uint64_t)(carry >> 64);
            to[word] = (uint64_t)carry;
        }
    }
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

/*
 * Jacobian coordinates X and Y, of 1 and 2, and Z twice, of 1. "infinite" is all ones or 0, and then the rest is
 * anything.
 */
typedef struct {
    pair xy, z;
    uint32_t infinite;
} point;

/* A point to be added: with its Z^2 and Z^3 in "powers". */
typedef struct {
    pair xy, z, powers;
} addend_point;

/* dbl-2001-b of Bernstein and Lange's Explicit-Formulas Database: 8 products in 4 pairs. */
static void point_double(point *out, const point *in)
{
    pair a, b, zy, gamma, alpha, xz, y;

    EACH(v) zy[v] = BLEND(in->z[v], in->xy[v]);
    square(gamma, zy); /* delta = Z^2, gamma = Y^2 */
    EACH(v) {
        v128_t x = BOTH_X(in->xy[v]), minus = SUB(x, gamma[v]);

        a[v] = BLEND(ADD(minus, TIMES2(minus)), x); /* 6, 1 */
        b[v] = BLEND(ADD(x, gamma[v]), TIMES4(gamma[v])); /* 2, 4 */
    }
    mul(alpha, a, b); /* alpha = 3 (X - delta) (X + delta), 4 beta = 4 X gamma */
    EACH(v) {
        a[v] = BLEND(alpha[v], ADD(zy[v], SWAP(zy[v]))); /* 1, 3 */
        b[v] = NEG(BLEND(TIMES2(SWAP(alpha[v])), ADD(gamma[v], SWAP(gamma[v]))));
    }
    square_add(xz, a, b); /* X' = alpha^2 - 8 beta, Z' = (Y + Z)^2 - gamma - delta */
    EACH(v) {
        a[v] = BLEND(alpha[v], NEG(TIMES4(gamma[v]))); /* 1, 4 */
        b[v] = BLEND(SUB(SWAP(alpha[v]), xz[v]), TIMES2(gamma[v])); /* 2, 2 */
    }
    mul(y, a, b); /* alpha (4 beta - X'), -8 gamma^2 */
    EACH(v) {
        out->xy[v] = BLEND(xz[v], ADD(y[v], SWAP(y[v])));
        out->z[v] = BOTH_Y(xz[v]);
    }
    out->infinite = in->infinite;
}

/*
 * What both additions end with, from (U1, S1), (H, R), (H^2, R^2) and (H^3, V = U1 H^2), digits of (2, 2), (2, 3), 1
 * and 1: Y' = R (V - X') - S1 H^3, for X' of 1.
 */
static void add_y(point *out, const pair us, const pair hr, const pair cube, const pair x)
{
    pair a, b, y;

    EACH(v) {
        a[v] = BLEND(BOTH_Y(us[v]), hr[v]);
        b[v] = BLEND(NEG(cube[v]), SUB(cube[v], x[v]));
    }
    mul(y, a, b);
    EACH(v) out->xy[v] = BLEND(BOTH_Y(x[v]), ADD(y[v], SWAP(y[v])));
}

/* In y: X' = R^2 - H^3 - 2 V, of 4. */
static void add_x(pair x, const pair squares, const pair cube)
{
    EACH(v) x[v] = SUB(SUB(squares[v], SWAP(cube[v])), TIMES2(cube[v]));
}

/*
 * What came of an addition, by the squares of H and R: points with different x, the same point, or opposite ones. Only
 * SUM is one. To be asked where the points are public.
 */
enum { SUM, SAME, OPPOSITE };

static int add_result(const pair squares)
{
    if (!is_zero(squares, LANE_X))
        return SUM;
    return is_zero(squares, LANE_Y) ? SAME : OPPOSITE;
}

/* To a point another in affine coordinates: 11 products in 6 pairs. Neither is infinite. */
static void point_add_affine(point *out, const point *in, const pair xy, pair squares)
{
    pair a, b, us, hr, cube, x, xz;

    EACH(v) b[v] = BLEND(in->z[v], xy[v]);
    mul(us, in->z, b); /* Z^2, Z y */
    EACH(v) {
        a[v] = BOTH_X(us[v]);
        b[v] = BLEND(xy[v], us[v]);
    }
    mul(us, a, b); /* U2, S2 */
    EACH(v) hr[v] = SUB(us[v], in->xy[v]); /* H of 2, R of 3 */
    square(squares, hr);
    EACH(v) {
        a[v] = BOTH_X(squares[v]);
        b[v] = BLEND(hr[v], BOTH_X(in->xy[v]));
    }
    mul(cube, a, b); /* H^3, V */
    add_x(x, squares, cube);
    /* Z' = Z H, and X' is carried on the way. */
    EACH(v) {
        b[v] = wasm_v128_and(hr[v], LANE_X);
        x[v] = wasm_v128_and(x[v], LANE_Y);
    }
    mul_add(xz, in->z, b, x);
    add_y(out, in->xy, hr, cube, xz);
    EACH(v) out->z[v] = BOTH_X(xz[v]);
    out->infinite = 0;
}

/* To a point any other: 14 products in 7 pairs. Neither is infinite. */
static void point_add(point *out, const point *in, const addend_point *other, pair squares)
{
    pair a, b, us, z, u2, hr, zs, cube, x;

    mul(us, in->xy, other->powers); /* U1, S1 */
    EACH(v) b[v] = BLEND(in->z[v], other->z[v]);
    mul(z, in->z, b); /* Z1^2, Z1 Z2 */
    EACH(v) {
        a[v] = BOTH_X(z[v]);
        b[v] = BLEND(other->xy[v], in->z[v]);
    }
    mul(u2, a, b); /* U2, Z1^3 */
    EACH(v) {
        a[v] = BLEND(SWAP(z[v]), u2[v]);
        b[v] = BLEND(SUB(u2[v], us[v]), other->xy[v]);
    }
    mul(zs, a, b); /* Z' = Z1 Z2 H, S2 */
    EACH(v) hr[v] = BLEND(SUB(u2[v], us[v]), SUB(zs[v], us[v])); /* H of 2, R of 2 */
    square(squares, hr);
    EACH(v) {
        a[v] = BOTH_X(squares[v]);
        b[v] = BLEND(hr[v], BOTH_X(us[v]));
    }
    mul(cube, a, b); /* H^3, V */
    add_x(x, squares, cube);
    carried(x, x);
    add_y(out, us, hr, cube, x);
    EACH(v) out->z[v] = BOTH_X(zs[v]);
    out->infinite = 0;
}

static void addend_of(addend_point *out, const point *in)
{
    pair squares, one;

    memcpy(out->xy, in->xy, sizeof(pair));
    memcpy(out->z, in->z, sizeof(pair));
    square(squares, in->z);
    encode(one, (const words){ 1 }, (const words){ 1 });
    EACH(v) one[v] = BLEND(one[v], in->z[v]);
    mul(out->powers, squares, one);
}

/* After an addition that was none. */
static void add_exception(point *out, const point *in, int result)
{
    if (result == SAME)
        point_double(out, in);
    else
        out->infinite = ~(uint32_t)0;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Points to affine coordinates, with one inversion. None is infinite. */
static void to_affine(pair *out, const point *in, size_t count)
{
    words z, unused;
    pair one, inverse, rest, factors;

    /* In out[i], for a while: the product of all Z before it. */
    encode(one, (const words){ 1 }, (const words){ 1 });
    memcpy(inverse, one, sizeof(pair));
    for (size_t i = 0; i < count; i++) {
        memcpy(out[i], inverse, sizeof(pair));
        mul(inverse, inverse, in[i].z);
    }
    decode(z, unused, inverse);
    mod_inverse(z, z, prime, 0x3fffffff);
    encode(inverse, z, z);
    for (size_t i = count; i-- > 0;) {
        mul(rest, inverse, out[i]); /* 1 / Z */
        mul(inverse, inverse, in[i].z);
        square(factors, rest);
        EACH(v) rest[v] = BLEND(one[v], rest[v]);
        mul(factors, factors, rest); /* 1 / Z^2, 1 / Z^3 */
        mul(out[i], in[i].xy, factors);
    }
}

static void point_of(point *out, const words x, const words y)
{
    encode(out->xy, x, y);
    encode(out->z, (const words){ 1 }, (const words){ 1 });
    out->infinite = 0;
}

/*
 * Multiples of the generator, made when they are first wanted: to have them in the module would be 5 KB that do not
 * compress. comb[t][i - 1] is the sum of 2^(64 j + 32 t) G over the bits j of i; odd[i] is (2 i + 1) G.
 */
static pair comb[2][15], odd[32];

static void comb_make(void)
{
    static int made;
    point sums[2][15];
    point power;
    addend_point addend;
    pair squares;

    if (made)
        return;
    point_of(&power, generator[0], generator[1]);
    for (int bit = 0; bit < 8; bit++) {
        point(*half)[15] = &sums[bit & 1];
        int tooth = 1 << (bit >> 1);

        if (bit > 0)
            for (int i = 0; i < 32; i++)
                point_double(&power, &power);
        (*half)[tooth - 1] = power;
        addend_of(&addend, &power);
        for (int i = 1; i < tooth; i++)
            point_add(&(*half)[tooth + i - 1], &(*half)[i - 1], &addend, squares);
    }
    to_affine(comb[0], sums[0], 30);
    made = 1;
}

static void odd_make(void)
{
    static int made;
    point sums[32], twice;
    addend_point addend;
    pair squares;

    if (made)
        return;
    point_of(&sums[0], generator[0], generator[1]);
    point_double(&twice, &sums[0]);
    addend_of(&addend, &twice);
    for (int i = 1; i < 32; i++)
        point_add(&sums[i], &sums[i - 1], &addend, squares);
    to_affine(odd, sums, 32);
    made = 1;
}

/* ---- multiples --------------------------------------------------------------------------------------------------- */

/* All ones for 1, and none for 0. */
static uint32_t mask_of(uint32_t condition)
{
    return opaque32(0 - condition);
}

/* All ones where a is b; for numbers less than 2^31. */
static uint32_t equal(uint32_t a, uint32_t b)
{
    return mask_of(((a ^ b) - 1) >> 31);
}

static void point_select(point *out, uint32_t mask, const point *yes, const point *no)
{
    pair_select(out->xy, mask, yes->xy, no->xy);
    pair_select(out->z, mask, yes->z, no->z);
    out->infinite = (yes->infinite & mask) | (no->infinite & ~mask);
}

/* Entry "index" of a table, reading all of it; entries are "size" vectors. */
static void table_select(v128_t *out, const v128_t *table, uint32_t count, size_t size, uint32_t index)
{
    memset(out, 0, size * sizeof(v128_t));
    for (uint32_t i = 0; i < count; i++) {
        v128_t mask = wasm_i32x4_splat((int32_t)equal(i, index));

        for (size_t v = 0; v < size; v++)
            out[v] = wasm_v128_or(out[v], wasm_v128_and(table[i * size + v], mask));
    }
}

static uint32_t bit_of(const words k, int i)
{
    return (uint32_t)(k[i / 64] >> (i % 64)) & 1;
}

/*
 * k G for a secret k < n. No addition is an exceptional one: what is added and what it is added to are multiples of G
 * whose sum is less than n, and that have no bit in common.
 */
static __attribute__((noinline)) void base_times(point *out, const words k)
{
    point acc, sum, first;
    pair entry, squares;

    comb_make();
    point_of(&acc, generator[0], generator[1]);
    acc.infinite = ~(uint32_t)0;
    first = acc;
    for (int i = 31; i >= 0; i--) {
        if (i < 31)
            point_double(&acc, &acc);
        for (int t = 0; t < 2; t++) {
            int at = i + 32 * t;
            uint32_t index = bit_of(k, at) | bit_of(k, at + 64) << 1 | bit_of(k, at + 128) << 2 | bit_of(k, at + 192) << 3;

            table_select(entry, comb[t][0], 15, VECTORS, index - 1);
            point_add_affine(&sum, &acc, entry, squares);
            memcpy(first.xy, entry, sizeof(pair));
            first.infinite = 0;
            point_select(&sum, opaque32(acc.infinite), &first, &sum);
            point_select(&acc, equal(index, 0), &acc, &sum);
        }
    }
    *out = acc;
    OPENSSL_cleanse(&acc, sizeof(acc));
    OPENSSL_cleanse(&sum, sizeof(sum));
    OPENSSL_cleanse(&first, sizeof(first));
    OPENSSL_cleanse(&entry, sizeof(entry));
}

/*
 * k P for a secret k < n: digits of five bits with sign, from -15 to 16, the highest first. No addition of d to A is an
 * exceptional one: A is a multiple of 32, so it could be only for the lowest digit, where A + d = k. Opposite points
 * would make k a multiple of n. The same point would make k = n + 2 d, for a d below 0; but n is 17 modulo 32, and then
 * d is 15.
 */
static __attribute__((noinline)) void point_times(point *out, const words k, const point *base)
{
    addend_point table[16], entry;
    point acc, sum, multiple, first;
    pair squares;
    uint8_t magnitude[52];
    uint32_t negative[52], carry = 0;

    multiple = *base;
    addend_of(&table[0], base);
    for (int i = 1; i < 16; i++) {
        if (i == 1)
            point_double(&multiple, base);
        else
            point_add(&multiple, &multiple, &table[0], squares);
        addend_of(&table[i], &multiple);
    }
    for (int i = 0; i < 52; i++) {
        uint32_t digit = carry;

        for (int bit = 0; bit < 5 && 5 * i + bit < 256; bit++)
            digit += bit_of(k, 5 * i + bit) << bit;
        /* 17 to 32 are 32 less, and one more of the next. */
        carry = opaque32((16 - digit) >> 31);
        negative[i] = mask_of(carry);
        magnitude[i] = (uint8_t)(((digit - (carry << 5)) ^ negative[i]) - negative[i]);
    }
    acc = *base;
    acc.infinite = ~(uint32_t)0;
    first.infinite = 0;
    for (int i = 51; i >= 0; i--) {
        uint32_t none = equal(magnitude[i], 0);

        for (int bit = 0; bit < 5 && i < 51; bit++)
            point_double(&acc, &acc);
        table_select((v128_t *)&entry, (const v128_t *)table, 16, sizeof(entry) / sizeof(v128_t), magnitude[i] - 1u);
        EACH(v) {
            v128_t sign = wasm_v128_and(wasm_i32x4_splat((int32_t)negative[i]), LANE_Y);

            entry.xy[v] = SUB(wasm_v128_xor(entry.xy[v], sign), sign);
        }
        point_add(&sum, &acc, &entry, squares);
        memcpy(first.xy, entry.xy, sizeof(pair));
        memcpy(first.z, entry.z, sizeof(pair));
        point_select(&sum, opaque32(acc.infinite), &first, &sum);
        point_select(&acc, none, &acc, &sum);
    }
    *out = acc;
    OPENSSL_cleanse(magnitude, sizeof(magnitude));
    OPENSSL_cleanse(negative, sizeof(negative));
    OPENSSL_cleanse(&acc, sizeof(acc));
    OPENSSL_cleanse(&sum, sizeof(sum));
    OPENSSL_cleanse(&first, sizeof(first));
    OPENSSL_cleanse(&entry, sizeof(entry));
}

/* The digits of k, odd or 0 and less than 2^(width - 1) in magnitude, after each of which width - 1 are 0. */
static void naf(int8_t digits[257], const words k, int width)
{
    int carry = 0;

    memset(digits, 0, 257);
    for (int i = 0; i < 257;) {
        int bit = i < 256 ? (int)bit_of(k, i) : 0, window = carry;

        if (bit == carry) {
            i++;
            continue;
        }
        for (int j = 0; j < width && i + j < 256; j++)
            window += (int)bit_of(k, i + j) << j;
        carry = window >> (width - 1);
        digits[i] = (int8_t)(window - (carry << width));
        i += width;
    }
}

static void negated(pair out, const pair xy)
{
    EACH(v) out[v] = BLEND(xy[v], NEG(xy[v]));
}

/* j G + k P, of public numbers. */
static __attribute__((noinline)) void both_times(point *out, const words j, const words k, const point *base)
{
    addend_point table[8], entry;
    point acc, sum, twice;
    pair xy, squares;
    int8_t of_base[257], of_generator[257];

    odd_make();
    addend_of(&table[0], base);
    point_double(&twice, base);
    addend_of(&entry, &twice);
    sum = *base;
    for (int i = 1; i < 8; i++) {
        point_add(&sum, &sum, &entry, squares);
        addend_of(&table[i], &sum);
    }
    naf(of_base, k, 5);
    naf(of_generator, j, 7);
    acc.infinite = ~(uint32_t)0;
    for (int i = 256; i >= 0; i--) {
        int digit = of_base[i], result;

        if (!acc.infinite)
            point_double(&acc, &acc);
        if (digit != 0) {
            const addend_point *other = &table[(digit < 0 ? -digit : digit) / 2];

            entry = *other;
            if (digit < 0)
                negated(entry.xy, other->xy);
            if (!acc.infinite) {
                point_add(&sum, &acc, &entry, squares);
                if ((result = add_result(squares)) != SUM)
                    add_exception(&sum, &acc, result);
                acc = sum;
            } else {
                memcpy(acc.xy, entry.xy, sizeof(pair));
                memcpy(acc.z, entry.z, sizeof(pair));
                acc.infinite = 0;
            }
        }
        digit = of_generator[i];
        if (digit != 0) {
            const v128_t *other = odd[(digit < 0 ? -digit : digit) / 2];

            memcpy(xy, other, sizeof(pair));
            if (digit < 0)
                negated(xy, other);
            if (!acc.infinite) {
                point_add_affine(&sum, &acc, xy, squares);
                if ((result = add_result(squares)) != SUM)
                    add_exception(&sum, &acc, result);
                acc = sum;
            } else {
                memcpy(acc.xy, xy, sizeof(pair));
                encode(acc.z, (const words){ 1 }, (const words){ 1 });
                acc.infinite = 0;
            }
        }
    }
    *out = acc;
}

/* ---- OpenSSL's method -------------------------------------------------------------------------------------------- */

/*
 * Less than the order, which a scalar need not be. It takes the same steps for each of up to 256 bits: all four words
 * are read, however many the number has, and the order, which is more than 2^255, is taken away from each, and kept or
 * not by a mask.
 */
static int scalar_words(words out, const BIGNUM *k, const EC_GROUP *group, BN_CTX *ctx)
{
    words less;
    unsigned __int128 difference = 0;
    uint64_t below;
    int ok = 1;

    if (BN_is_negative(k) || BN_bn2lebinpad(k, (unsigned char *)out, sizeof(words)) < 0) {
        BIGNUM *reduced;

        BN_CTX_start(ctx);
        reduced = BN_CTX_get(ctx);
        ok = reduced != NULL && BN_nnmod(reduced, k, group->order, ctx)
            && BN_bn2lebinpad(reduced, (unsigned char *)out, sizeof(words)) > 0;
        BN_CTX_end(ctx);
    }
    for (int i = 0; i < 4; i++) {
        difference = (unsigned __int128)out[i] - order[i] - ((uint64_t)(difference >> 64) & 1);
        less[i] = (uint64_t)difference;
    }
    below = opaque64((uint64_t)(difference >> 64));
    for (int i = 0; i < 4; i++)
        out[i] = (out[i] & below) | (less[i] & ~below);
    OPENSSL_cleanse(less, sizeof(less));
    return ok;
}

static int points_mul(const EC_GROUP *group, EC_POINT *r, const BIGNUM *scalar, size_t num, const EC_POINT *points[],
    const BIGNUM *scalars[], BN_CTX *ctx)
{
    words k = { 0 }, j = { 0 }, x, y, z;
    point base, result;
    int ok = 0;

    /* Nothing in TLS or X.509 asks for it. */
    if (num > 1)
        return ossl_ec_wNAF_mul(group, r, scalar, num, points, scalars, ctx);
    if (scalar != NULL && !scalar_words(j, scalar, group, ctx))
        goto err;
    if (num == 1 && EC_POINT_is_at_infinity(group, points[0]))
        num = 0;
    if (num == 1) {
        if (!scalar_words(k, scalars[0], group, ctx) || !bn_copy_words(x, points[0]->X, 4) || !bn_copy_words(y, points[0]->Y, 4)
            || !bn_copy_words(z, points[0]->Z, 4))
            goto err;
        point_of(&base, x, y);
        encode(base.z, z, z);
        if (scalar == NULL)
            point_times(&result, k, &base);
        else
            both_times(&result, j, k, &base);
    } else {
        base_times(&result, j);
    }
    if (result.infinite) {
        ok = EC_POINT_set_to_infinity(group, r);
    } else {
        pair affine;

        to_affine(&affine, &result, 1);
        decode(x, y, affine);
        ok = bn_set_words(r->X, x, 4) && bn_set_words(r->Y, y, 4) && BN_one(r->Z);
        r->Z_is_one = 1;
    }
err:
    if (!ok)
        ERR_raise(ERR_LIB_EC, ERR_R_BN_LIB);
    OPENSSL_cleanse(j, sizeof(j));
    OPENSSL_cleanse(k, sizeof(k));
    OPENSSL_cleanse(&result, sizeof(result));
    return ok;
}

/* Of a nonce, which is secret: the result has four words, whatever they are. */
static int inverse_mod_order(const EC_GROUP *group, BIGNUM *r, const BIGNUM *x, BN_CTX *ctx)
{
    words in, out;
    int ok = scalar_words(in, x, group, ctx);

    if (ok) {
        mod_inverse(out, in, order, 0x11ff43b1);
        ok = bn_wexpand(r, 4) != NULL;
    }
    if (ok) {
        memcpy(r->d, out, sizeof(out));
        r->top = 4;
        r->neg = 0;
        r->flags |= BN_FLG_FIXED_TOP;
    }
    OPENSSL_cleanse(in, sizeof(in));
    OPENSSL_cleanse(out, sizeof(out));
    return ok;
}

const EC_METHOD *EC_GFp_nistp256_method(void)
{
    static const EC_METHOD method = {
        .flags = EC_FLAGS_DEFAULT_OCT,
        .field_type = NID_X9_62_prime_field,
        .group_init = ossl_ec_GFp_simple_group_init,
        .group_finish = ossl_ec_GFp_simple_group_finish,
        .group_clear_finish = ossl_ec_GFp_simple_group_clear_finish,
        .group_copy = ossl_ec_GFp_nist_group_copy,
        .group_set_curve = ossl_ec_GFp_nist_group_set_curve,
        .group_get_curve = ossl_ec_GFp_simple_group_get_curve,
        .group_get_degree = ossl_ec_GFp_simple_group_get_degree,
        .group_order_bits = ossl_ec_group_simple_order_bits,
        .group_check_discriminant = ossl_ec_GFp_simple_group_check_discriminant,
        .point_init = ossl_ec_GFp_simple_point_init,
        .point_finish = ossl_ec_GFp_simple_point_finish,
        .point_clear_finish = ossl_ec_GFp_simple_point_clear_finish,
        .point_copy = ossl_ec_GFp_simple_point_copy,
        .point_set_to_infinity = ossl_ec_GFp_simple_point_set_to_infinity,
        .point_set_affine_coordinates = ossl_ec_GFp_simple_point_set_affine_coordinates,
        .point_get_affine_coordinates = ossl_ec_GFp_simple_point_get_affine_coordinates,
        .add = ossl_ec_GFp_simple_add,
        .dbl = ossl_ec_GFp_simple_dbl,
        .invert = ossl_ec_GFp_simple_invert,
        .is_at_infinity = ossl_ec_GFp_simple_is_at_infinity,
        .is_on_curve = ossl_ec_GFp_simple_is_on_curve,
        .point_cmp = ossl_ec_GFp_simple_cmp,
        .make_affine = ossl_ec_GFp_simple_make_affine,
        .points_make_affine = ossl_ec_GFp_simple_points_make_affine,
        .mul = points_mul,
        .field_mul = ossl_ec_GFp_nist_field_mul,
        .field_sqr = ossl_ec_GFp_nist_field_sqr,
        .field_inv = ossl_ec_GFp_simple_field_inv,
        .priv2oct = ossl_ec_key_simple_priv2oct,
        .oct2priv = ossl_ec_key_simple_oct2priv,
        .keygen = ossl_ec_key_simple_generate_key,
        .keycheck = ossl_ec_key_simple_check_key,
        .keygenpub = ossl_ec_key_simple_generate_public_key,
        .ecdh_compute_key = ossl_ecdh_simple_compute_key,
        .ecdsa_sign_setup = ossl_ecdsa_simple_sign_setup,
        .ecdsa_sign_sig = ossl_ecdsa_simple_sign_sig,
        .ecdsa_verify_sig = ossl_ecdsa_simple_verify_sig,
        .field_inverse_mod_ord = inverse_mod_order,
    };

    return &method;
}

/* OpenSSL's ask for it in groups; there is none. */
NISTP256_PRE_COMP *EC_nistp256_pre_comp_dup(NISTP256_PRE_COMP *pre)
{
    return pre;
}

void EC_nistp256_pre_comp_free(NISTP256_PRE_COMP *pre)
{
}
