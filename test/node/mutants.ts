/** The edits of `npm run mutants` fit the files that they are for. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import QUnit from "qunit";
import { mutants } from "../mutants/list.ts";

const repository = process.env.WASSL_REPOSITORY ?? "";

QUnit.module("mutants", () => {
  QUnit.test("each has its text once in its file, and is another than all others", (assert) => {
    const seen = new Set<string>();
    for (const { file, what, search, replace } of mutants) {
      const path = join(repository, file);
      const source = existsSync(path) ? readFileSync(path, "utf8") : "";
      assert.strictEqual(source.split(search).length - 1, 1, `${file}: ${what}`);
      assert.notStrictEqual(search, replace);
      const edit = JSON.stringify([file, search, replace]);
      assert.false(seen.has(edit), `${file}: ${what}, again`);
      seen.add(edit);
    }
    assert.true(mutants.length > 100, `${mutants.length}`);
  });
});
