/**
 * How much time the input of a peer may take. Processor time of this process is measured, which hardly depends on what
 * else the machine does.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import QUnit from "qunit";
import { OpenSsl, TlsError, type VerifyOptions, verifyChain } from "wassl";
import * as ssl from "wassl/openssl";
import {
  basicConstraints,
  bits,
  commonName,
  dnsName,
  extension,
  integer,
  octets,
  oid,
  pem,
  rdn,
  sequence,
  subjectAltNames,
  tlv,
  utf8String,
} from "../der.ts";
import { Contexts } from "../fakes/two-ends.ts";
import { concat, tlsError, utf8 } from "../helpers/basics.ts";
import { certificate, type Key, newKey } from "../helpers/certificates.ts";
import { connectTls } from "../helpers/connect.ts";
import { env } from "../helpers/env.ts";

/** Milliseconds; nothing of 100 KiB may take as many. */
const BOUND = 250;

const many = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** An RSA key that was not generated: an odd number of so many bits, and an exponent. */
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

/** A good one, each certificate below the next one's key. `extensions` are not the anchor's. */
async function goodChain(length: number, extensions: (i: number) => Uint8Array[]): Promise<Uint8Array[]> {
  const keys = await Promise.all(many(length, () => newKey()));
  const last = length - 1;
  return Promise.all(
    many(length, (i) =>
      certificate({
        issuer: commonName(`g${Math.min(i + 1, last)}`),
        subject: commonName(`g${i}`),
        spki: keys[i]!.spki,
        signer: keys[Math.min(i + 1, last)]!,
        extensions: [...(i > 0 ? [basicConstraints(true)] : []), ...(i < last ? extensions(i) : [])],
      }),
    ),
  );
}

/** What costs something only below an anchor that is trusted. The anchor is the last one. */
async function goodChains(): Promise<[string, readonly Uint8Array[], VerifyOptions?][]> {
  const names = subjectAltNames(...many(1000, () => dnsName("a")));
  const constraints = extension(
    "2.5.29.30",
    sequence(tlv(0xa1, ...many(1000, () => sequence(dnsName("b"))))),
    true,
  );
  const policies = (ids: readonly string[]) =>
    extension("2.5.29.32", sequence(...ids.map((id) => sequence(oid(id)))));
  const mappings = (ids: readonly string[]) =>
    extension("2.5.29.33", sequence(...ids.flatMap((a) => ids.map((b) => sequence(oid(a), oid(b))))));
  const some = (count: number) => many(count, (i) => `1.2.3.${i}`);
  const flags = ["X509_V_FLAG_POLICY_CHECK", "X509_V_FLAG_EXPLICIT_POLICY"] as const;
  const tree = async (length: number, ids: readonly string[]) =>
    goodChain(length, (i) => [policies(ids), ...(i > 0 ? [mappings(ids)] : [])]);
  return [
    [
      "1,000 names below 1,000 constraints, 66 times",
      await goodChain(12, (i) => (i === 0 ? [names] : [names, constraints])),
    ],
    ["policies that are mapped to each other, 2 in each of 90", await tree(90, some(2)), { flags }],
    ["policies that are mapped to each other, 8 in each of 20", await tree(20, some(8)), { flags }],
    ["900 policies in each of 11", await goodChain(12, () => [policies(some(900))]), { flags }],
    ["900 policies and any", await goodChain(12, () => [policies([...some(900), "2.5.29.32.0"])]), { flags }],
  ];
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

QUnit.module("time bounds: certificates", () => {
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
    for (const [what, [leaf, ...others], options] of await goodChains()) {
      const began = process.cpuUsage();
      const result = await verifyChain({
        openssl,
        leaf: leaf!,
        intermediates: others.slice(0, -1),
        roots: others.at(-1)!,
        ...options,
      });
      const { user, system } = process.cpuUsage(began);
      assert.false(result.ok, what);
      const took = (user + system) / 1000;
      assert.true(took < BOUND, `${what}: ${took.toFixed(0)} ms`);
    }
  });

  QUnit.test("names that no constraint forbids, up to 2^20 comparisons", async (assert) => {
    const openssl = await OpenSsl.load();
    const constraints = extension(
      "2.5.29.30",
      sequence(tlv(0xa1, ...many(500, (i) => sequence(dnsName(`no${i}.test`))))),
      true,
    );
    const names = subjectAltNames(...many(1000, (i) => dnsName(`n${i}.test`)));
    const [leaf, middle, root] = await goodChain(3, (i) => (i === 0 ? [names] : [constraints]));
    const result = await verifyChain({ openssl, leaf: leaf!, intermediates: middle!, roots: root! });
    assert.true(result.ok);
  });
});

/** A private key under a passphrase, it says: PBES2 with so many rounds (RFC 8018 §6.2). */
function encryptedKey(rounds: Uint8Array): Uint8Array {
  const prf = sequence(oid("1.2.840.113549.2.9"), tlv(0x05));
  return pbes2(sequence(oid("1.2.840.113549.1.5.12"), sequence(octets(new Uint8Array(8)), rounds, prf)));
}

/** The same with scrypt (RFC 7914 §7). */
function scryptKey(n: Uint8Array, r: Uint8Array, p: Uint8Array): Uint8Array {
  const kdf = sequence(octets(new Uint8Array(8)), n, r, p);
  return pbes2(sequence(oid("1.3.6.1.4.1.11591.4.11"), kdf));
}

/** The same as in PKCS #5 of 1993 (RFC 8018 §6.1). */
function oldKey(rounds: Uint8Array): Uint8Array {
  const algorithm = sequence(oid("1.2.840.113549.1.5.10"), sequence(octets(new Uint8Array(8)), rounds));
  return sequence(algorithm, octets(new Uint8Array(64)));
}

function pbes2(kdf: Uint8Array): Uint8Array {
  const cipher = sequence(oid("2.16.840.1.101.3.4.1.42"), octets(new Uint8Array(16)));
  const algorithm = sequence(oid("1.2.840.113549.1.5.13"), sequence(kdf, cipher));
  return sequence(algorithm, octets(new Uint8Array(64)));
}

/** A PKCS #12 file with nothing but a MAC (RFC 7292 §4). */
function pkcs12(rounds: Uint8Array): Uint8Array {
  const content = sequence(oid("1.2.840.113549.1.7.1"), tlv(0xa0, octets(sequence())));
  const sha256 = sequence(oid("2.16.840.1.101.3.4.2.1"), tlv(0x05));
  const mac = sequence(sequence(sha256, octets(new Uint8Array(32))), octets(new Uint8Array(8)), rounds);
  return sequence(integer(3), content, mac);
}

QUnit.module("time bounds: files with a passphrase", () => {
  QUnit.test("a passphrase goes through ten million rounds at most", async (assert) => {
    const openssl = await OpenSsl.load();
    const context = openssl.newContext("server");
    const refused = (what: string, use: () => void) => {
      const began = process.cpuUsage();
      assert.throws(
        use,
        (e: unknown) =>
          e instanceof TlsError && e.code === "invalid-argument" && /10000000 rounds/.test(e.message),
        what,
      );
      return process.cpuUsage(began).user / 1000;
    };
    for (const rounds of [
      integer(10_000_001),
      integer(0x7fff_ffff),
      integer(new Uint8Array(8).fill(0x7f)),
      tlv(0x02, Uint8Array.of(0xff)),
    ]) {
      const what = Buffer.from(rounds).toString("hex");
      const took =
        refused(`key, ${what}`, () => context.usePrivateKey(encryptedKey(rounds), "x")) +
        refused(`key of old, ${what}`, () => context.usePrivateKey(oldKey(rounds), "x")) +
        refused(`PKCS #12, ${what}`, () => context.usePkcs12(pkcs12(rounds), "x"));
      assert.true(took < BOUND, `${what}: ${took.toFixed(0)} ms`);
    }
    // What has no passphrase is tried in two ways, and each is counted.
    refused("together", () => context.usePkcs12(pkcs12(integer(5_000_001))));
    assert.throws(
      () => context.usePkcs12(pkcs12(integer(2048)), "x"),
      (e: unknown) => e instanceof TlsError && !/rounds/.test(e.message),
      "the count begins anew",
    );
  });
});

QUnit.module("time bounds: scrypt", () => {
  QUnit.test("32 MiB and ten million blocks at most", async (assert) => {
    const openssl = await OpenSsl.load();
    const context = openssl.newContext("server");
    const told = (n: Uint8Array, r: Uint8Array, p: Uint8Array) => {
      const began = process.cpuUsage();
      try {
        context.usePrivateKey(scryptKey(n, r, p), "x");
      } catch (error) {
        if (!(error instanceof TlsError && error.code === "invalid-argument")) throw error;
        const took = process.cpuUsage(began).user / 1000;
        assert.true(took < BOUND, `${took.toFixed(0)} ms`);
        return error.message;
      }
      throw new Error("nothing was refused");
    };
    const [one, eight, most] = [1, 8, 0x7fff_ffff].map((value) => integer(value)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const huge = integer(new Uint8Array(8).fill(0x40));
    const before = openssl.memory.size;
    for (const [n, r, p] of [
      [integer(32_768), eight, one],
      [integer(262_144), integer(2), one],
      [integer(2 ** 30), one, one],
      [integer(2), most, one],
      [integer(2), one, most],
      [integer(2), integer(2 ** 17), integer(2 ** 17)],
      [huge, one, one],
    ] as const) {
      assert.true(/scrypt with more than 32 MiB/.test(told(n, r, p)), told(n, r, p));
    }
    assert.strictEqual(openssl.memory.size, before, "nothing was allocated");
    // 128 r (N + p + 2) bytes are 32 MiB less 64 KiB or so, and N r p are eight times too many.
    assert.true(/10000000 rounds/.test(told(integer(16_384), eight, integer(16_000))));
    assert.true(/10000000 rounds/.test(told(integer(2 ** 15), one, integer(2 ** 17))));
    assert.true(/`passphrase` is wrong/.test(told(integer(1024), eight, one)), "what is usual is done");
    for (const [n, r, p] of [
      [integer(1000), eight, one],
      [integer(0), eight, one],
      [one, eight, one],
      [integer(1024), integer(0), one],
      [integer(1024), eight, integer(0)],
    ] as const) {
      assert.true(/scrypt parameters/.test(told(n, r, p)), told(n, r, p));
    }
  });
});

QUnit.module("time bounds: primes of TLS 1.2 servers", () => {
  QUnit.test("above 4096 bits only if a group is named that is as large", async (assert) => {
    const folder = mkdtempSync(join(tmpdir(), "wassl-dh-"));
    for (const [group, groups, accepted] of [
      ["ffdhe2048", undefined, true],
      ["ffdhe4096", undefined, true],
      ["ffdhe6144", undefined, false],
      ["modp_8192", undefined, false],
      ["modp_8192", "X25519:ffdhe6144", false],
      ["ffdhe6144", "DEFAULT:ffdhe6144", true],
      ["ffdhe8192", "DEFAULT:ffdhe8192", true],
    ] as const) {
      const file = join(folder, group);
      execFileSync("openssl", [
        ...["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", `group:${group}`, "-out", file],
      ]);
      const arg = ["-dhparam", file, "-cipher", "DHE"].map((a) => `&arg=${encodeURIComponent(a)}`).join("");
      const connecting = connectTls(`openssl?version=1.2&cert=rsa${arg}`, groups ? { groups } : {});
      const what = `${group}, groups ${groups}`;
      if (accepted) {
        const stream = await connecting;
        assert.true(stream.info.cipher.startsWith("DHE-RSA-"), what);
        stream.abort();
      } else {
        const error = await tlsError(connecting);
        assert.strictEqual(error.code, "protocol", what);
        assert.true(/a prime of \d+ bits.*`groups`/.test(error.message), `${what}: ${error.message}`);
      }
    }
  });
});

const u16 = (n: number) => Uint8Array.of(n >> 8, n & 0xff);
const vector = (...parts: Uint8Array[]) => {
  const body = concat(parts);
  return concat([u16(body.length), body]);
};

/** The records with a ClientHello of these suites and extensions (RFC 8446 §4.1.2). */
function clientHello(suites: Uint8Array, ...extensions: [type: number, content: Uint8Array][]): Uint8Array {
  const all = extensions.map(([type, content]) => concat([u16(type), vector(content)]));
  const body = concat([
    Uint8Array.of(3, 3, ...new Uint8Array(32), 0),
    vector(suites),
    Uint8Array.of(1, 0),
    vector(...all),
  ]);
  const message = concat([Uint8Array.of(1, body.length >> 16), u16(body.length & 0xffff), body]);
  const records: Uint8Array[] = [];
  for (let at = 0; at < message.length; at += 16_384)
    records.push(concat([Uint8Array.of(22, 3, 1), vector(message.subarray(at, at + 16_384))]));
  return concat(records);
}

/** What a server makes of these bytes; and how long it takes. */
function hellos(): [string, Uint8Array][] {
  const VERSIONS: [number, Uint8Array] = [43, Uint8Array.of(2, 3, 4)];
  const ALGORITHMS: [number, Uint8Array] = [13, vector(u16(0x0403))];
  const numbers = (count: number, from = 0x2000) => concat(many(count, (i) => u16(from + i)));
  const share = (group: number) => concat([u16(group), vector(new Uint8Array(1).fill(4))]);
  const suite = u16(0x1301);
  const identities = many(500, () => concat([vector(new Uint8Array(90).fill(7)), new Uint8Array(4)]));
  const binders = many(500, () => concat([Uint8Array.of(32), new Uint8Array(32)]));
  return [
    ["32,000 suites", clientHello(numbers(32_000), VERSIONS, ALGORITHMS, [10, vector(u16(0x001d))])],
    ["32,000 groups", clientHello(suite, VERSIONS, ALGORITHMS, [10, vector(numbers(32_000))])],
    [
      "10,000 groups and 8,000 shares",
      clientHello(
        suite,
        VERSIONS,
        ALGORITHMS,
        [10, vector(numbers(10_000))],
        [51, vector(...many(8000, (i) => share(0x2000 + i)))],
      ),
    ],
    ["32,000 signature algorithms", clientHello(suite, VERSIONS, [13, vector(numbers(32_000))])],
    [
      "30,000 application protocols",
      clientHello(suite, VERSIONS, ALGORITHMS, [
        16,
        vector(...many(30_000, (i) => Uint8Array.of(1, i & 0xff))),
      ]),
    ],
    [
      "500 sessions",
      clientHello(
        suite,
        VERSIONS,
        ALGORITHMS,
        [10, vector(u16(0x001d))],
        [45, Uint8Array.of(1, 1)],
        [41, concat([vector(...identities), vector(...binders)])],
      ),
    ],
    [
      "16,000 extensions",
      clientHello(suite, ...many(16_000, (i) => [i + 100, new Uint8Array(0)] as [number, Uint8Array])),
    ],
  ];
}

QUnit.module("time bounds: handshakes", () => {
  const took = (run: () => void) => {
    const began = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1000;
  };

  QUnit.test("a server: no ClientHello, and no 100 KiB of key updates", async (assert) => {
    const openssl = await OpenSsl.load();
    using contexts = new Contexts(openssl, env.certs, {
      server: (context) => context.setAlpnProtocols(["h2", "http/1.1"]),
    });
    contexts.connect()[Symbol.dispose]();
    for (const [what, bytes] of hellos()) {
      using both = contexts.start();
      both.server.inbox = bytes;
      const ms = took(() => both.server.handshake());
      assert.true(ms < BOUND, `${what}: ${ms.toFixed(0)} ms`);
    }
    using both = contexts.connect();
    for (let i = 0; i < 3500; i++) {
      both.client.ssl.keyUpdate(1);
      both.client.handshake();
    }
    const { length } = both.server.inbox;
    assert.true(length > 80_000, String(length));
    const ms = took(() => both.server.peek());
    assert.true(ms < BOUND, `${length} bytes of key updates: ${ms.toFixed(0)} ms`);
  });

  const entry = sequence(
    sequence(
      sequence(oid("1.3.14.3.2.26")),
      octets(new Uint8Array(20)),
      octets(new Uint8Array(20)),
      integer(1),
    ),
    tlv(0x80),
    tlv(0x18, utf8("20260101000000Z")),
  );
  const ocsp = async (entries: number, extensions: number, certificates: number) => {
    const key = await newKey();
    const name = commonName("responder");
    const cert = await certificate({ issuer: name, subject: name, spki: key.spki, signer: key });
    const more = many(extensions, (i) => extension(`1.2.3.${i}`, tlv(0x05)));
    const data = sequence(
      tlv(0xa1, name),
      tlv(0x18, utf8("20260101000000Z")),
      sequence(...many(entries, () => entry)),
      ...(extensions > 0 ? [tlv(0xa1, sequence(...more))] : []),
    );
    const signature = tlv(0x03, new Uint8Array(72));
    const certs = certificates > 0 ? [tlv(0xa0, sequence(...many(certificates, () => cert)))] : [];
    const basic = sequence(data, sequence(oid("1.2.840.10045.4.3.2")), signature, ...certs);
    const kind = oid("1.3.6.1.5.5.7.48.1.1");
    return sequence(tlv(0x0a, Uint8Array.of(0)), tlv(0xa0, sequence(kind, octets(basic))));
  };

  QUnit.test("a client: stapled responses, names of authorities, tickets", async (assert) => {
    const openssl = await OpenSsl.load();
    new Contexts(openssl, env.certs).connect()[Symbol.dispose]();
    const authority = async (subject: Uint8Array) =>
      pem(
        await certificate({
          issuer: subject,
          subject,
          spki: (await newKey()).spki,
          signature: new Uint8Array(64),
          extensions: [basicConstraints(true)],
        }),
      );
    const short = await Promise.all(many(3000, (i) => authority(commonName(`n${i}`))));
    const long = await authority(sequence(...many(4000, (i) => rdn("2.5.4.3", `${i}`))));
    const asks = (names: string) => (context: ssl.SslContext) => {
      context.addCaCert(names);
      context.sendCaNames();
      context.setVerify(ssl.SSL_VERIFY_PEER);
    };
    const staples = (der: Uint8Array) => (context: ssl.SslContext) => context.setOcspResponse(der);
    const cases: [string, (context: ssl.SslContext) => void][] = [
      ["3,000 names of authorities", asks(short.join(""))],
      ["a name of 4,000 parts", asks(long)],
      ["a response with 1,100 entries", staples(await ocsp(1100, 0, 0))],
      ["a response with 5,000 extensions", staples(await ocsp(1, 5000, 0))],
      ["a response with 250 certificates", staples(await ocsp(1, 0, 250))],
      ["350 tickets", (context) => context.setNumTickets(350)],
    ];
    for (const version of [ssl.TLS1_2_VERSION, ssl.TLS1_3_VERSION])
      for (const [what, server] of cases) {
        using contexts = new Contexts(openssl, env.certs, {
          version,
          server,
          client(context) {
            context.checkOcspResponse(false);
            context.setSessionCacheMode(ssl.SSL_SESS_CACHE_CLIENT);
            context.keepNewSessions(true);
          },
        });
        using both = contexts.start();
        let ms = 0;
        for (let i = 0; i < 4; i++) {
          ms += took(() => both.client.handshake());
          both.server.handshake();
        }
        ms += took(() => both.client.peek());
        const which = `${what}, ${version.toString(16)}`;
        assert.true(ms < BOUND, `${which}: ${ms.toFixed(0)} ms`);
        // A TLS 1.2 server's message of a response is 16 KiB at most.
        for (const session of both.client.ssl.takeSessions()) session.free();
      }
  });
});
