/**
 * A client that has several identities: which one it shows. What a server asks for (kinds of signatures, authorities) is
 * tried with each, in any order, and judged by a rule of this file's own; then by servers that are not ours.
 */
import QUnit from "qunit";
import type { ClientOptions, Identity, ServerOptions, TlsStream } from "wassl";
import { basicConstraints, commonName, pem } from "../../der.ts";
import { eventsOf, readAll, readAtLeast, text } from "../../helpers/basics.ts";
import { connected } from "../../helpers/both-ends.ts";
import { certificate, newKey } from "../../helpers/certificates.ts";
import { connectTls } from "../../helpers/connect.ts";
import { cryptoKey, P256, pss } from "../../helpers/crypto-keys.ts";
import { env } from "../../helpers/env.ts";
import { random } from "../../helpers/random.ts";

type Kind = "P-256" | "P-384" | "RSA" | "Ed25519";
type Authority = "ca" | "other";
interface Candidate extends Identity {
  name: string;
  kind: Kind;
  authority: Authority;
}

const pkcs8 = (name: keyof typeof env.certs.pkcs8) =>
  Uint8Array.from(atob(env.certs.pkcs8[name]), (c) => c.charCodeAt(0));

/** Of the run's authority, behind an intermediate; and one of another authority, which has signed it itself. */
async function candidates(): Promise<{ all: Candidate[]; other: string }> {
  const { chains, keys } = env.certs;
  const [root, leaf] = [await newKey(), await newKey()];
  const issuer = commonName("another authority");
  const other = pem(
    await certificate({
      ...{ issuer, subject: issuer, spki: root.spki, signer: root },
      extensions: [basicConstraints(true)],
    }),
  );
  const ofOther = pem(
    await certificate({ issuer, subject: commonName("of another"), spki: leaf.spki, signer: root }),
  );
  const all: Candidate[] = [
    { name: "client", kind: "P-256", authority: "ca", cert: chains.client, key: keys.client },
    { name: "clientRsa", kind: "RSA", authority: "ca", cert: chains.clientRsa, key: keys.clientRsa },
    { name: "p384", kind: "P-384", authority: "ca", cert: chains.p384, key: pkcs8("p384") },
    { name: "ed25519", kind: "Ed25519", authority: "ca", cert: chains.ed25519, key: pkcs8("ed25519") },
    { name: "of another", kind: "P-256", authority: "other", cert: ofOther, key: leaf.pem },
  ];
  return { all, other };
}

const identity = ({ cert, key }: Candidate): Identity => ({ cert: cert!, key: key! });
const shown = ({ info }: TlsStream) => /CN=([^,]*)/.exec(info.peerCertificates[0]?.subject ?? "")?.[1];

/** In this order, `seed` says which. */
function shuffled<T>(all: readonly T[], next: () => number): T[] {
  const left = [...all];
  return all.map(() => left.splice(Math.floor(next() * left.length), 1)[0]!);
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const only = { minVersion: version, maxVersion: version } as const;
  /** In TLS 1.2 the hash of ECDSA is not bound to a curve. */
  const ec: Kind[] = ["P-256", "P-384"];
  const demands: [algorithms: string | undefined, kinds: Kind[], own: Candidate["name"]][] = [
    [undefined, ["P-256", "P-384", "RSA", "Ed25519"], "ecdsa"],
    ["ecdsa_secp256r1_sha256", version === "TLSv1.3" ? ["P-256"] : ec, "ecdsa"],
    ["ecdsa_secp384r1_sha384", version === "TLSv1.3" ? ["P-384"] : ec, "p384"],
    ["rsa_pss_rsae_sha256:rsa_pkcs1_sha256", ["RSA"], "rsa"],
    ["ed25519", ["Ed25519"], "ed25519"],
  ];

  QUnit.module(`identities of a client, ${version}`, () => {
    for (const [algorithms, kinds, own] of demands)
      QUnit.test(`signatures: ${algorithms ?? "any"}`, async (assert) => {
        const { all, other } = await candidates();
        const authorities: [string, Authority[], Partial<ServerOptions>][] = [
          ["one", ["ca"], { caCerts: env.certs.caPem }],
          ["another", ["other"], { caCerts: other }],
          ["both", ["ca", "other"], { caCerts: [env.certs.caPem, other] }],
          ["not named", ["ca", "other"], { caCerts: [env.certs.caPem, other], sendCaNames: false }],
        ];
        const next = random(env.seed);
        const cert = env.certs.chains[own as keyof typeof env.certs.chains];
        const key = pkcs8(own as keyof typeof env.certs.pkcs8);
        for (const [which, named, asked] of authorities)
          for (let i = 0; i < 4; i++) {
            const some = shuffled(all, next).slice(0, 2 + Math.floor(next() * 4));
            const can = some.filter(({ kind }) => kinds.includes(kind));
            const expected = can.find(({ authority }) => named.includes(authority)) ?? can[0];
            const what = `seed ${env.seed}: ${some.map(({ name }) => name)} for ${which}`;
            const accepts = expected === undefined || named.includes(expected.authority);
            const [first, ...others] = some.map(identity);
            const split = i % 2 ? { ...first, identities: others } : { identities: some.map(identity) };
            const both = await connected({ ...only, ...split }, {
              ...{ ...only, cert, key, signatureAlgorithms: algorithms, clientAuth: "request", ...asked },
              // What is shown is looked at, whoever has signed it.
              ...(accepts ? {} : { verify: () => true, unsafelyLetVerifyOverride: true }),
              verifyOptions: { purpose: "any" },
            } as Partial<ServerOptions>);
            assert.strictEqual(shown(both.server), expected?.name, what);
          }
      });

    const asksFor = (peer: string, identities: Identity[]): Partial<ClientOptions> & { peer: string } => ({
      peer: `${peer}&ask=require&version=${version.slice(4)}&id=${crypto.randomUUID()}`,
      identities,
    });

    QUnit.test("openssl s_server: by its authorities, and by its signatures", async (assert) => {
      const { all } = await candidates();
      const [client, clientRsa, , , ofAnother] = all.map(identity) as [Identity, ...Identity[]];
      const log = `log=${encodeURIComponent("^depth=0")}`;
      const sigalgs = (list: string) => `arg=-client_sigalgs&arg=${list}`;
      const cases: [Identity[], string, string][] = [
        [[ofAnother!, client, clientRsa!], "openssl?", "client"],
        [[ofAnother!, clientRsa!, client], "openssl?", "clientRsa"],
        [[client, clientRsa!], `openssl?${sigalgs("rsa_pss_rsae_sha256:rsa_pkcs1_sha256")}`, "clientRsa"],
        [[clientRsa!, client], `openssl?${sigalgs("ecdsa_secp256r1_sha256")}`, "client"],
      ];
      for (const [identities, of, expected] of cases) {
        const { peer, ...options } = asksFor(`${of}&${log}`, identities);
        const stream = await connectTls(peer, options);
        const line = (await eventsOf(peer, /^depth=0/)).find((event) => event.startsWith("depth=0"));
        assert.true(line?.includes(`CN = ${expected},`), `${of}: ${line}`);
        await stream.close();
      }
    });

    QUnit.test("node:tls", async (assert) => {
      const { all } = await candidates();
      const [client, , , , ofAnother] = all.map(identity);
      const { peer, ...options } = asksFor("tls?do=hello", [ofAnother!, client!]);
      const stream = await connectTls(peer, options);
      const hello = JSON.parse(text(await readAtLeast(stream.readable, 2))) as { peer: string };
      assert.strictEqual(hello.peer, "client");
    });

    QUnit.test("GnuTLS", async (assert) => {
      const { all } = await candidates();
      const [client, clientRsa, , , ofAnother] = all.map(identity);
      const { peer, ...options } = asksFor("gnutls?", [ofAnother!, clientRsa!, client!]);
      const stream = await connectTls(peer, options);
      // It ends with an alert what it does not accept.
      await stream.closeWrite();
      assert.strictEqual((await readAll(stream.readable)).length, 0);
    });

    QUnit.test("keys in WebCrypto: by what each can sign", async (assert) => {
      const { chains } = env.certs;
      const { all } = await candidates();
      const external = [
        { cert: chains.clientRsa, key: await cryptoKey("clientRsa", pss("SHA-384")) },
        { cert: chains.client, key: await cryptoKey("client", P256) },
      ];
      const asking = { ...only, clientAuth: "require", caCerts: env.certs.caPem } as const;
      for (const [signatureAlgorithms, expected] of [
        [undefined, "clientRsa"],
        // The RSA key has one hash, and it is not this one.
        ["rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", "client"],
      ] as const) {
        const identities = [identity(all[4]!), ...external];
        const both = await connected(
          { ...only, identities },
          { ...asking, ...(signatureAlgorithms && { signatureAlgorithms }) },
        );
        assert.strictEqual(shown(both.server), expected);
      }
    });
  });
}

QUnit.module("identities of a client", () => {
  QUnit.test("post-handshake authentication: chosen when it is asked", async (assert) => {
    const { all } = await candidates();
    const [client, , , , ofAnother] = all.map(identity);
    const both = await connected(
      { identities: [ofAnother!, client!], postHandshakeAuth: true },
      { clientAuth: "require", caCerts: env.certs.caPem, postHandshakeAuth: true },
    );
    const read = readAll(both.client.readable);
    const twice = [
      await both.server.verifyClientPostHandshake(),
      await both.server.verifyClientPostHandshake(),
    ];
    for (const { peerCertificates } of twice) assert.true(peerCertificates[0]?.subject.includes("CN=client"));
    await both.server.closeWrite();
    await read;
  });

  QUnit.test("a session is of all of them", async (assert) => {
    const { all } = await candidates();
    const [client, clientRsa] = all.map(identity);
    const asking = { clientAuth: "require", caCerts: env.certs.caPem } as const;
    const both = await connected({ identities: [client!, clientRsa!] }, asking);
    const session = both.client.getSession()!;
    assert.true(session.length > 0);
    for (const identities of [[client!], [clientRsa!, client!], [client!, clientRsa!, clientRsa!]]) {
      const again = await connected({ identities, session }, asking);
      assert.false(again.client.info.sessionReused);
    }
  });
});
