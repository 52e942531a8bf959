/**
 * What the linked module decides by data: the `if`, `br_if`, `br_table` and `select` of each function, by the names
 * that the linker kept. C that computes with masks says nothing of it: compilers see through a mask, and branch.
 *
 * branches.txt lists them for what handles secrets, each with the reason why none of them depends on one. It is
 * compared with the module in test/node/branches.ts. When a function has changed, look at it again (`wasm-dis` or
 * `wasm2wat` shows it), and then
 *
 *     npm run kernels -- --branches
 *
 * writes the new counts; "?" stands where a reason is wanted.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Branches {
  if: number;
  br_if: number;
  br_table: number;
  select: number;
}

/** The functions of a module that has a name section; several of one name are added up. */
export function branchesOf(module: Uint8Array): Map<string, Branches> {
  const sections: { id: number; start: number; end: number }[] = [];
  for (const top = new Reader(module, 8); top.at < module.length; ) {
    const id = top.byte();
    const length = top.leb();
    sections.push({ id, start: top.at, end: top.at + length });
    top.at += length;
  }
  const imported = importedFunctions(
    module,
    sections.find(({ id }) => id === IMPORT),
  );
  const names = functionNames(module, sections);
  const code = sections.find(({ id }) => id === CODE);
  if (!code || names.size === 0) throw new Error("the module has no code, or no names");
  const found = new Map<string, Branches>();
  const reader = new Reader(module, code.start);
  const count = reader.leb();
  for (let i = 0; i < count; i++) {
    const size = reader.leb();
    const end = reader.at + size;
    const name = names.get(imported + i) ?? `function ${imported + i}`;
    const branches = found.get(name) ?? { if: 0, br_if: 0, br_table: 0, select: 0 };
    found.set(name, branches);
    for (let locals = reader.leb(); locals > 0; locals--) {
      reader.leb();
      reader.byte();
    }
    while (reader.at < end) instruction(reader, branches);
    if (reader.at !== end) throw new Error(`${name} was not understood`);
  }
  return found;
}

const [IMPORT, CODE] = [2, 10];
const KINDS = ["if", "br_if", "br_table", "select"] as const;

export interface Row extends Branches {
  name: string;
  reason: string;
}

/** What branches.txt says: a line for each function, whose counts stand in the order of KINDS. */
export function listed(repository: string): Row[] {
  return readFileSync(fileOf(repository), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name = "", counts = "", reason = ""] = /^(\S+)\s+((?:\d+ +){4})(.*)$/.exec(line) ?? [];
      const [a = 0, b = 0, c = 0, d = 0] = counts.trim().split(/ +/).map(Number);
      return { name, if: a, br_if: b, br_table: c, select: d, reason };
    });
}

/** The same of the module: of all functions in wasm/kernels that it has, and of those of OpenSSL's that are listed. */
export function found(repository: string): Row[] {
  const all = new Map<string, Branches>();
  const raw = branchesOf(readFileSync(join(repository, "node_modules/.cache/wassl-named.wasm")));
  for (const [name, branches] of raw) {
    // Several of one name: LLVM sets ".1" behind it, binaryen "_" and the function's number.
    const [, base] = /^(.+?)(?:\.\d+|_\d{3,})$/.exec(name) ?? [];
    const key = base !== undefined && (raw.has(base) || name.includes(".")) ? base : name;
    const sum = all.get(key) ?? { if: 0, br_if: 0, br_table: 0, select: 0 };
    for (const kind of KINDS) sum[kind] += branches[kind];
    all.set(key, sum);
  }
  const rows = listed(repository);
  const names = new Set([
    ...kernelFunctions(repository).filter((name) => all.has(name)),
    ...rows.map(({ name }) => name),
  ]);
  return [...names].sort().flatMap((name) => {
    const branches = all.get(name);
    return branches
      ? [{ name, ...branches, reason: rows.find((row) => row.name === name)?.reason || "?" }]
      : [];
  });
}

/** Without the provider's, which moves bytes between buffers. */
function kernelFunctions(repository: string): string[] {
  const folder = join(repository, "wasm/kernels");
  return readdirSync(folder)
    .filter((file) => !file.startsWith("provider_"))
    .flatMap((file) => [
      ...readFileSync(join(folder, file), "utf8").matchAll(/^\w[\w *()]*[ *](\w+)\([^;{}]*\)\n\{/gm),
    ])
    .map(([, name]) => name!);
}

export function renewBranches(repository: string): void {
  const head = readFileSync(fileOf(repository), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("#"));
  const rows = found(repository);
  const width = Math.max(...rows.map(({ name }) => name.length)) + 1;
  const lines = rows.map((row) => {
    const counts = KINDS.map((kind) => String(row[kind]).padStart(3)).join(" ");
    return `${row.name.padEnd(width)}${counts}   ${row.reason}`;
  });
  writeFileSync(fileOf(repository), `${[...head, ...lines].join("\n")}\n`);
  console.log(
    `${rows.length} functions, ${rows.filter(({ reason }) => reason === "?").length} without a reason`,
  );
}

const fileOf = (repository: string) => join(repository, "test/kernels/branches.txt");

function instruction(reader: Reader, branches: Branches): void {
  const opcode = reader.byte();
  switch (opcode) {
    case 0x02: // block
    case 0x03: // loop
      reader.leb();
      return;
    case 0x04:
      branches.if++;
      reader.leb();
      return;
    case 0x0c: // br
      reader.leb();
      return;
    case 0x0d:
      branches.br_if++;
      reader.leb();
      return;
    case 0x0e:
      branches.br_table++;
      for (let targets = reader.leb(); targets >= 0; targets--) reader.leb();
      return;
    case 0x10: // call
      reader.leb();
      return;
    case 0x11: // call_indirect
      reader.leb();
      reader.leb();
      return;
    case 0x1b:
      branches.select++;
      return;
    case 0x1c: // select with types
      branches.select++;
      for (let types = reader.leb(); types > 0; types--) reader.byte();
      return;
    case 0x3f: // memory.size
    case 0x40: // memory.grow
      reader.leb();
      return;
    case 0x41: // i32.const
    case 0x42: // i64.const
      reader.leb();
      return;
    case 0x43: // f32.const
      reader.at += 4;
      return;
    case 0x44: // f64.const
      reader.at += 8;
      return;
    case 0xfc:
      bulk(reader);
      return;
    case 0xfd:
      simd(reader);
      return;
  }
  if (opcode >= 0x20 && opcode <= 0x24) {
    reader.leb(); // local.get … global.set
  } else if (opcode >= 0x28 && opcode <= 0x3e) {
    reader.leb(); // loads and stores: alignment, offset
    reader.leb();
  } else if (!([0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a].includes(opcode) || (opcode >= 0x45 && opcode <= 0xc4))) {
    throw new Error(`instruction 0x${opcode.toString(16)} at ${reader.at - 1}`);
  }
}

function bulk(reader: Reader): void {
  const opcode = reader.leb();
  if (opcode <= 7) return; // saturating conversions
  // memory.init, data.drop, memory.copy, memory.fill
  const immediates = { 8: 2, 9: 1, 10: 2, 11: 1 }[opcode];
  if (immediates === undefined) throw new Error(`instruction 0xfc ${opcode}`);
  for (let i = 0; i < immediates; i++) reader.leb();
}

function simd(reader: Reader): void {
  const opcode = reader.leb();
  if (opcode <= 11 || opcode === 92 || opcode === 93) {
    reader.leb(); // loads and stores
    reader.leb();
  } else if (opcode === 12 || opcode === 13) {
    reader.at += 16; // v128.const, i8x16.shuffle
  } else if (opcode >= 21 && opcode <= 34) {
    reader.byte(); // lanes
  } else if (opcode >= 84 && opcode <= 91) {
    reader.leb(); // loads and stores of a lane
    reader.leb();
    reader.byte();
  } else if (opcode > 255) {
    throw new Error(`instruction 0xfd ${opcode}`);
  }
}

function importedFunctions(module: Uint8Array, section: { start: number } | undefined): number {
  if (!section) return 0;
  const reader = new Reader(module, section.start);
  let functions = 0;
  for (let left = reader.leb(); left > 0; left--) {
    for (let texts = 0; texts < 2; texts++) {
      const length = reader.leb();
      reader.at += length;
    }
    if (reader.byte() !== 0) throw new Error("an import that is no function");
    reader.leb();
    functions++;
  }
  return functions;
}

function functionNames(module: Uint8Array, sections: readonly { id: number; start: number; end: number }[]) {
  const names = new Map<number, string>();
  const text = (reader: Reader) => {
    const length = reader.leb();
    reader.at += length;
    return new TextDecoder().decode(module.subarray(reader.at - length, reader.at));
  };
  for (const { id, start, end } of sections) {
    const reader = new Reader(module, start);
    if (id !== 0 || text(reader) !== "name") continue;
    while (reader.at < end) {
      const kind = reader.byte();
      const size = reader.leb();
      const after = reader.at + size;
      if (kind === 1) {
        for (let left = reader.leb(); left > 0; left--) {
          const index = reader.leb();
          names.set(index, text(reader));
        }
      }
      reader.at = after;
    }
  }
  return names;
}

class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  byte(): number {
    return this.#bytes[this.at++]!;
  }

  /** LEB128; of a signed number its bits, which are not used. */
  leb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }
}
