/**
 * The two streams of a connection: WHATWG streams on one side, the pump on the other. Their owner decides about the end
 * of the connection.
 */

import { isBytes } from "../check.js";
import { TlsError } from "../errors.js";
import { type ByteController, byteStream } from "./byte-stream.js";
import { Gathering } from "./gather.js";
import type { Pump } from "./pump.js";
import { WRITE_MOST } from "./rings.js";

/** What a chunk in the queue counts at least, in bytes: it costs some, and a queue of thousands is slow in Node.js. */
const CHUNK_COST = 64;

/** What the streams belong to. */
export interface StreamsOwner {
  /** `readable` has ended or was cancelled, and our close_notify has left. */
  bothEnded(): void;
  /** `writable` was aborted. */
  aborted(reason: unknown): void;
}

export class DataStreams {
  #readable: ReturnType<typeof byteStream> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  readonly #pump: Pump;
  readonly #owner: StreamsOwner;

  #readController!: ByteController;
  /** Calls back when a reader asks for data, or gives up. */
  #pulled: () => void = () => {};
  /** `readable` is closed, errored or cancelled. */
  #readOver = false;

  #writeController!: WritableStreamDefaultController;
  readonly #gathering = new Gathering();
  /** Chunks of the writable stream's queue that have been neither written nor gathered yet. */
  #queued = 0;
  /** Those of them that were there before `closeWrite()`; undefined until it is called. What comes later is refused. */
  #ahead: number | undefined;
  /** Calls back when all of those are gone. */
  #nothingAhead: () => void = () => {};
  #closeWrite: Promise<void> | undefined;
  /** close_notify has left, not only been written. */
  #writeOver = false;
  /** How both streams ended, for one that is asked for afterwards. */
  #end: { readonly reason: unknown; readonly clean: boolean } | undefined;

  constructor(pump: Pump, owner: StreamsOwner) {
    this.#pump = pump;
    this.#owner = owner;
  }

  /** Made when it is first asked for: a stream takes more memory than all else that a connection has here. */
  get readable(): ReturnType<typeof byteStream> {
    this.#readable ??= this.#makeReadable();
    return this.#readable;
  }

  /** The same. */
  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= this.#makeWritable();
    return this.#writable;
  }

  #makeReadable(): ReturnType<typeof byteStream> {
    const readable = byteStream({
      start: (controller) => {
        this.#readController = controller;
      },
      pull: (controller) => {
        this.#pulled();
        return this.#pull(controller);
      },
      cancel: () => {
        this.#readOver = true;
        this.#pulled();
        this.#tellIfBothEnded();
      },
    });
    if (this.#end?.clean) this.#readController.close();
    else if (this.#end) this.#readController.error(this.#end.reason);
    return readable;
  }

  #makeWritable(): WritableStream<Uint8Array> {
    const pump = this.#pump;
    const owner = this.#owner;
    const writable = new WritableStream(
      {
        start: (controller) => {
          this.#writeController = controller;
          // Not the sink's abort(): that one waits for the write under way, which may never be done. And not at once:
          // Node.js cannot bear that a stream is errored while it is being aborted.
          controller.signal.addEventListener("abort", () => {
            queueMicrotask(() => owner.aborted(controller.signal.reason));
          });
        },
        write: (chunk) =>
          this.#write(chunk)?.catch((error) => {
            // This errors the stream, and what is queued behind it never gets here.
            this.#forgetQueue();
            throw error;
          }),
        close: async () => {
          // A chunk that write() refused, because of this close, was counted, and waited for.
          if (this.#gathering.length > 0) await pump.write(this.#gathering.take());
          this.#forgetQueue();
          return this.closeWrite();
        },
      },
      {
        highWaterMark: WRITE_MOST,
        // Asked when write() is called, and so the one place to learn of a chunk that waits in the stream's queue.
        size: (chunk) => {
          this.#queued++;
          // What is not bytes is refused when its turn comes.
          return Math.max(CHUNK_COST, isBytes(chunk) ? chunk.length : 0);
        },
      },
    );
    if (this.#end) this.#writeController.error(this.#end.reason);
    return writable;
  }

  // ---- reading

  /** A reader waits, or will come back. */
  get hasReader(): boolean {
    return this.#readable?.locked === true && !this.#readOver;
  }

  /**
   * Fetches for the reader what is here, although it may not wait for that. Up to `most` bytes are queued for it; while
   * there are as many, this waits for the reader to take some.
   */
  async fetchAhead(most: number): Promise<void> {
    // What is queued there counts down from 0.
    const room = most + (this.#readController.desiredSize ?? 0);
    if (room <= 0) {
      await new Promise<void>((resolve) => {
        this.#pulled = resolve;
      });
      return;
    }
    const chunk = this.#pump.readChunk(room);
    if (chunk) this.#readController.enqueue(chunk);
  }

  async #pull(controller: ByteController): Promise<void> {
    const pump = this.#pump;
    while (!this.#readOver) {
      // Asked for anew each time round: the reader may have gone in the meantime, with its buffer.
      const request = controller.byobRequest;
      const view = request?.view;
      if (view) {
        const n = pump.read(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
        if (n > 0) return request.respond(n);
      } else {
        const chunk = pump.readChunk(Infinity);
        if (chunk) return controller.enqueue(chunk);
      }
      if (pump.verdict.ended) {
        this.#closeReadable();
        this.#tellIfBothEnded();
        return;
      }
      await pump.readable();
    }
  }

  #closeReadable(): void {
    if (this.#readOver) return;
    this.#readOver = true;
    this.#readController.close();
    // A BYOB reader waits for its buffer back.
    this.#readController.byobRequest?.respond(0);
  }

  // ---- writing

  /** Sends close_notify after all that was given to `writable` before. Settles when the transport has accepted it. */
  closeWrite(): Promise<void> {
    this.#closeWrite ??= this.#finishWriting();
    return this.#closeWrite;
  }

  async #finishWriting(): Promise<void> {
    // What was given to write() before, and still waits in the stream's queue, goes first.
    this.#ahead = this.#queued;
    if (this.#ahead > 0) {
      await new Promise<void>((resolve) => {
        this.#nothingAhead = resolve;
      });
      this.#ahead = 0;
    }
    await this.#pump.closeWrite();
    this.#writeOver = true;
    this.#tellIfBothEnded();
  }

  /** A chunk whose turn it is. While others wait behind it, it is gathered with them; the last one waits for all. */
  #write(chunk: Uint8Array): Promise<void> | undefined {
    const pump = this.#pump;
    const refused = this.#refusalOf(chunk);
    if (this.#gathering.length > 0 && (refused || this.#gathering.blocks(chunk))) {
      return pump.write(this.#gathering.take()).then(() => this.#write(chunk));
    }
    if (refused) return Promise.reject(refused);
    this.#queued--;
    if (this.#ahead !== undefined) this.#ahead--;
    const bytes = this.#gathering.add(chunk, (this.#ahead ?? this.#queued) > 0);
    const written = bytes && pump.write(bytes);
    if (this.#ahead === 0) this.#nothingAhead();
    return written;
  }

  #refusalOf(chunk: Uint8Array): TlsError | undefined {
    if (this.#ahead === 0) return new TlsError("closed", "the writing side is closed");
    if (!isBytes(chunk)) return new TlsError("invalid-argument", "what is written must be a Uint8Array");
    if (chunk.length > 0 || !isDetached(chunk.buffer)) return undefined;
    return new TlsError("invalid-argument", "the bytes of a write were detached before it was done");
  }

  #forgetQueue(): void {
    this.#queued = 0;
    this.#gathering.take();
    this.#nothingAhead();
  }

  // ---- the end

  /** Ends both streams: with an error, but for `readable` where it came to the clean end of the data. */
  end(reason: unknown, clean: boolean): void {
    this.#end ??= { reason, clean };
    if (this.#readable && clean) this.#closeReadable();
    else if (this.#readable && !this.#readOver) this.#readController.error(reason);
    this.#readOver = true;
    if (this.#writable) this.#writeController.error(reason);
    this.#forgetQueue();
    this.#pulled();
  }

  #tellIfBothEnded(): void {
    if (this.#readOver && this.#writeOver) this.#owner.bothEnded();
  }
}

function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}
