/**
 * Tells which algorithm of a certificate this build of OpenSSL lacks. OpenSSL itself does not say so: to OpenSSL, a key
 * that it cannot read has 0 bits and "is too small", and an issuer with such a key is passed over and "is not found".
 */

const KEYS = new Set([
  "1.2.840.113549.1.1.1", // rsaEncryption
  "1.2.840.113549.1.1.10", // RSASSA-PSS
  "1.2.840.10045.3.1.7", // P-256, and so on
  "1.3.132.0.34",
  "1.3.132.0.35",
  "1.3.101.112", // Ed25519
]);
const EC_KEY = "1.2.840.10045.2.1";

/**
 * RSA with MD5 to SHA-512/256, ECDSA with SHA-1 to SHA-512, Ed25519. The weak ones too: OpenSSL itself says that they
 * are weak.
 */
const SIGNATURES =
  /^(1\.2\.840\.113549\.1\.1\.(4|5|10|11|12|13|14|15|16)|1\.2\.840\.10045\.4\.(1|3\.[1-4])|1\.3\.101\.112)$/;

/** The names of those that are in use. */
const NAMES: readonly (readonly [oid: RegExp, name: (...found: string[]) => string])[] = [
  [/^1\.3\.101\.113$/, () => "Ed448"],
  [/^1\.3\.101\.111$/, () => "X448"],
  [/^1\.3\.101\.110$/, () => "X25519"],
  [/^1\.2\.840\.10040\.4\.[13]$/, () => "DSA"],
  [/^2\.16\.840\.1\.101\.3\.4\.3\.[1-4]$/, () => "DSA"],
  [/^2\.16\.840\.1\.101\.3\.4\.3\.(9|10|11|12)$/, (n) => `ECDSA with SHA3-${SHA3[Number(n) - 9]}`],
  [/^2\.16\.840\.1\.101\.3\.4\.3\.(13|14|15|16)$/, (n) => `RSA with SHA3-${SHA3[Number(n) - 13]}`],
  [/^2\.16\.840\.1\.101\.3\.4\.3\.(17|18|19)$/, (n) => `ML-DSA-${ML_DSA[Number(n) - 17]}`],
  [/^2\.16\.840\.1\.101\.3\.4\.3\.(2\d|3[0-5])$/, () => "SLH-DSA"],
  [
    /^1\.3\.36\.3\.3\.2\.8\.1\.1\.(\d+)$/,
    (n) => `brainpoolP${BRAINPOOL[(Number(n) - 1) >> 1]}${Number(n) % 2 ? "r1" : "t1"}`,
  ],
  [/^1\.3\.132\.0\.10$/, () => "secp256k1"],
  [/^1\.3\.132\.0\.33$/, () => "P-224"],
  [/^1\.2\.840\.10045\.3\.1\.1$/, () => "P-192"],
  [/^1\.2\.156\.10197\.1\.(301|501)$/, () => "SM2"],
  [/^1\.2\.643\./, () => "GOST R 34.10"],
];
const SHA3 = [224, 256, 384, 512];
const ML_DSA = [44, 65, 87];
const BRAINPOOL = [160, 192, 224, 256, 320, 384, 512];

interface Lacking {
  /** Of the certificate's own key. */
  readonly key?: string;
  /** With which its issuer has signed it. */
  readonly signature?: string;
}

/** What is lacking for this certificate, by the usual names. Nothing is told of what cannot be read. */
function lackingFor(der: Uint8Array): Lacking {
  try {
    const [tbs, signature] = inside(der);
    // Version, which may be left out, serial number, signature, issuer, validity, subject, and the key.
    const fields = inside(tbs!);
    const spki = fields[fields[0]![0] === 0xa0 ? 6 : 5]!;
    const [algorithm, parameters] = inside(inside(spki)[0]!);
    const signed = oidOf(inside(signature!)[0]!);
    let key = oidOf(algorithm!);
    // A curve that is spelled out is another matter, which OpenSSL itself tells.
    if (key === EC_KEY) key = parameters?.[0] === OID ? oidOf(parameters) : "";
    return {
      ...(key !== "" && !KEYS.has(key) && { key: nameOf(key) }),
      ...(!SIGNATURES.test(signed) && { signature: nameOf(signed) }),
    };
  } catch {
    return {};
  }
}

const OID = 6;

/** The elements of DER in this one. */
function inside(der: Uint8Array): Uint8Array[] {
  const all: Uint8Array[] = [];
  let rest = der.subarray(...rangeOf(der));
  while (rest.length > 0) {
    const [, end] = rangeOf(rest);
    all.push(rest.subarray(0, end));
    rest = rest.subarray(end);
  }
  return all;
}

/** Where its content lies. */
function rangeOf(der: Uint8Array): [from: number, to: number] {
  const short = der[1]!;
  const from = short < 128 ? 2 : 2 + (short & 127);
  let length = short < 128 ? short : 0;
  for (const byte of der.subarray(2, from)) length = length * 256 + byte;
  if (!(from + length <= der.length)) throw new RangeError("cut short");
  return [from, from + length];
}

function oidOf(der: Uint8Array): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of der.subarray(...rangeOf(der))) {
    number = number * 128 + (byte & 127);
    if (byte >= 128) continue;
    // The first two share one.
    if (numbers.length === 0)
      numbers.push(Math.min(Math.floor(number / 40), 2), number - 40 * Math.min(Math.floor(number / 40), 2));
    else numbers.push(number);
    number = 0;
  }
  return numbers.join(".");
}

function nameOf(oid: string): string {
  for (const [pattern, name] of NAMES) {
    const found = oid.match(pattern);
    if (found) return name(...found.slice(1));
  }
  return `OID ${oid}`;
}

/** The same in words, or "". */
export function whatIsLacking(der: Uint8Array): string {
  const { key, signature } = lackingFor(der);
  const what = key
    ? signature && signature !== key
      ? `its key is ${key} and its signature ${signature}`
      : `its key is ${key}`
    : signature && `its signature is ${signature}`;
  return what ? `${what}, which this build of OpenSSL lacks` : "";
}
