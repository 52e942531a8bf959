/**
 * What is asked of a linked module.
 *
 *     node module.mjs imports FILE NAMES   fails when it wants anything that is not in NAMES ("module.name …")
 *     node module.mjs size FILE BUDGET     prints its sizes; fails when it takes more than BUDGET bytes of brotli
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {string} allowed
 * @returns {string[]} the imports that nobody answers
 */
export function importsBeside(bytes, allowed) {
  return WebAssembly.Module.imports(new WebAssembly.Module(bytes))
    .map(({ module, name }) => `${module}.${name}`)
    .filter((name) => !allowed.split(" ").includes(name));
}

/**
 * @param {Uint8Array} bytes
 * @returns {{ raw: number, gzip: number, brotli: number }}
 */
export function sizesOf(bytes) {
  const { BROTLI_PARAM_LGWIN: window, BROTLI_PARAM_SIZE_HINT: hint } = constants;
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes, { params: { [window]: 24, [hint]: bytes.length } }).length,
  };
}

/**
 * The linker's map, summed up: bytes of code and of data, before what wasm-opt does; greatest first. Texts that several
 * object files have belong to no one of them.
 *
 * @param {string} map
 * @returns {{ object: string, code: number, data: number }[]}
 */
export function objectsOf(map) {
  /** @type {Map<string, { object: string, code: number, data: number }>} */
  const sizes = new Map();
  /** @type {"code" | "data" | undefined} */
  let section;
  for (const line of map.split("\n")) {
    const [, size = "", what = ""] = /^ *\S+ +[0-9a-f]+ +([0-9a-f]+) +(.*)/.exec(line) ?? [];
    if (what === "CODE") section = "code";
    if (what === "DATA") section = "data";
    const object = /([^(/]+\.o)\)?:\(/.exec(what)?.[1];
    if (!object || !section) continue;
    const entry = sizes.get(object) ?? { object, code: 0, data: 0 };
    entry[section] += Number.parseInt(size, 16);
    sizes.set(object, entry);
  }
  return [...sizes.values()].sort((a, b) => b.code + b.data - a.code - a.data);
}

const [, program, command, file = "", bound = ""] = process.argv;
if (program === fileURLToPath(import.meta.url)) {
  const bytes = readFileSync(file);
  if (command === "imports") {
    const extra = importsBeside(bytes, bound);
    if (extra.length > 0) {
      console.error(`imports that nobody answers: ${extra.join(", ")}`);
      process.exitCode = 1;
    }
  } else {
    const { raw, gzip, brotli } = sizesOf(bytes);
    const of = (/** @type {number} */ count) => count.toLocaleString("en");
    console.log(`openssl.wasm: ${of(raw)} bytes, gzip ${of(gzip)}, brotli ${of(brotli)}`);
    if (brotli > Number(bound)) {
      console.error(`that is more than BUDGET in wasm/openssl.lock, ${bound} bytes of brotli`);
      process.exitCode = 1;
    }
  }
}
