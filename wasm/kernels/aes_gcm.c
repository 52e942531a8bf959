#include "aes_gcm.h"

#include <openssl/crypto.h>
#include <string.h>

/* 16 blocks: what the lanes of GHASH take at once, and twice what AES does. */
#define CHUNK 256

static void counter_blocks(const uint8_t counter[16], v128_t q[8])
{
    v128_t base = wasm_v128_load(counter);
    uint32_t n = __builtin_bswap32((uint32_t)wasm_i32x4_extract_lane(base, 3));

    for (int i = 0; i < 8; i++)
        q[i] = wasm_i32x4_replace_lane(base, 3, (int)__builtin_bswap32(n + (uint32_t)i));
}

static void counter_add(uint8_t counter[16], uint32_t n)
{
    uint32_t c;

    memcpy(&c, counter + 12, 4);
    c = __builtin_bswap32(__builtin_bswap32(c) + n);
    memcpy(counter + 12, &c, 4);
}

void aes_gcm_init(aes_gcm_key *key, const uint8_t *user_key, int bits)
{
    aes_planes planes;
    v128_t q[8];
    uint8_t h[16];

    key->rounds = aes_expand_key(key->round_keys, user_key, bits);
    aes_widen(&planes, key->round_keys, key->rounds);
    for (int i = 0; i < 8; i++)
        q[i] = wasm_i8x16_splat(0);
    aes_encrypt8(&planes, q);
    wasm_v128_store(h, q[0]);
    ghash_init(&key->ghash, h);
    OPENSSL_cleanse(h, sizeof(h));
    OPENSSL_cleanse(&planes, sizeof(planes));
}

/* Appends to what is hashed. */
static void hash(const aes_gcm_key *key, aes_gcm_message *m, const uint8_t *p, size_t length)
{
    if (m->filled > 0) {
        size_t n = length < 16 - m->filled ? length : 16 - m->filled;

        memcpy(m->partial + m->filled, p, n);
        m->filled += (unsigned)n;
        p += n;
        length -= n;
        if (m->filled < 16)
            return;
        m->y = ghash_blocks(&key->ghash, m->y, m->partial, 1);
        m->filled = 0;
    }
    m->y = ghash_blocks(&key->ghash, m->y, p, length / 16);
    m->filled = length % 16;
    memcpy(m->partial, p + length - m->filled, m->filled);
}

/* Fills the block with zeros. */
static void hash_pad(const aes_gcm_key *key, aes_gcm_message *m)
{
    static const uint8_t zeros[16];

    if (m->filled > 0)
        hash(key, m, zeros, 16 - m->filled);
}

static void hash_lengths(const aes_gcm_key *key, aes_gcm_message *m, uint64_t first, uint64_t second)
{
    uint8_t lengths[16];

    ghash_store64(lengths, first * 8);
    ghash_store64(lengths + 8, second * 8);
    hash(key, m, lengths, 16);
}

/* The next 128 bytes of the key stream. */
static void refill(const aes_planes *planes, aes_gcm_message *m)
{
    v128_t q[8];

    counter_blocks(m->counter, q);
    aes_encrypt8(planes, q);
    for (int i = 0; i < 8; i++)
        wasm_v128_store(m->stream + 16 * i, q[i]);
    counter_add(m->counter, 8);
    m->used = 0;
    if (!m->begun) {
        memcpy(m->mask, m->stream, 16);
        m->used = 16;
        m->begun = 1;
    }
}

static void xor_chunk(const aes_planes *planes, aes_gcm_message *m, const uint8_t *in, uint8_t *out)
{
    for (int half = 0; half < CHUNK; half += 128) {
        v128_t q[8];

        counter_blocks(m->counter, q);
        aes_encrypt8(planes, q);
        for (int i = half; i < half + 128; i += 16)
            wasm_v128_store(out + i, wasm_v128_xor(wasm_v128_load(in + i), q[(i - half) / 16]));
        counter_add(m->counter, 8);
    }
}

static void crypt_chunks(const aes_gcm_key *key, const aes_planes *planes, aes_gcm_message *m, int encrypt,
    const uint8_t *in, uint8_t *out, size_t chunks)
{
    uint8_t y[16];
    ghash_lanes lanes;

    /* What was hashed before continues in the first lane. */
    ghash_store64(y, m->y.hi);
    ghash_store64(y + 8, m->y.lo);
    for (int i = 0; i < 16; i++)
        lanes.byte[i] = wasm_u8x16_replace_lane(wasm_i8x16_splat(0), 0, y[i]);
    for (;;) {
        if (!encrypt)
            ghash_add_lanes(&lanes, in);
        xor_chunk(planes, m, in, out);
        if (encrypt)
            ghash_add_lanes(&lanes, out);
        if (--chunks == 0)
            break;
        ghash_mul_lanes(&key->ghash, &lanes);
        in += CHUNK;
        out += CHUNK;
    }
    m->y = ghash_join_lanes(&key->ghash, &lanes);
}

void aes_gcm_start(const aes_gcm_key *key, aes_gcm_message *m, const uint8_t *iv, size_t length)
{
    memset(m, 0, sizeof(*m));
    m->used = sizeof(m->stream);
    if (length == 12) {
        memcpy(m->counter, iv, 12);
        m->counter[15] = 1;
    } else {
        hash(key, m, iv, length);
        hash_pad(key, m);
        hash_lengths(key, m, 0, length);
        ghash_store64(m->counter, m->y.hi);
        ghash_store64(m->counter + 8, m->y.lo);
        m->y = (ghash_element){ 0, 0 };
    }
}

void aes_gcm_aad(const aes_gcm_key *key, aes_gcm_message *m, const uint8_t *aad, size_t length)
{
    m->aad_length += length;
    hash(key, m, aad, length);
}

void aes_gcm_crypt(const aes_gcm_key *key, aes_gcm_message *m, int encrypt, const uint8_t *in, uint8_t *out, size_t length)
{
    aes_planes planes;
    int widened = length > sizeof(m->stream) - m->used;

    if (length == 0)
        return;
    if (m->length == 0)
        hash_pad(key, m);
    m->length += length;
    if (widened)
        aes_widen(&planes, key->round_keys, key->rounds);
    while (length > 0) {
        size_t n = sizeof(m->stream) - m->used;

        if (n == 0 && m->begun && length >= CHUNK) {
            /* The stream is used up, so this is a block's beginning. */
            n = length / CHUNK * CHUNK;
            crypt_chunks(key, &planes, m, encrypt, in, out, n / CHUNK);
        } else {
            if (n == 0) {
                refill(&planes, m);
                n = sizeof(m->stream) - m->used;
            }
            if (n > length)
                n = length;
            if (!encrypt)
                hash(key, m, in, n);
            for (size_t i = 0; i < n; i++)
                out[i] = in[i] ^ m->stream[m->used + i];
            if (encrypt)
                hash(key, m, out, n);
            m->used += (unsigned)n;
        }
        in += n;
        out += n;
        length -= n;
    }
    if (widened)
        OPENSSL_cleanse(&planes, sizeof(planes));
}

void aes_gcm_tag(const aes_gcm_key *key, aes_gcm_message *m, uint8_t tag[16])
{
    if (!m->begun) {
        aes_planes planes;

        aes_widen(&planes, key->round_keys, key->rounds);
        refill(&planes, m);
        OPENSSL_cleanse(&planes, sizeof(planes));
    }
    hash_pad(key, m);
    hash_lengths(key, m, m->aad_length, m->length);
    ghash_store64(tag, m->y.hi);
    ghash_store64(tag + 8, m->y.lo);
    for (int i = 0; i < 16; i++)
        tag[i] ^= m->mask[i];
}
