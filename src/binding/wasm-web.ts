/** Browsers and bundlers: they know this form, and put the file where the URL will say. */
export const defaultSource = (): URL => new URL("./openssl.wasm", import.meta.url);
