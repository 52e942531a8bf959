/**
 * The contract of a {@link Transport}, as a list of cases that any test runner can run: for a transport of your own. It
 * asks for two ends of a connection, of which one is the transport in question, and the other one any transport that
 * leads there.
 *
 * | case | what has to hold |
 * | --- | --- |
 * | order | bytes come out as they went in, both ways at once, whatever the pieces |
 * | memory | a buffer is its owner's again once its write has settled |
 * | chunks | what is read is a `Uint8Array` with something in it; what is written may be empty, but nothing else |
 * | backpressure | a peer that does not read makes writes wait, and loses nothing by it |
 * | late reader | what arrived before the end is read before the end, however late |
 * | failure | what arrived before a failure is read before it; a failure is never taken for an end |
 * | half-close, or its absence | `writable.close()` ends the peer's reading, and reading goes on, or ends too |
 * | abort | `writable.abort()` ends all that waits, and is no proper end for the peer |
 * | cancel | `readable.cancel()` settles, and what is written after it settles too |
 * | closed | whatever waits for a transport that has come to its end is told so |
 *
 * @module
 */

import { callback, flag, longerThan0, readOptions, type Table, whole } from "../check.js";
import { TlsError } from "../errors.js";
import { sleep, within } from "../timers.js";
import type { Transport } from "../transport.js";

/** Two ends of one connection. What is written here is read there. */
export interface TransportPair {
  /** The transport that is tested. */
  readonly transport: Transport;
  /** The other end. It has to keep the contract as well: another kind, or the same. */
  readonly peer: Transport;
  /** Called when the case is over, whatever came of it. Both ends have been aborted by then. */
  close?(): unknown;
}

export interface TransportTestOptions {
  /** Opens a connection. It is called once for each case. */
  open(): TransportPair | Promise<TransportPair>;
  /** Each direction ends by itself. Without it, the first end ends both. Default true. */
  halfClose?: boolean;
  /**
   * `abort()` at one end is a failure at the other. Over some relays it cannot be told from an end: then this is false.
   * Default true.
   */
  aborts?: boolean;
  /**
   * A failure comes behind the bytes that were sent before it. A reset of TCP may overtake them: then this is false, and
   * what is read must be the first part of them. Default true.
   */
  ordered?: boolean;
  /** The transport takes bytes no faster than the peer reads them, but for buffers on the way. Default true. */
  backpressure?: boolean;
  /** How many bytes all buffers on the way hold together at most. Default 64 MiB. */
  buffers?: number;
  /** From which all bytes follow, so that a run can be repeated. Default 1. */
  seed?: number;
  /** How long a step may take, in milliseconds. Default 15,000. */
  patience?: number;
}

/** One case. It resolves if the transport does what it should, and otherwise rejects with an error that says what not. */
export interface TransportTest {
  readonly name: string;
  run(): Promise<void>;
}

const OPTIONS: Table<TransportTestOptions> = {
  open: callback,
  halfClose: flag,
  aborts: flag,
  ordered: flag,
  backpressure: flag,
  buffers: whole(1, Number.MAX_SAFE_INTEGER, " bytes"),
  seed: whole(0, 2 ** 32 - 1),
  patience: longerThan0,
};

/** How long a write has to wait before it counts as one that waits, in milliseconds. */
const WAITS = 300;
const KiB = 1024;

/**
 * Makes the cases. Those about what the transport does not have (`halfClose`, `backpressure`) hold it to what comes in
 * its place, or are left out.
 *
 * @throws {TlsError} of code `"invalid-argument"`
 *
 * @example
 * ```ts
 * import { test } from "node:test";
 * import { messagePortTransport } from "wassl/transports/message-port";
 * import { transportTests } from "wassl/transports/test";
 *
 * const cases = transportTests({
 *   open() {
 *     const { port1, port2 } = new MessageChannel();
 *     return { transport: messagePortTransport(port1), peer: messagePortTransport(port2) };
 *   },
 * });
 * for (const { name, run } of cases) test(name, run);
 * ```
 */
export function transportTests(options: TransportTestOptions): TransportTest[] {
  const read = readOptions(options, OPTIONS, "transportTests");
  if (read.open === undefined) throw new TlsError("invalid-argument", "transportTests needs open");
  const {
    halfClose = true,
    aborts = true,
    ordered = true,
    backpressure = true,
    buffers = 64 * KiB * KiB,
    seed = 1,
    patience = 15_000,
  } = read;

  const soon = <T>(what: string, work: Promise<T>): Promise<T> =>
    within(patience, work, () => new Error(`${what}: nothing came of it within ${patience} ms`));
  const bytesOf = (length: number, salt: number) => randomBytes(length, seed + salt);
  const same = (what: string, got: Uint8Array, expected: Uint8Array) => {
    const at = difference(got, expected);
    if (at === undefined) return;
    throw new Error(
      at < Math.min(got.length, expected.length)
        ? `${what}: byte ${at} of ${expected.length} is another one (seed ${seed})`
        : `${what}: ${got.length} bytes came, not ${expected.length} (seed ${seed})`,
    );
  };

  /** What goes on beside the next steps. If one of them fails, nobody asks for it any more. */
  const meanwhile = <T>(work: Promise<T>): Promise<T> => {
    work.catch(() => {});
    return work;
  };

  const tests: TransportTest[] = [];
  const test = (name: string, body: (transport: Transport, peer: Transport) => Promise<void>) => {
    const run = async () => {
      // As a method, if it is one.
      const { transport, peer, close } = await soon("open()", Promise.resolve(read.open.call(options)));
      try {
        await body(transport, peer);
      } finally {
        for (const end of [transport, peer]) giveUp(end);
        await close?.();
      }
    };
    tests.push({ name, run });
  };

  test("order: bytes come out as they went in, both ways at once", async (transport, peer) => {
    const [there, back] = [bytesOf(700_001, 1), bytesOf(500_003, 2)];
    const sizes = pieces(seed);
    const [gotThere, gotBack] = await soon(
      "700,001 bytes there and 500,003 back",
      Promise.all([
        readBytes(peer, there.length),
        readBytes(transport, back.length),
        write(transport, there, sizes),
        write(peer, back, sizes),
      ]),
    );
    same("there", gotThere, there);
    same("back", gotBack, back);
  });

  test("order: a byte at a time", async (transport, peer) => {
    const bytes = bytesOf(300, 3);
    const [got] = await soon(
      "300 writes of one byte",
      Promise.all([readBytes(peer, bytes.length), write(transport, bytes, () => 1)]),
    );
    same("one by one", got, bytes);
  });

  test("memory: a buffer is its owner's once its write has settled", async (transport, peer) => {
    const bytes = bytesOf(100_000, 4);
    const own = bytes.slice();
    const reading = meanwhile(readBytes(peer, bytes.length));
    await soon("a write", write(transport, own));
    if (own.byteLength !== bytes.length) throw new Error("the transport has taken the buffer away");
    own.fill(0);
    same("what was overwritten afterwards", await soon("reading", reading), bytes);
    const whole = new Uint8Array(300).fill(7);
    await soon("a write", write(transport, whole.subarray(100, 200)));
    same("a part of a buffer", await soon("reading", readBytes(peer, 100)), whole.subarray(100, 200));
  });

  test("chunks: what is read is a Uint8Array with something in it", async (transport, peer) => {
    const writing = meanwhile(write(peer, bytesOf(200_000, 5)));
    const reader = transport.readable.getReader();
    for (let got = 0; got < 200_000; ) {
      const { done, value } = await soon("a read", reader.read());
      if (done) throw new Error(`the readable ended after ${got} bytes`);
      if (Object.prototype.toString.call(value) !== "[object Uint8Array]" || value.length === 0)
        throw new Error("a chunk is no Uint8Array, or an empty one");
      // A Buffer of Node.js is one too, but its slice() shares memory.
      if (Object.getPrototypeOf(value) !== Uint8Array.prototype)
        throw new Error(`a chunk is a ${value.constructor.name}, and no plain Uint8Array`);
      got += value.length;
    }
    reader.releaseLock();
    await soon("the peer's write", writing);
  });

  test("chunks: what is written may be empty", async (transport, peer) => {
    const writer = transport.writable.getWriter();
    const work = meanwhile(
      Promise.all([
        writer.write(new Uint8Array(0)),
        writer.write(Uint8Array.of(1)),
        writer.write(new Uint8Array(0)),
        writer.write(Uint8Array.of(2)),
      ]),
    );
    same("between empty ones", await soon("reading", readBytes(peer, 2)), Uint8Array.of(1, 2));
    await soon("writes of nothing", work);
  });

  test("chunks: nothing else than Uint8Arrays is taken", async (transport) => {
    const writer = transport.writable.getWriter();
    writer.closed.catch(() => {});
    await rejects("writing a text", soon("writing a text", writer.write("text" as never)));
  });

  test("readers come and go, and lose nothing", async (transport, peer) => {
    const bytes = bytesOf(300_000, 6);
    const writing = meanwhile(write(peer, bytes, pieces(seed)));
    const chunks: Uint8Array[] = [];
    let got = 0;
    const started = Date.now();
    while (got < bytes.length && Date.now() - started < patience) {
      const reader = transport.readable.getReader();
      const reading = reader.read();
      const first = await Promise.race([reading, sleep(1)]);
      // A read that waits is rejected by this, and takes nothing with it.
      reader.releaseLock();
      const { done, value } = first ?? (await reading.catch(() => ({ done: false, value: undefined })));
      if (done) break;
      if (value) chunks.push(value);
      got += value?.length ?? 0;
    }
    same("by turns", concat(chunks), bytes);
    await soon("the peer's write", writing);
  });

  if (backpressure) {
    test("backpressure: a peer that does not read makes writes wait, and loses nothing", async (transport, peer) => {
      const piece = bytesOf(64 * KiB, 7);
      const writer = transport.writable.getWriter();
      writer.closed.catch(() => {});
      let written = 0;
      let waiting: Promise<void> | undefined;
      while (!waiting) {
        if (written > buffers) throw new Error(`${written} bytes were taken, and nobody has read one`);
        const writing = writer.write(piece);
        writing.catch(() => {});
        written += piece.length;
        const taken = await Promise.race([writing.then(() => true), sleep(WAITS)]);
        if (!taken) waiting = writing;
      }
      const got = await soon("reading what was written", readBytes(peer, written));
      for (let at = 0; at < written; at += piece.length)
        same(`what waited, from byte ${at}`, got.subarray(at, at + piece.length), piece);
      await soon("the write that waited", waiting);
    });
  }

  test("late reader: what arrived before the end comes before the end", async (transport, peer) => {
    const bytes = bytesOf(150_000, 8);
    const writing = meanwhile(write(peer, bytes, () => 20_000).then(() => peer.writable.close()));
    await sleep(WAITS);
    const got = await soon("reading to the end", readToEnd(transport));
    same("before the end", got, bytes);
    await soon("the peer's close()", writing);
  });

  test("failure: what arrived comes before it, and it is no end", async (transport, peer) => {
    const bytes = bytesOf(40_000, 9);
    await soon("the peer's write", write(peer, bytes));
    await sleep(WAITS / 3);
    peer.writable.abort(new Error("the peer gives up")).catch(() => {});
    await sleep(WAITS / 3);
    const chunks: Uint8Array[] = [];
    const reading = meanwhile(readOn(transport, (chunk) => void chunks.push(chunk)));
    if (aborts) await rejects("reading what was aborted", soon("reading", reading));
    else
      await soon(
        "reading",
        reading.catch(() => {}),
      );
    const got = concat(chunks);
    same("before the failure", got, ordered ? bytes : bytes.subarray(0, got.length));
  });

  if (halfClose) {
    test("half-close: the peer answers after our end", async (transport, peer) => {
      await soon(
        "write and close()",
        write(transport, Uint8Array.of(1, 2, 3)).then(() => transport.writable.close()),
      );
      same(
        "the question",
        await soon("the peer's reading to the end", readToEnd(peer)),
        Uint8Array.of(1, 2, 3),
      );
      const answer = bytesOf(50_000, 10);
      const answering = meanwhile(write(peer, answer).then(() => peer.writable.close()));
      same("the answer", await soon("reading to the end", readToEnd(transport)), answer);
      await soon("the peer's close()", answering);
    });

    test("half-close: we answer after the peer's end", async (transport, peer) => {
      await soon("the peer's close()", peer.writable.close());
      const none = await soon("reading to the end", readToEnd(transport));
      same("before the end", none, new Uint8Array(0));
      const answer = bytesOf(50_000, 11);
      const answering = meanwhile(write(transport, answer).then(() => transport.writable.close()));
      same("the answer", await soon("the peer's reading to the end", readToEnd(peer)), answer);
      await soon("close()", answering);
    });
  } else {
    test("no half-close: close() sends what was written, and ends both ways", async (transport, peer) => {
      const bytes = bytesOf(50_000, 10);
      const closing = meanwhile(write(transport, bytes).then(() => transport.writable.close()));
      same("the last words", await soon("the peer's reading to the end", readToEnd(peer)), bytes);
      peer.writable.close().catch(() => {});
      await soon("reading to the end", readToEnd(transport));
      await soon("close()", closing);
    });

    test("no half-close: writing after the peer's end is refused", async (transport, peer) => {
      peer.writable.close().catch(() => {});
      await soon("reading to the end", readToEnd(transport));
      const writer = transport.writable.getWriter();
      writer.closed.catch(() => {});
      const writeOn = async () => {
        for (;;) {
          await writer.write(Uint8Array.of(1));
          await sleep(10);
        }
      };
      await rejects("writing on", soon("writing on", writeOn()));
    });
  }

  test("abort: what waits is rejected, and the peer does not take it for an end", async (transport, peer) => {
    const reading = transport.readable.getReader();
    const waits: Promise<unknown>[] = [reading.read(), reading.closed];
    for (const each of waits) each.catch(() => {});
    const theirs = meanwhile(readToEnd(peer));
    await soon("abort()", transport.writable.abort(new Error("enough")));
    for (const each of waits) await rejects("a read of what was aborted", soon("a read", each));
    if (aborts) await rejects("the peer's reading", soon("the peer's reading", theirs));
    else
      await soon(
        "the peer's reading",
        theirs.catch(() => {}),
      );
    await rejects("a write after abort()", soon("a write", writeOne(transport.writable.getWriter())));
  });

  if (backpressure) {
    test("abort: a write that waits for the peer is rejected", async (transport) => {
      const writer = transport.writable.getWriter();
      writer.closed.catch(() => {});
      const piece = new Uint8Array(256 * KiB);
      let last: Promise<void>;
      for (let written = 0; ; written += piece.length) {
        if (written > buffers) throw new Error(`${written} bytes were taken, and nobody has read one`);
        last = writer.write(piece);
        last.catch(() => {});
        if (!(await Promise.race([last.then(() => true), sleep(WAITS)]))) break;
      }
      writer.abort(new Error("enough")).catch(() => {});
      await rejects("a write that waited", soon("a write that waited", last));
    });
  }

  test("cancel: it settles, and so does what is written after it", async (transport, peer) => {
    const theirs = write(peer, bytesOf(100_000, 12)).catch(() => {});
    await soon("cancel()", transport.readable.cancel(new Error("not interested")));
    const writer = transport.writable.getWriter();
    writer.closed.catch(() => {});
    await soon(
      "a write",
      writer.write(Uint8Array.of(1)).catch(() => {}),
    );
    await soon(
      "close()",
      writer.close().catch(() => {}),
    );
    await soon(
      "the peer's write",
      Promise.race<unknown>([theirs, peer.readable.getReader().closed.catch(() => {})]),
    );
  });

  test("closed: the streams of both ends say so", async (transport, peer) => {
    const [ours, theirs] = [transport, peer].map(({ readable, writable }) => ({
      reader: readable.getReader(),
      writer: writable.getWriter(),
    })) as [Ends, Ends];
    theirs.writer.closed.catch(() => {});
    const readOut = async ({ reader }: Ends) => {
      while (!(await reader.read()).done);
    };
    const closing = [ours.writer.close()];
    await soon("the peer's reading", readOut(theirs));
    closing.push(theirs.writer.close().catch(() => {}));
    await soon("our reading", readOut(ours));
    await soon("close()", Promise.all(closing));
    await soon("`closed` of the reader", ours.reader.closed);
    await soon("`closed` of the writer", ours.writer.closed);
    await rejects("a write after close()", soon("a write", writeOne(ours.writer)));
    const { bufferedAmount } = transport;
    if (bufferedAmount !== undefined && bufferedAmount !== 0)
      throw new Error(`bufferedAmount is ${bufferedAmount} at the end`);
  });

  return tests;
}

interface Ends {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly writer: WritableStreamDefaultWriter<Uint8Array>;
}

/** Async, because Node.js throws where it should reject: on a stream that is closed. */
async function writeOne(writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  writer.closed.catch(() => {});
  await writer.write(Uint8Array.of(1));
}

async function rejects(what: string, work: Promise<unknown>): Promise<void> {
  const value = await work.then(
    () => "resolved",
    (error: unknown) => (/nothing came of it/.test(String(error)) ? error : undefined),
  );
  if (value === "resolved") throw new Error(`${what} should be rejected, but it is not`);
  if (value !== undefined) throw value;
}

function giveUp({ readable, writable }: Transport): void {
  if (!writable.locked) writable.abort(new Error("the case is over")).catch(() => {});
  if (!readable.locked) readable.cancel(new Error("the case is over")).catch(() => {});
}

async function readOn({ readable }: Transport, onChunk: (chunk: Uint8Array) => unknown): Promise<void> {
  const reader = readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || onChunk(value) === false) return;
    }
  } finally {
    reader.releaseLock();
  }
}

async function readToEnd(transport: Transport): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  await readOn(transport, (chunk) => void chunks.push(chunk));
  return concat(chunks);
}

/** As many bytes, or all that there are. */
async function readBytes(transport: Transport, length: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let got = 0;
  await readOn(transport, (chunk) => {
    chunks.push(chunk);
    got += chunk.length;
    return got < length;
  });
  return concat(chunks);
}

async function write({ writable }: Transport, bytes: Uint8Array, size = () => bytes.length): Promise<void> {
  const writer = writable.getWriter();
  try {
    for (let at = 0; at < bytes.length; ) {
      const next = at + size();
      await writer.write(bytes.subarray(at, next));
      at = next;
    }
  } finally {
    writer.releaseLock();
  }
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Where two differ first; the shorter one's length if it is the beginning of the other. */
function difference(a: Uint8Array, b: Uint8Array): number | undefined {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? undefined : length;
}

/** Numbers that follow from a seed (xorshift32). */
function numbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

function randomBytes(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const next = numbers(Math.imul(seed, 0x9e3779b1));
  return Uint8Array.from({ length }, () => next() & 255);
}

/** Sizes of pieces from 1 byte to 64 KiB, small ones as often as large ones. */
function pieces(seed: number): () => number {
  const next = numbers(seed);
  return () => Math.ceil((64 * KiB) ** (next() / 2 ** 32));
}
