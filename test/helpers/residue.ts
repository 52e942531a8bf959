/** What of the secrets that went through an instance of OpenSSL is still in its memory? */

import type { OpenSsl } from "wassl";
import { dispose } from "./dispose.ts";

/** A secret shorter than this may be anything else. */
const WINDOW = 16;
const STEP = 8;
/** `STACK_SIZE` in wasm/openssl.lock. */
const STACK = 262_144;

export class Watch implements Disposable {
  readonly #secrets = new Map<string, Uint8Array>();
  readonly #known: Uint8Array[] = [];
  readonly #real = crypto.getRandomValues;
  #memory: ArrayBuffer | undefined;
  #drawn = 0;

  /** Until it is disposed of, also notes whatever random numbers OpenSSL asks for: keys are made of them. */
  constructor() {
    crypto.getRandomValues = ((array: Uint8Array<ArrayBuffer>) => {
      this.#real.call(crypto, array);
      // No other code has so much memory.
      if (array.buffer.byteLength >= 2 ** 20) {
        this.#memory = array.buffer;
        this.secret(`random numbers, draw ${++this.#drawn}`, array);
      }
      return array;
    }) as typeof crypto.getRandomValues;
  }

  secret(what: string, bytes: Uint8Array): void {
    if (bytes.length >= WINDOW) this.#secrets.set(what, bytes.slice());
  }

  /** What may stay, because it is no secret. */
  known(bytes: Uint8Array): void {
    this.#known.push(bytes.slice(), bytes.slice().reverse());
  }

  get count(): number {
    return this.#secrets.size;
  }

  /** The secrets of which 16 bytes in a row are still there, forwards, or backwards as the words of a number are. */
  residue(openssl: OpenSsl): string[] {
    const before = this.#secrets.size;
    // Asks for random numbers, and so shows where memory is now.
    openssl.newContext("server").free();
    if (this.#secrets.size === before) throw new Error("a new context asked for no random numbers");
    const windows = new Map<number, [what: string, window: Uint8Array][]>();
    for (const [what, bytes] of this.#secrets) {
      for (const each of [bytes, bytes.slice().reverse()]) {
        for (let at = 0; at + WINDOW <= each.length; at += STEP) {
          const window = each.subarray(at, at + WINDOW);
          if (window.every((byte) => byte === window[0])) continue;
          const first = window[0]! | (window[1]! << 8);
          const list = windows.get(first);
          if (list) list.push([what, window]);
          else windows.set(first, [[what, window]]);
        }
      }
    }
    const search = (where: Uint8Array, found: (what: string, window: Uint8Array) => void) => {
      const begins = new Uint8Array(65_536);
      for (const first of windows.keys()) begins[first] = 1;
      for (let at = 0; at + WINDOW <= where.length; at++) {
        const first = where[at]! | (where[at + 1]! << 8);
        if (begins[first] === 0) continue;
        for (const [what, window] of windows.get(first)!) {
          let same = 2;
          while (same < WINDOW && where[at + same] === window[same]) same++;
          if (same === WINDOW) found(what, window);
        }
      }
    };
    const known = new Set<Uint8Array>();
    for (const bytes of this.#known) search(bytes, (_what, window) => known.add(window));
    const left = new Set<string>();
    search(new Uint8Array(this.#memory!), (what, window) => {
      if (!known.has(window)) left.add(what);
    });
    return [...left];
  }

  /**
   * How much calls that have returned left on the stack, in bytes, when `residue` was called. What they computed of a
   * secret is nowhere to be looked up.
   */
  get onStack(): number {
    // The stack lies at the bottom, as large as wasm/openssl.lock says. Its first frames are those of the code that
    // overwrites it.
    return new Uint8Array(this.#memory!, 16, STACK - 1024).reduce(
      (count, byte) => count + Number(byte !== 0),
      0,
    );
  }

  [dispose](): void {
    crypto.getRandomValues = this.#real;
  }
}
