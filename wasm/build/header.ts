/**
 * Reads wasm/abi/abi.h, and makes src/binding/abi.ts of it: what TypeScript calls, with the header's words as types and
 * its comments as documentation. What is not written as described here is refused, so that nothing has to be guessed:
 *
 * - A comment of one line, `---- file.c: title ----`, begins a section: the functions that are defined in that file of
 *   wasm/abi.
 * - A function is one line, `RESULT wassl_name(TYPE name, …);` with a name for each parameter, five at most (loader.ts
 *   hands on no more). A pointer result has a word in front, OWNED or BORROWED. Whatever is OWNED has a function that
 *   frees it.
 * - A comment right above a function or a constant is about it. A comment that an empty line follows is about those
 *   that come.
 * - `#define WASSL_NAME number` is a constant.
 */

/** From the root of the project. */
export const HEADER = "wasm/abi/abi.h";
export const GENERATED = "src/binding/abi.ts";
/** Of biome.json. */
const LINE = 110;

export interface Parameter {
  readonly name: string;
  /** In TypeScript. */
  readonly type: string;
}

export interface Declaration {
  readonly name: string;
  /** The file of wasm/abi that defines it. */
  readonly file: string;
  readonly parameters: readonly Parameter[];
  readonly result: string;
}

/** C types that are no pointers, in TypeScript. */
const SCALARS: Readonly<Record<string, string>> = {
  int: "number",
  unsigned: "number",
  "unsigned long": "number",
  size_t: "number",
  uint32_t: "number",
  uint64_t: "bigint",
  double: "number",
  wassl_ok: "Ok",
  wassl_bool: "Bool",
  wassl_count: "Count",
};
/** What such pointers point at is bytes. */
const BYTES = /^(void|uint8_t|uint16_t)$/;
/** A type of OpenSSL's or ours, behind a pointer. */
const OBJECT = /^([A-Z][A-Z0-9_]+|STACK_OF\([A-Z0-9_]+\)|wassl_[a-z]+)$/;
const RESERVED = /^(in|new|function|delete|default|export|var|with|this|typeof|arguments|eval|class|enum)$/;

/** What stands at one place of the header. */
export class AbiError extends Error {
  constructor(line: number, what: string) {
    super(`${HEADER}:${line}: ${what}`);
    this.name = "AbiError";
  }
}

type Item =
  | { kind: "section"; file: string; title: string }
  | { kind: "comment"; text: string[] }
  | { kind: "constant"; name: string; value: number; doc: string[] }
  | { kind: "function"; declaration: Declaration; doc: string[] }
  | { kind: "gap" };

/** All that the header declares, in its order. */
export function parse(header: string): Item[] {
  const items: Item[] = [];
  const lines = header.split("\n");
  let comment: string[] | undefined;
  let file: string | undefined;
  const owned = new Map<string, number>();
  const freed = new Set<string>();
  const names = new Set<string>();

  const claim = (name: string, at: number) => {
    if (names.has(name)) throw new AbiError(at, `${name} is declared twice`);
    names.add(name);
  };
  const takeComment = () => {
    const doc = comment ?? [];
    comment = undefined;
    return doc;
  };

  for (let i = 0; i < lines.length; i++) {
    const at = i + 1;
    const line = lines[i]!;
    if (line === "") {
      if (comment && file) items.push({ kind: "comment", text: takeComment() });
      comment = undefined;
      if (file && items.at(-1)?.kind !== "gap") items.push({ kind: "gap" });
      continue;
    }
    const section = /^\/\* ---- (\w+\.c): (.*?) -+ \*\/$/.exec(line);
    if (section) {
      file = section[1]!;
      items.push({ kind: "section", file, title: section[2]! });
      continue;
    }
    if (line.startsWith("/*")) {
      if (comment) throw new AbiError(at, "a comment right below another one");
      const begin = i;
      while (!lines[i]!.endsWith("*/")) {
        if (++i === lines.length) throw new AbiError(at, "a comment without an end");
        if (!/^ \*( |$|\/)/.test(lines[i]!))
          throw new AbiError(i + 1, "a line of a comment begins with ' * '");
      }
      comment = textOf(lines.slice(begin, i + 1));
      continue;
    }
    // What stands before the first section is for the compiler.
    if (!file) {
      if (/\bwassl_\w+\(/.test(line)) throw new AbiError(at, "a function before the first section");
      comment = undefined;
      continue;
    }
    const constant = /^#define (WASSL_[A-Z0-9_]+) (\d+)$/.exec(line);
    if (constant) {
      claim(constant[1]!, at);
      items.push({ kind: "constant", name: constant[1]!, value: Number(constant[2]), doc: takeComment() });
      continue;
    }
    if (line === "#endif" && i === lines.length - 2) break;
    const { declaration, gives, takes } = parseFunction(line, at, file);
    claim(declaration.name, at);
    for (const type of gives) if (!owned.has(type)) owned.set(type, at);
    for (const type of takes) if (declaration.name.endsWith("_free")) freed.add(type);
    items.push({ kind: "function", declaration, doc: takeComment() });
  }
  for (const [type, at] of owned) if (!freed.has(type)) throw new AbiError(at, `no function frees a ${type}`);
  return items;
}

export function declarations(header: string): Declaration[] {
  return parse(header).flatMap((item) => (item.kind === "function" ? [item.declaration] : []));
}

/** The lines of a comment without what makes it one. */
function textOf(lines: readonly string[]): string[] {
  const text = lines.map((line) =>
    line
      .replace(/^\/\*+ ?/, "")
      .replace(/^ \*(?!\/) ?/, "")
      .replace(/ ?\*\/$/, "")
      .trimEnd(),
  );
  return text.filter((line, i) => line !== "" || (i > 0 && i < text.length - 1));
}

function parseFunction(line: string, at: number, file: string) {
  const refuse = (what: string): never => {
    throw new AbiError(at, what);
  };
  const [, before = "", name = "", inside = ""] =
    /^([A-Za-z].*?[ *])(wassl_\w+)\((.*)\);$/.exec(line) ?? refuse(`this is no declaration: ${line}`);
  const gives: string[] = [];
  const takes: string[] = [];

  const result = (): string => {
    const { words, type, pointer } = split(before, ["OWNED", "BORROWED", "NEVER_NULL"], refuse);
    if (!pointer) {
      if (words.length > 0) refuse(`${words.join(" ")} before a result that is no pointer`);
      if (type === "void") return "void";
      return SCALARS[type] ?? refuse(`the type ${type} is unknown`);
    }
    if (words.includes("OWNED") === words.includes("BORROWED")) {
      refuse("a pointer result needs one of OWNED and BORROWED");
    }
    const target = pointee(type, refuse);
    if (words.includes("OWNED")) gives.push(target);
    const typed = `${words.includes("OWNED") ? "Owned" : "Borrowed"}<"${target}">`;
    return words.includes("NEVER_NULL") ? typed : `${typed} | 0`;
  };

  const parameter = (text: string): Parameter => {
    const [, rest = "", own = "", array] =
      /^(.*?[ *])([a-z]\w*)(\[\d+\])?$/.exec(text) ?? refuse(`a parameter without a name: ${text}`);
    const camel = own.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (RESERVED.test(camel)) refuse(`a parameter must not be called ${own}`);
    const { words, type, pointer } = split(rest, ["OWNED", "OR_NULL", "OUT"], refuse);
    const has = (word: string) => words.includes(word);
    if (has("OUT")) {
      // `TYPE *out[2]` and `TYPE **out` are where pointers are put, `unsigned *out` a number.
      const target =
        array !== undefined ? type : type.endsWith("*") ? type.slice(0, -1).trimEnd() : undefined;
      if (!pointer) refuse("OUT before no pointer");
      if (target === undefined) {
        if (SCALARS[type] !== "number" || words.length > 1)
          refuse(`${words.join(" ")} ${type} *: no number, and no pointer`);
        return { name: camel, type: "Out<number>" };
      }
      const put = pointee(target, refuse);
      if (has("OWNED")) gives.push(put);
      const typed = `${has("OWNED") ? "Owned" : "Borrowed"}<"${put}">`;
      return { name: camel, type: has("OR_NULL") ? `Out<${typed} | 0>` : `Out<${typed}>` };
    }
    if (array !== undefined) refuse("an array that is not OUT");
    if (!pointer) {
      if (words.length > 0) refuse(`${words.join(" ")} before a parameter that is no pointer`);
      return { name: camel, type: SCALARS[type] ?? refuse(`the type ${type} is unknown`) };
    }
    const target = pointee(type, refuse);
    if (has("OWNED")) takes.push(target);
    const typed = `${has("OWNED") ? "Owned" : "Borrowed"}<"${target}">`;
    return { name: camel, type: has("OR_NULL") ? `${typed} | 0` : typed };
  };

  const parameters = inside === "void" ? [] : inside.split(", ").map(parameter);
  if (parameters.length > 5) refuse("more than five parameters: see loader.ts");
  if (new Set(parameters.map((each) => each.name)).size < parameters.length)
    refuse("two parameters of one name");
  return { declaration: { name, file, parameters, result: result() }, gives, takes };
}

/** "OWNED const SSL *" → its words, the type and whether it is a pointer; of two stars one stays with the type. */
function split(text: string, words: readonly string[], refuse: (what: string) => never) {
  const parts = text.trim().split(/ +/);
  const found: string[] = [];
  while (/^(OWNED|BORROWED|OR_NULL|NEVER_NULL|OUT)$/.test(parts[0] ?? "")) {
    const word = parts.shift()!;
    if (!words.includes(word) || found.includes(word)) refuse(`${word} has no meaning here`);
    found.push(word);
  }
  const type = parts.join(" ");
  const pointer = type.endsWith("*");
  return { words: found, type: pointer ? type.slice(0, -1).trimEnd() : type, pointer };
}

/** What a pointer points at, as the types name it. */
function pointee(type: string, refuse: (what: string) => never): string {
  const plain = type.replace(/^const /, "");
  if (plain === "char") return type === "char" ? "bytes" : "text";
  if (BYTES.test(plain)) return "bytes";
  if (OBJECT.test(plain)) return plain;
  return refuse(`what ${type} * points at is unknown`);
}

/** The text of src/binding/abi.ts. */
export function generate(header: string): string {
  const items = parse(header);
  const out = [
    `/** Generated from ${HEADER} by "npm run abi": change it there. What the types mean is said in pointers.ts. */`,
    'import type { Bool, Borrowed, Count, Ok, Out, Owned } from "./pointers.js";',
    "",
    `/** What openssl.wasm exports, as ${HEADER} declares it. */`,
    "export interface Abi {",
    "  readonly memory: WebAssembly.Memory;",
  ];
  let gap = true;
  const put = (...lines: string[]) => {
    if (gap) out.push("");
    gap = false;
    out.push(...lines);
  };
  for (const item of items) {
    switch (item.kind) {
      case "section":
        gap = true;
        put(`  // ---- ${item.file}: ${item.title}`);
        gap = true;
        break;
      case "gap":
        gap = true;
        break;
      case "comment":
        put(...item.text.map((line) => `  //${line && ` ${line}`}`));
        break;
      case "function":
        put(...documentation(item.doc, "  "), ...signature(item.declaration));
        break;
      default:
    }
  }
  out.push("}");
  for (const item of items) {
    if (item.kind !== "constant") continue;
    out.push("", ...documentation(item.doc, ""), `export const ${item.name} = ${item.value};`);
  }
  return `${out.join("\n")}\n`;
}

function documentation(doc: readonly string[], indent: string): string[] {
  if (doc.length === 0) return [];
  if (doc.length === 1) return [`${indent}/** ${doc[0]} */`];
  return [`${indent}/**`, ...doc.map((line) => `${indent} *${line && ` ${line}`}`), `${indent} */`];
}

/** As biome formats it. */
function signature({ name, parameters, result }: Declaration): string[] {
  const typed = parameters.map((each) => `${each.name}: ${each.type}`);
  const line = `  ${name}(${typed.join(", ")}): ${result};`;
  if (line.length <= LINE) return [line];
  return [`  ${name}(`, ...typed.map((each) => `    ${each},`), `  ): ${result};`];
}
