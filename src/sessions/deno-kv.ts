/**
 * Sessions in Deno KV: on one machine, or shared by all isolates of a deployment.
 *
 * @module
 */
import { like, readOption, readOptions, type Table, text } from "../check.js";
import { isGood, type Kept, type SessionStore } from "./store.js";

export type { SessionStore } from "./store.js";

/** The part of a `Deno.Kv` that is used. */
export interface DenoKvLike {
  get(key: readonly string[]): Promise<DenoKvEntryLike>;
  set(key: readonly string[], value: unknown, options: { expireIn: number }): Promise<unknown>;
  atomic(): DenoKvAtomicLike;
}

export interface DenoKvEntryLike {
  readonly key: readonly unknown[];
  readonly value: unknown;
  readonly versionstamp: string | null;
}

export interface DenoKvAtomicLike {
  // biome-ignore lint/suspicious/noExplicitAny: the entry that `get` gave, whatever its type is there
  check(entry: any): this;
  delete(key: readonly string[]): this;
  commit(): Promise<{ readonly ok: boolean }>;
}

export interface DenoKvSessionStoreOptions {
  /** The first part of all keys. Default "wassl-sessions". */
  prefix?: string;
}

const OPTIONS: Table<DenoKvSessionStoreOptions> = { prefix: text };

/** The most that a value may have, in bytes, with some room for what it is wrapped in. */
const VALUE_LIMIT = 65_000;

/**
 * One session for each key. The database stays its owner's to close.
 *
 * @example
 * ```ts
 * import { DenoKvSessionStore } from "wassl/sessions/deno-kv";
 *
 * const sessionStore = new DenoKvSessionStore(await Deno.openKv());
 * ```
 */
export class DenoKvSessionStore implements SessionStore {
  readonly #kv: DenoKvLike;
  readonly #prefix: string;

  constructor(kv: DenoKvLike, options: DenoKvSessionStoreOptions = {}) {
    this.#kv = readOption(like("a Deno.Kv", "get", "set", "atomic"), kv, "kv") as DenoKvLike;
    this.#prefix = readOptions(options, OPTIONS, "DenoKvSessionStore").prefix ?? "wassl-sessions";
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const { value } = await this.#kv.get([this.#prefix, key]);
    return isGood(value) ? value.session : undefined;
  }

  async put(key: string, session: Uint8Array, expires: number): Promise<void> {
    const expireIn = expires - Date.now();
    if (expireIn <= 0 || session.length > VALUE_LIMIT) return;
    // Deno KV may keep a value for longer than it was told to, so the time is in the value too.
    const kept: Kept = { session, expires };
    await this.#kv.set([this.#prefix, key], kept, { expireIn });
  }

  async take(key: string): Promise<Uint8Array | undefined> {
    const entry = await this.#kv.get([this.#prefix, key]);
    if (entry.versionstamp === null) return undefined;
    const { ok } = await this.#kv.atomic().check(entry).delete([this.#prefix, key]).commit();
    // Another process was faster, or has put another session there. Without a session the handshake is a full one.
    return ok && isGood(entry.value) ? entry.value.session : undefined;
  }
}
