/* External pre-shared keys: TLS 1.3 (RFC 8446 §4.2.11) and the PSK suites of TLS 1.2 (RFC 4279). */
#include "internal.h"

#include <openssl/err.h>
#include <string.h>

static int psk_index = -1;

typedef struct {
    uint8_t cipher[2]; /* of TLS 1.3: it fixes the hash that the key is for */
    size_t identity_length, key_length;
    uint8_t *key;         /* behind the identity */
    char identity[];      /* ends with a NUL, for TLS 1.2 */
} psk;

static void free_psk(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    psk *k = p;

    if (k != NULL)
        OPENSSL_clear_free(k, sizeof *k + k->identity_length + 1 + k->key_length);
}

int wassl_psk_init(void)
{
    psk_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_psk);
    return psk_index >= 0;
}

static psk *psk_of(SSL *ssl) { return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), psk_index); }

static SSL_SESSION *session_for(SSL *ssl, const psk *k)
{
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, k->cipher);
    SSL_SESSION *s = cipher == NULL ? NULL : SSL_SESSION_new();

    if (s != NULL
        && (!SSL_SESSION_set1_master_key(s, k->key, k->key_length) || !SSL_SESSION_set_cipher(s, cipher)
            || !SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION))) {
        SSL_SESSION_free(s);
        s = NULL;
    }
    return s;
}

static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_length, SSL_SESSION **out)
{
    psk *k = psk_of(ssl);
    SSL_SESSION *s = k == NULL ? NULL : session_for(ssl, k);

    *out = NULL;
    *id = NULL;
    *id_length = 0;
    if (s == NULL)
        return 0;
    /* After a HelloRetryRequest the hash is settled; a key for another one is not offered. */
    if (md != NULL && EVP_MD_get_type(md) != EVP_MD_get_type(SSL_CIPHER_get_handshake_digest(SSL_SESSION_get0_cipher(s)))) {
        SSL_SESSION_free(s);
        return 1;
    }
    *out = s;
    *id = (const unsigned char *)k->identity;
    *id_length = k->identity_length;
    return 1;
}

static int is_identity(const psk *k, const void *id, size_t length)
{
    return length == k->identity_length && memcmp(id, k->identity, length) == 0;
}

static int find_session(SSL *ssl, const unsigned char *id, size_t id_length, SSL_SESSION **out)
{
    psk *k = psk_of(ssl);

    *out = NULL;
    if (k == NULL || !is_identity(k, id, id_length)) /* unknown: a full handshake, or a ticket */
        return 1;
    *out = session_for(ssl, k);
    return *out != NULL;
}

static unsigned give_key(const psk *k, unsigned char *out, unsigned room)
{
    if (k->key_length > room)
        return 0;
    memcpy(out, k->key, k->key_length);
    return (unsigned)k->key_length;
}

static unsigned client_psk(SSL *ssl, const char *hint, char *id, unsigned id_room, unsigned char *key, unsigned room)
{
    psk *k = psk_of(ssl);

    /* OpenSSL has filled the room with NUL, and has one more behind it. */
    if (k == NULL || k->identity_length > id_room)
        return 0;
    memcpy(id, k->identity, k->identity_length);
    return give_key(k, key, room);
}

static unsigned server_psk(SSL *ssl, const char *id, unsigned char *key, unsigned room)
{
    psk *k = psk_of(ssl);

    return k != NULL && is_identity(k, id, strlen(id)) ? give_key(k, key, room) : 0;
}

EXPORT int wassl_SSL_CTX_set_psk(SSL_CTX *ctx, const char *identity, const uint8_t *key, size_t key_length, int cipher)
{
    size_t identity_length = strlen(identity);
    psk *k;

    if (key_length == 0 || key_length > SSL_MAX_MASTER_KEY_LENGTH || identity_length == 0
        || identity_length > PSK_MAX_IDENTITY_LEN) {
        ERR_raise(ERR_LIB_SSL, ERR_R_PASSED_INVALID_ARGUMENT);
        return 0;
    }
    if ((k = OPENSSL_malloc(sizeof *k + identity_length + 1 + key_length)) == NULL)
        return 0;
    k->cipher[0] = (uint8_t)(cipher >> 8);
    k->cipher[1] = (uint8_t)cipher;
    k->identity_length = identity_length;
    k->key_length = key_length;
    memcpy(k->identity, identity, identity_length + 1);
    k->key = (uint8_t *)k->identity + identity_length + 1;
    memcpy(k->key, key, key_length);
    free_psk(NULL, SSL_CTX_get_ex_data(ctx, psk_index), NULL, 0, 0, NULL);
    if (!SSL_CTX_set_ex_data(ctx, psk_index, k)) {
        free_psk(NULL, k, NULL, 0, 0, NULL);
        return 0;
    }
    SSL_CTX_set_psk_use_session_callback(ctx, use_session);
    SSL_CTX_set_psk_find_session_callback(ctx, find_session);
    SSL_CTX_set_psk_client_callback(ctx, client_psk);
    SSL_CTX_set_psk_server_callback(ctx, server_psk);
    return 1;
}
