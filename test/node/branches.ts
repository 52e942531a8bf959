/**
 * The branches of what handles secrets, in the linked module, are those that were looked at: test/kernels/branches.txt.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import QUnit from "qunit";
import { built } from "../built.ts";
import { found, listed } from "../kernels/branches.ts";

const repository = process.env.WASSL_REPOSITORY ?? "";
const renew = "look at it, and then: npm run kernels -- --branches";

QUnit.module("kernels: constant time", (hooks) => {
  hooks.before(built("named"));
  QUnit.test("the branches and selects of the linked module are those that were looked at", (assert) => {
    const rows = listed(repository);
    assert.true(rows.length > 60, `${rows.length} functions`);
    const now = new Map(found(repository).map((row) => [row.name, row]));
    for (const { reason, ...row } of rows) {
      assert.true(reason.length > 3 && reason !== "?", `${row.name} has a reason`);
      const { reason: _, ...branches } = now.get(row.name) ?? { reason: "" };
      assert.deepEqual(branches, row, `${row.name}: ${renew}`);
      now.delete(row.name);
    }
    assert.deepEqual([...now.keys()], [], `functions that are not listed: ${renew}`);
  });

  QUnit.test("the module with names is the published one", (assert) => {
    const published = readFileSync(createRequire(import.meta.url).resolve("wassl/openssl.wasm"));
    const named = readFileSync(join(repository, "node_modules/.cache/wassl-named.wasm"));
    const without = new WebAssembly.Module(named);
    assert.strictEqual(WebAssembly.Module.customSections(without, "name").length, 1);
    // The names are the last section but for the list of features.
    const code = (bytes: Uint8Array) => bytes.subarray(0, published.length - 200);
    assert.true(Buffer.from(code(published)).equals(code(named)), "byte for byte");
  });
});
