/*
 * The signatures of certificates that were found right are remembered, by a hash of certificate and key: the same chain is
 * seen with each connection to a server, and again when a session is resumed. Only the arithmetic is spared. Everything else
 * is judged anew each time: names, times, purposes, revocation, the strength of the key. A signature that is wrong is not remembered.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_* */
#include "tls.h"

#include <openssl/core_names.h>
#include <openssl/sha.h>
#include <string.h>

/* For one intermediate and its leaves, and some more servers. The oldest one is forgotten. */
#define REMEMBERED 64
static uint8_t right[REMEMBERED][SHA256_DIGEST_LENGTH];
static unsigned oldest;

int __real_X509_verify(X509 *, EVP_PKEY *);
int __wrap_X509_verify(X509 *, EVP_PKEY *);

/* 0: this one is not to be remembered. */
static int hash_of(uint8_t hash[SHA256_DIGEST_LENGTH], X509 *certificate, EVP_PKEY *key)
{
    SHA256_CTX sha;
    uint8_t *der = NULL, public[1024];
    size_t length = 0;
    int type = EVP_PKEY_get_base_id(key), size = i2d_X509(certificate, &der), ok = 0;

    if (size <= 0)
        return 0;
    if (type == EVP_PKEY_EC) {
        ok = EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, public, sizeof public, &length);
    } else if (type == EVP_PKEY_RSA) {
        BIGNUM *n = NULL, *e = NULL;

        ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e)
            && BN_num_bytes(n) <= (int)sizeof public / 2 && BN_num_bytes(e) <= (int)sizeof public / 2;
        if (ok) {
            BN_bn2binpad(n, public, sizeof public / 2);
            BN_bn2binpad(e, public + sizeof public / 2, sizeof public / 2);
            length = sizeof public;
        }
        BN_free(n);
        BN_free(e);
    }
    if (ok) {
        SHA256_Init(&sha);
        SHA256_Update(&sha, &type, sizeof type);
        SHA256_Update(&sha, &length, sizeof length);
        SHA256_Update(&sha, public, length);
        SHA256_Update(&sha, der, (size_t)size);
        SHA256_Final(hash, &sha);
    }
    OPENSSL_free(der);
    return ok;
}

int __wrap_X509_verify(X509 *certificate, EVP_PKEY *key)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    int remember = key != NULL && hash_of(hash, certificate, key), result;

    for (int i = 0; remember && i < REMEMBERED; i++)
        if (memcmp(right[i], hash, sizeof hash) == 0)
            return 1;
    result = __real_X509_verify(certificate, key);
    if (remember && result == 1) {
        memcpy(right[oldest], hash, sizeof hash);
        oldest = (oldest + 1) % REMEMBERED;
    }
    return result;
}
