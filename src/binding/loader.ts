import { demangle } from "@assemblyscript/loader";
import { messageOf, tagOf } from "../check.js";
import { TlsError } from "../errors.js";
import { type Abi, WASSL_ABI_VERSION } from "./abi.js";
import { hostImports } from "./host-imports.js";

/** Where openssl.wasm may come from. A string or `URL` is fetched. */
export type WasmSource = string | URL | Response | ArrayBuffer | ArrayBufferView | WebAssembly.Module;

/**
 * Compiles and instantiates the module, whose memory begins with OpenSSL started (wasm/build/snapshot.mjs).
 *
 * `@assemblyscript/loader` reads the exports. Its `instantiate` would bring 4 KiB more into each bundle, for what only
 * modules made by AssemblyScript have.
 */
export async function loadAbi(module: WebAssembly.Module): Promise<Abi> {
  const { imports, begin } = prepare();
  try {
    return begin((await begun(module, imports)).exports);
  } catch (cause) {
    throw notInstantiated(cause);
  }
}

/** Only a page has to wait. */
const begun = (module: WebAssembly.Module, imports: WebAssembly.Imports) =>
  typeof document === "undefined"
    ? new WebAssembly.Instance(module, imports)
    : WebAssembly.instantiate(module, imports);

/** The same, at once. Browsers let only workers compile or start so large a module like this. */
export function loadAbiSync(source: ArrayBuffer | ArrayBufferView | WebAssembly.Module): Abi {
  let module: WebAssembly.Module;
  try {
    module = isModule(source) ? source : new WebAssembly.Module(source as BufferSource);
  } catch (cause) {
    throw notCompiled(cause);
  }
  const { imports, begin } = prepare();
  try {
    return begin(new WebAssembly.Instance(module, imports).exports);
  } catch (cause) {
    throw notInstantiated(cause);
  }
}

function notInstantiated(cause: unknown): unknown {
  if (cause instanceof TlsError) return cause;
  if (cause instanceof RangeError)
    return new TlsError("out-of-memory", "this engine has no memory for openssl.wasm", { cause });
  return (
    refusedByPolicy(cause) ??
    new TlsError("wasm-corrupt", `openssl.wasm cannot be instantiated: ${messageOf(cause)}`, { cause })
  );
}

/** What an instance is given, and what is done with its exports. */
function prepare(): { imports: WebAssembly.Imports; begin(exports: WebAssembly.Exports): Abi } {
  let memory: WebAssembly.Memory | undefined;
  return {
    imports: hostImports(() => memory!),
    begin(exports) {
      if (
        !(exports.memory instanceof WebAssembly.Memory) ||
        typeof exports.wassl_abi_version !== "function"
      ) {
        throw new TlsError(
          "wasm-corrupt",
          "this WebAssembly module is not openssl.wasm, which this package has in dist/binding",
        );
      }
      memory = exports.memory;
      const abi = guarded(exports);
      const version = abi.wassl_abi_version();
      if (version !== WASSL_ABI_VERSION) {
        throw new TlsError(
          "wasm-corrupt",
          `openssl.wasm is of another version of this package (ABI ${version}, and ${WASSL_ABI_VERSION} is needed)`,
        );
      }
      return abi;
    },
  };
}

export async function compile(
  from: WasmSource | Promise<WasmSource> | (() => WasmSource | Promise<WasmSource>),
): Promise<WebAssembly.Module> {
  const source = await (typeof from === "function" ? from() : from);
  if (isModule(source)) return source;
  try {
    if (typeof source === "string" || tagOf(source) === "URL") {
      return await compileResponse(await load(source as string | URL));
    }
    // By its tag: `Response` itself is not looked at, see above.
    if (tagOf(source) === "Response") return await compileResponse(source as Response);
    return await WebAssembly.compile(source as BufferSource);
  } catch (cause) {
    throw notCompiled(cause);
  }
}

function isModule(source: unknown): source is WebAssembly.Module {
  return tagOf(source) === "WebAssembly.Module";
}

function notCompiled(cause: unknown): unknown {
  if (cause instanceof TlsError) return cause;
  const refused = refusedByPolicy(cause);
  if (refused) return refused;
  if (cause instanceof WebAssembly.CompileError || cause instanceof TypeError) {
    return new TlsError("wasm-corrupt", `openssl.wasm is damaged: ${messageOf(cause)}`, { cause });
  }
  return cause;
}

/** Most engines do not compile then; WebKit compiles, and does not instantiate. */
function refusedByPolicy(cause: unknown): TlsError | undefined {
  const message = messageOf(cause);
  // The engines word it differently, but each names the policy or its keyword.
  if (!/content security policy|unsafe-eval|\bCSP\b/i.test(message)) return undefined;
  return new TlsError(
    "wasm-csp",
    `the Content-Security-Policy of this page forbids WebAssembly: add 'wasm-unsafe-eval' to script-src (${message})`,
    { cause },
  );
}

async function load(url: string | URL): Promise<Response> {
  try {
    return await fetch(url);
  } catch (cause) {
    throw new TlsError(
      "wasm-not-found",
      `openssl.wasm cannot be fetched from ${url}: ${messageOf(cause)}; ${remedy(url)}`,
      { cause },
    );
  }
}

async function compileResponse(response: Response): Promise<WebAssembly.Module> {
  const where = response.url || "the given response";
  if (!response.ok) {
    throw new TlsError(
      "wasm-not-found",
      `openssl.wasm is not at ${where}: HTTP status ${response.status}; ${remedy(where)}`,
    );
  }
  const type = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type === "application/wasm") return await WebAssembly.compileStreaming(response);
  // Servers that do not know the type still serve the file. Servers that answer every path with a page do not.
  const bytes = await response.arrayBuffer();
  const magic = new Uint8Array(bytes, 0, Math.min(4, bytes.byteLength));
  if (magic.join() !== "0,97,115,109") {
    throw new TlsError(
      "wasm-mime",
      `${where} is no WebAssembly but ${type ?? "of unknown type"}, as servers answer that have a page for missing files; ${remedy(where)}`,
    );
  }
  return await WebAssembly.compile(bytes);
}

/** The one line that is missing in the configuration. */
function remedy(url: string | URL): string {
  return String(url).includes("/node_modules/")
    ? 'with Vite, add optimizeDeps: { exclude: ["wassl"] } to its configuration'
    : 'put dist/binding/openssl.wasm of this package there, or import "wassl/inline", which brings it along';
}

/**
 * After a trap nothing in linear memory can be relied on: the stack pointer was not restored, and locks and queues may
 * be half changed. So the first trap ends the instance, and each later call says so instead of working on.
 *
 * A trap is what is thrown from within the module. The module's imports throw nothing. What is left is what JavaScript
 * throws while it converts arguments, before the module is entered; that harms nothing. The conversion of an object may
 * run any code and throw anything, so no object gets so far; for other values JavaScript throws a TypeError, which is
 * never a trap.
 */
function guarded(exports: WebAssembly.Exports): Abi {
  let crash: TlsError | undefined;
  const crashed = (cause: unknown) => {
    crash = new TlsError(
      "wasm-crashed",
      `OpenSSL trapped, its instance cannot be used any more: ${messageOf(cause)}`,
      {
        cause,
      },
    );
    return crash;
  };
  const abi: Record<string, unknown> = { memory: exports.memory };
  for (const [name, value] of Object.entries(demangle<Record<string, unknown>>(exports))) {
    // The loader's function passes on a rest array; behind it is the instance's own.
    const call = (value as { original?: Call }).original;
    if (!call) continue;
    // No export has more than five parameters; fixed ones are cheaper than a rest array.
    abi[name] = (a: unknown, b: unknown, c: unknown, d: unknown, e: unknown) => {
      if (crash) throw crash;
      if (isOdd(a) || isOdd(b) || isOdd(c) || isOdd(d) || isOdd(e)) throw noNumber(undefined);
      try {
        return call(a, b, c, d, e);
      } catch (cause) {
        throw cause instanceof TypeError ? noNumber(cause) : crashed(cause);
      }
    };
  }
  return abi as unknown as Abi;
}

type Call = (a?: unknown, b?: unknown, c?: unknown, d?: unknown, e?: unknown) => unknown;

function isOdd(argument: unknown): boolean {
  const type = typeof argument;
  return type !== "number" && type !== "bigint" && type !== "undefined" && type !== "boolean";
}

function noNumber(cause: unknown): TlsError {
  return new TlsError("invalid-argument", "a number was expected, or a bigint where options are bits", {
    cause,
  });
}
