/**
 * Sessions of a page in IndexedDB, so that they outlive a reload and are shared by the tabs and workers of an origin.
 *
 * @module
 */
import { readOptions, type Table, text, whole } from "../check.js";
import { isGood, type Kept, type SessionStore } from "./store.js";

export type { SessionStore } from "./store.js";

export interface IndexedDbSessionStoreOptions {
  /** The name of the database. Default "wassl-sessions". */
  name?: string;
  /** How many sessions the store keeps, one for each key. Those that expire first go first. Default 1,000. */
  max?: number;
}

const OPTIONS: Table<IndexedDbSessionStoreOptions> = { name: text, max: whole(1, 2 ** 32 - 1) };

const SESSIONS = "sessions";
const EXPIRES = "expires";

/**
 * Keeps sessions in the browser's IndexedDB. Anybody who can run a script in the origin, or read the browser's profile,
 * can read the sessions: use it if the time to make a connection costs more than that. A private window forgets them at
 * its end.
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 * import { IndexedDbSessionStore } from "wassl/sessions/indexeddb";
 *
 * const sessionStore = new IndexedDbSessionStore();
 * const tls = await startTls(transport, { hostname: "example.org", caCerts: pem, sessionStore });
 * ```
 */
export class IndexedDbSessionStore implements SessionStore {
  readonly #name: string;
  readonly #max: number;
  #database: Promise<IDBDatabase> | undefined;

  constructor(options: IndexedDbSessionStoreOptions = {}) {
    const { name = "wassl-sessions", max = 1_000 } = readOptions(options, OPTIONS, "IndexedDbSessionStore");
    this.#name = name;
    this.#max = max;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const store = await this.#begin("readonly");
    const kept: unknown = await done(store.get(key));
    return isGood(kept) ? kept.session : undefined;
  }

  async put(key: string, session: Uint8Array, expires: number): Promise<void> {
    const store = await this.#begin("readwrite");
    const kept: Kept = { session, expires };
    store.put(kept, key);
    const byExpiry = store.index(EXPIRES);
    await dropOverdue(store);
    let tooMany = (await done(store.count())) - this.#max;
    if (tooMany > 0) {
      await each(byExpiry.openKeyCursor(), (cursor) => {
        store.delete(cursor.primaryKey);
        return --tooMany > 0;
      });
    }
    await finished(store.transaction);
  }

  async take(key: string): Promise<Uint8Array | undefined> {
    // Only one transaction writes at a time, so no other caller gets the session in between.
    const store = await this.#begin("readwrite");
    const kept: unknown = await done(store.get(key));
    store.delete(key);
    await finished(store.transaction);
    return isGood(kept) ? kept.session : undefined;
  }

  /** Closes the database; the next use opens it again. */
  async close(): Promise<void> {
    const database = this.#database;
    this.#database = undefined;
    (await database)?.close();
  }

  async #begin(mode: IDBTransactionMode): Promise<IDBObjectStore> {
    this.#database ??= this.#open().catch((error) => {
      this.#database = undefined;
      throw error;
    });
    const database = await this.#database;
    return database.transaction(SESSIONS, mode, { durability: "relaxed" }).objectStore(SESSIONS);
  }

  async #open(): Promise<IDBDatabase> {
    const request = indexedDB.open(this.#name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(SESSIONS).createIndex(EXPIRES, "expires");
    };
    const database = await done(request);
    // Other code deletes the database, or the browser takes it away.
    database.onversionchange = () => void this.close();
    database.onclose = () => {
      this.#database = undefined;
    };
    // Deletes what has expired since the last visit. The next caller waits for it.
    dropOverdue(database.transaction(SESSIONS, "readwrite").objectStore(SESSIONS)).catch(() => {});
    return database;
  }
}

async function dropOverdue(store: IDBObjectStore): Promise<void> {
  const overdue = store.index(EXPIRES).openKeyCursor(IDBKeyRange.upperBound(Date.now()));
  await each(overdue, (cursor) => store.delete(cursor.primaryKey));
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Until `act` answers false. */
function each(request: IDBRequest<IDBCursor | null>, act: (cursor: IDBCursor) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor && act(cursor) !== false) cursor.continue();
      else resolve();
    };
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
