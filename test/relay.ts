/** What a page needs to reach a TCP port: the relay between one WebSocket and one connection. */
import { connect } from "node:net";
import type { WebSocket } from "ws";
import { nodeTransport } from "../src/transports/node.ts";

/** A WebSocket has no half-close: whichever side ends, ends both. */
export function relay(ws: WebSocket, port: number): void {
  const tcp = connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true });
  // When a write to the server fails, the transport still gives what the server had sent before. A socket would not.
  const { readable, writable } = nodeTransport(tcp);
  const [reader, writer] = [readable.getReader(), writable.getWriter()];

  ws.binaryType = "nodebuffer";
  ws.on("message", (data: Buffer) => {
    ws.pause();
    const goOn = () => ws.resume();
    writer.write(data).then(goOn, goOn);
  });
  const down = async () => {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read())
      await new Promise((resolve) => ws.send(value as Uint8Array, resolve));
  };
  down().then(
    () => ws.close(1000),
    (error: Error & { cause?: NodeJS.ErrnoException }) => ws.close(1011, error.cause?.code ?? "TCP error"),
  );

  ws.on("error", () => tcp.destroy());
  ws.on("close", (code) => {
    if (code !== 1000 && code !== 1005) return tcp.resetAndDestroy();
    const late = setTimeout(() => tcp.destroy(), 2000);
    tcp.once("close", () => clearTimeout(late));
    // What the server still says is taken, or the kernel would reset the connection, and lose what we sent before.
    writer
      .close()
      .then(() => reader.cancel())
      .catch(() => {});
  });
}
