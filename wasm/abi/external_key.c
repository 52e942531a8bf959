/*
 * Private keys that are elsewhere and sign in their own time, as WebCrypto's do. OpenSSL knows their public half and
 * takes it for the whole key, for it looks at the private one only when it signs.
 *
 * It signs in the middle of a function that writes a message: CertificateVerify, or ServerKeyExchange in TLS 1.2. So that
 * function is run ahead of its time, before OpenSSL's state machine would (where it can wait, see suspend.c), with
 * EVP_DigestSign keeping what is to be signed and giving zeros. The message lacks only its signature then, which is the
 * last field. When it is there the state machine goes on, and instead of writing the message again gets the one that is
 * kept. Nothing is undone or done twice; ephemeral keys and random numbers are those that were signed.
 */
#include "suspend.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>

static int key_index = -1;

/* Which signatures a key makes; in the key's ex_data. */
typedef struct {
    unsigned id; /* by which the other side knows it */
    size_t count;
    uint16_t algorithms[];
} external;

/* What is being signed for, between prepare() and EVP_DigestSign; there are no threads. */
static wassl_suspend *signing;

static void free_external(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    free(p);
}

int wassl_external_key_init(void)
{
    key_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_EVP_PKEY, 0, NULL, NULL, NULL, free_external);
    return key_index >= 0;
}

static external *external_of(EVP_PKEY *key)
{
    return key == NULL ? NULL : EVP_PKEY_get_ex_data(key, key_index);
}

EXPORT X509 *wassl_SSL_CTX_get0_certificate(SSL_CTX *ctx) { return SSL_CTX_get0_certificate(ctx); }

EXPORT int wassl_SSL_CTX_use_external_key(SSL_CTX *ctx, unsigned id, const uint16_t *algorithms, size_t count)
{
    X509 *x = SSL_CTX_get0_certificate(ctx);
    EVP_PKEY *key = x == NULL ? NULL : EVP_PKEY_dup(X509_get0_pubkey(x));
    external *e = malloc(sizeof *e + count * sizeof *algorithms);
    int ok = 0;

    if (key != NULL && e != NULL) {
        e->id = id;
        e->count = count;
        memcpy(e->algorithms, algorithms, count * sizeof *algorithms);
        if (EVP_PKEY_set_ex_data(key, key_index, e)) {
            e = NULL;
            ok = SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
        }
    }
    free(e);
    EVP_PKEY_free(key);
    return ok;
}

/* ---- which algorithm -------------------------------------------------------------------------------------- */

static int can(const external *e, uint16_t algorithm)
{
    size_t i;

    for (i = 0; i < e->count; i++)
        if (e->algorithms[i] == algorithm)
            return 1;
    return 0;
}

/* The kind of certificate that an algorithm needs has an external key that does not know the algorithm. */
static int cannot_sign(SSL_CONNECTION *sc, const SIGALG_LOOKUP *algorithm)
{
    const external *e;
    size_t i = (size_t)algorithm->sig_idx;

    if (algorithm->sig_idx < 0 || i >= sc->ssl_pkey_num)
        return 0;
    e = external_of(sc->cert->pkeys[i].privatekey);
    return e != NULL && !can(e, algorithm->sigalg);
}

int __real_tls_choose_sigalg(SSL_CONNECTION *, int fatal);

/* OpenSSL's choice, which without signature_algorithms in the ClientHello is one with SHA-1. */
static int choose_sigalg(SSL_CONNECTION *sc, int fatal)
{
    int ret = __real_tls_choose_sigalg(sc, fatal);

    if (ret == 0 || sc->s3.tmp.sigalg == NULL || !cannot_sign(sc, sc->s3.tmp.sigalg))
        return ret;
    sc->s3.tmp.cert = NULL;
    sc->s3.tmp.sigalg = NULL;
    if (!fatal)
        return 1;
    SSLfatal(sc, SSL_AD_HANDSHAKE_FAILURE, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM);
    return 0;
}

void __real_ssl_set_masks(SSL_CONNECTION *);

/* A key that only signs decrypts no premaster secret. */
void __wrap_ssl_set_masks(SSL_CONNECTION *sc)
{
    __real_ssl_set_masks(sc);
    if (external_of(sc->cert->pkeys[SSL_PKEY_RSA].privatekey) != NULL)
        sc->s3.tmp.mask_k &= ~(SSL_kRSA | SSL_kRSAPSK);
}

int __wrap_tls_choose_sigalg(SSL_CONNECTION *sc, int fatal)
{
    const SIGALG_LOOKUP **shared = sc->shared_sigalgs, **usable = NULL;
    size_t count = sc->shared_sigalgslen, i, n = 0;
    int ret;

    for (i = 0; i < count && !cannot_sign(sc, shared[i]); i++)
        ;
    if (i == count)
        return choose_sigalg(sc, fatal);
    if ((usable = malloc(count * sizeof *usable)) == NULL) {
        SSLfatal(sc, SSL_AD_INTERNAL_ERROR, ERR_R_MALLOC_FAILURE);
        return 0;
    }
    for (i = 0; i < count; i++)
        if (!cannot_sign(sc, shared[i]))
            usable[n++] = shared[i];
    sc->shared_sigalgs = usable;
    sc->shared_sigalgslen = n;
    ret = choose_sigalg(sc, fatal);
    sc->shared_sigalgs = shared;
    sc->shared_sigalgslen = count;
    free(usable);
    return ret;
}

/* ---- the message ------------------------------------------------------------------------------------------ */

int __real_EVP_DigestSign(EVP_MD_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);

int __wrap_EVP_DigestSign(EVP_MD_CTX *ctx, unsigned char *signature, size_t *length, const unsigned char *data, size_t n)
{
    EVP_PKEY_CTX *key = EVP_MD_CTX_get_pkey_ctx(ctx);

    if (key == NULL || external_of(EVP_PKEY_CTX_get0_pkey(key)) == NULL)
        return __real_EVP_DigestSign(ctx, signature, length, data, n);
    if (signing == NULL) /* something else than a message of the handshake */
        return 0;
    *length = (size_t)EVP_PKEY_get_size(EVP_PKEY_CTX_get0_pkey(key));
    if (signature == NULL)
        return 1;
    memset(signature, 0, *length);
    free(signing->to_sign);
    if ((signing->to_sign = malloc(n)) == NULL)
        return 0;
    memcpy(signing->to_sign, data, n);
    signing->to_sign_length = n;
    return 1;
}

static int signs_outside(SSL_CONNECTION *sc)
{
    int state = sc->statem.hand_state;

    return (state == TLS_ST_SW_CERT_VRFY || state == TLS_ST_CW_CERT_VRFY || state == TLS_ST_SW_KEY_EXCH)
        && sc->s3.tmp.cert != NULL && external_of(sc->s3.tmp.cert->privatekey) != NULL;
}

/* Writes the message, but for its signature, and keeps it. */
static int prepare(SSL_CONNECTION *sc, wassl_suspend *s, int (*construct)(SSL_CONNECTION *, confunc_f *, int *))
{
    size_t header = SSL_CONNECTION_IS_DTLS(sc) ? DTLS1_HM_HEADER_LENGTH : SSL3_HM_HEADER_LENGTH, total, tail;
    unsigned char *ignored;
    CON_FUNC_RETURN ret;
    WPACKET packet;
    confunc_f function;
    int type;

    if (!construct(sc, &function, &type))
        return 0; /* SSLfatal was called */
    /* Where the state machine would write it, for ServerKeyExchange looks there for what it has to sign. */
    if (!WPACKET_init(&packet, sc->init_buf) || !WPACKET_allocate_bytes(&packet, header, &ignored)
        || !WPACKET_start_sub_packet(&packet))
        goto failed;
    signing = s;
    ret = function(sc, &packet);
    signing = NULL;
    if (ret != CON_FUNC_SUCCESS) {
        WPACKET_cleanup(&packet);
        if (!ossl_statem_in_error(sc))
            SSLfatal(sc, SSL_AD_INTERNAL_ERROR, ERR_R_INTERNAL_ERROR);
        return 0;
    }
    tail = 2 + (size_t)EVP_PKEY_get_size(sc->s3.tmp.cert->privatekey); /* the length, and what stands for the signature */
    if (!WPACKET_close(&packet) || !WPACKET_get_total_written(&packet, &total) || !WPACKET_finish(&packet)
        || s->to_sign == NULL || total < header + tail)
        goto failed;
    s->message_length = total - header - tail;
    free(s->message);
    if ((s->message = malloc(s->message_length + 1)) == NULL)
        goto failed;
    memcpy(s->message, sc->init_buf->data + header, s->message_length);
    s->algorithm = sc->s3.tmp.sigalg->sigalg;
    return 1;
failed:
    WPACKET_cleanup(&packet);
    SSLfatal(sc, SSL_AD_INTERNAL_ERROR, ERR_R_INTERNAL_ERROR);
    return 0;
}

static WORK_STATE sign_outside(SSL_CONNECTION *sc, int (*construct)(SSL_CONNECTION *, confunc_f *, int *))
{
    wassl_suspend *s = wassl_suspend_of(SSL_CONNECTION_GET_USER_SSL(sc), 1);

    if (s == NULL) {
        SSLfatal(sc, SSL_AD_INTERNAL_ERROR, ERR_R_MALLOC_FAILURE);
        return WORK_ERROR;
    }
    if (s->sign == NOTHING) {
        if (!prepare(sc, s, construct))
            return WORK_ERROR;
        s->sign = WAITING;
    }
    if (s->sign == WAITING) {
        sc->rwstate = SSL_X509_LOOKUP;
        return WORK_MORE_A;
    }
    sc->rwstate = SSL_NOTHING;
    if (s->signature != NULL)
        return WORK_FINISHED_CONTINUE;
    SSLfatal(sc, SSL_AD_INTERNAL_ERROR, ERR_R_OPERATION_FAIL);
    return WORK_ERROR;
}

static CON_FUNC_RETURN write_kept(SSL_CONNECTION *sc, WPACKET *packet)
{
    wassl_suspend *s = wassl_suspend_of(SSL_CONNECTION_GET_USER_SSL(sc), 0);
    int ok = WPACKET_memcpy(packet, s->message, s->message_length)
        && WPACKET_sub_memcpy_u16(packet, s->signature, s->signature_length);

    free(s->message);
    free(s->to_sign);
    free(s->signature);
    s->message = s->to_sign = s->signature = NULL;
    s->sign = NOTHING;
    if (ok)
        return CON_FUNC_SUCCESS;
    SSLfatal(sc, SSL_AD_INTERNAL_ERROR, ERR_R_INTERNAL_ERROR);
    return CON_FUNC_ERROR;
}

WORK_STATE __real_ossl_statem_client_pre_work(SSL_CONNECTION *, WORK_STATE);
WORK_STATE __real_ossl_statem_server_pre_work(SSL_CONNECTION *, WORK_STATE);
int __real_ossl_statem_client_construct_message(SSL_CONNECTION *, confunc_f *, int *type);
int __real_ossl_statem_server_construct_message(SSL_CONNECTION *, confunc_f *, int *type);

/* These messages have no work of OpenSSL's before them. */
WORK_STATE __wrap_ossl_statem_client_pre_work(SSL_CONNECTION *sc, WORK_STATE work)
{
    return signs_outside(sc) ? sign_outside(sc, __real_ossl_statem_client_construct_message)
                             : __real_ossl_statem_client_pre_work(sc, work);
}

WORK_STATE __wrap_ossl_statem_server_pre_work(SSL_CONNECTION *sc, WORK_STATE work)
{
    return signs_outside(sc) ? sign_outside(sc, __real_ossl_statem_server_construct_message)
                             : __real_ossl_statem_server_pre_work(sc, work);
}

int __wrap_ossl_statem_client_construct_message(SSL_CONNECTION *sc, confunc_f *function, int *type)
{
    int ok = __real_ossl_statem_client_construct_message(sc, function, type);

    if (ok && signs_outside(sc))
        *function = write_kept;
    return ok;
}

int __wrap_ossl_statem_server_construct_message(SSL_CONNECTION *sc, confunc_f *function, int *type)
{
    int ok = __real_ossl_statem_server_construct_message(sc, function, type);

    if (ok && signs_outside(sc))
        *function = write_kept;
    return ok;
}

/* ---- the answer ------------------------------------------------------------------------------------------- */

EXPORT wassl_bytes *wassl_SSL_get_to_be_signed(SSL *ssl, unsigned *algorithm, unsigned *id)
{
    wassl_suspend *s = wassl_suspend_of(ssl, 0);

    if (s == NULL || s->sign != WAITING)
        return NULL;
    *algorithm = s->algorithm;
    *id = external_of(SSL_CONNECTION_FROM_SSL(ssl)->s3.tmp.cert->privatekey)->id;
    return wassl_bytes_new(s->to_sign, s->to_sign_length);
}

/* Whether the peer, who has the certificate, will find it good. */
static int fits(SSL_CONNECTION *sc, const wassl_suspend *s, const uint8_t *signature, size_t length)
{
    const SIGALG_LOOKUP *algorithm = sc->s3.tmp.sigalg;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key;
    const EVP_MD *md;
    int ok = ctx != NULL && tls1_lookup_md(SSL_CONNECTION_GET_CTX(sc), algorithm, &md)
        && EVP_DigestVerifyInit_ex(ctx, &key, md == NULL ? NULL : EVP_MD_get0_name(md), NULL, NULL,
               sc->s3.tmp.cert->privatekey, NULL) == 1
        && (algorithm->sig != EVP_PKEY_RSA_PSS
            || (EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) > 0
                && EVP_PKEY_CTX_set_rsa_pss_saltlen(key, RSA_PSS_SALTLEN_DIGEST) > 0))
        && EVP_DigestVerify(ctx, signature, length, s->to_sign, s->to_sign_length) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

EXPORT int wassl_SSL_answer_signature(SSL *ssl, const uint8_t *signature, size_t length)
{
    SSL_CONNECTION *sc = SSL_CONNECTION_FROM_SSL(ssl);
    wassl_suspend *s = wassl_suspend_of(ssl, 0);

    if (s == NULL || s->sign != WAITING)
        return 0;
    if (length > 0) {
        if (!fits(sc, s, signature, length)) {
            s->sign = ANSWERED;
            return -1;
        }
        if ((s->signature = malloc(length)) == NULL)
            return 0;
        memcpy(s->signature, signature, length);
        s->signature_length = length;
    }
    s->sign = ANSWERED;
    return 1;
}
