/*
 * What is known of a connection's end, for both loops: pump.ts and blocking/loop.ts. A Verdict judges what OpenSSL
 * answered. It moves no bytes, waits for nothing, and calls no other code: a loop asks it, and does what follows.
 *
 *      open ──▶ clean ──────┐          clean      the peer's close_notify was read
 *       │  └──▶ truncated ──┤          truncated  the transport ended without it, and `eofPolicy` lets that pass
 *       │                   ▼          failed     an error ended the connection; an alert may still be on its way
 *       └────────────────▶ failed      released   OpenSSL's objects are freed
 *       └──────── (any) ─▶ released
 *
 * The end is one value, and it goes down these arrows only. What the reader meets first stays what the reader meets:
 * after "clean" a failure (of our writing) is not an error for the reader.
 */

import { type Alert, type CloseInfo, TlsError, TlsTruncationError, type TruncationPoint } from "../errors.js";
import type { SslEvent } from "../openssl/events.js";
import { FAILED_SYSCALL, type SslCore, type SslFailure, ZERO_RETURN } from "../openssl/ssl-core.js";
import type { EofPolicy } from "./events.js";
import { type Circumstances, explain } from "./failure.js";

/** The end of the peer's data, where that is no error. */
type DataEnd = { readonly is: "clean" } | { readonly is: "truncated"; readonly at: TruncationPoint };

type End =
  | DataEnd
  | { readonly is: "failed"; readonly error: TlsError; readonly after: DataEnd | undefined }
  | { readonly is: "released"; readonly reason: unknown; readonly after: DataEnd | undefined };

/** What a Verdict is told once, when the connection begins. */
export interface VerdictOptions {
  ssl: SslCore;
  /** Whose certificate is checked; for messages. */
  peerName: string;
  /** Whether the cipher suites of TLS 1.2 are those by default; for messages. */
  defaultCiphers(): boolean;
  /** Whether there is not a single trust anchor; for messages. */
  trustsNobody(): boolean;
  eofPolicy: EofPolicy | undefined;
  /** End without close_notify: our side says nothing. */
  quiet: boolean | undefined;
}

/** What only the loop knows when an operation of OpenSSL failed. */
export type Scene = Pick<Circumstances, "edges" | "ended" | "sendError">;

export class Verdict {
  /** Our side ends without close_notify. */
  readonly quiet: boolean;
  readonly #options: VerdictOptions;
  readonly #ssl: SslCore;
  #open = false;
  #end: End | undefined;
  #closeNotifyReceived = false;
  #fatalAlert: Alert | undefined;
  #over: Outcome | undefined;
  #flags = { sent: false, received: false };

  constructor(options: VerdictOptions) {
    this.#options = options;
    this.#ssl = options.ssl;
    this.quiet = options.quiet ?? false;
  }

  // ---- what is known

  /** How it stands with the end; undefined while the connection is as it should be. */
  get end(): End["is"] | undefined {
    return this.#end?.is;
  }

  /** The handshake is done. */
  get open(): boolean {
    return this.#open;
  }

  /** No more application data will come, and that is no error. */
  get ended(): boolean {
    return this.#dataEnd !== undefined;
  }

  get #dataEnd(): DataEnd | undefined {
    const end = this.#end;
    return end?.is === "failed" || end?.is === "released" ? end.after : end;
  }

  get failure(): TlsError | undefined {
    return this.#end?.is === "failed" ? this.#end.error : undefined;
  }

  /** Where the transport ended, when `eofPolicy` let that pass as an end. */
  get truncatedAt(): TruncationPoint | undefined {
    const end = this.#dataEnd;
    return end?.is === "truncated" ? end.at : undefined;
  }

  get closeNotifyReceived(): boolean {
    return this.#closeNotifyReceived;
  }

  /** The fatal alert, sent or received, if there was one. */
  get fatalAlert(): Alert | undefined {
    return this.#fatalAlert;
  }

  /** `SSL_get_shutdown(3)`, also when OpenSSL's object is freed. */
  get shutdownFlags(): { readonly sent: boolean; readonly received: boolean } {
    return this.#over ? this.#flags : this.#ssl.shutdownFlags;
  }

  // ---- what happens

  opened(): void {
    this.#open = true;
  }

  /** What happened on the connection since it was last asked, oldest first. Alerts are noted. */
  takeEvents(): SslEvent[] {
    const events = this.#ssl.takeEvents();
    for (const event of events) if (event.type === "alert") this.#note(event);
    return events;
  }

  /** SSL_RECEIVED_SHUTDOWN is also set by a fatal alert, so it never says "clean"; the alerts themselves do. */
  #note({ direction, level, description, code }: Alert): void {
    if (level === "fatal") this.#fatalAlert ??= { direction, level, description, code };
    else if (direction === "received" && description === "close_notify") this.#closeNotifyReceived = true;
  }

  /**
   * SSL_read or SSL_peek answered `r`, which is not a want: true when that is the clean end of the peer's data. Asked
   * after {@link takeEvents}.
   */
  endsCleanly(r: number): boolean {
    // user_canceled and then close_notify ends cleanly (RFC 8446 §6.1), though OpenSSL calls it a system error.
    if (r !== ZERO_RETURN && !(r === FAILED_SYSCALL && this.#closeNotifyReceived)) return false;
    this.#closeNotifyReceived = true;
    this.#end ??= { is: "clean" };
    return true;
  }

  /**
   * OpenSSL answered `r`, an error: returns what that means. `failure` is taken right after the operation, and this is
   * asked after {@link takeEvents}.
   */
  explain(r: number, failure: SslFailure, scene: Scene): TlsError {
    return explain(r, failure, {
      ...scene,
      open: this.#open,
      fatalAlert: this.#fatalAlert,
      peerName: this.#options.peerName,
      trustsNobody: this.#options.trustsNobody(),
      defaultCiphers: this.#options.defaultCiphers() && this.#ssl.getCipherName() === undefined,
    });
  }

  /** True when `error` is a truncation that `eofPolicy` takes for an end. In the handshake no truncation is. */
  letsPass(error: TlsError): boolean {
    if (!(error instanceof TlsTruncationError) || error.at === "handshake") return false;
    const { eofPolicy = "strict" } = this.#options;
    if (eofPolicy !== "ignore" && (eofPolicy !== "record-boundary" || error.at !== "record")) return false;
    this.#end ??= { is: "truncated", at: error.at };
    return true;
  }

  /** The connection has failed. False when it had failed before, or is released: the first failure counts. */
  fail(error: TlsError): boolean {
    if (this.#end?.is === "failed" || this.#end?.is === "released") return false;
    this.#end = { is: "failed", error, after: this.#end };
    return true;
  }

  /** OpenSSL's objects are about to be freed. False when they are already. */
  release(reason: unknown): boolean {
    if (this.#end?.is === "released") return false;
    this.#end = { is: "released", reason, after: this.#dataEnd };
    return true;
  }

  // ---- what may still be done

  /** What a call is refused with that needs a connection which works; undefined if nothing is wrong. */
  get refusal(): unknown {
    if (this.#end?.is === "released") return this.#end.reason;
    return this.#end?.is === "failed" ? this.#end.error : undefined;
  }

  /** False at the end of the data. Throws what ended the connection otherwise. */
  mayRead(): boolean {
    const end = this.#end;
    if (end === undefined) return true;
    if (end.is === "released") throw end.reason;
    if (end.is === "failed" && !end.after) throw end.error;
    return false;
  }

  /** What a write is refused with while all else is well; `closed` says that our close_notify was asked for. */
  writeRefusal(closed: boolean): TlsError | undefined {
    if (closed) return new TlsError("closed", "the writing side is closed");
    return this.truncatedAt && this.peerIsGone();
  }

  peerIsGone(): TlsError {
    return new TlsError("closed", "the peer closed the transport, and with it this connection");
  }

  /**
   * Whether our close_notify is a message at all. Quiet, SSL_shutdown must not be called before the end: it also sets
   * SSL_RECEIVED_SHUTDOWN, and what the peer still sends would be lost. After a truncation that passed as an end it
   * cannot be called: for OpenSSL that was an error, and no peer is there to be told.
   */
  get sendsCloseNotify(): boolean {
    return !this.quiet && this.truncatedAt === undefined;
  }

  /**
   * Half of a KeyUpdate or a ticket is here: SSL_shutdown would fail ("shutdown while in init") until the rest came.
   */
  get isMidMessage(): boolean {
    return !this.ended && !this.#ssl.isInitFinished();
  }

  // ---- the end

  /** How it ends where nothing is wrong. */
  get howItEnds(): CloseInfo["how"] {
    if (this.truncatedAt) return "truncated";
    if (this.quiet) return "quiet";
    return this.ended ? "complete" : "closed-without-waiting";
  }

  /** What kind of end this failure makes. OpenSSL answers a truncation with an alert, which is not its cause. */
  howItFails(error: TlsError): CloseInfo["how"] {
    switch (error.code) {
      case "truncated":
        return "truncated";
      case "transport":
        return "failed";
      case "alert":
        return "alert";
      default:
        // A protocol error is told to the peer; trouble of this side (memory, for example) is not.
        return this.#fatalAlert ? "alert" : "aborted";
    }
  }

  /**
   * The connection is over, once: settles what becomes of the session, and says how it ended. To be called while
   * OpenSSL's objects live.
   *
   * @param reason why, unless the end was proper
   * @param hint what the error of later calls tells beside that
   */
  conclude(
    how: CloseInfo["how"],
    { sentCloseNotify, reason, discarded = 0, hint = "" }: Conclusion,
  ): Outcome {
    const ssl = this.#ssl;
    const proper = reason === undefined;
    // Quiet, it sends nothing, but marks the session as well closed.
    if (this.quiet && proper) crashProof(() => ssl.tryShutdown(), 0);
    const { failure, fatalAlert } = this;
    const truncatedAt = this.truncatedAt ?? (failure instanceof TlsTruncationError ? failure.at : undefined);
    const info: CloseInfo = {
      sentCloseNotify,
      receivedCloseNotify: this.#closeNotifyReceived,
      how,
      ...(truncatedAt && { truncatedAt }),
      ...(fatalAlert && { alert: fatalAlert }),
      resumable: settleSession(ssl, sentCloseNotify || (this.quiet && proper)),
      discarded,
    };
    this.#flags = crashProof(() => ssl.shutdownFlags, this.#flags);
    if (reason instanceof TlsError) reason.outcome = info;
    const refusal = reason ?? new TlsError("closed", `the TLS connection is over (${how})${hint}`);
    this.#over = { info, proper, refusal };
    return this.#over;
  }

  /** What {@link conclude} came to; undefined until then. */
  get over(): Outcome | undefined {
    return this.#over;
  }

  /** Throws when the connection is over: nothing of OpenSSL's may be asked then. */
  refuse(): void {
    if (this.#over) throw this.#over.refusal;
  }
}

/** How a connection ended. */
export interface Outcome {
  readonly info: CloseInfo;
  /** Nothing failed, and the connection was not given up. */
  readonly proper: boolean;
  /** What later calls are refused with. */
  readonly refusal: unknown;
}

export interface Conclusion {
  /** The transport has accepted all of it. */
  sentCloseNotify: boolean;
  reason?: unknown;
  /** Bytes of application data that were not read. */
  discarded?: number;
  hint?: string;
}

/**
 * Whether the session may be resumed: if this side ended properly, and no alert took the session out of use. OpenSSL
 * judges by SSL_SENT_SHUTDOWN, which stands from the first attempt to send close_notify, whether it left or not. So a
 * session that must not be resumed is taken out of use here, and what is said is what OpenSSL does.
 */
function settleSession(ssl: SslCore, endedProperly: boolean): boolean {
  return crashProof(() => {
    if (!endedProperly) ssl.removeSession();
    const session = ssl.getSession();
    try {
      return endedProperly && (session?.isResumable() ?? false);
    } finally {
      session?.free();
    }
  }, false);
}

/** An instance that crashed answers nothing any more; how the connection ended must be told all the same. */
export function crashProof<T>(ask: () => T, otherwise: T): T {
  try {
    return ask();
  } catch {
    return otherwise;
  }
}
