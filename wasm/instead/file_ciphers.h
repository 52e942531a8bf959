/* Ciphers of old key files: file_ciphers.c has them, provider.c offers them. */
#include <openssl/core_dispatch.h>

extern const OSSL_DISPATCH wassl_des_cbc[], wassl_des_ede_cbc[], wassl_des_ede3_cbc[];
extern const OSSL_DISPATCH wassl_rc2_cbc[], wassl_rc2_64_cbc[], wassl_rc2_40_cbc[];
extern const OSSL_DISPATCH wassl_rc4[], wassl_rc4_40[];
