/**
 * A `Deno.Conn` as a transport, with half-close.
 *
 * A `Deno.Conn` has streams and can be given to `startTls` as it stands. But these streams close the whole socket as
 * soon as one of them ends: nothing can be read after `writable.close()`, and nothing can be written once the peer has
 * ended, so its close_notify is not answered. This file uses `read()`, `write()` and `closeWrite()` instead, so that
 * each direction ends by itself.
 *
 * - Reading fetches only when a reader asks, and straight into the reader's buffer if it brings one (BYOB).
 * - A write settles when the kernel has the bytes.
 * - `writable.abort()` and `readable.cancel()` close the socket. When both directions have ended, the socket is closed
 *   too.
 * - One exception: if this side has ended when the readable is cancelled, what the peer still sends is read and dropped
 *   until the peer ends too, for two seconds at most. A kernel that closes a socket with unread bytes (a TLS 1.3
 *   ticket, for example) resets the connection, and the peer loses what this side had sent before.
 *
 * @module
 */

import { isBytes, messageOf } from "../check.js";
import { TlsError } from "../errors.js";
import { after } from "../timers.js";
import type { Transport } from "../transport.js";

/**
 * The part of `Deno.Conn` that is used. Written out so that neither this file nor its declarations need Deno's types.
 */
export interface DenoConnLike {
  read(buffer: Uint8Array): Promise<number | null>;
  write(data: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

const CHUNK = 64 * 1024;
/** How long a socket that this side has closed still takes what the peer sends, in milliseconds. */
const LINGER = 2_000;

/**
 * Makes a transport from a connection (`Deno.TcpConn`, `Deno.UnixConn`, …). The connection belongs to the transport
 * from then on.
 *
 * Failures are `TlsError`s of code `"transport"` with Deno's error as their `cause`.
 *
 * @example
 * ```ts
 * import { denoTransport } from "wassl/transports/deno";
 *
 * const transport = denoTransport(await Deno.connect({ hostname: "example.org", port: 443 }));
 * ```
 */
export function denoTransport(conn: DenoConnLike): Transport {
  let reading: ReadableByteStreamController;
  let writing: WritableStreamDefaultController;
  let readOpen = true;
  let writeOpen = true;
  let closed = false;
  /** Set when `writable.close()` was called; settles when the FIN has left. */
  let ending: Promise<void> | undefined;
  let lingering = false;
  /** Only the writing side has failed. */
  let writeFailure: TlsError | undefined;

  const close = () => {
    readOpen = writeOpen = false;
    if (closed) return;
    closed = true;
    try {
      conn.close();
    } catch {
      // The connection was closed by other code already.
    }
  };
  const closeWhenDone = () => {
    if (!readOpen && !writeOpen && !lingering) close();
  };
  /** Errors the sides that are still open, and gives the connection up. */
  const fail = (error: TlsError) => {
    if (readOpen) reading.error(error);
    if (writeOpen) writing.error(error);
    close();
    return error;
  };
  const errorOf = (cause: unknown) => new TlsError("transport", messageOf(cause), { cause });
  /** The stream errors with what this returns. Reading goes on, because what the peer said before may tell why. */
  const writeFailed = (cause: unknown) => {
    writeOpen = false;
    writeFailure ??= errorOf(cause);
    closeWhenDone();
    return writeFailure;
  };

  const linger = async (ended: Promise<void>) => {
    lingering = true;
    const stop = after(LINGER, close);
    try {
      await ended;
      const dropped = new Uint8Array(CHUNK);
      while ((await conn.read(dropped)) !== null);
    } catch {
      // The connection is closed, by this side or by the peer.
    }
    stop();
  };

  const readable = new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: CHUNK,
    start(controller) {
      reading = controller;
    },
    async pull() {
      const request = reading.byobRequest;
      if (!request?.view) return;
      const { buffer, byteOffset, byteLength } = request.view;
      let length: number | null;
      try {
        length = await conn.read(new Uint8Array(buffer, byteOffset, byteLength));
      } catch (error) {
        fail(writeFailure ?? errorOf(error));
        return;
      }
      if (!readOpen) return;
      if (length === null && writeFailure) {
        // After a failed write the kernel reports an end to every read, whether the peer ended or not.
        fail(writeFailure);
      } else if (length === null) {
        readOpen = false;
        reading.close();
        request.respond(0);
        closeWhenDone();
      } else {
        request.respond(length);
      }
    },
    async cancel() {
      readOpen = false;
      if (ending) await linger(ending);
      fail(new TlsError("closed", "The transport was closed by cancelling its readable"));
    },
  });

  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      writing = controller;
      const { signal } = controller;
      // A sink's own abort() is called only after a write that is under way, which may never end. In a microtask,
      // because the stream must not be errored while it aborts.
      signal.addEventListener("abort", () =>
        queueMicrotask(() =>
          fail(new TlsError("transport", "The transport was aborted", { cause: signal.reason })),
        ),
      );
    },
    async write(chunk) {
      if (!isBytes(chunk)) {
        throw fail(new TlsError("invalid-argument", "A transport takes Uint8Arrays only"));
      }
      try {
        for (let at = 0; at < chunk.byteLength; ) at += await conn.write(chunk.subarray(at));
      } catch (error) {
        throw writeFailed(error);
      }
    },
    async close() {
      ending ??= conn.closeWrite();
      try {
        await ending;
      } catch (error) {
        throw writeFailed(error);
      }
      writeOpen = false;
      closeWhenDone();
    },
  });

  return {
    readable,
    writable,
    closeWrite() {
      if (!writeOpen) return;
      ending ??= conn.closeWrite();
      ending.catch(() => {});
    },
  };
}
