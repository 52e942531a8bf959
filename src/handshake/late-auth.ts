/** A server that asks its client for a certificate behind the handshake (RFC 8446 §4.6.2); no part of a client's code. */
import { duration, readOptions, signal, type Table } from "../check.js";
import type { Pump } from "../connection/pump.js";
import type { Verdict } from "../connection/verdict.js";
import { type LateWish, Wish } from "../connection/wishes.js";
import { TlsError } from "../errors.js";
import type { Library } from "../openssl/library.js";
import { verifyClientPostHandshake } from "../openssl/server-side.js";
import type { SslCore } from "../openssl/ssl-core.js";
import { after } from "../timers.js";

export interface VerifyClientOptions {
  /** Gives up when it fires: the connection is aborted with its reason. */
  signal?: AbortSignal;
  /** How long the client may take to answer, in milliseconds; `Infinity` = for ever. Default 30,000. */
  timeout?: number;
}

const OPTIONS: Table<VerifyClientOptions> = { signal, timeout: duration };
/** In milliseconds. */
const DEFAULT_TIMEOUT = 30_000;

export class LateAuth {
  readonly #library: Library;
  readonly #ssl: SslCore;
  readonly #verdict: Verdict;
  readonly #asks: () => boolean;

  /** @param asks what `clientAuth` is allows to ask */
  constructor(library: Library, ssl: SslCore, verdict: Verdict, asks: () => boolean) {
    this.#library = library;
    this.#ssl = ssl;
    this.#verdict = verdict;
    this.#asks = asks;
  }

  /** Asks, and waits; `giveUp` ends the connection. */
  async ask(pump: Pump, given: VerifyClientOptions, giveUp: (reason: unknown, late: boolean) => void) {
    const read = readOptions(given, OPTIONS, "verifyClientPostHandshake()");
    const { timeout = DEFAULT_TIMEOUT, signal } = read;
    signal?.throwIfAborted();
    this.#verdict.refuse();
    const onAbort = () => giveUp(signal!.reason, false);
    signal?.addEventListener("abort", onAbort);
    const stop = after(timeout, () => {
      const message = `the client did not answer within ${timeout} ms when it was asked for its certificate`;
      giveUp(new TlsError("timeout", message), true);
    });
    try {
      await pump.wishLate(new Question(this));
    } finally {
      stop();
      signal?.removeEventListener("abort", onAbort);
    }
    this.#verdict.refuse();
  }

  /** Why the client cannot be asked, though nothing is wrong with the connection. */
  refusal(closed: boolean, asked: boolean): TlsError | undefined {
    const refused = this.#verdict.writeRefusal(closed);
    if (refused) return refused;
    if (this.#verdict.ended) return this.silent();
    if (!this.#asks()) {
      const message = 'verifyClientPostHandshake() needs clientAuth "request" or "require"';
      return new TlsError("invalid-argument", message);
    }
    if (this.#ssl.getVersion() !== "TLSv1.3") {
      const how = "clientAuth asks in the handshake";
      return new TlsError("protocol", `TLS 1.2 knows no authentication behind the handshake: ${how}`);
    }
    const offered = this.#ssl.getPostHandshakeAuth();
    if (offered === "none") {
      return new TlsError("protocol", "the client does not offer authentication behind the handshake");
    }
    return asked || offered === "asked"
      ? new TlsError("invalid-argument", "the client is asked for its certificate already")
      : undefined;
  }

  /** Tells OpenSSL to ask with its next operation; or why that failed. */
  begin(): TlsError | undefined {
    if (verifyClientPostHandshake(this.#library, this.#ssl) === 1) return undefined;
    const { errors } = this.#ssl.takeFailure();
    return new TlsError("openssl", "the client cannot be asked for its certificate", { errors });
  }

  /** The client showed its certificate, or that it has none, and is accepted. */
  get answered(): boolean {
    return this.#ssl.getPostHandshakeAuth() !== "asked" && this.#ssl.isInitFinished();
  }

  /** Why there will be no answer, if the client's data ends before. */
  silent(): TlsError {
    return new TlsError("closed", "the client has closed its side, and can show no certificate any more");
  }
}

/** The client's certificate, as the pump wishes for it. */
class Question extends Wish implements LateWish {
  readonly #auth: LateAuth;
  #asked = false;
  over = false;

  constructor(auth: LateAuth) {
    super();
    this.#auth = auth;
  }

  get isDue(): boolean {
    return !this.#asked && !this.over;
  }

  refusal(closed: boolean, asked: boolean): TlsError | undefined {
    return this.#auth.refusal(closed, asked);
  }

  begin(): boolean {
    const failed = this.#auth.begin();
    if (failed) this.#end(() => this.reject(failed));
    else this.#asked = true;
    return this.#asked;
  }

  look(): void {
    if (this.#asked && !this.over && this.#auth.answered) this.#end(this.resolve);
  }

  giveUp(): void {
    this.#end(() => this.reject(this.#auth.silent()));
  }

  #end(settle: () => void): void {
    this.over = true;
    settle();
  }
}
