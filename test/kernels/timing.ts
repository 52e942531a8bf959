/**
 * Whether the time that an operation takes depends on a secret, as dudect asks it (Reparaz, Balasch and Verbauwhede,
 * "Dude, is my code constant time?", 2017): one secret against random ones, in random order, and Welch's t-test between
 * the two, over all measurements and over the faster part of them, where interrupts are cropped.
 *
 *     npm run kernels -- --timing [--seconds N] [--seed SEED] [--only TEXT]
 *
 * |t| above 10 says that the means differ, beyond doubt; between 4.5 and 10 it may be chance or the machine: take longer. What it does
 * not say: that there is no leak which is smaller than the noise of this machine, for other secrets than these, or in
 * another engine, that compiles the same module in its own way. Caches are seen by it only as far as they cost time
 * here. It takes a quiet machine, and is therefore no part of the tests. The last row is a comparison that stops at the
 * first difference, and must be found.
 */
import { randomBytes } from "node:crypto";
import { random } from "../helpers/random.ts";
import { type Context, ctrl, Kernels } from "./module.ts";

const BEYOND_DOUBT = 10;
const MAYBE = 4.5;
/** How much of the measurements counts, the fastest first. */
const CROPS = [1, 0.99, 0.95, 0.9, 0.75, 0.5];
/**
 * Secrets are made so many at a time, long before they are used: what that does to caches is not to depend on the
 * class.
 */
const BATCH = 64;
/** The first part of the time does not count. */
const WARM_UP = 0.1;

interface Case {
  name: string;
  /** The secret of one class; of the other it is random. */
  fixed: Uint8Array;
  /** Readies what is to be timed. */
  prepare(secret: Uint8Array): () => unknown;
  leaky?: boolean;
}

/** Returns whether all was as it should be, of the rows whose name has `only` in it. */
export function timing(folder: string, seconds: number, seed: number, only: string): boolean {
  const kernels = new Kernels(folder);
  let good = true;
  console.log(
    `${seconds} s each; |t| above ${BEYOND_DOUBT} is beyond doubt, above ${MAYBE} worth another look`,
  );
  for (const each of cases(kernels)) {
    if (!each.leaky && !each.name.includes(only)) continue;
    const { t, measurements, crop } = measure(each, seconds, random(seed));
    const found = t > BEYOND_DOUBT;
    const words = each.leaky
      ? found
        ? "found, as it must be"
        : "NOT FOUND: this machine or this time is no good for the test"
      : found
        ? "DEPENDS ON THE SECRET"
        : t > MAYBE
          ? "maybe"
          : "";
    if (found !== (each.leaky ?? false)) good = false;
    const row = [
      each.name.padEnd(62),
      `|t| ${t.toFixed(2).padStart(8)}`,
      `of ${measurements} (${crop * 100} %)`,
      words,
    ];
    console.log(row.join("  ").trimEnd());
  }
  return good;
}

function measure(each: Case, seconds: number, next: () => number) {
  const times: [number[], number[]] = [[], []];
  const began = performance.now();
  const passed = () => (performance.now() - began) / 1000 / seconds;
  while (passed() < 1) {
    const batch = Array.from({ length: BATCH }, () => {
      const which = next() < 0.5 ? (0 as const) : (1 as const);
      const secret = new Uint8Array(randomBytes(each.fixed.length));
      // Both are written, from memory that is as far away.
      secret.set(which === 0 ? each.fixed : secret.slice());
      return { which, secret };
    });
    const counts = passed() > WARM_UP;
    for (const { which, secret } of batch) {
      if (passed() >= 1) break;
      const act = each.prepare(secret);
      const begun = process.hrtime.bigint();
      act();
      const took = Number(process.hrtime.bigint() - begun);
      if (counts) times[which].push(took);
    }
  }
  const all = [...times[0], ...times[1]].sort((a, b) => a - b);
  let worst = { t: 0, crop: 1 };
  for (const crop of CROPS) {
    const most = all[Math.floor((all.length - 1) * crop)] ?? 0;
    const t = Math.abs(
      welch(...(times.map((some) => some.filter((time) => time <= most)) as [number[], number[]])),
    );
    if (t > worst.t) worst = { t, crop };
  }
  return { ...worst, measurements: all.length };
}

/** Welch's t. */
export function welch(a: readonly number[], b: readonly number[]): number {
  const of = (values: readonly number[]) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
    return { mean, error: variance / values.length };
  };
  if (a.length < 10 || b.length < 10) return 0;
  const [x, y] = [of(a), of(b)];
  return (x.mean - y.mean) / Math.sqrt(x.error + y.error || Number.MIN_VALUE);
}

function* cases(kernels: Kernels): Generator<Case> {
  const { call, arena } = kernels;
  const bytes = (length: number, set: Record<number, number> = {}) =>
    Uint8Array.from({ length }, (_, i) => set[i] ?? set[i - length] ?? 0);
  const P256_ORDER = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");
  const lessOne = Uint8Array.from(P256_ORDER);
  lessOne[31]!--;
  const scalars = {
    "1": bytes(32, { "-1": 1 }),
    "2^255": bytes(32, { 0: 0x80 }),
    "n - 1": lessOne,
    "the lower half of the bits alone": Uint8Array.from({ length: 32 }, (_, i) => (i < 16 ? 0 : 0xa5)),
    "the upper half of the bits alone": Uint8Array.from({ length: 32 }, (_, i) => (i < 16 ? 0xa5 : 0)),
    "every fifth bit": Uint8Array.from({ length: 32 }, (_, i) => [0x08, 0x42, 0x10, 0x84, 0x21][i % 5]!),
  };
  /** Below the order, for all but one in 2^32. */
  for (const [curve, nid, sizes] of [
    ["P-256", 415, scalars],
    ["P-384", 715, { "1": bytes(48, { "-1": 1 }), "2^383": bytes(48, { 0: 0x80 }) }],
  ] as const) {
    const group = call.EC_GROUP_new_by_curve_name!(nid);
    const result = call.EC_POINT_new!(group);
    const base = call.EC_POINT_new!(group);
    const length = curve === "P-256" ? 32 : 48;
    const number = (secret: Uint8Array) => call.BN_bin2bn!(kernels.scratch(secret), length, 0);
    const seven = number(bytes(length, { "-1": 7 }));
    call.EC_POINT_mul!(group, base, seven, 0, 0, 0);
    let before = 0;
    const secretBy = (make: "counted_number" | "fixed_number") => (secret: Uint8Array) => {
      if (before !== 0) call.BN_free!(before);
      before = call[make]!(kernels.scratch(secret.toReversed()), length / 8);
      return before;
    };
    const scalarOf = secretBy("counted_number");
    for (const [what, fixed] of Object.entries(sizes)) {
      yield {
        name: `${curve}, k G: ${what}`,
        fixed,
        prepare(secret) {
          const k = scalarOf(secret);
          return () => call.EC_POINT_mul!(group, result, k, 0, 0, 0);
        },
      };
      yield {
        name: `${curve}, k P: ${what}`,
        fixed,
        prepare(secret) {
          const k = scalarOf(secret);
          return () => call.EC_POINT_mul!(group, result, 0, base, k, 0);
        },
      };
      // It takes so little time that it is seen how many words a number has, and in which it differs from n.
      const out = number(fixed);
      for (const [form, make] of [
        ["", scalarOf],
        [" of fixed width", secretBy("fixed_number")],
      ] as const) {
        // What P-384 has, which is OpenSSL's, is for numbers of fixed width alone; and so are nonces.
        if (curve === "P-384" && form === "") continue;
        yield {
          name: `${curve}, 1/k modulo n${form} (ECDSA's nonce): ${what}`,
          fixed,
          prepare(secret) {
            const k = make(secret);
            return () => call.ossl_ec_group_do_inverse_ord!(group, out, k, 0);
          },
        };
      }
    }
  }

  const curve25519 = bytes(32, { 0: 9 });
  for (const [what, fixed] of Object.entries({ zeros: bytes(32), ones: bytes(32).fill(0xff) })) {
    yield {
      name: `X25519: ${what}`,
      fixed,
      prepare(secret) {
        kernels.view(arena, 32).set(secret);
        kernels.view(arena + 32, 32).set(curve25519);
        return () => call.ossl_x25519!(arena + 64, arena, arena + 32);
      },
    };
  }

  for (const words of [16, 32]) {
    const size = 8 * words;
    const [out, base, exponent, modulus] = [0, 1, 2, 3].map((i) => arena + 4096 * i) as [
      number,
      number,
      number,
      number,
    ];
    for (const [what, fixed] of Object.entries({
      "one bit": bytes(2 * size, { 0: 1, [size]: 1 }),
      ones: bytes(2 * size).fill(0xff),
    })) {
      yield {
        name: `RSA-${128 * words}, two powers: ${what}`,
        fixed,
        prepare(secret) {
          kernels.view(base, 2 * size).fill(0x55);
          kernels.view(modulus, 2 * size).fill(0xe5);
          kernels.view(exponent, 2 * size).set(secret);
          // As many words as the larger one takes.
          const top = Math.ceil(
            Math.max(
              ...[0, size].map((at) => secret.subarray(at, at + size).findLastIndex((x) => x > 0) + 1),
            ) / 8,
          );
          return () => call.raise_words!(out, base, exponent, modulus, words, top);
        },
      };
      yield {
        name: `RSA-${128 * words}, one product: ${what}`,
        fixed: fixed.subarray(0, size),
        prepare(secret) {
          kernels.view(modulus, size).fill(0xe5);
          kernels.view(base, size).set(secret);
          // -1 / n modulo 2^64; any odd number takes as long.
          kernels.view(out + 2048, 8).fill(0x5b);
          return () => {
            for (let i = 0; i < 20; i++) call.multiply_words!(out, base, base, modulus, out + 2048, words);
          };
        },
      };
    }
  }

  for (const [name, length] of [
    ["aes-128-gcm", 16],
    ["aes-256-gcm", 32],
    ["chacha20-poly1305", 32],
    ["aes-128-cbc", 16],
  ] as const) {
    const context: Context = kernels.newContext();
    context.init(name, true);
    const aead = !name.endsWith("cbc");
    if (aead) context.ctrl(ctrl.setIvLength, 12);
    const iv = new Uint8Array(aead ? 12 : 16);
    yield {
      name: `${name}, the key, and a record: zeros`,
      fixed: bytes(length),
      prepare(secret) {
        kernels.view(arena, 1024).fill(0x55);
        return () => {
          context.init(undefined, true, secret, iv);
          if (aead) context.update(0, arena, 5);
          context.update(arena, arena, 1024);
          context.final(arena + 1024);
        };
      },
    };
    if (!aead) continue;
    yield {
      name: `${name}, the data (GHASH or Poly1305): zeros`,
      fixed: bytes(1024),
      prepare(secret) {
        kernels.view(arena, 1024).set(secret);
        return () => {
          context.init(undefined, true, bytes(length).fill(3), iv);
          // As additional data it is hashed alone.
          context.update(0, arena, 1024);
          context.final(arena + 1024);
        };
      },
    };
  }
  const state = arena + 8192;
  for (const [what, fixed] of Object.entries({ zeros: bytes(32), ones: bytes(32).fill(0xff) })) {
    yield {
      name: `Poly1305, the key: ${what}`,
      fixed,
      prepare(secret) {
        kernels.view(arena, 32).set(secret);
        kernels.view(arena + 64, 1024).fill(0xff);
        return () => {
          call.Poly1305_Init!(state, arena);
          call.Poly1305_Update!(state, arena + 64, 1024);
          call.Poly1305_Final!(state, arena + 32);
        };
      },
    };
  }

  yield {
    name: "a comparison that stops at the first difference",
    fixed: bytes(4096),
    leaky: true,
    prepare(secret) {
      kernels.view(arena, 4096).fill(0);
      kernels.view(arena + 4096, 4096).set(secret);
      return () => call.leaky_compare!(arena, arena + 4096, 4096);
    },
  };
}
