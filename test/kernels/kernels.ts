/**
 * The kernels against published vectors, and in random cases, each from a seed, against node:crypto and OpenSSL's own
 * C.
 *
 *     npm run kernels -- [--cases N] [--seed SEED] [--first N] | --speed | --timing [--seconds N] [--only TEXT] | --branches
 *
 * A failure prints what replays it alone.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { renewBranches } from "./branches.ts";
import { tryLong } from "./edges.ts";
import { folderOf, Kernels } from "./module.ts";
import { randomTests } from "./random-tests.ts";
import { printSpeed } from "./speed.ts";
import { timing } from "./timing.ts";
import { tryVectors, vectorFiles } from "./vectors.ts";
import { tryWycheproof, wycheproofFiles } from "./wycheproof.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    first: { type: "string", default: "0" },
    speed: { type: "boolean", default: false },
    timing: { type: "boolean", default: false },
    seconds: { type: "string", default: "10" },
    only: { type: "string", default: "" },
    branches: { type: "boolean", default: false },
  },
});
const seed = Number(values.seed);
const first = Number(values.first);
const cases = Number(values.cases);

const repository = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
if (values.branches) {
  renewBranches(repository);
  process.exit();
}
const folder = folderOf(repository);
if (values.timing) process.exit(timing(folder, Number(values.seconds), seed, values.only) ? 0 : 1);
if (values.speed) {
  printSpeed(folder);
  process.exit();
}
let failed = 0;
for (const file of vectorFiles) {
  const { tried, wrong } = tryVectors(new Kernels(folder), folder, file);
  failed += wrong.length;
  console.log([`${file}: ${tried} vectors, ${wrong.length} failed`, ...wrong.slice(0, 10)].join("\n  "));
}
for (const file of wycheproofFiles) {
  const { tried, wrong } = tryWycheproof(new Kernels(folder), folder, file);
  failed += wrong.length;
  console.log(
    [`${file}: ${tried} of Wycheproof's, ${wrong.length} failed`, ...wrong.slice(0, 10)].join("\n  "),
  );
}

const tests = randomTests(folder).map((test) => ({ ...test, tried: 0 }));
console.log(`seed ${seed}: cases ${first} to ${first + cases - 1}`);
const begun = performance.now();
for (let n = first; n < first + cases && failed < 10; n++) {
  for (const test of tests) {
    // A case that is replayed is tried in every way.
    if (cases > 1 && n % test.oneIn !== 0) continue;
    test.tried++;
    try {
      test.tryCase(n, seed + n);
    } catch (error) {
      failed++;
      console.log(`failed: --seed ${seed} --first ${n} --cases 1: ${(error as Error).stack}`);
    }
  }
  if ((n + 1 - first) % 20_000 === 0) console.log(`${n + 1 - first} cases, ${failed} failed`);
}
for (const name of ["aes-256-gcm", "chacha20-poly1305"] as const) tryLong(new Kernels(folder), name, seed);
for (const { tried, what } of tests) console.log(`${tried} ${what}`);
console.log(`${((performance.now() - begun) / 1000).toFixed(1)} s, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
