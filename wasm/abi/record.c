/*
 * What is recorded about a connection where OpenSSL would call back: its events, and why a certificate was not
 * accepted.
 */
#include "internal.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static int state_index = -1;

/* One thing that is wrong with the peer's certificates. */
typedef struct {
    int error, depth;
    X509 *certificate;
} failure;

#define MOST_FAILURES 8

/* Made on the first thing that is worth recording, so that a connection without incident costs nothing. */
typedef struct {
    int failure_count;
    failure failures[MOST_FAILURES];
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

static void forget_failures(state *s)
{
    while (s->failure_count > 0)
        X509_free(s->failures[--s->failure_count].certificate);
}

static void free_state(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    state *s = p;

    if (s == NULL)
        return;
    forget_failures(s);
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

/* ---- why the peer's certificates are not good --------------------------------------------------------------- */

/*
 * Where the connection goes on all the same, OpenSSL does, and finds what else is wrong: the first failure is the reason,
 * and what follows is mostly its consequence. Of more than there is room for, the last takes the last place.
 */
int wassl_verify_callback(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *x = X509_STORE_CTX_get_current_cert(store);
    failure *f;
    state *s;

    if (ok || ssl == NULL || (s = state_of(ssl, 1)) == NULL)
        return ok;
    if (s->failure_count == MOST_FAILURES)
        X509_free(s->failures[--s->failure_count].certificate);
    f = &s->failures[s->failure_count++];
    f->error = X509_STORE_CTX_get_error(store);
    f->depth = X509_STORE_CTX_get_error_depth(store);
    f->certificate = x != NULL && X509_up_ref(x) ? x : NULL;
    return wassl_verify_mode(ssl) == WASSL_VERIFY_ANYWAY || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE;
}

void wassl_forget_verify_failure(SSL *ssl)
{
    state *s = state_of(ssl, 0);

    if (s != NULL)
        forget_failures(s);
}

/*
 * An issuer whose key OpenSSL cannot read, since it is of a kind that is left out here, is passed over as if it was not there. So
 * where an issuer is missed, it is looked for again, among the trust anchors and what the peer sent.
 */
void wassl_refine_failure(X509_STORE_CTX *ctx, int *error, int *depth, X509 **certificate)
{
    STACK_OF(X509) *anchors, *sent = X509_STORE_CTX_get0_untrusted(ctx);
    const X509_NAME *name;
    int i, n, all;

    if (*certificate == NULL
        || (*error != X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT && *error != X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY))
        return;
    name = X509_get_issuer_name(*certificate);
    ERR_set_mark();
    anchors = X509_STORE_CTX_get1_certs(ctx, name);
    n = anchors == NULL ? 0 : sk_X509_num(anchors);
    all = sent == NULL ? n : n + sk_X509_num(sent);
    for (i = 0; i < all; i++) {
        X509 *x = i < n ? sk_X509_value(anchors, i) : sk_X509_value(sent, i - n);

        if (X509_NAME_cmp(X509_get_subject_name(x), name) == 0 && X509_get0_pubkey(x) == NULL && X509_up_ref(x)) {
            X509_free(*certificate);
            *certificate = x;
            *error = X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY;
            ++*depth;
            break;
        }
    }
    ERR_pop_to_mark();
    OSSL_STACK_OF_X509_free(anchors);
}

/* Once it is clear that there is no other path. */
void wassl_refine_verify_failure(SSL *ssl, X509_STORE_CTX *store)
{
    state *s = state_of(ssl, 0);
    failure *first = s != NULL && s->failure_count > 0 ? s->failures : NULL;

    if (first != NULL)
        wassl_refine_failure(store, &first->error, &first->depth, &first->certificate);
}

EXPORT int wassl_SSL_verify_failures(SSL *ssl)
{
    state *s = state_of(ssl, 0);

    return s == NULL ? 0 : s->failure_count;
}

EXPORT int wassl_SSL_verify_error(SSL *ssl, int index) { return state_of(ssl, 0)->failures[index].error; }
EXPORT int wassl_SSL_verify_depth(SSL *ssl, int index) { return state_of(ssl, 0)->failures[index].depth; }
EXPORT X509 *wassl_SSL_verify_certificate(SSL *ssl, int index) { return state_of(ssl, 0)->failures[index].certificate; }
