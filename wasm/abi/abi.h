/*
 * The ABI: what openssl.wasm exports to TypeScript.
 *
 * Words used below, so that each line can be short:
 *
 *   owns     The caller owns what is returned and gives it back with the function named.
 *   borrows  The pointer is good until the object it came from is freed; never free it.
 *   bytes    A `wassl_bytes`: a length followed by that many bytes. The caller owns it: `wassl_heap_free`.
 *   queue    The error queue of OpenSSL (`ERR_get_error(3)`); one per module, since there are no threads.
 *            "fills" = on failure the reason is in the queue. "clears" = emptied before the operation.
 *            What says nothing about the queue does not touch it.
 *
 * Unless a line says otherwise, a pointer result of 0 means failure and an int result of 1 means success, 0 failure.
 * No function keeps a pointer to memory that was passed to it beyond the call, except where "takes" says that
 * ownership moves. No function calls JavaScript, except for entropy (random_get) and the clock (clock_get).
 * What OpenSSL would tell by callback is kept and asked for afterwards (wassl_SSL_take_events, wassl_SSL_verify_*).
 * The names begin with wassl_ and go on with OpenSSL's own name where there is one.
 * Policy (which versions, modes, options, trust) belongs to TypeScript; here are only mechanisms.
 */
#ifndef WASSL_ABI_H
#define WASSL_ABI_H

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((used, visibility("default")))

typedef struct {
    uint32_t length;
    uint8_t data[];
} wassl_bytes;

/* ---- start.c, memory.c: which version this is, and the heap ------------------------------------------------ */

uint32_t wassl_abi_version(void);         /* WASSL_ABI_VERSION of this header; TypeScript refuses any other. */
#define WASSL_ABI_VERSION 1
const char *wassl_OpenSSL_version(int t); /* borrows: a static string. */
void *wassl_heap_malloc(size_t n);    /* owns: wassl_heap_free. 0 when memory is exhausted. */
void wassl_heap_free(void *p);        /* 0 is allowed. What was there is overwritten, as with all that is freed. */
size_t wassl_heap_used(void);             /* bytes handed out by malloc at this moment. */

/* ---- error.c: the error queue ----------------------------------------------------------------------------- */

void wassl_ERR_clear_error(void);                       /* clears. */
unsigned long wassl_ERR_get_error(const char **data);   /* takes the earliest error out; 0 when there is none. *data is
                                                         borrowed until the next call into the module; may be 0. */
unsigned long wassl_ERR_peek_error(void);               /* the earliest, left where it is. */
const char *wassl_ERR_lib_error_string(unsigned long);  /* borrows: a static string or 0. */
const char *wassl_ERR_reason_error_string(unsigned long); /* the same. */
int wassl_ERR_get_lib(unsigned long);
int wassl_ERR_get_reason(unsigned long);
void wassl_ERR_raise(int lib, int reason);              /* adds to the queue: shows what a stale queue does. */

/* ---- bio.c: the BIO pair ---------------------------------------------------------------------------------- */

/*
 * Two halves, out[0] the internal one (OpenSSL's), out[1] the network one (ours). `internal` bytes of room for what
 * goes internal → network, `network` bytes for the other way; 0 = 17 KiB. owns both: wassl_BIO_free, until
 * wassl_SSL_new takes the internal one. Freeing one half disconnects the other, which stays safe to use and to free.
 * datagram: 1 = BIO_s_dgram_pair (keeps message boundaries, for DTLS). Fills the queue.
 */
int wassl_BIO_new_bio_pair(size_t internal, size_t network, int datagram, BIO *out[2]);
/*
 * Rings of other sizes, in bytes, 1 or more, for a stream pair in which no bytes are and no half was shut down. 1; or 0, and the
 * pair is as it was, when bytes are in it or there is no memory.
 */
int wassl_BIO_resize_bio_pair(BIO *internal, size_t internal_size, BIO *network, size_t network_size);
void wassl_BIO_free(BIO *);
int wassl_BIO_read(BIO *, void *, int);        /* > 0 bytes; 0 end; -1 try again (nothing there) */
int wassl_BIO_write(BIO *, const void *, int); /* > 0 bytes; -1 no room, or after shutdown_wr (fills the queue) */
int wassl_BIO_nread0(BIO *, char **);          /* how many bytes can be read at *p without copying; borrows */
int wassl_BIO_nread(BIO *, char **, int);      /* takes up to that many bytes out; they stay readable at *p until the next write */
int wassl_BIO_nwrite0(BIO *, char **);         /* how many bytes may be written at *p; borrows */
int wassl_BIO_nwrite(BIO *, char **, int);     /* commits up to that many bytes */
size_t wassl_BIO_ctrl_pending(BIO *);
size_t wassl_BIO_ctrl_wpending(BIO *);
size_t wassl_BIO_ctrl_get_write_guarantee(BIO *);
size_t wassl_BIO_ctrl_get_read_request(BIO *);
int wassl_BIO_shutdown_wr(BIO *); /* no more bytes will be written: the other half reads what is left, then the end */
int wassl_BIO_eof(BIO *);
int wassl_BIO_should_retry(BIO *);

/* ---- context.c: SSL_CTX ----------------------------------------------------------------------------------- */

#define WASSL_ROLE_SERVER 1
#define WASSL_ROLE_DTLS 2
/*
 * role: 0 client, or the bits above. owns: wassl_SSL_CTX_free. Fills the queue.
 * Differs from a bare SSL_CTX_new in one mode: SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER is on, since the address of a
 * buffer means nothing to a caller outside linear memory. Alerts and verification failures are recorded (see record.c).
 */
SSL_CTX *wassl_SSL_CTX_new(int role);
void wassl_SSL_CTX_free(SSL_CTX *);                             /* drops our reference; connections keep theirs */
int wassl_SSL_CTX_set_min_proto_version(SSL_CTX *, int);
int wassl_SSL_CTX_set_max_proto_version(SSL_CTX *, int);
uint64_t wassl_SSL_CTX_set_options(SSL_CTX *, uint64_t);        /* adds, returns all */
uint64_t wassl_SSL_CTX_clear_options(SSL_CTX *, uint64_t);
uint64_t wassl_SSL_CTX_get_options(SSL_CTX *);
uint32_t wassl_SSL_CTX_set_mode(SSL_CTX *, uint32_t);           /* adds, returns all */
uint32_t wassl_SSL_CTX_clear_mode(SSL_CTX *, uint32_t);
void wassl_SSL_CTX_set_verify(SSL_CTX *, int mode);             /* SSL_VERIFY_*, with the recording callback */
void wassl_SSL_CTX_set_verify_depth(SSL_CTX *, int);
void wassl_SSL_CTX_set_max_cert_list(SSL_CTX *, size_t);             /* bytes; a context that is selected brings its own */
void wassl_SSL_CTX_set_security_level(SSL_CTX *, int);
int wassl_SSL_CTX_get_security_level(SSL_CTX *);
int wassl_SSL_CTX_set_cipher_list(SSL_CTX *, const char *);     /* TLS 1.2. Fills the queue. */
int wassl_SSL_CTX_set_ciphersuites(SSL_CTX *, const char *);    /* TLS 1.3. Fills the queue. */
int wassl_SSL_CTX_set1_groups_list(SSL_CTX *, const char *);    /* Fills the queue. */
int wassl_SSL_CTX_set1_sigalgs_list(SSL_CTX *, const char *);   /* Fills the queue. */
int wassl_SSL_CTX_set_alpn(SSL_CTX *, const uint8_t *, size_t); /* wire format; a client offers it, a server chooses by it,
                                                                 in this order, or refuses with no_application_protocol.
                                                                 Fills the queue. */
X509_STORE *wassl_SSL_CTX_get_cert_store(SSL_CTX *);            /* borrows: whom it trusts; see verify.c */
X509_VERIFY_PARAM *wassl_SSL_CTX_get0_param(SSL_CTX *);         /* borrows: how it verifies; connections made later have it */
int wassl_SSL_CTX_send_ca_names(SSL_CTX *);                     /* a server tells clients whose certificates it takes: those
                                                                 of the trust anchors so far. Fills the queue. */
int wassl_SSL_CTX_use_certificate_chain(SSL_CTX *, const uint8_t *, size_t); /* PEM, leaf first, or one DER. Fills the queue. */
int wassl_SSL_CTX_use_PrivateKey(SSL_CTX *, const uint8_t *, size_t, const char *pass); /* PEM or DER; pass may be 0.
                                                                 Must match the certificate. Fills the queue. */
int wassl_SSL_CTX_use_PKCS12(SSL_CTX *, const uint8_t *, size_t, const char *pass);     /* certificate, key and chain. Fills. */
void wassl_SSL_CTX_set_quiet_shutdown(SSL_CTX *, int);
int wassl_SSL_CTX_get_quiet_shutdown(SSL_CTX *);
int wassl_SSL_CTX_set_session_cache_mode(SSL_CTX *, int);       /* returns the mode before */
int wassl_SSL_CTX_set_session_id_context(SSL_CTX *, const uint8_t *, size_t);
int wassl_SSL_CTX_set_num_tickets(SSL_CTX *, size_t);
void wassl_SSL_CTX_set_timeout(SSL_CTX *, int seconds);         /* of sessions, tickets included */
int wassl_SSL_CTX_session_counter(SSL_CTX *, int which);        /* SSL_CTRL_SESS_*: number, connects, hits, misses … */

/*
 * tickets.c: `count` keys of WASSL_TICKET_KEY_SIZE bytes, one behind the other: 16 name, 32 HMAC-SHA-256, 32 AES-256. The first
 * encrypts, all decrypt, and a ticket under one that is not the first is renewed. Copied, and overwritten when the SSL_CTX
 * goes or others are set. 0 keys: OpenSSL's own again, random ones of this SSL_CTX.
 */
#define WASSL_TICKET_KEY_SIZE 80
int wassl_SSL_CTX_set_ticket_keys(SSL_CTX *, const uint8_t *, size_t count);

/* ---- psk.c, ocsp.c ---------------------------------------------------------------------------------------- */

/*
 * One external key, for either role. cipher: the TLS 1.3 suite (0x1301 …) whose hash the key belongs to. The key is copied
 * and overwritten when the SSL_CTX goes. Fills the queue.
 */
int wassl_SSL_CTX_set_psk(SSL_CTX *, const char *identity, const uint8_t *key, size_t key_length, int cipher);
int wassl_SSL_CTX_set_ocsp_response(SSL_CTX *, const uint8_t *, size_t); /* a server staples it, when asked to */
int wassl_SSL_CTX_request_ocsp_response(SSL_CTX *);                      /* a client asks for one */
int wassl_SSL_CTX_check_ocsp_response(SSL_CTX *, int required);          /* … and judges it: signature, responder, whom it is
                                                                          about, freshness, status. One that is not good
                                                                          ends the handshake; so does none, if required */
const uint8_t *wassl_SSL_get0_ocsp_response(SSL *, unsigned *length);    /* borrows: DER, or 0 when none came */

/* ---- ssl.c: SSL ------------------------------------------------------------------------------------------- */

SSL *wassl_SSL_new(SSL_CTX *, BIO *internal); /* owns: wassl_SSL_free. takes `internal` when it succeeds. Fills the queue. */
void wassl_SSL_free(SSL *);                   /* and the internal half of the pair */
int wassl_SSL_clear(SSL *);                   /* Fills the queue. */
void wassl_SSL_set_connect_state(SSL *);
void wassl_SSL_set_accept_state(SSL *);

/*
 * OpenSSL's operations, unchanged: the return value is OpenSSL's, the queue is left as OpenSSL leaves it, and
 * wassl_SSL_get_error(ssl, ret) must be asked before any other call into the module.
 */
int wassl_SSL_do_handshake(SSL *);
int wassl_SSL_connect(SSL *);
int wassl_SSL_accept(SSL *);
int wassl_SSL_read(SSL *, void *, int);
int wassl_SSL_peek(SSL *, void *, int);
int wassl_SSL_write(SSL *, const void *, int);
int wassl_SSL_write_ex(SSL *, const void *, size_t, size_t *written);
int wassl_SSL_shutdown(SSL *); /* SSL_shutdown, and an event also for an alert that left in pieces */
int wassl_SSL_get_error(SSL *, int ret);

/*
 * The same operations for the pump, in one call: clears the queue, works, and answers either OpenSSL's result where
 * that is success (handshake 1, read/peek/write > 0, shutdown 0 or 1) or minus the SSL_ERROR_* code. After
 * -SSL_ERROR_SSL and -SSL_ERROR_SYSCALL the reasons are in the queue. After 0 from shutdown nothing is asked: what
 * SSL_get_error would say then is misleading (SSL_shutdown(3)).
 */
int wassl_try_handshake(SSL *);
int wassl_try_read(SSL *, void *, int);
int wassl_try_peek(SSL *, void *, int);
int wassl_try_write(SSL *, const void *, int);
int wassl_try_shutdown(SSL *);

/*
 * wassl_try_read again and again, until n bytes are there (n < 2^20) or it has no more; and wassl_try_write for n bytes, a record
 * at a time. How many bytes, plus, when it ended early, the SSL_ERROR_* times 2^20.
 */
#define WASSL_MANY_SHIFT 20
int wassl_try_read_many(SSL *, char *, int n);
int wassl_try_write_many(SSL *, const char *, int n);

/* The same for early data: bytes; for the reader 0 = there is no more of it, go on with the handshake; or minus SSL_ERROR_*. */
int wassl_try_write_early_data(SSL *, const void *, int);
int wassl_try_read_early_data(SSL *, void *, int);

/*
 * The rest of an alert for which the BIO pair had no room: 1 = there is none (any more), 0 = the pair is full again.
 * After a failure it is the only operation that still makes sense. Fills the queue with nothing of interest.
 */
int wassl_SSL_dispatch_alert(SSL *);

int wassl_SSL_get_shutdown(SSL *);
void wassl_SSL_set_shutdown(SSL *, int);
void wassl_SSL_set_quiet_shutdown(SSL *, int);
int wassl_SSL_get_quiet_shutdown(SSL *);
int wassl_SSL_pending(SSL *);
int wassl_SSL_has_pending(SSL *);
int wassl_SSL_want(SSL *);
int wassl_SSL_is_init_finished(SSL *);
int wassl_SSL_is_server(SSL *);
uint64_t wassl_SSL_set_options(SSL *, uint64_t);
uint32_t wassl_SSL_set_mode(SSL *, uint32_t);
uint32_t wassl_SSL_clear_mode(SSL *, uint32_t);
void wassl_SSL_set_post_handshake_auth(SSL *, int);
/* These four: nothing is said any more once close_notify was ("protocol is shutdown"). */
int wassl_SSL_verify_client_post_handshake(SSL *); /* Fills the queue. */
int wassl_SSL_key_update(SSL *, int type);  /* Fills the queue. */
int wassl_SSL_renegotiate(SSL *);           /* Fills the queue. */
int wassl_SSL_new_session_ticket(SSL *);    /* Fills the queue. */
int wassl_DTLSv1_get_timeout(SSL *);        /* milliseconds until wassl_DTLSv1_handle_timeout is due; -1 = no timer runs */
int wassl_DTLSv1_handle_timeout(SSL *);     /* 1 sent again, 0 not due, -1 failed. Fills the queue. */
int wassl_SSL_set_mtu(SSL *, int);

/* Identity that is expected of the peer. Each fills the queue. */
int wassl_SSL_set_tlsext_host_name(SSL *, const char *); /* SNI */
int wassl_SSL_set1_host(SSL *, const char *);            /* a DNS name */
int wassl_SSL_set1_ip_asc(SSL *, const char *);          /* an IP literal; 0 when it is none */

/* What the handshake settled. Strings are borrowed, 0 when there is none. */
const char *wassl_SSL_get_version(SSL *);
const char *wassl_SSL_get_cipher_name(SSL *);
const char *wassl_SSL_get0_group_name(SSL *);
const char *wassl_SSL_get0_peer_signature_name(SSL *);
const char *wassl_SSL_get_servername(SSL *);
const uint8_t *wassl_SSL_get0_alpn_selected(SSL *, unsigned *length); /* borrows */
int wassl_SSL_session_reused(SSL *);
int wassl_SSL_peer_certificate_count(SSL *);
X509 *wassl_SSL_get0_peer_certificate(SSL *, int index); /* borrows; 0 = the leaf, on both sides */

/* Verification. */
STACK_OF(X509) *wassl_SSL_get0_verified_chain(SSL *); /* borrows: leaf first, as far as it was built; or 0. Of a session that is
                                                   resumed, what wassl_SSL_verify_session or the server found. */
int wassl_SSL_get_verify_result(SSL *);           /* X509_V_* */
int wassl_SSL_verify_error(SSL *);                /* X509_V_* of the first failure, also of one that was let pass */
int wassl_SSL_verify_depth(SSL *);                /* of the first failure; -1 = none was recorded */
X509 *wassl_SSL_verify_certificate(SSL *);        /* borrows: the certificate of the first failure, or 0 */
const char *wassl_X509_verify_cert_error_string(int); /* borrows: a static string */

/*
 * Events since the last call, oldest first, or 0: bytes. Each event is one little-endian word (kind | direction << 8 |
 * payload length << 16; direction 1 = sent) and the payload, padded to 4. Payloads:
 *   ALERT      level, description
 *   KEYLOG     a line as SSL_CTX_set_keylog_callback(3) gives it; only after wassl_SSL_CTX_set_keylog
 *   RECORD     content type, version (2), length (2), as on the wire; this and the next two only after wassl_SSL_CTX_set_trace
 *   CONTENT    the content type that was encrypted in the record before (TLS 1.3)
 *   HANDSHAKE  message type, length (3)
 *   SESSION    nothing: wassl_SSL_take_new_session has one
 * When memory was short or more than 64 KiB waited, the newest are missing and `kind` WASSL_EVENT_LOST ends the list.
 */
#define WASSL_EVENT_LOST 0
#define WASSL_EVENT_ALERT 1
#define WASSL_EVENT_KEYLOG 2
#define WASSL_EVENT_RECORD 3
#define WASSL_EVENT_CONTENT 4
#define WASSL_EVENT_HANDSHAKE 5
#define WASSL_EVENT_SESSION 6
wassl_bytes *wassl_SSL_take_events(SSL *);
const char *wassl_SSL_alert_desc_string_long(int); /* borrows: a static string */

/* ---- inside.c: seeing inside, and binding to a connection ------------------------------------------------- */

void wassl_SSL_CTX_set_keylog(SSL_CTX *, int on);
void wassl_SSL_CTX_set_trace(SSL_CTX *, int on); /* of connections that are made from then on */
void wassl_SSL_set_trace(SSL *, int on);
/* bytes: RFC 5705, RFC 8446 §7.5. context_length < 0: none, which differs from an empty one in TLS 1.2. Fills the queue. */
wassl_bytes *wassl_SSL_export_keying_material(SSL *, size_t length, const char *label, const uint8_t *context, int context_length);
int wassl_SSL_get_extms_support(SSL *);
wassl_bytes *wassl_SSL_server_end_point(SSL *);    /* bytes: RFC 5929 §4; 0 = it cannot be known, or there is none */

/* ---- suspend.c, external_key.c: where a handshake waits for an answer from outside -------------------------- */

/*
 * A server stops at each client's ClientHello with SSL_ERROR_WANT_CLIENT_HELLO_CB. Until it is answered
 * wassl_SSL_get_client_hello gives bytes: legacy version, length of the cipher suites and they, then the extensions as on
 * the wire. The answer is another SSL_CTX (0 = the same), or an alert with which the client is refused (-1 = none). 1 = it
 * was waited for.
 */
void wassl_SSL_CTX_suspend_client_hello(SSL_CTX *);
wassl_bytes *wassl_SSL_get_client_hello(SSL *);
int wassl_SSL_answer_client_hello(SSL *, SSL_CTX *, int alert);

/*
 * Stops behind the peer's certificates with SSL_ERROR_WANT_RETRY_VERIFY. mode: 0 never; WASSL_VERIFY_TOO when OpenSSL
 * accepts them; WASSL_VERIFY_ANYWAY also when it does not: what was wrong stays in wassl_SSL_verify_error.
 */
#define WASSL_VERIFY_TOO 1
#define WASSL_VERIFY_ANYWAY 2
int wassl_SSL_suspend_verify(SSL *, int mode);
int wassl_SSL_answer_verify(SSL *, int accept);

/*
 * A private key that is elsewhere, for the certificate that was used last. id: by which the caller knows it. algorithms: the
 * signatures that it makes, RFC 8446 §4.2.3. Stops with SSL_ERROR_WANT_X509_LOOKUP where it has to sign; then
 * wassl_SSL_get_to_be_signed gives bytes, the algorithm and the id. An answer of no bytes means that it will not. It is 1; -1 =
 * it is not of that certificate's key, and counts as none. Fills the queue. Such a key decrypts nothing: RSA key exchange is
 * not agreed on with it.
 */
X509 *wassl_SSL_CTX_get0_certificate(SSL_CTX *); /* borrows: the one that was used last, or 0 */
int wassl_SSL_CTX_use_external_key(SSL_CTX *, unsigned id, const uint16_t *algorithms, size_t count);
wassl_bytes *wassl_SSL_get_to_be_signed(SSL *, unsigned *algorithm, unsigned *id);
int wassl_SSL_answer_signature(SSL *, const uint8_t *, size_t);

/* ---- session.c: SSL_SESSION ------------------------------------------------------------------------------- */

SSL_SESSION *wassl_SSL_get1_session(SSL *);    /* owns: wassl_SSL_SESSION_free. 0 = there is none */
void wassl_SSL_CTX_keep_new_sessions(SSL_CTX *, int on); /* those that the cache mode would tell of (SSL_CTX_sess_set_new_cb(3)) */
SSL_SESSION *wassl_SSL_take_new_session(SSL *); /* owns: wassl_SSL_SESSION_free. The oldest of the last 8 that came; 0 = no more */
int wassl_SSL_set_session(SSL *, SSL_SESSION *); /* Fills the queue. */
int wassl_SSL_CTX_remove_session(SSL *);       /* This connection's session: out of the cache, never resumed. 1 = it was in. */
void wassl_SSL_SESSION_free(SSL_SESSION *);
int wassl_SSL_SESSION_is_resumable(SSL_SESSION *);
int wassl_SSL_SESSION_get_protocol_version(SSL_SESSION *);
double wassl_SSL_SESSION_get_time(SSL_SESSION *);               /* seconds since 1970 */
double wassl_SSL_SESSION_get_timeout(SSL_SESSION *);            /* seconds */
int wassl_SSL_SESSION_has_ticket(SSL_SESSION *);
uint32_t wassl_SSL_SESSION_get_ticket_lifetime_hint(SSL_SESSION *); /* seconds */
uint32_t wassl_SSL_SESSION_get_max_early_data(SSL_SESSION *);   /* bytes */
const char *wassl_SSL_SESSION_get0_hostname(SSL_SESSION *);     /* borrows: the SNI, or 0 */
const uint8_t *wassl_SSL_SESSION_get0_alpn_selected(SSL_SESSION *, unsigned *length); /* borrows, or 0 */
X509 *wassl_SSL_SESSION_get0_peer(SSL_SESSION *);               /* borrows, or 0 */
/*
 * bytes. Holds the session's secrets. with_chain: behind it come the certificates above the peer's own, in DER, which
 * i2d_SSL_SESSION leaves out. wassl_d2i_SSL_SESSION takes either. owns: wassl_SSL_SESSION_free. Fills the queue.
 */
wassl_bytes *wassl_i2d_SSL_SESSION(SSL_SESSION *, int with_chain);
SSL_SESSION *wassl_d2i_SSL_SESSION(const uint8_t *, size_t);
/*
 * Whether a client would accept now, with all that is set on the SSL, what the session knows of its peer: X509_V_*. OpenSSL
 * verifies nothing when it resumes. Before the handshake, which it leaves as it was.
 */
int wassl_SSL_verify_session(SSL *, SSL_SESSION *);
int wassl_SSL_SESSION_set_mark(SSL_SESSION *, const uint8_t *mark, size_t length); /* goes where the session is written, and never to the peer */
const uint8_t *wassl_SSL_SESSION_get0_mark(SSL_SESSION *, size_t *length);         /* borrows, or 0 */
/*
 * A server resumes a session only if it would accept the client now, its certificate or that it has none, and otherwise makes a
 * full handshake. Its tickets hold the certificates above the client's own, up to 8 KiB. Early data is refused where the verdict
 * is to be asked for (wassl_SSL_suspend_verify).
 */
void wassl_SSL_CTX_verify_resumed(SSL_CTX *);
void wassl_SHA256(const uint8_t *, size_t, uint8_t *out); /* 32 bytes */

/* Early data: the values are OpenSSL's. The operations fill the queue and are followed by wassl_SSL_get_error(ssl, 0). */
int wassl_SSL_CTX_set_max_early_data(SSL_CTX *, uint32_t);      /* what a server's tickets allow, in bytes */
int wassl_SSL_CTX_set_recv_max_early_data(SSL_CTX *, uint32_t); /* what a server takes */
int wassl_SSL_get_early_data_status(SSL *);                     /* SSL_EARLY_DATA_* */
int wassl_SSL_write_early_data(SSL *, const void *, size_t, size_t *written); /* 1, or 0 */
int wassl_SSL_read_early_data(SSL *, void *, size_t, size_t *read);           /* SSL_READ_EARLY_DATA_* */

/* ---- x509.c: certificates --------------------------------------------------------------------------------- */

X509 *wassl_d2i_X509(const uint8_t *, size_t); /* PEM or DER; owns: wassl_X509_free. Fills the queue. */
void wassl_X509_free(X509 *);
wassl_bytes *wassl_i2d_X509(X509 *);             /* bytes */
wassl_bytes *wassl_X509_subject(X509 *);         /* bytes: RFC 2253, UTF-8 */
wassl_bytes *wassl_X509_issuer(X509 *);          /* the same */
wassl_bytes *wassl_X509_subject_alt_names(X509 *); /* bytes: for each the length in one little-endian word, and
                                                "DNS:example.org"; empty when there are none */
wassl_bytes *wassl_X509_serial(X509 *);          /* bytes: hexadecimal */
wassl_bytes *wassl_X509_public_key(X509 *);      /* bytes: "EC prime256v1 256" — algorithm, group if any, bits */
wassl_bytes *wassl_i2d_X509_PUBKEY(X509 *);      /* bytes: SubjectPublicKeyInfo */
wassl_bytes *wassl_X509_sha1(X509 *);            /* bytes: 20 */
wassl_bytes *wassl_X509_sha256(X509 *);          /* bytes: 32 */
double wassl_X509_not_before(X509 *);          /* seconds since 1970, NaN when malformed */
double wassl_X509_not_after(X509 *);

STACK_OF(X509) *wassl_sk_X509_new(void);       /* owns: wassl_sk_X509_free */
void wassl_sk_X509_free(STACK_OF(X509) *);     /* and the certificates in it; 0 is allowed */
int wassl_sk_X509_add(STACK_OF(X509) *, const uint8_t *, size_t); /* PEM (one or more) or DER. Returns how many were added,
                                                0 = one was broken, or there was none: then none is. Fills the queue. */
int wassl_sk_X509_num(const STACK_OF(X509) *);
X509 *wassl_sk_X509_value(const STACK_OF(X509) *, int); /* borrows */

/* ---- verify.c: X509_STORE, X509_VERIFY_PARAM, and the verification of a chain ----------------------------------- */

X509_STORE *wassl_X509_STORE_new(void);        /* owns: wassl_X509_STORE_free. Fills the queue. */
void wassl_X509_STORE_free(X509_STORE *);
X509_VERIFY_PARAM *wassl_X509_STORE_get0_param(X509_STORE *); /* borrows */
int wassl_X509_STORE_add_ca(X509_STORE *, const uint8_t *, size_t);  /* trust anchors, as wassl_sk_X509_add */
int wassl_X509_STORE_add_crl(X509_STORE *, const uint8_t *, size_t); /* the same for CRLs. Checking is switched on with flags. */

/*
 * Verification parameters: each replaces what was set before; flags are added. Those with an int result fail on a name
 * that OpenSSL does not know, or a lack of memory.
 */
void wassl_X509_VERIFY_PARAM_set_time(X509_VERIFY_PARAM *, double seconds); /* since 1970, instead of now */
void wassl_X509_VERIFY_PARAM_set_depth(X509_VERIFY_PARAM *, int);
void wassl_X509_VERIFY_PARAM_set_flags(X509_VERIFY_PARAM *, uint32_t);      /* X509_V_FLAG_* */
void wassl_X509_VERIFY_PARAM_set_hostflags(X509_VERIFY_PARAM *, uint32_t);  /* X509_CHECK_FLAG_* */
void wassl_X509_VERIFY_PARAM_set_auth_level(X509_VERIFY_PARAM *, int);      /* in a connection the SSL's own level counts
                                                                             unless this is set */
int wassl_X509_VERIFY_PARAM_set_purpose(X509_VERIFY_PARAM *, const char *); /* "sslserver" … as openssl-verify(1) */
int wassl_X509_VERIFY_PARAM_add_policy(X509_VERIFY_PARAM *, const char *oid); /* one more: "1.2.3" */
int wassl_X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM *, const char *);
int wassl_X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *, const char *);
int wassl_X509_VERIFY_PARAM_set1_email(X509_VERIFY_PARAM *, const char *);

/*
 * Builds and verifies a chain: the first certificate is the leaf, the others may help. Each failure is recorded, and the
 * verification goes on. owns: wassl_verification_free. 0 = it could not be done, for want of memory. Leaves the queue empty
 * otherwise.
 */
typedef struct wassl_verification wassl_verification;
wassl_verification *wassl_X509_verify_cert(X509_STORE *, STACK_OF(X509) *certificates);
void wassl_verification_free(wassl_verification *);
STACK_OF(X509) *wassl_verification_chain(wassl_verification *); /* borrows: leaf first, as far as it was built */
int wassl_verification_failures(wassl_verification *);          /* how many; 0 = the chain is good */
int wassl_verification_error(wassl_verification *, int i);      /* X509_V_ERR_*; 0 is OpenSSL's verdict */
int wassl_verification_depth(wassl_verification *, int i);
X509 *wassl_verification_certificate(wassl_verification *, int i); /* borrows; 0 = OpenSSL names none */

/* ---- anchors.c -------------------------------------------------------------------------------------------------- */

/*
 * Many trust anchors in one block, which are parsed when a chain leads to them. From base64 (a C string) of words,
 * little-endian: how many, and how many of them have a date; for each, in the order of the hashes, X509_NAME_hash_ex of its
 * subject and where its DER ends; for each that has a date, which one it is (from 0), and the seconds from 1970 up to
 * which a leaf may have been issued (notBefore) whose chain ends there, X509_V_ERR_CERT_REJECTED otherwise; then the DER of
 * all. The block is never freed: stores refer to it, as long as the instance lives. 0 when it is not so built, or memory is
 * exhausted (fills the queue). A date does not count in a store that has the anchor by wassl_X509_STORE_add_ca as well.
 */
uint8_t *wassl_anchors_new(const char *base64);
uint32_t wassl_anchors_count(const uint8_t *);
X509 *wassl_anchors_certificate(const uint8_t *, uint32_t i);        /* owns: wassl_X509_free. Fills the queue. */
int wassl_X509_STORE_add_anchors(X509_STORE *, const uint8_t *);     /* Fills the queue. */

#endif
