/** Holds one end of a MessagePort transport, sends what it is told to, and may be terminated then. */
import { messagePortTransport } from "wassl/transports/message-port";

async function hold({ port, bytes }: { port: MessagePort; bytes: number }): Promise<void> {
  const { writable } = messagePortTransport(port);
  await writable.getWriter().write(new Uint8Array(bytes).fill(7));
}

if ("process" in globalThis && !("Deno" in globalThis)) {
  const { parentPort } = await import("node:worker_threads");
  parentPort?.on("message", async (message) => {
    await hold(message);
    parentPort.postMessage("sent");
  });
} else {
  addEventListener("message", async ({ data }) => {
    await hold(data);
    postMessage("sent");
  });
}
