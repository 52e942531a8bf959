/*
 * AES-GCM (NIST SP 800-38D) in one pass over the data, 16 blocks at a time: see aes.h and ghash.h.
 */
#ifndef WASSL_KERNELS_AES_GCM_H
#define WASSL_KERNELS_AES_GCM_H

#include <stddef.h>
#include <stdint.h>

#include "aes.h"
#include "ghash.h"

typedef struct {
    ghash_key ghash;
    /* In the order of FIPS 197. */
    uint8_t round_keys[16 * (AES_MAX_ROUNDS + 1)];
    int rounds;
} aes_gcm_key;

/* One message. */
typedef struct {
    ghash_element y;
    uint64_t aad_length, length;
    /* Of the next block of the key stream; at first J0, whose block masks the tag. */
    uint8_t counter[16], mask[16];
    /* Key stream that is made; none of it was used while `used` is 0 and `begun` is not set. */
    uint8_t stream[128];
    unsigned used, begun;
    /* The beginning of a block for GHASH. */
    uint8_t partial[16];
    unsigned filled;
} aes_gcm_message;

void aes_gcm_init(aes_gcm_key *key, const uint8_t *user_key, int bits);
void aes_gcm_start(const aes_gcm_key *key, aes_gcm_message *m, const uint8_t *iv, size_t length);
/* All of it comes before the data. */
void aes_gcm_aad(const aes_gcm_key *key, aes_gcm_message *m, const uint8_t *aad, size_t length);
/* `in` and `out` are the same or do not overlap. */
void aes_gcm_crypt(const aes_gcm_key *key, aes_gcm_message *m, int encrypt, const uint8_t *in, uint8_t *out, size_t length);
void aes_gcm_tag(const aes_gcm_key *key, aes_gcm_message *m, uint8_t tag[16]);

#endif
