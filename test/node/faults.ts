/** Memory runs out at some allocations of everything (see `test/faults`), in a process of its own: an allocator of its own is linked. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import QUnit from "qunit";
import { env } from "../contract/env.ts";

QUnit.module("memory runs out", () => {
  QUnit.test("nobody is believed, nothing traps or leaks, and afterwards all is well", async (assert) => {
    assert.timeout(240_000);
    const repository = process.env.WASSL_REPOSITORY ?? "";
    const program = join(repository, "test", "faults", "faults.ts");
    const args = [
      "--import",
      "tsx",
      program,
      "--samples",
      "2",
      "--scenarios",
      "30",
      "--seed",
      String(env.seed),
    ];
    const run = promisify(execFile)(process.execPath, args, { cwd: repository, timeout: 230_000 });
    const { stdout } = await run.catch((error: { stdout?: string; message: string }) => ({
      stdout: error.stdout || error.message,
    }));
    assert.true(/^nothing wrong in /m.test(stdout), stdout);
  });
});
