/* The BIO pair: OpenSSL on one half, TypeScript on the other. */
#include "internal.h"

EXPORT int wassl_BIO_new_bio_pair(size_t internal, size_t network, int datagram, BIO *out[2])
{
    out[0] = out[1] = NULL;
    return datagram ? wassl_datagram_pair(internal, network, out)
                    : BIO_new_bio_pair(&out[0], internal, &out[1], network);
}

EXPORT int wassl_BIO_resize_bio_pair(BIO *internal, size_t internal_size, BIO *network, size_t network_size)
{
    void *rings[2];
    int room;

    if (BIO_ctrl_pending(internal) > 0 || BIO_ctrl_pending(network) > 0)
        return 0;
    /*
     * Once they are apart there is no way back: so first see that there is memory for both. (malloc and free
     * themselves, whose result is not used, the compiler would leave out.)
     */
    rings[0] = wassl_heap_malloc(internal_size);
    rings[1] = wassl_heap_malloc(network_size);
    room = rings[0] != NULL && rings[1] != NULL;
    wassl_heap_free(rings[0]);
    wassl_heap_free(rings[1]);
    if (!room)
        return 0;
    /* A size can be set only while they are apart; the ring of another size is then made when they are joined. */
    return BIO_destroy_bio_pair(network) && BIO_set_write_buf_size(internal, internal_size)
        && BIO_set_write_buf_size(network, network_size) && BIO_make_bio_pair(internal, network);
}

EXPORT void wassl_BIO_free(BIO *b) { BIO_free(b); }
EXPORT int wassl_BIO_read(BIO *b, void *p, int n) { return BIO_read(b, p, n); }
EXPORT int wassl_BIO_write(BIO *b, const void *p, int n) { return BIO_write(b, p, n); }
EXPORT int wassl_BIO_nread0(BIO *b, char **p) { return BIO_nread0(b, p); }
EXPORT int wassl_BIO_nread(BIO *b, char **p, int n) { return BIO_nread(b, p, n); }
EXPORT int wassl_BIO_nwrite0(BIO *b, char **p) { return BIO_nwrite0(b, p); }
EXPORT int wassl_BIO_nwrite(BIO *b, char **p, int n) { return BIO_nwrite(b, p, n); }
EXPORT size_t wassl_BIO_ctrl_pending(BIO *b) { return BIO_ctrl_pending(b); }
EXPORT size_t wassl_BIO_ctrl_wpending(BIO *b) { return BIO_ctrl_wpending(b); }
EXPORT size_t wassl_BIO_ctrl_get_write_guarantee(BIO *b) { return BIO_ctrl_get_write_guarantee(b); }
EXPORT size_t wassl_BIO_ctrl_get_read_request(BIO *b) { return BIO_ctrl_get_read_request(b); }
EXPORT int wassl_BIO_shutdown_wr(BIO *b) { return (int)BIO_shutdown_wr(b); }
