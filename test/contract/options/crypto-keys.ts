/** Private keys in WebCrypto, which sign for a client or a server and stay where they are. */
import QUnit from "qunit";
import { acceptTls, type ClientOptions, type ServerOptions, TlsAlertError, TlsContext } from "wassl";
import { eventsOf, readAtLeast, text, tlsError, utf8, write } from "../../helpers/basics.ts";
import { connected, handshake } from "../../helpers/both-ends.ts";
import { connectTls } from "../../helpers/connect.ts";
import { cryptoKey, type KeyName, P256, pss } from "../../helpers/crypto-keys.ts";
import { afterTest, env } from "../../helpers/env.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;

const P384 = { name: "ECDSA", namedCurve: "P-384" };
const pkcs1 = (hash: string) => ({ name: "RSASSA-PKCS1-v1_5", hash });

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

  QUnit.module(`a private key in WebCrypto, ${version}`, () => {
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

    QUnit.test("of another certificate: we find out, and send no signature", async (assert) => {
      const { chains } = env.certs;
      const wrong = [
        [chains.ecdsa, await cryptoKey("client", P256)],
        [chains.rsa, await cryptoKey("clientRsa", pss("SHA-256"))],
        ...(version === "TLSv1.2"
          ? [[chains.rsa, await cryptoKey("clientRsa", pkcs1("SHA-256"))] as const]
          : []),
      ] as const;
      const asking = {
        ...only,
        clientAuth: "require",
        caCerts: env.certs.caPem,
        verifyOptions: { purpose: "any" },
      } as const;
      for (const [cert, key] of wrong) {
        for (const whose of ["client", "server"] as const) {
          const [near, far] =
            whose === "client"
              ? await handshake({ ...only, cert, key }, asking)
              : await handshake(only, { ...only, cert, key });
          const [own, peer] = whose === "client" ? [near, far] : [far, near];
          const what = `${whose}, ${key.algorithm.name}`;
          assert.strictEqual(own.status === "rejected" && own.reason.code, "callback", what);
          assert.true(
            /not that of the certificate/.test(String(own.status === "rejected" && own.reason)),
            what,
          );
          const told = peer.status === "rejected" && peer.reason.alert?.description;
          assert.strictEqual(told, "internal_error", what);
        }
      }
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
}

QUnit.module("a private key in WebCrypto: ECDSA signatures in DER", () => {
  // WebCrypto pads r and s with zeros. DER has no padding, except one zero before a first bit that is set.
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
        // Signs until r or s looks as wanted. Deno's signatures are deterministic (RFC 6979): there it would be for
        // ever.
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

QUnit.module("a private key in WebCrypto: of another kind", () => {
  QUnit.test("a key of another kind than the certificate's is refused at once", async (assert) => {
    const { chains } = env.certs;
    const small = await crypto.subtle.generateKey(
      { ...pss("SHA-256"), modulusLength: 1024, publicExponent: Uint8Array.of(1, 0, 1) },
      false,
      ["sign"],
    );
    for (const [cert, key, message] of [
      [chains.ecdsa, await cryptoKey("p384", P384), /ECDSA P-384, and .* EC prime256v1 256/],
      [chains.p384, await cryptoKey("ecdsa", P256), /ECDSA P-256, and .* EC secp384r1 384/],
      [chains.ecdsa, await cryptoKey("rsa", pss("SHA-256")), /RSA-PSS 2048, and .* EC prime256v1/],
      [chains.ecdsa, await cryptoKey("ed25519", "Ed25519"), /for Ed25519, and/],
      [chains.ed25519, await cryptoKey("ecdsa", P256), /ECDSA P-256, and .* ED25519/],
      [chains.rsa, await cryptoKey("ecdsa", P256), /ECDSA P-256, and .* RSA 2048/],
      [chains.rsa, small.privateKey, /RSA-PSS 1024, and .* RSA 2048/],
    ] as const) {
      for (const make of [
        () => TlsContext.server({ cert, key }),
        () => TlsContext.client({ cert, key, caCerts: env.certs.caPem }),
      ]) {
        const error = await tlsError(make());
        assert.strictEqual(error.code, "invalid-argument");
        assert.true(message.test(error.message), error.message);
      }
    }
  });
});
