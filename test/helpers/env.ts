/** What a test knows of the world: the same in every runtime. */
import type { Dialer, Transport } from "wassl";
import type { WebSocketLike } from "wassl/transports/websocket";
import type { Certs } from "../peers/certs.ts";
import type { Chains } from "../peers/chains.ts";
import type { Forged } from "../peers/forged.ts";
import type { Unsupported } from "../peers/unsupported.ts";

export interface Config {
  /** Printed by the runner; `--seed` repeats a run. */
  seed: number;
  /** When these were made, in milliseconds since 1970: not always in this run. */
  made: number;
  certs: Certs;
  chains: Chains;
  forged: Forged;
  unsupported: Unsupported;
  /** Those that take part in this run. */
  runtimes: readonly string[];
}

export interface WorkerLike {
  postMessage(message: unknown): void;
  terminate(): unknown;
}

export interface Env extends Config {
  runtime: string;
  /** It runs in a page of a browser. */
  page: boolean;
  /** The origin of the runner's server, "http://127.0.0.1:port", which also has `/openssl.wasm`. */
  origin: string;
  /** A class for `connectWebSocket`'s option of that name. */
  WebSocket: new (
    url: string | URL,
    protocols?: string | string[],
  ) => WebSocketLike;
  /** Starts the peer of that name (see `test/peers`) unless it runs. */
  peer(name: string): Promise<{ host: string; port: number }>;
  /** What the peer of that name logged since it was last asked. */
  events(name: string): Promise<string[]>;
  /** Connects to that peer as is natural here: a socket, a `Deno.Conn`, or a WebSocket to a relay. */
  connect(name: string): Promise<Transport>;
  /** The runtime's own dialer; in a page, by the runner's relay, which goes to 127.0.0.1 whatever the name is. */
  dial: Dialer;
  /** Starts the worker of that name (see `test/workers`). */
  startWorker(name: string, onMessage: (message: unknown) => void): WorkerLike;
  /** The URL of a WebSocket endpoint of the runner (see `test/server.ts`). */
  ws(path: string): string;
}

/** Set before the first test runs. */
export let env: Env;

export function setEnv(value: Env): void {
  env = value;
}

/**
 * This runtime's share of the cases of a sweep: all runtimes together do each of them once, and another seed deals them
 * out otherwise. For cases that differ in what OpenSSL or plain code make of them; what a runtime's own streams,
 * sockets and workers may be judged by, each of them has to do.
 */
export function share<T>(cases: readonly T[]): T[] {
  const { runtimes, runtime, seed } = env;
  // It runs a sample, and is no part of the deal.
  if (!runtimes.includes(runtime)) return [...cases];
  const own = cases.filter((_, i) => runtimes[(i + seed) % runtimes.length] === runtime);
  if (own.length === 0) throw new Error(`${cases.length} cases are too few for ${runtimes.length} runtimes`);
  return own;
}

/** Whatever a test leaves open is closed after it, so that no test suffers from another. */
const leftovers: (() => unknown)[] = [];

export function afterTest(dispose: () => unknown): void {
  leftovers.push(dispose);
}

export async function disposeLeftovers(): Promise<void> {
  for (const dispose of leftovers.splice(0).reverse())
    await Promise.resolve()
      .then(dispose)
      .catch(() => {});
}
