/**
 * node_modules, as package-lock.json says: `node dependencies.mjs CACHE` prints what it did. npm's own bookkeeping does not
 * tell whether it is so; a note of our own does.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { empty, keep, noted, program, run } from "./cache.mjs";
import { keyFrom, sumOf } from "./inputs.mjs";

/**
 * @param {string} project
 * @param {string} cache
 * @returns {boolean} whether anything was to be done
 */
export function dependencies(project, cache) {
  const sum = sumOf(join(project, "package-lock.json"));
  const modules = join(project, "node_modules");
  return noted(join(modules, ".package-lock.sha256"), sum, () => {
    // What npm makes of a lock file depends on the machine and on Node.js too.
    const key = keyFrom([sum, process.platform, process.arch, process.version]);
    const kept = keep({
      cache,
      kind: "node_modules",
      key,
      make(folder, fd) {
        for (const name of ["package.json", "package-lock.json", ".npmrc"])
          if (existsSync(join(project, name))) copyFileSync(join(project, name), join(folder, name));
        run(folder, fd, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
        // What is kept is what is in it.
        const made = join(folder, "..", "node_modules");
        renameSync(join(folder, "node_modules"), made);
        rmSync(folder, { recursive: true });
        renameSync(made, folder);
      },
    });
    empty(modules);
    mkdirSync(modules, { recursive: true });
    // A fifth of the time that npm takes.
    run(project, undefined, "cp", "-a", "--", `${kept}/.`, modules);
  });
}

program(import.meta.url, (project, cache = "") => (dependencies(project, cache) ? "done" : "up to date"));
