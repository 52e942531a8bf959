/*
 * OpenSSL verifies nothing when it resumes. Here a server resumes a session only if it would accept the client now, and
 * its tickets hold the certificates above the client's own for that; what a session of another version is worth is
 * looked at in time.
 */
#include "internal.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Whether we would accept that chain now. */
int wassl_verify_now(SSL *ssl, STACK_OF(X509) *chain)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    int result = X509_V_ERR_UNSPECIFIED;

    ERR_set_mark();
    if (ssl_verify_cert_chain(sc, chain) > 0 || sc->verify_result != X509_V_OK)
        result = (int)sc->verify_result;
    ERR_pop_to_mark();
    return result;
}

/*
 * The connection is as it was before wassl_verify_now: its handshake is still to come. But a path that was found good
 * stays.
 */
void wassl_forget_verdict(SSL *ssl)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);

    if (sc->verify_result != X509_V_OK) {
        OSSL_STACK_OF_X509_free(sc->verified_chain);
        sc->verified_chain = NULL;
    }
    sc->verify_result = X509_V_OK;
    wassl_forget_verify_failure(ssl);
}

/* ---- a server's sessions, verified again ------------------------------------------------------------------ */
/* What is above a client's certificate goes with the ticket up to here; beyond it the client has to show it again. */
#define LONGEST_CHAIN 8192

/* When the full handshake was, in seconds since 1970, stands before the chain. */
#define BIRTH sizeof(int64_t)

/* -1 = nobody knows. */
static int64_t birth_of(SSL_SESSION *session)
{
    void *data = NULL;
    size_t length = 0;
    int64_t born = -1;

    SSL_SESSION_get0_ticket_appdata(session, &data, &length);
    if (length >= BIRTH)
        memcpy(&born, data, BIRTH);
    return born;
}

/* A ticket is renewed with each use, and OpenSSL counts anew each time (RFC 8446 §4.6.1). */
static int is_too_old(SSL_CONNECTION *sc, SSL_SESSION *session)
{
    int64_t born = birth_of(session), age;

    if (born < 0) /* without a ticket, as TLS 1.2 has sessions in the server's memory, nothing is renewed */
        born = (int64_t)SSL_SESSION_get_time_ex(session);
    age = (int64_t)time(NULL) - born;
    return age < 0 || age >= (int64_t)(uintptr_t)SSL_CONNECTION_GET_CTX(sc)->ticket_cb_data;
}

/* Before a ticket is made. i2d_SSL_SESSION leaves the chain out. */
int wassl_keep_chain(SSL *ssl, void *arg)
{
    SSL_SESSION *session = SSL_get_session(ssl);
    int64_t born = birth_of(session);
    unsigned char *der, *p;
    size_t total = 0;
    int i, ok;

    for (i = 0; i < sk_X509_num(session->peer_chain); i++)
        total += (size_t)i2d_X509(sk_X509_value(session->peer_chain, i), NULL);
    if (total > LONGEST_CHAIN)
        total = 0;
    if ((der = malloc(BIRTH + total)) == NULL)
        return 0;
    if (born < 0)
        born = (int64_t)time(NULL);
    memcpy(der, &born, BIRTH);
    p = der + BIRTH;
    for (i = 0; total > 0 && i < sk_X509_num(session->peer_chain); i++)
        i2d_X509(sk_X509_value(session->peer_chain, i), &p);
    ok = SSL_SESSION_set1_ticket_appdata(session, der, BIRTH + total);
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
        for (p = (unsigned char *)data + BIRTH; length > BIRTH && p < (unsigned char *)data + length;) {
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

/* A client that is asked for its certificate behind the handshake need not have shown one in it (TLS 1.3). */
static int must_have_shown(SSL_CONNECTION *sc)
{
    return (sc->verify_mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT)
        && !(SSL_CONNECTION_IS_TLS13(sc) && (sc->verify_mode & SSL_VERIFY_POST_HANDSHAKE));
}

/*
 * A session lets no client in where a full handshake would not: a client that must show a certificate has shown one,
 * and it is verified again. The verdict of then must be the one of now. A verdict that is not good counts only where
 * the application is asked, which is told the present one.
 */
static int lets_in(SSL_CONNECTION *sc, SSL *ssl, SSL_SESSION *session)
{
    STACK_OF(X509) *chain;
    int result;

    if (!wassl_SSL_used_psk(ssl) && is_too_old(sc, session))
        return 0;
    if (session->peer == NULL)
        return !must_have_shown(sc);
    if (!(sc->verify_mode & SSL_VERIFY_PEER)) /* it would not be asked for a certificate, and has none here */
        return 0;
    if ((chain = whole_chain(session)) == NULL)
        return 0;
    result = wassl_verify_now(ssl, chain);
    OSSL_STACK_OF_X509_free(chain);
    sc->verify_result = result;
    return result == session->verify_result && (result == X509_V_OK || wassl_verify_mode(ssl) == WASSL_VERIFY_ANYWAY);
}

/*
 * Of a TLS 1.2 session that is resumed OpenSSL tells the name of the first handshake, and keeps none unless the server
 * confirms it. This keeps what the client asks for now, which a server may go by, and confirms nothing. A callback for
 * names would do that too, but with one OpenSSL takes a server for one of TLS 1.3 whatever its certificates are.
 */
static int keep_server_name(SSL_CONNECTION *sc, const CLIENTHELLO_MSG *hello)
{
    const RAW_EXTENSION *extension = &hello->pre_proc_exts[TLSEXT_IDX_server_name];
    PACKET data = extension->data, list, name;
    unsigned int type;

    if (SSL_CONNECTION_IS_TLS13(sc) || !extension->present || sc->ext.hostname != NULL
        || !PACKET_get_length_prefixed_2(&data, &list) || !PACKET_get_1(&list, &type)
        || type != TLSEXT_NAMETYPE_host_name || !PACKET_get_length_prefixed_2(&list, &name)
        || PACKET_remaining(&name) > TLSEXT_MAXLEN_host_name || PACKET_contains_zero_byte(&name))
        return 1; /* what is wrong with the extension OpenSSL will say */
    return PACKET_strndup(&name, &sc->ext.hostname);
}

int __real_ssl_get_prev_session(SSL_CONNECTION *, CLIENTHELLO_MSG *);

/* What the client wants to resume, or 0: then the handshake is a full one. */
int __wrap_ssl_get_prev_session(SSL_CONNECTION *sc, CLIENTHELLO_MSG *hello)
{
    int found = __real_ssl_get_prev_session(sc, hello);
    SSL *ssl = SSL_CONNECTION_GET_USER_SSL(sc);
    SSL_SESSION *session = sc->session;

    if (found == 1 && !keep_server_name(sc, hello)) {
        SSLfatal(sc, SSL_AD_INTERNAL_ERROR, ERR_R_CRYPTO_LIB);
        return -1;
    }
    if (found == 1)
        wassl_psk_found(ssl, session);
    if (found != 1 || SSL_CONNECTION_GET_CTX(sc)->generate_ticket_cb != wassl_keep_chain)
        return found;
    if (lets_in(sc, ssl, session)) {
        /* The application is asked when the handshake is done, and early data would be told before. */
        if (session->peer != NULL && wassl_verify_mode(ssl) != 0)
            sc->ext.early_data_ok = 0;
        return 1;
    }
    wassl_forget_verdict(ssl);
    SSL_CTX_remove_session(sc->session_ctx, session);
    SSL_SESSION_free(session);
    sc->session = NULL;
    /* It gets a new ticket, if it knows tickets. */
    if (SSL_CONNECTION_IS_TLS13(sc) || hello->pre_proc_exts[TLSEXT_IDX_session_ticket].present)
        sc->ext.ticket_expected = 1;
    return 0;
}

/* ---- sessions of TLS 1.2 are none in TLS 1.3 ---------------------------------------------------------------- */

SSL_TICKET_STATUS __real_tls_decrypt_ticket(SSL_CONNECTION *, const unsigned char *, size_t, const unsigned char *, size_t,
    SSL_SESSION **);

/*
 * Of a ticket OpenSSL compares the version (its cache does at once) when it has looked at the PSK's binder with the
 * hash of the session's cipher, which for one of TLS 1.2 may be none that TLS 1.3 has: then it fails. Such an identity
 * is unknown (RFC 8446 §4.2.11).
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
