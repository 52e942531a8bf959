/** The benchmark works; how fast anything is, is nobody's test. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import QUnit from "qunit";
import { env } from "../contract/env.ts";

QUnit.module("benchmark", () => {
  QUnit.test("one round of two rows, with figures for each library", async (assert) => {
    const repository = process.env.WASSL_REPOSITORY ?? "";
    const program = join(repository, "test", "bench", "bench.ts");
    const settings = [
      "--json",
      "--rounds",
      "1",
      "--target",
      "1",
      "--library",
      "wassl",
      "--folder",
      process.cwd(),
    ];
    const only = ["server-ecdsa", "upload-chacha20-16k"];
    const args = [
      ...["--import", "tsx", program, "--seed", String(env.seed + 1), ...settings],
      ...only.flatMap((row) => ["--only", row]),
    ];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      cwd: repository,
      timeout: 60_000,
    });
    const told = JSON.parse(stdout) as { seed: number; rows: { id: string; cells: Cell[] }[] };
    assert.strictEqual(told.seed, env.seed + 1);
    assert.deepEqual(
      told.rows.map(({ id }) => id),
      only,
    );
    for (const { id, cells } of told.rows) {
      assert.deepEqual(
        cells.map(({ library }) => library),
        ["native", "wassl"],
      );
      for (const { library, median, failure, values } of cells) {
        assert.true(median !== undefined && median > 0, `${id}, ${library}: ${failure ?? median}`);
        assert.strictEqual(values.length, library === "native" ? 2 : 1);
      }
    }
  });
});

interface Cell {
  library: string;
  median?: number;
  failure?: string;
  values: number[];
}
