/**
 * What joins a `Duplex` and a transport: bytes one way, bytes the other way, and the two ends. The transport may come
 * later than the first read or write.
 *
 * A stream's listeners are called within the stream's methods. What they throw is a fault of the program, and must not
 * vanish in a promise. So every step from a promise into the stream goes through {@link settle}.
 */
import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import type { Transport } from "wassl";

/** Calls one of the two when `promise` settles, outside of it: what they throw is an uncaught exception. */
export function settle<T>(
  promise: Promise<T>,
  then: (value: T) => void,
  otherwise: (reason: unknown) => void,
): void {
  promise.then(
    (value) => queueMicrotask(() => then(value)),
    (reason) => queueMicrotask(() => otherwise(reason)),
  );
}

/** The end of a promise that nobody waits for. */
export const unheeded = (promise: Promise<unknown> | undefined): void => void promise?.catch(() => {});

export interface LineOptions {
  /** Bytes moved, in either direction. */
  active(): void;
  /** An error of the transport, as the stream shall tell it. */
  translate(error: unknown): Error;
}

export class Line {
  bytesRead = 0;
  /** What the transport has taken. */
  bytesWritten = 0;
  /** What it was given, and has not taken yet. */
  bytesPending = 0;
  readonly #stream: Duplex;
  readonly #options: LineOptions;
  #transport: Transport | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #waiting: (() => void)[] = [];
  #reading = false;

  constructor(stream: Duplex, options: LineOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  get transport(): Transport | undefined {
    return this.#transport;
  }

  open(transport: Transport): void {
    this.#transport = transport;
    this.#reader = transport.readable.getReader();
    this.#writer = transport.writable.getWriter();
    unheeded(this.#reader.closed);
    unheeded(this.#writer.closed);
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Gives the transport back, with what was read of it and not used. */
  release(): Transport | undefined {
    const transport = this.#transport;
    if (!transport || !this.#reader) return undefined;
    const unused: Uint8Array[] = [];
    for (let chunk = this.#stream.read(); chunk !== null; chunk = this.#stream.read())
      unused.push(Buffer.from(chunk, this.#stream.readableEncoding ?? undefined));
    // Whoever still waits for it waits for ever.
    this.#reader.releaseLock();
    this.#writer?.releaseLock();
    this.#reader = this.#writer = this.#transport = undefined;
    return unused.length === 0 ? transport : { ...transport, readable: behind(unused, transport.readable) };
  }

  read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#whenOpen(() => this.#pull());
  }

  #pull(): void {
    const reader = this.#reader!;
    settle(
      reader.read(),
      ({ done, value }) => {
        if (this.#stream.destroyed || reader !== this.#reader) return;
        this.#options.active();
        this.#reading = false;
        if (done) {
          this.#stream.push(null);
          // Where nothing is read, the end would not be seen.
          if (this.#stream.readableLength === 0) this.#stream.read(0);
          return;
        }
        this.bytesRead += value.byteLength;
        if (this.#stream.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength))) this.read();
      },
      (error) => this.#fail(error, reader === this.#reader),
    );
  }

  #fail(error: unknown, ours: boolean): void {
    if (ours && !this.#stream.destroyed) this.#stream.destroy(this.#options.translate(error));
  }

  write(chunks: readonly Uint8Array[], done: (error?: Error | null) => void): void {
    this.#whenOpen(() => {
      const writer = this.#writer!;
      let last: Promise<void> = Promise.resolve();
      let length = 0;
      for (const chunk of chunks) {
        unheeded(last);
        last = writer.write(chunk);
        length += chunk.byteLength;
      }
      this.bytesPending = length;
      this.#options.active();
      settle(
        last,
        () => {
          this.bytesWritten += length;
          this.bytesPending = 0;
          this.#options.active();
          done();
        },
        (error) => done(this.#options.translate(error)),
      );
    });
  }

  /** No more bytes follow. That the transport is gone already is for the reading side to tell. */
  end(done: () => void): void {
    this.#whenOpen(() => settle(this.#writer!.close(), done, done));
  }

  /** Gives the transport up. */
  drop(error?: Error): void {
    this.#waiting = [];
    unheeded(this.#reader?.cancel(error));
    if (error) unheeded(this.#writer?.abort(error));
  }

  #whenOpen(go: () => void): void {
    if (this.#writer) go();
    else this.#waiting.push(go);
  }
}

/** A readable that gives `first` and then what the other one gives. */
function behind(first: Uint8Array[], then: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = then.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = first.shift();
        if (chunk) return controller.enqueue(chunk);
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
