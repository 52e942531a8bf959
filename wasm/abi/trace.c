/* What lets one see inside a connection: key log, record trace. The callbacks of OpenSSL fill the record. */
#include "internal.h"

#include <string.h>

static void keylog(const SSL *ssl, const char *line)
{
    wassl_record_event((SSL *)ssl, WASSL_EVENT_KEYLOG, 0, line, strlen(line));
}

EXPORT void wassl_SSL_CTX_set_keylog(SSL_CTX *ctx, int on) { SSL_CTX_set_keylog_callback(ctx, on ? keylog : NULL); }

/* Whether the argument of the message callback is set says whether all is recorded, or alerts only. */
EXPORT void wassl_SSL_CTX_set_trace(SSL_CTX *ctx, int on) { SSL_CTX_set_msg_callback_arg(ctx, on ? ctx : NULL); }
EXPORT void wassl_SSL_set_trace(SSL *ssl, int on) { SSL_set_msg_callback_arg(ssl, on ? ssl : NULL); }

/*
 * In TLS 1.3 the description alone says how grave an alert is, and OpenSSL goes by it, whatever level a peer writes
 * beside it (RFC 8446 §6): so it is told.
 */
static void record_alert(SSL *ssl, int sent, int version, const uint8_t *p)
{
    int mild = p[1] == SSL_AD_CLOSE_NOTIFY || p[1] == SSL_AD_USER_CANCELLED;
    uint8_t alert[2] = { p[0], p[1] };

    if (!sent && version == TLS1_3_VERSION)
        alert[0] = mild ? SSL3_AL_WARNING : SSL3_AL_FATAL;
    wassl_record_event(ssl, WASSL_EVENT_ALERT, sent, alert, sizeof alert);
}

void wassl_message_callback(int sent, int version, int type, const void *data, size_t length, SSL *ssl, void *trace)
{
    const uint8_t *p = data;
    uint8_t header[5];

    if (type == SSL3_RT_ALERT && length == 2)
        record_alert(ssl, sent, version, p);
    if (trace == NULL)
        return;
    if (type == SSL3_RT_HEADER && length >= sizeof header) {
        /* DTLS has its epoch and number before the length. */
        memcpy(header, p, 3);
        memcpy(header + 3, p + length - 2, 2);
        wassl_record_event(ssl, WASSL_EVENT_RECORD, sent, header, sizeof header);
    } else if (type == SSL3_RT_INNER_CONTENT_TYPE && length == 1) {
        wassl_record_event(ssl, WASSL_EVENT_CONTENT, sent, p, 1);
    } else if (type == SSL3_RT_HANDSHAKE && length >= 4) {
        wassl_record_event(ssl, WASSL_EVENT_HANDSHAKE, sent, p, 4);
    }
}
