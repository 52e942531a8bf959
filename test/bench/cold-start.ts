/** A process that does nothing but begin a handshake. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * CPU time of a process from its start to its first ClientHello, in milliseconds. `program` is what its folder is
 * called.
 */
export async function coldStart(
  folder: string,
  program: string,
  library: string,
  caPem: string,
): Promise<number> {
  const file = join(folder, program, "cold.js");
  const { stdout } = await run(process.execPath, ["--no-warnings", file, library], {
    cwd: folder,
    env: { ...process.env, BENCH_CA: caPem },
    timeout: 60_000,
  }).catch((error: Error & { stderr?: string }) => {
    throw new Error(/^\w*Error.*: (.*)$/m.exec(error.stderr ?? "")?.[1] ?? error.message);
  });
  return Number(stdout);
}
