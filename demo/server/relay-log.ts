import type { RelaySnapshot } from "../protocol.js";
import { RecordLog } from "./record-log.js";

const connectionsKept = 50;

/** One relayed connection: what passed, and how it ended. */
export class RelayEntry {
  target = "";
  state: RelaySnapshot["state"] = "waiting";
  end: RelaySnapshot["end"];
  readonly up = new RecordLog();
  readonly down = new RecordLog();
  readonly #began = performance.now();
  readonly #watchers = new Set<() => void>();

  constructor(readonly id: string) {}

  get age(): number {
    return performance.now() - this.#began;
  }

  snapshot(): RelaySnapshot {
    return {
      id: this.id,
      target: this.target,
      state: this.state,
      up: this.up.snapshot(),
      down: this.down.snapshot(),
      end: this.end,
    };
  }

  /** Calls back after each change; returns the function that stops that. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  changed(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

/** The last few connections by the id which the page gave them. */
export class RelayLog {
  readonly #entries = new Map<string, RelayEntry>();

  /** Undefined when the id is not a UUID. A watcher may come before the connection, so either of them makes the entry. */
  entry(id: string | null): RelayEntry | undefined {
    if (id === null || !/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return undefined;
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      entry = new RelayEntry(id);
      this.#entries.set(id, entry);
      this.#forgetOld();
    }
    return entry;
  }

  find(id: string | null): RelayEntry | undefined {
    return id === null ? undefined : this.#entries.get(id);
  }

  #forgetOld(): void {
    for (const [id, entry] of this.#entries) {
      if (this.#entries.size <= connectionsKept) return;
      if (entry.state === "ended" || entry.state === "waiting") this.#entries.delete(id);
    }
  }
}
