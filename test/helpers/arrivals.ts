/**
 * What every transport promises about bytes that have arrived: they are read first, however late and slowly, and what
 * came behind them is told behind them. A new transport is a new entry in the table of the test that calls this.
 */
import QUnit from "qunit";
import type { Transport } from "wassl";
import { concat } from "../fakes/wrappers.ts";
import { rejection, sha256, sleep } from "./basics.ts";
import { randomBytes } from "./random.ts";

/** A way for a transport to come to its end after bytes have arrived. */
export interface Ending {
  name: string;
  /** A proper end, or an error whose message fits. */
  how: "end" | RegExp;
  /** Opens a transport to which exactly `bytes` come, and then this. */
  open(bytes: Uint8Array<ArrayBuffer>): Promise<Transport> | Transport;
  /** How many bytes: no more than the transport promises to keep. */
  length: number;
}

type Reader = (readable: ReadableStream<Uint8Array>, onChunk: (chunk: Uint8Array) => void) => Promise<void>;

async function readOn(readable: ReadableStream<Uint8Array>, onChunk: (chunk: Uint8Array) => void, pause = 0) {
  const reader = readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onChunk(value);
    if (pause > 0) await sleep(pause);
  }
}

/**
 * Readers that read at once, slowly, late, and by turns: each with a lock of its own, given back while a read waits.
 */
const readers: Record<string, Reader> = {
  "reads at once": readOn,
  "reads slowly": (readable, onChunk) => readOn(readable, onChunk, 8),
  async "reads late"(readable, onChunk) {
    await sleep(400);
    await readOn(readable, onChunk);
  },
  async "comes and goes"(readable, onChunk) {
    for (;;) {
      const reader = readable.getReader();
      const reading = reader.read();
      const first = await Promise.race([reading, sleep(2)]);
      reader.releaseLock();
      const { done, value } = first ?? (await reading.catch(() => ({ done: false, value: undefined })));
      if (value) onChunk(value);
      if (done) return;
    }
  },
};

export function deliverWhatArrived(transport: string, endings: readonly Ending[], seed: () => number): void {
  for (const { name, how, open, length } of endings) {
    for (const [who, read] of Object.entries(readers)) {
      QUnit.test(`${transport}: ${name}; somebody ${who}`, async (assert) => {
        const bytes = randomBytes(length, seed());
        const { readable } = await open(bytes);
        const chunks: Uint8Array[] = [];
        const reading = read(readable, (chunk) => void chunks.push(chunk));
        if (how === "end") {
          await reading;
        } else {
          const error = await rejection(reading);
          assert.true(how.test(String(error)), String(error));
        }
        const got = concat(chunks);
        assert.strictEqual(got.byteLength, length, `seed ${seed()}`);
        assert.strictEqual(await sha256(got), await sha256(bytes));
      });
    }
  }
}
