import {
  WASSL_MANY_SHIFT,
  WASSL_PHA_ASKED,
  WASSL_PHA_NONE,
  WASSL_VERIFY_ANYWAY,
  WASSL_VERIFY_TOO,
} from "../binding/abi.js";
import { Memory } from "../binding/memory.js";
import {
  type Borrowed,
  type Bytes,
  bool,
  further,
  type Ok,
  type Owned,
  type Text,
} from "../binding/pointers.js";
import { type OpenSslError, TlsError } from "../errors.js";
import type { BioPairCore } from "./bio-pair-core.js";
import {
  ERR_R_MALLOC_FAILURE,
  SSL_ERROR_SSL,
  SSL_ERROR_SYSCALL,
  SSL_ERROR_WANT_CLIENT_HELLO_CB,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_RETRY_VERIFY,
  SSL_ERROR_WANT_WRITE,
  SSL_ERROR_WANT_X509_LOOKUP,
  SSL_ERROR_ZERO_RETURN,
  SSL_R_CERTIFICATE_VERIFY_FAILED,
  SSL_R_UNEXPECTED_EOF_WHILE_READING,
  SSL_RECEIVED_SHUTDOWN,
  SSL_SENT_SHUTDOWN,
  X509_V_OK,
} from "./constants.js";
import { parseEvents, type SslEvent } from "./events.js";
import { Handle, type Library, requireBytes } from "./library.js";
import { SslSession } from "./session.js";
import { type ChainFailure, chainFailure } from "./verify.js";
import { X509 } from "./x509.js";

/** What the `try…` methods return if OpenSSL did not succeed: minus the `SSL_ERROR_*` code. */
export const FAILED = -SSL_ERROR_SSL;
export const FAILED_SYSCALL = -SSL_ERROR_SYSCALL;
export const WANT_READ = -SSL_ERROR_WANT_READ;
export const WANT_WRITE = -SSL_ERROR_WANT_WRITE;
export const ZERO_RETURN = -SSL_ERROR_ZERO_RETURN;
/** The handshake waits for `answerClientHello`, `answerVerify`, `answerSignature`. */
export const WANT_CLIENT_HELLO = -SSL_ERROR_WANT_CLIENT_HELLO_CB;
export const WANT_VERIFY = -SSL_ERROR_WANT_RETRY_VERIFY;
export const WANT_SIGNATURE = -SSL_ERROR_WANT_X509_LOOKUP;

/** What is known about a `try…` that returned minus `SSL_ERROR_SSL` or minus `SSL_ERROR_SYSCALL`. */
export interface SslFailure {
  /** OpenSSL's error queue. */
  errors: OpenSslError[];
  /** The transport ended where more was expected. */
  unexpectedEof: boolean;
  outOfMemory: boolean;
  /** Set if the peer's certificate was the reason. */
  verify: ChainFailure | undefined;
}

/**
 * What this package's own connections need of an `SSL`. {@link Ssl} has the rest, which is not in the bundle of a client
 * that needs `startTls` alone.
 */
export class SslCore extends Handle<"connections"> {
  /** @internal */
  static readonly kind = "connections";
  /** @internal */
  static create<T extends SslCore>(
    this: new (
      library: Library,
      ptr: Owned<"SSL">,
    ) => T,
    library: Library,
    ctx: Borrowed<"SSL_CTX">,
    pair: BioPairCore,
  ): T {
    Handle.ptrOf(library, pair, "bioPairs");
    library.abi.wassl_ERR_clear_error();
    const made = pair.giveInternal((internal) => library.abi.wassl_SSL_new(ctx, internal));
    const ssl = new this(library, library.check(made, "no SSL"));
    ssl.#pair = pair;
    return ssl;
  }

  #pair: BioPairCore | undefined;

  // State

  setConnectState(): void {
    this.library.abi.wassl_SSL_set_connect_state(this.ptr);
  }

  setAcceptState(): void {
    this.library.abi.wassl_SSL_set_accept_state(this.ptr);
  }

  isInitFinished(): boolean {
    return this.library.abi.wassl_SSL_is_init_finished(this.ptr) === 1;
  }

  // Operations, with the error queue cleared before and SSL_get_error asked after

  /** 1, or minus an `SSL_ERROR_*`. */
  tryHandshake(): number {
    return this.library.abi.wassl_try_handshake(this.ptr);
  }

  /** Bytes read, at most one record's; or minus an `SSL_ERROR_*`. */
  tryRead(dst: Uint8Array): number {
    return receive(this.library, dst, (p, n) => this.library.abi.wassl_try_read(this.ptr, p, n));
  }

  /**
   * 1 when there is application data to read, or minus an `SSL_ERROR_*`. Handles everything that comes before the data.
   */
  tryPeek(): number {
    return this.library.abi.wassl_try_peek(this.ptr, this.library.memory.scratch, 1);
  }

  /** Bytes written, or minus an `SSL_ERROR_*`. */
  tryWrite(src: Uint8Array): number {
    return send(this.library, src, (p, n) => this.library.abi.wassl_try_write(this.ptr, p, n));
  }

  /**
   * Reads what `tryRead` would return in several calls, into `memory.bulk` from `at` on, up to `max` bytes.
   * Returns how many. If it is fewer than `max`, `stopped` says why.
   *
   * @internal
   */
  tryReadMany(at: number, max: number): number {
    const { abi, memory } = this.library;
    return this.#many(abi.wassl_try_read_many(this.ptr, further(memory.bulk, at), max));
  }

  /** The first `n` bytes of what `tryReadMany` has read. @internal */
  bulk(n: number): Uint8Array<ArrayBuffer> {
    const { memory } = this.library;
    return memory.copyOut(memory.bulk, n);
  }

  /** The same, into `dst`. @internal */
  copyBulk(n: number, dst: Uint8Array, at: number): void {
    const { memory } = this.library;
    dst.set(memory.view(memory.bulk, n), at);
  }

  /**
   * Writes what `tryWrite` would take in several calls, at most 64 KiB. Returns how many bytes. See
   * `stopped`. @internal
   */
  tryWriteMany(src: Uint8Array): number {
    const { abi, memory } = this.library;
    memory.copyIn(src, memory.bulk);
    return this.#many(abi.wassl_try_write_many(this.ptr, memory.bulk, src.length));
  }

  /**
   * Why `tryReadMany` or `tryWriteMany` stopped early: minus an `SSL_ERROR_*`; 0 = it did not.
   *
   * @internal
   */
  stopped = 0;

  #many(result: number): number {
    this.stopped = -(result >> WASSL_MANY_SHIFT);
    return result & ((1 << WASSL_MANY_SHIFT) - 1);
  }

  /** 0, 1, or minus an `SSL_ERROR_*`. */
  tryShutdown(): number {
    return this.library.abi.wassl_try_shutdown(this.ptr);
  }

  /**
   * After a failure: writes the rest of an alert for which the BIO pair had no room. False while there is still no
   * room: fetch what is there, and call again. OpenSSL has no function for this; without it the peer would see a cut
   * record.
   */
  dispatchAlert(): boolean {
    return this.library.abi.wassl_SSL_dispatch_alert(this.ptr) === 1;
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
    return this.library.abi.wassl_SSL_get_shutdown(this.ptr);
  }

  /** The same by words: which close_notify alerts went. @internal */
  get shutdownFlags(): { readonly sent: boolean; readonly received: boolean } {
    const flags = this.getShutdown();
    return { sent: (flags & SSL_SENT_SHUTDOWN) !== 0, received: (flags & SSL_RECEIVED_SHUTDOWN) !== 0 };
  }

  setQuietShutdown(on: boolean): void {
    this.library.abi.wassl_SSL_set_quiet_shutdown(this.ptr, bool(on));
  }

  // What is where

  /** Bytes of application data that are decrypted and wait. */
  pending(): number {
    return this.library.abi.wassl_SSL_pending(this.ptr);
  }

  /** `SSL_set_post_handshake_auth(3)`: makes a TLS 1.3 client offer it, before the handshake. */
  setPostHandshakeAuth(on: boolean): void {
    this.library.abi.wassl_SSL_set_post_handshake_auth(this.ptr, bool(on));
  }

  /** Whether the client offered that, or is asked and has not answered yet. */
  getPostHandshakeAuth(): "none" | "offered" | "asked" {
    switch (this.library.abi.wassl_SSL_get_post_handshake_auth(this.ptr)) {
      case WASSL_PHA_NONE:
        return "none";
      case WASSL_PHA_ASKED:
        return "asked";
      default:
        return "offered";
    }
  }

  getSession(): SslSession | undefined {
    const ptr = this.library.abi.wassl_SSL_get1_session(this.ptr);
    return ptr === 0 ? undefined : new SslSession(this.library, ptr);
  }

  setSession(session: SslSession): void {
    const ptr = Handle.ptrOf(this.library, session, "sessions");
    this.library.abi.wassl_ERR_clear_error();
    this.library.check(this.library.abi.wassl_SSL_set_session(this.ptr, ptr), "the session cannot be used");
  }

  /**
   * Whether this client would accept now, by all that is set, what the session knows of its peer: chain, dates, name.
   * OpenSSL verifies nothing when it resumes. Call it before the handshake. Returns `X509_V_OK`, or what is wrong.
   */
  verifySession(session: SslSession): number {
    const { abi } = this.library;
    const result = abi.wassl_SSL_verify_session(this.ptr, Handle.ptrOf(this.library, session, "sessions"));
    abi.wassl_ERR_clear_error();
    return result;
  }

  /** Whether `verifySession` finds nothing wrong. @internal */
  acceptsSession(session: SslSession): boolean {
    return this.verifySession(session) === X509_V_OK;
  }

  /**
   * `SSL_CTX_remove_session(3)` for the session of this connection: it cannot be resumed any more. True if the cache
   * had it.
   */
  removeSession(): boolean {
    return this.library.abi.wassl_SSL_CTX_remove_session(this.ptr) === 1;
  }

  /** Whether TLS 1.3 was begun with an external pre-shared key: to `SSL_session_reused(3)` that is a session, too. */
  usedPsk(): boolean {
    return this.library.abi.wassl_SSL_used_psk(this.ptr) === 1;
  }

  /** `SSL_get_psk_identity(3)`, in TLS 1.3 too; also of the connection whose session was resumed. */
  getPskIdentity(): string | undefined {
    const { abi, memory } = this.library;
    return memory.text(abi.wassl_SSL_get_psk_identity(this.ptr));
  }

  sessionReused(): boolean {
    return this.library.abi.wassl_SSL_session_reused(this.ptr) === 1;
  }

  /**
   * The sessions that are new since the last call, oldest first, 8 at most: those of tickets that came, or were sent.
   * Only after `SslContext.keepNewSessions`, and of the kinds that its cache mode names. The caller must free each.
   */
  takeSessions(): SslSession[] {
    const sessions: SslSession[] = [];
    for (;;) {
      const ptr = this.library.abi.wassl_SSL_take_new_session(this.ptr);
      if (ptr === 0) return sessions;
      sessions.push(new SslSession(this.library, ptr));
    }
  }

  /** Bytes written, or minus an `SSL_ERROR_*`. */
  tryWriteEarlyData(src: Uint8Array): number {
    return send(this.library, src, (p, n) => this.library.abi.wassl_try_write_early_data(this.ptr, p, n));
  }

  /** `SSL_EARLY_DATA_*` */
  getEarlyDataStatus(): number {
    return this.library.abi.wassl_SSL_get_early_data_status(this.ptr);
  }

  // Seeing inside

  /** Whether `takeEvents` tells of records and handshake messages too. */
  setTrace(on: boolean): void {
    this.library.abi.wassl_SSL_set_trace(this.ptr, bool(on));
  }

  /**
   * `SSL_export_keying_material(3)` (RFC 5705, RFC 8446 §7.5): `length` bytes, 1 to 16,384, that only the two ends
   * know. In TLS 1.2 an absent context differs from an empty one.
   */
  exportKeyingMaterial(label: string, length: number, context?: Uint8Array): Uint8Array {
    const { abi, memory } = this.library;
    if (!Number.isInteger(length) || length < 1 || length > 16_384) {
      throw new TlsError("invalid-argument", "the length of keying material must be 1 to 16,384 bytes");
    }
    if (context) requireBytes(context, "the context");
    const ptr = this.ptr;
    abi.wassl_ERR_clear_error();
    const secret = memory.withText(label, (name) =>
      memory.withBytes(context ?? new Uint8Array(0), (at, n) =>
        memory.takeBytes(abi.wassl_SSL_export_keying_material(ptr, length, name, at, context ? n : -1)),
      ),
    );
    if (!secret) throw this.library.failure("no keying material: there is some once the handshake is done");
    return secret;
  }

  /** `SSL_get_extms_support(3)`: TLS 1.2 agreed on the extended master secret (RFC 7627). */
  getExtmsSupport(): boolean {
    return this.library.abi.wassl_SSL_get_extms_support(this.ptr) === 1;
  }

  /** `SSL_get_finished(3)`: the last Finished message that was sent, without its head; undefined before. */
  getFinished(): Uint8Array | undefined {
    return this.#finished(false);
  }

  /** The same of the last one that the peer sent. */
  getPeerFinished(): Uint8Array | undefined {
    return this.#finished(true);
  }

  #finished(ofPeer: boolean): Uint8Array | undefined {
    const { abi, memory } = this.library;
    return memory.takeBytes(abi.wassl_SSL_get_finished(this.ptr, bool(ofPeer)));
  }

  /**
   * The channel binding tls-server-end-point (RFC 5929 §4): the hash of the server's certificate. Undefined if there is
   * no certificate, for signatures without a hash of their own (Ed25519), and on a server of several certificates that
   * resumed a session.
   */
  getServerEndPoint(): Uint8Array | undefined {
    return this.library.memory.takeBytes(this.library.abi.wassl_SSL_server_end_point(this.ptr));
  }

  // Identity

  /** SNI (RFC 6066 §3): a DNS name, and no IP literal. */
  setServerName(name: string): void {
    this.#setText(name, (p) => this.library.abi.wassl_SSL_set_tlsext_host_name(this.ptr, p));
  }

  /** The DNS name that the peer's certificate must be for. */
  setHost(name: string): void {
    this.#setText(name, (p) => this.library.abi.wassl_SSL_set1_host(this.ptr, p));
  }

  /** The IP address that the peer's certificate must be for; returns false when `ip` is no IP literal. */
  setIp(ip: string): boolean {
    const ok =
      this.library.memory.withText(ip, (p) => this.library.abi.wassl_SSL_set1_ip_asc(this.ptr, p)) === 1;
    this.library.abi.wassl_ERR_clear_error();
    return ok;
  }

  #setText(text: string, call: (ptr: Text) => Ok): void {
    this.library.abi.wassl_ERR_clear_error();
    this.library.check(this.library.memory.withText(text, call), `the name "${text}"`, "invalid-argument");
  }

  // What the handshake settled

  /** "TLSv1.3" */
  getVersion(): string {
    return this.#text(this.library.abi.wassl_SSL_get_version(this.ptr)) ?? "unknown";
  }

  /** "TLS_AES_128_GCM_SHA256"; undefined before the handshake. */
  getCipherName(): string | undefined {
    const name = this.#text(this.library.abi.wassl_SSL_get_cipher_name(this.ptr));
    return name === "(NONE)" ? undefined : name;
  }

  /** `SSL_CIPHER_standard_name(3)`: as IANA has it, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256". */
  getCipherStandardName(): string | undefined {
    const name = this.#text(this.library.abi.wassl_SSL_get_cipher_standard_name(this.ptr));
    return name === "(NONE)" ? undefined : name;
  }

  /** "X25519MLKEM768" */
  getGroupName(): string | undefined {
    return this.#text(this.library.abi.wassl_SSL_get0_group_name(this.ptr));
  }

  /** The algorithm of the peer's signature, "ecdsa_secp256r1_sha256". */
  getPeerSignatureName(): string | undefined {
    return this.#text(this.library.abi.wassl_SSL_get0_peer_signature_name(this.ptr));
  }

  /** The name that the client asked for. */
  getServerName(): string | undefined {
    return this.#text(this.library.abi.wassl_SSL_get_servername(this.ptr));
  }

  getAlpnSelected(): string | undefined {
    const { abi, memory } = this.library;
    const length = memory.slot<number>();
    const ptr = abi.wassl_SSL_get0_alpn_selected(this.ptr, length);
    return ptr === 0 ? undefined : new TextDecoder().decode(memory.view(ptr, memory.result(length)));
  }

  /** The OCSP response (DER) that the server stapled. It was not checked. */
  getOcspResponse(): Uint8Array | undefined {
    const { abi, memory } = this.library;
    const length = memory.slot<number>();
    const ptr = abi.wassl_SSL_get0_ocsp_response(this.ptr, length);
    return ptr === 0 ? undefined : memory.copyOut(ptr, memory.result(length));
  }

  /** The peer's certificates, its own first, as it sent them. */
  getPeerCertificates(): X509[] {
    const { abi } = this.library;
    const count = abi.wassl_SSL_peer_certificate_count(this.ptr);
    return Array.from({ length: count }, (_, i) =>
      X509.copy(this.library, abi.wassl_SSL_get0_peer_certificate(this.ptr, i)),
    );
  }

  /**
   * `SSL_get0_verified_chain(3)`: the path that was judged, from the peer's certificate on, as far as it was built; up
   * to the trust anchor if `getVerifyResult` is `X509_V_OK`. For a session that is resumed, it is the path by
   * which the session's certificate was verified again. `known` are certificates that exist already, and are not made
   * again.
   */
  getVerifiedChain(known: readonly X509[] = []): X509[] {
    const { abi } = this.library;
    const stack = abi.wassl_SSL_get0_verified_chain(this.ptr);
    if (stack === 0) return [];
    return Array.from({ length: abi.wassl_sk_X509_num(stack) }, (_, i) => {
      const certificate = X509.copy(this.library, abi.wassl_sk_X509_value(stack, i));
      return known.find(({ der }) => sameBytes(der, certificate.der)) ?? certificate;
    });
  }

  /** `X509_V_OK` or `X509_V_ERR_*`. As in OpenSSL it is also `X509_V_OK` if there was no certificate. */
  getVerifyResult(): number {
    return this.library.abi.wassl_SSL_get_verify_result(this.ptr);
  }

  /** The first thing that was wrong, or undefined. */
  getVerifyFailure(): ChainFailure | undefined {
    return this.getVerifyFailures()[0];
  }

  /**
   * What was wrong with the peer's certificates, in the order in which OpenSSL found it, 8 at most. Where the
   * verification goes on (`suspendVerify` "anyway", or `SSL_VERIFY_NONE`) the last one is
   * `getVerifyResult`, which is what Node.js tells; otherwise there is one. Of a resumed session only that
   * last one is known.
   */
  getVerifyFailures(): ChainFailure[] {
    const { abi } = this.library;
    const ptr = this.ptr;
    const count = abi.wassl_SSL_verify_failures(ptr);
    const result = this.getVerifyResult();
    if (count === 0) return result === 0 ? [] : [chainFailure(this.library, result, 0, 0)];
    return Array.from({ length: count }, (_, i) => {
      const code = abi.wassl_SSL_verify_error(ptr, i);
      const depth = abi.wassl_SSL_verify_depth(ptr, i);
      return chainFailure(this.library, code, depth, abi.wassl_SSL_verify_certificate(ptr, i));
    });
  }

  /**
   * Makes the handshake stop behind the peer's certificates (`SSL_ERROR_WANT_RETRY_VERIFY`) if OpenSSL accepts them.
   * With "anyway" it also stops if OpenSSL does not, and what was wrong stays in `getVerifyFailure`.
   */
  suspendVerify(when: "never" | "accepted" | "anyway"): void {
    const mode = { never: 0, accepted: WASSL_VERIFY_TOO, anyway: WASSL_VERIFY_ANYWAY }[when];
    if (mode === undefined)
      throw new TlsError(
        "invalid-argument",
        `suspendVerify takes "never", "accepted" or "anyway", not "${when}"`,
      );
    this.library.check(this.library.abi.wassl_SSL_suspend_verify(this.ptr, mode), "no room");
  }

  /** Goes on, or refuses the peer with bad_certificate. */
  answerVerify(accept: boolean): void {
    requireAnswered(this.library.abi.wassl_SSL_answer_verify(this.ptr, bool(accept)), "verification");
  }

  /**
   * What a key of `SslContext.useExternalKey` has to sign (`SSL_ERROR_WANT_X509_LOOKUP`): the bytes, the algorithm (RFC
   * 8446 §4.2.3) and the id of the key.
   */
  getToBeSigned(): { bytes: Uint8Array<ArrayBuffer>; algorithm: number; id: number } | undefined {
    const { abi, memory } = this.library;
    const [algorithm, id] = [memory.slot<number>(0), memory.slot<number>(1)];
    const bytes = memory.takeBytes(abi.wassl_SSL_get_to_be_signed(this.ptr, algorithm, id));
    return bytes && { bytes, algorithm: memory.result(algorithm), id: memory.result(id) };
  }

  /**
   * Goes on with the signature. Without a signature it fails with internal_error. It also fails so, and returns false,
   * if the signature does not fit the key's certificate.
   */
  answerSignature(signature: Uint8Array = new Uint8Array(0)): boolean {
    requireBytes(signature, "the signature");
    const { abi, memory } = this.library;
    abi.wassl_ERR_clear_error();
    const answered = memory.withBytes(signature, (ptr, length) =>
      abi.wassl_SSL_answer_signature(this.ptr, ptr, length),
    );
    abi.wassl_ERR_clear_error();
    requireAnswered(Math.abs(answered), "signature");
    return answered === 1;
  }

  /**
   * What happened since the last call, oldest first: alerts, and what `SslContext.setKeylog` and `setTrace` asked for.
   */
  takeEvents(): SslEvent[] {
    const block = this.library.memory.takeBytes(this.library.abi.wassl_SSL_take_events(this.ptr));
    return block ? parseEvents(block) : [];
  }

  #text(ptr: Text | 0): string | undefined {
    return this.library.memory.text(ptr);
  }

  /** @internal */
  protected override release(ptr: Owned<"SSL">): void {
    this.#pair?.internalFreed();
    this.library.abi.wassl_SSL_free(ptr);
    this.library.memory.forget();
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** What `call` puts into memory for `dst`. */
export function receive(
  library: Library,
  dst: Uint8Array,
  call: (ptr: Bytes, length: number) => number,
): number {
  requireBytes(dst, "the destination");
  const { memory } = library;
  const n = call(memory.scratch, Math.min(dst.length, Memory.SCRATCH));
  if (n > 0) dst.set(memory.view(memory.scratch, n));
  return n;
}

/** `call` with `src` in memory. */
export function send(
  library: Library,
  src: Uint8Array,
  call: (ptr: Bytes, length: number) => number,
): number {
  requireBytes(src, "the source");
  const { memory } = library;
  if (src.length > Memory.SCRATCH) return memory.withBytes(src, call);
  memory.copyIn(src, memory.scratch);
  return call(memory.scratch, src.length);
}

export function requireAnswered(ok: number, what: string): void {
  if (ok !== 1) {
    throw new TlsError("invalid-argument", `no handshake waits for a ${what}, or the answer cannot be used`);
  }
}
