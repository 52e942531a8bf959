/*
 * Where a handshake waits for a signature by a key that is elsewhere (abi/external_key.c).
 *
 * OpenSSL signs in the middle of a function that writes a message: CertificateVerify, or ServerKeyExchange in TLS 1.2.
 * So that function is run ahead of its time, before OpenSSL's state machine would (where it can wait, see suspend.c),
 * with EVP_DigestSign keeping what is to be signed and giving zeros. The message lacks only its signature then, which
 * is the last field. When it is there the state machine goes on, and instead of writing the message again gets the one
 * that is kept. Nothing is undone or done twice; ephemeral keys and random numbers are those that were signed.
 */
#include "suspend.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>

/* What is being signed for, between prepare() and EVP_DigestSign; there are no threads. */
static wassl_suspend *signing;

/* ---- which algorithm -------------------------------------------------------------------------------------- */

static int can(const wassl_external_key *e, uint16_t algorithm)
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
    const wassl_external_key *e;
    size_t i = (size_t)algorithm->sig_idx;

    if (algorithm->sig_idx < 0 || i >= sc->ssl_pkey_num)
        return 0;
    e = wassl_external_key_of(sc->cert->pkeys[i].privatekey);
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
    if (wassl_external_key_of(sc->cert->pkeys[SSL_PKEY_RSA].privatekey) != NULL)
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

    if (key == NULL || wassl_external_key_of(EVP_PKEY_CTX_get0_pkey(key)) == NULL)
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
        && sc->s3.tmp.cert != NULL && wassl_external_key_of(sc->s3.tmp.cert->privatekey) != NULL;
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
