/* What binds something to a connection: keying material, Finished messages, the hash of the server's certificate. */
#include "internal.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

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

EXPORT wassl_bytes *wassl_SSL_get_finished(SSL *ssl, int of_peer)
{
    size_t (*get)(const SSL *, void *, size_t) = of_peer ? SSL_get_peer_finished : SSL_get_finished;
    uint8_t data[EVP_MAX_MD_SIZE];
    size_t length = get(ssl, data, sizeof data);

    return length == 0 ? NULL : wassl_bytes_new(data, length);
}

/*
 * The server's certificate of this connection. The one a resumed server would have shown is not known if it has
 * several.
 */
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
