/** Which key belongs to which certificate. */
import { TlsError } from "../errors.js";
import type { OpenSsl } from "../openssl/openssl.js";
import { isCryptoKey, isOfKind } from "./external-key.js";
import type { CertificateData, Identity } from "./identity.js";

/** A private key, and the passphrase that it is under. */
export type PassphrasedKey = { key: NonNullable<Identity["key"]>; passphrase?: string };

/**
 * pairIdentities finds out which key belongs to which certificate, where both come as lists of their own, in any order:
 * for `identities`. One certificate and one key are a pair unseen.
 *
 * @throws TlsError "invalid-argument" if a certificate has no key, or a key no certificate, and if one cannot be read
 *
 * @example
 * ```ts
 * import { type OpenSsl, pairIdentities, TlsContext } from "wassl";
 *
 * function serve(openssl: OpenSsl, certs: string[], keys: string[]): Promise<TlsContext> {
 *   const identities = pairIdentities(openssl, certs, keys.map((key) => ({ key })));
 *   return TlsContext.server({ openssl, identities });
 * }
 * ```
 */
export function pairIdentities(
  openssl: OpenSsl,
  certs: readonly CertificateData[],
  keys: readonly PassphrasedKey[],
): Identity[] {
  if (certs.length === 1 && keys.length === 1) return [{ cert: certs[0]!, ...keys[0]! }];
  const left = [...keys.keys()];
  const paired = certs.map((cert, i) => {
    const at = left.findIndex((each) => belongs(openssl, cert, keys[each]!));
    if (at < 0) throw new TlsError("invalid-argument", `certificate ${i + 1} of ${certs.length} has no key`);
    return { cert, ...keys[left.splice(at, 1)[0]!]! };
  });
  if (left.length > 0) {
    throw new TlsError("invalid-argument", `key ${left[0]! + 1} of ${keys.length} belongs to no certificate`);
  }
  return paired;
}

function belongs(openssl: OpenSsl, cert: CertificateData, { key, passphrase }: PassphrasedKey): boolean {
  const ctx = openssl.newContext("server");
  try {
    // How strong a key must be is looked at where the identity is used.
    ctx.setSecurityLevel(0);
    ctx.useCertificateChain(cert);
    return isCryptoKey(key) ? isOfKind(ctx.getCertificate(), key) : ctx.tryPrivateKey(key, passphrase);
  } finally {
    ctx.free();
  }
}
