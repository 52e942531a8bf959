/**
 * A relay for pages: it copies bytes between one WebSocket and one TCP connection, and sees ciphertext only.
 *
 *     tsx relay.ts PORT ORIGIN HOST:PORT…
 *
 * Pages of ORIGIN may reach the places named, as `ws://127.0.0.1:PORT/?to=HOST:PORT`, and nobody else may reach anything.
 */
import { connect } from "node:net";
import { WebSocketServer } from "ws";

const [port, origin, ...places] = process.argv.slice(2);

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  // Ciphertext does not compress.
  perMessageDeflate: false,
  // Browsers let every page on the web open a WebSocket to this port. Only this header tells them apart.
  verifyClient: ({ origin: asking }: { origin: string }) => asking === origin,
});
server.on("listening", () => console.log("listening on", server.address()));

server.on("connection", (ws, request) => {
  const to = new URL(request.url ?? "/", "ws://relay").searchParams.get("to") ?? "";
  if (!places.includes(to)) return ws.close(4403, "the relay does not go there");
  const colon = to.lastIndexOf(":");
  const tcp = connect({
    host: to.slice(0, colon),
    port: Number(to.slice(colon + 1)),
    noDelay: true,
    allowHalfOpen: true,
  });

  // Each side is read only as fast as the other one takes it.
  ws.binaryType = "nodebuffer";
  ws.on("message", (data: Buffer) => {
    if (!tcp.write(data)) ws.pause();
  });
  tcp.on("drain", () => ws.resume());
  tcp.on("data", (chunk) => {
    tcp.pause();
    ws.send(chunk, () => tcp.resume());
  });

  // A WebSocket cannot be closed in one direction only: the first end that comes ends both, behind all that was sent.
  tcp.on("end", () => ws.close(1000));
  tcp.on("error", (error: NodeJS.ErrnoException) => ws.close(1011, error.code ?? "TCP error"));
  ws.on("error", () => tcp.destroy());
  ws.on("close", (code) => {
    // The page vanished, or gave up. The server must not take that for a proper end.
    if (code !== 1000 && code !== 1005) return tcp.resetAndDestroy();
    tcp.end();
    tcp.removeAllListeners("data").resume();
    tcp.once("end", () => tcp.destroy());
    setTimeout(() => tcp.destroy(), 2000).unref();
  });
});
