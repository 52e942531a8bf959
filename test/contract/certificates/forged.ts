/**
 * Looking at an attacker's chain changes nothing for other connections: whatever one connection or verification of an
 * instance has seen, the strict ones refuse as if they were alone. Each forgery (test/peers/forged.ts) differs from
 * something good in one input of what is verified.
 */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  OpenSsl,
  type ServerOptions,
  startTls,
  TlsContext,
  TlsError,
  verifyChain,
} from "wassl";
import { concat, sleep, tlsError } from "../../helpers/basics.ts";
import { handshake, server } from "../../helpers/both-ends.ts";
import { derOf } from "../../helpers/chains.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { random } from "../../helpers/random.ts";
import { Watch } from "../../helpers/residue.ts";
import type { Forgery } from "../../peers/forged.ts";

const load = () => OpenSsl.load();
const blocks = (pem: string) => pem.match(/-----BEGIN[\s\S]*?-----END.*?-----\n/g)!;
const lookRoots = ({ lookRoots, roots }: Forgery) => lookRoots ?? roots;

/** "ACCEPTED", or what is wrong. */
async function connect(openssl: OpenSsl, name: string, options: Partial<ClientOptions>): Promise<string> {
  const peer = `tls?do=mute&forged=${encodeURIComponent(name)}`;
  try {
    const stream = await startTls(await env.connect(peer), {
      ...{ openssl, hostname: "localhost", sessionStore: false },
      ...options,
    });
    stream.abort();
    return stream.info.verified ? "ACCEPTED" : "let in";
  } catch (error) {
    return error instanceof TlsError
      ? String(Reflect.get(error, "verifyError") ?? error.code)
      : String(error);
  }
}

async function login(openssl: OpenSsl, name: string, options: Partial<ServerOptions>): Promise<string> {
  const peer = `tls?do=mute&role=client&forged=${encodeURIComponent(name)}`;
  try {
    const stream = await acceptTls(await env.connect(peer), {
      ...{ ...server(), openssl, clientAuth: "require", verifyOptions: { purpose: "any" } },
      ...options,
    });
    stream.abort();
    return stream.info.verified ? "ACCEPTED" : "let in";
  } catch (error) {
    return error instanceof TlsError
      ? String(Reflect.get(error, "verifyError") ?? error.code)
      : String(error);
  }
}

async function verify(openssl: OpenSsl, chain: string, roots: string): Promise<boolean> {
  const [leaf, ...intermediates] = blocks(chain);
  const result = await verifyChain({ openssl, leaf: leaf!, intermediates, roots, hostname: "localhost" });
  return result.ok;
}

type Look = (openssl: OpenSsl, name: string, forgery: Forgery) => Promise<unknown>;
const ways: Record<string, Look> = {
  verifyChain: (openssl, _name, each) => verify(openssl, each.look, lookRoots(each)),
  "a strict connection": (openssl, name, each) =>
    connect(openssl, `${name}.look`, { caCerts: lookRoots(each) }),
  "a connection that lets verify override, and accepts": (openssl, name, each) =>
    connect(openssl, `${name}.look`, {
      ...{ caCerts: lookRoots(each), verify: () => true, unsafelyLetVerifyOverride: true },
    }),
  "a connection that lets verify override, and refuses": (openssl, name, each) =>
    connect(openssl, `${name}.look`, {
      ...{ caCerts: lookRoots(each), verify: () => false, unsafelyLetVerifyOverride: true },
    }),
  "a connection to another name that trusts nobody": (openssl, name) =>
    connect(openssl, `${name}.look`, {
      ...{ hostname: "elsewhere.test", verify: () => true, unsafelyLetVerifyOverride: true },
    }),
  "a connection without verification": (openssl, name) =>
    connect(openssl, `${name}.look`, { unsafelyDisableVerification: true }),
  "a server that lets verify override": (openssl, name, each) =>
    login(openssl, `${name}.look`, {
      ...{ caCerts: lookRoots(each), verify: () => false, unsafelyLetVerifyOverride: true },
    }),
};

QUnit.module("forged: after somebody has looked at it", () => {
  for (const [way, look] of Object.entries(ways)) {
    QUnit.test(`by ${way}: refused by every strict check`, async (assert) => {
      const { chains, honest } = env.forged;
      const next = random(env.seed);
      const shuffled = () =>
        Object.entries(chains)
          .map((each) => ({ each, at: next() }))
          .sort((a, b) => a.at - b.at)
          .map(({ each }) => each);
      const openssl = await load();
      for (const [name, each] of shuffled()) {
        await look(openssl, name, each);
        await look(openssl, name, each);
      }
      for (const [name, { want, roots }] of shuffled()) {
        const where = `seed ${env.seed}, ${name}`;
        assert.false(await verify(openssl, want, roots), `verifyChain: ${where}`);
        const near = await connect(openssl, `${name}.want`, { caCerts: roots });
        assert.true(near.startsWith("X509_V_ERR_"), `a client, ${near}: ${where}`);
        const far = await login(openssl, `${name}.want`, { caCerts: roots });
        assert.true(far.startsWith("X509_V_ERR_"), `a server, ${far}: ${where}`);
      }
      assert.true(await verify(openssl, honest.chain, honest.roots), "verifyChain: a good one is accepted");
      assert.strictEqual(
        await connect(openssl, "honest.look", { caCerts: honest.roots }),
        "ACCEPTED",
        "a client",
      );
      assert.strictEqual(
        await login(openssl, "honest.look", { caCerts: honest.roots }),
        "ACCEPTED",
        "a server",
      );
    });
  }

  QUnit.test("a TlsContext for many connections: the same", async (assert) => {
    const { chains } = env.forged;
    const openssl = await load();
    const { look, want, roots } = chains["another generator"]!;
    const lax = await TlsContext.client({
      ...{ openssl, caCerts: roots, verify: () => true, unsafelyLetVerifyOverride: true },
    });
    const strict = await TlsContext.client({ openssl, caCerts: roots });
    afterTest(() => lax.free());
    afterTest(() => strict.free());
    for (const [name, context, expected] of [
      ["another generator.look", lax, "let in"],
      ["another generator.want", lax, "let in"],
      ["another generator.want", strict, "X509_V_ERR_CERT_SIGNATURE_FAILURE"],
    ] as const)
      assert.strictEqual(await connect(openssl, name, { context } as Partial<ClientOptions>), expected, name);
    assert.false(await verify(openssl, look, roots));
    assert.false(await verify(openssl, want, roots));
  });
});

QUnit.module("forged: whoever may let it pass is asked", () => {
  QUnit.test("by a client and by a server, about each", async (assert) => {
    const openssl = await load();
    const lax = { verify: () => true, unsafelyLetVerifyOverride: true };
    const { roots } = env.forged.honest;
    for (const name of ["another signature", "another generator", "the same names, other keys: rsa"]) {
      const options = { caCerts: roots, ...lax };
      assert.strictEqual(await connect(openssl, `${name}.want`, options), "let in", `a client: ${name}`);
      assert.strictEqual(await login(openssl, `${name}.want`, options), "let in", `a server: ${name}`);
    }
  });
});

QUnit.module("forged: keys with explicit curve parameters", () => {
  QUnit.test("a certificate with such a key: refused, and told why", async (assert) => {
    const openssl = await load();
    const { leaf, selfSigned, roots } = env.forged.explicit;
    for (const [chain, trusted] of [
      [leaf, roots],
      [selfSigned, selfSigned],
      [leaf, leaf],
    ] as const) {
      for (const securityLevel of [0, 2]) {
        for (const partialChain of [false, true]) {
          const result = await verifyChain({
            ...{ openssl, leaf: chain, roots: trusted, hostname: "localhost", securityLevel, partialChain },
          });
          assert.strictEqual(
            !result.ok && result.failures[0]?.error,
            "X509_V_ERR_EC_KEY_EXPLICIT_PARAMS",
            `level ${securityLevel}, partial ${partialChain}`,
          );
        }
      }
    }
  });

  QUnit.test("a private key: no identity, and told why", async (assert) => {
    const openssl = await load();
    const { sec1, pkcs8, pkcs8Der, selfSigned } = env.forged.explicit;
    const der = Uint8Array.from(atob(pkcs8Der), (character) => character.charCodeAt(0));
    const cert = blocks(env.forged.honest.chain)[0]!;
    for (const [form, key] of Object.entries({ sec1, pkcs8, der })) {
      for (const of of [cert, selfSigned]) {
        const error = await tlsError(TlsContext.server({ openssl, cert: of, key }));
        assert.strictEqual(error.code, "invalid-argument", form);
        assert.true(/explicit params not supported/.test(error.message), error.message);
      }
    }
  });
});

QUnit.module("forged: beyond what its authority may sign", () => {
  QUnit.test("a wildcard that stands for a name which is excluded, among others: refused", async (assert) => {
    const openssl = await load();
    for (const { excluded, name, ok, leaf, intermediate, roots } of env.forged.limited) {
      const where = `${name}, without ${excluded}`;
      const result = await verifyChain({ openssl, leaf, intermediates: intermediate, roots });
      assert.strictEqual(
        result.ok || result.failures[0]?.error,
        ok || "X509_V_ERR_EXCLUDED_VIOLATION",
        where,
      );
      const hostname = name.replace("*", "z");
      const named = await verifyChain({
        ...{ openssl, leaf, intermediates: intermediate, roots, hostname, unsafelyAllowLegacyNames: true },
      });
      assert.strictEqual(named.ok, ok, `${where}: ${hostname}`);
    }
  });
});

QUnit.module("forged: an anchor whose signature is wrong", () => {
  QUnit.test("refused where it is looked at, and nothing is looked for above it", async (assert) => {
    const { honest } = env.forged;
    const anchor = derOf(blocks(honest.roots)[0]!);
    anchor[anchor.length - 1]! ^= 1;
    const [leaf, ...intermediates] = blocks(honest.chain);
    const flags = ["X509_V_FLAG_CHECK_SS_SIGNATURE"] as const;
    const openssl = await load();
    for (const partialChain of [false, true]) {
      const options = { openssl, roots: anchor, flags, partialChain, purpose: "any" } as const;
      for (const chain of [
        { leaf: leaf!, intermediates },
        { leaf: anchor, intermediates: [leaf!, ...intermediates] },
      ]) {
        const result = await verifyChain({ ...options, ...chain });
        assert.strictEqual(!result.ok && result.failures[0]?.error, "X509_V_ERR_CERT_SIGNATURE_FAILURE");
      }
      const verifyOptions = { flags, partialChain };
      const near = await connect(openssl, "honest.look", { caCerts: anchor, verifyOptions });
      assert.strictEqual(near, "X509_V_ERR_CERT_SIGNATURE_FAILURE");
    }
  });
});

QUnit.module("forged: which signatures are remembered", () => {
  /** The name of a right signature in that memory: see wasm/instead/verified.c. */
  const nameOf = async (issuer: string, certificate: string) => {
    const input = [issuer, certificate].flatMap((each) => {
      const der = derOf(each);
      return [new Uint8Array(Uint32Array.of(der.length).buffer), der];
    });
    return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(input)));
  };

  QUnit.test("those of a verification that went well, and no others", async (assert) => {
    const { chains, policy } = env.forged;
    const { chains: own, keys, caPem } = env.certs;
    const wrong = chains["another signature"]!;
    const far = new Date(env.made + 40 * 86_400_000);
    /** The leaf first, the anchor last. */
    const expired = [...blocks(own.expired), caPem];
    const good = [...blocks(own.ecdsa), caPem];
    const chain = ([leaf, ...intermediates]: string[]) => ({
      ...{ leaf: leaf!, intermediates: intermediates.slice(0, -1), roots: intermediates.at(-1)! },
    });
    const shake = (options: Partial<ClientOptions>) => async (openssl: OpenSsl) => {
      const [near] = await handshake(
        { openssl, sessionStore: false, ...options },
        { cert: own.ecdsa, key: keys.ecdsa },
      );
      if (near.status === "fulfilled") near.value.abort();
      return near.status === "fulfilled" && near.value.info.verified;
    };
    const cases: [string, string[], boolean, (openssl: OpenSsl) => Promise<boolean>][] = [
      ["good", good, true, async (openssl) => (await verifyChain({ openssl, ...chain(good) })).ok],
      ["good, in a handshake", good, true, shake({})],
      [
        "the leaf has expired",
        expired,
        false,
        async (openssl) => (await verifyChain({ openssl, ...chain(expired) })).ok,
      ],
      [
        "the leaf's signature is wrong",
        [...blocks(wrong.want), wrong.roots],
        false,
        (openssl) => verify(openssl, wrong.want, wrong.roots),
      ],
      [
        "another name, which verify accepts, in a handshake",
        good,
        false,
        shake({ hostname: "elsewhere.test", verify: () => true, unsafelyLetVerifyOverride: true }),
      ],
      [
        "at another time, which verify accepts, in a handshake",
        good,
        false,
        shake({ verifyOptions: { time: far }, verify: () => true, unsafelyLetVerifyOverride: true }),
      ],
    ];
    for (const [what, certificates, remembered, look] of cases) {
      const openssl = await load();
      using watch = new Watch();
      for (let i = 0; i + 1 < certificates.length; i++)
        watch.secret(`signature ${i}`, await nameOf(certificates[i + 1]!, certificates[i]!));
      assert.strictEqual(await look(openssl), remembered, what);
      // The next verification, of other signatures, takes the place of what the last one has found.
      assert.true(await verify(openssl, policy.chain, policy.roots), what);
      const found = watch.residue(openssl).filter((name) => name.startsWith("signature"));
      assert.deepEqual(
        found.sort(),
        remembered ? certificates.slice(1).map((_, i) => `signature ${i}`) : [],
        what,
      );
    }
  });
});

QUnit.module("forged: nothing stays", () => {
  QUnit.test("of a peer that is refused, by whatever it is refused", async (assert) => {
    const openssl = await load();
    const { chains, honest, policy } = env.forged;
    const { ocsp } = env.forged.revocation;
    const accepted = async () => {
      const { caCerts } = { caCerts: honest.roots };
      assert.strictEqual(await connect(openssl, "honest.look", { caCerts }), "ACCEPTED");
    };
    const refusals: [string, () => Promise<unknown>][] = [
      ["a forged signature", () => connect(openssl, "another signature.want", { caCerts: honest.roots })],
      [
        "another CA",
        () => connect(openssl, "the same names, other keys: rsa.look", { caCerts: honest.roots }),
      ],
      [
        "another name",
        () =>
          connect(openssl, "the same names, other keys: rsa.want", {
            hostname: "b.test",
            caCerts: honest.roots,
          }),
      ],
      [
        "verify",
        () =>
          connect(openssl, "the same names, other keys: ec.look", {
            caCerts: lookRoots(chains["the same names, other keys: ec"]!),
            verify: () => false,
          }),
      ],
      [
        "an override",
        () =>
          connect(openssl, "another generator.look", { verify: () => true, unsafelyLetVerifyOverride: true }),
      ],
      [
        "nobody, for nobody looks",
        () => connect(openssl, "RSA-PSS with another hash.look", { unsafelyDisableVerification: true }),
      ],
      ["verifyChain, or accepted by it", () => verify(openssl, policy.chain, policy.roots)],
      [
        "OCSP",
        async () => {
          const { chain, key, roots, response } = ocsp.revoked!;
          const [near] = await handshake(
            { openssl, caCerts: roots, ocsp: "soft", sessionStore: false },
            { cert: chain, key, ocspResponse: Uint8Array.from(atob(response!), (c) => c.charCodeAt(0)) },
          );
          return near.status === "rejected" ? "" : "ACCEPTED";
        },
      ],
    ];
    // The first time OpenSSL keeps what it meets: algorithms, texts.
    for (const [, refusal] of refusals) assert.notStrictEqual(await refusal(), "ACCEPTED");
    await accepted();
    await sleep(500);
    const before = openssl.memory.used;
    /**
     * Once the alerts are sent; in what malloc makes of its pieces, now so, now so. A certificate has 500 bytes at
     * least.
     */
    const more = async () => {
      for (let i = 0; i < 100 && Math.abs(openssl.memory.used - before) >= 256; i++) await sleep(30);
      return openssl.memory.used - before;
    };
    for (let i = 0; i < 3; i++)
      for (const [what, refusal] of refusals) {
        await refusal();
        const bytes = await more();
        assert.true(Math.abs(bytes) < 256, `${what}: ${bytes} bytes more`);
      }
    await accepted();
    const kept = await more();
    assert.true(Math.abs(kept) < 256, `${kept} bytes more: it is kept once`);
  });
});
