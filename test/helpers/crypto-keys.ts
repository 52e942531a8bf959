/** Keys of this run in WebCrypto. */
import { env } from "./env.ts";

export type KeyName = keyof typeof env.certs.pkcs8;

export const P256 = { name: "ECDSA", namedCurve: "P-256" };
export const pss = (hash: string) => ({ name: "RSA-PSS", hash });

/** A key that cannot be taken out again. */
export async function cryptoKey(
  name: KeyName,
  algorithm: EcKeyImportParams | RsaHashedImportParams | string,
) {
  const der = Uint8Array.from(atob(env.certs.pkcs8[name]), (c) => c.charCodeAt(0));
  return crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
}
