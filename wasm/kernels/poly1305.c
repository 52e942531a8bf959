/*
 * Poly1305 (RFC 8439). Stands in for crypto/poly1305/poly1305.c, which multiplies 64 by 64 bits, for which WebAssembly
 * has no instruction.
 *
 * Here a number has four limbs of 32 bits, and what lies beyond. The key is clamped so that its limbs have 28 bits: a
 * sum of four products of a limb of 34 bits fits into 64 bits, and so nothing needs to be exact but the last carry. The
 * limbs above the first are multiples of 4 as well: what lies beyond 2^130 comes back times 5/4, which is a whole
 * number.
 */
#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>

#include "crypto/poly1305.h"
#include "secret.h"

typedef struct {
    uint32_t r[4];
    /* h[0] < 2^34, h[1] to h[3] < 2^32, h[4] < 4 */
    uint64_t h[5];
} state;

_Static_assert(sizeof(state) <= sizeof(((POLY1305 *)0)->opaque), "OpenSSL gives this much");

static inline uint32_t load32(const unsigned char *p)
{
    uint32_t x;

    memcpy(&x, p, 4);
    return x;
}

/* h = (h + block) * r, for each whole block; `top` is the bit above each. */
static void blocks(state *st, const unsigned char *p, size_t length, uint32_t top)
{
    const uint64_t r0 = st->r[0], r1 = st->r[1], r2 = st->r[2], r3 = st->r[3];
    const uint64_t s1 = r1 + (r1 >> 2), s2 = r2 + (r2 >> 2), s3 = r3 + (r3 >> 2);
    uint64_t h0 = st->h[0], h1 = st->h[1], h2 = st->h[2], h3 = st->h[3], h4 = st->h[4];

    for (; length >= POLY1305_BLOCK_SIZE; length -= POLY1305_BLOCK_SIZE, p += POLY1305_BLOCK_SIZE) {
        uint64_t d0, d1, d2, d3, d4;

        h0 += load32(p);
        h1 += load32(p + 4);
        h2 += load32(p + 8);
        h3 += load32(p + 12);
        h4 += top;

        d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
        d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1;
        d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2;
        d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3;
        d4 = h4 * r0;

        d1 += d0 >> 32;
        d2 += d1 >> 32;
        d3 += d2 >> 32;
        d4 += d3 >> 32;
        h0 = (uint32_t)d0 + (d4 >> 2) * 5;
        h1 = (uint32_t)d1;
        h2 = (uint32_t)d2;
        h3 = (uint32_t)d3;
        h4 = d4 & 3;
    }
    st->h[0] = h0;
    st->h[1] = h1;
    st->h[2] = h2;
    st->h[3] = h3;
    st->h[4] = h4;
}

size_t Poly1305_ctx_size(void)
{
    return sizeof(POLY1305);
}

void Poly1305_Init(POLY1305 *ctx, const unsigned char key[32])
{
    state *st = (state *)ctx->opaque;

    memset(st, 0, sizeof(*st));
    st->r[0] = load32(key) & 0x0fffffff;
    for (int i = 1; i < 4; i++)
        st->r[i] = load32(key + 4 * i) & 0x0ffffffc;
    for (int i = 0; i < 4; i++)
        ctx->nonce[i] = load32(key + 16 + 4 * i);
    ctx->num = 0;
}

void Poly1305_Update(POLY1305 *ctx, const unsigned char *p, size_t length)
{
    state *st = (state *)ctx->opaque;

    if (ctx->num > 0) {
        size_t n = POLY1305_BLOCK_SIZE - ctx->num;

        if (n > length)
            n = length;
        memcpy(ctx->data + ctx->num, p, n);
        ctx->num += n;
        p += n;
        length -= n;
        if (ctx->num < POLY1305_BLOCK_SIZE)
            return;
        blocks(st, ctx->data, POLY1305_BLOCK_SIZE, 1);
    }
    blocks(st, p, length, 1);
    ctx->num = length % POLY1305_BLOCK_SIZE;
    memcpy(ctx->data, p + length - ctx->num, ctx->num);
}

void Poly1305_Final(POLY1305 *ctx, unsigned char mac[16])
{
    state *st = (state *)ctx->opaque;
    uint32_t h[4], g[4], below;
    uint64_t carry;

    if (ctx->num > 0) {
        ctx->data[ctx->num++] = 1;
        memset(ctx->data + ctx->num, 0, POLY1305_BLOCK_SIZE - ctx->num);
        blocks(st, ctx->data, POLY1305_BLOCK_SIZE, 0);
    }

    /* All carries, twice, since what leaves at the top comes back at the bottom. */
    for (int twice = 0; twice < 2; twice++) {
        for (int i = 0; i < 4; i++) {
            st->h[i + 1] += st->h[i] >> 32;
            st->h[i] = (uint32_t)st->h[i];
        }
        st->h[0] += (st->h[4] >> 2) * 5;
        st->h[4] &= 3;
    }
    /* h - p, that is h + 5 - 2^130, if that is not negative. */
    carry = 5;
    for (int i = 0; i < 4; i++) {
        carry += st->h[i];
        h[i] = (uint32_t)st->h[i];
        g[i] = (uint32_t)carry;
        carry >>= 32;
    }
    carry += st->h[4];
    below = opaque32((uint32_t)(carry >> 2) - 1); /* all ones where h is the answer */
    carry = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t word;

        carry += (uint64_t)((h[i] & below) | (g[i] & ~below)) + ctx->nonce[i];
        word = (uint32_t)carry;
        memcpy(mac + 4 * i, &word, 4);
        carry >>= 32;
    }
    OPENSSL_cleanse(ctx, sizeof(*ctx));
}
