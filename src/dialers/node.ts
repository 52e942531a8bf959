/**
 * Dials by `node:net`: Node.js, Deno and Bun.
 *
 * @module
 */

import { connect } from "node:net";
import type { Dialer, SocketAddress } from "../transport.js";
import { type DuplexLike, nodeTransport } from "../transports/node.js";
import { noConnection, readDestination } from "./destination.js";

/** The part of a `net.Socket` that is used. */
interface SocketLike extends DuplexLike {
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
}

/**
 * Makes a dialer of plain TCP. Its sockets have half-close (`allowHalfOpen`), so that an answer to the peer's end can
 * still leave, and send at once (`TCP_NODELAY`): a record of TLS that waits for the acknowledgement of the one before
 * costs 40 ms.
 *
 * A name with several addresses is tried as Node.js does (`autoSelectFamily`).
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 * import { nodeDialer } from "wassl/dialers/node";
 *
 * const dial = nodeDialer();
 * const transport = await dial({ hostname: "example.org", port: 443, signal: AbortSignal.timeout(10_000) });
 * const tls = await startTls(transport, { hostname: "example.org" });
 * ```
 */
export function nodeDialer(): Dialer {
  return async (options) => {
    const { signal, ...to } = readDestination(options);
    const where = { host: to.hostname, port: to.port };
    const socket = connect({ ...where, allowHalfOpen: true, noDelay: true }) as SocketLike;
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        reject(signal?.reason);
        socket.destroy();
      };
      const settle = () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      signal?.addEventListener("abort", onAbort);
      socket.on("connect", settle);
      // It stays: an error may follow an abort, and must not become an uncaught exception.
      socket.on("error", (error) => {
        signal?.removeEventListener("abort", onAbort);
        reject(noConnection(to, error));
      });
    });
    // The same object: a copy would ask for its streams, and do without its wire.
    return Object.assign(nodeTransport(socket), {
      localAddress: address(socket.localAddress, socket.localPort),
      remoteAddress: address(socket.remoteAddress, socket.remotePort),
    });
  };
}

/** A socket that was reset meanwhile has none. */
function address(hostname: string | undefined, port: number | undefined): SocketAddress | undefined {
  return hostname === undefined || port === undefined ? undefined : { hostname, port };
}
