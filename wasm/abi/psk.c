/* External pre-shared keys: TLS 1.3 (RFC 8446 §4.2.11) and the PSK suites of TLS 1.2 (RFC 4279). */
#include "internal.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

#include <openssl/err.h>
#include <string.h>

static int psk_index = -1, external_index = -1, used_index = -1;

typedef struct psk {
    struct psk *next;
    uint8_t cipher[2]; /* of TLS 1.3: it fixes the hash that the key is for */
    size_t identity_length, key_length;
    uint8_t *key;         /* behind the identity */
    char identity[];      /* ends with a NUL, for TLS 1.2 */
} psk;

static void free_psks(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    psk *k = p, *next;

    for (; k != NULL; k = next) {
        next = k->next;
        OPENSSL_clear_free(k, sizeof *k + k->identity_length + 1 + k->key_length);
    }
}

int wassl_psk_init(void)
{
    psk_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_psks);
    external_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    used_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return psk_index >= 0 && external_index >= 0 && used_index >= 0;
}

static psk *psks_of(SSL *ssl) { return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), psk_index); }

static SSL_SESSION *session_for(SSL *ssl, const psk *k)
{
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, k->cipher);
    SSL_SESSION *s = cipher == NULL ? NULL : SSL_SESSION_new();

    if (s != NULL
        && (!SSL_SESSION_set1_master_key(s, k->key, k->key_length) || !SSL_SESSION_set_cipher(s, cipher)
            || !SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION)
            || !SSL_SESSION_set_ex_data(s, external_index, (void *)k->cipher)
            || (s->psk_identity = OPENSSL_strdup(k->identity)) == NULL)) {
        SSL_SESSION_free(s);
        s = NULL;
    }
    return s;
}

static int is_for(SSL *ssl, const psk *k, const EVP_MD *md)
{
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, k->cipher);

    return md == NULL || cipher == NULL
        || EVP_MD_get_type(md) == EVP_MD_get_type(SSL_CIPHER_get_handshake_digest(cipher));
}

/* OpenSSL offers one. After a HelloRetryRequest the hash is settled; a key for another one is not offered. */
static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_length, SSL_SESSION **out)
{
    psk *k = psks_of(ssl);

    *out = NULL;
    *id = NULL;
    *id_length = 0;
    if (k == NULL)
        return 0;
    while (k != NULL && !is_for(ssl, k, md))
        k = k->next;
    if (k == NULL)
        return 1;
    if ((*out = session_for(ssl, k)) == NULL)
        return 0;
    *id = (const unsigned char *)k->identity;
    *id_length = k->identity_length;
    return 1;
}

static psk *find(SSL *ssl, const void *id, size_t length)
{
    psk *k = psks_of(ssl);

    while (k != NULL && (length != k->identity_length || memcmp(id, k->identity, length) != 0))
        k = k->next;
    return k;
}

static int find_session(SSL *ssl, const unsigned char *id, size_t id_length, SSL_SESSION **out)
{
    psk *k = find(ssl, id, id_length);

    *out = NULL;
    if (k == NULL) /* unknown: a full handshake, or a ticket */
        return 1;
    *out = session_for(ssl, k);
    return *out != NULL;
}

/* The connection knows it from then on. A ticket that comes of the session makes one that is resumed, and no external one. */
void wassl_psk_found(SSL *ssl, SSL_SESSION *session)
{
    SSL_set_ex_data(ssl, used_index, SSL_SESSION_get_ex_data(session, external_index));
    SSL_SESSION_set_ex_data(session, external_index, NULL);
}

EXPORT int wassl_SSL_used_psk(SSL *ssl)
{
    SSL_SESSION *session = SSL_get_session(ssl);

    /* A client's session becomes another with the first ticket. */
    if (SSL_get_ex_data(ssl, used_index) == NULL && session != NULL && SSL_session_reused(ssl))
        wassl_psk_found(ssl, session);
    return SSL_get_ex_data(ssl, used_index) != NULL;
}

EXPORT const char *wassl_SSL_get_psk_identity(SSL *ssl) { return SSL_get_psk_identity(ssl); }

static unsigned give_key(const psk *k, unsigned char *out, unsigned room)
{
    if (k->key_length > room)
        return 0;
    memcpy(out, k->key, k->key_length);
    return (unsigned)k->key_length;
}

static unsigned client_psk(SSL *ssl, const char *hint, char *id, unsigned id_room, unsigned char *key, unsigned room)
{
    /* RFC 4279 §5.2: the server may say which one it means. */
    psk *k = hint == NULL ? NULL : find(ssl, hint, strlen(hint));

    if (k == NULL)
        k = psks_of(ssl);
    /* OpenSSL has filled the room with NUL, and has one more behind it. */
    if (k == NULL || k->identity_length > id_room)
        return 0;
    memcpy(id, k->identity, k->identity_length);
    return give_key(k, key, room);
}

static unsigned server_psk(SSL *ssl, const char *id, unsigned char *key, unsigned room)
{
    psk *k = find(ssl, id, strlen(id));

    return k == NULL ? 0 : give_key(k, key, room);
}

EXPORT int wassl_SSL_CTX_add_psk(SSL_CTX *ctx, const char *identity, const uint8_t *key, size_t key_length, int cipher)
{
    size_t identity_length = strlen(identity);
    psk *k, *last = SSL_CTX_get_ex_data(ctx, psk_index);

    if (key_length == 0 || key_length > PSK_MAX_PSK_LEN || identity_length == 0 || identity_length > PSK_MAX_IDENTITY_LEN) {
        ERR_raise(ERR_LIB_SSL, ERR_R_PASSED_INVALID_ARGUMENT);
        return 0;
    }
    if ((k = OPENSSL_malloc(sizeof *k + identity_length + 1 + key_length)) == NULL)
        return 0;
    k->next = NULL;
    k->cipher[0] = (uint8_t)(cipher >> 8);
    k->cipher[1] = (uint8_t)cipher;
    k->identity_length = identity_length;
    k->key_length = key_length;
    memcpy(k->identity, identity, identity_length + 1);
    k->key = (uint8_t *)k->identity + identity_length + 1;
    memcpy(k->key, key, key_length);
    if (last != NULL) {
        while (last->next != NULL)
            last = last->next;
        last->next = k;
        return 1;
    }
    if (!SSL_CTX_set_ex_data(ctx, psk_index, k)) {
        free_psks(NULL, k, NULL, 0, 0, NULL);
        return 0;
    }
    SSL_CTX_set_psk_use_session_callback(ctx, use_session);
    SSL_CTX_set_psk_find_session_callback(ctx, find_session);
    SSL_CTX_set_psk_client_callback(ctx, client_psk);
    SSL_CTX_set_psk_server_callback(ctx, server_psk);
    return 1;
}
