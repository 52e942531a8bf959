/*
 * Session tickets (RFC 5077, RFC 8446 §4.6.1) under keys that are given: so they outlive the SSL_CTX, can be rotated,
 * and shared between processes. A ticket looks as OpenSSL's own: key name, IV, AES-256-CBC, HMAC-SHA-256 over all of
 * it.
 */
#include "internal.h"

#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <string.h>

typedef struct {
    uint8_t name[16], hmac[32], aes[32];
} ticket_key;

_Static_assert(sizeof(ticket_key) == WASSL_TICKET_KEY_SIZE, "nothing between");

typedef struct {
    size_t count;
    ticket_key keys[]; /* the first encrypts */
} ticket_keys;

static int tickets_index = -1;

static size_t size_of(size_t count) { return sizeof(ticket_keys) + count * sizeof(ticket_key); }

static void free_keys(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    ticket_keys *k = p;

    if (k != NULL)
        OPENSSL_clear_free(k, size_of(k->count));
}

int wassl_tickets_init(void)
{
    tickets_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_keys);
    return tickets_index >= 0;
}

static int set_up(const ticket_key *key, const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    OSSL_PARAM params[3];

    params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->hmac, sizeof key->hmac);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0);
    params[2] = OSSL_PARAM_construct_end();
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, encrypt) > 0
        && EVP_MAC_CTX_set_params(mac, params) > 0;
}

static int ticket_key_callback(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    /* The context whose callback this is; SSL_get_SSL_CTX may be another one since, chosen by name. */
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    const ticket_keys *k = sc == NULL ? NULL : SSL_CTX_get_ex_data(sc->session_ctx, tickets_index);
    size_t i;

    if (k == NULL)
        return -1;
    if (encrypt) {
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) <= 0)
            return -1;
        memcpy(name, k->keys[0].name, sizeof k->keys[0].name);
        return set_up(&k->keys[0], iv, cipher, mac, 1) ? 1 : -1;
    }
    for (i = 0; i < k->count; i++) {
        if (memcmp(name, k->keys[i].name, sizeof k->keys[i].name) != 0)
            continue;
        if (!set_up(&k->keys[i], iv, cipher, mac, 0))
            return -1;
        /* 2: good, and the client gets a new one. In TLS 1.3 always, since a ticket is for one use. */
        return i > 0 || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
    }
    return 0; /* of nobody's here: a full handshake */
}

EXPORT int wassl_SSL_CTX_set_ticket_keys(SSL_CTX *ctx, const uint8_t *keys, size_t count)
{
    ticket_keys *k = NULL;

    if (count > 0) {
        if ((k = OPENSSL_malloc(size_of(count))) == NULL)
            return 0;
        k->count = count;
        memcpy(k->keys, keys, count * sizeof(ticket_key));
    }
    free_keys(NULL, SSL_CTX_get_ex_data(ctx, tickets_index), NULL, 0, 0, NULL);
    if (!SSL_CTX_set_ex_data(ctx, tickets_index, k)) {
        free_keys(NULL, k, NULL, 0, 0, NULL);
        return 0;
    }
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, k == NULL ? NULL : ticket_key_callback) == 1;
}
