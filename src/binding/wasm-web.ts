import { TlsError } from "../errors.js";

/**
 * Vite's dev server moves the code of a dependency into such a folder, but nothing that lies beside it. (Nuxt's and
 * Astro's dev servers are Vite's.) What was before it is where packages are.
 */
const MOVED = /^(.*\/node_modules)\/\.[^?#]*\/deps\/[^/]*$/;

/** Browsers and bundlers know this form, and put the file where the URL will say. */
export function defaultSource(): URL {
  let url: URL;
  try {
    url = new URL("./openssl.wasm", import.meta.url);
  } catch (cause) {
    throw new TlsError(
      "wasm-not-found",
      'a script that is no module does not know where openssl.wasm is: import "wassl/inline", which brings it along, or call OpenSsl.configure({ source: URL })',
      { cause },
    );
  }
  const moved = MOVED.exec(url.href);
  return moved ? new URL(`${moved[1]}/wassl/dist/binding/openssl.wasm`) : url;
}
