/* The error queue. */
#include "tls.h"

#include <openssl/err.h>

EXPORT void tls_ERR_clear_error(void) { ERR_clear_error(); }
EXPORT unsigned long tls_ERR_peek_error(void) { return ERR_peek_error(); }
EXPORT const char *tls_ERR_lib_error_string(unsigned long e) { return ERR_lib_error_string(e); }
EXPORT const char *tls_ERR_reason_error_string(unsigned long e) { return ERR_reason_error_string(e); }
EXPORT int tls_ERR_get_lib(unsigned long e) { return ERR_GET_LIB(e); }
EXPORT int tls_ERR_get_reason(unsigned long e) { return ERR_GET_REASON(e); }
EXPORT void tls_ERR_raise(int lib, int reason) { ERR_raise(lib, reason); }

EXPORT unsigned long tls_ERR_get_error(const char **data)
{
    int flags = 0;
    unsigned long e = ERR_get_error_all(NULL, NULL, NULL, data, &flags);

    if (!(flags & ERR_TXT_STRING))
        *data = NULL;
    return e;
}
