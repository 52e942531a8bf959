/** What build.sh makes for some suites of test/node alone, when they run. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** As a hook that comes before the tests of a module. A link takes a quarter of a minute, libraries a minute. */
export function built(...commands: ("kernels" | "faults" | "named")[]): (assert: Assert) => Promise<void> {
  return async (assert) => {
    assert.timeout(600_000);
    await promisify(execFile)("bash", ["build.sh", ...commands], { cwd: process.env.WASSL_REPOSITORY });
  };
}
