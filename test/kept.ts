/** What is made once and kept for later runs, in a folder whose name is made of its inputs. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";

/** The name: of the version of Node.js, of `inputs`, and of the names and contents of `files`. */
export function keyOf(inputs: readonly string[], files: readonly string[]): string {
  const hash = createHash("sha256").update(process.version);
  for (const input of inputs) hash.update(input);
  for (const file of files) hash.update(basename(file)).update(readFileSync(file));
  return hash.digest("hex").slice(0, 16);
}

/** A new folder beside the kept ones, which goes with the process; `keep` gives it its name once it is complete. */
export function newFolder(cache: string): { folder: string; keep(name: string): string } {
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, ".new."));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return {
    folder,
    keep(name) {
      const place = join(cache, name);
      renameSync(folder, place);
      return place;
    },
  };
}
