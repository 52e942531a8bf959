/** What the processes of the benchmark run: the packed package, our programs beside it, and certificates. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { keyOf, newFolder } from "../kept.ts";
import { installPackage } from "../pack.ts";
import { makeCerts } from "../peers/certs.ts";

const here = dirname(fileURLToPath(import.meta.url));
const repository = join(here, "..", "..");

export interface Certs {
  readonly caPem: string;
  readonly chains: { readonly ecdsa: string; readonly rsa: string };
  readonly keys: { readonly ecdsa: string; readonly rsa: string };
}

export interface Prepared {
  /** Where the programs are. */
  readonly folder: string;
  readonly certs: Certs;
  readonly certFiles: { readonly chain: string; readonly key: string; readonly ca: string };
}

/**
 * In a folder of its own, which goes with the process; or in one where package and certificates are already. `named`:
 * with an openssl.wasm that knows the names of its functions.
 */
export async function setUp(
  given: string | undefined,
  withPeers: boolean,
  named: boolean,
): Promise<Prepared> {
  const folder = given ?? mkdtempSync(join(tmpdir(), "wassl-bench-"));
  if (!given) {
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    await installPackage(folder);
    makeCerts("openssl", join(folder, "certs"));
  }
  if (named) {
    execFileSync("bash", ["build.sh", "named"], { cwd: repository, stdio: ["ignore", "ignore", "inherit"] });
    const wasm = join(repository, "node_modules", ".cache", "wassl-named.wasm");
    cpSync(wasm, join(folder, "node_modules", "wassl", "dist", "binding", "openssl.wasm"), {
      dereference: true,
    });
  }
  if (withPeers) {
    try {
      linkPeers(join(folder, "node_modules"));
    } catch (error) {
      // The table says of each that it is not there.
      console.error(`the other libraries cannot be installed: ${(error as Error).message}`);
    }
  }
  const programs = join(folder, "bench");
  if (!existsSync(programs)) await bundle(programs);
  const file = (name: string) => join(folder, "certs", name);
  const read = (name: string) => readFileSync(file(name), "utf8");
  return {
    folder: programs,
    certFiles: { chain: file("ecdsa.chain.pem"), key: file("ecdsa.key"), ca: file("ca.pem") },
    certs: {
      caPem: read("ca.pem"),
      chains: { ecdsa: read("ecdsa.chain.pem"), rsa: read("rsa.chain.pem") },
      keys: { ecdsa: read("ecdsa.key"), rsa: read("rsa.key") },
    },
  };
}

/** Where the programs are that use the package of another checkout, which is built. */
export async function setUpOther(repository: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "wassl-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  await installPackage(folder, repository);
  await bundle(join(folder, "bench"));
  return join(folder, "bench");
}

const common = {
  bundle: true,
  format: "esm",
  target: "es2022",
  logLevel: "warning",
} as const;

const programs = (outdir: string, ...names: string[]) => ({
  ...common,
  outdir,
  entryPoints: names.map((name) => join(here, `${name}.ts`)),
  // A library is loaded by the process that measures it, and by no other.
  splitting: true,
  platform: "node" as const,
});

async function bundle(outdir: string): Promise<void> {
  const modules = join(outdir, "..", "node_modules");
  await build({
    ...common,
    outdir,
    entryPoints: [join(here, "page.ts")],
    // It has no folder of ours above it.
    nodePaths: [modules],
    platform: "browser",
  });
  cpSync(join(modules, "wassl/dist/binding/openssl.wasm"), join(outdir, "openssl.wasm"));
  await build({ ...programs(outdir, "end", "idle"), packages: "external" });
  await build({ ...programs(join(outdir, "cold"), "cold"), packages: "external" });
}

/** As an application may be shipped. What is imported by a computed name is found as it was installed. */
export async function bundleCold(folder: string): Promise<void> {
  const outdir = join(folder, "cold-bundled");
  await build({ ...programs(outdir, "cold"), nodePaths: [join(folder, "..", "node_modules")], minify: true });
  cpSync(join(folder, "openssl.wasm"), join(outdir, "openssl.wasm"));
}

/** The libraries of `peers/package.json`, installed once into the cache that build.sh uses too. */
function linkPeers(modules: string): void {
  const peers = join(here, "peers");
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "wassl", "bench-peers");
  const files = ["package.json", "package-lock.json"];
  const key = keyOf(
    [],
    files.map((file) => join(peers, file)),
  );
  const kept = join(cache, key);
  if (!existsSync(kept)) {
    const { folder: made, keep } = newFolder(cache);
    for (const file of files) cpSync(join(peers, file), join(made, file));
    // Not one of them has something to build.
    execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: made,
      stdio: ["ignore", "ignore", "inherit"],
    });
    keep(key);
  }
  const from = join(kept, "node_modules");
  for (const name of readdirSync(from)) {
    if (!name.startsWith(".") && !existsSync(join(modules, name)))
      symlinkSync(join(from, name), join(modules, name));
  }
}
