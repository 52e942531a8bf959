/**
 * What goes into each thing that is built, and so the name under which the cache keeps it.
 *
 * A thing is built in such a copy and by the scripts in it. So nothing goes into it that is not listed here, and a file that
 * is edited during a build changes nothing of what is built.
 */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { lockOf } from "./lock.mjs";

/**
 * @typedef {object} Thing
 * @property {string[]} of what is built before, and goes into it
 * @property {string[]} words variables of wasm/openssl.lock
 * @property {string[]} files paths in the repository; of a folder, all that is below
 * @property {RegExp} [only] of the folders, the files with such names
 */

/** @type {Record<string, Thing>} */
export const things = {
  libs: {
    of: [],
    words: [
      "OPENSSL_SHA256",
      "OPENSSL_VERSION",
      "SOURCE_DATE_EPOCH",
      "CONFIGURE_FLAGS",
      "COMPILE_FLAGS",
      "FAST_FLAGS",
      "FAST",
    ],
    files: [
      "wasm/build/recipe.sh",
      "wasm/build/libs.sh",
      "wasm/build/wasm32.conf",
      "wasm/build/objects.pl",
      "wasm/build/objects.txt",
      "wasm/patches",
    ],
  },
  wasm: {
    of: ["libs"],
    words: ["LINK_FLAGS", "WRAP_FLAGS", "KERNEL_FLAGS", "IMPORTS", "BUDGET"],
    files: [
      "wasm/build/recipe.sh",
      "wasm/build/link.sh",
      "wasm/build/module.mjs",
      "wasm/build/snapshot.mjs",
      "wasm/abi",
      "wasm/instead",
      "wasm/kernels",
    ],
  },
  /** For `./build.sh sizes`. */
  map: { of: ["wasm"], words: [], files: [] },
  /** For test/faults. */
  faults: { of: ["wasm"], words: ["FAULT_WRAP_FLAGS"], files: ["test/faults/allocator.c"] },
  /** For test/kernels. */
  kernels: {
    of: ["libs"],
    words: ["LINK_FLAGS", "KERNEL_FLAGS", "KERNEL_WRAP_FLAGS", "IMPORTS", "WYCHEPROOF_SHA256"],
    files: [
      "wasm/build/recipe.sh",
      "wasm/build/link.sh",
      "wasm/build/module.mjs",
      "wasm/instead/libc.c",
      "wasm/kernels",
      "test/kernels/exports.txt",
      "test/kernels/montgomery.c",
    ],
  },
};

/** Variables of wasm/openssl.lock that go into nothing but by the others here. */
export const noInputs = [
  "OPENSSL_URL", // OPENSSL_SHA256 says what is there
  "WYCHEPROOF_VERSION", // so does WYCHEPROOF_SHA256
  "DEBIAN_SUITE", // part of the toolchain's name
  "EMSCRIPTEN_VERSION",
  // Of these npm run sbom tells.
  "LLVM_VERSION",
  "MUSL_VERSION",
  "COMPILER_RT_VERSION",
  "DLMALLOC_VERSION",
  // These go into src/roots, which is committed.
  "NSS_VERSION",
  "NSSCKBI_SHA256",
  "NSS_DATE",
];

const lockFile = "wasm/openssl.lock";

/**
 * The key of each thing in the repository (or the copy) at `root`.
 *
 * @param {string} root
 * @param {string} toolchain
 * @param {string[]} [names]
 * @returns {Record<string, string>}
 */
export function keysOf(root, toolchain, names = Object.keys(things)) {
  const lock = lockOf(join(root, lockFile));
  /** @type {Record<string, string>} */
  const keys = {};
  /** @param {string} name */
  const keyOf = (name) => {
    const { of, words, files } = thing(name);
    keys[name] ??= keyFrom([
      toolchain,
      of.map(keyOf),
      words.map((word) => {
        if (!lock[word]) throw new Error(`${lockFile} does not say ${word}`);
        return lock[word];
      }),
      filesIn(root, files).map((file) => [file, sumOf(join(root, file))]),
    ]);
    return keys[name];
  };
  names.forEach(keyOf);
  return keys;
}

/**
 * Copies what goes into a thing, and into what goes into it.
 *
 * @param {string} root
 * @param {string} name
 * @param {string} folder
 */
export function copyInputs(root, name, folder) {
  const { of, files } = thing(name);
  for (const each of of) copyInputs(root, each, folder);
  for (const file of [lockFile, ...filesIn(root, files)]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(root, file), join(folder, file));
  }
}

/**
 * Names and contents, in one order everywhere; what does not exist is left out.
 *
 * @param {string} root
 * @param {string[]} paths
 * @returns {string[]}
 */
export function filesIn(root, paths) {
  return paths
    .flatMap((path) => {
      if (!existsSync(join(root, path))) return [];
      if (!statSync(join(root, path)).isDirectory()) return [path];
      return filesIn(
        root,
        readdirSync(join(root, path)).map((name) => `${path}/${name}`),
      );
    })
    .sort();
}

/**
 * A name made of all that is given, which is told apart from everything else that could be.
 *
 * @param {unknown} parts
 */
export function keyFrom(parts) {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/** @param {string} file */
export function sumOf(file) {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/**
 * @param {string} name
 * @returns {Thing}
 */
function thing(name) {
  const found = things[name];
  if (!found) throw new Error(`nothing is built with the name "${name}"`);
  return found;
}
