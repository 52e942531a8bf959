/** What `node:crypto` itself says, for tests of `wassl/node/crypto`: vectors from a seed, and what only a private key reads. */
import * as crypto from "node:crypto";
import { random, randomBytes } from "../helpers/random.ts";

/** Bytes are in hexadecimal. */
export interface CryptoVectors {
  hashes: { algorithm: string; parts: string[]; digest: string }[];
  hmacs: { algorithm: string; key: string; parts: string[]; digest: string }[];
  derived: {
    algorithm: string;
    password: string;
    salt: string;
    rounds: number;
    length: number;
    key: string;
  }[];
  rsa: { spki: string; pkcs1: string; bits: number; exponent: string; plain: string; raw: string };
  ec: { spki: string; group: string };
}

const ALGORITHMS = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256", "sha3-512"];
/** Around the blocks of the algorithms, of which HMACs and padding make cases. */
const LENGTHS = [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1000, 65_535, 65_537, 200_000];

const keys = {
  rsa: crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ec: crypto.generateKeyPairSync("ec", { namedCurve: "P-384" }),
};

export function cryptoVectors(seed: number): CryptoVectors {
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const bytes = (length: number) => Buffer.from(randomBytes(length, below(2 ** 32)));
  const hex = (all: Buffer[]) => all.map((each) => each.toString("hex"));
  /** The same bytes in pieces. */
  const parts = () => {
    const whole = bytes(LENGTHS[below(LENGTHS.length)]!);
    const at = Array.from({ length: below(4) }, () => below(whole.length + 1)).sort((a, b) => a - b);
    return [0, ...at].map((from, i) => whole.subarray(from, at[i]));
  };
  const fill = <T extends crypto.Hash | crypto.Hmac>(state: T, all: Buffer[]) => {
    for (const each of all) state.update(each);
    return state.digest("hex");
  };
  const each = <T>(count: number, make: (algorithm: string) => T) =>
    ALGORITHMS.flatMap((algorithm) => Array.from({ length: count }, () => make(algorithm)));
  const { publicKey } = keys.rsa;
  // As a number it is below every modulus of this length.
  const plain = Buffer.concat([Buffer.of(0), bytes(255)]);
  return {
    hashes: each(4, (algorithm) => {
      const all = parts();
      return { algorithm, parts: hex(all), digest: fill(crypto.createHash(algorithm), all) };
    }),
    hmacs: each(4, (algorithm) => {
      const [all, key] = [parts(), bytes([0, 1, 63, 64, 65, 128, 129, 300][below(8)]!)];
      const digest = fill(crypto.createHmac(algorithm, key), all);
      return { algorithm, key: key.toString("hex"), parts: hex(all), digest };
    }),
    derived: each(2, (algorithm) => {
      const [password, salt] = [bytes(below(150)), bytes(below(150))];
      const [rounds, length] = [1 + below(200), below(100)];
      const key = crypto.pbkdf2Sync(password, salt, rounds, length, algorithm).toString("hex");
      return {
        algorithm,
        password: password.toString("hex"),
        salt: salt.toString("hex"),
        rounds,
        length,
        key,
      };
    }),
    rsa: {
      spki: publicKey.export({ type: "spki", format: "pem" }).toString(),
      pkcs1: publicKey.export({ type: "pkcs1", format: "pem" }).toString(),
      bits: publicKey.asymmetricKeyDetails!.modulusLength!,
      exponent: String(publicKey.asymmetricKeyDetails!.publicExponent),
      plain: plain.toString("hex"),
      raw: crypto
        .publicEncrypt({ key: publicKey, padding: crypto.constants.RSA_NO_PADDING }, plain)
        .toString("hex"),
    },
    ec: {
      spki: keys.ec.publicKey.export({ type: "spki", format: "pem" }).toString(),
      group: keys.ec.publicKey.asymmetricKeyDetails!.namedCurve!,
    },
  };
}

/** What was encrypted to that RSA key. With PKCS #1's padding it is taken off here: Node.js does so no more (RFC 8017 §7.2.2). */
export function cryptoDecrypt(asked: URLSearchParams): { data: string } {
  const { RSA_NO_PADDING, RSA_PKCS1_OAEP_PADDING } = crypto.constants;
  const oaep = asked.get("padding") === "oaep";
  const plain = crypto.privateDecrypt(
    {
      key: keys.rsa.privateKey,
      padding: oaep ? RSA_PKCS1_OAEP_PADDING : RSA_NO_PADDING,
      ...(oaep && { oaepHash: asked.get("hash") ?? "sha1" }),
      ...(asked.has("label") && { oaepLabel: Buffer.from(asked.get("label")!, "hex") }),
    },
    Buffer.from(asked.get("data") ?? "", "hex"),
  );
  if (oaep) return { data: plain.toString("hex") };
  const end = plain.indexOf(0, 2);
  if (plain[0] !== 0 || plain[1] !== 2 || end < 10)
    throw new Error(`no such padding: ${plain.toString("hex")}`);
  return { data: plain.subarray(end + 1).toString("hex") };
}
