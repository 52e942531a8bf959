/** Handshake messages (RFC 8446 §4, RFC 5246 §7.4, RFC 6347 §4.2) as trees of vectors, and how they are changed. */

import { join } from "../der.ts";
import { type Der, mutate as mutateDer, parse as parseDer, write as writeDer } from "./der.ts";
import type { Dice } from "./dice.ts";

/** Bytes, or a vector with its length in `size` bytes; 0 = no length, the fields of a struct. */
export interface Field {
  bytes?: Uint8Array;
  kids?: Field[];
  size: 0 | 1 | 2 | 3;
  /** By how much its length is told wrong. */
  off?: number;
}

// ---- reading -----------------------------------------------------------------------------------------------------

class Reader {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  take(n: number): Uint8Array {
    if (n > this.left) throw new RangeError("too short");
    this.at += n;
    return this.bytes.slice(this.at - n, this.at);
  }

  number(width: number): number {
    return this.take(width).reduce((sum, byte) => sum * 256 + byte, 0);
  }
}

type Grammar = (reader: Reader) => Field;

const raw =
  (n: number): Grammar =>
  (reader) => ({ size: 0, bytes: reader.take(n) });
const rest: Grammar = (reader) => ({ size: 0, bytes: reader.take(reader.left) });
const struct =
  (...fields: Grammar[]): Grammar =>
  (reader) => ({ size: 0, kids: fields.map((field) => field(reader)) });
/** A vector of as many as fit; bytes if there is no grammar. */
const vector =
  (size: 1 | 2 | 3, item?: Grammar): Grammar =>
  (reader) => {
    const bytes = reader.take(reader.number(size));
    if (!item) return { size, bytes };
    const inner = new Reader(bytes);
    const kids: Field[] = [];
    try {
      while (inner.left > 0) kids.push(item(inner));
    } catch {
      return { size, bytes };
    }
    return { size, kids };
  };
const optional =
  (grammar: Grammar): Grammar =>
  (reader) =>
    reader.left > 0 ? grammar(reader) : { size: 0, kids: [] };

const u8 = raw(1);
const u16 = raw(2);
const share = struct(u16, vector(2));

/** What is in an extension: of a ClientHello, where others have something else. */
const EXTENSIONS: Readonly<Record<number, Grammar>> = {
  0: vector(2, struct(u8, vector(2))),
  5: struct(u8, vector(2), vector(2)),
  10: vector(2, u16),
  11: vector(1, u8),
  13: vector(2, u16),
  16: vector(2, vector(1)),
  41: struct(vector(2, struct(vector(2), raw(4))), vector(2, vector(1))),
  43: vector(1, u16),
  44: vector(2),
  45: vector(1, u8),
  47: vector(2, vector(2)),
  48: vector(2, struct(vector(1), vector(2))),
  50: vector(2, u16),
  51: vector(2, share),
  65281: vector(1),
};

const extension: Grammar = (reader) => {
  const type = reader.take(2);
  const body = reader.take(reader.number(2));
  const grammar = EXTENSIONS[(type[0]! << 8) | type[1]!];
  const inner = new Reader(body);
  let kid: Field = { size: 0, bytes: body };
  try {
    const parsed = grammar?.(inner);
    if (parsed && inner.left === 0) kid = parsed;
  } catch {
    // Of a message where this extension says something else.
  }
  return {
    size: 0,
    kids: [
      { size: 0, bytes: type },
      { size: 2, kids: [kid] },
    ],
  };
};
const extensions = vector(2, extension);

const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
const TICKET = 4;
const CERTIFICATE = 11;

export const NAMES: Readonly<Record<number, string>> = {
  0: "HelloRequest",
  1: "ClientHello",
  2: "ServerHello",
  3: "HelloVerifyRequest",
  4: "NewSessionTicket",
  5: "EndOfEarlyData",
  8: "EncryptedExtensions",
  11: "Certificate",
  12: "ServerKeyExchange",
  13: "CertificateRequest",
  14: "ServerHelloDone",
  15: "CertificateVerify",
  16: "ClientKeyExchange",
  20: "Finished",
  22: "CertificateStatus",
  24: "KeyUpdate",
};

function grammarOf(type: number, tls13: boolean, dtls: boolean): Grammar {
  switch (type) {
    case CLIENT_HELLO:
      return struct(
        u16,
        raw(32),
        vector(1),
        ...(dtls ? [vector(1)] : []),
        vector(2, u16),
        vector(1, u8),
        optional(extensions),
      );
    case SERVER_HELLO:
      return struct(u16, raw(32), vector(1), u16, u8, optional(extensions));
    case 3:
      return struct(u16, vector(1));
    case TICKET:
      return tls13 ? struct(raw(4), raw(4), vector(1), vector(2), extensions) : struct(raw(4), vector(2));
    case 8:
      return extensions;
    case CERTIFICATE:
      return tls13 ? struct(vector(1), vector(3, struct(vector(3), extensions))) : vector(3, vector(3));
    case 12:
      return struct(u8, u16, vector(1), u16, vector(2));
    case 13:
      return tls13
        ? struct(vector(1), extensions)
        : struct(vector(1, u8), vector(2, u16), vector(2, vector(2)));
    case 15:
      return struct(u16, vector(2));
    case 16:
      return vector(1);
    case 22:
      return struct(u8, vector(3));
    case 24:
      return u8;
    default:
      return rest;
  }
}

export function parseMessage(type: number, body: Uint8Array, tls13: boolean, dtls = false): Field {
  const reader = new Reader(body);
  try {
    const field = struct(grammarOf(type, tls13, dtls), rest)(reader);
    return field;
  } catch {
    return { size: 0, bytes: body };
  }
}

export function writeField({ size, bytes, kids, off = 0 }: Field): Uint8Array {
  const content = bytes ?? join(...(kids ?? []).map(writeField));
  if (size === 0) return content;
  const length = Math.min(Math.max(content.length + off, 0), 256 ** size - 1);
  return join(bigEndian(length, size), content);
}

export function bigEndian(value: number, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** (width - 1 - i)) % 256);
}

// ---- changing ----------------------------------------------------------------------------------------------------

function flatten(field: Field): Field[] {
  const all = [field];
  for (const each of all) if (each.kids) all.push(...each.kids);
  return all;
}

const clone = (field: Field): Field => ({ ...field, ...(field.kids && { kids: field.kids.map(clone) }) });

/** No message is larger. */
const LARGEST = 60_000;

/** What `sign` does to a certificate whose tree was changed: a CA of the test signs it again. */
export function mutateMessage(root: Field, dice: Dice, sign: (tree: Der) => void): void {
  for (let count = 1 + dice.below(3); count > 0; count--) once(root, dice, sign);
}

function once(root: Field, dice: Dice, sign: (tree: Der) => void): void {
  const all = flatten(root);
  const vectors = all.filter(({ size }) => size > 0);
  const parents = all.filter(({ kids }) => kids && kids.length > 0);
  const field = dice.pick(all);
  // In a message without parts no part counts.
  const kids = parents.length > 0 ? dice.pick(parents).kids! : [field];
  const at = dice.below(kids.length);
  switch (dice.below(12)) {
    case 0:
    case 1:
      if (vectors.length > 0) dice.pick(vectors).off = dice.pick([-1, 1, -2, 2, -1, 1, 255, 65_535, -65_535]);
      return;
    case 2:
      kids.splice(at, 1);
      return;
    case 3:
      kids.splice(dice.below(kids.length + 1), 0, clone(kids[at]!));
      return;
    case 4:
      kids.splice(dice.below(kids.length), 0, ...kids.splice(at, 1));
      return;
    case 5:
      {
        const kid = kids[at]!;
        const count = Math.min(
          dice.pick([2, 20, 1_000, 20_000]),
          Math.floor(LARGEST / Math.max(writeField(kid).length, 1)),
        );
        if (kid.kids || (kid.bytes?.length ?? 0) > 0)
          kids.splice(at, 0, ...Array.from({ length: count }, () => clone(kid)));
      }
      return;
    case 6:
      kids.push(madeExtension(dice));
      return;
    case 7:
      // One's content in another's place.
      if (field.size > 0) Object.assign(field, clone(dice.pick(all)), { size: field.size });
      return;
    case 8: {
      const certificate = all.find(({ bytes }) => bytes && bytes.length > 200 && bytes[0] === 0x30);
      const tree = certificate?.bytes && parseDer(certificate.bytes);
      if (tree) {
        mutateDer(tree.kids![0]!, dice);
        if (dice.chance(0.8)) sign(tree);
        certificate.bytes = writeDer(tree);
        return;
      }
      changeBytes(field, dice);
      return;
    }
    default:
      changeBytes(field, dice);
  }
}

function changeBytes(field: Field, dice: Dice): void {
  if (!field.bytes) {
    if (dice.chance(0.3)) field.kids = [];
    return;
  }
  if (field.size === 0 && field.bytes.length <= 4) {
    field.bytes = dice.chance(0.5) ? dice.border(field.bytes.length) : dice.bytes(field.bytes.length);
  } else if (dice.chance(0.2)) {
    field.bytes = new Uint8Array(dice.size(LARGEST)).fill(dice.pick([0, 1, 0x41, 0xff]));
  } else {
    field.bytes = dice.garble(field.bytes);
  }
}

/** Of a type that is known, unknown, or grease, with something in it that may fit. */
function madeExtension(dice: Dice): Field {
  const type = dice.chance(0.8)
    ? dice.pick([...Object.keys(EXTENSIONS).map(Number), 1, 17, 18, 21, 22, 23, 27, 28, 35, 42, 49, 57])
    : dice.pick([0x0a0a, 0xfafa, 0xffff, 0x3374]);
  const list = (size: 1 | 2) => ({ size, bytes: dice.bytes(dice.size(40) * size) });
  const body: Field = dice.pick([
    { size: 0 as const, bytes: new Uint8Array(0) },
    { size: 0 as const, bytes: dice.bytes(dice.size(300)) },
    list(1),
    list(2),
    { size: 2 as const, kids: [list(1), list(1)] },
    { size: 2 as const, kids: [{ size: 0 as const, bytes: Uint8Array.of(0, 29) }, list(2)] },
  ]);
  return {
    size: 0,
    kids: [
      { size: 0, bytes: bigEndian(type, 2) },
      { size: 2, kids: [body] },
    ],
  };
}
