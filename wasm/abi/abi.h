/*
 * The ABI: what openssl.wasm exports to TypeScript. Each function that is declared here is exported, by the word
 * EXPORT where it is defined, and no other. src/binding/abi.ts is generated from this file ("npm run abi";
 * wasm/build/abi.ts says how it must be written). test/node/abi.ts compares the three.
 *
 * A pointer result of 0 means failure, or that there is nothing of the kind. No function keeps a pointer to memory
 * that was passed to it beyond the call, unless the parameter is OWNED. No function calls JavaScript, except for
 * entropy (random_get) and the clock (clock_get). What OpenSSL would tell by callback is kept and asked for
 * afterwards (wassl_SSL_take_events, wassl_SSL_verify_*). The names begin with wassl_ and go on with OpenSSL's own
 * name where there is one. Policy (which versions, modes, options, trust) belongs to TypeScript; here are only
 * mechanisms.
 *
 * "The queue" is the error queue of OpenSSL (ERR_get_error(3)); there is one per module, since there are no threads.
 * "Fills the queue": on failure the reason is there. A function whose comment says nothing of the queue does not
 * touch it.
 */
#ifndef WASSL_ABI_H
#define WASSL_ABI_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

/* Before the definition: the linker keeps the function, and exports it. */
#define EXPORT __attribute__((used, visibility("default")))

/*
 * Words of the declarations. To the compiler they are nothing, to TypeScript they are types.
 *
 * OWNED before a result: the caller owns it, and gives it back once, to a function with an OWNED parameter of that
 * type; its name ends with _free. OWNED before a parameter: the function takes it over. BORROWED before a result: it
 * is good until the object it came from is freed, and is never freed itself. A parameter without a word is borrowed
 * for the time of the call. OR_NULL before a parameter: it may be 0. NEVER_NULL before a result: it is not 0. OUT
 * before a parameter: where the function puts a result, one word long unless it is an array. A pointer that is put
 * there by a function that succeeds is not 0, unless it is OR_NULL.
 */
#define OWNED
#define BORROWED
#define OR_NULL
#define NEVER_NULL
#define OUT

/* Results and parameters that are no number to count with. */
typedef int wassl_ok;    /* 1 = done; 0 = failed */
typedef int wassl_bool;  /* 1 = yes, on; 0 = no, off */
typedef int wassl_count; /* how many; 0 = failed */

/* A length, and that many bytes. */
typedef struct {
    uint32_t length;
    uint8_t data[];
} wassl_bytes;

/* Many trust anchors in one block: see wassl_anchors_new. */
typedef uint8_t wassl_anchors;

/* What came of the verification of a chain: see wassl_X509_verify_cert. */
typedef struct wassl_verification wassl_verification;

/* ---- start.c: which version this is ------------------------------------------------------------------------- */

/* TypeScript refuses a module with another one. */
#define WASSL_ABI_VERSION 1

/* WASSL_ABI_VERSION of this header. */
uint32_t wassl_abi_version(void);
/* OpenSSL_version(3). */
BORROWED const char *wassl_OpenSSL_version(int t);

/* ---- memory.c: the heap --------------------------------------------------------------------------------------- */

/* 0 when memory is exhausted. */
OWNED void *wassl_heap_malloc(size_t n);
/* What was there is overwritten, as with all that is freed. */
void wassl_heap_free(OWNED OR_NULL void *p);
void wassl_bytes_free(OWNED wassl_bytes *bytes);
/* Bytes handed out by malloc at this moment. */
size_t wassl_heap_used(void);

/* ---- error.c: the error queue --------------------------------------------------------------------------------- */

/* Empties the queue. */
void wassl_ERR_clear_error(void);
/* Takes the earliest error out; 0 when the queue is empty. *data is good until the next call into the module. */
unsigned long wassl_ERR_get_error(OUT OR_NULL const char **data);
/* A static string. */
BORROWED const char *wassl_ERR_lib_error_string(unsigned long e);
/* A static string. */
BORROWED const char *wassl_ERR_reason_error_string(unsigned long e);
int wassl_ERR_get_lib(unsigned long e);
int wassl_ERR_get_reason(unsigned long e);
/* Adds to the queue: shows what a stale queue does. */
void wassl_ERR_raise(int lib, int reason);

/* ---- bio.c: the BIO pair -------------------------------------------------------------------------------------- */

/*
 * Two halves, out[0] the internal one (OpenSSL's), out[1] the network one (ours), both the caller's, until
 * wassl_SSL_new takes the internal one. `internal` bytes of room for what goes internal → network, `network` bytes
 * for the other way; 0 = 17 KiB. Freeing one half disconnects the other, which stays safe to use and to free.
 * datagram: each write is one datagram, for DTLS, which takes two bytes more of the room (datagram_pair.c). Fills the
 * queue.
 */
wassl_ok wassl_BIO_new_bio_pair(size_t internal, size_t network, wassl_bool datagram, OUT OWNED BIO *out[2]);
/*
 * Rings of other sizes, in bytes, 1 or more, for a stream pair in which no bytes are and no half was shut down. When
 * bytes are in it or there is no memory it fails, and the pair is as it was.
 */
wassl_ok wassl_BIO_resize_bio_pair(BIO *internal, size_t internal_size, BIO *network, size_t network_size);
void wassl_BIO_free(OWNED BIO *bio);
/* > 0 bytes; 0 end; -1 try again (nothing there) */
int wassl_BIO_read(BIO *bio, void *p, int n);
/* > 0 bytes; -1 no room, or after shutdown_wr (fills the queue) */
int wassl_BIO_write(BIO *bio, const void *p, int n);
/* How many bytes can be read at *p without copying. */
int wassl_BIO_nread0(BIO *bio, OUT char **p);
/* Takes up to n bytes out; they stay readable at *p until the next write. */
int wassl_BIO_nread(BIO *bio, OUT char **p, int n);
/* How many bytes may be written at *p. */
int wassl_BIO_nwrite0(BIO *bio, OUT char **p);
/* Commits up to n bytes. */
int wassl_BIO_nwrite(BIO *bio, OUT char **p, int n);
size_t wassl_BIO_ctrl_pending(BIO *bio);
size_t wassl_BIO_ctrl_wpending(BIO *bio);
size_t wassl_BIO_ctrl_get_write_guarantee(BIO *bio);
size_t wassl_BIO_ctrl_get_read_request(BIO *bio);
/* No more bytes will be written: the other half reads what is left, then the end. */
wassl_ok wassl_BIO_shutdown_wr(BIO *bio);

/* ---- context.c: SSL_CTX --------------------------------------------------------------------------------------- */

#define WASSL_ROLE_SERVER 1
#define WASSL_ROLE_DTLS 2

/*
 * role: 0 client, or the bits above. Fills the queue.
 * Differs from a bare SSL_CTX_new in one mode: SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER is on, since the address of a
 * buffer means nothing to a caller outside linear memory. Alerts and verification failures are recorded (record.c).
 */
OWNED SSL_CTX *wassl_SSL_CTX_new(int role);
/* Drops our reference; connections keep theirs. */
void wassl_SSL_CTX_free(OWNED SSL_CTX *ctx);
wassl_ok wassl_SSL_CTX_set_min_proto_version(SSL_CTX *ctx, int version);
wassl_ok wassl_SSL_CTX_set_max_proto_version(SSL_CTX *ctx, int version);
/* Adds, returns all. */
uint64_t wassl_SSL_CTX_set_options(SSL_CTX *ctx, uint64_t options);
/* Returns those that are left. */
uint64_t wassl_SSL_CTX_clear_options(SSL_CTX *ctx, uint64_t options);
/* Adds, returns all. */
uint32_t wassl_SSL_CTX_set_mode(SSL_CTX *ctx, uint32_t mode);
/* Returns those that are left. */
uint32_t wassl_SSL_CTX_clear_mode(SSL_CTX *ctx, uint32_t mode);
/* SSL_VERIFY_*, with the recording callback. */
void wassl_SSL_CTX_set_verify(SSL_CTX *ctx, int mode);
void wassl_SSL_CTX_set_verify_depth(SSL_CTX *ctx, int depth);
/* Bytes; a context that is selected brings its own. */
void wassl_SSL_CTX_set_max_cert_list(SSL_CTX *ctx, size_t n);
/* 512 to 16384 bytes; a context that is selected brings its own. */
wassl_ok wassl_SSL_CTX_set_max_send_fragment(SSL_CTX *ctx, size_t n);
void wassl_SSL_CTX_set_security_level(SSL_CTX *ctx, int level);
int wassl_SSL_CTX_get_security_level(SSL_CTX *ctx);
/* TLS 1.2. Fills the queue. */
wassl_ok wassl_SSL_CTX_set_cipher_list(SSL_CTX *ctx, const char *list);
/* TLS 1.3. Fills the queue. */
wassl_ok wassl_SSL_CTX_set_ciphersuites(SSL_CTX *ctx, const char *list);
/* Fills the queue. */
wassl_ok wassl_SSL_CTX_set1_groups_list(SSL_CTX *ctx, const char *list);
/* Fills the queue. */
wassl_ok wassl_SSL_CTX_set1_sigalgs_list(SSL_CTX *ctx, const char *list);
/*
 * Wire format; a client offers it, a server chooses by it, in this order, or refuses with no_application_protocol.
 * Fills the queue.
 */
wassl_ok wassl_SSL_CTX_set_alpn(SSL_CTX *ctx, const uint8_t *wire, size_t length);
/* What the context trusts: see verify.c. */
BORROWED NEVER_NULL X509_STORE *wassl_SSL_CTX_get_cert_store(SSL_CTX *ctx);
/* How the context verifies; connections made later have it. */
BORROWED NEVER_NULL X509_VERIFY_PARAM *wassl_SSL_CTX_get0_param(SSL_CTX *ctx);
/*
 * A server tells clients whose certificates it takes: those of the trust anchors so far. 0 also when a message does not carry as
 * many. Fills the queue.
 */
wassl_ok wassl_SSL_CTX_send_ca_names(SSL_CTX *ctx);
/* PEM, leaf first, or one DER. Fills the queue. */
wassl_ok wassl_SSL_CTX_use_certificate_chain(SSL_CTX *ctx, const uint8_t *data, size_t length);
/* PEM or DER. It must match the certificate. Fills the queue. */
wassl_ok wassl_SSL_CTX_use_PrivateKey(SSL_CTX *ctx, const uint8_t *data, size_t length, OR_NULL const char *pass);
/* Certificate, key and chain. Fills the queue. */
wassl_ok wassl_SSL_CTX_use_PKCS12(SSL_CTX *ctx, const uint8_t *data, size_t length, OR_NULL const char *pass);
/*
 * Two contexts of one role exchange their certificates, keys and the OCSP response. Connections that are made, and that
 * choose the context, from then on have the new ones. Fails when memory is short, and changes nothing then.
 */
wassl_ok wassl_SSL_CTX_swap_identity(SSL_CTX *a, SSL_CTX *b);
void wassl_SSL_CTX_set_quiet_shutdown(SSL_CTX *ctx, wassl_bool on);
wassl_bool wassl_SSL_CTX_get_quiet_shutdown(SSL_CTX *ctx);
/* Returns the mode before. */
int wassl_SSL_CTX_set_session_cache_mode(SSL_CTX *ctx, int mode);
wassl_ok wassl_SSL_CTX_set_session_id_context(SSL_CTX *ctx, const uint8_t *id, size_t length);
wassl_ok wassl_SSL_CTX_set_num_tickets(SSL_CTX *ctx, size_t count);
/* Of sessions, tickets included. */
void wassl_SSL_CTX_set_timeout(SSL_CTX *ctx, int seconds);
/* SSL_CTRL_SESS_*: number, connects, hits, misses … */
int wassl_SSL_CTX_session_counter(SSL_CTX *ctx, int which);
/* How much early data a server's tickets allow, in bytes. */
wassl_ok wassl_SSL_CTX_set_max_early_data(SSL_CTX *ctx, uint32_t n);
/* How much early data a server takes, in bytes. */
wassl_ok wassl_SSL_CTX_set_recv_max_early_data(SSL_CTX *ctx, uint32_t n);

/* ---- tickets.c: the keys of a server's tickets ---------------------------------------------------------------- */

#define WASSL_TICKET_KEY_SIZE 80

/*
 * `count` keys of WASSL_TICKET_KEY_SIZE bytes, one behind the other: 16 name, 32 HMAC-SHA-256, 32 AES-256. The first
 * encrypts, all decrypt, and a ticket under one that is not the first is renewed. Copied, and overwritten when the
 * SSL_CTX goes or others are set. 0 keys: OpenSSL's own again, random ones of this SSL_CTX.
 */
wassl_ok wassl_SSL_CTX_set_ticket_keys(SSL_CTX *ctx, const uint8_t *keys, size_t count);

/* ---- psk.c: an external pre-shared key ------------------------------------------------------------------------ */

/*
 * One more key, for either role, of 1 to 512 bytes. cipher: the TLS 1.3 suite (0x1301 …) whose hash the key belongs to.
 * The key is copied, and overwritten when the SSL_CTX goes. Of several keys a client offers the first (in TLS 1.2 the one
 * that the server names), and a server takes each. Fills the queue.
 */
wassl_ok wassl_SSL_CTX_add_psk(SSL_CTX *ctx, const char *identity, const uint8_t *key, size_t key_length, int cipher);
/* Whether TLS 1.3 was begun with an external key, which SSL_session_reused calls a session. */
wassl_bool wassl_SSL_used_psk(SSL *ssl);
/* Of the connection, or of the one whose session it resumed. */
BORROWED const char *wassl_SSL_get_psk_identity(SSL *ssl);

/* ---- ocsp.c: OCSP stapling ------------------------------------------------------------------------------------ */

/* A server staples it, when asked to. */
wassl_ok wassl_SSL_CTX_set_ocsp_response(SSL_CTX *ctx, const uint8_t *der, size_t length);
/* A client asks for one. */
wassl_ok wassl_SSL_CTX_request_ocsp_response(SSL_CTX *ctx);
/*
 * A client asks for one and judges it: signature, responder, which certificate it is about, freshness, status. One
 * that is not good ends the handshake; so does a handshake without one, if required.
 */
wassl_ok wassl_SSL_CTX_check_ocsp_response(SSL_CTX *ctx, wassl_bool required);
/* DER, or 0 when no response came. */
BORROWED const uint8_t *wassl_SSL_get0_ocsp_response(SSL *ssl, OUT unsigned *length);

/* ---- ssl.c: SSL ----------------------------------------------------------------------------------------------- */

/* Takes `internal` only when it succeeds. Fills the queue. */
OWNED SSL *wassl_SSL_new(SSL_CTX *ctx, OWNED BIO *internal);
/* Frees the internal half of the pair too. */
void wassl_SSL_free(OWNED SSL *ssl);
/* Fills the queue. */
wassl_ok wassl_SSL_clear(SSL *ssl);
void wassl_SSL_set_connect_state(SSL *ssl);
void wassl_SSL_set_accept_state(SSL *ssl);

/*
 * OpenSSL's operations, unchanged: the return value is OpenSSL's, the queue is left as OpenSSL leaves it, and
 * wassl_SSL_get_error(ssl, ret) must be asked before any other call into the module. wassl_SSL_shutdown is in
 * alert.c.
 */

int wassl_SSL_do_handshake(SSL *ssl);
int wassl_SSL_connect(SSL *ssl);
int wassl_SSL_accept(SSL *ssl);
int wassl_SSL_read(SSL *ssl, void *p, int n);
int wassl_SSL_peek(SSL *ssl, void *p, int n);
int wassl_SSL_write(SSL *ssl, const void *p, int n);
int wassl_SSL_write_ex(SSL *ssl, const void *p, size_t n, OUT size_t *written);
/* 1, or 0. By a client, before its handshake. */
int wassl_SSL_write_early_data(SSL *ssl, const void *p, size_t n, OUT size_t *written);
/* SSL_READ_EARLY_DATA_*. By a server, before its handshake. */
int wassl_SSL_read_early_data(SSL *ssl, void *p, size_t n, OUT size_t *read);
int wassl_SSL_get_error(SSL *ssl, int ret);

/*
 * The same operations for the pump, in one call: empties the queue, works, and answers either OpenSSL's result where
 * that is success (handshake 1, read/peek/write > 0, shutdown 0 or 1) or minus the SSL_ERROR_* code. After
 * -SSL_ERROR_SSL and -SSL_ERROR_SYSCALL the reasons are in the queue. After 0 from shutdown nothing is asked: what
 * SSL_get_error would say then is misleading (SSL_shutdown(3)).
 */

int wassl_try_handshake(SSL *ssl);
int wassl_try_read(SSL *ssl, void *p, int n);
int wassl_try_peek(SSL *ssl, void *p, int n);
int wassl_try_write(SSL *ssl, const void *p, int n);
int wassl_try_shutdown(SSL *ssl);

#define WASSL_MANY_SHIFT 20

/*
 * wassl_try_read again and again, until n bytes are there (n < 2^WASSL_MANY_SHIFT) or it has no more. How many
 * bytes, plus, when it ended early, the SSL_ERROR_* times 2^WASSL_MANY_SHIFT.
 */
int wassl_try_read_many(SSL *ssl, uint8_t *p, int n);
/* The same with wassl_try_write for n bytes, a record at a time. */
int wassl_try_write_many(SSL *ssl, const uint8_t *p, int n);
/* Bytes, or minus SSL_ERROR_*. */
int wassl_try_write_early_data(SSL *ssl, const void *p, int n);
/* Bytes; 0 = there is no more of it, go on with the handshake; or minus SSL_ERROR_*. */
int wassl_try_read_early_data(SSL *ssl, void *p, int n);

int wassl_SSL_get_shutdown(SSL *ssl);
void wassl_SSL_set_shutdown(SSL *ssl, int flags);
void wassl_SSL_set_quiet_shutdown(SSL *ssl, wassl_bool on);
wassl_bool wassl_SSL_get_quiet_shutdown(SSL *ssl);
int wassl_SSL_pending(SSL *ssl);
wassl_bool wassl_SSL_has_pending(SSL *ssl);
int wassl_SSL_want(SSL *ssl);
wassl_bool wassl_SSL_is_init_finished(SSL *ssl);
wassl_bool wassl_SSL_is_server(SSL *ssl);
/* Adds, returns all. */
uint64_t wassl_SSL_set_options(SSL *ssl, uint64_t options);
/* Adds, returns all. */
uint32_t wassl_SSL_set_mode(SSL *ssl, uint32_t mode);
/* Returns those that are left. */
uint32_t wassl_SSL_clear_mode(SSL *ssl, uint32_t mode);
void wassl_SSL_set_post_handshake_auth(SSL *ssl, wassl_bool on);
/* SSL_EARLY_DATA_* */
int wassl_SSL_get_early_data_status(SSL *ssl);

/* How it stands with TLS 1.3's authentication of a client behind the handshake. */

/* The client did not offer it. */
#define WASSL_PHA_NONE 0
#define WASSL_PHA_OFFERED 1
/* The server has asked, or is about to, and the answer is not there. */
#define WASSL_PHA_ASKED 2

int wassl_SSL_get_post_handshake_auth(SSL *ssl);

/* Nothing is said any more once close_notify was ("protocol is shutdown"). Each of these four fills the queue. */

wassl_ok wassl_SSL_verify_client_post_handshake(SSL *ssl);
wassl_ok wassl_SSL_key_update(SSL *ssl, int type);
wassl_ok wassl_SSL_renegotiate(SSL *ssl);
wassl_ok wassl_SSL_new_session_ticket(SSL *ssl);

/* The identity that is expected of the peer. Each fills the queue. */

/* SNI. */
wassl_ok wassl_SSL_set_tlsext_host_name(SSL *ssl, const char *name);
/* A DNS name. */
wassl_ok wassl_SSL_set1_host(SSL *ssl, const char *name);
/* An IP literal; 0 when it is none. */
wassl_ok wassl_SSL_set1_ip_asc(SSL *ssl, const char *ip);

/* What the handshake settled. */

BORROWED const char *wassl_SSL_get_version(SSL *ssl);
BORROWED const char *wassl_SSL_get_cipher_name(SSL *ssl);
/* As IANA has it. */
BORROWED const char *wassl_SSL_get_cipher_standard_name(SSL *ssl);
BORROWED const char *wassl_SSL_get0_group_name(SSL *ssl);
BORROWED const char *wassl_SSL_get0_peer_signature_name(SSL *ssl);
BORROWED const char *wassl_SSL_get_servername(SSL *ssl);
BORROWED const uint8_t *wassl_SSL_get0_alpn_selected(SSL *ssl, OUT unsigned *length);
wassl_bool wassl_SSL_session_reused(SSL *ssl);
int wassl_SSL_peer_certificate_count(SSL *ssl);
/* index: below wassl_SSL_peer_certificate_count; 0 = the leaf, on both sides. */
BORROWED NEVER_NULL X509 *wassl_SSL_get0_peer_certificate(SSL *ssl, int index);
/*
 * Leaf first, as far as it was built; or 0. Of a session that is resumed, what wassl_SSL_verify_session or the
 * server found.
 */
BORROWED STACK_OF(X509) *wassl_SSL_get0_verified_chain(SSL *ssl);
/* X509_V_* */
int wassl_SSL_get_verify_result(SSL *ssl);
/* A static string. */
BORROWED const char *wassl_X509_verify_cert_error_string(int e);

/* ---- alert.c: alerts that leave in pieces --------------------------------------------------------------------- */

/* SSL_shutdown(3), and an event also for an alert that left in pieces. */
int wassl_SSL_shutdown(SSL *ssl);
/*
 * The rest of an alert for which the BIO pair had no room: 1 = nothing of it is left, 0 = the pair is full again.
 * After a failure it is the only operation that still makes sense. Fills the queue with nothing of interest.
 */
wassl_bool wassl_SSL_dispatch_alert(SSL *ssl);

/* ---- record.c: what is recorded where OpenSSL would call back ------------------------------------------------- */

/*
 * How many failures of the verification were recorded, also of those that were let pass: one, unless OpenSSL went on.
 * `index` is below that, in the order in which OpenSSL found them.
 */
int wassl_SSL_verify_failures(SSL *ssl);
/* X509_V_* */
int wassl_SSL_verify_error(SSL *ssl, int index);
int wassl_SSL_verify_depth(SSL *ssl, int index);
/* The certificate in question, or 0. */
BORROWED X509 *wassl_SSL_verify_certificate(SSL *ssl, int index);

#define WASSL_EVENT_LOST 0
#define WASSL_EVENT_ALERT 1
#define WASSL_EVENT_KEYLOG 2
#define WASSL_EVENT_RECORD 3
#define WASSL_EVENT_CONTENT 4
#define WASSL_EVENT_HANDSHAKE 5
#define WASSL_EVENT_SESSION 6

/*
 * Events since the last call, oldest first, or 0. Each event is one little-endian word (kind | direction << 8 |
 * payload length << 16; direction 1 = sent) and the payload, padded to 4. Payloads:
 *   ALERT      level, description
 *   KEYLOG     a line as SSL_CTX_set_keylog_callback(3) gives it; only after wassl_SSL_CTX_set_keylog
 *   RECORD     content type, version (2), length (2), as on the wire; this and the next two only after
 *              wassl_SSL_CTX_set_trace
 *   CONTENT    the content type that was encrypted in the record before (TLS 1.3)
 *   HANDSHAKE  message type, length (3)
 *   SESSION    nothing: wassl_SSL_take_new_session has one
 * When memory was short or more than 64 KiB waited, the newest are missing and `kind` WASSL_EVENT_LOST ends the
 * list.
 */
OWNED wassl_bytes *wassl_SSL_take_events(SSL *ssl);

/* ---- trace.c: seeing inside a connection ---------------------------------------------------------------------- */

void wassl_SSL_CTX_set_keylog(SSL_CTX *ctx, wassl_bool on);
/* Of connections that are made from then on. */
void wassl_SSL_CTX_set_trace(SSL_CTX *ctx, wassl_bool on);
void wassl_SSL_set_trace(SSL *ssl, wassl_bool on);

/* ---- exporters.c: binding to a connection --------------------------------------------------------------------- */

/*
 * RFC 5705, RFC 8446 §7.5. context_length < 0: there is no context, which differs from an empty one in TLS 1.2.
 * Fills the queue.
 */
OWNED wassl_bytes *wassl_SSL_export_keying_material(SSL *ssl, size_t length, const char *label, const uint8_t *context, int context_length);
/* 1; 0; -1 = not known yet. */
int wassl_SSL_get_extms_support(SSL *ssl);
/* The verify_data of the last Finished message that was sent, or that the peer sent; 0 = there was none. */
OWNED wassl_bytes *wassl_SSL_get_finished(SSL *ssl, wassl_bool of_peer);
/* RFC 5929 §4; 0 = it cannot be known, or does not exist. */
OWNED wassl_bytes *wassl_SSL_server_end_point(SSL *ssl);

/* ---- suspend.c: where a handshake waits for an answer from outside -------------------------------------------- */

/* A server stops at each client's ClientHello with SSL_ERROR_WANT_CLIENT_HELLO_CB. */
void wassl_SSL_CTX_suspend_client_hello(SSL_CTX *ctx);
/*
 * Until it is answered: legacy version, length of the cipher suites and they, then the extensions as on the wire.
 */
OWNED wassl_bytes *wassl_SSL_get_client_hello(SSL *ssl);
/*
 * The answer is another SSL_CTX (0 = the same), or an alert with which the client is refused (-1 = it is not). Fails
 * when nothing waited for it.
 */
wassl_ok wassl_SSL_answer_client_hello(SSL *ssl, OR_NULL SSL_CTX *ctx, int alert);

/* Stops when OpenSSL accepts the certificates. */
#define WASSL_VERIFY_TOO 1
/* Stops also when OpenSSL does not accept them: what was wrong stays in wassl_SSL_verify_failures. */
#define WASSL_VERIFY_ANYWAY 2

/*
 * Stops behind the peer's certificates with SSL_ERROR_WANT_RETRY_VERIFY. mode: 0 = never, WASSL_VERIFY_TOO,
 * WASSL_VERIFY_ANYWAY.
 */
wassl_ok wassl_SSL_suspend_verify(SSL *ssl, int mode);
wassl_ok wassl_SSL_answer_verify(SSL *ssl, wassl_bool accept);

/* ---- identities.c: a client that has several ------------------------------------------------------------------ */

/*
 * Puts the certificate, the key and the chain that a client's context has on its list, and takes them from the context.
 * A connection shows the one of the list that the server asks for, in the order of the list.
 */
wassl_ok wassl_SSL_CTX_keep_identity(SSL_CTX *ctx);

/* ---- external_key.c: a private key that is elsewhere ---------------------------------------------------------- */

/* The one that was used last, or 0. */
BORROWED X509 *wassl_SSL_CTX_get0_certificate(SSL_CTX *ctx);
/*
 * For the certificate that was used last. id: by which the caller knows the key. algorithms: the signatures that it
 * makes, RFC 8446 §4.2.3. Stops with SSL_ERROR_WANT_X509_LOOKUP where it has to sign. Such a key decrypts nothing:
 * RSA key exchange is not agreed on with it. Fills the queue.
 */
wassl_ok wassl_SSL_CTX_use_external_key(SSL_CTX *ctx, unsigned id, const uint16_t *algorithms, size_t count);
/* What is to be signed, the algorithm and the id of the key; 0 = nothing waits. */
OWNED wassl_bytes *wassl_SSL_get_to_be_signed(SSL *ssl, OUT unsigned *algorithm, OUT unsigned *id);
/*
 * An answer of no bytes means that the key will not. 1 = it is taken; 0 = nothing waited for it; -1 = it is not of
 * that certificate's key, and counts as no answer. Fills the queue.
 */
int wassl_SSL_answer_signature(SSL *ssl, const uint8_t *signature, size_t length);

/* ---- dtls.c: what DTLS has beside TLS -------------------------------------------------------------------------- */

/* Milliseconds until wassl_DTLSv1_handle_timeout is due; -1 = no timer runs. */
int wassl_DTLSv1_get_timeout(SSL *ssl);
/* 1 sent again, 0 not due, -1 failed. Fills the queue. */
int wassl_DTLSv1_handle_timeout(SSL *ssl);
/* How long the first answer is waited for, and the longest later; in milliseconds, 1 to 2^21. */
wassl_ok wassl_DTLS_set_timeouts(SSL *ssl, int initial, int most);
/* The largest datagram, in bytes, 208 or more. */
wassl_ok wassl_SSL_set_mtu(SSL *ssl, int mtu);
/* The longest message that fits one datagram, in bytes; 0 before the handshake has settled on a cipher. */
size_t wassl_DTLS_get_data_mtu(SSL *ssl);
/* New keys for the cookies of this server, which change once a minute. */
wassl_ok wassl_SSL_CTX_use_cookies(SSL_CTX *ctx);
/*
 * For a server before its handshake: reads datagrams from its half, which are all of the client at `address` (255 bytes
 * at most). 1 = one of them had a good cookie, the handshake may begin; 0 = what was a ClientHello is answered with a
 * HelloVerifyRequest, and all is forgotten; -1 failed. Fills the queue, also for what was no ClientHello.
 */
int wassl_DTLSv1_listen(SSL *ssl, const uint8_t *address, size_t length);

/* ---- session.c: SSL_SESSION ----------------------------------------------------------------------------------- */

/* 0 = there is none. */
OWNED SSL_SESSION *wassl_SSL_get1_session(SSL *ssl);
/* Those that the cache mode would tell of (SSL_CTX_sess_set_new_cb(3)). */
void wassl_SSL_CTX_keep_new_sessions(SSL_CTX *ctx, wassl_bool on);
/* The oldest of the last 8 that came; 0 = no more. */
OWNED SSL_SESSION *wassl_SSL_take_new_session(SSL *ssl);
/* The connection takes a reference of its own. Fills the queue. */
wassl_ok wassl_SSL_set_session(SSL *ssl, SSL_SESSION *session);
/* This connection's session: out of the cache, never resumed. 1 = it was in. */
wassl_bool wassl_SSL_CTX_remove_session(SSL *ssl);
void wassl_SSL_SESSION_free(OWNED SSL_SESSION *session);
wassl_bool wassl_SSL_SESSION_is_resumable(SSL_SESSION *session);
int wassl_SSL_SESSION_get_protocol_version(SSL_SESSION *session);
/* Seconds since 1970. */
double wassl_SSL_SESSION_get_time(SSL_SESSION *session);
/* Seconds. */
double wassl_SSL_SESSION_get_timeout(SSL_SESSION *session);
wassl_bool wassl_SSL_SESSION_has_ticket(SSL_SESSION *session);
/* Seconds. */
uint32_t wassl_SSL_SESSION_get_ticket_lifetime_hint(SSL_SESSION *session);
/* Bytes. */
uint32_t wassl_SSL_SESSION_get_max_early_data(SSL_SESSION *session);
/* The SNI, or 0. */
BORROWED const char *wassl_SSL_SESSION_get0_hostname(SSL_SESSION *session);
BORROWED const uint8_t *wassl_SSL_SESSION_get0_alpn_selected(SSL_SESSION *session, OUT unsigned *length);
BORROWED X509 *wassl_SSL_SESSION_get0_peer(SSL_SESSION *session);
/*
 * Holds the session's secrets. with_chain: behind it come the certificates above the peer's own, in DER, which
 * i2d_SSL_SESSION leaves out. Fills the queue.
 */
OWNED wassl_bytes *wassl_i2d_SSL_SESSION(SSL_SESSION *session, wassl_bool with_chain);
/* Takes either. Fills the queue. */
OWNED SSL_SESSION *wassl_d2i_SSL_SESSION(const uint8_t *data, size_t length);
/*
 * Whether a client would accept now, with all that is set on the SSL, what the session knows of its peer: X509_V_*.
 * OpenSSL verifies nothing when it resumes. Before the handshake, which it leaves as it was.
 */
int wassl_SSL_verify_session(SSL *ssl, SSL_SESSION *session);
/* Goes where the session is written, and never to the peer. */
wassl_ok wassl_SSL_SESSION_set_mark(SSL_SESSION *session, const uint8_t *mark, size_t length);
BORROWED const uint8_t *wassl_SSL_SESSION_get0_mark(SSL_SESSION *session, OUT size_t *length);
/*
 * A server resumes a session only if it would accept the client now, its certificate or that it has none, and
 * otherwise makes a full handshake. Its tickets hold the certificates above the client's own, up to 8 KiB. Early
 * data is refused where the verdict is to be asked for (wassl_SSL_suspend_verify). max_age: how many seconds the full
 * handshake may lie back that a session comes from, which is renewed time and again.
 */
void wassl_SSL_CTX_verify_resumed(SSL_CTX *ctx, uint32_t max_age);

/* ---- x509.c: certificates ------------------------------------------------------------------------------------- */

/* PEM or DER. Fills the queue. */
OWNED X509 *wassl_d2i_X509(const uint8_t *data, size_t length);
void wassl_X509_free(OWNED X509 *x509);
OWNED wassl_bytes *wassl_i2d_X509(X509 *x509);
/* RFC 2253, UTF-8. */
OWNED wassl_bytes *wassl_X509_subject(X509 *x509);
/* RFC 2253, UTF-8. */
OWNED wassl_bytes *wassl_X509_issuer(X509 *x509);
/* For each the length in one little-endian word, and "DNS:example.org"; empty when the certificate has no such names. */
OWNED wassl_bytes *wassl_X509_subject_alt_names(X509 *x509);
/* Hexadecimal. */
OWNED wassl_bytes *wassl_X509_serial(X509 *x509);
/* "EC prime256v1 256": algorithm, group if any, bits. */
OWNED wassl_bytes *wassl_X509_public_key(X509 *x509);
/* SubjectPublicKeyInfo. */
OWNED wassl_bytes *wassl_i2d_X509_PUBKEY(X509 *x509);
/* 20 bytes. */
OWNED wassl_bytes *wassl_X509_sha1(X509 *x509);
/* 32 bytes. */
OWNED wassl_bytes *wassl_X509_sha256(X509 *x509);
/* Seconds since 1970, NaN when malformed. */
double wassl_X509_not_before(X509 *x509);
/* Seconds since 1970, NaN when malformed. */
double wassl_X509_not_after(X509 *x509);

OWNED STACK_OF(X509) *wassl_sk_X509_new(void);
/* Frees the certificates in it too. */
void wassl_sk_X509_free(OWNED STACK_OF(X509) *list);
/* PEM (one or more) or DER. Fails when one is broken or missing, and adds nothing then. Fills the queue. */
wassl_count wassl_sk_X509_add(STACK_OF(X509) *list, const uint8_t *data, size_t length);
int wassl_sk_X509_num(const STACK_OF(X509) *list);
/* index: below wassl_sk_X509_num. */
BORROWED NEVER_NULL X509 *wassl_sk_X509_value(const STACK_OF(X509) *list, int index);

/* Writes 32 bytes to `out`. */
void wassl_SHA256(const uint8_t *data, size_t length, uint8_t *out);

/* ---- digest.c: digests, with and without a key ---------------------------------------------------------------- */

/* By OpenSSL's name of the algorithm. With a key it is an HMAC, and the key may be empty. Fills the queue. */
OWNED EVP_MD_CTX *wassl_EVP_DigestInit(const char *algorithm, OR_NULL const wassl_bytes *key);
/* Fills the queue. */
wassl_ok wassl_EVP_DigestUpdate(EVP_MD_CTX *ctx, const void *data, size_t length);
/* After this the context is of no use any more. Fills the queue. */
OWNED wassl_bytes *wassl_EVP_DigestFinal(EVP_MD_CTX *ctx);
/* Another one that has had the same bytes. Fills the queue. */
OWNED EVP_MD_CTX *wassl_EVP_MD_CTX_dup(const EVP_MD_CTX *ctx);
void wassl_EVP_MD_CTX_free(OWNED EVP_MD_CTX *ctx);
/* PKCS5_PBKDF2_HMAC(3): `length` bytes; 1 round or more, up to the bound of wassl_bound_file. Fills the queue. */
OWNED wassl_bytes *wassl_PKCS5_PBKDF2_HMAC(const char *algorithm, const wassl_bytes *password, const wassl_bytes *salt, uint32_t rounds, size_t length);
/* Whether they are the same: takes as long whether they are or not. */
wassl_bool wassl_CRYPTO_memcmp(const void *a, const void *b, size_t length);

/* ---- public_key.c: encryption to a public key ------------------------------------------------------------------ */

/* SubjectPublicKeyInfo in DER: algorithm, group if it has one, and bits, in words. Fills the queue. */
OWNED wassl_bytes *wassl_PUBKEY_describe(const wassl_bytes *key);
/*
 * RSA. padding: RSA_PKCS1_PADDING, RSA_NO_PADDING or RSA_PKCS1_OAEP_PADDING; the last one with the digest of that name
 * for the label and for the mask. Fills the queue.
 */
OWNED wassl_bytes *wassl_EVP_PKEY_encrypt(const wassl_bytes *key, const wassl_bytes *data, int padding, OR_NULL const char *algorithm, OR_NULL const wassl_bytes *label);

/* ---- verify.c: X509_STORE, X509_VERIFY_PARAM, and the verification of a chain --------------------------------- */

/* Fills the queue. */
OWNED X509_STORE *wassl_X509_STORE_new(void);
void wassl_X509_STORE_free(OWNED X509_STORE *store);
BORROWED NEVER_NULL X509_VERIFY_PARAM *wassl_X509_STORE_get0_param(X509_STORE *store);
/* Trust anchors, as wassl_sk_X509_add. */
wassl_count wassl_X509_STORE_add_ca(X509_STORE *store, const uint8_t *data, size_t length);
/* The same for CRLs. Checking is switched on with flags. */
wassl_count wassl_X509_STORE_add_crl(X509_STORE *store, const uint8_t *data, size_t length);

/*
 * Verification parameters: each replaces what was set before; flags are added. Those that can fail do so on a name
 * that OpenSSL does not know, or a lack of memory.
 */

/* Seconds since 1970, instead of now. */
void wassl_X509_VERIFY_PARAM_set_time(X509_VERIFY_PARAM *param, double seconds);
void wassl_X509_VERIFY_PARAM_set_depth(X509_VERIFY_PARAM *param, int depth);
/* X509_V_FLAG_* */
void wassl_X509_VERIFY_PARAM_set_flags(X509_VERIFY_PARAM *param, uint32_t flags);
/* X509_CHECK_FLAG_* */
void wassl_X509_VERIFY_PARAM_set_hostflags(X509_VERIFY_PARAM *param, uint32_t flags);
/* In a connection the SSL's own level counts unless this is set. */
void wassl_X509_VERIFY_PARAM_set_auth_level(X509_VERIFY_PARAM *param, int level);
/* "sslserver" … as openssl-verify(1). */
wassl_ok wassl_X509_VERIFY_PARAM_set_purpose(X509_VERIFY_PARAM *param, const char *name);
/* One more: "1.2.3". */
wassl_ok wassl_X509_VERIFY_PARAM_add_policy(X509_VERIFY_PARAM *param, const char *oid);
wassl_ok wassl_X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM *param, const char *name);
wassl_ok wassl_X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *param, const char *ip);
wassl_ok wassl_X509_VERIFY_PARAM_set1_email(X509_VERIFY_PARAM *param, const char *email);

/*
 * Builds and verifies a chain: the first certificate is the leaf, the others may help. Each failure is recorded, and
 * the verification goes on. 0 = it could not be done, for want of memory. Leaves the queue empty otherwise.
 */
OWNED wassl_verification *wassl_X509_verify_cert(X509_STORE *store, STACK_OF(X509) *certificates);
void wassl_verification_free(OWNED wassl_verification *verification);
/* Leaf first, as far as it was built. */
BORROWED NEVER_NULL STACK_OF(X509) *wassl_verification_chain(wassl_verification *verification);
/* How many; 0 = the chain is good. */
int wassl_verification_failures(wassl_verification *verification);
/* X509_V_ERR_*; index 0 is OpenSSL's verdict. */
int wassl_verification_error(wassl_verification *verification, int index);
int wassl_verification_depth(wassl_verification *verification, int index);
/* 0 = OpenSSL names no certificate. */
BORROWED X509 *wassl_verification_certificate(wassl_verification *verification, int index);

/* ---- anchors.c: many trust anchors in one block --------------------------------------------------------------- */

/*
 * They are parsed when a chain leads to them. From base64 (a C string) of words, little-endian: how many, and how
 * many of them have a date; for each, in the order of the hashes, X509_NAME_hash_ex of its subject and where its DER
 * ends; for each that has a date, which one it is (from 0), and the seconds from 1970 up to which a leaf may have
 * been issued (notBefore) whose chain ends there, X509_V_ERR_CERT_REJECTED otherwise; then the DER of all. The block
 * is never freed: stores refer to it, as long as the instance lives. 0 when it is not so built, or memory is
 * exhausted (fills the queue). A date does not count in a store that has the anchor by wassl_X509_STORE_add_ca as
 * well.
 */
BORROWED wassl_anchors *wassl_anchors_new(const char *base64);
uint32_t wassl_anchors_count(const wassl_anchors *table);
/* Fills the queue. */
OWNED X509 *wassl_anchors_certificate(const wassl_anchors *table, uint32_t index);
/* Fills the queue. */
wassl_ok wassl_X509_STORE_add_anchors(X509_STORE *store, const wassl_anchors *table);

#endif
