/**
 * Dials by `connect()` of `cloudflare:sockets`, or of another WinterTC Sockets API.
 *
 * @module
 */

import { callback, isBytes, readOption } from "../check.js";
import { TlsError } from "../errors.js";
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
    return {
      ...streamsOf(socket, close),
      localAddress: addressIn(info.localAddress),
      remoteAddress: addressIn(info.remoteAddress),
    };
  };
}

/**
 * The two streams of a socket, as a transport has them. In workerd a socket whose `writable` is aborted stays open, what
 * waits goes on waiting when the socket is closed, and a reader that gives up cannot be let go.
 */
function streamsOf(socket: CloudflareSocketLike, close: () => void): Transport {
  const reader = socket.readable.getReader();
  const writer = socket.writable.getWriter();
  let giveUp!: (why: unknown) => void;
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  givenUp.catch(() => {});
  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await Promise.race([reader.read(), givenUp]);
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => Promise.race([reader.cancel(reason), givenUp.catch(() => {})]),
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>({
    start({ signal }) {
      // A sink's own abort() would be called only after a write that is under way, which may never end.
      signal.addEventListener("abort", () => {
        giveUp(new TlsError("transport", "The transport was aborted", { cause: signal.reason }));
        close();
      });
    },
    write(chunk) {
      if (isBytes(chunk)) return Promise.race([writer.write(chunk), givenUp]);
      const error = new TlsError("invalid-argument", "A transport takes Uint8Arrays only");
      giveUp(error);
      close();
      throw error;
    },
    close: () => Promise.race([writer.close(), givenUp]),
  });
  return { readable, writable };
}

/** Of "192.0.2.1:443" or "[2001:db8::1]:443". */
function addressIn(text: string | undefined): SocketAddress | undefined {
  const [, v6, name, port] = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(text ?? "") ?? [];
  const hostname = v6 ?? name;
  return hostname === undefined ? undefined : { hostname, port: Number(port) };
}
