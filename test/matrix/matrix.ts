/**
 * `npm run matrix`: the packed package in each engine, bundler and dev server that it is said to run in.
 *
 *     tsx test/matrix/matrix.ts [--only TEXT]… [--often] [--write] [--verbose]
 *
 * A cell is a verified handshake of TLS 1.3, 1 MiB there and back with its hashes, and a shutdown() that is complete,
 * through a relay to a server that is not ours. `--write` puts what comes of them into the table of
 * docs/where-it-runs.md. What could not be tried, because its package cannot be had, is named at the end.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPackage } from "../pack.ts";
import { type CertFiles, makeCerts } from "../peers/certs.ts";
import { setUp, type Tools } from "../setup.ts";
import { type Cell, Site } from "./cell.ts";
import { cells } from "./cells.ts";
import { programs } from "./programs.ts";
import { makeProject, NotToBeHad, projectsFolder } from "./projects.ts";
import { Stage, type Visit } from "./stage.ts";

const here = dirname(fileURLToPath(import.meta.url));
/** How long one may take, in milliseconds. Frameworks build slowly on a machine that does much else. */
const PATIENCE = 240_000;

export interface Outcome {
  cell: Cell;
  /** How it failed. */
  failure?: string;
  /** Why it was not tried. */
  leftOut?: string;
  visit?: Visit;
}

/** Runs the cells one after the other, and tells of each. */
export async function runCells(
  wanted: readonly Cell[],
  given: { tools: Tools; certs: CertFiles; modules: string; folder: string },
  tell: (outcome: Outcome) => void,
): Promise<void> {
  const projects = await projectsFolder();
  const stage = await Stage.open(given.tools, given.certs, given.folder);
  try {
    for (const [i, cell] of wanted.entries()) {
      tell(await runCell(cell, stage, join(projects, String(i)), given.modules));
      rmSync(join(projects, String(i)), { recursive: true, force: true, maxRetries: 5 });
    }
  } finally {
    await stage.close();
    rmSync(projects, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function runCell(cell: Cell, stage: Stage, folder: string, modules: string): Promise<Outcome> {
  const end = new AbortController();
  const site = new Site(stage, cell.name, folder, end.signal);
  let timer: NodeJS.Timeout | undefined;
  try {
    await makeProject(folder, cell.project, modules);
    site.write({
      "package.json": JSON.stringify({ private: true, type: "module", dependencies: { wassl: "*" } }),
      ...programs(stage.settings(cell.name)),
    });
    const visited = stage.visit(cell.name);
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no visit within ${PATIENCE} ms`)), PATIENCE);
    });
    const run = cell.run(site);
    const visit = await Promise.race([
      cell.check ? run.then(() => undefined) : Promise.all([visited, run]).then(([visit]) => visit),
      late,
    ]);
    if (!visit) return { cell };
    const failure = judge(visit);
    return { cell, visit, ...(failure && { failure: `${failure}\n${site.lines.slice(-12).join("\n")}` }) };
  } catch (error) {
    if (error instanceof NotToBeHad) return { cell, leftOut: error.message };
    return {
      cell,
      failure: `${error instanceof Error ? error.message : error}\n${site.lines.slice(-12).join("\n")}`,
    };
  } finally {
    clearTimeout(timer);
    end.abort();
  }
}

function judge({ error, protocol, verified, sent, back, how }: Visit): string | undefined {
  if (error) return error;
  if (protocol !== "TLSv1.3" || verified !== true) return `the handshake: ${protocol}, verified: ${verified}`;
  if (!sent || sent !== back) return `what came back (${back}) is not what was sent (${sent})`;
  if (how !== "complete") return `the end: ${how}`;
  return undefined;
}

/** Rows of the table of docs/where-it-runs.md, by the cell's name. */
export function rowsOf(outcomes: readonly Outcome[]): Map<string, string> {
  return new Map(
    outcomes.map(({ cell, failure, leftOut, visit }) => {
      const result = leftOut
        ? "not tried"
        : failure
          ? cell.outside
            ? `fails: ${cell.outside}`
            : "fails"
          : "works";
      return [
        cell.name,
        `| ${cell.name} | ${versionOf(cell, visit)} | ${cell.needs ?? "nothing"} | ${result} |`,
      ];
    }),
  );
}

/** As the lock files have it, or the engine says. */
function versionOf({ version, project }: Cell, visit: Visit | undefined): string {
  const found = /(Firefox|HeadlessChrome)\/(\d+)/.exec(visit?.engine ?? "");
  if (version.startsWith("Debian"))
    return found ? `${version} ${found[1]!.replace("Headless", "")} ${found[2]}` : version;
  const [, name] = /^npm ([^@ ]+|@\S+?\/\S+)/.exec(version) ?? [];
  if (name === undefined) return version;
  const manifest = project === undefined ? "../../package.json" : `packages/${project}/package.json`;
  const { devDependencies } = JSON.parse(readFileSync(join(here, manifest), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  return `${name} ${devDependencies[name] ?? ""}`.trim();
}

const HEAD = ["| where | tried with | what it needs | |", "| --- | --- | --- | --- |"];

/** Puts these rows into the table of the page; those of cells that were not run stay. */
function writeTable(rows: Map<string, string>): void {
  const path = join(here, "..", "..", "docs", "where-it-runs.md");
  const text = readFileSync(path, "utf8");
  const [table = ""] = /(?<=\n)\| where \|[\s\S]*?\n(?=\n)/.exec(text) ?? [];
  const kept = new Map(table.split("\n").map((row) => [/^\| (.*?) \|/.exec(row)?.[1] ?? "", row]));
  const all = cells.map(({ name }) => rows.get(name) ?? kept.get(name)).filter((row) => row !== undefined);
  writeFileSync(
    path,
    text.replace(table, () => `${[...HEAD, ...all].join("\n")}\n`),
  );
}

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: [] },
      often: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
    },
  });
  const wanted = cells.filter(
    ({ name, often }) =>
      (!options.often || often) &&
      (options.only.length === 0 || options.only.some((text) => name.includes(text))),
  );
  const tools = setUp();
  const folder = mkdtempSync(join(tmpdir(), "wassl-matrix-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  await installPackage(folder);
  const certs = makeCerts(tools.openssl, join(folder, "certs"));
  const outcomes: Outcome[] = [];
  const given = { tools, certs, modules: join(folder, "node_modules"), folder };
  let began = performance.now();
  await runCells(wanted, given, (outcome) => {
    outcomes.push(outcome);
    const { cell, failure, leftOut, visit } = outcome;
    const word = leftOut ? "left out" : failure ? "FAILS" : "works";
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(
      `${word.padEnd(8)} ${cell.name} (${seconds} s)${options.verbose && visit ? ` ${JSON.stringify(visit)}` : ""}`,
    );
    if (failure) console.log(failure.replace(/^/gm, "         "));
    began = performance.now();
  });
  const rows = rowsOf(outcomes.filter(({ cell }) => !cell.check));
  console.log(`\n${[...HEAD, ...rows.values()].join("\n")}\n`);
  if (options.write) writeTable(rows);
  for (const { cell, leftOut } of outcomes) if (leftOut) console.log(`left out: ${cell.name}: ${leftOut}`);
  const tried = outcomes.filter(({ leftOut }) => !leftOut);
  const failed = tried.filter(({ failure, cell }) => failure && !cell.outside);
  console.log(
    `${tried.length - failed.length} passed, ${failed.length} failed, ${outcomes.length - tried.length} skipped`,
  );
  process.exit(failed.length > 0 || tried.length === 0 ? 1 : 0);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
