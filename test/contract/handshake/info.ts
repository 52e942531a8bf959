/** What a connection tells beyond its bytes, and what a program may then decide itself. */
import QUnit from "qunit";
import {
  acceptTls,
  type ChainFailure,
  type ClientOptions,
  MemorySessionStore,
  OpenSsl,
  type PreliminaryResult,
  pairIdentities,
  startTls,
  TlsContext,
  type TlsStream,
  verifyChain,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { eventsOf, tlsError, utf8, write } from "../../helpers/basics.ts";
import { client, connected, handshake, over, server } from "../../helpers/both-ends.ts";
import { cryptoKey, P256 } from "../../helpers/crypto-keys.ts";
import { afterTest, env } from "../../helpers/env.ts";

const names = (failures: readonly ChainFailure[]) => failures.map(({ error, depth }) => `${error} ${depth}`);
const only = (version: "TLSv1.2" | "TLSv1.3") => ({ minVersion: version, maxVersion: version }) as const;

QUnit.module("info", () => {
  QUnit.test("the cipher suite, as IANA has it", async (assert) => {
    const old = await connected({ ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" }, only("TLSv1.2"));
    const now = await connected({ cipherSuites: "TLS_AES_128_GCM_SHA256" }, only("TLSv1.3"));
    for (const end of [old.client, old.server]) {
      assert.strictEqual(end.info.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
      assert.strictEqual(end.info.cipherStandardName, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    }
    assert.strictEqual(now.client.info.cipherStandardName, "TLS_AES_128_GCM_SHA256");
  });

  QUnit.test("the Finished messages: each end's own is what its peer has of it", async (assert) => {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const { client, server } = await connected(only(version), {});
      for (const [own, peer] of [
        [client, server],
        [server, client],
      ] as const) {
        const sent = own.getFinished();
        // RFC 5246 §7.4.9; RFC 8446 §4.4.4: as long as the hash
        const length = version === "TLSv1.2" ? 12 : client.info.cipher.endsWith("384") ? 48 : 32;
        assert.strictEqual(sent?.length, length, version);
        assert.deepEqual(sent, peer.getPeerFinished());
        assert.notDeepEqual(sent, own.getPeerFinished());
      }
      client.abort();
      assert.throws(() => client.getFinished(), /abort/);
    }
  });

  QUnit.test("all that is wrong, in OpenSSL's order; nothing if all is well", async (assert) => {
    const { otherCaPem, chains, keys } = env.certs;
    const [leaf] = chains.ecdsa.split(/(?<=-----END CERTIFICATE-----\n)/);
    const alone = { cert: leaf!, key: keys.ecdsa };
    const lax = { hostname: "other.example", caCerts: otherCaPem, sessionStore: false } as const;
    const wanted = [
      "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY 0",
      "X509_V_ERR_HOSTNAME_MISMATCH 0",
      "X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE 0",
    ];
    const anybody = await connected({ ...lax, unsafelyDisableVerification: true }, alone);
    assert.deepEqual(names(anybody.client.info.verifyFailures), wanted);
    assert.false(anybody.client.info.verified);

    let asked: PreliminaryResult | undefined;
    const override = {
      unsafelyLetVerifyOverride: true,
      verify(_: unknown, preliminary: PreliminaryResult) {
        asked = preliminary;
        return true;
      },
    };
    const let_in = await connected({ ...lax, ...override }, alone);
    assert.deepEqual(names(asked!.failures), wanted);
    assert.strictEqual(asked!.failure, asked!.failures[0]);
    assert.deepEqual(names(let_in.client.info.verifyFailures), wanted);

    // The first is the verdict of a verification that does not go on, and as verifyChain has it.
    const [near] = await handshake(lax, alone);
    assert.strictEqual(near.status === "rejected" && near.reason.failure?.error, wanted[0]!.split(" ")[0]);
    const chain = await verifyChain({ leaf: leaf!, roots: otherCaPem, hostname: "other.example" });
    assert.deepEqual(!chain.ok && names(chain.failures), wanted);

    const well = await connected({ ...override, sessionStore: false }, alone.cert ? {} : {});
    assert.deepEqual([asked!.ok, asked!.failures, well.client.info.verifyFailures], [true, [], []]);
  });

  QUnit.test("of a resumed session the last of it", async (assert) => {
    const context = await TlsContext.server(server());
    afterTest(() => context.free());
    const options: ClientOptions = {
      ...client(),
      caCerts: env.certs.otherCaPem,
      unsafelyDisableVerification: true,
      sessionStore: new MemorySessionStore(),
    };
    const ends: TlsStream[] = [];
    for (let i = 0; i < 2; i++) {
      const [near, far] = pair();
      const [end, other] = await Promise.all([startTls(near, options), acceptTls(far, { context })]);
      afterTest(() => other.abort());
      ends.push(end);
      await other.closeWrite();
      await end.shutdown();
    }
    assert.deepEqual(
      ends.map(({ info }) => info.sessionReused),
      [false, true],
    );
    const [first, second] = ends.map(({ info }) => info.verifyFailures.map(({ error }) => error));
    assert.deepEqual(second, first!.slice(-1));
  });
});

QUnit.module("onNewSession", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    QUnit.test(`${version}: each new one, which is good for the next connection`, async (assert) => {
      const context = await TlsContext.server({ ...server(), ...only(version), tickets: 3 });
      afterTest(() => context.free());
      const told: Uint8Array[] = [];
      const connect = async (options: Partial<ClientOptions>) => {
        const [near, far] = pair();
        const [end, other] = await Promise.all([
          startTls(near, { ...client(), sessionStore: false, ...options }),
          acceptTls(far, { context }),
        ]);
        afterTest(() => other.abort());
        await other.closeWrite();
        const latest = await new Response(end.readable).arrayBuffer().then(() => end.getSession());
        await end.close();
        return { end, latest };
      };
      const { latest } = await connect({ onNewSession: (session) => told.push(session) });
      assert.strictEqual(told.length, version === "TLSv1.3" ? 3 : 1);
      assert.deepEqual(told.at(-1), latest);
      for (const session of told) {
        const { end } = await connect({ session });
        assert.true(end.info.sessionReused);
      }
    });
  }

  QUnit.test("none before the server is accepted, and none if it is not", async (assert) => {
    const told: Uint8Array[] = [];
    const onNewSession = (session: Uint8Array) => told.push(session);
    let before = -1;
    const refuse = { onNewSession, sessionStore: false, verify: () => false } as const;
    const accept = {
      ...refuse,
      verify() {
        before = told.length;
        return true;
      },
    };
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      await handshake({ ...refuse, ...only(version) }, {});
      assert.strictEqual(told.length, 0, version);
    }
    await connected({ ...accept, ...only("TLSv1.2") }, {});
    assert.deepEqual([before, told.length], [0, 1]);

    const trusted = { ...accept, caCerts: env.certs.otherCaPem, unsafelyLetVerifyOverride: true };
    await connected({ ...trusted, ...only("TLSv1.3") }, {});
    assert.strictEqual(told.length, 3, "also of a server that the program alone has accepted");
  });
});

QUnit.module("the name that a client asks for", () => {
  for (const version of ["1.2", "1.3"] as const)
    QUnit.test(`TLS ${version}: the one of now, also where a session is resumed`, async (assert) => {
      const context = await TlsContext.server({ ...server(), ...only(`TLSv${version}`) });
      afterTest(() => context.free());
      const kept = `s_client?version=${version}&session=name-${env.runtime}-${env.seed}-${version}`;
      for (const [i, [args, expected]] of (
        [
          ["", "localhost"],
          ["", "localhost"],
          ["&arg=-servername&arg=other.wassl.test", "other.wassl.test"],
        ] as const
      ).entries()) {
        const peer = `${kept}&id=${i}${args}`;
        const stream = await acceptTls(await env.connect(peer), { context });
        assert.strictEqual(stream.info.serverName, expected);
        assert.strictEqual(stream.info.sessionReused, i > 0, `visit ${i}`);
        await write(stream.writable, utf8("hello\n"));
        await stream.shutdown().catch(() => stream.abort());
        await eventsOf(peer, /^exit/);
      }
    });
});

QUnit.module("unsafelyDisableHostnameVerification", () => {
  const lax = { unsafelyDisableHostnameVerification: true } as const;

  QUnit.test("any name is good, a chain is not, and the name is still asked for", async (assert) => {
    const both = await connected({ ...lax, hostname: "other.example" }, {});
    assert.true(both.client.info.verified);
    assert.strictEqual(both.server.info.serverName, "other.example");
    assert.true((await connected({ ...lax, hostname: "192.0.2.1" }, {})).client.info.verified);
    const [near] = await handshake({ ...lax, caCerts: env.certs.otherCaPem }, {});
    assert.strictEqual(near.status === "rejected" && near.reason.code, "certificate");
    const [named] = await handshake({ hostname: "other.example" }, {});
    assert.strictEqual(
      named.status === "rejected" && named.reason.verifyError,
      "X509_V_ERR_HOSTNAME_MISMATCH",
    );
  });

  QUnit.test("sessions are not shared with connections that look at the name", async (assert) => {
    const context = await TlsContext.server(server());
    afterTest(() => context.free());
    const sessionStore = new MemorySessionStore();
    const connect = async (options: Partial<ClientOptions>) => {
      const [near, far] = pair();
      const [end, other] = await Promise.all([
        startTls(near, { ...client(), sessionStore, ...options }),
        acceptTls(far, { context }),
      ]);
      afterTest(() => other.abort());
      await other.closeWrite();
      await new Response(end.readable).arrayBuffer();
      const session = end.getSession();
      await end.close();
      return { reused: end.info.sessionReused, session };
    };
    const { session } = await connect(lax);
    assert.false((await connect({})).reused, "from the store");
    assert.false((await connect({ session: session! })).reused, "given");
    assert.true((await connect({ ...lax, session: session! })).reused, "of the same settings");
  });
});

QUnit.module("contexts at once", () => {
  QUnit.test("made without awaiting, once OpenSSL is there", async (assert) => {
    await OpenSsl.preload();
    assert.strictEqual(OpenSsl.loaded, await OpenSsl.shared());
    const near = TlsContext.clientSync({ caCerts: env.certs.caPem });
    const far = TlsContext.serverSync(server());
    afterTest(() => near.free());
    afterTest(() => far.free());
    const [here, there] = pair();
    const [end, other] = await Promise.all([
      startTls(here, { hostname: "localhost", context: near }),
      acceptTls(there, { context: far }),
    ]);
    afterTest(() => end.abort());
    afterTest(() => other.abort());
    assert.true(end.info.verified);

    const openssl = await OpenSsl.load();
    const own = TlsContext.serverSync({ ...server(), openssl });
    const both = await over(pair(), { openssl }, { context: own, cert: undefined, key: undefined } as never);
    own.free();
    assert.true(both[0].info.verified, "of an instance that is given");
  });

  QUnit.test("what is wrong is thrown, at once", (assert) => {
    for (const call of [
      () => TlsContext.serverSync({ cert: "x" } as never),
      () => TlsContext.serverSync({ caCert: "x" } as never),
      () => TlsContext.clientSync({ caCerts: 7 } as never),
    ]) {
      assert.throws(call, (error: { code: string }) => error.code === "invalid-argument");
    }
  });
});

QUnit.module("pairIdentities", () => {
  QUnit.test("each key finds its certificate, and what has no partner is refused", async (assert) => {
    const { chains, keys } = env.certs;
    const openssl = await OpenSsl.load();
    const before = openssl.live.contexts;
    const certs = [chains.ecdsa, chains.rsa, chains.client];
    const all = [{ key: keys.client }, { key: keys.ecdsa }, { key: keys.rsa }];
    const identities = pairIdentities(openssl, certs, all);
    assert.deepEqual(identities, [
      { cert: chains.ecdsa, key: keys.ecdsa },
      { cert: chains.rsa, key: keys.rsa },
      { cert: chains.client, key: keys.client },
    ]);
    const context = await TlsContext.server({ openssl, identities: identities.slice(0, 2) });
    const key = await cryptoKey("ecdsa", P256);
    assert.strictEqual(
      pairIdentities(openssl, [chains.rsa, chains.ecdsa], [{ key }, { key: keys.rsa }])[1]!.key,
      key,
      "by its kind, which is all that is known of it",
    );
    for (const [certs, given, message] of [
      [[chains.ecdsa, chains.rsa], [{ key: keys.ecdsa }], /certificate 2 of 2 has no key/],
      [[chains.ecdsa], [{ key: keys.rsa }, { key: keys.ecdsa }], /key 1 of 2 belongs to no certificate/],
      [[chains.ecdsa, chains.rsa], [{ key: "x" }, { key: keys.ecdsa }], /private key/],
      [["x", chains.rsa], [{ key: keys.rsa }, { key: keys.ecdsa }], /certificate/],
    ] as const) {
      const error = await tlsError((async () => pairIdentities(openssl, certs, given))());
      assert.strictEqual(error.code, "invalid-argument");
      assert.true(message.test(error.message), error.message);
    }
    context.free();
    assert.strictEqual(openssl.live.contexts, before);
  });
});
