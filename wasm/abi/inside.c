/* What lets one see inside a connection, or bind something to it: key log, record trace, exporters. */
#include "internal.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
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

EXPORT wassl_bytes *wassl_SSL_export_keying_material(SSL *ssl, size_t length, const char *label, const uint8_t *context, int context_length)
{
    wassl_bytes *out = wassl_bytes_new(NULL, length);

    if (out == NULL)
        return NULL;
    if (SSL_export_keying_material(ssl, out->data, length, label, strlen(label), context,
            context_length < 0 ? 0 : (size_t)context_length, context_length >= 0)
        == 1)
        return out;
    free(out);
    return NULL;
}

EXPORT int wassl_SSL_get_extms_support(SSL *s) { return (int)SSL_get_extms_support(s); }

/* The server's certificate of this connection. The one a resumed server would have shown is not known if it has several. */
static X509 *server_certificate(SSL *ssl)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    X509 *only = NULL;
    size_t i;

    if (!SSL_is_server(ssl))
        return SSL_get0_peer_certificate(ssl);
    if (sc == NULL)
        return NULL;
    if (!SSL_session_reused(ssl))
        return sc->s3.tmp.cert == NULL ? NULL : sc->s3.tmp.cert->x509;
    for (i = 0; i < sc->ssl_pkey_num; i++) {
        X509 *x = sc->cert->pkeys[i].x509;

        if (x != NULL && only != NULL)
            return NULL;
        if (x != NULL)
            only = x;
    }
    return only;
}

EXPORT wassl_bytes *wassl_SSL_server_end_point(SSL *ssl)
{
    X509 *x = server_certificate(ssl);
    int digest;
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    const EVP_MD *md;

    if (x == NULL || !X509_get_signature_info(x, &digest, NULL, NULL, NULL))
        return NULL;
    if (digest == NID_md5 || digest == NID_sha1)
        digest = NID_sha256;
    /* Signatures that have no hash of their own, as Ed25519's, have no such binding either. */
    if ((md = EVP_get_digestbynid(digest)) == NULL || !X509_digest(x, md, hash, &length))
        return NULL;
    return wassl_bytes_new(hash, length);
}
