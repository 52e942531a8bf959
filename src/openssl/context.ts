import { WASSL_TICKET_KEY_SIZE } from "../binding/abi.js";
import { bool } from "../binding/pointers.js";
import { TlsError } from "../errors.js";
import type { BioPair } from "./bio-pair.js";
import { requireList, SslContextCore } from "./context-core.js";
import { useCookies } from "./dtls.js";
import { requireBytes } from "./library.js";
import { Ssl } from "./ssl.js";
import { isAnotherKey, isOfAnotherKind } from "./unusable.js";

export type { Role } from "./context-core.js";

function requireUint32(value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > 2 ** 32 - 1) {
    throw new TlsError("invalid-argument", "the limit of early data must be whole bytes, 0 to 2^32 - 1");
  }
}

/**
 * `SSL_CTX`: what many connections share. It is as OpenSSL makes it, except for one mode:
 * `SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER` is on, because JavaScript has no addresses that could stay the same.
 *
 * Methods that set something throw a `TlsError` with OpenSSL's reasons when OpenSSL refuses it.
 *
 * @example
 * ```ts
 * import { SSL_VERIFY_PEER } from "wassl/openssl";
 *
 * using context = openssl.newContext("client");
 * context.addCaCert(pem);
 * context.setVerify(SSL_VERIFY_PEER);
 * using pair = openssl.newBioPair();
 * using ssl = context.newSsl(pair);
 * ssl.setHost("example.org"); // the name that the certificate must be for
 * ssl.setConnectState();
 * ```
 */
export class SslContext extends SslContextCore {
  /**
   * Gives a DTLS server keys for cookies (RFC 6347 §4.2.1), for {@link Ssl.dtlsListen}. The keys change once a minute; a
   * cookie is good for two minutes at most.
   */
  useCookies(): void {
    useCookies(this.library, this);
  }

  clearOptions(options: bigint): bigint {
    return this.library.abi.wassl_SSL_CTX_clear_options(this.ptr, options);
  }

  clearMode(mode: number): number {
    return this.library.abi.wassl_SSL_CTX_clear_mode(this.ptr, mode);
  }

  setVerifyDepth(depth: number): void {
    this.library.abi.wassl_SSL_CTX_set_verify_depth(this.ptr, depth);
  }

  /** Adds `X509_V_FLAG_*` to those that are set. */
  setVerifyFlags(flags: number): void {
    const { abi } = this.library;
    abi.wassl_X509_VERIFY_PARAM_set_flags(abi.wassl_SSL_CTX_get0_param(this.ptr), flags);
  }

  /** As `usePrivateKey`, unless the key is another one's than the certificate's: false then. @internal */
  tryPrivateKey(data: string | Uint8Array, passphrase?: string): boolean {
    try {
      this.usePrivateKey(data, passphrase);
      return true;
    } catch (error) {
      const errors = error instanceof TlsError ? error.errors : [];
      if (isOfAnotherKind(errors) || isAnotherKey(errors)) return false;
      throw error;
    }
  }

  /** Makes a server that asks for certificates tell clients the names of the trust anchors that it has now. */
  sendCaNames(): void {
    this.set("the names of caCerts cannot be sent (sendCaNames: false sends none)", (c) =>
      this.library.abi.wassl_SSL_CTX_send_ca_names(c),
    );
  }

  /**
   * Makes a server that asks for certificates resume a session only if it would accept the client's certificate now;
   * otherwise it makes a full handshake. OpenSSL verifies nothing when it resumes. For that the server's tickets hold
   * the certificates above the client's own, up to 8 KiB.
   *
   * @param maxAge how many seconds ago the full handshake of a session may have been; by default 7 days. Without a
   *   bound a session would be renewed time and again.
   */
  verifyResumed(maxAge = 604_800): void {
    this.library.abi.wassl_SSL_CTX_verify_resumed(this.ptr, maxAge);
  }

  /**
   * Exchanges certificates, keys and the OCSP response with `other`. Connections that are under way keep theirs. It
   * fails only for want of memory, and changes nothing then.
   *
   * @internal
   */
  swapIdentity(other: SslContext): void {
    const { abi } = this.library;
    const [a, b] = [this.ptr, other.ptr];
    this.library.check(abi.wassl_SSL_CTX_swap_identity(a, b), "no room for another identity");
  }

  /** Makes a server stop at each ClientHello, see `Ssl.getClientHello`. */
  suspendClientHello(): void {
    this.library.abi.wassl_SSL_CTX_suspend_client_hello(this.ptr);
  }

  /** The OCSP response (DER) that a server staples when the client asks for one. */
  setOcspResponse(der: Uint8Array): void {
    const { abi } = this.library;
    this.setBytes("OCSP response", der, (c, p, n) => abi.wassl_SSL_CTX_set_ocsp_response(c, p, n));
  }

  /** Makes a client ask for a stapled OCSP response. */
  requestOcspResponse(): void {
    this.set("no OCSP request", (c) => this.library.abi.wassl_SSL_CTX_request_ocsp_response(c));
  }

  /** `SSL_CTX_set_quiet_shutdown(3)` */
  setQuietShutdown(on: boolean): void {
    this.library.abi.wassl_SSL_CTX_set_quiet_shutdown(this.ptr, bool(on));
  }

  getQuietShutdown(): boolean {
    return this.library.abi.wassl_SSL_CTX_get_quiet_shutdown(this.ptr) !== 0;
  }

  /** Up to 32 bytes. A server that verifies clients must set one, or resumption fails. */
  setSessionIdContext(id: Uint8Array): void {
    const { abi } = this.library;
    this.setBytes("session id context", id, (c, p, n) => abi.wassl_SSL_CTX_set_session_id_context(c, p, n));
  }

  /** How many tickets a TLS 1.3 server sends after a full handshake. */
  setNumTickets(count: number): void {
    this.set("number of tickets", (c) => this.library.abi.wassl_SSL_CTX_set_num_tickets(c, count));
  }

  /** `SSL_CTX_set_timeout(3)`: how long new sessions are good, in seconds; OpenSSL's default is 7,200. */
  setSessionTimeout(seconds: number): void {
    // OpenSSL takes 0 for its default.
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > 2 ** 31 - 1) {
      throw new TlsError("invalid-argument", "a session's time must be whole seconds, 1 to 2^31 - 1");
    }
    this.library.abi.wassl_SSL_CTX_set_timeout(this.ptr, seconds);
  }

  /**
   * Sets the keys of a server's tickets, 80 bytes each: 16 name, 32 HMAC-SHA-256, 32 AES-256. The first one encrypts,
   * and all of them decrypt; a client whose ticket is under another key than the first gets a new ticket. Processes
   * that share keys resume each other's sessions. Anybody who has a key can read what was sent under TLS 1.2 sessions
   * and 0-RTT: change them often (RFC 5077 §5.5). With an empty list the context uses random keys of its own, as it
   * does until this is called.
   */
  setTicketKeys(keys: readonly Uint8Array[]): void {
    requireList(keys, "ticket keys");
    const all = new Uint8Array(keys.length * WASSL_TICKET_KEY_SIZE);
    for (const [i, key] of keys.entries()) {
      requireBytes(key, "a ticket key");
      if (key.length !== WASSL_TICKET_KEY_SIZE) {
        throw new TlsError(
          "invalid-argument",
          `a ticket key has ${WASSL_TICKET_KEY_SIZE} bytes, not ${key.length}`,
        );
      }
      all.set(key, i * WASSL_TICKET_KEY_SIZE);
    }
    const { abi } = this.library;
    this.setBytes("ticket keys", all, (c, p) => abi.wassl_SSL_CTX_set_ticket_keys(c, p, keys.length));
    all.fill(0);
  }

  /** How much early data the tickets of a TLS 1.3 server allow, in bytes; 0, the default, is none. */
  setMaxEarlyData(bytes: number): void {
    requireUint32(bytes);
    this.set("early data", (c) => this.library.abi.wassl_SSL_CTX_set_max_early_data(c, bytes));
  }

  /**
   * `SSL_CTX_set_recv_max_early_data(3)`: how much early data a server takes, in bytes; OpenSSL's default is 16,384.
   */
  setRecvMaxEarlyData(bytes: number): void {
    requireUint32(bytes);
    this.set("early data", (c) => this.library.abi.wassl_SSL_CTX_set_recv_max_early_data(c, bytes));
  }

  /** Whether `Ssl.takeEvents` tells of records and handshake messages, on connections made from now on. */
  setTrace(on: boolean): void {
    this.library.abi.wassl_SSL_CTX_set_trace(this.ptr, bool(on));
  }

  /** `SSL_CTX_sess_number(3)`: sessions in the cache now. */
  sessNumber(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 20);
  }
  /** `SSL_CTX_sess_connect_good(3)` */
  sessConnectGood(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 22);
  }
  /** `SSL_CTX_sess_accept_good(3)` */
  sessAcceptGood(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 25);
  }
  /** `SSL_CTX_sess_hits(3)`: handshakes that resumed a session. */
  sessHits(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 27);
  }
  /** `SSL_CTX_sess_misses(3)` */
  sessMisses(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 29);
  }
  /** `SSL_CTX_sess_timeouts(3)` */
  sessTimeouts(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 30);
  }

  /** `SSL_new(3)` with the internal half of `pair`, which then belongs to the `Ssl`. */
  override newSsl(pair: BioPair): Ssl {
    return Ssl.create(this.library, this.ptr, pair);
  }
}
