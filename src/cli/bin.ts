#!/usr/bin/env node
/** The program `wassl`, on Node.js and Deno: `main()` in a process. */
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Io } from "./io.js";
import { main } from "./main.js";

const ends = ["SIGINT", "SIGTERM"] as const;

function processIo(): Io {
  const { stdin, stdout, stderr } = process;
  const interrupt = new AbortController();
  let hangUp = (): void => interrupt.abort("SIGHUP");
  for (const signal of ends) process.once(signal, () => interrupt.abort(signal));
  process.on("SIGHUP", () => hangUp());
  // The callback of the write tells of the error; without a listener it would be an uncaught exception as well.
  stdout.on("error", () => {});
  stderr.on("error", () => {});
  return {
    stdin,
    stdinIsTerminal: Boolean(stdin.isTTY),
    stdout: (bytes) =>
      new Promise((resolve, reject) => {
        stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    stderr: (text) => void stderr.write(text),
    stderrIsTerminal: Boolean(stderr.isTTY),
    env: (name) => process.env[name],
    interrupted: interrupt.signal,
    ...(!stdin.isTTY && {
      onHangUp(listener: () => void) {
        hangUp = listener;
      },
    }),
  };
}

/** Node.js 20 has a WebSocket only behind a flag: run the same program again, with the flag. */
function againWithWebSocket(args: string[]): Promise<number> {
  const program = [flag, ...process.execArgv, fileURLToPath(import.meta.url), ...args];
  const child = spawn(process.execPath, program, { stdio: "inherit" });
  for (const signal of [...ends, "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

const flag = "--experimental-websocket";
const args = process.argv.slice(2);
const needsFlag =
  !("WebSocket" in globalThis) &&
  args.some((arg) => arg === "--via" || arg.startsWith("--via=")) &&
  process.allowedNodeEnvironmentFlags.has(flag) &&
  !process.execArgv.includes(flag);
process.exit(needsFlag ? await againWithWebSocket(args) : await main(args, processIo()));
