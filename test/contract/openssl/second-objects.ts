/**
 * What a method is given that it cannot use: objects of another instance, freed ones, and values that throw when they
 * are looked at.
 */
import QUnit from "qunit";
import { OpenSsl, startTls, TlsContext, TlsError } from "wassl";
import * as ssl from "wassl/openssl";
import { pair } from "../../fakes/pair.ts";
import { rejection, tlsError, utf8 } from "../../helpers/basics.ts";
import { client, connected, server } from "../../helpers/both-ends.ts";
import { env } from "../../helpers/env.ts";

const load = () => OpenSsl.load();

function code(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof TlsError ? error.code : `no TlsError: ${error}`;
  }
  return "no error";
}

/** One of each that a method may be given, of one instance. */
async function objects(openssl: OpenSsl) {
  const both = await connected(
    { openssl, sessionStore: false, maxVersion: "TLSv1.2" },
    { openssl, maxVersion: "TLSv1.2" },
  );
  const session = openssl.parseSession(both.client.getSession()!);
  return { pair: openssl.newBioPair(), session, context: openssl.newContext("server") };
}

type Given = Awaited<ReturnType<typeof objects>>;

/** Every method that takes a second object. */
const takers: Record<string, (on: ssl.Ssl, context: ssl.SslContext, given: Given) => unknown> = {
  "SslContext.newSsl": (_on, context, { pair }) => context.newSsl(pair),
  "Ssl.setSession": (on, _context, { session }) => on.setSession(session),
  "Ssl.verifySession": (on, _context, { session }) => on.verifySession(session),
  // It is not among the public types.
  "Ssl.acceptsSession": (on, _context, { session }) =>
    (on as ssl.Ssl & { acceptsSession(session: ssl.SslSession): boolean }).acceptsSession(session),
  "Ssl.answerClientHello": (on, _context, { context }) => on.answerClientHello(context),
};

QUnit.module("second objects", () => {
  QUnit.test(
    "of another instance, freed, or something else: refused by each that takes one",
    async (assert) => {
      const [here, there] = await Promise.all([load(), load()]);
      const context = here.newContext("client");
      const on = context.newSsl(here.newBioPair());
      const [own, other, freed] = [await objects(here), await objects(there), await objects(here)];
      for (const each of Object.values(freed)) each.free();
      for (const [name, take] of Object.entries(takers)) {
        assert.strictEqual(
          code(() => take(on, context, other)),
          "invalid-argument",
          `${name}: of another`,
        );
        assert.strictEqual(
          code(() => take(on, context, freed)),
          "freed",
          `${name}: freed`,
        );
        for (const wrong of [{}, { ptr: 1024 }, null, 1024, Object.create(other.session)]) {
          const given = { pair: wrong, session: wrong, context: wrong } as unknown as Given;
          assert.strictEqual(
            code(() => take(on, context, given)),
            "invalid-argument",
            `${name}: ${typeof wrong}`,
          );
        }
        // What is good for it is not refused for what it is. (No handshake waits at a ClientHello here.)
        const expected = name === "Ssl.answerClientHello" ? "invalid-argument" : "no error";
        assert.strictEqual(
          code(() => take(on, context, own)),
          expected,
          name,
        );
      }
      assert.true(here.version.startsWith("OpenSSL"));
    },
  );

  QUnit.test("a method that takes an object of these classes is in the table", (assert) => {
    // By the names of parameters, which are others in what is bundled.
    if (env.page || env.runtime === "workerd") {
      assert.true(true);
      return;
    }
    const names = Object.entries({
      SslContext: ssl.SslContext,
      Ssl: ssl.Ssl,
      X509Store: ssl.X509Store,
    }).flatMap(([name, { prototype }]) =>
      // What a client needs too stands in a class above.
      [prototype, Object.getPrototypeOf(prototype) as object]
        .flatMap((each) => Object.entries(Object.getOwnPropertyDescriptors(each)))
        .filter(([, { value }]) => typeof value === "function")
        .filter(([, { value }]) => /^\w+\((session|pair|context|ssl|store)\b/.test(String(value)))
        .map(([method]) => method)
        .map((method) => `${name}.${method}`),
    );
    assert.deepEqual([...new Set(names)].sort(), Object.keys(takers).sort());
  });

  QUnit.test("contexts and options of two instances", async (assert) => {
    const [here, there] = await Promise.all([load(), load()]);
    using context = await TlsContext.client({ caCerts: env.certs.caPem, openssl: here });
    const [near, far] = pair();
    const error = await tlsError(startTls(near, { hostname: "localhost", context, openssl: there }));
    assert.strictEqual(error.code, "invalid-argument");
    assert.false(near.readable.locked || far.readable.locked, "nothing was touched");
    for (const selected of [
      await TlsContext.server({ ...server(), openssl: there }),
      { ...server(), openssl: there },
    ]) {
      const failed = await rejection(
        connected({ openssl: here }, { openssl: here, selectContext: () => selected }),
      );
      assert.strictEqual((failed as { code?: string }).code, "alert");
    }
    for (const openssl of [{}, "here"]) {
      const refused = await tlsError(startTls(near, { ...client(), openssl: openssl as unknown as OpenSsl }));
      assert.strictEqual(refused.code, "invalid-argument");
    }
    // A certificate is its bytes, wherever it was read.
    const [root] = there.parseCertificates(env.certs.caPem);
    await connected({ openssl: here, caCerts: root! }, { openssl: here });
  });

  QUnit.test("a pair whose Ssl was freed", async (assert) => {
    const openssl = await load();
    const own = openssl.newBioPair();
    const on = openssl.newContext("client").newSsl(own);
    own.write(utf8("not read yet"));
    on.free();
    assert.true(["no error", "freed"].includes(code(() => own.takeUnread())));
    assert.strictEqual(
      code(() => openssl.newContext("client").newSsl(own)),
      "invalid-argument",
      "taken",
    );
  });
});

class Boom extends Error {}
const boom = () => {
  throw new Boom("boom");
};
const evil = { toString: boom, valueOf: boom, [Symbol.toPrimitive]: boom };
const detached = () => {
  const bytes = new Uint8Array(8);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
};
class Lying extends Uint8Array {
  #asked = 0;
  override get length() {
    return this.#asked++ === 0 ? 1 : 100_000;
  }
}
const hostile: Record<string, () => unknown> = {
  "an object that throws": () => evil,
  "a trap of a Proxy": () => new Proxy({}, { get: boom, has: boom, getPrototypeOf: boom, ownKeys: boom }),
  "a symbol": () => Symbol("x"),
  "a bigint beyond bounds": () => 2n ** 80n,
  "a small bigint": () => 1n,
  "a function": () => boom,
  "an array": () => [evil],
  null: () => null,
  nothing: () => undefined,
  "a text": () => "text",
  "a text with NUL": () => "a\0b",
  NaN: () => Number.NaN,
  "a negative number": () => -1,
  "a fraction": () => 1.5,
  "2^31": () => 2 ** 31,
  "detached bytes": detached,
  "bytes that lie": () => new Lying(8),
  "a RuntimeError": () => ({
    [Symbol.toPrimitive]: () => {
      throw new WebAssembly.RuntimeError("mine");
    },
  }),
};

/** Not for the public: their arguments are the library's own. */
const internal = new Set(
  "constructor free release tryReadMany bulk copyBulk tryWriteMany copyAll resize giveInternal internalFreed setMark getMark take".split(
    " ",
  ),
);

QUnit.module("hostile arguments", () => {
  QUnit.test("each public method with each, and the instance goes on", async (assert) => {
    const openssl = await load();
    const context = openssl.newContext("client");
    const theirs = openssl.newContext("server");
    const own = openssl.newBioPair();
    const on = context.newSsl(own);
    on.setConnectState();
    const { session } = await objects(openssl);
    const root = openssl.parseX509(env.certs.caPem);
    const targets: object[] = [openssl, context, theirs, own, on, session, openssl.newX509Store(), root];
    let calls = 0;
    const codes = new Set<string>();
    for (const target of targets) {
      const { prototype, name } = target.constructor as { prototype: object; name: string };
      for (const method of Object.getOwnPropertyNames(prototype)) {
        const call = Object.getOwnPropertyDescriptor(prototype, method)?.value as unknown;
        if (typeof call !== "function" || internal.has(method)) continue;
        for (const [what, make] of Object.entries(hostile)) {
          for (const args of [[make()], [utf8("x"), make()], [make(), make(), make()]]) {
            calls++;
            const caught = code(() => call.apply(target, args));
            codes.add(caught);
            if (code(() => openssl.version) !== "no error") {
              assert.true(false, `${name}.${method} with ${what}: ${caught}, and the instance has ended`);
              return;
            }
          }
        }
      }
    }
    assert.true(calls > 1_000, `${calls} calls`);
    assert.false(codes.has("wasm-crashed"));
    await connected({ openssl }, { openssl });
  });

  QUnit.test("each option with each, and the shared instance goes on", async (assert) => {
    const openssl = await load();
    const names =
      "alpnProtocols minVersion maxVersion ciphers cipherSuites groups signatureAlgorithms securityLevel psk keylog cert key pkcs12 passphrase verify unsafelyLetVerifyOverride verifyOptions caCerts unsafelyDisableVerification ocsp identities clientAuth ocspResponse tickets ticketKeys sessionIdContext sessionTimeout maxEarlyData selectContext".split(
        " ",
      );
    const before = openssl.memory.used;
    for (const name of names) {
      for (const [what, make] of Object.entries(hostile)) {
        for (const [role, base] of [
          ["client", {}],
          ["server", server()],
        ] as const) {
          for (const value of [
            make(),
            [make()],
            { [name]: make(), crls: make(), identity: make(), cert: make() },
          ]) {
            const made = TlsContext[role]({ ...base, openssl, [name]: value } as never);
            await made.then(
              (context) => context.free(),
              () => {},
            );
            if (code(() => openssl.version) !== "no error") {
              assert.true(false, `${role}, ${name}: ${what}: the instance has ended`);
              return;
            }
          }
        }
      }
    }
    // What was refused holds nothing.
    assert.true(openssl.memory.used - before < 65_536, `${openssl.memory.used - before} bytes`);
    await connected({ openssl }, { openssl });
  });

  QUnit.test("only a trap ends an instance, and the shared one is replaced", async (assert) => {
    const shared = await OpenSsl.shared();
    const context = shared.newContext("client");
    assert.strictEqual(
      code(() => context.setSecurityLevel(evil as unknown as number)),
      "invalid-argument",
    );
    assert.strictEqual(
      code(() => context.setOptions(1 as unknown as bigint)),
      "invalid-argument",
    );
    assert.strictEqual(await OpenSsl.shared(), shared, "it goes on");
    // Past the end of memory: what no public method does.
    const { abi } = (context as unknown as { library: { abi: Record<string, (n: number) => void> } }).library;
    assert.strictEqual(
      code(() => abi.wassl_SSL_CTX_free!(2 ** 31 - 64)),
      "wasm-crashed",
    );
    for (const act of [
      () => shared.version,
      () => shared.newContext("server"),
      () => context.setVerify(1),
      () => shared.errors(),
    ]) {
      assert.strictEqual(code(act), "wasm-crashed");
    }
    const [one, other] = await Promise.all([OpenSsl.shared(), OpenSsl.shared()]);
    assert.notStrictEqual(one, shared);
    assert.strictEqual(one, other, "by one");
    await connected({}, {});
  });
});
