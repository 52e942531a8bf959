import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import type { DemoSetup } from "../../demo/protocol.ts";
import { killAtEnd } from "../processes.ts";

const startTimeout = 30_000;
const stopTimeout = 5_000;

export interface Demo {
  /** The one URL that it prints. */
  readonly url: string;
  readonly setup: DemoSetup;
  /** Sends SIGINT, as Ctrl-C does, and checks that nothing is left. */
  interrupt(): Promise<void>;
  kill(): void;
}

export async function startDemo(parameters: string[]): Promise<Demo> {
  const script = fileURLToPath(new URL("../../demo/serve.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script, ...parameters], {
    // A free port: another demo may run on this machine.
    env: { ...process.env, PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  killAtEnd(child);
  let output = "";
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const url = await new Promise<string>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`demo/serve.ts ${why}\n${output}`));
    const timer = setTimeout(() => fail(`printed no URL in ${startTimeout} ms`), startTimeout);
    const listen = (data: Buffer) => {
      output += data.toString();
      const found = /http:\/\/\S+/.exec(output)?.[0];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    void exited.then((code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
  const response = await fetch(new URL("/demo.json", url));
  const setup = (await response.json()) as DemoSetup;

  return {
    url,
    setup,
    async interrupt() {
      assert.deepEqual(output.match(/https?:\/\/\S+/g), [url], "it prints one URL");
      const before = await certificateFolders(child.pid);
      child.kill("SIGINT");
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<"late">((resolve) => {
        timer = setTimeout(() => resolve("late"), stopTimeout);
      });
      const code = await Promise.race([exited, late]);
      clearTimeout(timer);
      assert.equal(code, 0, "it ends at once");
      for (const folder of before) assert.ok(!existsSync(folder), `${folder} is removed`);
      for (const { port } of setup.targets.filter(({ host }) => host === "localhost"))
        assert.ok(!(await accepts("127.0.0.1", port)), `nothing listens on ${port} any more`);
    },
    kill() {
      child.kill("SIGKILL");
    },
  };
}

/** Whether a program listens there. A server that is just ending may need a moment. */
async function accepts(host: string, port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 20; attempt++) {
    if (!(await acceptsNow(host, port))) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return true;
}

export function acceptsNow(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.setTimeout(2_000, () => socket.destroy());
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
}

/** This machine's addresses which others can reach. */
export function outerAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === "IPv4")
    .map(({ address }) => address);
}

/** The folders with keys in them that the demo's servers were started with, from the servers' command lines. */
async function certificateFolders(parent: number | undefined): Promise<string[]> {
  const { readdir, readFile } = await import("node:fs/promises");
  if (!existsSync("/proc/self/stat")) return [];
  const folders = new Set<string>();
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    if (Number(/\) \S (\d+)/.exec(stat)?.[1]) !== parent) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const folder = /[^\0=]*wassl-demo-[^/\0]+/.exec(command)?.[0];
    if (folder !== undefined) folders.add(folder);
  }
  assert.ok(folders.size > 0, "its servers are its children");
  return [...folders];
}
