import { readFile } from "node:fs/promises";
import { TlsError } from "../errors.js";

/**
 * Node.js does not fetch `file:` URLs. A server that was bundled has no file beside it, or not even a URL of its own:
 * it finds the bytes in its code.
 */
export async function defaultSource(): Promise<BufferSource> {
  try {
    return await readFile(new URL("./openssl.wasm", import.meta.url));
  } catch (cause) {
    try {
      const { inlineSource } = await import("./inline.js");
      return await inlineSource();
    } catch {
      throw new TlsError("wasm-not-found", `openssl.wasm cannot be read: ${(cause as Error).message}`, {
        cause,
      });
    }
  }
}
