/** The rows of `rows.ts`, measured in turns. */
import { Chromium } from "./chromium.ts";
import { coldStart } from "./cold-start.ts";
import type { Request } from "./end.ts";
import { libraries } from "./library.ts";
import { End } from "./process.ts";
import type { Share } from "./profile.ts";
import type { Row } from "./rows.ts";
import type { Certs } from "./setup.ts";
import type { Cell, Result } from "./table.ts";

export interface Plan {
  /** Where the programs are. */
  readonly folder: string;
  /** Where those are that use the package of another checkout. */
  readonly otherFolder?: string | undefined;
  readonly certs: Certs;
  readonly rows: readonly Row[];
  /** `native` is among them anyway. */
  readonly libraries: readonly string[];
  readonly rounds: number;
  /** Of CPU time, that a measurement should take, in seconds. */
  readonly target: number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly say: (text: string) => void;
}

/** What is measured: a process, or a page. */
interface Measured {
  ask<T>(request: Request): Promise<T>;
  stop(): void;
}

export interface Profile {
  readonly id: string;
  readonly title: string;
  readonly library: string;
  readonly shares: readonly Share[];
}

export class Rounds {
  readonly #plan: Plan;
  /** Those that are measured, and their other ends, by library. */
  readonly #ends = new Map<string, Promise<Measured>>();
  readonly #peers = new Map<string, Promise<End>>();
  #chromium: Promise<Chromium> | undefined;
  /** Where a row is served, by end and row. */
  readonly #ports = new Map<Measured, Map<string, Promise<number>>>();
  /** How much takes as long as it should, by row and library. */
  readonly #amounts = new Map<string, number>();
  /** What cannot be measured, and why. */
  readonly #failures = new Map<string, string>();

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  async run(): Promise<Result[]> {
    const { rows, rounds, say } = this.#plan;
    const others = this.#plan.libraries.filter((name) => name !== "native");
    const cells = new Map<string, Cell>();
    const cell = (row: Row, library: string): Cell => {
      const key = `${row.id} ${library}`;
      const found = cells.get(key) ?? { library, values: [], ratios: [] };
      cells.set(key, found);
      return found;
    };
    for (let round = 1; round <= rounds; round++) {
      for (const row of this.#shuffled(rows)) {
        const before = await this.#measure(row, "native");
        const measured = new Map<string, number | undefined>();
        for (const name of this.#shuffled(others)) measured.set(name, await this.#measure(row, name));
        const after = await this.#measure(row, "native");
        const native = before !== undefined && after !== undefined ? (before + after) / 2 : undefined;
        if (native !== undefined) {
          cell(row, "native").values.push(before!, after!);
          cell(row, "native").ratios.push(after! / before!);
        }
        for (const [name, value] of measured) {
          if (value === undefined) continue;
          cell(row, name).values.push(value);
          if (native !== undefined) cell(row, name).ratios.push(value / native);
        }
      }
      say(`round ${round} of ${rounds}`);
    }
    return rows.map((row) => ({
      id: row.id,
      title: row.title,
      unit: row.unit,
      cells: ["native", ...others].map((name) => {
        const failure = this.#failures.get(`${row.id} ${name}`);
        return failure === undefined ? cell(row, name) : { ...cell(row, name), failure };
      }),
    }));
  }

  /** Where the time goes, of a row that can be measured. */
  async profile(row: Row, name: string): Promise<Profile> {
    if ((await this.#measure(row, name)) === undefined) {
      throw new Error(`${row.id}: ${this.#failures.get(`${row.id} ${name}`)}`);
    }
    const end = await this.#measured(name);
    await end.ask({ do: "profile-start" });
    await this.#once(row, name, this.#amounts.get(`${row.id} ${name}`)!);
    return {
      id: row.id,
      title: row.title,
      library: name,
      shares: await end.ask<Share[]>({ do: "profile-stop" }),
    };
  }

  async stop(): Promise<void> {
    for (const end of await Promise.allSettled([...this.#ends.values(), ...this.#peers.values()])) {
      if (end.status === "fulfilled") end.value.stop();
    }
  }

  /** In the row's unit; undefined where the library cannot do it. */
  async #measure(row: Row, name: string): Promise<number | undefined> {
    const key = `${row.id} ${name}`;
    if (this.#failures.has(key)) return undefined;
    const { target, certs } = this.#plan;
    try {
      if (libraries[name]?.inPage && (row.work === "cold" || row.side === "server")) {
        throw new Error(row.work === "cold" ? "a page is no process" : "a page takes no connections");
      }
      if (row.work === "cold") return await coldStart(this.#folderOf(name), row.id, name, certs.caPem);
      let amount = this.#amounts.get(key);
      if (amount === undefined) {
        // Until it takes its time, twice: at first much is compiled, and what runs often a second time.
        let cpu = 0;
        amount = row.least;
        for (let enough = 0; enough < 2; ) {
          cpu = await this.#once(row, name, amount);
          if (cpu >= target) enough++;
          else {
            enough = 0;
            amount *= 2;
          }
        }
        amount = Math.ceil((amount * target) / cpu);
        this.#amounts.set(key, amount);
      }
      const cpu = await this.#once(row, name, amount);
      if (row.unit === "rate") return amount / cpu;
      return (cpu / amount) * (row.unit === "ms" ? 1000 : 2 ** 30);
    } catch (error) {
      this.#failures.set(key, (error as Error).message);
      return undefined;
    }
  }

  /** Seconds of CPU time for so much. */
  async #once(given: Row, name: string, amount: number): Promise<number> {
    const { settings } = given;
    const group = settings.group === "X25519" ? libraries[name]?.group : undefined;
    const row = group ? { ...given, id: `${given.id} ${group}`, settings: { ...settings, group } } : given;
    const end = await this.#measured(name);
    const peer = await this.#peerFor(row, name);
    const [client, server] = row.side === "client" ? [end, peer] : [peer, end];
    const port = await this.#listen(server, row);
    await server.ask({ do: "expect", amount });
    const before = await end.ask<number>({ do: "cpu" });
    await client.ask({ do: "run", row, port, amount, caPem: this.#plan.certs.caPem });
    return (await end.ask<number>({ do: "cpu" })) - before;
  }

  /** What this Node.js's own TLS cannot do, ours does in its place; that end is not measured. */
  async #peerFor(row: Row, name: string): Promise<End> {
    if (name.startsWith("transport")) return this.#peer("transport");
    const native = await this.#peer("native");
    try {
      await this.#listen(native, row);
      return native;
    } catch {
      return this.#peer("wassl");
    }
  }

  #peer(name: string): Promise<End> {
    const peer = this.#peers.get(name) ?? End.start(this.#plan.folder, name);
    this.#peers.set(name, peer);
    return peer;
  }

  #folderOf(name: string): string {
    const { folder, otherFolder } = this.#plan;
    return libraries[name]?.other ? otherFolder! : folder;
  }

  #measured(name: string): Promise<Measured> {
    const { folder } = this.#plan;
    const start = async (): Promise<Measured> => {
      const library = libraries[name]?.inPage;
      if (!library) return End.start(this.#folderOf(name), name);
      this.#chromium ??= Chromium.start(folder);
      const chromium = await this.#chromium;
      return { ask: (request) => chromium.ask(request, library), stop: () => chromium.stop() };
    };
    const end = this.#ends.get(name) ?? start();
    this.#ends.set(name, end);
    return end;
  }

  #listen(end: Measured, row: Row): Promise<number> {
    const { chains, keys } = this.#plan.certs;
    const { settings } = row;
    const ports = this.#ports.get(end) ?? new Map<string, Promise<number>>();
    this.#ports.set(end, ports);
    const port =
      ports.get(row.id) ??
      end.ask<number>({ do: "listen", row, chain: chains[settings.key], key: keys[settings.key] });
    ports.set(row.id, port);
    return port;
  }

  #shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, key: this.#plan.random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ item }) => item);
  }
}
