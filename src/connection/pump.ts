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
 * The parts call no other code, neither the pump nor the wire: Inbox (what came), Outbox (what leaves), Rings (how
 * large the pair is), Questions (what else OpenSSL waits for) and Verdict (what is known of the end). The pump asks
 * them, and it alone does what follows. That settles most of what goes wrong in such code:
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
import { after } from "../timers.js";
import { type Early, EarlyWrite } from "./early-data.js";
import type { Statistics } from "./events.js";
import { callbackError, transportError } from "./failure.js";
import { Inbox } from "./inbox.js";
import type { Listeners } from "./listeners.js";
import { Outbox } from "./outbox.js";
import { type Answer, isQuestion, Questions } from "./questions.js";
import { encryptedLength, RECORD, Rings, WRITE_MOST } from "./rings.js";
import type { Verdict } from "./verdict.js";
import type { Wire } from "./wire.js";
import { PendingWrite, Wish } from "./wish.js";

export interface PumpOptions {
  ssl: SslCore;
  pair: BioPairCore;
  wire: Wire;
  verdict: Verdict;
  /** The pair stays as it is. Otherwise it has the room that is needed at the moment. */
  fixedPair: boolean;
  listeners: Listeners;
  /** Of a server: what takes a client's early data. `turn` goes on with the connection, and `failed` ends it. */
  newEarlyRead?: ((turn: () => void, failed: (error: unknown) => void) => Early) | undefined;
  /** Called when OpenSSL has new sessions, from within a turn. */
  onNewSession?: (() => void) | undefined;
  answer?: Answer | undefined;
}

/** How much is decrypted in one call, in bytes. */
const READ_MOST = 65_536;
/**
 * When a send fails the peer may have said why before it went away. So the pump reads on for so long, in milliseconds,
 * before it reports the failed send.
 */
const LAST_WORDS = 1_000;
/**
 * So long the writes that failed wait for that. In most cases the reason is here already, and tells more than the
 * failed send does.
 */
const FIRST_WORDS = 250;

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

  // Wishes
  #handshake: Wish | undefined;
  /** What goes before the handshake is done, if anything may. */
  #early: Early | undefined;
  #write: PendingWrite | undefined;
  #closeNotify: Wish | undefined;
  #readers: Wish[] = [];

  // What is settled
  #writingClosed = false;
  /** A ticket should come, even if no reader waits. */
  #awaitsTicket = false;
  /** After a failure: nothing of an alert is left in OpenSSL. */
  #alertDone = false;

  /** Something that was tried lacked bytes from the peer. */
  #wantsInput = false;
  #stopLastWords = () => {};

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
    this.#handshake = done;
    const { newEarlyRead } = this.#options;
    if (earlyData) this.#early = new EarlyWrite(this.#ssl, earlyData);
    else if (newEarlyRead) {
      const failed = (error: unknown) => {
        this.#failWith(callbackError("onEarlyData", error));
        this.#turn();
      };
      this.#early = newEarlyRead(() => this.#turn(), failed);
    }
    this.#options.listeners.tell({ type: "handshake-start" });
    this.#turn();
    return done.promise;
  }

  /** Settles when the transport has accepted the records that carry `bytes`. One at a time. */
  write(bytes: Uint8Array): Promise<void> {
    const refused = this.#refusal();
    if (refused) return Promise.reject(refused);
    const over = this.verdict.writeRefusal(this.#writingClosed);
    if (over) return Promise.reject(over);
    if (this.#write) throw new Error("a write is under way");
    if (bytes.length === 0) return Promise.resolve();
    const write = new PendingWrite(bytes);
    this.#write = write;
    this.#turn();
    return write.promise;
  }

  /** Sends close_notify after all that was written. Settles when the transport has accepted it. */
  closeWrite(): Promise<void> {
    const refused = this.#refusal();
    if (refused) return Promise.reject(refused);
    if (this.#writingClosed && !this.#closeNotify) return this.flush();
    this.#writingClosed = true;
    this.#closeNotify ??= new Wish();
    const { promise } = this.#closeNotify;
    this.#turn();
    return promise;
  }

  /** Settles when `read` has something to give or the end is reached; rejects when the connection failed. */
  readable(): Promise<void> {
    try {
      if (!this.verdict.mayRead()) return Promise.resolve();
    } catch (error) {
      return Promise.reject(error);
    }
    const ready = new Wish();
    this.#readers.push(ready);
    this.#turn();
    return ready.promise;
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
      while (done < max) {
        done += this.#ssl.tryReadMany(done, max - done);
        const r = this.#ssl.stopped;
        if (r === WANT_READ) {
          if (!this.#feed()) break;
        } else if (r === WANT_WRITE) {
          // A transport may run other code at once, and what was decrypted lies where all connections' data goes.
          if (done > 0 || !this.#drain()) break;
        } else if (isQuestion(r)) {
          break; // It is asked when there is somebody who waits for data.
        } else if (r !== 0) {
          this.#readStopped(r);
          break;
        }
      }
    } catch (error) {
      this.#failWith(error as TlsError);
    }
    return done;
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
    this.#awaitsTicket = true;
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
    const ask = (what: () => number) => (this.verdict.end === "released" ? 0 : what());
    return {
      sent: {
        bytes: this.outbox.accepted,
        records: this.outbox.records,
        data: this.#dataWritten + (this.#early?.written ?? 0),
      },
      received: {
        bytes: this.inbox.received,
        records: this.inbox.edges.records,
        data: this.#dataRead + (this.#early?.read ?? 0),
      },
      waiting: {
        toTransport: ask(() => this.outbox.written - this.outbox.accepted),
        fromTransport: ask(() => this.#pair.wpending() + this.inbox.waiting),
        decrypted: ask(() => this.#ssl.pending()),
      },
    };
  }

  /** Ends everything here: frees OpenSSL's objects, and rejects what still waits with `reason`. */
  release(reason: unknown): void {
    if (!this.verdict.release(reason)) return;
    this.#early?.stop();
    this.#stopLastWords();
    this.#rejectAll(reason, true);
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
      if (this.inbox.waiting === 0 && !this.#write && this.#mayResize) this.#rings.shrink();
    } catch (error) {
      // Linear memory is exhausted, or OpenSSL trapped.
      this.#failWith(error as TlsError);
    }
    this.#startReceiving();
  }

  /** Gives each wish its chance. True when something came of it, so that the others should be asked again. */
  #step(): boolean {
    if (this.verdict.failure) return !this.#alertDone && this.#stepAlert();
    if (!this.verdict.open) return this.#handshake !== undefined && this.#stepHandshake();
    let moved = false;
    if (this.#write) moved = this.#stepWrite(this.#write);
    else if (this.#closeNotify) moved = this.#stepCloseNotify(this.#closeNotify);
    if (this.#readers.length > 0 && !this.verdict.failure) moved = this.#stepRead() || moved;
    else if (this.#awaitsTicket && !this.verdict.failure && !this.verdict.ended)
      moved = this.#stepTicket() || moved;
    return moved;
  }

  #stepAlert(): boolean {
    this.#alertDone = true; // also if this throws
    this.#alertDone = this.#ssl.dispatchAlert();
    if (!this.#alertDone) return false;
    this.outbox.completed();
    return true;
  }

  #stepHandshake(): boolean {
    if (this.#early && !this.#early.over) {
      const early = this.#early.step();
      return early > 0 || (early < 0 && this.#lacks(early, () => this.#fail(early)));
    }
    const r = this.#ssl.tryHandshake();
    if (r === 1) {
      this.verdict.opened();
      this.#options.listeners.tell({ type: "handshake-done" });
      this.#handshake?.resolve();
      this.#handshake = undefined;
      return true;
    }
    return this.#lacks(r, () => this.#fail(r));
  }

  #stepWrite(write: PendingWrite): boolean {
    if (write.bytes.length !== write.length) {
      // A part of the bytes may have left already, so the connection cannot go on without them.
      this.#failWith(
        new TlsError("invalid-argument", "the bytes of a write were detached before it was done"),
      );
      return true;
    }
    const rest = Math.min(write.length - write.offset, WRITE_MOST);
    if (this.#mayResize) this.#rings.grow(encryptedLength(rest), 0);
    // What does not fit would be copied for nothing, again and again.
    const most = this.#rings.isLargest ? WRITE_MOST : RECORD;
    const n = this.#ssl.tryWriteMany(write.bytes.subarray(write.offset, write.offset + most));
    const r = this.#ssl.stopped;
    write.offset += n;
    this.#dataWritten += n;
    if (write.offset === write.length) {
      this.#write = undefined;
      this.#flush(write);
    }
    return (r !== 0 && this.#lacks(r, () => this.#fail(r))) || n > 0;
  }

  #stepCloseNotify(wish: Wish): boolean {
    if (!this.verdict.sendsCloseNotify) {
      this.#closeNotify = undefined;
      this.#flush(wish);
      return true;
    }
    if (this.verdict.isMidMessage) return this.#stepRead();
    const r = this.#ssl.tryShutdown();
    if (r < 0) return this.#lacks(r, () => this.#fail(r));
    this.#closeNotify = undefined;
    this.outbox.closeNotifyWritten();
    this.#flush(wish);
    return true;
  }

  #stepRead(): boolean {
    const r = this.#ssl.tryPeek();
    if (r <= 0) return this.#lacks(r, () => this.#readStopped(r));
    this.#wakeReaders();
    return true;
  }

  #stepTicket(): boolean {
    const r = this.#ssl.tryPeek();
    if (r > 0) this.#awaitsTicket = false;
    else if (r === WANT_READ) this.#noteEvents();
    return this.#awaitsTicket && this.#lacks(r, () => this.#readStopped(r));
  }

  /** Neither want moves anything by itself: bytes in or bytes out will. Every other answer is final. */
  #lacks(r: number, final: () => void): boolean {
    if (r === WANT_READ) {
      this.#wantsInput = true;
      return false;
    }
    if (r === WANT_WRITE) return false;
    if (this.#questions.mayAsk(r)) {
      this.#questions.ask(r)?.then(() => this.#turn());
      return false;
    }
    final();
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
    if (waiting > 0 && this.#mayResize) this.#rings.grow(0, waiting);
    return this.inbox.feed();
  }

  /** Pair → outbox, and on to the wire when that is full. */
  #drain(): boolean {
    const rest = this.#write ? this.#write.length - this.#write.offset : 0;
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
      (bytes) => {
        if (this.#released) return;
        this.inbox.put(bytes);
        if (bytes === null) this.#options.listeners.tell({ type: "transport-end" });
        this.#turn();
      },
      (cause) => {
        this.inbox.put(undefined);
        if (this.#released) return;
        this.#failWith(this.outbox.sendError ?? transportError("receiving", cause));
        this.#turn();
      },
    );
  }

  #flush(wish: Wish): void {
    // The rest of an alert is not in the pair yet, and will be.
    this.outbox.flush(wish, this.verdict.failure === undefined || this.#alertDone);
  }

  // ---- ends and failures

  #wakeReaders(): void {
    for (const reader of this.#readers.splice(0)) reader.resolve();
  }

  /** SSL_read or SSL_peek answered something final. */
  #readStopped(r: number): void {
    this.#noteEvents();
    if (this.verdict.endsCleanly(r)) this.#ended();
    else this.#fail(r);
  }

  /** The reader has come to the end. */
  #ended(): void {
    this.#stopLastWords();
    this.#wakeReaders();
  }

  /** OpenSSL answered an error: say what it means. */
  #fail(r: number): void {
    const failure = this.#ssl.takeFailure();
    this.#noteEvents();
    const error =
      this.#questions.refusal ??
      this.verdict.explain(r, failure, {
        edges: this.inbox.edges,
        ended: this.inbox.endIsTold,
        sendError: this.outbox.sendError,
      });
    if (this.verdict.letsPass(error)) {
      this.#write?.reject(error);
      this.#write = undefined;
      this.#ended();
    } else {
      this.#failWith(error);
    }
  }

  #failWith(error: TlsError): void {
    if (!this.verdict.fail(error)) return;
    this.#early?.stop();
    this.#stopLastWords();
    this.#rejectAll(error, this.outbox.sendError !== undefined);
    this.#tellFailure(error);
  }

  /** A send failed. The peer may have said why before: read on for a moment (see LAST_WORDS). */
  #sendFailed(sendError: TlsError): void {
    if (this.#released) return;
    this.outbox.fail(sendError);
    // They wait with the others, for what is known then, and not for OpenSSL.
    for (const wish of [this.#write, this.#closeNotify]) if (wish) this.outbox.strand(wish);
    this.#write = this.#closeNotify = undefined;
    const tell = (reason: TlsError) => this.outbox.reject(reason);
    if (this.verdict.failure) {
      tell(this.verdict.failure);
      return;
    }
    if (this.verdict.ended) {
      this.#failWith(sendError);
      return;
    }
    this.#stopLastWords = after(FIRST_WORDS, () => {
      tell(sendError);
      this.#stopLastWords = after(LAST_WORDS - FIRST_WORDS, () => this.#failWith(sendError));
    });
    if (this.verdict.open) {
      // Data that is there belongs to the reader; the failure comes when the reader has seen it all.
      this.readable().then(
        () => {
          this.#stopLastWords();
          tell(sendError);
        },
        () => {},
      );
    } else {
      this.#turn();
    }
  }

  #refusal(): unknown {
    return this.verdict.refusal ?? this.outbox.sendError;
  }

  #rejectAll(reason: unknown, flushesToo: boolean): void {
    const waiting = [this.#handshake, this.#write, this.#closeNotify, ...this.#readers.splice(0)];
    this.#handshake = this.#write = this.#closeNotify = undefined;
    for (const wish of waiting) wish?.reject(reason);
    // After a failure they still wait for the alert to leave, if it can.
    if (flushesToo) this.outbox.reject(reason);
  }

  // ---- events

  #noteEvents(): void {
    for (const event of this.verdict.takeEvents()) {
      switch (event.type) {
        case "new-session":
          this.#awaitsTicket = false;
          this.#options.onNewSession?.();
          break;
        case "keylog":
          this.#options.listeners.tellKey(event.line);
          continue;
      }
      this.#options.listeners.tell(event);
    }
  }
}
