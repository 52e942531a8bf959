/** ASN.1 as a tree (X.690): read, written, and changed in ways that each break another assumption of a parser. */
import { integerContent, join, lengthOf, octetsOf, oidContent } from "../der.ts";
import type { Dice } from "./dice.ts";

export interface Der {
  /** The identifier octets. */
  tag: Uint8Array;
  /** What is in it: elements, or bytes. An OCTET STRING or BIT STRING that holds elements has them as `kids`. */
  kids?: Der[];
  bytes?: Uint8Array;
  /** Of a BIT STRING with `kids`: the octet that counts unused bits. */
  unusedBits?: boolean;
  /** How its length is told, where not as DER has it. */
  length?: { kind: "indefinite" } | { kind: "long"; octets: number } | { kind: "wrong"; by: number };
  /** No mutation changes its value: what it counts would be work, such as the rounds of a key derivation. */
  fixed?: boolean;
}

const CONSTRUCTED = 0x20;

// ---- making ------------------------------------------------------------------------------------------------------

const tagged = (tag: number, kids: Der[]): Der => ({ tag: Uint8Array.of(tag), kids });
const leaf = (tag: number, bytes: Uint8Array): Der => ({ tag: Uint8Array.of(tag), bytes });

export const seq = (...kids: Der[]): Der => tagged(0x30, kids);
export const set = (...kids: Der[]): Der => tagged(0x31, kids);
/** `[n]`, constructed. */
export const context = (n: number, ...kids: Der[]): Der => tagged(0xa0 | n, kids);
/** `[n]`, primitive. */
export const implicit = (n: number, bytes: Uint8Array): Der => leaf(0x80 | n, bytes);
export const octets = (bytes: Uint8Array): Der => leaf(4, bytes);
/** An OCTET STRING that holds elements. */
export const wrapped = (...kids: Der[]): Der => tagged(4, kids);
export const bits = (bytes: Uint8Array): Der => leaf(3, join(Uint8Array.of(0), bytes));
export const nul = (): Der => leaf(5, new Uint8Array(0));
export const bool = (value: boolean): Der => leaf(1, Uint8Array.of(value ? 0xff : 0));
export const text = (value: string, tag = 12): Der => leaf(tag, new TextEncoder().encode(value));
export const enumerated = (value: number): Der => leaf(10, Uint8Array.of(value));

export const int = (value: number | bigint | Uint8Array): Der => leaf(2, integerContent(value));
export const oid = (dotted: string): Der => leaf(6, oidContent(dotted));

// ---- reading -----------------------------------------------------------------------------------------------------

/** All elements of `bytes`, or undefined if it is something else. Takes BER too. */
export function parseAll(bytes: Uint8Array, depth = 0): Der[] | undefined {
  const list: Der[] = [];
  for (let at = 0; at < bytes.length; ) {
    const found = parseOne(bytes, at, depth);
    if (!found) return undefined;
    list.push(found.node);
    at = found.end;
  }
  return list;
}

/** One element, and nothing behind it. */
export function parse(bytes: Uint8Array): Der | undefined {
  const all = parseAll(bytes);
  return all?.length === 1 ? all[0] : undefined;
}

/** The first element, whatever is behind it. */
export function parseFirst(bytes: Uint8Array): Der | undefined {
  return parseOne(bytes, 0, 0)?.node;
}

function parseOne(bytes: Uint8Array, at: number, depth: number): { node: Der; end: number } | undefined {
  if (depth > 60) return undefined;
  const begin = at;
  const first = bytes[at++];
  if (first === undefined) return undefined;
  if ((first & 0x1f) === 0x1f) while ((bytes[at++] ?? 0) & 0x80);
  const tag = bytes.slice(begin, at);
  let length = bytes[at++];
  if (length === undefined) return undefined;
  if (length === 0x80) {
    if (!(first & CONSTRUCTED)) return undefined;
    const kids: Der[] = [];
    for (;;) {
      if (bytes[at] === 0 && bytes[at + 1] === 0) return { node: { tag, kids }, end: at + 2 };
      const kid = parseOne(bytes, at, depth + 1);
      if (!kid) return undefined;
      kids.push(kid.node);
      at = kid.end;
    }
  }
  if (length > 0x80) {
    const octets = length & 0x7f;
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + (bytes[at++] ?? Number.NaN);
  }
  const end = at + length;
  if (!(end <= bytes.length)) return undefined;
  const content = bytes.slice(at, end);
  if (first & CONSTRUCTED) {
    const kids = parseAll(content, depth + 1);
    return kids && { node: { tag, kids }, end };
  }
  // What is wrapped is part of the tree too.
  if ((first === 4 && content.length > 1) || (first === 3 && content[0] === 0 && content.length > 2)) {
    const kids = parseAll(first === 3 ? content.subarray(1) : content, depth + 1);
    if (kids && [2, 3, 4, 5, 6, 0x30, 0x31, 0xa0].includes(kids[0]!.tag[0]!))
      return { node: { tag, kids, ...(first === 3 && { unusedBits: true }) }, end };
  }
  return { node: { tag, bytes: content }, end };
}

// ---- writing -----------------------------------------------------------------------------------------------------

export function write(node: Der): Uint8Array {
  const parts: Uint8Array[] = [];
  writeTo(node, parts);
  return join(...parts.reverse());
}

/** Last part first, for a length is known behind its content; how many bytes it came to. */
function writeTo(node: Der, parts: Uint8Array[]): number {
  let size = 0;
  const put = (part: Uint8Array) => {
    parts.push(part);
    size += part.length;
  };
  if (node.length?.kind === "indefinite") put(Uint8Array.of(0, 0));
  let content = node.bytes?.length ?? 0;
  if (node.bytes) put(node.bytes);
  for (const kid of [...(node.kids ?? [])].reverse()) {
    const n = writeTo(kid, parts);
    size += n;
    content += n;
  }
  if (node.unusedBits) {
    put(Uint8Array.of(0));
    content++;
  }
  put(lengthOctets(content, node.length));
  put(node.tag);
  return size;
}

function lengthOctets(content: number, how: Der["length"]): Uint8Array {
  if (how?.kind === "indefinite") return Uint8Array.of(0x80);
  const length = Math.max(content + (how?.kind === "wrong" ? how.by : 0), 0);
  if (how?.kind !== "long") return lengthOf(length);
  const octets = octetsOf(length);
  while (octets.length < how.octets) octets.unshift(0);
  return Uint8Array.of(0x80 | octets.length, ...octets);
}

export function clone(node: Der): Der {
  return { ...node, ...(node.kids && { kids: node.kids.map(clone) }) };
}

/** As a distinguished encoder has it: definite and shortest lengths, truth as 0xff, no strings in pieces. */
export function canonical(bytes: Uint8Array): Uint8Array | undefined {
  const tree = parse(bytes);
  if (!tree) return undefined;
  for (const node of flatten(tree)) {
    if (node.tag[0] === 1 && node.bytes?.length === 1 && node.bytes[0] !== 0)
      node.bytes = Uint8Array.of(0xff);
    // Bits that are not used count for nothing.
    const unused = node.tag[0] === 3 && node.bytes ? node.bytes[0]! : 0;
    if (unused > 0 && unused < 8 && node.bytes!.length > 1) {
      node.bytes = node.bytes!.slice();
      node.bytes[node.bytes.length - 1]! &= 0xff << unused;
    }
    // A string in pieces, which may be in pieces themselves.
    if (
      node.kids &&
      node.tag[0]! < 0x40 &&
      node.tag[0]! & CONSTRUCTED &&
      ![0x30, 0x31].includes(node.tag[0]!)
    ) {
      node.tag = Uint8Array.of(node.tag[0]! ^ CONSTRUCTED);
      node.bytes = join(...flatten(node).map(({ bytes, kids }) => (kids ? new Uint8Array(0) : bytes!)));
      delete node.kids;
    }
  }
  return write(tree);
}

/** It and all that is below it. */
export function flatten(node: Der): Der[] {
  const all = [node];
  for (const each of all) if (each.kids) all.push(...each.kids);
  return all;
}

/** Of an OBJECT IDENTIFIER, whose encoding this is: the first element that begins with it. */
export function byOid(tree: Der, dotted: string): Der | undefined {
  const wanted = oid(dotted).bytes!.join();
  return flatten(tree).find(({ kids }) => kids?.[0]?.tag[0] === 6 && kids[0].bytes?.join() === wanted);
}

// ---- changing ----------------------------------------------------------------------------------------------------

/** No input is larger: a stranger sends no more at once. */
const LARGEST = 60_000;
const TAGS = [
  1, 2, 3, 4, 5, 6, 9, 10, 12, 16, 19, 20, 22, 23, 24, 28, 30, 0x30, 0x31, 0x80, 0x82, 0x86, 0xa0, 0xa1, 0xa3,
];

/** Changes `root` in place, 1 to 4 times. `pool` are elements that fit somewhere. */
export function mutate(root: Der, dice: Dice, pool: readonly Der[] = []): void {
  for (let count = 1 + dice.below(dice.chance(0.7) ? 2 : 4); count > 0; count--) once(root, dice, pool);
}

function once(root: Der, dice: Dice, pool: readonly Der[]): void {
  const all = flatten(root);
  const node = dice.pick(all);
  if (node.fixed) return;
  const parents = all.filter(({ kids }) => kids && kids.length > 0);
  // In a tree without branches no branch counts.
  const kids = parents.length > 0 ? dice.pick(parents).kids! : [node];
  const at = dice.below(kids.length);
  switch (dice.below(17)) {
    case 0:
      node.tag = dice.chance(0.8) ? Uint8Array.of(dice.pick(TAGS)) : hugeTag(dice);
      return;
    case 1:
      node.tag = Uint8Array.of(node.tag[0]! ^ dice.pick([0x20, 0x40, 0x80, 0xc0]));
      return;
    case 2:
      node.length = { kind: "indefinite" };
      if (dice.chance(0.7)) node.tag = Uint8Array.of(node.tag[0]! | CONSTRUCTED, ...node.tag.slice(1));
      return;
    case 3:
      node.length = { kind: "long", octets: dice.pick([1, 2, 3, 4, 5, 8, 9, 126]) };
      return;
    case 4:
      node.length = {
        kind: "wrong",
        by: dice.pick([-2, -1, 1, 2, 127, 128, 0xffff, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52]),
      };
      return;
    case 5:
      kids.splice(at, 1);
      return;
    case 6:
      kids.splice(at, 0, clone(kids[at]!));
      return;
    case 7:
      repeat(kids, at, dice);
      return;
    case 8:
      [kids[0], kids[at]] = [kids[at]!, kids[0]!];
      return;
    case 9: {
      // A piece of the same tree, or of another, in this place.
      const other = clone(dice.pick(pool.length > 0 && dice.chance(0.7) ? pool : all));
      if (write(other).length < 8_192) kids.splice(at, dice.below(2), other);
      return;
    }
    case 10:
      if (pool.length > 0) kids.push(clone(dice.pick(pool)));
      return;
    case 11:
      nest(node, dice);
      return;
    case 12:
      // Elements that become bytes, and change as such.
      if (node.kids && write(node).length < 8_192) {
        node.bytes = dice.garble(join(...node.kids.map(write)));
        delete node.kids;
        return;
      }
      changeValue(node, dice);
      return;
    default:
      changeValue(node, dice);
  }
}

function changeValue(node: Der, dice: Dice): void {
  if (!node.bytes) {
    if (dice.chance(0.2)) node.kids = [];
    return;
  }
  const { bytes } = node;
  const huge = () => dice.pick([0x80, 0xff, 0x7f, 0x81, 0]);
  switch (node.tag[0]) {
    case 1:
      node.bytes = dice.pick([
        Uint8Array.of(0),
        Uint8Array.of(0xff),
        Uint8Array.of(1),
        new Uint8Array(0),
        dice.bytes(2),
      ]);
      return;
    case 2:
    case 10:
      if (dice.chance(0.3))
        node.bytes = new Uint8Array(dice.pick([0, 1, 8, 20, 21, 4_096, 16_384])).fill(huge());
      else if (dice.chance(0.5)) node.bytes = dice.border(dice.pick([1, 2, 4, 5, 8, 9]));
      else node.bytes = dice.garble(bytes);
      return;
    case 3:
      if (dice.chance(0.5) && bytes.length > 0) {
        node.bytes = bytes.slice();
        node.bytes[0] = dice.pick([1, 7, 8, 0xff]);
      } else node.bytes = dice.garble(bytes);
      return;
    case 6:
      if (dice.chance(0.3))
        node.bytes = new Uint8Array(dice.pick([0, 1, 10, 200, 4_096, 30_000])).fill(huge());
      else if (dice.chance(0.31)) node.bytes = join(bytes, Uint8Array.of(0x80));
      else node.bytes = dice.garble(bytes);
      return;
    case 0x17:
    case 0x18:
      node.bytes = new TextEncoder().encode(
        dice.pick([
          "",
          "Z",
          "991332000000Z",
          "20491231235959Z",
          "00000101000000Z",
          "99991231235959Z",
          "200101000000+0000",
          "20200101000000.5Z",
          "2001010000Z",
          "-10101000000Z",
          "500101000000Z",
          "20200230000000Z",
          "200101000000Z\0",
        ]),
      );
      return;
    default:
      if (dice.chance(0.2))
        node.bytes = join(bytes.subarray(0, dice.below(bytes.length + 1)), Uint8Array.of(0), bytes);
      else if (dice.chance(0.25))
        node.bytes = new Uint8Array(dice.size(30_000)).fill(dice.pick([0, 0x41, 0x80, 0xff, 0x2e]));
      else if (dice.chance(0.1))
        node.tag = Uint8Array.of(dice.pick([12, 19, 20, 22, 26, 28, 30, 0x80, 0x82, 0x86, 0x87]));
      else node.bytes = dice.garble(bytes);
  }
}

/** Many of the same: what takes quadratic time shows. */
function repeat(kids: Der[], at: number, dice: Dice): void {
  const kid = kids[at]!;
  const each = Math.max(write(kid).length, 2);
  const count = Math.min(dice.pick([3, 20, 200, 2_000, 20_000]), Math.floor(LARGEST / each));
  const copies = Array.from({ length: count }, () => clone(kid));
  // Each a little different, so that nothing is found at once.
  if (kid.bytes && kid.bytes.length >= 2 && dice.chance(0.6)) {
    for (const [i] of copies.entries()) {
      const bytes = kid.bytes.slice();
      bytes[bytes.length - 1] = i & 0x7f;
      bytes[bytes.length - 2] = (i >> 7) & 0x7f;
      copies[i] = { ...kid, bytes };
    }
  }
  kids.splice(at, 0, ...copies);
}

function nest(node: Der, dice: Dice): void {
  const depth = dice.pick([2, 31, 33, 200, 600, 1_200]);
  const inner = { ...node };
  const tag = Uint8Array.of(dice.pick([0x30, 0x31, 0x24, 0xa0, node.tag[0]! | CONSTRUCTED]));
  const indefinite = dice.chance(0.4);
  let outer: Der = inner;
  for (let i = 0; i < depth; i++) {
    outer = { tag, kids: [outer], ...(indefinite && { length: { kind: "indefinite" as const } }) };
  }
  for (const name of ["bytes", "length", "unusedBits"] as const) delete node[name];
  Object.assign(node, outer);
}

function hugeTag(dice: Dice): Uint8Array {
  return Uint8Array.of(
    dice.pick([0x1f, 0x3f, 0xbf]),
    ...Array.from({ length: dice.pick([0, 1, 4, 5, 9]) }, () => 0xff),
    dice.below(128),
  );
}
