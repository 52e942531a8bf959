/**
 * A relay as a Cloudflare Worker: it copies bytes between a WebSocket and a TCP connection. PLACES are those that it goes
 * to, like "db.example.org:5432", with spaces between; TOKEN is what a client has to know.
 */
import { connect } from "cloudflare:sockets";

interface Env {
  PLACES: string;
  TOKEN: string;
}

export default {
  // #region relay
  async fetch(request: Request, env: Env): Promise<Response> {
    const to = new URL(request.url).searchParams.get("to") ?? "";
    // A page cannot set headers of a WebSocket, but it can offer subprotocols.
    const [protocol, token] = (request.headers.get("Sec-WebSocket-Protocol") ?? "").split(/, */);
    if (protocol !== "relay" || token !== env.TOKEN) return new Response("who are you?", { status: 401 });
    if (!env.PLACES.split(" ").includes(to)) return new Response("not there", { status: 403 });

    const socket = connect(to, { secureTransport: "off", allowHalfOpen: true });
    await socket.opened;
    const writer = socket.writable.getWriter();
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    server.binaryType = "arraybuffer";
    server.accept();
    server.addEventListener("message", ({ data }) =>
      writer.write(new Uint8Array(data as ArrayBuffer)).catch(() => {}),
    );
    server.addEventListener("close", ({ code }) =>
      (code === 1000 || code === 1005 ? writer.close() : writer.abort()).catch(() => {}),
    );
    const down = async () => {
      for await (const chunk of socket.readable) server.send(chunk);
    };
    down().then(
      () => server.close(1000),
      () => server.close(1011),
    );
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { "Sec-WebSocket-Protocol": "relay" },
    });
  },
  // #endregion
};
