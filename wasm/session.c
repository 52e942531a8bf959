/* SSL_SESSION: what makes the next handshake short. */
#include "tls.h"

#include <stdlib.h>

EXPORT SSL_SESSION *tls_SSL_get1_session(SSL *s) { return SSL_get1_session(s); }
EXPORT int tls_SSL_set_session(SSL *s, SSL_SESSION *session) { return SSL_set_session(s, session); }
EXPORT int tls_SSL_CTX_remove_session(SSL *s) { return SSL_CTX_remove_session(SSL_get_SSL_CTX(s), SSL_get_session(s)); }
EXPORT void tls_SSL_SESSION_free(SSL_SESSION *s) { SSL_SESSION_free(s); }
EXPORT int tls_SSL_SESSION_is_resumable(SSL_SESSION *s) { return SSL_SESSION_is_resumable(s); }
EXPORT int tls_SSL_SESSION_get_protocol_version(SSL_SESSION *s) { return SSL_SESSION_get_protocol_version(s); }

EXPORT tls_bytes *tls_i2d_SSL_SESSION(SSL_SESSION *s)
{
    int length = i2d_SSL_SESSION(s, NULL);
    tls_bytes *b = length <= 0 ? NULL : tls_bytes_new(NULL, (size_t)length);
    unsigned char *p = b == NULL ? NULL : b->data;

    if (b != NULL && i2d_SSL_SESSION(s, &p) != length) {
        free(b);
        return NULL;
    }
    return b;
}

EXPORT SSL_SESSION *tls_d2i_SSL_SESSION(const uint8_t *data, size_t length)
{
    const unsigned char *p = data;

    return d2i_SSL_SESSION(NULL, &p, (long)length);
}
