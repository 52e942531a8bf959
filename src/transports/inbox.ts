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
  readonly readable: ReadableStream<Uint8Array>;
  /** How many bytes wait. */
  size = 0;
  readonly #hooks: InboxHooks;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  /** What waits begins at `#next`. To shift a long list moves all of it each time. */
  #chunks: (Uint8Array | undefined)[] = [];
  #next = 0;
  #behind: { failure?: unknown } | undefined;
  /** It has ended, failed, or was cancelled or dropped, as the reader sees it. */
  #told = false;
  #pulled: (() => void) | undefined;

  constructor(hooks: InboxHooks) {
    this.#hooks = hooks;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: (reason) => {
          this.#told = true;
          this.#forget();
          return hooks.cancel(reason);
        },
      },
      // The stream pulls only when a reader waits for a chunk.
      { highWaterMark: 0 },
    );
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
