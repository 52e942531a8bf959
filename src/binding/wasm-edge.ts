// @ts-expect-error TypeScript does not know the query, by which Vercel's edge runtime and its bundlers know what is wanted.
import module from "./openssl.wasm?module";

/** The same as for Cloudflare Workers. */
export const defaultSource = (): WebAssembly.Module => module as WebAssembly.Module;
