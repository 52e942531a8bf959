import type { TlsEvent, Untimed } from "./events.js";

/**
 * The application's listeners. They are called in a microtask and never from within a turn of the loop: what they do
 * then must not find OpenSSL in the middle of something.
 */
export class Listeners {
  readonly #onEvent: ((event: TlsEvent) => void) | undefined;
  readonly #keylog: ((line: string) => void) | undefined;

  constructor(onEvent?: (event: TlsEvent) => void, keylog?: (line: string) => void) {
    this.#onEvent = onEvent;
    this.#keylog = keylog;
  }

  tell(event: Untimed<TlsEvent>): void {
    const onEvent = this.#onEvent;
    if (!onEvent) return;
    const whole = { time: performance.now(), ...event } as TlsEvent;
    queueMicrotask(() => onEvent(whole));
  }

  /** A line of the key log. */
  tellKey(line: string): void {
    const keylog = this.#keylog;
    if (keylog) queueMicrotask(() => keylog(line));
  }
}
