/*
 * Montgomery multiplication, a * b / 2^(64 num) modulo n, and the powers that RSA's private keys need. Stands in for
 * bn_mul_mont of crypto/bn/bn_asm.c and for BN_mod_exp_mont_consttime_x2 of crypto/bn/bn_exp.c, whose 64 by 64 bits
 * WebAssembly has no instruction for.
 *
 * As in Gueron and Krasnov, "Software implementation of modular exponentiation, using advanced vector instructions
 * architectures" (WAIFI 2012), numbers are in a radix that leaves room above each digit, so that carries may wait.
 * There it is 2^29, for products of 32 by 32 bits. Here it is 2^13, for the instruction that makes eight at once
 * (i32x4.dot_i16x8_s, on x86 pmaddwd): lane i of a vector gets d[i] e[0] + d[i-1] e[1], so that d is kept as pairs, and
 * four digits of a factor take two vectors, which differ by two lanes. A sum of products of 13 by 13 bits grows to 32
 * bits in three rounds of the loop below.
 *
 * Four digits of the quotient are found at once, as 52 bits: that many leave the sum at its lower end, in scalar
 * arithmetic, and everything else moves down by a vector. 2^(64 num) is not a power of 2^104, by which a round divides;
 * so b is shifted up by what is missing.
 *
 * No branch and no address depends on anything but the counts of words.
 */
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#include "crypto/bn/bn_local.h"
#include "secret.h"

#define BITS 13
#define MASK ((1 << BITS) - 1)
/* The words of 64 bits that a number has. For fewer OpenSSL's C is no slower; more are nothing that TLS has. */
#define LEAST 6
#define MOST 128
/* Vectors of four digits: an even count, with room for at least a byte more than the number. */
#define VECTORS(num) (2 * (64 * (num) / (8 * BITS) + 1))
/* How far b is shifted up, in bytes. */
#define SHIFT(num) ((4 * BITS * VECTORS(num) - 64 * (num)) / 8)
/* Rounds between two carries. 3 * 16 products are less than 2^32, and leave room for what a carry leaves. */
#define LAZY 3
/* The exponent is taken so many bits at a time. */
#define WINDOW 5

/* Code is to be small where it takes no time. */
#define NOINLINE __attribute__((noinline))

#define ADD wasm_i32x4_add
#define AND wasm_v128_and
#define OR wasm_v128_or
#define DOT wasm_i32x4_dot_i16x8
#define UP(low, high) wasm_i32x4_shuffle(low, high, 3, 4, 5, 6)

/* Of four digits and their columns: the pairs that end with them, those that end two digits lower, and the sum. */
typedef struct {
    v128_t a[2], n[2], t;
} row;

/* Numbers have digits of 0 before and after their own. */
typedef uint16_t digit;
#define PAD 8
#define LENGTH(vectors) ((4 * (vectors) + 2 * PAD) / 8)

/* Room for a number as words: 16 bytes before it, and 32 after it. */
#define ROOM(num) (((num) + 7) / 2)

/*
 * Words as digits, `shift` bytes further up. 13 bytes are eight digits; a product shifts each of four to the same
 * place.
 */
static NOINLINE void split(digit *to, const BN_ULONG *words, int num, int shift, unsigned char *room)
{
    const v128_t mask = wasm_i32x4_const_splat(MASK), zero = wasm_i32x4_const_splat(0);

    wasm_v128_store(room, zero);
    memcpy(room + 16, words, 8 * (size_t)num);
    wasm_v128_store(room + 16 + 8 * num, zero);
    wasm_v128_store(room + 32 + 8 * num, zero);
    room += 16 - shift;
    wasm_v128_store(to - PAD, zero);
    for (int i = VECTORS(num); i > 0; i -= 2, room += BITS, to += 8) {
        v128_t bytes = wasm_v128_load(room);
        v128_t x = wasm_i8x16_shuffle(bytes, bytes, 0, 1, 2, 3, 1, 2, 3, 4, 3, 4, 5, 6, 4, 5, 6, 7);
        v128_t y = wasm_i8x16_shuffle(bytes, bytes, 6, 7, 8, 9, 8, 9, 10, 11, 9, 10, 11, 12, 11, 12, 13, 14);

        x = wasm_u32x4_shr(wasm_i32x4_mul(x, wasm_i32x4_const(1 << 7, 1 << 2, 1 << 5, 1 << 0)), 7);
        y = wasm_u32x4_shr(wasm_i32x4_mul(y, wasm_i32x4_const(1 << 3, 1 << 6, 1 << 1, 1 << 4)), 7);
        wasm_v128_store(to, wasm_u16x8_narrow_i32x4(AND(x, mask), AND(y, mask)));
    }
    wasm_v128_store(to, zero);
}

/* Digits as pairs, to rows[].a or rows[].n. */
static NOINLINE void spread(v128_t *to, const digit *d, int vectors)
{
    for (int i = vectors + 2; i > 0; i--, d += 4, to += sizeof(row) / sizeof(v128_t)) {
        to[0] = OR(wasm_u32x4_load16x4(d), wasm_i32x4_shl(wasm_u32x4_load16x4(d - 1), 16));
        to[1] = OR(wasm_u32x4_load16x4(d - 2), wasm_i32x4_shl(wasm_u32x4_load16x4(d - 3), 16));
    }
}

/* One of two digits in all lanes. */
static inline v128_t pair(uint64_t x)
{
    return wasm_i32x4_splat((int)((x & MASK) | ((x << (16 - BITS)) & MASK << 16)));
}

/* Four sums as two, in lanes of 64 bits. */
static inline v128_t twos(v128_t x)
{
    return wasm_i64x2_add(AND(x, wasm_i64x2_const_splat(0xffffffff)), wasm_i64x2_shl(wasm_u64x2_shr(x, 32), BITS));
}

/* Those as one, modulo 2^64, and what is left of it without its lowest 52 bits. */
static inline uint64_t one(v128_t twos, uint64_t carry)
{
    return carry + (uint64_t)wasm_i64x2_extract_lane(twos, 0) + ((uint64_t)wasm_i64x2_extract_lane(twos, 1) << 2 * BITS);
}

static inline uint64_t over(v128_t twos, uint64_t carry)
{
    carry = (carry + (uint64_t)wasm_i64x2_extract_lane(twos, 0)) >> 2 * BITS;
    return (carry + (uint64_t)wasm_i64x2_extract_lane(twos, 1)) >> 2 * BITS;
}

/* Four digits of b and of the quotient. */
typedef struct {
    v128_t b0, b2, q0, q2;
} factors;

static inline v128_t step(v128_t t, const factors *f, const row *p)
{
    t = ADD(t, ADD(DOT(f->b0, p->a[0]), DOT(f->b2, p->a[1])));
    return ADD(t, ADD(DOT(f->q0, p->n[0]), DOT(f->q2, p->n[1])));
}

/* The next factors: the quotient's make t, the lowest vector, a multiple of 2^52. Returns the carry out of it. */
static inline uint64_t begin(factors *f, v128_t t, uint64_t carry, const digit *b, uint64_t n0, const row *lowest)
{
    uint64_t q;

    f->b0 = wasm_v128_load32_splat(b);
    f->b2 = wasm_v128_load32_splat(b + 2);
    t = ADD(t, ADD(DOT(f->b0, lowest->a[0]), DOT(f->b2, lowest->a[1])));
    q = one(twos(t), carry) * n0;
    f->q0 = pair(q);
    f->q2 = pair(q >> 2 * BITS);
    t = ADD(t, ADD(DOT(f->q0, lowest->n[0]), DOT(f->q2, lowest->n[1])));
    return over(twos(t), carry);
}

/*
 * rows[].t, and the carry that is returned: a * b / 2^(52 vectors) modulo n, less than 2n if a * b < n * 2^(52
 * vectors).
 */
static NOINLINE uint64_t multiply(row *rows, const digit *b, uint64_t n0, int vectors)
{
    row *end = rows + vectors;
    factors f, g;
    uint64_t carry;
    int lazy = LAZY;

    for (row *p = rows; p < end + 2; p++)
        p->t = wasm_i32x4_const_splat(0);
    carry = begin(&f, rows[0].t, 0, b, n0, rows);
    carry = begin(&g, step(rows[1].t, &f, rows + 1), carry, b + 4, n0, rows);
    for (int left = vectors - 2;; left -= 2) {
        const factors h = f, k = g;
        row *p = rows + 2;
        v128_t a0, a2, n0s, n2;

        rows[0].t = step(step(rows[2].t, &k, rows + 1), &h, rows + 2);
        rows[1].t = step(step(rows[3].t, &k, rows + 2), &h, rows + 3);
        /* The next round's factors, as early as they can be found: they take a while, in which what follows goes on. */
        if (left > 0) {
            b += 8;
            carry = begin(&f, rows[0].t, carry, b, n0, rows);
            carry = begin(&g, step(rows[1].t, &f, rows + 1), carry, b + 4, n0, rows);
        }
        for (a0 = p[1].a[0], a2 = p[1].a[1], n0s = p[1].n[0], n2 = p[1].n[1]; p < end; p++) {
            v128_t t = ADD(p[2].t, ADD(ADD(DOT(k.b0, a0), DOT(k.b2, a2)), ADD(DOT(k.q0, n0s), DOT(k.q2, n2))));

            a0 = p[2].a[0];
            a2 = p[2].a[1];
            n0s = p[2].n[0];
            n2 = p[2].n[1];
            p->t = ADD(t, ADD(ADD(DOT(h.b0, a0), DOT(h.b2, a2)), ADD(DOT(h.q0, n0s), DOT(h.q2, n2))));
        }
        if (left == 0)
            return carry;
        if (--lazy == 0) {
            v128_t below = wasm_i32x4_const_splat(0);

            for (p = rows + 2; p < end; p++) {
                v128_t high = wasm_u32x4_shr(p->t, BITS);

                p->t = ADD(AND(p->t, wasm_i32x4_const_splat(MASK)), UP(below, high));
                below = high;
            }
            lazy = LAZY;
        }
    }
}

/* rows[].t as digits, of which some may be 2^13 + 63 still: that is little enough for LAZY. */
static NOINLINE void tighten(digit *to, const row *rows, uint64_t carry, int vectors)
{
    v128_t below[2] = { 0 }, first = wasm_i64x2_make((int64_t)carry, 0);

    for (const row *end = rows + vectors; rows < end; rows++, to += 4) {
        v128_t x = ADD(rows->t, first);

        for (int i = 0; i < 2; i++) {
            v128_t high = wasm_u32x4_shr(x, BITS);

            x = ADD(AND(x, wasm_i32x4_const_splat(MASK)), UP(below[i], high));
            below[i] = high;
        }
        wasm_v128_store64_lane(to, wasm_u16x8_narrow_i32x4(x, x), 0);
        first = wasm_i32x4_const_splat(0);
    }
}

/* rows[].t as words, and less than n. */
static NOINLINE void finish(BN_ULONG *r, const row *rows, uint64_t carry, const BN_ULONG *n, int num, unsigned char *room)
{
    const uint64_t mask = (UINT64_C(1) << 4 * BITS) - 1;
    const uint64_t *words = (uint64_t *)room;
    uint64_t borrow = 0;

    memset(room + 8 * num, 0, 8);
    for (int i = VECTORS(num); i > 0; i -= 2, rows += 2, room += BITS) {
        v128_t t0 = twos(rows[0].t), t1 = twos(rows[1].t);
        uint64_t x = one(t0, carry) & mask, y;

        carry = over(t0, carry);
        y = one(t1, carry) & mask;
        carry = over(t1, carry);
        x |= y << 4 * BITS;
        y >>= 64 - 4 * BITS;
        memcpy(room, &x, 8);
        memcpy(room + 8, &y, 8);
    }
    for (int i = 0; i < num; i++) {
        uint64_t x = words[i], y = n[i], d = x - y - borrow;

        borrow = ((~x & y) | ((~x | y) & d)) >> 63;
        r[i] = d;
    }
    /* All ones where it was less than n before. */
    borrow = opaque64(words[num] - borrow);
    for (int i = 0; i < num; i++)
        r[i] = (words[i] & borrow) | (r[i] & ~borrow);
}

int __wrap_bn_mul_mont(BN_ULONG *r, const BN_ULONG *a, const BN_ULONG *b, const BN_ULONG *n, const BN_ULONG *n0, int num)
{
    const int vectors = VECTORS(num);

    if (num < LEAST || num > MOST)
        return 0;

    row rows[vectors + 2];
    v128_t digits[LENGTH(vectors)], words[ROOM(num)];
    digit *d = (digit *)digits + PAD;
    unsigned char *room = (unsigned char *)words;

    split(d, n, num, 0, room);
    spread(rows->n, d, vectors);
    split(d, a, num, 0, room);
    spread(rows->a, d, vectors);
    split(d, b, num, SHIFT(num), room);
    finish(r, rows, multiply(rows, d, *n0, vectors), n, num, room);
    OPENSSL_cleanse(rows, sizeof(rows));
    OPENSSL_cleanse(digits, sizeof(digits));
    OPENSSL_cleanse(words, sizeof(words));
    return 1;
}

/*
 * r = a^p modulo n. In between numbers are less than 2n, and multiplied by 2^(52 vectors), where OpenSSL's are by 2^(64
 * num). Of all numbers as many words are read and written as the modulus has, whatever they are.
 */
static NOINLINE int power(BIGNUM *r, const BIGNUM *a, const BIGNUM *p, const BN_MONT_CTX *mont)
{
    const int num = mont->N.top, vectors = VECTORS(num);
    const BN_ULONG *n = mont->N.d, n0 = mont->n0[0];
    row rows[vectors + 2];
    v128_t digits[LENGTH(vectors)], factor[LENGTH(vectors)], table[1 << WINDOW][vectors / 2], words[ROOM(num)];
    digit *x = (digit *)digits + PAD, *y = (digit *)factor + PAD;
    unsigned char *room = (unsigned char *)words;
    BN_ULONG *rr = (BN_ULONG *)table, base[num], exponent[num];
    int at = 64 * num;

    if (bn_wexpand(r, num) == NULL || BN_bn2lebinpad(a, (unsigned char *)base, 8 * num) < 0
        || BN_bn2lebinpad(p, (unsigned char *)exponent, 8 * num) < 0)
        return 0;
    split(x, n, num, 0, room);
    spread(rows->n, x, vectors);

    /* 2^(104 vectors), from mont->RR, which is 2^(128 num). */
    memset(rr, 0, 8 * (size_t)num);
    rr[16 * SHIFT(num) / 64] = UINT64_C(1) << 16 * SHIFT(num) % 64;
    for (int i = 0; i < 2; i++)
        __wrap_bn_mul_mont(rr, rr, mont->RR.d, n, &n0, num);
    split(x, rr, num, 0, room);
    spread(rows->a, x, vectors);

    memset(factor, 0, sizeof(factor));
    y[0] = 1;
    tighten((digit *)table[0], rows, multiply(rows, y, n0, vectors), vectors);
    split(x, base, num, 0, room);
    tighten(x, rows, multiply(rows, x, n0, vectors), vectors);
    memcpy(table[1], x, sizeof(table[1]));
    spread(rows->a, x, vectors);
    for (int i = 2; i < 1 << WINDOW; i++)
        tighten((digit *)table[i], rows, multiply(rows, (digit *)table[i - 1], n0, vectors), vectors);

    memcpy(x, table[0], sizeof(table[0]));
    for (;;) {
        uint64_t bits;

        spread(rows->a, x, vectors);
        if (at == 0)
            break;
        /* Whole windows at last; the first one may be shorter. */
        do {
            tighten(x, rows, multiply(rows, x, n0, vectors), vectors);
            spread(rows->a, x, vectors);
        } while (--at % WINDOW != 0);
        bits = exponent[at / 64] >> at % 64;
        if (at % 64 > 64 - WINDOW && at / 64 + 1 < num)
            bits |= exponent[at / 64 + 1] << (64 - at % 64);
        memset(factor, 0, sizeof(factor));
        for (int i = 0; i < 1 << WINDOW; i++) {
            v128_t same = wasm_i32x4_eq(wasm_i32x4_splat(i), wasm_i32x4_splat((int)bits & ((1 << WINDOW) - 1)));

            for (int j = 0; j < vectors / 2; j++)
                factor[PAD / 8 + j] = OR(factor[PAD / 8 + j], AND(table[i][j], same));
        }
        tighten(x, rows, multiply(rows, y, n0, vectors), vectors);
    }
    memset(factor, 0, sizeof(factor));
    y[0] = 1;
    finish(r->d, rows, multiply(rows, y, n0, vectors), n, num, room);
    r->top = num;
    r->neg = 0;
    r->flags |= BN_FLG_FIXED_TOP;

    OPENSSL_cleanse(base, sizeof(base));
    OPENSSL_cleanse(exponent, sizeof(exponent));
    OPENSSL_cleanse(rows, sizeof(rows));
    OPENSSL_cleanse(digits, sizeof(digits));
    OPENSSL_cleanse(factor, sizeof(factor));
    OPENSSL_cleanse(table, sizeof(table));
    OPENSSL_cleanse(words, sizeof(words));
    return 1;
}

static int fits(const BIGNUM *a, const BIGNUM *p, const BIGNUM *m, const BN_MONT_CTX *mont)
{
    return mont != NULL && m->top >= LEAST && m->top <= MOST && a->top <= m->top && p->top <= m->top;
}

int __real_BN_mod_exp_mont_consttime_x2(BIGNUM *r1, const BIGNUM *a1, const BIGNUM *p1, const BIGNUM *m1, BN_MONT_CTX *mont1,
    BIGNUM *r2, const BIGNUM *a2, const BIGNUM *p2, const BIGNUM *m2, BN_MONT_CTX *mont2, BN_CTX *ctx);

/* As OpenSSL calls it, a is less than m. */
int __wrap_BN_mod_exp_mont_consttime_x2(BIGNUM *r1, const BIGNUM *a1, const BIGNUM *p1, const BIGNUM *m1, BN_MONT_CTX *mont1,
    BIGNUM *r2, const BIGNUM *a2, const BIGNUM *p2, const BIGNUM *m2, BN_MONT_CTX *mont2, BN_CTX *ctx)
{
    if (fits(a1, p1, m1, mont1) && fits(a2, p2, m2, mont2))
        return power(r1, a1, p1, mont1) && power(r2, a2, p2, mont2);
    return __real_BN_mod_exp_mont_consttime_x2(r1, a1, p1, m1, mont1, r2, a2, p2, m2, mont2, ctx);
}

/* OpenSSL has these written out, in 13 KiB, for the multiplication that is above. */
void __wrap_bn_mul_comba8(BN_ULONG *r, BN_ULONG *a, BN_ULONG *b)
{
    bn_mul_normal(r, a, 8, b, 8);
}

void __wrap_bn_sqr_comba8(BN_ULONG *r, const BN_ULONG *a)
{
    BN_ULONG room[16];

    bn_sqr_normal(r, a, 8, room);
}
