/**
 * A world without real time and without real I/O, in which everything that may happen happens in an order drawn from a
 * seed.
 *
 * All that is asynchronous about a connection is either a microtask, which the engine orders by itself, or one of these
 * events: an actor takes its next step; the network accepts, delivers, ends, or fails; a timer fires. When all
 * microtasks are done the world picks one of the possible events and lets it happen. Time passes only when no event is
 * possible. So a seed is a whole schedule, and replays it.
 */
import { random } from "../helpers/random.ts";

/** The engine's own, before they were replaced. */
const realSetImmediate = globalThis.setImmediate;

/** Lets every microtask (and what it leads to) be done. */
const settle = () => new Promise<void>((resolve) => realSetImmediate(resolve));

interface Event {
  /** How likely, relative to the others. */
  weight: number;
  happen(): void;
}

export class World {
  readonly random: () => number;
  #now = 1_000_000;
  #timers = new Map<number, { at: number; call: () => void }>();
  #timerId = 0;
  /** Asked for the events that are possible at the moment. */
  readonly #sources: (() => Event[])[] = [];
  /** Actors that wait for their next step. */
  #ready: { name: string; go: () => void }[] = [];
  readonly trace: string[] = [];
  events = 0;

  /** For keys. Apart from the other, since OpenSSL asks for it when it pleases: more often at its first start, say. */
  readonly #entropy: () => number;

  constructor(seed: number) {
    this.random = random(seed);
    this.#entropy = random(~seed);
    this.#sources.push(() =>
      this.#ready.map((actor) => ({
        weight: 1,
        happen: () => {
          this.#ready.splice(this.#ready.indexOf(actor), 1);
          this.note(actor.name);
          actor.go();
        },
      })),
    );
  }

  /** A whole number from 0 to below `n`. */
  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  chance(p: number): boolean {
    return this.random() < p;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** 1 to `most`, small ones as often as large ones. */
  size(most: number): number {
    return Math.max(1, Math.floor(most ** this.random()));
  }

  note(what: string): void {
    this.trace.push(`${this.#now} ${what}`);
  }

  addEvents(source: () => Event[]): void {
    this.#sources.push(source);
  }

  /** An actor calls this before each thing it does: it goes on when the world lets it. */
  step(name: string): Promise<void> {
    return new Promise((go) => {
      this.#ready.push({ name, go });
    });
  }

  /**
   * Puts this world's clock, timers and (harmless) randomness in the place of the real ones. Returns how to undo it.
   */
  install(): () => void {
    const real = {
      setTimeout: globalThis.setTimeout,
      clearTimeout: globalThis.clearTimeout,
      now: performance.now,
      date: Date.now,
      getRandomValues: crypto.getRandomValues,
    };
    const begin = real.date() - this.#now;
    globalThis.setTimeout = ((call: () => void, delay = 0) => {
      const id = ++this.#timerId;
      this.#timers.set(id, { at: this.#now + delay, call });
      return id;
    }) as unknown as typeof setTimeout;
    globalThis.clearTimeout = ((id: number) => this.#timers.delete(id)) as unknown as typeof clearTimeout;
    performance.now = () => this.#now;
    Date.now = () => begin + this.#now;
    crypto.getRandomValues = (<T extends ArrayBufferView>(array: T): T => {
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (let i = 0; i < bytes.length; i++) bytes[i] = this.#entropy() * 256;
      return array;
    }) as typeof crypto.getRandomValues;
    return () => {
      globalThis.setTimeout = real.setTimeout;
      globalThis.clearTimeout = real.clearTimeout;
      performance.now = real.now;
      Date.now = real.date;
      crypto.getRandomValues = real.getRandomValues;
    };
  }

  /** Until nothing can happen any more. */
  async run(limit: number): Promise<void> {
    for (;;) {
      await settle();
      if (++this.events > limit) throw new Error(`no end after ${limit} events`);
      const possible = this.#sources.flatMap((source) => source());
      if (possible.length > 0) {
        let at = this.random() * possible.reduce((sum, event) => sum + event.weight, 0);
        const event = possible.find(({ weight }) => {
          at -= weight;
          return at < 0;
        });
        (event ?? possible[0]!).happen();
        continue;
      }
      const [id, timer] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (id === undefined || timer === undefined) return;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      this.note("a timer fires");
      timer.call();
    }
  }
}
