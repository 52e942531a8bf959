/**
 * Where a client keeps its sessions between connections. The keys are made by `startTls` of all that must match, so that a
 * session is found only by a connection that would trust its server for the same reasons; a store takes them as they are.
 *
 * A session holds secrets: with it anybody can resume the connection's session, and read what was sent as 0-RTT. Keep a store as
 * you keep keys. All methods may answer at once or by promise. One that throws, or takes more than two seconds, costs the
 * session, never the connection; the event "session-store-error" tells. What has expired must go by itself.
 */
export interface SessionStore {
  /** A session for this key, which stays: those of TLS 1.2 are good for many connections. The newest, if there are several. */
  get(key: string): Awaitable<Uint8Array | undefined>;
  /**
   * Keeps one more, until `expires` (milliseconds since 1970) at most. It may replace what is there, and may be forgotten at
   * any time.
   */
  put(key: string, session: Uint8Array, expires: number): Awaitable<void>;
  /**
   * Removes a session and gives it, the newest if there are several. However many ask at once, in however many processes, each
   * session is given to one of them: a ticket of TLS 1.3 is for one use, or connections could be linked (RFC 8446 §C.4).
   */
  take(key: string): Awaitable<Uint8Array | undefined>;
}

export type Awaitable<T> = T | Promise<T>;

/** What is in a store besides the session. */
export interface Kept {
  session: Uint8Array;
  /** Milliseconds since 1970. */
  expires: number;
}

/** Whether something that a store gave back is what was put there, and still good. */
export function isGood(kept: unknown): kept is Kept {
  const { session, expires } = (kept ?? {}) as Partial<Kept>;
  return session instanceof Uint8Array && typeof expires === "number" && expires > Date.now();
}
