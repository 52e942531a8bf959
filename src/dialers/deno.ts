/**
 * Dials by `Deno.connect`.
 *
 * @module
 */

import { TlsError } from "../errors.js";
import type { Dialer, SocketAddress } from "../transport.js";
import { type DenoConnLike, denoTransport } from "../transports/deno.js";
import { noConnection, readDestination, unlessAborted } from "./destination.js";

/** The part of `Deno.TcpConn` that is used. */
interface DenoTcpConnLike extends DenoConnLike {
  readonly localAddr: SocketAddress;
  readonly remoteAddr: SocketAddress;
  setNoDelay(on: boolean): void;
}

interface DenoLike {
  connect(to: SocketAddress): Promise<DenoTcpConnLike>;
}

/**
 * Makes a dialer of plain TCP, with half-close. Its connections send at once (`TCP_NODELAY`). Deno asks for the
 * permission to use the network when it dials (`--allow-net`).
 *
 * @throws {TlsError} of code `"invalid-argument"` where there is no Deno.
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 * import { denoDialer } from "wassl/dialers/deno";
 *
 * const dial = denoDialer();
 * const tls = await startTls(await dial({ hostname: "example.org", port: 443 }), { hostname: "example.org" });
 * ```
 */
export function denoDialer(): Dialer {
  const { Deno } = globalThis as { Deno?: DenoLike };
  if (!Deno) throw new TlsError("invalid-argument", "denoDialer needs Deno");
  return async (options) => {
    const { signal, ...to } = readDestination(options);
    const connecting = Deno.connect(to).catch((error: unknown) => {
      throw noConnection(to, error);
    });
    const conn = await unlessAborted(signal, connecting, (late) => late.close());
    conn.setNoDelay(true);
    return {
      ...denoTransport(conn),
      localAddress: address(conn.localAddr),
      remoteAddress: address(conn.remoteAddr),
    };
  };
}

function address({ hostname, port }: SocketAddress): SocketAddress {
  return { hostname, port };
}
