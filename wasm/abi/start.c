/* Starting up, and which version this is. */
#include "internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

EXPORT int wassl_prepare(void)
{
    static const int roles[] = { 0, WASSL_ROLE_SERVER };
    size_t i;

    /* No configuration file (there is no file system), no atexit (the module never exits). */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) != 1
        || !wassl_record_init() || !wassl_context_init() || !wassl_psk_init() || !wassl_ocsp_init()
        || !wassl_suspend_init() || !wassl_external_key_init() || !wassl_anchors_init() || !wassl_tickets_init()
        || !wassl_session_init() || !wassl_identities_init() || !wassl_dtls_init())
        return 0;
    /* A context has random keys for tickets. These go with it. */
    wassl_random_zeros(1);
    for (i = 0; i < sizeof roles / sizeof *roles; i++) {
        SSL_CTX *ctx = wassl_SSL_CTX_new(roles[i]);

        if (ctx == NULL)
            return 0;
        SSL_CTX_free(ctx);
    }
    wassl_random_zeros(0);
    ERR_clear_error();
    return 1;
}

EXPORT uint32_t wassl_abi_version(void) { return WASSL_ABI_VERSION; }
EXPORT const char *wassl_OpenSSL_version(int t) { return OpenSSL_version(t); }
