/**
 * What carries datagrams, for `wassl/dtls`: WebTransport, a `UDPSocket` of Direct Sockets, a socket of `node:dgram`, and
 * a `Deno.DatagramConn`. What comes while nobody reads is dropped when 256 datagrams wait.
 *
 * @module
 */
import { messageOf } from "../check.js";
import { TlsError } from "../errors.js";
import type { DatagramEndpoint, DatagramTransport, ReceivedDatagram, SocketAddress } from "../transport.js";

/** How many datagrams wait at most. */
const MOST_WAITING = 256;

function failed(doing: string, cause: unknown): TlsError {
  return new TlsError("transport", `the datagram ${doing}: ${messageOf(cause)}`, { cause });
}

/** The part of `WebTransport` that is used. */
export interface WebTransportLike {
  readonly datagrams: {
    readonly readable: ReadableStream<Uint8Array>;
    readonly writable?: WritableStream<Uint8Array>;
    createWritable?(): WritableStream<Uint8Array>;
    readonly maxDatagramSize: number;
  };
}

/**
 * The datagrams of a WebTransport session that is ready. Encrypted for the relay, they are encrypted once more for the
 * peer behind it.
 *
 * @example
 * ```ts
 * import { startDtls } from "wassl/dtls";
 * import { type WebTransportLike, webTransportDatagrams } from "wassl/transports/datagrams";
 *
 * const connect = (relay: WebTransportLike) =>
 *   startDtls(webTransportDatagrams(relay), { hostname: "device.example", caCerts: pem });
 * ```
 */
export function webTransportDatagrams({ datagrams }: WebTransportLike): DatagramTransport {
  return {
    readable: datagrams.readable,
    writable: datagrams.createWritable?.() ?? datagrams.writable!,
    maxDatagramSize: datagrams.maxDatagramSize,
  };
}

/** The part of a `UDPSocket` of Direct Sockets that is used: one that is connected to a peer. */
export interface UdpSocketLike {
  readonly opened: Promise<{
    readonly readable: ReadableStream<{ readonly data: Uint8Array }>;
    readonly writable: WritableStream<{ data: Uint8Array }>;
  }>;
}

/**
 * The datagrams of a `UDPSocket` (Direct Sockets), made with `remoteAddress` and `remotePort`.
 *
 * @example
 * ```ts
 * import { type UdpSocketLike, udpSocket } from "wassl/transports/datagrams";
 *
 * const transportOf = (socket: UdpSocketLike) => udpSocket(socket);
 * ```
 */
export async function udpSocket(socket: UdpSocketLike): Promise<DatagramTransport> {
  const { readable, writable } = await socket.opened;
  const reader = readable.getReader();
  const writer = writable.getWriter();
  return {
    readable: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { value, done } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value.data);
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    ),
    writable: new WritableStream<Uint8Array>({
      write: (data) => writer.write({ data }),
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    }),
  };
}

/** The part of a `dgram.Socket` of Node.js that is used. */
export interface DgramSocketLike {
  on(
    event: "message",
    listener: (data: Uint8Array, from: { address: string; port: number }) => void,
  ): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "close", listener: () => void): unknown;
  send(data: Uint8Array, callback: (error: Error | null) => void): void;
  send(data: Uint8Array, port: number, address: string, callback: (error: Error | null) => void): void;
  close(): unknown;
}

/** A readable of what a socket tells by events, with its end. */
function received<T>(
  socket: DgramSocketLike,
  make: (data: Uint8Array, from: SocketAddress) => T,
): { readable: ReadableStream<T>; close(): void } {
  let open = true;
  const close = () => {
    if (!open) return;
    open = false;
    socket.close();
  };
  const readable = new ReadableStream<T>(
    {
      start(controller) {
        socket.on("message", (data, { address, port }) => {
          if (!open || (controller.desiredSize ?? 0) <= 0) return;
          // Node.js hands out pieces of a buffer that it uses again.
          controller.enqueue(make(new Uint8Array(data), { hostname: address, port }));
        });
        // Such as ECONNREFUSED, which anybody can bring about by a forged ICMP message: the next datagram may arrive.
        socket.on("error", () => {});
        socket.on("close", () => {
          if (open) controller.close();
          open = false;
        });
      },
      cancel: close,
    },
    { highWaterMark: MOST_WAITING },
  );
  return { readable, close };
}

/** An ICMP message is no failure of the socket, and anybody can forge it: what was sent is lost, as it may be anyway. */
const LOST = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN"]);

function sending(send: (callback: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    send((error) => {
      if (!error || LOST.has((error as { code?: string }).code ?? "")) resolve();
      else reject(failed("was not sent", error));
    });
  });
}

/**
 * A socket of `node:dgram` that was connected (`socket.connect()`), in Node.js or Bun. It is closed with the transport.
 *
 * @example
 * ```ts
 * import { startDtls } from "wassl/dtls";
 * import { type DgramSocketLike, dgramTransport } from "wassl/transports/datagrams";
 *
 * const connect = (socket: DgramSocketLike) =>
 *   startDtls(dgramTransport(socket), { hostname: "device.example", caCerts: pem });
 * ```
 */
export function dgramTransport(socket: DgramSocketLike): DatagramTransport {
  const { readable, close } = received(socket, (data) => data);
  return {
    readable,
    writable: new WritableStream<Uint8Array>({
      write: (data) => sending((callback) => socket.send(data, callback)),
      close,
      abort: close,
    }),
  };
}

/**
 * A socket of `node:dgram` that is bound and not connected: it hears all peers. It is closed when `readable` is
 * cancelled.
 *
 * @example
 * ```ts
 * import { listenDtls } from "wassl/dtls";
 * import { type DgramSocketLike, dgramEndpoint } from "wassl/transports/datagrams";
 *
 * const serve = (socket: DgramSocketLike) => listenDtls(dgramEndpoint(socket), { cert, key });
 * ```
 */
export function dgramEndpoint(socket: DgramSocketLike): DatagramEndpoint {
  const { readable } = received<ReceivedDatagram>(socket, (data, from) => ({ data, from }));
  return {
    readable,
    send: (data, to) => sending((callback) => socket.send(data, to.port, to.hostname, callback)),
  };
}

/** The part of a `Deno.DatagramConn` that is used. */
export interface DenoDatagramsLike {
  receive(): Promise<[Uint8Array, unknown]>;
  send(data: Uint8Array, to: { transport: "udp"; hostname: string; port: number }): Promise<number>;
  close(): void;
}

/**
 * A `Deno.DatagramConn` of UDP (`Deno.listenDatagram()`), which hears all peers. It is closed when `readable` is
 * cancelled.
 *
 * @example
 * ```ts
 * import { listenDtls } from "wassl/dtls";
 * import { type DenoDatagramsLike, denoDatagrams } from "wassl/transports/datagrams";
 *
 * const serve = (conn: DenoDatagramsLike) => listenDtls(denoDatagrams(conn), { cert, key });
 * ```
 */
export function denoDatagrams(conn: DenoDatagramsLike): DatagramEndpoint {
  let open = true;
  return {
    readable: new ReadableStream<ReceivedDatagram>(
      {
        async pull(controller) {
          try {
            const [data, from] = await conn.receive();
            const { hostname, port } = from as SocketAddress;
            controller.enqueue({ data: new Uint8Array(data), from: { hostname, port } });
          } catch (error) {
            if (open) controller.error(failed("was not received", error));
          }
        },
        cancel() {
          open = false;
          conn.close();
        },
      },
      { highWaterMark: 0 },
    ),
    async send(data, { hostname, port }) {
      try {
        await conn.send(data, { transport: "udp", hostname, port });
      } catch (error) {
        throw failed("was not sent", error);
      }
    },
  };
}

/**
 * One peer of an endpoint: for a client in Deno, whose `Deno.DatagramConn` is never connected. Datagrams of others are
 * dropped. The endpoint is closed with it.
 *
 * @example
 * ```ts
 * import { startDtls } from "wassl/dtls";
 * import { type DenoDatagramsLike, datagramsOf, denoDatagrams } from "wassl/transports/datagrams";
 *
 * const connect = (conn: DenoDatagramsLike) =>
 *   startDtls(datagramsOf(denoDatagrams(conn), { hostname: "192.0.2.1", port: 5684 }), {
 *     hostname: "192.0.2.1",
 *     caCerts: pem,
 *   });
 * ```
 */
export function datagramsOf(endpoint: DatagramEndpoint, peer: SocketAddress): DatagramTransport {
  const reader = endpoint.readable.getReader();
  const end = (reason?: unknown) => reader.cancel(reason);
  return {
    maxDatagramSize: endpoint.maxDatagramSize,
    readable: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          for (;;) {
            const { value, done } = await reader.read();
            if (done) return controller.close();
            const { data, from } = value;
            if (from.hostname === peer.hostname && from.port === peer.port) return controller.enqueue(data);
          }
        },
        cancel: end,
      },
      { highWaterMark: 0 },
    ),
    writable: new WritableStream<Uint8Array>({
      write: (data) => endpoint.send(data, peer),
      close: () => end(),
      abort: end,
    }),
  };
}
