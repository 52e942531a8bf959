/*
 * What the .c files here and in ../instead have of each other. No export but wassl_prepare. A function is declared
 * under the file that has it, and no file needs one that needs it in turn: test/node/layers.ts looks at both.
 */
#ifndef WASSL_INTERNAL_H
#define WASSL_INTERNAL_H

#include "abi.h"

_Static_assert(sizeof(void *) == 4 && sizeof(size_t) == 4 && sizeof(long) == 4, "one word, as TypeScript reads it");
_Static_assert(offsetof(wassl_bytes, data) == 4, "the bytes follow their length");

/* ---- abi/start.c ---------------------------------------------------------------------------------------------- */

/*
 * Starts OpenSSL, and finds the algorithms of a context. Exported, but not from the published module: snapshot.mjs
 * calls it, once, after _initialize, and keeps what it made.
 */
int wassl_prepare(void);

/* ---- instead/libc.c: memory ----------------------------------------------------------------------------------- */

extern unsigned wassl_failed_allocations; /* how often there was no memory; patches/trust.patch reads it too */

/* ---- instead/random.c ----------------------------------------------------------------------------------------- */

void wassl_random_zeros(int on); /* instead of random numbers, for wassl_prepare() */

/* ---- abi/memory.c --------------------------------------------------------------------------------------------- */

wassl_bytes *wassl_bytes_new(const void *, size_t);
wassl_bytes *wassl_bytes_from_bio(BIO *); /* takes the memory BIO */
void wassl_forget_stack(void); /* overwrites what calls that have returned left there: when a secret is gone */

/* ---- instead/error_texts.c ------------------------------------------------------------------------------------ */

void wassl_load_error_texts(void);

/* ---- instead/bounds.c: what strangers may cost ---------------------------------------------------------------- */

void wassl_bound_file(void);         /* another file begins, of one passphrase */
void wassl_bound_verification(void); /* another verification begins */

/* ---- instead/interned.c: certificates that were read ---------------------------------------------------------- */

void wassl_keep_certificates(SSL *); /* after a handshake: those of a chain that was accepted need not be read again */
void wassl_forget_certificates(void);

/* ---- instead/ephemeral.c -------------------------------------------------------------------------------------- */

void wassl_forget_key_exchange(SSL *); /* after the handshake; wassl_try_handshake does so itself */

/* ---- abi/x509.c: reading -------------------------------------------------------------------------------------- */

int wassl_looks_like_pem(const uint8_t *, size_t);
BIO *wassl_pem(const uint8_t *, size_t); /* to read PEM from, without a byte order mark; or 0 */
/* The next of that kind, which is all that its block holds; or 0. `trusted` reads a TRUSTED CERTIFICATE, if `kind` is that. */
void *wassl_read_pem(BIO *, const char *kind, d2i_of_void *plain, d2i_of_void *trusted, void (*release)(void *));
int wassl_at_end_of_pem(int count); /* after `count` objects: nothing more begins. Any other error is a broken block. */
STACK_OF(X509) *wassl_parse_certificates(const uint8_t *, size_t); /* all of a PEM text, or one DER; or 0 */
/* Algorithm, group if it has one, and bits, in words. */
wassl_bytes *wassl_describe_key(const EVP_PKEY *);

/* ---- abi/anchors.c -------------------------------------------------------------------------------------------- */

int wassl_anchors_init(void);
int wassl_anchors_given(X509_STORE *, X509 *);           /* this anchor is the caller's own choice */
int wassl_anchors_load(X509_STORE *, const X509_NAME *); /* all of that subject become certificates of the store */

/* ---- abi/suspend.c: see suspend.h ----------------------------------------------------------------------------- */

int wassl_suspend_init(void);
int wassl_verify_mode(SSL *); /* 0, or WASSL_VERIFY_* */

/* ---- abi/external_key.c: see suspend.h ------------------------------------------------------------------------ */

int wassl_external_key_init(void);

/* ---- abi/record.c: where OpenSSL would call back -------------------------------------------------------------- */

int wassl_record_init(void);
void wassl_record_event(SSL *, int kind, int sent, const void *payload, size_t length);
int wassl_verify_callback(int ok, X509_STORE_CTX *); /* the first failure is recorded */
void wassl_forget_verify_failure(SSL *);
void wassl_refine_verify_failure(SSL *, X509_STORE_CTX *);
/* Where an issuer is missed for its key, it is named in place of what it has issued. */
void wassl_refine_failure(X509_STORE_CTX *, int *error, int *depth, X509 **certificate);

/* ---- abi/trace.c ---------------------------------------------------------------------------------------------- */

void wassl_message_callback(int sent, int version, int type, const void *, size_t, SSL *, void *trace);

/* ---- instead/paths.c: other paths to a trust anchor ----------------------------------------------------------- */

int wassl_find_other_path(X509_STORE_CTX *, int error, int depth); /* 1 = there is a good one, now the context's */
int wassl_verify_paths(X509_STORE_CTX *, void *); /* X509_verify_cert for a connection, then wassl_find_other_path */

/* ---- instead/resumed.c: sessions are verified again ------------------------------------------------------------ */

/* Whether we would accept that chain now: X509_V_*. */
int wassl_verify_now(SSL *, STACK_OF(X509) *chain);
/* Afterwards: the handshake is still to come. A path that was found good stays. */
void wassl_forget_verdict(SSL *);
/* Before a ticket is made, by a server that verifies again. */
int wassl_keep_chain(SSL *, void *);

/* ---- abi/datagram_pair.c -------------------------------------------------------------------------------------- */

int wassl_datagram_pair(size_t internal, size_t network, BIO *out[2]); /* as wassl_BIO_new_bio_pair */

/* ---- abi/context.c, psk.c, ocsp.c, tickets.c, session.c, identities.c, dtls.c ----------------------------------- */

int wassl_context_init(void);
int wassl_psk_init(void);
void wassl_psk_found(SSL *, SSL_SESSION *); /* what a client offered and this server takes: a session, or an external key */
int wassl_ocsp_init(void);
int wassl_swap_ocsp_responses(SSL_CTX *, SSL_CTX *);
int wassl_tickets_init(void);
int wassl_session_init(void);
int wassl_identities_init(void);
int wassl_dtls_init(void);

#endif
