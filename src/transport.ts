/**
 * A byte transport: anything that carries bytes both ways, in order and without loss. A `Deno.Conn` is one as it
 * stands. `wassl/transports/*` makes one from a WebSocket, a MessagePort, or a Node.js stream. A `TlsStream` is one
 * itself, so that TLS can run within TLS.
 *
 * - `readable` ends when the peer will send no more. It errors when the transport failed, but only behind all bytes
 *   that had arrived. It goes on after a write has failed, because the peer may have said why.
 * - `writable.write()` settles once the transport has taken the bytes: to wait for it is the backpressure.
 * - `writable.close()` says that no more bytes follow. If the transport knows half-close, reading goes on.
 * - `writable.abort()` and `readable.cancel()` give the transport up.
 */
export interface Transport {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Bytes that the transport has taken and not sent yet, if it knows. While this number falls, `close()` goes on
   * waiting.
   */
  readonly bufferedAmount?: number;
  /**
   * Says that no more bytes follow behind those that it has taken, also while other code holds `writable`, of which
   * only `close()` is then still to be called. Only transports with half-close have it: reading goes on.
   */
  closeWrite?(): void;
}

/** One end of a connection over TCP. */
export interface SocketAddress {
  /** A name, or an IP address without brackets: "db.example.org", "192.0.2.1", "2001:db8::1". */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** Where a {@link Dialer} is asked to connect to. */
export interface DialOptions extends SocketAddress {
  /** Ends the dialing. The transport that came of it is the caller's to end. */
  readonly signal?: AbortSignal | undefined;
}

/** A transport, with its ends if the dialer knows them. Behind a relay only the relay knows. */
export interface DialedTransport extends Transport {
  readonly localAddress?: SocketAddress | undefined;
  readonly remoteAddress?: SocketAddress | undefined;
}

/**
 * Connects to a TCP port, by whatever leads there: a socket, a relay, a proxy. `wassl/dialers/*` makes dialers.
 *
 * It resolves once bytes can be sent. If there is no connection, it rejects with a `TlsError` of code `"transport"`; a
 * destination that cannot be one is a `TlsError` of code `"invalid-argument"`. When `signal` is aborted, it rejects
 * with the reason of that, and nothing is left open.
 */
export type Dialer = (to: DialOptions) => Promise<DialedTransport>;

/**
 * What carries datagrams both ways: each whole or not at all, in any order, maybe twice. A chunk is a datagram.
 *
 * - `readable` drops what comes while its queue is full, as a network does. It ends when no more will come.
 * - `writable.write()` settles once the transport has taken the datagram.
 *
 * `wassl/transports/datagrams` makes one from WebTransport, a `UDPSocket`, or a socket of `node:dgram`.
 */
export interface DatagramTransport {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /** The longest datagram that it takes, in bytes, if it knows. */
  readonly maxDatagramSize?: number | undefined;
}

/** A datagram, and the peer that it came from. */
export interface ReceivedDatagram {
  readonly data: Uint8Array;
  readonly from: SocketAddress;
}

/** What carries datagrams of many peers: a UDP port, for example. Its `readable` drops what comes while it is full. */
export interface DatagramEndpoint {
  readonly readable: ReadableStream<ReceivedDatagram>;
  /** Settles once the datagram is taken. */
  send(data: Uint8Array, to: SocketAddress): Promise<void>;
  /** The longest datagram that it takes, in bytes, if it knows. */
  readonly maxDatagramSize?: number | undefined;
}

/**
 * What reads a transport and writes to it, as the reader and the writer of its streams would, without streams.
 * @internal
 */
export interface Ends {
  readonly reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read" | "cancel" | "releaseLock">;
  readonly writer: Pick<WritableStreamDefaultWriter<Uint8Array>, "write" | "close" | "abort" | "releaseLock">;
}

/**
 * Transports that can do without their streams, as long as these were not asked for: then it gives undefined. By the
 * object itself, because one that was made of another, with a stream of its own, must not be passed by.
 * @internal
 */
export const WITHOUT_STREAMS = new WeakMap<object, () => Ends | undefined>();
