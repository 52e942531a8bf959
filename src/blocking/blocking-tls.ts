/*
 * The pump for a thread that waits: application bytes ⇄ SSL ⇄ BIO pair ⇄ rings. The invariants are those of
 * src/connection/pump.ts, by its numbers. The loop is #until, which tries one operation of OpenSSL, moves bytes between
 * the pair and the rings, and sleeps when neither got anywhere:
 *
 *  - What wakes it is one word that counts every change of either ring. The count is taken before anything is looked
 *    at, so that nothing can happen unseen between looking and sleeping.
 *  - It sleeps with bytes in the pair only while the ring towards the peer is full (1), and then room wakes it as well
 *    as bytes do.
 *  - Bytes are lent to the pair: they stay in their ring until OpenSSL has read them. So what follows the peer's
 *    close_notify is never taken, and the next user of the transport finds all of it.
 *  - A write that is out of time has given OpenSSL bytes that it insists on having again (4). A copy of those is kept,
 *    and whatever is called next sends them first, close_notify too (8). So does a read, because the peer may wait for
 *    them.
 */

import { longerThan0, readOptions, type Table } from "../check.js";
import type { TlsEvent, Untimed } from "../connection/events.js";
import { type ChannelBinding, channelBinding } from "../connection/exporters.js";
import { RecordEdges } from "../connection/record-edges.js";
import { crashProof, Verdict } from "../connection/verdict.js";
import { dispose, whenDropped } from "../engine.js";
import { type CloseInfo, TlsError } from "../errors.js";
import { RESUMPTION_OPTIONS, Resumption, type ResumptionOptions } from "../handshake/resumption.js";
import type { BioPairCore } from "../openssl/bio-pair-core.js";
import { requireBytes } from "../openssl/library.js";
import type { OpenSsl } from "../openssl/openssl.js";
import { type SslCore, WANT_READ, WANT_WRITE } from "../openssl/ssl-core.js";
import { type Context, newClientContext, newConnection, OPENSSL, ofAContext } from "../options/context.js";
import { CLIENT_IDENTITY, type ClientIdentity, type Peer } from "../options/identity.js";
import { infoOf, type TlsInfo } from "../options/info.js";
import { CONNECTION_OPTIONS, CONTEXT_OPTIONS, type TlsOptions } from "../options/protocol.js";
import { SERVER_IDENTITY, type ServerIdentity } from "../options/server-identity.js";
import { TlsContext } from "../options/tls-context.js";
import { type BlockingTransport, requireRoom } from "./blocking-transport.js";
import { Course } from "./channel.js";
import { BlockingTimeoutError, Deadline, TIMEOUT, type Timeout } from "./deadline.js";

export interface BlockingOptions extends TlsOptions {
  /** The OpenSSL to use, loaded beforehand: `await OpenSsl.load()`, or `OpenSsl.loadSync(source)`. */
  openssl: OpenSsl;
  /** How long the handshake may take, in milliseconds; `Infinity` = for ever. Default 30,000. */
  handshakeTimeout?: number;
}

/** Options that need an event loop, `verify` and keys in WebCrypto, are refused here. */
export interface ConnectOptions extends BlockingOptions, ClientIdentity, Pick<ResumptionOptions, "session"> {}

export interface AcceptOptions extends BlockingOptions, ServerIdentity {}

const COMMON: Table<BlockingOptions> = {
  ...CONTEXT_OPTIONS,
  ...CONNECTION_OPTIONS,
  openssl: OPENSSL,
  handshakeTimeout: longerThan0,
};

const CONNECT: Table<ConnectOptions> = {
  ...COMMON,
  ...CLIENT_IDENTITY,
  session: RESUMPTION_OPTIONS.session,
};

const ACCEPT: Table<AcceptOptions> = { ...COMMON, ...SERVER_IDENTITY };

const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;
/** How long `close()`, and the alert after a failure, may wait for room in the channel, in milliseconds. */
const CLOSE_TIMEOUT = 2_000;
/** How long to read on after a send failed, in milliseconds: the peer may have said why before it went away. */
const LAST_WORDS = 1_000;
/** A record's worth. */
const WRITE_STEP = 16_384;

/**
 * connect makes a TLS connection over `transport`, as a client. It returns when the handshake is done and the peer is
 * verified.
 *
 * The transport belongs to the connection from then on. When it throws, the transport is closed; but when it throws
 * "invalid-argument", nothing was touched.
 *
 * @throws TlsCertificateError | TlsAlertError | TlsTruncationError | TlsError
 *
 * @example
 * ```ts
 * import { OpenSsl } from "wassl";
 * import { BlockingTransport, type Channel, connect } from "wassl/blocking";
 *
 * // In a worker. The page makes the channel, and carries its bytes.
 * addEventListener("message", async ({ data }: MessageEvent<Channel>) => {
 *   const openssl = await OpenSsl.load();
 *   const tls = connect(new BlockingTransport(data), { openssl, hostname: "db.example.org", caCerts: pem });
 *   tls.write(request);
 * });
 * ```
 */
export function connect(transport: BlockingTransport, options: ConnectOptions): BlockingTls {
  return BlockingTls.establish("client", transport, options);
}

/**
 * accept makes a TLS connection over `transport`, as a server. It returns when the handshake is done. See
 * {@link connect}.
 *
 * @example
 * ```ts
 * import { accept, BlockingTransport, type Channel } from "wassl/blocking";
 *
 * function serve(channel: Channel): void {
 *   const tls = accept(new BlockingTransport(channel), { openssl, cert, key });
 *   const buffer = new Uint8Array(16_384);
 *   for (let n = tls.read(buffer); n > 0; n = tls.read(buffer)) tls.write(buffer.subarray(0, n));
 *   tls.close();
 * }
 * ```
 */
export function accept(transport: BlockingTransport, options: AcceptOptions): BlockingTls {
  return BlockingTls.establish("server", transport, options);
}

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
  readonly info: TlsInfo;

  readonly #ssl: SslCore;
  readonly #pair: BioPairCore;
  readonly #transport: BlockingTransport;
  readonly #options: TlsOptions;
  readonly #verdict: Verdict;
  readonly #edges = new RecordEdges();
  /** A connection that nobody ends is freed when it is collected, unless this is called. */
  readonly #keep: () => void;

  #writingClosed = false;
  /**
   * The state of our close_notify: SSL_shutdown has written it; the channel has all of it; no alert is sent, but the
   * step is done.
   */
  #closeNotify: "no" | "written" | "sent" | "left out" = "no";
  #eofTold = false;
  /** The failure to send that was known before OpenSSL was last asked: it may be why the operation failed. */
  #sendErrorBefore: TlsError | undefined;
  /** Bytes at the head of the incoming ring that are in the pair too. */
  #lent = 0;
  /** What OpenSSL has to be given first, when a write was out of time. */
  #unfinished: Uint8Array | undefined;
  #events: TlsEvent[] = [];
  #lines: string[] = [];
  readonly #resumption: Resumption | undefined;

  private constructor(
    transport: BlockingTransport,
    options: BlockingOptions,
    peer: { name: string; verified: boolean; context: Pick<Context, "defaultCiphers" | "trustsNobody"> },
    parts: { ssl: SslCore; pair: BioPairCore; resumption: Resumption | undefined },
  ) {
    this.#transport = transport;
    this.#options = options;
    this.#ssl = parts.ssl;
    this.#pair = parts.pair;
    this.#keep = whenDropped(this, { ssl: parts.ssl, pair: parts.pair, transport }, freeDropped);
    this.#resumption = parts.resumption;
    this.#verdict = new Verdict({
      ssl: parts.ssl,
      peerName: peer.name,
      defaultCiphers: () => peer.context.defaultCiphers,
      trustsNobody: () => peer.context.trustsNobody,
      eofPolicy: options.eofPolicy,
      quiet: options.quietShutdown,
    });
    const { handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT } = options;
    const deadline = new Deadline(handshakeTimeout);
    this.#emit({ type: "handshake-start" });
    try {
      this.#operate(() => {
        this.#check(
          this.#until(() => this.#ssl.tryHandshake(), deadline, `no TLS handshake with ${peer.name}`),
        );
        this.#verdict.opened();
        this.#emit({ type: "handshake-done" });
        this.#flush(deadline);
      });
      this.info = infoOf(this.#ssl, peer.verified);
      this.#resumption?.opened(this.info.verified);
    } catch (error) {
      // Failures of the connection have closed the transport already. What is left is a time-out, and the like.
      this.#giveUp(error, error instanceof BlockingTimeoutError ? "timeout" : "aborted");
      throw error;
    }
  }

  /** @internal */
  static establish(
    role: "client" | "server",
    transport: BlockingTransport,
    given: BlockingOptions,
  ): BlockingTls {
    const options: BlockingOptions & Partial<ConnectOptions> =
      role === "client"
        ? readOptions(given as ConnectOptions, CONNECT, "connect", { accept: ACCEPT })
        : readOptions(given as AcceptOptions, ACCEPT, "accept", { connect: CONNECT });
    const { hostname, serverName } = options as Peer;
    const peer: Peer | undefined =
      role === "client" ? { hostname, ...(serverName !== undefined && { serverName }) } : undefined;
    const { openssl } = options;
    if (openssl === undefined) {
      throw new TlsError("invalid-argument", "openssl must be given: OpenSsl.load(), or OpenSsl.loadSync()");
    }
    const { library } = openssl;
    const newContext = role === "client" ? newClientContext : TlsContext.ofServer;
    const context = newContext(library, ofAContext(options));
    try {
      if (context.verification.verify || context.keys.size > 0) {
        throw new TlsError(
          "invalid-argument",
          "verify and CryptoKeys need an event loop, and a thread that blocks has none: startTls and acceptTls take them",
        );
      }
      const parts = newConnection(context, options, peer);
      let resumption: Resumption | undefined;
      try {
        if (role === "client") {
          const { session } = options;
          resumption = new Resumption({
            library,
            ssl: parts.ssl,
            key: () => "",
            mark: context.sessionMark,
            verifies: context.verifies,
            asks: false,
            alpnProtocols: context.alpnProtocols,
            // A store may answer by promise, which code that blocks cannot wait for.
            options: { sessionStore: false, ...(session && { session }) },
            onError() {},
          });
        }
        transport.lock();
      } catch (error) {
        parts.ssl.free();
        parts.pair.free();
        throw error;
      }
      const name = role === "client" ? `"${peer?.hostname}"` : "the client";
      return new BlockingTls(
        transport,
        options,
        { name, verified: context.verifies, context },
        { ...parts, resumption },
      );
    } finally {
      // The connection has its own hold on it.
      context.free();
    }
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
    return this.#operate(() => {
      const read = () => {
        this.#pay();
        return this.#ssl.tryRead(dst);
      };
      const r = this.#until(read, deadline, "no data");
      if (r > 0) return r;
      this.#readStopped(r);
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
    return this.#operate(() => {
      let written = 0;
      try {
        this.#finishWrite(deadline);
        while (written < bytes.length) {
          const step = bytes.subarray(written, written + WRITE_STEP);
          try {
            written += this.#writeSome(step, deadline);
          } catch (error) {
            if (error instanceof BlockingTimeoutError) {
              this.#unfinished = step.slice();
              written += step.length;
            }
            throw error;
          }
        }
        this.#flush(deadline);
        this.#sendable();
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
    return this.#operate(() => {
      if (this.#verdict.quiet) {
        this.#sendCloseNotify(deadline);
        return this.#complete();
      }
      if (this.#closeNotify === "no" || this.#closeNotify === "written") {
        this.#sendCloseNotify(deadline);
        return this.#verdict.ended ? this.#complete() : 0;
      }
      if (!this.#verdict.ended) {
        const r = this.#until(() => this.#ssl.tryPeek(), deadline, "no close_notify from the peer");
        if (r > 0) {
          throw new TlsError("unread-data", "data came before the peer's close_notify: read it, to the end");
        }
        this.#readStopped(r);
      }
      return this.#complete();
    });
  }

  /** Does the first step of {@link shutdown} alone: sends close_notify after all that was written. Reading goes on. */
  closeWrite(options: Timeout = {}): void {
    const deadline = Deadline.of(options, "closeWrite()");
    this.#verdict.refuse();
    this.#operate(() => this.#sendCloseNotify(deadline));
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
          this.#operate(() => this.#sendCloseNotify(deadline));
          done = true;
        } catch (error) {
          const { event } = this.#transport;
          // Bytes that came count too, because there is not much room for them.
          if (!(error instanceof BlockingTimeoutError) || event === seen) throw error;
          seen = event;
          deadline = new Deadline(timeout);
        }
      }
      if (this.#verdict.ended && this.#closeNotify === "sent") this.#transport.settle();
      this.#end(this.#verdict.howItEnds);
      this.#transport.close();
    } catch (error) {
      // Not an error of close(): the connection is closed either way, and `closed` says how.
      this.#giveUp(error, error instanceof BlockingTimeoutError ? "timeout" : "failed");
    }
  }

  /** Ends at once: no close_notify is sent. The peer sees a truncation. Later calls throw `reason`. */
  abort(reason?: unknown): void {
    this.#giveUp(reason ?? new DOMException("the TLS connection was aborted", "AbortError"), "aborted");
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
    this.#finishWrite(deadline);
    this.#writingClosed = true;
    if (this.#closeNotify === "no" && this.#verdict.sendsCloseNotify) {
      const attempt = () => {
        if (this.#verdict.isMidMessage) {
          const r = this.#ssl.tryPeek();
          if (r !== WANT_READ && r !== WANT_WRITE && r <= 0) this.#readStopped(r);
          // When the rest has come OpenSSL says that it lacks more, but this step does not.
          else if (!this.#ssl.isInitFinished()) return r;
        }
        return this.#ssl.tryShutdown();
      };
      this.#sendable();
      const r = this.#until(attempt, deadline, "the transport did not take close_notify");
      this.#noteEvents();
      if (r < 0) {
        this.#fail(r);
      } else {
        this.#closeNotify = "written";
      }
    }
    this.#flush(deadline);
    this.#sendable();
    if (this.#closeNotify === "no") this.#closeNotify = "left out";
    else if (this.#closeNotify === "written") this.#closeNotify = "sent";
  }

  #finishWrite(deadline: Deadline): void {
    while (this.#unfinished) {
      const rest = this.#unfinished.subarray(this.#writeSome(this.#unfinished, deadline));
      this.#unfinished = rest.length > 0 ? rest : undefined;
    }
  }

  /** The same, as far as it goes at once. */
  #pay(): void {
    while (this.#unfinished && !this.#transport.sendError) {
      const n = this.#ssl.tryWrite(this.#unfinished);
      if (n <= 0) {
        if (n !== WANT_READ && n !== WANT_WRITE) this.#fail(n);
        return;
      }
      this.#unfinished = n < this.#unfinished.length ? this.#unfinished.subarray(n) : undefined;
      this.#drain();
    }
  }

  #writeSome(bytes: Uint8Array, deadline: Deadline): number {
    this.#sendable();
    return this.#check(
      this.#until(() => this.#ssl.tryWrite(bytes), deadline, "the transport did not take all bytes"),
    );
  }

  /** Waits until the channel has everything that OpenSSL has written. */
  #flush(deadline: Deadline): void {
    for (;;) {
      const { event } = this.#transport;
      this.#drain();
      if (this.#pair.pending() === 0) return;
      this.#transport.throwIfGivenUp();
      this.#transport.wait(event, deadline, "the transport did not take all bytes");
    }
  }

  /** A failed send is not yet the end: what the peer still said can be read. */
  #sendable(): void {
    const { sendError } = this.#transport;
    if (!sendError) return;
    throw this.#verdict.ended || !this.#verdict.open ? this.#failWith(sendError) : sendError;
  }

  /** Both steps are done: the transport is its owner's again. */
  #complete(): 1 {
    if (this.#verdict.howItEnds === "complete") this.#transport.settle();
    this.#end(this.#verdict.howItEnds);
    this.#transport.unlock();
    return 1;
  }

  // ---- the loop

  /** Tries until the answer is not a want. */
  #until(attempt: () => number, deadline: Deadline, what: string): number {
    let lastWords: Deadline | undefined;
    for (;;) {
      const { event } = this.#transport;
      // Before the attempt: an alert that OpenSSL writes because of a failure is not the cause of it.
      this.#sendErrorBefore = this.#transport.sendError;
      const r = attempt();
      const fed = this.#feed();
      const drained = this.#drain();
      if (r !== WANT_READ && r !== WANT_WRITE) return r;
      if (fed || drained) continue;
      this.#transport.throwIfGivenUp();
      const { sendError } = this.#transport;
      if (r === WANT_READ && this.#transport.receiving === Course.failed) {
        // Looked at only now, so once more: bytes may have come before it failed.
        if (this.#feed()) continue;
        throw this.#failWith(sendError ?? this.#transport.receiveError());
      }
      if (sendError) {
        lastWords ??= new Deadline(LAST_WORDS);
        if (lastWords.left === 0) throw this.#failWith(sendError);
      }
      const until = lastWords && lastWords.left < deadline.left ? lastWords : deadline;
      try {
        this.#transport.wait(event, until, what);
      } catch (error) {
        if (until === deadline || !(error instanceof BlockingTimeoutError)) throw error;
      }
    }
  }

  /** Incoming ring → pair, as far as there is room. */
  #feed(): boolean {
    this.#giveBack();
    const { receiving, incoming } = this.#transport;
    const bytes = incoming.view(this.#lent);
    if (bytes.length > 0) {
      const n = this.#pair.write(bytes);
      if (n <= 0) return false;
      this.#edges.observe(bytes.subarray(0, n));
      this.#lent += n;
      return true;
    }
    if (receiving !== Course.ended || this.#eofTold) return false;
    this.#eofTold = true;
    this.#emit({ type: "transport-end" });
    this.#pair.shutdownWrite();
    return true;
  }

  /** What OpenSSL has read is no longer lent. */
  #giveBack(): void {
    const lent = this.#pair.wpending();
    this.#transport.consumed(this.#lent - lent);
    this.#lent = lent;
  }

  /** Pair → outgoing ring, as far as there is room. */
  #drain(): boolean {
    const { outgoing, sendError } = this.#transport;
    let moved = false;
    while (this.#pair.pending() > 0) {
      // After a failed send no bytes are taken any more.
      const space = sendError ? new Uint8Array(WRITE_STEP) : outgoing.space();
      if (space.length === 0) break;
      const n = this.#pair.read(space);
      if (!sendError) outgoing.produce(n);
      moved = true;
    }
    if (moved) this.#transport.produced();
    return moved;
  }

  // ---- ends and failures

  /** Every call must leave the ring exact, and tell what happened. */
  #operate<T>(work: () => T): T {
    try {
      this.#transport.throwIfGone();
      return work();
    } catch (error) {
      const fatal = !(error instanceof TlsError) || ["wasm-crashed", "out-of-memory"].includes(error.code);
      if (fatal) this.#failWith(error as TlsError);
      // To be out of time is not an end, though the transport may have come to one by now: the next call meets that.
      else if (error instanceof BlockingTimeoutError) throw error;
      else if (this.#transport.gone || this.#transport.givenUp) this.#giveUp(error, "aborted");
      throw error;
    } finally {
      if (!this.#verdict.over) {
        this.#giveBack();
        this.#noteEvents();
      }
      // Last, because a listener may call this object.
      for (const event of this.#events.splice(0)) this.#options.onEvent?.(event);
      for (const line of this.#lines.splice(0)) this.#options.keylog?.(line);
    }
  }

  /** The operation succeeded; or it is the end. */
  #check(r: number): number {
    if (r < 0) {
      this.#fail(r);
      // A policy let it pass as an end, but no peer is there that would take anything.
      throw this.#verdict.peerIsGone();
    }
    return r;
  }

  /** SSL_read or SSL_peek answered something final. */
  #readStopped(r: number): void {
    this.#noteEvents();
    if (!this.#verdict.endsCleanly(r)) this.#fail(r);
  }

  /** OpenSSL answered an error: says what it means, unless the policy takes it for an end. */
  #fail(r: number): void {
    const failure = this.#ssl.takeFailure();
    this.#noteEvents();
    // What no TLS peer said is shown as far as it came.
    if (!this.#verdict.open) this.#edges.observe(this.#transport.incoming.view(this.#lent));
    const error = this.#verdict.explain(r, failure, {
      edges: this.#edges,
      ended: this.#eofTold,
      sendError: this.#sendErrorBefore,
    });
    if (!this.#verdict.letsPass(error)) throw this.#failWith(error);
    this.#unfinished = undefined;
  }

  /** The alert that tells the peer leaves, if there is room for it soon, and the transport is closed. */
  #failWith(error: TlsError): TlsError {
    if (this.#verdict.over) return error;
    this.#verdict.fail(error);
    let how = this.#verdict.howItFails(error);
    try {
      if (this.#transport.sendError || this.#transport.givenUp) throw error;
      const deadline = new Deadline(CLOSE_TIMEOUT);
      while (!this.#ssl.dispatchAlert()) this.#flush(deadline);
      this.#flush(deadline);
      this.#noteEvents();
      how = this.#verdict.howItFails(error);
      this.#end(how, error);
      this.#transport.close();
    } catch {
      this.#giveUp(error, how);
    }
    return error;
  }

  #giveUp(reason: unknown, how: CloseInfo["how"]): void {
    if (this.#verdict.over) return;
    this.#end(how, reason);
    this.#transport.abort(reason);
  }

  #end(how: CloseInfo["how"], reason?: unknown): void {
    this.#keep();
    crashProof(() => this.#giveBack(), undefined);
    crashProof(() => this.#noteEvents(), undefined);
    const { info } = this.#verdict.conclude(how, { sentCloseNotify: this.#closeNotify === "sent", reason });
    if (!info.resumable) this.#resumption?.discard();
    this.#verdict.release(reason);
    try {
      this.#ssl.free();
      this.#pair.free();
    } catch {
      // The instance has crashed, and its memory with it.
    }
  }

  // ---- events

  #noteEvents(): void {
    for (const event of this.#verdict.takeEvents()) {
      if (event.type === "new-session") this.#resumption?.collect();
      if (event.type === "keylog") this.#lines.push(event.line);
      else this.#emit(event);
    }
  }

  #emit(event: Untimed<TlsEvent>): void {
    if (this.#options.onEvent) this.#events.push({ time: performance.now(), ...event } as TlsEvent);
  }
}

function freeDropped({
  ssl,
  pair,
  transport,
}: {
  ssl: SslCore;
  pair: BioPairCore;
  transport: BlockingTransport;
}): void {
  ssl.free();
  pair.free();
  transport.abort("the TLS connection was dropped without an end");
}
