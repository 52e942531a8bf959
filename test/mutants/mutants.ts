/**
 * `npm run mutants`: takes one guard after the other out of the library, and looks whether a test fails for it.
 *
 *     npm run mutants -- [--seconds N] [--seed N] [--only TEXT]… [--learn]
 *
 * Each edit of list.ts is made in a copy of the sources, and the tests that it names run there, in Node.js. It is
 * killed when one of them fails; a mutant that survives, an edit that fits its file no more, and a name that no test
 * has are told, and the exit code is 1. With `--seconds` it begins with another one for each seed, and ends after that
 * time; edits of C, whose module has to be linked, are left out then. What is not killed is judged anew, three times in
 * all, so that a busy machine has no say. `--learn` prints which tests failed.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { transform } from "esbuild";
import { bundle, programName, type Suite } from "../bundle.ts";
import { installSource } from "../pack.ts";
import { publicOf } from "../peers/certs.ts";
import { Peers } from "../peers/index.ts";
import { keptOrMade } from "../peers/made.ts";
import { killAtEnd } from "../processes.ts";
import type { Message } from "../runtimes/common.ts";
import { startServer } from "../server.ts";
import { setUp } from "../setup.ts";
import { type Mutant, mutants } from "./list.ts";

const repository = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
/** For the tests of one mutant; a mutant that hangs is killed. */
const TIMEOUT = 120_000;
/** How often a mutant is judged that is not killed. */
const TRIES = 3;

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: "string", multiple: true, default: [] as string[] },
    learn: { type: "boolean", default: false },
  },
});
const began = performance.now();
const bound = values.seconds === undefined ? Number.POSITIVE_INFINITY : Number(values.seconds) * 1000;
const seed = Number(values.seed);

const folder = mkdtempSync(join(tmpdir(), "wassl-mutants-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
const whole = join(folder, "whole");
const modules = join(whole, "node_modules", "wassl");
/** As they were when the run began: somebody may go on with them. */
const sources = new Map(mutants.map(({ file }) => [file, readFileSync(join(repository, file), "utf8")]));

interface Outcome {
  passed: string[];
  failed: string[];
  /** It hung or crashed. */
  died: boolean;
  /** One test at least had begun. */
  ran: boolean;
}

/** What is said of a mutant that is not killed as it should be. */
type Verdict = "killed" | `SURVIVED${string}` | `WRONG: ${string}`;

async function main(): Promise<number> {
  const suites = ["contract", "node"] as const;
  const tools = setUp();
  mkdirSync(whole);
  const [made] = await Promise.all([keptOrMade(tools.openssl, folder, undefined), installSource(whole)]);
  await Promise.all(suites.map((suite) => bundle({ target: "node", suite, folder: whole })));
  const peers = new Peers({ tools, certs: made.certs, folder });
  const config = made.chains.then((chains) => ({
    ...{ seed: made.seed, made: made.made, certs: publicOf(made.certs), chains, forged: made.forged },
    unsupported: made.unsupported,
    runtimes: ["node"],
  }));
  const server = await startServer({ config, peers, files: folder, onPage: () => {} });
  const isLinked = ({ file }: Mutant) => !file.startsWith("src/");
  const chosen = mutants.filter(
    (each) =>
      (bound === Number.POSITIVE_INFINITY || !isLinked(each)) &&
      values.only.every((text) => `${each.file} ${each.search} ${each.what}`.includes(text)),
  );
  // Another one first for each seed.
  const first = seed % Math.max(chosen.length, 1);
  const queue = [...chosen.slice(first), ...chosen.slice(0, first)];
  console.log(`seed ${seed}: ${chosen.length} mutants, first ${first}`);

  const sound = soundTests(server.origin);
  let killed = 0;
  let tried = 0;
  const wrong: string[] = [];
  const work = async () => {
    for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
      // One at least, however slow the machine is.
      if (tried++ > 0 && performance.now() - began > bound) return;
      const attempt = (sound: Sound) =>
        judge(mutant, sound, server.origin).catch(
          (error: Error): Verdict => `WRONG: ${error.message.split("\n").slice(0, 8).join("\n    ")}`,
        );
      let verdict = await attempt(sound);
      let tries = 1;
      // On a machine that is busy a sound test may fail, and a test of random things may miss one time.
      for (; verdict !== "killed" && tries < TRIES; tries++)
        verdict = await attempt(soundTests(server.origin));
      if (verdict === "killed") killed++;
      else wrong.push(`${mutant.file}: ${mutant.what}\n    ${verdict}`);
      console.log(`${verdict}${tries > 1 ? ` at try ${tries}` : ""}: ${mutant.file}: ${mutant.what}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, work));
  server.close();
  peers.close();
  const judged = killed + wrong.length;
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  for (const text of wrong) console.log(`\n${text}`);
  console.log(
    `\n${judged} of ${chosen.length} mutants tried in ${seconds} s: ${killed} killed, ${wrong.length} not`,
  );
  return wrong.length === 0 && judged > 0 ? 0 : 1;
}

/**
 * The tests that pass with the library as it is: what else fails says nothing of a mutant. Asked for each text once.
 */
function soundTests(origin: string) {
  const known = new Map<string, Promise<Outcome>>();
  return ({ suite = "contract", tests }: Mutant): Promise<Outcome> => {
    const key = `${suite} ${tests}`;
    const asked = known.get(key) ?? runTests(whole, suite, tests, origin);
    known.set(key, asked);
    return asked;
  };
}

type Sound = ReturnType<typeof soundTests>;

async function judge(mutant: Mutant, sound: Sound, origin: string): Promise<Verdict> {
  const { file, search, replace, suite = "contract", tests } = mutant;
  const source = sources.get(file) ?? "";
  const count = source.split(search).length - 1;
  if (count !== 1) return `WRONG: its text is there ${count} times`;
  const mutated = source.replace(search, () => replace);
  const at = mkdtempSync(join(folder, "mutant-"));
  try {
    await (file.startsWith("src/") ? install(at, file, mutated) : link(at, file, mutated));
    const { passed } = await sound(mutant);
    if (passed.length === 0) return "WRONG: no test of that name passes without it";
    const outcome = await runTests(at, suite, tests, origin);
    if (!outcome.ran) return "WRONG: the library cannot be loaded with it";
    // What fails anyway says nothing.
    const failed = outcome.failed.filter((name) => passed.includes(name));
    if (values.learn) console.log(JSON.stringify({ file, what: mutant.what, failed, died: outcome.died }));
    return failed.length > 0 || outcome.died ? "killed" : `SURVIVED ${passed.length} tests`;
  } finally {
    rmSync(at, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The whole, with another file of `src`. Nobody writes to what is linked to. */
async function install(at: string, file: string, source: string): Promise<void> {
  copyWhole(at);
  const path = join(at, "node_modules", "wassl", "dist", file.slice(4).replace(/\.ts$/, ".js"));
  const { code } = await transform(source, {
    loader: "ts",
    format: "esm",
    target: "es2022",
    supported: { "import-source": true },
  });
  rmSync(path);
  writeFileSync(path, code);
}

/** The whole, with the module that comes of another file of C. */
async function link(at: string, file: string, source: string): Promise<void> {
  const checkout = join(at, "checkout");
  mkdirSync(checkout);
  for (const each of ["build.sh", "wasm"])
    cpSync(join(repository, each), join(checkout, each), { recursive: true });
  writeFileSync(join(checkout, file), source);
  await promisify(execFile)("bash", ["build.sh", "wasm"], { cwd: checkout });
  copyWhole(at);
  const wasm = join(at, "node_modules", "wassl", "dist", "binding", "openssl.wasm");
  rmSync(wasm);
  cpSync(join(checkout, "dist", "binding", "openssl.wasm"), wasm);
}

function copyWhole(at: string): void {
  mkdirSync(join(at, "node_modules"));
  cpSync(modules, join(at, "node_modules", "wassl"), { recursive: true, verbatimSymlinks: true });
  symlinkSync(join(whole, "node_modules", "@assemblyscript"), join(at, "node_modules", "@assemblyscript"));
  for (const name of ["package.json", "node.js", "node-node.js", "node-blocking.js", "node-port.js"])
    cpSync(join(whole, name), join(at, name));
}

async function runTests(at: string, suite: Suite, tests: string, origin: string): Promise<Outcome> {
  const program = join(at, `${programName("node", suite)}.js`);
  const child = spawn(process.execPath, ["--expose-gc", program, origin], {
    cwd: at,
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, WASSL_REPOSITORY: repository, WASSL_GREP: tests, WASSL_CHROMIUM: "" },
  });
  killAtEnd(child);
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT);
  const outcome: Outcome = { passed: [], failed: [], died: true, ran: false };
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith("\u0001")) continue;
    const message = JSON.parse(line.slice(1)) as Message;
    outcome.ran ||= message.type === "begin";
    if (message.type === "test")
      (message.failures.length > 0 ? outcome.failed : outcome.passed).push(message.name);
    else if (message.type === "error") outcome.failed.push("outside of any test");
    else if (message.type === "end") outcome.died = false;
  }
  await closed(child);
  clearTimeout(timer);
  return outcome;
}

const closed = (child: ChildProcess) =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once("close", resolve));

process.exitCode = 1;
process.exit(await main());
