/**
 * Options count as they are when a function is called, and only the caller's own count: what comes later, or from
 * elsewhere, is not an option.
 */
import QUnit from "qunit";
import {
  acceptTls,
  type ServerContextOptions,
  startTls,
  TlsContext,
  type TlsStream,
  type Transport,
  verifyChain,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { rejection } from "../../helpers/basics.ts";
import { client, server } from "../../helpers/both-ends.ts";
import { afterTest, env } from "../../helpers/env.ts";

/** A client that trusts other anchors than the server's. */
const stranger = () =>
  ({ hostname: "localhost", caCerts: env.certs.otherCaPem, sessionStore: false }) as const;

const lines = (stream: Promise<TlsStream>) =>
  stream.then(
    ({ info }) => {
      const { protocol, cipher, verified, sessionReused, peerCertificates, verifiedChain } = info;
      return [
        protocol,
        cipher,
        verified,
        sessionReused,
        peerCertificates.length,
        verifiedChain.length,
      ].join();
    },
    (error) => String(error.code),
  );

/** What both ends come to. */
async function ends(
  near: (transport: Transport) => Promise<TlsStream>,
  far: (transport: Transport) => Promise<TlsStream>,
): Promise<[string, string]> {
  const [left, right] = pair();
  const both = [near(left), far(right)] as const;
  for (const [i, end] of both.entries()) {
    end.then(
      (stream) => afterTest(() => stream.abort()),
      // Where options are refused nothing was touched, and the other would wait.
      () => [left, right][i]!.writable.abort().catch(() => {}),
    );
  }
  return Promise.all([lines(both[0]), lines(both[1])]);
}

/** The options, which tell of each that is read. */
function watched<T extends object>(options: T): { options: T; reads: string[] } {
  const reads: string[] = [];
  const seen = new Proxy(options, {
    get(target, name, receiver) {
      reads.push(String(name));
      return Reflect.get(target, name, receiver);
    },
  });
  return { options: seen, reads };
}

async function context(options: Partial<ServerContextOptions> = {}): Promise<TlsContext> {
  const made = await TlsContext.server({ ...server(), ...options });
  afterTest(() => made.free());
  return made;
}

/** Of all there are, what an attacker would like them to be. */
function wishes(lax: TlsContext): Record<string, unknown> {
  const yes = () => true;
  const { caPem } = env.certs;
  return {
    unsafelyDisableVerification: true,
    unsafelyLetVerifyOverride: true,
    unsafelyDisableHostnameVerification: true,
    unsafelyAllowLegacyNames: true,
    verify: yes,
    caCerts: caPem,
    roots: caPem,
    context: lax,
    clientAuth: "none",
    partialChain: true,
    flags: ["X509_V_FLAG_PARTIAL_CHAIN"],
    depth: 0,
    purpose: "any",
    time: new Date(0),
    crls: [],
    policies: ["1.2.3"],
    verifyOptions: { flags: ["X509_V_FLAG_PARTIAL_CHAIN"] },
    ocsp: "require",
    ciphers: "AES128-SHA",
    cipherSuites: "TLS_AES_128_GCM_SHA256",
    groups: "P-521",
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.2",
    securityLevel: 0,
    psk: { identity: "me", key: new Uint8Array(32) },
    hash: "SHA-384",
    passphrase: "x",
    pkcs12: new Uint8Array(1),
    identities: [],
    eofPolicy: "ignore",
    quietShutdown: true,
    bioPairSize: 1,
    handshakeTimeout: 1,
    session: new Uint8Array(1),
    sessionStore: "none",
    sessionIdContext: "",
    earlyData: new Uint8Array(1),
    selectContext: () => lax,
    serverName: "elsewhere.test",
    ip: "127.0.0.9",
    email: "somebody@elsewhere.test",
    tickets: -1,
    ticketKeys: [],
    maxCertificateList: 1,
  };
}

QUnit.module("options", () => {
  QUnit.test("each is read once, before the function returns", async (assert) => {
    const on = await context();
    const { chains, caPem } = env.certs;
    const calls: Record<string, (watch: <T extends object>(options: T) => T) => Promise<unknown>> = {
      startTls: (watch) =>
        ends(
          (transport) => startTls(transport, watch({ ...client(), sessionStore: false as const })),
          (transport) => acceptTls(transport, { context: on }),
        ),
      acceptTls: (watch) =>
        ends(
          (transport) => startTls(transport, client()),
          (transport) => acceptTls(transport, watch({ context: on })),
        ),
      verifyChain: (watch) => verifyChain(watch({ leaf: chains.ecdsa, roots: caPem, hostname: "localhost" })),
      "TlsContext.client": (watch) => TlsContext.client(watch({ caCerts: caPem })).then((c) => c.free()),
      "TlsContext.server": (watch) => TlsContext.server(watch(server())).then((c) => c.free()),
    };
    for (const [name, call] of Object.entries(calls)) {
      let reads: string[] = [];
      const running = call((options) => {
        const all = watched(options);
        reads = all.reads;
        return all.options;
      });
      const before = reads.slice();
      await running;
      assert.true(before.length > 5, name);
      assert.deepEqual(reads.slice(before.length), [], `${name}: none is read later`);
      assert.deepEqual(
        before.filter((each, i) => before.indexOf(each) !== i),
        [],
        `${name}: none is read twice`,
      );
    }
  });

  QUnit.test("what is changed after the call changes nothing", async (assert) => {
    const { caPem, otherCaPem, chains } = env.certs;
    const strict = await TlsContext.client({ caCerts: otherCaPem });
    const lax = await TlsContext.client({ unsafelyDisableVerification: true });
    for (const made of [strict, lax]) afterTest(() => made.free());
    const options = { hostname: "localhost", sessionStore: false as const, context: strict };
    const [near] = await ends(
      (transport) => {
        const starting = startTls(transport, options);
        options.context = lax;
        return starting;
      },
      (transport) => acceptTls(transport, server()),
    );
    assert.strictEqual(near, "certificate");
    const chain = { leaf: chains.ecdsa, roots: [otherCaPem] };
    const verifying = verifyChain(chain);
    chain.roots[0] = caPem;
    assert.false((await verifying).ok);
  });

  QUnit.test("beside a context none passes unseen, however it is there", async (assert) => {
    const on = await context();
    const asked = () => false;
    class Inherits {
      context = on;
      get verify() {
        return asked;
      }
    }
    const hidden = Object.defineProperty({ context: on }, "verify", { value: asked });
    const inherited = Object.assign(Object.create({ verify: asked }), { context: on });
    for (const options of [new Inherits(), hidden, inherited, { context: on, verify: asked }]) {
      const [, far] = pair();
      const error = (await rejection(acceptTls(far, options))) as Error;
      assert.true(/^verify is read when a TlsContext is made/.test(error.message), error.message);
    }
  });

  QUnit.test("Object.prototype gives none", async (assert) => {
    const lax = await TlsContext.client({ unsafelyDisableVerification: true });
    afterTest(() => lax.free());
    const { caPem, otherCaPem, chains } = env.certs;
    const all = async () => {
      const strange = await ends(
        (transport) => startTls(transport, stranger()),
        (transport) => acceptTls(transport, server()),
      );
      const known = await ends(
        (transport) => startTls(transport, { ...client(), sessionStore: false }),
        (transport) => acceptTls(transport, { ...server(), clientAuth: "request", caCerts: caPem }),
      );
      const nobody = await ends(
        (transport) => startTls(transport, { ...client(), sessionStore: false }),
        (transport) => acceptTls(transport, { ...server(), clientAuth: "require", caCerts: caPem }),
      );
      const chain = await verifyChain({ leaf: chains.ecdsa, roots: otherCaPem, hostname: "localhost" });
      const good = await verifyChain({ leaf: chains.ecdsa, roots: caPem });
      return [strange, known, nobody[1], chain.ok, good.ok].join(" ");
    };
    const expected = await all();
    assert.true(/^certificate,alert .* false true$/.test(expected), expected);
    for (const [name, value] of Object.entries(wishes(lax))) {
      const { prototype } = Object;
      Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
      let found: string;
      try {
        found = await all().catch((error) => String(error));
      } finally {
        delete (prototype as Record<string, unknown>)[name];
      }
      assert.strictEqual(found, expected, name);
    }
  });

  QUnit.test("no list of cipher suites lets a peer in that proves nothing", async (assert) => {
    // ECDH and DH without a certificate, as IANA numbers them: "ALL" at level 0 has them in OpenSSL.
    const anonymous = [
      0x18, 0x1b, 0x34, 0x3a, 0x46, 0x6c, 0x6d, 0x89, 0xa6, 0xa7, 0xc016, 0xc017, 0xc018, 0xc019,
    ];
    for (const ciphers of [
      "ALL:@SECLEVEL=0",
      "ALL:COMPLEMENTOFALL:@SECLEVEL=0",
      "DEFAULT:aNULL:@SECLEVEL=0",
    ]) {
      let offered: readonly number[] = [];
      const on = await context({
        selectContext(hello) {
          offered = hello.cipherSuites;
          return undefined;
        },
      });
      await ends(
        (transport) => startTls(transport, { ...client(), ciphers, securityLevel: 0, sessionStore: false }),
        (transport) => acceptTls(transport, { context: on }),
      );
      assert.true(offered.length > 5, ciphers);
      assert.deepEqual(
        offered.filter((suite) => anonymous.includes(suite)),
        [],
        ciphers,
      );
    }
    const error = await rejection(TlsContext.client({ ciphers: "aNULL:@SECLEVEL=0", securityLevel: 0 }));
    assert.strictEqual((error as { code?: string }).code, "invalid-argument");
  });
});
