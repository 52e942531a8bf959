/** What goes ahead of the handshake's end (RFC 8446 §2.3). Moves no bytes. What a server makes of it is in early-read.ts. */
import type { SslCore } from "../openssl/ssl-core.js";

/**
 * Early data is written in steps that fit OpenSSL's buffer for the handshake. When a write has to be repeated, for lack
 * of room in the pair, OpenSSL counts it again, and finds that it is too much.
 */
const WRITE_STEP = 2_048;
/** One phase of the handshake, until it is `over`. */
export interface Early {
  readonly over: boolean;
  /** Bytes of application data, either way. */
  readonly written: number;
  readonly read: number;
  /** More than 0: it got on; 0: there is nothing to do now; else what OpenSSL lacks, minus an `SSL_ERROR_*`. */
  step(): number;
  /** Nothing more comes of it. */
  stop(): void;
}

export class EarlyWrite implements Early {
  readonly read = 0;
  written = 0;
  readonly #ssl: SslCore;
  readonly #bytes: Uint8Array;

  constructor(ssl: SslCore, bytes: Uint8Array) {
    this.#ssl = ssl;
    this.#bytes = bytes;
  }

  get over(): boolean {
    return this.written === this.#bytes.length;
  }

  step(): number {
    const r = this.#ssl.tryWriteEarlyData(this.#bytes.subarray(this.written, this.written + WRITE_STEP));
    if (r > 0) this.written += r;
    return r;
  }

  stop(): void {}
}
