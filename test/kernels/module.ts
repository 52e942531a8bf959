/**
 * kernels.wasm (`./build.sh kernels`): the kernels, and OpenSSL's EVP functions that lead to them through its provider;
 * and plain.wasm, which has OpenSSL's own C in their place. They are no part of the package.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hostImports } from "../../src/binding/host-imports.ts";

/** Where build.sh puts the module and OpenSSL's own vectors. */
export const folderOf = (repository: string) => join(repository, "node_modules", ".cache", "wassl-kernels");

/** EVP_CTRL_* in openssl/evp.h. */
export const ctrl = {
  setIvLength: 0x09,
  getTag: 0x10,
  setTag: 0x11,
  setIvFixed: 0x12,
  ivGen: 0x13,
  tls1Aad: 0x16,
  setIvInv: 0x18,
};

type Exports = Record<string, (...args: number[]) => number> & { memory: WebAssembly.Memory };

export class Kernels {
  readonly call: Exports;
  /** Room for data: two halves of `ROOM` bytes, at a multiple of 16. */
  readonly arena: number;
  static readonly ROOM = 1 << 18;
  readonly #scratch: number;
  readonly #ciphers = new Map<string, number>();

  constructor(folder: string, file: "kernels.wasm" | "plain.wasm" = "kernels.wasm") {
    const module = new WebAssembly.Module(readFileSync(join(folder, file)));
    const instance = new WebAssembly.Instance(
      module,
      hostImports(() => this.call.memory),
    );
    this.call = instance.exports as Exports;
    this.call._initialize!();
    this.arena = (this.malloc(2 * Kernels.ROOM + 16) + 15) & ~15;
    this.#scratch = this.malloc(1024);
  }

  malloc(length: number): number {
    const at = this.call.malloc!(length);
    if (at === 0) throw new Error("kernels.wasm has no memory left");
    return at;
  }

  /** A view for use right now: memory may grow in any call. */
  view(at: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.call.memory.buffer as ArrayBuffer, at, length);
  }

  copyOut(at: number, length: number): Uint8Array<ArrayBuffer> {
    return this.view(at, length).slice();
  }

  /** `bytes` at a place that is theirs until the next call of this. */
  scratch(bytes: Uint8Array): number {
    this.view(this.#scratch, bytes.length).set(bytes);
    return this.#scratch;
  }

  /** EVP_CIPHER_fetch, once for each. */
  cipher(name: string): number {
    let cipher = this.#ciphers.get(name);
    if (cipher === undefined) {
      const at = this.scratch(new TextEncoder().encode(`${name}\0`));
      cipher = this.call.EVP_CIPHER_fetch!(0, at, 0);
      if (cipher === 0) throw new Error(`there is no ${name}`);
      this.#ciphers.set(name, cipher);
    }
    return cipher;
  }

  /** What ERR_get_error would say first, or 0; nothing is left. */
  takeError(): number {
    const code = this.call.ERR_peek_error!();
    this.call.ERR_clear_error!();
    return code;
  }

  newContext(): Context {
    return new Context(this);
  }
}

/** An EVP_CIPHER_CTX. Methods return what OpenSSL's functions return, unless they say otherwise. */
export class Context {
  readonly #kernels: Kernels;
  readonly #ctx: number;

  constructor(kernels: Kernels) {
    this.#kernels = kernels;
    this.#ctx = kernels.call.EVP_CIPHER_CTX_new!();
  }

  free(): void {
    this.#kernels.call.EVP_CIPHER_CTX_free!(this.#ctx);
  }

  /** Becomes a copy of `other`, in the middle of its message. */
  copyFrom(other: Context): number {
    return this.#kernels.call.EVP_CIPHER_CTX_copy!(this.#ctx, other.#ctx);
  }

  init(name: string | undefined, encrypt: boolean, key?: Uint8Array, iv?: Uint8Array): number {
    const cipher = name === undefined ? 0 : this.#kernels.cipher(name);
    const both = new Uint8Array([...(key ?? []), ...(iv ?? [])]);
    const at = this.#kernels.scratch(both);
    return this.#kernels.call.EVP_CipherInit_ex!(
      this.#ctx,
      cipher,
      0,
      key ? at : 0,
      iv ? at + (key?.length ?? 0) : 0,
      encrypt ? 1 : 0,
    );
  }

  ctrl(type: number, argument: number, bytes?: Uint8Array): number {
    const at = bytes ? this.#kernels.scratch(bytes) : 0;
    return this.#kernels.call.EVP_CIPHER_CTX_ctrl!(this.#ctx, type, argument, at);
  }

  /** EVP_CTRL_AEAD_GET_TAG, or undefined when it is refused. */
  tag(length: number): Uint8Array | undefined {
    const at = this.#kernels.scratch(new Uint8Array(length));
    const ok = this.#kernels.call.EVP_CIPHER_CTX_ctrl!(this.#ctx, ctrl.getTag, length, at) === 1;
    return ok ? this.#kernels.copyOut(at, length) : undefined;
  }

  get tagLength(): number {
    return this.#kernels.call.EVP_CIPHER_CTX_get_tag_length!(this.#ctx);
  }

  get ivLength(): number {
    return this.#kernels.call.EVP_CIPHER_CTX_get_iv_length!(this.#ctx);
  }

  get updatedIv(): Uint8Array {
    const length = this.ivLength;
    const at = this.#kernels.scratch(new Uint8Array(length));
    this.#kernels.call.EVP_CIPHER_CTX_get_updated_iv!(this.#ctx, at, length);
    return this.#kernels.copyOut(at, length);
  }

  setPadding(on: boolean): void {
    this.#kernels.call.EVP_CIPHER_CTX_set_padding!(this.#ctx, on ? 1 : 0);
  }

  /** How many bytes came out, or -1 when it failed. `out` or `at` may be 0. */
  update(out: number, at: number, length: number): number {
    const written = this.#kernels.scratch(new Uint8Array(4));
    const { EVP_CipherUpdate } = this.#kernels.call;
    return EVP_CipherUpdate!(this.#ctx, out, written, at, length) === 1 ? this.#word(written) : -1;
  }

  /** The same. */
  final(out: number): number {
    const written = this.#kernels.scratch(new Uint8Array(4));
    return this.#kernels.call.EVP_CipherFinal_ex!(this.#ctx, out, written) === 1 ? this.#word(written) : -1;
  }

  /** EVP_Cipher: a whole record of TLS in place, after `ctrl.tls1Aad`. Negative when it failed. */
  record(at: number, length: number): number {
    return this.#kernels.call.EVP_Cipher!(this.#ctx, at, at, length);
  }

  #word(at: number): number {
    return new DataView(this.#kernels.call.memory.buffer).getInt32(at, true);
  }
}
