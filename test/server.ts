/**
 * The runner's own server, on 127.0.0.1: what the suites ask for (`/config.json`, `/peer?name=&runtime=`,
 * `/events?name=&runtime=`; `/crypto-vectors?seed=`, `/crypto-decrypt?data=&padding=`), the files of the page that runs them in browsers, and WebSocket endpoints:
 *
 *     /relay?port=N                  copies to and from TCP, to ports of our peers only
 *     /ws/echo                       sends frames back
 *     /ws/never-read                 reads nothing
 *     /ws/source?bytes=N&seed=N      sends N bytes at once
 *     /ws/source?…&then=CODE         and closes with that code; 1006 drops the connection
 *     /ws/text                       sends a text frame
 *     /ws/close?code=N&reason=TEXT   sends "hello", closes with that code
 *     /ws/terminate                  sends "hello", drops the connection at the first message
 *     /ws/refuse                     answers 403
 *     /ws/hang                       does not answer
 *     /ws/pair?id=TEXT               the second one with the same text is the first one's other end
 *     /ws/runner?browser=NAME        is where the page in a browser tells how its tests are doing
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { type WebSocket, WebSocketServer } from "ws";
import type { Config } from "./helpers/env.ts";
import { randomBytes } from "./helpers/random.ts";
import { cryptoDecrypt, cryptoVectors } from "./peers/crypto.ts";
import type { Peers } from "./peers/index.ts";
import { relay } from "./relay.ts";

const mimeTypes: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".map": "application/json",
  ".wasm": "application/wasm",
};

/** Shared memory needs a page that is cross-origin isolated. One page is not, for the test of that. */
const isolated = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export async function startServer(options: {
  config: Promise<Config>;
  peers: Peers;
  files: string;
  onPage(browser: string, ws: WebSocket): void;
}) {
  const { config, peers, files, onPage } = options;
  const first = new Map<string, WebSocket>();
  const pair = (id: string, ws: WebSocket) => {
    const other = first.get(id);
    if (!other) {
      ws.pause();
      first.set(id, ws);
      return;
    }
    first.delete(id);
    copy(ws, other);
    copy(other, ws);
  };
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const peer = () => peers.get(url.searchParams.get("name") ?? "", url.searchParams.get("runtime") ?? "");
    try {
      if (url.pathname === "/config.json") json(response, await config);
      else if (url.pathname === "/peer") json(response, { port: (await peer()).port });
      else if (url.pathname === "/events") json(response, (await peer()).events.splice(0));
      else if (url.pathname === "/crypto-vectors")
        json(response, cryptoVectors(Number(url.searchParams.get("seed"))));
      else if (url.pathname === "/crypto-decrypt") json(response, cryptoDecrypt(url.searchParams));
      else {
        const path = url.pathname === "/" ? "/index.html" : url.pathname;
        const type = mimeTypes[extname(path)];
        if (!type || path.includes("..")) throw new Error(`no such page: ${path}`);
        const content = await readFile(join(files, path));
        const isolation = path === "/not-isolated.html" ? {} : isolated;
        response.writeHead(200, { "Content-Type": type, ...isolation }).end(content);
      }
    } catch (error) {
      response.writeHead(404, { "Content-Type": "text/plain" }).end(String(error));
    }
  });

  server.on("upgrade", (request, socket, head) => {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const refuse = (status: string) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
    socket.on("error", () => {});
    const number = (name: string) => Number(url.searchParams.get(name));
    if (url.pathname === "/relay") {
      if (!peers.has(number("port"))) return refuse("403 Forbidden");
      return sockets.handleUpgrade(request, socket, head, (ws) => relay(ws, number("port")));
    }
    if (url.pathname === "/ws/hang") return;
    const accept = (act: (ws: WebSocket) => void) =>
      sockets.handleUpgrade(request, socket, head, (ws) => {
        ws.on("error", () => {});
        act(ws);
      });
    switch (url.pathname) {
      case "/ws/runner":
        return accept((ws) => onPage(url.searchParams.get("browser") ?? "", ws));
      case "/ws/echo":
        return accept((ws) => ws.on("message", (data) => ws.send(data)));
      case "/ws/pair":
        return accept((ws) => pair(url.searchParams.get("id") ?? "", ws));
      case "/ws/never-read":
        return accept((ws) => ws.pause());
      case "/ws/source":
        return accept((ws) => {
          const bytes = randomBytes(number("bytes"), number("seed"));
          for (let at = 0; at < bytes.byteLength; at += 65536) ws.send(bytes.subarray(at, at + 65536));
          if (!url.searchParams.has("then")) return;
          if (number("then") === 1006) ws.send(new Uint8Array(0), () => ws.terminate());
          else if (number("then") === 1003) ws.send("a text frame");
          else ws.close(number("then"), "enough");
        });
      case "/ws/text":
        return accept((ws) => ws.send("some text"));
      case "/ws/close":
        return accept((ws) => {
          ws.send(Buffer.from("hello"));
          ws.close(number("code"), url.searchParams.get("reason") ?? "");
        });
      case "/ws/terminate":
        // Not before: Firefox tells of no opening that a drop has overtaken.
        return accept((ws) => ws.once("message", () => ws.terminate()).send(Buffer.from("hello")));
      default:
        return refuse("403 Forbidden");
    }
  });

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP port was expected");
  return {
    origin: `http://127.0.0.1:${address.port}`,
    close() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Copies one way, as fast as the other end takes it. What ends one end ends the other one like that. */
function copy(from: WebSocket, to: WebSocket): void {
  from.on("message", (data: Buffer) => {
    from.pause();
    to.send(data, () => from.resume());
  });
  from.on("close", (code) => {
    if (code === 1006) to.terminate();
    else to.close(code === 1005 ? 1000 : code);
    to.resume();
  });
  from.resume();
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}
