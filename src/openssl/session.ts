import { bool, type Owned } from "../binding/pointers.js";
import { TLS1_3_VERSION } from "./constants.js";
import { Handle, type Library, requireBytes } from "./library.js";
import { X509 } from "./x509.js";

/**
 * `SSL_SESSION`: what two ends keep so that their next handshake is short. Holds secrets.
 *
 * @example
 * ```ts
 * import type { Ssl } from "wassl/openssl";
 *
 * // Offers the session of an earlier connection.
 * function resume(ssl: Ssl, bytes: Uint8Array): void {
 *   using session = openssl.parseSession(bytes);
 *   if (session.isResumable()) ssl.setSession(session);
 * }
 * ```
 */
export class SslSession extends Handle<"sessions"> {
  /** @internal */
  static readonly kind = "sessions";
  /** @internal */
  static parse(library: Library, der: Uint8Array): SslSession {
    requireBytes(der, "a session");
    const { abi, memory } = library;
    abi.wassl_ERR_clear_error();
    const ptr = memory.withBytes(der, (at, length) => abi.wassl_d2i_SSL_SESSION(at, length));
    return new SslSession(library, library.check(ptr, "this is no session", "invalid-argument"));
  }

  /** `SSL_SESSION_is_resumable(3)` */
  isResumable(): boolean {
    return this.library.abi.wassl_SSL_SESSION_is_resumable(this.ptr) === 1;
  }

  /** For example 0x0304 for TLS 1.3. */
  getProtocolVersion(): number {
    return this.library.abi.wassl_SSL_SESSION_get_protocol_version(this.ptr);
  }

  /** The same by words, for the versions of TLS that this build has. @internal */
  get version(): "1.2" | "1.3" {
    return this.getProtocolVersion() === TLS1_3_VERSION ? "1.3" : "1.2";
  }

  /** `SSL_SESSION_get_time(3)`: when the session began, in seconds since 1970. */
  getTime(): number {
    return this.library.abi.wassl_SSL_SESSION_get_time(this.ptr);
  }

  /** `SSL_SESSION_get_timeout(3)`: how long it is good by this side's settings, in seconds. */
  getTimeout(): number {
    return this.library.abi.wassl_SSL_SESSION_get_timeout(this.ptr);
  }

  hasTicket(): boolean {
    return this.library.abi.wassl_SSL_SESSION_has_ticket(this.ptr) === 1;
  }

  /** How long the server means to accept the ticket, in seconds; 0 = the server did not say, or there is no ticket. */
  getTicketLifetimeHint(): number {
    return this.library.abi.wassl_SSL_SESSION_get_ticket_lifetime_hint(this.ptr) >>> 0;
  }

  /** How much early data the server takes with this session, in bytes; 0 = no early data. */
  getMaxEarlyData(): number {
    return this.library.abi.wassl_SSL_SESSION_get_max_early_data(this.ptr) >>> 0;
  }

  /** The name that the client asked for with SNI, if the server acknowledged it. */
  getHostname(): string | undefined {
    return this.library.memory.text(this.library.abi.wassl_SSL_SESSION_get0_hostname(this.ptr));
  }

  getAlpnSelected(): string | undefined {
    const { abi, memory } = this.library;
    const length = memory.slot<number>();
    const ptr = abi.wassl_SSL_SESSION_get0_alpn_selected(this.ptr, length);
    return ptr === 0 ? undefined : new TextDecoder().decode(memory.view(ptr, memory.result(length)));
  }

  /** What is kept with a client's session, also where it is written, and sent to no peer. @internal */
  setMark(mark: Uint8Array): void {
    const { abi, memory } = this.library;
    // The error queue stays as it is: sessions are collected also when an operation has just failed and its reason was
    // not fetched yet.
    const ok = memory.withBytes(mark, (at, length) => abi.wassl_SSL_SESSION_set_mark(this.ptr, at, length));
    this.library.check(ok, "no room in the session");
  }

  /** @internal */
  getMark(): Uint8Array | undefined {
    const { abi, memory } = this.library;
    const length = memory.slot<number>();
    const ptr = abi.wassl_SSL_SESSION_get0_mark(this.ptr, length);
    return ptr === 0 ? undefined : memory.copyOut(ptr, memory.result(length));
  }

  /** The peer's own certificate, if it had one. */
  getPeerCertificate(): X509 | undefined {
    const ptr = this.library.abi.wassl_SSL_SESSION_get0_peer(this.ptr);
    return ptr === 0 ? undefined : X509.copy(this.library, ptr);
  }

  /** `i2d_SSL_SESSION(3)`. Anybody who has these bytes can resume the session: keep them as a key. */
  toDer(): Uint8Array<ArrayBuffer> {
    return this.#serialize(false);
  }

  /**
   * The same, followed by the certificates above the peer's own, so that {@link Ssl.verifySession} can check them
   * again. A program that reads one session from the bytes, as OpenSSL does, finds it at their beginning.
   */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#serialize(true);
  }

  #serialize(withChain: boolean): Uint8Array<ArrayBuffer> {
    const { abi, memory } = this.library;
    const bytes = memory.takeBytes(abi.wassl_i2d_SSL_SESSION(this.ptr, bool(withChain)));
    if (!bytes) throw this.library.failure("the session cannot be written");
    return bytes;
  }

  /** @internal */
  protected override release(ptr: Owned<"SSL_SESSION">): void {
    this.library.abi.wassl_SSL_SESSION_free(ptr);
  }
}
