/* Certificates: read, one or many, and told in words. */
#include "internal.h"

#include <math.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

int wassl_looks_like_pem(const uint8_t *data, size_t length)
{
    static const char begin[] = "-----BEGIN";
    size_t i;

    /* DER: a SEQUENCE of more than 127 bytes. Anything else is text, which may begin with comments. */
    if (length > 1 && data[0] == 0x30 && data[1] >= 0x80)
        return 0;
    for (i = 0; i + sizeof begin - 1 <= length; i++)
        if (data[i] == '-' && memcmp(data + i, begin, sizeof begin - 1) == 0)
            return 1;
    return 0;
}

BIO *wassl_pem(const uint8_t *data, size_t length)
{
    /* A byte order mark, as Windows begins a text. */
    size_t mark = length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    return BIO_new_mem_buf(data + mark, (int)(length - mark));
}

void *wassl_read_pem(BIO *in, const char *kind, d2i_of_void *plain, d2i_of_void *trusted, void (*release)(void *))
{
    unsigned char *der = NULL;
    const unsigned char *p;
    char *name = NULL;
    long length;
    void *found;

    if (!PEM_bytes_read_bio(&der, &length, &name, kind, in, NULL, NULL))
        return NULL;
    p = der;
    found = (strcmp(name, PEM_STRING_X509_TRUSTED) == 0 ? trusted : plain)(NULL, &p, length);
    if (found == NULL) {
        ERR_raise(ERR_LIB_PEM, ERR_R_ASN1_LIB);
    } else if (p != der + length) { /* something stands behind it in the block */
        ERR_raise(ERR_LIB_ASN1, ASN1_R_LENGTH_TOO_LONG);
        release(found);
        found = NULL;
    }
    OPENSSL_free(name);
    OPENSSL_free(der);
    return found;
}

/* What a TRUSTED CERTIFICATE says besides (openssl-x509(1), -addtrust) counts, where it is a trust anchor. */
static X509 *read_certificate(BIO *in)
{
    return wassl_read_pem(in, PEM_STRING_X509_TRUSTED, (d2i_of_void *)d2i_X509, (d2i_of_void *)d2i_X509_AUX,
        (void (*)(void *))X509_free);
}

EXPORT X509 *wassl_d2i_X509(const uint8_t *data, size_t length)
{
    const unsigned char *p = data;
    X509 *x;
    BIO *in;

    if (!wassl_looks_like_pem(data, length)) {
        x = d2i_X509(NULL, &p, (long)length);
        if (x != NULL && p != data + length) { /* something stands behind the certificate */
            ERR_raise(ERR_LIB_ASN1, ASN1_R_LENGTH_TOO_LONG);
            X509_free(x);
            return NULL;
        }
        return x;
    }
    if ((in = wassl_pem(data, length)) == NULL)
        return NULL;
    x = read_certificate(in);
    BIO_free(in);
    return x;
}

EXPORT void wassl_X509_free(X509 *x) { X509_free(x); }

int wassl_at_end_of_pem(int count)
{
    unsigned long e = ERR_peek_last_error();

    if (count == 0 || ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
        return 0;
    ERR_clear_error();
    return 1;
}

STACK_OF(X509) *wassl_parse_certificates(const uint8_t *data, size_t length)
{
    STACK_OF(X509) *list = sk_X509_new_null();
    X509 *x = NULL;
    BIO *in = NULL;

    if (list == NULL)
        return NULL;
    if (wassl_looks_like_pem(data, length)) {
        if ((in = wassl_pem(data, length)) == NULL)
            goto failed;
        while ((x = read_certificate(in)) != NULL) {
            if (!sk_X509_push(list, x))
                goto failed;
            x = NULL;
        }
        if (!wassl_at_end_of_pem(sk_X509_num(list)))
            goto failed;
        BIO_free(in);
        return list;
    }
    if ((x = wassl_d2i_X509(data, length)) != NULL && sk_X509_push(list, x))
        return list;
failed:
    X509_free(x);
    BIO_free(in);
    OSSL_STACK_OF_X509_free(list);
    return NULL;
}

EXPORT STACK_OF(X509) *wassl_sk_X509_new(void) { return sk_X509_new_null(); }
EXPORT void wassl_sk_X509_free(STACK_OF(X509) *list) { OSSL_STACK_OF_X509_free(list); }
EXPORT int wassl_sk_X509_num(const STACK_OF(X509) *list) { return sk_X509_num(list); }
EXPORT X509 *wassl_sk_X509_value(const STACK_OF(X509) *list, int i) { return sk_X509_value(list, i); }

EXPORT int wassl_sk_X509_add(STACK_OF(X509) *list, const uint8_t *data, size_t length)
{
    STACK_OF(X509) *more = wassl_parse_certificates(data, length);
    int count, i;

    if (more == NULL)
        return 0;
    count = sk_X509_num(more);
    if (!sk_X509_reserve(list, count)) {
        OSSL_STACK_OF_X509_free(more);
        return 0;
    }
    for (i = 0; i < count; i++)
        sk_X509_push(list, sk_X509_value(more, i));
    sk_X509_free(more);
    return count;
}

EXPORT wassl_bytes *wassl_i2d_X509(X509 *x)
{
    int length = i2d_X509(x, NULL);
    wassl_bytes *b = length <= 0 ? NULL : wassl_bytes_new(NULL, (size_t)length);
    unsigned char *p = b == NULL ? NULL : b->data;

    if (b != NULL)
        i2d_X509(x, &p);
    return b;
}

static wassl_bytes *print_name(const X509_NAME *name)
{
    BIO *out = BIO_new(BIO_s_mem());

    /* RFC 2253, but UTF-8 is left as it is: it is read by people. */
    if (out != NULL && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) {
        BIO_free(out);
        return NULL;
    }
    return wassl_bytes_from_bio(out);
}

EXPORT wassl_bytes *wassl_X509_subject(X509 *x) { return print_name(X509_get_subject_name(x)); }
EXPORT wassl_bytes *wassl_X509_issuer(X509 *x) { return print_name(X509_get_issuer_name(x)); }

/* With its length before each: a name may hold any character, those between names too. */
EXPORT wassl_bytes *wassl_X509_subject_alt_names(X509 *x)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    BIO *out = BIO_new(BIO_s_mem()), *name = BIO_new(BIO_s_mem());
    int i;

    for (i = 0; out != NULL && name != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        char *text;
        uint32_t length;

        (void)BIO_reset(name);
        GENERAL_NAME_print(name, sk_GENERAL_NAME_value(names, i));
        length = (uint32_t)BIO_get_mem_data(name, &text);
        BIO_write(out, &length, sizeof length);
        BIO_write(out, text, (int)length);
    }
    BIO_free(name);
    GENERAL_NAMES_free(names);
    return wassl_bytes_from_bio(out);
}

EXPORT wassl_bytes *wassl_X509_serial(X509 *x)
{
    BIO *out = BIO_new(BIO_s_mem());

    if (out != NULL)
        i2a_ASN1_INTEGER(out, X509_get0_serialNumber(x));
    return wassl_bytes_from_bio(out);
}

wassl_bytes *wassl_describe_key(const EVP_PKEY *key)
{
    char group[64] = "";
    const char *algorithm = key == NULL ? NULL : EVP_PKEY_get0_type_name(key);
    BIO *out = BIO_new(BIO_s_mem());

    if (out == NULL)
        return NULL;
    if (algorithm == NULL) {
        BIO_puts(out, "unknown");
        return wassl_bytes_from_bio(out);
    }
    EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
    BIO_printf(out, "%s%s%s %d", algorithm, group[0] ? " " : "", group, EVP_PKEY_get_bits(key));
    return wassl_bytes_from_bio(out);
}

EXPORT wassl_bytes *wassl_X509_public_key(X509 *x) { return wassl_describe_key(X509_get0_pubkey(x)); }

EXPORT wassl_bytes *wassl_i2d_X509_PUBKEY(X509 *x)
{
    X509_PUBKEY *key = X509_get_X509_PUBKEY(x);
    int length = i2d_X509_PUBKEY(key, NULL);
    wassl_bytes *b = length <= 0 ? NULL : wassl_bytes_new(NULL, (size_t)length);
    unsigned char *p = b == NULL ? NULL : b->data;

    if (b != NULL)
        i2d_X509_PUBKEY(key, &p);
    return b;
}

static wassl_bytes *fingerprint(const X509 *x, const EVP_MD *md)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length;

    if (!X509_digest(x, md, digest, &length))
        return NULL;
    return wassl_bytes_new(digest, length);
}

EXPORT wassl_bytes *wassl_X509_sha1(X509 *x) { return fingerprint(x, EVP_sha1()); }
EXPORT wassl_bytes *wassl_X509_sha256(X509 *x) { return fingerprint(x, EVP_sha256()); }

EXPORT void wassl_SHA256(const uint8_t *data, size_t length, uint8_t *out) { SHA256(data, length, out); }

static double seconds(const ASN1_TIME *t)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days, rest;
    double s = NAN;

    if (epoch != NULL && t != NULL && ASN1_TIME_diff(&days, &rest, epoch, t))
        s = days * 86400.0 + rest;
    ASN1_TIME_free(epoch);
    return s;
}

EXPORT double wassl_X509_not_before(X509 *x) { return seconds(X509_get0_notBefore(x)); }
EXPORT double wassl_X509_not_after(X509 *x) { return seconds(X509_get0_notAfter(x)); }
