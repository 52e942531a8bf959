export interface InboxHooks {
  /** A reader waits, and nothing is here. */
  wanted?(): void;
  /** So many bytes went to the reader. */
  taken?(bytes: number): void;
  cancel(reason: unknown): void | Promise<void>;
}

/**
 * The readable of a transport to which bytes come unasked. It keeps what has arrived and was not read yet, and the end
 * or the failure that follows it. A failure never overtakes bytes. So the stream's own queue is not used:
 * `controller.error()` empties it.
 */
export class Inbox {
  #readable: ReadableStream<Uint8Array> | undefined;
  /** How many bytes wait. */
  size = 0;
  readonly #hooks: InboxHooks;
  /** The stream's, or what stands in for it. */
  #controller: Controller;
  readonly #direct: DirectReader;
  /** What waits begins at `#next`. To shift a long list moves all of it each time. */
  #chunks: (Uint8Array | undefined)[] = [];
  #next = 0;
  #behind: { failure?: unknown } | undefined;
  /** It has ended, failed, or was cancelled or dropped, as the reader sees it. */
  #told = false;
  #pulled: (() => void) | undefined;

  constructor(hooks: InboxHooks) {
    this.#hooks = hooks;
    const pull = () => {
      if (!this.waiting) this.#pull();
    };
    this.#direct = new DirectReader(pull, (reason) => this.#cancel(reason));
    this.#controller = this.#direct;
  }

  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          this.#direct.goOnWith(controller);
        },
        pull: () => this.#pull(),
        cancel: (reason) => this.#cancel(reason),
      },
      // The stream pulls only when a reader waits for a chunk.
      { highWaterMark: 0 },
    );
    this.#direct.lock(this.#readable);
    return this.#readable;
  }

  /** A reader that needs no stream; undefined once the stream was asked for. */
  takeReader(): DirectReader | undefined {
    return this.#readable || this.#direct.held ? undefined : this.#direct.hold();
  }

  #cancel(reason: unknown): void | Promise<void> {
    this.#told = true;
    this.#forget();
    return this.#hooks.cancel(reason);
  }

  /** More may come: no end and no failure was put behind what is here, and the reader has not cancelled. */
  get open(): boolean {
    return this.#behind === undefined && !this.#told;
  }

  /** A reader waits. */
  get waiting(): boolean {
    return this.#pulled !== undefined;
  }

  push(chunk: Uint8Array): void {
    if (!this.open || chunk.byteLength === 0) return;
    this.#chunks.push(chunk);
    this.size += chunk.byteLength;
    if (this.waiting) this.#wake(() => this.#give());
  }

  /** Nothing more comes. */
  end(): void {
    if (!this.open) return;
    this.#behind = {};
    this.#tell();
  }

  /** Nothing more comes, because of `error`. The reader gets it behind everything that has arrived. */
  fail(failure: unknown): void {
    if (!this.open) return;
    this.#behind = { failure };
    this.#tell();
  }

  /** This side gives the transport up: what waits is dropped. */
  drop(failure: unknown): void {
    if (this.#told) return;
    this.#forget();
    this.#behind = { failure };
    this.#told = true;
    this.#wake(() => this.#controller.error(failure));
  }

  #pull(): Promise<void> | undefined {
    if (this.#give()) return undefined;
    if (this.#behind) {
      this.#tell();
      return undefined;
    }
    const come = new Promise<void>((resolve) => {
      this.#pulled = resolve;
    });
    this.#hooks.wanted?.();
    return come;
  }

  #give(): boolean {
    const chunk = this.#chunks[this.#next];
    if (!chunk) return false;
    this.#chunks[this.#next++] = undefined;
    if (this.#next === this.#chunks.length) {
      this.#chunks = [];
      this.#next = 0;
    }
    this.size -= chunk.byteLength;
    this.#controller.enqueue(chunk);
    this.#hooks.taken?.(chunk.byteLength);
    return true;
  }

  #tell(): void {
    if (this.#told || this.size > 0) return;
    // A chunk that came for a reader which has left meanwhile lies in the stream. The next pull comes when it was
    // taken.
    if (this.#controller.desiredSize !== 0) return;
    this.#told = true;
    const { failure } = this.#behind!;
    this.#wake(() => (failure === undefined ? this.#controller.close() : this.#controller.error(failure)));
  }

  #wake(act: () => void): void {
    const pulled = this.#pulled;
    this.#pulled = undefined;
    act();
    pulled?.();
  }

  #forget(): void {
    this.#chunks = [];
    this.#next = this.size = 0;
  }
}

type Controller = Pick<
  ReadableStreamDefaultController<Uint8Array>,
  "desiredSize" | "enqueue" | "close" | "error"
>;

/**
 * The reader of a stream that nobody has asked for, and what stands in for that stream's controller. If the stream is
 * asked for all the same, it is locked, and this reads from it.
 */
class DirectReader {
  held = false;
  readonly #pull: () => void;
  readonly #cancel: (reason: unknown) => void | Promise<void>;
  /** What came for a reader that has left. */
  readonly #queue: Uint8Array[] = [];
  #over: { failure?: unknown } | undefined;
  #pending:
    | { resolve(result: ReadableStreamReadResult<Uint8Array>): void; reject(reason: unknown): void }
    | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(pull: () => void, cancel: (reason: unknown) => void | Promise<void>) {
    this.#pull = pull;
    this.#cancel = cancel;
  }

  // ---- the controller

  get desiredSize(): number {
    return -this.#queue.length;
  }

  enqueue(chunk: Uint8Array): void {
    if (this.#pending) this.#take().resolve({ done: false, value: chunk });
    else this.#queue.push(chunk);
  }

  close(): void {
    this.#over = {};
    if (this.#pending) this.#take().resolve({ done: true, value: undefined });
  }

  error(failure: unknown): void {
    this.#over = { failure };
    this.#queue.length = 0;
    if (this.#pending) this.#take().reject(failure);
  }

  #take() {
    const pending = this.#pending!;
    this.#pending = undefined;
    return pending;
  }

  /** What is told to a stream's controller from here on. */
  goOnWith(controller: Controller): void {
    for (const chunk of this.#queue.splice(0)) controller.enqueue(chunk);
    if (!this.#over) return;
    if ("failure" in this.#over) controller.error(this.#over.failure);
    else controller.close();
  }

  lock(stream: ReadableStream<Uint8Array>): void {
    if (!this.held || this.#reader) return;
    this.#reader = stream.getReader();
    this.#reader.closed.catch(() => {});
    if (!this.#pending) return;
    const { resolve, reject } = this.#take();
    this.#reader.read().then(resolve, reject);
  }

  // ---- the reader

  hold(): this {
    this.held = true;
    return this;
  }

  read(): Promise<ReadableStreamReadResult<Uint8Array>> {
    if (this.#reader) return this.#reader.read();
    const value = this.#queue.shift();
    if (value) return Promise.resolve({ done: false, value });
    if (this.#over) {
      return "failure" in this.#over
        ? Promise.reject(this.#over.failure)
        : Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#pull();
    });
  }

  async cancel(reason?: unknown): Promise<void> {
    if (this.#reader) return this.#reader.cancel(reason);
    if (this.#over && "failure" in this.#over) throw this.#over.failure;
    if (this.#over) return;
    this.#queue.length = 0;
    this.close();
    await this.#cancel(reason);
  }

  releaseLock(): void {
    this.held = false;
    this.#reader?.releaseLock();
    this.#reader = undefined;
    if (this.#pending) this.#take().reject(new TypeError("the reader was released"));
  }
}
