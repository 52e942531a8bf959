/**
 * Writes that are not awaited one by one: they go together, whole and in order, and no more of them than there is room
 * for.
 */
import QUnit from "qunit";
import type { TlsError, TlsStream } from "wassl";
import { pair } from "../../fakes/pair.ts";
import { intercept, randomChunks } from "../../fakes/wrappers.ts";
import {
  concat,
  PENDING,
  readAll,
  rejection,
  sha256,
  sleep,
  text,
  tlsError,
  utf8,
  within,
} from "../../helpers/basics.ts";
import { over } from "../../helpers/both-ends.ts";
import { env } from "../../helpers/env.ts";
import { random, randomBytes } from "../../helpers/random.ts";

const KiB = 1024;
const reason = new Error("abort's reason");

/** A client over a transport that takes so many sends as it is told, and its server, which reads. */
async function rationed() {
  const [inner, far] = pair({ capacity: 2 ** 30 });
  let left = Infinity;
  let sends = 0;
  let fault: unknown;
  let go = () => {};
  let onStuck = () => {};
  const near = intercept(inner, {
    async send(chunk, forward) {
      while (left === 0) {
        onStuck();
        await new Promise<void>((resolve) => {
          go = resolve;
        });
      }
      if (fault) throw fault;
      left--;
      sends++;
      await forward(chunk);
    },
  });
  const [stream, peer] = await over([near, far]);
  const arrived = readAll(peer.readable);
  arrived.catch(() => {});
  const allow = (more: number) => {
    left = more;
    if (more > 0) go();
  };
  return {
    stream,
    peer,
    /** All that the server reads until the end. */
    arrived,
    writer: stream.writable.getWriter(),
    sends: () => sends,
    allow,
    /** Lets so many sends through; settles when the next one is stuck. */
    stuckAfter(more: number): Promise<void> {
      const stuck = new Promise<void>((resolve) => {
        onStuck = resolve;
      });
      allow(more);
      return stuck;
    },
    fail(error: unknown) {
      fault = error;
      allow(1);
    },
  };
}

/** What a promise has come to by now: "done", "waits", or its error's code or message. */
async function now(promise: Promise<unknown>): Promise<string> {
  const word = promise.then(
    () => "done",
    (error) => (error as TlsError).code ?? String((error as Error).message),
  );
  const result = await within(word, 20);
  return result === PENDING ? "waits" : result;
}

/** Their rejections are the test's business, later. */
function started<T extends readonly Promise<unknown>[]>(...promises: T): T {
  for (const promise of promises) promise.catch(() => {});
  return promises;
}

QUnit.module("writes: together", () => {
  QUnit.test("a thousand small ones at once: few records, few sends", async (assert) => {
    const { stream, writer, sends, arrived } = await rationed();
    const bytes = randomBytes(64_000, env.seed);
    const [records, before] = [stream.statistics.sent.records, sends()];
    const writing: Promise<void>[] = [];
    for (let at = 0; at < bytes.length; at += 64) writing.push(writer.write(bytes.subarray(at, at + 64)));
    await Promise.all(writing);
    // No chunk waits behind the first one.
    assert.strictEqual(stream.statistics.sent.records - records, 1 + 4);
    assert.true(sends() - before <= 3, `${sends() - before} sends`);
    await writer.close();
    assert.deepEqual(await arrived, bytes, `seed ${env.seed}`);
  });

  for (const how of ["whoever awaits `ready`", "pipeTo()"]) {
    QUnit.test(`${how} fills records`, async (assert) => {
      const [inner, far] = pair({ capacity: 2 ** 30 });
      let sends = 0;
      const near = intercept(inner, {
        async send(chunk, forward) {
          sends++;
          await sleep(0);
          await forward(chunk);
        },
      });
      const [stream, peer] = await over([near, far]);
      const records = stream.statistics.sent.records;
      const before = sends;
      const bytes = randomBytes(1000 * KiB, env.seed);
      const arrived = readAll(peer.readable);
      const chunk = (i: number) => bytes.subarray(i * KiB, (i + 1) * KiB);
      if (how === "pipeTo()") {
        let i = 0;
        const source = new ReadableStream<Uint8Array>({
          pull(controller) {
            if (i === 1000) controller.close();
            else controller.enqueue(chunk(i++));
          },
        });
        await source.pipeTo(stream.writable);
      } else {
        const writer = stream.writable.getWriter();
        for (let i = 0; i < 1000; i++) {
          await writer.ready;
          started(writer.write(chunk(i)));
        }
        await writer.close();
      }
      assert.deepEqual(await arrived, bytes, `seed ${env.seed}`);
      // 63 would be full; close_notify is one more.
      assert.true(
        stream.statistics.sent.records - records < 120,
        `${stream.statistics.sent.records} records`,
      );
      assert.true(sends - before < 50, `${sends - before} sends`);
    });
  }

  QUnit.test(
    "the last one waits for the transport, those before it until they were copied",
    async (assert) => {
      const { writer, stuckAfter, allow, arrived } = await rationed();
      const stuck = stuckAfter(0);
      const writing = ["one", "two", "three", "four"].map((word) => writer.write(utf8(word)));
      await stuck;
      const state = async () => (await Promise.all(writing.map(now))).join();
      assert.strictEqual(await state(), "waits,waits,waits,waits");
      await stuckAfter(1);
      assert.strictEqual(await state(), "done,done,done,waits");
      allow(Infinity);
      await Promise.all(writing);
      await writer.close();
      assert.strictEqual(text(await arrived), "onetwothreefour");
    },
  );

  QUnit.test("one that is awaited waits for the transport, always", async (assert) => {
    const { writer, stuckAfter, allow, stream } = await rationed();
    for (let i = 0; i < 5; i++) {
      const stuck = stuckAfter(0);
      const writing = writer.write(utf8("a write of its own"));
      await stuck;
      assert.strictEqual(await now(writing), "waits");
      assert.true(stream.statistics.waiting.toTransport > 0);
      allow(Infinity);
      await writing;
      assert.strictEqual(stream.statistics.waiting.toTransport, 0);
    }
  });

  QUnit.test("a burst stops when the transport does", async (assert) => {
    for (const [size, most] of [
      [KiB, 64],
      [16 * KiB, 4],
      // Each costs something, however small it is.
      [1, 1023],
      [0, 1023],
    ] as const) {
      const { writer, stuckAfter, allow, arrived } = await rationed();
      const stuck = stuckAfter(0);
      started(writer.write(utf8("!")));
      await stuck;
      let count = 0;
      for (; (writer.desiredSize ?? 0) > 0 && count < 70_000; count++)
        started(writer.write(new Uint8Array(size)));
      assert.strictEqual(count, most, `chunks of ${size} bytes`);
      assert.strictEqual(await now(writer.ready), "waits");
      allow(Infinity);
      await writer.ready;
      await writer.close();
      assert.strictEqual((await arrived).length, 1 + count * size);
    }
  });

  QUnit.test("pipeTo() takes no more from its source than there is room for", async (assert) => {
    const { stream, writer, stuckAfter, allow, arrived } = await rationed();
    writer.releaseLock();
    const stuck = stuckAfter(0);
    let pulled = 0;
    const source = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulled++ < 1000) controller.enqueue(new Uint8Array(KiB));
        else controller.close();
      },
    });
    const piping = source.pipeTo(stream.writable);
    await stuck;
    assert.strictEqual(await now(piping), "waits");
    assert.true(pulled <= 64 + 2, `${pulled} chunks`);
    allow(Infinity);
    await piping;
    assert.strictEqual((await arrived).length, 1000 * KiB);
  });

  QUnit.test("bytes may change once their write has settled", async (assert) => {
    const { writer, stuckAfter, allow, arrived } = await rationed();
    const stuck = stuckAfter(0);
    const words = Array.from({ length: 100 }, (_, i) => `word ${i}, `);
    const writing = words.map(async (word) => {
      const bytes = utf8(word);
      await writer.write(bytes);
      bytes.fill(0);
    });
    await stuck;
    await stuckAfter(1);
    allow(Infinity);
    await Promise.all(writing);
    await writer.close();
    assert.strictEqual(text(await arrived), words.join(""));
  });

  QUnit.test("views of any kind of buffer", async (assert) => {
    const { writer, arrived } = await rationed();
    const bytes = randomBytes(60_000, env.seed);
    const shared = new Uint8Array(new SharedArrayBuffer(10_000));
    shared.set(bytes.subarray(10_000, 20_000));
    const Resizable = ArrayBuffer as unknown as new (
      length: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer & { resize(length: number): void };
    const buffer = new Resizable(5_000, { maxByteLength: 20_000 });
    // It grows with its buffer, before and after it is written.
    const growing = new Uint8Array(buffer);
    buffer.resize(10_000);
    growing.set(bytes.subarray(20_000, 25_000));
    growing.set(bytes.subarray(25_000, 30_000), 5_000);
    const writing = [
      bytes.subarray(0, 10_000),
      shared,
      growing,
      bytes.slice(0, 40_000).subarray(30_000),
      bytes.subarray(40_000),
    ].map((chunk) => writer.write(chunk));
    await Promise.all(writing);
    await writer.close();
    assert.deepEqual(await arrived, bytes, `seed ${env.seed}`);
  });
});

QUnit.module("writes: the end of a burst", () => {
  const ends = {
    "writer.close": (_, writer) => writer.close(),
    closeWrite: (stream) => stream.closeWrite(),
    shutdown: (stream) => stream.shutdown({ timeout: 60_000 }),
    close: (stream) => stream.close(),
    "writer.abort": (_, writer) => writer.abort(reason).catch(() => {}),
    abort: async (stream) => stream.abort(reason),
  } satisfies Record<
    string,
    (stream: TlsStream, writer: WritableStreamDefaultWriter<Uint8Array>) => Promise<unknown>
  >;
  for (const [end, act] of Object.entries(ends)) {
    QUnit.test(`${end}() in the middle of bursts of any sizes`, async (assert) => {
      for (let round = 0; round < 12; round++) {
        const seed = (env.seed + round * 7919) >>> 0;
        const next = random(seed);
        const [near, far] = pair({ capacity: Math.floor(next() * 100_000) });
        const [stream, peer] = await over([next() < 0.5 ? near : randomChunks(near, seed), far]);
        const bytes = randomBytes(400_000, seed);
        const writer = stream.writable.getWriter();
        const got: Uint8Array[] = [];
        const arrived = peer.readable
          .pipeTo(new WritableStream({ write: (chunk) => void got.push(chunk) }))
          .catch((error: unknown) => error);
        const largest = 40_000 ** next();
        const mostlySmall = next() < 0.5;
        const writing: Promise<void>[] = [];
        let at = 0;
        const writes = Math.ceil(300 ** next());
        for (let i = 0; i < writes && at < bytes.length; i++) {
          const size = Math.floor(mostlySmall ? largest ** next() - 0.1 : largest * next());
          const write = writer.write(bytes.subarray(at, at + size));
          writing.push(write);
          at = Math.min(at + size, bytes.length);
          const wait = next();
          if (wait < 0.03) await write;
          else if (wait < 0.3) await writer.ready;
          else if (wait < 0.35) await sleep(0);
        }
        started(...writing);
        const what = `seed ${seed}: ${writing.length} writes, ${at} bytes`;
        // A write after the end is refused, and changes nothing. Node.js throws what should be a rejection.
        const [ending, late] = started(
          act(stream, writer),
          Promise.resolve().then(() => writer.write(utf8("late"))),
        );
        const error = await arrived;
        const all = concat(got);
        const wanted = bytes.slice(0, end.endsWith("abort") ? all.length : at);
        assert.strictEqual(await sha256(all), await sha256(wanted), `${what}, ${all.length} arrived`);
        if (end.endsWith("abort")) {
          assert.true(error instanceof Error, what);
          assert.strictEqual(await rejection(stream.closed), reason, what);
          // Every one settles, one way or the other.
          await Promise.allSettled(writing);
          continue;
        }
        assert.strictEqual(error, undefined, what);
        await rejection(late);
        // After close() it cannot.
        await peer.closeWrite().catch(() => {});
        await ending;
        for (const write of writing) await write;
        peer.abort();
      }
    });
  }

  QUnit.test("closeWrite() while a large write waits for the small ones before it", async (assert) => {
    const { stream, writer, stuckAfter, allow, arrived } = await rationed();
    const bytes = randomBytes(300_000, env.seed);
    const stuck = stuckAfter(0);
    const writing = started(
      writer.write(bytes.subarray(0, 10)),
      writer.write(bytes.subarray(10, 20)),
      writer.write(bytes.subarray(20)),
    );
    await stuck;
    await stuckAfter(1);
    const ending = stream.closeWrite();
    allow(Infinity);
    await Promise.all([...writing, ending]);
    assert.deepEqual(await arrived, bytes, `seed ${env.seed}`);
  });

  QUnit.test("a write that comes after close() is not waited for", async (assert) => {
    const { stream, writer, stuckAfter, allow, arrived } = await rationed();
    const stuck = stuckAfter(0);
    const writing = started(writer.write(utf8("one, ")), writer.write(utf8("two")));
    const closing = writer.close();
    const [late] = started(writer.write(utf8("late")));
    await stuck;
    const ending = stream.closeWrite();
    allow(Infinity);
    await Promise.all([...writing, closing, ending]);
    assert.true((await rejection(late)) instanceof Error);
    assert.strictEqual(text(await arrived), "one, two");
  });

  for (const [what, bad, code] of [
    ["what is no Uint8Array", () => "text", "invalid-argument"],
    ["null", () => null, "invalid-argument"],
    ["a DataView", () => new DataView(new ArrayBuffer(5)), "invalid-argument"],
    ["bytes that were taken away", detached, "invalid-argument"],
    ["a write after closeWrite()", () => utf8("late"), "closed"],
  ] as const) {
    QUnit.test(`${what} loses nothing that was written before`, async (assert) => {
      const { stream, writer, stuckAfter, allow, arrived } = await rationed();
      const stuck = stuckAfter(0);
      const good = started(...["one, ", "two, ", "three"].map((word) => writer.write(utf8(word))));
      const ending = code === "closed" ? stream.closeWrite() : undefined;
      const [refused, behind] = started(writer.write(bad() as Uint8Array), writer.write(utf8("behind")));
      await stuck;
      allow(Infinity);
      assert.strictEqual((await tlsError(refused)).code, code);
      await rejection(behind);
      await Promise.all(good);
      await (ending ?? stream.closeWrite());
      assert.strictEqual(text(await arrived), "one, two, three");
    });
  }

  QUnit.test("bytes that are taken away while they wait are refused", async (assert) => {
    for (const size of [5, 100_000]) {
      const { stream, writer, stuckAfter, allow, arrived } = await rationed();
      const stuck = stuckAfter(0);
      const bytes = new Uint8Array(size);
      const [one, two, gone] = started(
        writer.write(utf8("one, ")),
        writer.write(utf8("two")),
        writer.write(bytes),
      );
      await stuck;
      // The large one waits until the small ones have left.
      await (size > 5 ? stuckAfter(1) : undefined);
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      allow(Infinity);
      assert.strictEqual((await tlsError(gone)).code, "invalid-argument", `${size} bytes`);
      await Promise.all([one, two, stream.closeWrite()]);
      assert.strictEqual(text(await arrived), "one, two");
    }
  });

  for (const end of ["abort", "a transport that fails"]) {
    QUnit.test(`${end}, while small ones are on their way together`, async (assert) => {
      const { stream, writer, stuckAfter, fail } = await rationed();
      const stuck = stuckAfter(0);
      const writing = started(
        ...Array.from({ length: 200 }, (_, i) => writer.write(new Uint8Array(1000).fill(i))),
      );
      const closing = started(stream.closeWrite(), stream.shutdown());
      await stuck;
      await stuckAfter(1);
      if (end === "abort") stream.abort(reason);
      else fail(reason);
      const closed = await rejection(stream.closed);
      assert.strictEqual(end === "abort" ? closed : (closed as Error).cause, reason);
      for (const each of closing) assert.strictEqual(await rejection(each), closed);
      const results = await Promise.allSettled(writing);
      const settled = results.filter(({ status }) => status === "fulfilled").length;
      // One alone, and of 65 the first 64: the last one was to wait for all.
      assert.true(settled >= 1 && settled <= 66, `${settled} have settled`);
      assert.strictEqual(results.at(-1)?.status, "rejected");
      assert.true((await rejection(writer.write(utf8("x")))) instanceof Error);
    });
  }
});

function detached(): Uint8Array {
  const bytes = new Uint8Array(5);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}
