/*
 * Alerts that leave in pieces, since the BIO pair had no room for the whole record. OpenSSL takes the rest up again
 * only within SSL_shutdown, where a fatal alert never gets ("shutdown while in init"), so that the peer would see a
 * record that is cut instead of the reason. Nor does it tell the message callback of such an alert. Both are made good
 * here; no public function does either, hence OpenSSL's private headers.
 */
#include "abi.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

static SSL_CONNECTION *in_pieces(SSL *ssl)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);

    return sc != NULL && sc->s3.alert_dispatch == SSL_ALERT_DISPATCH_RETRY ? sc : NULL;
}

/* What ssl3_dispatch_alert does when an alert left at once. */
static void tell(SSL *ssl, SSL_CONNECTION *sc)
{
    if (sc->msg_callback != NULL)
        sc->msg_callback(1, sc->version, SSL3_RT_ALERT, sc->s3.send_alert, 2, ssl, sc->msg_callback_arg);
}

EXPORT int wassl_SSL_shutdown(SSL *ssl)
{
    SSL_CONNECTION *sc = in_pieces(ssl);
    int ret = SSL_shutdown(ssl);

    if (sc != NULL && in_pieces(ssl) == NULL)
        tell(ssl, sc);
    return ret;
}

EXPORT int wassl_SSL_dispatch_alert(SSL *ssl)
{
    SSL_CONNECTION *sc = in_pieces(ssl);

    if (sc != NULL) {
        if (ssl->method->ssl_dispatch_alert(ssl) <= 0)
            return 0;
        tell(ssl, sc);
    }
    /* In the handshake there is a buffer before the pair. */
    sc = SSL_CONNECTION_FROM_SSL(ssl);
    return sc == NULL || sc->wbio == NULL || BIO_flush(sc->wbio) > 0 || !BIO_should_retry(sc->wbio);
}
