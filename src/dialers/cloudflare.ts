/**
 * Dials by `connect()` of `cloudflare:sockets`, or of another WinterTC Sockets API.
 *
 * @module
 */

import { callback, readOption } from "../check.js";
import type { Dialer, SocketAddress, Transport } from "../transport.js";
import { noConnection, readDestination, unlessAborted } from "./destination.js";

/** The part of a `Socket` of `cloudflare:sockets` that is used. */
export interface CloudflareSocketLike {
  readonly readable: ReadableStream;
  readonly writable: WritableStream;
  readonly opened: Promise<{
    readonly localAddress?: string | undefined;
    readonly remoteAddress?: string | undefined;
  }>;
  close(): Promise<void>;
}

/** `connect()` of `cloudflare:sockets`, as far as it is used. */
export type CloudflareConnectLike = (
  to: SocketAddress,
  options: { secureTransport: "off"; allowHalfOpen: true },
) => CloudflareSocketLike;

/**
 * Makes a dialer of plain TCP from the function itself, which only a Worker can import. The TLS is Wassl's, so that your
 * own trust anchors count.
 *
 * Cloudflare's network forbids some addresses and ports (25 is one of them).
 *
 * @throws {TlsError} of code `"invalid-argument"`
 *
 * @example
 * ```ts
 * import { connect } from "cloudflare:sockets";
 * import { startTls } from "wassl";
 * import { cloudflareDialer } from "wassl/dialers/cloudflare";
 *
 * const dial = cloudflareDialer(connect);
 * const transport = await dial({ hostname: "db.example.org", port: 5432 });
 * const tls = await startTls(transport, { hostname: "db.example.org", caCerts: pem });
 * ```
 */
export function cloudflareDialer(connect: CloudflareConnectLike): Dialer {
  readOption(callback, connect, "connect");
  return async (options) => {
    const { signal, ...to } = readDestination(options);
    let socket: CloudflareSocketLike;
    try {
      socket = connect(
        { hostname: to.hostname, port: to.port },
        { secureTransport: "off", allowHalfOpen: true },
      );
    } catch (error) {
      throw noConnection(to, error);
    }
    const close = () => void socket.close().catch(() => {});
    const opened = socket.opened.catch((error: unknown) => {
      throw noConnection(to, error);
    });
    const info = await unlessAborted(signal, opened, () => {}).catch((error: unknown) => {
      close();
      throw error;
    });
    const { readable, writable } = socket as Transport;
    return {
      readable,
      writable,
      localAddress: addressIn(info.localAddress),
      remoteAddress: addressIn(info.remoteAddress),
    };
  };
}

/** Of "192.0.2.1:443" or "[2001:db8::1]:443". */
function addressIn(text: string | undefined): SocketAddress | undefined {
  const [, v6, name, port] = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(text ?? "") ?? [];
  const hostname = v6 ?? name;
  return hostname === undefined ? undefined : { hostname, port: Number(port) };
}
