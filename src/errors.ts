/** Every error that Wassl throws itself. The reason of an `AbortSignal` is thrown as it is. */

/**
 * What went wrong. Codes are stable across versions; the message is for people and may change.
 *
 * - `invalid-argument`: an option or a value that cannot work; nothing was done.
 * - `not-tls`: the peer answered with something that is not TLS.
 * - `certificate`: the peer's certificate was not accepted ({@link TlsCertificateError}).
 * - `alert`: the peer ended the connection with an alert ({@link TlsAlertError}).
 * - `protocol`: the peer broke the protocol, or the two ends support nothing in common.
 * - `truncated`: the transport ended without close_notify ({@link TlsTruncationError}).
 * - `transport`: the transport failed; `cause` says how.
 * - `timeout`: a bound on waiting was reached.
 * - `discard-limit`: the peer sent more than `maxDiscard` bytes while `shutdown()` waited.
 * - `unread-data`: `shutdown()` of `wassl/blocking` met data that was not read yet; nothing was lost.
 * - `callback`: a function or a `CryptoKey` of the caller failed; `cause` says how.
 * - `closed`: the connection is closed on this side.
 * - `freed`: an object was used after it was freed.
 * - `out-of-memory`: linear memory is exhausted.
 * - `entropy`: the platform has no `crypto.getRandomValues`, or it failed.
 * - `wasm-not-found`, `wasm-mime`, `wasm-csp`, `wasm-corrupt`: openssl.wasm could not be loaded.
 * - `wasm-crashed`: OpenSSL trapped (a stack overflow, for example); the instance cannot be used any more.
 * - `not-isolated`: there is no shared memory; in a browser the page must be cross-origin isolated.
 * - `cannot-block`: this thread must not wait, for example because it is the page's own.
 * - `session-store`: a session store failed or cannot be reached. Connections go on without it.
 * - `openssl`: OpenSSL refused an operation for a reason of its own; see `errors`.
 */
export type TlsErrorCode =
  | "invalid-argument"
  | "not-tls"
  | "certificate"
  | "alert"
  | "protocol"
  | "truncated"
  | "transport"
  | "timeout"
  | "discard-limit"
  | "unread-data"
  | "callback"
  | "too-large"
  | "closed"
  | "freed"
  | "out-of-memory"
  | "entropy"
  | "wasm-not-found"
  | "wasm-mime"
  | "wasm-csp"
  | "wasm-corrupt"
  | "wasm-crashed"
  | "not-isolated"
  | "cannot-block"
  | "session-store"
  | "openssl";

/** One entry of OpenSSL's error queue (`ERR_get_error(3)`), earliest first in {@link TlsError.errors}. */
export interface OpenSslError {
  /** The packed code, as `openssl errstr` takes it. */
  readonly code: number;
  /** For example "SSL routines". */
  readonly library: string;
  /** For example "certificate verify failed". */
  readonly reason: string;
  /** The number of the reason within its library, `SSL_R_*` and so on. */
  readonly reasonCode: number;
  /** What else OpenSSL said about it, or "". */
  readonly data: string;
  /** The whole entry in one line, as `ERR_error_string(3)` prints it. */
  readonly text: string;
}

/** An alert (RFC 8446 §6). */
export interface Alert {
  readonly direction: "sent" | "received";
  /** In TLS 1.3 this follows from the description, whatever level the peer has written beside it. */
  readonly level: "warning" | "fatal";
  /** The name in the RFCs, for example "handshake_failure". */
  readonly description: string;
  /** The number of the alert, 0 to 255. */
  readonly code: number;
}

/** How a connection ended. */
export interface CloseInfo {
  readonly sentCloseNotify: boolean;
  readonly receivedCloseNotify: boolean;
  /**
   * - `complete`: close_notify went both ways.
   * - `closed-without-waiting`: this side closed, and did not wait for the peer's close_notify.
   * - `quiet`: this side closed without close_notify, as `quietShutdown` asks.
   * - `truncated`: the transport ended before the peer's close_notify.
   * - `alert`: a fatal alert, sent or received, or a protocol error.
   * - `timeout`: `shutdown()` or `close()` waited as long as it may.
   * - `aborted`: `abort()`, or a signal.
   * - `failed`: the transport failed.
   */
  readonly how:
    | "complete"
    | "closed-without-waiting"
    | "quiet"
    | "truncated"
    | "alert"
    | "timeout"
    | "aborted"
    | "failed";
  /** Where the transport ended: between two records, within a record, or in the handshake. */
  readonly truncatedAt?: TruncationPoint;
  /** The fatal alert, if there was one. */
  readonly alert?: Alert;
  /** Whether OpenSSL lets the session be resumed (`SSL_SESSION_is_resumable(3)`). */
  readonly resumable: boolean;
  /** Bytes of application data that arrived during `shutdown()` and were not read. */
  readonly discarded: number;
}

export type TruncationPoint = "record" | "mid-record" | "handshake";

export interface TlsErrorOptions {
  cause?: unknown;
  /** OpenSSL's error queue when this error was made, earliest first. */
  errors?: readonly OpenSslError[];
}

/**
 * The base class of all errors of Wassl.
 *
 * @example
 * ```ts
 * import { startTls, TlsError } from "wassl";
 *
 * try {
 *   await startTls(transport, { hostname: "example.org", caCerts: pem });
 * } catch (error) {
 *   if (!(error instanceof TlsError)) throw error;
 *   console.log(error.code, error.message, error.errors.map(({ text }) => text));
 * }
 * ```
 */
export class TlsError extends Error {
  override readonly name: string = "TlsError";
  readonly code: TlsErrorCode;
  readonly errors: readonly OpenSslError[];
  /** How the connection ended, if this error ended one. */
  declare outcome?: CloseInfo;

  constructor(code: TlsErrorCode, message: string, options: TlsErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.errors = options.errors ?? [];
  }
}

/**
 * Why a certificate was not accepted: the one shape for that, in {@link TlsCertificateError}, in what `verify` is told,
 * in the result of `verifyChain()`, and in `Ssl.getVerifyFailure()`.
 */
export interface CertificateFailure {
  /** OpenSSL's name for it, for example "X509_V_ERR_CERT_HAS_EXPIRED". */
  readonly error: string;
  /** Its number. */
  readonly code: number;
  /**
   * OpenSSL's words for it, for example "certificate has expired"; and behind a colon what it leaves unsaid: an
   * algorithm that this build lacks, say.
   */
  readonly text: string;
  /** Which certificate: 0 is the peer's own, 1 its issuer, and so on. */
  readonly depth: number;
  /** That certificate, an `X509`, or undefined where OpenSSL names none. */
  readonly certificate:
    | { readonly subject: string; readonly issuer: string; readonly der: Uint8Array }
    | undefined;
}

/**
 * The peer's certificate, or the chain above it, was not accepted.
 *
 * @example
 * ```ts
 * import { startTls, TlsCertificateError } from "wassl";
 *
 * try {
 *   await startTls(transport, { hostname: "example.org", caCerts: pem });
 * } catch (error) {
 *   if (!(error instanceof TlsCertificateError)) throw error;
 *   console.log(`${error.verifyError} at depth ${error.depth}: ${error.subject}`);
 * }
 * ```
 */
export class TlsCertificateError extends TlsError {
  override readonly name: string = "TlsCertificateError";
  readonly failure: CertificateFailure;
  /** `failure.error`: OpenSSL's name, for example "X509_V_ERR_CERT_HAS_EXPIRED". */
  readonly verifyError: string;
  /** `failure.depth`: which certificate; 0 is the peer's own, 1 its issuer, and so on. */
  readonly depth: number;
  /** The subject of that certificate (RFC 2253), or "" if OpenSSL names no certificate. */
  readonly subject: string;

  constructor(message: string, failure: CertificateFailure, options?: TlsErrorOptions) {
    super("certificate", message, options);
    this.failure = failure;
    this.verifyError = failure.error;
    this.depth = failure.depth;
    this.subject = failure.certificate?.subject ?? "";
  }
}

/**
 * The peer sent a fatal alert.
 *
 * @example
 * ```ts
 * import { startTls, TlsAlertError } from "wassl";
 *
 * try {
 *   await startTls(transport, { hostname: "example.org", caCerts: pem });
 * } catch (error) {
 *   if (!(error instanceof TlsAlertError)) throw error;
 *   console.log(`the server refused: ${error.alert.description}`); // "handshake_failure"
 * }
 * ```
 */
export class TlsAlertError extends TlsError {
  override readonly name: string = "TlsAlertError";
  readonly alert: Alert;

  constructor(message: string, alert: Alert, options?: TlsErrorOptions) {
    super("alert", message, options);
    this.alert = alert;
  }
}

/**
 * The transport ended without the peer's close_notify. All bytes that arrived intact were delivered. Whether more were
 * meant to follow cannot be known.
 *
 * @example
 * ```ts
 * import { TlsTruncationError } from "wassl";
 *
 * let received = 0;
 * try {
 *   for await (const chunk of tls.readable) received += chunk.length;
 * } catch (error) {
 *   if (!(error instanceof TlsTruncationError)) throw error;
 *   console.log(`cut off behind ${received} bytes: ${error.at}`);
 * }
 * ```
 */
export class TlsTruncationError extends TlsError {
  override readonly name: string = "TlsTruncationError";
  readonly at: TruncationPoint;

  constructor(message: string, at: TruncationPoint, options?: TlsErrorOptions) {
    super("truncated", message, options);
    this.at = at;
  }
}
