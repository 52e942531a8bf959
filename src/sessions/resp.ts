/**
 * As much of Redis's protocol (RESP 2) as a session store needs: commands out in order, replies back in the same order.
 */
import { messageOf } from "../check.js";
import { TlsError } from "../errors.js";
import type { Transport } from "../transport.js";

/** A status or number as text; a value as bytes; null = there is no value. */
export type Reply = string | Uint8Array | null;

/** The most that a line, and a value, may have, in bytes. */
const LINE_LIMIT = 65_536;
const VALUE_LIMIT = 2 ** 20;
const CR = 13;
const LF = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface Waiting {
  resolve(reply: Reply): void;
  reject(reason: unknown): void;
}

export class RespConnection {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting: Waiting[] = [];
  /** What has come and is no whole reply yet, at the beginning of an array that grows by doubling. */
  #input = new Uint8Array(0);
  #filled = 0;
  #over: { reason: unknown } | undefined;
  /** Resolves when the connection has failed or was ended, and takes no more commands. */
  readonly ended: Promise<void>;
  #markEnded!: () => void;

  constructor(transport: Transport) {
    this.#reader = transport.readable.getReader();
    this.#writer = transport.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
    void this.#receive();
  }

  /** Rejects with Redis's error answer, and when the connection fails. */
  command(...parts: (string | Uint8Array)[]): Promise<Reply> {
    if (this.#over) return Promise.reject(this.#over.reason);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#writer.write(encode(parts)).catch((cause) => this.abort(broken("sending", cause)));
    });
  }

  /** Ends the connection properly. */
  async close(): Promise<void> {
    if (this.#over) return;
    this.#end(new TlsError("closed", "the connection to Redis was closed"));
    await Promise.allSettled([this.#writer.close(), this.#reader.cancel()]);
  }

  /** Ends the connection at once: commands that wait for a reply are rejected with `reason`. */
  abort(reason: unknown): void {
    if (this.#over) return;
    this.#end(reason);
    this.#writer.abort(reason).catch(() => {});
    this.#reader.cancel(reason).catch(() => {});
  }

  #end(reason: unknown): void {
    this.#over = { reason };
    this.#markEnded();
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (this.#over) return;
        if (done) throw new TlsError("transport", "Redis closed the connection");
        this.#append(value);
        while (this.#settle()) {
          // As many replies as have come.
        }
      }
    } catch (cause) {
      this.abort(cause instanceof TlsError ? cause : broken("receiving", cause));
    }
  }

  #append(bytes: Uint8Array): void {
    const filled = this.#filled + bytes.length;
    if (filled > this.#input.length) {
      const larger = new Uint8Array(2 * filled);
      larger.set(this.#input.subarray(0, this.#filled));
      this.#input = larger;
    }
    this.#input.set(bytes, this.#filled);
    this.#filled = filled;
  }

  /** Takes one whole reply, if it is here. */
  #settle(): boolean {
    const input = this.#input.subarray(0, this.#filled);
    const end = input.indexOf(LF);
    if (end < 0) {
      if (input.length > LINE_LIMIT) throw noRedis();
      return false;
    }
    if (end > LINE_LIMIT || input[end - 1] !== CR) throw noRedis();
    const line = decoder.decode(input.subarray(1, end - 1));
    let size = end + 1;
    let reply: Reply | TlsError = line;
    switch (String.fromCharCode(input[0]!)) {
      case "+":
      case ":":
        break;
      case "-":
        reply = new TlsError("session-store", `Redis answered: ${line}`);
        break;
      case "$": {
        const length = /^(-1|\d{1,7})$/.test(line) ? Number(line) : Number.NaN;
        if (!(length <= VALUE_LIMIT)) throw noRedis();
        if (length >= 0) {
          size += length + 2;
          if (input.length < size) return false;
          if (input[size - 2] !== CR || input[size - 1] !== LF) throw noRedis();
        }
        reply = length < 0 ? null : input.slice(end + 1, size - 2);
        break;
      }
      default:
        throw noRedis();
    }
    this.#input = input.slice(size);
    this.#filled = this.#input.length;
    const next = this.#waiting.shift();
    if (!next) throw noRedis();
    if (reply instanceof TlsError) next.reject(reply);
    else next.resolve(reply);
    return this.#filled > 0;
  }
}

function encode(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const pieces = [encoder.encode(`*${parts.length}\r\n`)];
  for (const part of parts) {
    const bytes = typeof part === "string" ? encoder.encode(part) : part;
    pieces.push(encoder.encode(`$${bytes.length}\r\n`), bytes.slice(), encoder.encode("\r\n"));
  }
  return pieces.reduce(joined);
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function noRedis(): TlsError {
  return new TlsError("session-store", "the server does not speak Redis's protocol");
}

function broken(doing: string, cause: unknown): TlsError {
  const why = messageOf(cause);
  return new TlsError("transport", `the connection to Redis failed while ${doing}: ${why}`, { cause });
}
