/* What a stranger's certificates and a file's passphrase may cost at most: OpenSSL has no such bounds. */
#include "internal.h"

#include "crypto/x509.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/x509v3.h>

/* ---- names with constraints -------------------------------------------------------------------------------- */

/* Of one verification: 10 to 20 milliseconds. */
#define MAX_COMPARISONS (1 << 20)

int __real_NAME_CONSTRAINTS_check(X509 *, NAME_CONSTRAINTS *);
int __wrap_NAME_CONSTRAINTS_check(X509 *, NAME_CONSTRAINTS *);

static int64_t compared;

void wassl_bound_verification(void) { compared = 0; }

static int64_t or_none(int count) { return count < 0 ? 0 : count; }

/* OpenSSL bounds this for two certificates, each of a chain with each above it, and of those there may be hundreds. */
int __wrap_NAME_CONSTRAINTS_check(X509 *x, NAME_CONSTRAINTS *nc)
{
    int64_t names = X509_NAME_entry_count(X509_get_subject_name(x)) + or_none(sk_GENERAL_NAME_num(x->altname));

    compared += names
        * (or_none(sk_GENERAL_SUBTREE_num(nc->permittedSubtrees)) + or_none(sk_GENERAL_SUBTREE_num(nc->excludedSubtrees)));
    return compared > MAX_COMPARISONS ? X509_V_ERR_UNSPECIFIED : __real_NAME_CONSTRAINTS_check(x, nc);
}

/* ---- the rounds of a passphrase ----------------------------------------------------------------------------- */

/*
 * A file says itself through how many rounds its passphrase goes, as often as it has encrypted parts, and OpenSSL
 * believes it: 200 bytes are enough to keep it busy for hours. This is for all of a file together.
 */
#define MAX_ROUNDS 10000000
static uint64_t rounds;

void wassl_bound_file(void) { rounds = 0; }

/*
 * Scrypt (RFC 7914) goes p times through N blocks of 128 r bytes, and keeps these: its time is that of N r p rounds of
 * PBKDF2 with SHA-256 at most, and OpenSSL bounds only its memory.
 */
/* OpenSSL's own bound, 32 MiB, in blocks of 128 bytes; refused here, where it is told. */
#define MAX_SCRYPT_BLOCKS (1 << 18)

static int more_rounds(uint64_t more)
{
    if (more > MAX_ROUNDS - rounds) {
        rounds = MAX_ROUNDS;
        ERR_raise_data(ERR_LIB_PROV, PROV_R_INVALID_ITERATION_COUNT, "more than %d rounds for one file", MAX_ROUNDS);
        return 0;
    }
    rounds += more;
    return 1;
}

/* What a parameter says, or what is too much of anything. */
static uint64_t number(const OSSL_PARAM params[], const char *name)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);
    uint64_t n;

    return p != NULL && OSSL_PARAM_get_uint64(p, &n) ? n : UINT64_MAX;
}

static int bound_scrypt(const OSSL_PARAM params[], int derives)
{
    uint64_t n = number(params, OSSL_KDF_PARAM_SCRYPT_N);
    uint64_t r = number(params, OSSL_KDF_PARAM_SCRYPT_R);
    uint64_t p = number(params, OSSL_KDF_PARAM_SCRYPT_P);

    if (n > MAX_SCRYPT_BLOCKS || r > MAX_SCRYPT_BLOCKS || p > MAX_SCRYPT_BLOCKS
        || r * (n + p + 2) > MAX_SCRYPT_BLOCKS) {
        ERR_raise_data(ERR_LIB_PROV, PROV_R_INVALID_ITERATION_COUNT, "scrypt with more than 32 MiB");
        return 0;
    }
    return !derives || more_rounds(n * r * p);
}

int __real_EVP_KDF_derive(EVP_KDF_CTX *, unsigned char *, size_t, const OSSL_PARAM[]);
int __wrap_EVP_KDF_derive(EVP_KDF_CTX *, unsigned char *, size_t, const OSSL_PARAM[]);

int __wrap_EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t length, const OSSL_PARAM params[])
{
    if (OSSL_PARAM_locate_const(params, OSSL_KDF_PARAM_SCRYPT_N) != NULL) {
        /* OpenSSL asks first whether the parameters will do, without a key. */
        if (!bound_scrypt(params, key != NULL))
            return 0;
    } else if (OSSL_PARAM_locate_const(params, OSSL_KDF_PARAM_ITER) != NULL
        && !more_rounds(number(params, OSSL_KDF_PARAM_ITER)))
        return 0;
    return __real_EVP_KDF_derive(ctx, key, length, params);
}
