/** The messages that came and were not read yet: a readable of bounded length, whose end never overtakes a message. */
export class Messages {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #wake: (() => void) | undefined;
  #open = true;
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #behind: { error?: unknown } | undefined;

  constructor(
    private readonly most: number,
    cancel: () => void,
  ) {
    this.readable = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => {
          this.#open = false;
          this.#waiting = [];
          this.#wake?.();
          cancel();
        },
      },
      { highWaterMark: 0 },
    );
  }

  get full(): boolean {
    return this.#open && this.#waiting.length >= this.most;
  }

  /** Settles when there is room, or when nobody reads any more. */
  async room(): Promise<void> {
    while (this.full) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  push(message: Uint8Array<ArrayBuffer>): void {
    if (!this.#open) return;
    this.#waiting.push(message);
    this.#pulled?.();
  }

  /** Behind what is here. */
  end(failure?: { error: unknown }): void {
    this.#behind ??= failure ?? {};
    this.#pulled?.();
    this.#wake?.();
  }

  #pulled: (() => void) | undefined;

  #pull(): Promise<void> | undefined {
    if (this.#give()) return undefined;
    return new Promise((resolve) => {
      this.#pulled = () => {
        if (!this.#give()) return;
        this.#pulled = undefined;
        resolve();
      };
    });
  }

  #give(): boolean {
    if (!this.#open) return true;
    const message = this.#waiting.shift();
    if (message) {
      this.#controller.enqueue(message);
      this.#wake?.();
      return true;
    }
    if (!this.#behind) return false;
    this.#open = false;
    if ("error" in this.#behind) this.#controller.error(this.#behind.error);
    else this.#controller.close();
    return true;
  }
}
