/** What passes between a connection and what is above it, as types alone: nothing here runs. */
import type { SslEvent } from "../openssl/events.js";

/** What happens, as it happens; `time` is `performance.now()`. */
export type TlsEvent = { readonly time: number } & (
  | { readonly type: "handshake-start" | "handshake-done" | "transport-end" }
  /**
   * A fault of the program: the connection was not ended, and nothing can reach it any more. What the connection held
   * was freed, and its transport given up. Told as long as something beside the connection still holds the listener.
   */
  | { readonly type: "dropped" }
  /** The store of sessions failed; the connection goes on without it. */
  | { readonly type: "session-store-error"; readonly error: unknown }
  /** Alerts, new sessions, and, with `trace`, records and handshake messages. */
  | Exclude<SslEvent, { type: "keylog" }>
);

/** An event that is about to be told. */
export type Untimed<E extends TlsEvent> = E extends TlsEvent ? Omit<E, "time"> : never;

/** What it means when the transport ends without the peer's close_notify; see `ConnectionOptions.eofPolicy`. */
export type EofPolicy = "strict" | "record-boundary" | "ignore";

/** What OpenSSL may wait for beside bytes: which context to use, whether the peer is accepted, a signature. */
export type Question = "client-hello" | "verify" | "signature";

/** What went over a connection until now, and what is on its way. */
export interface Statistics {
  readonly sent: Traffic;
  readonly received: Traffic;
  /** In bytes. */
  readonly waiting: {
    /** Encrypted, and not taken by the transport yet. */
    readonly toTransport: number;
    /** Brought by the transport, and not decrypted yet. */
    readonly fromTransport: number;
    /** Decrypted, and not read yet. */
    readonly decrypted: number;
  };
}

/** One direction of {@link Statistics}. */
export interface Traffic {
  /** Bytes of the transport. */
  readonly bytes: number;
  readonly records: number;
  /** Bytes of application data. */
  readonly data: number;
}
