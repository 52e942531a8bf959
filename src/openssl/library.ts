import type { Abi } from "../binding/abi.js";
import { Memory } from "../binding/memory.js";
import { type Borrowed, type Checked, lend, type Owned } from "../binding/pointers.js";
import { isBytes } from "../check.js";
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
  digests: number;
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
    digests: 0,
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
      const about = memory.slot<Borrowed<"text"> | 0>();
      const packed = abi.wassl_ERR_get_error(about);
      if (packed === 0) return errors;
      // First the data: it is borrowed, and only until the next call.
      const data = memory.text(memory.result(about)) ?? "";
      const code = packed >>> 0;
      const library =
        memory.text(abi.wassl_ERR_lib_error_string(packed)) ?? `lib(${abi.wassl_ERR_get_lib(packed)})`;
      const reasonCode = abi.wassl_ERR_get_reason(packed);
      const reason = memory.text(abi.wassl_ERR_reason_error_string(packed)) ?? `reason(${reasonCode})`;
      const text = `error:${code.toString(16).toUpperCase().padStart(8, "0")}:${library}::${reason}`;
      errors.push({ code, library, reason, reasonCode, data, text: data ? `${text}:${data}` : text });
    }
  }

  /**
   * The error for an operation that failed: what was tried, and why OpenSSL did not do it. Empties the queue.
   *
   * @param explain says it better than OpenSSL, or ""
   */
  failure(
    what: string,
    code: "openssl" | "invalid-argument" = "openssl",
    explain: (errors: readonly OpenSslError[]) => string = () => "",
  ): TlsError {
    const errors = this.takeErrors();
    if (errors.some((e) => e.reasonCode === ERR_R_MALLOC_FAILURE)) {
      return new TlsError("out-of-memory", `${what}: linear memory is exhausted`, { errors });
    }
    // What follows it says only that nothing could be decrypted.
    const rounds = errors.find(
      (e) => e.reasonCode === PROV_R_INVALID_ITERATION_COUNT && ((e.code >>> 23) & 0xff) === ERR_LIB_PROV,
    );
    const last = rounds ?? errors.at(-1);
    const explained = rounds ? "" : explain(errors);
    // It may have asked OpenSSL more.
    this.abi.wassl_ERR_clear_error();
    const reason = last?.reason === "nested asn1 error" ? "it is damaged, or something else" : last?.reason;
    const why = explained || (last?.data && reason === last.reason ? `${reason} (${last.data})` : reason);
    return new TlsError(code, why ? `${what}: ${why}` : what, { errors });
  }

  readonly #anchors = new Map<string, Borrowed<"wassl_anchors">>();

  /**
   * Where a block of trust anchors lies (see abi.h), for as long as this instance lives. All its stores share the
   * block.
   */
  anchors({ table }: TrustAnchors): Borrowed<"wassl_anchors"> {
    let ptr = this.#anchors.get(table);
    if (ptr === undefined) {
      if (typeof table !== "string")
        throw new TlsError("invalid-argument", "trust anchors must have a table");
      this.abi.wassl_ERR_clear_error();
      const made = this.memory.withText(table, (text) => this.abi.wassl_anchors_new(text));
      ptr = this.check(made, "these are no trust anchors", "invalid-argument");
      this.#anchors.set(table, ptr);
    }
    return ptr;
  }

  /** See `OpenSsl.sha256`. */
  sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    requireBytes(bytes, "what is hashed");
    const { abi, memory } = this;
    return memory.withBytes(bytes, (ptr, length) => {
      abi.wassl_SHA256(ptr, length, memory.scratch);
      return memory.copyOut(memory.scratch, 32);
    });
  }

  /** Throws when a call failed, as its type has it. */
  check<T extends Checked>(
    result: T,
    what: string,
    code?: "openssl" | "invalid-argument",
    explain?: (errors: readonly OpenSslError[]) => string,
  ): Exclude<T, 0> {
    if (result === 0) throw this.failure(what, code, explain);
    return result as Exclude<T, 0>;
  }
}

/** Of each kind of object: its type in C, and its class in this folder. */
interface CTypes {
  connections: "SSL";
  contexts: "SSL_CTX";
  sessions: "SSL_SESSION";
  bioPairs: "BIO";
  certificateLists: "STACK_OF(X509)";
  stores: "X509_STORE";
  digests: "EVP_MD_CTX";
}
const CLASSES: Readonly<Record<keyof Live, string>> = {
  connections: "Ssl",
  contexts: "SslContext",
  sessions: "SslSession",
  bioPairs: "BioPair",
  certificateLists: "CertificateList",
  stores: "X509Store",
  digests: "Digest",
};

/**
 * An object of OpenSSL in linear memory, which is given back once, by `free()` or `using`: {@link SslContext},
 * {@link Ssl}, {@link SslSession}, {@link BioPair}, {@link X509Store} and {@link Digest} are such. After that each use throws a
 * `TlsError` with the code "freed", and no call reaches memory that may belong to something else by then.
 *
 * @example
 * ```ts
 * import { OpenSsl } from "wassl/openssl";
 *
 * const openssl = await OpenSsl.load();
 * const context = openssl.newContext("client");
 * // … and when no new connection will need it:
 * context.free();
 * ```
 */
export abstract class Handle<Kind extends keyof Live> implements Disposable {
  /** @internal */
  protected readonly library: Library;
  /** What it is. */
  protected readonly kind: Kind;
  #ptr: Owned<CTypes[Kind]> | 0;

  /** @internal */
  constructor(library: Library, ptr: Owned<CTypes[Kind]>) {
    this.library = library;
    this.#ptr = ptr;
    this.kind = (new.target as unknown as { kind: Kind }).kind;
    library.live[this.kind]++;
  }

  /** @internal */
  get ptr(): Borrowed<CTypes[Kind]> {
    if (this.#ptr === 0) throw new TlsError("freed", `this ${CLASSES[this.kind]} was freed`);
    return lend(this.#ptr);
  }

  /**
   * The pointer of another object, for a function of `library`. In another instance the same number is the address of
   * something else, or of nothing.
   *
   * @internal
   */
  static ptrOf<K extends keyof Live>(library: Library, value: Handle<K>, kind: K): Borrowed<CTypes[K]> {
    if (!(value instanceof Handle) || value.kind !== kind) {
      throw new TlsError("invalid-argument", `a ${CLASSES[kind]} was expected`);
    }
    if (value.library !== library) {
      throw new TlsError("invalid-argument", `this ${CLASSES[kind]} is of another OpenSsl`);
    }
    return value.ptr;
  }

  get freed(): boolean {
    return this.#ptr === 0;
  }

  /** Gives the memory back. A second call does nothing. */
  free(): void {
    if (this.#ptr === 0) return;
    const ptr = this.#ptr;
    this.#ptr = 0;
    this.library.live[this.kind]--;
    this.release(ptr);
  }

  [dispose](): void {
    this.free();
  }

  /** @internal */
  protected abstract release(ptr: Owned<CTypes[Kind]>): void;
}

/** Throws unless `value` is a Uint8Array. */
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
