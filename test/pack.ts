/** What is published, as a program has it that installed it; and what will be. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { asJavaScript } from "../wasm/build/inline.mjs";

const ours = join(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Unpacks what `npm pack` makes, as npm would, into the node_modules of `folder`, which lies outside of the checkout.
 * Its one dependency is copied from ours, which the lock file pins.
 */
export async function installPackage(folder: string, repository = ours): Promise<void> {
  const run = promisify(execFile);
  const pack = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const { stdout } = await run("npm", pack, { cwd: repository });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "wassl"), { recursive: true });
  await run("tar", ["-xzf", join(folder, filename), "-C", join(modules, "wassl"), "--strip-components=1"]);
  finish(folder);
}

/**
 * The same of the sources at `source`, whose types nobody looks at: it takes a tenth of a second. The module is the one
 * that was built last, in both its forms.
 */
export async function installSource(folder: string, source = join(ours, "src")): Promise<void> {
  const dist = join(folder, "node_modules", "wassl", "dist");
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((file) =>
    /(?<!\.d|\.d\.wasm)\.ts$/.test(file),
  );
  await build({
    entryPoints: files.map((file) => join(source, file)),
    outbase: source,
    outdir: dist,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    // Deno's.
    supported: { "import-source": true },
    sourcemap: "inline",
    logLevel: "warning",
  });
  cpSync(join(ours, "package.json"), join(dist, "..", "package.json"));
  const wasm = join(ours, "dist", "binding", "openssl.wasm");
  symlinkSync(wasm, join(dist, "binding", "openssl.wasm"));
  writeFileSync(join(dist, "binding", "openssl-base64.js"), asJavaScript(readFileSync(wasm)));
  finish(folder);
}

function finish(folder: string): void {
  const modules = join(folder, "node_modules");
  const manifest = JSON.parse(readFileSync(join(modules, "wassl", "package.json"), "utf8")) as {
    dependencies?: Record<string, string>;
  };
  for (const dependency of Object.keys(manifest.dependencies ?? {})) {
    cpSync(join(ours, "node_modules", dependency), join(modules, dependency), { recursive: true });
  }
  // Deno resolves only what is listed.
  const project = { type: "module", private: true, dependencies: { wassl: "*" } };
  writeFileSync(join(folder, "package.json"), JSON.stringify(project));
}
