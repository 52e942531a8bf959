import module from "./openssl.wasm";

/** Cloudflare Workers compile it before they start, and nothing else: neither bytes nor a URL would do. */
export const defaultSource = (): WebAssembly.Module => module as WebAssembly.Module;
