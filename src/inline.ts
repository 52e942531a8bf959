/**
 * `import "wassl/inline"`, before the first connection, takes openssl.wasm out of the JavaScript, and not out of a file
 * beside it. It is for bundlers that bring no such file along (esbuild, Rollup, Rolldown, Bun, Parcel), for pages at
 * `file:`, classic service workers and browser extensions.
 *
 * What it costs: the bundle grows by 610 KiB, of which compression on the wire takes off a quarter (460 KiB; the file
 * is 380 KiB with brotli). The bundle is loaded before the page needs the module, and decoding takes some ten
 * milliseconds.
 *
 * @module
 */
import { inlineSource } from "./binding/inline.js";
import { OpenSsl } from "./openssl/openssl.js";

OpenSsl.configure({ source: inlineSource });

export { inlineSource as source };
