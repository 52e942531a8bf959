import { compile, loadAbi, loadAbiSync, type WasmSource } from "../binding/loader.js";
import { custom, readOptions, type Table, tagOf } from "../check.js";
import { type OpenSslError, TlsError } from "../errors.js";
import { BioPair } from "./bio-pair.js";
import { type Role, SslContext } from "./context.js";
import { Library, type Live } from "./library.js";
import { SslSession } from "./session.js";
import { compileOnce, loadedLibrary, setSource, sharedLibrary } from "./shared.js";
import type { TrustAnchors } from "./trust-anchors.js";
import { X509Store } from "./verify.js";
import { X509 } from "./x509.js";

export interface LoadOptions {
  /**
   * Where openssl.wasm comes from: a URL (which is fetched), a `Response`, its bytes, a compiled module, or a function
   * that returns one of them when it is needed. By default what {@link OpenSsl.configure} was told, or else the file
   * beside this package's code.
   */
  source?: WasmSource | Promise<WasmSource> | (() => WasmSource | Promise<WasmSource>);
}

const OPTIONS: Table<LoadOptions> = {
  source: custom(
    "a URL, a Response, bytes, a compiled module, or a promise or function that gives one",
    (value) =>
      (typeof value === "string" && value !== "") ||
      typeof value === "function" ||
      ArrayBuffer.isView(value) ||
      ["URL", "Response", "ArrayBuffer", "WebAssembly.Module"].includes(tagOf(value)) ||
      typeof (value as PromiseLike<unknown> | null)?.then === "function",
  ),
};

/**
 * OpenSsl is one instance of OpenSSL with a linear memory of its own. Many connections share one.
 *
 * @example
 * ```ts
 * import { OpenSsl, startTls } from "wassl";
 *
 * const openssl = await OpenSsl.load({ source: "https://cdn.example.org/openssl.wasm" });
 * console.log(openssl.version, openssl.memory.used);
 * const tls = await startTls(transport, { hostname: "example.org", caCerts: pem, openssl });
 * ```
 */
export class OpenSsl {
  /** @internal */
  readonly library: Library;

  private constructor(library: Library) {
    this.library = library;
  }

  /**
   * Says where openssl.wasm is, for everything that is loaded from now on without a `source` of its own, such as the
   * instance that {@link startTls} uses. What was loaded before stays.
   *
   * ```ts
   * import { OpenSsl } from "wassl";
   *
   * OpenSsl.configure({ source: new URL("/assets/openssl.wasm", location.href) });
   * ```
   */
  static configure(options: LoadOptions): void {
    setSource(readOptions(options, OPTIONS, "OpenSsl.configure").source);
  }

  /**
   * Returns the compiled module. Without a `source` the module is compiled once, here or by the first caller that needs
   * it, and again if that failed. A worker can get it in a message, so that it need not compile it again:
   *
   * ```ts
   * import { OpenSsl } from "wassl";
   *
   * const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
   * worker.postMessage(await OpenSsl.compile());
   * // In the worker: onmessage = ({ data }) => OpenSsl.configure({ source: data });
   * ```
   *
   * @throws TlsError of a code that begins with "wasm-"
   */
  static async compile(options: LoadOptions = {}): Promise<WebAssembly.Module> {
    const { source } = readOptions(options, OPTIONS, "OpenSsl.compile");
    return source === undefined ? compileOnce() : compile(source);
  }

  /** Starts a new instance. */
  static async load(options: LoadOptions = {}): Promise<OpenSsl> {
    const read = readOptions(options, OPTIONS, "OpenSsl.load");
    return new OpenSsl(new Library(await loadAbi(await OpenSsl.compile(read))));
  }

  /**
   * Begins to fetch, compile and start the instance that {@link startTls} uses, so that it is ready, or nearly, when
   * the first transport is. The promise need not be awaited: what fails here fails for the first connection too, if it
   * fails again.
   *
   * ```ts
   * import { OpenSsl, startTls } from "wassl";
   * import { connectWebSocket } from "wassl/transports/websocket";
   *
   * OpenSsl.preload();
   * const transport = await connectWebSocket("wss://relay.example/?to=db.example:5432");
   * const tls = await startTls(transport, { hostname: "db.example" });
   * ```
   */
  static preload(): Promise<void> {
    const ready = sharedLibrary().then(() => {});
    ready.catch(() => {});
    return ready;
  }

  /** The same for code that cannot await, from the bytes of openssl.wasm or a compiled module. */
  static loadSync(source: ArrayBuffer | ArrayBufferView | WebAssembly.Module): OpenSsl {
    return new OpenSsl(new Library(loadAbiSync(source)));
  }

  /** The instance of {@link OpenSsl.shared}, for code that cannot await; undefined before it is loaded. */
  static get loaded(): OpenSsl | undefined {
    const library = loadedLibrary();
    return library && OpenSsl.#of(library);
  }

  /** Of the shared instance. */
  static #shared: OpenSsl | undefined;

  /**
   * The instance that `startTls` uses when it is given none. It is loaded once, and again if loading failed, or if the
   * instance has ended since ("wasm-crashed").
   */
  static async shared(): Promise<OpenSsl> {
    return OpenSsl.#of(await sharedLibrary());
  }

  static #of(library: Library): OpenSsl {
    if (OpenSsl.#shared?.library !== library) OpenSsl.#shared = new OpenSsl(library);
    return OpenSsl.#shared;
  }

  /** "OpenSSL 3.5.7 …" */
  get version(): string {
    return this.library.memory.text(this.library.abi.wassl_OpenSSL_version(0)) ?? "";
  }

  newContext(role: Role): SslContext {
    return SslContext.create(this.library, role);
  }

  /**
   * Makes a BIO pair. Sizes are in bytes, 1 to 2^30; the default is 17 KiB, room for one record.
   *
   * @param internalSize room for what OpenSSL writes
   * @param networkSize room for what the transport brings
   */
  newBioPair(internalSize = 0, networkSize = internalSize): BioPair {
    requireSize(internalSize, "internalSize");
    requireSize(networkSize, "networkSize");
    return BioPair.create(this.library, internalSize, networkSize, false);
  }

  /** Makes a pair that keeps the bounds of each write, for DTLS. */
  newDatagramPair(internalSize = 0, networkSize = internalSize): BioPair {
    requireSize(internalSize, "internalSize");
    requireSize(networkSize, "networkSize");
    return BioPair.create(this.library, internalSize, networkSize, true);
  }

  /** Reads a certificate, PEM or DER. */
  parseX509(data: string | Uint8Array): X509 {
    return X509.parse(this.library, data);
  }

  /** Reads all certificates of a PEM text, which must have at least one, or the one of a DER block. */
  parseCertificates(data: string | Uint8Array): X509[] {
    return X509.parseAll(this.library, data);
  }

  /** All of them, to look at. To trust them, there is {@link X509Store.addTrustAnchors}. */
  parseTrustAnchors(anchors: TrustAnchors): X509[] {
    return X509.ofAnchors(this.library, anchors);
  }

  /** Makes a store: which anchors to trust, and how to verify, for certificates outside of a handshake. */
  newX509Store(): X509Store {
    return X509Store.create(this.library);
  }

  /** Reads what {@link SslSession.toDer} or {@link SslSession.toBytes} wrote. */
  parseSession(der: Uint8Array): SslSession {
    return SslSession.parse(this.library, der);
  }

  /** SHA-256, also where WebCrypto is missing (a page that came by http). */
  sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.library.sha256(bytes);
  }

  /** Takes all errors out of OpenSSL's queue, earliest first. */
  errors(): OpenSslError[] {
    return this.library.takeErrors();
  }

  /** `ERR_clear_error(3)` */
  clearErrors(): void {
    this.library.abi.wassl_ERR_clear_error();
  }

  /** `ERR_raise(3)`: puts an error into the queue. For tests of what a stale queue does. */
  raiseError(library: number, reason: number): void {
    this.library.abi.wassl_ERR_raise(library, reason);
  }

  /**
   * How many objects were made in this instance and not freed, by this package's own work or by `wassl/openssl`. A
   * number that grows while the program does the same again and again means that something is not freed.
   */
  get live(): Readonly<Live> {
    return { ...this.library.live };
  }

  /** Bytes that OpenSSL has allocated, and bytes of linear memory (which grows and never shrinks). */
  get memory(): { readonly used: number; readonly size: number } {
    return { used: this.library.memory.used, size: this.library.memory.size };
  }
}

function requireSize(size: number, name: string): void {
  if (!Number.isInteger(size) || size < 0 || size > 2 ** 30) {
    throw new TlsError("invalid-argument", `${name} must be a whole number of bytes, up to 2^30`);
  }
}
