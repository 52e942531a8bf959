/** What a stranger's certificates cost: processor time of this process, which hardly depends on what else the machine does. */
import QUnit from "qunit";
import { OpenSsl, verifyChain } from "wassl";
import {
  basicConstraints,
  bits,
  certificate,
  commonName,
  dnsName,
  extension,
  integer,
  type Key,
  newKey,
  oid,
  rdn,
  sequence,
  subjectAltNames,
  tlv,
  utf8String,
} from "../fakes/der.ts";

/** Milliseconds; of 100 KiB none may take as many. */
const BOUND = 250;

const many = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** An RSA key that nobody has made: an odd number of so many bits, and an exponent. */
function rsa(size: number, exponent: Uint8Array): Uint8Array {
  const modulus = new Uint8Array(size / 8).map((_, i) => (i * 7919 + 13) & 0xff);
  modulus[0] = 0xff;
  modulus[modulus.length - 1]! |= 1;
  const algorithm = sequence(oid("1.2.840.113549.1.1.1"), tlv(0x05));
  return sequence(algorithm, bits(sequence(integer(modulus), integer(exponent))));
}

/** A chain that leads nowhere, each signed, it says, by the next one's key. */
function rsaChain(count: number, size: number, exponent: Uint8Array): Promise<Uint8Array[]> {
  const signature = new Uint8Array(size / 8).fill(0x11);
  const algorithm = sequence(oid("1.2.840.113549.1.1.11"), tlv(0x05));
  const make = (i: number) =>
    certificate({
      issuer: commonName(`i${i + 1}`),
      subject: commonName(`i${i}`),
      spki: rsa(size, exponent),
      extensions: [basicConstraints(i > 0)],
      signature,
      algorithm,
    });
  return Promise.all(many(count, make));
}

async function chains(): Promise<[string, readonly Uint8Array[]][]> {
  const [ca, key]: Key[] = [await newKey(), await newKey()];
  const base = { issuer: commonName("ca"), subject: commonName("leaf"), spki: key!.spki, signer: ca! };
  const one = async (extensions: Uint8Array[], parts = {}) => [
    await certificate({ ...base, extensions, ...parts }),
  ];
  const point = sequence(tlv(0xa0, tlv(0xa1, sequence(oid("2.5.4.3"), utf8String("y")))));
  const long = (count: number) => sequence(...many(count, (i) => rdn("2.5.4.3", `x${i}`)));
  const same = await certificate({ ...base, issuer: commonName("i"), subject: commonName("i") });
  return [
    [
      "relative distribution points",
      await one([extension("2.5.29.31", sequence(...many(3200, () => point)))], { issuer: long(700) }),
    ],
    ["names of 6,000 parts", await one([], { subject: long(6000) })],
    ["7,000 alternative names", await one([subjectAltNames(...many(7000, (i) => dnsName(`*.a${i}.test`)))])],
    [
      "4,000 unknown extensions",
      await one(many(4000, (i) => extension(`1.2.3.${i}`, tlv(0x05), i % 2 === 0))),
    ],
    ["4,000 times one extension", await one(many(4000, () => basicConstraints(false)))],
    ["a serial number of 90,000 bytes", await one([], { serial: new Uint8Array(90_000).fill(0x55) })],
    [
      "8,000 purposes",
      await one([extension("2.5.29.37", sequence(...many(8000, (i) => oid(`1.2.3.4.5.${i}`))))]),
    ],
    [
      "7,000 policies",
      await one([extension("2.5.29.32", sequence(...many(7000, (i) => sequence(oid(`1.2.3.4.${i}`)))))]),
    ],
    ["300 of one name", [...(await one([], { issuer: commonName("i") })), ...many(300, () => same)]],
    ["RSA, 20 keys of 16,384 bits", await rsaChain(20, 16_384, new Uint8Array(8).fill(0xff))],
    ["RSA, 40 exponents of 3,071 bits", await rsaChain(40, 3072, new Uint8Array(384).fill(0x7f))],
  ];
}

QUnit.module("strangers: what their certificates cost", () => {
  QUnit.test("no chain of 100 KiB takes long", async (assert) => {
    const openssl = await OpenSsl.load();
    const ca = await newKey();
    const name = commonName("another");
    const root = await certificate({
      issuer: name,
      subject: name,
      spki: ca.spki,
      signer: ca,
      extensions: [basicConstraints(true)],
    });
    // What is done once is not counted.
    await verifyChain({ openssl, leaf: root, roots: root });
    for (const [what, [leaf, ...intermediates]] of await chains()) {
      const began = process.cpuUsage();
      const result = await verifyChain({
        openssl,
        leaf: leaf!,
        intermediates,
        roots: root,
        hostname: "s.test",
      });
      const { user, system } = process.cpuUsage(began);
      assert.false(result.ok, what);
      const took = (user + system) / 1000;
      assert.true(took < BOUND, `${what}: ${took.toFixed(0)} ms`);
    }
  });
});
