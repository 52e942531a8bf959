/*
 * Two halves that carry datagrams in memory, each whole or not at all. OpenSSL's own BIO_s_dgram_pair notes 228 bytes of
 * each, raises an error where it is only full (so that SSL_get_error says SSL_ERROR_SSL instead of WANT_WRITE), and does
 * not know what was not read yet.
 */
#include "internal.h"

#include "internal/bio.h"

#include <openssl/err.h>
#include <string.h>

typedef struct {
    BIO *peer;
    uint8_t *ring; /* what this half has written, each datagram behind its length in two bytes */
    size_t size, tail, count, datagrams;
    int network;
} half;

#define HEAD 2
#define MOST 65535 /* bytes of a datagram, and of UDP's too */
#define LEAST_RING 1024
#define DEFAULT_RING (17 * 1024)
/* What OpenSSL takes for the network's share of a datagram. As large as it may be: so an MTU of 208 will do. */
#define MTU_OVERHEAD 48
#define UNKNOWN_MTU 256 /* where no MTU was set: OpenSSL's own lowest */

static half *half_of(BIO *bio) { return BIO_get_data(bio); }

static void put(half *h, const uint8_t *p, size_t n)
{
    size_t at = (h->tail + h->count) % h->size, first = n < h->size - at ? n : h->size - at;

    memcpy(h->ring + at, p, first);
    memcpy(h->ring, p + first, n - first);
    h->count += n;
}

/* p: or NULL, to drop them. */
static void take(half *h, uint8_t *p, size_t n)
{
    size_t first = n < h->size - h->tail ? n : h->size - h->tail;

    if (p != NULL) {
        memcpy(p, h->ring + h->tail, first);
        memcpy(p + first, h->ring, n - first);
    }
    h->tail = (h->tail + n) % h->size;
    h->count -= n;
}

/* How long the oldest datagram is; 0 = there is no datagram. */
static size_t next_length(const half *h)
{
    return h->count == 0 ? 0 : h->ring[h->tail] << 8 | h->ring[(h->tail + 1) % h->size];
}

static size_t room(const half *h)
{
    size_t left = h->size - h->count;

    return left <= HEAD ? 0 : left - HEAD < MOST ? left - HEAD : MOST;
}

static int pair_write(BIO *bio, const char *p, int n)
{
    half *h = half_of(bio);
    uint8_t head[HEAD] = { (uint8_t)(n >> 8), (uint8_t)n };

    BIO_clear_retry_flags(bio);
    if (h->peer == NULL || n < 0 || n > MOST || (size_t)n + HEAD > h->size) {
        ERR_raise(ERR_LIB_BIO, h->peer == NULL ? BIO_R_BROKEN_PIPE : BIO_R_LENGTH_TOO_LONG);
        return -1;
    }
    if ((size_t)n > room(h)) {
        BIO_set_retry_write(bio);
        return -1;
    }
    put(h, head, HEAD);
    put(h, (const uint8_t *)p, (size_t)n);
    h->datagrams++;
    return n;
}

static int pair_read(BIO *bio, char *p, int n)
{
    half *h = half_of(bio), *from = h->peer == NULL ? NULL : half_of(h->peer);
    size_t length, read;

    BIO_clear_retry_flags(bio);
    if (from == NULL || n <= 0)
        return -1;
    if ((length = next_length(from)) == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    read = length < (size_t)n ? length : (size_t)n;
    take(from, NULL, HEAD);
    take(from, (uint8_t *)p, read);
    take(from, NULL, length - read);
    from->datagrams--;
    return (int)read;
}

static long pair_ctrl(BIO *bio, int cmd, long n, void *p)
{
    half *h = half_of(bio), *from = h->peer == NULL ? NULL : half_of(h->peer);

    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_PENDING:
        return from == NULL ? 0 : (long)next_length(from);
    case BIO_CTRL_WPENDING:
        /* OpenSSL asks how much of one datagram is in a buffer before its half, and that is nothing. */
        return h->network ? (long)(h->count - HEAD * h->datagrams) : 0;
    case BIO_C_GET_WRITE_GUARANTEE:
        return h->peer == NULL ? 0 : (long)room(h);
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
        return MTU_OVERHEAD;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return UNKNOWN_MTU;
    default:
        return 0;
    }
}

static int pair_free(BIO *bio)
{
    half *h = half_of(bio);

    if (h == NULL)
        return 1;
    if (h->peer != NULL)
        half_of(h->peer)->peer = NULL;
    OPENSSL_clear_free(h->ring, h->size);
    OPENSSL_free(h);
    BIO_set_data(bio, NULL);
    return 1;
}

static const BIO_METHOD method = { BIO_TYPE_DGRAM_PAIR, "datagram pair", bwrite_conv, pair_write, bread_conv, pair_read,
    NULL, NULL, pair_ctrl, NULL, pair_free, NULL, NULL, NULL };

static BIO *half_new(size_t size, int network)
{
    BIO *bio = BIO_new(&method);
    half *h = OPENSSL_zalloc(sizeof *h);

    if (bio == NULL || h == NULL) {
        OPENSSL_free(h);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, h);
    h->network = network;
    h->size = size == 0 ? DEFAULT_RING : size < LEAST_RING ? LEAST_RING : size;
    if ((h->ring = OPENSSL_malloc(h->size)) == NULL) {
        BIO_free(bio);
        return NULL;
    }
    BIO_set_init(bio, 1);
    return bio;
}

int wassl_datagram_pair(size_t internal, size_t network, BIO *out[2])
{
    out[0] = half_new(internal, 0);
    out[1] = half_new(network, 1);
    if (out[0] == NULL || out[1] == NULL) {
        BIO_free(out[0]);
        BIO_free(out[1]);
        out[0] = out[1] = NULL;
        return 0;
    }
    half_of(out[0])->peer = out[1];
    half_of(out[1])->peer = out[0];
    return 1;
}
