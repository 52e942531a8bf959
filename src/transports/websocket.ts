/**
 * A WebSocket as a transport: every binary frame is a piece of the byte stream, and frame boundaries mean nothing.
 * Typically a relay on the other side copies the bytes to and from a TCP connection.
 *
 * (Where they do mean something, they are kept: each chunk that is read is one frame, and each chunk of 64 KiB or less
 * that is written becomes one.)
 *
 * What a WebSocket cannot do, and what is done about it:
 *
 * - **It has no event for "sent".** There is only `bufferedAmount`. So a write that finds too much of it waits with a
 *   timer that grows from 1 ms to 32 ms. (The timers of a hidden page run once a second or slower: there, sending goes
 *   on in steps of `maxBufferedAmount`.)
 * - **It cannot be paused.** Frames arrive whether they are read or not. They are queued, and when more than
 *   `maxUnread` bytes wait, the transport fails instead of filling the memory of the page. (npm `ws` can be paused, and
 *   is paused from 1 MiB on.)
 * - **It has no half-close.** `writable.close()` sends what is buffered and then closes both ways. Close it when
 *   nothing more is expected.
 *
 * The readable ends when the peer closes with code 1000 or without a code. Any other code, a connection that just
 * breaks, or a text frame is a `TlsError` of code `"transport"`, whose message has the code and the reason. The reader
 * gets it behind all frames that had arrived.
 *
 * @module
 */

import {
  byteCount,
  custom,
  duration,
  either,
  isBytes,
  listOf,
  readOptions,
  signal,
  type Table,
  tagOf,
  text,
} from "../check.js";
import { TlsError, type TlsErrorCode } from "../errors.js";
import { after, sleep } from "../timers.js";
import type { Transport } from "../transport.js";
import { Inbox } from "./inbox.js";

/**
 * The part of a WebSocket that is used. The global ones of browsers, Deno and Node.js and the one of npm `ws` all have
 * it.
 */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly url: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: (event: object) => void): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  addEventListener(
    type: "close",
    listener: (event: { wasClean: boolean; code: number; reason: string }) => void,
  ): void;
  /** Only npm `ws` has these. */
  pause?(): void;
  resume?(): void;
  terminate?(): void;
}

export interface WebSocketTransportOptions {
  /** Aborts the connecting and, afterwards, the transport. */
  signal?: AbortSignal;
  /** In bytes: a write waits while more than this is buffered for sending. Default 1 MiB. */
  maxBufferedAmount?: number;
  /** In bytes: when more than this has arrived and waits to be read, the transport fails. Default 64 MiB. */
  maxUnread?: number;
  /** In milliseconds: how long to wait for the peer's answer to a close from this side. Default 5,000. */
  closeTimeout?: number;
}

export interface ConnectWebSocketOptions extends WebSocketTransportOptions {
  /** Subprotocols to offer, as in `new WebSocket(url, protocols)`. */
  protocols?: string | string[];
  /** The class to use instead of the global `WebSocket`. Node.js 20 has no global one: give npm `ws`'s. */
  WebSocket?: new (
    url: string | URL,
    protocols?: string | string[],
  ) => WebSocketLike;
}

const OPTIONS: Table<WebSocketTransportOptions> = {
  signal,
  maxBufferedAmount: byteCount,
  maxUnread: byteCount,
  closeTimeout: duration,
};

/** @internal For the dialer, which reads them before it dials. */
export const CONNECT: Table<ConnectWebSocketOptions> = {
  ...OPTIONS,
  protocols: either(text, listOf(text)),
  WebSocket: custom("a class", (value) => typeof value === "function"),
};

const OPEN = 1;
/** Close codes of RFC 6455 §7.4: a purpose fulfilled; no code was given; the first code left to applications. */
const NORMAL = 1000;
const NO_STATUS = 1005;
const ABORTED = 4000;
/** Small frames let `bufferedAmount` sink steadily, and need no large buffer anywhere on the way. */
const MAX_FRAME = 64 * 1024;
const PAUSE_AT = 1024 * 1024;

/**
 * Connects to a WebSocket server. Resolves once the connection is open.
 *
 * @throws {TlsError} of code `"transport"` when it cannot be opened; the reason of `signal` when that is aborted.
 *
 * @example
 * ```ts
 * import { connectWebSocket } from "wassl/transports/websocket";
 *
 * const signal = AbortSignal.timeout(10_000); // for the connecting, and for all that comes
 * const transport = await connectWebSocket("wss://relay.example.org/?to=db.example.org:5432", { signal });
 * ```
 */
export async function connectWebSocket(
  url: string | URL,
  options: ConnectWebSocketOptions = {},
): Promise<Transport> {
  const read = readOptions(options, CONNECT, "connectWebSocket");
  const WebSocket = read.WebSocket ?? globalThis.WebSocket;
  if (!WebSocket) {
    throw new TlsError(
      "invalid-argument",
      "This runtime has no WebSocket. Pass one as the option `WebSocket`, for example that of npm ws",
    );
  }
  let socket: WebSocketLike;
  try {
    socket = new WebSocket(url, read.protocols ?? []);
  } catch (cause) {
    throw new TlsError("transport", `Cannot connect to ${url}: ${messageOf(cause)}`, { cause });
  }
  const { transport, opened } = wrap(socket, read);
  await opened;
  return transport;
}

/**
 * Makes a transport from a WebSocket that is open or still connecting; in the second case its writes wait until it is
 * open. Call it before the first frame can have arrived. The socket belongs to the transport from then on.
 *
 * @example
 * ```ts
 * import { webSocketTransport } from "wassl/transports/websocket";
 *
 * const transport = webSocketTransport(new WebSocket("wss://relay.example.org/?to=db.example.org:5432"));
 * ```
 */
export function webSocketTransport(
  socket: WebSocketLike,
  options: WebSocketTransportOptions = {},
): Transport {
  return wrap(socket, readOptions(options, OPTIONS, "webSocketTransport")).transport;
}

function wrap(socket: WebSocketLike, options: WebSocketTransportOptions) {
  const {
    signal,
    maxBufferedAmount = 1024 * 1024,
    maxUnread = 64 * 1024 * 1024,
    closeTimeout = 5000,
  } = options;
  let writing: WritableStreamDefaultController;
  let failure: { reason: unknown } | undefined;
  /** The socket did not close properly. */
  let broken = false;
  let paused = false;
  /** A runtime's own WebSocket copies what it is given. npm `ws` sends from the caller's memory, later. */
  const copies = globalThis.WebSocket !== undefined && socket instanceof globalThis.WebSocket;
  /** What an error event said. The close event that follows it is the one to act upon. */
  let lastError: unknown;

  let onOpened: () => void;
  let onNotOpened: (reason: unknown) => void;
  const opened = new Promise<void>((resolve, reject) => {
    onOpened = resolve;
    onNotOpened = reject;
  });
  // What reads or writes learns of it; nothing else has to.
  opened.catch(() => {});
  let onClosed: () => void;
  const closed = new Promise<void>((resolve) => {
    onClosed = resolve;
  });

  /** Closes the socket, both ways. Resolves when the socket is closed, or has had enough time for that. */
  const leave = (code: number) => {
    // A paused socket would not see the answer.
    resume();
    socket.close(code);
    const stop = after(closeTimeout, () => {
      socket.terminate?.();
      onClosed();
    });
    closed.then(stop);
    return closed;
  };

  /**
   * Errors the sides that are still open, the reading side behind what has arrived, and gives the socket up. Of several
   * reasons the first one is told.
   */
  const failWith = (reason: unknown) => {
    failure ??= { reason };
    inbox.fail(failure.reason);
    writing.error(failure.reason);
    onNotOpened(failure.reason);
    if (socket.readyState <= OPEN) leave(ABORTED);
    return failure.reason;
  };
  const fail = (code: TlsErrorCode, message: string, cause?: unknown) =>
    failWith(new TlsError(code, message, { cause }));
  /** The same when this side gives the socket up: what has arrived is not wanted any more. */
  const drop = (reason: unknown) => {
    inbox.drop(failure?.reason ?? reason);
    failWith(reason);
  };
  const onAbort = () => drop(signal?.reason);
  const resume = () => {
    if (paused) socket.resume?.();
    paused = false;
  };

  const inbox = new Inbox({
    taken() {
      if (inbox.size <= PAUSE_AT) resume();
    },
    cancel() {
      writing.error(new TlsError("closed", "The WebSocket was closed by cancelling its readable"));
      // What was written still leaves: a socket sends its buffer before its close frame.
      leave(NORMAL);
    },
  });

  /** Waits until no more than `amount` bytes are buffered for sending. */
  const drained = async (amount: number) => {
    for (let delay = 1; !failure && socket.bufferedAmount > amount; delay = Math.min(2 * delay, 32)) {
      await sleep(delay);
    }
    if (failure) throw failure.reason;
  };

  const writable = new WritableStream<Uint8Array>({
    async start(controller) {
      writing = controller;
      const { signal } = controller;
      // A sink's own abort() is called only after a write that is under way, which may never end. In a microtask,
      // because the stream must not be errored while it aborts.
      signal.addEventListener("abort", () =>
        queueMicrotask(() =>
          drop(new TlsError("transport", "The WebSocket was aborted", { cause: signal.reason })),
        ),
      );
      await opened;
    },
    async write(chunk) {
      if (!isBytes(chunk)) throw fail("invalid-argument", "A transport takes Uint8Arrays only");
      for (let at = 0; at < chunk.byteLength; at += MAX_FRAME) {
        // A socket that is closing drops what it is given, without an error. What still arrives is read all the same.
        if (socket.readyState !== OPEN) {
          throw new TlsError("transport", `The WebSocket to ${socket.url} is closing`);
        }
        // (The type of send() has no SharedArrayBuffer in it, and a transport has none either.)
        const frame = chunk.subarray(at, at + MAX_FRAME) as Uint8Array<ArrayBuffer>;
        socket.send(copies ? frame : frame.slice());
        await drained(maxBufferedAmount);
      }
    },
    async close() {
      await drained(0);
      await leave(NORMAL);
      if (broken) throw failure?.reason;
    },
  });

  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => onOpened());
  socket.addEventListener("message", ({ data }) => {
    if (tagOf(data) !== "ArrayBuffer") {
      fail("transport", `${socket.url} sent a text frame, but only binary frames carry bytes`);
      return;
    }
    inbox.push(new Uint8Array(data as ArrayBuffer));
    if (inbox.size > maxUnread) {
      fail("transport", `${socket.url} sent over ${maxUnread} bytes that were not read`);
    } else if (inbox.size > PAUSE_AT) {
      socket.pause?.();
      paused = true;
    }
  });
  socket.addEventListener("error", (event) => {
    lastError = "error" in event && event.error ? event.error : event;
  });
  socket.addEventListener("close", ({ wasClean, code, reason }) => {
    signal?.removeEventListener("abort", onAbort);
    if (wasClean && (code === NORMAL || code === NO_STATUS)) {
      inbox.end();
      failure ??= { reason: new TlsError("closed", `${socket.url} has closed the WebSocket`) };
      writing.error(failure.reason);
    } else {
      broken = true;
      const details = [`close code ${code}`, reason && `reason "${reason}"`, messageOf(lastError)];
      fail("transport", `No WebSocket to ${socket.url}: ${details.filter(Boolean).join(", ")}`, lastError);
    }
    onClosed();
  });

  if (signal?.aborted) onAbort();
  else signal?.addEventListener("abort", onAbort);
  if (socket.readyState === OPEN) onOpened!();
  else if (socket.readyState > OPEN) fail("transport", `The WebSocket to ${socket.url} was already closed`);
  const transport: Transport = {
    readable: inbox.readable,
    writable,
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
  };
  return { transport, opened };
}

function messageOf(error: unknown): string {
  return typeof error === "object" && error !== null && "message" in error ? String(error.message) : "";
}
