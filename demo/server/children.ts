import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Certificates, Credentials } from "./certificates.js";
import type { Cleanup } from "./cleanup.js";

const startTimeout = 15_000;
/**
 * Runs a program for as long as somebody holds the other end of standard input. When this process is killed in a way
 * that leaves it no time to clean up, the servers still go with it.
 */
const supervisor = `
  exec 3<&0
  "$@" </dev/null 3<&- &
  program=$!
  (cat <&3 >/dev/null; kill "$program") 2>/dev/null &
  wait "$program"
`;

/** OpenSSL's own `s_server`: one connection at a time, HTTP/1.0, and it closes first. Resolves to its port. */
export async function startOpenSslServer(credentials: Credentials, cleanup: Cleanup): Promise<number> {
  return await start(
    cleanup,
    "openssl",
    [
      ...["s_server", "-accept", "127.0.0.1:0", "-www", "-no_dhe"],
      ...["-cert", credentials.leafFile, "-cert_chain", credentials.issuersFile, "-key", credentials.keyFile],
    ],
    /^ACCEPT 127\.0\.0\.1:(\d+)/m,
  );
}

/** rustls, in Deno: no line of it is OpenSSL's. Resolves to its port, or undefined when `deno` is not installed. */
export async function startRustls(certificates: Certificates, cleanup: Cleanup): Promise<number | undefined> {
  const deno = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url));
  if (!existsSync(deno)) return undefined;
  const { chainFile, keyFile } = certificates.good;
  return await start(
    cleanup,
    deno,
    [
      ...["run", "--no-config", "--no-lock", "--no-remote", "--no-npm", "--quiet"],
      ...["--allow-net=127.0.0.1", `--allow-read=${certificates.directory}`],
      ...[fileURLToPath(new URL("./rustls.ts", import.meta.url)), chainFile, keyFile],
    ],
    /^LISTENING (\d+)/m,
    { DENO_DIR: join(certificates.directory, "deno"), DENO_NO_UPDATE_CHECK: "1" },
  );
}

async function start(
  cleanup: Cleanup,
  command: string,
  parameters: string[],
  ready: RegExp,
  environment: Record<string, string> = {},
): Promise<number> {
  const child = spawn("sh", ["-c", supervisor, "sh", command, ...parameters], {
    // Ctrl-C goes to the whole foreground process group. These are to be stopped by us, in order, so they get a
    // group of their own.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  const { pid } = child;
  let stopped = false;
  const stop = () => {
    if (stopped || pid === undefined || child.exitCode !== null) return;
    stopped = true;
    try {
      // The group: the shell, the program, and what that started (`deno` from npm is a launcher).
      process.kill(-pid, "SIGTERM");
    } catch {
      // It has just ended by itself.
    }
  };
  cleanup.add(stop);
  return await new Promise<number>((resolve, reject) => {
    let output = "";
    const fail = (why: string, cause?: unknown) => {
      clearTimeout(timer);
      stop();
      reject(new Error(`${command} ${parameters[0]}: ${why}\n${output.slice(0, 2000)}`, { cause }));
    };
    const timer = setTimeout(() => fail(`not ready after ${startTimeout / 1000} s`), startTimeout);
    const listen = (data: Buffer) => {
      if (output.length < 100_000) output += data.toString();
      const match = ready.exec(output);
      if (match === null) return;
      clearTimeout(timer);
      resolve(Number(match[1]));
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.once("error", (error) => fail(error.message, error));
    child.once("exit", (code, signal) => fail(`ended with ${signal ?? code}`));
  });
}
