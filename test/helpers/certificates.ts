/** Certificates that no tool would make. WebCrypto signs them, with ECDSA on P-256. */
import { type Bytes, bits, generalizedTime, integer, oid, pem, sequence, tlv } from "../der.ts";

const DAY = 86_400_000;
const ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));

export interface Key {
  private: CryptoKey;
  /** SubjectPublicKeyInfo. */
  spki: Bytes;
  /** PKCS #8 as PEM. */
  pem: string;
}

export async function newKey(): Promise<Key> {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  return {
    private: pair.privateKey,
    spki: new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey)),
    pem: pem(new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)), "PRIVATE KEY"),
  };
}

export interface CertificateParts {
  /** A Name. */
  issuer: Uint8Array;
  subject: Uint8Array;
  spki: Uint8Array;
  /** The key that signs; without one the signature is nonsense. */
  signer?: Key;
  /** A signature that was made up, and the algorithm that it claims. */
  signature?: Uint8Array;
  algorithm?: Uint8Array;
  serial?: Uint8Array;
  extensions?: readonly Uint8Array[];
  notBefore?: Date;
  notAfter?: Date;
}

/** A certificate of version 3. */
export async function certificate(parts: CertificateParts): Promise<Bytes> {
  const { notBefore = new Date(Date.now() - DAY), notAfter = new Date(Date.now() + 90 * DAY) } = parts;
  const serial =
    parts.serial ?? crypto.getRandomValues(new Uint8Array(8)).map((b, i) => (i === 0 ? b & 0x7f : b));
  const { extensions = [] } = parts;
  const { algorithm = ECDSA_SHA256 } = parts;
  const tbs = sequence(
    tlv(0xa0, integer(2)),
    integer(serial),
    algorithm,
    parts.issuer,
    sequence(generalizedTime(notBefore), generalizedTime(notAfter)),
    parts.subject,
    parts.spki,
    ...(extensions.length > 0 ? [tlv(0xa3, sequence(...extensions))] : []),
  );
  if (parts.signature) return sequence(tbs, algorithm, bits(parts.signature));
  const signature = parts.signer
    ? new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, parts.signer.private, tbs))
    : new Uint8Array(64).fill(1);
  const rs = sequence(integer(signature.slice(0, 32)), integer(signature.slice(32)));
  return sequence(tbs, algorithm, bits(rs));
}

/**
 * `X509_NAME_hash_ex(3)` in hexadecimal of a Name of less than 128 bytes whose strings are UTF8String, in small
 * letters, without spaces.
 */
export async function subjectHash(name: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new DataView(await crypto.subtle.digest("SHA-1", name.slice(2)));
  return digest.getUint32(0, true).toString(16).padStart(8, "0");
}
