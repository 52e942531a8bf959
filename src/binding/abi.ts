/** Generated from wasm/abi/abi.h by "npm run abi": change it there. What the types mean is said in pointers.ts. */
import type { Bool, Borrowed, Count, Ok, Out, Owned } from "./pointers.js";

/** What openssl.wasm exports, as wasm/abi/abi.h declares it. */
export interface Abi {
  readonly memory: WebAssembly.Memory;

  // ---- start.c: which version this is

  /** WASSL_ABI_VERSION of this header. */
  wassl_abi_version(): number;
  /** OpenSSL_version(3). */
  wassl_OpenSSL_version(t: number): Borrowed<"text"> | 0;

  // ---- memory.c: the heap

  /** 0 when memory is exhausted. */
  wassl_heap_malloc(n: number): Owned<"bytes"> | 0;
  /** What was there is overwritten, as with all that is freed. */
  wassl_heap_free(p: Owned<"bytes"> | 0): void;
  wassl_bytes_free(bytes: Owned<"wassl_bytes">): void;
  /** Bytes handed out by malloc at this moment. */
  wassl_heap_used(): number;

  // ---- error.c: the error queue

  /** Empties the queue. */
  wassl_ERR_clear_error(): void;
  /** Takes the earliest error out; 0 when the queue is empty. *data is good until the next call into the module. */
  wassl_ERR_get_error(data: Out<Borrowed<"text"> | 0>): number;
  /** A static string. */
  wassl_ERR_lib_error_string(e: number): Borrowed<"text"> | 0;
  /** A static string. */
  wassl_ERR_reason_error_string(e: number): Borrowed<"text"> | 0;
  wassl_ERR_get_lib(e: number): number;
  wassl_ERR_get_reason(e: number): number;
  /** Adds to the queue: shows what a stale queue does. */
  wassl_ERR_raise(lib: number, reason: number): void;

  // ---- bio.c: the BIO pair

  /**
   * Two halves, out[0] the internal one (OpenSSL's), out[1] the network one (ours), both the caller's, until
   * wassl_SSL_new takes the internal one. `internal` bytes of room for what goes internal → network, `network` bytes
   * for the other way; 0 = 17 KiB. Freeing one half disconnects the other, which stays safe to use and to free.
   * datagram: each write is one datagram, for DTLS, which takes two bytes more of the room (datagram_pair.c). Fills the
   * queue.
   */
  wassl_BIO_new_bio_pair(internal: number, network: number, datagram: Bool, out: Out<Owned<"BIO">>): Ok;
  /**
   * Rings of other sizes, in bytes, 1 or more, for a stream pair in which no bytes are and no half was shut down. When
   * bytes are in it or there is no memory it fails, and the pair is as it was.
   */
  wassl_BIO_resize_bio_pair(
    internal: Borrowed<"BIO">,
    internalSize: number,
    network: Borrowed<"BIO">,
    networkSize: number,
  ): Ok;
  wassl_BIO_free(bio: Owned<"BIO">): void;
  /** > 0 bytes; 0 end; -1 try again (nothing there) */
  wassl_BIO_read(bio: Borrowed<"BIO">, p: Borrowed<"bytes">, n: number): number;
  /** > 0 bytes; -1 no room, or after shutdown_wr (fills the queue) */
  wassl_BIO_write(bio: Borrowed<"BIO">, p: Borrowed<"bytes">, n: number): number;
  /** How many bytes can be read at *p without copying. */
  wassl_BIO_nread0(bio: Borrowed<"BIO">, p: Out<Borrowed<"bytes">>): number;
  /** Takes up to n bytes out; they stay readable at *p until the next write. */
  wassl_BIO_nread(bio: Borrowed<"BIO">, p: Out<Borrowed<"bytes">>, n: number): number;
  /** How many bytes may be written at *p. */
  wassl_BIO_nwrite0(bio: Borrowed<"BIO">, p: Out<Borrowed<"bytes">>): number;
  /** Commits up to n bytes. */
  wassl_BIO_nwrite(bio: Borrowed<"BIO">, p: Out<Borrowed<"bytes">>, n: number): number;
  wassl_BIO_ctrl_pending(bio: Borrowed<"BIO">): number;
  wassl_BIO_ctrl_wpending(bio: Borrowed<"BIO">): number;
  wassl_BIO_ctrl_get_write_guarantee(bio: Borrowed<"BIO">): number;
  wassl_BIO_ctrl_get_read_request(bio: Borrowed<"BIO">): number;
  /** No more bytes will be written: the other half reads what is left, then the end. */
  wassl_BIO_shutdown_wr(bio: Borrowed<"BIO">): Ok;

  // ---- context.c: SSL_CTX

  /**
   * role: 0 client, or the bits above. Fills the queue.
   * Differs from a bare SSL_CTX_new in one mode: SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER is on, since the address of a
   * buffer means nothing to a caller outside linear memory. Alerts and verification failures are recorded (record.c).
   */
  wassl_SSL_CTX_new(role: number): Owned<"SSL_CTX"> | 0;
  /** Drops our reference; connections keep theirs. */
  wassl_SSL_CTX_free(ctx: Owned<"SSL_CTX">): void;
  wassl_SSL_CTX_set_min_proto_version(ctx: Borrowed<"SSL_CTX">, version: number): Ok;
  wassl_SSL_CTX_set_max_proto_version(ctx: Borrowed<"SSL_CTX">, version: number): Ok;
  /** Adds, returns all. */
  wassl_SSL_CTX_set_options(ctx: Borrowed<"SSL_CTX">, options: bigint): bigint;
  /** Returns those that are left. */
  wassl_SSL_CTX_clear_options(ctx: Borrowed<"SSL_CTX">, options: bigint): bigint;
  /** Adds, returns all. */
  wassl_SSL_CTX_set_mode(ctx: Borrowed<"SSL_CTX">, mode: number): number;
  /** Returns those that are left. */
  wassl_SSL_CTX_clear_mode(ctx: Borrowed<"SSL_CTX">, mode: number): number;
  /** SSL_VERIFY_*, with the recording callback. */
  wassl_SSL_CTX_set_verify(ctx: Borrowed<"SSL_CTX">, mode: number): void;
  wassl_SSL_CTX_set_verify_depth(ctx: Borrowed<"SSL_CTX">, depth: number): void;
  /** Bytes; a context that is selected brings its own. */
  wassl_SSL_CTX_set_max_cert_list(ctx: Borrowed<"SSL_CTX">, n: number): void;
  /** 512 to 16384 bytes; a context that is selected brings its own. */
  wassl_SSL_CTX_set_max_send_fragment(ctx: Borrowed<"SSL_CTX">, n: number): Ok;
  wassl_SSL_CTX_set_security_level(ctx: Borrowed<"SSL_CTX">, level: number): void;
  wassl_SSL_CTX_get_security_level(ctx: Borrowed<"SSL_CTX">): number;
  /** TLS 1.2. Fills the queue. */
  wassl_SSL_CTX_set_cipher_list(ctx: Borrowed<"SSL_CTX">, list: Borrowed<"text">): Ok;
  /** TLS 1.3. Fills the queue. */
  wassl_SSL_CTX_set_ciphersuites(ctx: Borrowed<"SSL_CTX">, list: Borrowed<"text">): Ok;
  /** Fills the queue. */
  wassl_SSL_CTX_set1_groups_list(ctx: Borrowed<"SSL_CTX">, list: Borrowed<"text">): Ok;
  /** Fills the queue. */
  wassl_SSL_CTX_set1_sigalgs_list(ctx: Borrowed<"SSL_CTX">, list: Borrowed<"text">): Ok;
  /**
   * Wire format; a client offers it, a server chooses by it, in this order, or refuses with no_application_protocol.
   * Fills the queue.
   */
  wassl_SSL_CTX_set_alpn(ctx: Borrowed<"SSL_CTX">, wire: Borrowed<"bytes">, length: number): Ok;
  /** What the context trusts: see verify.c. */
  wassl_SSL_CTX_get_cert_store(ctx: Borrowed<"SSL_CTX">): Borrowed<"X509_STORE">;
  /** How the context verifies; connections made later have it. */
  wassl_SSL_CTX_get0_param(ctx: Borrowed<"SSL_CTX">): Borrowed<"X509_VERIFY_PARAM">;
  /**
   * A server tells clients whose certificates it takes: those of the trust anchors so far. 0 also when a message does not carry as
   * many. Fills the queue.
   */
  wassl_SSL_CTX_send_ca_names(ctx: Borrowed<"SSL_CTX">): Ok;
  /** PEM, leaf first, or one DER. Fills the queue. */
  wassl_SSL_CTX_use_certificate_chain(ctx: Borrowed<"SSL_CTX">, data: Borrowed<"bytes">, length: number): Ok;
  /** PEM or DER. It must match the certificate. Fills the queue. */
  wassl_SSL_CTX_use_PrivateKey(
    ctx: Borrowed<"SSL_CTX">,
    data: Borrowed<"bytes">,
    length: number,
    pass: Borrowed<"text"> | 0,
  ): Ok;
  /** Certificate, key and chain. Fills the queue. */
  wassl_SSL_CTX_use_PKCS12(
    ctx: Borrowed<"SSL_CTX">,
    data: Borrowed<"bytes">,
    length: number,
    pass: Borrowed<"text"> | 0,
  ): Ok;
  /**
   * Two contexts of one role exchange their certificates, keys and the OCSP response. Connections that are made, and that
   * choose the context, from then on have the new ones. Fails when memory is short, and changes nothing then.
   */
  wassl_SSL_CTX_swap_identity(a: Borrowed<"SSL_CTX">, b: Borrowed<"SSL_CTX">): Ok;
  wassl_SSL_CTX_set_quiet_shutdown(ctx: Borrowed<"SSL_CTX">, on: Bool): void;
  wassl_SSL_CTX_get_quiet_shutdown(ctx: Borrowed<"SSL_CTX">): Bool;
  /** Returns the mode before. */
  wassl_SSL_CTX_set_session_cache_mode(ctx: Borrowed<"SSL_CTX">, mode: number): number;
  wassl_SSL_CTX_set_session_id_context(ctx: Borrowed<"SSL_CTX">, id: Borrowed<"bytes">, length: number): Ok;
  wassl_SSL_CTX_set_num_tickets(ctx: Borrowed<"SSL_CTX">, count: number): Ok;
  /** Of sessions, tickets included. */
  wassl_SSL_CTX_set_timeout(ctx: Borrowed<"SSL_CTX">, seconds: number): void;
  /** SSL_CTRL_SESS_*: number, connects, hits, misses … */
  wassl_SSL_CTX_session_counter(ctx: Borrowed<"SSL_CTX">, which: number): number;
  /** How much early data a server's tickets allow, in bytes. */
  wassl_SSL_CTX_set_max_early_data(ctx: Borrowed<"SSL_CTX">, n: number): Ok;
  /** How much early data a server takes, in bytes. */
  wassl_SSL_CTX_set_recv_max_early_data(ctx: Borrowed<"SSL_CTX">, n: number): Ok;

  // ---- tickets.c: the keys of a server's tickets

  /**
   * `count` keys of WASSL_TICKET_KEY_SIZE bytes, one behind the other: 16 name, 32 HMAC-SHA-256, 32 AES-256. The first
   * encrypts, all decrypt, and a ticket under one that is not the first is renewed. Copied, and overwritten when the
   * SSL_CTX goes or others are set. 0 keys: OpenSSL's own again, random ones of this SSL_CTX.
   */
  wassl_SSL_CTX_set_ticket_keys(ctx: Borrowed<"SSL_CTX">, keys: Borrowed<"bytes">, count: number): Ok;

  // ---- psk.c: an external pre-shared key

  /**
   * One more key, for either role, of 1 to 512 bytes. cipher: the TLS 1.3 suite (0x1301 …) whose hash the key belongs to.
   * The key is copied, and overwritten when the SSL_CTX goes. Of several keys a client offers the first (in TLS 1.2 the one
   * that the server names), and a server takes each. Fills the queue.
   */
  wassl_SSL_CTX_add_psk(
    ctx: Borrowed<"SSL_CTX">,
    identity: Borrowed<"text">,
    key: Borrowed<"bytes">,
    keyLength: number,
    cipher: number,
  ): Ok;
  /** Whether TLS 1.3 was begun with an external key, which SSL_session_reused calls a session. */
  wassl_SSL_used_psk(ssl: Borrowed<"SSL">): Bool;
  /** Of the connection, or of the one whose session it resumed. */
  wassl_SSL_get_psk_identity(ssl: Borrowed<"SSL">): Borrowed<"text"> | 0;

  // ---- ocsp.c: OCSP stapling

  /** A server staples it, when asked to. */
  wassl_SSL_CTX_set_ocsp_response(ctx: Borrowed<"SSL_CTX">, der: Borrowed<"bytes">, length: number): Ok;
  /** A client asks for one. */
  wassl_SSL_CTX_request_ocsp_response(ctx: Borrowed<"SSL_CTX">): Ok;
  /**
   * A client asks for one and judges it: signature, responder, which certificate it is about, freshness, status. One
   * that is not good ends the handshake; so does a handshake without one, if required.
   */
  wassl_SSL_CTX_check_ocsp_response(ctx: Borrowed<"SSL_CTX">, required: Bool): Ok;
  /** DER, or 0 when no response came. */
  wassl_SSL_get0_ocsp_response(ssl: Borrowed<"SSL">, length: Out<number>): Borrowed<"bytes"> | 0;

  // ---- ssl.c: SSL

  /** Takes `internal` only when it succeeds. Fills the queue. */
  wassl_SSL_new(ctx: Borrowed<"SSL_CTX">, internal: Owned<"BIO">): Owned<"SSL"> | 0;
  /** Frees the internal half of the pair too. */
  wassl_SSL_free(ssl: Owned<"SSL">): void;
  /** Fills the queue. */
  wassl_SSL_clear(ssl: Borrowed<"SSL">): Ok;
  wassl_SSL_set_connect_state(ssl: Borrowed<"SSL">): void;
  wassl_SSL_set_accept_state(ssl: Borrowed<"SSL">): void;

  // OpenSSL's operations, unchanged: the return value is OpenSSL's, the queue is left as OpenSSL leaves it, and
  // wassl_SSL_get_error(ssl, ret) must be asked before any other call into the module. wassl_SSL_shutdown is in
  // alert.c.

  wassl_SSL_do_handshake(ssl: Borrowed<"SSL">): number;
  wassl_SSL_connect(ssl: Borrowed<"SSL">): number;
  wassl_SSL_accept(ssl: Borrowed<"SSL">): number;
  wassl_SSL_read(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  wassl_SSL_peek(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  wassl_SSL_write(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  wassl_SSL_write_ex(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number, written: Out<number>): number;
  /** 1, or 0. By a client, before its handshake. */
  wassl_SSL_write_early_data(
    ssl: Borrowed<"SSL">,
    p: Borrowed<"bytes">,
    n: number,
    written: Out<number>,
  ): number;
  /** SSL_READ_EARLY_DATA_*. By a server, before its handshake. */
  wassl_SSL_read_early_data(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number, read: Out<number>): number;
  wassl_SSL_get_error(ssl: Borrowed<"SSL">, ret: number): number;

  // The same operations for the pump, in one call: empties the queue, works, and answers either OpenSSL's result where
  // that is success (handshake 1, read/peek/write > 0, shutdown 0 or 1) or minus the SSL_ERROR_* code. After
  // -SSL_ERROR_SSL and -SSL_ERROR_SYSCALL the reasons are in the queue. After 0 from shutdown nothing is asked: what
  // SSL_get_error would say then is misleading (SSL_shutdown(3)).

  wassl_try_handshake(ssl: Borrowed<"SSL">): number;
  wassl_try_read(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  wassl_try_peek(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  wassl_try_write(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  wassl_try_shutdown(ssl: Borrowed<"SSL">): number;

  /**
   * wassl_try_read again and again, until n bytes are there (n < 2^WASSL_MANY_SHIFT) or it has no more. How many
   * bytes, plus, when it ended early, the SSL_ERROR_* times 2^WASSL_MANY_SHIFT.
   */
  wassl_try_read_many(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  /** The same with wassl_try_write for n bytes, a record at a time. */
  wassl_try_write_many(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  /** Bytes, or minus SSL_ERROR_*. */
  wassl_try_write_early_data(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;
  /** Bytes; 0 = there is no more of it, go on with the handshake; or minus SSL_ERROR_*. */
  wassl_try_read_early_data(ssl: Borrowed<"SSL">, p: Borrowed<"bytes">, n: number): number;

  wassl_SSL_get_shutdown(ssl: Borrowed<"SSL">): number;
  wassl_SSL_set_shutdown(ssl: Borrowed<"SSL">, flags: number): void;
  wassl_SSL_set_quiet_shutdown(ssl: Borrowed<"SSL">, on: Bool): void;
  wassl_SSL_get_quiet_shutdown(ssl: Borrowed<"SSL">): Bool;
  wassl_SSL_pending(ssl: Borrowed<"SSL">): number;
  wassl_SSL_has_pending(ssl: Borrowed<"SSL">): Bool;
  wassl_SSL_want(ssl: Borrowed<"SSL">): number;
  wassl_SSL_is_init_finished(ssl: Borrowed<"SSL">): Bool;
  wassl_SSL_is_server(ssl: Borrowed<"SSL">): Bool;
  /** Adds, returns all. */
  wassl_SSL_set_options(ssl: Borrowed<"SSL">, options: bigint): bigint;
  /** Adds, returns all. */
  wassl_SSL_set_mode(ssl: Borrowed<"SSL">, mode: number): number;
  /** Returns those that are left. */
  wassl_SSL_clear_mode(ssl: Borrowed<"SSL">, mode: number): number;
  wassl_SSL_set_post_handshake_auth(ssl: Borrowed<"SSL">, on: Bool): void;
  /** SSL_EARLY_DATA_* */
  wassl_SSL_get_early_data_status(ssl: Borrowed<"SSL">): number;

  // How it stands with TLS 1.3's authentication of a client behind the handshake.

  wassl_SSL_get_post_handshake_auth(ssl: Borrowed<"SSL">): number;

  // Nothing is said any more once close_notify was ("protocol is shutdown"). Each of these four fills the queue.

  wassl_SSL_verify_client_post_handshake(ssl: Borrowed<"SSL">): Ok;
  wassl_SSL_key_update(ssl: Borrowed<"SSL">, type: number): Ok;
  wassl_SSL_renegotiate(ssl: Borrowed<"SSL">): Ok;
  wassl_SSL_new_session_ticket(ssl: Borrowed<"SSL">): Ok;

  // The identity that is expected of the peer. Each fills the queue.

  /** SNI. */
  wassl_SSL_set_tlsext_host_name(ssl: Borrowed<"SSL">, name: Borrowed<"text">): Ok;
  /** A DNS name. */
  wassl_SSL_set1_host(ssl: Borrowed<"SSL">, name: Borrowed<"text">): Ok;
  /** An IP literal; 0 when it is none. */
  wassl_SSL_set1_ip_asc(ssl: Borrowed<"SSL">, ip: Borrowed<"text">): Ok;

  // What the handshake settled.

  wassl_SSL_get_version(ssl: Borrowed<"SSL">): Borrowed<"text"> | 0;
  wassl_SSL_get_cipher_name(ssl: Borrowed<"SSL">): Borrowed<"text"> | 0;
  /** As IANA has it. */
  wassl_SSL_get_cipher_standard_name(ssl: Borrowed<"SSL">): Borrowed<"text"> | 0;
  wassl_SSL_get0_group_name(ssl: Borrowed<"SSL">): Borrowed<"text"> | 0;
  wassl_SSL_get0_peer_signature_name(ssl: Borrowed<"SSL">): Borrowed<"text"> | 0;
  wassl_SSL_get_servername(ssl: Borrowed<"SSL">): Borrowed<"text"> | 0;
  wassl_SSL_get0_alpn_selected(ssl: Borrowed<"SSL">, length: Out<number>): Borrowed<"bytes"> | 0;
  wassl_SSL_session_reused(ssl: Borrowed<"SSL">): Bool;
  wassl_SSL_peer_certificate_count(ssl: Borrowed<"SSL">): number;
  /** index: below wassl_SSL_peer_certificate_count; 0 = the leaf, on both sides. */
  wassl_SSL_get0_peer_certificate(ssl: Borrowed<"SSL">, index: number): Borrowed<"X509">;
  /**
   * Leaf first, as far as it was built; or 0. Of a session that is resumed, what wassl_SSL_verify_session or the
   * server found.
   */
  wassl_SSL_get0_verified_chain(ssl: Borrowed<"SSL">): Borrowed<"STACK_OF(X509)"> | 0;
  /** X509_V_* */
  wassl_SSL_get_verify_result(ssl: Borrowed<"SSL">): number;
  /** A static string. */
  wassl_X509_verify_cert_error_string(e: number): Borrowed<"text"> | 0;

  // ---- alert.c: alerts that leave in pieces

  /** SSL_shutdown(3), and an event also for an alert that left in pieces. */
  wassl_SSL_shutdown(ssl: Borrowed<"SSL">): number;
  /**
   * The rest of an alert for which the BIO pair had no room: 1 = nothing of it is left, 0 = the pair is full again.
   * After a failure it is the only operation that still makes sense. Fills the queue with nothing of interest.
   */
  wassl_SSL_dispatch_alert(ssl: Borrowed<"SSL">): Bool;

  // ---- record.c: what is recorded where OpenSSL would call back

  /**
   * How many failures of the verification were recorded, also of those that were let pass: one, unless OpenSSL went on.
   * `index` is below that, in the order in which OpenSSL found them.
   */
  wassl_SSL_verify_failures(ssl: Borrowed<"SSL">): number;
  /** X509_V_* */
  wassl_SSL_verify_error(ssl: Borrowed<"SSL">, index: number): number;
  wassl_SSL_verify_depth(ssl: Borrowed<"SSL">, index: number): number;
  /** The certificate in question, or 0. */
  wassl_SSL_verify_certificate(ssl: Borrowed<"SSL">, index: number): Borrowed<"X509"> | 0;

  /**
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
  wassl_SSL_take_events(ssl: Borrowed<"SSL">): Owned<"wassl_bytes"> | 0;

  // ---- trace.c: seeing inside a connection

  wassl_SSL_CTX_set_keylog(ctx: Borrowed<"SSL_CTX">, on: Bool): void;
  /** Of connections that are made from then on. */
  wassl_SSL_CTX_set_trace(ctx: Borrowed<"SSL_CTX">, on: Bool): void;
  wassl_SSL_set_trace(ssl: Borrowed<"SSL">, on: Bool): void;

  // ---- exporters.c: binding to a connection

  /**
   * RFC 5705, RFC 8446 §7.5. context_length < 0: there is no context, which differs from an empty one in TLS 1.2.
   * Fills the queue.
   */
  wassl_SSL_export_keying_material(
    ssl: Borrowed<"SSL">,
    length: number,
    label: Borrowed<"text">,
    context: Borrowed<"bytes">,
    contextLength: number,
  ): Owned<"wassl_bytes"> | 0;
  /** 1; 0; -1 = not known yet. */
  wassl_SSL_get_extms_support(ssl: Borrowed<"SSL">): number;
  /** The verify_data of the last Finished message that was sent, or that the peer sent; 0 = there was none. */
  wassl_SSL_get_finished(ssl: Borrowed<"SSL">, ofPeer: Bool): Owned<"wassl_bytes"> | 0;
  /** RFC 5929 §4; 0 = it cannot be known, or does not exist. */
  wassl_SSL_server_end_point(ssl: Borrowed<"SSL">): Owned<"wassl_bytes"> | 0;

  // ---- suspend.c: where a handshake waits for an answer from outside

  /** A server stops at each client's ClientHello with SSL_ERROR_WANT_CLIENT_HELLO_CB. */
  wassl_SSL_CTX_suspend_client_hello(ctx: Borrowed<"SSL_CTX">): void;
  /** Until it is answered: legacy version, length of the cipher suites and they, then the extensions as on the wire. */
  wassl_SSL_get_client_hello(ssl: Borrowed<"SSL">): Owned<"wassl_bytes"> | 0;
  /**
   * The answer is another SSL_CTX (0 = the same), or an alert with which the client is refused (-1 = it is not). Fails
   * when nothing waited for it.
   */
  wassl_SSL_answer_client_hello(ssl: Borrowed<"SSL">, ctx: Borrowed<"SSL_CTX"> | 0, alert: number): Ok;

  /**
   * Stops behind the peer's certificates with SSL_ERROR_WANT_RETRY_VERIFY. mode: 0 = never, WASSL_VERIFY_TOO,
   * WASSL_VERIFY_ANYWAY.
   */
  wassl_SSL_suspend_verify(ssl: Borrowed<"SSL">, mode: number): Ok;
  wassl_SSL_answer_verify(ssl: Borrowed<"SSL">, accept: Bool): Ok;

  // ---- identities.c: a client that has several

  /**
   * Puts the certificate, the key and the chain that a client's context has on its list, and takes them from the context.
   * A connection shows the one of the list that the server asks for, in the order of the list.
   */
  wassl_SSL_CTX_keep_identity(ctx: Borrowed<"SSL_CTX">): Ok;

  // ---- external_key.c: a private key that is elsewhere

  /** The one that was used last, or 0. */
  wassl_SSL_CTX_get0_certificate(ctx: Borrowed<"SSL_CTX">): Borrowed<"X509"> | 0;
  /**
   * For the certificate that was used last. id: by which the caller knows the key. algorithms: the signatures that it
   * makes, RFC 8446 §4.2.3. Stops with SSL_ERROR_WANT_X509_LOOKUP where it has to sign. Such a key decrypts nothing:
   * RSA key exchange is not agreed on with it. Fills the queue.
   */
  wassl_SSL_CTX_use_external_key(
    ctx: Borrowed<"SSL_CTX">,
    id: number,
    algorithms: Borrowed<"bytes">,
    count: number,
  ): Ok;
  /** What is to be signed, the algorithm and the id of the key; 0 = nothing waits. */
  wassl_SSL_get_to_be_signed(
    ssl: Borrowed<"SSL">,
    algorithm: Out<number>,
    id: Out<number>,
  ): Owned<"wassl_bytes"> | 0;
  /**
   * An answer of no bytes means that the key will not. 1 = it is taken; 0 = nothing waited for it; -1 = it is not of
   * that certificate's key, and counts as no answer. Fills the queue.
   */
  wassl_SSL_answer_signature(ssl: Borrowed<"SSL">, signature: Borrowed<"bytes">, length: number): number;

  // ---- dtls.c: what DTLS has beside TLS

  /** Milliseconds until wassl_DTLSv1_handle_timeout is due; -1 = no timer runs. */
  wassl_DTLSv1_get_timeout(ssl: Borrowed<"SSL">): number;
  /** 1 sent again, 0 not due, -1 failed. Fills the queue. */
  wassl_DTLSv1_handle_timeout(ssl: Borrowed<"SSL">): number;
  /** How long the first answer is waited for, and the longest later; in milliseconds, 1 to 2^21. */
  wassl_DTLS_set_timeouts(ssl: Borrowed<"SSL">, initial: number, most: number): Ok;
  /** The largest datagram, in bytes, 208 or more. */
  wassl_SSL_set_mtu(ssl: Borrowed<"SSL">, mtu: number): Ok;
  /** The longest message that fits one datagram, in bytes; 0 before the handshake has settled on a cipher. */
  wassl_DTLS_get_data_mtu(ssl: Borrowed<"SSL">): number;
  /** New keys for the cookies of this server, which change once a minute. */
  wassl_SSL_CTX_use_cookies(ctx: Borrowed<"SSL_CTX">): Ok;
  /**
   * For a server before its handshake: reads datagrams from its half, which are all of the client at `address` (255 bytes
   * at most). 1 = one of them had a good cookie, the handshake may begin; 0 = what was a ClientHello is answered with a
   * HelloVerifyRequest, and all is forgotten; -1 failed. Fills the queue, also for what was no ClientHello.
   */
  wassl_DTLSv1_listen(ssl: Borrowed<"SSL">, address: Borrowed<"bytes">, length: number): number;

  // ---- session.c: SSL_SESSION

  /** 0 = there is none. */
  wassl_SSL_get1_session(ssl: Borrowed<"SSL">): Owned<"SSL_SESSION"> | 0;
  /** Those that the cache mode would tell of (SSL_CTX_sess_set_new_cb(3)). */
  wassl_SSL_CTX_keep_new_sessions(ctx: Borrowed<"SSL_CTX">, on: Bool): void;
  /** The oldest of the last 8 that came; 0 = no more. */
  wassl_SSL_take_new_session(ssl: Borrowed<"SSL">): Owned<"SSL_SESSION"> | 0;
  /** The connection takes a reference of its own. Fills the queue. */
  wassl_SSL_set_session(ssl: Borrowed<"SSL">, session: Borrowed<"SSL_SESSION">): Ok;
  /** This connection's session: out of the cache, never resumed. 1 = it was in. */
  wassl_SSL_CTX_remove_session(ssl: Borrowed<"SSL">): Bool;
  wassl_SSL_SESSION_free(session: Owned<"SSL_SESSION">): void;
  wassl_SSL_SESSION_is_resumable(session: Borrowed<"SSL_SESSION">): Bool;
  wassl_SSL_SESSION_get_protocol_version(session: Borrowed<"SSL_SESSION">): number;
  /** Seconds since 1970. */
  wassl_SSL_SESSION_get_time(session: Borrowed<"SSL_SESSION">): number;
  /** Seconds. */
  wassl_SSL_SESSION_get_timeout(session: Borrowed<"SSL_SESSION">): number;
  wassl_SSL_SESSION_has_ticket(session: Borrowed<"SSL_SESSION">): Bool;
  /** Seconds. */
  wassl_SSL_SESSION_get_ticket_lifetime_hint(session: Borrowed<"SSL_SESSION">): number;
  /** Bytes. */
  wassl_SSL_SESSION_get_max_early_data(session: Borrowed<"SSL_SESSION">): number;
  /** The SNI, or 0. */
  wassl_SSL_SESSION_get0_hostname(session: Borrowed<"SSL_SESSION">): Borrowed<"text"> | 0;
  wassl_SSL_SESSION_get0_alpn_selected(
    session: Borrowed<"SSL_SESSION">,
    length: Out<number>,
  ): Borrowed<"bytes"> | 0;
  wassl_SSL_SESSION_get0_peer(session: Borrowed<"SSL_SESSION">): Borrowed<"X509"> | 0;
  /**
   * Holds the session's secrets. with_chain: behind it come the certificates above the peer's own, in DER, which
   * i2d_SSL_SESSION leaves out. Fills the queue.
   */
  wassl_i2d_SSL_SESSION(session: Borrowed<"SSL_SESSION">, withChain: Bool): Owned<"wassl_bytes"> | 0;
  /** Takes either. Fills the queue. */
  wassl_d2i_SSL_SESSION(data: Borrowed<"bytes">, length: number): Owned<"SSL_SESSION"> | 0;
  /**
   * Whether a client would accept now, with all that is set on the SSL, what the session knows of its peer: X509_V_*.
   * OpenSSL verifies nothing when it resumes. Before the handshake, which it leaves as it was.
   */
  wassl_SSL_verify_session(ssl: Borrowed<"SSL">, session: Borrowed<"SSL_SESSION">): number;
  /** Goes where the session is written, and never to the peer. */
  wassl_SSL_SESSION_set_mark(session: Borrowed<"SSL_SESSION">, mark: Borrowed<"bytes">, length: number): Ok;
  wassl_SSL_SESSION_get0_mark(session: Borrowed<"SSL_SESSION">, length: Out<number>): Borrowed<"bytes"> | 0;
  /**
   * A server resumes a session only if it would accept the client now, its certificate or that it has none, and
   * otherwise makes a full handshake. Its tickets hold the certificates above the client's own, up to 8 KiB. Early
   * data is refused where the verdict is to be asked for (wassl_SSL_suspend_verify). max_age: how many seconds the full
   * handshake may lie back that a session comes from, which is renewed time and again.
   */
  wassl_SSL_CTX_verify_resumed(ctx: Borrowed<"SSL_CTX">, maxAge: number): void;

  // ---- x509.c: certificates

  /** PEM or DER. Fills the queue. */
  wassl_d2i_X509(data: Borrowed<"bytes">, length: number): Owned<"X509"> | 0;
  wassl_X509_free(x509: Owned<"X509">): void;
  wassl_i2d_X509(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** RFC 2253, UTF-8. */
  wassl_X509_subject(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** RFC 2253, UTF-8. */
  wassl_X509_issuer(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** For each the length in one little-endian word, and "DNS:example.org"; empty when the certificate has no such names. */
  wassl_X509_subject_alt_names(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** Hexadecimal. */
  wassl_X509_serial(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** "EC prime256v1 256": algorithm, group if any, bits. */
  wassl_X509_public_key(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** SubjectPublicKeyInfo. */
  wassl_i2d_X509_PUBKEY(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** 20 bytes. */
  wassl_X509_sha1(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** 32 bytes. */
  wassl_X509_sha256(x509: Borrowed<"X509">): Owned<"wassl_bytes"> | 0;
  /** Seconds since 1970, NaN when malformed. */
  wassl_X509_not_before(x509: Borrowed<"X509">): number;
  /** Seconds since 1970, NaN when malformed. */
  wassl_X509_not_after(x509: Borrowed<"X509">): number;

  wassl_sk_X509_new(): Owned<"STACK_OF(X509)"> | 0;
  /** Frees the certificates in it too. */
  wassl_sk_X509_free(list: Owned<"STACK_OF(X509)">): void;
  /** PEM (one or more) or DER. Fails when one is broken or missing, and adds nothing then. Fills the queue. */
  wassl_sk_X509_add(list: Borrowed<"STACK_OF(X509)">, data: Borrowed<"bytes">, length: number): Count;
  wassl_sk_X509_num(list: Borrowed<"STACK_OF(X509)">): number;
  /** index: below wassl_sk_X509_num. */
  wassl_sk_X509_value(list: Borrowed<"STACK_OF(X509)">, index: number): Borrowed<"X509">;

  /** Writes 32 bytes to `out`. */
  wassl_SHA256(data: Borrowed<"bytes">, length: number, out: Borrowed<"bytes">): void;

  // ---- digest.c: digests, with and without a key

  /** By OpenSSL's name of the algorithm. With a key it is an HMAC, and the key may be empty. Fills the queue. */
  wassl_EVP_DigestInit(
    algorithm: Borrowed<"text">,
    key: Borrowed<"wassl_bytes"> | 0,
  ): Owned<"EVP_MD_CTX"> | 0;
  /** Fills the queue. */
  wassl_EVP_DigestUpdate(ctx: Borrowed<"EVP_MD_CTX">, data: Borrowed<"bytes">, length: number): Ok;
  /** After this the context is of no use any more. Fills the queue. */
  wassl_EVP_DigestFinal(ctx: Borrowed<"EVP_MD_CTX">): Owned<"wassl_bytes"> | 0;
  /** Another one that has had the same bytes. Fills the queue. */
  wassl_EVP_MD_CTX_dup(ctx: Borrowed<"EVP_MD_CTX">): Owned<"EVP_MD_CTX"> | 0;
  wassl_EVP_MD_CTX_free(ctx: Owned<"EVP_MD_CTX">): void;
  /** PKCS5_PBKDF2_HMAC(3): `length` bytes; 1 round or more, up to the bound of wassl_bound_file. Fills the queue. */
  wassl_PKCS5_PBKDF2_HMAC(
    algorithm: Borrowed<"text">,
    password: Borrowed<"wassl_bytes">,
    salt: Borrowed<"wassl_bytes">,
    rounds: number,
    length: number,
  ): Owned<"wassl_bytes"> | 0;
  /** Whether they are the same: takes as long whether they are or not. */
  wassl_CRYPTO_memcmp(a: Borrowed<"bytes">, b: Borrowed<"bytes">, length: number): Bool;

  // ---- public_key.c: encryption to a public key

  /** SubjectPublicKeyInfo in DER: algorithm, group if it has one, and bits, in words. Fills the queue. */
  wassl_PUBKEY_describe(key: Borrowed<"wassl_bytes">): Owned<"wassl_bytes"> | 0;
  /**
   * RSA. padding: RSA_PKCS1_PADDING, RSA_NO_PADDING or RSA_PKCS1_OAEP_PADDING; the last one with the digest of that name
   * for the label and for the mask. Fills the queue.
   */
  wassl_EVP_PKEY_encrypt(
    key: Borrowed<"wassl_bytes">,
    data: Borrowed<"wassl_bytes">,
    padding: number,
    algorithm: Borrowed<"text"> | 0,
    label: Borrowed<"wassl_bytes"> | 0,
  ): Owned<"wassl_bytes"> | 0;

  // ---- verify.c: X509_STORE, X509_VERIFY_PARAM, and the verification of a chain

  /** Fills the queue. */
  wassl_X509_STORE_new(): Owned<"X509_STORE"> | 0;
  wassl_X509_STORE_free(store: Owned<"X509_STORE">): void;
  wassl_X509_STORE_get0_param(store: Borrowed<"X509_STORE">): Borrowed<"X509_VERIFY_PARAM">;
  /** Trust anchors, as wassl_sk_X509_add. */
  wassl_X509_STORE_add_ca(store: Borrowed<"X509_STORE">, data: Borrowed<"bytes">, length: number): Count;
  /** The same for CRLs. Checking is switched on with flags. */
  wassl_X509_STORE_add_crl(store: Borrowed<"X509_STORE">, data: Borrowed<"bytes">, length: number): Count;

  // Verification parameters: each replaces what was set before; flags are added. Those that can fail do so on a name
  // that OpenSSL does not know, or a lack of memory.

  /** Seconds since 1970, instead of now. */
  wassl_X509_VERIFY_PARAM_set_time(param: Borrowed<"X509_VERIFY_PARAM">, seconds: number): void;
  wassl_X509_VERIFY_PARAM_set_depth(param: Borrowed<"X509_VERIFY_PARAM">, depth: number): void;
  /** X509_V_FLAG_* */
  wassl_X509_VERIFY_PARAM_set_flags(param: Borrowed<"X509_VERIFY_PARAM">, flags: number): void;
  /** X509_CHECK_FLAG_* */
  wassl_X509_VERIFY_PARAM_set_hostflags(param: Borrowed<"X509_VERIFY_PARAM">, flags: number): void;
  /** In a connection the SSL's own level counts unless this is set. */
  wassl_X509_VERIFY_PARAM_set_auth_level(param: Borrowed<"X509_VERIFY_PARAM">, level: number): void;
  /** "sslserver" … as openssl-verify(1). */
  wassl_X509_VERIFY_PARAM_set_purpose(param: Borrowed<"X509_VERIFY_PARAM">, name: Borrowed<"text">): Ok;
  /** One more: "1.2.3". */
  wassl_X509_VERIFY_PARAM_add_policy(param: Borrowed<"X509_VERIFY_PARAM">, oid: Borrowed<"text">): Ok;
  wassl_X509_VERIFY_PARAM_set1_host(param: Borrowed<"X509_VERIFY_PARAM">, name: Borrowed<"text">): Ok;
  wassl_X509_VERIFY_PARAM_set1_ip_asc(param: Borrowed<"X509_VERIFY_PARAM">, ip: Borrowed<"text">): Ok;
  wassl_X509_VERIFY_PARAM_set1_email(param: Borrowed<"X509_VERIFY_PARAM">, email: Borrowed<"text">): Ok;

  /**
   * Builds and verifies a chain: the first certificate is the leaf, the others may help. Each failure is recorded, and
   * the verification goes on. 0 = it could not be done, for want of memory. Leaves the queue empty otherwise.
   */
  wassl_X509_verify_cert(
    store: Borrowed<"X509_STORE">,
    certificates: Borrowed<"STACK_OF(X509)">,
  ): Owned<"wassl_verification"> | 0;
  wassl_verification_free(verification: Owned<"wassl_verification">): void;
  /** Leaf first, as far as it was built. */
  wassl_verification_chain(verification: Borrowed<"wassl_verification">): Borrowed<"STACK_OF(X509)">;
  /** How many; 0 = the chain is good. */
  wassl_verification_failures(verification: Borrowed<"wassl_verification">): number;
  /** X509_V_ERR_*; index 0 is OpenSSL's verdict. */
  wassl_verification_error(verification: Borrowed<"wassl_verification">, index: number): number;
  wassl_verification_depth(verification: Borrowed<"wassl_verification">, index: number): number;
  /** 0 = OpenSSL names no certificate. */
  wassl_verification_certificate(
    verification: Borrowed<"wassl_verification">,
    index: number,
  ): Borrowed<"X509"> | 0;

  // ---- anchors.c: many trust anchors in one block

  /**
   * They are parsed when a chain leads to them. From base64 (a C string) of words, little-endian: how many, and how
   * many of them have a date; for each, in the order of the hashes, X509_NAME_hash_ex of its subject and where its DER
   * ends; for each that has a date, which one it is (from 0), and the seconds from 1970 up to which a leaf may have
   * been issued (notBefore) whose chain ends there, X509_V_ERR_CERT_REJECTED otherwise; then the DER of all. The block
   * is never freed: stores refer to it, as long as the instance lives. 0 when it is not so built, or memory is
   * exhausted (fills the queue). A date does not count in a store that has the anchor by wassl_X509_STORE_add_ca as
   * well.
   */
  wassl_anchors_new(base64: Borrowed<"text">): Borrowed<"wassl_anchors"> | 0;
  wassl_anchors_count(table: Borrowed<"wassl_anchors">): number;
  /** Fills the queue. */
  wassl_anchors_certificate(table: Borrowed<"wassl_anchors">, index: number): Owned<"X509"> | 0;
  /** Fills the queue. */
  wassl_X509_STORE_add_anchors(store: Borrowed<"X509_STORE">, table: Borrowed<"wassl_anchors">): Ok;
}

/** TypeScript refuses a module with another one. */
export const WASSL_ABI_VERSION = 1;

export const WASSL_ROLE_SERVER = 1;

export const WASSL_ROLE_DTLS = 2;

export const WASSL_TICKET_KEY_SIZE = 80;

export const WASSL_MANY_SHIFT = 20;

/** The client did not offer it. */
export const WASSL_PHA_NONE = 0;

export const WASSL_PHA_OFFERED = 1;

/** The server has asked, or is about to, and the answer is not there. */
export const WASSL_PHA_ASKED = 2;

export const WASSL_EVENT_LOST = 0;

export const WASSL_EVENT_ALERT = 1;

export const WASSL_EVENT_KEYLOG = 2;

export const WASSL_EVENT_RECORD = 3;

export const WASSL_EVENT_CONTENT = 4;

export const WASSL_EVENT_HANDSHAKE = 5;

export const WASSL_EVENT_SESSION = 6;

/** Stops when OpenSSL accepts the certificates. */
export const WASSL_VERIFY_TOO = 1;

/** Stops also when OpenSSL does not accept them: what was wrong stays in wassl_SSL_verify_failures. */
export const WASSL_VERIFY_ANYWAY = 2;
