/** The packed tarball in the hands of an application: its types, and its .wasm through the bundlers of web apps. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import QUnit from "qunit";
import { afterTest } from "../helpers/env.ts";
import { browser } from "../peers/browser.ts";

const repository = process.env.WASSL_REPOSITORY ?? "";
const ours = createRequire(join(repository, "package.json"));
/** The runner starts us in a folder whose node_modules hold the unpacked tarball. */
const folder = process.cwd();
const wasm = readFileSync(join(folder, "node_modules/wassl/dist/binding/openssl.wasm"));
const sum = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const run = promisify(execFile);

const program = `
import { OpenSsl, startTls, type TlsStream, type Transport } from "wassl";
import { BlockingTransport, type Channel, carry, connect, newChannel } from "wassl/blocking";
import { SSL_SENT_SHUTDOWN, type Ssl } from "wassl/openssl";
import { connectWebSocket } from "wassl/transports/websocket";
import { messagePortTransport } from "wassl/transports/message-port";
import { nodeTransport } from "wassl/transports/node";
import { denoTransport } from "wassl/transports/deno";
import { MemorySessionStore, type SessionStore } from "wassl";
import { IndexedDbSessionStore } from "wassl/sessions/indexeddb";
import { type DenoKvLike, DenoKvSessionStore } from "wassl/sessions/deno-kv";
import { RedisSessionStore } from "wassl/sessions/redis";
import { acceptStartTls, requestStartTls, StartTlsError, type StartTlsProtocol } from "wassl/starttls";

export const mail = async (given: Transport, protocol: StartTlsProtocol): Promise<TlsStream | string> => {
  try {
    const { transport, greeting, capabilities } = await requestStartTls(given, { protocol, hostname: "a.example" });
    const all: [Uint8Array, readonly string[]] = [greeting, capabilities];
    return await startTls(transport, { hostname: all[1][0] ?? "a.example" });
  } catch (error) {
    if (error instanceof StartTlsError) return \`\${error.kind} \${error.reply}\`;
    throw error;
  }
};
export const mailServer = async (given: Transport): Promise<Transport> =>
  (await acceptStartTls(given, { protocol: "smtp", name: "mx.example", timeout: 1000 })).transport;

export const stores = (kv: DenoKvLike, transport: Transport): SessionStore[] => [
  new MemorySessionStore({ max: 10 }),
  new IndexedDbSessionStore({ name: "mine" }),
  new DenoKvSessionStore(kv),
  new RedisSessionStore({ connect: () => transport, password: "secret" }),
];
export async function main(signal: AbortSignal): Promise<TlsStream> {
  const transport: Transport = await connectWebSocket("wss://relay.example", { signal });
  const tls = await startTls(transport, { hostname: "db.example", caCerts: [new Uint8Array(1), "PEM"], signal });
  for await (const line of tls.readable.pipeThrough(new TextDecoderStream())) console.log(line.length);
  const { how }: { how: string } = await tls.closed;
  return how === "complete" ? tls : await startTls(tls, { hostname: "inner" });
}
export const more = [messagePortTransport, nodeTransport, denoTransport, OpenSsl.load, SSL_SENT_SHUTDOWN];
export const start = (transport: Transport, post: (channel: Channel) => void) => {
  const channel = newChannel({ size: 4096 });
  post(channel);
  return carry(channel, transport);
};
export const inWorker = (channel: Channel, openssl: OpenSsl): 0 | 1 =>
  connect(new BlockingTransport(channel), { openssl, hostname: "db.example" }).shutdown({ timeout: 1 });
export const sent = (ssl: Ssl): number => ssl.getShutdown() & SSL_SENT_SHUTDOWN;
`;

function project(name: string, files: Record<string, string>): string {
  const root = join(folder, name);
  mkdirSync(root, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text);
  return root;
}

const app = `
import { OpenSsl } from "wassl";
OpenSsl.load().then(
  (openssl) => { document.title = openssl.version; },
  (error) => { document.title = String(error); },
);
`;

/** What the page at `root` says in its title, in a browser. */
async function titleOf(root: string): Promise<string> {
  const types: Record<string, string> = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
  };
  const server = createServer((request, response) => {
    const path = join(root, request.url === "/" ? "index.html" : (request.url ?? ""));
    if (!existsSync(path)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[extname(path)] ?? "text/plain" }).end(readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  afterTest(() => {
    server.close();
    server.closeAllConnections();
  });
  const page = await (await browser()).newPage();
  afterTest(() => page.close());
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction(() => document.title !== "", undefined, { timeout: 20_000 });
  return page.title();
}

/** The .wasm files below `root`. */
function emitted(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".wasm"));
}

QUnit.module("packaging", () => {
  QUnit.test("its types are whole: tsc, as Node.js and as bundlers resolve", async (assert) => {
    assert.timeout(120_000);
    for (const [module, moduleResolution] of [
      ["nodenext", "nodenext"],
      ["esnext", "bundler"],
    ]) {
      const root = project(`types-${moduleResolution}`, {
        "main.ts": program,
        "package.json": '{ "type": "module" }',
        "tsconfig.json": JSON.stringify({
          compilerOptions: {
            strict: true,
            noEmit: true,
            target: "es2022",
            lib: ["es2023", "dom", "dom.iterable", "dom.asynciterable", "esnext.disposable"],
            types: [],
            // Our own declarations are what is checked, not TypeScript's.
            skipLibCheck: false,
            skipDefaultLibCheck: true,
            module,
            moduleResolution,
          },
        }),
      });
      const { stdout } = await run(process.execPath, [ours.resolve("typescript/bin/tsc"), "-p", root]).catch(
        (error: { stdout: string }) => error,
      );
      assert.strictEqual(stdout, "", moduleResolution);
    }
  });

  QUnit.test("its types are whole: deno check", async (assert) => {
    assert.timeout(120_000);
    writeFileSync(join(folder, "check.ts"), program);
    const args = [
      ours.resolve("deno/bin.cjs"),
      "check",
      "--no-remote",
      "--node-modules-dir=manual",
      "check.ts",
    ];
    const failed = await run(process.execPath, args, { cwd: folder }).then(
      () => "",
      (error: { stderr: string; message: string }) => error.stderr || error.message,
    );
    assert.strictEqual(failed, "");
  });

  QUnit.test("Vite finds the .wasm, and the page runs", async (assert) => {
    assert.timeout(120_000);
    const root = project("vite", {
      "index.html": '<!doctype html><script type="module" src="./main.js"></script>',
      "main.js": app,
    });
    const { build } = (await import(pathToFileURL(ours.resolve("vite")).href)) as typeof import("vite");
    const options = { outDir: "out", assetsInlineLimit: 0, minify: false };
    await build({ root, base: "./", logLevel: "error", build: options });
    const files = emitted(join(root, "out"));
    assert.strictEqual(files.length, 1);
    assert.strictEqual(sum(readFileSync(join(root, "out", files[0] ?? ""))), sum(wasm));
    assert.true((await titleOf(join(root, "out"))).startsWith("OpenSSL 3.5"));
  });

  QUnit.test("webpack finds the .wasm, and the page runs", async (assert) => {
    assert.timeout(120_000);
    const root = project("webpack", { "main.js": app });
    const { default: webpack } = (await import(pathToFileURL(ours.resolve("webpack")).href)) as {
      default: typeof import("webpack");
    };
    const problems = await new Promise<string>((resolve, reject) => {
      webpack(
        {
          mode: "production",
          context: root,
          entry: "./main.js",
          output: { path: join(root, "out"), filename: "main.js" },
          performance: false,
          // Making it small says nothing about finding a file, and takes most of the time.
          optimization: { minimize: false },
        },
        (error, stats) =>
          error
            ? reject(error)
            : resolve(stats?.toString({ all: false, errors: true, warnings: true }) ?? ""),
      );
    });
    assert.strictEqual(problems.trim(), "");
    writeFileSync(join(root, "out", "index.html"), '<!doctype html><script src="./main.js"></script>');
    const files = emitted(join(root, "out"));
    assert.strictEqual(files.length, 1);
    assert.strictEqual(sum(readFileSync(join(root, "out", files[0] ?? ""))), sum(wasm));
    assert.true((await titleOf(join(root, "out"))).startsWith("OpenSSL 3.5"));
  });

  QUnit.test("what is packed: the code, its sources, guides and notices, no test and no key", (assert) => {
    const root = join(folder, "node_modules/wassl");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) =>
      statSync(join(root, file)).isFile(),
    );
    for (const file of [
      "LICENSE",
      "NOTICE",
      "README.md",
      "SECURITY.md",
      "CHANGELOG.md",
      "dist/index.d.ts",
      "src/connection/pump.ts",
    ]) {
      assert.true(files.includes(file), file);
    }
    const folders = /^(dist|src|docs\/(guide|examples))\//;
    const single =
      /^(LICENSE|NOTICE|(README|SECURITY|CHANGELOG|docs\/\w+)\.md|docs\/pictures\/\w+\.svg|package\.json)$/;
    assert.deepEqual(
      files.filter((file) => !folders.test(file) && !single.test(file)),
      [],
    );
    for (const file of files.filter((name) => name.startsWith("docs/"))) {
      if (!file.endsWith(".md")) continue;
      const links = readFileSync(join(root, file), "utf8").matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g);
      for (const [, link = ""] of links) {
        assert.true(existsSync(join(root, dirname(file), link)), `${file}: ${link} is packed too`);
      }
    }
  });
});
