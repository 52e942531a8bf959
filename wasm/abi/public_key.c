/* Encryption to a public key. */
#include "internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

static EVP_PKEY *read_key(const wassl_bytes *der)
{
    const unsigned char *p = der->data;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der->length);

    if (key != NULL && p != der->data + der->length) { /* something stands behind it */
        ERR_raise(ERR_LIB_ASN1, ASN1_R_LENGTH_TOO_LONG);
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

EXPORT wassl_bytes *wassl_PUBKEY_describe(const wassl_bytes *der)
{
    EVP_PKEY *key = read_key(der);
    wassl_bytes *b = key == NULL ? NULL : wassl_describe_key(key);

    EVP_PKEY_free(key);
    return b;
}

EXPORT wassl_bytes *wassl_EVP_PKEY_encrypt(const wassl_bytes *der, const wassl_bytes *data, int padding,
    const char *algorithm, const wassl_bytes *label)
{
    EVP_PKEY *key = read_key(der);
    EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    wassl_bytes *b = NULL;
    OSSL_PARAM params[4], *p = params;
    size_t length;
    int ok;

    *p++ = OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &padding);
    if (padding == RSA_PKCS1_OAEP_PADDING && algorithm != NULL)
        *p++ = OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, (char *)algorithm, 0);
    if (padding == RSA_PKCS1_OAEP_PADDING && label != NULL)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, (void *)label->data, label->length);
    *p = OSSL_PARAM_construct_end();
    ok = ctx != NULL && EVP_PKEY_encrypt_init_ex(ctx, params) == 1
        && EVP_PKEY_encrypt(ctx, NULL, &length, data->data, data->length) == 1
        && (b = wassl_bytes_new(NULL, length)) != NULL
        && EVP_PKEY_encrypt(ctx, b->data, &length, data->data, data->length) == 1;
    if (ok) {
        b->length = (uint32_t)length;
    } else if (b != NULL) {
        wassl_bytes_free(b);
        b = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return b;
}
