import { TlsError } from "../errors.js";
import { isGood, type Kept, type SessionStore } from "./store.js";

export interface MemorySessionStoreOptions {
  /** How many sessions it keeps in all; those whose key was not used for longest go first. Default 256. */
  max?: number;
  /** How many it keeps for one key, so that connections side by side can resume. Default 4. */
  maxPerKey?: number;
}

/** Sessions in memory, for as long as the program runs. A client uses one of these unless it is told otherwise. */
export class MemorySessionStore implements SessionStore {
  readonly #max: number;
  readonly #maxPerKey: number;
  /** Oldest use first; under each key the oldest session first. */
  readonly #keys = new Map<string, Kept[]>();
  #size = 0;

  constructor(options: MemorySessionStoreOptions = {}) {
    const { max = 256, maxPerKey = 4 } = options;
    for (const value of [max, maxPerKey]) {
      if (!Number.isInteger(value) || value < 1) {
        throw new TlsError("invalid-argument", "max and maxPerKey must be whole numbers, 1 at least");
      }
    }
    this.#max = max;
    this.#maxPerKey = maxPerKey;
  }

  /** How many sessions are kept, expired ones that nobody met included. */
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
  }

  take(key: string): Uint8Array | undefined {
    const kept = this.#newest(key);
    const list = this.#keys.get(key);
    if (!kept || !list) return undefined;
    this.#drop(key, list, list.length - 1);
    return kept.session;
  }

  /** Forgets all. */
  clear(): void {
    this.#keys.clear();
    this.#size = 0;
  }

  /** The newest that is still good; what is not is dropped on the way. */
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
