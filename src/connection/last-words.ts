import type { TlsError } from "../errors.js";
import { after } from "../timers.js";
import type { Outbox } from "./outbox.js";

/**
 * When a send fails the peer may have said why before it went away. So the pump reads on for so long, in milliseconds,
 * before it reports the failed send.
 */
const LAST_WORDS = 1_000;
/**
 * So long the writes that failed wait for that. In most cases the reason is here already, and tells more than the
 * failed send does.
 */
const FIRST_WORDS = 250;

/** How long a failed send waits for the peer's reason before it is the reason itself. */
export class LastWords {
  #stop = () => {};
  #tellWrites = () => {};

  /** A send failed with `error`: what waits for it in `outbox` is told after a moment, then `fail` is called. */
  await(outbox: Outbox, error: TlsError, fail: () => void): void {
    this.#tellWrites = () => outbox.reject(error);
    this.#stop = after(FIRST_WORDS, () => {
      this.#tellWrites();
      this.#stop = after(LAST_WORDS - FIRST_WORDS, fail);
    });
  }

  /** Data has come, or the end of it, and no reason: the writes need not wait, and the reader meets the failure. */
  readonly missed = (): void => {
    this.stop();
    this.#tellWrites();
  };

  /** The reason is known, or not wanted any more. */
  stop(): void {
    this.#stop();
  }
}
