/**
 * A Node.js `Duplex` as a transport: a `net.Socket`, a `tls.TLSSocket`, a pipe, a pair of PassThroughs.
 *
 * Node.js's own `Duplex.toWeb` is not used. It reads ahead into a second queue, so bytes are fetched before a reader
 * asks. It hands out `Buffer`s. And it turns a half-closed or destroyed stream into `AbortError`s that hide what
 * happened. What is needed is small:
 *
 * - Reading keeps the duplex paused. At most 64 KiB are read ahead, including what waits in the duplex's own buffer. So
 *   TCP's window closes when nothing is read, and a reset takes away nothing that had arrived. An end is not looked for
 *   until a reader asks.
 * - A write settles when the duplex is done with the bytes (its write callback: for a socket, the kernel has them).
 *   Until then the caller's memory must not change; afterwards it may.
 * - When the peer takes no more (EPIPE, ECONNRESET), a socket would destroy itself, and with it what the peer had said
 *   before, perhaps why. Here only the writable fails. What has arrived is read, and then the readable fails too.
 * - `writable.close()` is `end()`: the bytes leave, then the FIN, and reading goes on.
 * - `writable.abort()` destroys the duplex. So does `readable.cancel()`, unless this side has ended: then what the peer
 *   still sends is read and dropped until the peer ends too, for two seconds at most. A kernel that closes a socket
 *   with unread bytes (a TLS 1.3 ticket, for example) resets the connection, and the peer loses what this side had sent
 *   before.
 *
 * @module
 */

import { isBytes } from "../check.js";
import { TlsError, type TlsErrorCode } from "../errors.js";
import { after } from "../timers.js";
import { type Transport, WITHOUT_STREAMS } from "../transport.js";
import { Inbox } from "./inbox.js";
import { Outlet } from "./outlet.js";

/** How long a socket that this side has closed still takes what the peer sends, in milliseconds. */
const LINGER = 2_000;
/** In bytes. */
const READ_AHEAD = 64 * 1024;

/**
 * The part of `node:stream`'s `Duplex` that is used; every `Duplex` has it. Written out so that neither this file nor
 * its declarations need Node.js's types.
 */
export interface DuplexLike {
  readonly destroyed: boolean;
  readonly errored: Error | null;
  readonly readableEnded: boolean;
  readonly readableEncoding?: string | null;
  readonly readableLength: number;
  readonly readableHighWaterMark: number;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  on(event: string, listener: (error: Error) => void): unknown;
  read(size?: number): unknown;
  write(chunk: Uint8Array, done: (error?: Error | null) => void): boolean;
  end(): unknown;
  destroy(error?: Error): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: Node's own types name each event
  emit?(event: any, ...parts: any[]): boolean;
  // biome-ignore lint/suspicious/noExplicitAny: the same
  removeAllListeners?(...events: any[]): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: the same
  listeners?(event: any): unknown[];
  // biome-ignore lint/suspicious/noExplicitAny: its own are a list
  setEncoding?(encoding: any): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: what implementers of streams override, with parameters of Node's own types
  _write?(...parts: any[]): void;
  // biome-ignore lint/suspicious/noExplicitAny: the same
  _writev?: ((...parts: any[]) => void) | null;
}

/**
 * Makes a transport from a duplex. The duplex belongs to the transport from then on: do not read from it, and do not
 * write to it. Listeners for "data" that it had hear nothing more, `removeAllListeners()` leaves the transport's own, and
 * `setEncoding()` is refused with "invalid-argument": after the call it throws, and after one before it the transport
 * has failed.
 *
 * A socket made with Node.js's default `allowHalfOpen: false` ends its own side as soon as the peer's side ends, before
 * this side can answer the peer's close_notify. Make sockets with `net.connect({ …, allowHalfOpen: true })` (or
 * `net.createServer({ allowHalfOpen: true })`) if the last word matters.
 *
 * Failures are `TlsError`s of code `"transport"` with the duplex's error as their `cause`.
 *
 * @example
 * ```ts
 * import { once } from "node:events";
 * import { connect } from "node:net";
 * import { nodeTransport } from "wassl/transports/node";
 *
 * const socket = connect({ host: "example.org", port: 443, noDelay: true, allowHalfOpen: true });
 * await once(socket, "connect");
 * const transport = nodeTransport(socket);
 * ```
 */
export function nodeTransport(duplex: DuplexLike): Transport {
  let failure: TlsError | undefined;
  /** Only the writing side has failed. */
  let writeFailure: TlsError | undefined;

  /** Ends the write that is under way: a duplex that is destroyed meanwhile may never call back. */
  let giveUpWrite: ((reason: TlsError) => void) | undefined;

  /** What waits for the duplex's next event. Each looks at its state again then. */
  const waiting: (() => void)[] = [];
  const event = () => new Promise<void>((resolve) => waiting.push(resolve));
  const wake = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };

  /** Gives the reader what the duplex has, or as much of it as fits. */
  const take = (size?: number): boolean => {
    const chunk = duplex.read(size);
    if (isBytes(chunk)) {
      // A plain view: a Buffer's slice() and toString() are not those of a Uint8Array.
      inbox.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    } else if (chunk !== null) {
      fail("invalid-argument", "The duplex gives strings or objects instead of bytes");
    }
    return chunk !== null;
  };
  const readAhead = (most: number) => {
    // With the exact size: otherwise the duplex would see its end, and might end its writing side because of that.
    while (!failure && inbox.open && inbox.size < most && duplex.readableLength > 0) {
      if (!take(duplex.readableLength)) return;
    }
  };
  const ahead = Math.max(0, READ_AHEAD - duplex.readableHighWaterMark);

  /**
   * Errors the sides that are still open, the reading side behind what has arrived, and gives the duplex up. Of several
   * failures the first one is told.
   */
  const fail = (code: TlsErrorCode, message: string, cause?: unknown) => {
    if (!failure) {
      readAhead(Infinity);
      failure = new TlsError(code, message, { cause });
    }
    inbox.fail(writeFailure ?? failure);
    outlet.error(failure);
    giveUpWrite?.(failure);
    duplex.destroy();
    wake();
    return failure;
  };
  const drop = (code: TlsErrorCode, message: string, cause?: unknown) => {
    inbox.drop(failure ?? new TlsError(code, message, { cause }));
    fail(code, message, cause);
  };
  const end = () => {
    // After a failed write the kernel reports an end to every read, whether the peer ended or not.
    if (writeFailure) {
      fail("transport", writeFailure.message, writeFailure.cause);
    } else {
      inbox.end();
      wake();
    }
  };

  const linger = async () => {
    let late = false;
    const stop = after(LINGER, () => {
      late = true;
      wake();
    });
    while (!late && !duplex.readableEnded && !failure) {
      while (duplex.read() !== null);
      await event();
    }
    stop();
  };

  const inbox = new Inbox({
    wanted: take,
    taken: () => readAhead(ahead),
    async cancel() {
      while (duplex.writableEnded && !duplex.writableFinished && !duplex.destroyed) await event();
      if (!duplex.writableFinished) {
        fail("closed", "The transport was closed by cancelling its readable");
        return;
      }
      await linger();
      duplex.destroy();
    },
  });

  const outlet = new Outlet({
    aborted: (reason) => drop("transport", "The transport was aborted", reason),
    async write(chunk) {
      if (!isBytes(chunk)) throw fail("invalid-argument", "A transport takes Uint8Arrays only");
      return new Promise<void>((resolve, reject) => {
        giveUpWrite = reject;
        duplex.write(chunk, (error) => {
          if (error) reject(fail("transport", error.message, error));
          else if (writeFailure) {
            // After the end no read comes that could learn of this: the duplex would stay open.
            if (duplex.readableEnded) fail("transport", writeFailure.message, writeFailure.cause);
            reject(writeFailure);
          }
          // A socket that is destroyed calls back without an error for bytes that never left.
          else if (failure) reject(failure);
          else resolve();
        });
      });
    },
    async close() {
      if (!duplex.writableEnded) duplex.end();
      while (!duplex.writableFinished) {
        if (failure) throw failure;
        await event();
      }
    },
  });

  const keep = keepToOurselves(duplex);
  keepAfterFailedWrite(duplex, (error) => {
    writeFailure ??= new TlsError("transport", error.message, { cause: error });
  });
  keep("readable", () => {
    if (inbox.waiting) take();
    readAhead(ahead);
    wake();
  });
  keep("finish", wake);
  keep("end", end);
  // This listener stays: a reset after both sides have ended must not become an uncaught exception.
  keep("error", (error) => fail("transport", error.message, error));
  keep("close", () => {
    if (!duplex.readableEnded) fail("transport", "The duplex closed before it had ended");
    else if (!duplex.writableFinished) fail("transport", "The duplex closed for writing");
  });
  if (duplex.errored) fail("transport", duplex.errored.message, duplex.errored);
  else if (duplex.destroyed) fail("transport", "The duplex was already destroyed");
  else if (duplex.readableEncoding)
    fail("invalid-argument", `The duplex gives text (setEncoding("${duplex.readableEncoding}")), not bytes`);
  else if (duplex.readableEnded) end();

  const transport = {
    get readable() {
      return inbox.readable;
    },
    get writable() {
      return outlet.writable;
    },
    closeWrite() {
      if (!duplex.writableEnded) duplex.end();
    },
  };
  WITHOUT_STREAMS.set(transport, () => {
    const reader = outlet.isFree ? inbox.takeReader() : undefined;
    if (!reader) return undefined;
    outlet.held = true;
    return { reader, writer: outlet };
  });
  return transport;
}

/**
 * Keeps what the transport lives by from the program that had the duplex before, as a driver has that upgrades to TLS:
 *
 * - Its "data" listeners, which `read()` would call with ciphertext, hear no more.
 * - `removeAllListeners()` removes its own, and not ours.
 * - `setEncoding()`, which would make text of the bytes, is refused.
 *
 * Returns what adds a listener that stays.
 */
function keepToOurselves(duplex: DuplexLike): (event: string, listener: (error: Error) => void) => void {
  const ours: [event: string, listener: (error: Error) => void][] = [];
  const { emit, removeAllListeners } = duplex;
  if (emit) {
    duplex.emit = (event, ...parts) => (event === "data" ? false : emit.call(duplex, event, ...parts));
  }
  if (removeAllListeners) {
    duplex.removeAllListeners = (...events) => {
      removeAllListeners.call(duplex, ...events);
      for (const [event, listener] of ours) {
        const gone = events.length === 0 || events[0] === event;
        if (gone && !duplex.listeners?.(event).includes(listener)) duplex.on(event, listener);
      }
      return duplex;
    };
  }
  duplex.setEncoding = () => {
    throw new TlsError(
      "invalid-argument",
      "The duplex belongs to a transport: it carries bytes, and no text",
    );
  };
  return (event, listener) => {
    ours.push([event, listener]);
    duplex.on(event, listener);
  };
}

/**
 * Keeps the kernel's verdict on a write from the socket, which would destroy itself, and tells it to `failed` instead.
 */
function keepAfterFailedWrite(duplex: DuplexLike, failed: (error: Error) => void): void {
  for (const name of ["_write", "_writev"] as const) {
    const own = duplex[name];
    if (typeof own !== "function") continue;
    duplex[name] = (...parts: unknown[]) => {
      const done = parts.pop() as (error?: Error | null) => void;
      own.call(duplex, ...parts, (error?: (Error & { syscall?: unknown }) | null) => {
        if (error?.syscall !== "write") return done(error);
        failed(error);
        done();
      });
    };
  }
}
