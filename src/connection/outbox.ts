/**
 * What OpenSSL has written, on its way to the wire: gathered from the pair into batches, of which one at a time is
 * sent; and the promises that wait until so much of it was accepted. Sends nothing itself; the pump does.
 */
import type { TlsError } from "../errors.js";
import type { BioPairCore } from "../openssl/bio-pair-core.js";
import { RecordEdges } from "./record-edges.js";
import { encryptedLength } from "./rings.js";
import type { Wish } from "./wishes.js";

/** How much is gathered for one `send()`, in bytes. */
const BATCH = 65_536;
/** … at least, so that a pair of a few bytes does not make as many sends. */
const SMALL_BATCH = 2_048;
/** How much goes into one `send()` while we wait for no more than that the transport takes something. */
const SMALL_STEP = 8_192;

export class Outbox {
  readonly #pair: BioPairCore;
  /** The pair may be small: what comes of it is gathered. Otherwise all that it holds makes a batch. */
  readonly #gathers: boolean;
  readonly #edges = new RecordEdges(false);
  #batch: Uint8Array | undefined;
  #fill = 0;
  #isFull = false;
  /** A batch was given to the wire, which has not accepted it yet. */
  #sending = false;
  #sendError: TlsError | undefined;
  /** Bytes that left the pair, and bytes that the wire accepted: a flush waits for the second to reach the first. */
  #taken = 0;
  #accepted = 0;
  #flushes: Wish[] = [];
  #inSmallSteps = false;
  /** Where our close_notify ends in what was written, once it was. */
  #closeNotifyEnd = Infinity;

  constructor(pair: BioPairCore, gathers: boolean) {
    this.#pair = pair;
    this.#gathers = gathers;
  }

  /** Bytes that the transport has accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Bytes that OpenSSL has written until now. */
  get written(): number {
    return this.#taken + this.#pair.pending();
  }

  /** Records that left the pair. */
  get records(): number {
    return this.#edges.records;
  }

  /** Why a send failed; nothing leaves any more. */
  get sendError(): TlsError | undefined {
    return this.#sendError;
  }

  /** The pair holds bytes for which there is no room here. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Nothing is here, beside what is being sent. */
  get isEmpty(): boolean {
    return this.#batch === undefined;
  }

  /** The transport has accepted our close_notify, whole. */
  get closeNotifySent(): boolean {
    return this.#accepted >= this.#closeNotifyEnd;
  }

  /**
   * Takes what the pair holds, as far as there is room. Of the write under way `rest` bytes are still to be encrypted.
   */
  collect(rest: number): boolean {
    let moved = false;
    this.#isFull = false;
    for (let pending = this.#pair.pending(); pending > 0; pending = this.#pair.pending()) {
      if (this.#batch && this.#fill === this.#batch.length) {
        this.#isFull = true;
        break;
      }
      let n: number;
      if (this.#batch === undefined && !this.#gathers) {
        this.#batch = this.#pair.take();
        this.#fill = n = this.#batch.length;
        this.#edges.observe(this.#batch);
      } else {
        this.#batch ??= new Uint8Array(batchSize(pending, rest));
        n = this.#pair.read(this.#batch.subarray(this.#fill));
        this.#edges.observe(this.#batch.subarray(this.#fill, this.#fill + n));
        this.#fill += n;
      }
      this.#taken += n;
      moved = true;
    }
    return moved;
  }

  /** What is to be sent now; undefined while the wire is at work, or there is nothing. */
  next(): Uint8Array | undefined {
    if (this.#batch === undefined || this.#sending) return undefined;
    const bytes = this.#cut(this.#batch);
    if (this.#sendError) return undefined; // nobody takes them any more
    this.#sending = true;
    return bytes;
  }

  #cut(batch: Uint8Array): Uint8Array {
    if (this.#inSmallSteps && this.#fill > SMALL_STEP && !this.#sendError) {
      this.#batch = batch.subarray(SMALL_STEP, this.#fill);
      this.#fill = this.#batch.length;
      return batch.subarray(0, SMALL_STEP);
    }
    // A buffer that is mostly empty is not worth keeping alive for as long as the transport may.
    const mostlyEmpty = this.#fill < batch.length / 2;
    const bytes = mostlyEmpty ? batch.slice(0, this.#fill) : batch.subarray(0, this.#fill);
    this.#batch = undefined;
    this.#fill = 0;
    return bytes;
  }

  /** The wire has accepted so many bytes, the whole of what it was given. */
  accept(length: number): void {
    this.#sending = false;
    this.#accepted += length;
    this.#settle();
  }

  /** The wire has failed to send. */
  fail(error: TlsError): void {
    this.#sending = false;
    this.#sendError = error;
  }

  /** From now on little goes into one `send()`, so that it is seen whether the transport still takes anything. */
  sendInSmallSteps(): void {
    this.#inSmallSteps = true;
  }

  /** OpenSSL has written our close_notify. */
  closeNotifyWritten(): void {
    this.#closeNotifyEnd = this.written;
  }

  /**
   * Resolves `wish` when the wire has accepted all that was written until now, or, unless `complete`, until
   * `completed()`.
   */
  flush(wish: Wish, complete: boolean): void {
    wish.target = complete ? this.written : Infinity;
    this.#flushes.push(wish);
    this.#settle();
  }

  /** All is written that flushes wait for which were not complete. */
  completed(): void {
    for (const flush of this.#flushes) if (flush.target === Infinity) flush.target = this.written;
  }

  /** Resolved by no send any more: `wish` waits for `reject`. */
  strand(wish: Wish): void {
    this.#flushes.push(wish);
  }

  reject(reason: unknown): void {
    for (const flush of this.#flushes.splice(0)) flush.reject(reason);
  }

  /** Forgets what is here. */
  clear(): void {
    this.#batch = undefined;
  }

  #settle(): void {
    while (this.#flushes.length > 0 && this.#flushes[0]!.target <= this.#accepted)
      this.#flushes.shift()!.resolve();
  }
}

/** Room for what is there, and for what the write under way will add. */
function batchSize(pending: number, rest: number): number {
  if (rest === 0) return Math.max(pending, SMALL_BATCH);
  return Math.max(pending, Math.min(BATCH, pending + encryptedLength(rest)));
}
