/** The programs of `packages/package.json`, as the lock beside it has them. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// A test is bundled, and finds itself elsewhere.
const repository = process.env.WASSL_REPOSITORY ?? join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const here = join(repository, "test", "drivers", "packages");
const files = ["package.json", "package-lock.json"];

/**
 * A folder whose `node_modules` has them. They are installed once, into the cache that build.sh uses too, under a name
 * that is made of the lock.
 */
export function installDrivers(): string {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "wassl", "drivers");
  const hash = createHash("sha256").update(process.version);
  for (const file of files) hash.update(readFileSync(join(here, file)));
  const kept = join(cache, hash.digest("hex").slice(0, 16));
  if (existsSync(kept)) return kept;
  mkdirSync(cache, { recursive: true });
  const made = mkdtempSync(join(cache, ".new."));
  for (const file of files) cpSync(join(here, file), join(made, file));
  // Not one of them has something to build.
  execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: made,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    renameSync(made, kept);
  } catch (error) {
    // Another run was faster.
    if (!existsSync(kept)) throw error;
  }
  return kept;
}
