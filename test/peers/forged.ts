/**
 * Chains that an attacker makes, by hand: for each what is looked at first (`look`), and what a client that trusts
 * `roots` must refuse then (`want`). They differ in one input of a signature's verification each.
 */
import { createHash, generateKeyPairSync, sign as signWith } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bits, extension, integer, octets, oid, pem, sequence, tlv } from "../der.ts";
import {
  ALGORITHMS,
  certificate,
  contents,
  ecdsa,
  explicitParameters,
  explicitSpki,
  G,
  type Key,
  keyBits,
  newKey,
  parts,
  pointOf,
  pss,
} from "./handmade.ts";
import { makeRevocation, type Revocation } from "./revocation.ts";

export interface Forgery {
  /** PEM, the leaf first. */
  look: string;
  want: string;
  roots: string;
  /** The anchors that the first look trusts; by default `roots`. */
  lookRoots?: string;
}

export interface Forged {
  chains: Record<string, Forgery>;
  /** A chain of the same issuers that is good. */
  honest: { chain: string; roots: string };
  /** One whose issuer and leaf are under the policy 1.2.3.4; the key is the leaf's. */
  policy: { chain: string; key: string; roots: string };
  /** Keys with explicit curve parameters, PEM: alone, in PKCS #8, and a certificate. */
  explicit: {
    sec1: string;
    pkcs8: string;
    pkcs8Der: string;
    selfSigned: string;
    leaf: string;
    roots: string;
  };
  /** A wildcard, and what its authority must not sign. */
  limited: {
    excluded: string;
    name: string;
    ok: boolean;
    leaf: string;
    intermediate: string;
    roots: string;
  }[];
  revocation: Revocation;
}

const ROOT = "Honest root";
const CA = "Honest intermediate";

export function makeForged(folder: string): Forged {
  const rootKey = newKey();
  const root = certificate({ issuer: ROOT, subject: ROOT, spki: rootKey.spki, by: rootKey, ca: true });
  const leafKey = newKey();
  const ca = (spki: Uint8Array, by: Pick<Key, "sign" | "algorithm"> = rootKey) =>
    certificate({ issuer: ROOT, subject: CA, spki, by, ca: true });
  /** Made without the root's key. */
  const nobody = { sign: () => sequence(integer(7), integer(7)), algorithm: ALGORITHMS.ecdsa };
  const leaf = (by: Pick<Key, "sign" | "algorithm">, outer?: Uint8Array) =>
    certificate({
      issuer: CA,
      subject: "leaf",
      spki: leafKey.spki,
      by,
      san: "localhost",
      ...(outer ? { outer } : {}),
    });
  const chain = (...certificates: Uint8Array[]) => certificates.map((each) => pem(each)).join("");
  const chains: Record<string, Forgery> = {};
  const roots = pem(root);

  const ec = newKey();
  const honestEc = ca(ec.spki);
  {
    // CVE-2020-0601: the honest key's point is the generator, so 1 is its private key.
    const point = pointOf(ec.spki);
    const forged = leaf({ sign: ecdsa(1n, point), algorithm: ALGORITHMS.ecdsa });
    const fake = ca(explicitSpki(point, point), nobody);
    chains["another generator"] = { look: chain(forged, fake), want: chain(forged, honestEc), roots };
    // The same, where the first look trusts the fake.
    chains["another generator, believed"] = {
      look: chain(forged, fake),
      want: chain(forged, honestEc),
      roots,
      lookRoots: pem(fake) + roots,
    };
  }
  {
    const good = leaf(ec);
    const spelled = ca(explicitSpki(pointOf(ec.spki), G));
    chains["the curve's own parameters, spelled out"] = {
      look: chain(good, spelled),
      want: chain(good, spelled),
      roots,
    };
  }
  {
    const good = leaf(ec);
    const other = Buffer.from(good);
    other[other.length - 1]! ^= 1;
    chains["another signature"] = { look: chain(good, honestEc), want: chain(other, honestEc), roots };
  }
  {
    const good = leaf(ec);
    const [tbs, , signature] = parts(good) as [Buffer, Buffer, Buffer];
    chains["another algorithm outside of what is signed"] = {
      look: chain(good, honestEc),
      want: chain(sequence(tbs, ALGORITHMS.ecdsaSha384, signature), honestEc),
      roots,
    };
  }
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const plain = rsa.publicKey.export({ format: "der", type: "spki" });
  const modulus = keyBits(plain);
  const restricted = (hash: "sha256" | "sha512") => sequence(pss(hash), bits(modulus));
  const byRsa = {
    sign: (data: Uint8Array) => signWith("sha256", data, rsa.privateKey),
    algorithm: ALGORITHMS.rsa,
  };
  const byPss = {
    sign: (data: Uint8Array) =>
      signWith("sha256", data, {
        key: rsa.privateKey,
        padding: 6 /* RSA_PKCS1_PSS_PADDING */,
        saltLength: 32,
      }),
    algorithm: pss("sha256"),
  };
  {
    const signed = leaf(byRsa);
    chains["an RSA key for anything, and for RSA-PSS alone"] = {
      look: chain(signed, ca(plain, nobody)),
      want: chain(signed, ca(restricted("sha256"))),
      roots,
    };
    const signedPss = leaf(byPss);
    chains["RSA-PSS with another hash"] = {
      look: chain(signedPss, ca(restricted("sha256"), nobody)),
      want: chain(signedPss, ca(restricted("sha512"))),
      roots,
    };
  }
  {
    // With the exponent 1 a signature is what was padded.
    const n = contents(contents(modulus));
    const forgedSignature = (data: Uint8Array) => {
      const digest = signWith("sha256", data, rsa.privateKey); // its length alone matters
      const info = sequence(sequence(oid("2.16.840.1.101.3.4.2.1"), tlv(5)), octets(sha256(data)));
      return Buffer.concat([
        Buffer.of(0, 1),
        Buffer.alloc(digest.length - 3 - info.length, 255),
        Buffer.of(0),
        info,
      ]);
    };
    const forged = leaf({ sign: forgedSignature, algorithm: ALGORITHMS.rsa });
    const one = sequence(
      sequence(oid("1.2.840.113549.1.1.1"), tlv(5)),
      bits(sequence(tlv(2, n), integer(1))),
    );
    chains["the exponent 1"] = {
      look: chain(forged, ca(one, nobody)),
      want: chain(forged, ca(plain)),
      roots,
    };
  }
  for (const kind of ["ec", "rsa", "ed25519"] as const) {
    // A whole PKI of the same names, with another root.
    const otherRootKey = newKey(kind);
    const otherKey = newKey(kind);
    const otherRoot = certificate({
      issuer: ROOT,
      subject: ROOT,
      spki: otherRootKey.spki,
      by: otherRootKey,
      ca: true,
    });
    const other = ca(otherKey.spki, otherRootKey);
    const theirs = leaf(otherKey);
    const honest = ca(newKey(kind).spki);
    chains[`the same names, other keys: ${kind}`] = {
      look: chain(theirs, other),
      want: chain(theirs, honest),
      roots,
      lookRoots: pem(otherRoot),
    };
    chains[`the same names, other keys: ${kind}, all that was seen`] = {
      look: chain(theirs, other),
      want: chain(theirs, other),
      roots,
      lookRoots: pem(otherRoot),
    };
  }

  const files = join(folder, "forged");
  mkdirSync(files, { recursive: true });
  for (const [name, { look, want }] of Object.entries(chains)) {
    writeFileSync(join(files, `${name}.look.pem`), look);
    writeFileSync(join(files, `${name}.want.pem`), want);
  }
  const good = chain(leaf(ec), honestEc);
  writeFileSync(join(files, "honest.look.pem"), good);
  writeFileSync(join(files, "leaf.key"), leafKey.pem);

  const d = Buffer.from(leafKey.private.export({ format: "jwk" }).d!, "base64url");
  const point = keyBits(leafKey.spki);
  const explicitKey = sequence(
    integer(1),
    octets(d),
    tlv(0xa0, explicitParameters(G)),
    tlv(0xa1, bits(point)),
  );
  const pkcs8 = sequence(
    integer(0),
    sequence(oid("1.2.840.10045.2.1"), explicitParameters(G)),
    octets(sequence(integer(1), octets(d), tlv(0xa1, bits(point)))),
  );
  const explicitLeafSpki = explicitSpki(pointOf(leafKey.spki), G);
  const explicit = {
    sec1: pem(explicitKey, "EC PRIVATE KEY"),
    pkcs8: pem(pkcs8, "PRIVATE KEY"),
    pkcs8Der: Buffer.from(pkcs8).toString("base64"),
    selfSigned: pem(
      certificate({
        issuer: "explicit",
        subject: "explicit",
        spki: explicitLeafSpki,
        by: leafKey,
        san: "localhost",
      }),
    ),
    leaf: pem(
      certificate({
        issuer: ROOT,
        subject: "explicit",
        spki: explicitLeafSpki,
        by: rootKey,
        san: "localhost",
      }),
    ),
    roots,
  };
  const policies = extension("2.5.29.32", sequence(sequence(oid("1.2.3.4"))));
  const policyCaKey = newKey();
  const policyCa = certificate({
    ...{
      issuer: ROOT,
      subject: "Policy CA",
      spki: policyCaKey.spki,
      by: rootKey,
      ca: true,
      extra: [policies],
    },
  });
  const policyLeaf = certificate({
    ...{
      issuer: "Policy CA",
      subject: "leaf",
      spki: leafKey.spki,
      by: policyCaKey,
      san: "localhost",
      extra: [policies],
    },
  });
  const policy = { chain: chain(policyLeaf, policyCa), key: leafKey.pem, roots };
  const limited = (
    [
      ["a.bank.test", "*.bank.test", false],
      ["A.Bank.Test", "*.bANK.test", false],
      ["bank.test", "*.bank.test", false],
      ["test", "*.bank.test", false],
      [".bank.test", "*.bank.test", false],
      ["", "*.bank.test", false],
      ["ab.bank.test", "a*.bank.test", false],
      // A wildcard is one label.
      ["b.a.bank.test", "*.bank.test", true],
      [".a.bank.test", "*.bank.test", true],
      ["a.bank.test", "*.a.bank.test", false],
      ["a.mybank.test", "*.bank.test", true],
      ["a.bank.test", "*.mybank.test", true],
      ["a.bank.test", "bank.test", true],
      ["*.bank.test", "a.bank.test", true],
    ] as const
  ).map(([excluded, name, ok]) => {
    const constraints = sequence(tlv(0xa1, sequence(tlv(0x82, Buffer.from(excluded)))));
    const extra = [extension("2.5.29.30", constraints, true)];
    const intermediate = certificate({
      ...{ issuer: ROOT, subject: CA, spki: ec.spki, by: rootKey, ca: true, extra },
    });
    const leaf = certificate({ issuer: CA, subject: "leaf", spki: leafKey.spki, by: ec, san: name });
    return { excluded, name, ok, leaf: pem(leaf), intermediate: pem(intermediate), roots };
  });
  return { chains, limited, policy, honest: { chain: good, roots }, explicit, revocation: makeRevocation() };
}

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest();
