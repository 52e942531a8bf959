/* The error queue. */
#include "internal.h"

#include <openssl/err.h>

static unsigned failed_before;

/* ERR_clear_error goes through all of the queue, which is nearly always empty. */
EXPORT void wassl_ERR_clear_error(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
    failed_before = wassl_failed_allocations;
}

EXPORT const char *wassl_ERR_lib_error_string(unsigned long e)
{
    wassl_load_error_texts();
    return ERR_lib_error_string(e);
}

EXPORT const char *wassl_ERR_reason_error_string(unsigned long e)
{
    wassl_load_error_texts();
    return ERR_reason_error_string(e);
}

EXPORT int wassl_ERR_get_lib(unsigned long e) { return ERR_GET_LIB(e); }
EXPORT int wassl_ERR_get_reason(unsigned long e) { return ERR_GET_REASON(e); }
EXPORT void wassl_ERR_raise(int lib, int reason) { ERR_raise(lib, reason); }

EXPORT unsigned long wassl_ERR_get_error(const char **data)
{
    int flags = 0;
    unsigned long e;

    /* OpenSSL does not always say so: what had no memory may look like input that is wrong. */
    if (wassl_failed_allocations != failed_before) {
        ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
        failed_before = wassl_failed_allocations;
    }
    e = ERR_get_error_all(NULL, NULL, NULL, data, &flags);

    if (!(flags & ERR_TXT_STRING))
        *data = NULL;
    return e;
}
