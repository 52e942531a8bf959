/**
 * Clients that leave `wassl serve`: at every stage, in every way, in every mode. Nothing of them may stay, and those
 * that never leave are sent away. What counts is the open sockets of the process.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { connect as netConnect, type Socket } from "node:net";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import QUnit from "qunit";
import { sleep } from "../helpers/basics.ts";
import { certFile, cliFolder } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";

/** In milliseconds: `--timeout`, and until when everything must be over. */
const TIMEOUT = 2_000;
const PATIENCE = 12_000;

const modes = [
  ["--www"],
  ["--echo"],
  ["--rev"],
  ["--www", "--starttls", "smtp"],
  ["--www", "--close", "close"],
];
const versions = ["TLSv1.2", "TLSv1.3"] as const;

/** How far a client gets: what it says before TLS is done, or with it. */
const stages = {
  "connected only": { raw: "" },
  // The header of a record, and the beginning of a ClientHello.
  "in the handshake": { raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc" },
  "idle after the handshake": { data: "" },
  "in the middle of a request": { data: "GET / HT" },
  "behind a request": { data: "GET / HTTP/1.0\r\n\r\n" },
  // More than fits into the kernel's buffers on the way back, which is not read.
  "in the middle of an answer": { data: "GET / HTTP/1.0\r\n\r\n".padEnd(4 << 20, "x\n") },
} as const;

const ways: Record<string, (raw: Socket, tls?: TLSSocket) => void> = {
  "FIN without close_notify": (raw) => void raw.end(),
  "FIN without close_notify, then gone": (raw) => {
    raw.end();
    setTimeout(() => raw.destroy(), 100);
  },
  close_notify: (raw, tls) => void (tls ?? raw).end(),
  "gone at once": (raw) => void raw.destroy(),
  reset: (raw) => void raw.resetAndDestroy(),
  "never leaves": () => {},
};

async function client(
  port: number,
  stage: keyof typeof stages,
  way: string,
  version: (typeof versions)[number],
): Promise<"went" | "was sent away"> {
  const raw = netConnect({ port, host: "127.0.0.1", allowHalfOpen: true });
  afterTest(() => raw.destroy());
  raw.on("error", () => {});
  await once(raw, "connect");
  const said = stages[stage];
  let tls: TLSSocket | undefined;
  if ("raw" in said) {
    raw.write(said.raw, "latin1");
  } else {
    tls = connect({
      socket: raw,
      ca: env.certs.caPem,
      servername: "localhost",
      minVersion: version,
      maxVersion: version,
    });
    tls.on("error", () => {});
    // On a machine with much other work the handshake can take longer than the server's bound.
    const arrived = await once(tls, "secureConnect").then(
      () => true,
      () => false,
    );
    if (!arrived) return "was sent away";
    if (said.data) tls.write(said.data);
  }
  // So that the server has seen that much.
  await sleep(50);
  ways[way]!(raw, tls);
  return "went";
}

QUnit.module("wassl serve: clients that leave", () => {
  for (const mode of modes) {
    QUnit.test(mode.join(" "), async (assert) => {
      const identity = ["--cert", certFile("ecdsa"), "--key", certFile("ecdsaKey")];
      const args = ["serve", "0", ...mode, ...identity, "--timeout", String(TIMEOUT / 1000), "--json"];
      const server = spawn(process.execPath, [join(cliFolder, "bin.js"), ...args], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      afterTest(() => server.kill("SIGKILL"));
      let text = "";
      server.stderr.on("data", (chunk) => {
        text += chunk;
      });
      while (!/"listening".*\n/.test(text)) await sleep(10);
      const port = Number(/"port":(\d+)/.exec(text)?.[1]);
      const folder = `/proc/${server.pid}/fd`;
      const sockets = () =>
        readdirSync(folder).filter((fd) => {
          try {
            return readlinkSync(join(folder, fd)).startsWith("socket:");
          } catch {
            return false; // closed since
          }
        }).length;
      const before = sockets();

      let clients = 0;
      let sentAway = 0;
      for (const [stage, said] of Object.entries(stages) as [keyof typeof stages, object][]) {
        // There would have to be a dialog first; the bound is on both.
        if ("data" in said && mode.includes("--starttls")) continue;
        const these = Object.keys(ways).flatMap((way) =>
          versions.map((version) => client(port, stage, way, version)),
        );
        clients += these.length;
        // Not all at once: on a machine with other work some would be sent away before they have got so far.
        const how = await Promise.all(these);
        sentAway += how.filter((each) => each === "was sent away").length;
      }
      assert.true(sentAway < clients / 4, `${sentAway} of ${clients} were sent away before they could leave`);
      const began = performance.now();
      while (sockets() > before && performance.now() - began < PATIENCE) await sleep(50);
      assert.strictEqual(sockets(), before, "no socket is left");
      const count = (type: string) => text.split(`{"type":"${type}"`).length - 1;
      assert.strictEqual(count("accepted"), clients);
      while (count("ended") < clients && performance.now() - began < PATIENCE) await sleep(50);
      assert.strictEqual(count("ended"), clients, "each has its end");
      server.kill("SIGINT");
      const [code] = await once(server, "close");
      assert.strictEqual(code, 0, "and the server goes on until it is told to end");
    });
  }
});
