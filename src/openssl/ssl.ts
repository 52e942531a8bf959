import { Memory } from "../binding/memory.js";
import { type Alert, type OpenSslError, TlsError } from "../errors.js";
import { alertName } from "./alerts.js";
import type { BioPair } from "./bio-pair.js";
import {
  ERR_R_MALLOC_FAILURE,
  SSL_ERROR_SSL,
  SSL_ERROR_SYSCALL,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_WRITE,
  SSL_ERROR_ZERO_RETURN,
  SSL_R_CERTIFICATE_VERIFY_FAILED,
  SSL_R_UNEXPECTED_EOF_WHILE_READING,
  X509_V_ERR,
} from "./constants.js";
import { type Library, Owned, requireBytes } from "./library.js";
import { SslSession } from "./session.js";
import { X509 } from "./x509.js";

/** What the `try…` methods answer where OpenSSL did not succeed: minus the `SSL_ERROR_*` code. */
export const FAILED = -SSL_ERROR_SSL;
export const FAILED_SYSCALL = -SSL_ERROR_SYSCALL;
export const WANT_READ = -SSL_ERROR_WANT_READ;
export const WANT_WRITE = -SSL_ERROR_WANT_WRITE;
export const ZERO_RETURN = -SSL_ERROR_ZERO_RETURN;

/** Why a certificate was not accepted. */
export interface VerifyFailure {
  /** `X509_V_ERR_*` as a number and as a name. */
  code: number;
  name: string;
  /** OpenSSL's words. */
  text: string;
  depth: number;
  certificate: X509 | undefined;
}

/** What is known about a `try…` that answered minus `SSL_ERROR_SSL` or minus `SSL_ERROR_SYSCALL`. */
export interface SslFailure {
  /** OpenSSL's error queue. */
  errors: OpenSslError[];
  /** The transport ended where more was expected. */
  unexpectedEof: boolean;
  outOfMemory: boolean;
  /** Set when the peer's certificate was the reason. */
  verify: VerifyFailure | undefined;
}

const EVENT_LOST = 0;
const EVENT_ALERT = 1;

/**
 * `SSL`: one connection over one half of a {@link BioPair}. Each method does what OpenSSL's function of that name does,
 * with its return values, and changes nothing: see the manual pages. In particular the error queue is the caller's:
 * `OpenSsl.clearErrors()` before an operation, {@link Ssl.getError} right after it.
 *
 * The `try…` methods do these three steps at once.
 */
export class Ssl extends Owned {
  /** @internal */
  static create(library: Library, ctx: number, pair: BioPair): Ssl {
    const network = pair.ptr;
    if (network === 0 || pair.internalIsTaken) {
      throw new TlsError("invalid-argument", "this BIO pair belongs to another Ssl already");
    }
    library.abi.tls_ERR_clear_error();
    const ssl = new Ssl(library, library.check(library.abi.tls_SSL_new(ctx, pair.internal), "no SSL"));
    pair.giveInternal();
    return ssl;
  }

  // State

  setConnectState(): void {
    this.library.abi.tls_SSL_set_connect_state(this.ptr);
  }

  setAcceptState(): void {
    this.library.abi.tls_SSL_set_accept_state(this.ptr);
  }

  clear(): number {
    return this.library.abi.tls_SSL_clear(this.ptr);
  }

  isServer(): boolean {
    return this.library.abi.tls_SSL_is_server(this.ptr) === 1;
  }

  isInitFinished(): boolean {
    return this.library.abi.tls_SSL_is_init_finished(this.ptr) === 1;
  }

  setOptions(options: bigint): bigint {
    return this.library.abi.tls_SSL_set_options(this.ptr, options);
  }

  setMode(mode: number): number {
    return this.library.abi.tls_SSL_set_mode(this.ptr, mode);
  }

  clearMode(mode: number): number {
    return this.library.abi.tls_SSL_clear_mode(this.ptr, mode);
  }

  // Operations

  doHandshake(): number {
    return this.library.abi.tls_SSL_do_handshake(this.ptr);
  }

  connect(): number {
    return this.library.abi.tls_SSL_connect(this.ptr);
  }

  accept(): number {
    return this.library.abi.tls_SSL_accept(this.ptr);
  }

  read(dst: Uint8Array): number {
    return this.#receive(dst, (p, n) => this.library.abi.tls_SSL_read(this.ptr, p, n));
  }

  peek(dst: Uint8Array): number {
    return this.#receive(dst, (p, n) => this.library.abi.tls_SSL_peek(this.ptr, p, n));
  }

  /** Of `src`, all of it: as in OpenSSL less only with `SSL_MODE_ENABLE_PARTIAL_WRITE`. */
  write(src: Uint8Array): number {
    return this.#send(src, (p, n) => this.library.abi.tls_SSL_write(this.ptr, p, n));
  }

  /** `SSL_write_ex(3)`: how many bytes were written, or undefined when it answered 0. Then ask `getError(0)`. */
  writeEx(src: Uint8Array): number | undefined {
    const { abi, memory } = this.library;
    const ptr = this.ptr;
    const out = memory.allocate(4);
    try {
      const ok = this.#send(src, (p, n) => abi.tls_SSL_write_ex(ptr, p, n, out));
      return ok === 1 ? memory.word(out) : undefined;
    } finally {
      abi.tls_heap_free(out);
    }
  }

  /** 1, 0 or -1: see `SSL_shutdown(3)`. */
  shutdown(): number {
    return this.library.abi.tls_SSL_shutdown(this.ptr);
  }

  /** `SSL_get_error(3)`: `SSL_ERROR_*` for what the operation just before returned. */
  getError(ret: number): number {
    return this.library.abi.tls_SSL_get_error(this.ptr, ret);
  }

  // Operations, with the error queue cleared before and SSL_get_error asked after

  /** 1, or minus an `SSL_ERROR_*`. */
  tryHandshake(): number {
    return this.library.abi.tls_try_handshake(this.ptr);
  }

  /** Bytes read, at most one record's; or minus an `SSL_ERROR_*`. */
  tryRead(dst: Uint8Array): number {
    return this.#receive(dst, (p, n) => this.library.abi.tls_try_read(this.ptr, p, n));
  }

  /** 1 when there is application data to read, or minus an `SSL_ERROR_*`. Handles whatever comes before the data. */
  tryPeek(): number {
    return this.library.abi.tls_try_peek(this.ptr, this.library.memory.scratch, 1);
  }

  /** Bytes written, or minus an `SSL_ERROR_*`. */
  tryWrite(src: Uint8Array): number {
    return this.#send(src, (p, n) => this.library.abi.tls_try_write(this.ptr, p, n));
  }

  /** 0, 1, or minus an `SSL_ERROR_*`. */
  tryShutdown(): number {
    return this.library.abi.tls_try_shutdown(this.ptr);
  }

  /**
   * After a failure: writes the rest of an alert for which the BIO pair had no room. False while it still has none: fetch
   * what is there, and call again. OpenSSL has no function for this; without it the peer would see a record that is cut.
   */
  dispatchAlert(): boolean {
    return this.library.abi.tls_SSL_dispatch_alert(this.ptr) === 1;
  }

  #receive(dst: Uint8Array, call: (ptr: number, length: number) => number): number {
    requireBytes(dst, "the destination");
    const { memory } = this.library;
    const n = call(memory.scratch, Math.min(dst.length, Memory.SCRATCH));
    if (n > 0) dst.set(memory.view(memory.scratch, n));
    return n;
  }

  #send(src: Uint8Array, call: (ptr: number, length: number) => number): number {
    requireBytes(src, "the source");
    const { memory } = this.library;
    if (src.length > Memory.SCRATCH) return memory.withBytes(src, call);
    memory.copyIn(src, memory.scratch);
    return call(memory.scratch, src.length);
  }

  /** Why the `try…` just before failed. Empties the error queue. */
  takeFailure(): SslFailure {
    const errors = this.library.takeErrors();
    const has = (reason: number) => errors.some((e) => e.reasonCode === reason);
    return {
      errors,
      unexpectedEof: has(SSL_R_UNEXPECTED_EOF_WHILE_READING),
      outOfMemory: has(ERR_R_MALLOC_FAILURE),
      verify: has(SSL_R_CERTIFICATE_VERIFY_FAILED) ? this.getVerifyFailure() : undefined,
    };
  }

  // Closing

  /** `SSL_SENT_SHUTDOWN` | `SSL_RECEIVED_SHUTDOWN` */
  getShutdown(): number {
    return this.library.abi.tls_SSL_get_shutdown(this.ptr);
  }

  setShutdown(flags: number): void {
    this.library.abi.tls_SSL_set_shutdown(this.ptr, flags);
  }

  setQuietShutdown(on: boolean): void {
    this.library.abi.tls_SSL_set_quiet_shutdown(this.ptr, Number(on));
  }

  getQuietShutdown(): boolean {
    return this.library.abi.tls_SSL_get_quiet_shutdown(this.ptr) !== 0;
  }

  // What is where

  /** Bytes of application data that are decrypted and wait. */
  pending(): number {
    return this.library.abi.tls_SSL_pending(this.ptr);
  }

  /** Whether OpenSSL holds any bytes, decrypted or not. */
  hasPending(): boolean {
    return this.library.abi.tls_SSL_has_pending(this.ptr) === 1;
  }

  /** `SSL_NOTHING`, `SSL_WRITING`, `SSL_READING` … */
  want(): number {
    return this.library.abi.tls_SSL_want(this.ptr);
  }

  // After the handshake

  keyUpdate(kind: number): number {
    return this.library.abi.tls_SSL_key_update(this.ptr, kind);
  }

  /** `SSL_set_post_handshake_auth(3)`: a TLS 1.3 client offers it, before the handshake. */
  setPostHandshakeAuth(on: boolean): void {
    this.library.abi.tls_SSL_set_post_handshake_auth(this.ptr, Number(on));
  }

  /** `SSL_verify_client_post_handshake(3)`: a TLS 1.3 server asks with its next operation. */
  verifyClientPostHandshake(): number {
    return this.library.abi.tls_SSL_verify_client_post_handshake(this.ptr);
  }

  renegotiate(): number {
    return this.library.abi.tls_SSL_renegotiate(this.ptr);
  }

  /** `SSL_new_session_ticket(3)`: a TLS 1.3 server sends one more with its next write. */
  newSessionTicket(): number {
    return this.library.abi.tls_SSL_new_session_ticket(this.ptr);
  }

  getSession(): SslSession | undefined {
    const ptr = this.library.abi.tls_SSL_get1_session(this.ptr);
    return ptr === 0 ? undefined : new SslSession(this.library, ptr);
  }

  setSession(session: SslSession): void {
    this.library.abi.tls_ERR_clear_error();
    this.library.check(
      this.library.abi.tls_SSL_set_session(this.ptr, session.ptr),
      "the session cannot be used",
    );
  }

  /** `SSL_CTX_remove_session(3)` for the session of this connection: it cannot be resumed any more. True if the cache had it. */
  removeSession(): boolean {
    return this.library.abi.tls_SSL_CTX_remove_session(this.ptr) === 1;
  }

  sessionReused(): boolean {
    return this.library.abi.tls_SSL_session_reused(this.ptr) === 1;
  }

  // DTLS

  /** Milliseconds until {@link Ssl.dtlsHandleTimeout} is due, or -1 while no timer runs. */
  dtlsGetTimeout(): number {
    return this.library.abi.tls_DTLSv1_get_timeout(this.ptr);
  }

  /** Sends again what was lost: 1 sent, 0 not due, -1 failed. */
  dtlsHandleTimeout(): number {
    return this.library.abi.tls_DTLSv1_handle_timeout(this.ptr);
  }

  /** The largest datagram, in bytes; OpenSSL does not ask the network then. */
  setMtu(bytes: number): void {
    this.library.check(
      this.library.abi.tls_SSL_set_mtu(this.ptr, bytes),
      `no MTU of ${bytes}`,
      "invalid-argument",
    );
  }

  // Identity

  /** SNI (RFC 6066 §3). A DNS name, no IP literal. */
  setServerName(name: string): void {
    this.#setText(name, (p) => this.library.abi.tls_SSL_set_tlsext_host_name(this.ptr, p));
  }

  /** The DNS name that the peer's certificate must be for. */
  setHost(name: string): void {
    this.#setText(name, (p) => this.library.abi.tls_SSL_set1_host(this.ptr, p));
  }

  /** The IP address that the peer's certificate must be for; false when `ip` is no IP literal. */
  setIp(ip: string): boolean {
    const ok =
      this.library.memory.withText(ip, (p) => this.library.abi.tls_SSL_set1_ip_asc(this.ptr, p)) === 1;
    this.library.abi.tls_ERR_clear_error();
    return ok;
  }

  #setText(text: string, call: (ptr: number) => number): void {
    this.library.abi.tls_ERR_clear_error();
    this.library.check(this.library.memory.withText(text, call), `the name "${text}"`, "invalid-argument");
  }

  // What the handshake settled

  /** "TLSv1.3" */
  getVersion(): string {
    return this.#text(this.library.abi.tls_SSL_get_version(this.ptr)) ?? "unknown";
  }

  /** "TLS_AES_128_GCM_SHA256"; undefined before the handshake. */
  getCipherName(): string | undefined {
    const name = this.#text(this.library.abi.tls_SSL_get_cipher_name(this.ptr));
    return name === "(NONE)" ? undefined : name;
  }

  /** "X25519MLKEM768" */
  getGroupName(): string | undefined {
    return this.#text(this.library.abi.tls_SSL_get0_group_name(this.ptr));
  }

  /** The algorithm of the peer's signature, "ecdsa_secp256r1_sha256". */
  getPeerSignatureName(): string | undefined {
    return this.#text(this.library.abi.tls_SSL_get0_peer_signature_name(this.ptr));
  }

  /** The name that the client asked for. */
  getServerName(): string | undefined {
    return this.#text(this.library.abi.tls_SSL_get_servername(this.ptr));
  }

  getAlpnSelected(): string | undefined {
    const { abi, memory } = this.library;
    const ptr = abi.tls_SSL_get0_alpn_selected(this.ptr, memory.scratch);
    return ptr === 0 ? undefined : new TextDecoder().decode(memory.view(ptr, memory.word(memory.scratch)));
  }

  /** The OCSP response (DER) that the server stapled. It was not checked. */
  getOcspResponse(): Uint8Array | undefined {
    const { abi, memory } = this.library;
    const ptr = abi.tls_SSL_get0_ocsp_response(this.ptr, memory.scratch);
    return ptr === 0 ? undefined : memory.copyOut(ptr, memory.word(memory.scratch));
  }

  /** The peer's certificates, its own first, as it sent them. */
  getPeerCertificates(): X509[] {
    const { abi } = this.library;
    const count = abi.tls_SSL_peer_certificate_count(this.ptr);
    return Array.from({ length: count }, (_, i) =>
      X509.copy(this.library, abi.tls_SSL_get0_peer_certificate(this.ptr, i)),
    );
  }

  /** `X509_V_OK` or `X509_V_ERR_*`. As in OpenSSL also `X509_V_OK` when there was no certificate. */
  getVerifyResult(): number {
    return this.library.abi.tls_SSL_get_verify_result(this.ptr);
  }

  /** What was wrong first, or undefined. */
  getVerifyFailure(): VerifyFailure | undefined {
    const { abi } = this.library;
    const code = this.getVerifyResult();
    if (code === 0) return undefined;
    const certificate = abi.tls_SSL_verify_certificate(this.ptr);
    return {
      code,
      name: X509_V_ERR[code] ?? `X509_V_ERR_${code}`,
      text: this.#text(abi.tls_X509_verify_cert_error_string(code)) ?? "",
      depth: abi.tls_SSL_verify_depth(this.ptr),
      certificate: certificate === 0 ? undefined : X509.copy(this.library, certificate),
    };
  }

  /** The alerts sent and received since the last call, oldest first. */
  takeAlerts(): Alert[] {
    const block = this.library.memory.takeBytes(this.library.abi.tls_SSL_take_events(this.ptr));
    const alerts: Alert[] = [];
    if (!block) return alerts;
    const words = new DataView(block.buffer);
    for (let at = 0; at + 4 <= block.length; ) {
      const head = words.getUint32(at, true);
      const length = head >>> 16;
      const kind = head & 0xff;
      if (kind === EVENT_LOST) break;
      if (kind === EVENT_ALERT) {
        const code = block[at + 5]!;
        alerts.push({
          direction: (head >>> 8) & 1 ? "sent" : "received",
          level: block[at + 4] === 2 ? "fatal" : "warning",
          description: alertName(code),
          code,
        });
      }
      at += 4 + ((length + 3) & ~3);
    }
    return alerts;
  }

  #text(ptr: number): string | undefined {
    return this.library.memory.text(ptr);
  }

  /** @internal */
  protected override release(ptr: number): void {
    this.library.abi.tls_SSL_free(ptr);
  }
}
