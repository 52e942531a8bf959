/** The kernels in wasm/kernels against published vectors and node:crypto (`npm run kernels` for more of it). */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import QUnit from "qunit";
import { built } from "../built.ts";
import { env } from "../helpers/env.ts";
import { randomBytes } from "../helpers/random.ts";
import { tryLong, withContext } from "../kernels/edges.ts";
import { ctrl, folderOf, Kernels } from "../kernels/module.ts";
import { randomTests } from "../kernels/random-tests.ts";
import { tryVectors, vectorFiles } from "../kernels/vectors.ts";
import { tryWycheproof, wycheproofFiles } from "../kernels/wycheproof.ts";

const folder = folderOf(process.env.WASSL_REPOSITORY ?? "");

QUnit.module("kernels", (hooks) => {
  hooks.before(built("kernels"));
  for (const file of vectorFiles) {
    QUnit.test(`the vectors in OpenSSL's ${file}`, (assert) => {
      const { tried, wrong } = tryVectors(new Kernels(folder), folder, file);
      assert.deepEqual(wrong, []);
      const least = {
        "evpciph_aes_common.txt": 290,
        "evpciph_aes_ccm_cavs.txt": 2800,
        "evpmac_poly1305.txt": 40,
      };
      assert.true(tried >= (least[file as keyof typeof least] ?? 25), `${tried} vectors`);
    });
  }

  for (const file of wycheproofFiles) {
    QUnit.test(`Wycheproof's vectors, ${file}`, (assert) => {
      const { tried, wrong } = tryWycheproof(new Kernels(folder), folder, file);
      assert.deepEqual(wrong, []);
      assert.true(tried > 100, `${tried} vectors`);
    });
  }

  for (const { what, few, tryCase } of randomTests(folder)) {
    QUnit.test(`${few} ${what}`, (assert) => {
      // Each run has other lengths.
      const first = (env.seed * 1009) % 1_000_000;
      for (let n = first; n < first + few; n++) {
        try {
          tryCase(n, env.seed + n);
        } catch (error) {
          assert.true(false, `npm run kernels -- --seed ${env.seed} --first ${n} --cases 1: ${error}`);
          return;
        }
      }
      assert.true(true);
    });
  }

  QUnit.test("messages of two mebibytes are as node:crypto has them", (assert) => {
    for (const name of ["aes-256-gcm", "chacha20-poly1305"] as const) {
      tryLong(new Kernels(folder), name, env.seed);
      assert.true(true, name);
    }
  });

  QUnit.test("AES-GCM that is given no IV makes one up, a new one for each message", (assert) => {
    const kernels = new Kernels(folder);
    const key = randomBytes(32, env.seed);
    const made = new Set<string>();
    for (let i = 0; i < 3; i++) {
      withContext(kernels, (context) => {
        context.init("aes-256-gcm", true, key);
        kernels.view(kernels.arena, 5).set(new TextEncoder().encode("hello"));
        assert.strictEqual(context.update(kernels.arena, kernels.arena, 5), 5);
        const sealed = kernels.copyOut(kernels.arena, 5);
        context.final(kernels.arena);
        const reference = createDecipheriv("aes-256-gcm", key, context.updatedIv);
        reference.setAuthTag(context.tag(16)!);
        const opened = Buffer.concat([reference.update(sealed), reference.final()]);
        assert.strictEqual(opened.toString(), "hello");
        made.add(Buffer.from(context.updatedIv).toString("hex"));
        assert.strictEqual(context.update(kernels.arena, kernels.arena, 5), -1, "and it is not used twice");
      });
    }
    assert.strictEqual(made.size, 3);
  });

  QUnit.test("a message of AES-GCM does not go on with another key", (assert) => {
    const kernels = new Kernels(folder);
    withContext(kernels, (context) => {
      const update = () => context.update(kernels.arena, kernels.arena, 40);
      context.init("aes-128-gcm", true, randomBytes(16, 1), randomBytes(12, 2));
      assert.strictEqual(update(), 40);
      context.init(undefined, true, randomBytes(16, 3));
      assert.strictEqual(update(), -1);
      context.init(undefined, true, undefined, randomBytes(12, 4));
      assert.strictEqual(update(), 40, "until there is an IV for it");
      context.init(undefined, true, undefined, randomBytes(12, 5));
      context.init(undefined, true, randomBytes(16, 6));
      assert.strictEqual(update(), 40, "the IV first and then the key is in order");
    });
  });

  QUnit.test("a message of AES-GCM is over once its tag was wrong", (assert) => {
    const kernels = new Kernels(folder);
    withContext(kernels, (context) => {
      const update = () => context.update(kernels.arena, kernels.arena, 40);
      // A tag of one byte would be right by chance soon.
      context.init("aes-128-gcm", false, randomBytes(16, 1), randomBytes(12, 2));
      let wrong = 0;
      for (let byte = 0; byte < 256; byte++) {
        context.ctrl(ctrl.setTag, 1, Uint8Array.of(byte));
        if (byte === 0) assert.strictEqual(update(), 40);
        if (context.final(kernels.arena) < 0) wrong++;
        assert.strictEqual(update(), -1);
      }
      assert.true(wrong >= 255);
    });
  });

  QUnit.test("contexts that are freed leave no key in memory", (assert) => {
    for (const name of ["aes-256-gcm", "chacha20-poly1305"]) {
      const kernels = new Kernels(folder);
      const key = randomBytes(32, env.seed + 1).slice();
      // And H, which is as good as the key for forgeries, by halves that the machine's order of bytes turns round.
      const h = createCipheriv("aes-256-ecb", key, null).update(new Uint8Array(16)).reverse();
      const secrets = name === "aes-256-gcm" ? [key, h.subarray(8), h.subarray(0, 8)] : [key];
      const found = () => secrets.map((secret) => Buffer.from(kernels.call.memory.buffer).includes(secret));
      const context = kernels.newContext();
      context.init(name, true, key, new Uint8Array(12));
      context.update(kernels.arena, kernels.arena, 1000);
      kernels.scratch(new Uint8Array(64));
      assert.false(found().includes(false), `${name}: while it is in use they are there`);
      context.final(kernels.arena);
      context.free();
      assert.false(found().includes(true), `${name}: then they are gone`);
    }
  });

  QUnit.test("Montgomery multiplication leaves nothing in memory of what was multiplied", (assert) => {
    const words = 16;
    const left = (call: "multiply_words" | "raise_words", seed: number) => {
      const kernels = new Kernels(folder);
      const [out, a, b, n, n0] = [0, 1, 2, 3, 4].map((i) => kernels.arena + 1024 * i) as [
        number,
        ...number[],
      ];
      const put = (at: number, bytes: Uint8Array) => kernels.view(at, bytes.length).set(bytes);
      put(n!, new Uint8Array(16 * words).fill(0xff));
      put(a!, randomBytes(16 * words, seed));
      put(b!, randomBytes(16 * words, seed + 1));
      // Both moduli are 2^1024 - 1, and so n0 is 1.
      put(n0!, Uint8Array.of(1));
      const last = call === "multiply_words" ? [n!, n0!, words] : [n!, words, words];
      assert.strictEqual(kernels.call[call]!(out, a!, b!, ...last), 1);
      const result = kernels.copyOut(out, 8 * words);
      kernels.view(kernels.arena, 5 * 1024).fill(0);
      return { result, memory: Buffer.from(kernels.copyOut(0, kernels.call.memory.buffer.byteLength)) };
    };
    for (const call of ["multiply_words", "raise_words"] as const) {
      const [one, other] = [left(call, env.seed), left(call, env.seed + 7)];
      assert.notDeepEqual(one.result, other.result, call);
      assert.strictEqual(
        Buffer.compare(one.memory, other.memory),
        0,
        `${call}: memory is the same after both`,
      );
    }
  });

  QUnit.test("openssl.wasm holds no table of AES or GCM that is looked up by secrets", (assert) => {
    const file = createRequire(import.meta.url).resolve("wassl/openssl.wasm");
    const data = initialData(readFileSync(file));
    for (const [name, table] of lookUpTables()) {
      assert.strictEqual(data.indexOf(table.subarray(0, 64)), -1, `${name} is not there`);
    }
    // The search does find what is there: the first constants of SHA-256.
    assert.true(data.indexOf(Buffer.from("982f8a4291443771cffbc0b5a5dbb5e9", "hex")) > 0);
  });
});

/** The tables of crypto/aes/aes_core.c and crypto/modes/gcm128.c, as they would lie in memory. */
function* lookUpTables(): Generator<[string, Buffer]> {
  const times = (a: number, b: number): number =>
    b === 0 ? 0 : (b & 1 ? a : 0) ^ times((a << 1) ^ (a & 0x80 ? 0x11b : 0), b >> 1);
  const all = Array.from({ length: 256 }, (_, i) => i);
  const box = all.map((x) => {
    const inverse = all.find((y) => times(x, y) === 1) ?? 0;
    return [0, 1, 2, 3, 4].reduce((sum, n) => sum ^ ((inverse << n) | (inverse >> (8 - n))), 0x63) & 0xff;
  });
  const inverse = all.map((x) => box.indexOf(x));
  yield ["the S-box", Buffer.from(box)];
  yield ["the inverse S-box", Buffer.from(inverse)];
  for (let n = 0; n < 4; n++) {
    const turned = (bytes: number[]) => [...bytes.slice(n), ...bytes.slice(0, n)];
    yield [`Te${n}`, Buffer.from(box.flatMap((s) => turned([times(s, 3), s, s, times(s, 2)])))];
    yield [
      `Td${n}`,
      Buffer.from(inverse.flatMap((s) => turned([times(s, 11), times(s, 13), times(s, 9), times(s, 14)]))),
    ];
  }
  yield ["Te4, by words", Buffer.from(box.flatMap((s) => [s, s, s, s]))];
  // x^128 = x^7 + x^2 + x + 1, in GHASH's order of bits: 0xe1 and then zeros.
  const remainder = (x: number, bits: number) => {
    let sum = 0;
    for (let i = 0; i < bits; i++) if (x & (1 << i)) sum ^= 0xe100 >> (bits - 1 - i);
    return sum;
  };
  for (const bits of [4, 8]) {
    for (const size of [2, 4, 8]) {
      const table = Buffer.alloc(size << bits);
      for (let i = 0; i < 1 << bits; i++) table.writeUInt16LE(remainder(i, bits), i * size + size - 2);
      yield [`rem_${bits}bit of ${size} bytes`, table];
    }
  }
}

/** What linear memory holds before anything has run. */
function initialData(wasm: Uint8Array<ArrayBuffer>): Buffer {
  const nothing = () => 0;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm), {
    host: { random_get: nothing, clock_get: nothing },
  });
  return Buffer.from((instance.exports.memory as WebAssembly.Memory).buffer);
}
