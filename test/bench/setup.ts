/** What the processes of the benchmark run: the packed package, our programs beside it, and certificates. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { installPackage } from "../pack.ts";
import { makeCerts } from "../peers/certs.ts";

const here = dirname(fileURLToPath(import.meta.url));

export interface Certs {
  readonly caPem: string;
  readonly chains: { readonly ecdsa: string; readonly rsa: string };
  readonly keys: { readonly ecdsa: string; readonly rsa: string };
}

export interface Prepared {
  readonly folder: string;
  readonly certs: Certs;
}

/** In a folder of its own, which goes with the process; or in one where package and certificates are already. */
export async function setUp(given?: string): Promise<Prepared> {
  const folder = given ?? mkdtempSync(join(tmpdir(), "wassl-bench-"));
  if (!given) {
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    installPackage(folder);
    makeCerts("openssl", join(folder, "certs"));
  }
  const programs = join(folder, "bench");
  if (!existsSync(programs)) await bundle(programs);
  const read = (name: string) => readFileSync(join(folder, "certs", name), "utf8");
  return {
    folder: programs,
    certs: {
      caPem: read("ca.pem"),
      chains: { ecdsa: read("ecdsa.chain.pem"), rsa: read("rsa.chain.pem") },
      keys: { ecdsa: read("ecdsa.key"), rsa: read("rsa.key") },
    },
  };
}

async function bundle(outdir: string): Promise<void> {
  await build({
    entryPoints: [join(here, "end.ts")],
    outdir,
    bundle: true,
    // A library is loaded by the process that measures it, and by no other.
    splitting: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "es2022",
    logLevel: "warning",
  });
}
