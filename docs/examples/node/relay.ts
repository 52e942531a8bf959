/**
 * A relay for pages: it copies bytes between one WebSocket and one TCP connection, and sees ciphertext only.
 *
 *     tsx relay.ts PORT ORIGIN HOST:PORT…
 *
 * Pages of ORIGIN may reach the places named, as `ws://127.0.0.1:PORT/?to=HOST:PORT`, and nobody else may reach anything.
 */
import { connect } from "node:net";
import { nodeTransport } from "wassl/transports/node";
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

  // A socket whose write fails drops what the server had sent before, perhaps why. This transport delivers it first.
  const { readable, writable } = nodeTransport(tcp);
  const [reader, writer] = [readable.getReader(), writable.getWriter()];

  // Each side is read only as fast as the other one takes it.
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

  // A WebSocket cannot be closed in one direction only: the first end that comes ends both, behind all that was sent.
  down().then(
    () => ws.close(1000),
    (error: Error & { cause?: NodeJS.ErrnoException }) => ws.close(1011, error.cause?.code ?? "TCP error"),
  );
  ws.on("error", () => tcp.destroy());
  ws.on("close", (code) => {
    // The page vanished, or gave up. The server must not take that for a proper end.
    if (code !== 1000 && code !== 1005) return tcp.resetAndDestroy();
    const late = setTimeout(() => tcp.destroy(), 2000);
    tcp.once("close", () => clearTimeout(late));
    // What the server still sends is taken: a socket that is closed with unread bytes loses what it has sent.
    writer
      .close()
      .then(() => reader.cancel())
      .catch(() => {});
  });
});
