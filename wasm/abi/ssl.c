/* SSL: one connection. */
#include "internal.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

#include <openssl/err.h>

EXPORT SSL *wassl_SSL_new(SSL_CTX *ctx, BIO *internal)
{
    unsigned failures = wassl_failed_allocations;
    SSL *ssl = SSL_new(ctx);

    /* OpenSSL does not look whether it has the context's names and policies. */
    if (wassl_failed_allocations != failures) {
        SSL_free(ssl);
        return NULL;
    }
    if (ssl != NULL)
        SSL_set_bio(ssl, internal, internal);
    return ssl;
}

EXPORT void wassl_SSL_free(SSL *s)
{
    SSL_free(s);
    wassl_forget_stack();
}

EXPORT int wassl_SSL_clear(SSL *ssl)
{
    wassl_forget_verify_failure(ssl);
    return SSL_clear(ssl);
}

EXPORT void wassl_SSL_set_connect_state(SSL *s) { SSL_set_connect_state(s); }
EXPORT void wassl_SSL_set_accept_state(SSL *s) { SSL_set_accept_state(s); }
EXPORT int wassl_SSL_do_handshake(SSL *s) { return SSL_do_handshake(s); }
EXPORT int wassl_SSL_connect(SSL *s) { return SSL_connect(s); }
EXPORT int wassl_SSL_accept(SSL *s) { return SSL_accept(s); }
EXPORT int wassl_SSL_read(SSL *s, void *p, int n) { return SSL_read(s, p, n); }
EXPORT int wassl_SSL_peek(SSL *s, void *p, int n) { return SSL_peek(s, p, n); }
EXPORT int wassl_SSL_write(SSL *s, const void *p, int n) { return SSL_write(s, p, n); }
EXPORT int wassl_SSL_write_ex(SSL *s, const void *p, size_t n, size_t *w) { return SSL_write_ex(s, p, n, w); }
EXPORT int wassl_SSL_get_error(SSL *s, int ret) { return SSL_get_error(s, ret); }

static int answer(SSL *ssl, int ret)
{
    return ret > 0 ? ret : -SSL_get_error(ssl, ret);
}

EXPORT int wassl_try_handshake(SSL *ssl)
{
    int ret;

    wassl_ERR_clear_error();
    if ((ret = SSL_do_handshake(ssl)) == 1) {
        wassl_forget_key_exchange(ssl);
        wassl_keep_certificates(ssl);
    }
    return answer(ssl, ret);
}

EXPORT int wassl_try_read(SSL *ssl, void *p, int n)
{
    wassl_ERR_clear_error();
    return answer(ssl, SSL_read(ssl, p, n));
}

EXPORT int wassl_try_peek(SSL *ssl, void *p, int n)
{
    wassl_ERR_clear_error();
    return answer(ssl, SSL_peek(ssl, p, n));
}

/* What a record of TLS 1.3 adds (header 5, type 1, tag 16), and one for a KeyUpdate that goes ahead of it. */
#define RECORD_OVERHEAD 22
#define KEY_UPDATE 27

/*
 * Where a client may be asked for its certificate behind the handshake (RFC 8446 §4.6.2), OpenSSL writes messages of a
 * handshake when it reads, and fails ("bad length") if a record of data has left in part. So there a record is begun
 * once the pair has room for all of it. Returns how much of `n` bytes that is; 0 = not before the pair is drained.
 */
static int whole_record(SSL *ssl, int n)
{
    const SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    BIO *out = SSL_get_wbio(ssl);
    int most = n < SSL3_RT_MAX_PLAIN_LENGTH ? n : SSL3_RT_MAX_PLAIN_LENGTH, room;

    if (sc->post_handshake_auth == SSL_PHA_NONE || !SSL_CONNECTION_IS_TLS13(sc) || sc->rlayer.wpend_tot != 0)
        return n;
    room = (int)BIO_ctrl_get_write_guarantee(out) - RECORD_OVERHEAD - KEY_UPDATE;
    if (most <= room)
        return most;
    if (BIO_wpending(out) > 0)
        return 0;
    return room > 0 ? room : n; /* A pair that holds no record at all: it goes in parts. */
}

EXPORT int wassl_try_write(SSL *ssl, const void *p, int n)
{
    int ret;

    wassl_ERR_clear_error();
    /* SSL_write would first do this, too, and then not look at the room again. */
    if (SSL_in_init(ssl) && SSL_CONNECTION_FROM_SSL(ssl)->post_handshake_auth != SSL_PHA_NONE
        && (ret = SSL_do_handshake(ssl)) <= 0)
        return answer(ssl, ret);
    if (n > 0 && (n = whole_record(ssl, n)) == 0)
        return -SSL_ERROR_WANT_WRITE;
    return answer(ssl, SSL_write(ssl, p, n));
}

_Static_assert((int64_t)SSL_ERROR_WANT_RETRY_VERIFY << WASSL_MANY_SHIFT <= INT32_MAX, "a positive int has both");

/* What a loop over try_… comes to: bytes, and why it ended. */
static int many(int done, int ret)
{
    return done | (ret > 0 ? 0 : -ret << WASSL_MANY_SHIFT);
}

EXPORT int wassl_try_read_many(SSL *ssl, uint8_t *p, int n)
{
    int done = 0, ret = 1;

    while (done < n && (ret = wassl_try_read(ssl, p + done, n - done)) > 0)
        done += ret;
    return many(done, ret);
}

EXPORT int wassl_try_write_many(SSL *ssl, const uint8_t *p, int n)
{
    int done = 0, ret = 1;

    while (done < n) {
        int step = n - done < SSL3_RT_MAX_PLAIN_LENGTH ? n - done : SSL3_RT_MAX_PLAIN_LENGTH;

        if ((ret = wassl_try_write(ssl, p + done, step)) <= 0)
            break;
        done += ret;
    }
    return many(done, ret);
}

EXPORT int wassl_try_shutdown(SSL *ssl)
{
    int ret;

    wassl_ERR_clear_error();
    ret = wassl_SSL_shutdown(ssl);
    return ret >= 0 ? ret : -SSL_get_error(ssl, ret);
}

EXPORT int wassl_try_write_early_data(SSL *ssl, const void *p, int n)
{
    size_t written = 0;

    wassl_ERR_clear_error();
    return SSL_write_early_data(ssl, p, (size_t)n, &written) == 1 ? (int)written : -SSL_get_error(ssl, 0);
}

EXPORT int wassl_try_read_early_data(SSL *ssl, void *p, int n)
{
    size_t length = 0;
    int status;

    wassl_ERR_clear_error();
    status = SSL_read_early_data(ssl, p, (size_t)n, &length);
    return status == SSL_READ_EARLY_DATA_ERROR ? -SSL_get_error(ssl, 0) : (int)length;
}

EXPORT int wassl_SSL_get_early_data_status(SSL *s) { return SSL_get_early_data_status(s); }
EXPORT int wassl_SSL_write_early_data(SSL *s, const void *p, size_t n, size_t *w) { return SSL_write_early_data(s, p, n, w); }
EXPORT int wassl_SSL_read_early_data(SSL *s, void *p, size_t n, size_t *r) { return SSL_read_early_data(s, p, n, r); }

EXPORT int wassl_SSL_get_shutdown(SSL *s) { return SSL_get_shutdown(s); }
EXPORT void wassl_SSL_set_shutdown(SSL *s, int flags) { SSL_set_shutdown(s, flags); }
EXPORT void wassl_SSL_set_quiet_shutdown(SSL *s, int on) { SSL_set_quiet_shutdown(s, on); }
EXPORT int wassl_SSL_get_quiet_shutdown(SSL *s) { return SSL_get_quiet_shutdown(s); }
EXPORT int wassl_SSL_pending(SSL *s) { return SSL_pending(s); }
EXPORT int wassl_SSL_has_pending(SSL *s) { return SSL_has_pending(s); }
EXPORT int wassl_SSL_want(SSL *s) { return SSL_want(s); }
EXPORT int wassl_SSL_is_init_finished(SSL *s) { return SSL_is_init_finished(s); }
EXPORT int wassl_SSL_is_server(SSL *s) { return SSL_is_server(s); }
EXPORT uint64_t wassl_SSL_set_options(SSL *s, uint64_t o) { return SSL_set_options(s, o); }
EXPORT uint32_t wassl_SSL_set_mode(SSL *s, uint32_t m) { return (uint32_t)SSL_set_mode(s, m); }
EXPORT uint32_t wassl_SSL_clear_mode(SSL *s, uint32_t m) { return (uint32_t)SSL_clear_mode(s, m); }
EXPORT void wassl_SSL_set_post_handshake_auth(SSL *s, int on) { SSL_set_post_handshake_auth(s, on); }

EXPORT int wassl_SSL_get_post_handshake_auth(SSL *ssl)
{
    switch (SSL_CONNECTION_FROM_SSL(ssl)->post_handshake_auth) {
    case SSL_PHA_NONE:
        return WASSL_PHA_NONE;
    case SSL_PHA_EXT_SENT:
    case SSL_PHA_EXT_RECEIVED:
        return WASSL_PHA_OFFERED;
    default:
        return WASSL_PHA_ASKED;
    }
}

/* OpenSSL would begin a handshake that has nothing to say, and stumble over the data that the peer still sends. */
static int may_speak(SSL *s)
{
    if (!(SSL_get_shutdown(s) & SSL_SENT_SHUTDOWN))
        return 1;
    ERR_raise(ERR_LIB_SSL, SSL_R_PROTOCOL_IS_SHUTDOWN);
    return 0;
}


/* What was wrong with a certificate of before is no failure of the one that is asked for. */
EXPORT int wassl_SSL_verify_client_post_handshake(SSL *s)
{
    if (!may_speak(s) || !SSL_verify_client_post_handshake(s))
        return 0;
    wassl_forget_verify_failure(s);
    return 1;
}

EXPORT int wassl_SSL_key_update(SSL *s, int type) { return may_speak(s) && SSL_key_update(s, type); }
EXPORT int wassl_SSL_renegotiate(SSL *s) { return may_speak(s) && SSL_renegotiate(s); }
EXPORT int wassl_SSL_new_session_ticket(SSL *s) { return may_speak(s) && SSL_new_session_ticket(s); }

EXPORT int wassl_SSL_set_tlsext_host_name(SSL *s, const char *name) { return (int)SSL_set_tlsext_host_name(s, name); }
EXPORT int wassl_SSL_set1_host(SSL *s, const char *name) { return SSL_set1_host(s, name); }

EXPORT int wassl_SSL_set1_ip_asc(SSL *s, const char *ip)
{
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), ip);
}

EXPORT const char *wassl_SSL_get_version(SSL *s) { return SSL_get_version(s); }
EXPORT const char *wassl_SSL_get_cipher_name(SSL *s) { return SSL_CIPHER_get_name(SSL_get_current_cipher(s)); }
EXPORT const char *wassl_SSL_get_cipher_standard_name(SSL *s) { return SSL_CIPHER_standard_name(SSL_get_current_cipher(s)); }
EXPORT const char *wassl_SSL_get0_group_name(SSL *s) { return SSL_get0_group_name(s); }

EXPORT const char *wassl_SSL_get0_peer_signature_name(SSL *ssl)
{
    const char *name = NULL;

    return SSL_get0_peer_signature_name(ssl, &name) ? name : NULL;
}

EXPORT const char *wassl_SSL_get_servername(SSL *s)
{
    const char *name = SSL_get_servername(s, TLSEXT_NAMETYPE_host_name);

    return name == NULL && SSL_is_server(s) ? SSL_CONNECTION_FROM_SSL(s)->ext.hostname : name; /* resumed.c */
}

EXPORT const uint8_t *wassl_SSL_get0_alpn_selected(SSL *ssl, unsigned *length)
{
    const unsigned char *name = NULL;

    *length = 0;
    SSL_get0_alpn_selected(ssl, &name, length);
    return name;
}

EXPORT int wassl_SSL_session_reused(SSL *s) { return SSL_session_reused(s); }

/* A server's chain from OpenSSL lacks the leaf, a client's has it: here the leaf is first on both sides. */
static int leaf_is_apart(SSL *ssl)
{
    return SSL_is_server(ssl) && SSL_get0_peer_certificate(ssl) != NULL;
}

EXPORT int wassl_SSL_peer_certificate_count(SSL *ssl)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);

    return (chain == NULL ? 0 : sk_X509_num(chain)) + leaf_is_apart(ssl);
}

EXPORT X509 *wassl_SSL_get0_peer_certificate(SSL *ssl, int index)
{
    int apart = leaf_is_apart(ssl);

    if (apart && index == 0)
        return SSL_get0_peer_certificate(ssl);
    return sk_X509_value(SSL_get_peer_cert_chain(ssl), index - apart);
}

EXPORT STACK_OF(X509) *wassl_SSL_get0_verified_chain(SSL *s) { return SSL_get0_verified_chain(s); }
EXPORT int wassl_SSL_get_verify_result(SSL *s) { return (int)SSL_get_verify_result(s); }

EXPORT const char *wassl_X509_verify_cert_error_string(int e) { return X509_verify_cert_error_string(e); }
