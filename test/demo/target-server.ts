import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** A bare TCP server behind the relay: each connection goes to the caller that asked for the next one. */
export class TargetServer {
  readonly #waiting: ((socket: Socket) => void)[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      this.#waiting.shift()?.(socket);
    });
  }

  static async start(): Promise<TargetServer> {
    const target = new TargetServer();
    await new Promise<void>((resolve) => target.#server.listen(0, "127.0.0.1", resolve));
    return target;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The next connection, paused. */
  next(): Promise<Socket> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
