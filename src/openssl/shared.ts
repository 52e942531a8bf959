/** The instance that all connections share that are given no other, and where its module comes from. */
import { defaultSource } from "#wasm";
import { compile, loadAbi, type WasmSource } from "../binding/loader.js";
import { Library } from "./library.js";

/** Where openssl.wasm comes from; a function is asked when it is needed. */
export type Source = WasmSource | Promise<WasmSource> | (() => WasmSource | Promise<WasmSource>);

let source: Source = defaultSource;
let compiled: Promise<WebAssembly.Module> | undefined;

/** See `OpenSsl.configure`. */
export function setSource(given: Source = defaultSource): void {
  source = given;
  compiled = undefined;
}

/** See `OpenSsl.compile`. */
export async function compileOnce(): Promise<WebAssembly.Module> {
  if (compiled) return compiled;
  const module = compile(source);
  compiled = module;
  module.catch(() => {
    if (compiled === module) compiled = undefined;
  });
  return module;
}

let loading: Promise<Library> | undefined;
let loaded: Library | undefined;

/** See `OpenSsl.shared`. */
export function sharedLibrary(): Promise<Library> {
  // A new promise each time: in Cloudflare Workers a request must not wait for a promise that another request made.
  const library = loadedLibrary();
  if (library) return Promise.resolve(library);
  if (loaded) loading = loaded = undefined;
  loading ??= load().then(
    (library) => {
      loaded = library;
      return library;
    },
    (reason) => {
      loading = undefined;
      throw reason;
    },
  );
  return loading;
}

/** The same at once, if it is there. */
export function loadedLibrary(): Library | undefined {
  return loaded && lives(loaded) ? loaded : undefined;
}

async function load(): Promise<Library> {
  return new Library(await loadAbi(await compileOnce()));
}

function lives(library: Library): boolean {
  try {
    library.abi.wassl_abi_version();
    return true;
  } catch {
    return false;
  }
}
