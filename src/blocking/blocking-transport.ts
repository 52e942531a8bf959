import { transportError } from "../connection/failure.js";
import { dispose } from "../engine.js";
import { TlsError } from "../errors.js";
import { requireBytes } from "../openssl/library.js";
import { type Channel, Course, Note, Shared, Wish, Word } from "./channel.js";
import { Deadline, type Timeout } from "./deadline.js";
import type { Ring } from "./ring.js";

/**
 * BlockingTransport is a transport for a thread that waits for its bytes: the other end of what {@link carry} carries.
 * It is to a `BlockingTls` what a blocking socket is to OpenSSL, and like a socket it can be used without TLS, before
 * and after.
 *
 * What is written is handed to the channel, as to a socket's buffer: it is on its way then, whatever becomes of this
 * thread, and a later call tells of a failure to send it.
 *
 * @example
 * ```ts
 * import { BlockingTransport, type Channel } from "wassl/blocking";
 *
 * // One byte in the clear, as PostgreSQL answers a request for TLS.
 * function answer(channel: Channel): number {
 *   const transport = new BlockingTransport(channel);
 *   transport.write(Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47));
 *   const byte = new Uint8Array(1);
 *   transport.read(byte, { timeout: 5_000 });
 *   return byte[0]!;
 * }
 * ```
 */
export class BlockingTransport implements Disposable {
  readonly #shared: Shared;
  #locked = false;

  /**
   * @throws TlsError "not-isolated" if there is no shared memory; "cannot-block" on a thread that must not wait, such
   *   as a page's own
   */
  constructor(channel: Channel) {
    this.#shared = new Shared(channel);
    const { words } = this.#shared;
    try {
      // The engine checks whether the thread may wait before anything else, so this never waits.
      Atomics.wait(words, Word.magic, 0, 0);
    } catch (cause) {
      throw new TlsError("cannot-block", "this thread must not block: use a Worker", { cause });
    }
    this.#shared.claim(Word.blocking);
  }

  /** Waits for bytes, and returns how many were put into `dst`; 0 at the end. */
  read(dst: Uint8Array, options: Timeout = {}): number {
    requireRoom(dst);
    this.#requireFree();
    const deadline = Deadline.of(options, "read()");
    for (;;) {
      const { event } = this;
      const { receiving } = this;
      const n = this.incoming.peek(dst);
      if (n > 0) {
        this.consumed(n);
        return n;
      }
      if (receiving === Course.ended) return 0;
      this.throwIfGivenUp();
      if (receiving === Course.failed) throw this.receiveError();
      this.wait(event, deadline, "no data");
    }
  }

  /** Waits until the channel has all of `bytes`, and returns how many that are. */
  write(bytes: Uint8Array, options: Timeout = {}): number {
    requireBytes(bytes, "what is written");
    this.#requireFree();
    if (this.#wish !== Wish.open) throw new TlsError("closed", "the writing side is closed");
    const deadline = Deadline.of(options, "write()");
    this.#shared.set(Word.settled, 0);
    for (let written = 0; ; ) {
      const { event } = this;
      this.throwIfGivenUp();
      if (this.sendError) throw this.sendError;
      const n = this.outgoing.write(bytes.subarray(written));
      if (n > 0) this.produced();
      written += n;
      if (written === bytes.length) return written;
      this.wait(event, deadline, "the transport did not take all bytes", written);
    }
  }

  /** Says that no more bytes follow. Reading goes on, if the transport knows half-close. */
  closeWrite(): void {
    this.#requireFree();
    this.#wishFor(Wish.endWriting);
  }

  /** Gives the transport back to the carrier's side, after all that was written, as it is: see {@link carry}. */
  release(): void {
    this.#requireFree();
    this.#wishFor(Wish.release);
  }

  /** Closes the transport, after all that was written. Does not wait for that. */
  close(): void {
    this.#wishFor(Wish.close);
  }

  /** Gives the transport up. Only the message of `reason` reaches the carrier. */
  abort(reason: unknown = "no reason was given"): void {
    if (this.#wish >= Wish.abort) return;
    this.#shared.setNote(Note.abort, reason);
    this.#wishFor(Wish.abort);
  }

  [dispose](): void {
    this.close();
  }

  // For TLS

  /** @internal */
  get incoming(): Ring {
    return this.#shared.incoming;
  }

  /** @internal */
  get outgoing(): Ring {
    return this.#shared.outgoing;
  }

  /** No other code reads or writes until it is unlocked. @internal */
  lock(): void {
    this.#requireFree();
    if (this.#wish !== Wish.open) throw new TlsError("closed", "the writing side of the transport is closed");
    this.#locked = true;
  }

  /** @internal */
  unlock(): void {
    this.#locked = false;
  }

  /** To be asked before looking whether there is something to do; then `wait` misses nothing. @internal */
  get event(): number {
    return this.#shared.get(Word.blockingEvent);
  }

  /** Closed, aborted or given back, by this side. @internal */
  get gone(): boolean {
    return this.#wish >= Wish.release;
  }

  /** @internal */
  throwIfGone(): void {
    if (this.gone) throw new TlsError("closed", "the transport is closed on our side");
  }

  /** A {@link Course}. To be asked before `incoming`: what came before the end is there then. @internal */
  get receiving(): number {
    return this.#shared.get(Word.receiving);
  }

  /** @internal */
  get givenUp(): boolean {
    return this.#shared.get(Word.givenUp) !== 0;
  }

  /** @internal */
  throwIfGivenUp(): void {
    if (!this.givenUp) return;
    throw new TlsError("transport", `the transport was given up: ${this.#shared.note(Note.givenUp)}`);
  }

  /** Both sides have said everything: what fails from now on is not a failure. @internal */
  settle(): void {
    this.#shared.set(Word.settled, 1);
  }

  /** @internal */
  receiveError(): TlsError {
    return transportError("receiving", this.#shared.note(Note.receiving));
  }

  #sendError: TlsError | undefined;

  /** @internal */
  get sendError(): TlsError | undefined {
    if (this.#shared.get(Word.sending) === Course.failed) {
      this.#sendError ??= transportError("sending", this.#shared.note(Note.sending));
    }
    return this.#sendError;
  }

  /** @internal */
  consumed(count: number): void {
    if (count === 0) return;
    this.incoming.consume(count);
    this.#shared.wake(Word.carrierEvent);
  }

  /** @internal */
  produced(): void {
    this.#shared.wake(Word.carrierEvent);
  }

  /** Waits until something happened since `event`. @internal */
  wait(event: number, deadline: Deadline, what: string, written = 0): void {
    if (this.#shared.carriesItself) {
      throw new TlsError("cannot-block", "the thread that carries the bytes would wait for itself");
    }
    const { left } = deadline;
    if (left > 0) {
      if (Atomics.wait(this.#shared.words, Word.blockingEvent, event, left) !== "timed-out") return;
      // Timers are coarse: early is not late.
      if (deadline.left > 0) return;
    }
    const error = deadline.passed(what);
    error.written = written;
    throw error;
  }

  get #wish(): number {
    return this.#shared.get(Word.wish);
  }

  #wishFor(wish: number): void {
    // A released transport does not belong to this side any more.
    if (wish <= this.#wish || this.#wish === Wish.release) return;
    this.#shared.set(Word.wish, wish);
    this.#shared.wake(Word.carrierEvent);
  }

  #requireFree(): void {
    this.throwIfGone();
    if (this.#locked)
      throw new TlsError(
        "invalid-argument",
        "this transport belongs to a TLS connection: read and write that one",
      );
  }
}

/** An empty destination would make 0 mean two things. */
export function requireRoom(dst: Uint8Array): void {
  requireBytes(dst, "the destination");
  if (dst.length === 0)
    throw new TlsError("invalid-argument", "the destination of read() must have room for one byte at least");
}
