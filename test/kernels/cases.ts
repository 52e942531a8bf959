/**
 * Random cases against node:crypto, each from its own seed. Case `n` has `n % 4097` bytes of data, and `n % 16` for its
 * place modulo 16: a run of some ten thousand has each length and each alignment for each cipher.
 */
import { createCipheriv } from "node:crypto";
import { random, randomBytes } from "../helpers/random.ts";
import { type Context, ctrl, Kernels } from "./module.ts";

export const MOST = 4096;
const aeads = ["aes-128-gcm", "aes-192-gcm", "aes-256-gcm", "chacha20-poly1305"] as const;
const others = [
  "aes-128-ctr",
  "aes-256-ctr",
  "aes-128-cbc",
  "aes-256-cbc",
  "aes-192-ecb",
  "chacha20",
] as const;
/** Bytes before and after the output that must not change. */
const MARGIN = 32;

interface Dice {
  below(n: number): number;
  bytes(length: number): Uint8Array<ArrayBuffer>;
  pick<T>(from: readonly T[]): T;
}

export function diceOf(seed: number): Dice {
  const next = random(seed);
  // The first numbers of neighbouring seeds are too alike.
  for (let i = 0; i < 4; i++) next();
  const below = (n: number) => Math.floor(next() * n);
  return {
    below,
    bytes: (length) => randomBytes(length, below(2 ** 32)).slice(),
    pick: (from) => from[below(from.length)]!,
  };
}

/** One message of an AEAD: there and back, and no further once a bit is wrong. Throws when it is not so. */
export function tryAead(kernels: Kernels, n: number, seed: number): void {
  const dice = diceOf(seed);
  const name = aeads[(n >> 4) % aeads.length]!;
  const chacha = name === "chacha20-poly1305";
  const keyLength = chacha ? 32 : Number(name.split("-")[1]) / 8;
  const length = n % (MOST + 1);
  const ivLength = chacha || dice.below(4) > 0 ? 12 : 1 + dice.below(128);
  const tagLength = dice.below(4) > 0 ? 16 : chacha ? 1 + dice.below(16) : dice.pick([4, 8, 12, 13, 14, 15]);
  const message = {
    ...{ name, tagLength, key: dice.bytes(keyLength), iv: dice.bytes(ivLength) },
    aad: dice.bytes(dice.pick([0, 5, 13, dice.below(40), dice.below(600), dice.below(5000)])),
  };
  const plain = dice.bytes(length);
  const place: Place = { align: n % 16, inPlace: dice.below(2) === 0, outAlign: dice.below(16) };

  const reference = createCipheriv(name as "aes-128-gcm", message.key, message.iv, {
    authTagLength: tagLength,
  });
  reference.setAAD(message.aad, { plaintextLength: length });
  const expected = Buffer.concat([reference.update(plain), reference.final()]);
  const expectedTag = reference.getAuthTag();

  const context = kernels.newContext();
  try {
    const sealed = pass(kernels, context, dice, { ...message, encrypt: true }, plain, place);
    same(sealed.output, expected, "the ciphertext");
    same(sealed.tag!, expectedTag, "the tag");
    const open = (changed: Partial<typeof message>, data: Uint8Array, tag: Uint8Array) =>
      pass(kernels, context, dice, { ...message, ...changed, encrypt: false, tag }, data, place);
    const opened = open({}, expected, expectedTag);
    if (!opened.ok) throw new Error("what was sealed is not opened");
    same(opened.output, plain, "the plaintext");
    const what = dice.pick(["tag", "data", "aad", "iv", "key"] as const);
    const flip = (bytes: Uint8Array) => {
      const other = bytes.slice();
      if (other.length > 0) other[dice.below(other.length)]! ^= 1 << dice.below(8);
      return other;
    };
    const untouched = {
      tag: false,
      data: length === 0,
      aad: message.aad.length === 0,
      iv: false,
      key: false,
    };
    if (untouched[what]) return;
    const { ok } = open(
      what === "aad" || what === "iv" || what === "key" ? { [what]: flip(message[what]) } : {},
      what === "data" ? flip(expected) : expected,
      what === "tag" ? flip(expectedTag) : expectedTag,
    );
    // A tag of n bits is guessed once in 2^n times.
    if (ok && tagLength >= 8) throw new Error(`opened although a bit of the ${what} is wrong`);
  } finally {
    context.free();
  }
}

/** The same for what has no tag. */
export function tryCipher(kernels: Kernels, n: number, seed: number): void {
  const dice = diceOf(seed);
  const name = others[(n >> 4) % others.length]!;
  const key = dice.bytes(name === "chacha20" ? 32 : Number(name.split("-")[1]) / 8);
  const iv = dice.bytes(name.endsWith("ecb") ? 0 : 16);
  // Near the end of a counter of 32 bits, half of the time.
  if (dice.below(2) === 0 && iv.length > 0) {
    const near = new DataView(iv.buffer);
    if (name === "chacha20") near.setUint32(0, 0xffffffff - dice.below(70), true);
    else near.setUint32(12, 0xffffffff - dice.below(300));
  }
  const plain = dice.bytes(n % (MOST + 1));
  const place: Place = { align: n % 16, inPlace: dice.below(2) === 0, outAlign: dice.below(16) };
  const reference = createCipheriv(name, key, name.endsWith("ecb") ? null : iv);
  const expected = Buffer.concat([reference.update(plain), reference.final()]);
  const context = kernels.newContext();
  try {
    const message = { name, key, iv, aad: new Uint8Array(), tagLength: 0 };
    const there = pass(kernels, context, dice, { ...message, encrypt: true }, plain, place);
    same(there.output, expected, `${name}: the ciphertext`);
    const back = pass(kernels, context, dice, { ...message, encrypt: false }, expected, place);
    same(back.output, plain, `${name}: the plaintext`);
  } finally {
    context.free();
  }
}

interface Place {
  align: number;
  inPlace: boolean;
  outAlign: number;
}

interface Pass {
  name: string;
  encrypt: boolean;
  key: Uint8Array;
  iv: Uint8Array;
  aad: Uint8Array;
  /** 0: there is none. */
  tagLength: number;
  tag?: Uint8Array;
}

/** One message through EVP, cut where the dice fall; with a look at the bytes around the output. */
function pass(kernels: Kernels, context: Context, dice: Dice, p: Pass, data: Uint8Array, place: Place) {
  const must = (result: number, what: string) => {
    if (result !== 1) throw new Error(`${p.name}: ${what} fails`);
  };
  must(context.init(p.name, p.encrypt), "setting the cipher");
  if (p.tagLength > 0) {
    must(context.ctrl(ctrl.setIvLength, p.iv.length), "setting the length of the IV");
    if (p.tag) must(context.ctrl(ctrl.setTag, p.tag.length, p.tag), "setting the tag");
  }
  must(context.init(undefined, p.encrypt, p.key, p.iv), "setting key and IV");

  const at = kernels.arena + MARGIN + place.align;
  for (const [from, to] of cut(dice, p.aad.length)) {
    kernels.view(at, to - from).set(p.aad.subarray(from, to));
    if (context.update(0, at, to - from) !== to - from) throw new Error(`${p.name}: additional data fails`);
  }

  const padded = data.length + 32;
  const out = place.inPlace ? at : kernels.arena + Kernels.ROOM + MARGIN + place.outAlign;
  kernels.view(out - MARGIN, padded + 2 * MARGIN).fill(0xa5);
  kernels.view(at, data.length).set(data);
  let written = 0;
  // A cipher of blocks keeps bytes back, and in place the output would overtake the input.
  const whole = /cbc|ecb/.test(p.name) && place.inPlace;
  for (const [from, to] of whole ? [[0, data.length] as const] : cut(dice, data.length)) {
    const n = context.update(out + written, at + from, to - from);
    if (n < 0) throw new Error(`${p.name}: update fails`);
    written += n;
  }
  const last = context.final(out + written);
  const tag = p.encrypt && p.tagLength > 0 ? context.tag(p.tagLength) : undefined;
  if (last > 0) written += last;
  const output = kernels.copyOut(out, written);
  // Only what was written has changed.
  const before = kernels.view(out - MARGIN, MARGIN);
  const after = kernels.view(out + Math.max(written, place.inPlace ? data.length : 0), MARGIN);
  if (before.some((byte) => byte !== 0xa5) || after.some((byte) => byte !== 0xa5)) {
    throw new Error(`${p.name}: bytes around the output have changed`);
  }
  if (!place.inPlace) same(kernels.view(at, data.length), data, `${p.name}: the input`);
  return { ok: last >= 0, output, tag };
}

/** [from, to) of the pieces: all at once, or at a few places, or in small steps. */
function cut(dice: Dice, length: number): (readonly [number, number])[] {
  const way = dice.below(4);
  if (way === 0 || length < 2) return length > 0 ? [[0, length]] : [];
  const longest = way === 1 ? length : way === 2 ? 300 : 40;
  const pieces: (readonly [number, number])[] = [];
  for (let from = 0; from < length; ) {
    const to = Math.min(length, from + 1 + dice.below(longest));
    pieces.push([from, to]);
    from = to;
  }
  return pieces;
}

function same(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  throw new Error(
    `${what} differs from byte ${at} of ${expected.length} on: ${Buffer.from(actual.subarray(at, at + 16)).toString("hex")}`,
  );
}
