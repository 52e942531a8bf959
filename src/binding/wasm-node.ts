import { readFile } from "node:fs/promises";
import { TlsError } from "../errors.js";

/** Node.js does not fetch `file:` URLs. */
export async function defaultSource(): Promise<BufferSource> {
  const url = new URL("./openssl.wasm", import.meta.url);
  try {
    return await readFile(url);
  } catch (cause) {
    throw new TlsError("wasm-not-found", `openssl.wasm cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}
