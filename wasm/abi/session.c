/* SSL_SESSION: what makes the next handshake short. */
#include "internal.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/*
 * The sessions that are new on a connection and nobody has fetched yet, oldest first. A TLS 1.3 server may send any number of
 * tickets at any time, so only the newest are kept.
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

/* Whether we would accept that chain now. */
static int verify_now(SSL *ssl, STACK_OF(X509) *chain)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    int result = X509_V_ERR_UNSPECIFIED;

    ERR_set_mark();
    if (ssl_verify_cert_chain(sc, chain) > 0 || sc->verify_result != X509_V_OK)
        result = (int)sc->verify_result;
    ERR_pop_to_mark();
    return result;
}

/* The connection is as it was before verify_now: its handshake is still to come. But a path that was found good stays. */
static void forget_verdict(SSL *ssl)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);

    if (sc->verify_result != X509_V_OK) {
        OSSL_STACK_OF_X509_free(sc->verified_chain);
        sc->verified_chain = NULL;
    }
    sc->verify_result = X509_V_OK;
    wassl_forget_verify_failure(ssl);
}

EXPORT int wassl_SSL_verify_session(SSL *ssl, SSL_SESSION *session)
{
    int result = (int)session->verify_result;

    if (result != X509_V_OK)
        return result;
    result = session->peer == NULL || !complete_chain(session) ? X509_V_ERR_UNSPECIFIED : verify_now(ssl, session->peer_chain);
    forget_verdict(ssl);
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

/* ---- a server's sessions, verified again ------------------------------------------------------------------ */

/* What is above a client's certificate goes with the ticket up to here; beyond it the client has to show it again. */
#define LONGEST_CHAIN 8192

/* Before a ticket is made. i2d_SSL_SESSION leaves the chain out. */
static int keep_chain(SSL *ssl, void *arg)
{
    SSL_SESSION *session = SSL_get_session(ssl);
    unsigned char *der = NULL, *p;
    size_t total = 0;
    int i, ok;

    for (i = 0; i < sk_X509_num(session->peer_chain); i++)
        total += (size_t)i2d_X509(sk_X509_value(session->peer_chain, i), NULL);
    if (total > LONGEST_CHAIN)
        total = 0;
    if (total > 0 && (der = p = malloc(total)) == NULL)
        return 0;
    for (i = 0; total > 0 && i < sk_X509_num(session->peer_chain); i++)
        i2d_X509(sk_X509_value(session->peer_chain, i), &p);
    ok = SSL_SESSION_set1_ticket_appdata(session, der, total);
    free(der);
    return ok;
}

/* The client's certificate and those above it, each with a reference. */
static STACK_OF(X509) *whole_chain(SSL_SESSION *session)
{
    STACK_OF(X509) *chain;
    const unsigned char *p;
    void *data = NULL;
    size_t length = 0;
    X509 *x;

    if (session->peer_chain == NULL) { /* it comes from a ticket */
        SSL_SESSION_get0_ticket_appdata(session, &data, &length);
        if ((session->peer_chain = sk_X509_new_null()) == NULL)
            return NULL;
        for (p = data; length > 0 && p < (unsigned char *)data + length;) {
            x = d2i_X509(NULL, &p, (long)((unsigned char *)data + length - p));
            if (x == NULL || !sk_X509_push(session->peer_chain, x)) {
                X509_free(x);
                return NULL;
            }
        }
    }
    chain = X509_chain_up_ref(session->peer_chain);
    if (chain == NULL || !X509_up_ref(session->peer))
        return chain;
    if (!sk_X509_unshift(chain, session->peer)) {
        X509_free(session->peer);
        OSSL_STACK_OF_X509_free(chain);
        return NULL;
    }
    return chain;
}

EXPORT void wassl_SSL_CTX_verify_resumed(SSL_CTX *ctx) { SSL_CTX_set_session_ticket_cb(ctx, keep_chain, NULL, NULL); }

/*
 * A session gets nobody in where a full handshake would not: who has to show a certificate has shown one, and it is verified
 * again. The verdict of then must be the one of now; one that is not good is only for who asks the application, which is told
 * the present one.
 */
static int lets_in(SSL_CONNECTION *sc, SSL *ssl, SSL_SESSION *session)
{
    STACK_OF(X509) *chain;
    int result;

    if (session->peer == NULL)
        return !(sc->verify_mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    if (!(sc->verify_mode & SSL_VERIFY_PEER)) /* it would not be asked for a certificate, and has none here */
        return 0;
    if ((chain = whole_chain(session)) == NULL)
        return 0;
    result = verify_now(ssl, chain);
    OSSL_STACK_OF_X509_free(chain);
    sc->verify_result = result;
    return result == session->verify_result && (result == X509_V_OK || wassl_verify_mode(ssl) == WASSL_VERIFY_ANYWAY);
}

int __real_ssl_get_prev_session(SSL_CONNECTION *, CLIENTHELLO_MSG *);

/* What the client wants to resume, or 0: then the handshake is a full one. */
int __wrap_ssl_get_prev_session(SSL_CONNECTION *sc, CLIENTHELLO_MSG *hello)
{
    int found = __real_ssl_get_prev_session(sc, hello);
    SSL *ssl = SSL_CONNECTION_GET_USER_SSL(sc);
    SSL_SESSION *session = sc->session;

    if (found != 1 || SSL_CONNECTION_GET_CTX(sc)->generate_ticket_cb != keep_chain)
        return found;
    if (lets_in(sc, ssl, session)) {
        /* The application is asked when the handshake is done, and early data would be told before. */
        if (session->peer != NULL && wassl_verify_mode(ssl) != 0)
            sc->ext.early_data_ok = 0;
        return 1;
    }
    forget_verdict(ssl);
    SSL_CTX_remove_session(sc->session_ctx, session);
    SSL_SESSION_free(session);
    sc->session = NULL;
    /* It gets a new ticket, if it knows tickets. */
    if (SSL_CONNECTION_IS_TLS13(sc) || hello->pre_proc_exts[TLSEXT_IDX_session_ticket].present)
        sc->ext.ticket_expected = 1;
    return 0;
}

/* ---- sessions of TLS 1.2 are none in TLS 1.3 ---------------------------------------------------------------- */

SSL_TICKET_STATUS __real_tls_decrypt_ticket(SSL_CONNECTION *, const unsigned char *, size_t, const unsigned char *, size_t, SSL_SESSION **);

/*
 * Of a ticket OpenSSL compares the version (its cache does at once) when it has looked at the PSK's binder with the hash of the session's cipher, which for one of
 * TLS 1.2 may be none that TLS 1.3 has: then it fails. Such an identity is unknown (RFC 8446 §4.2.11).
 */
static int of_another_version(SSL_CONNECTION *sc, SSL_SESSION **session)
{
    if (*session == NULL || !SSL_CONNECTION_IS_TLS13(sc) || (*session)->ssl_version == sc->version)
        return 0;
    SSL_SESSION_free(*session);
    *session = NULL;
    sc->ext.ticket_expected = 1;
    return 1;
}

SSL_TICKET_STATUS __wrap_tls_decrypt_ticket(SSL_CONNECTION *sc, const unsigned char *ticket, size_t length,
    const unsigned char *id, size_t id_length, SSL_SESSION **session)
{
    SSL_TICKET_STATUS status = __real_tls_decrypt_ticket(sc, ticket, length, id, id_length, session);

    return of_another_version(sc, session) ? SSL_TICKET_NO_DECRYPT : status;
}

EXPORT void wassl_SHA256(const uint8_t *data, size_t length, uint8_t *out) { SHA256(data, length, out); }

/* ---- early data (RFC 8446 §2.3) */

EXPORT int wassl_SSL_CTX_set_max_early_data(SSL_CTX *c, uint32_t n) { return SSL_CTX_set_max_early_data(c, n); }
EXPORT int wassl_SSL_CTX_set_recv_max_early_data(SSL_CTX *c, uint32_t n) { return SSL_CTX_set_recv_max_early_data(c, n); }
EXPORT int wassl_SSL_get_early_data_status(SSL *s) { return SSL_get_early_data_status(s); }
EXPORT int wassl_SSL_write_early_data(SSL *s, const void *p, size_t n, size_t *w) { return SSL_write_early_data(s, p, n, w); }
EXPORT int wassl_SSL_read_early_data(SSL *s, void *p, size_t n, size_t *r) { return SSL_read_early_data(s, p, n, r); }
