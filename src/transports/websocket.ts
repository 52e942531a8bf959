/**
 * A WebSocket as a transport: every binary frame is a piece of the byte stream, whose frame boundaries mean
 * nothing. Typically a relay on the other side copies the bytes to and from a TCP connection.
 *
 * What a WebSocket cannot do, and what is done about it:
 *
 * - **It has no event for "sent".** There is only `bufferedAmount`, so a write that finds too much of it
 *   waits with a timer that grows from 1 ms to 32 ms. (A hidden page's timers run once a second or slower:
 *   sending goes on there, in steps of `maxBufferedAmount`.)
 * - **It cannot be paused.** Frames arrive whether or not somebody reads. They are queued, and when more than
 *   `maxUnread` bytes wait the transport fails instead of eating the memory of the page. (npm `ws` can be
 *   paused; it is, from 1 MiB on.)
 * - **It has no half-close.** `writable.close()` sends what is buffered and then closes both ways. Close it
 *   when nothing more is expected.
 *
 * The readable ends when the peer closes with code 1000 or without a code. Any other code, a connection that
 * just breaks, or a text frame is an error: a `TlsError` of code `"transport"` which names the code and reason.
 * The reader meets it behind all frames that had arrived.
 *
 * @module
 */

import { TlsError, type TlsErrorCode } from "../errors.js";
import { after, sleep } from "../timers.js";
import type { Transport } from "../transport.js";
import { Inbox } from "./inbox.js";

/** What is used of a WebSocket: the browser's, Deno's and Node's global one, and npm `ws`, all are one. */
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
  /** Bytes: a write waits while more than these are buffered for sending. Default 1 MiB. */
  maxBufferedAmount?: number;
  /** Bytes: when more than these have arrived and wait to be read, the transport fails. Default 64 MiB. */
  maxUnread?: number;
  /** Milliseconds: how long to wait for the peer's answer to our close. Default 5,000. */
  closeTimeout?: number;
}

export interface ConnectWebSocketOptions extends WebSocketTransportOptions {
  /** Subprotocols to offer, as in `new WebSocket(url, protocols)`. */
  protocols?: string | string[];
  /** The class to use instead of the global `WebSocket`: on Node.js 20, which has none, npm `ws`'s. */
  WebSocket?: new (
    url: string | URL,
    protocols?: string | string[],
  ) => WebSocketLike;
}

const OPEN = 1;
/** Close codes of RFC 6455 §7.4: a purpose fulfilled; no code was given; the first one left to applications. */
const NORMAL = 1000;
const NO_STATUS = 1005;
const ABORTED = 4000;
/** Small frames let `bufferedAmount` sink steadily, and need no large buffer anywhere on the way. */
const MAX_FRAME = 64 * 1024;
const PAUSE_AT = 1024 * 1024;

/**
 * Connects to a WebSocket server, and resolves once the connection is open.
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
  const WebSocket = options.WebSocket ?? globalThis.WebSocket;
  if (!WebSocket) {
    throw new TlsError(
      "invalid-argument",
      "This runtime has no WebSocket. Pass one as the option `WebSocket`, for example that of npm ws",
    );
  }
  let socket: WebSocketLike;
  try {
    socket = new WebSocket(url, options.protocols ?? []);
  } catch (cause) {
    throw new TlsError("transport", `Cannot connect to ${url}: ${messageOf(cause)}`, { cause });
  }
  const { transport, opened } = wrap(socket, options);
  await opened;
  return transport;
}

/**
 * Makes a transport of a WebSocket that is open or still connecting: then its writes wait for the opening.
 * Call it before the first frame can have arrived. The socket belongs to the transport from then on.
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
  return wrap(socket, options).transport;
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
  // Whoever reads or writes gets to know; nobody else has to.
  opened.catch(() => {});
  let onClosed: () => void;
  const closed = new Promise<void>((resolve) => {
    onClosed = resolve;
  });

  /** Closes the socket, both ways; resolves when it is closed, or has had enough time for that. */
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
   * Errors whichever side is still open, the reading side behind what has arrived, and gives the socket up. Of several
   * reasons the first one tells.
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
  /** The same when it is our side that gives it up: what has arrived is not wanted any more. */
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
      // A sink's own abort() is only called after a write that is under way, which may never end. In a microtask,
      // for the stream isn't to be errored while it aborts.
      signal.addEventListener("abort", () =>
        queueMicrotask(() =>
          drop(new TlsError("transport", "The WebSocket was aborted", { cause: signal.reason })),
        ),
      );
      await opened;
    },
    async write(chunk) {
      if (!(chunk instanceof Uint8Array))
        throw fail("invalid-argument", "A transport takes Uint8Arrays only");
      for (let at = 0; at < chunk.byteLength; at += MAX_FRAME) {
        // A socket that is closing drops what it is given, without an error. What still arrives is read all the same.
        if (socket.readyState !== OPEN) {
          throw new TlsError("transport", `The WebSocket to ${socket.url} is closing`);
        }
        // (The type of send() has no SharedArrayBuffer in it, nor has a transport.)
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
    if (!(data instanceof ArrayBuffer)) {
      fail("transport", `${socket.url} sent a text frame, but only binary frames carry bytes`);
      return;
    }
    inbox.push(new Uint8Array(data));
    if (inbox.size > maxUnread) {
      fail("transport", `${socket.url} sent over ${maxUnread} bytes that nobody read`);
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
