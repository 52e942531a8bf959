import { RECORD, WRITE_MOST } from "./rings.js";

/**
 * Small chunks, copied together for one write: they share records, crossings into WASM and a send. It uses memory only
 * while it holds some.
 */
export class Gathering {
  #buffer: Uint8Array | undefined;
  #length = 0;

  /** `chunk` cannot join what is here, which must be written first. */
  blocks(chunk: Uint8Array): boolean {
    return chunk.length > RECORD || this.#length + chunk.length > WRITE_MOST;
  }

  /** What to write now, with `chunk` at its end. Undefined if the chunk was gathered, because `more` will come. */
  add(chunk: Uint8Array, more: boolean): Uint8Array | undefined {
    if (this.#length === 0 && (!more || chunk.length > RECORD)) return chunk;
    this.#buffer ??= new Uint8Array(WRITE_MOST);
    this.#buffer.set(chunk, this.#length);
    this.#length += chunk.length;
    return more && this.#length < WRITE_MOST ? undefined : this.take();
  }

  /** All that is here, maybe nothing; it belongs to the caller then. */
  take(): Uint8Array {
    const bytes = this.#buffer?.subarray(0, this.#length) ?? new Uint8Array(0);
    this.#buffer = undefined;
    this.#length = 0;
    return bytes;
  }

  get length(): number {
    return this.#length;
  }
}
