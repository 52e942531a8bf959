/** Where a handshake waits for an answer from outside: `verify`, `selectContext`; and what contexts share. */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientHello,
  type ClientOptions,
  OpenSsl,
  type PreliminaryResult,
  type ServerOptions,
  startTls,
  type TlsAlertError,
  TlsCertificateError,
  TlsContext,
  type X509,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { readAtLeast, sleep, text, tlsError, utf8, write } from "../../helpers/basics.ts";
import { client, clientCert, connected, handshake, server } from "../../helpers/both-ends.ts";
import { cryptoKey, P256, pss } from "../../helpers/crypto-keys.ts";
import { afterTest, env } from "../../helpers/env.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;
for (const version of versions) {
  const only = { minVersion: version, maxVersion: version } as const;

  QUnit.module(`answers: verify, ${version}`, () => {
    const bothSides = ["client", "server"] as const;
    /** One side asks, and the other has a certificate; the peer of each connection. */
    const sides = (
      asks: "client" | "server",
      options: Partial<ClientOptions & ServerOptions>,
    ): [Partial<ClientOptions>, Partial<ServerOptions>] =>
      asks === "client"
        ? [{ ...only, ...options }, only]
        : [
            { ...only, ...clientCert() },
            { ...only, clientAuth: "require", caCerts: env.certs.caPem, ...options },
          ];

    for (const asks of bothSides) {
      QUnit.test(`${asks}: asked once, with the chain, and waited for`, async (assert) => {
        const asked: { chain: readonly X509[]; preliminary: PreliminaryResult }[] = [];
        let answered = false;
        const both = await connected(
          ...sides(asks, {
            async verify(chain, preliminary) {
              asked.push({ chain, preliminary });
              await sleep(20);
              answered = true;
              return true;
            },
          }),
        );
        assert.true(answered);
        assert.strictEqual(asked.length, 1);
        assert.true(asked[0]?.preliminary.ok);
        assert.strictEqual(asked[0]?.preliminary.failure, undefined);
        const verified = asked[0]?.preliminary.verifiedChain.map(
          ({ subject }) => /CN=([^,]*)/.exec(subject)?.[1],
        );
        assert.deepEqual(verified, [
          asks === "client" ? "ecdsa" : "client",
          "Wassl test intermediate",
          "Wassl test ca",
        ]);
        const names = asked[0]?.chain.map(({ subject }) => /CN=([^,]*)/.exec(subject)?.[1]);
        assert.deepEqual(names, [asks === "client" ? "ecdsa" : "client", "Wassl test intermediate"]);
        assert.true(both[asks].info.verified);
      });

      QUnit.test(
        `${asks}: whatever is not true refuses, and the peer gets bad_certificate`,
        async (assert) => {
          const answers: [string, () => unknown, boolean][] = [
            ["false", () => false, false],
            ["a promise of false", async () => false, false],
            ["undefined", () => undefined, false],
            ["something else", () => "yes", false],
            [
              "an exception",
              () => {
                throw new RangeError("not today");
              },
              true,
            ],
          ];
          for (const [name, verify, hasCause] of answers) {
            const [near, far] = await handshake(...sides(asks, { verify: verify as () => boolean }));
            const [own, other] = asks === "client" ? [near, far] : [far, near];
            assert.strictEqual(own.status, "rejected", name);
            if (own.status === "fulfilled") continue;
            const error = own.reason as TlsCertificateError;
            assert.true(error instanceof TlsCertificateError, String(error));
            assert.strictEqual(error.verifyError, "X509_V_ERR_APPLICATION_VERIFICATION");
            assert.strictEqual(error.depth, 0);
            assert.strictEqual(hasCause, error.cause instanceof RangeError, name);
            // A client of TLS 1.3 is done before the server has looked.
            const told =
              other.status === "rejected"
                ? (other.reason as TlsAlertError)
                : ((await tlsError(readAtLeast(other.value.readable, 1))) as TlsAlertError);
            assert.strictEqual(told.alert?.description, "bad_certificate", `${name}: ${told}`);
          }
        },
      );

      QUnit.test(
        `${asks}: it cannot accept a peer that OpenSSL refuses, unless the option says so`,
        async (assert) => {
          const { otherCaPem } = env.certs;
          let asked = 0;
          const verify = (_chain: readonly X509[], { ok, failure }: PreliminaryResult) => {
            asked++;
            assert.false(ok);
            assert.strictEqual(failure?.error, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
            return true;
          };
          const strict = await handshake(...sides(asks, { caCerts: otherCaPem, verify }));
          const refused = strict[asks === "client" ? 0 : 1];
          assert.strictEqual(refused.status, "rejected");
          assert.strictEqual(asked, 0);

          const both = await connected(
            ...sides(asks, { caCerts: otherCaPem, verify, unsafelyLetVerifyOverride: true }),
          );
          assert.strictEqual(asked, 1);
          assert.false(both[asks].info.verified, "it does not read as verified");

          const [near, far] = await handshake(
            ...sides(asks, { caCerts: otherCaPem, verify: () => false, unsafelyLetVerifyOverride: true }),
          );
          const end = asks === "client" ? near : far;
          assert.strictEqual(
            end.status === "rejected" && (end.reason as TlsCertificateError).verifyError,
            "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
          );
        },
      );

      QUnit.test(
        `${asks}: one that never answers ends by the signal, and by the time-out`,
        async (assert) => {
          const controller = new AbortController();
          const never = () => new Promise<boolean>(() => {});
          const [clientOptions, serverOptions] = sides(asks, { verify: never });
          const bounds = { signal: controller.signal };
          setTimeout(() => controller.abort(new Error("enough")), 50);
          const [near, far] = await handshake(
            { ...clientOptions, ...bounds },
            { ...serverOptions, ...bounds },
          );
          const end = asks === "client" ? near : far;
          assert.strictEqual(end.status === "rejected" && end.reason.message, "enough");

          const late = await handshake(
            { ...clientOptions, handshakeTimeout: 50 },
            { ...serverOptions, handshakeTimeout: 50 },
          );
          const timedOut = late[asks === "client" ? 0 : 1];
          assert.strictEqual(timedOut.status === "rejected" && timedOut.reason.code, "timeout");
        },
      );
    }
  });

  QUnit.module(`answers: selectContext, ${version}`, () => {
    QUnit.test("the certificate, and all else, by what the client says first", async (assert) => {
      const { chains, keys, caPem } = env.certs;
      const hellos: ClientHello[] = [];
      // Not the first of the client's. In TLS 1.2 the list limits the curves of clients' certificates too.
      const groups = version === "TLSv1.3" ? "secp384r1" : "secp256r1";
      using rsa = await TlsContext.server({ cert: chains.rsa, key: keys.rsa, alpnProtocols: ["two"] });
      const options: Partial<ServerOptions> = {
        async selectContext(hello) {
          hellos.push(hello);
          await sleep(5);
          if (hello.serverName === "a.wassl.test") {
            return {
              cert: chains.wildcard,
              key: keys.wildcard,
              groups,
              alpnProtocols: ["one"],
              clientAuth: "require" as const,
              caCerts: caPem,
            };
          }
          return hello.alpnProtocols.includes("two") ? rsa : undefined;
        },
      };
      const a = await connected(
        { ...only, hostname: "a.wassl.test", alpnProtocols: ["zero", "one"], ...clientCert() },
        options,
      );
      assert.true(a.client.info.peerCertificates[0]?.subject.includes("CN=wildcard"));
      assert.strictEqual(a.client.info.alpnProtocol, "one");
      assert.strictEqual(a.client.info.group, groups, "after a HelloRetryRequest, in TLS 1.3");
      assert.true(a.server.info.verified, "the client's certificate");
      assert.strictEqual(a.server.info.serverName, "a.wassl.test");

      const b = await connected({ ...only, alpnProtocols: ["two"] }, options);
      assert.true(b.client.info.peerCertificates[0]?.subject.includes("CN=rsa"));
      const c = await connected(only, options);
      assert.true(c.client.info.peerCertificates[0]?.subject.includes("CN=ecdsa"), "what stands there");

      assert.deepEqual(
        hellos.map(({ serverName, alpnProtocols }) => [serverName, alpnProtocols]),
        [
          ["a.wassl.test", ["zero", "one"]],
          ["localhost", ["two"]],
          ["localhost", []],
        ],
      );
      const [hello] = hellos;
      assert.strictEqual(hello?.versions[0], version === "TLSv1.3" ? 0x0304 : 0x0303);
      assert.true(hello?.cipherSuites.includes(version === "TLSv1.3" ? 0x1301 : 0xc02b));
      assert.true(hello?.signatureAlgorithms.includes(0x0403));
      assert.true(hello?.groups.includes(29), "x25519");
    });

    QUnit.test("its versions count too", async (assert) => {
      const other = version === "TLSv1.2" ? "TLSv1.3" : "TLSv1.2";
      const selected = { ...server(), minVersion: other, maxVersion: other } as const;
      const [near, far] = await handshake(only, { selectContext: () => selected });
      assert.strictEqual(far.status, "rejected");
      assert.strictEqual(near.status === "rejected" && near.reason.alert?.description, "protocol_version");
    });

    QUnit.test("null refuses with unrecognized_name, a failure with internal_error", async (assert) => {
      const cases: [string, () => null | never | object, string, string][] = [
        ["null", () => null, "unrecognized_name", "protocol"],
        [
          "an exception",
          () => {
            throw new Error("no database");
          },
          "internal_error",
          "callback",
        ],
        ["options that cannot work", () => ({ groups: "nonsense" }), "internal_error", "invalid-argument"],
      ];
      for (const [name, selectContext, alert, code] of cases) {
        const [near, far] = await handshake(only, { selectContext: selectContext as () => null });
        assert.strictEqual(far.status === "rejected" && far.reason.code, code, name);
        assert.strictEqual(near.status === "rejected" && near.reason.alert?.description, alert, name);
      }
    });
  });
}

QUnit.module("answers: a context for many connections", () => {
  QUnit.test("both ends use one, also after it is freed", async (assert) => {
    const serverContext = await TlsContext.server({ ...server(), alpnProtocols: ["x"] });
    const clientContext = await TlsContext.client({ caCerts: env.certs.caPem, alpnProtocols: ["x"] });
    const both = async () => {
      const [near, far] = pair();
      const [a, b] = await Promise.all([
        startTls(near, { hostname: "localhost", context: clientContext }),
        acceptTls(far, { context: serverContext }),
      ]);
      afterTest(() => a.abort());
      afterTest(() => b.abort());
      return [a, b] as const;
    };
    const first = await both();
    assert.true(first[0].info.verified);
    assert.strictEqual(first[1].info.alpnProtocol, "x");
    const second = await both();
    serverContext.free();
    clientContext.free();
    for (const [a, b] of [first, second]) {
      await write(a.writable, utf8("hello"));
      assert.strictEqual(text(await readAtLeast(b.readable, 5)), "hello");
    }
    const error = await tlsError(both());
    assert.strictEqual(error.code, "freed");
  });

  QUnit.test("what it holds cannot stand beside it; a client's is no server's", async (assert) => {
    using context = await TlsContext.client({ caCerts: env.certs.caPem });
    const bad: [string, () => Promise<unknown>, RegExp][] = [
      ["caCerts", () => startTls(pair()[0], { ...client(), context }), /caCerts/],
      ["verify", () => startTls(pair()[0], { hostname: "x", context, verify: () => true }), /verify/],
      ["the role", () => acceptTls(pair()[0], { context }), /server/],
      ["none", () => startTls(pair()[0], { hostname: "x", context: {} as TlsContext }), /TlsContext/],
    ];
    for (const [name, attempt, message] of bad) {
      const error = await tlsError(attempt());
      assert.strictEqual(error.code, "invalid-argument", name);
      assert.true(message.test(error.message), error.message);
    }
  });

  QUnit.test("callbacks that are none, and keys that cannot sign", async (assert) => {
    const { publicKey } = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
    const hmac = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const sha1 = await cryptoKey("rsa", pss("SHA-1"));
    const { cert } = server();
    for (const [options, message] of [
      [{ verify: true }, /verify/],
      [{ selectContext: {} }, /selectContext/],
      [{ key: publicKey }, /public/],
      [{ key: hmac }, /HMAC/],
      [{ cert: env.certs.chains.rsa, key: sha1 }, /SHA-1/],
    ] as const) {
      const error = await tlsError(TlsContext.server({ cert, ...server(), ...options } as ServerOptions));
      assert.strictEqual(error.code, "invalid-argument");
      assert.true(message.test(error.message), error.message);
    }
  });

  QUnit.test("questions that are asked and refused leave nothing behind in linear memory", async (assert) => {
    const openssl = await OpenSsl.load();
    const key = await cryptoKey("ecdsa", P256);
    const wrongKey = await cryptoKey("client", P256);
    const round = async () => {
      const [near, far] = pair();
      const selectContext = () => ({ cert: env.certs.chains.ecdsa, key });
      await Promise.allSettled([
        startTls(near, { ...client(), openssl, verify: () => false }),
        acceptTls(far, { openssl, selectContext }),
      ]);
      const [here, there] = pair();
      await Promise.allSettled([
        startTls(here, { ...client(), openssl }),
        acceptTls(there, { openssl, cert: env.certs.chains.ecdsa, key: wrongKey }),
      ]);
      const [left, right] = pair();
      const controller = new AbortController();
      const { signal } = controller;
      const waiting = Promise.allSettled([
        startTls(left, { ...client(), openssl, signal }),
        acceptTls(right, { openssl, signal, selectContext: () => new Promise<null>(() => {}) }),
      ]);
      await sleep(5);
      controller.abort();
      await waiting;
    };
    for (let i = 0; i < 3; i++) await round();
    const before = openssl.memory.used;
    for (let i = 0; i < 5; i++) await round();
    const grown = openssl.memory.used - before;
    assert.true(Math.abs(grown) < 64, `${grown} bytes`);
  });
});
