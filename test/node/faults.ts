/**
 * Memory runs out at some allocations of everything (see `test/faults`), in a process of its own: an allocator of its
 * own is linked.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import QUnit from "qunit";
import { built } from "../built.ts";
import { env } from "../helpers/env.ts";

/** It takes 10 s of processor time at most; the rest is for whatever else runs meanwhile. */
const TIMEOUT = 230_000;

QUnit.module("memory runs out", (hooks) => {
  hooks.before(built("faults"));
  QUnit.test("nobody is believed, nothing traps or leaks, and afterwards all is well", async (assert) => {
    assert.timeout(TIMEOUT + 10_000);
    const cwd = process.env.WASSL_REPOSITORY ?? "";
    const program = join(cwd, "test", "faults", "faults.ts");
    const slice = ["--samples", "1", "--scenarios", "30", "--seed", String(env.seed)];
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", program, ...slice], {
      cwd,
      timeout: TIMEOUT,
    }).catch((error: { stdout?: string; message: string }) => ({ stdout: error.stdout || error.message }));
    assert.true(/^nothing wrong in /m.test(stdout), `npm run faults -- ${slice.join(" ")}\n${stdout}`);
  });
});
