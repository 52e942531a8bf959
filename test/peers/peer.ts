/** What every peer is: something that listens on 127.0.0.1 and behaves in one known way. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Tools } from "../setup.ts";
import type { CertFiles } from "./certs.ts";

export interface Peer {
  readonly port: number;
  /** What the peer saw: "end", "error ECONNRESET", "read 1234 <sha256>", … in order, over all connections. */
  readonly events: string[];
  close(): void;
}

export interface PeerContext {
  tools: Tools;
  certs: CertFiles;
  /** A folder of this run's own. */
  folder: string;
  /** Starts another peer, or gives the one that runs, by its name. */
  peer(name: string): Promise<Peer>;
}

/** Starts a peer. Its parameters are those after the `?` of its name. */
export type StartPeer = (context: PeerContext, parameters: URLSearchParams) => Promise<Peer>;

export async function listen(server: Server, events: string[]): Promise<Peer> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP port was expected");
  return { port: address.port, events, close: () => server.close() };
}

/** What a duplex gives, to its end. (A plain `for await` would then destroy the duplex, both ways.) */
export function chunksOf(duplex: Duplex): AsyncIterable<Buffer> {
  return duplex.iterator({ destroyOnReturn: false });
}

/** How often it is looked, and for how long at most, whether the other side has read all; in milliseconds. */
const glance = 10;
const patience = 5_000;

/**
 * A reset, once the other side has read what it was sent. To one that finds both at once, libuv says that the
 * connection has ended: with POLLHUP behind the last bytes it does not ask the kernel for the error any more.
 */
export async function resetOnceRead(socket: Socket): Promise<void> {
  // The rows are not of one moment, so it takes two looks: what had left at the first one has been read at the second.
  const begin = Date.now();
  for (let quiet = 0; quiet < 2 && Date.now() - begin < patience; ) {
    await sleep(glance);
    quiet = (await isUnread(socket)) ? 0 : quiet + 1;
  }
  socket.resetAndDestroy();
}

/** Whether the kernel still holds bytes for the other side, in our queue or in its. */
async function isUnread({ localPort = 0, remotePort = 0 }: Socket): Promise<boolean> {
  const ends = [localPort, remotePort].map((port) => port.toString(16).toUpperCase().padStart(4, "0"));
  for (const row of (await readFile("/proc/net/tcp", "latin1")).split("\n")) {
    // "sl local_address rem_address st tx_queue:rx_queue …", all in hexadecimal.
    const [, local = "", remote = "", , queues = ""] = row.trim().split(/\s+/);
    const ports = [local.slice(-4), remote.slice(-4)];
    const [sending, receiving] = queues.split(":").map((bytes) => Number.parseInt(bytes, 16));
    if (ports.join() === ends.join() && sending !== 0) return true;
    if (ports.reverse().join() === ends.join() && receiving !== 0) return true;
  }
  return false;
}
