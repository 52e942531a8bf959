/** A client's sessions: the one that is offered, and those that come of it. The store decides what is kept where. */

import { bytes, callback, either, is, isBytes, like, type Table, text } from "../check.js";
import { TlsError } from "../errors.js";
import type { Library } from "../openssl/library.js";
import { SslSession } from "../openssl/session.js";
import type { SslCore } from "../openssl/ssl-core.js";
import { MemorySessionStore } from "../sessions/memory.js";
import type { Awaitable, SessionStore } from "../sessions/store.js";
import { within } from "../timers.js";

/** How a client gets the session that it resumes. */
export interface ResumptionOptions {
  /**
   * A session to resume, from `getSession()` of an earlier connection with the same options: the client's identity of
   * then, and that an OCSP response was good, still hold. The session is used if the options of a context are the same
   * (`verify` may be another function: it is asked again) and its server's certificate would be accepted now for this
   * `hostname`. Otherwise, and if the server does not want it, the handshake is a full one, which `info.sessionReused`
   * tells. A ticket of TLS 1.3 should be used once.
   */
  session?: Uint8Array;
  /**
   * Where sessions are kept between connections. A session is found by everything that must match: `hostname`,
   * `sessionPartition`, the trust anchors, the client's identity, and what the client offers. By default in memory, for
   * as long as the program runs; `false` = nowhere. A `verify` matches if it is the same function: a connection with a
   * function of its own finds no session, and neither does another run of the program.
   */
  sessionStore?: SessionStore | false;
  /**
   * Called with each session that the server gives, as `getSession()` has them, once the handshake is done and the
   * server accepted: in TLS 1.3 with each ticket, and maybe before `startTls` has resolved. Keep it as you keep a key.
   */
  onNewSession?: (session: Uint8Array) => void;
  /**
   * Sent along with the first message, before the handshake is done, if the session that is offered allows as much
   * (0-RTT, RFC 8446 §2.3), and not if `verify` is to be asked. `info.earlyData` tells what became of it: unless that
   * is "accepted", the server did not see it, so send it as usual.
   *
   * What it costs: an attacker can record it and send it to the server again, and anybody who gets the session later
   * can read it. So send only what may be done twice: a GET, and no transfer of money (RFC 8446 §8, RFC 8470).
   */
  earlyData?: Uint8Array;
  /**
   * Only connections with the same value share sessions: for example the server's port, or the user that the connection
   * is for. Default "".
   */
  sessionPartition?: string;
}

export const RESUMPTION_OPTIONS: Table<ResumptionOptions> = {
  session: bytes(1),
  sessionStore: either(is(false), like("a SessionStore", "get", "put", "take")),
  onNewSession: callback,
  earlyData: bytes(1),
  sessionPartition: text,
};

/** RFC 8446 §4.6.1: no ticket is kept for longer. */
const LONGEST = 7 * 24 * 3600;
/** How long a store may take to answer, in milliseconds; a handshake waits for it. */
const STORE_TIMEOUT = 2_000;
/** Of TLS, the newer one first. */
const VERSIONS = ["1.3", "1.2"] as const;
type Version = (typeof VERSIONS)[number];

/** Shared by all connections that are given no store. */
const defaultStore = new MemorySessionStore();

export interface ResumptionParts {
  library: Library;
  ssl: SslCore;
  /** The hash of everything that must match, without the version; asked for once, and only if there is a store. */
  key(): string;
  /** The mark that sessions of the same settings carry. */
  mark: Uint8Array;
  /** The peer's certificate is checked. */
  verifies: boolean;
  /** `verify` is asked about the peer, also where nothing is checked before. */
  asks: boolean;
  /** The protocols that the client offers. */
  alpnProtocols: readonly string[];
  options: ResumptionOptions;
  /** Called with what went wrong with the store. */
  onError(error: unknown): void;
}

export class Resumption {
  readonly #parts: ResumptionParts;
  readonly #store: SessionStore | undefined;
  /** As they were kept last, newest last. */
  #latest: Uint8Array | undefined;
  #offered: { bytes: Uint8Array; version: Version; earlyData: boolean } | undefined;
  /** The connection is accepted: sessions that came, and those still to come, may be kept. */
  #open = false;
  #waiting: Kept[] = [];
  /** The peer was accepted, by whatever is asked. */
  #accepted = false;
  #untold: Uint8Array[] = [];
  /** How many of each version this connection has put into the store. */
  readonly #put = new Map<Version, number>();
  #key: string | undefined;
  /** The store did not answer, and is not asked again. */
  #hangs = false;

  constructor(parts: ResumptionParts) {
    this.#parts = parts;
    const { session, sessionStore = defaultStore } = parts.options;
    this.#store = sessionStore === false ? undefined : sessionStore;
    if (session) this.#offer(session, true);
  }

  /** The newest session, serialised. */
  get latest(): Uint8Array | undefined {
    return this.#latest?.slice();
  }

  /** What may be sent early, once a session was found. */
  get earlyData(): Uint8Array | undefined {
    return this.#offered?.earlyData ? this.#parts.options.earlyData : undefined;
  }

  /** Before the handshake: looks for a session, and offers it. */
  async find(): Promise<void> {
    if (this.#offered || this.#parts.options.session) return;
    // A session of the newer version first. Those of TLS 1.2 stay for others.
    for (const version of VERSIONS) {
      const bytes = await this.#ask(
        (store, key) => (version === "1.3" ? store.take(key) : store.get(key)),
        version,
      );
      if (!isBytes(bytes)) continue;
      if (this.#offer(bytes, false)) return;
      if (version === "1.2") await this.#ask((store, key) => store.take(key), version);
    }
  }

  /** Sets the session if it is good for this connection. */
  #offer(bytes: Uint8Array, given: boolean): boolean {
    const { library, ssl, verifies, asks, mark } = this.#parts;
    let session: SslSession;
    try {
      session = SslSession.parse(library, bytes);
    } catch (error) {
      // A store may give back anything.
      if (given) throw error;
      return false;
    }
    try {
      if (expiry(session) <= Date.now() || !session.isResumable()) return false;
      // An OCSP response, the client's identity, how strong a key had to be: OpenSSL looks at none of that again.
      if (!equal(session.getMark(), mark)) return false;
      // What `verify` would hear of a session that was not well is of that session's own handshake: of another name, say.
      if ((verifies || asks) && !ssl.acceptsSession(session)) return false;
      ssl.setSession(session);
      this.#offered = { bytes, version: session.version, earlyData: this.#allowsEarlyData(session) };
      return true;
    } finally {
      session.free();
    }
  }

  /** OpenSSL fails if name or protocol are not those of the session. */
  #allowsEarlyData(session: SslSession): boolean {
    const { ssl, alpnProtocols, options } = this.#parts;
    const [hostname, alpn] = [session.getHostname(), session.getAlpnSelected()];
    return (
      (options.earlyData?.length ?? Infinity) <= session.getMaxEarlyData() &&
      (hostname === undefined || hostname === ssl.getServerName()) &&
      (alpn === undefined || alpnProtocols.includes(alpn))
    );
  }

  /** OpenSSL has new sessions. Calls no code of the caller, so that a turn of the pump may call it. */
  collect(): void {
    for (const session of this.#parts.ssl.takeSessions()) {
      this.#collect(session);
    }
    if (this.#accepted) queueMicrotask(() => this.#keep());
  }

  #collect(session: SslSession): void {
    try {
      if (!session.isResumable()) return;
      session.setMark(this.#parts.mark);
      const bytes = session.toBytes();
      this.#latest = bytes;
      this.#untold.push(bytes);
      this.#waiting.push({ bytes, version: session.version, expires: expiry(session) });
    } finally {
      session.free();
    }
  }

  /** The handshake is done, and the peer accepted. */
  opened(verified: boolean): void {
    const { ssl, verifies } = this.#parts;
    // A peer that only the application accepted, or that has no certificate, would not be accepted again.
    this.#open = !verifies || verified;
    this.#accepted = true;
    // In TLS 1.2, a ticket that is renewed on resumption is not a new session.
    if (ssl.sessionReused() && this.#offered?.version === "1.2") {
      const session = ssl.getSession();
      if (session) this.#collect(session);
      // A session that is the same as before is in the store already.
      if (equal(this.#latest, this.#offered.bytes)) this.#waiting = [];
    }
    this.#keep();
  }

  /** The connection ended so that its session must not be resumed. */
  discard(): void {
    this.#latest = undefined;
    this.#waiting = [];
    this.#untold = [];
    // A session of TLS 1.2 is still in the store.
    if (this.#offered?.version === "1.2") this.#count("1.2");
    for (const [version, count] of this.#put) {
      for (let i = 0; i < count; i++) void this.#ask((store, key) => store.take(key), version);
    }
    this.#put.clear();
  }

  #keep(): void {
    const { onNewSession } = this.#parts.options;
    // What it throws is its own, and ends nothing here.
    if (onNewSession) for (const bytes of this.#untold) queueMicrotask(() => onNewSession(bytes.slice()));
    this.#untold = [];
    if (!this.#open) return;
    for (const { bytes, version, expires } of this.#waiting.splice(0)) {
      this.#count(version);
      void this.#ask((store, key) => store.put(key, bytes, expires), version);
    }
  }

  #count(version: Version): void {
    this.#put.set(version, (this.#put.get(version) ?? 0) + 1);
  }

  /** The one place where a store is asked. A store that fails or hangs costs the session, never the connection. */
  async #ask<T>(
    what: (store: SessionStore, key: string) => Awaitable<T>,
    version: Version,
  ): Promise<T | undefined> {
    if (!this.#store || this.#hangs) return undefined;
    try {
      this.#key ??= this.#parts.key();
      const answer = what(this.#store, `${this.#key}-${version}`);
      // Stores in memory answer at once, and need no timer.
      if (typeof (answer as Partial<Promise<T>> | undefined)?.then !== "function") return answer;
      return await within(STORE_TIMEOUT, answer as Promise<T>, () => {
        this.#hangs = true;
        return new TlsError("timeout", `the session store did not answer within ${STORE_TIMEOUT} ms`);
      });
    } catch (error) {
      this.#parts.onError(error);
      return undefined;
    }
  }
}

interface Kept {
  bytes: Uint8Array;
  version: Version;
  expires: number;
}

function equal(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a?.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Until when the session is worth a try, in milliseconds since 1970. */
function expiry(session: SslSession): number {
  const hint = session.getTicketLifetimeHint();
  // If the server does not say, by OpenSSL's own measure. In TLS 1.3 the server always says, and 0 means not at all.
  const unsaid = hint === 0 && session.version === "1.2";
  return (session.getTime() + Math.min(unsaid ? session.getTimeout() : hint, LONGEST)) * 1000;
}
