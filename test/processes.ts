/** Child processes that do not outlive the test run, however it ends. */
import type { ChildProcess } from "node:child_process";

const running = new Set<ChildProcess>();

export function killAtEnd(child: ChildProcess): void {
  running.add(child);
  child.once("exit", () => running.delete(child));
}

export function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

process.once("exit", killAll);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(1));
}
