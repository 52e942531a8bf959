/**
 * Certificates with keys and signatures that OpenSSL is built without here, and with weak ones: what is said of each
 * must name that, and nothing else.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { bits, NULL, oid, pem, sequence } from "../der.ts";
import { ALGORITHMS, certificate, type Key, newKey } from "./handmade.ts";

export interface Unsupported {
  /** A trust anchor with an ordinary key. */
  root: string;
  /** A leaf for "localhost" that it signed, and its key. */
  good: { cert: string; key: string };
  /** A key of the same kind as that, and one of another. */
  others: { ec: string; rsa: string };
  /** Leaves with such a key, signed by `root`; and that key, where Node.js can make one. */
  keys: Record<string, { cert: string; key?: string }>;
  /** Leaves with an ordinary key, that an issuer signed in such a way; and that issuer, whose key is of that kind. */
  signatures: Record<string, { cert: string; root: string; key: string }>;
  /** Leaves of `root` with the key of `good`, each with something wrong. */
  wrong: Record<"expired" | "early" | "selfSigned" | "nameless", string>;
}

export function makeUnsupported(): Unsupported {
  const rootKey = newKey();
  const good = newKey();
  const leaf = (key: Pick<Key, "spki">, by: Pick<Key, "sign" | "algorithm">, issuer = "Root", more = {}) =>
    pem(certificate({ issuer, subject: "leaf", spki: key.spki, by, san: "localhost", ...more }));
  const made = (
    { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
    algorithm: Uint8Array,
    hash: string | null = "sha256",
  ): Key => ({
    spki: publicKey.export({ format: "der", type: "spki" }),
    private: privateKey,
    pem: privateKey.export({ format: "pem", type: "pkcs8" }) as string,
    sign: (data) => sign(hash, data, privateKey),
    algorithm,
  });
  const curve = (namedCurve: string) => made(generateKeyPairSync("ec", { namedCurve }), ALGORITHMS.ecdsa);
  const mlDsa = sequence(oid("2.16.840.1.101.3.4.3.17"));
  const odd: Record<string, Pick<Key, "spki" | "sign" | "algorithm"> & { pem?: string }> = {
    brainpoolP256r1: curve("brainpoolP256r1"),
    secp256k1: curve("secp256k1"),
    "P-224": curve("secp224r1"),
    Ed448: made(generateKeyPairSync("ed448"), sequence(oid("1.3.101.113")), null),
    // Nobody here can make one: a key and a signature by their lengths.
    "ML-DSA-44": {
      spki: sequence(mlDsa, bits(randomBytes(1312))),
      sign: () => randomBytes(2420),
      algorithm: mlDsa,
    },
    DSA: made(
      generateKeyPairSync("dsa", { modulusLength: 2048, divisorLength: 256 }),
      sequence(oid("2.16.840.1.101.3.4.3.2")),
    ),
    "RSA 1024": made(generateKeyPairSync("rsa", { modulusLength: 1024 }), ALGORITHMS.rsa),
  };
  const ec = newKey();
  const rsa = newKey("rsa");
  const signed = (key: Key, id: string, hash: string, ...parameters: Uint8Array[]) => ({
    ...key,
    algorithm: sequence(oid(id), ...parameters),
    sign: (data: Uint8Array) => sign(hash, data, key.private),
  });
  const signers = {
    ...odd,
    "ECDSA with SHA3-256": signed(ec, "2.16.840.1.101.3.4.3.10", "sha3-256"),
    "RSA with SHA3-256": signed(rsa, "2.16.840.1.101.3.4.3.14", "sha3-256", NULL),
    SHA1: signed(rsa, "1.2.840.113549.1.1.5", "sha1", NULL),
    "OID 1.3.9999.3.6.4": {
      ...rsa,
      algorithm: sequence(oid("1.3.9999.3.6.4")),
      sign: () => randomBytes(700),
    },
  };
  return {
    root: pem(certificate({ issuer: "Root", subject: "Root", spki: rootKey.spki, by: rootKey, ca: true })),
    good: { cert: leaf(good, rootKey), key: good.pem },
    others: { ec: ec.pem, rsa: rsa.pem },
    keys: Object.fromEntries(
      Object.entries(odd).map(([name, key]) => [
        name,
        { cert: leaf(key, rootKey), ...(key.pem !== undefined && { key: key.pem }) },
      ]),
    ),
    signatures: Object.fromEntries(
      Object.entries(signers).map(([name, by]) => {
        const root = certificate({ issuer: "Odd", subject: "Odd", spki: by.spki, by, ca: true });
        return [name, { cert: leaf(good, by, "Odd"), root: pem(root), key: good.pem }];
      }),
    ),
    wrong: {
      expired: leaf(good, rootKey, "Root", {
        from: new Date(Date.UTC(2020, 0, 1)),
        to: new Date(Date.UTC(2021, 0, 1)),
      }),
      early: leaf(good, rootKey, "Root", {
        from: new Date(Date.UTC(2040, 0, 1)),
        to: new Date(Date.UTC(2041, 0, 1)),
      }),
      selfSigned: pem(
        certificate({ issuer: "Self", subject: "Self", spki: good.spki, by: good, san: "localhost" }),
      ),
      nameless: pem(certificate({ issuer: "Root", subject: "localhost", spki: good.spki, by: rootKey })),
    },
  };
}
