import type { WasmSource } from "./loader.js";

/**
 * What an import of the file gives depends on the bundler: a URL, the bytes or the module. `OpenSsl.configure` takes
 * each.
 */
declare const source: WasmSource;
export default source;
