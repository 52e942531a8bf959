/** The time after which a socket says that nothing has moved. One timer serves for many bytes. */

/** The longest time for `setTimeout`, in milliseconds. */
const MOST = 2 ** 31 - 1;

export class Timeout {
  /** 0 = no timeout. */
  milliseconds = 0;
  readonly #over: () => void;
  #last = 0;
  #timer: ReturnType<typeof globalThis.setTimeout> | undefined;

  constructor(over: () => void) {
    this.#over = over;
  }

  set(milliseconds: number): void {
    this.stop();
    this.milliseconds = milliseconds > 0 ? Math.min(milliseconds, MOST) : 0;
    this.#last = performance.now();
    if (this.milliseconds > 0) this.#arm(this.milliseconds);
  }

  /** Something has moved. */
  renew(): void {
    if (this.milliseconds === 0) return;
    this.#last = performance.now();
    if (this.#timer === undefined) this.#arm(this.milliseconds);
  }

  stop(): void {
    globalThis.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.milliseconds = 0;
  }

  #arm(milliseconds: number): void {
    this.#timer = globalThis.setTimeout(() => {
      this.#timer = undefined;
      const left = this.#last + this.milliseconds - performance.now();
      if (left > 0) this.#arm(left);
      else this.#over();
    }, milliseconds);
    // Timers are objects in Node.js and numbers elsewhere. This one keeps no program alive.
    (this.#timer as { unref?(): void }).unref?.();
  }
}
