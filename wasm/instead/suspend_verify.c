/*
 * Where a handshake waits for the verdict of the application on its peer, whose certificate OpenSSL has found good (or
 * whose failure is let pass): behind the message, see suspend.c for the questions and their answers.
 */
#include "suspend.h"

#include <openssl/err.h>

/* Behind a Certificate message that OpenSSL was content with. */
static WORK_STATE verify_outside(SSL_CONNECTION *sc, wassl_suspend *s)
{
    if (s->verify != ANSWERED) {
        s->verify = WAITING;
        sc->rwstate = SSL_RETRY_VERIFY;
        return WORK_MORE_B;
    }
    s->verify = NOTHING; /* there may be another one, after the handshake */
    sc->rwstate = SSL_NOTHING;
    if (s->verify_accepts)
        return WORK_FINISHED_CONTINUE;
    if (sc->verify_result == X509_V_OK)
        sc->verify_result = X509_V_ERR_APPLICATION_VERIFICATION;
    SSLfatal(sc, SSL_AD_BAD_CERTIFICATE, SSL_R_CERTIFICATE_VERIFY_FAILED);
    return WORK_ERROR;
}

static wassl_suspend *verifying(SSL_CONNECTION *sc)
{
    wassl_suspend *s = wassl_suspend_of(SSL_CONNECTION_GET_USER_SSL(sc), 0);

    return s != NULL && s->verify_mode != 0 && sc->session->peer != NULL ? s : NULL;
}

WORK_STATE __real_ossl_statem_client_post_process_message(SSL_CONNECTION *, WORK_STATE);
MSG_PROCESS_RETURN __real_ossl_statem_server_process_message(SSL_CONNECTION *, PACKET *);
WORK_STATE __real_ossl_statem_server_post_process_message(SSL_CONNECTION *, WORK_STATE);

WORK_STATE __wrap_ossl_statem_client_post_process_message(SSL_CONNECTION *sc, WORK_STATE work)
{
    wassl_suspend *s;

    if (sc->statem.hand_state != TLS_ST_CR_CERT || work != WORK_MORE_B) {
        work = __real_ossl_statem_client_post_process_message(sc, work);
        if (sc->statem.hand_state != TLS_ST_CR_CERT || work != WORK_FINISHED_CONTINUE)
            return work;
    }
    return (s = verifying(sc)) == NULL ? WORK_FINISHED_CONTINUE : verify_outside(sc, s);
}

MSG_PROCESS_RETURN __wrap_ossl_statem_server_process_message(SSL_CONNECTION *sc, PACKET *packet)
{
    MSG_PROCESS_RETURN ret = __real_ossl_statem_server_process_message(sc, packet);

    /* A server has no work behind this message by itself. */
    if (sc->statem.hand_state == TLS_ST_SR_CERT && ret == MSG_PROCESS_CONTINUE_READING && verifying(sc) != NULL)
        return MSG_PROCESS_CONTINUE_PROCESSING;
    return ret;
}

WORK_STATE __wrap_ossl_statem_server_post_process_message(SSL_CONNECTION *sc, WORK_STATE work)
{
    if (sc->statem.hand_state == TLS_ST_SR_CERT)
        return verify_outside(sc, verifying(sc));
    return __real_ossl_statem_server_post_process_message(sc, work);
}
