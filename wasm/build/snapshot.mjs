/**
 * Starts OpenSSL once, when the module is built, and writes a module whose memory is as it was then: each instance begins
 * where this one got to, which took half of the time to the first ClientHello.
 *
 *     node snapshot.mjs linked.wasm openssl.wasm openssl.wasm.named
 *
 * The last one is the same, and has the names of its functions still.
 *
 * Nothing random and no time can be in it: here there is neither, and to ask for them ends the build.
 */
import { readFileSync, writeFileSync } from "node:fs";

/** @typedef {{ id: number, content: Buffer }} Section */

const [from = "", to = "", named = ""] = process.argv.slice(2);
const bytes = Buffer.from(readFileSync(from));
const [CUSTOM, MEMORY, GLOBAL, EXPORT, DATA, DATA_COUNT] = /** @type {const} */ ([0, 5, 6, 7, 11, 12]);
/** Exports that did what they are for. */
const done = ["_initialize", "wassl_prepare"];
/** Zeros between two stretches that cost less than beginning another one. */
const GAP = 8;
const PAGE = 65536;

/**
 * @param {string} name
 * @returns {() => never}
 */
function never(name) {
  return () => {
    throw new Error(
      `${name} was called while the module was prepared: its answer would be the same in every instance`,
    );
  };
}

const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
  host: { random_get: never("random_get"), clock_get: never("clock_get") },
});
const exports = /** @type {Record<string, () => number> & { memory: WebAssembly.Memory }} */ (
  instance.exports
);
exports._initialize?.();
if (exports.wassl_prepare?.() !== 1) throw new Error("OpenSSL could not be started");

const sections = read(bytes);
const memory = new Uint8Array(exports.memory.buffer);
// The stack lies at the bottom (--stack-first), and the one global is its pointer, which is back where it was.
memory.fill(0, 0, stackSize());

const rest = sections.filter(({ id }) => id !== DATA_COUNT);
const kept = rest.map(({ id, content }) => {
  if (id === MEMORY) return section(id, memoryType(content));
  if (id === EXPORT) return section(id, exportsWithout(content));
  if (id === DATA) return section(id, data());
  return section(id, content);
});
/** @param {Section | undefined} section */
const isNames = (section) => section?.id === CUSTOM && section.content.toString("latin1", 1, 5) === "name";
/**
 * @param {string} file
 * @param {Buffer[]} parts
 */
const write = (file, parts) => writeFileSync(file, Buffer.concat([bytes.subarray(0, 8), ...parts]));
write(named, kept);
write(
  to,
  kept.filter((_, i) => !isNames(rest[i])),
);

/** @param {Buffer} module */
function read(module) {
  /** @type {Section[]} */
  const found = [];
  for (let at = 8; at < module.length; ) {
    const id = module.readUInt8(at);
    const [length, start] = leb(module, at + 1);
    found.push({ id, content: module.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

function stackSize() {
  const content = sections.find(({ id }) => id === GLOBAL)?.content;
  // One of: i32, mutable, i32.const.
  if (content?.[0] !== 1 || content[1] !== 0x7f || content[2] !== 1 || content[3] !== 0x41) {
    throw new Error("not only a stack pointer among the globals");
  }
  return leb(content, 4)[0];
}

/**
 * One memory, as large as it has become.
 *
 * @param {Buffer} content
 */
function memoryType(content) {
  const [flags, at] = leb(content, 1);
  const [, rest] = leb(content, at);
  return Buffer.concat([uleb(1), uleb(flags), uleb(memory.length / PAGE), content.subarray(rest)]);
}

/**
 * By name: in one order, in whichever file of wasm/abi a function is; it compresses best so, too.
 *
 * @param {Buffer} content
 */
function exportsWithout(content) {
  let [count, at] = leb(content, 0);
  const entries = [];
  for (; count > 0; count--) {
    const start = at;
    const [length, begin] = leb(content, at);
    const name = content.toString("latin1", begin, begin + length);
    [, at] = leb(content, begin + length + 1);
    if (!done.includes(name)) entries.push({ name, bytes: content.subarray(start, at) });
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return Buffer.concat([uleb(entries.length), ...entries.map(({ bytes }) => bytes)]);
}

/** The stretches of memory that are not zero. */
function data() {
  const segments = [];
  for (let at = 0; at < memory.length; ) {
    if (memory[at] === 0) {
      at++;
      continue;
    }
    const start = at;
    let end = at;
    for (; at < memory.length && at - end <= GAP; at++) if (memory[at] !== 0) end = at + 1;
    segments.push(
      Buffer.concat([
        Buffer.of(0, 0x41),
        sleb(start),
        Buffer.of(0x0b),
        uleb(end - start),
        memory.subarray(start, end),
      ]),
    );
  }
  return Buffer.concat([uleb(segments.length), ...segments]);
}

/**
 * @param {number} id
 * @param {Buffer} content
 */
function section(id, content) {
  return Buffer.concat([Buffer.of(id), uleb(content.length), content]);
}

/**
 * The unsigned number at `at`, and where the next thing is.
 *
 * @param {Buffer} from
 * @param {number} at
 * @returns {[number, number]}
 */
function leb(from, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = from.readUInt8(at++);
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

/** @param {number} value */
function uleb(value) {
  const out = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) out.push((value % 128) | 0x80);
  return Buffer.of(...out, value);
}

/**
 * For numbers that are not negative.
 *
 * @param {number} value
 */
function sleb(value) {
  const out = [...uleb(value)];
  const last = out.pop() ?? 0;
  // The next bit would be the sign.
  return Buffer.of(...out, ...(last & 0x40 ? [last | 0x80, 0] : [last]));
}
