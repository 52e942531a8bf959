/** Clients written for Cloudflare's Workers run unmodified over `wassl/sockets`, against real servers. */
import { join } from "node:path";
import QUnit from "qunit";
import { installDrivers } from "../drivers/install.ts";
import { ended, given, ours, repository } from "../examples.ts";
import { eventsOf } from "../helpers/basics.ts";
import { afterTest, env } from "../helpers/env.ts";
import { start } from "../peers/program.ts";

let bundled: Promise<string> | undefined;

/** As a bundler for Workers would do it, but for one alias. */
function program(): Promise<string> {
  bundled ??= (async () => {
    const { build } = ours("esbuild") as typeof import("esbuild");
    const here = join(repository, "test", "drivers", "workers");
    const outfile = join(process.cwd(), "worker-clients.js");
    await build({
      entryPoints: [join(here, "clients.ts")],
      outfile,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "es2022",
      conditions: ["workerd"],
      nodePaths: [join(installDrivers(), "node_modules")],
      alias: { "cloudflare:sockets": join(here, "cloudflare-sockets.ts") },
      external: ["wassl", "pg-native"],
      logLevel: "error",
      banner: {
        js: 'import { createRequire as $cr } from "node:module"; const require = $cr(import.meta.url);',
      },
    });
    return outfile;
  })();
  return bundled;
}

async function run(client: string, port: number, environment: Record<string, string> = {}): Promise<string> {
  const variables = { CA: given("ca.pem", env.certs.caPem), ...environment };
  const pairs = Object.entries(variables).map((pair) => pair.join("="));
  const child = start("env", [...pairs, process.execPath, await program(), client, String(port)]);
  afterTest(() => child.kill("SIGKILL"));
  const { output } = await ended(child);
  return output.trimEnd().split("\n").at(-1) ?? "";
}

const otherCa = () => ({ CA: given("other-ca.pem", env.certs.otherCaPem) });

QUnit.module("sockets: clients for Workers", () => {
  for (const client of ["postgres.js", "pg"]) {
    QUnit.test(`${client}: 3 MB through PostgreSQL and back, over TLS`, async (assert) => {
      assert.timeout(60_000);
      const { port } = await env.peer("postgres?password=secret");
      assert.strictEqual(await run(client, port), '{"same":true,"tls":true}');
      const unknown = await run(client, port, otherCa());
      assert.true(/^refused: .*(self-signed|unable to get|certificate)/.test(unknown), unknown);
      const misnamed = await run(client, port, { HOST: "db.example.org" });
      assert.true(/^refused: .*certificate/.test(misnamed), misnamed);
    });
  }

  for (const tls of ["starttls", "yes"]) {
    QUnit.test(
      `worker-mailer: 3 MB to Exim, ${tls === "yes" ? "TLS at once" : "STARTTLS"}`,
      async (assert) => {
        assert.timeout(60_000);
        const peer = `smtp?tls=${tls}&id=worker-mailer`;
        const { port } = await env.peer(peer);
        const secure = { SECURE: tls };
        assert.strictEqual(await run("worker-mailer", port, secure), '{"sent":true}');
        const log = await eventsOf(peer, /<= a@localhost/);
        assert.true(
          log.some((line) => /<= a@localhost .*X=TLS1\.3/.test(line)),
          log.join("\n"),
        );
        const unknown = await run("worker-mailer", port, { ...secure, ...otherCa() });
        assert.true(/^refused: .*(self-signed|unable to get|certificate)/.test(unknown), unknown);
      },
    );
  }
});
