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

int __real_EVP_KDF_derive(EVP_KDF_CTX *, unsigned char *, size_t, const OSSL_PARAM[]);
int __wrap_EVP_KDF_derive(EVP_KDF_CTX *, unsigned char *, size_t, const OSSL_PARAM[]);

int __wrap_EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t length, const OSSL_PARAM params[])
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_KDF_PARAM_ITER);
    uint64_t more;

    if (p != NULL) {
        if (!OSSL_PARAM_get_uint64(p, &more) || more > MAX_ROUNDS - rounds) {
            rounds = MAX_ROUNDS;
            ERR_raise_data(ERR_LIB_PROV, PROV_R_INVALID_ITERATION_COUNT, "more than %d rounds for one file", MAX_ROUNDS);
            return 0;
        }
        rounds += more;
    }
    return __real_EVP_KDF_derive(ctx, key, length, params);
}
