/** Deno fetches `file:` URLs, and remote ones when the package itself is remote. */
export const defaultSource = (): URL => new URL("./openssl.wasm", import.meta.url);
