/** What a server makes of a client's early data (RFC 8446 §2.3). Moves no bytes. */
import type { TlsError } from "../errors.js";
import type { Library } from "../openssl/library.js";
import { tryReadEarlyData } from "../openssl/server-side.js";
import type { SslCore } from "../openssl/ssl-core.js";
import type { Early } from "./early-data.js";
import { callbackError } from "./failure.js";

/** A record's worth. */
const READ_STEP = 16_384;

export type OnEarlyData = (data: Uint8Array, reply: (bytes: Uint8Array) => boolean) => void;

export class EarlyRead implements Early {
  written = 0;
  read = 0;
  readonly #library: Library;
  readonly #ssl: SslCore;
  readonly #onEarlyData: OnEarlyData;
  readonly #goOn: (failure?: TlsError) => void;
  /**
   * "told": there is no more early data, and the application, which was given the last piece, has its turn before it is
   * too late.
   */
  #phase: "reading" | "told" | "ending" | "over" = "reading";
  #replies: Uint8Array[] = [];

  /** `goOn` goes on with the connection, or ends it with a failure, because `onEarlyData` threw. */
  constructor(library: Library, ssl: SslCore, onEarlyData: OnEarlyData, goOn: (failure?: TlsError) => void) {
    this.#library = library;
    this.#ssl = ssl;
    this.#onEarlyData = onEarlyData;
    this.#goOn = goOn;
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
    const r = tryReadEarlyData(this.#library, this.#ssl, data);
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
      this.#goOn();
    });
    return 1;
  }

  /** What the client has sent must not end the program. */
  #tell(data: Uint8Array): void {
    // It may be an async function, whatever its type says.
    new Promise((resolve) => {
      resolve(this.#onEarlyData(data, (bytes) => this.#reply(bytes)));
    }).catch((error) => this.#goOn(callbackError("onEarlyData", error)));
  }

  #reply(bytes: Uint8Array): boolean {
    if (this.#phase === "over") return false;
    if (bytes.length > 0) this.#replies.push(bytes.slice());
    this.#goOn();
    return true;
  }
}
