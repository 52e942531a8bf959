/**
 * How commands are run. None outlives the build: `stop` ends them, and so does the end of this process, be it by kill -9.
 */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * @typedef {object} Options
 * @property {string} [cwd]
 * @property {Record<string, string | undefined>} [env] beside this process's own
 * @property {number | undefined} [fd] an open file that the command holds too: a lock
 */

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();
/** The status that this process is to end with. @type {number | undefined} */
let stopped;

/** Ends what runs, and whatever is started after that: so all unwinds, and what was begun is cleared away on the way. */
export function stop(/** @type {number} */ status) {
  stopped ??= status;
  for (const child of running) child.kill("SIGKILL");
}

/** The status of {@link stop}, if it was called. */
export const stoppedWith = () => stopped;

/** @param {string} program */
export const have = (program) => spawnSync("sh", ["-c", 'command -v "$0"', program]).status === 0;

/** In front of a command: it ends when this process does. A system without it has a build that ends a little later. */
export const DIES_WITH_US = have("setpriv") ? ["setpriv", "--pdeathsig", "KILL", "--"] : [];

/**
 * @param {string[]} command
 * @param {Options & { out: import("node:child_process").IOType | number, err: import("node:child_process").IOType | number, input?: "ignore" | "inherit" }} how
 * @returns {Promise<string | number>} the status, or the signal
 */
function finished(command, { cwd, env, fd, out, err, input = "ignore" }) {
  return new Promise((resolve, reject) => {
    if (stopped !== undefined) return reject(new Error("stopped"));
    const [program = "", ...args] = [...DIES_WITH_US, ...command];
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: [input, out, err, ...(fd === undefined ? [] : [fd])],
    });
    running.add(child);
    const done = () => running.delete(child);
    child.once("error", (error) => done() && reject(error));
    child.once("exit", (status, signal) => done() && resolve(status ?? signal ?? ""));
  });
}

/**
 * Runs a command, which has to succeed. What it prints goes to standard error.
 *
 * @param {string[]} command
 * @param {Options} [options]
 */
export async function run(command, options = {}) {
  const status = await finished(command, { ...options, out: 2, err: 2 });
  if (status !== 0) throw new Error(`${command.slice(0, 2).join(" ")} ended with ${status}`);
}

/**
 * Runs a command with the streams of this process.
 *
 * @param {string[]} command
 * @param {Options} [options]
 * @returns {Promise<string | number>} its status, or the signal that ended it
 */
export const through = (command, options = {}) =>
  finished(command, { ...options, input: "inherit", out: "inherit", err: "inherit" });

/**
 * What a short command printed; undefined when it failed, or there is no such program.
 *
 * @param {string[]} command
 * @param {Options & { quiet?: boolean }} [options]
 * @returns {string | undefined}
 */
export function outputOf([program = "", ...args], { cwd, env, quiet = true } = {}) {
  const { status, stdout } = spawnSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", quiet ? "ignore" : "inherit"],
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  return status === 0 ? stdout : undefined;
}

/**
 * Runs a command, which has to succeed, and keeps to itself what it prints. Tells instead how many of these lines match `step`: in
 * one line on a terminal, else every 15 seconds; and of how many, once a line matches `total`. When the command fails, it shows
 * what looks like an error, and the end.
 *
 * @param {string} name
 * @param {string[]} command
 * @param {Options & { step?: RegExp, total?: RegExp }} [options]
 */
export async function logged(name, command, { step, total, ...options } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "wassl-log-"));
  const file = join(folder, "log");
  const began = Date.now();
  const terminal = process.stderr.isTTY;
  const tell = () => {
    const lines = readFileSync(file, "utf8").split("\n");
    const count = lines.filter((line) => step?.test(line)).length;
    const of = total && lines.map((line) => total.exec(line)?.[1]).find(Boolean);
    const text = `   ${name}: ${count}${of ? `/${of}` : ""}, ${Math.round((Date.now() - began) / 1000)} s`;
    process.stderr.write(terminal ? `\r${text} ` : `${text}\n`);
  };
  const log = openSync(file, "w");
  const timer = step && setInterval(tell, terminal ? 500 : 15_000);
  try {
    const status = await finished(command, { ...options, out: log, err: log });
    if (terminal && step) process.stderr.write("\r\x1b[K");
    if (status === 0) return;
    const lines = readFileSync(file, "utf8").replace(/\n$/, "").split("\n");
    const errors = lines.flatMap((line, i) =>
      /(error|Error|^E|fatal)[: ]/.test(line) ? [`${i + 1}:${line}`.slice(0, 300)] : [],
    );
    console.error(
      [
        "",
        ...errors.slice(0, 20),
        "--- the end of the output:",
        ...lines.slice(-25).map((line) => line.slice(0, 500)),
      ].join("\n"),
    );
    throw new Error(`${name} failed with status ${status}`);
  } finally {
    clearInterval(timer);
    closeSync(log);
    rmSync(folder, { recursive: true, force: true });
  }
}
