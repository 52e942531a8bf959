/**
 * A project of a stranger: its own node_modules, as its own lock file pins them, and in them the packed package. What a
 * lock file says is installed once, into the cache that build.sh uses too.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const packages = join(dirname(fileURLToPath(import.meta.url)), "packages");
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "wassl", "matrix");
/** Large frameworks come in hundreds of packages. */
const INSTALLING = 300_000;

/** The package cannot be had: the cell is left out, and that is said. */
export class NotToBeHad extends Error {}

/** A folder on the file system of the cache, so that what is installed is linked and not copied. */
export async function projectsFolder(): Promise<string> {
  await mkdir(cache, { recursive: true });
  return await mkdtemp(join(cache, "run-"));
}

/**
 * Makes the project `folder`, with what `packages/NAME` pins and the contents of `modules`, where the packed package
 * is.
 */
export async function makeProject(folder: string, name: string | undefined, modules: string): Promise<void> {
  await mkdir(join(folder, "node_modules"), { recursive: true });
  if (name !== undefined) {
    const installed = await install(name);
    await run("cp", ["-al", "--", join(installed, "node_modules"), folder]);
  }
  for (const each of await readdir(modules)) {
    if (each.startsWith(".")) continue;
    await rm(join(folder, "node_modules", each), { recursive: true, force: true });
    await cp(join(modules, each), join(folder, "node_modules", each), { recursive: true });
  }
}

/** The folder where what `packages/NAME` pins is installed. */
export async function install(name: string): Promise<string> {
  const files = ["package.json", "package-lock.json"];
  const hash = createHash("sha256").update(process.version);
  for (const file of files) hash.update(await readFile(join(packages, name, file)));
  const kept = join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(kept)) return kept;
  const made = await mkdtemp(join(cache, ".new-"));
  try {
    for (const file of files) await cp(join(packages, name, file), join(made, file));
    const npm = (verb: string) =>
      run("npm", [verb, "--no-audit", "--no-fund", "--loglevel=error"], { cwd: made, timeout: INSTALLING });
    await npm("ci")
      // Where a package for another system is optional, npm writes lock files that its own `ci` does not take.
      .catch((error: Error) => (error.message.includes("EUSAGE") ? npm("install") : Promise.reject(error)))
      .catch((error: Error) => {
        const why = error.message.split("\n").slice(0, 4).join(" ");
        throw new NotToBeHad(`test/matrix/packages/${name} cannot be installed: ${why}`);
      });
    await rename(made, kept).catch((error) => {
      // Another run was faster.
      if (!existsSync(kept)) throw error;
    });
    return kept;
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}
