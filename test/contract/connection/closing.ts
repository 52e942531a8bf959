/** The four verbs that end a connection: what each pair of them does, and the typed outcome of each kind of end. */
import QUnit from "qunit";
import {
  type ClientOptions,
  type CloseInfo,
  TlsError,
  type TlsEvent,
  type TlsStream,
  type Transport,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { cloggable, intercept } from "../../fakes/wrappers.ts";
import {
  PENDING,
  readAll,
  readAtLeast,
  rejection,
  sleep,
  text,
  tlsError,
  utf8,
  within,
  write,
  writeAndClose,
} from "../../helpers/basics.ts";
import { over } from "../../helpers/both-ends.ts";
import { env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const reason = new Error("abort's reason");

const connected = (client: Partial<ClientOptions> = {}, transports: [Transport, Transport] = pair()) =>
  over(transports, client);

const verbs = {
  closeWrite: (stream: TlsStream) => stream.closeWrite(),
  shutdown: (stream: TlsStream) => stream.shutdown({ timeout: 300 }),
  close: (stream: TlsStream) => stream.close(),
  abort: async (stream: TlsStream) => stream.abort(reason),
};
type Verb = keyof typeof verbs;

/** What a promise comes to, in a word. */
async function word(promise: Promise<unknown>): Promise<string> {
  try {
    const value = await promise;
    return value && typeof value === "object" && "how" in value ? String(value.how) : "ok";
  } catch (error) {
    return error === reason ? "reason" : error instanceof TlsError ? error.code : String(error);
  }
}

/*
 * The table. For each first verb and each second one, called at once (while the first is under way) or after the first
 * is done: what the first comes to, what the second comes to, how `closed` settles ("open": not yet), and what the peer
 * sees: a clean "end", a "cut", or, where the transport carries the abort, a failed "transport". "either": complete or
 * closed without waiting, as the peer is quick or slow, since shutdown() was reading. The peer reads; the first block
 * has one that answers close_notify with its own, the second one that does not. The third is quiet, whatever the peer
 * does.
 */
const table = `
answering  closeWrite closeWrite  ok ok open end                        ok ok open end
answering  closeWrite shutdown    ok ok complete end                    ok ok complete end
answering  closeWrite close       ok ok closed-without-waiting end      ok ok closed-without-waiting end
answering  closeWrite abort       reason ok reason end                  ok ok reason end
answering  shutdown   closeWrite  ok ok complete end                    ok ok complete end
answering  shutdown   shutdown    ok ok complete end                    ok ok complete end
answering  shutdown   close       closed ok either end                  ok ok complete end
answering  shutdown   abort       reason ok reason end                  ok ok complete end
answering  close      closeWrite  ok ok closed-without-waiting end      ok ok closed-without-waiting end
answering  close      shutdown    ok closed either end                  ok closed closed-without-waiting end
answering  close      close       ok ok closed-without-waiting end      ok ok closed-without-waiting end
answering  close      abort       ok ok reason end                      ok ok closed-without-waiting end
answering  abort      closeWrite  ok reason reason transport            ok reason reason transport
answering  abort      shutdown    ok reason reason transport            ok reason reason transport
answering  abort      close       ok ok reason transport                ok ok reason transport
answering  abort      abort       ok ok reason transport                ok ok reason transport
mute       closeWrite closeWrite  ok ok open end                        ok ok open end
mute       closeWrite shutdown    ok timeout timeout end                ok timeout timeout end
mute       closeWrite close       ok ok closed-without-waiting end      ok ok closed-without-waiting end
mute       closeWrite abort       reason ok reason end                  ok ok reason end
mute       shutdown   closeWrite  timeout ok timeout end                timeout ok timeout end
mute       shutdown   shutdown    timeout timeout timeout end           timeout timeout timeout end
mute       shutdown   close       closed ok closed-without-waiting end  timeout ok timeout end
mute       shutdown   abort       reason ok reason end                  timeout ok timeout end
mute       close      closeWrite  ok ok closed-without-waiting end      ok ok closed-without-waiting end
mute       close      shutdown    ok closed closed-without-waiting end  ok closed closed-without-waiting end
mute       close      close       ok ok closed-without-waiting end      ok ok closed-without-waiting end
mute       close      abort       ok ok reason end                      ok ok closed-without-waiting end
mute       abort      closeWrite  ok reason reason transport            ok reason reason transport
mute       abort      shutdown    ok reason reason transport            ok reason reason transport
mute       abort      close       ok ok reason transport                ok ok reason transport
mute       abort      abort       ok ok reason transport                ok ok reason transport
quiet      closeWrite closeWrite  ok ok open nothing                    ok ok open nothing
quiet      closeWrite shutdown    ok ok quiet nothing                   ok ok quiet nothing
quiet      closeWrite close       ok ok quiet cut                       ok ok quiet cut
quiet      closeWrite abort       ok ok reason transport                ok ok reason transport
quiet      shutdown   closeWrite  ok ok quiet nothing                   ok ok quiet nothing
quiet      shutdown   shutdown    ok ok quiet nothing                   ok ok quiet nothing
quiet      shutdown   close       ok ok quiet nothing                   ok ok quiet nothing
quiet      shutdown   abort       reason ok reason transport            ok ok quiet nothing
quiet      close      closeWrite  ok ok quiet cut                       ok ok quiet cut
quiet      close      shutdown    ok closed quiet cut                   ok closed quiet cut
quiet      close      close       ok ok quiet cut                       ok ok quiet cut
quiet      close      abort       ok ok reason transport                ok ok quiet cut
quiet      abort      closeWrite  ok reason reason transport            ok reason reason transport
quiet      abort      shutdown    ok reason reason transport            ok reason reason transport
quiet      abort      close       ok ok reason transport                ok ok reason transport
quiet      abort      abort       ok ok reason transport                ok ok reason transport
`;

QUnit.module("closing: every verb after every other", () => {
  for (const row of table.trim().split("\n")) {
    const [peer, first, second, ...expected] = row.split(/\s+/) as [
      "answering" | "mute" | "quiet",
      Verb,
      Verb,
      ...string[],
    ];
    QUnit.test(`${first} and ${second}, peer or mode: ${peer}`, async (assert) => {
      for (const [moment, want] of [
        ["at once", expected.slice(0, 4)],
        ["after it", expected.slice(4)],
      ] as const) {
        const transports = pair();
        const [client, server] = await connected({ quietShutdown: peer === "quiet" }, transports);
        let saw = "nothing";
        readAll(server.readable).then(
          () => {
            saw = "end";
            if (peer === "answering") server.closeWrite().catch(() => {});
          },
          (error) => {
            saw = error.code === "truncated" ? "cut" : error.code;
          },
        );
        const one = word(verbs[first](client));
        if (moment === "after it") await one;
        const other = word(verbs[second](client));
        const results = [await one, await other];
        await sleep(5);
        const closed = word(client.closed);
        let how = await Promise.race([closed, sleep(10).then(() => "open")]);
        if (want[2] === "either" && ["complete", "closed-without-waiting"].includes(how)) how = "either";
        results.push(how, saw);
        assert.strictEqual(results.join(" "), want.join(" "), `${second} ${moment}`);
        const givenBack = (verb: Verb, result?: string) => verb === "shutdown" && result === "ok";
        if (givenBack(first, results[0]) || givenBack(second, results[1])) {
          assert.false(transports[0].readable.locked, "shutdown() has given the transport back");
        }
        client.abort();
        server.abort();
      }
    });
  }
});

/** The outcome, whether `closed` resolves or rejects with it. */
async function outcome(stream: TlsStream): Promise<CloseInfo> {
  try {
    return await stream.closed;
  } catch (error) {
    if (error instanceof TlsError && error.outcome) return error.outcome;
    throw error;
  }
}

QUnit.module("closing: outcomes", () => {
  QUnit.test("half-close both ways, in turn: complete, and the session may be resumed", async (assert) => {
    const [client, server] = await connected();
    await writeAndClose(client.writable, utf8("question"));
    assert.strictEqual(text(await readAll(server.readable)), "question");
    assert.deepEqual(client.shutdownFlags, { sent: true, received: false });
    assert.deepEqual(server.shutdownFlags, { sent: false, received: true });
    await writeAndClose(server.writable, utf8("answer"));
    assert.strictEqual(text(await readAll(client.readable)), "answer");
    const info = await client.closed;
    assert.deepEqual(info, {
      sentCloseNotify: true,
      receivedCloseNotify: true,
      how: "complete",
      resumable: true,
      discarded: 0,
    });
    assert.deepEqual(client.shutdownFlags, { sent: true, received: true });
  });

  QUnit.test(
    "quiet: nothing on the wire, both flags, resumable; and what the peer still sends is read",
    async (assert) => {
      const [client, server] = await connected({ quietShutdown: true });
      await client.closeWrite();
      await writeAndClose(server.writable, utf8("still here"));
      assert.strictEqual(text(await readAll(client.readable)), "still here");
      const info = await client.closed;
      assert.strictEqual(info.how, "quiet");
      assert.false(info.sentCloseNotify);
      assert.true(info.receivedCloseNotify && info.resumable);
      assert.deepEqual(client.shutdownFlags, { sent: true, received: true });
      assert.strictEqual(
        (await tlsError(readAll(server.readable))).code,
        "truncated",
        "the peer is told nothing",
      );
    },
  );

  QUnit.test("a close_notify that the transport did not take was not sent", async (assert) => {
    for (const bioPairSize of [1, 17 * 1024]) {
      const [near, far] = pair();
      const clog = cloggable(near, false);
      const [client] = await connected({ bioPairSize }, [clog.transport, far]);
      clog.clog();
      assert.strictEqual((await tlsError(client.shutdown({ timeout: 50 }))).code, "timeout");
      const info = await outcome(client);
      assert.strictEqual(info.how, "timeout");
      assert.false(info.sentCloseNotify || info.resumable, `${bioPairSize}`);
      const [other] = await connected({ bioPairSize });
      assert.strictEqual((await tlsError(other.shutdown({ timeout: 50 }))).code, "timeout");
      assert.true(
        (await outcome(other)).sentCloseNotify && (await outcome(other)).resumable,
        "and this one was",
      );
    }
  });

  QUnit.test("onEvent tells of both close_notify once, also of one that left in pieces", async (assert) => {
    for (const bioPairSize of [1, 17 * 1024]) {
      const alerts: string[] = [];
      const onEvent = (event: TlsEvent) => {
        if (event.type === "alert") alerts.push(`${event.direction} ${event.description}`);
      };
      const [client, server] = await connected({ bioPairSize, onEvent });
      await Promise.all([client.shutdown(), server.shutdown()]);
      assert.deepEqual(alerts.sort(), ["received close_notify", "sent close_notify"], `${bioPairSize}`);
    }
  });

  QUnit.test("a fatal alert while we wait is not clean", async (assert) => {
    const [near, far] = pair();
    let damage = false;
    const writer = near.writable.getWriter();
    const damaged: Transport = {
      readable: near.readable,
      writable: new WritableStream({
        write: (chunk) => {
          const copy = chunk.slice();
          if (damage) copy[copy.length - 1]! ^= 1;
          return writer.write(copy);
        },
      }),
    };
    const [client, server] = await connected({}, [damaged, far]);
    damage = true;
    // Our close_notify arrives damaged: the peer answers with bad_record_mac.
    readAll(server.readable).catch(() => {});
    const error = await tlsError(client.shutdown());
    assert.strictEqual(error.code, "alert");
    const info = await outcome(client);
    assert.strictEqual(info.how, "alert");
    assert.deepEqual(info.alert, {
      direction: "received",
      level: "fatal",
      description: "bad_record_mac",
      code: 20,
    });
    assert.false(info.receivedCloseNotify || info.resumable);
    const other = await outcome(server);
    assert.strictEqual(other.how, "alert");
    assert.strictEqual(other.alert?.direction, "sent");
  });

  QUnit.test(
    "abort: everything that waits is rejected with its reason, and nothing can be resumed",
    async (assert) => {
      const [near, far] = pair();
      const clog = cloggable(near, false);
      const [client] = await connected({}, [clog.transport, far]);
      clog.clog();
      const reading = client.readable.getReader().read();
      const writing = write(client.writable, new Uint8Array(100_000));
      await clog.stuck;
      const closing = client.closeWrite();
      const shutting = client.shutdown();
      client.abort(reason);
      for (const each of [reading, writing, closing, shutting, client.closed]) {
        assert.strictEqual(await rejection(each), reason);
      }
      assert.strictEqual(await rejection(write(client.writable, utf8("late"))), reason);
      assert.strictEqual(await rejection(readAll((await connectedAndAborted()).readable)), reason);
    },
  );

  QUnit.test("abort without a reason is an AbortError", async (assert) => {
    const [client] = await connected();
    client.abort();
    assert.strictEqual(((await rejection(client.closed)) as DOMException).name, "AbortError");
  });

  QUnit.test("writable.abort() is abort(), also while a write is stuck", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const [client] = await connected({}, [clog.transport, far]);
    clog.clog();
    const writer = client.writable.getWriter();
    const writing = writer.write(new Uint8Array(100_000));
    writing.catch(() => {});
    await clog.stuck;
    writer.abort(reason).catch(() => {});
    assert.strictEqual(await rejection(client.closed), reason);
    assert.true((await rejection(writing)) !== undefined);
  });

  QUnit.test("readable.cancel(): writing goes on, and then the connection is closed", async (assert) => {
    const [client, server] = await connected();
    await client.readable.cancel(reason);
    const bytes = randomBytes(100_000, env.seed);
    const [got] = await Promise.all([readAll(server.readable), writeAndClose(client.writable, bytes)]);
    assert.deepEqual(got, bytes);
    assert.strictEqual((await client.closed).how, "closed-without-waiting");
  });

  QUnit.test("`await using` closes", async (assert) => {
    const [client, server] = await connected();
    {
      await using stream = client;
      await write(stream.writable, utf8("in the block"));
    }
    assert.strictEqual((await client.closed).how, "closed-without-waiting");
    assert.strictEqual(text(await readAll(server.readable)), "in the block");
  });

  /** Takes so many bytes in a millisecond, and says no more of itself than any transport. */
  const throttled = (inner: Transport, rate: number) =>
    intercept(inner, {
      async send(chunk, forward) {
        await sleep(chunk.length / rate);
        await forward(chunk);
      },
    });
  const enders: Record<string, (stream: TlsStream, timeout: number | undefined) => Promise<void>> = {
    "close({ timeout })": (stream, timeout) => stream.close(timeout === undefined ? {} : { timeout }),
    "close() with closeTimeout": (stream) => stream.close(),
    async "await using with closeTimeout"(stream) {
      await using _ = stream;
    },
  };
  for (const [name, end] of Object.entries(enders)) {
    const options = (timeout: number) => (name === "close({ timeout })" ? {} : { closeTimeout: timeout });

    QUnit.test(`${name} goes on for as long as the transport takes bytes`, async (assert) => {
      const [near, far] = pair();
      const [client, server] = await connected(options(400), [throttled(near, 600), far]);
      const bytes = randomBytes(2 ** 20, env.seed);
      const writing = write(client.writable, bytes);
      const reading = readAll(server.readable);
      await end(client, 400);
      await writing;
      assert.deepEqual(await reading, bytes, `seed ${env.seed}`);
      assert.true((await outcome(client)).sentCloseNotify);
    });

    QUnit.test(`${name} gives up when the transport stands still`, async (assert) => {
      const [near, far] = pair();
      const clog = cloggable(near, false);
      const [client] = await connected(options(200), [clog.transport, far]);
      clog.clog();
      const begun = Date.now();
      await end(client, 200);
      const took = Date.now() - begun;
      assert.true(took >= 180 && took < 1_500, `after ${took} ms`);
      const { how, sentCloseNotify } = await outcome(client);
      assert.deepEqual({ how, sentCloseNotify }, { how: "timeout", sentCloseNotify: false });
    });

    QUnit.test(`${name} waits for what the transport has taken and not sent`, async (assert) => {
      const [near, far] = pair();
      let waiting = 0;
      const writer = near.writable.getWriter();
      const buffering: Transport = {
        readable: near.readable,
        writable: new WritableStream({
          async write(chunk) {
            waiting += chunk.length;
            await writer.write(chunk);
          },
          async close() {
            for (; waiting > 0; waiting -= 20_000) await sleep(50);
            await writer.close();
          },
        }),
        get bufferedAmount() {
          return waiting;
        },
      };
      const [client, server] = await connected(options(200), [buffering, far]);
      const reading = readAll(server.readable);
      await write(client.writable, new Uint8Array(400_000));
      await end(client, 200);
      assert.true(waiting <= 0, `${waiting} bytes were given up`);
      assert.strictEqual((await reading).length, 400_000);
    });
  }

  QUnit.test(
    "what close() still has to send goes in small steps, so that a slow transport shows progress",
    async (assert) => {
      const [near, far] = pair();
      const sizes: number[] = [];
      const inner = intercept(near, {
        async send(chunk, forward) {
          sizes.push(chunk.byteLength);
          await forward(chunk);
        },
      });
      const { transport, clog, release, stuck } = cloggable(inner, false);
      const [client, server] = await connected({}, [transport, far]);
      clog();
      const writing = write(client.writable, randomBytes(200_000, env.seed));
      await stuck;
      const reading = readAll(server.readable);
      const closing = client.close();
      const before = sizes.length;
      release();
      await Promise.all([writing, closing]);
      assert.strictEqual((await reading).length, 200_000);
      // The first had been given to the transport before.
      const later = sizes.slice(before + 1);
      assert.true(later.length > 10, `${later.length} steps`);
      assert.true(Math.max(...later) <= 8_192, `${Math.max(...later)} bytes at once`);
    },
  );

  QUnit.test("closing has two seconds, and more while there is progress", async (assert) => {
    const [near, far] = pair();
    const [client, server] = await connected({}, [throttled(near, 400), far]);
    const writing = write(client.writable, new Uint8Array(2 ** 20));
    const reading = readAll(server.readable);
    const begun = Date.now();
    await client.close();
    assert.true(Date.now() - begun > 2_400);
    await writing;
    assert.strictEqual((await reading).length, 2 ** 20);
  });

  QUnit.test("a closeTimeout that cannot be is refused", async (assert) => {
    for (const closeTimeout of [-1, Number.NaN, "1" as never]) {
      const error = await tlsError(connected({ closeTimeout }));
      assert.strictEqual(error.code, "invalid-argument");
      assert.true(/closeTimeout/.test(error.message), error.message);
    }
    const [client] = await connected();
    assert.strictEqual((await tlsError(client.close({ timeout: -1 }))).code, "invalid-argument");
    await client.close({ timeout: Infinity });
  });

  QUnit.test(
    "preventClose keeps the transport, and shutdown() hands it out after the end",
    async (assert) => {
      const transports = pair();
      const [client, server] = await connected({ preventClose: true }, transports);
      await Promise.all([client.writable.close(), readAll(server.readable)]);
      const ended = server.shutdown().then(async ({ transport }) => write(transport.writable, utf8("more")));
      assert.strictEqual((await readAll(client.readable)).length, 0);
      const { transport, trailing, info } = await client.shutdown();
      await Promise.all([
        ended,
        readAtLeast(transport.readable, 4 - trailing.length).then((rest) =>
          assert.strictEqual(text(trailing) + text(rest), "more"),
        ),
      ]);
      assert.strictEqual(info.how, "complete");
      assert.strictEqual(transport, transports[0]);

      const [other, otherServer] = await connected();
      await Promise.all([other.writable.close(), readAll(otherServer.readable)]);
      otherServer.closeWrite().catch(() => {});
      await readAll(other.readable);
      const error = await tlsError(other.shutdown());
      assert.strictEqual(error.code, "closed");
      assert.true(/preventClose/.test(error.message), error.message);
    },
  );

  QUnit.test(
    "shutdown() with options that cannot be, or a signal that fired, changes nothing",
    async (assert) => {
      const [client, server] = await connected();
      assert.strictEqual((await tlsError(client.shutdown({ timeout: -1 }))).code, "invalid-argument");
      assert.strictEqual(
        (await tlsError(client.shutdown({ maxDiscard: Number.NaN }))).code,
        "invalid-argument",
      );
      assert.strictEqual(await rejection(client.shutdown({ signal: AbortSignal.abort(reason) })), reason);
      await write(client.writable, utf8("still open"));
      assert.strictEqual(text(await readAtLeast(server.readable, 10)), "still open");
      const controller = new AbortController();
      const ending = client.shutdown({ signal: controller.signal, timeout: Infinity });
      ending.catch(() => {});
      assert.strictEqual(await within(ending, 50), PENDING);
      controller.abort(reason);
      assert.strictEqual(await rejection(ending), reason);
    },
  );
});

async function connectedAndAborted(): Promise<TlsStream> {
  const [client] = await connected();
  client.abort(reason);
  return client;
}
