/** `net.Server`: the host's, where the host has one. */
import { EventEmitter } from "node:events";
import type * as net from "node:net";
import type { DialedTransport } from "wassl";
import { nodeTransport } from "wassl/transports/node";
import { nodeError } from "./errors.js";
import { Socket } from "./socket.js";

type Listener = (...parts: never[]) => void;

/** The host's own `node:net`, where it has one and lets it be asked for without an import: not in a page. */
function hostNet(): typeof net | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  return process?.getBuiltinModule?.("node:net") as typeof net | undefined;
}

interface ServerOptions {
  allowHalfOpen?: boolean;
  pauseOnConnect?: boolean;
}

/**
 * A server by the host's sockets. In a page `listen()` fails.
 *
 * @example
 * ```ts
 * import { Server } from "wassl/node/net";
 *
 * const server = new Server();
 * server.on("connection", (socket) => socket.pipe(socket));
 * server.listen(7, "127.0.0.1");
 * ```
 */
export class Server extends EventEmitter {
  maxConnections: number | undefined;
  readonly #options: ServerOptions;
  #host: net.Server | undefined;
  readonly #open = new Set<Socket>();

  constructor(options: ServerOptions | Listener | null = {}, listener?: Listener) {
    super();
    const given = typeof options === "function" ? {} : (options ?? {});
    this.#options = given;
    const onConnection = typeof options === "function" ? options : listener;
    if (onConnection) this.on("connection", onConnection as () => void);
  }

  get listening(): boolean {
    return this.#host?.listening ?? false;
  }

  listen(...parts: unknown[]): this {
    const host = hostNet();
    if (!host) {
      const error = nodeError(
        "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM",
        "there are no sockets to listen with here",
      );
      queueMicrotask(() => this.emit("error", error));
      return this;
    }
    const server = host.createServer({ allowHalfOpen: true, noDelay: true });
    this.#host = server;
    server.on("connection", (socket) => {
      const { localAddress, localPort, remoteAddress, remotePort } = socket;
      const at = (hostname?: string, port?: number) =>
        hostname === undefined || port === undefined ? undefined : { hostname, port };
      this.#accept({
        ...nodeTransport(socket),
        localAddress: at(localAddress, localPort),
        remoteAddress: at(remoteAddress, remotePort),
      });
    });
    for (const event of ["listening", "error", "drop"] as const)
      server.on(event, (...details: unknown[]) => this.emit(event, ...details));
    server.on("close", () => this.#closed());
    const last = parts.at(-1);
    if (typeof last === "function") {
      this.once("listening", last as () => void);
      parts.pop();
    }
    server.listen(...(parts as [number]));
    return this;
  }

  #accept(transport: DialedTransport): void {
    const socket = new Socket({ allowHalfOpen: this.#options.allowHalfOpen ?? false, transport });
    if (this.#options.pauseOnConnect) socket.pause();
    socket.server = this as unknown as net.Server;
    this.#open.add(socket);
    socket.on("close", () => {
      this.#open.delete(socket);
      if (!this.listening) this.#closed();
    });
    this.emit("connection", socket);
  }

  #closed(): void {
    if (this.listening || this.#open.size > 0 || !this.#host) return;
    this.#host = undefined;
    queueMicrotask(() => this.emit("close"));
  }

  close(listener?: (error?: Error) => void): this {
    if (!this.#host?.listening) {
      if (listener)
        queueMicrotask(() => listener(nodeError("ERR_SERVER_NOT_RUNNING", "Server is not running.")));
      return this;
    }
    if (listener) this.once("close", listener);
    this.#host.close();
    return this;
  }

  address(): net.AddressInfo | string | null {
    return this.#host?.address() ?? null;
  }
  get connections(): number {
    return this.#open.size;
  }
  getConnections(listener: (error: Error | null, count: number) => void): this {
    queueMicrotask(() => listener(null, this.#open.size));
    return this;
  }
  ref(): this {
    this.#host?.ref();
    return this;
  }
  unref(): this {
    this.#host?.unref();
    return this;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.close(() => resolve()));
  }
}

/**
 * Makes a server; `listen()` works where the host has sockets.
 *
 * @example
 * ```ts
 * import { createServer } from "wassl/node/net";
 *
 * createServer((socket: import("wassl/node/net").Socket) => socket.end("hello")).listen(0);
 * ```
 */
export function createServer(options?: ServerOptions | Listener | null, listener?: Listener): Server {
  return new Server(options, listener);
}
