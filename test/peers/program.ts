/** Programs that are started as peers, and when they are ready. */
import { type ChildProcess, spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { killAtEnd } from "../processes.ts";

export interface Started extends ChildProcess {
  /** The last of what it said. */
  output: string;
}

export function start(program: string, args: string[]): Started {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => {});
  killAtEnd(child);
  const started = Object.assign(child, { output: "" });
  const keep = (chunk: Buffer) => {
    started.output = (started.output + chunk).slice(-10_000);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  child.on("error", (error) => keep(Buffer.from(String(error))));
  return started;
}

/** Waits until `ready` says so, at most ten seconds. */
async function waitUntil<T>(child: Started, what: string, ready: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(10)) {
    const result = await ready();
    if (result !== undefined) return result;
    if (child.exitCode !== null || child.pid === undefined) break;
  }
  throw new Error(`${child.spawnargs.join(" ")} did not start (${what}); it said:\n${child.output}`);
}

export function waitForOutput(child: Started, pattern: RegExp): Promise<RegExpMatchArray> {
  return waitUntil(child, String(pattern), async () => child.output.match(pattern) ?? undefined);
}

export function waitForPort(port: number, child: Started): Promise<true> {
  const attempt = () =>
    new Promise<true | undefined>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("connect", () => resolve(true)).on("error", () => resolve(undefined));
      socket.on("connect", () => socket.destroy());
    });
  return waitUntil(child, `port ${port}`, attempt);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("a TCP port was expected");
  return address.port;
}
