/*
 * The pump: application bytes ⇄ SSL ⇄ BIO pair ⇄ transport.
 *
 *      write() ──▶ ┌─────┐ ──▶ ┌──────────┐ ──drain──▶ #out ──send()────▶
 *                  │ SSL │     │ BIO pair │                               wire
 *      read()  ◀── └─────┘ ◀── └──────────┘ ◀──feed─── #in ◀─receive()───
 *
 * OpenSSL is a machine that never waits. An operation on it is done, or it says which of two things it lacks: bytes from
 * the peer (want read), or room for bytes to the peer (want write). Any operation may lack either one: a read may have to
 * send (a KeyUpdate's answer), a write may have to receive (a renegotiation). And it may lack one while the other side of
 * the pair holds bytes that must leave first, or the peer would wait for them while we wait for the peer.
 *
 * So there is no code here of the form "read until, then write until". There is a set of wishes (a handshake, a write, a
 * close_notify, somebody who wants to read), and one function, #turn, that gives each wish its chance, moves bytes
 * between the pair and the wire, and goes on until nothing moves any more. Only then may somebody wait. Whatever happens
 * outside (a wish is made, bytes came, bytes were accepted) ends in another #turn. #turn never awaits. That settles
 * most of what goes wrong in such code:
 *
 *  1. Never wait while the network BIO holds bytes: #turn ends with an empty pair, or with the sender at work and a full
 *     #out; it asks the wire for more only after it gave the wire what there was.
 *  2. No await between asking OpenSSL and acting on its answer: there is no await. After an event everything is asked
 *     again; no answer is remembered but success, the end, and failure.
 *  3. One sender: at most one send() is under way, and its bytes are in the order of the pair.
 *  4. A write that is tried again carries the same bytes: it is tried at the same offset of the same array with the same
 *     length, until OpenSSL took them. (Their address in linear memory may differ; the heap may have moved under us.)
 *  5. The error queue is clear before each operation and SSL_get_error is asked right after: Ssl's try… methods.
 *  6. After a failure the alert that OpenSSL has written still leaves, all of it, and no operation is tried again.
 *  7. The pair is bounded, at one byte if somebody likes it so. What is larger goes through in pieces.
 *  8. close_notify comes after all that was written: it has its chance only while no write is pending. SSL_shutdown
 *     during an unfinished SSL_write would lose both.
 *  9. SSL_shutdown is called until it answers 0 or 1, and then never again: a second call meets unread data and kills the
 *     connection. The peer's close_notify is waited for by reading. SSL_get_error after 0 is misleading and not asked.
 * 10. The transport's end is told to OpenSSL (BIO_shutdown_wr), so that OpenSSL says what it means. An end without
 *     close_notify is an error, whose place RecordEdges knows.
 * 11. SSL_RECEIVED_SHUTDOWN is also set by a fatal alert. Clean is only what SSL_read calls a zero return.
 *
 * Memory is bounded by construction: one chunk from the wire (#in), the pair, and two batches towards the wire (#out,
 * and the one being sent). The wire is asked for a chunk only while somebody wants to read and #in is used up.
 */

import { TlsError } from "../errors.js";
import type { BioPair } from "../openssl/bio-pair.js";
import {
  type Ssl,
  WANT_CLIENT_HELLO,
  WANT_READ,
  WANT_SIGNATURE,
  WANT_VERIFY,
  WANT_WRITE,
} from "../openssl/ssl.js";
import { after } from "../timers.js";
import { type Early, EarlyRead, EarlyWrite, type OnEarlyData } from "./early-data.js";
import type { Question, Statistics, TlsEvent, Untimed } from "./events.js";
import { callbackError, transportError } from "./failure.js";
import { RecordEdges } from "./record-edges.js";
import type { Verdict } from "./verdict.js";
import type { Wire } from "./wire.js";
import { PendingWrite, Wish } from "./wish.js";

const QUESTIONS: ReadonlyMap<number, Question> = new Map([
  [WANT_CLIENT_HELLO, "client-hello"],
  [WANT_VERIFY, "verify"],
  [WANT_SIGNATURE, "signature"],
]);

export interface PumpOptions {
  ssl: Ssl;
  pair: BioPair;
  wire: Wire;
  verdict: Verdict;
  /** The pair stays as it is. Otherwise it has the room that is needed at the moment. */
  fixedPair: boolean;
  onEvent?: ((event: TlsEvent) => void) | undefined;
  /** Told the lines of the key log. */
  keylog?: ((line: string) => void) | undefined;
  /**
   * A server's: told what a client sends ahead of the handshake's end, piece by piece. `reply` writes to it as early, and
   * answers false when it is too late for that.
   */
  onEarlyData?: OnEarlyData | undefined;
  /** Told that OpenSSL has new sessions, from within a turn. */
  onNewSession?: (() => void) | undefined;
  /**
   * Finds the answer to what the handshake waits for and gives it to OpenSSL, also where it is a refusal. A rejection, with
   * a `TlsError`, says why, and is what the connection fails with.
   */
  answer?: ((question: Question) => Promise<void>) | undefined;
  /** Called once, when the connection has failed. */
  onFailure(error: TlsError): void;
}

/** A record's worth. */
export const RECORD = 16_384;
/** How much is decrypted, or encrypted, in one call. */
const READ_MOST = 65_536;
export const WRITE_MOST = 65_536;
/** What a record adds at most: header 5, padding and type 1, tag 16, TLS 1.2 nonce 8. */
const RECORD_OVERHEAD = 30;
/**
 * The pair's rings, in bytes, once the handshake is done: for an idle connection and small messages, for a record, and for as
 * much as is written, or comes, at once.
 */
const RINGS = [512, RECORD + RECORD_OVERHEAD, WRITE_MOST + (WRITE_MOST / RECORD) * RECORD_OVERHEAD] as const;
/** How much is gathered for one `send()`. */
const BATCH = 65_536;
/** … at least, so that a pair of a few bytes does not make as many sends. */
const SMALL_BATCH = 2_048;
/** How much goes into one `send()` while we wait for no more than that the transport takes something. */
const SMALL_STEP = 8_192;
/**
 * When a send fails the peer may have said why before it went away. So we read on for so long, in milliseconds, before the
 * failed send is what is reported.
 */
const LAST_WORDS = 1_000;
/** So long the writes that failed wait for that: mostly it is here already, and tells more than the failed send does. */
const FIRST_WORDS = 250;

export class Pump {
  readonly #ssl: Ssl;
  readonly #pair: BioPair;
  readonly #wire: Wire;
  readonly #options: PumpOptions;
  /** What is known of the end. */
  readonly verdict: Verdict;
  readonly #edges = new RecordEdges();
  readonly #sentEdges = new RecordEdges();
  #received = 0;
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
  /** A ticket should come, and nobody needs to read for that. */
  #awaitsTicket = false;
  /** An answer is being looked for. */
  #asking = false;
  /** Why it was none, or a refusal; what OpenSSL fails with then is its consequence. */
  #refused: TlsError | undefined;
  /** After a failure: nothing of an alert is left in OpenSSL. */
  #alertDone = false;

  /** Which of `RINGS` the pair has towards the wire and towards us; undefined before the handshake is done. */
  #rings: { out: number; in: number } | undefined;

  // Towards us
  #in: Uint8Array | undefined;
  #inOffset = 0;
  #receiving = false;
  #wantsInput = false;
  #eof: "no" | "seen" | "told" = "no";

  // Towards the wire
  #out: Uint8Array | undefined;
  #outFill = 0;
  #sending = false;
  #sendError: TlsError | undefined;
  #stopLastWords = () => {};
  /** Bytes that left the pair, and bytes that the wire accepted: a flush waits for the second to reach the first. */
  #produced = 0;
  #accepted = 0;
  #flushes: Wish[] = [];
  #inSmallSteps = false;
  /** Where our close_notify ends in what was produced, once it was. */
  #closeNotifyEnd = Infinity;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#ssl = options.ssl;
    this.#pair = options.pair;
    this.#wire = options.wire;
    this.verdict = options.verdict;
  }

  // ---- wishes

  /** With `earlyData` only for a client with a session that allows it. */
  handshake(earlyData?: Uint8Array): Promise<void> {
    const done = new Wish();
    this.#handshake = done;
    const { onEarlyData } = this.#options;
    if (earlyData) this.#early = new EarlyWrite(this.#ssl, earlyData);
    else if (onEarlyData) {
      const failed = (error: unknown) => {
        this.#failWith(callbackError("onEarlyData", error));
        this.#turn();
      };
      this.#early = new EarlyRead(this.#ssl, onEarlyData, () => this.#turn(), failed);
    }
    this.emit({ type: "handshake-start" });
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
   * (see `ended`). Throws the failure once all that arrived intact was given.
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

  /** Decrypts what is here, as far as `max` bytes, to where Ssl's bulk is. */
  #decrypt(max: number): number {
    let done = 0;
    try {
      while (done < max) {
        done += this.#ssl.tryReadMany(done, max - done);
        const r = this.#ssl.stopped;
        if (r === WANT_READ) {
          if (!this.#feed()) break;
        } else if (r === WANT_WRITE) {
          // A transport may run anybody's code at once, and what was decrypted is where all connections' data goes.
          if (done > 0 || !this.#drain()) break;
        } else if (QUESTIONS.has(r)) {
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
   * A TLS 1.3 client that only writes would never see its tickets. So one chunk after the other is fetched until a ticket
   * has come, or data, which waits for whoever reads: no more is fetched ahead than that.
   */
  awaitTicket(): void {
    this.#awaitsTicket = true;
    this.#turn();
  }

  /** Settles when everything that OpenSSL has written so far was accepted by the transport. */
  flush(): Promise<void> {
    if (this.#sendError) return Promise.reject(this.#sendError);
    const done = new Wish();
    this.#flush(done);
    this.#turn();
    return done.promise;
  }

  /** From now on little goes into one `send()`, so that it is seen whether the transport still takes anything. */
  sendInSmallSteps(): void {
    this.#inSmallSteps = true;
  }

  // ---- what is settled

  /** Bytes that the transport has accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** The transport has accepted it, whole. */
  get closeNotifySent(): boolean {
    return this.#accepted >= this.#closeNotifyEnd;
  }

  get statistics(): Statistics {
    const ask = (what: () => number) => (this.verdict.end === "released" ? 0 : what());
    return {
      sent: {
        bytes: this.#accepted,
        records: this.#sentEdges.records,
        data: this.#dataWritten + (this.#early?.written ?? 0),
      },
      received: {
        bytes: this.#received,
        records: this.#edges.records,
        data: this.#dataRead + (this.#early?.read ?? 0),
      },
      waiting: {
        toTransport: ask(() => this.#everything - this.#accepted),
        fromTransport: ask(() => this.#pair.wpending() + (this.#in ? this.#in.length - this.#inOffset : 0)),
        decrypted: ask(() => this.#ssl.pending()),
      },
    };
  }

  /** The bytes that followed the peer's close_notify and were received already. */
  takeTrailing(): Uint8Array {
    const inPair = this.#pair.takeUnread();
    const inChunk = this.#in?.subarray(this.#inOffset) ?? new Uint8Array(0);
    this.#in = undefined;
    const all = new Uint8Array(inPair.length + inChunk.length);
    all.set(inPair);
    all.set(inChunk, inPair.length);
    return all;
  }

  /** Ends everything here: frees OpenSSL's objects, and rejects what still waits with `reason`. */
  release(reason: unknown): void {
    if (!this.verdict.release(reason)) return;
    this.#early?.stop();
    this.#stopLastWords();
    this.#rejectAll(reason, true);
    this.#in = this.#out = undefined;
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
        // Last, so that what one turn produced leaves as one batch. If it does, the pair is empty, and nothing waits for that.
        if (!moved) this.#startSending();
      } while (moved && !this.#released);
      if (this.#released) return;
      this.#noteEvents();
      if (!this.#in && !this.#write) this.#fit(0, 0, true);
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
    for (const flush of this.#flushes) if (flush.target === Infinity) flush.target = this.#everything;
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
      this.emit({ type: "handshake-done" });
      this.#handshake?.resolve();
      this.#handshake = undefined;
      return true;
    }
    return this.#lacks(r, () => this.#fail(r));
  }

  #stepWrite(write: PendingWrite): boolean {
    if (write.bytes.length !== write.length) {
      // Part of them may have left already, so there is no going on without them.
      this.#failWith(
        new TlsError("invalid-argument", "the bytes of a write were detached before it was done"),
      );
      return true;
    }
    const rest = Math.min(write.length - write.offset, WRITE_MOST);
    this.#fit(rest + Math.ceil(rest / RECORD) * RECORD_OVERHEAD, 0);
    // What does not fit would be copied for nothing, again and again.
    const most = this.#rings?.out === RINGS.length - 1 ? WRITE_MOST : RECORD;
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
    this.#closeNotifyEnd = this.#everything;
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

  /** Neither want moves anything by itself: bytes in or bytes out will. All else is final. */
  #lacks(r: number, final: () => void): boolean {
    if (r === WANT_READ) {
      this.#wantsInput = true;
      return false;
    }
    if (r === WANT_WRITE) return false;
    const question = QUESTIONS.get(r);
    if (question && this.#options.answer && !this.#refused) {
      this.#ask(question, this.#options.answer);
      return false;
    }
    final();
    return true;
  }

  /** The answer comes in its own time; until then OpenSSL goes on saying that it wants one. */
  #ask(question: Question, answer: (question: Question) => Promise<void>): void {
    if (this.#asking) return;
    this.#asking = true;
    // Not from within a turn, see emit.
    Promise.resolve(question)
      .then(answer)
      .catch((error) => {
        this.#refused = error;
      })
      .then(() => {
        this.#asking = false;
        this.#turn();
      });
  }

  /**
   * Rings for so many bytes towards the wire and towards us. An idle connection has the smallest ones: with many connections
   * they would be most of what is allocated. Nothing depends on their size, since pieces go through smaller ones.
   */
  #fit(out: number, into: number, shrink = false): void {
    if (!this.verdict.open || this.#options.fixedPair || this.#eof === "told" || this.verdict.failure) return;
    const now = this.#rings ?? { out: 1, in: 1 };
    const ringFor = (bytes: number, least: number) => {
      const fits = RINGS.findIndex((ring) => ring >= bytes);
      return Math.max(fits < 0 ? RINGS.length - 1 : fits, least);
    };
    const next = { out: ringFor(out, shrink ? 0 : now.out), in: ringFor(into, shrink ? 0 : now.in) };
    if (this.#rings && next.out === now.out && next.in === now.in) return;
    if (this.#pair.resize(RINGS[next.out]!, RINGS[next.in]!)) this.#rings = next;
  }

  /** #in → the pair, as far as there is room. */
  #feed(): boolean {
    if (this.#in) {
      this.#fit(0, this.#in.length - this.#inOffset);
      const n = this.#pair.write(this.#inOffset === 0 ? this.#in : this.#in.subarray(this.#inOffset));
      if (n <= 0) return false;
      this.#inOffset += n;
      if (this.#inOffset === this.#in.length) this.#in = undefined;
      return true;
    }
    if (this.#eof !== "seen") return false;
    this.#eof = "told";
    this.#pair.shutdownWrite();
    return true;
  }

  /** The pair → #out, and on to the wire when that is full. */
  #drain(): boolean {
    let moved = false;
    for (let pending = this.#pair.pending(); pending > 0; pending = this.#pair.pending()) {
      if (this.#out && this.#outFill === this.#out.length && !this.#startSending()) break;
      let n: number;
      if (this.#out === undefined && !this.#options.fixedPair) {
        this.#out = this.#pair.take();
        this.#outFill = n = this.#out.length;
        this.#sentEdges.observe(this.#out);
      } else {
        // What comes of a small pair is gathered.
        this.#out ??= new Uint8Array(this.#batchSize(pending));
        n = this.#pair.read(this.#out.subarray(this.#outFill));
        this.#sentEdges.observe(this.#out.subarray(this.#outFill, this.#outFill + n));
        this.#outFill += n;
      }
      this.#produced += n;
      moved = true;
    }
    return moved;
  }

  /** Room for what is there, and for what the write under way will add. */
  #batchSize(pending: number): number {
    if (!this.#write) return Math.max(pending, SMALL_BATCH);
    const rest = this.#write.length - this.#write.offset;
    const records = Math.ceil(rest / RECORD);
    return Math.max(pending, Math.min(BATCH, pending + rest + records * RECORD_OVERHEAD));
  }

  /** True when it took #out away, so that there is room again. */
  #startSending(): boolean {
    if (this.#out === undefined || this.#sending) return false;
    if (this.#inSmallSteps && this.#outFill > SMALL_STEP && !this.#sendError) {
      const rest = this.#out.subarray(SMALL_STEP, this.#outFill);
      this.#send(this.#out.subarray(0, SMALL_STEP));
      this.#out = rest;
      this.#outFill = rest.length;
      return false;
    }
    // A buffer that is mostly empty is not worth keeping alive for as long as the transport may.
    const mostlyEmpty = this.#outFill < this.#out.length / 2;
    const bytes = mostlyEmpty ? this.#out.slice(0, this.#outFill) : this.#out.subarray(0, this.#outFill);
    this.#out = undefined;
    this.#outFill = 0;
    if (this.#sendError) return true; // nobody takes them any more
    this.#send(bytes);
    return true;
  }

  #send(bytes: Uint8Array): void {
    this.#sending = true;
    this.#wire.send(bytes).then(
      () => {
        this.#sending = false;
        this.#accepted += bytes.length;
        this.#settleFlushes();
        this.#turn();
      },
      (cause) => {
        this.#sending = false;
        this.#sendFailed(cause);
      },
    );
  }

  #startReceiving(): void {
    if (!this.#wantsInput || this.#receiving || this.#in || this.#eof !== "no" || this.verdict.failure)
      return;
    this.#receiving = true;
    this.#wire.receive().then(
      (bytes) => {
        this.#receiving = false;
        if (this.#released) return;
        if (bytes === null) {
          this.#eof = "seen";
          this.emit({ type: "transport-end" });
        } else {
          this.#edges.observe(bytes);
          this.#received += bytes.length;
          this.#in = bytes;
          this.#inOffset = 0;
        }
        this.#turn();
      },
      (cause) => {
        this.#receiving = false;
        if (this.#released) return;
        this.#failWith(this.#sendError ?? transportError("receiving", cause));
        this.#turn();
      },
    );
  }

  // ---- flushes

  #flush(wish: Wish): void {
    // The rest of an alert is not in the pair yet, and will be.
    const incomplete = this.verdict.failure !== undefined && !this.#alertDone;
    wish.target = incomplete ? Infinity : this.#everything;
    this.#flushes.push(wish);
    this.#settleFlushes();
  }

  /** What OpenSSL has written until now, in bytes. */
  get #everything(): number {
    return this.#produced + this.#pair.pending();
  }

  #settleFlushes(): void {
    while (this.#flushes.length > 0 && this.#flushes[0]!.target <= this.#accepted)
      this.#flushes.shift()!.resolve();
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
      this.#refused ??
      this.verdict.explain(r, failure, {
        edges: this.#edges,
        ended: this.#eof === "told",
        sendError: this.#sendError,
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
    this.#rejectAll(error, this.#sendError !== undefined);
    // Not from within a turn, see emit.
    queueMicrotask(() => this.#options.onFailure(error));
  }

  /** A send failed. The peer may have told us why before: read on for a moment (see LAST_WORDS). */
  #sendFailed(cause: unknown): void {
    if (this.#released) return;
    const sendError = transportError("sending", cause);
    this.#sendError = sendError;
    // They wait with the others, for what is known then, and not for OpenSSL.
    for (const wish of [this.#write, this.#closeNotify]) if (wish) this.#flushes.push(wish);
    this.#write = this.#closeNotify = undefined;
    const tell = (reason: TlsError) => {
      for (const flush of this.#flushes.splice(0)) flush.reject(reason);
    };
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
    return this.verdict.refusal ?? this.#sendError;
  }

  #rejectAll(reason: unknown, flushesToo: boolean): void {
    const waiting = [this.#handshake, this.#write, this.#closeNotify, ...this.#readers.splice(0)];
    this.#handshake = this.#write = this.#closeNotify = undefined;
    for (const wish of waiting) wish?.reject(reason);
    // After a failure they still wait for the alert to leave, if it can.
    if (flushesToo) for (const flush of this.#flushes.splice(0)) flush.reject(reason);
  }

  // ---- events

  #noteEvents(): void {
    for (const event of this.verdict.takeEvents()) {
      switch (event.type) {
        case "new-session":
          this.#awaitsTicket = false;
          this.#options.onNewSession?.();
          break;
        case "keylog": {
          const { keylog } = this.#options;
          if (keylog) queueMicrotask(() => keylog(event.line));
          continue;
        }
      }
      this.emit(event);
    }
  }

  emit(event: Untimed<TlsEvent>): void {
    const { onEvent } = this.#options;
    if (!onEvent) return;
    const whole = { time: performance.now(), ...event } as TlsEvent;
    // Not from within a turn: what the application does then must not find OpenSSL in the middle of something.
    queueMicrotask(() => onEvent(whole));
  }
}
