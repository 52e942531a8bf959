/*
 * The inverse modulo an odd number of 256 bits, in constant time: Bernstein and Yang, "Fast constant-time gcd
 * computation and modular inversion" (2019), with delta beginning at 1/2, for which 590 division steps are enough
 * (https://github.com/sipa/safegcd-bounds). They are made 30 at a time, on the lowest bits alone, and what they come
 * to, a matrix, is then applied to the numbers: signed digits of 30 bits.
 */
#include <stdint.h>
#include <string.h>

#include "secret.h"

#define INV_DIGITS 9
#define INV_BITS 30
#define INV_MASK ((1 << INV_BITS) - 1)

typedef int32_t inv_number[INV_DIGITS];

/* What 30 steps do, times 2^30: f' = u f + v g, g' = q f + r g. */
typedef struct {
    int32_t u, v, q, r;
} inv_matrix;

/* Returns the new zeta, which is -(delta + 1/2). */
static int32_t inv_steps(inv_matrix *out, int32_t zeta, uint32_t f, uint32_t g)
{
    uint32_t u = 1, v = 0, q = 0, r = 1;

    for (int i = 0; i < INV_BITS; i++) {
        uint32_t negative = opaque32((uint32_t)(zeta >> 31)), odd = opaque32(0 - (g & 1)), both = negative & odd;

        /* To an odd g, f is added, or where delta is positive subtracted; and there f becomes the old g. */
        g += ((f ^ negative) - negative) & odd;
        q += ((u ^ negative) - negative) & odd;
        r += ((v ^ negative) - negative) & odd;
        zeta = (zeta ^ (int32_t)both) - 1;
        f += g & both;
        u += q & both;
        v += r & both;
        g >>= 1;
        u <<= 1;
        v <<= 1;
    }
    *out = (inv_matrix){ (int32_t)u, (int32_t)v, (int32_t)q, (int32_t)r };
    return zeta;
}

/* (f, g) = matrix * (f, g) / 2^30, which is whole. */
static void inv_apply(inv_number f, inv_number g, const inv_matrix *t)
{
    int64_t cf = 0, cg = 0;

    for (int i = 0; i < INV_DIGITS; i++) {
        cf += (int64_t)t->u * f[i] + (int64_t)t->v * g[i];
        cg += (int64_t)t->q * f[i] + (int64_t)t->r * g[i];
        if (i > 0) {
            f[i - 1] = (int32_t)cf & INV_MASK;
            g[i - 1] = (int32_t)cg & INV_MASK;
        }
        cf >>= INV_BITS;
        cg >>= INV_BITS;
    }
    f[INV_DIGITS - 1] = (int32_t)cf;
    g[INV_DIGITS - 1] = (int32_t)cg;
}

/* The same modulo the modulus, whose inverse modulo 2^30 is given: d and e stay between -2 * modulus and modulus. */
static void inv_apply_modular(inv_number d, inv_number e, const inv_matrix *t, const inv_number modulus, uint32_t inverse)
{
    int32_t below_d = (int32_t)opaque32((uint32_t)(d[INV_DIGITS - 1] >> 31));
    int32_t below_e = (int32_t)opaque32((uint32_t)(e[INV_DIGITS - 1] >> 31));
    /* How often the modulus is added: once for each that is negative, and what makes the lowest digit 0. */
    int32_t times_d = (t->u & below_d) + (t->v & below_e), times_e = (t->q & below_d) + (t->r & below_e);
    int64_t cd = 0, ce = 0;

    for (int i = 0; i < INV_DIGITS; i++) {
        cd += (int64_t)t->u * d[i] + (int64_t)t->v * e[i];
        ce += (int64_t)t->q * d[i] + (int64_t)t->r * e[i];
        if (i == 0) {
            times_d -= (int32_t)((inverse * (uint32_t)cd + (uint32_t)times_d) & INV_MASK);
            times_e -= (int32_t)((inverse * (uint32_t)ce + (uint32_t)times_e) & INV_MASK);
        }
        cd += (int64_t)modulus[i] * times_d;
        ce += (int64_t)modulus[i] * times_e;
        if (i > 0) {
            d[i - 1] = (int32_t)cd & INV_MASK;
            e[i - 1] = (int32_t)ce & INV_MASK;
        }
        cd >>= INV_BITS;
        ce >>= INV_BITS;
    }
    d[INV_DIGITS - 1] = (int32_t)cd;
    e[INV_DIGITS - 1] = (int32_t)ce;
}

static void inv_digits(inv_number out, const uint64_t words[4])
{
    for (int i = 0; i < INV_DIGITS; i++) {
        int word = INV_BITS * i / 64, bit = INV_BITS * i % 64;
        uint64_t digit = words[word] >> bit;

        if (bit > 64 - INV_BITS && word < 3)
            digit |= words[word + 1] << (64 - bit);
        out[i] = (int32_t)(digit & INV_MASK);
    }
}

/* Adds the modulus where "mask" is all ones, negates where "negate" is, and carries. */
static void inv_normal(inv_number d, const inv_number modulus, int32_t mask, int32_t negate)
{
    int32_t carry = 0;

    mask = (int32_t)opaque32((uint32_t)mask);
    negate = (int32_t)opaque32((uint32_t)negate);
    for (int i = 0; i < INV_DIGITS; i++) {
        carry += ((d[i] + (modulus[i] & mask)) ^ negate) - negate;
        d[i] = i < INV_DIGITS - 1 ? carry & INV_MASK : carry;
        carry >>= INV_BITS;
    }
}

/* out = 1 / in modulo the modulus, or 0 for 0; "in" is less than it. "inverse" is that of the modulus modulo 2^30. */
static void mod_inverse(uint64_t out[4], const uint64_t in[4], const uint64_t modulus[4], uint32_t inverse)
{
    inv_number m, f, g, d = { 0 }, e = { 1 };
    inv_matrix matrix;
    int32_t zeta = -1;

    inv_digits(m, modulus);
    inv_digits(f, modulus);
    inv_digits(g, in);
    for (int i = 0; i < 20; i++) {
        zeta = inv_steps(&matrix, zeta, (uint32_t)f[0] | (uint32_t)f[1] << INV_BITS, (uint32_t)g[0] | (uint32_t)g[1] << INV_BITS);
        inv_apply_modular(d, e, &matrix, m, inverse);
        inv_apply(f, g, &matrix);
    }
    /* g is 0 now, f is 1 or -1, and d the inverse times f. */
    inv_normal(d, m, d[INV_DIGITS - 1] >> 31, f[INV_DIGITS - 1] >> 31);
    inv_normal(d, m, d[INV_DIGITS - 1] >> 31, 0);
    memset(out, 0, 4 * sizeof(out[0]));
    for (int i = 0; i < INV_DIGITS; i++) {
        int word = INV_BITS * i / 64, bit = INV_BITS * i % 64;

        out[word] |= (uint64_t)d[i] << bit;
        if (bit > 64 - INV_BITS && word < 3)
            out[word + 1] |= (uint64_t)d[i] >> (64 - bit);
    }
}
