/**
 * What is made once and kept under a name made of all that went into it. It is made aside and renamed into place, so that a
 * build may be ended at any moment, and one build at a time makes it. wasm/build/shell.sh has the same for what compilers make.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * One build at a time does `work`. The lock is an open file's, so it ends with this process and with the commands that got
 * the file from it.
 *
 * @template T
 * @param {string} file
 * @param {(fd: number) => T} work
 * @returns {T}
 */
export function locked(file, work) {
  mkdirSync(dirname(file), { recursive: true });
  const fd = openSync(file, "w");
  // Node.js cannot lock a file; what the program does to the file that it is given holds for ours too, since it is the same.
  /** @param {string[]} args */
  const flock = (...args) =>
    spawnSync("flock", [...args, "3"], { stdio: ["ignore", "inherit", "inherit", fd] });
  try {
    if (flock("-n").status !== 0) {
      console.error("   another build is at this step; waiting for it");
      const { status, error } = flock();
      if (status !== 0) throw error ?? new Error(`${file} could not be locked`);
    }
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * The folder `parent`/`key`, which `make` has filled, now or in an earlier build. `cache`/locks has its lock.
 *
 * @param {{ cache: string, kind: string, key: string, make(folder: string, fd: number): void }} what
 * @returns {string}
 */
export function keep({ cache, kind, key, make }) {
  const kept = join(cache, kind, key);
  if (existsSync(kept)) return kept;
  return locked(join(cache, "locks", `${kind}-${key}`), (fd) => {
    if (existsSync(kept)) return kept;
    const aside = join(cache, kind, `build-${key}`);
    // What a build that was killed left behind.
    rmSync(aside, { recursive: true, force: true });
    mkdirSync(aside, { recursive: true });
    const made = mkdtempSync(join(aside, ".new."));
    try {
      make(made, fd);
      renameSync(made, kept);
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
    return kept;
  });
}

/**
 * Runs a command, which has to succeed. What it prints goes to standard error. It holds the lock `fd` too, should this process
 * be killed before it.
 *
 * @param {string} cwd
 * @param {number | undefined} fd
 * @param {string} command
 * @param {string[]} args
 */
export function run(cwd, fd, command, ...args) {
  /** @type {import("node:child_process").StdioOptions} */
  const stdio = ["ignore", 2, 2];
  const { status, signal, error } = spawnSync(command, args, {
    cwd,
    stdio: fd === undefined ? stdio : [...stdio, fd],
  });
  if (status !== 0) throw error ?? new Error(`${command} ${args[0] ?? ""} ended with ${status ?? signal}`);
}

/**
 * Makes `folder` what `sum` stands for, unless the note in it says that it is: by `put`, between taking the note away and
 * writing it again, so that a build that is killed in between leaves no note.
 *
 * @param {string} note
 * @param {string} sum
 * @param {() => void} put
 * @returns {boolean} whether anything was to be done
 */
export function noted(note, sum, put) {
  if (existsSync(note) && readFileSync(note, "utf8").trim() === sum) return false;
  rmSync(note, { force: true });
  put();
  writeFileSync(note, `${sum}\n`);
  return true;
}

/**
 * All in a folder. The folder itself stays: in a container it may be a place where something is mounted.
 *
 * @param {string} folder
 */
export function empty(folder) {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
}

/**
 * Does `work` when Node.js was started with the script at `url`, in the project that it belongs to, and prints what it comes to. What
 * it throws is told as build.sh tells it.
 *
 * @param {string} url
 * @param {(project: string, ...args: string[]) => string} work
 */
export function program(url, work) {
  const [, script = "", ...args] = process.argv;
  if (script !== fileURLToPath(url)) return;
  try {
    console.log(work(join(dirname(script), "..", ".."), ...args));
  } catch (error) {
    console.error(`\nbuild.sh: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
