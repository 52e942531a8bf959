import type { Abi } from "../binding/abi.js";
import { Memory } from "../binding/memory.js";
import { dispose } from "../engine.js";
import { type OpenSslError, TlsError } from "../errors.js";
import { ERR_LIB_PROV, ERR_R_MALLOC_FAILURE, PROV_R_INVALID_ITERATION_COUNT } from "./constants.js";
import type { TrustAnchors } from "./trust-anchors.js";

/** How many objects of each kind were made and not freed. */
export interface Live {
  connections: number;
  contexts: number;
  sessions: number;
  bioPairs: number;
  certificateLists: number;
  stores: number;
}

/** One instance of the module, as the classes of this folder share it. Not public. */
export class Library {
  readonly abi: Abi;
  readonly memory: Memory;
  readonly live: Live = {
    connections: 0,
    contexts: 0,
    sessions: 0,
    bioPairs: 0,
    certificateLists: 0,
    stores: 0,
  };

  constructor(abi: Abi) {
    this.abi = abi;
    this.memory = new Memory(abi);
  }

  /** Empties the error queue, earliest error first. */
  takeErrors(): OpenSslError[] {
    const { abi, memory } = this;
    const errors: OpenSslError[] = [];
    for (;;) {
      const packed = abi.wassl_ERR_get_error(memory.scratch);
      if (packed === 0) return errors;
      // First the data: it is only borrowed until the next call.
      const data = memory.text(memory.word(memory.scratch)) ?? "";
      const code = packed >>> 0;
      const library =
        memory.text(abi.wassl_ERR_lib_error_string(packed)) ?? `lib(${abi.wassl_ERR_get_lib(packed)})`;
      const reasonCode = abi.wassl_ERR_get_reason(packed);
      const reason = memory.text(abi.wassl_ERR_reason_error_string(packed)) ?? `reason(${reasonCode})`;
      const text = `error:${code.toString(16).toUpperCase().padStart(8, "0")}:${library}::${reason}`;
      errors.push({ code, library, reason, reasonCode, data, text: data ? `${text}:${data}` : text });
    }
  }

  /** The error for an operation that failed: what was tried, and why OpenSSL did not do it. Empties the queue. */
  failure(what: string, code: "openssl" | "invalid-argument" = "openssl"): TlsError {
    const errors = this.takeErrors();
    if (errors.some((e) => e.reasonCode === ERR_R_MALLOC_FAILURE)) {
      return new TlsError("out-of-memory", `${what}: linear memory is exhausted`, { errors });
    }
    // What follows it says no more than that nothing could be decrypted.
    const rounds = errors.find(
      (e) => e.reasonCode === PROV_R_INVALID_ITERATION_COUNT && ((e.code >>> 23) & 0xff) === ERR_LIB_PROV,
    );
    const last = rounds ?? errors.at(-1);
    const why = last && (last.data ? `${last.reason} (${last.data})` : last.reason);
    return new TlsError(code, why ? `${what}: ${why}` : what, { errors });
  }

  readonly #anchors = new Map<string, number>();

  /** Where a block of trust anchors lies (see abi.h), for as long as this instance lives: all its stores share it. */
  anchors({ table }: TrustAnchors): number {
    let ptr = this.#anchors.get(table);
    if (ptr === undefined) {
      if (typeof table !== "string")
        throw new TlsError("invalid-argument", "trust anchors must have a table");
      this.abi.wassl_ERR_clear_error();
      ptr = this.memory.withText(table, (text) => this.abi.wassl_anchors_new(text));
      this.check(ptr, "these are no trust anchors", "invalid-argument");
      this.#anchors.set(table, ptr);
    }
    return ptr;
  }

  /** Runs a call that answers 1, or something else of truth, when it succeeded. */
  check<T extends number>(result: T, what: string, code?: "openssl" | "invalid-argument"): T {
    if (result === 0) throw this.failure(what, code);
    return result;
  }
}

/**
 * A pointer that is given back once. Every class that owns something in linear memory extends this: after `free()` each
 * use throws, and none reaches memory that may belong to something else by then.
 */
export abstract class Owned implements Disposable {
  /** @internal */
  protected readonly library: Library;
  #ptr: number;
  readonly #kind: keyof Live;

  /** @internal */
  constructor(library: Library, ptr: number) {
    this.library = library;
    this.#ptr = ptr;
    this.#kind = (new.target as unknown as { kind: keyof Live }).kind;
    library.live[this.#kind]++;
  }

  /** @internal */
  get ptr(): number {
    if (this.#ptr === 0) throw new TlsError("freed", `this ${this.constructor.name} was freed`);
    return this.#ptr;
  }

  /** Whether it lies in the memory of that instance. @internal */
  isOf(library: Library): boolean {
    return this.library === library;
  }

  get freed(): boolean {
    return this.#ptr === 0;
  }

  /** Gives the memory back. A second call does nothing. */
  free(): void {
    if (this.#ptr === 0) return;
    const ptr = this.#ptr;
    this.#ptr = 0;
    this.library.live[this.#kind]--;
    this.release(ptr);
  }

  [dispose](): void {
    this.free();
  }

  /** @internal */
  protected abstract release(ptr: number): void;
}

/**
 * The pointer of a second object, for a function of `library`. In another instance the same number is the address of something
 * else, or of nothing.
 */
export function ptrOf<T extends Owned>(
  library: Library,
  value: T,
  // biome-ignore lint/complexity/noBannedTypes: a class, whatever its constructor
  kind: Function & { prototype: T },
): number {
  if (!(value instanceof kind)) throw new TlsError("invalid-argument", `a ${kind.name} was expected`);
  if (!value.isOf(library)) {
    throw new TlsError("invalid-argument", `this ${kind.name} is of another OpenSsl`);
  }
  return value.ptr;
}

/** Whether `value` is a Uint8Array (of any realm). */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && (value as Uint8Array)[Symbol.toStringTag] === "Uint8Array";
}

/** Throws unless it is one. */
export function requireBytes(value: unknown, what: string): asserts value is Uint8Array {
  if (!isBytes(value)) throw new TlsError("invalid-argument", `${what} must be a Uint8Array`);
}

const encoder = new TextEncoder();

/** PEM may come as text. */
export function bytesOf(data: string | Uint8Array, what: string): Uint8Array {
  if (typeof data === "string") return encoder.encode(data);
  requireBytes(data, what);
  return data;
}
