/**
 * One end of the connections that are measured: a process of its own, with one library, so that its CPU time is that
 * library's. The other end is another such process. It does what its parent asks: `end.js LIBRARY`.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { type Library, libraries, type Opener } from "./library.ts";
import { profiled } from "./profile.ts";
import type { Row } from "./rows.ts";
import { answer, ask } from "./work.ts";

export type Request =
  /** Takes connections, and does its part of `row` on them. Answers the port. */
  | { do: "listen"; row: Row; chain: string; key: string }
  /** How much the other end will do. */
  | { do: "expect"; amount: number }
  /** Connects there and does so much. */
  | { do: "run"; row: Row; port: number; amount: number; caPem: string }
  /** Answers the CPU time until now, in seconds. */
  | { do: "cpu" }
  | { do: "profile-start" }
  /** Answers where the time went since. */
  | { do: "profile-stop" };

let library: Library = {};
let expected = 0;
const openers = new Map<string, Opener>();

/** A TCP socket, but hidden: no library is to know that it could have the handle itself. */
function duplexOf(socket: Socket): Duplex {
  const duplex = new Duplex({
    allowHalfOpen: true,
    read: () => void socket.resume(),
    write: (chunk, _encoding, done) => void socket.write(chunk, (error) => done(error ?? null)),
    final: (done) => void socket.end(() => done()),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.setNoDelay();
  socket.on("data", (chunk) => duplex.push(chunk) || socket.pause());
  socket.on("end", () => duplex.push(null));
  socket.on("error", () => duplex.destroy());
  socket.on("close", () => duplex.destroy());
  return duplex;
}

async function listen(row: Row, chain: string, key: string): Promise<number> {
  if (!library.server) throw new Error("it has no server");
  const open = await library.server(row.settings, chain, key);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const gone = Promise.race([once(socket, "end"), once(socket, "close")]);
    gone.catch(() => {});
    // It may fail once its client has all it wanted and is gone; a client that misses something says so.
    open(duplexOf(socket))
      .then(async (connection) => {
        await answer(connection, row, expected);
        await gone;
        await connection.close();
      })
      .catch(() => {})
      .finally(() => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function run(row: Row, port: number, amount: number, caPem: string): Promise<void> {
  if (!library.client) throw new Error("it has no client");
  let open = openers.get(row.id);
  if (!open) {
    open = await library.client(row.settings, caPem, row.work === "resumption");
    openers.set(row.id, open);
  }
  const connection = async () => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    const { close, ...rest } = await open(duplexOf(socket));
    return {
      ...rest,
      async close() {
        await close();
        socket.destroy();
      },
    };
  };
  await ask(connection, row, amount);
}

async function answerTo(request: Request): Promise<unknown> {
  switch (request.do) {
    case "listen":
      return listen(request.row, request.chain, request.key);
    case "expect":
      expected = request.amount;
      return;
    case "run":
      return run(request.row, request.port, request.amount, request.caPem);
    case "cpu": {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }
    case "profile-start":
      return profiled.start();
    case "profile-stop":
      return profiled.stop();
  }
}

process.on("message", (request: Request) => {
  answerTo(request).then(
    (value) => process.send!({ value }),
    (error) => process.send!({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on("disconnect", () => process.exit());
process.on("uncaughtException", (error) => console.error(`${process.argv[2]}: ${error.stack}`));
process.on("unhandledRejection", (error) => console.error(`${process.argv[2]}: ${error}`));

try {
  ({ library } = await libraries[process.argv[2] ?? ""]!.load!());
  process.send!({ value: "ready" });
} catch (error) {
  process.send!({ error: (error as Error).message });
}
