/** The kernels in wasm/kernels against published vectors and node:crypto (`npm run kernels` for more of it). */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import QUnit from "qunit";
import { env } from "../contract/env.ts";
import { tryAead, tryCipher } from "../kernels/cases.ts";
import { folderOf, Kernels } from "../kernels/module.ts";
import { tryVectors, vectorFiles } from "../kernels/vectors.ts";

const folder = folderOf(process.env.WASSL_REPOSITORY ?? "");

QUnit.module("kernels", () => {
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

  for (const [what, tryOne, count] of [
    ["AEADs", tryAead, 1500],
    ["ciphers without a tag", tryCipher, 500],
  ] as const) {
    QUnit.test(`${count} random cases of ${what} are as node:crypto has them`, (assert) => {
      const kernels = new Kernels(folder);
      // Each run has other lengths.
      const first = (env.seed * 1009) % 1_000_000;
      for (let n = first; n < first + count; n++) {
        try {
          tryOne(kernels, n, env.seed + n);
        } catch (error) {
          assert.true(false, `npm run kernels -- --seed ${env.seed} --first ${n} --cases 1: ${error}`);
          return;
        }
      }
      assert.true(true);
    });
  }

  QUnit.test(
    "openssl.wasm holds none of the tables of AES and GCM that are looked up by secrets",
    (assert) => {
      const file = createRequire(import.meta.url).resolve("wassl/openssl.wasm");
      const data = initialData(readFileSync(file));
      for (const [name, table] of lookUpTables()) {
        assert.strictEqual(data.indexOf(table.subarray(0, 64)), -1, `${name} is not there`);
      }
      // The search does find what is there: the first constants of SHA-256.
      assert.true(data.indexOf(Buffer.from("982f8a4291443771cffbc0b5a5dbb5e9", "hex")) > 0);
    },
  );
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
    wasi_snapshot_preview1: { random_get: nothing, clock_time_get: nothing },
  });
  return Buffer.from((instance.exports.memory as WebAssembly.Memory).buffer);
}
