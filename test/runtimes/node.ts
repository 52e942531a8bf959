/** Runs the suites in Node.js or Bun: `node suite.js ORIGIN`. */
import { once } from "node:events";
import { connect } from "node:net";
import { Worker } from "node:worker_threads";
import { nodeDialer } from "wassl/dialers/node";
import { nodeTransport } from "wassl/transports/node";
import WebSocket from "ws";
import { afterTest } from "../helpers/env.ts";
import { type Message, run, textOf, uncaught } from "./common.ts";

const [, , origin = ""] = process.argv;

process.on("uncaughtException", uncaught);
process.on("unhandledRejection", uncaught);

function emit(message: Message, done?: () => void): void {
  process.stdout.write(`\u0001${JSON.stringify(message)}\n`, done);
}

export async function main(): Promise<void> {
  try {
    await run({
      name: process.versions.bun ? "bun" : "node",
      origin,
      WebSocket,
      emit,
      startWorker(name, onMessage) {
        const worker = new Worker(new URL(`./node-${name}.js`, import.meta.url));
        return worker.on("message", onMessage);
      },
      dial: nodeDialer(),
      async connect({ host, port }) {
        const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
        afterTest(() => socket.destroy());
        await once(socket, "connect");
        return nodeTransport(socket);
      },
    });
  } catch (error) {
    emit({ type: "error", text: textOf(error) });
  }
  process.stdout.write("", () => process.exit());
}
