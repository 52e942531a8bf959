/**
 * Memory that runs out never lets anybody in: in each verification that must end badly, allocation after allocation fails, once or for
 * the rest of it. What is left out for want of memory must not pass for what was looked at, nor spoil what comes later.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  OpenSsl,
  type ServerOptions,
  startTls,
  TlsContext,
  TlsError,
  type VerifyChainOptions,
  verifyChain,
} from "wassl";
import { server } from "../contract/both-ends.ts";
import { afterTest, env } from "../contract/env.ts";
import { pair } from "../fakes/pair.ts";
import { random } from "../fakes/random.ts";

const repository = process.env.WASSL_REPOSITORY ?? "";

interface Faults {
  faults_fail(n: number, count: number): void;
  faults_counted(): number;
  faults_failed(): number;
}

let built: Promise<WebAssembly.Module> | undefined;
function faulty(): Promise<WebAssembly.Module> {
  built ??= (async () => {
    execFileSync("bash", ["build.sh", "faults"], { cwd: repository, stdio: "pipe" });
    return WebAssembly.compile(readFileSync(join(repository, "node_modules/.cache/wassl-faults.wasm")));
  })();
  return built;
}

/** An instance, and what makes its allocations fail. */
async function load(): Promise<[OpenSsl, Faults]> {
  const module = await faulty();
  const { Instance } = WebAssembly;
  let faults: Faults | undefined;
  class Watched extends Instance {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      super(module, imports);
      faults = this.exports as unknown as Faults;
    }
  }
  WebAssembly.Instance = Watched;
  try {
    return [await OpenSsl.load({ source: module }), faults!];
  } finally {
    WebAssembly.Instance = Instance;
  }
}

/** How often an allocation fails in the verifications of one kind. */
const TRIALS = 20;

const of = (name: string) => {
  const found = env.chains.pem[name];
  if (found === undefined) throw new Error(`there is no certificate "${name}"`);
  return found;
};

QUnit.module("failed allocations", () => {
  QUnit.test("verifyChain: no chain that is refused is ever accepted", async (assert) => {
    const [openssl, faults] = await load();
    const next = random(env.seed);
    const usual = { openssl, leaf: of("leaf"), intermediates: [of("inter")], roots: of("root") };
    const { crls } = env.forged.revocation;
    const separate = crls["by a key of its own: its certificate is forged"]!;
    const cases: Record<string, VerifyChainOptions> = {
      "a wrong name": { ...usual, hostname: "elsewhere.wassl.test" },
      "a wrong address": { ...usual, ip: "192.0.2.8" },
      "a wrong mail address": { ...usual, email: "other@wassl.test" },
      revoked: { ...usual, leaf: of("revoked"), crls: [of("interCrl"), of("rootCrl")] },
      "a forged list": { ...usual, crls: [of("interForged"), of("rootCrl")] },
      "a forged issuer of a list": { openssl, ...separate, flags: ["X509_V_FLAG_EXTENDED_CRL_SUPPORT"] },
      "another root": { ...usual, roots: of("otherRoot") },
      "a root of the same name": { ...usual, roots: of("rootTwin") },
      expired: { ...usual, time: new Date(Date.now() + 60 * 86_400_000) },
      "another purpose": { ...usual, leaf: of("clientOnly") },
      "out of its name constraints": { ...usual, leaf: of("outside"), intermediates: [of("constrained")] },
      "a policy that it has not": {
        ...{ ...usual, leaf: of("policyLeaf"), intermediates: [of("policyCa")] },
        ...{ policies: ["1.2.3.5"], flags: ["X509_V_FLAG_EXPLICIT_POLICY"] },
      },
    };
    for (const [title, options] of Object.entries(cases)) {
      assert.false((await verifyChain(options)).ok, `${title}: refused`);
      faults.faults_fail(2 ** 31, 1);
      await verifyChain(options);
      const all = faults.faults_counted();
      assert.true(all > 100, `${title}: ${all} allocations`);
      for (let i = 0; i < TRIALS; i++) {
        const n = 1 + Math.floor(next() * all);
        const count = next() < 0.8 ? 1 : 2 ** 32 - 1;
        faults.faults_fail(n, count);
        const result = await verifyChain(options).catch((error: unknown) => error);
        faults.faults_fail(0, 0);
        if (result instanceof TlsError || (result as { ok?: boolean }).ok === false) continue;
        assert.true(
          false,
          `seed ${env.seed}, ${title}: allocation ${n} and ${count}: ${JSON.stringify(result)}`,
        );
      }
    }
    const still = await verifyChain({ ...usual, hostname: "host.wassl.test" });
    assert.true(still.ok, "a good chain is accepted afterwards");
  });

  QUnit.test("a connection: whoever is refused is never let in", async (assert) => {
    assert.timeout(60_000);
    const [openssl, faults] = await load();
    const { ocsp } = env.forged.revocation;
    const next = random(env.seed);
    const { certs } = env;
    const stapled = (title: string): [Partial<ClientOptions>, Partial<ServerOptions>] => {
      const { chain, key, roots, response } = ocsp[title]!;
      const bytes = response && Uint8Array.from(Buffer.from(response, "base64"));
      return [
        { caCerts: roots, ocsp: "soft" },
        { cert: chain, key, ...(bytes ? { ocspResponse: bytes } : {}) },
      ];
    };
    const crls = [certs.crls.ca, certs.crls.revokesEcdsa];
    const cases: Record<string, [Partial<ClientOptions>, Partial<ServerOptions>?]> = {
      "a wrong name": [{ hostname: "elsewhere.wassl.test" }],
      "a wrong address": [{ hostname: "127.0.0.2" }],
      "another CA": [{ caCerts: certs.otherCaPem }],
      "another CA, and nobody overrides": [{ caCerts: certs.otherCaPem, verify: () => true }],
      revoked: [{ verifyOptions: { crls } }],
      "revoked, by OCSP": stapled("good, then revoked, by SHA-256"),
      "a promise that is not kept": stapled("a promise by the leaf: none came"),
      "a responder that nobody authorized": stapled("a responder that the root authorized"),
    };
    for (const [title, [near, far = {}]] of Object.entries(cases)) {
      const { hostname = "localhost", ...options } = near;
      const context = await TlsContext.client({ openssl, caCerts: certs.caPem, ...options });
      afterTest(() => context.free());
      /** How it ended, and how many allocations failed. */
      const attempt = async (n: number, count: number) => {
        const [left, right] = pair();
        faults.faults_fail(n, count);
        const both = await Promise.allSettled([
          startTls(left, { context, hostname, sessionStore: false }).finally(() => faults.faults_fail(0, 0)),
          acceptTls(right, { ...server(), ...far }),
        ]);
        for (const end of both) if (end.status === "fulfilled") end.value.abort();
        return both[0].status;
      };
      // The whole of it, without a failure, says how many there are.
      faults.faults_fail(2 ** 31, 1);
      const [left, right] = pair();
      const both = await Promise.allSettled([
        startTls(left, { context, hostname, sessionStore: false }),
        acceptTls(right, { ...server(), ...far }),
      ]);
      const all = faults.faults_counted();
      assert.strictEqual(both[0].status, "rejected", `${title}: refused`);
      for (let i = 0; i < TRIALS; i++) {
        const n = 1 + Math.floor(next() * all);
        const count = next() < 0.8 ? 1 : 2 ** 32 - 1;
        if ((await attempt(n, count)) !== "rejected")
          assert.true(false, `seed ${env.seed}, ${title}: let in, allocation ${n} and ${count}`);
      }
    }
    const [left, right] = pair();
    const [near, far] = await Promise.all([
      startTls(left, { openssl, hostname: "localhost", caCerts: certs.caPem, sessionStore: false }),
      acceptTls(right, server()),
    ]);
    assert.true(near.info.verified, "who is good is let in afterwards");
    near.abort();
    far.abort();
  });
});
