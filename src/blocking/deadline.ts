import { duration, readOptions, type Table } from "../check.js";
import { TlsError } from "../errors.js";

export interface Timeout {
  /** How long it may take, in milliseconds; 0 = do what can be done at once. Default `Infinity`. */
  timeout?: number;
}

export const TIMEOUT: Table<Timeout> = { timeout: duration };

/**
 * BlockingTimeoutError says that something was not done in time. Nothing is lost: the same call may be made again, and
 * goes on.
 *
 * @example
 * ```ts
 * import { BlockingTimeoutError, type BlockingTls } from "wassl/blocking";
 *
 * // What has come, or 0 if nothing comes for a second.
 * function readForASecond(tls: BlockingTls, buffer: Uint8Array): number {
 *   try {
 *     return tls.read(buffer, { timeout: 1_000 });
 *   } catch (error) {
 *     if (!(error instanceof BlockingTimeoutError)) throw error;
 *     return 0;
 *   }
 * }
 * ```
 */
export class BlockingTimeoutError extends TlsError {
  override readonly name: string = "BlockingTimeoutError";
  /** Of a write: how many of its bytes were taken. They will leave; go on with those behind them. */
  written = 0;

  constructor(message: string) {
    super("timeout", message);
  }
}

/** The moment at which a time that the caller is ready to wait is over. */
export class Deadline {
  readonly #timeout: number;
  readonly #at: number;

  /** @param what of what these are the options */
  static of(options: Timeout, what: string): Deadline {
    return new Deadline(readOptions(options, TIMEOUT, what).timeout);
  }

  constructor(timeout = Infinity) {
    this.#timeout = timeout;
    this.#at = performance.now() + timeout;
  }

  /** Milliseconds, never below 0. */
  get left(): number {
    return Math.max(0, this.#at - performance.now());
  }

  /** @param what did not happen, for the message */
  passed(what: string): BlockingTimeoutError {
    return new BlockingTimeoutError(`${what} within ${this.#timeout} ms`);
  }
}
