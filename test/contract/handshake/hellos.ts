/** What a server makes of clients that are not OpenSSL: the ClientHello by hand, the answer by what is on the wire. */
import QUnit from "qunit";
import { acceptTls, type ServerContextOptions, startTls, TlsContext } from "wassl";
import { pair } from "../../fakes/pair.ts";
import { ALERT, HANDSHAKE, records, Tls13Client } from "../../fakes/tls13-client.ts";
import { concat, readAtLeast, write } from "../../helpers/basics.ts";
import { client, server } from "../../helpers/both-ends.ts";
import { cryptoKey, P256, pss } from "../../helpers/crypto-keys.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const ALERTS: Readonly<Record<number, string>> = { 40: "handshake_failure", 80: "internal_error" };

const u16 = (n: number) => Uint8Array.of(n >> 8, n & 0xff);
const vector = (size: 1 | 2 | 3, ...parts: Uint8Array[]) => {
  const content = concat(parts);
  const n = content.length;
  return concat([Uint8Array.of(n >> 16, n >> 8, n).subarray(3 - size), content]);
};
const extension = (type: number, ...parts: Uint8Array[]) => concat([u16(type), vector(2, ...parts)]);
const words = (...values: number[]) => vector(2, ...values.map(u16));

/** A ClientHello of TLS 1.2, as a record. */
function hello12(suites: readonly number[], ...extensions: Uint8Array[]): Uint8Array {
  const body = concat([
    u16(0x0303),
    randomBytes(32, env.seed),
    vector(1),
    words(...suites),
    vector(1, Uint8Array.of(0)),
    vector(2, ...extensions),
  ]);
  return concat([Uint8Array.of(HANDSHAKE), u16(0x0301), vector(2, Uint8Array.of(1), vector(3, body))]);
}

const groups = extension(10, words(29, 23));
const signatureAlgorithms = extension(13, words(0x0403, 0x0804, 0x0401));

/** The cipher suite that the server chose, or the alert that it sent. */
async function answer(options: Partial<ServerContextOptions>, record: Uint8Array): Promise<string> {
  const [near, far] = pair();
  const controller = new AbortController();
  const accepting = acceptTls(far, { ...server(), ...options, signal: controller.signal });
  accepting.catch(() => {});
  await write(near.writable, record);
  const [first] = records(await readAtLeast(near.readable, 7));
  controller.abort();
  if (first?.[0] === ALERT) return ALERTS[first[6]!] ?? `alert ${first[6]}`;
  // Behind record header, message header, version, random and the session id comes the suite.
  const at = 5 + 4 + 2 + 32 + 1 + first![5 + 4 + 2 + 32]!;
  return ((first![at]! << 8) | first![at + 1]!).toString(16);
}

QUnit.module("hellos: the second one", () => {
  const ascii = (value: string) => new TextEncoder().encode(value);
  /** Of TLS 1.3. Without `share` the server asks for one. */
  function hello13(
    name: string,
    alpn: string,
    sigalgs: number[],
    suites: number[],
    share?: Uint8Array,
  ): Uint8Array {
    const random = randomBytes(32, env.seed + 1);
    const body = concat([
      u16(0x0303),
      random,
      vector(1, random),
      words(...suites),
      vector(1, Uint8Array.of(0)),
      vector(
        2,
        extension(0, vector(2, Uint8Array.of(0), vector(2, ascii(name)))),
        extension(10, words(23)),
        extension(13, words(...sigalgs)),
        extension(16, vector(2, vector(1, ascii(alpn)))),
        extension(43, vector(1, u16(0x0304))),
        extension(51, vector(2, ...(share ? [u16(23), vector(2, share)] : []))),
      ),
    ]);
    return concat([Uint8Array.of(HANDSHAKE), u16(0x0301), vector(2, Uint8Array.of(1), vector(3, body))]);
  }

  QUnit.test("says the same as the first, for which a context was selected", async (assert) => {
    const ecdh = { name: "ECDH", namedCurve: "P-256" };
    const { publicKey } = await crypto.subtle.generateKey(ecdh, false, ["deriveBits"]);
    const share = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
    const first = ["a.test", "x", [0x0403, 0x0804], [0x1301, 0x1302]] as const;
    const cases: [string, Parameters<typeof hello13>][] = [
      ["the same", ["a.test", "x", [0x0403, 0x0804], [0x1301, 0x1302]]],
      ["another name", ["b.test", "x", [0x0403, 0x0804], [0x1301, 0x1302]]],
      ["another protocol", ["a.test", "y", [0x0403, 0x0804], [0x1301, 0x1302]]],
      ["other signatures", ["a.test", "x", [0x0403], [0x1301, 0x1302]]],
      ["other suites", ["a.test", "x", [0x0403, 0x0804], [0x1301]]],
    ];
    for (const [what, [name, alpn, sigalgs, suites]] of cases) {
      const [near, far] = pair();
      const controller = new AbortController();
      const asked: (string | undefined)[] = [];
      const selectContext = (hello: { serverName: string | undefined }) => void asked.push(hello.serverName);
      const accepting = acceptTls(far, { ...server(), selectContext, signal: controller.signal });
      accepting.catch(() => {});
      await write(near.writable, hello13(first[0], first[1], [...first[2]], [...first[3]]));
      // HelloRetryRequest, and the change_cipher_spec of a server that humours middleboxes.
      await readAtLeast(near.readable, 7);
      await write(near.writable, hello13(name, alpn, sigalgs, suites, share));
      const [answered] = records(await readAtLeast(near.readable, 7)).filter(([type]) => type !== 20);
      controller.abort();
      assert.deepEqual(asked, ["a.test"]);
      const alert = answered?.[0] === ALERT ? answered[6] : undefined;
      assert.strictEqual(alert, what === "the same" ? undefined : 47, what);
    }
  });
});

QUnit.module("hellos: keys in WebCrypto", () => {
  const rsa = async () => ({ cert: env.certs.chains.rsa, key: await cryptoKey("rsa", pss("SHA-256")) });
  const ecdsa = async () => ({ cert: env.certs.chains.ecdsa, key: await cryptoKey("ecdsa", P256) });

  QUnit.test("a client without signature_algorithms: handshake_failure, and no SHA-1", async (assert) => {
    for (const securityLevel of [0, 2]) {
      for (const [identity, suite] of [
        [await rsa(), 0xc02f],
        [await ecdsa(), 0xc02b],
      ] as const) {
        const options = { ...identity, securityLevel };
        const what = `${suite.toString(16)} at level ${securityLevel}`;
        assert.strictEqual(await answer(options, hello12([suite], groups)), "handshake_failure", what);
        const suites = hello12([suite], groups, signatureAlgorithms);
        assert.strictEqual(await answer(options, suites), suite.toString(16), `with them, ${what}`);
      }
    }
  });

  QUnit.test("an RSA key never agrees on RSA key exchange, which it cannot do", async (assert) => {
    const ciphers = "AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
    const only = hello12([0x009c], groups, signatureAlgorithms);
    const both = hello12([0x009c, 0xc02f], groups, signatureAlgorithms);
    const native = { cert: env.certs.chains.rsa, key: env.certs.keys.rsa };
    assert.strictEqual(await answer({ ...native, ciphers }, only), "9c", "one of ours does");
    for (const options of [
      { ...(await rsa()), ciphers },
      { cert: undefined!, key: undefined!, identities: [await ecdsa(), await rsa()], ciphers },
    ]) {
      assert.strictEqual(await answer(options, only), "handshake_failure");
      assert.strictEqual(await answer(options, both), "c02f");
    }
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    QUnit.test(`${version}: each signature is looked at, not only a key's first`, async (assert) => {
      const only = { minVersion: version, maxVersion: version } as const;
      const sign = crypto.subtle.sign;
      afterTest(() => {
        crypto.subtle.sign = sign;
      });
      const other = await crypto.subtle.generateKey(P256, false, ["sign"]);
      const context = await TlsContext.server({ ...(await ecdsa()), ...only });
      afterTest(() => context.free());
      const attempt = async () => {
        const [near, far] = pair();
        const both = await Promise.allSettled([
          startTls(near, { ...client(), ...only, sessionStore: false }),
          acceptTls(far, { context }),
        ]);
        for (const end of both) if (end.status === "fulfilled") afterTest(() => end.value.abort());
        return both;
      };
      for (const lies of [false, true, false, true]) {
        crypto.subtle.sign = lies
          ? (((algorithm, _key, data) =>
              sign.call(crypto.subtle, algorithm, other.privateKey, data)) as typeof sign)
          : sign;
        const [near, far] = await attempt();
        if (!lies) {
          assert.strictEqual(far.status, "fulfilled");
          continue;
        }
        assert.strictEqual(far.status === "rejected" && far.reason.code, "callback");
        // It is told, and was not left to find out by a signature that is wrong.
        const alert = near.status === "rejected" && near.reason.alert;
        assert.deepEqual([alert?.direction, alert?.description], ["received", "internal_error"]);
      }
    });
  }
});

QUnit.module("hellos: a session of TLS 1.2 in TLS 1.3", () => {
  /** The ticket, or what a server without tickets calls it by. */
  function identityIn(session: Uint8Array, keyName: Uint8Array | undefined): Uint8Array<ArrayBuffer> {
    const starts = (at: number, what: Uint8Array) => what.every((byte, i) => session[at + i] === byte);
    for (let at = 0; at < session.length; at++) {
      // Lengths in DER: of a ticket in one byte behind 0x81, or two behind 0x82; a session id is the first string of 32
      // bytes.
      if (keyName && starts(at, keyName)) {
        const long = session[at - 3] === 0x82;
        return session.slice(at, at + ((long ? session[at - 2]! << 8 : 0) | session[at - 1]!));
      }
      if (!keyName && starts(at, Uint8Array.of(4, 32))) return session.slice(at + 2, at + 34);
    }
    throw new Error("there is none");
  }

  const ticketKey = () => randomBytes(80, env.seed + 7);
  for (const [where, options, name] of [
    ["a ticket", { ticketKeys: [ticketKey] }, true],
    ["in the server's memory", { tickets: 0 }, false],
    ["in the memory of one that takes early data", { tickets: 0, maxEarlyData: 1000 }, false],
  ] as const) {
    for (const cipher of [
      "ECDHE-ECDSA-AES128-SHA",
      "ECDHE-ECDSA-AES128-GCM-SHA256",
      "ECDHE-ECDSA-AES256-GCM-SHA384",
    ]) {
      QUnit.test(`${where}, ${cipher}: is unknown, and the handshake a full one`, async (assert) => {
        const { ticketKeys, ...rest } = { ticketKeys: undefined, ...options };
        const context = await TlsContext.server({
          ...server(),
          ...rest,
          ...(ticketKeys && { ticketKeys: ticketKeys.map((make) => make()) }),
          ciphers: cipher,
        });
        afterTest(() => context.free());
        const [left, right] = pair();
        const [mine, theirs] = await Promise.all([
          startTls(left, { ...client(), maxVersion: "TLSv1.2", ciphers: cipher, sessionStore: false }),
          acceptTls(right, { context }),
        ]);
        const identity = identityIn(mine.getSession()!, name ? ticketKey().subarray(0, 16) : undefined);
        await theirs.close();
        await mine.close();

        const peer = await Tls13Client.create(identity);
        const [near, far] = pair();
        const accepting = acceptTls(far, { context });
        accepting.catch(() => {});
        await write(near.writable, peer.clientHello());
        const flight = await readAtLeast(near.readable, 7);
        assert.strictEqual(flight[0], HANDSHAKE, `no alert ${flight[6]}`);
        await write(near.writable, await peer.finish(flight));
        const stream = await accepting;
        afterTest(() => stream.abort());
        assert.strictEqual(stream.info.protocol, "TLSv1.3");
        assert.false(stream.info.sessionReused);
      });
    }
  }
});
