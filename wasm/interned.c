/*
 * A certificate that was read lately is not read again: the same bytes give the same object. A server's chain comes with each
 * connection to it, and connections that are open at the same time share it. OpenSSL does not change an X509 that it has read, but adds
 * what it found out about it, its extensions and its key in the provider's form, and that need not be found out again either.
 */
#include "tls.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/* The chains of some servers. What was used last comes first, and the last one is forgotten. */
#define KEPT 16
static struct certificate {
    X509 *x;
    uint8_t *der;
    long length;
} kept[KEPT];

X509 *__real_d2i_X509(X509 **, const unsigned char **, long);
X509 *__wrap_d2i_X509(X509 **, const unsigned char **, long);

static void to_front(int from, struct certificate certificate)
{
    memmove(kept + 1, kept, (size_t)from * sizeof *kept);
    kept[0] = certificate;
}

static void keep(X509 *x, const uint8_t *der, long length)
{
    struct certificate last = kept[KEPT - 1], new = { x, malloc((size_t)length), length };

    if (new.der == NULL || !X509_up_ref(x)) {
        free(new.der);
        return;
    }
    memcpy(new.der, der, (size_t)length);
    to_front(KEPT - 1, new);
    X509_free(last.x);
    free(last.der);
}

/* As in OpenSSL *a is where it goes. What is there is never one that others have: who reads gives NULL, or one just made. */
X509 *__wrap_d2i_X509(X509 **a, const unsigned char **in, long length)
{
    const unsigned char *der = *in;
    X509 *x;

    for (int i = 0; i < KEPT && kept[i].x != NULL; i++) {
        if (kept[i].length != length || memcmp(kept[i].der, der, (size_t)length) != 0)
            continue;
        x = kept[i].x;
        if (!X509_up_ref(x))
            return NULL;
        to_front(i, kept[i]);
        if (a != NULL) {
            X509_free(*a);
            *a = x;
        }
        *in += length;
        return x;
    }
    x = __real_d2i_X509(a, in, length);
    if (x != NULL && *in == der + length) /* nothing stands behind it */
        keep(x, der, length);
    return x;
}
