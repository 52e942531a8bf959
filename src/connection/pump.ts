/*
 * The pump: application bytes ⇄ SSL ⇄ BIO pair ⇄ transport.
 *
 *      write() ──▶ ┌─────┐ ──▶ ┌──────────┐ ──drain──▶ outbox ──send()──▶
 *                  │ SSL │     │ BIO pair │                               wire
 *      read()  ◀── └─────┘ ◀── └──────────┘ ◀──feed─── inbox ◀─receive()──
 *
 * OpenSSL is a machine that never waits. An operation on it is done, or it says which of two things it lacks: bytes
 * from the peer (want read), or room for bytes to the peer (want write). Any operation may lack either one: a read may
 * have to send (a KeyUpdate's answer), a write may have to receive (a renegotiation). And it may lack one while the
 * other side of the pair holds bytes that must leave first: otherwise the peer would wait for those bytes while this
 * side waits for the peer.
 *
 * So there is no code here of the form "read until, then write until". There is a set of wishes (a handshake, a write,
 * a close_notify, a reader), and one function, #turn, that gives each wish its chance, moves bytes between the pair and
 * the wire, and goes on until nothing moves any more. Only then may anything wait. Whatever happens outside (a wish is
 * made, bytes came, bytes were accepted) ends in another #turn. #turn never awaits.
 *
 * The parts call no other code, neither the pump nor the wire: Wishes (what is asked for), Inbox (what came), Outbox
 * (what leaves), Rings (how large the pair is), Questions (what else OpenSSL waits for), LastWords (how long a failed
 * send waits for its reason) and Verdict (what is known of the end). The pump asks them, and it alone does what
 * follows. That settles most of what goes wrong in such code:
 *
 *  1. Never wait while the network BIO holds bytes: #turn ends with an empty pair, or with the sender at work and a
 *     full outbox; it asks the wire for more only after it gave the wire what there was.
 *  2. No await between asking OpenSSL and acting on its answer: there is no await. After an event everything is asked
 *     again; no answer is remembered except success, the end, and failure.
 *  3. One sender: at most one send() is under way, and its bytes are in the order of the pair.
 *  4. A write that is tried again carries the same bytes: it is tried at the same offset of the same array with the
 *     same length, until OpenSSL took them. (Their address in linear memory may differ, because the heap may have
 *     moved.)
 *  5. The error queue is clear before each operation and SSL_get_error is asked right after: Ssl's try… methods.
 *  6. After a failure the alert that OpenSSL has written still leaves, all of it, and no operation is tried again.
 *  7. The pair is bounded, even at one byte if the caller wants that. What is larger goes through in pieces.
 *  8. close_notify comes after all that was written: it has its chance only while no write is pending. SSL_shutdown
 *     during an unfinished SSL_write would lose both.
 *  9. SSL_shutdown is called until it answers 0 or 1, and then never again: a second call that meets unread data kills
 *     the connection. The peer's close_notify is found by reading. SSL_get_error after 0 is misleading, and is not
 *     asked.
 * 10. The transport's end is told to OpenSSL (BIO_shutdown_wr), so that OpenSSL says what it means. An end without
 *     close_notify is an error, whose place RecordEdges knows.
 * 11. SSL_RECEIVED_SHUTDOWN is also set by a fatal alert. Clean is only what SSL_read calls a zero return.
 *
 * Memory is bounded by construction: one chunk from the wire (inbox.ts), the pair, and two batches towards the wire
 * (outbox.ts: the one that fills, and the one being sent). The wire is asked for a chunk only while a reader waits and
 * the inbox is empty.
 */

import { TlsError } from "../errors.js";
import type { BioPairCore } from "../openssl/bio-pair-core.js";
import { type SslCore, WANT_READ, WANT_WRITE } from "../openssl/ssl-core.js";
import { type Early, EarlyWrite } from "./early-data.js";
import type { Statistics } from "./events.js";
import { transportError } from "./failure.js";
import { Inbox } from "./inbox.js";
import { LastWords } from "./last-words.js";
import type { Listeners } from "./listeners.js";
import { Outbox } from "./outbox.js";
import { type Answer, isQuestion, Questions } from "./questions.js";
import { RECORD, Rings, WRITE_MOST } from "./rings.js";
import { statisticsOf } from "./statistics.js";
import type { Verdict } from "./verdict.js";
import type { Wire } from "./wire.js";
import { type LateWish, PendingWrite, Wish, Wishes } from "./wishes.js";

export interface PumpOptions {
  ssl: SslCore;
  pair: BioPairCore;
  wire: Wire;
  verdict: Verdict;
  /** The pair stays as it is. Otherwise it has the room that is needed at the moment. */
  fixedPair: boolean;
  listeners: Listeners;
  /** Of a server: what takes a client's early data. `goOn` goes on with the connection, or ends it with a failure. */
  newEarlyRead?: ((goOn: (failure?: TlsError) => void) => Early) | undefined;
  /** Called when OpenSSL has new sessions, from within a turn. */
  onNewSession?: (() => void) | undefined;
  answer?: Answer | undefined;
}

/** How much is decrypted in one call, in bytes. */
const READ_MOST = 65_536;

export class Pump {
  readonly #ssl: SslCore;
  readonly #pair: BioPairCore;
  readonly #wire: Wire;
  readonly #options: PumpOptions;
  /** What is known of the end. */
  readonly verdict: Verdict;
  /** Resolves when the connection has failed, with why. */
  readonly failed: Promise<TlsError>;
  #tellFailure!: (error: TlsError) => void;
  /** What came from the wire. */
  readonly inbox: Inbox;
  /** What goes to the wire. */
  readonly outbox: Outbox;
  readonly #rings: Rings;
  readonly #questions: Questions;
  #dataRead = 0;
  #dataWritten = 0;

  readonly #wishes = new Wishes();
  readonly #lastWords = new LastWords();
  /** What goes before the handshake is done, if anything may. */
  #early: Early | undefined;
  #writingClosed = false;
  /** After a failure: nothing of an alert is left in OpenSSL. */
  #alertDone = false;
  /** Something that was tried lacked bytes from the peer. */
  #wantsInput = false;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#ssl = options.ssl;
    this.#pair = options.pair;
    this.#wire = options.wire;
    this.verdict = options.verdict;
    this.failed = new Promise((resolve) => {
      this.#tellFailure = resolve;
    });
    this.inbox = new Inbox(options.pair);
    this.outbox = new Outbox(options.pair, options.fixedPair);
    this.#rings = new Rings(options.pair);
    this.#questions = new Questions(options.answer);
  }

  // ---- wishes

  /** With `earlyData` only for a client with a session that allows it. */
  handshake(earlyData?: Uint8Array): Promise<void> {
    const done = new Wish();
    this.#wishes.handshake = done;
    const { newEarlyRead, listeners } = this.#options;
    const goOn = (failure?: TlsError) => {
      if (failure) this.#failWith(failure);
      this.#turn();
    };
    this.#early = earlyData ? new EarlyWrite(this.#ssl, earlyData) : newEarlyRead?.(goOn);
    listeners.tell({ type: "handshake-start" });
    this.#turn();
    return done.promise;
  }

  /** Settles when the transport has accepted the records that carry `bytes`. One at a time. */
  write(bytes: Uint8Array): Promise<void> {
    const refused = this.#refusal() ?? this.verdict.writeRefusal(this.#writingClosed);
    if (refused) return Promise.reject(refused);
    if (this.#wishes.write) throw new Error("a write is under way");
    if (bytes.length === 0) return Promise.resolve();
    const write = new PendingWrite(bytes);
    this.#wishes.write = write;
    this.#turn();
    return write.promise;
  }

  /** Sends close_notify after all that was written. Settles when the transport has accepted it. */
  closeWrite(): Promise<void> {
    const refused = this.#refusal();
    if (refused) return Promise.reject(refused);
    if (this.#writingClosed && !this.#wishes.closeNotify) return this.flush();
    this.#writingClosed = true;
    this.#wishes.closeNotify ??= new Wish();
    const { promise } = this.#wishes.closeNotify;
    this.#turn();
    return promise;
  }

  /**
   * Asks the client for its certificate, after all that was written. Settles when the client has answered, and is
   * accepted. For that it reads on, up to data that waits for a reader. One at a time.
   */
  wishLate(wish: LateWish): Promise<void> {
    const refused = this.#refusal() ?? wish.refusal(this.#writingClosed, this.#wishes.asksClient);
    if (refused) return Promise.reject(refused);
    this.#wishes.late = wish;
    this.#turn();
    return wish.promise;
  }

  /** Settles when `read` has something to give or the end is reached; rejects when the connection failed. */
  readable(): Promise<void> {
    try {
      if (!this.verdict.mayRead()) return Promise.resolve();
    } catch (error) {
      return Promise.reject(error);
    }
    const ready = this.#wishes.addReader();
    this.#turn();
    return ready;
  }

  /**
   * Fills `dst` with application data that is here already, across records. 0 = nothing at the moment, or the end
   * (`verdict.ended`). Throws the failure once all that arrived intact was given.
   */
  read(dst: Uint8Array): number {
    if (!this.verdict.mayRead()) return 0;
    let done = 0;
    for (let full = true; full && done < dst.length; ) {
      const most = Math.min(dst.length - done, READ_MOST);
      const n = this.#decrypt(most);
      if (n > 0) this.#ssl.copyBulk(n, dst, done);
      done += n;
      full = n === most;
    }
    this.#wasRead(done);
    return done;
  }

  /** The same in an array of its own, of at most `max` bytes; undefined where `read` gives 0. */
  readChunk(max: number): Uint8Array<ArrayBuffer> | undefined {
    if (!this.verdict.mayRead()) return undefined;
    const n = this.#decrypt(Math.min(max, READ_MOST));
    const chunk = n > 0 ? this.#ssl.bulk(n) : undefined;
    this.#wasRead(n);
    return chunk;
  }

  /** Decrypts what is here, up to `max` bytes, to where Ssl's bulk is. */
  #decrypt(max: number): number {
    let done = 0;
    try {
      for (let on = true; on && done < max; on = this.#mayDecryptOn(done))
        done += this.#ssl.tryReadMany(done, max - done);
    } catch (error) {
      this.#failWith(error as TlsError);
    }
    return done;
  }

  #mayDecryptOn(done: number): boolean {
    const r = this.#ssl.stopped;
    if (r === 0) return true;
    if (r === WANT_READ) return this.#feed();
    // A transport may run other code at once, and what was decrypted lies where all connections' data goes.
    if (r === WANT_WRITE) return done === 0 && this.#drain();
    // A question is asked when a reader waits.
    if (!isQuestion(r)) this.#readStopped(r);
    return false;
  }

  #wasRead(n: number): void {
    this.#dataRead += n;
    this.#turn();
    // A failure behind what was read is the next call's.
    if (n === 0) this.verdict.mayRead();
  }

  /**
   * A TLS 1.3 client that only writes would never see its tickets. So one chunk after the other is fetched until a
   * ticket has come, or data, which waits for a reader: no more is fetched ahead than that.
   */
  awaitTicket(): void {
    this.#wishes.ticket = true;
    this.#turn();
  }

  /** Settles when everything that OpenSSL has written so far was accepted by the transport. */
  flush(): Promise<void> {
    if (this.outbox.sendError) return Promise.reject(this.outbox.sendError);
    const done = new Wish();
    this.#flush(done);
    this.#turn();
    return done.promise;
  }

  // ---- what is settled

  get statistics(): Statistics {
    return statisticsOf({
      ...{ ssl: this.#ssl, pair: this.#pair, inbox: this.inbox, outbox: this.outbox },
      released: this.#released,
      dataRead: this.#dataRead + (this.#early?.read ?? 0),
      dataWritten: this.#dataWritten + (this.#early?.written ?? 0),
    });
  }

  /** Ends everything here: frees OpenSSL's objects, and rejects what still waits with `reason`. */
  release(reason: unknown): void {
    if (!this.verdict.release(reason)) return;
    this.#stopWaiting(reason);
    this.outbox.reject(reason);
    this.inbox.clear();
    this.outbox.clear();
    try {
      this.#ssl.free();
      this.#pair.free();
    } catch {
      // The instance has crashed, and its memory with it.
    }
  }

  get #released(): boolean {
    return this.verdict.end === "released";
  }

  // ---- the loop

  #turn(): void {
    if (this.#released) return;
    try {
      let moved: boolean;
      do {
        this.#wantsInput = false;
        moved = this.#feed();
        if (this.#step()) moved = true;
        if (this.#drain()) moved = true;
        // A step that waited for an answer found a full pair, and has made room only now.
        if (!moved && this.#feed()) moved = true;
        // Last, so that what one turn produced leaves as one batch. If it leaves, the pair is empty, and nothing waits
        // for that.
        if (!moved) this.#startSending();
      } while (moved && !this.#released);
      if (this.#released) return;
      this.#noteEvents();
      if (this.inbox.waiting === 0 && !this.#wishes.write && this.#mayResize) this.#rings.shrink();
    } catch (error) {
      // Linear memory is exhausted, or OpenSSL trapped.
      this.#failWith(error as TlsError);
    }
    this.#startReceiving();
  }

  /** Gives each wish its chance. True when something came of it, so that the others should be asked again. */
  #step(): boolean {
    if (this.verdict.failure) return !this.#alertDone && this.#stepAlert();
    const { handshake, write, late, closeNotify } = this.#wishes;
    if (!this.verdict.open) return handshake !== undefined && this.#stepHandshake(handshake);
    let moved = false;
    if (write) moved = this.#stepWrite(write);
    // Half of another message must be whole first.
    else if (late?.isDue) moved = this.verdict.isMidMessage ? this.#stepRead() : late.begin();
    else if (closeNotify) moved = this.#stepCloseNotify(closeNotify);
    if (this.#wishes.hasReaders && !this.verdict.failure) moved = this.#stepRead() || moved;
    else if (this.#wishes.aheadOfReaders && !this.verdict.failure && !this.verdict.ended)
      moved = this.#stepAhead() || moved;
    late?.look();
    return moved;
  }

  #stepAlert(): boolean {
    this.#alertDone = true; // also if this throws
    this.#alertDone = this.#ssl.dispatchAlert();
    if (!this.#alertDone) return false;
    this.outbox.completed();
    return true;
  }

  #stepHandshake(wish: Wish): boolean {
    if (this.#early && !this.#early.over) {
      const early = this.#early.step();
      return early > 0 || (early < 0 && !this.#mustWait(early) && this.#fail(early));
    }
    const r = this.#ssl.tryHandshake();
    if (r !== 1) return !this.#mustWait(r) && this.#fail(r);
    this.verdict.opened();
    this.#options.listeners.tell({ type: "handshake-done" });
    wish.resolve();
    this.#wishes.handshake = undefined;
    return true;
  }

  #stepWrite(write: PendingWrite): boolean {
    if (write.isDetached) {
      // A part of the bytes may have left already, so the connection cannot go on without them.
      const detached = "the bytes of a write were detached before it was done";
      this.#failWith(new TlsError("invalid-argument", detached));
      return true;
    }
    if (this.#mayResize) this.#rings.growForWrite(write.rest);
    // What does not fit would be copied for nothing, again and again.
    const n = write.step(this.#ssl, this.#rings.isLargest ? WRITE_MOST : RECORD);
    const r = this.#ssl.stopped;
    this.#dataWritten += n;
    if (write.rest === 0) {
      this.#wishes.write = undefined;
      this.#flush(write);
    }
    return (r !== 0 && !this.#mustWait(r) && this.#fail(r)) || n > 0;
  }

  #stepCloseNotify(wish: Wish): boolean {
    if (this.verdict.sendsCloseNotify) {
      if (this.verdict.isMidMessage) return this.#stepRead();
      const r = this.#ssl.tryShutdown();
      if (r < 0) return !this.#mustWait(r) && this.#fail(r);
      this.outbox.closeNotifyWritten();
    }
    this.#wishes.closeNotify = undefined;
    this.#flush(wish);
    return true;
  }

  #stepRead(): boolean {
    const r = this.#ssl.tryPeek();
    if (r <= 0) return !this.#mustWait(r) && this.#readStopped(r);
    this.#wishes.wakeReaders();
    return true;
  }

  /** What is not data is looked at also while no reader waits. */
  #stepAhead(): boolean {
    const r = this.#ssl.tryPeek();
    if (r > 0) this.#wishes.ticket = false;
    else if (r === WANT_READ) this.#noteEvents();
    return r <= 0 && this.#wishes.aheadOfReaders && !this.#mustWait(r) && this.#readStopped(r);
  }

  /** Neither want moves anything by itself: bytes in or bytes out will. Every answer beside these is final. */
  #mustWait(r: number): boolean {
    if (r === WANT_READ) this.#wantsInput = true;
    else if (r !== WANT_WRITE) {
      if (!this.#questions.mayAsk(r)) return false;
      this.#questions.ask(r)?.then(() => this.#turn());
    }
    return true;
  }

  /** Not while a handshake is under way, nor once OpenSSL was told of the transport's end. */
  get #mayResize(): boolean {
    const { open, failure } = this.verdict;
    return open && !failure && !this.#options.fixedPair && !this.inbox.endIsTold;
  }

  /** Inbox → pair, as far as there is room. */
  #feed(): boolean {
    const { waiting } = this.inbox;
    if (waiting > 0 && this.#mayResize) this.#rings.growForInput(waiting);
    return this.inbox.feed();
  }

  /** Pair → outbox, and on to the wire when that is full. */
  #drain(): boolean {
    const rest = this.#wishes.write?.rest ?? 0;
    let moved = this.outbox.collect(rest);
    while (this.outbox.isFull && this.#startSending()) moved = this.outbox.collect(rest) || moved;
    return moved;
  }

  /** True when the outbox has room again. */
  #startSending(): boolean {
    const bytes = this.outbox.next();
    if (bytes) this.#send(bytes);
    return this.outbox.isEmpty;
  }

  #send(bytes: Uint8Array): void {
    this.#wire.send(bytes).then(
      () => {
        this.outbox.accept(bytes.length);
        this.#turn();
      },
      (cause) => this.#sendFailed(transportError("sending", cause)),
    );
  }

  #startReceiving(): void {
    if (!this.#wantsInput || !this.inbox.mayAsk || this.verdict.failure) return;
    this.inbox.asks();
    this.#wire.receive().then(
      (bytes) => this.#received(bytes),
      (cause) => this.#received(undefined, transportError("receiving", cause)),
    );
  }

  #received(bytes: Uint8Array | null | undefined, error?: TlsError): void {
    if (this.#released) return;
    this.inbox.put(bytes);
    if (bytes === null) this.#options.listeners.tell({ type: "transport-end" });
    if (error) this.#failWith(this.outbox.sendError ?? error);
    this.#turn();
  }

  #flush(wish: Wish): void {
    // The rest of an alert is not in the pair yet, and will be.
    this.outbox.flush(wish, this.verdict.failure === undefined || this.#alertDone);
  }

  // ---- ends and failures

  /** SSL_read or SSL_peek answered something final. Always true, as {@link Pump.#fail} is: something came of it. */
  #readStopped(r: number): boolean {
    this.#noteEvents();
    if (!this.verdict.endsCleanly(r)) return this.#fail(r);
    this.#ended();
    return true;
  }

  /** The reader has come to the end. */
  #ended(): void {
    this.#lastWords.stop();
    this.#wishes.late?.giveUp();
    this.#wishes.wakeReaders();
  }

  /** OpenSSL answered an error: say what it means. */
  #fail(r: number): boolean {
    const failure = this.#ssl.takeFailure();
    this.#noteEvents();
    const { sendError } = this.outbox;
    const { edges, endIsTold: ended } = this.inbox;
    const error = this.#questions.refusal ?? this.verdict.explain(r, failure, { edges, ended, sendError });
    if (this.verdict.letsPass(error)) {
      this.#wishes.write?.reject(error);
      this.#wishes.write = undefined;
      this.#ended();
    } else {
      this.#failWith(error);
    }
    return true;
  }

  #failWith(error: TlsError): void {
    if (!this.verdict.fail(error)) return;
    this.#stopWaiting(error);
    // The others still wait for the alert to leave, if it can.
    if (this.outbox.sendError) this.outbox.reject(error);
    this.#tellFailure(error);
  }

  #stopWaiting(reason: unknown): void {
    this.#early?.stop();
    this.#lastWords.stop();
    this.#wishes.reject(reason);
  }

  /** A send failed. The peer may have said why before: read on for a moment. */
  #sendFailed(sendError: TlsError): void {
    if (this.#released) return;
    this.outbox.fail(sendError);
    // They wait with the others, for what is known then, and not for OpenSSL.
    for (const wish of this.#wishes.takeSending()) this.outbox.strand(wish);
    if (this.verdict.failure) this.outbox.reject(this.verdict.failure);
    else if (this.verdict.ended) this.#failWith(sendError);
    else {
      this.#lastWords.await(this.outbox, sendError, () => this.#failWith(sendError));
      // Data that is there belongs to the reader; the failure comes when the reader has seen it all.
      if (this.verdict.open) this.readable().then(this.#lastWords.missed, () => {});
      else this.#turn();
    }
  }

  #refusal(): unknown {
    return this.verdict.refusal ?? this.outbox.sendError;
  }

  // ---- events

  #noteEvents(): void {
    const { listeners, onNewSession } = this.#options;
    for (const event of this.verdict.takeEvents()) {
      if (event.type === "new-session") {
        this.#wishes.ticket = false;
        onNewSession?.();
      }
      if (event.type === "keylog") listeners.tellKey(event.line);
      else listeners.tell(event);
    }
  }
}
