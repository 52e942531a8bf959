/**
 * `import "wassl/inline"`, before the first connection: openssl.wasm comes out of the JavaScript, and not out of a file beside it.
 * For bundlers that bring no such file along (esbuild, Rollup, Rolldown, Bun, Parcel), for pages at `file:`, classic service
 * workers and browser extensions.
 *
 * What it costs: the bundle grows by 610 KiB, of which compression for the way takes off a quarter (460 KiB; the file is 380
 * KiB with brotli), it is loaded before the page needs it, and decoding takes some ten milliseconds.
 *
 * @module
 */
import { inlineSource } from "./binding/inline.js";
import { OpenSsl } from "./openssl/openssl.js";

OpenSsl.configure({ source: inlineSource });

export { inlineSource as source };
