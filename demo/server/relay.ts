import type { IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { nodeTransport } from "wassl/transports/node";
import { type WebSocket, WebSocketServer } from "ws";
import { RelayClose } from "../protocol.js";
import { type AllowList, isPort } from "./allow-list.js";
import { type RelayEntry, RelayLog } from "./relay-log.js";

const connectTimeout = 10_000;
const idleTimeout = 15 * 60_000;
const connectionsAtOnce = 64;
/** Bytes queued towards the page at which reading from the server stops. */
const highWater = 1 << 20;
/** How long a server may take to end its half once the page has ended the other. */
const lingerTime = 3_000;

/**
 * The relay: binary WebSocket messages in, TCP out, and back. It holds no key and looks at nothing but record headers.
 *
 * A WebSocket has no half-close. When the server ends its half of TCP, the relay closes the WebSocket (1000) behind
 * the last byte and still forwards what the page sent before it learned of that. When the page closes, the TCP
 * connection's sending half is ended, so that a close_notify in front of it arrives. A page that vanishes (1006) or
 * aborts (4000 and above) is passed on as a reset, because nothing says that it was done.
 */
export class Relay {
  readonly log = new RelayLog();
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false, // Ciphertext does not compress.
    maxPayload: 4 << 20,
  });
  readonly #sockets = new Set<Socket>();

  constructor(
    private readonly allowed: AllowList,
    /** Whether this Origin header may be: browsers let any site open a WebSocket to localhost. */
    private readonly mayOpen: (origin: string | undefined) => boolean,
  ) {}

  /** Answers the HTTP request that asks for a WebSocket. */
  upgrade(request: IncomingMessage, client: Duplex, head: Buffer, url: URL): void {
    if (!this.mayOpen(request.headers.origin)) {
      client.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    // A browser tells its page nothing about a failed upgrade. So the WebSocket is always accepted, and a refusal is
    // told by its close code and reason.
    const accept = (then: (webSocket: WebSocket) => void) =>
      this.#webSockets.handleUpgrade(request, client, head, then);
    const host = url.searchParams.get("host") ?? "";
    const port = Number(url.searchParams.get("port"));
    const entry = this.log.entry(url.searchParams.get("id") ?? crypto.randomUUID());
    if (entry === undefined || entry.state !== "waiting" || host === "" || !isPort(port)) {
      accept((webSocket) =>
        webSocket.close(RelayClose.badRequest, "the relay wants host, port and a fresh id"),
      );
      return;
    }
    entry.target = `${host}:${port}`;
    const refuse = (code: number, reason: string) => {
      ended(entry, code, reason);
      accept((webSocket) => webSocket.close(code, shortened(reason)));
    };
    if (!this.allowed.has(host, port)) {
      refuse(RelayClose.notAllowed, `${entry.target} is not on the relay's allow-list`);
    } else if (this.#sockets.size >= connectionsAtOnce) {
      refuse(RelayClose.busy, "the relay has too many connections");
    } else {
      this.#dial(entry, host, port, client, accept, refuse);
    }
  }

  /** Ends every connection at once. */
  close(): void {
    for (const webSocket of this.#webSockets.clients) webSocket.terminate();
    for (const socket of this.#sockets) socket.destroy();
    this.#webSockets.close();
  }

  #dial(
    entry: RelayEntry,
    host: string,
    port: number,
    client: Duplex,
    accept: (then: (webSocket: WebSocket) => void) => void,
    refuse: (code: number, reason: string) => void,
  ): void {
    entry.state = "connecting";
    entry.changed();
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    const failed = (reason: string) => {
      clearTimeout(timer);
      client.off("close", gone);
      socket.destroy();
      refuse(RelayClose.unreachable, reason);
    };
    const onError = (error: Error) => failed(unreachable(error, entry.target));
    const gone = () => {
      clearTimeout(timer);
      socket.destroy();
      ended(entry, 1006, "the page went away");
    };
    const timer = setTimeout(
      () => failed(`ETIMEDOUT: no answer from ${entry.target} in ${connectTimeout / 1000} s`),
      connectTimeout,
    );
    client.once("close", gone);
    socket.once("error", onError);
    socket.once("connect", () => {
      clearTimeout(timer);
      client.off("close", gone);
      socket.off("error", onError);
      accept((webSocket) => splice(entry, webSocket, socket));
    });
  }
}

/** Exported for its test. */
export function splice(entry: RelayEntry, webSocket: WebSocket, socket: Socket): void {
  entry.state = "open";
  entry.changed();
  // When a write to the server fails, this still gives what the server had sent before, perhaps why. A socket would
  // destroy itself, and drop that.
  const { readable, writable } = nodeTransport(socket);
  const [reader, writer] = [readable.getReader(), writable.getWriter()];

  const close = (code: number, reason: string) => {
    // The page's answer to our close repeats the code, but not always the reason.
    entry.end ??= { code, reason };
    webSocket.close(code, shortened(reason));
  };
  const down = async () => {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      const chunk = Buffer.from(value!.buffer, value!.byteOffset, value!.byteLength);
      entry.down.add(chunk, entry.age);
      entry.changed();
      const sent = new Promise((resolve) => webSocket.send(chunk, resolve));
      if (webSocket.bufferedAmount > highWater) await sent;
    }
  };
  down().then(
    () => close(1000, "the server ended the connection"),
    (error: Error & { cause?: NodeJS.ErrnoException }) =>
      close(
        RelayClose.broken,
        `${error.cause?.code ?? error.message}: the connection to ${entry.target} broke off`,
      ),
  );
  socket.setTimeout(idleTimeout, () => {
    close(RelayClose.idle, "nothing moved for a long time");
    socket.destroy();
  });

  webSocket.on("message", (data, isBinary) => {
    if (!isBinary) {
      close(1003, "the relay carries binary messages only");
      return;
    }
    // `ws` gives one Buffer per message unless it was told to do otherwise.
    if (!Buffer.isBuffer(data)) return;
    entry.up.add(data, entry.age);
    entry.changed();
    webSocket.pause();
    const goOn = () => webSocket.resume();
    writer.write(data).then(goOn, goOn);
  });
  webSocket.on("error", () => webSocket.terminate());
  webSocket.on("close", (code, reason) => {
    ended(entry, code, reason.toString());
    if (code === 1006 || code >= 4000) {
      socket.resetAndDestroy();
      return;
    }
    const timer = setTimeout(() => socket.destroy(), lingerTime);
    socket.on("close", () => clearTimeout(timer));
    // Nobody is left to read the rest, which is taken all the same: the kernel would reset the connection otherwise.
    writer
      .close()
      .then(() => reader.cancel())
      .catch(() => {});
  });
}

function ended(entry: RelayEntry, code: number, reason: string): void {
  entry.state = "ended";
  entry.end ??= { code, reason };
  entry.changed();
}

/** A close reason may hold 123 bytes of UTF-8 (RFC 6455 §5.5). */
function shortened(reason: string): string {
  let text = reason.length > 123 ? `${reason.slice(0, 122)}…` : reason;
  while (Buffer.byteLength(text) > 123) text = `${text.slice(0, -2).trimEnd()}…`;
  return text;
}

function unreachable(error: Error, target: string): string {
  const code = codeOf(error);
  const meaning: Record<string, string> = {
    ECONNREFUSED: `nothing listens on ${target}`,
    ENOTFOUND: `there is no host of that name (${target})`,
    EAI_AGAIN: `the name could not be looked up (${target})`,
    EHOSTUNREACH: `there is no way to ${target}`,
    ENETUNREACH: `there is no way to ${target}`,
    ETIMEDOUT: `no answer from ${target}`,
  };
  return `${code}: ${meaning[code] ?? error.message}`;
}

/** With several addresses for one name Node gives an AggregateError; what the first of them said will do. */
function codeOf(error: Error): string {
  if ("code" in error && typeof error.code === "string") return error.code;
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return codeOf(error.errors[0]);
  return "EFAILED";
}
