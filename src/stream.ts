import { byteCount, duration, readOptions, signal, type Table } from "./check.js";
import { DataStreams } from "./connection/data-streams.js";
import type { Waiting } from "./connection/dropped.js";
import type { Statistics } from "./connection/events.js";
import { type ChannelBinding, channelBinding } from "./connection/exporters.js";
import type { Pump } from "./connection/pump.js";
import type { Verdict } from "./connection/verdict.js";
import type { TransportWire } from "./connection/wire.js";
import { asyncDispose } from "./engine.js";
import { type CloseInfo, TlsError } from "./errors.js";
import type { LateAuth, VerifyClientOptions } from "./handshake/late-auth.js";
import type { Resumption } from "./handshake/resumption.js";
import type { SslCore } from "./openssl/ssl-core.js";
import type { TlsInfo } from "./options/info.js";
import { after, within } from "./timers.js";
import type { Transport } from "./transport.js";

export interface ShutdownOptions {
  /** Gives up when it fires: the connection is aborted with its reason. */
  signal?: AbortSignal;
  /** How long to wait for the peer's close_notify, in milliseconds. Default 5,000. */
  timeout?: number;
  /**
   * How many bytes of application data may still arrive while no reader takes them, before the connection is aborted.
   * Default 1 MiB.
   */
  maxDiscard?: number;
}

export interface CloseOptions {
  /**
   * How long the transport may stand still, in milliseconds; `Infinity` = for ever. `close()` goes on as long as the
   * transport takes bytes; that is seen in steps of 8 KiB, and of 64 KiB for what was under way before. Default
   * `closeTimeout`.
   */
  timeout?: number;
}

export interface ShutdownResult {
  /** The transport as it was given, unlocked: it may go on without TLS, or begin TLS again. */
  readonly transport: Transport;
  /**
   * Bytes that the peer sent behind its close_notify and that were received already. They come before what
   * `transport.readable` gives.
   */
  readonly trailing: Uint8Array;
  readonly info: CloseInfo;
}

const SHUTDOWN: Table<ShutdownOptions> = { signal, timeout: duration, maxDiscard: byteCount };
const CLOSE: Table<CloseOptions> = { timeout: duration };

/** @internal */
export interface StreamParts {
  ssl: SslCore;
  verdict: Verdict;
  pump: Pump;
  wire: TransportWire;
  readInfo(): TlsInfo;
  /** Of a server. */
  lateAuth: LateAuth | undefined;
  /** Of a client. */
  resumption: Resumption | undefined;
  preventClose: boolean;
  closeTimeout: number;
  /** Called when the connection has ended: the signal has nothing to abort any more. */
  stopListening: () => void;
  /** What is told when the connection is dropped without an end. */
  waiting: Waiting;
}

export const DEFAULT_SHUTDOWN_TIMEOUT = 5_000;
export const DEFAULT_MAX_DISCARD = 2 ** 20;
/**
 * How long `close()` waits while the transport takes nothing, and how long the alert after a failure may take in all,
 * in milliseconds.
 */
export const DEFAULT_CLOSE_TIMEOUT = 2_000;

/**
 * TlsStream is an open TLS connection. Its streams carry application data. It is a transport itself, so that TLS can
 * run within TLS.
 *
 * - `readable` is a byte stream: nothing is fetched until a reader asks, and a BYOB reader's buffer is filled directly.
 *   (WebKit, and so Safari, has no byte streams: there is no BYOB reader then.) It ends with the peer's close_notify.
 *   If the transport ends without one, `readable` errors with `TlsTruncationError`, after all that arrived intact was
 *   read.
 * - `writable` takes `Uint8Array`s, and queues 64 KiB of them. A write settles when the transport has accepted its
 *   records. Small writes that queue up are copied together, to share records: each settles when it was copied, and the
 *   last one when the transport has accepted all. Until a write has settled its bytes must not change.
 *   `writable.close()` is {@link TlsStream.closeWrite}, `writable.abort()` is {@link TlsStream.abort}.
 *
 * Four verbs end the connection. All of them can be called at any time, and again. The holder of the stream has to end
 * it, and with it its transport, because OpenSSL's memory is not garbage-collected. If a stream is dropped all the
 * same, its memory is freed in the course of time, the transport is given up, which the peer sees as a truncation, and
 * the event "dropped" tells.
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 *
 * const tls = await startTls(transport, { hostname: "example.org", caCerts: pem });
 * const writer = tls.writable.getWriter();
 * await writer.write(request);
 * await writer.close(); // sends close_notify; the answer is still read
 * const answer = await new Response(tls.readable).text();
 * const { how } = await tls.closed; // "complete"
 * ```
 */
export class TlsStream implements Transport, AsyncDisposable {
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> & AsyncIterable<Uint8Array<ArrayBuffer>> {
    return this.#streams.readable;
  }

  get writable(): WritableStream<Uint8Array> {
    return this.#streams.writable;
  }

  /**
   * How the connection ended. Resolves when the end was proper. Otherwise it rejects with a `TlsError`, whose `outcome`
   * says the same, or with the reason of an abort. It also rejects when the connection was dropped without an end. It is never reported as an unhandled rejection. An action of the
   * peer is seen only while a reader asks, because nothing is fetched otherwise.
   */
  get closed(): Promise<CloseInfo> {
    // Whoever waits for the end of a connection that is then dropped would wait for ever.
    this.#parts.waiting.reject ??= this.#settle.reject;
    return this.#closed;
  }

  readonly #closed: Promise<CloseInfo>;
  readonly #parts: StreamParts;
  #info: TlsInfo;
  readonly #verdict: Verdict;
  #settle!: { resolve(info: CloseInfo): void; reject(reason: unknown): void };
  readonly #streams: DataStreams;
  #discarded = 0;
  #shutdown: Promise<ShutdownResult> | undefined;
  #close: Promise<void> | undefined;

  /** @internal */
  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.#verdict = parts.verdict;
    this.#info = parts.readInfo();
    this.#closed = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#closed.catch(ignore);
    this.#streams = new DataStreams(parts.pump, {
      bothEnded: () => this.#bothEnded(),
      aborted: (reason) => this.abort(reason),
    });
  }

  /** What the handshake settled; after {@link TlsStream.verifyClientPostHandshake} what that has settled. */
  get info(): TlsInfo {
    return this.#info;
  }

  /**
   * Asks the client of a server for its certificate, behind the handshake (TLS 1.3, RFC 8446 §4.6.2;
   * `SSL_verify_client_post_handshake(3)`), after all that was written. It resolves when the client has answered, with
   * what is known of it then: see `clientAuth`, `postHandshakeAuth` and `verify` of `acceptTls`. Data goes on in both
   * directions; what the client has sent before its answer must be read, or the answer is not seen.
   *
   * A client that is refused, or does not answer in time, ends the connection. Sessions that were given to the client
   * before are of a client without a certificate; the client gets new ones.
   *
   * @example
   * ```ts
   * import { acceptTls } from "wassl";
   *
   * const clients = { clientAuth: "require", postHandshakeAuth: true, caCerts: pem } as const;
   * const tls = await acceptTls(transport, { cert, key, ...clients });
   * // … and when the client wants something that is not for everybody:
   * const { peerCertificates } = await tls.verifyClientPostHandshake();
   * console.log(peerCertificates[0]?.subject);
   * ```
   *
   * @throws TlsError "protocol" if it is not TLS 1.3, or the client has not offered that; "invalid-argument" if the client
   *   is asked already, or `clientAuth` is "none"; "closed". The connection goes on then. TlsCertificateError, or what
   *   else ended the connection
   */
  async verifyClientPostHandshake(options: VerifyClientOptions = {}): Promise<TlsInfo> {
    const { pump, lateAuth, readInfo } = this.#parts;
    if (!lateAuth) throw new TlsError("invalid-argument", "verifyClientPostHandshake() is for servers");
    await lateAuth.ask(pump, options, (reason, late) => this.#giveUp(reason, late ? "timeout" : "aborted"));
    this.#info = readInfo();
    return this.#info;
  }

  /** `SSL_get_shutdown(3)`: which close_notify alerts were sent and received. */
  get shutdownFlags(): { readonly sent: boolean; readonly received: boolean } {
    return this.#verdict.shutdownFlags;
  }

  /**
   * A client's newest session, for a later connection's option `session`. In TLS 1.3 a session comes after the
   * handshake; most servers send it at once. Undefined while there is no session, and once the session must not be
   * resumed. Keep it as you keep a key.
   */
  getSession(): Uint8Array | undefined {
    return this.#parts.resumption?.latest;
  }

  /**
   * Returns `length` bytes, 1 to 16,384, that only the two ends know (RFC 5705, RFC 8446 §7.5): the same bytes at both
   * ends for the same `label` and `context`. Only while the connection is open.
   */
  exportKeyingMaterial(label: string, length: number, context?: Uint8Array): Uint8Array {
    this.#verdict.refuse();
    return this.#parts.ssl.exportKeyingMaterial(label, length, context);
  }

  /**
   * What binds an authentication within the connection to the connection. "tls-exporter" is RFC 9266's; it is undefined
   * in TLS 1.2 without an extended master secret. "tls-server-end-point" (RFC 5929 §4) is the hash of the server's
   * certificate; it is undefined without a certificate, if the certificate's signature has no hash (Ed25519), and on a
   * server of several certificates that resumed a session.
   */
  channelBinding(type: ChannelBinding): Uint8Array | undefined {
    this.#verdict.refuse();
    return channelBinding(this.#parts.ssl, type);
  }

  /**
   * The Finished message that this side sent last, without its head; what Node.js's `getFinished()` gives, for the
   * channel binding "tls-unique" of TLS 1.2 (RFC 5929 §3), which is not safe without an extended master secret. Only
   * while the connection is open.
   */
  getFinished(): Uint8Array | undefined {
    this.#verdict.refuse();
    return this.#parts.ssl.getFinished();
  }

  /** The same of the message that the peer sent. */
  getPeerFinished(): Uint8Array | undefined {
    this.#verdict.refuse();
    return this.#parts.ssl.getPeerFinished();
  }

  get statistics(): Statistics {
    return this.#parts.pump.statistics;
  }

  /**
   * Sends close_notify after all that was written; the peer sees a clean end of this side's data. Reading goes on for
   * as long as the peer sends, in TLS 1.2 as in TLS 1.3. Settles when the transport has accepted it.
   */
  closeWrite(): Promise<void> {
    return this.#streams.closeWrite();
  }

  /**
   * Does both steps of `SSL_shutdown(3)`: sends close_notify, and reads to the peer's close_notify. While `readable` is
   * locked, what still arrives is for the reader, now or later; up to `maxDiscard` bytes are kept for it, and no more
   * are fetched then until it reads. Otherwise what arrives is counted and dropped, up to `maxDiscard` bytes.
   * Afterwards both ends are in step again, and the transport is given back for other use.
   *
   * If the peer does not answer in time, or breaks off, it rejects and gives the transport up. The options of the first
   * call count. After an end through the streams the transport is still returned here if `preventClose` was set.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<ShutdownResult> {
    if (this.#shutdown) return this.#shutdown;
    const read = readOptions(options, SHUTDOWN, "shutdown()");
    const { timeout = DEFAULT_SHUTDOWN_TIMEOUT, maxDiscard = DEFAULT_MAX_DISCARD, signal } = read;
    signal?.throwIfAborted();
    this.#verdict.refuse();
    this.#shutdown = this.#shutDown(timeout, maxDiscard, signal);
    return this.#shutdown;
  }

  async #shutDown(timeout: number, maxDiscard: number, signal?: AbortSignal): Promise<ShutdownResult> {
    const onAbort = () => this.abort(signal!.reason);
    signal?.addEventListener("abort", onAbort);
    const stop = after(timeout, () => {
      this.#giveUp(new TlsError("timeout", `no close_notify from the peer within ${timeout} ms`), "timeout");
    });
    try {
      // At once: the peer may have to get rid of its data before it can take our alert.
      await Promise.all([this.closeWrite(), this.#readToEnd(maxDiscard)]);
    } finally {
      stop();
      signal?.removeEventListener("abort", onAbort);
    }
    this.#verdict.refuse();
    return this.#handBack();
  }

  /** Ends properly, and leaves the transport to other code. */
  #handBack(): ShutdownResult {
    const { pump, wire } = this.#parts;
    const trailing = pump.inbox.takeUnread();
    const info = this.#end(this.#verdict.howItEnds);
    wire.release();
    return { transport: wire.transport, trailing, info };
  }

  async #readToEnd(maxDiscard: number): Promise<void> {
    const { pump, verdict } = this.#parts;
    if (verdict.quiet) return;
    while (!verdict.ended) {
      await pump.readable();
      if (this.#streams.hasReader) await this.#streams.fetchAhead(maxDiscard);
      else this.#discard(maxDiscard);
    }
  }

  #discard(most: number): void {
    const { pump } = this.#parts;
    const sink = new Uint8Array(16_384);
    for (let n = pump.read(sink); n > 0; n = pump.read(sink)) {
      this.#discarded += n;
      if (this.#discarded <= most) continue;
      const message = `the peer sent more than ${most} bytes while we waited for its close_notify`;
      throw this.#giveUp(new TlsError("discard-limit", message), "aborted");
    }
  }

  /**
   * Sends close_notify if that is still possible, after all that was written, and closes the transport. It waits for
   * the transport to take what is under way, and gives up when the transport takes nothing for `timeout`. It never
   * waits for the peer to answer. What arrived and was not read is gone. The options of the first call count.
   *
   * @throws TlsError "invalid-argument"; `closed` tells how the connection ended
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { timeout = this.#parts.closeTimeout } = readOptions(options, CLOSE, "close()");
    this.#close ??= this.#closeNow(timeout);
    return this.#close;
  }

  async #closeNow(timeout: number): Promise<void> {
    if (this.#verdict.over) return;
    const { pump, wire } = this.#parts;
    // What left, and did not only go into a buffer of the transport.
    const progress = () => pump.outbox.accepted - wire.waiting;
    const late = () =>
      new TlsError("timeout", `the transport took nothing for ${timeout} ms, and was closed`);
    pump.outbox.sendInSmallSteps();
    try {
      // In as many steps as shutdown() takes, so that the verb that was called first comes first.
      const ended = Promise.all([this.closeWrite()]).then(() => {
        if (this.#verdict.over) return false;
        this.#end(this.#verdict.howItEnds);
        return true;
      });
      if (await within(timeout, ended, late, progress)) await within(timeout, wire.close(), late, progress);
    } catch (error) {
      // Not an error of close(): the connection is closed either way, and `closed` says how.
      this.#giveUp(error, error instanceof TlsError && error.code === "timeout" ? "timeout" : "failed");
      wire.abort(error);
    }
  }

  /**
   * Ends at once: no close_notify is sent, and everything that waits is rejected with `reason`. The peer sees a
   * truncation.
   */
  abort(reason?: unknown): void {
    this.#giveUp(reason ?? new DOMException("the TLS connection was aborted", "AbortError"), "aborted");
  }

  [asyncDispose](): Promise<void> {
    return this.close();
  }

  /** When both directions have ended through the streams, no other code will close the transport. */
  #bothEnded(): void {
    if (this.#verdict.over || this.#shutdown || this.#close) return;
    const { wire, preventClose } = this.#parts;
    if (preventClose) {
      this.#shutdown = Promise.resolve(this.#handBack());
    } else {
      this.#end(this.#verdict.howItEnds);
      wire.close().catch((error) => wire.abort(error));
    }
  }

  /** The pump says that the connection has failed. @internal */
  failed(error: TlsError): void {
    if (this.#verdict.over) return;
    const { pump, verdict, wire } = this.#parts;
    const how = verdict.howItFails(error);
    // The alert that tells the peer leaves first, if the transport takes it.
    farewell(pump, wire, error);
    this.#end(how, error);
  }

  #giveUp(reason: unknown, how: CloseInfo["how"]): unknown {
    if (this.#verdict.over) return reason;
    this.#parts.wire.abort(reason);
    this.#end(how, reason);
    return reason;
  }

  #end(how: CloseInfo["how"], reason?: unknown): CloseInfo {
    const { pump, verdict, resumption } = this.#parts;
    const { info, proper, refusal } = verdict.conclude(how, {
      sentCloseNotify: pump.outbox.closeNotifySent,
      reason,
      discarded: this.#discarded,
      hint: how === "complete" ? this.#hint() : "",
    });
    if (!info.resumable) resumption?.discard();
    this.#parts.stopListening();
    if (proper) this.#settle.resolve(info);
    else this.#settle.reject(reason);
    this.#streams.end(refusal, proper && verdict.ended);
    // After a failure the pump goes on until its alert has left; otherwise this is the end of it.
    if (proper || reason !== verdict.failure) pump.release(refusal);
    return info;
  }

  #hint(): string {
    return this.#shutdown ? "" : ", and so the transport was closed; preventClose keeps it open";
  }
}

/** Made here, where no connection is in sight: what a promise calls is held by the promise. */
function ignore(): void {}

/**
 * After a failure: lets what OpenSSL has written leave (an alert, so that the peer knows), closes the transport, and
 * frees what the connection held. No step of it waits longer than {@link DEFAULT_CLOSE_TIMEOUT}.
 */
export async function farewell(pump: Pump, wire: TransportWire, error: unknown): Promise<void> {
  const leave = async () => {
    await pump.flush();
    pump.release(error);
    await wire.close();
  };
  try {
    await within(DEFAULT_CLOSE_TIMEOUT, leave(), () => error);
  } catch {
    wire.abort(error);
  } finally {
    pump.release(error);
  }
}
