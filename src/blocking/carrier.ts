import { readOptions, signal, type Table } from "../check.js";
import { TransportWire } from "../connection/wire.js";
import { TlsError } from "../errors.js";
import { sleep } from "../timers.js";
import type { Transport } from "../transport.js";
import { type Channel, Course, Note, Shared, Wish, Word } from "./channel.js";

export interface CarryOptions {
  /** Gives the transport up when it fires. The side that blocks is told, and whatever it waits for fails. */
  signal?: AbortSignal;
}

const OPTIONS: Table<CarryOptions> = { signal };

/** How carrying ended. */
export interface Carried {
  /**
   * - `released`: the side that blocks gave the transport back, open as it is.
   * - `closed`: that side closed the transport, or both directions have ended.
   */
  readonly how: "released" | "closed";
  /** The transport as it was given, unlocked if it was released. */
  readonly transport: Transport;
  /**
   * Bytes that were received and that the side that blocks did not take. They come before what `transport.readable`
   * gives.
   */
  readonly trailing: Uint8Array;
}

/** How much goes into one chunk of the transport, in bytes. */
const BATCH = 65_536;

/**
 * carry moves bytes between a channel, whose other end is a `BlockingTransport` on another thread, and a transport.
 * Both streams belong to it until it is done. The size of the channel bounds what waits in it; what the transport has
 * not accepted yet counts.
 *
 * It works in the background of any thread that does not block itself, a page's own or a worker's, by
 * `Atomics.waitAsync`. If the engine lacks that (Firefox before 145), it looks after the channel by a timer, every 16
 * ms when nothing happens and sooner when something does.
 *
 * It resolves when the side that blocks is done with the transport; also if that failed after a complete end, with both
 * sides' close_notify. Otherwise it rejects with what failed, with the reason of `signal`, or when the other side
 * aborts. A rejection that is not handled is not reported, because the other side knows. How long a transport takes is
 * not bounded here, and a thread that is terminated says nothing: `signal` is for both.
 *
 * @throws TlsError "invalid-argument" | "not-isolated", before anything is touched
 *
 * @example
 * ```ts
 * import { carry, newChannel } from "wassl/blocking";
 * import { connectWebSocket } from "wassl/transports/websocket";
 *
 * const channel = newChannel();
 * const worker = new Worker("worker.js", { type: "module" });
 * worker.postMessage(channel);
 * const transport = await connectWebSocket("wss://relay.example.org/?to=db.example.org:5432");
 * const { how } = await carry(channel, transport); // until the worker is done with it
 * ```
 */
export function carry(channel: Channel, transport: Transport, options: CarryOptions = {}): Promise<Carried> {
  const { signal } = readOptions(options, OPTIONS, "carry");
  signal?.throwIfAborted();
  const shared = new Shared(channel);
  const wire = new TransportWire(transport);
  try {
    shared.claim(Word.carrier);
  } catch (error) {
    wire.release();
    throw error;
  }
  const carried = new Carrier(shared, wire).run(signal);
  carried.catch(() => {});
  return carried;
}

class Carrier {
  readonly #shared: Shared;
  readonly #wire: TransportWire;
  /** The loops are not needed any more. */
  #over = false;
  /** What failed first. */
  #failure: { cause: unknown } | undefined;
  #received = false;
  #endedWriting = false;
  /** What was received when the transport was released. */
  #rest: Uint8Array = new Uint8Array(0);
  #change: Promise<void> | undefined;

  constructor(shared: Shared, wire: TransportWire) {
    this.#shared = shared;
    this.#wire = wire;
  }

  async run(signal: AbortSignal | undefined): Promise<Carried> {
    let giveUp = () => {};
    const aborted = new Promise<never>((_, reject) => {
      giveUp = () => reject(signal!.reason);
    });
    signal?.addEventListener("abort", giveUp);
    const receiving = this.#receive();
    try {
      const how = await Promise.race([this.#send(), this.#watch(), aborted]);
      this.#over = true;
      if (how === "released") {
        this.#wire.release();
        // What it waited for stays in the transport; or it has come, and is given back here.
        this.#wake();
        await receiving;
      } else {
        await Promise.race([this.#close(), aborted]);
      }
      const trailing = how === "released" ? this.#trailing() : new Uint8Array(0);
      return { how, transport: this.#wire.transport, trailing };
    } catch (error) {
      this.#over = true;
      this.#shared.setNote(Note.givenUp, error);
      this.#shared.set(Word.givenUp, 1);
      this.#wire.abort(error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", giveUp);
      this.#shared.wake(Word.blockingEvent);
      this.#wake();
    }
  }

  /** Transport → ring. */
  async #receive(): Promise<void> {
    const { incoming } = this.#shared;
    try {
      for (;;) {
        const chunk = await this.#wire.receive();
        if (chunk === null) {
          // A transport that was given up looks like an end as well.
          if (this.#over) return;
          break;
        }
        for (let at = 0; at < chunk.length; ) {
          const change = this.#nextChange();
          const n = this.#over ? 0 : incoming.write(chunk.subarray(at));
          at += n;
          if (n > 0) {
            this.#shared.wake(Word.blockingEvent);
          } else if (this.#over) {
            this.#rest = chunk.subarray(at);
            return;
          } else {
            await change;
          }
        }
      }
      this.#shared.set(Word.receiving, Course.ended);
    } catch (cause) {
      if (this.#over) return;
      this.#failure ??= { cause };
      this.#shared.setNote(Note.receiving, cause);
      this.#shared.set(Word.receiving, Course.failed);
    }
    this.#received = true;
    this.#shared.wake(Word.blockingEvent);
    this.#wake();
  }

  /** Ring → transport, and then what the other side wants of the transport. */
  async #send(): Promise<Carried["how"]> {
    const { outgoing } = this.#shared;
    let failed = false;
    const attempt = async (work: Promise<void>) => {
      try {
        await work;
      } catch (cause) {
        // The peer may have said why, so receiving goes on until the other side has seen it.
        failed = true;
        this.#failure ??= { cause };
        this.#shared.setNote(Note.sending, cause);
        this.#shared.set(Word.sending, Course.failed);
        this.#shared.wake(Word.blockingEvent);
      }
    };
    for (;;) {
      const change = this.#nextChange();
      const wish = this.#shared.get(Word.wish);
      const filled = outgoing.filled;
      if (this.#over || wish === Wish.abort) return new Promise(() => {});
      if (filled > 0) {
        // A copy: streams and sockets do not all take shared memory. It is consumed when it is accepted.
        const bytes = new Uint8Array(Math.min(filled, BATCH));
        outgoing.peek(bytes);
        if (!failed) await attempt(this.#wire.send(bytes));
        outgoing.consume(bytes.length);
        this.#shared.wake(Word.blockingEvent);
      } else if (wish === Wish.release) {
        return "released";
      } else if (wish === Wish.close) {
        return "closed";
      } else if (wish === Wish.endWriting && !this.#endedWriting) {
        if (!failed) await attempt(this.#wire.endWriting());
        this.#endedWriting = true;
      } else if (this.#endedWriting && this.#received) {
        return "closed";
      } else {
        await change;
      }
    }
  }

  /** An abort counts at once, also while a send is stuck. */
  async #watch(): Promise<never> {
    while (!this.#over) {
      const change = this.#nextChange();
      if (this.#shared.get(Word.wish) === Wish.abort) {
        if (this.#failure) throw this.#failure.cause;
        throw new TlsError("closed", `the side that blocks gave up: ${this.#shared.note(Note.abort)}`);
      }
      await change;
    }
    return new Promise(() => {});
  }

  async #close(): Promise<void> {
    try {
      if (this.#failure) throw this.#failure.cause;
      if (this.#endedWriting) this.#wire.cancelReading();
      else await this.#wire.close();
    } catch (error) {
      // Many peers go away without waiting for the last bytes.
      if (this.#shared.get(Word.settled) === 0) throw error;
      this.#wire.abort(error);
    }
  }

  #trailing(): Uint8Array {
    const { incoming } = this.#shared;
    const { filled } = incoming;
    const all = new Uint8Array(filled + this.#rest.length);
    incoming.peek(all.subarray(0, filled));
    all.set(this.#rest, filled);
    return all;
  }

  #wake(): void {
    this.#shared.wake(Word.carrierEvent);
  }

  /** To be asked before looking whether there is something to do. It resolves at what happens after that, or sooner. */
  #nextChange(): Promise<void> {
    if (this.#over) return Promise.resolve();
    this.#change ??= changed(this.#shared.words, Word.carrierEvent).then(() => {
      this.#change = undefined;
    });
    return this.#change;
  }
}

/** What TypeScript's library for ES2022 does not know. */
interface WaitAsync {
  waitAsync?(
    words: Int32Array,
    index: number,
    value: number,
  ): { async: true; value: Promise<string> } | { async: false };
}

async function changed(words: Int32Array, index: number): Promise<void> {
  const seen = Atomics.load(words, index);
  const { waitAsync } = Atomics as WaitAsync;
  if (waitAsync) {
    const waiting = waitAsync(words, index, seen);
    if (waiting.async) await waiting.value;
    return;
  }
  for (let pause = 0; Atomics.load(words, index) === seen; pause = Math.min(16, 2 * pause + 1)) {
    await sleep(pause);
  }
}
