/**
 * What is a host name and what is not: the same in every runtime, whose URL parsers take part in it, and wherever a
 * name is given.
 */
import QUnit from "qunit";
import { type OpenSsl, startTls, TlsContext, TlsError, verifyChain } from "wassl";
import { rejection, tlsError } from "../../helpers/basics.ts";
import { client, connected } from "../../helpers/both-ends.ts";
import { good, openssl } from "../../helpers/chains.ts";
import { env, share } from "../../helpers/env.ts";
import { random } from "../../helpers/random.ts";

/**
 * What a client sends as its first flight is all that is wanted of it; with a small group, so that it is made quickly.
 */
let context: Promise<TlsContext> | undefined;
async function clientContext(): Promise<TlsContext> {
  context ??= openssl().then((instance) => TlsContext.client({ openssl: instance, groups: "x25519" }));
  return await context;
}

/**
 * SNI as it goes over the wire (RFC 6066 §3); "" = no name is sent; undefined = the name is refused, and the transport
 * untouched.
 */
async function sent(options: { hostname: string; serverName?: string }): Promise<string | undefined> {
  let tell = (_: Uint8Array) => {};
  const first = new Promise<Uint8Array>((resolve) => {
    tell = resolve;
  });
  const transport = {
    readable: new ReadableStream<Uint8Array>(),
    writable: new WritableStream<Uint8Array>({ write: (chunk) => tell(chunk.slice()) }),
  };
  const stop = new AbortController();
  const settings = { context: await clientContext(), sessionStore: false, signal: stop.signal } as const;
  const handshake = startTls(transport, { ...options, ...settings });
  try {
    const hello = await Promise.race([first, handshake.then(() => new Uint8Array())]);
    return serverNameIn(hello);
  } catch (error) {
    if (!(error instanceof TlsError && error.code === "invalid-argument") || transport.readable.locked)
      throw error;
    return undefined;
  } finally {
    stop.abort();
    handshake.catch(() => {});
  }
}

/** Of the ClientHello in this record. */
function serverNameIn(record: Uint8Array): string {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  let at = 5 + 4 + 2 + 32;
  at += 1 + view.getUint8(at); // session id
  at += 2 + view.getUint16(at); // cipher suites
  at += 1 + view.getUint8(at); // compression
  const end = at + 2 + view.getUint16(at);
  for (at += 2; at < end; at += 4 + view.getUint16(at + 2)) {
    if (view.getUint16(at) !== 0) continue;
    return Array.from(record.subarray(at + 9, at + 4 + view.getUint16(at + 2)), (byte) =>
      String.fromCharCode(byte),
    ).join("");
  }
  return "";
}

/** What is sent, "" for an address, null for what is refused. */
const names: Record<string, string | null> = {
  "example.com": "example.com",
  "EXAMPLE.com.": "example.com",
  localhost: "localhost",
  "a_b.example.com": "a_b.example.com",
  "_sip._tcp.example.com": "_sip._tcp.example.com",
  "r3---sn-x.example.com": "r3---sn-x.example.com",
  "1.example": "1.example",
  "3com.com": "3com.com",
  [`${"a".repeat(63)}.example`]: `${"a".repeat(63)}.example`,
  [`${"a".repeat(64)}.example`]: null,
  [`${"a.".repeat(126)}a`]: `${"a.".repeat(126)}a`,
  [`${"a.".repeat(127)}`]: `${"a.".repeat(126)}a`,
  [`${"a.".repeat(126)}aa`]: null,
  "": null,
  ".": null,
  "..": null,
  ".example.com": null,
  "example..com": null,
  "example.com..": null,
  "-a.example": null,
  "a-.example": null,
  "*": null,
  "*.example.com": null,
  "w*.example.com": null,
  "example.com:443": null,
  "user@example.com": null,
  "https://example.com": null,
  "example.com/": null,
  "example.com?": null,
  "example.com#": null,
  "example.com\\": null,
  "example%2ecom": null,
  " example.com": null,
  "example.com ": null,
  "example.com\n": null,
  "example.com\0.evil.example": null,
  "[example.com]": null,
  "[.com]": null,
  "[]": null,
  "[": null,

  // IDNA
  "bücher.example": "xn--bcher-kva.example",
  "BÜCHER.example": "xn--bcher-kva.example",
  "bu\u0308cher.example": "xn--bcher-kva.example",
  "xn--bcher-kva.example": "xn--bcher-kva.example",
  "XN--BCHER-KVA.example": "xn--bcher-kva.example",
  "straße.example": "xn--strae-oqa.example",
  "βόλος.example": "xn--nxasmm1c.example",
  "ΒΌΛΟΣ.example": "xn--nxasmq6b.example",
  "пример.рф": "xn--e1afmkfd.xn--p1ai",
  "例え.テスト": "xn--r8jz45g.xn--zckzah",
  "مثال.إختبار": "xn--mgbh0fb.xn--kgbechtv",
  "〇.example": "xn--w6j.example",
  "col·legi.example": "xn--collegi-xma.example",
  "क्\u200dष.example": "xn--11b2ezcw70k.example",
  "नेपाली.example": "xn--l2bey1cl2b.example",
  "xn--i-7iq.example": "xn--i-7iq.example",
  "evil.example/.bücher.example": null,
  "bücher@evil.example": null,
  "ｅvil.example": null,
  "evil。example": null,
  "evil．example": null,
  "evil｡example": null,
  "ﬁ.example": null,
  "\u212aelvin.example": null,
  "bü\u212a.example": null,
  "bü\u00adcher.example": null,
  "\u00adexample.com": null,
  "bü\u200bcher.example": null,
  "bü\u200dcher.example": null,
  "bü\u202ecba.example": null,
  "bücher。example": null,
  "bü/cher.example": null,
  "１27.0.0.1": null,
  "127.0.0.１": null,
  "١٢.example": null,
  "1א.example": null,
  "\u0301a.example": null,
  "-ü.example": null,
  "ü-.example": null,
  "ab--ü.example": null,
  "xn--ü.example": null,
  "a·b.example": null,
  "😀.example": null,
  "\ud800.example": null,
  "xn--.example": null,
  "xn--a.example": null,
  "xn--abc-.example": null,
  "xn---abc.example": null,
  "xn--99999999.example": null,

  // addresses
  "192.0.2.7": "",
  "2001:db8::7": "",
  "[2001:DB8:0:0::7]": "",
  "::ffff:192.0.2.7": "",
  "::": "",
  "192.0.2": null,
  "192.0.2.7.": null,
  "192.0.2.256": null,
  "192.0.2.07": null,
  "0300.0.2.7": null,
  "0xc0.0.2.7": null,
  "3221225991": null,
  "127.1": null,
  "0x7f.1": null,
  "1.2.3.4.5": null,
  "example.1": null,
  "example.0x1": null,
  "[192.0.2.7]": null,
  "fe80::1%eth0": null,
  "[fe80::1%25eth0]": null,
  "[2001:db8::7]:443": null,
  "1::2::3": null,
  "1:2:3:4:5:6:7:8:9": null,
  "::192.0.2": null,
  "::192.0.2.07": null,
  "1.2:3::": null,
  ":": null,
  "g::": null,
};

QUnit.module("host names", () => {
  QUnit.test("each is read as it is here in every runtime, as hostname and as serverName", async (assert) => {
    for (const [name, expected] of Object.entries(names)) {
      assert.strictEqual((await sent({ hostname: name })) ?? null, expected, JSON.stringify(name));
      const asServerName = (await sent({ hostname: "host.example", serverName: name })) ?? null;
      assert.strictEqual(
        asServerName,
        expected === "" ? null : expected,
        `serverName ${JSON.stringify(name)}`,
      );
    }
    for (const none of [undefined, null, 7, {}, ["a.example"]] as unknown as string[]) {
      assert.strictEqual(await sent({ hostname: none }), undefined, String(none));
    }
  });

  QUnit.test("verifyChain, a blocking connection and a session's key read them so too", async (assert) => {
    const instance: OpenSsl = await openssl();
    const { connect } = env.page ? { connect: undefined } : await import("wassl/blocking");
    for (const [name, expected] of Object.entries(names)) {
      const asked = verifyChain(await good({ hostname: name }));
      const error = await asked.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      const code = error instanceof TlsError ? error.code : undefined;
      assert.strictEqual(
        code,
        expected === null ? "invalid-argument" : undefined,
        `verifyChain ${JSON.stringify(name)}`,
      );
      if (!connect || expected !== null) continue;
      assert.throws(
        () => connect({} as never, { hostname: name, openssl: instance }),
        (thrown: unknown) =>
          thrown instanceof TlsError && thrown.code === "invalid-argument" && /name/.test(thrown.message),
        `blocking ${JSON.stringify(name)}`,
      );
    }
  });

  QUnit.test("what is no text is refused, and not asked what it is called", async (assert) => {
    const thrower = () => {
      throw new Error("asked");
    };
    const others: unknown[] = [
      ...[undefined, null, 7, true, 7n, Symbol("localhost"), ["localhost"], new String("localhost")],
      ...[() => "localhost", Object.create(null), { toString: () => "localhost" }, { toString: thrower }],
      ...[{ [Symbol.toPrimitive]: thrower }, new Proxy({}, { get: thrower })],
    ];
    const transport = { readable: new ReadableStream(), writable: new WritableStream() };
    for (const [i, name] of others.entries()) {
      const refused = async (asked: Promise<unknown>) =>
        assert.strictEqual((await tlsError(asked)).code, "invalid-argument", `${i}`);
      await refused(startTls(transport, { ...client(), hostname: name as string }));
      await refused(verifyChain(await good({ hostname: name as string })));
      if (name !== undefined) await refused(startTls(transport, { ...client(), serverName: name as string }));
    }
  });

  QUnit.test("one peer has one session, however it is written; two have two", async (assert) => {
    const same = async (a: object, b: object) => {
      const keys = new Set<string>();
      const sessionStore = {
        take: (key: string) => void keys.add(key),
        get: (key: string) => void keys.add(key),
        put() {},
      };
      for (const options of [a, b]) {
        const one = new AbortController();
        const asked = startTls(
          { readable: new ReadableStream(), writable: new WritableStream({ write: () => one.abort() }) },
          { ...client(), ...options, sessionStore, signal: one.signal },
        );
        await rejection(asked);
      }
      return keys.size === 2; // of the two versions
    };
    for (const [a, b, expected] of [
      ["localhost", "LOCALHOST.", true],
      ["bücher.example", "xn--bcher-kva.example", true],
      ["2001:db8::7", "[2001:DB8:0:0:0:0:0:7]", true],
      ["::ffff:192.0.2.7", "::ffff:c000:207", true],
      ["localhost", "localhost.example", false],
      ["192.0.2.7", "::ffff:192.0.2.7", false],
    ] as const) {
      assert.strictEqual(await same({ hostname: a }, { hostname: b }), expected, `${a}, ${b}`);
    }
    assert.true(await same({ serverName: "A.example." }, { serverName: "a.example" }), "serverName");
    assert.false(await same({ serverName: "a.example" }, { serverName: "b.example" }), "another serverName");
    assert.false(await same({}, { unsafelyAllowLegacyNames: true }), "what counts as a name");
  });

  QUnit.test("whatever is put into a name: refused, or the same name label by label", async (assert) => {
    const next = random(env.seed);
    const one = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
    const ascii = Array.from({ length: 128 }, (_, i) => String.fromCharCode(i));
    // Dots and slashes of all kinds, joiners, controls of direction, what is not seen, what looks like ASCII or becomes
    // it.
    const odd = Array.from(
      "。．｡․‧・﹒։۔⁄∕／＼﹨＠﹫＃？％：［］\u00a0\u00ad\u034f\u061c\u115f\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\u3000\ufe0f\ufeff\ufff9ßẞςΣıİſK\u212bﬁℓ℮ⅰ①²ªµａＡ０🄰𝐚𝟎\ud800\udc00\u{e0001}\u{e0061}\u{1f600}\u0300\u0308\u0345\u0660\u06f0\u0966",
    );
    const categories =
      "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn Cs".split(" ");
    const sampled = categories.flatMap((category) => {
      const is = new RegExp(`^\\p{${category}}$`, "u");
      const found: string[] = [];
      for (let tries = 0; found.length < 5 && tries < 10_000; tries++) {
        const limit = one([0x250, 0x3000, 0x10000, 0x20000, 0x110000]);
        const character = String.fromCodePoint(Math.floor(next() * limit));
        if (is.test(character)) found.push(character);
      }
      return found;
    });
    const bases = ["evil.example", "bücher.example"];
    const inputs = bases.flatMap((base) =>
      share([...ascii, ...odd, ...sampled]).flatMap((character) =>
        Array.from(
          { length: base.length + 1 },
          (_, at) => [base.slice(0, at), character, base.slice(at)] as const,
        ),
      ),
    );
    let accepted = 0;
    for (const [before, character, after] of inputs) {
      const name = before + character + after;
      const shown = `seed ${env.seed}: ${JSON.stringify(name)}`;
      const result = await sent({ hostname: name });
      if (result === undefined) continue;
      accepted++;
      const given = name.replace(/\.$/, "").split(".");
      const labels = result.split(".");
      assert.true(
        /^[a-z0-9_.-]+$/.test(result) && labels.length === given.length,
        `${shown} became ${result}`,
      );
      for (const [i, label] of labels.entries()) {
        const original = given[i]!;
        // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
        if (/^[\x00-\x7f]*$/.test(original)) {
          if (label !== original.toLowerCase()) assert.strictEqual(label, original.toLowerCase(), shown);
        } else if (!/^xn--[a-z0-9-]*[a-z0-9]$/.test(label)) {
          assert.true(false, `${shown} became ${result}`);
        }
      }
      // One name, one peer: only the same name leads to it.
      if (result === "evil.example") {
        assert.true(/^evil\.example\.?$/i.test(name), shown);
      }
    }
    assert.true(accepted > 50 && accepted < inputs.length / 2, `${accepted} of ${inputs.length} accepted`);
  });

  QUnit.test("the name that is sent is the one that the certificate must be for", async (assert) => {
    for (const [hostname, expected] of [
      ["LocalHost", "localhost"],
      ["localhost.", "localhost"],
      ["127.0.0.1", undefined],
      ["[::1]", undefined],
    ] as const) {
      const both = await connected({ hostname }, {});
      assert.strictEqual(both.server.info.serverName, expected, hostname);
      assert.true(both.client.info.verified, hostname);
    }
  });
});
