/*
 * AES encryption of eight blocks abreast, bitsliced: register b holds bit b of every byte of all eight blocks, so that
 * the S-box is a circuit of ANDs and XORs, and nothing is ever looked up by a secret.
 *
 * Layout: E. Käsper, P. Schwabe, "Faster and Timing-Attack Resistant AES-GCM", CHES 2009. S-box: J. Boyar, R. Peralta,
 * "A depth-16 circuit for the AES S-box", 2011 (the 113-gate form).
 */
#ifndef WASSL_KERNELS_AES_H
#define WASSL_KERNELS_AES_H

#include <stdint.h>
#include <wasm_simd128.h>

#define AES_MAX_ROUNDS 14

/*
 * The 16 * (rounds + 1) bytes of round keys in the order of FIPS 197, for a key of 128, 192 or 256 bits. Returns
 * `rounds`.
 */
int aes_expand_key(uint8_t *round_keys, const uint8_t *key, int bits);

/* Round keys, each bit of a byte widened to a byte: made anew for each message, since they are eight times as long. */
typedef struct {
    v128_t k[AES_MAX_ROUNDS + 1][8];
    int rounds;
} aes_planes;

/* round_keys: 16 * (rounds + 1) bytes, in the order of FIPS 197. */
static inline void aes_widen(aes_planes *planes, const uint8_t *round_keys, int rounds)
{
    planes->rounds = rounds;
    for (int r = 0; r <= rounds; r++) {
        v128_t k = wasm_v128_load(round_keys + 16 * r);

        /* The S-box's constant is added here: it passes through ShiftRows and MixColumns as it is. */
        if (r > 0)
            k = wasm_v128_xor(k, wasm_i8x16_splat(0x63));
        for (int b = 0; b < 8; b++) {
            v128_t bit = wasm_i8x16_splat((int8_t)(1 << b));

            planes->k[r][b] = wasm_i8x16_eq(wasm_v128_and(k, bit), bit);
        }
    }
}

#define XOR wasm_v128_xor
#define AND wasm_v128_and

/* Exchanges the bits of `a` under `mask << n` with those of `b` under `mask`. */
#define SWAP(a, b, n, mask)                                     \
    do {                                                        \
        v128_t t_ = AND(XOR(wasm_u64x2_shr(a, n), b), mask);    \
        b = XOR(b, t_);                                         \
        a = XOR(a, wasm_i64x2_shl(t_, n));                      \
    } while (0)

/* Eight blocks ⇄ eight bit planes: an 8 × 8 transposition of bits at each of the 16 byte positions. Its own inverse. */
static inline void aes_transpose(v128_t x[8])
{
    const v128_t m1 = wasm_i8x16_splat(0x55), m2 = wasm_i8x16_splat(0x33), m4 = wasm_i8x16_splat(0x0f);

    SWAP(x[0], x[1], 1, m1);
    SWAP(x[2], x[3], 1, m1);
    SWAP(x[4], x[5], 1, m1);
    SWAP(x[6], x[7], 1, m1);
    SWAP(x[0], x[2], 2, m2);
    SWAP(x[1], x[3], 2, m2);
    SWAP(x[4], x[6], 2, m2);
    SWAP(x[5], x[7], 2, m2);
    SWAP(x[0], x[4], 4, m4);
    SWAP(x[1], x[5], 4, m4);
    SWAP(x[2], x[6], 4, m4);
    SWAP(x[3], x[7], 4, m4);
}

/* SubBytes without its constant; see aes_widen. The names are the paper's: x0 and s0 are the most significant bits. */
static inline void aes_sub_bytes(v128_t q[8])
{
    v128_t x0 = q[7], x1 = q[6], x2 = q[5], x3 = q[4], x4 = q[3], x5 = q[2], x6 = q[1], x7 = q[0];

    v128_t y14 = XOR(x3, x5), y13 = XOR(x0, x6), y9 = XOR(x0, x3), y8 = XOR(x0, x5);
    v128_t t0 = XOR(x1, x2), y1 = XOR(t0, x7), y4 = XOR(y1, x3), y12 = XOR(y13, y14);
    v128_t y2 = XOR(y1, x0), y5 = XOR(y1, x6), y3 = XOR(y5, y8), t1 = XOR(x4, y12);
    v128_t y15 = XOR(t1, x5), y20 = XOR(t1, x1), y6 = XOR(y15, x7), y10 = XOR(y15, t0);
    v128_t y11 = XOR(y20, y9), y7 = XOR(x7, y11), y17 = XOR(y10, y11), y19 = XOR(y10, y8);
    v128_t y16 = XOR(t0, y11), y21 = XOR(y13, y16), y18 = XOR(x0, y16);

    v128_t t2 = AND(y12, y15), t4 = XOR(AND(y3, y6), t2), t6 = XOR(AND(y4, x7), t2);
    v128_t t7 = AND(y13, y16), t9 = XOR(AND(y5, y1), t7), t11 = XOR(AND(y2, y7), t7);
    v128_t t12 = AND(y9, y11), t14 = XOR(AND(y14, y17), t12), t16 = XOR(AND(y8, y10), t12);
    v128_t t21 = XOR(XOR(t4, t14), y20), t22 = XOR(XOR(t6, t16), y19);
    v128_t t23 = XOR(XOR(t9, t14), y21), t24 = XOR(XOR(t11, t16), y18);

    v128_t t25 = XOR(t21, t22), t26 = AND(t21, t23), t27 = XOR(t24, t26), t29 = XOR(AND(t25, t27), t22);
    v128_t t30 = XOR(t23, t24), t31 = XOR(t22, t26), t33 = XOR(AND(t31, t30), t24);
    v128_t t34 = XOR(t23, t33), t35 = XOR(t27, t33), t36 = AND(t24, t35), t37 = XOR(t36, t34);
    v128_t t38 = XOR(t27, t36), t40 = XOR(t25, AND(t29, t38));
    v128_t t41 = XOR(t40, t37), t42 = XOR(t29, t33), t43 = XOR(t29, t40), t44 = XOR(t33, t37), t45 = XOR(t42, t41);

    v128_t z0 = AND(t44, y15), z1 = AND(t37, y6), z2 = AND(t33, x7), z3 = AND(t43, y16), z4 = AND(t40, y1);
    v128_t z5 = AND(t29, y7), z6 = AND(t42, y11), z7 = AND(t45, y17), z8 = AND(t41, y10), z9 = AND(t44, y12);
    v128_t z10 = AND(t37, y3), z11 = AND(t33, y4), z12 = AND(t43, y13), z13 = AND(t40, y5), z14 = AND(t29, y2);
    v128_t z15 = AND(t42, y9), z16 = AND(t45, y14), z17 = AND(t41, y8);

    v128_t t46 = XOR(z15, z16), t47 = XOR(z10, z11), t48 = XOR(z5, z13), t49 = XOR(z9, z10), t50 = XOR(z2, z12);
    v128_t t51 = XOR(z2, z5), t52 = XOR(z7, z8), t53 = XOR(z0, z3), t54 = XOR(z6, z7), t55 = XOR(z16, z17);
    v128_t t56 = XOR(z12, t48), t57 = XOR(t50, t53), t58 = XOR(z4, t46), t59 = XOR(z3, t54), t60 = XOR(t46, t57);
    v128_t t61 = XOR(z14, t57), t62 = XOR(t52, t58), t63 = XOR(t49, t58), t64 = XOR(z4, t59), t65 = XOR(t61, t62);
    v128_t t66 = XOR(z1, t63), s3 = XOR(t53, t66);

    q[7] = XOR(t59, t63);
    q[6] = XOR(t64, s3);
    q[5] = XOR(t55, XOR(t64, t65));
    q[4] = s3;
    q[3] = XOR(t51, t66);
    q[2] = XOR(t47, t65);
    q[1] = XOR(t56, t62);
    q[0] = XOR(t48, t60);
}

/* Byte 4c + r of the state is row r of column c. */
#define SHIFT_ROWS(x) wasm_i8x16_shuffle(x, x, 0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11)
/* The same, and then each row takes the place of the one above it. */
#define SHIFT_ROWS_1(x) wasm_i8x16_shuffle(x, x, 5, 10, 15, 0, 9, 14, 3, 4, 13, 2, 7, 8, 1, 6, 11, 12)
#define ROWS_2(x) wasm_i8x16_shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)

/* ShiftRows, MixColumns, AddRoundKey: 2 (a ^ b) ^ b ^ (c ^ d) for a column a, b, c, d. */
static inline void aes_linear(v128_t q[8], const v128_t k[8])
{
    v128_t b[8], ab[8];

    for (int i = 0; i < 8; i++) {
        b[i] = SHIFT_ROWS_1(q[i]);
        ab[i] = XOR(SHIFT_ROWS(q[i]), b[i]);
    }
    for (int i = 0; i < 8; i++)
        q[i] = XOR(XOR(b[i], ROWS_2(ab[i])), k[i]);
    /* Times 2: one bit up, and what falls out comes back as 0x1b. */
    q[0] = XOR(q[0], ab[7]);
    q[1] = XOR(q[1], XOR(ab[0], ab[7]));
    q[2] = XOR(q[2], ab[1]);
    q[3] = XOR(q[3], XOR(ab[2], ab[7]));
    q[4] = XOR(q[4], XOR(ab[3], ab[7]));
    q[5] = XOR(q[5], ab[4]);
    q[6] = XOR(q[6], ab[5]);
    q[7] = XOR(q[7], ab[6]);
}

static inline void aes_encrypt8(const aes_planes *planes, v128_t q[8])
{
    int r;

    aes_transpose(q);
    for (int i = 0; i < 8; i++)
        q[i] = XOR(q[i], planes->k[0][i]);
    for (r = 1; r < planes->rounds; r++) {
        aes_sub_bytes(q);
        aes_linear(q, planes->k[r]);
    }
    aes_sub_bytes(q);
    for (int i = 0; i < 8; i++)
        q[i] = XOR(SHIFT_ROWS(q[i]), planes->k[r][i]);
    aes_transpose(q);
}

#endif
