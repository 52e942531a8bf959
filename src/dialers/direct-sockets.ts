/**
 * Dials by `TCPSocket` of the Direct Sockets API, which Isolated Web Apps in Chromium have: a page reaches TCP without a
 * relay.
 *
 * @module
 */

import { TlsError } from "../errors.js";
import type { Dialer, SocketAddress } from "../transport.js";
import { noConnection, readDestination, unlessAborted } from "./destination.js";

/** What `TCPSocket.opened` resolves to. */
interface OpenedLike {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
}

interface TcpSocketLike {
  readonly opened: Promise<OpenedLike>;
  close(): Promise<void>;
}

type TcpSocketClass = new (hostname: string, port: number, options: { noDelay: true }) => TcpSocketLike;

/**
 * Makes a dialer of plain TCP, with half-close. Its sockets send at once (`TCP_NODELAY`). The app's manifest has to ask
 * for the permission `direct-sockets`.
 *
 * @throws {TlsError} of code `"invalid-argument"` where there is no `TCPSocket`.
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 * import { directSocketsDialer } from "wassl/dialers/direct-sockets";
 *
 * const dial = directSocketsDialer();
 * const transport = await dial({ hostname: "db.example.org", port: 5432 });
 * const tls = await startTls(transport, { hostname: "db.example.org", caCerts: pem });
 * ```
 */
export function directSocketsDialer(): Dialer {
  const { TCPSocket } = globalThis as { TCPSocket?: TcpSocketClass };
  if (!TCPSocket)
    throw new TlsError(
      "invalid-argument",
      "directSocketsDialer needs TCPSocket, which Isolated Web Apps have",
    );
  return async (options) => {
    const { signal, ...to } = readDestination(options);
    let socket: TcpSocketLike;
    try {
      socket = new TCPSocket(to.hostname, to.port, { noDelay: true });
    } catch (error) {
      throw noConnection(to, error);
    }
    const opening = socket.opened.catch((error: unknown) => {
      throw noConnection(to, error);
    });
    // A socket can be closed no sooner than it is open.
    const opened = await unlessAborted(signal, opening, () => socket.close());
    const { readable, writable, localAddress, localPort, remoteAddress, remotePort } = opened;
    return {
      readable,
      writable,
      localAddress: address(localAddress, localPort),
      remoteAddress: address(remoteAddress, remotePort),
    };
  };
}

function address(hostname: string | undefined, port: number | undefined): SocketAddress | undefined {
  return hostname === undefined || port === undefined ? undefined : { hostname, port };
}
