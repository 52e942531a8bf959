/** Montgomery multiplication and what is made of it. Each throws when it is not as it should be. */
import { diceOf } from "./cases.ts";
import type { Kernels } from "./module.ts";
import type { Twins } from "./sequences.ts";

type Dice = ReturnType<typeof diceOf>;

/** The words that a number may have; shorter and longer ones are left to OpenSSL's C. */
const LEAST = 6;
const MOST = 128;
/** Bytes around the result that must not change. */
const MARGIN = 64;

const toBytes = (x: bigint, num: number) =>
  Buffer.from(x.toString(16).padStart(16 * num, "0"), "hex").reverse();
const toNumber = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);

/** A number of so many words: of chance, and of runs of ones and of zeros, where carries run through. */
function numberOf(dice: Dice, num: number): bigint {
  const bytes = dice.bytes(8 * num);
  for (let i = 0; i < bytes.length; ) {
    const end = i + 1 + dice.below(40);
    const fill = dice.pick([0, 0xff, undefined]);
    if (fill !== undefined) bytes.fill(fill, i, end);
    i = end;
  }
  return toNumber(dice.below(2) === 0 ? bytes : dice.bytes(8 * num));
}

function modulusOf(dice: Dice, num: number): bigint {
  const bits = BigInt(64 * num);
  const whole = 1n << bits;
  const small = BigInt(dice.below(2 ** 20));
  const n = dice.pick([
    () => numberOf(dice, num),
    () => numberOf(dice, num) | (whole >> 1n),
    () => whole - 1n - small,
    () => (whole >> 1n) + small,
    () => (whole >> 64n) + small,
    () => whole - (1n << BigInt(1 + dice.below(64 * num - 1))) - 1n,
  ])();
  return n | 1n | (1n << (bits - 64n));
}

const below = (dice: Dice, n: bigint, num: number) =>
  dice.pick([() => 0n, () => 1n, () => n - 1n, () => n >> 1n, () => numberOf(dice, num) % n])();

/** -1/n modulo 2^64: each step doubles the bits that are right. */
function negativeInverse(n: bigint): bigint {
  let x = 1n;
  for (let i = 0; i < 6; i++) x = BigInt.asUintN(64, x * (2n - n * x));
  return BigInt.asUintN(64, -x);
}

/** a * b / 2^(64 num) mod n; the result may lie where a or b, or both, do. */
export function tryMultiply({ kernels, plain }: Twins, n: number, seed: number): void {
  const dice = diceOf(seed);
  // Long ones are rarer: they cost the square of their length.
  const num = LEAST - 1 + (n % (n % 16 === 0 ? MOST + 3 - LEAST : 32));
  const modulus = modulusOf(dice, num);
  const a = below(dice, modulus, num);
  const square = dice.below(3) === 0;
  const b = square ? a : below(dice, modulus, num);
  const place = dice.below(4);
  const what = `${num} words, place ${place}: ${[a, b, modulus].map((x) => x.toString(16)).join(" ")}`;
  const results = [kernels, plain].map((module) => {
    const base = module.arena + MARGIN + 8 * dice.below(2);
    const at = (i: number) => base + i * (8 * MOST + 8 + 2 * MARGIN);
    const put = (i: number, x: bigint, words = num) => {
      module.view(at(i), 8 * words).set(toBytes(x, words));
      return at(i);
    };
    put(0, 0n);
    const [left, right] = [put(1, a), put(2, b)];
    const other = square && dice.below(2) === 0 ? left : right;
    const out = [at(0), left, other, at(0)][place]!;
    const fill = (i: number) => module.view(out + i, MARGIN).fill(0xa5);
    fill(-MARGIN);
    fill(8 * num);
    const answer = module.call.multiply_words!(
      ...[out, left, other, put(3, modulus), put(4, negativeInverse(modulus), 1), num],
    );
    for (const i of [-MARGIN, 8 * num]) {
      if (module.view(out + i, MARGIN).some((byte) => byte !== 0xa5))
        throw new Error(`bytes around, ${what}`);
    }
    return answer === 1 ? toNumber(module.view(out, 8 * num)) : undefined;
  });
  if ((results[0] !== undefined) !== (num >= LEAST && num <= MOST)) throw new Error(`${results[0]}, ${what}`);
  for (const result of results) {
    if (result === undefined) continue;
    if (result >= modulus || ((result << BigInt(64 * num)) - a * b) % modulus !== 0n) {
      throw new Error(`${result.toString(16)} is not it, ${what}`);
    }
  }
}

/** Two powers, as RSA's private keys need them. */
export function tryRaise({ kernels, plain }: Twins, n: number, seed: number): void {
  const dice = diceOf(seed);
  const num = LEAST - 1 + (n % 41);
  const top = dice.below(4) > 0 ? num : 1 + dice.below(num);
  const two = (make: () => bigint) => [make(), make()];
  const moduli = two(() => modulusOf(dice, num));
  const bases = moduli.map((modulus) => below(dice, modulus, num));
  const exponents = two(() =>
    dice.pick([1n, numberOf(dice, top), numberOf(dice, top), (1n << BigInt(64 * top)) - 1n]),
  );
  const [ours, theirs] = [kernels, plain].map((module: Kernels) => {
    const put = (i: number, numbers: bigint[]) => {
      const at = module.arena + 8192 * i;
      module.view(at, 16 * num).set(Buffer.concat(numbers.map((x) => toBytes(x, num))));
      return at;
    };
    const [out, a, p, m] = [put(0, [0n, 0n]), put(1, bases), put(2, exponents), put(3, moduli)];
    if (module.call.raise_words!(out, a, p, m, num, top) !== 1) throw new Error("raise_words fails");
    return Buffer.from(module.copyOut(out, 16 * num)).toString("hex");
  });
  if (ours !== theirs) {
    const shown = [bases, exponents, moduli].map((pair) => pair.map((x) => x.toString(16)).join(" "));
    throw new Error(`${num} words: ${ours}, not ${theirs}; ${shown.join("; ")}`);
  }
}
