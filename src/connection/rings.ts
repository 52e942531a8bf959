/**
 * How large a connection's BIO pair is. Only speed and memory depend on that, because pieces go through smaller rings.
 */
import type { BioPairCore } from "../openssl/bio-pair-core.js";

/** The plaintext of a full record, in bytes. */
export const RECORD = 16_384;
/** How much is encrypted in one call, in bytes. */
export const WRITE_MOST = 65_536;
/** What a record adds at most: header 5, padding and type 1, tag 16, TLS 1.2 nonce 8. */
const RECORD_OVERHEAD = 30;

/** At most so many bytes become of `length` bytes of application data. */
export function encryptedLength(length: number): number {
  return length + Math.ceil(length / RECORD) * RECORD_OVERHEAD;
}

/**
 * The sizes that a ring has once the handshake is done, in bytes: for an idle connection and small messages, for a
 * record, and for as much as is written, or arrives, at once.
 */
const SIZES = [512, encryptedLength(RECORD), encryptedLength(WRITE_MOST)] as const;
const LARGEST = SIZES.length - 1;

/**
 * The two rings of a pair. An idle connection has the smallest ones: with many connections they would be most of its
 * memory.
 */
export class Rings {
  readonly #pair: BioPairCore;
  /** By number in `SIZES`, once the pair has one of these. */
  #out = 1;
  #in = 1;
  #sized = false;

  constructor(pair: BioPairCore) {
    this.#pair = pair;
  }

  /** Towards the wire there is room for all that one call may write. */
  get isLargest(): boolean {
    return this.#sized && this.#out === LARGEST;
  }

  /** Makes room for what one call may encrypt of so many bytes. A pair that holds some stays as it is. */
  growForWrite(rest: number): void {
    this.#resize(Math.max(sizeFor(encryptedLength(Math.min(rest, WRITE_MOST))), this.#out), this.#in);
  }

  /** Makes room for so many bytes from the wire. A pair that holds some stays as it is. */
  growForInput(waiting: number): void {
    this.#resize(this.#out, Math.max(sizeFor(waiting), this.#in));
  }

  /** Gives back what an idle connection does not need. */
  shrink(): void {
    this.#resize(0, 0);
  }

  #resize(out: number, into: number): void {
    if (this.#sized && out === this.#out && into === this.#in) return;
    if (!this.#pair.resize(SIZES[out]!, SIZES[into]!)) return;
    this.#sized = true;
    this.#out = out;
    this.#in = into;
  }
}

/** The number of the smallest size that holds so many bytes, or of the largest one. */
function sizeFor(bytes: number): number {
  let size = 0;
  while (size < LARGEST && SIZES[size]! < bytes) size++;
  return size;
}
