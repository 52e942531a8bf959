/** Writes DER, and certificates that no tool would make. WebCrypto signs them, with ECDSA on P-256. */
import { utf8 as bytesOf, concat } from "./basics.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export function tlv(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const body = concat(parts);
  const length: number[] = [];
  for (let n = body.length; n > 0; n = Math.floor(n / 256)) length.unshift(n % 256);
  const head = body.length < 128 ? [body.length] : [0x80 | length.length, ...length];
  return concat([Uint8Array.of(tag, ...head), body]);
}

export const sequence = (...parts: readonly Uint8Array[]): Bytes => tlv(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]): Bytes => tlv(0x31, ...parts);
export const octets = (...parts: readonly Uint8Array[]): Bytes => tlv(0x04, ...parts);
export const bits = (...parts: readonly Uint8Array[]): Bytes => tlv(0x03, Uint8Array.of(0), ...parts);
export const utf8String = (value: string): Bytes => tlv(0x0c, bytesOf(value));
export const ia5String = (value: string): Bytes => tlv(0x16, bytesOf(value));

/** Of a number that is not negative, big-endian. */
export function integer(value: number | Uint8Array): Bytes {
  let bytes =
    typeof value === "number" ? Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value) : value;
  while (bytes.length > 1 && bytes[0] === 0 && bytes[1]! < 0x80) bytes = bytes.subarray(1);
  return bytes[0]! < 0x80 ? tlv(0x02, bytes) : tlv(0x02, Uint8Array.of(0), bytes);
}

export function oid(dotted: string): Bytes {
  const [first, second, ...arcs] = dotted.split(".").map(Number);
  const out: number[] = [];
  for (const arc of [first! * 40 + second!, ...arcs]) {
    const group = [arc % 128];
    for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128))
      group.unshift(128 | (rest % 128));
    out.push(...group);
  }
  return tlv(0x06, Uint8Array.from(out));
}

export const rdn = (type: string, value: string): Bytes => set(sequence(oid(type), utf8String(value)));
export const commonName = (value: string): Bytes => sequence(rdn("2.5.4.3", value));
export const extension = (id: string, value: Uint8Array, critical = false): Bytes =>
  sequence(oid(id), ...(critical ? [tlv(0x01, Uint8Array.of(255))] : []), octets(value));
export const dnsName = (name: string): Bytes => tlv(0x82, bytesOf(name));
export const subjectAltNames = (...names: readonly Uint8Array[]): Bytes =>
  extension("2.5.29.17", sequence(...names));
export const basicConstraints = (ca: boolean): Bytes =>
  extension("2.5.29.19", ca ? sequence(tlv(0x01, Uint8Array.of(255))) : sequence(), true);

const time = (date: Date): Bytes =>
  tlv(0x18, bytesOf(`${date.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`));
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
    sequence(time(notBefore), time(notAfter)),
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

export function pem(der: Uint8Array, what = "CERTIFICATE"): string {
  let binary = "";
  for (const byte of der) binary += String.fromCharCode(byte);
  return `-----BEGIN ${what}-----\n${btoa(binary).replace(/.{1,64}/g, "$&\n")}-----END ${what}-----\n`;
}

/**
 * `X509_NAME_hash_ex(3)` in hexadecimal of a Name of less than 128 bytes whose strings are UTF8String, in small
 * letters, without spaces.
 */
export async function subjectHash(name: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new DataView(await crypto.subtle.digest("SHA-1", name.slice(2)));
  return digest.getUint32(0, true).toString(16).padStart(8, "0");
}
