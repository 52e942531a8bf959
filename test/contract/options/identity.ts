/** How a server and a client identify themselves, and what either insists on: the options of both sides. */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  type ServerOptions,
  startTls,
  TlsCertificateError,
  TlsContext,
  TlsError,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { readAtLeast, rejection, text, tlsError, utf8, write } from "../../helpers/basics.ts";
import { client, clientCert, connected, handshake, server } from "../../helpers/both-ends.ts";
import { connectTls } from "../../helpers/connect.ts";
import { afterTest, env } from "../../helpers/env.ts";

/**
 * By the numbers of IANA's registry: ECDHE and DHE with ChaCha20-Poly1305 and AES-GCM, in the order in which they are
 * offered.
 */
const EPHEMERAL = ["cca9", "cca8", "c02c", "c030", "c02b", "c02f", "ccaa", "009f", "009e"];
/** Of a key that both have, alone, and with ECDHE or DHE: the same. */
const PSK = ["ccac", "ccad", "00ab", "00aa", "ccab", "00a9", "00a8"];
/** RSA key exchange, also of RSA-PSK, and CBC with each key exchange. */
const OLD = [
  "002f",
  "0035",
  "003c",
  "009c",
  "009d",
  "0033",
  "0067",
  "c013",
  "c027",
  "c009",
  "c023",
  "008c",
  "00ae",
  "0090",
  "00b2",
  "c035",
  "c037",
  "0094",
  "00ac",
  "00ad",
  "ccae",
];

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const only = { minVersion: version, maxVersion: version } as const;

  QUnit.module(`identity: certificates of clients, ${version}`, () => {
    QUnit.test("one that is good: the server knows the client", async (assert) => {
      const identities: [string, Partial<ClientOptions>][] = [
        ["PEM", clientCert()],
        ["RSA", { cert: env.certs.chains.clientRsa, key: env.certs.keys.clientRsa }],
        [
          "PKCS #12",
          {
            pkcs12: Uint8Array.from(atob(env.certs.clientP12), (c) => c.charCodeAt(0)),
            passphrase: "secret",
          },
        ],
      ];
      for (const [name, identity] of identities) {
        for (const clientAuth of ["request", "require"] as const) {
          const both = await connected(
            { ...only, ...identity },
            { ...only, clientAuth, caCerts: env.certs.caPem },
          );
          const [leaf] = both.server.info.peerCertificates;
          assert.true(leaf?.subject.includes("CN=client"), `${name}, ${clientAuth}: ${leaf?.subject}`);
          assert.true(both.server.info.verified, "verified");
          assert.strictEqual(both.server.info.peerCertificates.length, 2, "with what is above it");
        }
      }
    });

    QUnit.test("none: enough for a request, too little for a requirement", async (assert) => {
      const asked = await connected(only, { ...only, clientAuth: "request", caCerts: env.certs.caPem });
      assert.false(asked.server.info.verified);
      assert.deepEqual(asked.server.info.peerCertificates, []);

      const [near, far] = await handshake(only, {
        ...only,
        clientAuth: "require",
        caCerts: env.certs.caPem,
      });
      assert.strictEqual(far.status, "rejected");
      if (far.status === "rejected") {
        assert.true(far.reason instanceof TlsError);
        assert.strictEqual(far.reason.code, "protocol");
        assert.true(/did not return a certificate/.test(far.reason.message), far.reason.message);
      }
      // In TLS 1.3 the client is done before the server has looked: it learns of it when it reads.
      const error =
        near.status === "rejected" ? near.reason : await tlsError(readAtLeast(near.value.readable, 1));
      assert.strictEqual(error.code, "alert", String(error));
      const alert = version === "TLSv1.3" ? "certificate_required" : "handshake_failure";
      assert.strictEqual(error.alert.description, alert);
    });

    QUnit.test("one that is not good is refused, asked for or required", async (assert) => {
      const { otherCaPem, caPem, chains, keys } = env.certs;
      const cases: [string, Partial<ClientOptions>, string, string][] = [
        ["of another CA", clientCert(), otherCaPem, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
        ["of a server", { cert: chains.ecdsa, key: keys.ecdsa }, caPem, "X509_V_ERR_INVALID_PURPOSE"],
      ];
      for (const clientAuth of ["request", "require"] as const) {
        for (const [name, identity, caCerts, verifyError] of cases) {
          const [, far] = await handshake({ ...only, ...identity }, { ...only, clientAuth, caCerts });
          assert.strictEqual(far.status, "rejected", `${name}, ${clientAuth}`);
          if (far.status === "fulfilled") continue;
          assert.true(far.reason instanceof TlsCertificateError, String(far.reason));
          assert.strictEqual((far.reason as TlsCertificateError).verifyError, verifyError);
          assert.true(/certificate of the client/.test(far.reason.message), far.reason.message);
        }
      }
    });

    QUnit.test("the server does not ask: no certificate is sent", async (assert) => {
      const both = await connected({ ...only, ...clientCert() }, only);
      assert.deepEqual(both.server.info.peerCertificates, []);
      assert.false(both.server.info.verified);
    });

    QUnit.test("node:tls as the server that requires one", async (assert) => {
      const stream = await connectTls(`tls?do=hello&ask=require&version=${version.slice(4)}`, clientCert());
      const hello = JSON.parse(text(await readAtLeast(stream.readable, 2))) as { peer: string };
      assert.strictEqual(hello.peer, "client");
    });

    QUnit.test("ECDSA and RSA side by side: each client gets what it can check", async (assert) => {
      const { chains, keys } = env.certs;
      const identities = [{ cert: chains.rsa, key: keys.rsa }];
      for (const [signatureAlgorithms, name] of [
        ["ECDSA+SHA256", "ecdsa"],
        // The signature of the intermediate's CA is an ECDSA one.
        ["rsa_pss_rsae_sha256:rsa_pkcs1_sha256", "rsa"],
      ] as const) {
        const options =
          version === "TLSv1.2" ? { ciphers: `ECDHE-${name.toUpperCase()}-AES128-GCM-SHA256` } : {};
        const both = await connected({ ...only, ...options, signatureAlgorithms }, { ...only, identities });
        const [leaf] = both.client.info.peerCertificates;
        assert.true(leaf?.subject.includes(`CN=${name}`), `${signatureAlgorithms}: ${leaf?.subject}`);
      }
    });
  });
}

QUnit.module("identity: what is used", () => {
  QUnit.test("groups: X25519MLKEM768 by default, and what was asked for", async (assert) => {
    const both = await connected({}, {});
    assert.strictEqual(both.client.info.group, "X25519MLKEM768");
    for (const group of ["x25519", "secp256r1", "secp384r1"]) {
      for (const chooser of ["client", "server"]) {
        const options = { groups: group };
        const { client, server } = await connected(
          chooser === "client" ? options : {},
          chooser === "server" ? options : {},
        );
        assert.strictEqual(client.info.group, group, `asked for by the ${chooser}`);
        assert.strictEqual(server.info.group, group);
      }
    }
    const [near] = await handshake({ groups: "x25519" }, { groups: "secp256r1" });
    assert.strictEqual(near.status === "rejected" && near.reason.code, "alert");
  });

  QUnit.test("cipher suites", async (assert) => {
    for (const cipherSuites of ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"]) {
      const both = await connected({ cipherSuites }, {});
      assert.strictEqual(both.client.info.cipher, cipherSuites);
    }
    const maxVersion = "TLSv1.2";
    for (const ciphers of ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"]) {
      const both = await connected({ maxVersion }, { ciphers });
      assert.strictEqual(both.server.info.cipher, ciphers);
    }
  });

  QUnit.test("a pre-shared key does not do where clients must show a certificate", async (assert) => {
    const psk = { identity: "sensor 7", key: crypto.getRandomValues(new Uint8Array(32)) };
    const asks = { psk, clientAuth: "require", caCerts: env.certs.caPem } as const;
    for (const [version, ciphers] of [
      ["TLSv1.3", undefined],
      ["TLSv1.2", undefined],
      ["TLSv1.2", "PSK-AES128-GCM-SHA256"],
      ["TLSv1.2", "ECDHE-PSK-CHACHA20-POLY1305"],
    ] as const) {
      const options = { minVersion: version, maxVersion: version, psk, ...(ciphers && { ciphers }) };
      const theirs = { ...asks, ciphers: `DEFAULT:${ciphers ?? "PSK"}` };
      for (const serverOptions of [theirs, { selectContext: () => ({ ...server(), ...theirs }) }]) {
        const [, far] = await handshake(options, serverOptions);
        assert.strictEqual(far.status, "rejected", `${version}, ${ciphers}`);
      }
      if (ciphers) continue;
      const [, far] = await handshake({ ...options, ...clientCert() }, theirs);
      assert.strictEqual(
        far.status === "fulfilled" && far.value.info.verified,
        true,
        "with one it is as ever",
      );
    }
    const alone = await tlsError(TlsContext.server(asks));
    assert.strictEqual(alone.code, "invalid-argument", "and without one of ours nobody could connect");
  });

  QUnit.test(
    "RSA key exchange and CBC are off unless `ciphers` turns them on, which the error says",
    async (assert) => {
      const { chains, keys } = env.certs;
      const maxVersion = "TLSv1.2" as const;
      const identities = { cert: chains.rsa, key: keys.rsa };
      const psk = { identity: "sensor 7", key: new Uint8Array(32).fill(7) };
      for (const [ciphers, more] of [
        ["AES128-SHA", {}],
        ["AES256-SHA256", {}],
        ["AES128-GCM-SHA256", {}],
        ["ECDHE-RSA-AES128-SHA", {}],
        ["ECDHE-RSA-AES256-SHA384", {}],
        ["PSK-AES128-CBC-SHA", { psk }],
        ["ECDHE-PSK-AES128-CBC-SHA256", { psk }],
        ["PSK-AES256-CBC-SHA384", { psk }],
        ["RSA-PSK-AES128-GCM-SHA256", { psk }],
        ["RSA-PSK-CHACHA20-POLY1305", { psk }],
        ["RSA-PSK-AES256-CBC-SHA", { psk }],
      ] as const) {
        const common = { maxVersion, ...more };
        const all = { ciphers: "DEFAULT" };
        for (const [near, far] of [
          [{}, { ciphers }],
          [{ ciphers }, {}],
          [{ ciphers }, { ciphers }],
          [all, { ciphers }],
          [{ ciphers }, all],
        ]) {
          const both = await handshake({ ...common, ...near }, { ...identities, ...common, ...far });
          const works = "ciphers" in near! && "ciphers" in far!;
          const what = `${ciphers}, ${JSON.stringify([near, far])}`;
          for (const [end, own] of [
            [both[0], near],
            [both[1], far],
          ] as const) {
            assert.strictEqual(end.status, works ? "fulfilled" : "rejected", what);
            if (end.status === "fulfilled") assert.strictEqual(end.value.info.cipher, ciphers, what);
            else
              assert.strictEqual(
                /`ciphers`/.test(end.reason.message),
                !("ciphers" in own!),
                end.reason.message,
              );
          }
        }
      }
      for (const [ciphers, more] of [
        ["PSK-AES128-GCM-SHA256", { psk }],
        ["PSK-CHACHA20-POLY1305", { psk }],
        ["PSK-AES256-GCM-SHA384", { psk }],
        ["ECDHE-PSK-CHACHA20-POLY1305", { psk }],
        ["ECDHE-RSA-AES128-GCM-SHA256", {}],
      ] as const) {
        for (const [near, far] of [
          [{}, { ciphers }],
          [{ ciphers }, {}],
          [{ ciphers: "DEFAULT" }, { ciphers }],
        ]) {
          const common = { maxVersion, ...more };
          const both = await connected({ ...common, ...near }, { ...identities, ...common, ...far });
          assert.strictEqual(both.client.info.cipher, ciphers, "these are on");
        }
      }
      // Nothing of it where there is no TLS 1.2, and nothing for other reasons.
      const [strict] = await handshake({ groups: "x25519", minVersion: "TLSv1.3" }, { groups: "secp256r1" });
      assert.false(/`ciphers`/.test(String(strict.status === "rejected" && strict.reason.message)));
      const asked = { maxVersion, clientAuth: "require", caCerts: env.certs.caPem } as const;
      const [anonymous] = await handshake({ maxVersion }, asked);
      assert.false(/`ciphers`/.test(String(anonymous.status === "rejected" && anonymous.reason.message)));
    },
  );

  QUnit.test("which cipher suites of TLS 1.2 a client offers", async (assert) => {
    const offered = async (options: Partial<ClientOptions>) => {
      let suites: readonly number[] = [];
      const selectContext = (hello: { cipherSuites: readonly number[] }) => {
        suites = hello.cipherSuites;
        return undefined;
      };
      await handshake({ maxVersion: "TLSv1.2", ...options }, { selectContext });
      // Without TLS_EMPTY_RENEGOTIATION_INFO_SCSV.
      return suites.filter((suite) => suite !== 0x00ff).map((suite) => suite.toString(16).padStart(4, "0"));
    };
    assert.deepEqual(await offered({}), EPHEMERAL, "by default");
    const psk = { identity: "sensor 7", key: new Uint8Array(32).fill(7) };
    assert.deepEqual((await offered({ psk })).toSorted(), [...EPHEMERAL, ...PSK].toSorted(), "with a PSK");
    const all = await offered({ psk, ciphers: "DEFAULT" });
    for (const suite of [...EPHEMERAL, ...PSK, ...OLD])
      assert.true(all.includes(suite), `${suite} is in DEFAULT`);
  });

  QUnit.test("the fastest cipher suite comes first; a server's order counts", async (assert) => {
    const chacha = { "TLSv1.2": "ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.3": "TLS_CHACHA20_POLY1305_SHA256" };
    const aes = { "TLSv1.2": "ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.3": "TLS_AES_128_GCM_SHA256" };
    const first: Record<string, number | undefined> = {};
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const list = (...suites: string[]) => ({ ciphers: suites.join(":"), cipherSuites: suites.join(":") });
      const only = (options: { ciphers: string; cipherSuites: string }) =>
        maxVersion === "TLSv1.2" ? { ciphers: options.ciphers } : { cipherSuites: options.cipherSuites };
      const aesFirst = only(list(aes[maxVersion], chacha[maxVersion]));
      const both = await connected(
        { maxVersion },
        {
          selectContext: ({ cipherSuites }) => {
            first[maxVersion] = cipherSuites[0];
            return undefined;
          },
        },
      );
      assert.strictEqual(both.client.info.cipher, chacha[maxVersion], "by default");
      const theirs = await connected({ maxVersion, ...aesFirst }, {});
      assert.strictEqual(theirs.client.info.cipher, chacha[maxVersion], "the client would rather have AES");
      const ours = await connected({ maxVersion }, aesFirst);
      assert.strictEqual(ours.client.info.cipher, aes[maxVersion], "the server would");
    }
    // TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 (RFC 7905), TLS_CHACHA20_POLY1305_SHA256 (RFC 8446)
    assert.deepEqual(first, { "TLSv1.2": 0xcca9, "TLSv1.3": 0x1303 }, "what a client offers first");
    const { client } = await connected({}, {});
    assert.strictEqual(client.info.group, "X25519MLKEM768");
  });

  QUnit.test("a pre-shared key instead of a certificate", async (assert) => {
    const psk = { identity: "sensor 7", key: crypto.getRandomValues(new Uint8Array(32)) };
    for (const hash of ["SHA-256", "SHA-384"] as const) {
      const [near, far] = pair();
      const [client, server] = await Promise.all([
        startTls(near, { hostname: "localhost", psk: { ...psk, hash } }),
        acceptTls(far, { psk: { ...psk, hash } }),
      ]);
      afterTest(() => client.abort());
      afterTest(() => server.abort());
      assert.true(client.info.cipher.endsWith(hash.replace("-", "")), client.info.cipher);
      assert.deepEqual(client.info.peerCertificates, []);
      assert.false(client.info.verified, "no certificate was verified");
      await write(client.writable, utf8("hello"));
      assert.strictEqual(text(await readAtLeast(server.readable, 5)), "hello");
    }

    const other = { ...psk, key: new Uint8Array(32) };
    const [, refused] = await handshake({ psk: other }, { psk });
    assert.strictEqual(refused.status, "rejected");
  });

  QUnit.test("the security level counts for certificates too", async (assert) => {
    const error = await rejection(connectTls("tls?cert=rsa", { securityLevel: 3 }));
    assert.true(error instanceof TlsCertificateError, String(error));
    assert.strictEqual((error as TlsCertificateError).verifyError, "X509_V_ERR_EE_KEY_TOO_SMALL");
  });
});

QUnit.module("identity: options that cannot work", () => {
  const bad: [string, "client" | "server", () => object, RegExp][] = [
    ["ciphers", "client", () => ({ ciphers: "NO-SUCH-CIPHER" }), /NO-SUCH-CIPHER/],
    ["cipher suites", "client", () => ({ cipherSuites: "TLS_NO_SUCH" }), /TLS_NO_SUCH/],
    ["groups", "server", () => ({ groups: "no-such-group" }), /no-such-group/],
    ["a group that is not in this OpenSSL", "client", () => ({ groups: "X448" }), /X448/],
    [
      "a group that is not in this OpenSSL",
      "server",
      () => ({ groups: "brainpoolP256r1tls13" }),
      /brainpoolP256/,
    ],
    ["a signature that is not", "client", () => ({ signatureAlgorithms: "ed448" }), /ed448/],
    ["signature algorithms", "client", () => ({ signatureAlgorithms: "MD5+RSA+X" }), /MD5\+RSA\+X/],
    ["a security level", "client", () => ({ securityLevel: 6 }), /0 to 5/],
    ["a security level", "server", () => ({ securityLevel: 1.5 }), /0 to 5/],
    [
      "clientAuth",
      "server",
      () => ({ clientAuth: "perhaps", caCerts: env.certs.caPem }),
      /clientAuth must be .* not "perhaps"/,
    ],
    ["clientAuth without caCerts", "server", () => ({ clientAuth: "require" }), /caCerts/],
    ["a certificate without its key", "client", () => ({ cert: env.certs.chains.client }), /key/],
    ["a key without its certificate", "client", () => ({ key: env.certs.keys.client }), /cert/],
    [
      "a key of another certificate",
      "client",
      () => ({ cert: env.certs.chains.client, key: env.certs.keys.ecdsa }),
      /private key/,
    ],
    [
      "PKCS #12 and a certificate",
      "client",
      () => ({ ...clientCert(), pkcs12: new Uint8Array(1) }),
      /either/,
    ],
    [
      "PKCS #12 with another passphrase",
      "client",
      () => ({
        pkcs12: Uint8Array.from(atob(env.certs.clientP12), (c) => c.charCodeAt(0)),
        passphrase: "wrong",
      }),
      /PKCS #12/,
    ],
    ["PKCS #12 that is none", "client", () => ({ pkcs12: Uint8Array.of(1, 2, 3) }), /PKCS #12/],
    ["tickets", "server", () => ({ tickets: -1 }), /tickets/],
    [
      "a pre-shared key of no bytes",
      "client",
      () => ({ psk: { identity: "x", key: new Uint8Array(0) } }),
      /key/,
    ],
  ];
  for (const [what, side, options, message] of bad) {
    QUnit.test(`${what}: the ${side} says so, and the transport is untouched`, async (assert) => {
      const [near] = pair();
      const error = await tlsError(
        side === "client"
          ? startTls(near, { ...client(), ...options() } as ClientOptions)
          : acceptTls(near, { ...server(), ...options() } as ServerOptions),
      );
      assert.strictEqual(error.code, "invalid-argument", String(error));
      assert.true(message.test(error.message), error.message);
      assert.false(near.readable.locked || near.writable.locked, "the streams are free");
    });
  }
});
