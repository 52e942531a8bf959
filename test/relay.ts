/** What a page needs to reach a TCP port: the relay between one WebSocket and one connection. */
import { connect } from "node:net";
import type { WebSocket } from "ws";

/** A WebSocket has no half-close: whichever side ends, ends both. */
export function relay(ws: WebSocket, port: number): void {
  const tcp = connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true });
  ws.binaryType = "nodebuffer";
  ws.on("message", (data: Buffer) => {
    if (!tcp.write(data)) ws.pause();
  });
  tcp.on("drain", () => ws.resume());
  tcp.on("data", (chunk) => {
    tcp.pause();
    ws.send(chunk, () => tcp.resume());
  });
  tcp.on("end", () => ws.close(1000));
  tcp.on("error", (error: NodeJS.ErrnoException) => ws.close(1011, error.code ?? "TCP error"));
  ws.on("error", () => tcp.destroy());
  ws.on("close", (code) => {
    if (code !== 1000 && code !== 1005) return tcp.resetAndDestroy();
    // What the server still says is taken, or the kernel would reset the connection, and lose what we sent before.
    tcp.end();
    tcp.removeAllListeners("data").resume();
    tcp.once("end", () => tcp.destroy());
    setTimeout(() => tcp.destroy(), 2000).unref();
  });
}
