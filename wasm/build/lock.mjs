/**
 * wasm/openssl.lock, for all that is not bash. Bash reads it here too, since its lines are bash, and name each other.
 *
 * The files that end with `.mjs` are what `./build.sh wasm` runs: Node.js 20 runs them as they are, before there is a node_modules.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * What the file gives to each of its variables: one value, or those of an array. Nothing of this machine's environment is in them.
 *
 * @param {string} file the path of openssl.lock
 * @returns {Record<string, string[]>}
 */
export function lockOf(file) {
  // An assignment begins its line; those within an array are indented.
  const names = [...readFileSync(file, "utf8").matchAll(/^([A-Z][A-Z0-9_]*)=/gm)].map(
    ([, name]) => name ?? "",
  );
  const script = `
    tell() { local -n values=$1; printf '%s\\0' "$1" "\${#values[@]}" "\${values[@]}"; }
    . "$1"; shift; for name; do tell "$name"; done`;
  const text = execFileSync("bash", ["--norc", "-ec", script, "lock", file, ...names], {
    encoding: "utf8",
    // Bash takes a socket for a login from afar.
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env.PATH },
  });
  const words = text.split("\0");
  /** @type {Record<string, string[]>} */
  const lock = {};
  for (let at = 0; at < words.length - 1; ) {
    const [name = "", count] = words.slice(at, at + 2);
    lock[name] = words.slice(at + 2, at + 2 + Number(count));
    at += 2 + Number(count);
  }
  return lock;
}

/**
 * The variables that are no arrays.
 *
 * @param {string} file
 * @returns {Record<string, string>}
 */
export function pinsOf(file) {
  const lock = lockOf(file);
  return Object.fromEntries(
    Object.entries(lock).flatMap(([name, [value = "", ...more]]) => (more.length > 0 ? [] : [[name, value]])),
  );
}
