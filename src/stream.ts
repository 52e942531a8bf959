import { type ByteController, byteStream } from "./connection/byte-stream.js";
import type { Statistics } from "./connection/events.js";
import { type ChannelBinding, channelBinding } from "./connection/exporters.js";
import { Gathering } from "./connection/gather.js";
import type { Pump } from "./connection/pump.js";
import { WRITE_MOST } from "./connection/rings.js";
import type { Verdict } from "./connection/verdict.js";
import type { TransportWire } from "./connection/wire.js";
import { asyncDispose } from "./disposal.js";
import { type CloseInfo, TlsError } from "./errors.js";
import type { Resumption } from "./handshake/resumption.js";
import { isBytes } from "./openssl/library.js";
import type { Ssl } from "./openssl/ssl.js";
import type { TlsInfo } from "./options/info.js";
import { after, within } from "./timers.js";
import type { Transport } from "./transport.js";

export interface ShutdownOptions {
  /** Gives up when it fires: the connection is aborted with its reason. */
  signal?: AbortSignal;
  /** How long to wait for the peer's close_notify, in milliseconds. Default 5,000. */
  timeout?: number;
  /**
   * How many bytes of application data may still arrive with nobody to read them, before the connection is aborted.
   * Default 1 MiB.
   */
  maxDiscard?: number;
}

export interface CloseOptions {
  /**
   * How long the transport may stand still, in milliseconds; `Infinity` = for ever. As long as it takes bytes, `close()` goes
   * on; they are seen in steps of 8 KiB, and of 64 KiB where that was under way before. Default `closeTimeout`.
   */
  timeout?: number;
}

export interface ShutdownResult {
  /** The transport as it was given, unlocked: it may go on without TLS, or begin TLS again. */
  readonly transport: Transport;
  /** Bytes that the peer sent behind its close_notify and that were received already. They come before what `transport.readable` gives. */
  readonly trailing: Uint8Array;
  readonly info: CloseInfo;
}

/** @internal */
export interface StreamParts {
  ssl: Ssl;
  verdict: Verdict;
  pump: Pump;
  wire: TransportWire;
  info: TlsInfo;
  /** Of a client. */
  resumption: Resumption | undefined;
  preventClose: boolean;
  closeTimeout: number;
  /** It has ended: the signal has nothing to abort any more. */
  stopListening: () => void;
}

export const DEFAULT_SHUTDOWN_TIMEOUT = 5_000;
export const DEFAULT_MAX_DISCARD = 2 ** 20;
/** How long `close()` waits while the transport takes nothing, and the alert after a failure in all, in milliseconds. */
export const DEFAULT_CLOSE_TIMEOUT = 2_000;
/** What a chunk in the queue counts at least, in bytes: it costs some, and a queue of thousands is slow in Node.js. */
const CHUNK_COST = 64;

/**
 * An open TLS connection. Its streams carry application data, and it is a transport itself, so that TLS can run within
 * TLS.
 *
 * - `readable` is a byte stream: nothing is fetched until somebody reads, and a BYOB reader's buffer is filled directly. (WebKit,
 *   and so Safari, has no byte streams: there is no BYOB reader then.)
 *   It ends with the peer's close_notify. A transport that ends without makes it error with `TlsTruncationError`, after
 *   all that arrived intact was read.
 * - `writable` takes `Uint8Array`s, and queues 64 KiB of them. A write settles when the transport has accepted its records.
 *   Small ones that queue up are copied together, to share records: there each settles when it was copied, and the last one
 *   when the transport has accepted all. Until a write has settled its bytes must not change. `writable.close()` is
 *   {@link TlsStream.closeWrite}, `writable.abort()` is {@link TlsStream.abort}.
 *
 * Four verbs end it. All of them can be called at any time, and again. Whoever holds it has to end it, and with it its
 * transport: what it has in OpenSSL's memory is not collected. If it is dropped all the same that is freed in the course of
 * time, the transport is given up, which the peer sees as a truncation, and the event "dropped" tells.
 */
export class TlsStream implements Transport, AsyncDisposable {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly info: TlsInfo;
  /**
   * How it ended. Resolves when the end was proper; rejects with a `TlsError`, whose `outcome` says the same, or with the
   * reason of an abort, otherwise. Never reported as an unhandled rejection. What the peer does is seen only while somebody
   * reads, since nothing is fetched otherwise.
   */
  readonly closed: Promise<CloseInfo>;

  readonly #parts: StreamParts;
  readonly #verdict: Verdict;
  #settle!: { resolve(info: CloseInfo): void; reject(reason: unknown): void };
  #readController!: ByteController;
  #writeController!: WritableStreamDefaultController;
  /** Calls back when a reader asks for data, or gives up. */
  #pulled: () => void = () => {};
  /** `readable` is closed, errored or cancelled. */
  #readOver = false;
  #discarded = 0;
  readonly #gathering = new Gathering();
  #closeWrite: Promise<void> | undefined;
  /** Chunks of the writable stream's queue that have been neither written nor gathered yet. */
  #queued = 0;
  /** Those of them that were there before `closeWrite()`; undefined until it is called. What comes later is refused. */
  #ahead: number | undefined;
  /** Calls back when there is none of those any more. */
  #nothingAhead: () => void = () => {};
  /** close_notify has left, not only been written. */
  #writeOver = false;
  #shutdown: Promise<ShutdownResult> | undefined;
  #close: Promise<void> | undefined;

  /** @internal */
  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.#verdict = parts.verdict;
    this.info = parts.info;
    this.closed = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.closed.catch(() => {});
    this.readable = byteStream({
      start: (controller) => {
        this.#readController = controller;
      },
      pull: (controller) => {
        this.#pulled();
        return this.#pull(controller);
      },
      cancel: () => {
        this.#readOver = true;
        this.#pulled();
        this.#endOfBoth();
      },
    });
    this.writable = new WritableStream(
      {
        start: (controller) => {
          this.#writeController = controller;
          // Not the sink's abort(): that one waits for the write under way, which may never be done. And not at once:
          // Node.js cannot bear that a stream is errored while it is being aborted.
          controller.signal.addEventListener("abort", () => {
            queueMicrotask(() => this.abort(controller.signal.reason));
          });
        },
        write: (chunk) =>
          this.#write(chunk)?.catch((error) => {
            // The stream is errored by this, and what is queued behind never gets here.
            this.#forgetQueue();
            throw error;
          }),
        close: async () => {
          // A chunk that write() refused, because of this close, was counted, and waited for.
          if (this.#gathering.length > 0) await parts.pump.write(this.#gathering.take());
          this.#forgetQueue();
          return this.closeWrite();
        },
      },
      {
        highWaterMark: WRITE_MOST,
        // Asked when write() is called, and so the one place to learn of a chunk that waits in the stream's queue.
        size: (chunk) => {
          this.#queued++;
          // What is not bytes is refused when its turn comes.
          return Math.max(CHUNK_COST, isBytes(chunk) ? chunk.length : 0);
        },
      },
    );
  }

  /** `SSL_get_shutdown(3)`: which close_notify alerts went. */
  get shutdownFlags(): { readonly sent: boolean; readonly received: boolean } {
    return this.#verdict.shutdownFlags;
  }

  /**
   * A client's newest session, to be given to a later connection as `session`: one of TLS 1.3 comes after the handshake, at
   * once from most servers. Undefined while there is none, and once it must not be resumed. Keep it as you keep a key.
   */
  getSession(): Uint8Array | undefined {
    return this.#parts.resumption?.latest;
  }

  /**
   * `length` bytes, 1 to 16,384, that only the two ends know (RFC 5705, RFC 8446 §7.5): the same on both for the same
   * `label` and `context`. While the connection is open.
   */
  exportKeyingMaterial(label: string, length: number, context?: Uint8Array): Uint8Array {
    this.#verdict.refuse();
    return this.#parts.ssl.exportKeyingMaterial(label, length, context);
  }

  /**
   * What binds an authentication within the connection to it. "tls-exporter" is RFC 9266's; undefined in TLS 1.2 where there is
   * no extended master secret. "tls-server-end-point" (RFC 5929 §4) is the hash of the server's certificate; undefined where
   * there is none, where its signature has no hash (Ed25519), and on a server of several certificates that resumed a session.
   */
  channelBinding(type: ChannelBinding): Uint8Array | undefined {
    this.#verdict.refuse();
    return channelBinding(this.#parts.ssl, type);
  }

  get statistics(): Statistics {
    return this.#parts.pump.statistics;
  }

  /**
   * Sends close_notify after all that was written; the peer sees a clean end of our data. Reading goes on for as long as
   * the peer sends, in TLS 1.2 as in TLS 1.3. Settles when the transport has accepted it.
   */
  closeWrite(): Promise<void> {
    this.#closeWrite ??= this.#finishWriting();
    return this.#closeWrite;
  }

  async #finishWriting(): Promise<void> {
    // What was given to write() before, and still waits in the stream's queue, goes first.
    this.#ahead = this.#queued;
    if (this.#ahead > 0) {
      await new Promise<void>((resolve) => {
        this.#nothingAhead = resolve;
      });
      this.#ahead = 0;
    }
    await this.#parts.pump.closeWrite();
    this.#writeOver = true;
    this.#endOfBoth();
  }

  /**
   * Both steps of `SSL_shutdown(3)`: sends close_notify, and reads to the peer's. While `readable` is locked, what still
   * arrives is for the reader, now or later; up to `maxDiscard` bytes are kept for it, and no more are fetched then until
   * it reads. Otherwise what arrives is counted and dropped, up to `maxDiscard` bytes. Afterwards both ends are in step
   * again: the transport is given back for other use.
   *
   * Rejects, and gives the transport up, when the peer does not answer in time, or breaks off. The options of the first
   * call count. After an end through the streams the transport is still to be had here if `preventClose` was set.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<ShutdownResult> {
    if (this.#shutdown) return this.#shutdown;
    const { timeout = DEFAULT_SHUTDOWN_TIMEOUT, maxDiscard = DEFAULT_MAX_DISCARD, signal } = options;
    requireBound(timeout, "timeout");
    requireBound(maxDiscard, "maxDiscard");
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

  /** Ends properly, and leaves the transport to others. */
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
      if (this.readable.locked && !this.#readOver) await this.#keepForReader(maxDiscard);
      else this.#discard(maxDiscard);
    }
  }

  /** Whether it waits at the moment, or will come back. */
  async #keepForReader(most: number): Promise<void> {
    // What is queued there counts down from 0.
    const room = most + (this.#readController.desiredSize ?? 0);
    if (room <= 0) {
      await new Promise<void>((resolve) => {
        this.#pulled = resolve;
      });
      return;
    }
    const chunk = this.#parts.pump.readChunk(room);
    if (chunk) this.#readController.enqueue(chunk);
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
   * Sends close_notify if that is still possible, after all that was written, and closes the transport. It waits for the
   * transport to take what is under way, and gives up when that takes nothing for `timeout`; it never waits for the peer to
   * answer. What arrived and was not read is gone. The options of the first call count.
   *
   * @throws TlsError "invalid-argument"; how it ended, `closed` tells
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { timeout = this.#parts.closeTimeout } = options;
    requireBound(timeout, "timeout");
    this.#close ??= this.#closeNow(timeout);
    return this.#close;
  }

  async #closeNow(timeout: number): Promise<void> {
    if (this.#verdict.over) return;
    const { pump, wire } = this.#parts;
    // What left, and did not only go into a buffer of the transport's.
    const progress = () => pump.outbox.accepted - wire.waiting;
    const late = () =>
      new TlsError("timeout", `the transport took nothing for ${timeout} ms, and was closed`);
    pump.outbox.sendInSmallSteps();
    try {
      // In as many steps as shutdown() takes, so that whichever was called first comes first.
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

  /** Ends at once: no close_notify, and everything that waits is rejected with `reason`. The peer sees a truncation. */
  abort(reason?: unknown): void {
    this.#giveUp(reason ?? new DOMException("the TLS connection was aborted", "AbortError"), "aborted");
  }

  [asyncDispose](): Promise<void> {
    return this.close();
  }

  async #pull(controller: ByteController): Promise<void> {
    const { pump, verdict } = this.#parts;
    while (!this.#readOver) {
      // Asked for anew each time round: the reader may have gone in the meantime, with its buffer.
      const request = controller.byobRequest;
      const view = request?.view;
      if (view) {
        const n = pump.read(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
        if (n > 0) return request.respond(n);
      } else {
        const chunk = pump.readChunk(Infinity);
        if (chunk) return controller.enqueue(chunk);
      }
      if (verdict.ended) {
        this.#closeReadable();
        this.#endOfBoth();
        return;
      }
      await pump.readable();
    }
  }

  #closeReadable(): void {
    if (this.#readOver) return;
    this.#readOver = true;
    this.#readController.close();
    // A BYOB reader waits for its buffer back.
    this.#readController.byobRequest?.respond(0);
  }

  /** A chunk whose turn it is. While others wait behind it, it is gathered with them; the last one waits for all. */
  #write(chunk: Uint8Array): Promise<void> | undefined {
    const { pump } = this.#parts;
    const refused = this.#refusalOf(chunk);
    if (this.#gathering.length > 0 && (refused || this.#gathering.blocks(chunk))) {
      return pump.write(this.#gathering.take()).then(() => this.#write(chunk));
    }
    if (refused) return Promise.reject(refused);
    this.#queued--;
    if (this.#ahead !== undefined) this.#ahead--;
    const bytes = this.#gathering.add(chunk, (this.#ahead ?? this.#queued) > 0);
    const written = bytes && pump.write(bytes);
    if (this.#ahead === 0) this.#nothingAhead();
    return written;
  }

  #refusalOf(chunk: Uint8Array): TlsError | undefined {
    if (this.#ahead === 0) return new TlsError("closed", "the writing side is closed");
    if (!isBytes(chunk)) return new TlsError("invalid-argument", "what is written must be a Uint8Array");
    if (chunk.length > 0 || !isDetached(chunk.buffer)) return undefined;
    return new TlsError("invalid-argument", "the bytes of a write were detached before it was done");
  }

  #forgetQueue(): void {
    this.#queued = 0;
    this.#gathering.take();
    this.#nothingAhead();
  }

  /** When both directions ended through the streams, nobody else will close the transport. */
  #endOfBoth(): void {
    if (!this.#readOver || !this.#writeOver || this.#verdict.over || this.#shutdown || this.#close) return;
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
    if (proper && verdict.ended) this.#closeReadable();
    else if (!this.#readOver) {
      this.#readOver = true;
      this.#readController.error(refusal);
    }
    this.#writeController.error(refusal);
    this.#forgetQueue();
    this.#pulled();
    // After a failure the pump goes on until its alert has left; otherwise this is the end of it.
    if (proper || reason !== verdict.failure) pump.release(refusal);
    return info;
  }

  #hint(): string {
    return this.#shutdown ? "" : ", and so the transport was closed; preventClose keeps it open";
  }
}

function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

export function requireBound(value: number, name: string): void {
  if (typeof value !== "number" || !(value >= 0)) {
    throw new TlsError("invalid-argument", `${name} must be a number, 0 or more`);
  }
}

/**
 * After a failure: lets what OpenSSL has written leave (an alert, so that the peer knows), closes the transport, and frees
 * what the connection held. None of it waits longer than {@link DEFAULT_CLOSE_TIMEOUT}.
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
