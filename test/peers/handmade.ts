/** Certificates and what belongs to them, byte by byte: what no tool would make. Nothing here is constant-time. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import {
  basicConstraints,
  bits,
  commonName,
  dnsName,
  extension,
  generalizedTime,
  integer,
  NULL,
  octets,
  oid,
  sequence,
  subjectAltNames,
  tlv,
} from "../der.ts";

type Bytes = Uint8Array;

export const ALGORITHMS = {
  ecdsa: sequence(oid("1.2.840.10045.4.3.2")),
  ecdsaSha384: sequence(oid("1.2.840.10045.4.3.3")),
  ecdsaSha1: sequence(oid("1.2.840.10045.4.1")),
  rsa: sequence(oid("1.2.840.113549.1.1.11"), NULL),
  rsaSha1: sequence(oid("1.2.840.113549.1.1.5"), NULL),
  ed25519: sequence(oid("1.3.101.112")),
};

/** RSASSA-PSS-params with that hash; sha1 is the default, and is left out. */
export function pssParameters(hash: "sha1" | "sha256" | "sha512"): Uint8Array {
  if (hash === "sha1") return sequence();
  const algorithm = sequence(oid(`2.16.840.1.101.3.4.2.${hash === "sha256" ? 1 : 3}`), NULL);
  const salt = hash === "sha256" ? 32 : 64;
  return sequence(
    tlv(0xa0, algorithm),
    tlv(0xa1, sequence(oid("1.2.840.113549.1.1.8"), algorithm)),
    tlv(0xa2, integer(salt)),
  );
}
export const pss = (hash: "sha1" | "sha256" | "sha512") =>
  sequence(oid("1.2.840.113549.1.1.10"), pssParameters(hash));

export type Sign = (data: Bytes) => Bytes;
export interface Key {
  spki: Uint8Array;
  private: KeyObject;
  pem: string;
  sign: Sign;
  algorithm: Uint8Array;
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
export const keyId = (spki: Uint8Array) => createHash("sha1").update(keyBits(spki)).digest();

/** What is in the BIT STRING that ends a SubjectPublicKeyInfo. */
export function keyBits(spki: Uint8Array): Uint8Array {
  return contents(parts(spki)[1]!).subarray(1);
}
const headOf = (der: Uint8Array, at: number) => (der[at + 1]! < 128 ? 2 : 2 + (der[at + 1]! & 127));
function sizeOf(der: Uint8Array, at: number): number {
  const head = headOf(der, at);
  if (head === 2) return 2 + der[at + 1]!;
  return head + Number.parseInt(Buffer.from(der.subarray(at + 2, at + head)).toString("hex"), 16);
}
/** What stands in it, one by one. */
export function parts(der: Uint8Array): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let rest = contents(der); rest.length > 0; rest = rest.subarray(all.at(-1)!.length))
    all.push(rest.subarray(0, sizeOf(rest, 0)));
  return all;
}
export const contents = (der: Uint8Array) => der.subarray(headOf(der, 0), sizeOf(der, 0));

export interface Certificate {
  issuer: string;
  subject: string;
  spki: Uint8Array;
  by: Pick<Key, "sign" | "algorithm">;
  ca?: boolean;
  /** By default keyCertSign and cRLSign for a CA, and no usage for others. */
  usage?: number;
  san?: string;
  serial?: bigint;
  to?: Date;
  from?: Date;
  extra?: Uint8Array[];
  /** What stands outside of what is signed, if it is not the same. */
  outer?: Uint8Array;
}

const DAY = 86_400_000;

export function certificate(c: Certificate): Uint8Array {
  const extensions = [basicConstraints(c.ca ?? false)];
  const usage = c.usage ?? (c.ca ? 0x06 : undefined);
  if (usage !== undefined) extensions.push(extension("2.5.29.15", tlv(3, Buffer.of(1, usage)), true));
  if (c.san) extensions.push(subjectAltNames(dnsName(c.san)));
  const tbs = sequence(
    tlv(0xa0, integer(2)),
    integer(c.serial ?? BigInt(`0x40${randomBytes(7).toString("hex")}`)),
    c.by.algorithm,
    commonName(c.issuer),
    sequence(
      generalizedTime(c.from ?? new Date(Date.now() - DAY)),
      generalizedTime(c.to ?? new Date(Date.now() + 30 * DAY)),
    ),
    commonName(c.subject),
    c.spki,
    tlv(0xa3, sequence(...extensions, ...(c.extra ?? []))),
  );
  return sequence(tbs, c.outer ?? c.by.algorithm, bits(c.by.sign(tbs)));
}

/** The key identifiers, by which OpenSSL finds the issuer among several of one name. */
export const subjectKeyId = (key: Pick<Key, "spki">) => extension("2.5.29.14", octets(keyId(key.spki)));
export const authorityKeyId = (key: Pick<Key, "spki">) =>
  extension("2.5.29.35", sequence(tlv(0x80, keyId(key.spki))));

export interface Crl {
  issuer: string;
  by: Key;
  /** Of which certificates; serial numbers. */
  revokes?: bigint[];
  extensions?: Uint8Array[];
  /** Whose signature it has in truth. */
  sign?: Sign;
  /** The algorithm that stands beside the signature. */
  outer?: Uint8Array;
  from?: Date;
}

export function crl({
  issuer,
  by,
  revokes = [],
  extensions = [],
  sign: signs = by.sign,
  outer = by.algorithm,
  from,
}: Crl): Uint8Array {
  const begin = from ?? new Date(Date.now() - DAY);
  const tbs = sequence(
    integer(1),
    by.algorithm,
    commonName(issuer),
    generalizedTime(begin),
    generalizedTime(new Date(Date.now() + 30 * DAY)),
    ...(revokes.length > 0
      ? [sequence(...revokes.map((serial) => sequence(integer(serial), generalizedTime(begin))))]
      : []),
    tlv(0xa0, sequence(authorityKeyId(by), ...extensions)),
  );
  return sequence(tbs, outer, bits(signs(tbs)));
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
export function pointOf(spki: Uint8Array): Point {
  const raw = keyBits(spki);
  return [number(raw.subarray(1, 33)), number(raw.subarray(33))];
}

/** ECDSA with SHA-256, by the key `d` to that generator. */
export function ecdsa(d: bigint, generator: Point): Sign {
  return (data) => {
    const hash = number(createHash("sha256").update(data).digest());
    const k = mod(number(randomBytes(40)), N - 1n) + 1n;
    const r = mod(times(k, generator)[0], N);
    return sequence(integer(r), integer(mod(inverse(k, N) * (hash + r * d), N)));
  };
}

/** SpecifiedECDomain (X9.62): P-256's curve, and a generator of one's own. */
export const explicitParameters = (generator: Point) =>
  sequence(
    integer(1),
    sequence(oid("1.2.840.10045.1.1"), integer(P)),
    sequence(octets(bytes32(P - 3n)), octets(bytes32(B))),
    octets(encoded(generator)),
    integer(N),
    integer(1),
  );
export const explicitSpki = (point: Point, generator: Point) =>
  sequence(sequence(oid("1.2.840.10045.2.1"), explicitParameters(generator)), bits(encoded(point)));
