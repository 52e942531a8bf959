/** Runs the programs of docs/examples, each in the engine that it is for, with the packed package. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { basename, extname, join } from "node:path";
import type { Page } from "playwright-core";
import { afterTest } from "./helpers/env.ts";
import { browser } from "./peers/browser.ts";
import { freePort, type Started, start, waitForOutput, waitForPort } from "./peers/program.ts";

export const repository = process.env.WASSL_REPOSITORY ?? "";
export const examples = join(repository, "docs", "examples");
export const ours = createRequire(join(repository, "package.json"));
/** The runner starts us in a folder whose node_modules hold the unpacked tarball. */
const folder = join(process.cwd(), "examples");

/** A file that an example is given. */
export function given(name: string, content: string | Uint8Array): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, name);
  writeFileSync(file, content, { mode: 0o600 });
  return file;
}

const bundles = new Map<string, Promise<string>>();

type Engine = "node" | "page" | "worker";

/** Bundles an example, once. But for Node.js the package is bundled too, as an application's bundler would do it. */
function bundle(example: string, engine: Engine): Promise<string> {
  const bundled = bundles.get(example) ?? bundleNow(example, engine);
  bundles.set(example, bundled);
  return bundled;
}

async function bundleNow(example: string, engine: Engine): Promise<string> {
  const { build } = ours("esbuild") as typeof import("esbuild");
  const out = join(folder, example.replace(/\.ts$/, ".js"));
  await build({
    entryPoints: [join(examples, example)],
    outfile: out,
    bundle: true,
    platform: engine === "node" ? "node" : "browser",
    format: "esm",
    target: "es2022",
    sourcemap: "inline",
    logLevel: "warning",
    plugins: [
      {
        name: "the packed package",
        setup(build) {
          build.onResolve({ filter: /^wassl($|\/)/ }, ({ path, kind, pluginData }) => {
            if (pluginData === "packed") return undefined;
            if (engine === "node") return { path, external: true };
            return build.resolve(path, { kind, resolveDir: process.cwd(), pluginData: "packed" });
          });
          // A module of the Worker, beside its code.
          if (engine !== "worker") return;
          build.onResolve({ filter: /\.wasm$/ }, () => ({ path: "openssl.wasm", external: true }));
        },
      },
    ],
    ...(engine === "worker" && { conditions: ["workerd"], external: ["cloudflare:sockets"] }),
    // npm ws is CommonJS and requires Node's modules.
    ...(engine === "node" && {
      banner: {
        js: 'import { createRequire as $cr } from "node:module"; const require = $cr(import.meta.url);',
      },
    }),
  });
  return out;
}

function stopAfterTest<T extends ChildProcess>(child: T): T {
  afterTest(() => child.kill("SIGKILL"));
  return child;
}

/** What a program said, and its exit code, once it has ended. */
export async function ended(child: Started): Promise<{ code: number | null; output: string }> {
  const [code] =
    child.exitCode === null && child.signalCode === null ? await once(child, "close") : [child.exitCode];
  return { code: code as number | null, output: child.output };
}

/** A program of docs/examples/node. */
export async function inNode(example: string, ...args: string[]): Promise<Started> {
  const file = await bundle(`node/${example}.ts`, "node");
  return stopAfterTest(start(process.execPath, ["--enable-source-maps", file, ...args]));
}

/** A program of docs/examples/deno, as it stands. */
export function inDeno(example: string, permissions: string[], ...args: string[]): Started {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${example}.ts`);
  copyFileSync(join(examples, "deno", `${example}.ts`), file);
  const flags = ["--no-prompt", "--no-remote", "--cached-only", "--node-modules-dir=manual"];
  return stopAfterTest(
    start(process.execPath, [ours.resolve("deno/bin.cjs"), "run", ...flags, ...permissions, file, ...args]),
  );
}

/** Checks its types too, with Deno's own. */
export function checkInDeno(example: string): Started {
  const file = join(folder, `${example}.ts`);
  return stopAfterTest(
    start(process.execPath, [
      ours.resolve("deno/bin.cjs"),
      "check",
      "--no-remote",
      "--node-modules-dir=manual",
      file,
    ]),
  );
}

/** A program of docs/examples/cloudflare, in workerd, which Cloudflare runs Workers with; its URL, once it listens. */
export async function inWorkerd(
  environment: Record<string, string>,
  [example, config] = ["worker", "config.capnp"],
): Promise<string> {
  await bundle(`cloudflare/${example}.ts`, "worker");
  const root = join(folder, "cloudflare");
  copyFileSync(
    join(process.cwd(), "node_modules/wassl/dist/binding/openssl.wasm"),
    join(root, "openssl.wasm"),
  );
  copyFileSync(join(examples, "cloudflare", config), join(root, config));
  const port = await freePort();
  const program = [ours.resolve("workerd/bin/workerd"), "serve", `--socket-addr=http=127.0.0.1:${port}`];
  const child = stopAfterTest(
    start("env", [
      ...Object.entries(environment).map((pair) => pair.join("=")),
      ...program,
      join(root, config),
    ]),
  );
  await waitForPort(port, child);
  return `http://127.0.0.1:${port}/`;
}

/** The port that a program says it listens on. */
export async function portOf(child: Started): Promise<number> {
  const [, port] = await waitForOutput(child, /port: (\d+)/);
  return Number(port);
}

export interface Site {
  origin: string;
  /** What a page answers to requests that are for no file. */
  answer: (path: string, body: Uint8Array) => string | Promise<string>;
}

/** Serves the bundled programs of docs/examples/page, each as `/NAME.html`, and openssl.wasm beside them. */
export async function serveSite(pages: string[], scripts: string[] = []): Promise<Site> {
  for (const name of [...pages, ...scripts]) await bundle(`page/${name}.ts`, "page");
  const root = join(folder, "page");
  const wasm = join(process.cwd(), "node_modules/wassl/dist/binding/openssl.wasm");
  const types: Record<string, string> = { ".js": "text/javascript", ".wasm": "application/wasm" };
  const site: Site = { origin: "", answer: (path) => Promise.reject(new Error(`there is no ${path}`)) };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const name = basename(pathname, ".html");
    if (pages.includes(name)) {
      const script = `<script type="module" src="/${name}.js"></script>`;
      return response
        .setHeader("content-type", "text/html")
        .end(`<!doctype html><link rel="icon" href="data:,"><title>${name}</title>${script}`);
    }
    const file = pathname === "/openssl.wasm" ? wasm : join(root, basename(pathname));
    if (existsSync(file)) {
      return response.setHeader("content-type", types[extname(file)] ?? "text/plain").end(readFileSync(file));
    }
    const body: Buffer[] = [];
    for await (const chunk of request) body.push(chunk);
    try {
      response.end(await site.answer(pathname, Buffer.concat(body)));
    } catch (error) {
      response.writeHead(404).end(String(error));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterTest(() => {
    server.close();
    server.closeAllConnections();
  });
  site.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return site;
}

/** A page of that site, in Chromium. What it complains of is told where a test waits for it in vain. */
export async function open(site: Site, name: string, parameters: Record<string, string> = {}): Promise<Page> {
  const context = await (await browser()).newContext();
  afterTest(() => context.close());
  const page = await context.newPage();
  page.on("console", (message) => console.log(`[${name}] ${message.text()}`));
  page.on("pageerror", (error) => console.log(`[${name}] ${error.stack ?? error}`));
  await page.goto(`${site.origin}/${name}.html?${new URLSearchParams(parameters)}`);
  return page;
}

/** The text of a page, once it fits. */
export async function text(page: Page, pattern: RegExp): Promise<string> {
  const found = (source: string) => new RegExp(source).test(document.body.textContent ?? "");
  await page.waitForFunction(found, pattern.source, { timeout: 15_000 }).catch(async () => {
    throw new Error(
      `${pattern} was expected, and the page says: ${await page.evaluate(() => document.body.textContent ?? "")}`,
    );
  });
  return page.evaluate(() => document.body.textContent ?? "");
}

/** The relay of docs/examples, for pages of that site, to those ports. */
export async function relayTo(site: Site, ...ports: number[]): Promise<(port: number) => string> {
  const relay = await inNode("relay", "0", site.origin, ...ports.map((port) => `127.0.0.1:${port}`));
  const own = await portOf(relay);
  return (port) => `ws://127.0.0.1:${own}/?to=127.0.0.1:${port}`;
}
