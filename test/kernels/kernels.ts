/**
 * The kernels against published vectors, and against node:crypto in random cases, each from a seed.
 *
 *     npm run kernels -- [--cases N] [--seed SEED] [--first N]
 *
 * A failure prints what replays it alone.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MOST, tryAead, tryCipher } from "./cases.ts";
import { folderOf, Kernels } from "./module.ts";
import { tryVectors, vectorFiles } from "./vectors.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    first: { type: "string", default: "0" },
  },
});
const seed = Number(values.seed);
const first = Number(values.first);
const cases = Number(values.cases);

const folder = folderOf(join(dirname(fileURLToPath(import.meta.url)), "..", ".."));
const kernels = new Kernels(folder);
let failed = 0;
for (const file of vectorFiles) {
  const { tried, wrong } = tryVectors(kernels, folder, file);
  failed += wrong.length;
  console.log([`${file}: ${tried} vectors, ${wrong.length} failed`, ...wrong.slice(0, 10)].join("\n  "));
}

console.log(`seed ${seed}: cases ${first} to ${first + cases - 1}, with 0 to ${MOST} bytes each`);
const begun = performance.now();
for (let n = first; n < first + cases && failed < 10; n++) {
  for (const tryOne of [tryAead, tryCipher]) {
    try {
      tryOne(kernels, n, seed + n);
    } catch (error) {
      failed++;
      console.log(`failed: --seed ${seed} --first ${n} --cases 1: ${(error as Error).stack}`);
    }
  }
  if ((n + 1 - first) % 20_000 === 0) console.log(`${n + 1 - first} cases, ${failed} failed`);
}
const seconds = ((performance.now() - begun) / 1000).toFixed(1);
console.log(`${cases} messages of an AEAD and ${cases} without a tag in ${seconds} s, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
