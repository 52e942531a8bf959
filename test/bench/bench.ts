/**
 * `npm run bench`: what TLS costs with Wassl, with Node.js's own `tls`, and with other libraries for JavaScript.
 *
 *     npm run bench -- [--json] [--rounds N] [--only ROW|size|idle|navigation]… [--library NAME]… [--idle COUNTS] [--target MS]
 *                      [--seed N] [--folder PATH] [--profile] [--against CHECKOUT]
 *
 * Each library runs in a process of its own and talks to another process, over TCP. Each figure is the CPU time of the
 * first process, all its threads included, or of the page that runs in Chromium. All libraries go over the same Node.js
 * `Duplex`, so that no library has the socket itself; `transport` is the cost of that without TLS. They take turns: in
 * each round each row is measured with each library, in an order that follows from the seed, `native` first and last,
 * so that a drift of the machine shows. The figure of a row is the median of the rounds, and its ratio the median of
 * the ratios to `native` in the same round.
 *
 * With `--against` the package of another checkout, built before, is one more column: what did a change give? With
 * `--profile` it tells instead where the time goes, by function: for instance
 * `npm run bench -- --profile --library wassl --only download-chacha20-16k`.
 */
import { execFile } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { random } from "../helpers/random.ts";
import type { Idle } from "./idle.ts";
import { libraries } from "./library.ts";
import { navigation } from "./navigation.ts";
import { type Profile, Rounds } from "./rounds.ts";
import { rows } from "./rows.ts";
import { bundleCold, type Prepared, setUp, setUpOther } from "./setup.ts";
import { sizes } from "./sizes.ts";
import { median, printIdle, printProfile, printResults, printSizes, printWaits } from "./table.ts";

const usual = Object.keys(libraries).filter((name) => !libraries[name]?.other);
const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
    only: { type: "string", multiple: true, default: [""] },
    library: { type: "string", multiple: true, default: usual },
    against: { type: "string" },
    target: { type: "string", default: "250" },
    seed: { type: "string", default: String(1 + Math.floor(Math.random() * 2 ** 31)) },
    profile: { type: "boolean", default: false },
    idle: { type: "string", default: "100,1000,10000" },
    folder: { type: "string" },
  },
});

function whole(name: "rounds" | "seed" | "target"): number {
  const value = Number(options[name]);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name} must be a whole number, 1 or more`);
  return value;
}

const rounds = whole("rounds");
const seed = whole("seed");
for (const name of options.library) {
  if (!libraries[name]) throw new Error(`no library ${name}; there are ${Object.keys(libraries).join(", ")}`);
}
const compared = options.against ? [...options.library, "wassl, before"] : options.library;
const like = (id: string) => options.only.some((text) => id.includes(text));
const wanted = rows.filter(({ id }) => like(id));
if (wanted.length === 0 && !["size", "idle", "navigation"].some(like)) {
  throw new Error(
    `no row is like that; there are ${[...rows.map(({ id }) => id), "size", "idle", "navigation"].join(", ")}`,
  );
}

const say = (text: string) => process.stderr.write(`${text}\n`);
say(`seed ${seed}`);
const prepared = await setUp(
  options.folder,
  options.library.some((name) => libraries[name]?.ofNpm),
  options.profile,
);
const otherFolder = options.against && (await setUpOther(options.against));
if (wanted.some(({ id }) => id === "cold-bundled")) {
  for (const folder of [prepared.folder, otherFolder]) if (folder) await bundleCold(folder);
}
const { node, v8, openssl } = process.versions;
const about = {
  date: new Date().toISOString(),
  machine: `${cpus()[0]?.model.trim()}, ${cpus().length} CPUs, ${process.platform}, Node.js ${node}, V8 ${v8}, OpenSSL ${openssl}`,
  seed,
  rounds,
};
const measured = new Rounds({
  ...prepared,
  rows: wanted,
  otherFolder,
  libraries: compared,
  rounds,
  target: whole("target") / 1000,
  random: random(seed),
  say,
});
if (options.profile) {
  const profiles: Profile[] = [];
  for (const row of wanted.filter(({ work }) => work !== "cold")) {
    for (const name of options.library) profiles.push(await measured.profile(row, name));
  }
  await measured.stop();
  if (options.json) console.log(JSON.stringify({ ...about, profiles }, null, 2));
  else for (const profile of profiles) printProfile(profile);
  process.exit();
}
const results = wanted.length > 0 ? await measured.run() : [];
await measured.stop();
const idles =
  like("idle") && options.library.includes("wassl") ? await idle(prepared, options.idle.split(",")) : [];
const waits =
  like("navigation") && options.library.includes("wassl") ? await navigation(prepared, rounds, say) : [];
const loads = like("size") ? await sizes(prepared.folder, options.library) : [];

if (options.json) {
  const rows = results.map((row) => ({
    ...row,
    cells: row.cells.map((cell) => ({ ...cell, median: median(cell.values), ratio: median(cell.ratios) })),
  }));
  console.log(JSON.stringify({ ...about, rows, idle: idles, navigation: waits, sizes: loads }, null, 2));
} else {
  console.log(`${about.date.slice(0, 10)}: ${about.machine}; ${rounds} rounds, seed ${seed}`);
  if (results.length > 0) printResults(results);
  if (idles.length > 0) printIdle(idles);
  if (waits.length > 0) printWaits(waits);
  if (loads.length > 0) printSizes(loads);
}

/** In a process of its own: it grows. */
async function idle({ folder, certFiles }: Prepared, counts: readonly string[]): Promise<Idle[]> {
  const program = ["--expose-gc", "--no-warnings", join(folder, "idle.js")];
  const { chain, key, ca } = certFiles;
  const { stdout } = await promisify(execFile)(process.execPath, [...program, chain, key, ca, ...counts]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Idle);
}
