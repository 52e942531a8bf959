/** TCP, by `node:net`, which Deno has too. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { TlsError, type Transport } from "wassl";
import { nodeTransport } from "wassl/transports/node";
import type { Address } from "./options.js";

/** A transport with both its ends named. */
export interface Link {
  readonly transport: Transport;
  /** "127.0.0.1:4433" */
  readonly peer: string;
  /** Settles when the socket is closed and nothing is under way any more; a program that exits earlier cuts it off. */
  readonly gone: Promise<void>;
}

/** Waits until the socket is gone. A failure before TLS has not touched the socket: then it is not used any more. */
export async function settle({ transport, gone }: Link): Promise<void> {
  if (!transport.writable.locked) await transport.writable.abort().catch(() => {});
  await gone;
}

function link(socket: Socket): Link {
  return {
    transport: nodeTransport(socket),
    peer: format({ host: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 }),
    gone: new Promise((resolve) => socket.once("close", () => resolve())),
  };
}

export function format({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** @throws TlsError of code "transport", or the reason of `signal` */
export function connectTcp(to: Address, signal: AbortSignal): Promise<Link> {
  signal.throwIfAborted();
  // Half-open, so that an answer to the peer's end can still leave.
  const socket = connect({ ...to, allowHalfOpen: true, noDelay: true });
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      socket.destroy();
      reject(signal.reason);
    };
    const onError = (error: Error) => {
      signal.removeEventListener("abort", onAbort);
      reject(new TlsError("transport", `no connection to ${format(to)}: ${reason(error)}`, { cause: error }));
    };
    signal.addEventListener("abort", onAbort);
    socket.once("error", onError);
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      const made = link(socket);
      socket.off("error", onError);
      resolve(made);
    });
  });
}

/** If a name has several addresses, the message is empty and the errors are inside. */
function reason(error: Error): string {
  const { errors } = error as AggregateError;
  return (
    error.message || (errors as Error[] | undefined)?.map(({ message }) => message).join(", ") || error.name
  );
}

export interface Listener {
  readonly at: Address;
  /** Takes no more connections; those that exist go on. */
  close(): void;
  readonly closed: Promise<void>;
}

export function listenTcp(at: Address, onLink: (link: Link) => void): Promise<Listener> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => onLink(link(socket)));
  let onClosed: () => void;
  const closed = new Promise<void>((resolve) => {
    onClosed = resolve;
  });
  const close = () => {
    server.close();
    onClosed();
  };
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new TlsError("transport", `cannot listen on ${format(at)}: ${error.message}`, { cause: error })),
    );
    server.listen(at, () => {
      const { address, port } = server.address() as AddressInfo;
      resolve({ at: { host: address, port }, close, closed });
    });
  });
}
