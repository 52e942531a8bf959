/**
 * A stranger's project: `pg` from npm, a bundler, and the lines of the guide "Postgres from a page". A real PostgreSQL is
 * asked from a page in Chromium.
 */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import QUnit from "qunit";
import { installDrivers } from "../drivers/install.ts";
import { examples, inNode, ours, portOf, text } from "../examples.ts";
import { afterTest, env } from "../helpers/env.ts";
import { browser } from "../peers/browser.ts";

const run = promisify(execFile);
const root = join(process.cwd(), "a-stranger's");
const BUNDLERS = ["esbuild", "vite", "webpack"];

/** What one installs: with what it needs, in one node_modules. */
function install(names: string[]): void {
  const from = installDrivers();
  for (const name of names) {
    const [source, to] = [from, root].map((folder) => join(folder, "node_modules", name)) as [string, string];
    if (existsSync(to)) continue;
    cpSync(source, to, { recursive: true });
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(source, "package.json"), "utf8"),
    ) as Record<"dependencies" | "optionalDependencies", Record<string, string> | undefined>;
    install(Object.keys({ ...dependencies, ...optionalDependencies }));
  }
}

/** The example without its types, for a bundler that knows none. */
async function withoutTypes(file: string): Promise<string> {
  const { transform } = ours("esbuild") as typeof import("esbuild");
  const { code } = await transform(readFileSync(join(examples, file), "utf8"), { loader: "ts" });
  return code;
}

let made: Promise<void> | undefined;
async function makeProject(): Promise<void> {
  mkdirSync(join(root, "node_modules"), { recursive: true });
  install(["pg", "unenv", "buffer", "events", "readable-stream", "string_decoder"]);
  for (const name of ["wassl", "@assemblyscript"])
    cpSync(join(process.cwd(), "node_modules", name), join(root, "node_modules", name), { recursive: true });
  for (const name of BUNDLERS)
    symlinkSync(dirname(ours.resolve(`${name}/package.json`)), join(root, "node_modules", name));
  const write = (name: string, content: string) => writeFileSync(join(root, name), content);
  write("package.json", JSON.stringify({ private: true, type: "module" }));
  write("page.ts", readFileSync(join(examples, "bundlers/page.ts"), "utf8"));
  write("page.js", await withoutTypes("bundlers/page.ts"));
  write("build.js", await withoutTypes("bundlers/esbuild.ts"));
  write("vite.config.ts", readFileSync(join(examples, "bundlers/vite.ts"), "utf8"));
  write("webpack.config.js", await withoutTypes("bundlers/webpack.ts"));
  write("index.html", html("/page.ts"));
}
const html = (script: string) =>
  `<!doctype html><link rel="icon" href="data:,"><script type="module" src="${script}"></script>`;

const load = async <T>(name: string): Promise<T> => await import(pathToFileURL(ours.resolve(name)).href);
const vite = () => load<typeof import("vite")>("vite");

/** A folder that is served; its origin. */
async function served(outDir: string): Promise<string> {
  const server = await (await vite()).preview({
    root,
    configFile: false,
    build: { outDir },
    preview: { host: "127.0.0.1", port: 0 },
    logLevel: "error",
  });
  afterTest(() => server.close());
  return originOf(server.resolvedUrls);
}

const originOf = (urls: { local: string[] } | null) => new URL(urls?.local[0] ?? "").origin;

/** Each makes the page, and says where it is. */
const ways: Record<string, () => Promise<string>> = {
  async esbuild() {
    await run(process.execPath, ["build.js"], { cwd: root });
    writeFileSync(join(root, "out/index.html"), html("/page.js"));
    return served("out");
  },
  async "Vite, build"() {
    await run(process.execPath, ["node_modules/vite/bin/vite.js", "build"], { cwd: root });
    return served("dist");
  },
  async "Vite, dev server"() {
    const server = await (await vite()).createServer({
      root,
      configFile: join(root, "vite.config.ts"),
      server: { host: "127.0.0.1", port: 0 },
      logLevel: "error",
    });
    afterTest(() => server.close());
    await server.listen();
    return originOf(server.resolvedUrls);
  },
  async webpack() {
    const { default: webpack } = await load<{ default: typeof import("webpack") }>("webpack");
    const { default: config } = (await import(pathToFileURL(join(root, "webpack.config.js")).href)) as {
      default: import("webpack").Configuration;
    };
    const output = { ...config.output, path: join(root, "packed") };
    const problems = await new Promise<string>((resolve, reject) =>
      webpack({ ...config, mode: "production", context: root, output }, (error, stats) =>
        error ? reject(error) : resolve(stats?.toString({ all: false, errors: true }) ?? ""),
      ),
    );
    if (problems.trim()) throw new Error(problems);
    writeFileSync(join(root, "packed/index.html"), html("/page.js"));
    return served("packed");
  },
};

QUnit.module("pg in a page, as the guide bundles it", () => {
  for (const [bundler, make] of Object.entries(ways)) {
    QUnit.test(
      `${bundler}: a real PostgreSQL answers, and one that nobody vouches for is refused`,
      async (assert) => {
        assert.timeout(120_000);
        made ??= makeProject();
        await made;
        const origin = await make();
        const { port } = await env.peer("postgres?password=secret");
        const relay = await portOf(await inNode("relay", "0", origin, `localhost:${port}`));
        const context = await (await browser()).newContext();
        afterTest(() => context.close());
        const ask = async (parameters: Record<string, string>) => {
          const page = await context.newPage();
          page.on("console", (message) => console.log(`[${bundler}] ${message.text()}`));
          page.on("pageerror", (error) => console.log(`[${bundler}] ${error.stack ?? error}`));
          const all = {
            relay: `ws://127.0.0.1:${relay}/?to={hostname}:{port}`,
            host: "localhost",
            port: String(port),
            ca: `data:,${encodeURIComponent(env.certs.caPem)}`,
            sql: "SELECT 6 * 7 AS answer, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            password: "secret",
            ...parameters,
          };
          await page.goto(`${origin}/?${new URLSearchParams(all)}`);
          return text(page, /^(rows|error): /);
        };
        assert.strictEqual(await ask({}), 'rows: [{"answer":42,"version":"TLSv1.3"}]');
        assert.strictEqual(await ask({ sql: "SELECT 1/0" }), "error: 22012: division by zero");
        assert.true((await ask({ password: "another" })).startsWith("error: 28P01: "));
        const stranger = await ask({ ca: `data:,${encodeURIComponent(env.certs.otherCaPem)}` });
        assert.true(/^error: (UNABLE_TO_|SELF_SIGNED_)/.test(stranger), stranger);
      },
    );
  }
});
