/*
 * A certificate of a chain that was accepted lately is not read again: the same bytes give the same object. A server's
 * chain comes with each connection to it, and connections that are open at the same time share it. OpenSSL does not
 * change an X509 that it has read, but adds what it found out about it, its extensions and its key in the provider's
 * form, and that need not be found out again either. None of this depends on who asks, and on no option: only on the
 * bytes.
 *
 * What is kept belongs to a chain that OpenSSL verified in a handshake that is over, so nothing of a peer stays that
 * was refused. When an allocation fails what is kept is given up: something might have been found out in part.
 */
#include "internal.h"

#include "ssl/ssl_local.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* The chains of some servers. What was used last comes first, and the last one is forgotten. */
#define KEPT 16
/* In bytes. A certificate with some names has 1 to 2 KiB. */
#define LONGEST 4096
static struct certificate {
    X509 *x;
    uint8_t *der;
    int length;
} kept[KEPT];

static void to_front(int from, struct certificate certificate)
{
    memmove(kept + 1, kept, (size_t)from * sizeof *kept);
    kept[0] = certificate;
}

static void forget(struct certificate *c)
{
    X509_free(c->x);
    OPENSSL_free(c->der);
    *c = (struct certificate){ NULL, NULL, 0 };
}

void wassl_forget_certificates(void)
{
    for (int i = 0; i < KEPT; i++)
        forget(&kept[i]);
}

static void keep(X509 *x)
{
    struct certificate new = { x, NULL, i2d_X509(x, NULL) };

    if (new.length > LONGEST || i2d_X509(x, &new.der) != new.length)
        return;
    for (int i = 0; i < KEPT; i++)
        if (kept[i].length == new.length && memcmp(kept[i].der, new.der, (size_t)new.length) == 0) {
            OPENSSL_free(new.der);
            to_front(i, kept[i]);
            return;
        }
    X509_up_ref(x);
    forget(&kept[KEPT - 1]);
    to_front(KEPT - 1, new);
}

void wassl_keep_certificates(SSL *ssl)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);

    if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE || SSL_get_verify_result(ssl) != X509_V_OK)
        return;
    for (int i = 0; i < sk_X509_num(chain); i++)
        keep(sk_X509_value(chain, i));
}

X509 *__real_d2i_X509(X509 **, const unsigned char **, long);
X509 *__wrap_d2i_X509(X509 **, const unsigned char **, long);

/*
 * As in OpenSSL *a is where it goes. What is there is never one that others have: who reads gives NULL, or one just
 * made.
 */
X509 *__wrap_d2i_X509(X509 **a, const unsigned char **in, long length)
{
    unsigned failures = wassl_failed_allocations;
    X509 *x;

    for (int i = 0; i < KEPT; i++) {
        if (kept[i].x == NULL || kept[i].length != length || memcmp(kept[i].der, *in, (size_t)length) != 0)
            continue;
        x = kept[i].x;
        X509_up_ref(x);
        to_front(i, kept[i]);
        if (a != NULL) {
            X509_free(*a);
            *a = x;
        }
        *in += length;
        return x;
    }
    x = __real_d2i_X509(a, in, length);
    if (x == NULL || wassl_failed_allocations == failures)
        return x;
    /* Its key may be missing, and OpenSSL would not look for it again. */
    X509_free(x);
    if (a != NULL)
        *a = NULL;
    ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
    return NULL;
}
