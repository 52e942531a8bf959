/*
 * A client's fatal alert in the handshake of TLS 1.3. OpenSSL's client changes to the keys of the handshake just before
 * the first message of its own that needs them. What fails before would be told in the clear, and a server that has
 * changed its keys already takes that for a record that is damaged: BoringSSL's tells of one, and not of the alert. An
 * alert is encrypted as the connection is by then (RFC 8446 §6).
 */
#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

#include "ssl/record/methods/recmethod_local.h"

int __real_ssl3_send_alert(SSL_CONNECTION *, int, int);

/* ServerHello was good: what the server sends is encrypted. What the client sends is not yet; early data is. */
static int owes_keys(const SSL_CONNECTION *sc)
{
    const OSSL_RECORD_LAYER *reads = sc->rlayer.rrl, *writes = sc->rlayer.wrl;

    return !sc->server && SSL_CONNECTION_IS_TLS13(sc) && reads != NULL && writes != NULL
        && reads->level >= OSSL_RECORD_PROTECTION_LEVEL_HANDSHAKE && writes->level == OSSL_RECORD_PROTECTION_LEVEL_NONE
        && !RECORD_LAYER_write_pending(&sc->rlayer);
}

/* What goes in front of a client's first record that is encrypted, for middleboxes (RFC 8446 §D.4); if still to come. */
static int send_change_cipher_spec(SSL_CONNECTION *sc)
{
    static const unsigned char content[] = { SSL3_MT_CCS };
    OSSL_RECORD_TEMPLATE record = { SSL3_RT_CHANGE_CIPHER_SPEC, TLS1_2_VERSION, content, sizeof content };

    if (!(sc->options & SSL_OP_ENABLE_MIDDLEBOX_COMPAT) || sc->hello_retry_request != SSL_HRR_NONE
        || sc->statem.hand_state == TLS_ST_CW_CHANGE)
        return 1;
    /* In the handshake there is a buffer before the pair, which is empty when the server has answered. */
    return sc->rlayer.wrlmethod->write_records(sc->rlayer.wrl, &record, 1) == OSSL_RECORD_RETURN_SUCCESS;
}

int __wrap_ssl3_send_alert(SSL_CONNECTION *sc, int level, int description)
{
    if (level == SSL3_AL_FATAL && owes_keys(sc)
        && (!send_change_cipher_spec(sc)
            || !tls13_change_cipher_state(sc, SSL3_CC_HANDSHAKE | SSL3_CHANGE_CIPHER_CLIENT_WRITE)))
        return -1; /* without memory there are no keys, and no alert */
    return __real_ssl3_send_alert(sc, level, description);
}
