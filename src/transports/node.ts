/**
 * A Node.js `Duplex` as a transport: a `net.Socket`, a `tls.TLSSocket`, a pipe, a pair of PassThroughs.
 *
 * Node's own `Duplex.toWeb` is not used. It reads ahead into a second queue, which breaks the promise that
 * nothing is fetched until somebody asks, it hands out `Buffer`s, and it turns a half-closed or destroyed
 * stream into `AbortError`s that hide what happened. What is needed is small:
 *
 * - Reading keeps the duplex paused and takes a chunk only when the reader asks for one, so that the only
 *   buffer is the duplex's own, and TCP's window closes when nobody reads.
 * - A write settles when the duplex is done with the bytes (its write callback: for a socket, the kernel has
 *   them). Until then the caller's memory must not change; afterwards it may.
 * - `writable.close()` is `end()`: the bytes leave, then the FIN, and reading goes on.
 * - `writable.abort()` destroys. So does `readable.cancel()`, unless we have ended: then what the peer still sends is
 *   read and dropped until it ends too, for two seconds at most. A kernel that closes a socket with bytes unread (a
 *   TLS 1.3 ticket, say) resets the connection, and the peer loses what we had sent before.
 *
 * @module
 */

import { TlsError, type TlsErrorCode } from "../errors.js";
import type { Transport } from "../transport.js";

/** How long a socket that we have closed still takes what the peer sends, in milliseconds. */
const LINGER = 2_000;

/**
 * What is used of `node:stream`'s `Duplex`; every `Duplex` is one. Written out so that neither this file nor
 * its declarations need Node's types.
 */
export interface DuplexLike {
  readonly destroyed: boolean;
  readonly errored: Error | null;
  readonly readableEnded: boolean;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  on(event: string, listener: (error: Error) => void): unknown;
  read(): unknown;
  write(chunk: Uint8Array, done: (error?: Error | null) => void): boolean;
  end(): unknown;
  destroy(error?: Error): unknown;
}

/**
 * Makes a transport of a duplex. The duplex belongs to the transport from then on: don't read from it, don't
 * write to it.
 *
 * A socket made with Node's default `allowHalfOpen: false` ends its own side as soon as the peer's side ends,
 * before a close_notify could answer the peer's. Make sockets with `net.connect({ …, allowHalfOpen: true })`
 * (or `net.createServer({ allowHalfOpen: true })`) where the last word matters.
 *
 * Failures are `TlsError`s of code `"transport"` with the duplex's error as their `cause`.
 */
export function nodeTransport(duplex: DuplexLike): Transport {
  let reading: ReadableStreamDefaultController<Uint8Array>;
  let writing: WritableStreamDefaultController;
  let ended = duplex.readableEnded;
  let failure: TlsError | undefined;
  let cancelled = false;

  /** Those who wait for the duplex's next event, after which they look at its state again. */
  const waiting: (() => void)[] = [];
  const event = () => new Promise<void>((resolve) => waiting.push(resolve));
  const wake = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };

  /** Errors whichever side is still open, and gives the duplex up. Of several failures the first one tells. */
  const fail = (code: TlsErrorCode, message: string, cause?: unknown) => {
    failure ??= new TlsError(code, message, { cause });
    reading.error(failure);
    writing.error(failure);
    duplex.destroy();
    wake();
    return failure;
  };
  const end = () => {
    ended = true;
    try {
      if (!cancelled) reading.close();
    } catch {
      // Errored meanwhile.
    }
    wake();
  };

  const linger = async () => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      wake();
    }, LINGER);
    while (!late && !ended && !failure) {
      while (duplex.read() !== null);
      await event();
    }
    clearTimeout(timer);
  };

  const readable = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        reading = controller;
      },
      async pull() {
        while (!failure && !ended) {
          const chunk = duplex.read();
          if (chunk instanceof Uint8Array) {
            // A plain view: a Buffer's slice() and toString() are not those of a Uint8Array.
            return reading.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
          }
          if (chunk === null) await event();
          else fail("invalid-argument", "The duplex gives strings or objects instead of bytes");
        }
      },
      async cancel() {
        cancelled = true;
        while (duplex.writableEnded && !duplex.writableFinished && !duplex.destroyed) await event();
        if (!duplex.writableFinished) {
          fail("closed", "The transport was closed by cancelling its readable");
          return;
        }
        await linger();
        duplex.destroy();
      },
    },
    // Nothing is read ahead: pull() runs when somebody waits for a chunk.
    { highWaterMark: 0 },
  );

  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      writing = controller;
      const { signal } = controller;
      // A sink's own abort() is only called after a write that is under way, which may never end. In a microtask,
      // for the stream isn't to be errored while it aborts.
      signal.addEventListener("abort", () =>
        queueMicrotask(() => fail("transport", "The transport was aborted", signal.reason)),
      );
    },
    write(chunk) {
      if (!(chunk instanceof Uint8Array))
        throw fail("invalid-argument", "A transport takes Uint8Arrays only");
      return new Promise<void>((resolve, reject) => {
        duplex.write(chunk, (error) => {
          if (error) reject(fail("transport", error.message, error));
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

  duplex.on("readable", wake);
  duplex.on("finish", wake);
  duplex.on("end", end);
  // Listened to for good: a reset after both sides have ended must not become an uncaught exception.
  duplex.on("error", (error) => fail("transport", error.message, error));
  duplex.on("close", () => {
    if (!ended) fail("transport", "The duplex closed before it had ended");
    else if (!duplex.writableFinished) fail("transport", "The duplex closed for writing");
  });
  if (duplex.errored) fail("transport", duplex.errored.message, duplex.errored);
  else if (duplex.destroyed) fail("transport", "The duplex was already destroyed");
  else if (ended) end();

  return { readable, writable };
}
