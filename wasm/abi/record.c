/*
 * What is recorded about a connection where OpenSSL would call back: its events, and why a certificate was not
 * accepted.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static int state_index = -1;

/* Made on the first thing that is worth recording, so that a connection without incident costs nothing. */
typedef struct {
    int verify_error;
    int verify_depth; /* -1: nothing was recorded */
    X509 *verify_certificate;
    uint8_t *events;
    size_t events_length, events_room;
    int events_lost;
} state;

#define EVENTS_LIMIT 65536
_Static_assert(EVENTS_LIMIT <= 1 << 16 && WASSL_EVENT_SESSION < 1 << 8, "they fit the head of an event");

static void forget_events(state *s)
{
    free(s->events);
    s->events = NULL;
    s->events_length = s->events_room = 0;
}

static void free_state(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    state *s = p;

    if (s == NULL)
        return;
    X509_free(s->verify_certificate);
    forget_events(s);
    free(s);
}

int wassl_record_init(void)
{
    state_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_state);
    return state_index >= 0;
}

static state *state_of(SSL *ssl, int make)
{
    state *s = SSL_get_ex_data(ssl, state_index);

    if (s != NULL || !make)
        return s;
    if ((s = calloc(1, sizeof *s)) == NULL)
        return NULL;
    s->verify_depth = -1;
    if (!SSL_set_ex_data(ssl, state_index, s)) {
        free(s);
        return NULL;
    }
    return s;
}

/* ---- events ------------------------------------------------------------------------------------------------ */

void wassl_record_event(SSL *ssl, int kind, int sent, const void *payload, size_t length)
{
    state *s = state_of(ssl, 1);
    size_t padded = (length + 3) & ~(size_t)3, need;
    uint32_t head = (uint32_t)kind | (uint32_t)sent << 8 | (uint32_t)length << 16;

    if (s == NULL || s->events_lost)
        return;
    need = s->events_length + 4 + padded;
    if (need > s->events_room) {
        size_t room = need < 64 ? 64 : need * 2;
        uint8_t *more = room > EVENTS_LIMIT ? NULL : malloc(room);
        size_t length = s->events_length;

        if (more == NULL) {
            s->events_lost = 1;
            return;
        }
        if (length > 0)
            memcpy(more, s->events, length);
        forget_events(s);
        s->events = more;
        s->events_length = length;
        s->events_room = room;
    }
    memcpy(s->events + s->events_length, &head, 4);
    memset(s->events + s->events_length + 4, 0, padded);
    if (length > 0)
        memcpy(s->events + s->events_length + 4, payload, length);
    s->events_length = need;
}

EXPORT wassl_bytes *wassl_SSL_take_events(SSL *ssl)
{
    state *s = state_of(ssl, 0);
    wassl_bytes *out;

    if (s == NULL || (s->events_length == 0 && !s->events_lost))
        return NULL;
    /* room for the word that says some were lost */
    if ((out = wassl_bytes_new(NULL, s->events_length + (s->events_lost ? 4 : 0))) == NULL)
        return NULL;
    memcpy(out->data, s->events, s->events_length);
    if (s->events_lost)
        memset(out->data + s->events_length, 0, 4);
    forget_events(s);
    s->events_lost = 0;
    return out;
}

/* ---- the first failure of the verification ------------------------------------------------------------------ */

/* The first failure is the one that is reported; what follows it is mostly its consequence. */
int wassl_verify_callback(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *x = X509_STORE_CTX_get_current_cert(store);
    state *s;

    if (ok || ssl == NULL || (s = state_of(ssl, 1)) == NULL)
        return ok;
    ok = wassl_verify_mode(ssl) == WASSL_VERIFY_ANYWAY;
    if (s->verify_depth >= 0)
        return ok;
    s->verify_error = X509_STORE_CTX_get_error(store);
    s->verify_depth = X509_STORE_CTX_get_error_depth(store);
    if (x != NULL && X509_up_ref(x))
        s->verify_certificate = x;
    return ok;
}

void wassl_forget_verify_failure(SSL *ssl)
{
    state *s = state_of(ssl, 0);

    if (s != NULL) {
        X509_free(s->verify_certificate);
        s->verify_certificate = NULL;
        s->verify_error = 0;
        s->verify_depth = -1;
    }
}

EXPORT int wassl_SSL_verify_error(SSL *ssl)
{
    state *s = state_of(ssl, 0);

    return s == NULL ? X509_V_OK : s->verify_error;
}

EXPORT int wassl_SSL_verify_depth(SSL *ssl)
{
    state *s = state_of(ssl, 0);

    return s == NULL ? -1 : s->verify_depth;
}

EXPORT X509 *wassl_SSL_verify_certificate(SSL *ssl)
{
    state *s = state_of(ssl, 0);

    return s == NULL ? NULL : s->verify_certificate;
}
