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

void wassl_message_callback(int sent, int version, int type, const void *data, size_t length, SSL *ssl, void *trace)
{
    const uint8_t *p = data;
    uint8_t header[5];

    if (type == SSL3_RT_ALERT && length == 2)
        wassl_record_event(ssl, WASSL_EVENT_ALERT, sent, data, length);
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
