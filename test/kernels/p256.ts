/** P-256 (wasm/kernels/p256.c), through OpenSSL's functions for points and signatures, against node:crypto. */
import { createECDH, createHash, createPublicKey, verify } from "node:crypto";
import { diceOf } from "./cases.ts";
import type { Kernels } from "./module.ts";

const CURVE = "prime256v1";
const NID = 415;
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const UNCOMPRESSED = 4;

type Dice = ReturnType<typeof diceOf>;

/** Inverse modulo the order, which is prime. */
function inverse(n: bigint): bigint {
  let result = 1n;
  for (let power = mod(n), bits = ORDER - 2n; bits > 0n; bits >>= 1n, power = mod(power * power))
    if (bits & 1n) result = mod(result * power);
  return result;
}

const mod = (n: bigint) => ((n % ORDER) + ORDER) % ORDER;
const bytesOf = (n: bigint) => Buffer.from(n.toString(16).padStart(64, "0"), "hex");
const numberOf = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);

/** Where carries, windows, tables and the group's end are, and anywhere. */
function scalar(dice: Dice): bigint {
  const small = BigInt(dice.below(70)) - 35n;
  switch (dice.below(8)) {
    case 0:
      return dice.below(2) === 0 ? mod(small) : ORDER + small;
    case 1:
      return mod((1n << BigInt(dice.below(256))) + small);
    case 2:
      // As it is, though it is more than the order.
      return 2n ** 256n - 1n - BigInt(dice.below(2) === 0 ? dice.below(70) : 2 ** 40);
    case 3: {
      let sparse = 0n;
      for (let i = dice.below(6); i >= 0; i--) sparse |= 1n << BigInt(dice.below(256));
      return sparse;
    }
    case 4:
      return (1n << BigInt(dice.below(257))) - 1n;
    default:
      return numberOf(dice.bytes(32));
  }
}

/** k times the generator, or one byte for the point at infinity, as EC_POINT_point2oct has it. */
function expected(k: bigint): Uint8Array {
  if (mod(k) === 0n) return Uint8Array.of(0);
  const ecdh = createECDH(CURVE);
  ecdh.setPrivateKey(bytesOf(mod(k)));
  return ecdh.getPublicKey();
}

class Curve {
  readonly #kernels: Kernels;
  readonly #group: number;

  constructor(kernels: Kernels) {
    this.#kernels = kernels;
    this.#group = kernels.call.EC_GROUP_new_by_curve_name!(NID);
  }

  free(): void {
    this.#kernels.call.EC_GROUP_free!(this.#group);
  }

  /** EC_POINT_mul: j times the generator, and k times what `base` times the generator is. */
  times(j: bigint | undefined, k?: bigint, base?: bigint): Uint8Array {
    const { call, arena } = this.#kernels;
    const point = call.EC_POINT_new!(this.#group);
    const [number, factor] = [j, k].map((n) => {
      if (n === undefined) return 0;
      return call.BN_bin2bn!(this.#kernels.scratch(bytesOf(n)), 32, 0);
    });
    if (base !== undefined) {
      const encoded = expected(base);
      call.EC_POINT_oct2point!(this.#group, point, this.#kernels.scratch(encoded), encoded.length, 0);
    }
    const ok = call.EC_POINT_mul!(this.#group, point, number!, base === undefined ? 0 : point, factor!, 0);
    const length = call.EC_POINT_point2oct!(this.#group, point, UNCOMPRESSED, arena, 65, 0);
    const result = this.#kernels.copyOut(arena, length);
    call.EC_POINT_free!(point);
    call.BN_free!(number!);
    call.BN_free!(factor!);
    if (ok !== 1) throw new Error("EC_POINT_mul failed");
    return result;
  }
}

/** j, k and P so that in j G + k P a point is added to itself, or to its opposite. */
function coincidence(dice: Dice): [j: bigint, k: bigint, base: bigint] {
  const sign = dice.below(2) === 0 ? 1n : -1n;
  const shifted = BigInt(2 * dice.below(8) + 1) << BigInt(1 + dice.below(40));
  const digit = BigInt(2 * dice.below(8) + 1);
  return dice.below(2) === 0
    ? [shifted, digit, mod(sign * shifted * inverse(digit))]
    : [digit, shifted, mod(sign * digit * inverse(shifted))];
}

/** The three ways to multiply. */
export function tryPoints(kernels: Kernels, n: number, seed: number): void {
  const dice = diceOf(seed);
  const [j, k, base] = n % 8 === 0 ? coincidence(dice) : [scalar(dice), scalar(dice), scalar(dice)];
  const curve = new Curve(kernels);
  const check = (what: string, got: Uint8Array, wanted: bigint) => {
    if (!Buffer.from(got).equals(expected(wanted)))
      throw new Error(`${what} is wrong: j ${j}, k ${k}, P = ${base} G`);
  };
  check("j G", curve.times(j), j);
  check("k P", curve.times(undefined, k, base), k * base);
  check("j G + k P", curve.times(j, k, base), j + k * base);
  curve.free();
}

/** Our signature is right for node:crypto, and node:crypto's is right for us; with another bit neither is. */
export function trySignature(kernels: Kernels, _n: number, seed: number): void {
  const dice = diceOf(seed);
  const { call, arena } = kernels;
  const secret = mod(scalar(dice)) || 1n;
  const publicPoint = expected(secret);
  const key = call.EC_KEY_new_by_curve_name!(NID);
  call.EC_KEY_oct2priv!(key, kernels.scratch(bytesOf(secret)), 32);
  call.EC_KEY_oct2key!(key, kernels.scratch(publicPoint), publicPoint.length, 0);

  const data = dice.bytes(dice.below(100));
  const digest = kernels.scratch(createHash("sha256").update(data).digest());
  const [signature, length] = [arena + 16, arena];
  if (call.ECDSA_sign!(0, digest, 32, signature, length, key) !== 1) throw new Error("ECDSA_sign failed");
  const size = new DataView(kernels.view(length, 4).buffer).getUint32(length, true);
  const der = kernels.copyOut(signature, size);
  const [x, y] = [publicPoint.subarray(1, 33), publicPoint.subarray(33)].map((part) =>
    Buffer.from(part).toString("base64url"),
  );
  const jwk = createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x: x!, y: y! } });
  if (!verify("sha256", data, jwk, der)) throw new Error(`node:crypto refuses the signature by ${secret}`);
  const verified = () => call.ECDSA_verify!(0, digest, 32, signature, size, key) === 1;
  if (!verified()) throw new Error(`our own signature by ${secret} is refused`);
  const bit = dice.below(8 * size);
  kernels.view(signature, size)[bit >> 3]! ^= 1 << (bit & 7);
  if (verified()) throw new Error(`the signature by ${secret} is still one without its bit ${bit}`);
  call.ERR_clear_error!();
  call.EC_KEY_free!(key);
}
