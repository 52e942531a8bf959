/** What came from the wire, on its way to OpenSSL: one chunk, or its end. It asks for nothing itself; the pump does. */
import type { BioPairCore } from "../openssl/bio-pair-core.js";
import { RecordEdges } from "./record-edges.js";

export class Inbox {
  /** Where the records begin and end in all that came. */
  readonly edges: RecordEdges = new RecordEdges();
  readonly #pair: BioPairCore;
  #chunk: Uint8Array | undefined;
  /** How much of the chunk is in the pair. */
  #offset = 0;
  /** The wire was asked for more, and has not answered. */
  #asked = false;
  /** Of the transport: seen by us, then told to OpenSSL, behind the last bytes. */
  #end: "no" | "seen" | "told" = "no";
  #received = 0;

  constructor(pair: BioPairCore) {
    this.#pair = pair;
  }

  /** Bytes that came until now, all in all. */
  get received(): number {
    return this.#received;
  }

  /** Bytes that are here, and not in the pair. */
  get waiting(): number {
    return this.#chunk === undefined ? 0 : this.#chunk.length - this.#offset;
  }

  /** Nothing is here, and more may come: the wire may be asked. */
  get mayAsk(): boolean {
    return !this.#asked && this.#chunk === undefined && this.#end === "no";
  }

  /** OpenSSL knows that the transport has ended. */
  get endIsTold(): boolean {
    return this.#end === "told";
  }

  /** The wire is being asked. */
  asks(): void {
    this.#asked = true;
  }

  /** The wire has answered: with bytes, with its end (null), or not at all (undefined). */
  put(bytes: Uint8Array | null | undefined): void {
    this.#asked = false;
    if (bytes === null) this.#end = "seen";
    if (!bytes) return;
    this.edges.observe(bytes);
    this.#received += bytes.length;
    this.#chunk = bytes;
    this.#offset = 0;
  }

  /**
   * Moves what is here into the pair, as far as there is room, and then tells of the end. True when something moved.
   */
  feed(): boolean {
    if (this.#chunk) {
      const n = this.#pair.write(this.#offset === 0 ? this.#chunk : this.#chunk.subarray(this.#offset));
      if (n <= 0) return false;
      this.#offset += n;
      if (this.#offset === this.#chunk.length) this.#chunk = undefined;
      return true;
    }
    if (this.#end !== "seen") return false;
    this.#end = "told";
    this.#pair.shutdownWrite();
    return true;
  }

  /** Takes back all that OpenSSL has not read: in the pair, and here. */
  takeUnread(): Uint8Array {
    const inPair = this.#pair.takeUnread();
    const inChunk = this.#chunk?.subarray(this.#offset) ?? new Uint8Array(0);
    this.#chunk = undefined;
    const all = new Uint8Array(inPair.length + inChunk.length);
    all.set(inPair);
    all.set(inChunk, inPair.length);
    return all;
  }

  /** Forgets what is here. */
  clear(): void {
    this.#chunk = undefined;
  }
}
