/** Some hundred simulated connections (see `test/simulate`), in a process of their own: they replace the clock. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import QUnit from "qunit";
import { env } from "../helpers/env.ts";

QUnit.module("simulation", () => {
  QUnit.test("400 connections through simulated networks are as the model has them", async (assert) => {
    assert.timeout(180_000);
    const repository = process.env.WASSL_REPOSITORY ?? "";
    const program = join(repository, "test", "simulate", "simulate.ts");
    const args = ["--import", "tsx", program, "--seeds", "400", "--seed", String(env.seed)];
    const run = promisify(execFile)(process.execPath, args, { cwd: repository, timeout: 170_000 });
    const { stdout } = await run.catch((error: { stdout?: string; message: string }) => ({
      stdout: error.stdout || error.message,
    }));
    assert.true(/\b400 seeds in .*, 0 failed\n$/.test(stdout), stdout);
  });
});
