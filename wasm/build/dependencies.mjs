/**
 * node_modules, as package-lock.json says. npm's own bookkeeping does not tell whether it is so; a note of our own does.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { empty, keep, noted } from "./cache.mjs";
import { keyFrom, sumOf } from "./inputs.mjs";
import { run } from "./run.mjs";

/**
 * @param {string} project
 * @param {string} cache
 * @returns {Promise<boolean>} whether anything was to be done
 */
export function dependencies(project, cache) {
  const sum = sumOf(join(project, "package-lock.json"));
  const modules = join(project, "node_modules");
  return noted(join(modules, ".package-lock.sha256"), sum, async () => {
    // What npm makes of a lock file depends on the machine and on Node.js too.
    const key = keyFrom([sum, process.platform, process.arch, process.version]);
    const kept = await keep({
      cache,
      kind: "node_modules",
      key,
      async make({ out, work, fd }) {
        for (const name of ["package.json", "package-lock.json", ".npmrc"])
          if (existsSync(join(project, name))) copyFileSync(join(project, name), join(work, name));
        await run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: work, fd });
        renameSync(join(work, "node_modules"), out);
      },
    });
    empty(modules);
    mkdirSync(modules, { recursive: true });
    // A fifth of the time that npm takes.
    await run(["cp", "-a", "--", `${kept}/.`, modules]);
  });
}
