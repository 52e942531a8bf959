/** A server's certificates, replaced while connections come in. */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientHello,
  type ClientOptions,
  OpenSsl,
  type ServerContextOptions,
  startTls,
  TlsContext,
  type TlsStream,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { readAll, readAtLeast, text, tlsError, utf8, write } from "../../helpers/basics.ts";
import { client, server } from "../../helpers/both-ends.ts";
import { cryptoKey, P256 } from "../../helpers/crypto-keys.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const rsa = () => ({ cert: env.certs.chains.rsa, key: env.certs.keys.rsa });
const der = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function context(options: Partial<ServerContextOptions> = {}): Promise<TlsContext> {
  const made = await TlsContext.server({ ...server(), ...options });
  afterTest(() => made.free());
  return made;
}

async function connect(on: TlsContext, options: Partial<ClientOptions> = {}) {
  const [near, far] = pair();
  const both = await Promise.all([
    startTls(near, { ...client(), sessionStore: false, ...options }),
    acceptTls(far, { context: on }),
  ]);
  for (const end of both) afterTest(() => end.abort());
  return both;
}

const nameOf = ({ info }: TlsStream) => /CN=([^,]*)/.exec(info.peerCertificates[0]?.subject ?? "")?.[1];

/** The name of its certificate, whether the session was taken, and a session for the next time. */
async function visit(on: TlsContext, session?: Uint8Array) {
  const [near, far] = await connect(on, session && { session });
  await far.closeWrite();
  await readAll(near.readable);
  const next = near.getSession();
  await near.close();
  return { name: nameOf(near), reused: near.info.sessionReused, session: next };
}

QUnit.module("setIdentity", () => {
  QUnit.test("new connections have the new certificate, and those under way go on", async (assert) => {
    const on = await context();
    const [near, far] = await connect(on);
    assert.strictEqual(nameOf(near), "ecdsa");
    on.setIdentity(rsa());
    assert.strictEqual((await visit(on)).name, "rsa");
    await write(near.writable, utf8("still here"));
    assert.strictEqual(text(await readAtLeast(far.readable, 10)), "still here");
    on.setIdentity({ ...rsa(), identities: [server()] });
    const only = (algorithm: string) => ({ signatureAlgorithms: algorithm });
    assert.strictEqual(nameOf((await connect(on, only("ecdsa_secp256r1_sha256")))[0]), "ecdsa");
    assert.strictEqual(nameOf((await connect(on, only("rsa_pss_rsae_sha256:rsa_pkcs1_sha256")))[0]), "rsa");
    on.setIdentity(server());
    const [gone] = await Promise.allSettled([connect(on, only("rsa_pss_rsae_sha256"))]);
    assert.strictEqual(gone.status, "rejected", "all identities are replaced");
  });

  QUnit.test(
    "a handshake that began before keeps its certificate, its key and no other's response",
    async (assert) => {
      const openssl = await OpenSsl.load();
      const key = await cryptoKey("ecdsa", P256);
      const later = await cryptoKey("rsa", { name: "RSA-PSS", hash: "SHA-256" });
      let during = () => {};
      const on = await context({
        openssl,
        cert: env.certs.chains.ecdsa,
        key,
        ocspResponse: der(env.certs.ocsp.good),
        async selectContext(_: ClientHello) {
          await Promise.resolve();
          during();
          return undefined;
        },
      });
      during = () => {
        for (let i = 0; i < 2; i++) on.setIdentity({ cert: env.certs.chains.rsa, key: later });
        during = () => {};
      };
      const both = { openssl, ocsp: "soft" } as const;
      // Twice: its key was two identities ago.
      const first = await Promise.allSettled([connect(on, both)]);
      assert.strictEqual(first[0].status, "rejected", "two identities later the key is gone");
      on.setIdentity({ ...server(), ocspResponse: der(env.certs.ocsp.good) });
      const contexts = openssl.live.contexts;
      during = () => {
        during = () => {};
        on.setIdentity({ cert: env.certs.chains.rsa, key: later });
      };
      const [near] = await connect(on, both);
      assert.strictEqual(nameOf(near), "ecdsa");
      assert.strictEqual(near.info.ocspResponse, undefined, "the response is not there any more");
      during = () => {
        during = () => {};
        on.setIdentity({ ...server(), ocspResponse: der(env.certs.ocsp.good) });
      };
      const [old] = await connect(on, both);
      assert.deepEqual(
        [nameOf(old), old.info.ocspResponse],
        ["rsa", undefined],
        "nor is another certificate's",
      );
      const [now] = await connect(on, { openssl, ocsp: "require" });
      assert.deepEqual([nameOf(now), now.info.ocspResponse], ["ecdsa", der(env.certs.ocsp.good)]);
      assert.strictEqual(openssl.live.contexts, contexts, "nothing is left of the identities of before");
    },
  );

  QUnit.test("sessions of before: good only where the identity does not count", async (assert) => {
    const ticketKeys = [randomBytes(80, env.seed)];
    const bound = await context({ ticketKeys });
    const { session } = await visit(bound);
    assert.true((await visit(bound, session)).reused);
    const again = (await visit(bound)).session;
    bound.setIdentity(rsa());
    const after = await visit(bound, again);
    assert.deepEqual([after.reused, after.name], [false, "rsa"]);
    // As if the context had been made with it.
    const fresh = await context({ ...rsa(), ticketKeys });
    assert.true((await visit(fresh, after.session)).reused);
    bound.setIdentity(server());
    assert.true((await visit(bound, (await visit(bound)).session)).reused);

    const named = await context({ sessionIdContext: "ours" });
    const mine = (await visit(named)).session;
    named.setIdentity(rsa());
    assert.true((await visit(named, mine)).reused);
  });

  QUnit.test("what cannot be used changes nothing", async (assert) => {
    const openssl = await OpenSsl.load();
    const on = await context({ openssl, ocspResponse: der(env.certs.ocsp.good) });
    const before = openssl.live.contexts;
    const visitor = { openssl, ocsp: "require" } as const;
    const [first, far] = await connect(on, visitor);
    await far.closeWrite();
    await readAll(first.readable);
    const session = first.getSession()!;
    await first.close();
    const { chains, keys } = env.certs;
    for (const wrong of [
      {},
      { cert: chains.rsa },
      { cert: chains.rsa, key: keys.ecdsa },
      { ...rsa(), identities: [{ cert: chains.ecdsa, key: "x" }] },
      { cert: "x", key: keys.rsa },
      { ...rsa(), caCerts: env.certs.caPem } as never,
    ]) {
      const error = await tlsError((async () => on.setIdentity(wrong))());
      assert.strictEqual(error.code, "invalid-argument", error.message);
      assert.strictEqual(openssl.live.contexts, before);
    }
    const [near] = await connect(on, visitor);
    assert.deepEqual([nameOf(near), near.info.ocspResponse], ["ecdsa", der(env.certs.ocsp.good)]);
    assert.true((await connect(on, { ...visitor, session }))[0].info.sessionReused);

    const strict = await context({ securityLevel: 3 });
    const weak = await tlsError((async () => strict.setIdentity(rsa()))());
    assert.true(/too weak/.test(weak.message), weak.message);

    const ofClient = await TlsContext.client({ caCerts: env.certs.caPem });
    afterTest(() => ofClient.free());
    assert.strictEqual(
      (await tlsError((async () => ofClient.setIdentity(rsa()))())).code,
      "invalid-argument",
    );
    on.free();
    assert.strictEqual((await tlsError((async () => on.setIdentity(rsa()))())).code, "freed");
  });
});
