/**
 * What the numbers mean that go in and out of openssl.wasm. These types are for the compiler alone: at run time a
 * pointer is a number, so they cost nothing. `abi.ts` is made of them, from the words in `wasm/abi/abi.h`:
 *
 * - a pointer to an `SSL` does not pass for one to an `SSL_CTX`, bytes do not pass for a text, and a number passes for
 *   neither;
 * - what is borrowed cannot be freed, and what is owned cannot be dropped for a borrowed pointer by mistake: it is put
 *   into a {@link Held} (or an object of `openssl/`), which lends it and gives it away once;
 * - 0 has to be looked at, where it can come;
 * - an answer of yes and no, a success and a number are not each other.
 *
 * An `unsigned` comes out of WebAssembly as a signed number: where all 32 bits count, `>>> 0`.
 */
import { TlsError } from "../errors.js";

declare const pointee: unique symbol;
declare const owned: unique symbol;
declare const result: unique symbol;

/** The address of a T that belongs to something else: good as long as that does. Never freed. */
export type Borrowed<T extends string> = number & { readonly [pointee]: T; readonly [owned]: false };

/** The address of a T that its holder has to free, once: see {@link Held}. */
export type Owned<T extends string> = number & { readonly [pointee]: T; readonly [owned]: true };

/** Plain memory; its length stands beside it. */
export type Bytes = Borrowed<"bytes">;

/** A C string: it ends with a NUL. */
export type Text = Borrowed<"text">;

/** Where a function puts a T, one word each. */
export type Out<T> = number & { readonly [pointee]: "out"; readonly [result]: (value: T) => T };

/** 1 = done, 0 = failed. */
export type Ok = (0 | 1) & { readonly [result]: "ok" };

/** 1 = yes, on; 0 = no, off. */
export type Bool = 0 | 1;

/** How many; 0 = failed. */
export type Count = number & { readonly [result]: "count" };

/** What `Library.check` knows as failed when it is 0. */
export type Checked = Ok | Count | Owned<string> | Borrowed<string> | 0;

export function bool(value: boolean): Bool {
  // What the caller gave may be something else.
  return Number(value) as Bool;
}

/** The pointer to call a function with, while it is owned. */
export function lend<T extends string>(ptr: Owned<T>): Borrowed<T> {
  return ptr as number as Borrowed<T>;
}

/** The same memory, `by` bytes further on. */
export function further(bytes: Bytes, by: number): Bytes {
  return (bytes + by) as Bytes;
}

/** What the variable of a {@link Held} is for the compiler after it was given away: any use of it is an error. */
interface Given {
  readonly held: false;
}

/**
 * Something in linear memory that is owned by the code that holds it. The variable needs a type, `const held:
 * Held<"X509"> = …`: with it the compiler sees where it is given away, and refuses each use behind that. What it does
 * not see throws.
 */
export class Held<T extends string> {
  declare readonly held: true;
  #ptr: Owned<T> | 0;

  constructor(ptr: Owned<T>) {
    this.#ptr = ptr;
  }

  /** To call something with. */
  get ptr(): Borrowed<T> {
    return lend(this.#owned());
  }

  /** Gives it to a function of the module that takes it over or frees it. */
  giveTo(taker: (ptr: Owned<T>) => void): asserts this is Given {
    const ptr = this.#owned();
    this.#ptr = 0;
    taker(ptr);
  }

  #owned(): Owned<T> {
    if (this.#ptr === 0) throw new TlsError("freed", "this object was given away: another one frees it");
    return this.#ptr;
  }
}
