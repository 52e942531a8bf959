/* What the .c files here and in ../instead have of each other. No export. */
#ifndef WASSL_INTERNAL_H
#define WASSL_INTERNAL_H

#include "abi.h"

extern int wassl_ssl_state_index; /* ex_data of SSL: what is recorded about a connection */
extern int wassl_ctx_alpn_index;  /* ex_data of SSL_CTX: the protocols a server chooses from */
int wassl_ssl_init(void);
int wassl_context_init(void);
int wassl_psk_init(void);
int wassl_ocsp_init(void);
int wassl_verify_mode(SSL *); /* 0, or WASSL_VERIFY_* */
int wassl_suspend_init(void);
int wassl_anchors_init(void);
int wassl_anchors_given(X509_STORE *, X509 *); /* this anchor is the caller's own choice */
int wassl_anchors_load(X509_STORE *, const X509_NAME *); /* all anchors of that subject become certificates of the store */
int wassl_tickets_init(void);
int wassl_session_init(void);
void wassl_record_event(SSL *, int kind, int sent, const void *payload, size_t length);
int wassl_verify_callback(int ok, X509_STORE_CTX *);
void wassl_keep_certificates(SSL *);        /* after a handshake: those of a chain that was accepted need not be read again */
void wassl_forget_certificates(void);
int wassl_verify_paths(X509_STORE_CTX *, void *); /* X509_verify_cert for a connection, and then wassl_find_other_path */
int wassl_find_other_path(X509_STORE_CTX *, int error, int depth); /* 1 = there is a good one, which is now the context's */
void wassl_forget_verify_failure(SSL *);
void wassl_forget_key_exchange(SSL *); /* after the handshake; wassl_try_handshake does so itself */
void wassl_message_callback(int write_p, int version, int type, const void *, size_t, SSL *, void *);
void wassl_random_zeros(int on); /* instead of random numbers, for wassl_prepare() */
extern unsigned wassl_failed_allocations; /* how often there was no memory, until now; patches/trust.patch reads it too */
void wassl_forget_stack(void); /* overwrites what calls that have returned left there: when a secret, or who had it, is gone */
wassl_bytes *wassl_bytes_new(const void *, size_t);
wassl_bytes *wassl_bytes_from_bio(BIO *); /* takes the memory BIO */
int wassl_looks_like_pem(const uint8_t *, size_t);
int wassl_at_end_of_pem(int count);     /* after `count` objects: nothing more begins. Any other error is a broken block. */
STACK_OF(X509) *wassl_parse_certificates(const uint8_t *, size_t); /* all of a PEM text, or the one of a DER block; or 0 */

#endif
