/**
 * What is made once and kept under a name made of all that went into it. It is made aside and renamed into place, so that a
 * build may be ended at any moment, and one build at a time makes it.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { run } from "./run.mjs";

/**
 * One build at a time does `work`. The lock is an open file's, so it ends with this process and with the commands that got
 * the file from it.
 *
 * @template T
 * @param {string} file
 * @param {(fd: number) => T | Promise<T>} work
 * @returns {Promise<T>}
 */
export async function locked(file, work) {
  mkdirSync(dirname(file), { recursive: true });
  const fd = openSync(file, "w");
  // Node.js cannot lock a file; what the program does to the file that it is given holds for ours too, since it is the same.
  const flock = (/** @type {string[]} */ ...args) => run(["flock", ...args, "3"], { fd });
  try {
    await flock("-n").catch(() => {
      console.error("   another build is at this step; waiting for it");
      return flock();
    });
    return await work(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * The folder `kind`/`key` in the cache, as `make` has filled `out`, now or in an earlier build; `work` is a folder for what is not kept,
 * on the same filesystem. `cache`/locks has its lock.
 *
 * @typedef {{ out: string, work: string, fd: number }} Place
 * @param {{ cache: string, kind: string, key: string, make(place: Place): void | Promise<void> }} what
 * @returns {Promise<string>}
 */
export async function keep({ cache, kind, key, make }) {
  const kept = join(cache, kind, key);
  if (existsSync(kept)) return kept;
  return locked(join(cache, "locks", `${kind}-${key}`), async (fd) => {
    if (existsSync(kept)) return kept;
    const aside = join(cache, kind, `build-${key}`);
    const [out, work] = [join(aside, "out"), join(aside, "work")];
    // What a build that was killed left behind.
    removeTree(aside);
    for (const folder of [out, work]) mkdirSync(folder, { recursive: true });
    try {
      await make({ out, work, fd });
      renameSync(out, kept);
    } finally {
      removeTree(aside);
    }
    return kept;
  });
}

/**
 * Removes a folder that something was built in. What is mounted for a command goes with the command, but to remove what somebody
 * mounted there could cost their files.
 *
 * @param {string} tree
 */
export function removeTree(tree) {
  const file = "/proc/self/mountinfo";
  const escaped = tree.replace(/[\s\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
  if (existsSync(file) && readFileSync(file, "utf8").includes(` ${escaped}/`))
    throw new Error(`something is mounted below ${tree}; not removing it`);
  rmSync(tree, { recursive: true, force: true });
}

/**
 * A file that goes into the cache: copied, then renamed, since the two may be on different filesystems.
 *
 * @param {string} file
 * @param {string} kept
 */
export function putIntoCache(file, kept) {
  mkdirSync(dirname(kept), { recursive: true });
  const aside = `${kept}.${process.pid}`;
  copyFileSync(file, aside);
  renameSync(aside, kept);
}

/**
 * Makes `folder` what `sum` stands for, unless the note in it says that it is: by `put`, between taking the note away and
 * writing it again, so that a build that is killed in between leaves no note.
 *
 * @param {string} note
 * @param {string} sum
 * @param {() => void | Promise<void>} put
 * @returns {Promise<boolean>} whether anything was to be done
 */
export async function noted(note, sum, put) {
  if (existsSync(note) && readFileSync(note, "utf8").trim() === sum) return false;
  rmSync(note, { force: true });
  await put();
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
