/**
 * What goes ahead of the handshake's end (RFC 8446 §2.3): a client's early data, or what a server makes of it. Moves no
 * bytes.
 */
import type { Ssl } from "../openssl/ssl.js";

/**
 * Early data is written in steps that fit OpenSSL's buffer for the handshake. When a write has to be repeated, for lack
 * of room in the pair, OpenSSL counts it again, and finds that it is too much.
 */
const WRITE_STEP = 2_048;
/** A record's worth. */
const READ_STEP = 16_384;

export type OnEarlyData = (data: Uint8Array, reply: (bytes: Uint8Array) => boolean) => void;

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
  readonly #ssl: Ssl;
  readonly #bytes: Uint8Array;

  constructor(ssl: Ssl, bytes: Uint8Array) {
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

export class EarlyRead implements Early {
  written = 0;
  read = 0;
  readonly #ssl: Ssl;
  readonly #onEarlyData: OnEarlyData;
  readonly #turn: () => void;
  readonly #failed: (error: unknown) => void;
  /**
   * "told": there is no more early data, and the application, which was given the last piece, has its turn before it is
   * too late.
   */
  #phase: "reading" | "told" | "ending" | "over" = "reading";
  #replies: Uint8Array[] = [];

  /** `turn` goes on with the connection. `failed` ends it, because `onEarlyData` threw. */
  constructor(ssl: Ssl, onEarlyData: OnEarlyData, turn: () => void, failed: (error: unknown) => void) {
    this.#ssl = ssl;
    this.#onEarlyData = onEarlyData;
    this.#turn = turn;
    this.#failed = failed;
  }

  get over(): boolean {
    return this.#phase === "over";
  }

  step(): number {
    // Replies first: the handshake must not go on over a write that is half done.
    const [reply] = this.#replies;
    if (reply) return this.#write(reply);
    if (this.#phase === "told") return 0;
    if (this.#phase === "reading") return this.#readOn();
    this.#phase = "over";
    return 1;
  }

  stop(): void {
    this.#phase = "over";
    this.#replies = [];
  }

  #write(reply: Uint8Array): number {
    const r = this.#ssl.tryWriteEarlyData(reply);
    if (r <= 0) return r;
    this.written += r;
    if (r === reply.length) this.#replies.shift();
    else this.#replies[0] = reply.subarray(r);
    return r;
  }

  #readOn(): number {
    const data = new Uint8Array(READ_STEP);
    const r = this.#ssl.tryReadEarlyData(data);
    if (r < 0) return r;
    // Never from within a step: what the application does then must not find OpenSSL in the middle of something.
    if (r > 0) {
      this.read += r;
      queueMicrotask(() => this.#tell(data.subarray(0, r)));
      return r;
    }
    this.#phase = "told";
    queueMicrotask(() => {
      if (this.#phase === "told") this.#phase = "ending";
      this.#turn();
    });
    return 1;
  }

  /** What the client has sent must not end the program. */
  #tell(data: Uint8Array): void {
    // It may be an async function, whatever its type says.
    new Promise((resolve) => {
      resolve(this.#onEarlyData(data, (bytes) => this.#reply(bytes)));
    }).catch(this.#failed);
  }

  #reply(bytes: Uint8Array): boolean {
    if (this.#phase === "over") return false;
    if (bytes.length > 0) this.#replies.push(bytes.slice());
    this.#turn();
    return true;
  }
}
