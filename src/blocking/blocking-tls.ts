import { readOptions } from "../check.js";
import { type ChannelBinding, channelBinding } from "../connection/exporters.js";
import type { Verdict } from "../connection/verdict.js";
import { dispose } from "../engine.js";
import { type CloseInfo, TlsError } from "../errors.js";
import type { LateAuth } from "../handshake/late-auth.js";
import type { Resumption } from "../handshake/resumption.js";
import { requireBytes } from "../openssl/library.js";
import { type SslCore, WANT_READ, WANT_WRITE } from "../openssl/ssl-core.js";
import { infoOf, type TlsInfo } from "../options/info.js";
import { type BlockingTransport, requireRoom } from "./blocking-transport.js";
import { BlockingTimeoutError, Deadline, TIMEOUT, type Timeout } from "./deadline.js";
import { BlockingLoop, type LoopParts, WRITE_STEP } from "./loop.js";

/** How long `close()` may wait for room in the channel, in milliseconds. */
const CLOSE_TIMEOUT = 2_000;

/**
 * BlockingTls is an open TLS connection for code that is synchronous: each call returns when it is done. With a
 * `timeout` it throws a `BlockingTimeoutError` instead when that time has passed. This harms nothing, and the same call
 * may be made again.
 *
 * @example
 * ```ts
 * import type { BlockingTls } from "wassl/blocking";
 *
 * // Says something, and reads the answer to its end.
 * function ask(tls: BlockingTls): number {
 *   tls.write(request);
 *   tls.closeWrite();
 *   const buffer = new Uint8Array(16_384);
 *   let length = 0;
 *   for (let n = tls.read(buffer); n > 0; n = tls.read(buffer)) length += n; // 0 is the peer's close_notify
 *   tls.shutdown();
 *   return length;
 * }
 * ```
 */
export class BlockingTls implements Disposable {
  readonly #loop: BlockingLoop;
  readonly #ssl: SslCore;
  readonly #transport: BlockingTransport;
  readonly #verdict: Verdict;
  readonly #resumption: Resumption | undefined;
  readonly #readInfo: () => TlsInfo;
  #info!: TlsInfo;
  /** Of a server. */
  readonly #lateAuth: LateAuth | undefined;
  /** OpenSSL was told to ask the client, and the answer was not told. */
  #clientIsAsked = false;
  #writingClosed = false;

  /** Does the handshake. `verifies` says whether the peer is verified. @internal */
  constructor(
    parts: LoopParts,
    verifies: boolean,
    handshakeTimeout: number,
    newLateAuth?: (verdict: Verdict) => LateAuth,
  ) {
    const loop = new BlockingLoop(parts);
    this.#loop = loop;
    this.#ssl = parts.ssl;
    this.#transport = parts.transport;
    this.#verdict = loop.verdict;
    this.#resumption = parts.resumption;
    this.#readInfo = () => infoOf(parts.ssl, verifies);
    this.#lateAuth = newLateAuth?.(loop.verdict);
    const deadline = new Deadline(handshakeTimeout);
    loop.emit({ type: "handshake-start" });
    try {
      loop.operate(() => {
        const what = `no TLS handshake with ${parts.verdict.peerName}`;
        loop.check(loop.until(() => this.#ssl.tryHandshake(), deadline, what));
        this.#verdict.opened();
        loop.emit({ type: "handshake-done" });
        loop.flush(deadline);
      });
      this.#info = this.#readInfo();
      this.#resumption?.opened(this.#info.verified);
    } catch (error) {
      // Failures of the connection have closed the transport already. What is left is a time-out, and the like.
      loop.giveUp(error, error instanceof BlockingTimeoutError ? "timeout" : "aborted");
      throw error;
    }
  }

  /** What the handshake settled; after {@link BlockingTls.verifyClientPostHandshake} what that has settled. */
  get info(): TlsInfo {
    return this.#info;
  }

  /**
   * As `TlsStream.verifyClientPostHandshake`: asks the client for its certificate, and waits for the answer. When data
   * comes first it throws "unread-data": read it, and call again. The client is asked once.
   */
  verifyClientPostHandshake(options: Timeout = {}): TlsInfo {
    const deadline = Deadline.of(options, "verifyClientPostHandshake()");
    this.#verdict.refuse();
    const auth = this.#lateAuth;
    if (!auth) throw new TlsError("invalid-argument", "verifyClientPostHandshake() is for servers");
    const refused = this.#clientIsAsked ? undefined : auth.refusal(this.#writingClosed, false);
    if (refused) throw refused;
    return this.#loop.operate(() => {
      if (!this.#clientIsAsked) this.#loop.finishWrite(deadline);
      const attempt = () => {
        if (!this.#clientIsAsked && !this.#verdict.isMidMessage) {
          const failed = auth.begin();
          if (failed) throw failed;
          this.#clientIsAsked = true;
        }
        const r = this.#ssl.tryPeek();
        const answered = this.#clientIsAsked && auth.answered;
        return answered && (r > 0 || r === WANT_READ) ? 0 : r;
      };
      const r = this.#loop.until(attempt, deadline, "the client did not answer");
      if (r > 0) {
        throw new TlsError(
          "unread-data",
          "data came before the client's certificate: read it, and ask again",
        );
      }
      if (r < 0) {
        this.#loop.readStopped(r);
        throw auth.silent();
      }
      this.#clientIsAsked = false;
      this.#info = this.#readInfo();
      return this.#info;
    });
  }

  /** As `TlsStream.getSession`. A ticket of TLS 1.3 is seen when something is read. */
  getSession(): Uint8Array | undefined {
    return this.#resumption?.latest;
  }

  /** As `TlsStream.exportKeyingMaterial`. */
  exportKeyingMaterial(label: string, length: number, context?: Uint8Array): Uint8Array {
    this.#verdict.refuse();
    return this.#ssl.exportKeyingMaterial(label, length, context);
  }

  /** As `TlsStream.channelBinding`. */
  channelBinding(type: ChannelBinding): Uint8Array | undefined {
    this.#verdict.refuse();
    return channelBinding(this.#ssl, type);
  }

  /**
   * Waits for application data, and returns how many bytes were put into `dst`, of one record at most. 0 is the peer's
   * close_notify. A transport that ends without it throws `TlsTruncationError`, after all that arrived intact was read.
   */
  read(dst: Uint8Array, options: Timeout = {}): number {
    requireRoom(dst);
    const deadline = Deadline.of(options, "read()");
    const { ended, over } = this.#verdict;
    if (ended && over?.proper !== false) return 0;
    this.#verdict.refuse();
    return this.#loop.operate(() => {
      const read = () => {
        this.#loop.pay();
        return this.#ssl.tryRead(dst);
      };
      const r = this.#loop.until(read, deadline, "no data");
      if (r > 0) return r;
      this.#loop.readStopped(r);
      return 0;
    });
  }

  /**
   * Waits until the channel has the records that carry `bytes`, and returns how many bytes these are: all. When it is
   * out of time, the error's `written` says how many were taken. These will leave; go on with
   * `bytes.subarray(written)`.
   *
   * It does not read meanwhile: a peer that takes nothing until this side reads keeps it waiting, as on any blocking
   * socket.
   */
  write(bytes: Uint8Array, options: Timeout = {}): number {
    requireBytes(bytes, "what is written");
    const deadline = Deadline.of(options, "write()");
    this.#verdict.refuse();
    const refused = this.#verdict.writeRefusal(this.#writingClosed);
    if (refused) throw refused;
    return this.#loop.operate(() => {
      let written = 0;
      try {
        this.#loop.finishWrite(deadline);
        while (written < bytes.length) {
          const step = bytes.subarray(written, written + WRITE_STEP);
          try {
            written += this.#loop.writeSome(step, deadline);
          } catch (error) {
            if (error instanceof BlockingTimeoutError) {
              this.#loop.unfinished = step.slice();
              written += step.length;
            }
            throw error;
          }
        }
        this.#loop.flush(deadline);
        this.#loop.sendable();
        return written;
      } catch (error) {
        if (error instanceof BlockingTimeoutError) error.written = written;
        throw error;
      }
    });
  }

  /**
   * `SSL_shutdown(3)` over a BIO that blocks. The first call sends close_notify after all that was written, and returns
   * 1 if the peer's close_notify was read before, otherwise 0. The next call waits for the peer's, and returns 1. From
   * then on the transport is free for other use, and each further call returns 1.
   *
   * OpenSSL's own second call fails when data arrives ahead of the peer's close_notify, and the data is lost. This one
   * throws "unread-data" and loses nothing: read to the end, then call again.
   *
   * With `quietShutdown` the first call sends nothing and returns 1.
   */
  shutdown(options: Timeout = {}): 0 | 1 {
    const deadline = Deadline.of(options, "shutdown()");
    const { over } = this.#verdict;
    if (over?.proper && over.info.how !== "closed-without-waiting") return 1;
    this.#verdict.refuse();
    return this.#loop.operate(() => {
      if (this.#verdict.quiet) {
        this.#sendCloseNotify(deadline);
        return this.#complete();
      }
      if (this.#loop.closeNotify === "no" || this.#loop.closeNotify === "written") {
        this.#sendCloseNotify(deadline);
        return this.#verdict.ended ? this.#complete() : 0;
      }
      if (!this.#verdict.ended) {
        const r = this.#loop.until(() => this.#ssl.tryPeek(), deadline, "no close_notify from the peer");
        if (r > 0) {
          throw new TlsError("unread-data", "data came before the peer's close_notify: read it, to the end");
        }
        this.#loop.readStopped(r);
      }
      return this.#complete();
    });
  }

  /** Does the first step of {@link shutdown} alone: sends close_notify after all that was written. Reading goes on. */
  closeWrite(options: Timeout = {}): void {
    const deadline = Deadline.of(options, "closeWrite()");
    this.#verdict.refuse();
    this.#loop.operate(() => this.#sendCloseNotify(deadline));
  }

  /**
   * Sends close_notify if that is still possible, and closes the transport. It waits for room in the channel, and gives
   * up when the transport takes nothing for `timeout`, 2 s by default. It never waits for the peer to answer. What
   * arrived and was not read is gone.
   */
  close(options: Timeout = {}): void {
    const { timeout = CLOSE_TIMEOUT } = readOptions(options, TIMEOUT, "close()");
    let deadline = new Deadline(timeout);
    if (this.#verdict.over) return;
    try {
      for (let seen = this.#transport.event, done = false; !done; ) {
        try {
          this.#loop.operate(() => this.#sendCloseNotify(deadline));
          done = true;
        } catch (error) {
          const { event } = this.#transport;
          // Bytes that came count too, because there is not much room for them.
          if (!(error instanceof BlockingTimeoutError) || event === seen) throw error;
          seen = event;
          deadline = new Deadline(timeout);
        }
      }
      if (this.#verdict.ended && this.#loop.closeNotify === "sent") this.#transport.settle();
      this.#loop.end(this.#verdict.howItEnds);
      this.#transport.close();
    } catch (error) {
      // Not an error of close(): the connection is closed either way, and `closed` says how.
      this.#loop.giveUp(error, error instanceof BlockingTimeoutError ? "timeout" : "failed");
    }
  }

  /** Ends at once: no close_notify is sent. The peer sees a truncation. Later calls throw `reason`. */
  abort(reason?: unknown): void {
    this.#loop.giveUp(reason ?? new DOMException("the TLS connection was aborted", "AbortError"), "aborted");
  }

  [dispose](): void {
    this.close();
  }

  /** How the connection ended; undefined while it has not. */
  get closed(): CloseInfo | undefined {
    return this.#verdict.over?.info;
  }

  /** `SSL_get_shutdown(3)`: which close_notify alerts were sent and received. */
  get shutdownFlags(): { readonly sent: boolean; readonly received: boolean } {
    return this.#verdict.shutdownFlags;
  }

  // ---- steps

  #sendCloseNotify(deadline: Deadline): void {
    this.#loop.finishWrite(deadline);
    this.#writingClosed = true;
    if (this.#loop.closeNotify === "no" && this.#verdict.sendsCloseNotify) {
      const attempt = () => {
        if (this.#verdict.isMidMessage) {
          const r = this.#ssl.tryPeek();
          if (r !== WANT_READ && r !== WANT_WRITE && r <= 0) this.#loop.readStopped(r);
          // When the rest has come OpenSSL says that it lacks more, but this step does not.
          else if (!this.#ssl.isInitFinished()) return r;
        }
        return this.#ssl.tryShutdown();
      };
      this.#loop.sendable();
      const r = this.#loop.until(attempt, deadline, "the transport did not take close_notify");
      this.#loop.noteEvents();
      if (r < 0) {
        this.#loop.fail(r);
      } else {
        this.#loop.closeNotify = "written";
      }
    }
    this.#loop.flush(deadline);
    this.#loop.sendable();
    if (this.#loop.closeNotify === "no") this.#loop.closeNotify = "left out";
    else if (this.#loop.closeNotify === "written") this.#loop.closeNotify = "sent";
  }

  /** Both steps are done: the transport is its owner's again. */
  #complete(): 1 {
    if (this.#verdict.howItEnds === "complete") this.#transport.settle();
    this.#loop.end(this.#verdict.howItEnds);
    this.#transport.unlock();
    return 1;
  }
}
