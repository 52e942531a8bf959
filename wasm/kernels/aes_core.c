/*
 * AES for a block at a time (FIPS 197), without a look-up by a secret: for CBC, CCM, CTR and the rest, which ask
 * OpenSSL's AES_encrypt and AES_decrypt. Stands in for crypto/aes/aes_core.c.
 *
 * M. Hamburg, "Accelerating AES with Vector Permute Instructions", CHES 2009, whose field, bases and tables these are:
 * a byte is an element of GF(16)^2, and its inverse is found by tables of 16 entries. Each fits a register, and
 * i8x16.swizzle looks up all 16 bytes of a block at once, by data and not by address. What is not below 16 stands for
 * infinity, and finds 0.
 *
 * Between rounds the state remains in a basis in which inversion is easy: the tables of a round lead from the halves of
 * the inverse to (multiples of) the S-box's answer in that basis, and the round keys are kept in it too. The S-box's
 * constant, 0x63, is in the round keys, as it passes through ShiftRows and MixColumns as it is.
 */
#include "internal/deprecated.h"

#include <openssl/aes.h>
#include <openssl/crypto.h>
#include <string.h>
#include <wasm_simd128.h>

#include "aes.h"

/* Sixteen entries for each half of a byte, or of an inverse. */
typedef struct {
    uint8_t a[16], b[16];
} table;

static const table inverse = {
    { 0x80, 0x01, 0x08, 0x0d, 0x0f, 0x06, 0x05, 0x0e, 0x02, 0x0c, 0x0b, 0x0a, 0x09, 0x03, 0x07, 0x04 },
    /* Times a constant of the field. */
    { 0x80, 0x07, 0x0b, 0x0f, 0x06, 0x0a, 0x04, 0x01, 0x09, 0x08, 0x05, 0x02, 0x0c, 0x0e, 0x0d, 0x03 },
};
/* To the basis, from a byte's low and high half. */
static const table basis = {
    { 0x00, 0x70, 0x2a, 0x5a, 0x98, 0xe8, 0xb2, 0xc2, 0x08, 0x78, 0x22, 0x52, 0x90, 0xe0, 0xba, 0xca },
    { 0x00, 0x4d, 0x7c, 0x31, 0x7d, 0x30, 0x01, 0x4c, 0x81, 0xcc, 0xfd, 0xb0, 0xfc, 0xb1, 0x80, 0xcd },
};
/* The S-box less 0x63, from the halves of the inverse: as bytes, and in the basis, once and times 2. */
static const table sbox = {
    { 0x00, 0xc7, 0xbd, 0x6f, 0x17, 0x6d, 0xd2, 0xd0, 0x78, 0xa8, 0x02, 0xc5, 0x7a, 0xbf, 0xaa, 0x15 },
    { 0x00, 0x6a, 0xbb, 0x5f, 0xa5, 0x74, 0xe4, 0xcf, 0xfa, 0x35, 0x2b, 0x41, 0xd1, 0x90, 0x1e, 0x8e },
};
static const table sbox_1 = {
    { 0x00, 0x3e, 0x50, 0xcb, 0x8f, 0xe1, 0x9b, 0xb1, 0x44, 0xf5, 0x2a, 0x14, 0x6e, 0x7a, 0xdf, 0xa5 },
    { 0x00, 0x23, 0xe2, 0xfa, 0x15, 0xd4, 0x18, 0x36, 0xef, 0xd9, 0x2e, 0x0d, 0xc1, 0xcc, 0xf7, 0x3b },
};
static const table sbox_2 = {
    { 0x00, 0x24, 0x71, 0x0b, 0xc6, 0x93, 0x7a, 0xe2, 0xcd, 0x2f, 0x98, 0xbc, 0x55, 0xe9, 0xb7, 0x5e },
    { 0x00, 0x29, 0xe1, 0x0a, 0x40, 0x88, 0xeb, 0x69, 0x4a, 0x23, 0x82, 0xab, 0xc8, 0x63, 0xa1, 0xc2 },
};
/* Decryption's basis: the same, after the S-box's linear part is undone. */
static const table unbasis = {
    { 0x00, 0x5f, 0x54, 0x0b, 0x04, 0x5b, 0x50, 0x0f, 0x1a, 0x45, 0x4e, 0x11, 0x1e, 0x41, 0x4a, 0x15 },
    { 0x00, 0x65, 0x05, 0x60, 0xe6, 0x83, 0xe3, 0x86, 0x94, 0xf1, 0x91, 0xf4, 0x72, 0x17, 0x77, 0x12 },
};
/* The inverse itself from its halves, and in decryption's basis times 14, 11, 13 and 9. */
static const table byte = {
    { 0x00, 0x40, 0xf9, 0x7e, 0x53, 0xea, 0x87, 0x13, 0x2d, 0x3e, 0x94, 0xd4, 0xb9, 0x6d, 0xaa, 0xc7 },
    { 0x00, 0x1d, 0x44, 0x93, 0x0f, 0x56, 0xd7, 0x12, 0x9c, 0x8e, 0xc5, 0xd8, 0x59, 0x81, 0x4b, 0xca },
};
static const table byte_14 = {
    { 0x00, 0xd0, 0xd4, 0x26, 0x96, 0x92, 0xf2, 0x46, 0xb0, 0xf6, 0xb4, 0x64, 0x04, 0x60, 0x42, 0x22 },
    { 0x00, 0xc1, 0xaa, 0xff, 0xcd, 0xa6, 0x55, 0x0c, 0x32, 0x3e, 0x59, 0x98, 0x6b, 0xf3, 0x67, 0x94 },
};
static const table byte_11 = {
    { 0x00, 0x42, 0xb4, 0x96, 0x92, 0x64, 0x22, 0xd0, 0x04, 0xd4, 0xf2, 0xb0, 0xf6, 0x46, 0x26, 0x60 },
    { 0x00, 0x67, 0x59, 0xcd, 0xa6, 0x98, 0x94, 0xc1, 0x6b, 0xaa, 0x55, 0x32, 0x3e, 0x0c, 0xff, 0xf3 },
};
static const table byte_13 = {
    { 0x00, 0xa2, 0xb1, 0xe6, 0xdf, 0xcc, 0x57, 0x7d, 0x39, 0x44, 0x2a, 0x88, 0x13, 0x9b, 0x6e, 0xf5 },
    { 0x00, 0xcb, 0xc6, 0x24, 0xf7, 0xfa, 0xe2, 0x3c, 0xd3, 0xef, 0xde, 0x15, 0x0d, 0x18, 0x31, 0x29 },
};
static const table byte_9 = {
    { 0x00, 0xd6, 0x86, 0x9a, 0x53, 0x03, 0x1c, 0x85, 0xc9, 0x4c, 0x99, 0x4f, 0x50, 0x1f, 0xd5, 0xca },
    { 0x00, 0x49, 0xd7, 0xec, 0x89, 0x17, 0x3b, 0xc0, 0x65, 0xa5, 0xfb, 0xb2, 0x9e, 0x2c, 0x5e, 0x72 },
};

typedef struct {
    v128_t a, b;
} halves;

static inline v128_t look_up(const table *t, halves x)
{
    return XOR(wasm_i8x16_swizzle(wasm_v128_load(t->a), x.a), wasm_i8x16_swizzle(wasm_v128_load(t->b), x.b));
}

static inline halves split(v128_t x)
{
    const v128_t nibble = wasm_i8x16_splat(0x0f);

    return (halves){ AND(x, nibble), AND(wasm_u16x8_shr(x, 4), nibble) };
}

static inline halves invert(v128_t x)
{
    const v128_t plain = wasm_v128_load(inverse.a), scaled = wasm_v128_load(inverse.b);
    halves h = split(x);
    v128_t sum = XOR(h.a, h.b), k = wasm_i8x16_swizzle(scaled, h.a);
    v128_t i = XOR(wasm_i8x16_swizzle(plain, h.b), k), j = XOR(wasm_i8x16_swizzle(plain, sum), k);

    return (halves){ XOR(wasm_i8x16_swizzle(plain, i), sum), XOR(wasm_i8x16_swizzle(plain, j), h.b) };
}

/* ShiftRows, or its inverse, and then each row takes the place of the one n above it. */
#define SHIFT_ROWS_2(x) wasm_i8x16_shuffle(x, x, 10, 15, 0, 5, 14, 3, 4, 9, 2, 7, 8, 13, 6, 11, 12, 1)
#define SHIFT_ROWS_3(x) wasm_i8x16_shuffle(x, x, 15, 0, 5, 10, 3, 4, 9, 14, 7, 8, 13, 2, 11, 12, 1, 6)
#define UNSHIFT_ROWS(x) wasm_i8x16_shuffle(x, x, 0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3)
#define UNSHIFT_ROWS_1(x) wasm_i8x16_shuffle(x, x, 13, 10, 7, 0, 1, 14, 11, 4, 5, 2, 15, 8, 9, 6, 3, 12)
#define UNSHIFT_ROWS_2(x) wasm_i8x16_shuffle(x, x, 10, 7, 0, 13, 14, 11, 4, 1, 2, 15, 8, 5, 6, 3, 12, 9)
#define UNSHIFT_ROWS_3(x) wasm_i8x16_shuffle(x, x, 7, 0, 13, 10, 11, 4, 1, 14, 15, 8, 5, 2, 3, 12, 9, 6)

static inline v128_t round_key(const AES_KEY *key, int round)
{
    return wasm_v128_load(key->rd_key + 4 * round);
}

void AES_encrypt(const unsigned char *in, unsigned char *out, const AES_KEY *key)
{
    v128_t x = XOR(look_up(&basis, split(wasm_v128_load(in))), round_key(key, 0));
    halves h;

    for (int round = 1; round < key->rounds; round++) {
        v128_t once, twice;

        h = invert(x);
        once = look_up(&sbox_1, h);
        twice = look_up(&sbox_2, h);
        x = XOR(XOR(SHIFT_ROWS(twice), SHIFT_ROWS_1(XOR(twice, once))),
                XOR(XOR(SHIFT_ROWS_2(once), SHIFT_ROWS_3(once)), round_key(key, round)));
    }
    h = invert(x);
    wasm_v128_store(out, XOR(SHIFT_ROWS(look_up(&sbox, h)), round_key(key, key->rounds)));
}

void AES_decrypt(const unsigned char *in, unsigned char *out, const AES_KEY *key)
{
    v128_t x = XOR(look_up(&unbasis, split(wasm_v128_load(in))), round_key(key, 0));
    halves h;

    for (int round = 1; round < key->rounds; round++) {
        h = invert(x);
        x = XOR(XOR(UNSHIFT_ROWS(look_up(&byte_14, h)), UNSHIFT_ROWS_1(look_up(&byte_11, h))),
                XOR(XOR(UNSHIFT_ROWS_2(look_up(&byte_13, h)), UNSHIFT_ROWS_3(look_up(&byte_9, h))),
                    round_key(key, round)));
    }
    h = invert(x);
    wasm_v128_store(out, XOR(UNSHIFT_ROWS(look_up(&byte, h)), round_key(key, key->rounds)));
}

static inline uint32_t sub_word(uint32_t word)
{
    halves h = invert(look_up(&basis, split(wasm_i32x4_splat((int)word))));

    return (uint32_t)wasm_i32x4_extract_lane(look_up(&sbox, h), 0) ^ 0x63636363;
}

int aes_expand_key(uint8_t *round_keys, const uint8_t *key, int bits)
{
    int words = bits / 32, rounds = words + 6;
    uint32_t temp, constant = 1;

    memcpy(round_keys, key, 4 * (size_t)words);
    for (int i = words; i < 4 * (rounds + 1); i++) {
        uint32_t before;

        memcpy(&temp, round_keys + 4 * (i - 1), 4);
        if (i % words == 0) {
            /* The first byte of a word is the lowest. */
            temp = sub_word(temp >> 8 | temp << 24) ^ constant;
            constant = constant == 0x80 ? 0x1b : constant << 1;
        } else if (words == 8 && i % 8 == 4) {
            temp = sub_word(temp);
        }
        memcpy(&before, round_keys + 4 * (i - words), 4);
        temp ^= before;
        memcpy(round_keys + 4 * i, &temp, 4);
    }
    return rounds;
}

static int unusable(const unsigned char *user_key, int bits, const AES_KEY *key)
{
    if (user_key == NULL || key == NULL)
        return -1;
    return bits == 128 || bits == 192 || bits == 256 ? 0 : -2;
}

int AES_set_encrypt_key(const unsigned char *user_key, const int bits, AES_KEY *key)
{
    const v128_t constant = wasm_i8x16_splat(0x63);
    int result = unusable(user_key, bits, key);
    uint8_t *keys;

    if (result != 0)
        return result;
    keys = (uint8_t *)key->rd_key;
    key->rounds = aes_expand_key(keys, user_key, bits);
    for (int i = 0; i <= key->rounds; i++) {
        v128_t k = wasm_v128_load(keys + 16 * i);

        if (i > 0)
            k = XOR(k, constant);
        if (i < key->rounds)
            k = look_up(&basis, split(k));
        wasm_v128_store(keys + 16 * i, k);
    }
    return 0;
}

static inline v128_t mix_columns(v128_t x)
{
    /* One bit up, and what falls out comes back as 0x1b. */
    v128_t twice = XOR(wasm_i8x16_shl(x, 1), AND(wasm_i8x16_shr(x, 7), wasm_i8x16_splat(0x1b)));
    v128_t all = XOR(x, wasm_i8x16_shuffle(x, x, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12));

    return XOR(XOR(twice, wasm_i8x16_shuffle(twice, twice, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12)),
               XOR(XOR(x, all), ROWS_2(all)));
}

/* For the equivalent inverse cipher (FIPS 197, 5.3.5): from the last round key to the first. */
int AES_set_decrypt_key(const unsigned char *user_key, const int bits, AES_KEY *key)
{
    const v128_t constant = wasm_i8x16_splat(0x63);
    int result = unusable(user_key, bits, key);
    uint8_t keys[16 * (AES_MAX_ROUNDS + 1)];

    if (result != 0)
        return result;
    key->rounds = aes_expand_key(keys, user_key, bits);
    for (int i = 0; i <= key->rounds; i++) {
        v128_t k = wasm_v128_load(keys + 16 * (key->rounds - i));

        /* MixColumns is its own inverse's third power. */
        if (i > 0 && i < key->rounds)
            k = mix_columns(mix_columns(mix_columns(k)));
        if (i < key->rounds)
            k = look_up(&unbasis, split(XOR(k, constant)));
        wasm_v128_store(key->rd_key + 4 * i, k);
    }
    OPENSSL_cleanse(keys, sizeof(keys));
    return 0;
}
