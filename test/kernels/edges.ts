/** What random messages hardly ever meet. Each throws when it is not as it should be. */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { diceOf } from "./cases.ts";
import { type Context, ctrl, Kernels } from "./module.ts";
import type { Twins } from "./sequences.ts";
import { poly1305 } from "./vectors.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function same(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (hex(actual) !== hex(expected)) throw new Error(`${what}: ${hex(actual)}, not ${hex(expected)}`);
}

/** Poly1305 with keys and data of words where carries run through: all zeros, all ones, next to a multiple of p. */
export function tryPoly1305({ kernels, plain }: Twins, _n: number, seed: number): void {
  const dice = diceOf(seed);
  const word = () =>
    dice.pick([0, 1, 2, 4, 5, 0xfffffffa, 0xfffffffb, 0xfffffffc, 0xffffffff, dice.below(2 ** 32)]);
  const bytes = (length: number) => {
    const words = Uint32Array.from({ length: Math.ceil(length / 4) }, word);
    return new Uint8Array(words.buffer, 0, length);
  };
  const key = bytes(32);
  const data = bytes(dice.below(200));
  const piece = 1 + dice.below(100);
  same(poly1305(kernels, key, data, piece), poly1305(plain, key, data), `Poly1305 ${hex(key)} ${hex(data)}`);
}

/** GF(2^128) as GHASH has it: the most significant bit is the coefficient of x^0. */
function multiply(x: bigint, y: bigint): bigint {
  let product = 0n;
  for (let i = 127n; i >= 0n; i--) {
    if ((x >> i) & 1n) product ^= y;
    y = (y >> 1n) ^ (y & 1n ? 0xe1n << 120n : 0n);
  }
  return product;
}

/** Its power of 2^128 - 2. */
function inverse(x: bigint): bigint {
  let result = 1n << 127n;
  for (let i = 1; i < 128; i++) {
    x = multiply(x, x);
    result = multiply(result, x);
  }
  return result;
}

/** AES-GCM where the counter of 32 bits begins anew within the message, which takes an IV made for it. */
export function tryCounter(kernels: Kernels, n: number, seed: number): void {
  const dice = diceOf(seed);
  const bits = dice.pick([128, 192, 256] as const);
  const key = dice.bytes(bits / 8);
  const block = createCipheriv(`aes-${bits}-ecb`, key, null).update(new Uint8Array(16));
  const h = inverse(BigInt(`0x${block.toString("hex")}`));
  const first = dice.bytes(16);
  new DataView(first.buffer).setUint32(12, 0xffffffff - (n % 40));
  // J0 = (IV·H + 128)·H for an IV of 128 bits.
  const iv = multiply(multiply(BigInt(`0x${hex(first)}`), h) ^ 128n, h);
  const nonce = Buffer.from(iv.toString(16).padStart(32, "0"), "hex");
  const data = dice.bytes(1000);
  const reference = createCipheriv(`aes-${bits}-gcm`, key, nonce);
  const expected = Buffer.concat([reference.update(data), reference.final(), reference.getAuthTag()]);
  const name = `aes-${bits}-gcm`;
  same(seal(kernels, name, key, nonce, data), expected, `${name}, counter ${hex(first)}`);
}

function seal(kernels: Kernels, name: string, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Buffer {
  return withContext(kernels, (context) => {
    context.init(name, true);
    context.ctrl(ctrl.setIvLength, iv.length);
    context.init(undefined, true, key, iv);
    kernels.view(kernels.arena, data.length).set(data);
    context.update(kernels.arena, kernels.arena, data.length);
    const text = kernels.copyOut(kernels.arena, data.length);
    context.final(kernels.arena);
    return Buffer.concat([text, context.tag(16)!]);
  });
}

export function withContext<T>(kernels: Kernels, use: (context: Context) => T): T {
  const context = kernels.newContext();
  try {
    return use(context);
  } finally {
    context.free();
  }
}

/** One long message in long pieces: more blocks than 16 bits can count. */
export function tryLong(kernels: Kernels, name: "aes-256-gcm" | "chacha20-poly1305", seed: number): void {
  const dice = diceOf(seed);
  const key = dice.bytes(32);
  const iv = dice.bytes(12);
  const piece = dice.bytes(Kernels.ROOM - 5);
  const reference = createCipheriv(name as "aes-256-gcm", key, iv);
  withContext(kernels, (context) => {
    context.init(name, true, key, iv);
    for (let i = 0; i < 9; i++) {
      kernels.view(kernels.arena, piece.length).set(piece);
      if (context.update(kernels.arena, kernels.arena, piece.length) !== piece.length)
        throw new Error("update fails");
      const expected = reference.update(piece);
      if (Buffer.compare(kernels.view(kernels.arena, piece.length), expected) !== 0) {
        throw new Error(`${name}: piece ${i} of ${piece.length} bytes`);
      }
    }
    context.final(kernels.arena);
    reference.final();
    same(context.tag(16)!, reference.getAuthTag(), `${name}: the tag`);
  });
}

/** A record of TLS 1.2 whose explicit nonce the provider makes up (RFC 5288), opened by node:crypto. */
export function tryRecord(kernels: Kernels, n: number, seed: number): void {
  const dice = diceOf(seed);
  const key = dice.bytes(16);
  const salt = dice.bytes(4);
  const length = n % 1500;
  const data = dice.bytes(length);
  const aad = dice.bytes(13);
  new DataView(aad.buffer).setUint16(11, length + 8);
  const nonces = new Set<string>();
  withContext(kernels, (context) => {
    context.init("aes-128-gcm", true, key);
    context.ctrl(ctrl.setIvFixed, 4, salt);
    for (let i = 0; i < 3; i++) {
      context.ctrl(ctrl.tls1Aad, 13, aad);
      kernels.view(kernels.arena + 8, length).set(data);
      if (context.record(kernels.arena, length + 24) !== length + 24) throw new Error("the record fails");
      const record = kernels.copyOut(kernels.arena, length + 24);
      nonces.add(hex(record.subarray(0, 8)));
      const reference = createDecipheriv("aes-128-gcm", key, Buffer.concat([salt, record.subarray(0, 8)]));
      const header = Uint8Array.from(aad);
      new DataView(header.buffer).setUint16(11, length);
      reference.setAAD(header);
      reference.setAuthTag(record.subarray(length + 8));
      const opened = Buffer.concat([reference.update(record.subarray(8, length + 8)), reference.final()]);
      same(opened, data, "the record");
    }
  });
  if (nonces.size !== 3) throw new Error(`nonces were used twice: ${[...nonces]}`);
}
