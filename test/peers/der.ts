/** Certificates and what belongs to them, byte by byte: what no tool would make. Nothing here is constant-time. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

type Bytes = Uint8Array;

export function tlv(tag: number, ...parts: Bytes[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const head =
    length < 128
      ? [length]
      : length < 256
        ? [0x81, length]
        : length < 65_536
          ? [0x82, length >> 8, length & 255]
          : [0x83, length >> 16, (length >> 8) & 255, length & 255];
  return Buffer.concat([Buffer.from([tag, ...head]), body]);
}
export const seq = (...parts: Bytes[]) => tlv(0x30, ...parts);
export const set = (...parts: Bytes[]) => tlv(0x31, ...parts);
export const octets = (...parts: Bytes[]) => tlv(0x04, ...parts);
export const bits = (bytes: Bytes) => tlv(0x03, Buffer.of(0), bytes);
export const NULL = tlv(5);
export const TRUE = tlv(1, Buffer.of(255));

export function int(value: bigint | number): Buffer {
  const hex = BigInt(value).toString(16);
  const bytes = Buffer.from(hex.length % 2 ? `0${hex}` : hex, "hex");
  return tlv(0x02, ...(bytes[0]! & 0x80 ? [Buffer.of(0)] : []), bytes);
}

export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const out = [40 * first + second];
  for (const value of rest) {
    const digits = [value & 127];
    for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift((left & 127) | 128);
    out.push(...digits);
  }
  return tlv(6, Buffer.from(out));
}

export const name = (cn: string) => seq(set(seq(oid("2.5.4.3"), tlv(0x0c, Buffer.from(cn)))));
export const time = (date: Date) =>
  tlv(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`));
export const extension = (id: string, critical: boolean, value: Bytes) =>
  seq(oid(id), ...(critical ? [TRUE] : []), octets(value));
export const pem = (der: Bytes, what = "CERTIFICATE") =>
  `-----BEGIN ${what}-----\n${Buffer.from(der)
    .toString("base64")
    .match(/.{1,64}/g)!
    .join("\n")}\n-----END ${what}-----\n`;

export const ALGORITHMS = {
  ecdsa: seq(oid("1.2.840.10045.4.3.2")),
  ecdsaSha384: seq(oid("1.2.840.10045.4.3.3")),
  ecdsaSha1: seq(oid("1.2.840.10045.4.1")),
  rsa: seq(oid("1.2.840.113549.1.1.11"), NULL),
  rsaSha1: seq(oid("1.2.840.113549.1.1.5"), NULL),
  ed25519: seq(oid("1.3.101.112")),
};

/** RSASSA-PSS-params with that hash; sha1 is the default, and is left out. */
export function pssParameters(hash: "sha1" | "sha256" | "sha512"): Buffer {
  if (hash === "sha1") return seq();
  const algorithm = seq(oid(`2.16.840.1.101.3.4.2.${hash === "sha256" ? 1 : 3}`), NULL);
  const salt = hash === "sha256" ? 32 : 64;
  return seq(
    tlv(0xa0, algorithm),
    tlv(0xa1, seq(oid("1.2.840.113549.1.1.8"), algorithm)),
    tlv(0xa2, int(salt)),
  );
}
export const pss = (hash: "sha1" | "sha256" | "sha512") =>
  seq(oid("1.2.840.113549.1.1.10"), pssParameters(hash));

export type Sign = (data: Bytes) => Bytes;
export interface Key {
  spki: Buffer;
  private: KeyObject;
  pem: string;
  sign: Sign;
  algorithm: Buffer;
}

export function newKey(kind: "ec" | "rsa" | "ed25519" = "ec"): Key {
  const made =
    kind === "ec"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : kind === "rsa"
        ? generateKeyPairSync("rsa", { modulusLength: 2048 })
        : generateKeyPairSync("ed25519");
  return {
    spki: made.publicKey.export({ format: "der", type: "spki" }),
    private: made.privateKey,
    pem: made.privateKey.export({ format: "pem", type: "pkcs8" }) as string,
    sign: (data) => sign(kind === "ed25519" ? null : "sha256", data, made.privateKey),
    algorithm: kind === "ec" ? ALGORITHMS.ecdsa : kind === "rsa" ? ALGORITHMS.rsa : ALGORITHMS.ed25519,
  };
}

/** SHA-1 of the key's bits, as RFC 5280 §4.2.1.2 has it and an OCSP responder's id. */
export const keyId = (spki: Buffer) => createHash("sha1").update(keyBits(spki)).digest();

/** What is in the BIT STRING that ends a SubjectPublicKeyInfo. */
export function keyBits(spki: Buffer): Buffer {
  return contents(parts(spki)[1]!).subarray(1);
}
const headOf = (der: Buffer, at: number) => (der[at + 1]! < 128 ? 2 : 2 + (der[at + 1]! & 127));
function sizeOf(der: Buffer, at: number): number {
  const head = headOf(der, at);
  if (head === 2) return 2 + der[at + 1]!;
  return head + Number.parseInt(der.subarray(at + 2, at + head).toString("hex"), 16);
}
/** What stands in it, one by one. */
export function parts(der: Buffer): Buffer[] {
  const all: Buffer[] = [];
  for (let rest = contents(der); rest.length > 0; rest = rest.subarray(all.at(-1)!.length))
    all.push(rest.subarray(0, sizeOf(rest, 0)));
  return all;
}
export const contents = (der: Buffer) => der.subarray(headOf(der, 0), sizeOf(der, 0));

export interface Certificate {
  issuer: string;
  subject: string;
  spki: Buffer;
  by: Pick<Key, "sign" | "algorithm">;
  ca?: boolean;
  /** By default keyCertSign and cRLSign for a CA, and no usage for others. */
  usage?: number;
  san?: string;
  serial?: bigint;
  to?: Date;
  from?: Date;
  extra?: Buffer[];
  /** What stands outside of what is signed, if it is not the same. */
  outer?: Buffer;
}

const DAY = 86_400_000;

export function certificate(c: Certificate): Buffer {
  const extensions = [extension("2.5.29.19", true, c.ca ? seq(TRUE) : seq())];
  const usage = c.usage ?? (c.ca ? 0x06 : undefined);
  if (usage !== undefined) extensions.push(extension("2.5.29.15", true, tlv(3, Buffer.of(1, usage))));
  if (c.san) extensions.push(extension("2.5.29.17", false, seq(tlv(0x82, Buffer.from(c.san)))));
  const tbs = seq(
    tlv(0xa0, int(2)),
    int(c.serial ?? BigInt(`0x40${randomBytes(7).toString("hex")}`)),
    c.by.algorithm,
    name(c.issuer),
    seq(time(c.from ?? new Date(Date.now() - DAY)), time(c.to ?? new Date(Date.now() + 30 * DAY))),
    name(c.subject),
    c.spki,
    tlv(0xa3, seq(...extensions, ...(c.extra ?? []))),
  );
  return seq(tbs, c.outer ?? c.by.algorithm, bits(c.by.sign(tbs)));
}

/** The key identifiers, by which OpenSSL finds the issuer among several of one name. */
export const subjectKeyId = (key: Pick<Key, "spki">) =>
  extension("2.5.29.14", false, octets(keyId(key.spki)));
export const authorityKeyId = (key: Pick<Key, "spki">) =>
  extension("2.5.29.35", false, seq(tlv(0x80, keyId(key.spki))));

export interface Crl {
  issuer: string;
  by: Key;
  /** Of which certificates; serial numbers. */
  revokes?: bigint[];
  extensions?: Buffer[];
  /** Whose signature it has in truth. */
  sign?: Sign;
  from?: Date;
}

export function crl({ issuer, by, revokes = [], extensions = [], sign: signs = by.sign, from }: Crl): Buffer {
  const begin = from ?? new Date(Date.now() - DAY);
  const tbs = seq(
    int(1),
    by.algorithm,
    name(issuer),
    time(begin),
    time(new Date(Date.now() + 30 * DAY)),
    ...(revokes.length > 0 ? [seq(...revokes.map((serial) => seq(int(serial), time(begin))))] : []),
    tlv(0xa0, seq(authorityKeyId(by), ...extensions)),
  );
  return seq(tbs, by.algorithm, bits(signs(tbs)));
}

// ---- P-256, with any generator --------------------------------------------------------------------------------------

const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
export type Point = readonly [bigint, bigint];
export const G: Point = [
  0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
];
const mod = (a: bigint, m: bigint) => ((a % m) + m) % m;
function inverse(a: bigint, m: bigint): bigint {
  let [r0, r1, t0, t1] = [m, mod(a, m), 0n, 1n];
  while (r1) {
    const q = r0 / r1;
    [r0, r1, t0, t1] = [r1, r0 - q * r1, t1, t0 - q * t1];
  }
  return mod(t0, m);
}
function add(a: Point | undefined, b: Point | undefined): Point | undefined {
  if (!a || !b) return a ?? b;
  if (a[0] === b[0] && mod(a[1] + b[1], P) === 0n) return undefined;
  const slope =
    a[0] === b[0] ? (3n * a[0] * a[0] - 3n) * inverse(2n * a[1], P) : (b[1] - a[1]) * inverse(b[0] - a[0], P);
  const x = mod(slope * slope - a[0] - b[0], P);
  return [x, mod(slope * (a[0] - x) - a[1], P)];
}
function times(k: bigint, point: Point): Point {
  let sum: Point | undefined;
  let doubled: Point | undefined = point;
  for (let left = k; left > 0n; left >>= 1n, doubled = add(doubled, doubled))
    if (left & 1n) sum = add(sum, doubled);
  return sum!;
}
const bytes32 = (n: bigint) => Buffer.from(n.toString(16).padStart(64, "0"), "hex");
const number = (bytes: Bytes) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
const encoded = (point: Point) => Buffer.concat([Buffer.of(4), bytes32(point[0]), bytes32(point[1])]);

/** The point of an EC key on P-256. */
export function pointOf(spki: Buffer): Point {
  const raw = keyBits(spki);
  return [number(raw.subarray(1, 33)), number(raw.subarray(33))];
}

/** ECDSA with SHA-256, by the key `d` to that generator. */
export function ecdsa(d: bigint, generator: Point): Sign {
  return (data) => {
    const hash = number(createHash("sha256").update(data).digest());
    const k = mod(number(randomBytes(40)), N - 1n) + 1n;
    const r = mod(times(k, generator)[0], N);
    return seq(int(r), int(mod(inverse(k, N) * (hash + r * d), N)));
  };
}

/** SpecifiedECDomain (X9.62): P-256's curve, and a generator of one's own. */
export const explicitParameters = (generator: Point) =>
  seq(
    int(1),
    seq(oid("1.2.840.10045.1.1"), int(P)),
    seq(octets(bytes32(P - 3n)), octets(bytes32(B))),
    octets(encoded(generator)),
    int(N),
    int(1),
  );
export const explicitSpki = (point: Point, generator: Point) =>
  seq(seq(oid("1.2.840.10045.2.1"), explicitParameters(generator)), bits(encoded(point)));
