/** Bundles the suites for the runtimes that run them. */
import { readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build, type Plugin } from "esbuild";

const repository = join(dirname(fileURLToPath(import.meta.url)), "..");

/** A folder of suites. */
export type Suite = "contract" | "node";
/** One page for all browsers. */
export type Target = "node" | "deno" | "page" | "workerd";

export interface Program {
  target: Target;
  suite: Suite;
  /** Whose node_modules have the package. */
  folder: string;
  /** Default `folder`. */
  outdir?: string;
  /** Which tests run. Node.js is told when it runs. */
  grep?: string;
}

export const programName = (target: Target, suite: Suite) =>
  suite === "contract" ? target : `${target}-${suite}`;

/** All of test/contract or test/node in one file, and each worker in one. */
export async function bundle(to: Program): Promise<void> {
  const { target: name, suite, folder, outdir = folder, grep = "" } = to;
  const path = join(repository, "test", suite);
  const suites = readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .sort()
    .map((file) => join(path, file));
  const runtime = join(repository, "test", "runtimes", `${name}.ts`);
  const entry = [
    // A Worker is called from outside.
    name === "workerd"
      ? `export { default } from ${JSON.stringify(runtime)};`
      : `import { main } from ${JSON.stringify(runtime)};`,
    ...suites.map((file) => `import ${JSON.stringify(file)};`),
    ...(name === "workerd" ? [] : ["await main();"]),
  ].join("\n");

  const isBundled = name === "page" || name === "workerd";
  /** In the page the package is bundled as an application's bundler would do it; elsewhere it is imported. */
  const packed: Plugin = {
    name: "packed",
    setup(build) {
      // Our package.json says that no module is imported for its effects; suites are.
      build.onResolve({ filter: /./ }, ({ path }) =>
        suites.includes(path) ? { path, sideEffects: true } : undefined,
      );
      // As bundlers do for packages that were written for Node.js.
      const polyfills: Record<string, string> = {
        "node:stream": "readable-stream",
        "node:buffer": "buffer/",
        "process/": "process/browser.js",
      };
      if (isBundled)
        build.onResolve({ filter: /^(node:(buffer|stream)|process\/)$/ }, ({ path, kind }) =>
          build.resolve(polyfills[path] ?? path, { kind, resolveDir: repository }),
        );
      build.onResolve({ filter: /^wassl($|\/)/ }, ({ path, kind, pluginData }) =>
        pluginData === "packed"
          ? undefined
          : isBundled
            ? build.resolve(path, { kind, resolveDir: folder, pluginData: "packed" })
            : { path, external: true },
      );
    },
  };
  const common = {
    bundle: true,
    format: "esm",
    target: "es2022",
    sourcemap: "inline",
    platform: name === "node" ? "node" : name === "deno" ? "neutral" : "browser",
    mainFields: ["module", "main"],
    // In Node.js a program is made once for many texts: see test/mutants.
    define: { GREP: name === "node" ? "process.env.WASSL_GREP" : JSON.stringify(grep) },
    // Workers import it where they find themselves in Node.js.
    external: ["node:worker_threads", ...(name === "workerd" ? ["cloudflare:*", "*/openssl.wasm"] : [])],
    ...(name === "workerd" && { conditions: ["workerd", "worker", "browser"] }),
    // npm ws is CommonJS and requires Node's modules.
    ...(name === "node"
      ? {
          banner: {
            js: 'import { createRequire as $cr } from "node:module"; const require = $cr(import.meta.url);',
          },
        }
      : {}),
    plugins: [packed],
    logLevel: "warning",
  } satisfies BuildOptions;
  const workers = join(repository, "test", "workers");
  const entries = readdirSync(workers).map((file) => ({
    in: join(workers, file),
    out: `${name}-${file.replace(/\.ts$/, "")}`,
  }));
  await build({
    stdin: { contents: entry, resolveDir: repository, sourcefile: `${name}.ts` },
    outfile: join(outdir, `${programName(name, suite)}${name === "page" ? "-suite" : ""}.js`),
    ...common,
  });
  if (suite !== "contract") return;
  await build({ entryPoints: entries, outdir, ...common });
  if (name !== "page") return;
  await build({ entryPoints: [join(repository, "test", "page.ts")], outdir, ...common, format: "iife" });
  const html = (scripts: string) =>
    `<!doctype html><link rel="icon" href="data:,"><title>wassl</title>${scripts}`;
  const module = (name: string) => `<script type="module" src="/${name}"></script>`;
  writeFileSync(
    join(outdir, "index.html"),
    html(`<script src="/page.js"></script>${module("page-suite.js")}`),
  );
  writeFileSync(join(outdir, "not-isolated.html"), html(module("page-not-isolated.js")));
}
