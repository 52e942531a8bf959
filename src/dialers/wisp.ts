/**
 * Dials by a server that speaks Wisp (github.com/MercuryWorkshop/wisp-protocol, versions 1 and 2): many connections
 * over one WebSocket. The WebSocket is opened when it is needed, shared by all connections of a dialer, and closed some
 * time after the last of them. If it breaks, its connections fail, and the next dialing opens another one.
 *
 * What Wisp cannot do, and what is done about it:
 *
 * - **It has no half-close.** A CLOSE ends a stream both ways at once, and the server drops what it has not passed on
 *   yet. So `writable.close()` does not send a CLOSE until the peer has ended too, or until nothing has moved for
 *   `closeTimeout`: a close_notify that was written last is not lost.
 * - **It limits what the client sends, stream by stream, and not what the server sends.** A write waits for the credit of
 *   its stream, and so one slow peer does not hold up the others. But a stream that is not read fills memory, and fails
 *   at `maxUnread`.
 * - **A server of version 1 does not say when it has connected.** Then dialing succeeds at once; what cannot be reached
 *   is told by the streams. A server of version 2 says it if it has the extension "stream open confirmation".
 * - **Some servers tell a reset as an end.** TLS knows the difference.
 *
 * @module
 */

import {
  byteCount,
  callback,
  custom,
  duration,
  either,
  isBytes,
  longerThan0,
  readOption,
  readOptions,
  type Table,
  tagOf,
  whole,
} from "../check.js";
import { TlsError } from "../errors.js";
import { after, within } from "../timers.js";
import type { DialedTransport, Dialer, SocketAddress } from "../transport.js";
import { Inbox } from "../transports/inbox.js";
import {
  type ConnectWebSocketOptions,
  connectWebSocket,
  CONNECT as WEB_SOCKET,
} from "../transports/websocket.js";
import { format, noConnection, readDestination, unlessAborted } from "./destination.js";

export interface WispDialerOptions extends Omit<ConnectWebSocketOptions, "signal"> {
  /**
   * The version of Wisp. By default 2 is asked for, and where the WebSocket cannot be opened like that (a server of
   * version 1 knows no subprotocol), 1.
   */
  version?: 1 | 2;
  /** How long the WebSocket is kept without a connection, in milliseconds. Default 1,000. */
  idleTimeout?: number;
  /** How long the server may take until it is ready, in milliseconds. Default 10,000. */
  openTimeout?: number;
  /** In bytes: when more than this of one connection has arrived and waits to be read, it fails. Default 64 MiB. */
  maxUnread?: number;
  /**
   * In milliseconds: how long `writable.close()` waits for the peer's end while nothing moves. Then the stream is closed,
   * and what the server has not passed on is lost. Default 1,500, which is less than `close()` of TLS allows.
   */
  closeTimeout?: number;
}

/** The URL of a Wisp server, or a function that makes it. */
export type WispUrl = string | URL | (() => string | URL | Promise<string | URL>);

const { signal: _, ...TABLE } = WEB_SOCKET;
const OPTIONS: Table<WispDialerOptions> = {
  ...TABLE,
  version: whole(1, 2),
  idleTimeout: duration,
  openTimeout: longerThan0,
  maxUnread: byteCount,
  closeTimeout: duration,
};
const SERVER = either(
  custom("a URL", (value) => tagOf(value) === "URL" || (typeof value === "string" && value !== "")),
  callback,
);

/** Types of packets. */
const CONNECT = 1;
const DATA = 2;
const CONTINUE = 3;
const CLOSE = 4;
const INFO = 5;

const HEADER = 5;
/** So that a packet is one frame: the transport sends frames of 64 KiB at most. */
const MAX_DATA = 64 * 1024 - HEADER;
const TCP = 1;
const STREAM_OPEN_CONFIRMATION = 5;

const VOLUNTARY = 2;
const CLIENT_ERROR = 0x81;
/** Why a stream is closed, or the whole connection is refused. */
const REASONS: Readonly<Record<number, string>> = {
  1: "for no reason that it says",
  3: "because of a network error",
  4: "because of incompatible extensions",
  65: "because the destination is not valid",
  66: "because the destination cannot be reached",
  67: "because the destination did not answer",
  68: "because the destination refused the connection",
  71: "because the transfer timed out",
  72: "because it does not go to this destination",
  73: "because there are too many connections",
  192: "because the name or the password is wrong",
  193: "because the signature is wrong",
  194: "because it asks for credentials",
};

function packet(type: number, stream: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + payload.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, stream, true);
  bytes.set(payload, HEADER);
  return bytes;
}

/**
 * Makes a dialer from the URL of a Wisp server, which ends with a slash. A function is called each time that a WebSocket
 * is opened: it can put a new token into the URL.
 *
 * @throws {TlsError} of code `"invalid-argument"`
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 * import { wispDialer } from "wassl/dialers/wisp";
 *
 * const dial = wispDialer("wss://relay.example.org/wisp/");
 * const transport = await dial({ hostname: "db.example.org", port: 5432, signal: AbortSignal.timeout(10_000) });
 * const tls = await startTls(transport, { hostname: "db.example.org", caCerts: pem });
 * ```
 */
export function wispDialer(url: WispUrl, options: WispDialerOptions = {}): Dialer {
  const server = readOption(SERVER, url, "url") as WispUrl;
  const read = readOptions(options, OPTIONS, "wispDialer");
  /** The one that is open, or being opened. */
  let current: Shared | undefined;

  const begin = () => {
    const abort = new AbortController();
    const opening = openConnection(server, read, abort.signal, () => {
      if (current === made) current = undefined;
    });
    const made: Shared = { opening, abort, waiting: 0, isOpen: false };
    opening.then(
      () => {
        made.isOpen = true;
      },
      () => {
        if (current === made) current = undefined;
      },
    );
    current = made;
    return made;
  };

  return async (options) => {
    const { signal, ...to } = readDestination(options);
    const shared = current ?? begin();
    shared.waiting++;
    try {
      const connection = await unlessAborted(signal, shared.opening, () => {});
      return await connection.open(to, signal);
    } finally {
      if (--shared.waiting === 0 && signal?.aborted && !shared.isOpen) {
        // Nobody waits for it any more.
        if (current === shared) current = undefined;
        shared.abort.abort(signal.reason);
      }
    }
  };
}

interface Shared {
  readonly opening: Promise<Connection>;
  readonly abort: AbortController;
  /** How many dialings wait for it, or for the server's word on their stream. */
  waiting: number;
  isOpen: boolean;
}

/** Opens the WebSocket, and waits until the server is ready. `over` is called when it can be used no more. */
async function openConnection(
  url: WispUrl,
  options: WispDialerOptions,
  signal: AbortSignal,
  over: () => void,
): Promise<Connection> {
  const {
    version,
    idleTimeout = 1_000,
    openTimeout = 10_000,
    maxUnread,
    closeTimeout,
    ...webSocket
  } = options;
  const own = typeof webSocket.protocols === "string" ? [webSocket.protocols] : (webSocket.protocols ?? []);
  // The signal is for the opening. The one of connectWebSocket goes on to be for the transport.
  const opening = new AbortController();
  const onAbort = () => opening.abort(signal.reason);
  signal.addEventListener("abort", onAbort);
  const connect = async (protocols: string[]) =>
    connectWebSocket(typeof url === "function" ? await url() : url, {
      ...webSocket,
      protocols,
      signal: opening.signal,
    });
  const open = async () => {
    const second = version === 1 ? undefined : connect(["wisp-v2", ...own]);
    const first = () => connect(own);
    const transport = await (second?.catch((error: unknown) => {
      if (version === 2 || opening.signal.aborted) throw error;
      return first();
    }) ?? first());
    const connection = new Connection(transport, { idleTimeout, maxUnread, closeTimeout }, over);
    await connection.ready;
    return connection;
  };
  const late = () => {
    const error = new TlsError("timeout", `the Wisp server was not ready within ${openTimeout} ms`);
    opening.abort(error);
    return error;
  };
  try {
    return await within(openTimeout, open(), late);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

interface Bounds {
  idleTimeout: number;
  maxUnread: number | undefined;
  closeTimeout: number | undefined;
}

/** One WebSocket, and the streams in it. */
class Connection {
  /** Resolves when streams can be opened. */
  readonly ready: Promise<void>;
  readonly bounds: Bounds;
  readonly #transport: DialedTransport;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #streams = new Map<number, Stream>();
  readonly #over: () => void;
  #onReady!: () => void;
  #onNotReady!: (reason: unknown) => void;
  #isReady = false;
  /** How many packets each stream may have under way to begin with. */
  #credit = 0;
  #confirms = false;
  #lastId = 0;
  #failure: { reason: unknown } | undefined;
  #stopIdling = () => {};

  constructor(transport: DialedTransport, bounds: Bounds, over: () => void) {
    this.#transport = transport;
    this.bounds = bounds;
    this.#over = over;
    this.#writer = transport.writable.getWriter();
    // What fails is told to the streams.
    this.#writer.closed.catch(() => {});
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#onNotReady = reject;
    });
    this.ready.catch(() => {});
    void this.#receiveAll();
  }

  get bufferedAmount(): number {
    return this.#transport.bufferedAmount ?? 0;
  }

  /** Settles when the WebSocket has taken the packet. */
  async send(type: number, stream: number, payload: Uint8Array): Promise<void> {
    await this.#writer.write(packet(type, stream, payload));
  }

  async open(to: SocketAddress, signal: AbortSignal | undefined): Promise<DialedTransport> {
    if (this.#failure) throw this.#failure.reason;
    this.#stopIdling();
    // What has been used up is not used again: a late packet of an old stream would be taken for one of the new stream.
    const id = ++this.#lastId;
    const stream = new Stream(this, id, to, this.#credit, () => {
      this.#streams.delete(id);
      this.#idle();
    });
    this.#streams.set(id, stream);
    const host = new TextEncoder().encode(to.hostname);
    const payload = new Uint8Array(3 + host.length);
    payload[0] = TCP;
    new DataView(payload.buffer).setUint16(1, to.port, true);
    payload.set(host, 3);
    this.send(CONNECT, id, payload).catch(() => {});
    if (this.#confirms) {
      try {
        await unlessAborted(signal, stream.confirmed, () => {});
      } catch (error) {
        stream.giveUp(error);
        throw signal?.aborted ? error : noConnection(to, error);
      }
    }
    return stream.transport;
  }

  #idle(): void {
    if (this.#streams.size > 0 || this.#failure) return;
    this.#stopIdling();
    this.#stopIdling = after(
      this.bounds.idleTimeout,
      () => this.#fail(new TlsError("closed", "the WebSocket was closed, because no connection used it")),
      true,
    );
  }

  #fail(reason: unknown): void {
    if (this.#failure) return;
    this.#failure = { reason };
    this.#stopIdling();
    this.#over();
    this.#onNotReady(reason);
    for (const stream of [...this.#streams.values()]) stream.fail(reason);
    this.#writer.close().catch(() => {});
  }

  async #receiveAll(): Promise<void> {
    try {
      for (const reader = this.#transport.readable.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) throw new TlsError("transport", "the Wisp server has closed the WebSocket");
        this.#receive(value);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A chunk of a WebSocket is a frame, and a frame is a packet. */
  #receive(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const type = bytes[0];
    const least = type === CONTINUE ? 4 : type === CLOSE ? 1 : type === INFO ? 2 : 0;
    if (bytes.length < HEADER + least)
      throw new TlsError(
        "transport",
        "what the server sent is no packet of Wisp: is its URL that of a Wisp server?",
      );
    const id = view.getUint32(1, true);
    const payload = bytes.subarray(HEADER);
    if (id === 0) {
      this.#receiveForAll(type!, payload, view);
      return;
    }
    // What comes for a stream that this side has closed is dropped.
    const stream = this.#streams.get(id);
    if (type === DATA) stream?.receive(payload);
    else if (type === CONTINUE) stream?.grant(view.getUint32(HEADER, true));
    else if (type === CLOSE) stream?.closedBy(payload[0]!);
  }

  #receiveForAll(type: number, payload: Uint8Array, view: DataView): void {
    if (type === INFO && !this.#isReady) {
      const extensions = [...extensionsIn(payload.subarray(2))];
      this.#confirms = extensions.includes(STREAM_OPEN_CONFIRMATION);
      const ours = this.#confirms ? [STREAM_OPEN_CONFIRMATION, 0, 0, 0, 0] : [];
      this.send(INFO, 0, Uint8Array.from([2, 0, ...ours])).catch(() => {});
    } else if (type === CONTINUE && !this.#isReady) {
      this.#isReady = true;
      this.#credit = view.getUint32(HEADER, true);
      this.#onReady();
      this.#idle();
    } else if (type === CLOSE) {
      throw new TlsError("transport", `the Wisp server refuses the connection ${why(payload[0]!)}`);
    }
  }
}

function* extensionsIn(bytes: Uint8Array): Iterable<number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 5 <= bytes.length; at += 5 + view.getUint32(at + 1, true)) yield bytes[at]!;
}

function why(reason: number): string {
  return REASONS[reason] ?? `for reason ${reason}`;
}

/** One connection of TCP in a WebSocket. */
class Stream {
  readonly transport: DialedTransport;
  /** Resolves when the server says that it has connected, if it says that. */
  readonly confirmed: Promise<void>;
  readonly #connection: Connection;
  readonly #id: number;
  readonly #to: SocketAddress;
  readonly #left: () => void;
  readonly #inbox: Inbox;
  /** Settles when the server has closed the stream, or it has failed. */
  readonly #over: Promise<void>;
  #onOver!: () => void;
  #onConfirmed!: () => void;
  #onNotConfirmed!: (reason: unknown) => void;
  #writing!: WritableStreamDefaultController;
  #credit: number;
  readonly #most: number;
  #failure: { reason: unknown } | undefined;
  #isOver = false;
  #closing = false;
  /** Grows with each sign of life of the server. */
  #moved = 0;
  /** A write that waits for credit. */
  #wake = () => {};

  constructor(connection: Connection, id: number, to: SocketAddress, credit: number, left: () => void) {
    this.#connection = connection;
    this.#id = id;
    this.#to = to;
    this.#credit = this.#most = credit;
    this.#left = left;
    this.#over = new Promise((resolve) => {
      this.#onOver = resolve;
    });
    this.confirmed = new Promise((resolve, reject) => {
      this.#onConfirmed = resolve;
      this.#onNotConfirmed = reject;
    });
    this.confirmed.catch(() => {});
    this.#inbox = new Inbox({
      cancel: () => {
        // close() goes on waiting for the peer.
        if (!this.#closing)
          this.giveUp(new TlsError("closed", "The stream was closed by cancelling its readable"), VOLUNTARY);
      },
    });
    const writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writing = controller;
        const { signal } = controller;
        // A sink's own abort() is called only after a write that is under way, which may never end. In a microtask,
        // because the stream must not be errored while it aborts.
        signal.addEventListener("abort", () =>
          queueMicrotask(() =>
            this.giveUp(new TlsError("transport", "The stream was aborted", { cause: signal.reason })),
          ),
        );
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#close(),
    });
    this.transport = {
      readable: this.#inbox.readable,
      writable,
      // As far as it is known: the WebSocket is that of all streams.
      get bufferedAmount() {
        return connection.bufferedAmount;
      },
    };
  }

  receive(bytes: Uint8Array): void {
    this.#moved += bytes.length;
    this.#inbox.push(bytes);
    const { maxUnread = 64 * 1024 * 1024 } = this.#connection.bounds;
    if (this.#inbox.size > maxUnread) {
      this.#sendClose(CLIENT_ERROR);
      this.fail(
        new TlsError("transport", `${format(this.#to)} sent over ${maxUnread} bytes that were not read`),
      );
    }
  }

  grant(credit: number): void {
    // What the server has room for is never more than it began with. One whose queue overflows counts below zero, which
    // reads as four thousand million.
    this.#credit = Math.min(credit, this.#most);
    this.#moved++;
    this.#onConfirmed();
    this.#wake();
  }

  /** The server has closed the stream: the peer has ended, or something has failed. */
  closedBy(reason: number): void {
    if (reason === VOLUNTARY) {
      this.#inbox.end();
      this.#end(new TlsError("closed", `${format(this.#to)} has closed the connection`), !this.#closing);
    } else {
      this.fail(
        new TlsError(
          "transport",
          `The relay has closed the connection to ${format(this.#to)} ${why(reason)}`,
        ),
      );
    }
  }

  fail(reason: unknown): void {
    this.#inbox.fail(this.#failure?.reason ?? reason);
    this.#end(reason, true);
  }

  /** This side gives the stream up: what has arrived is not wanted any more. */
  giveUp(reason: unknown, code = CLIENT_ERROR): void {
    if (!this.#isOver) this.#sendClose(code);
    this.#inbox.drop(reason);
    this.#end(reason, true);
  }

  #end(reason: unknown, failed: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (failed) {
      this.#failure = { reason };
      this.#writing.error(reason);
    }
    this.#onNotConfirmed(reason);
    this.#onOver();
    this.#wake();
    this.#left();
  }

  #sendClose(reason: number): void {
    this.#connection.send(CLOSE, this.#id, Uint8Array.of(reason)).catch(() => {});
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (!isBytes(chunk)) {
      const error = new TlsError("invalid-argument", "A transport takes Uint8Arrays only");
      this.giveUp(error);
      throw error;
    }
    for (let at = 0; at < chunk.length; at += MAX_DATA) {
      while (this.#credit === 0 && !this.#isOver) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (this.#failure) throw this.#failure.reason;
      this.#credit--;
      const sent = this.#connection.send(DATA, this.#id, chunk.subarray(at, at + MAX_DATA));
      // The WebSocket may be full with what other streams send.
      await Promise.race([sent, this.#over]);
    }
    if (this.#failure) throw this.#failure.reason;
  }

  async #close(): Promise<void> {
    this.#closing = true;
    const { closeTimeout = 1_500 } = this.#connection.bounds;
    const moved = () => this.#moved + this.#connection.bufferedAmount;
    try {
      await within(closeTimeout, this.#over, () => undefined, moved);
    } catch {
      if (this.#isOver) return;
      this.#sendClose(VOLUNTARY);
      // Nothing answers a CLOSE.
      this.#inbox.end();
      this.#end(undefined, false);
    }
    if (this.#failure) throw this.#failure.reason;
  }
}
