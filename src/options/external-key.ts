/** Private keys that stay in WebCrypto: what they can sign, and how a signature gets from there to TLS. */
import { TlsError } from "../errors.js";
import type { X509 } from "../openssl/x509.js";

interface Scheme {
  /** RFC 8446 §4.2.3 */
  readonly code: number;
  readonly hash?: string;
}

/** By the name of WebCrypto's algorithm. An ECDSA key's hash is chosen when it signs. An RSA key has one hash. */
const SCHEMES: Readonly<Record<string, readonly Scheme[]>> = {
  ECDSA: [
    { code: 0x0403, hash: "SHA-256" },
    { code: 0x0503, hash: "SHA-384" },
    { code: 0x0603, hash: "SHA-512" },
  ],
  "RSA-PSS": [
    { code: 0x0804, hash: "SHA-256" },
    { code: 0x0805, hash: "SHA-384" },
    { code: 0x0806, hash: "SHA-512" },
  ],
  "RSASSA-PKCS1-v1_5": [
    { code: 0x0401, hash: "SHA-256" },
    { code: 0x0501, hash: "SHA-384" },
    { code: 0x0601, hash: "SHA-512" },
  ],
  Ed25519: [{ code: 0x0807 }],
};

/** The private part of a `CryptoKeyPair`, which need not be extractable. */
export function isCryptoKey(key: unknown): key is CryptoKey {
  return typeof key === "object" && key !== null && "algorithm" in key && "usages" in key && "type" in key;
}

/** The signatures that `key` can make, as RFC 8446 §4.2.3 numbers them. */
export function signatureAlgorithmsOf(key: CryptoKey): number[] {
  const { name, hash } = key.algorithm as { name: string; hash?: { name: string } };
  const schemes = SCHEMES[name];
  if (!schemes) {
    throw new TlsError("invalid-argument", `a CryptoKey for ${name} makes no signature that TLS knows`);
  }
  if (key.type !== "private" || !key.usages.includes("sign")) {
    throw new TlsError(
      "invalid-argument",
      `the CryptoKey is a ${key.type} key for ${key.usages.join()}, not for signing`,
    );
  }
  const codes = schemes.filter((scheme) => hash === undefined || scheme.hash === hash.name);
  if (codes.length === 0) throw new TlsError("invalid-argument", `TLS knows no ${name} with ${hash?.name}`);
  return codes.map(({ code }) => code);
}

/** How `X509.publicKey` begins, by WebCrypto's names. */
const CURVES: Readonly<Record<string, string>> = {
  "P-256": "EC prime256v1",
  "P-384": "EC secp384r1",
  "P-521": "EC secp521r1",
};

/**
 * Of a key that cannot be exported only its kind is known. Whether it is the certificate's key turns out when it signs.
 */
export function isOfKind(certificate: X509 | undefined, key: CryptoKey): boolean {
  const { name, namedCurve, modulusLength } = key.algorithm as EcKeyAlgorithm & RsaHashedKeyAlgorithm;
  const kind =
    name === "ECDSA"
      ? (CURVES[namedCurve] ?? namedCurve)
      : name === "Ed25519"
        ? "ED25519"
        : `RSA ${modulusLength}`;
  return `${certificate?.publicKey ?? "none"} `.startsWith(`${kind} `);
}

export function requireKeyOf(certificate: X509 | undefined, key: CryptoKey): void {
  if (isOfKind(certificate, key)) return;
  const { name, namedCurve, modulusLength } = key.algorithm as EcKeyAlgorithm & RsaHashedKeyAlgorithm;
  const theirs = certificate?.publicKey ?? "none";
  const size = namedCurve ?? modulusLength ?? "";
  throw new TlsError(
    "invalid-argument",
    `the private key is for ${name}${size && ` ${size}`}, and the certificate's for ${theirs}`,
  );
}

/** Signs `bytes`, in the form that the algorithm of that number has in a TLS message. */
export async function signWith(
  key: CryptoKey,
  algorithm: number,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array> {
  const { name } = key.algorithm;
  const { hash } = SCHEMES[name]?.find(({ code }) => code === algorithm) ?? {};
  const parameters = {
    name,
    ...(hash && { hash }),
    // RFC 8446 §4.2.3: the salt is as long as the hash.
    ...(hash && name === "RSA-PSS" && { saltLength: Number(hash.slice(4)) / 8 }),
  };
  const signature = new Uint8Array(await crypto.subtle.sign(parameters, key, bytes));
  return name === "ECDSA" ? ecdsaDer(signature) : signature;
}

/** WebCrypto gives r and s in halves of equal length. TLS has them as two DER integers (RFC 3279 §2.2.3). */
function ecdsaDer(signature: Uint8Array): Uint8Array {
  const half = signature.length / 2;
  const both = [...derInteger(signature.subarray(0, half)), ...derInteger(signature.subarray(half))];
  // At most 2 × (2 + 67) bytes, with P-521.
  return Uint8Array.of(0x30, ...(both.length < 128 ? [both.length] : [0x81, both.length]), ...both);
}

function derInteger(value: Uint8Array): number[] {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const bytes = [...value.subarray(start)];
  if (bytes[0]! & 0x80) bytes.unshift(0);
  return [0x02, bytes.length, ...bytes];
}
