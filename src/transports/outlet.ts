type Writer = Pick<WritableStreamDefaultWriter<Uint8Array>, "write" | "close" | "abort" | "releaseLock">;

export interface Sink {
  write(chunk: Uint8Array): Promise<void>;
  close(): Promise<void>;
  /** Called in a microtask after `abort()`, also while a write is under way, which may never end. */
  aborted(reason: unknown): void;
}

/**
 * The writing side of a transport: its stream, made when it is first asked for, and a writer that needs no stream. If
 * the stream is asked for while that writer is in use, it is locked, and the writer writes to it.
 */
export class Outlet implements Writer {
  held = false;
  readonly #sink: Sink;
  #stream: WritableStream<Uint8Array> | undefined;
  #controller: WritableStreamDefaultController | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  /** The newest write or close of the writer. One follows the other. */
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly reason: unknown } | undefined;
  /** A write or the close is under way. */
  #busy = false;
  #closing = false;
  #closed = false;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  get writable(): WritableStream<Uint8Array> {
    this.#stream ??= this.#make();
    return this.#stream;
  }

  /** The stream was not asked for, and the writer is not in use. */
  get isFree(): boolean {
    return !this.#stream && !this.held;
  }

  /** Nothing more is taken. */
  error(reason: unknown): void {
    if (!this.#closed) this.#failure ??= { reason };
    this.#controller?.error(reason);
  }

  #make(): WritableStream<Uint8Array> {
    const stream = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        const { signal } = controller;
        // A sink's own abort() is called only after a write that is under way, which may never end. In a microtask,
        // because the stream must not be errored while it aborts.
        signal.addEventListener("abort", () => queueMicrotask(() => this.#sink.aborted(signal.reason)));
      },
      write: (chunk) => this.#sink.write(chunk),
      close: () => this.#sink.close(),
    });
    if (this.#failure) this.#controller?.error(this.#failure.reason);
    if (!this.held && !this.#closing) return stream;
    const writer = stream.getWriter();
    writer.closed.catch(() => {});
    writer.ready.catch(() => {});
    if (this.#closing) writer.close().catch(() => {});
    if (this.held) this.#writer = writer;
    else writer.releaseLock();
    return stream;
  }

  async #run(act: () => Promise<void>): Promise<void> {
    this.#busy = true;
    try {
      await act();
    } catch (error) {
      this.error(error);
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  write(chunk?: Uint8Array): Promise<void> {
    if (this.#writer) return this.#writer.write(chunk);
    if (this.#failure) return Promise.reject(this.#failure.reason);
    if (this.#closing) return Promise.reject(new TypeError("the writer is closing or closed"));
    this.#last = this.#run(() => this.#sink.write(chunk!));
    return this.#last;
  }

  close(): Promise<void> {
    if (this.#writer) return this.#writer.close();
    if (this.#closing) return Promise.reject(new TypeError("the writer is closing or closed"));
    this.#closing = true;
    const close = async () => {
      if (this.#failure) throw this.#failure.reason;
      await this.#run(() => this.#sink.close());
      this.#closed = true;
    };
    // At once if nothing is under way, as a stream does: what cancels the reading side next relies on that.
    this.#last = this.#busy ? this.#last.then(close, close) : close();
    return this.#last;
  }

  async abort(reason?: unknown): Promise<void> {
    if (this.#writer) return this.#writer.abort(reason);
    if (this.#closed || this.#failure) return;
    this.#failure = { reason };
    queueMicrotask(() => this.#sink.aborted(reason));
    await this.#last.catch(() => {});
  }

  releaseLock(): void {
    this.held = false;
    this.#writer?.releaseLock();
    this.#writer = undefined;
  }
}
