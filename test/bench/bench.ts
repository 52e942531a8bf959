/**
 * `npm run bench`: what TLS costs with Wassl, with Node.js's own `tls`, and with other libraries for JavaScript.
 *
 *     npm run bench -- [--json] [--rounds N] [--only ROW]… [--library NAME]… [--target MS] [--seed N] [--folder PATH]
 *
 * Each library runs in a process of its own and talks to another process, over TCP; what is told is the CPU time of the
 * first, all its threads included, unless the unit says otherwise. All go over the same Node.js `Duplex`, so that none has
 * the socket itself; `transport` is what that costs without TLS. They take turns: in each round each row is measured with
 * each library, in an order that follows from the seed, `native` first and last, so that a drift of the machine shows.
 * What is told of a row is the median of the rounds, and the median of the ratios to `native` in the same round.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { random } from "../fakes/random.ts";
import { libraries } from "./library.ts";
import { Rounds, requireLibraries, rowsLike } from "./rounds.ts";
import { setUp } from "./setup.ts";
import { median, printTable } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
    only: { type: "string", multiple: true, default: [""] },
    library: { type: "string", multiple: true, default: Object.keys(libraries) },
    target: { type: "string", default: "250" },
    seed: { type: "string", default: String(1 + Math.floor(Math.random() * 2 ** 31)) },
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
requireLibraries(options.library);
const say = (text: string) => process.stderr.write(`${text}\n`);
say(`seed ${seed}`);
const { folder, certs } = await setUp(options.folder);
const measured = new Rounds({
  folder,
  certs,
  rows: rowsLike(options.only),
  libraries: options.library,
  rounds,
  target: whole("target") / 1000,
  random: random(seed),
  say,
});
const results = await measured.run();
await measured.stop();

const { node, v8, openssl } = process.versions;
const about = {
  date: new Date().toISOString(),
  machine: `${cpus()[0]?.model.trim()}, ${cpus().length} CPUs, ${process.platform}, Node.js ${node}, V8 ${v8}, OpenSSL ${openssl}`,
  seed,
  rounds,
};
if (options.json) {
  const rows = results.map((row) => ({
    ...row,
    cells: row.cells.map((cell) => ({ ...cell, median: median(cell.values), ratio: median(cell.ratios) })),
  }));
  console.log(JSON.stringify({ ...about, rows }, null, 2));
} else {
  console.log(`${about.date.slice(0, 10)}: ${about.machine}; ${rounds} rounds, seed ${seed}\n`);
  printTable(results);
}
