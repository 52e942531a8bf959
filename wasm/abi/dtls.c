/*
 * What DTLS has beside TLS: cookies, timers, how long a message may be. A cookie (RFC 6347 §4.2.1) is an HMAC over what
 * TypeScript said is the address of the client, so that a server keeps nothing for a client that has not shown that it
 * gets what is sent to that address.
 */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

/* A key makes cookies for so many seconds, and they are good for as long again. */
#define KEY_LIFETIME 60
#define COOKIE 32
#define MOST_ADDRESS 255

typedef struct {
    uint8_t now[32], before[32];
    time_t since;
    int has_before;
} cookie_keys;

typedef struct {
    unsigned initial, most; /* microseconds */
    size_t length;
    uint8_t address[MOST_ADDRESS];
} association;

static int keys_index = -1, association_index = -1;

static void free_keys(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    OPENSSL_clear_free(p, sizeof(cookie_keys));
}

static void free_association(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    OPENSSL_free(p);
}

int wassl_dtls_init(void)
{
    keys_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_keys);
    association_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_association);
    return keys_index >= 0 && association_index >= 0;
}

static association *association_of(SSL *ssl)
{
    association *a = SSL_get_ex_data(ssl, association_index);

    if (a == NULL && (a = OPENSSL_zalloc(sizeof *a)) != NULL && !SSL_set_ex_data(ssl, association_index, a)) {
        OPENSSL_free(a);
        a = NULL;
    }
    return a;
}

static int cookie_of(const association *a, const uint8_t *key, uint8_t *out)
{
    unsigned n = COOKIE;

    return HMAC(EVP_sha256(), key, 32, a->address, a->length, out, &n) != NULL;
}

/* The keys that count now: an old one goes when its time is over, also if nobody asked in between. */
static cookie_keys *current_keys(SSL *ssl)
{
    cookie_keys *k = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), keys_index);
    time_t now = time(NULL), age;

    if (k == NULL)
        return NULL;
    age = now - k->since;
    /* A clock that was set back makes keys of any age. */
    if (age >= 0 && age < KEY_LIFETIME)
        return k;
    k->has_before = age >= KEY_LIFETIME && age < 2 * KEY_LIFETIME;
    memcpy(k->before, k->now, sizeof k->before);
    if (RAND_bytes(k->now, sizeof k->now) != 1)
        return NULL;
    k->since = now;
    return k;
}

static int generate_cookie(SSL *ssl, unsigned char *cookie, unsigned *length)
{
    const association *a = SSL_get_ex_data(ssl, association_index);
    const cookie_keys *k = current_keys(ssl);

    *length = COOKIE;
    return a != NULL && k != NULL && cookie_of(a, k->now, cookie);
}

static int verify_cookie(SSL *ssl, const unsigned char *cookie, unsigned length)
{
    const association *a = SSL_get_ex_data(ssl, association_index);
    const cookie_keys *k = current_keys(ssl);
    uint8_t expected[COOKIE];

    if (a == NULL || k == NULL || length != COOKIE)
        return 0;
    return (cookie_of(a, k->now, expected) && CRYPTO_memcmp(cookie, expected, COOKIE) == 0)
        || (k->has_before && cookie_of(a, k->before, expected) && CRYPTO_memcmp(cookie, expected, COOKIE) == 0);
}

EXPORT int wassl_SSL_CTX_use_cookies(SSL_CTX *ctx)
{
    cookie_keys *k = OPENSSL_zalloc(sizeof *k);

    if (k == NULL || RAND_bytes(k->now, sizeof k->now) != 1) {
        OPENSSL_free(k);
        return 0;
    }
    k->since = time(NULL);
    free_keys(NULL, SSL_CTX_get_ex_data(ctx, keys_index), NULL, 0, 0, NULL);
    if (!SSL_CTX_set_ex_data(ctx, keys_index, k)) {
        OPENSSL_clear_free(k, sizeof *k);
        return 0;
    }
    SSL_CTX_set_cookie_generate_cb(ctx, generate_cookie);
    SSL_CTX_set_cookie_verify_cb(ctx, verify_cookie);
    return 1;
}

EXPORT int wassl_DTLSv1_listen(SSL *ssl, const uint8_t *address, size_t length)
{
    association *a = association_of(ssl);
    BIO_ADDR *nobody = BIO_ADDR_new(); /* the pair has no addresses */
    int ret = -1;

    if (a != NULL && nobody != NULL && length <= MOST_ADDRESS) {
        memcpy(a->address, address, length);
        a->length = length;
        ret = DTLSv1_listen(ssl, nobody);
    }
    BIO_ADDR_free(nobody);
    return ret;
}

static unsigned next_timeout(SSL *ssl, unsigned last)
{
    const association *a = SSL_get_ex_data(ssl, association_index);

    if (last == 0)
        return a->initial;
    return last < a->most / 2 ? last * 2 : a->most;
}

EXPORT int wassl_DTLS_set_timeouts(SSL *ssl, int initial, int most)
{
    association *a = SSL_is_dtls(ssl) ? association_of(ssl) : NULL;

    if (a == NULL)
        return 0;
    a->initial = (unsigned)initial * 1000;
    a->most = (unsigned)most * 1000;
    DTLS_set_timer_cb(ssl, next_timeout);
    return 1;
}

EXPORT size_t wassl_DTLS_get_data_mtu(SSL *ssl) { return SSL_is_dtls(ssl) ? DTLS_get_data_mtu(ssl) : 0; }

EXPORT int wassl_DTLSv1_get_timeout(SSL *ssl)
{
    struct timeval t;

    if (!DTLSv1_get_timeout(ssl, &t))
        return -1;
    return (int)(t.tv_sec * 1000 + (t.tv_usec + 999) / 1000);
}

EXPORT int wassl_DTLSv1_handle_timeout(SSL *s) { return (int)DTLSv1_handle_timeout(s); }

EXPORT int wassl_SSL_set_mtu(SSL *ssl, int mtu)
{
    SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
    return SSL_set_mtu(ssl, mtu) > 0;
}
