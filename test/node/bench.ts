/** The benchmark works; no test judges how fast anything is. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import QUnit from "qunit";
import { env } from "../helpers/env.ts";

QUnit.module("benchmark", () => {
  QUnit.test("one round of two rows, and idle connections, with figures for each", async (assert) => {
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
      ...[...only, "idle"].flatMap((row) => ["--only", row]),
      ...["--idle", "1,3"],
    ];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      cwd: repository,
      timeout: 60_000,
    });
    const told = JSON.parse(stdout) as Told;
    assert.strictEqual(told.seed, env.seed + 1);
    assert.deepEqual(
      told.rows.map(({ id }) => id),
      only,
    );
    assert.deepEqual(
      told.idle.map(({ connections }) => connections),
      [1, 3],
    );
    for (const { client, server, cpu } of told.idle) assert.true(client! > 0 && server! > 0 && cpu! > 0);
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

interface Told {
  seed: number;
  rows: { id: string; cells: Cell[] }[];
  idle: Record<string, number>[];
}

interface Cell {
  library: string;
  median?: number;
  failure?: string;
  values: number[];
}
