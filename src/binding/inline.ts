import { deflated, length } from "./openssl-base64.js";

/**
 * The bytes of openssl.wasm out of the JavaScript: nothing is fetched or read.
 *
 * @example
 * ```ts
 * import { OpenSsl } from "wassl";
 * import { source } from "wassl/inline";
 *
 * const openssl = await OpenSsl.load({ source });
 * ```
 */
export async function inlineSource(): Promise<Uint8Array<ArrayBuffer>> {
  const inflating = new DecompressionStream("deflate-raw");
  const writer = inflating.writable.getWriter();
  // The reader learns of a failure too.
  writer.write(decoded(deflated)).catch(() => {});
  writer.close().catch(() => {});
  const bytes = new Uint8Array(length);
  const reader = inflating.readable.getReader();
  for (let at = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return bytes;
    bytes.set(value, at);
    at += value.length;
  }
}

/** `Uint8Array.fromBase64` is new, and atob() is everywhere. */
function decoded(base64: string): Uint8Array<ArrayBuffer> {
  const { fromBase64 } = Uint8Array as { fromBase64?(text: string): Uint8Array<ArrayBuffer> };
  if (fromBase64) return fromBase64.call(Uint8Array, base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
