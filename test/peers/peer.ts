/** What every peer is: something that listens on 127.0.0.1 and behaves in one known way. */
import { once } from "node:events";
import type { Server } from "node:net";
import type { Duplex } from "node:stream";
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
