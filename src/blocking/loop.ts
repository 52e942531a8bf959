/*
 * The pump for a thread that waits: application bytes ⇄ SSL ⇄ BIO pair ⇄ rings. The invariants are those of
 * src/connection/pump.ts, by its numbers. The loop is `until`, which tries one operation of OpenSSL, moves bytes between
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

import type { TlsEvent, Untimed } from "../connection/events.js";
import { RecordEdges } from "../connection/record-edges.js";
import { crashProof, Verdict, type VerdictOptions } from "../connection/verdict.js";
import { whenDropped } from "../engine.js";
import { type CloseInfo, TlsError } from "../errors.js";
import type { Resumption } from "../handshake/resumption.js";
import type { BioPairCore } from "../openssl/bio-pair-core.js";
import { type SslCore, WANT_READ, WANT_WRITE } from "../openssl/ssl-core.js";
import type { TlsOptions } from "../options/protocol.js";
import type { BlockingTransport } from "./blocking-transport.js";
import { Course } from "./channel.js";
import { BlockingTimeoutError, Deadline } from "./deadline.js";

/** How long the alert after a failure may wait for room in the channel, in milliseconds. */
const ALERT_TIMEOUT = 2_000;
/** How long to read on after a send failed, in milliseconds: the peer may have said why before it went away. */
const LAST_WORDS = 1_000;
/** A record's worth. */
export const WRITE_STEP = 16_384;

export interface LoopParts {
  ssl: SslCore;
  pair: BioPairCore;
  transport: BlockingTransport;
  /** Of a client. */
  resumption: Resumption | undefined;
  verdict: Omit<VerdictOptions, "ssl">;
  listeners: Pick<TlsOptions, "onEvent" | "keylog">;
}

/** Carries one connection, for the face that the caller sees: BlockingTls. */
export class BlockingLoop {
  readonly verdict: Verdict;
  /**
   * The state of our close_notify: SSL_shutdown has written it; the channel has all of it; no alert is sent, but the
   * step is done.
   */
  closeNotify: "no" | "written" | "sent" | "left out" = "no";
  /** What OpenSSL has to be given first, when a write was out of time. */
  unfinished: Uint8Array | undefined;

  readonly #ssl: SslCore;
  readonly #pair: BioPairCore;
  readonly #transport: BlockingTransport;
  readonly #resumption: Resumption | undefined;
  readonly #listeners: LoopParts["listeners"];
  readonly #edges = new RecordEdges();
  /** A connection that nobody ends is freed when it is collected, unless this is called. */
  readonly #keep: () => void;
  #eofTold = false;
  /** The failure to send that was known before OpenSSL was last asked: it may be why the operation failed. */
  #sendErrorBefore: TlsError | undefined;
  /** Bytes at the head of the incoming ring that are in the pair too. */
  #lent = 0;
  #events: TlsEvent[] = [];
  #lines: string[] = [];

  constructor({ ssl, pair, transport, resumption, verdict, listeners }: LoopParts) {
    this.#ssl = ssl;
    this.#pair = pair;
    this.#transport = transport;
    this.#resumption = resumption;
    this.#listeners = listeners;
    this.#keep = whenDropped(this, { ssl, pair, transport }, freeDropped);
    this.verdict = new Verdict({ ...verdict, ssl });
  }

  // ---- the loop

  /** Tries until the answer is not a want. */
  until(attempt: () => number, deadline: Deadline, what: string): number {
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
    this.emit({ type: "transport-end" });
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

  // ---- writing

  finishWrite(deadline: Deadline): void {
    while (this.unfinished) {
      const rest = this.unfinished.subarray(this.writeSome(this.unfinished, deadline));
      this.unfinished = rest.length > 0 ? rest : undefined;
    }
  }

  /** The same, as far as it goes at once. */
  pay(): void {
    while (this.unfinished && !this.#transport.sendError) {
      const n = this.#ssl.tryWrite(this.unfinished);
      if (n <= 0) {
        if (n !== WANT_READ && n !== WANT_WRITE) this.fail(n);
        return;
      }
      this.unfinished = n < this.unfinished.length ? this.unfinished.subarray(n) : undefined;
      this.#drain();
    }
  }

  writeSome(bytes: Uint8Array, deadline: Deadline): number {
    this.sendable();
    return this.check(
      this.until(() => this.#ssl.tryWrite(bytes), deadline, "the transport did not take all bytes"),
    );
  }

  /** Waits until the channel has everything that OpenSSL has written. */
  flush(deadline: Deadline): void {
    for (;;) {
      const { event } = this.#transport;
      this.#drain();
      if (this.#pair.pending() === 0) return;
      this.#transport.throwIfGivenUp();
      this.#transport.wait(event, deadline, "the transport did not take all bytes");
    }
  }

  /** A failed send is not yet the end: what the peer still said can be read. */
  sendable(): void {
    const { sendError } = this.#transport;
    if (!sendError) return;
    throw this.verdict.ended || !this.verdict.open ? this.#failWith(sendError) : sendError;
  }

  // ---- ends and failures

  /** Every call must leave the ring exact, and tell what happened. */
  operate<T>(work: () => T): T {
    try {
      this.#transport.throwIfGone();
      return work();
    } catch (error) {
      const fatal = !(error instanceof TlsError) || ["wasm-crashed", "out-of-memory"].includes(error.code);
      if (fatal) this.#failWith(error as TlsError);
      // To be out of time is not an end, though the transport may have come to one by now: the next call meets that.
      else if (error instanceof BlockingTimeoutError) throw error;
      else if (this.#transport.gone || this.#transport.givenUp) this.giveUp(error, "aborted");
      throw error;
    } finally {
      if (!this.verdict.over) {
        this.#giveBack();
        this.noteEvents();
      }
      // Last, because a listener may call this object.
      for (const event of this.#events.splice(0)) this.#listeners.onEvent?.(event);
      for (const line of this.#lines.splice(0)) this.#listeners.keylog?.(line);
    }
  }

  /** The operation succeeded; or it is the end. */
  check(r: number): number {
    if (r < 0) {
      this.fail(r);
      // A policy let it pass as an end, but no peer is there that would take anything.
      throw this.verdict.peerIsGone();
    }
    return r;
  }

  /** SSL_read or SSL_peek answered something final. */
  readStopped(r: number): void {
    this.noteEvents();
    if (!this.verdict.endsCleanly(r)) this.fail(r);
  }

  /** OpenSSL answered an error: says what it means, unless the policy takes it for an end. */
  fail(r: number): void {
    const failure = this.#ssl.takeFailure();
    this.noteEvents();
    // What no TLS peer said is shown as far as it came.
    if (!this.verdict.open) this.#edges.observe(this.#transport.incoming.view(this.#lent));
    const error = this.verdict.explain(r, failure, {
      edges: this.#edges,
      ended: this.#eofTold,
      sendError: this.#sendErrorBefore,
    });
    if (!this.verdict.letsPass(error)) throw this.#failWith(error);
    this.unfinished = undefined;
  }

  /** The alert that tells the peer leaves, if there is room for it soon, and the transport is closed. */
  #failWith(error: TlsError): TlsError {
    if (this.verdict.over) return error;
    this.verdict.fail(error);
    let how = this.verdict.howItFails(error);
    try {
      if (this.#transport.sendError || this.#transport.givenUp) throw error;
      const deadline = new Deadline(ALERT_TIMEOUT);
      while (!this.#ssl.dispatchAlert()) this.flush(deadline);
      this.flush(deadline);
      this.noteEvents();
      how = this.verdict.howItFails(error);
      this.end(how, error);
      this.#transport.close();
    } catch {
      this.giveUp(error, how);
    }
    return error;
  }

  giveUp(reason: unknown, how: CloseInfo["how"]): void {
    if (this.verdict.over) return;
    this.end(how, reason);
    this.#transport.abort(reason);
  }

  end(how: CloseInfo["how"], reason?: unknown): void {
    this.#keep();
    crashProof(() => this.#giveBack(), undefined);
    crashProof(() => this.noteEvents(), undefined);
    const { info } = this.verdict.conclude(how, { sentCloseNotify: this.closeNotify === "sent", reason });
    if (!info.resumable) this.#resumption?.discard();
    this.verdict.release(reason);
    try {
      this.#ssl.free();
      this.#pair.free();
    } catch {
      // The instance has crashed, and its memory with it.
    }
  }

  // ---- events

  noteEvents(): void {
    for (const event of this.verdict.takeEvents()) {
      if (event.type === "new-session") this.#resumption?.collect();
      if (event.type === "keylog") this.#lines.push(event.line);
      else this.emit(event);
    }
  }

  emit(event: Untimed<TlsEvent>): void {
    if (this.#listeners.onEvent) this.#events.push({ time: performance.now(), ...event } as TlsEvent);
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
