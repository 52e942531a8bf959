import { isBytes } from "../check.js";

/**
 * Where a client keeps its sessions between connections. `startTls` makes the keys from everything that must match, so
 * that only a connection that would trust the server for the same reasons finds a session. A store takes the keys as
 * they are.
 *
 * A session holds secrets: anybody who has it can resume the connection's session, and read what was sent as 0-RTT.
 * Keep a store as you keep keys. All methods may answer at once or by promise. A method that throws, or takes more than
 * two seconds, costs the session and never the connection; the event "session-store-error" tells. The store itself must
 * delete what has expired.
 */
export interface SessionStore {
  /**
   * Returns a session for this key, which stays: sessions of TLS 1.2 are good for many connections. If there are
   * several, it is the newest.
   */
  get(key: string): Awaitable<Uint8Array | undefined>;
  /**
   * Keeps one more session, until `expires` (milliseconds since 1970) at most. It may replace what is there, and may be
   * forgotten at any time.
   */
  put(key: string, session: Uint8Array, expires: number): Awaitable<void>;
  /**
   * Removes a session and returns it; if there are several, the newest. However many callers ask at once, in however
   * many processes, each session is given to one of them. A ticket of TLS 1.3 is for one use; used twice, connections
   * could be linked (RFC 8446 §C.4).
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

/** Whether what a store gave back is what was put there, and still good. */
export function isGood(kept: unknown): kept is Kept {
  const { session, expires } = (kept ?? {}) as Partial<Kept>;
  return isBytes(session) && typeof expires === "number" && expires > Date.now();
}
