/** `wassl verify`: the verdicts of `openssl verify`, and how they are told. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import QUnit from "qunit";
import { startTls, TlsCertificateError } from "wassl";
import { rejection } from "../helpers/basics.ts";
import { certFile, Run } from "../helpers/cli.ts";
import { env } from "../helpers/env.ts";

interface Verified {
  file: string;
  ok: boolean;
  failures: { error: string; code: number; depth: number; subject?: string }[];
  chain: { subject: string }[];
}

/** What is on standard output with --json. */
const lines = (run: Run) =>
  run.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Verified & { type: string });

QUnit.module("wassl verify", () => {
  QUnit.test("every chain that openssl verify was asked about: the same verdict", async (assert) => {
    const { chains } = env;
    const folder = join(process.cwd(), "cli-chains");
    mkdirSync(folder, { recursive: true });
    const path = (name: string) => join(folder, name);
    for (const [name, pem] of Object.entries(chains.pem)) writeFileSync(path(name), pem);
    for (const [name, each] of Object.entries(chains.cases)) {
      const { leaf, intermediates = [], roots, hostname, ip, email, time, purpose, depth, crls = [] } = each;
      const text = (option: string, value: unknown) => (value === undefined ? [] : [`--${option}=${value}`]);
      const args = [
        path(leaf),
        // openssl verify knows no other.
        "--unsafe-legacy-names",
        ...roots.flatMap((root) => ["--ca", path(root)]),
        ...intermediates.flatMap((one) => ["--untrusted", path(one)]),
        ...crls.flatMap((crl) => ["--crl", path(crl)]),
        ...(each.flags ?? []).flatMap((flag) => ["--flag", flag]),
        ...(each.policies ?? []).flatMap((policy) => ["--policy", policy]),
        // An empty list, which checks too, cannot be given here.
        ...(each.crls?.length === 0 ? ["--flag", "X509_V_FLAG_CRL_CHECK_ALL"] : []),
        ...text("verify-host", hostname),
        ...text("verify-ip", ip),
        ...text("verify-email", email),
        ...text("time", time === undefined ? undefined : new Date(time * 1000).toISOString()),
        ...text("purpose", purpose),
        ...text("depth", depth),
        ...text("seclevel", each.securityLevel),
        ...(each.partialChain ? ["--partial-chain"] : []),
      ];
      const run = new Run(["verify", ...args]);
      const code = await run.ended;
      const { ok, failures } = each.cli;
      assert.strictEqual(code, ok ? 0 : 3, `${name}: ${run.out}${run.text}`);
      const [first] = lines(run);
      assert.strictEqual(first?.ok, ok, name);
      assert.strictEqual(first?.failures[0]?.code, failures[0]?.code, name);
    }
  });

  QUnit.test("in words: what is wrong, and the chain", async (assert) => {
    const ca = ["--ca", certFile("ca")];
    const good = new Run(["verify", certFile("ecdsa"), ...ca], { words: true });
    assert.strictEqual(await good.ended, 0, good.text);
    const [verdict = "", ...chain] = good.out.trimEnd().split("\n");
    assert.true(/ecdsa: verified$/.test(verdict), good.out);
    assert.true(
      /^ {2}0 .*CN=ecdsa.* \(DNS:localhost, .*\), \d{4}-\d\d-\d\d to \d{4}-/.test(chain[0] ?? ""),
      good.out,
    );
    assert.strictEqual(chain.length, 3, good.out);
    assert.strictEqual(good.text, "");

    const both = new Run(["verify", certFile("expired"), certFile("ecdsa"), ...ca], { words: true });
    assert.strictEqual(await both.ended, 3);
    assert.true(
      /expired: NOT VERIFIED\n {2}X509_V_ERR_CERT_HAS_EXPIRED: certificate has expired \(depth 0, .*CN=expired/.test(
        both.out,
      ),
      both.out,
    );
    assert.true(/ecdsa: verified\n/.test(both.out), both.out);
  });

  QUnit.test(
    "what is no certificate, or no option of the library's: the command line is wrong",
    async (assert) => {
      const ca = ["--ca", certFile("ca")];
      for (const [args, message] of [
        [[certFile("ecdsaKey"), ...ca], /ecdsaKey: .*certificate/],
        [[certFile("ecdsa"), ...ca, "--flag", "X509_V_FLAG_NONE"], /X509_V_FLAG_NONE/],
        [[certFile("ecdsa"), ...ca, "--purpose", "world peace"], /world peace/],
        [[certFile("ecdsa"), ...ca, "--verify-host", "a b"], /a b/],
        [[certFile("ecdsa"), "--ca", certFile("ecdsaKey")], /CA certificate/],
      ] as const) {
        const run = new Run(["verify", ...args]);
        assert.strictEqual(await run.ended, 2, run.text);
        assert.true(message.test(run.outcome.error!.message), run.text);
      }
    },
  );

  QUnit.test("without --ca it is Mozilla's trust anchors", async (assert) => {
    const isrg = rootCertificates.find((pem) =>
      pem.includes("MIIFazCCA1OgAwIBAgIRAIIQz7DSQONZRGPgu2OCiwAwDQYJKoZIhvcNAQELBQAw"),
    );
    const file = join(process.cwd(), "isrg-root-x1.pem");
    writeFileSync(file, isrg ?? "");
    const known = new Run(["verify", file, "--purpose", "any"]);
    assert.strictEqual(await known.ended, 0, known.out + known.text);
    const unknown = new Run(["verify", file, "--purpose", "any", "--ca", certFile("ca")]);
    assert.strictEqual(await unknown.ended, 3, unknown.out);
  });

  QUnit.test("whatever it has looked at, nobody else in this process believes it", async (assert) => {
    const folder = join(process.cwd(), "cli-forged");
    mkdirSync(folder, { recursive: true });
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const verdict = (chain: string, roots: string) =>
      new Run(["verify", file("chain.pem", chain), "--ca", file("roots.pem", roots)]).ended;
    for (const [name, { look, want, roots, lookRoots = roots }] of Object.entries(env.forged.chains)) {
      await verdict(look, lookRoots);
      assert.strictEqual(await verdict(want, roots), 3, name);
      const peer = await env.connect(`tls?do=mute&forged=${encodeURIComponent(`${name}.want`)}`);
      const error = await rejection(
        startTls(peer, { hostname: "localhost", caCerts: roots, sessionStore: false }),
      );
      assert.true(error instanceof TlsCertificateError, `${name}: ${error}`);
    }
    assert.strictEqual(await verdict(env.forged.honest.chain, env.forged.honest.roots), 0);
  });
});
