/** TCP servers that speak no TLS, or a little of it. */
import { createServer, type Socket } from "node:net";
import { randomBytes } from "../helpers/random.ts";
import { listen, type PeerContext, resetOnceRead } from "./peer.ts";

const answers: Record<string, string | Uint8Array> = {
  "http-400":
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis is no TLS port.\n",
  "smtp-banner": "220 mail.wassl.test ESMTP\r\n",
  garbage: randomBytes(4096, 4711),
  /** A handshake record that claims 65,535 bytes, and some of them. */
  "oversized-record": Uint8Array.of(22, 3, 3, 0xff, 0xff, ...new Uint8Array(1000)),
  /** Alerts in plaintext: fatal handshake_failure; warning close_notify. */
  "handshake-failure": Uint8Array.of(21, 3, 3, 0, 2, 2, 40),
  "close-notify": Uint8Array.of(21, 3, 3, 0, 2, 1, 0),
  /** Half of a record's header. */
  "half-header": Uint8Array.of(22, 3, 3),
  nothing: "",
};

/**
 *     raw?do=ANSWER&then=close|reset|wait      after the client's first bytes
 *     raw?do=ANSWER&first=yes&then=…           without waiting for any
 */
export async function startRaw(_context: PeerContext, parameters: URLSearchParams) {
  const answer = answers[parameters.get("do") ?? "nothing"];
  if (answer === undefined) throw new Error(`no such answer: ${parameters}`);
  const then = parameters.get("then") ?? "close";
  const events: string[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) => {
    const act = () => {
      const finish = () => {
        if (then === "close") socket.end();
        if (then === "reset") void (answer.length > 0 ? resetOnceRead(socket) : socket.resetAndDestroy());
      };
      if (answer.length > 0) socket.write(answer, finish);
      else finish();
    };
    if (parameters.has("first")) act();
    else socket.once("data", act);
    socket.resume();
    socket.on("end", () => {
      events.push("end");
      socket.end();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => events.push(`error ${error.code}`));
  });
  return listen(server, events);
}

/** Plain TCP, for the transports alone: echoes, and ends when the client has ended (`echo`, or `sink`, …). */
export async function startTcp(_context: PeerContext, parameters: URLSearchParams) {
  const events: string[] = [];
  let first: Socket | undefined;
  /** Each connection is the other end of the one before it. */
  const join = (socket: Socket) => {
    if (!first) {
      first = socket;
      return;
    }
    const ends = [first, socket] as const;
    first = undefined;
    for (const [from, to] of [ends, [...ends].reverse() as [Socket, Socket]]) {
      from.pipe(to);
      from.on("error", () => to.resetAndDestroy());
    }
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) => {
    socket.on("end", () => events.push("end"));
    socket.on("error", (error: NodeJS.ErrnoException) => events.push(`error ${error.code}`));
    socket.on("close", () => events.push("close"));
    switch (parameters.get("do")) {
      case "reply-after-end": {
        const chunks: Buffer[] = [];
        socket.on("data", (chunk: Buffer) => chunks.push(chunk));
        socket.on("end", () => socket.end(Buffer.concat(chunks)));
        break;
      }
      case "end-first":
        socket.end("hello");
        socket.on("data", (chunk) => events.push(`data ${chunk}`));
        break;
      case "source":
        // All of it is in the other side's kernel when the reset comes.
        socket.write(randomBytes(Number(parameters.get("bytes")), Number(parameters.get("seed"))), () => {
          if (parameters.get("then") === "end") socket.end();
          else setTimeout(() => socket.resetAndDestroy(), 30);
        });
        socket.resume();
        break;
      case "never-read":
        socket.pause();
        break;
      case "pair":
        join(socket);
        break;
      default:
        socket.pipe(socket);
    }
  });
  return listen(server, events);
}
