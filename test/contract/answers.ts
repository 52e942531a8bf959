/** Where a handshake waits for an answer from outside: keys in WebCrypto, `verify`, `selectContext`; and what contexts share. */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientHello,
  type ClientOptions,
  OpenSsl,
  type PreliminaryResult,
  type ServerOptions,
  startTls,
  TlsAlertError,
  TlsCertificateError,
  TlsContext,
  type X509,
} from "wassl";
import { pair } from "../fakes/pair.ts";
import { client, clientCert, connected, handshake, server } from "./both-ends.ts";
import { connectTls } from "./connect.ts";
import { afterTest, env } from "./env.ts";
import { eventsOf, readAtLeast, sleep, text, tlsError, utf8, write } from "./helpers.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;
type KeyName = keyof typeof env.certs.pkcs8;

const P256 = { name: "ECDSA", namedCurve: "P-256" };
const P384 = { name: "ECDSA", namedCurve: "P-384" };
const pss = (hash: string) => ({ name: "RSA-PSS", hash });
const pkcs1 = (hash: string) => ({ name: "RSASSA-PKCS1-v1_5", hash });

/** A key that cannot be taken out again. */
async function cryptoKey(name: KeyName, algorithm: EcKeyImportParams | RsaHashedImportParams | string) {
  const der = Uint8Array.from(atob(env.certs.pkcs8[name]), (c) => c.charCodeAt(0));
  return crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
}

async function exchange(options: Partial<ClientOptions>, peer: string): Promise<void> {
  const stream = await connectTls(peer, options);
  await write(stream.writable, utf8("a line\n"));
  const answer = text(await readAtLeast(stream.readable, 7));
  if (answer !== "enil a\n") throw new Error(`it answered ${answer}`);
  await stream.close();
}

for (const version of versions) {
  const only = { minVersion: version, maxVersion: version } as const;
  const number = version.slice(4);

  QUnit.module(`answers: a private key in WebCrypto, ${version}`, () => {
    const clientKeys: [string, KeyName, "client" | "clientRsa", Parameters<typeof cryptoKey>[1]][] = [
      ["ECDSA", "client", "client", P256],
      ["RSA-PSS with SHA-256", "clientRsa", "clientRsa", pss("SHA-256")],
      ["RSA-PSS with SHA-512", "clientRsa", "clientRsa", pss("SHA-512")],
    ];
    if (version === "TLSv1.2") clientKeys.push(["PKCS #1", "clientRsa", "clientRsa", pkcs1("SHA-384")]);
    for (const [name, keyName, chain, algorithm] of clientKeys) {
      QUnit.test(`of a client, ${name}: openssl s_server -Verify takes it`, async (assert) => {
        const key = await cryptoKey(keyName, algorithm);
        assert.false(key.extractable);
        const id = crypto.randomUUID();
        const peer = `openssl?version=${number}&ask=require&log=${encodeURIComponent("^depth=0")}&id=${id}`;
        await exchange({ cert: env.certs.chains[chain], key }, peer);
        const line = (await eventsOf(peer, /^depth=0/)).find((event) => event.startsWith("depth=0"));
        assert.true(line?.includes(`CN = ${chain}`), line);
      });
    }

    const serverKeys: [string, KeyName, Parameters<typeof cryptoKey>[1], string][] = [
      ["ECDSA P-256", "ecdsa", P256, "ecdsa_secp256r1_sha256"],
      ["ECDSA P-384", "p384", P384, "ecdsa_secp384r1_sha384"],
      ["Ed25519", "ed25519", "Ed25519", "ed25519"],
      ["RSA-PSS", "rsa", pss("SHA-384"), "rsa_pss_rsae_sha384"],
    ];
    if (version === "TLSv1.2") serverKeys.push(["PKCS #1", "rsa", pkcs1("SHA-256"), "rsa_pkcs1_sha256"]);
    for (const [name, keyName, algorithm, scheme] of serverKeys) {
      QUnit.test(`of a server, ${name}: with each of our own clients, at any pair size`, async (assert) => {
        const key = await cryptoKey(keyName, algorithm);
        const cert = env.certs.chains[keyName];
        for (const bioPairSize of [1, 300, 17_408]) {
          const both = await connected({ ...only, bioPairSize }, { ...only, bioPairSize, cert, key });
          assert.true(both.client.info.verified, `a pair of ${bioPairSize}`);
          const { signatureAlgorithm } = both.client.info;
          // In TLS 1.2 an ECDSA key's hash is not bound to its curve.
          if (version === "TLSv1.3" || !name.startsWith("ECDSA"))
            assert.strictEqual(signatureAlgorithm, scheme);
        }
      });
    }

    QUnit.test("of a server: node:tls is content with it", async (assert) => {
      for (const [keyName, algorithm] of [
        ["ecdsa", P256],
        ["rsa", pss("SHA-256")],
      ] as const) {
        const transport = await env.connect(`tls?role=client&version=${number}&id=${keyName}${env.runtime}`);
        const key = await cryptoKey(keyName, algorithm);
        const stream = await acceptTls(transport, { cert: env.certs.chains[keyName], key });
        afterTest(() => stream.abort());
        await write(stream.writable, utf8("echo"));
        assert.strictEqual(text(await readAtLeast(stream.readable, 4)), "echo");
      }
    });

    QUnit.test("beside a key of ours: each certificate has its own", async (assert) => {
      const { chains, keys } = env.certs;
      const identities = [
        { cert: chains.ecdsa, key: await cryptoKey("ecdsa", P256) },
        { cert: chains.rsa, key: keys.rsa },
      ];
      for (const [signatureAlgorithms, name] of [
        ["ECDSA+SHA256", "ecdsa"],
        ["rsa_pss_rsae_sha256:rsa_pkcs1_sha256", "rsa"],
      ] as const) {
        const ciphers = `ECDHE-${name.toUpperCase()}-AES128-GCM-SHA256`;
        const both = await connected({ ...only, signatureAlgorithms, ciphers }, {
          ...only,
          cert: undefined,
          key: undefined,
          identities,
        } as unknown as ServerOptions);
        assert.true(both.client.info.peerCertificates[0]?.subject.includes(`CN=${name}`));
      }
    });

    QUnit.test("of another certificate: the peer finds out, and both ends say so", async (assert) => {
      const key = await cryptoKey("client", P256);
      const [near, far] = await handshake(only, { ...only, key });
      assert.strictEqual(near.status, "rejected");
      assert.strictEqual(far.status, "rejected");
      if (far.status === "rejected") assert.strictEqual(far.reason.alert?.description, "decrypt_error");
    });

    QUnit.test("that fails to sign: its reason is told, and the peer gets an alert", async (assert) => {
      const key = await cryptoKey("ecdsa", P256);
      // Looks like a key, and WebCrypto refuses it.
      const broken = { type: key.type, algorithm: key.algorithm, usages: key.usages, extractable: false };
      const [near, far] = await handshake(only, { ...only, key: broken });
      assert.strictEqual(far.status === "rejected" && far.reason.code, "callback");
      if (far.status === "rejected") assert.true(far.reason.cause instanceof Error, String(far.reason.cause));
      assert.true(near.status === "rejected" && near.reason instanceof TlsAlertError);
      if (near.status === "rejected") assert.strictEqual(near.reason.alert.description, "internal_error");
    });
  });

  QUnit.module(`answers: verify, ${version}`, () => {
    const bothSides = ["client", "server"] as const;
    /** One side asks, and the other has a certificate; with whom each connection goes. */
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
        assert.deepEqual(asked[0]?.preliminary, { ok: true });
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

      QUnit.test(`${asks}: it cannot let in whom OpenSSL refuses, unless it says so`, async (assert) => {
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
      });

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

QUnit.module("answers: ECDSA signatures in DER", () => {
  // WebCrypto pads r and s with zeros, DER wants none, but one before a first bit that is set.
  const shapes: [string, (half: Uint8Array) => boolean][] = [
    ["a first byte of zero", (half) => half[0] === 0 && half[1]! < 128],
    ["a first byte of zero before one with its first bit set", (half) => half[0] === 0 && half[1]! >= 128],
    ["a first bit that is set", (half) => half[0]! >= 128],
    ["a first bit that is not", (half) => half[0]! > 0 && half[0]! < 128],
  ];
  for (const [name, fits] of shapes) {
    QUnit.test(`r and s with ${name}`, async (assert) => {
      const key = await cryptoKey("ecdsa", P256);
      const sign = crypto.subtle.sign;
      afterTest(() => {
        crypto.subtle.sign = sign;
      });
      let shapesLeft = [0, 32];
      while (shapesLeft.length > 0) {
        let wanted = -1;
        // Signs until r or s looks as wanted. Where signatures are deterministic (RFC 6979) the first is as good as any.
        crypto.subtle.sign = async (...args) => {
          const once = async () => new Uint8Array(await sign.apply(crypto.subtle, args));
          const first = await once();
          for (let signature = await once(); ; signature = await once()) {
            const deterministic = signature.join() === first.join();
            const at = shapesLeft.find((half) => fits(signature.subarray(half, half + 32)));
            if (at === undefined && !deterministic) continue;
            wanted = at ?? shapesLeft[0]!;
            return signature.buffer;
          }
        };
        const both = await connected({}, { key });
        assert.true(both.client.info.verified);
        shapesLeft = shapesLeft.filter((half) => half !== wanted);
      }
    });
  }
});

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
    const round = async () => {
      const [near, far] = pair();
      const selectContext = () => ({ cert: env.certs.chains.ecdsa, key });
      await Promise.allSettled([
        startTls(near, { ...client(), openssl, verify: () => false }),
        acceptTls(far, { openssl, selectContext }),
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
