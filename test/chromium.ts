/**
 * Headless Chromium with one page, and no debugger attached to it: a debugger is told each frame of each WebSocket,
 * which costs more than the page itself. The page itself has to say how it is doing.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { killAtEnd } from "./processes.ts";

const FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"],
  ...["--disable-extensions", "--disable-background-timer-throttling", "--disable-renderer-backgrounding"],
];

/** `profile` is a folder for it alone. What it logs comes on its standard error, which has to be read. */
export function startChromium(
  executable: string,
  profile: string,
  url: string,
  flags: string[] = [],
): ChildProcessByStdio<null, null, Readable> {
  const child = spawn(executable, [...FLAGS, ...flags, `--user-data-dir=${profile}`, url], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  killAtEnd(child);
  return child;
}
