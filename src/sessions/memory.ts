import { readOptions, type Table, whole } from "../check.js";
import { weakly } from "../engine.js";
import { after } from "../timers.js";
import { isGood, type Kept, type SessionStore } from "./store.js";

export interface MemorySessionStoreOptions {
  /** How many sessions the store keeps in all. Those whose key was not used for longest go first. Default 256. */
  max?: number;
  /** How many sessions it keeps for one key, so that connections side by side can resume. Default 4. */
  maxPerKey?: number;
}

const COUNT = whole(1, 2 ** 32 - 1);
const OPTIONS: Table<MemorySessionStoreOptions> = { max: COUNT, maxPerKey: COUNT };

/**
 * Sessions in memory, for as long as the program runs. A client uses one of these unless it is told otherwise.
 *
 * @example
 * ```ts
 * import { MemorySessionStore, startTls } from "wassl";
 *
 * // For one user alone: their sessions do not serve others.
 * const sessionStore = new MemorySessionStore({ max: 16 });
 * const tls = await startTls(transport, { hostname: "example.org", caCerts: pem, sessionStore });
 * console.log(tls.info.sessionReused, sessionStore.size);
 * ```
 */
export class MemorySessionStore implements SessionStore {
  readonly #max: number;
  readonly #maxPerKey: number;
  /** Oldest use first; under each key the oldest session first. */
  readonly #keys = new Map<string, Kept[]>();
  #size = 0;
  /** When the next session expires, if a timer waits for that. */
  #sweepAt = Infinity;
  #stopSweep: () => void = () => {};

  constructor(options: MemorySessionStoreOptions = {}) {
    const { max = 256, maxPerKey = 4 } = readOptions(options, OPTIONS, "MemorySessionStore");
    this.#max = max;
    this.#maxPerKey = maxPerKey;
  }

  /** How many sessions are kept. */
  get size(): number {
    return this.#size;
  }

  get(key: string): Uint8Array | undefined {
    return this.#newest(key)?.session.slice();
  }

  put(key: string, session: Uint8Array, expires: number): void {
    const kept = { session: session.slice(), expires };
    if (!isGood(kept)) return;
    const list = this.#use(key) ?? [];
    this.#keys.set(key, list);
    list.push(kept);
    this.#size++;
    if (list.length > this.#maxPerKey) this.#drop(key, list, 0);
    while (this.#size > this.#max) {
      const [leastUsed, its] = this.#keys.entries().next().value!;
      this.#drop(leastUsed, its, 0);
    }
    this.#sweepBy(expires);
  }

  take(key: string): Uint8Array | undefined {
    const kept = this.#newest(key);
    const list = this.#keys.get(key);
    if (!kept || !list) return undefined;
    this.#drop(key, list, list.length - 1);
    return kept.session;
  }

  /** Forgets all sessions. */
  clear(): void {
    this.#keys.clear();
    this.#size = 0;
    this.#stopSweep();
    this.#sweepAt = Infinity;
  }

  /** A session that has expired is forgotten then, and not at the next visit: it is a secret. */
  #sweepBy(expires: number): void {
    if (expires >= this.#sweepAt) return;
    this.#stopSweep();
    this.#sweepAt = expires;
    // The timer does not keep a store alive that is not used any more.
    const store = weakly(this);
    this.#stopSweep = after(
      Math.max(0, expires - Date.now()) + 1,
      () => {
        const self = store.deref();
        if (self) self.#sweep();
      },
      true,
    );
  }

  #sweep(): void {
    this.#sweepAt = Infinity;
    let next = Infinity;
    for (const [key, list] of [...this.#keys]) {
      for (let i = list.length - 1; i >= 0; i--) {
        if (isGood(list[i])) next = Math.min(next, list[i]!.expires);
        else this.#drop(key, list, i);
      }
    }
    if (next < Infinity) this.#sweepBy(next);
  }

  /** The newest session that is still good. Sessions that are not good any more are dropped on the way. */
  #newest(key: string): Kept | undefined {
    const list = this.#use(key);
    while (list && list.length > 0) {
      const kept = list.at(-1)!;
      if (isGood(kept)) return kept;
      this.#drop(key, list, list.length - 1);
    }
    return undefined;
  }

  #use(key: string): Kept[] | undefined {
    const list = this.#keys.get(key);
    if (list && this.#keys.delete(key)) this.#keys.set(key, list);
    return list;
  }

  #drop(key: string, list: Kept[], index: number): void {
    list.splice(index, 1);
    this.#size--;
    if (list.length === 0) this.#keys.delete(key);
  }
}
