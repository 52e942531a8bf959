import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { Credentials } from "./certificates.js";
import type { Cleanup } from "./cleanup.js";

// Each of these servers of this process takes a free port of 127.0.0.1, and resolves to it.

/** Longer than anybody needs to try all the buttons, so that the server does not press them first. */
const keepAliveTimeout = 10 * 60_000;

/** Node's own TLS: a good citizen that keeps connections alive and answers a close_notify in full. */
export async function startNodeHttps(credentials: Credentials, cleanup: Cleanup): Promise<number> {
  const server = createHttpsServer(
    { cert: credentials.chain, key: credentials.key, keepAliveTimeout },
    greet,
  );
  return await listening(server, cleanup);
}

export async function startPlainHttp(cleanup: Cleanup): Promise<number> {
  return await listening(createHttpServer(greet), cleanup);
}

/**
 * A server that drops the TCP connection after half an answer, without close_notify. The answer has no
 * Content-Length, so only TLS can tell that something is missing.
 */
export async function startCutting(credentials: Credentials, cleanup: Cleanup): Promise<number> {
  const secureContext = createSecureContext({ cert: credentials.chain, key: credentials.key });
  const server = createTcpServer((raw) => {
    const secure = new TLSSocket(raw, { isServer: true, secureContext });
    secure.on("error", () => raw.destroy());
    secure.once("data", () => {
      const answer =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
        "Transfer the following amounts:\n  1. to the gardener      80\n  2. to the baker         12\n  3. to the stranger 10 000\n";
      // Here the cable is cut: line 4, "do NOT pay number 3", never leaves.
      secure.write(answer, () => setTimeout(() => raw.destroy(), 50));
    });
  });
  return await listening(server, cleanup);
}

/** A port on which nothing listens. Of the first ones: a free one is soon another program's. */
export async function findSilentPort(): Promise<number> {
  for (let port = 1; port < 1024; port++) if (await refuses(port)) return port;
  throw new Error("something listens on each of the first 1023 ports");
}

async function refuses(port: number): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1" });
  const refused = await new Promise<boolean>((resolve) => {
    socket.on("connect", () => resolve(false)).on("error", () => resolve(true));
  });
  socket.destroy();
  return refused;
}

function greet(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  const secure = request.socket instanceof TLSSocket ? request.socket : undefined;
  const lines = [
    "Hello from Node's own TLS.",
    "",
    "If you can read this in the page, it was decrypted in the page:",
    "no other program between us holds the key.",
    "",
    `you asked for   ${request.method} ${request.url}`,
    `I negotiated    ${secure?.getProtocol() ?? "nothing"}, ${secure?.getCipher().standardName ?? "in the clear"}`,
    `I am            Node ${process.version} with OpenSSL ${process.versions.openssl}`,
    `my clock says   ${new Date().toISOString()}`,
    "",
  ];
  const body =
    request.url === "/large" ? `${"0123456789abcdef".repeat(4)}\n`.repeat(16_384) : lines.join("\n");
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.setHeader("Content-Length", Buffer.byteLength(body));
  response.end(body);
}

async function listening(server: TcpServer, cleanup: Cleanup): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  cleanup.add(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return await listen(server);
}

async function listen(server: TcpServer): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
}
