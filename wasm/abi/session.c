/* SSL_SESSION: what makes the next handshake short. */
#include "internal.h"

#include "ssl/ssl_local.h"

#include <stdlib.h>
#include <string.h>

/*
 * The sessions that are new on a connection and were not fetched yet, oldest first. A TLS 1.3 server may send any
 * number of tickets at any time, so only the newest are kept.
 */
#define NEW_SESSIONS 8
typedef struct {
    int count;
    SSL_SESSION *list[NEW_SESSIONS];
} new_sessions;

static int new_sessions_index = -1;

static SSL_SESSION *take_oldest(new_sessions *n)
{
    SSL_SESSION *oldest = n->list[0];

    n->count--;
    memmove(n->list, n->list + 1, (size_t)n->count * sizeof *n->list);
    return oldest;
}

static void free_new_sessions(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    new_sessions *n = p;

    if (n == NULL)
        return;
    while (n->count > 0)
        SSL_SESSION_free(take_oldest(n));
    free(n);
}

int wassl_session_init(void)
{
    new_sessions_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_new_sessions);
    return new_sessions_index >= 0;
}

/* 1 = the reference is kept. */
static int keep_new_session(SSL *ssl, SSL_SESSION *session)
{
    new_sessions *n = SSL_get_ex_data(ssl, new_sessions_index);

    if (n == NULL) {
        if ((n = calloc(1, sizeof *n)) == NULL)
            return 0;
        if (!SSL_set_ex_data(ssl, new_sessions_index, n)) {
            free(n);
            return 0;
        }
    }
    if (n->count == NEW_SESSIONS)
        SSL_SESSION_free(take_oldest(n));
    n->list[n->count++] = session;
    wassl_record_event(ssl, WASSL_EVENT_SESSION, 0, NULL, 0);
    return 1;
}

EXPORT void wassl_SSL_CTX_keep_new_sessions(SSL_CTX *ctx, int on)
{
    SSL_CTX_sess_set_new_cb(ctx, on ? keep_new_session : NULL);
}

EXPORT SSL_SESSION *wassl_SSL_take_new_session(SSL *ssl)
{
    new_sessions *n = SSL_get_ex_data(ssl, new_sessions_index);

    return n == NULL || n->count == 0 ? NULL : take_oldest(n);
}

EXPORT SSL_SESSION *wassl_SSL_get1_session(SSL *s) { return SSL_get1_session(s); }
EXPORT int wassl_SSL_CTX_remove_session(SSL *s) { return SSL_CTX_remove_session(SSL_get_SSL_CTX(s), SSL_get_session(s)); }

EXPORT void wassl_SSL_SESSION_free(SSL_SESSION *s)
{
    /* Of one that others have still, nothing is gone. */
    int last = s != NULL && s->references.val == 1;

    SSL_SESSION_free(s);
    if (last)
        wassl_forget_stack();
}

EXPORT int wassl_SSL_SESSION_is_resumable(SSL_SESSION *s) { return SSL_SESSION_is_resumable(s); }
EXPORT int wassl_SSL_SESSION_get_protocol_version(SSL_SESSION *s) { return SSL_SESSION_get_protocol_version(s); }
EXPORT double wassl_SSL_SESSION_get_time(SSL_SESSION *s) { return (double)SSL_SESSION_get_time_ex(s); }
EXPORT double wassl_SSL_SESSION_get_timeout(SSL_SESSION *s) { return (double)SSL_SESSION_get_timeout(s); }
EXPORT int wassl_SSL_SESSION_has_ticket(SSL_SESSION *s) { return SSL_SESSION_has_ticket(s); }
EXPORT uint32_t wassl_SSL_SESSION_get_ticket_lifetime_hint(SSL_SESSION *s) { return (uint32_t)SSL_SESSION_get_ticket_lifetime_hint(s); }
EXPORT uint32_t wassl_SSL_SESSION_get_max_early_data(SSL_SESSION *s) { return SSL_SESSION_get_max_early_data(s); }
EXPORT const char *wassl_SSL_SESSION_get0_hostname(SSL_SESSION *s) { return SSL_SESSION_get0_hostname(s); }
EXPORT X509 *wassl_SSL_SESSION_get0_peer(SSL_SESSION *s) { return SSL_SESSION_get0_peer(s); }

EXPORT const uint8_t *wassl_SSL_SESSION_get0_alpn_selected(SSL_SESSION *session, unsigned *length)
{
    const unsigned char *name = NULL;
    size_t n = 0;

    SSL_SESSION_get0_alpn_selected(session, &name, &n);
    *length = (unsigned)n;
    return n > 0 ? name : NULL;
}

EXPORT wassl_bytes *wassl_i2d_SSL_SESSION(SSL_SESSION *session, int with_chain)
{
    STACK_OF(X509) *chain = with_chain ? session->peer_chain : NULL;
    int length = i2d_SSL_SESSION(session, NULL), i;
    size_t total = length <= 0 ? 0 : (size_t)length;
    unsigned char *p;
    wassl_bytes *b;

    for (i = 0; i < sk_X509_num(chain); i++)
        if (sk_X509_value(chain, i) != session->peer && (length = i2d_X509(sk_X509_value(chain, i), NULL)) > 0)
            total += (size_t)length;
    if (total == 0 || (b = wassl_bytes_new(NULL, total)) == NULL)
        return NULL;
    p = b->data;
    i2d_SSL_SESSION(session, &p);
    for (i = 0; i < sk_X509_num(chain); i++)
        if (sk_X509_value(chain, i) != session->peer)
            i2d_X509(sk_X509_value(chain, i), &p);
    return b;
}

EXPORT SSL_SESSION *wassl_d2i_SSL_SESSION(const uint8_t *data, size_t length)
{
    unsigned failures = wassl_failed_allocations;
    const unsigned char *p = data, *end = data + length;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &p, (long)length);
    X509 *x;

    while (session != NULL && p < end) {
        if (session->peer_chain == NULL)
            session->peer_chain = sk_X509_new_null();
        x = d2i_X509(NULL, &p, (long)(end - p));
        if (x == NULL || session->peer_chain == NULL || !sk_X509_push(session->peer_chain, x)) {
            X509_free(x);
            SSL_SESSION_free(session);
            return NULL;
        }
    }
    if (wassl_failed_allocations != failures) { /* the key of its certificate may be missing */
        SSL_SESSION_free(session);
        return NULL;
    }
    return session;
}

/* A client's chain begins with the peer's own certificate. */
static int complete_chain(SSL_SESSION *session)
{
    X509 *peer = session->peer;

    if (peer == NULL || sk_X509_value(session->peer_chain, 0) == peer)
        return 1;
    if (session->peer_chain == NULL && (session->peer_chain = sk_X509_new_null()) == NULL)
        return 0;
    if (!X509_up_ref(peer))
        return 0;
    if (!sk_X509_unshift(session->peer_chain, peer)) {
        X509_free(peer);
        return 0;
    }
    return 1;
}

EXPORT int wassl_SSL_set_session(SSL *ssl, SSL_SESSION *session)
{
    return complete_chain(session) && SSL_set_session(ssl, session);
}

EXPORT int wassl_SSL_verify_session(SSL *ssl, SSL_SESSION *session)
{
    int result = (int)session->verify_result;

    if (result != X509_V_OK)
        return result;
    result = session->peer == NULL || !complete_chain(session) ? X509_V_ERR_UNSPECIFIED : wassl_verify_now(ssl, session->peer_chain);
    wassl_forget_verdict(ssl);
    return result;
}

/* A client's sessions bear a mark of ours, which is never sent: see resumption.ts. */
EXPORT int wassl_SSL_SESSION_set_mark(SSL_SESSION *s, const uint8_t *p, size_t n) { return SSL_SESSION_set1_ticket_appdata(s, p, n); }

EXPORT const uint8_t *wassl_SSL_SESSION_get0_mark(SSL_SESSION *session, size_t *length)
{
    void *mark = NULL;

    *length = 0;
    return SSL_SESSION_get0_ticket_appdata(session, &mark, length) && *length > 0 ? mark : NULL;
}

EXPORT void wassl_SSL_CTX_verify_resumed(SSL_CTX *ctx, uint32_t max_age)
{
    SSL_CTX_set_session_ticket_cb(ctx, wassl_keep_chain, NULL, (void *)max_age);
}
