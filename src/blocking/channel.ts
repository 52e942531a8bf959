import { messageOf, readOptions, type Table, whole } from "../check.js";
import { TlsError } from "../errors.js";
import { Ring } from "./ring.js";

/**
 * What joins a thread that blocks with one that carries its bytes: shared memory, made by {@link newChannel} on either
 * side and posted to the other.
 */
export type Channel = SharedArrayBuffer;

export interface ChannelOptions {
  /** How many bytes may wait in each direction, 1 to 2^28. Default 256 KiB. */
  size?: number;
}

const OPTIONS: Table<ChannelOptions> = { size: whole(1, 2 ** 28, " bytes") };

/**
 * newChannel makes the shared memory for one transport.
 *
 * @throws TlsError "not-isolated" if there is no shared memory
 *
 * @example
 * ```ts
 * import { newChannel } from "wassl/blocking";
 *
 * const channel = newChannel({ size: 64 * 1024 });
 * new Worker("worker.js", { type: "module" }).postMessage(channel);
 * ```
 */
export function newChannel(options: ChannelOptions = {}): Channel {
  requireIsolation();
  const { size = 256 * 1024 } = readOptions(options, OPTIONS, "newChannel");
  const channel = new SharedArrayBuffer(HEADER + 2 * size);
  new Int32Array(channel, 0, WORDS)[Word.magic] = MAGIC;
  return channel;
}

/** The words at the beginning. All but `magic` begin with 0. */
export const Word = {
  magic: 0,
  /** Counts what happened for the thread that blocks, which waits on it. */
  blockingEvent: 1,
  /** The same for the carrier. */
  carrierEvent: 2,
  /** Which thread carries, and which one blocks: see {@link claim}. */
  carrier: 3,
  blocking: 4,
  /** Said by the side that blocks: {@link Wish}. */
  wish: 5,
  /** Said by the carrier: {@link Course} of receiving, of sending, and whether it gave all up. */
  receiving: 6,
  sending: 7,
  givenUp: 8,
  inHead: 9,
  inTail: 10,
  outHead: 11,
  outTail: 12,
  /** The length of each {@link Note}, four words. */
  notes: 13,
  /** The side that blocks has come to a complete end. */
  settled: 17,
} as const;

/** What the side that blocks wants of the transport, after all that it wrote. It only ever goes up. */
export const Wish = { open: 0, endWriting: 1, release: 2, close: 3, abort: 4 } as const;

export const Course = { open: 0, ended: 1, failed: 2 } as const;

/** Why something ended, as text: nothing else crosses without an event loop to take it. */
export const Note = { abort: 0, receiving: 1, sending: 2, givenUp: 3 } as const;

const MAGIC = 0x5761_736c;
const WORDS = 32;
const NOTE_SIZE = 512;
const HEADER = 4 * WORDS + 4 * NOTE_SIZE;

/** A channel, as both sides see it. */
export class Shared {
  readonly words: Int32Array;
  /** To the side that blocks. */
  readonly incoming: Ring;
  /** From it. */
  readonly outgoing: Ring;
  readonly #notes: Uint8Array;

  constructor(channel: Channel) {
    requireIsolation();
    const length = channel?.[Symbol.toStringTag] === "SharedArrayBuffer" ? channel.byteLength : 0;
    if (length <= HEADER || new Int32Array(channel, 0, WORDS)[Word.magic] !== MAGIC) {
      throw new TlsError("invalid-argument", "a channel must be what newChannel() made");
    }
    const size = (length - HEADER) / 2;
    this.words = new Int32Array(channel, 0, WORDS);
    this.#notes = new Uint8Array(channel, 4 * WORDS, 4 * NOTE_SIZE);
    const ring = (head: number, tail: number, at: number) =>
      new Ring(this.words, head, tail, new Uint8Array(channel, at, size));
    this.incoming = ring(Word.inHead, Word.inTail, HEADER);
    this.outgoing = ring(Word.outHead, Word.outTail, HEADER + size);
  }

  /** Each side of a ring belongs to one thread: a second thread is refused. */
  claim(side: typeof Word.carrier | typeof Word.blocking): void {
    if (Atomics.compareExchange(this.words, side, 0, thread) === 0) return;
    throw new TlsError(
      "invalid-argument",
      "this end of the channel is used already: each transport needs a channel of its own, from newChannel()",
    );
  }

  /** Whether it is this very thread that carries: it cannot while it waits. */
  get carriesItself(): boolean {
    return Atomics.load(this.words, Word.carrier) === thread;
  }

  get(word: number): number {
    return Atomics.load(this.words, word);
  }

  set(word: number, value: number): void {
    Atomics.store(this.words, word, value);
  }

  /** Something happened: a thread that waits on `event` looks again. */
  wake(event: typeof Word.blockingEvent | typeof Word.carrierEvent): void {
    Atomics.add(this.words, event, 1);
    Atomics.notify(this.words, event);
  }

  /** Set before the word that it belongs to. */
  setNote(note: number, reason: unknown): void {
    const bytes = new TextEncoder().encode(messageOf(reason));
    const part = bytes.subarray(0, NOTE_SIZE);
    this.#notes.set(part, note * NOTE_SIZE);
    this.set(Word.notes + note, part.length);
  }

  note(note: number): string {
    const at = note * NOTE_SIZE;
    // A copy: no decoder takes shared memory.
    return new TextDecoder().decode(this.#notes.slice(at, at + this.get(Word.notes + note)));
  }
}

/** A number of this thread's own, never 0. */
const thread = Math.floor(Math.random() * (2 ** 31 - 1)) + 1;

function requireIsolation(): void {
  if (typeof SharedArrayBuffer === "function" && globalThis.crossOriginIsolated !== false) return;
  throw new TlsError(
    "not-isolated",
    "there is no shared memory here: the page must be cross-origin isolated, by the response headers " +
      '"Cross-Origin-Opener-Policy: same-origin" and "Cross-Origin-Embedder-Policy: require-corp"',
  );
}
