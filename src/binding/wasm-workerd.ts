import module from "./openssl.wasm";

/** Cloudflare Workers compile a module before they start, and at no other time: neither bytes nor a URL would work. */
export const defaultSource = (): WebAssembly.Module => module as WebAssembly.Module;
