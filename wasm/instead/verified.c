/*
 * The signatures of certificates that were found right are remembered: the same chain is seen with each connection to a
 * server, and again when a session is resumed. Only the arithmetic is spared. Everything else is judged anew each time:
 * names, times, purposes, revocation, the strength of the key.
 *
 * A signature is remembered under a hash of all that decides whether it is right, in the encoding that was judged: the
 * issuer's certificate, in which its SubjectPublicKeyInfo stands as it was sent, and the certificate that is signed.
 * OpenSSL is given no more than a key that was read from the former; two encodings that read alike are two issuers
 * here. And a signature is remembered only once the whole verification has ended well: nothing in it failed, no
 * callback let a failure pass, and no allocation failed. (Keys with explicit curve parameters are not read at all: see
 * patches/trust.patch.)
 *
 * What OpenSSL verifies on the way, the issuer of a revocation list, has a context of its own. It neither fills the
 * memory nor is answered from it, and the callback that belongs to the outer verification does not answer for it: what
 * fails there has failed.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_* */
#include "internal.h"

#include "ssl/ssl_local.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <string.h>

typedef uint8_t hash[SHA256_DIGEST_LENGTH];

/* For one intermediate and its leaves, and some more servers. The oldest one is forgotten. */
#define REMEMBERED 64
static hash right[REMEMBERED];
static unsigned oldest;

/* Of one chain. */
#define CANDIDATES 8

/* The verification that is under way. Others within it are none of ours. */
static struct verification {
    X509_STORE_CTX *ctx; /* NULL: there is none */
    X509_STORE_CTX_verify_cb callback;
    X509_STORE_CTX_verify_fn signatures;
    int signing; /* the signatures of its own chain are being verified */
    int failed;
    unsigned count;
    hash found[CANDIDATES];
} now;

static int add(SHA256_CTX *sha, X509 *x)
{
    uint8_t *der = NULL;
    int length = i2d_X509(x, &der);

    if (length <= 0)
        return 0;
    SHA256_Update(sha, &length, sizeof length);
    SHA256_Update(sha, der, (size_t)length);
    OPENSSL_free(der);
    return 1;
}

/* 0: this one is not to be remembered. */
static int hash_of(hash out, X509 *certificate, EVP_PKEY *key)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(now.ctx);
    int i = 0, last = sk_X509_num(chain) - 1;
    X509 *issuer;
    SHA256_CTX sha;

    while (i <= last && sk_X509_value(chain, i) != certificate)
        i++;
    issuer = sk_X509_value(chain, i < last ? i + 1 : last);
    if (i > last || X509_get0_pubkey(issuer) != key)
        return 0;
    SHA256_Init(&sha);
    if (!add(&sha, issuer) || !add(&sha, certificate))
        return 0;
    SHA256_Final(out, &sha);
    return 1;
}

int __real_X509_verify(X509 *, EVP_PKEY *);
int __wrap_X509_verify(X509 *, EVP_PKEY *);

int __wrap_X509_verify(X509 *certificate, EVP_PKEY *key)
{
    hash h;
    int remember = now.signing && !now.failed && hash_of(h, certificate, key), result;

    for (int i = 0; remember && i < REMEMBERED; i++)
        if (memcmp(right[i], h, sizeof h) == 0)
            return 1;
    result = __real_X509_verify(certificate, key);
    if (remember && result == 1 && now.count < CANDIDATES)
        memcpy(now.found[now.count++], h, sizeof h);
    return result;
}

static int signatures(X509_STORE_CTX *ctx)
{
    int result;

    now.signing = 1;
    result = now.signatures(ctx);
    now.signing = 0;
    return result;
}

static int watch(int ok, X509_STORE_CTX *ctx)
{
    if (!ok)
        now.failed = 1;
    return ctx == now.ctx ? now.callback(ok, ctx) : ok;
}

int __real_X509_verify_cert(X509_STORE_CTX *);
int __wrap_X509_verify_cert(X509_STORE_CTX *);

int __wrap_X509_verify_cert(X509_STORE_CTX *ctx)
{
    unsigned failures = wassl_failed_allocations;
    int result;

    if (now.ctx != NULL)
        return __real_X509_verify_cert(ctx);
    now = (struct verification){ ctx, X509_STORE_CTX_get_verify_cb(ctx), X509_STORE_CTX_get_verify(ctx), 0, 0, 0, { { 0 } } };
    wassl_bound_verification();
    X509_STORE_CTX_set_verify_cb(ctx, watch);
    X509_STORE_CTX_set_verify(ctx, signatures);
    result = __real_X509_verify_cert(ctx);
    X509_STORE_CTX_set_verify(ctx, now.signatures);
    X509_STORE_CTX_set_verify_cb(ctx, now.callback);
    if (wassl_failed_allocations != failures) {
        wassl_forget_certificates();
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
        result = -1;
    } else if (result == 1 && !now.failed && X509_STORE_CTX_get_error(ctx) == X509_V_OK) {
        for (unsigned i = 0; i < now.count; i++) {
            memcpy(right[oldest], now.found[i], sizeof(hash));
            oldest = (oldest + 1) % REMEMBERED;
        }
    }
    now.ctx = NULL;
    return result;
}

int __real_ssl_verify_cert_chain(SSL_CONNECTION *, STACK_OF(X509) *);
int __wrap_ssl_verify_cert_chain(SSL_CONNECTION *, STACK_OF(X509) *);

/*
 * OpenSSL prepares a connection's verification with functions whose failure it does not look at, among them the one
 * that copies the names the peer must have: what is left out for want of memory is not asked.
 */
int __wrap_ssl_verify_cert_chain(SSL_CONNECTION *sc, STACK_OF(X509) *chain)
{
    unsigned failures = wassl_failed_allocations;
    int result = __real_ssl_verify_cert_chain(sc, chain);

    if (wassl_failed_allocations == failures)
        return result;
    sc->verify_result = X509_V_ERR_OUT_OF_MEM;
    ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
    return 0;
}
