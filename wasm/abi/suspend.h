/* What the files have of each other with which a handshake waits; OpenSSL's private headers with it. */
#ifndef WASSL_SUSPEND_H
#define WASSL_SUSPEND_H

#include "internal.h"

#include "internal/packet.h"
#include "internal/ssl_unwrap.h"
#include "ssl/ssl_local.h"
#include "ssl/statem/statem_local.h"

#include <openssl/sha.h>

/* ---- abi/suspend.c: what is asked ----------------------------------------------------------------------------- */

typedef enum { NOTHING, WAITING, ANSWERED } wassl_question;

/* Made for the connections that ask something. */
typedef struct {
    wassl_question hello, verify, sign;
    int hello_alert; /* with which the client is refused; -1 = it is not */
    uint8_t told[SHA256_DIGEST_LENGTH]; /* what the application knows of the client */
    int verify_mode, verify_accepts;
    /* A message that lacks its signature, which comes last. */
    uint8_t *message;
    size_t message_length;
    uint8_t *to_sign;
    size_t to_sign_length;
    uint16_t algorithm; /* RFC 8446 §4.2.3 */
    uint8_t *signature;
    size_t signature_length;
} wassl_suspend;

wassl_suspend *wassl_suspend_of(SSL *, int make);

/* ---- abi/external_key.c: keys that are elsewhere -------------------------------------------------------------- */

/* Which signatures a key makes; in the key's ex_data. */
typedef struct {
    unsigned id; /* by which the other side knows it */
    size_t count;
    uint16_t algorithms[];
} wassl_external_key;

wassl_external_key *wassl_external_key_of(EVP_PKEY *); /* NULL: it is here */

#endif
