/** What the benchmark asks of a TLS library, in whichever way is the library's own. */
import type { Duplex } from "node:stream";

/** What is agreed on: TLS 1.3, and one of each. */
export interface Settings {
  /** The server's key. Its chain has two certificates, whose issuer is known to the client. */
  readonly key: "ecdsa" | "rsa";
  /** As IANA calls it; so too the suite. */
  readonly group: string;
  readonly suite: string;
}

export interface Connection {
  /** Settles when so many more bytes have come. They are dropped. */
  receive(length: number): Promise<void>;
  /** Settles when more may be given. */
  send(bytes: Uint8Array): Promise<void>;
  close(): void | Promise<void>;
}

/** What connections share is made before, and kept. */
export interface Library {
  /** Throws where it cannot do what is asked for. `resume`: with the session of the connection before. */
  client?(settings: Settings, caPem: string, resume: boolean): Promise<Opener>;
  server?(settings: Settings, chain: string, key: string): Promise<Opener>;
}

/** Settles when the handshake is done and, by a client, the server verified. The name to verify is "localhost". */
export type Opener = (duplex: Duplex) => Promise<Connection>;

export const libraries: Record<string, Entry> = {
  transport: { load: () => import("./libraries/transport.ts") },
  native: { load: () => import("./libraries/native.ts") },
  wassl: { load: () => import("./libraries/wassl.ts") },
  "wassl, before": { load: () => import("./libraries/wassl.ts"), other: true },
  "epoxy-tls": { load: () => import("./libraries/epoxy.ts"), ofNpm: true },
  subtls: { load: () => import("./libraries/subtls.ts"), ofNpm: true, group: "P-256" },
  reclaim: { load: () => import("./libraries/reclaim.ts"), ofNpm: true },
  "libcurl.js": { load: () => import("./libraries/libcurl.ts"), ofNpm: true },
  "node-forge": { load: () => import("./libraries/forge.ts"), ofNpm: true },
  "transport, Chromium": { inPage: "transport" },
  "wassl, Chromium": { inPage: "wassl" },
};

interface Entry {
  load?(): Promise<{ library: Library }>;
  /** It runs in Chromium instead. */
  readonly inPage?: "transport" | "wassl";
  /** The package of another checkout: `--against`. */
  readonly other?: true;
  /** One of those in `peers/package.json`. */
  readonly ofNpm?: true;
  /** What it agrees on where the others take X25519, which it has not. */
  readonly group?: string;
}

/** How many bytes are here, and which reads wait for more: for libraries that call back. */
export class Arrivals {
  #have = 0;
  #wanted = 0;
  #waiting: { resolve(): void; reject(reason: unknown): void } | undefined;
  #failure: unknown;

  add(length: number): void {
    this.#have += length;
    if (!this.#waiting || this.#have < this.#wanted) return;
    this.#have -= this.#wanted;
    this.#waiting.resolve();
    this.#waiting = undefined;
  }

  fail(reason: unknown): void {
    this.#failure ??= reason;
    this.#waiting?.reject(reason);
    this.#waiting = undefined;
  }

  take(length: number): Promise<void> {
    if (this.#have >= length) {
      this.#have -= length;
      return Promise.resolve();
    }
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#wanted = length;
      this.#waiting = { resolve, reject };
    });
  }
}

/** A connection over a Node.js stream that has TLS done already. */
export function overStream(stream: Duplex): Connection {
  const arrivals = new Arrivals();
  stream.on("data", (chunk: Uint8Array) => arrivals.add(chunk.length));
  stream.on("error", (error) => arrivals.fail(error));
  stream.on("close", () => arrivals.fail(new Error("the connection was closed")));
  return {
    receive: (length) => arrivals.take(length),
    send: (bytes) =>
      stream.write(bytes)
        ? Promise.resolve()
        : new Promise((resolve) => {
            stream.once("drain", resolve);
          }),
    close() {
      stream.end();
    },
  };
}

/** The chunks of a stream, one after the other; undefined at its end. */
export function chunksOf(stream: Duplex): () => Promise<Uint8Array | undefined> {
  const iterator = stream[Symbol.asyncIterator]();
  return async () => {
    const { done, value } = await iterator.next();
    return done ? undefined : value;
  };
}
