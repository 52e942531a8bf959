/**
 * The pump's invariants (see the essay in `src/connection/pump.ts`), each with a test that fails when it is broken.
 * Both ends are ours here, over fakes that do the worst a transport may do; against other implementations see
 * `peers.ts`.
 */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  OpenSsl,
  type ServerOptions,
  startTls,
  type TlsError,
  type TlsStream,
  type Transport,
} from "wassl";
import { lockstep, pair } from "../../fakes/pair.ts";
import { cloggable, failingWriter, intercept, oneByte, randomChunks, tap } from "../../fakes/wrappers.ts";
import {
  concat,
  PENDING,
  readAll,
  readAtLeast,
  rejection,
  sha256,
  sleep,
  text,
  tlsError,
  utf8,
  within,
  write,
  writeAndClose,
} from "../../helpers/basics.ts";
import { over } from "../../helpers/both-ends.ts";
import { env, share } from "../../helpers/env.ts";
import { random, randomBytes } from "../../helpers/random.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

function clientOptions(more: Partial<ClientOptions> = {}): ClientOptions {
  return { hostname: "localhost", caCerts: env.certs.caPem, handshakeTimeout: 15_000, ...more };
}

function serverOptions(more: Partial<ServerOptions> = {}): ServerOptions {
  return { cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa, handshakeTimeout: 15_000, ...more };
}

/** A client and a server of ours, each at one end of a pair. */
async function connected(
  [near, far]: [Transport, Transport] = pair(),
  client: Partial<ClientOptions> = {},
  server: Partial<ServerOptions> = {},
): Promise<[TlsStream, TlsStream]> {
  return over([near, far], clientOptions(client), serverOptions(server));
}

/** Sends `bytes` from one to the other, in writes of `size`, while the other reads; compares. */
async function carries(
  assert: Assert,
  from: TlsStream,
  to: TlsStream,
  bytes: Uint8Array,
  size?: number,
  what = "",
) {
  const [got] = await Promise.all([
    readAtLeast(to.readable, bytes.length),
    write(from.writable, bytes, size),
  ]);
  assert.strictEqual(
    await sha256(concat([got])),
    await sha256(concat([bytes])),
    `${bytes.length} bytes ${what}`,
  );
}

/** Both ends half-close, in turn; what is under way arrives, and both see the end. */
async function closesWell(assert: Assert, client: TlsStream, server: TlsStream, length = 20_000) {
  const last = randomBytes(length, env.seed);
  const [got] = await Promise.all([readAll(server.readable), writeAndClose(client.writable, last)]);
  assert.strictEqual(got.length, last.length, "all that was written arrives before the end");
  const [back] = await Promise.all([readAll(client.readable), writeAndClose(server.writable, last)]);
  assert.strictEqual(back.length, last.length, "the other direction stays open meanwhile");
  for (const end of [client, server]) {
    const info = await end.closed;
    assert.strictEqual(info.how, "complete");
    assert.true(info.sentCloseNotify && info.receivedCloseNotify);
  }
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const only = { minVersion: version, maxVersion: version };
  QUnit.module(`pump: ${version}`, () => {
    for (const [name, make, length] of [
      ["a pair with buffers", () => pair(), 20_000],
      ["a lockstep pair: a write settles only when it is read", () => lockstep(), 20_000],
      [
        "one byte at a time",
        () => {
          const [near, far] = pair();
          return [oneByte(near), far];
        },
        2000,
      ],
    ] as [string, () => [Transport, Transport], number][]) {
      QUnit.test(`over ${name}`, async (assert) => {
        const [client, server] = await connected(make(), only, only);
        assert.strictEqual(client.info.protocol, version);
        // Records of full size, which come in any pieces.
        await carries(assert, server, client, randomBytes(17_000, env.seed));
        await carries(assert, client, server, randomBytes(length, env.seed));
        await carries(assert, server, client, randomBytes(length, env.seed + 1), 777);
        await closesWell(assert, client, server, length);
      });
    }

    for (const size of [1, 2, 5, 16, 64, 1024, 4096, 17 * KiB, 64 * KiB]) {
      QUnit.test(`BIO pairs of ${size} bytes`, async (assert) => {
        const options = { ...only, bioPairSize: size };
        const [client, server] = await connected(pair(), options, options);
        // In the smallest ones each byte takes a call of OpenSSL's; records of full size are among them all the same.
        const small = size < 64;
        await carries(assert, client, server, randomBytes(small ? 17_000 : 30_000, env.seed));
        await carries(assert, server, client, randomBytes(small ? 17_000 : 30_000, env.seed));
        await closesWell(assert, client, server, small ? 2000 : 20_000);
      });
    }

    QUnit.test("shutdown over a lockstep pair, both at once", async (assert) => {
      const transports = lockstep();
      const [client, server] = await connected(transports, only, only);
      const ends = await Promise.all([client.shutdown(), server.shutdown()]);
      for (const [i, { info, transport, trailing }] of ends.entries()) {
        assert.strictEqual(info.how, "complete");
        assert.strictEqual(transport, transports[i], "the transport as it was given");
        assert.strictEqual(trailing.length, 0);
        assert.false(transport.readable.locked || transport.writable.locked, "and unlocked");
      }
      assert.deepEqual(client.shutdownFlags, { sent: true, received: true });
    });

    for (const together of [false, true]) {
      const how = together ? "in one piece with it" : "in a piece of their own";
      QUnit.test(
        `bytes behind close_notify, ${how}, are given back, and plaintext goes on`,
        async (assert) => {
          const [near, far] = pair();
          const [client, server] = await connected([together ? gathering(near) : near, far], only, only);
          const serverEnds = server.shutdown().then(async ({ transport }) => {
            await write(transport.writable, utf8("plain text follows"));
            return transport;
          });
          const { transport, trailing } = await client.shutdown();
          if (together) assert.strictEqual(text(trailing), "plain text follows");
          const rest = await readAtLeast(transport.readable, 18 - trailing.length);
          assert.strictEqual(text(trailing) + text(rest), "plain text follows");
          await write(transport.writable, utf8("and back"));
          assert.strictEqual(text(await readAtLeast((await serverEnds).readable, 8)), "and back");
        },
      );
    }

    QUnit.test("a second handshake on the same transport", async (assert) => {
      const [client, server] = await connected(pair(), only, only);
      const [ended, other] = await Promise.all([client.shutdown(), server.shutdown()]);
      assert.strictEqual(ended.trailing.length + other.trailing.length, 0);
      const [again, serverAgain] = await connected([ended.transport, other.transport], only, only);
      await carries(assert, again, serverAgain, utf8("hello again"));
    });

    QUnit.test("an end without close_notify is a truncation, after all that arrived", async (assert) => {
      const [near, far] = pair();
      const [client, server] = await connected([near, far], only, only);
      await write(server.writable, utf8("all of this"));
      server.abort(new Error("gone"));
      const reader = client.readable.getReader();
      const got = await reader.read().catch((error) => error);
      // A pair's abort errors the other side; data that was under way may or may not be seen first.
      const error = got instanceof Error ? got : await rejection(reader.read());
      assert.true(error instanceof Error && "code" in error);
      assert.strictEqual(
        (await rejection(client.closed)) === error,
        true,
        "closed rejects with the same error",
      );
    });
  });
}

QUnit.module("pump: invariants", () => {
  QUnit.test("TLS in TLS in TLS", async (assert) => {
    const outer = await connected(pair(), { bioPairSize: 1000 }, {});
    const middle = await connected(outer, {}, { bioPairSize: 3000 });
    const [client, server] = await connected(middle);
    await carries(assert, client, server, randomBytes(200_000, env.seed));
    await carries(assert, server, client, randomBytes(200_000, env.seed));
    await closesWell(assert, client, server);
    for (const stream of [...middle, ...outer]) await stream.close();
  });

  QUnit.test("reads and writes of any size, interleaved, through random pieces", async (assert) => {
    for (const round of share([0, 1, 2, 3, 4, 5])) {
      const seed = (env.seed + round * 7919) >>> 0;
      const next = random(seed);
      const [near, far] = pair({ capacity: Math.floor(next() * 30_000) });
      const sizes = { bioPairSize: 1 + Math.floor(40_000 ** next()) };
      const [client, server] = await connected(
        [randomChunks(near, seed), randomChunks(far, seed + 1)],
        sizes,
        { bioPairSize: 1 + Math.floor(40_000 ** next()) },
      );
      const sends = async (stream: TlsStream, bytes: Uint8Array) => {
        const writer = stream.writable.getWriter();
        for (let at = 0; at < bytes.length; ) {
          const size = Math.ceil(50_000 ** next());
          const done = writer.write(bytes.subarray(at, at + size));
          if (next() < 0.5) await done;
          at += size;
        }
        await writer.close();
      };
      const there = randomBytes(100_000, seed);
      const back = randomBytes(100_000, seed + 1);
      const [, , gotThere, gotBack] = await Promise.all([
        sends(client, there),
        sends(server, back),
        readAll(server.readable),
        readAll(client.readable),
      ]);
      assert.strictEqual(await sha256(gotThere), await sha256(there), `there, seed ${seed}`);
      assert.strictEqual(await sha256(gotBack), await sha256(back), `back, seed ${seed}`);
      assert.strictEqual((await client.closed).how, "complete");
    }
  });

  QUnit.test("a clogged transport: writes wait, reads go on, nothing is lost", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const [client, server] = await connected([clog.transport, far]);
    clog.clog();
    const bytes = randomBytes(MiB, env.seed);
    const writing = write(client.writable, bytes);
    await clog.stuck;
    assert.strictEqual(await within(writing, 100), PENDING, "the write waits for the transport");
    await carries(
      assert,
      server,
      client,
      randomBytes(300_000, env.seed),
      undefined,
      "meanwhile, the other way",
    );
    clog.release();
    const got = await readAtLeast(server.readable, bytes.length);
    await writing;
    assert.strictEqual(await sha256(concat([got])), await sha256(bytes));
  });

  QUnit.test("one send at a time: nothing queues up in the transport's stream", async (assert) => {
    const [near, far] = pair();
    const inner = near.writable.getWriter();
    let most = 0;
    let waiting = 0;
    const counting: Transport = {
      readable: near.readable,
      writable: new WritableStream(
        {
          async write(chunk) {
            await inner.write(chunk);
            waiting--;
          },
        },
        {
          highWaterMark: 1,
          // Asked as soon as write() is called.
          size() {
            most = Math.max(most, ++waiting);
            return 1;
          },
        },
      ),
    };
    const [client, server] = await connected([counting, far], { bioPairSize: 500 });
    await carries(assert, client, server, randomBytes(MiB, env.seed));
    assert.strictEqual(most, 1);
  });

  QUnit.test("backpressure: what is not read is not sent", async (assert) => {
    const capacity = 64 * KiB;
    const [near, far] = pair({ capacity });
    const watch = tap(near);
    const [client] = await connected([watch.transport, far]);
    const before = watch.sent().length;
    const writing = write(client.writable, new Uint8Array(2 * MiB));
    writing.catch(() => {});
    assert.strictEqual(await within(writing, 300), PENDING);
    const sent = watch.sent().length - before;
    assert.true(sent < capacity + 256 * KiB, `${sent} bytes are under way`);
  });

  QUnit.test("nobody reads: no more than a chunk is fetched from the transport", async (assert) => {
    const [near, far] = pair();
    const watch = tap(near);
    const [client, server] = await connected([watch.transport, far]);
    const before = watch.received().length;
    write(server.writable, new Uint8Array(MiB)).catch(() => {});
    await sleep(200);
    assert.true(
      watch.received().length - before < 100 * KiB,
      `${watch.received().length - before} bytes were fetched`,
    );
    const got = await readAtLeast(client.readable, MiB);
    assert.strictEqual(got.length, MiB, "and all of it comes once somebody does");
  });

  QUnit.test("linear memory grows in the middle of a write that is tried again", async (assert) => {
    const openssl = await OpenSsl.load();
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const [client, server] = await connected([clog.transport, far], { openssl, bioPairSize: 2000 });
    clog.clog();
    const bytes = randomBytes(500_000, env.seed);
    const writing = write(client.writable, bytes);
    await clog.stuck;
    await sleep(20);
    const { size } = openssl.memory;
    const pairs = Array.from({ length: 4 }, () => openssl.newBioPair(4 * MiB));
    assert.true(openssl.memory.size > size, "it grew: every view of it is detached now");
    clog.release();
    const got = await readAtLeast(server.readable, bytes.length);
    await writing;
    assert.strictEqual(await sha256(concat([got])), await sha256(bytes));
    for (const each of pairs) each.free();
  });

  QUnit.test("writes that were not awaited leave before close_notify", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const [client, server] = await connected([clog.transport, far]);
    clog.clog();
    const writer = client.writable.getWriter();
    const bytes = randomBytes(200_000, env.seed);
    writer.write(bytes.subarray(0, 100_000)).catch(() => {});
    writer.write(bytes.subarray(100_000)).catch(() => {});
    const closing = writer.close();
    await clog.stuck;
    clog.release();
    assert.strictEqual(await sha256(await readAll(server.readable)), await sha256(bytes));
    await closing;
  });

  QUnit.test(
    "closeWrite() comes after writes that still wait in the stream's queue, and before later ones",
    async (assert) => {
      const [client, server] = await connected();
      const writer = client.writable.getWriter();
      const bytes = randomBytes(300_000, env.seed);
      const writes = [0, 1, 2].map((i) => writer.write(bytes.subarray(i * 100_000, (i + 1) * 100_000)));
      const closing = client.closeWrite();
      const late = writer.write(utf8("too late"));
      late.catch(() => {});
      assert.strictEqual(await sha256(await readAll(server.readable)), await sha256(bytes));
      await Promise.all([...writes, closing]);
      assert.strictEqual((await tlsError(late)).code, "closed");
    },
  );

  QUnit.test("closeWrite() while a write is stuck comes after it", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const [client, server] = await connected([clog.transport, far]);
    clog.clog();
    const bytes = randomBytes(200_000, env.seed);
    const writing = write(client.writable, bytes);
    await clog.stuck;
    const closing = client.closeWrite();
    await sleep(20);
    clog.release();
    assert.strictEqual(await sha256(await readAll(server.readable)), await sha256(bytes));
    await Promise.all([writing, closing]);
    assert.strictEqual((await tlsError(write(client.writable, utf8("late")))).code, "closed");
  });

  QUnit.test(
    "the alert leaves before the transport is closed, though it waits behind a write",
    async (assert) => {
      const [near, far] = pair();
      const clog = cloggable(near, false);
      let damage = false;
      const damaged = intercept(clog.transport, {
        async receive(chunk) {
          const copy = chunk.slice();
          if (damage) copy[copy.length - 1]! ^= 1;
          return [copy];
        },
      });
      const [client, server] = await connected([damaged, far]);
      await Promise.all([write(server.writable, utf8("hello")), readAtLeast(client.readable, 5)]);
      clog.clog();
      const writing = write(client.writable, utf8("stuck"));
      await clog.stuck;
      damage = true;
      await write(server.writable, utf8("to be damaged"));
      assert.strictEqual((await tlsError(readAll(client.readable))).code, "protocol");
      clog.release();
      const reader = server.readable.getReader();
      assert.strictEqual(text((await reader.read()).value!), "stuck");
      const error = await tlsError(reader.read());
      assert.strictEqual(`${error.code}: ${error.message.split(" ").at(-1)}`, "alert: bad_record_mac");
      await writing;
    },
  );

  QUnit.test("an alert leaves whole, however small the pair", async (assert) => {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      for (const bioPairSize of share([1, 5, 16, 64, 1024])) {
        const options = { maxVersion, bioPairSize };
        const what = `${maxVersion}, ${bioPairSize} bytes`;
        const [near, far] = pair();
        const serving = acceptTls(far, serverOptions(options)).then((server) => readAll(server.readable));
        serving.catch(() => {});
        await tlsError(startTls(near, clientOptions({ ...options, hostname: "elsewhere" })));
        const told = await tlsError(serving);
        assert.true(/alert bad_certificate/.test(told.message), `${what}, in the handshake: ${told.message}`);

        let damage = false;
        const [here, there] = pair();
        const damaged = intercept(here, {
          async receive(chunk) {
            const copy = chunk.slice();
            if (damage) copy[copy.length - 1]! ^= 1;
            return [copy];
          },
        });
        const [client, server] = await connected([damaged, there], options, options);
        await Promise.all([write(server.writable, utf8("hello")), readAtLeast(client.readable, 5)]);
        damage = true;
        await write(server.writable, utf8("to be damaged"));
        await tlsError(readAll(client.readable));
        const error = await tlsError(readAll(server.readable));
        assert.true(/alert bad_record_mac/.test(error.message), `${what}, afterwards: ${error.message}`);
        const outcome = await rejection(client.closed).then((each) => (each as TlsError).outcome);
        assert.strictEqual(`${outcome?.how} ${outcome?.alert?.description}`, "alert bad_record_mac", what);
      }
    }
  });

  QUnit.test("a transport that throws where it should reject", async (assert) => {
    const [near, far] = pair();
    const cause = new Error("thrown");
    let broken = false;
    const writer = new Proxy(near.writable.getWriter(), {
      get(target, name) {
        if (name === "write" && broken) {
          return () => {
            throw cause;
          };
        }
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const writable = { getWriter: () => writer } as unknown as Transport["writable"];
    const [client] = await connected([{ readable: near.readable, writable }, far]);
    broken = true;
    const error = await tlsError(write(client.writable, utf8("x")));
    assert.strictEqual(error.code, "transport");
    assert.strictEqual(error.cause, cause);
  });

  QUnit.test("a transport that fails while sending: the write says so", async (assert) => {
    const cut = new Error("the cable is cut");
    // Each waits for a second for the peer's last words; they do so together.
    const fails = async (bytes: number) => {
      const [near, far] = pair();
      const [client, server] = await connected([failingWriter(near, bytes, cut), far]);
      readAll(server.readable).catch(() => {});
      const error = await tlsError(write(client.writable, new Uint8Array(100_000)));
      assert.strictEqual(error.code, "transport");
      assert.strictEqual(error.cause, cut);
      const closed = await tlsError(client.closed);
      assert.strictEqual(closed.code, "transport", "and so does closed, in bounded time");
    };
    await Promise.all([5_000, 20_000, 70_000].map(fails));
  });

  QUnit.test(
    "a transport that fails with all of a write on its way: the write says so at once",
    async (assert) => {
      const cut = new Error("the cable is cut");
      const [near, far] = pair();
      const inner = near.writable.getWriter();
      let broken = false;
      const breaking: Transport = {
        readable: near.readable,
        writable: new WritableStream({
          async write(chunk) {
            if (broken) throw cut;
            await inner.write(chunk);
          },
        }),
      };
      const [client] = await connected([breaking, far]);
      broken = true;
      const begun = Date.now();
      const error = await tlsError(write(client.writable, utf8("lost")));
      assert.strictEqual(error.cause, cut);
      assert.true(Date.now() - begun < 500, "the last words are waited for by reading only");
    },
  );

  QUnit.test("a transport that fails in the handshake, sending or receiving", async (assert) => {
    const cut = new Error("the cable is cut");
    const fails = async (fail: typeof failingWriter | typeof cutter, bytes: number) => {
      const [near, far] = pair();
      // The fakes do not tell the other end.
      acceptTls(far, serverOptions({ handshakeTimeout: 2_000 })).catch(() => {});
      const error = await tlsError(startTls(fail(near, bytes, cut), clientOptions()));
      assert.strictEqual(error.code, "transport", `${fail.name} after ${bytes}`);
      assert.strictEqual(error.cause, cut);
    };
    await Promise.all(
      [0, 1, 100].flatMap((bytes) => [failingWriter, cutter].map((fail) => fails(fail, bytes))),
    );
  });

  QUnit.test("the transport's end, at every kind of place", async (assert) => {
    // How many bytes the client receives in the handshake, so that the cuts below lie behind it.
    const [near, far] = pair();
    const watch = tap(near);
    const options = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const; // no tickets behind the handshake
    await connected([watch.transport, far], options);
    const handshake = watch.received().length;
    const record = 16_384 + 21; // header 5, tag 16: ChaCha20-Poly1305, by default
    for (const [extra, at, arrives] of share([
      [0, "record", 0],
      [3, "mid-record", 0],
      [5, "mid-record", 0],
      [6, "mid-record", 0],
      [record - 1, "mid-record", 0],
      [record, "record", 16_384],
      [record + 5, "mid-record", 16_384],
      [2 * record, "record", 32_768],
    ] as const)) {
      for (const eofPolicy of ["strict", "record-boundary", "ignore"] as const) {
        const [near, far] = pair();
        // The handshake's length varies by the length of a signature, so count from its end.
        let limit = Number.POSITIVE_INFINITY;
        const counting = tap(near);
        const cutting = cutter(counting.transport, () => limit);
        const [client, server] = await connected([cutting, far], { ...options, eofPolicy });
        limit = counting.received().length + extra;
        write(server.writable, new Uint8Array(100_000)).catch(() => {});
        const { bytes, error } = await readToTheEnd(client.readable);
        const what = `${extra} bytes behind the handshake of about ${handshake}, ${eofPolicy}`;
        assert.strictEqual(bytes, arrives, `${what}: what arrived intact is delivered`);
        if (eofPolicy === "ignore" || (eofPolicy === "record-boundary" && at === "record")) {
          assert.strictEqual(error, undefined, what);
        } else {
          assert.strictEqual((error as { code?: string })?.code, "truncated", what);
          assert.strictEqual((error as { at?: string })?.at, at, what);
          const outcome = (
            (await rejection(client.closed)) as { outcome?: { how: string; truncatedAt: string } }
          ).outcome;
          assert.strictEqual(`${outcome?.how} ${outcome?.truncatedAt}`, `truncated ${at}`, what);
        }
        client.abort();
        server.abort();
      }
    }
  });

  QUnit.test("the transport's end within the handshake", async (assert) => {
    for (const bytes of [0, 3, 50, 700]) {
      const [near, far] = pair();
      acceptTls(far, serverOptions({ handshakeTimeout: 2_000 })).catch(() => {});
      const error = await tlsError(startTls(cutter(near, bytes), clientOptions()));
      assert.strictEqual(error.code, "truncated");
      assert.strictEqual((error as Error & { at?: string }).at, "handshake");
    }
  });

  QUnit.test("a BYOB reader gets its own buffer back, filled across records", async (assert) => {
    const [client, server] = await connected();
    const bytes = randomBytes(100_000, env.seed);
    const writing = writeAndClose(server.writable, bytes, 10_000);
    const reader = client.readable.getReader({ mode: "byob" });
    const got: Uint8Array[] = [];
    let buffer = new ArrayBuffer(30_000);
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done) break;
      assert.strictEqual(value.buffer.byteLength, 30_000);
      got.push(value.slice());
      buffer = value.buffer;
    }
    await writing;
    assert.strictEqual(await sha256(concat(got)), await sha256(bytes));
  });

  QUnit.test("a reader that gives up in between loses nothing", async (assert) => {
    const [client, server] = await connected();
    const first = client.readable.getReader({ mode: "byob" });
    const read = first.read(new Uint8Array(10));
    read.catch(() => {});
    first.releaseLock();
    await rejection(read);
    await write(server.writable, utf8("not for the first reader"));
    assert.strictEqual(text(await readAtLeast(client.readable, 24)), "not for the first reader");
  });

  QUnit.test("an empty write, and empty chunks from the transport", async (assert) => {
    const [near, far] = pair();
    const [client, server] = await connected([emptyChunks(near), far]);
    await write(client.writable, new Uint8Array(0), 1);
    const writer = client.writable.getWriter();
    await writer.write(new Uint8Array(0));
    writer.releaseLock();
    await carries(assert, server, client, utf8("after nothing"));
  });

  QUnit.test("what is no Uint8Array is refused, and the chunk's bytes may not vanish", async (assert) => {
    for (const bad of ["text", 7, null, [1, 2], new ArrayBuffer(4), new Uint16Array(2)]) {
      const [client] = await connected();
      const writer = client.writable.getWriter();
      assert.strictEqual(
        (await tlsError(writer.write(bad as unknown as Uint8Array))).code,
        "invalid-argument",
      );
    }
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const [client] = await connected([clog.transport, far]);
    clog.clog();
    const bytes = new Uint8Array(MiB);
    const writing = write(client.writable, bytes);
    writing.catch(() => {});
    await clog.stuck;
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    clog.release();
    assert.strictEqual((await tlsError(writing)).code, "invalid-argument");
  });

  QUnit.test("AbortSignal: in the handshake, and afterwards", async (assert) => {
    const reason = new Error("enough");
    const silent = pair()[0];
    const controller = new AbortController();
    const starting = startTls(silent, clientOptions({ signal: controller.signal }));
    starting.catch(() => {});
    assert.strictEqual(await within(starting, 50), PENDING);
    controller.abort(reason);
    assert.strictEqual(await rejection(starting), reason);

    const [near] = pair();
    assert.strictEqual(
      await rejection(startTls(near, clientOptions({ signal: AbortSignal.abort(reason) }))),
      reason,
    );
    assert.false(near.readable.locked, "a signal that fired before leaves the transport alone");

    const later = new AbortController();
    const [client, server] = await connected(pair(), { signal: later.signal });
    const reading = client.readable.getReader().read();
    reading.catch(() => {});
    await sleep(10);
    later.abort(reason);
    assert.strictEqual(await rejection(reading), reason);
    assert.strictEqual(await rejection(client.closed), reason);
    assert.true((await rejection(readAll(server.readable))) instanceof Error, "the peer sees no clean end");
  });

  QUnit.test("handshakeTimeout bounds a peer that says nothing", async (assert) => {
    const error = await tlsError(startTls(pair()[0], clientOptions({ handshakeTimeout: 100 })));
    assert.strictEqual(error.code, "timeout");
  });

  QUnit.test("close() does not wait for the peer, nor for ever for the transport", async (assert) => {
    const [client, server] = await connected();
    await client.close();
    assert.strictEqual((await client.closed).how, "closed-without-waiting");
    assert.strictEqual((await readAll(server.readable)).length, 0, "the peer sees a clean end");

    const [near, far] = pair();
    const clog = cloggable(near, false);
    const [stuck] = await connected([clog.transport, far]);
    clog.clog();
    write(stuck.writable, new Uint8Array(MiB)).catch(() => {});
    await clog.stuck;
    const begun = Date.now();
    await stuck.close();
    assert.true(Date.now() - begun < 5_000);
    assert.strictEqual((await tlsError(stuck.closed)).code, "timeout");
  });

  QUnit.test("shutdown() is bounded in time and in what it drops", async (assert) => {
    const [mute] = await connected();
    const error = await tlsError(mute.shutdown({ timeout: 100 }));
    assert.strictEqual(error.code, "timeout");

    const [client, server] = await connected();
    const flood = write(server.writable, new Uint8Array(MiB));
    flood.catch(() => {});
    assert.strictEqual((await tlsError(client.shutdown({ maxDiscard: 100_000 }))).code, "discard-limit");

    const [third, fourth] = await connected();
    const late = writeAndClose(fourth.writable, new Uint8Array(50_000));
    const { info } = await third.shutdown();
    await late;
    assert.strictEqual(info.discarded, 50_000);
    assert.strictEqual(info.how, "complete");
  });

  QUnit.test("shutdown() leaves what arrives to a reader, waiting or not", async (assert) => {
    const [client, server] = await connected();
    const bytes = randomBytes(300_000, env.seed);
    const reader = client.readable.getReader();
    const ending = client.shutdown();
    await writeAndClose(server.writable, bytes, 7_000);
    const got: Uint8Array[] = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      got.push(value);
      await sleep(1);
    }
    const { info } = await ending;
    assert.strictEqual(await sha256(concat(got)), await sha256(bytes));
    assert.strictEqual(info.discarded, 0);
  });

  QUnit.test("connections leave nothing behind in linear memory", async (assert) => {
    const openssl = await OpenSsl.load();
    const ways: ((client: TlsStream, server: TlsStream) => Promise<unknown>)[] = [
      (client, server) => Promise.all([client.shutdown(), server.shutdown()]),
      (client, server) => Promise.all([client.close(), server.close()]),
      async (client, server) => {
        client.abort(new Error("test"));
        await rejection(readAll(server.readable));
        await sleep(0);
      },
    ];
    const round = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const [client, server] = await connected(pair(), { openssl }, { openssl });
        await ways[i % ways.length]!(client, server);
      }
      // A handshake that fails.
      const [near, far] = pair();
      const failing = acceptTls(far, serverOptions({ openssl }));
      failing.catch(() => {});
      await rejection(startTls(near, clientOptions({ openssl, hostname: "elsewhere" })));
      await rejection(failing);
      await sleep(50);
      return openssl.memory;
    };
    await round(12);
    const before = openssl.memory;
    const after = await round(24);
    assert.strictEqual(after.size, before.size, "linear memory did not grow");
    assert.true(Math.abs(after.used - before.used) < 800, `${before.used} bytes before, ${after.used} after`);
  });
});

interface Assert {
  strictEqual(actual: unknown, expected: unknown, message?: string): void;
  true(value: boolean, message?: string): void;
}

/** Ends the readable, or errors it, as soon as `limit` bytes in all have come. */
function cutter(inner: Transport, limit: number | (() => number), error?: unknown): Transport {
  const reader = inner.readable.getReader();
  const most = () => (typeof limit === "number" ? limit : limit());
  let seen = 0;
  return {
    writable: inner.writable,
    readable: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const cut = () => (error === undefined ? controller.close() : controller.error(error));
          if (seen >= most()) return cut();
          const { done, value } = await reader.read();
          if (done) return controller.close();
          const part = value.subarray(0, Math.max(0, most() - seen));
          seen += part.length;
          if (part.length > 0) controller.enqueue(part);
          else cut();
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    ),
  };
}

/** Gathers what comes within a moment into one chunk, as a kernel's buffer does. */
function gathering(inner: Transport): Transport {
  const reader = inner.readable.getReader();
  let next = reader.read();
  return {
    writable: inner.writable,
    readable: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const chunks: Uint8Array[] = [];
          for (let first = true; ; first = false) {
            const result = first ? await next : await within(next, 30);
            if (result === PENDING) break;
            if (result.done) {
              if (chunks.length === 0) return controller.close();
              break;
            }
            chunks.push(result.value);
            next = reader.read();
          }
          controller.enqueue(concat(chunks));
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    ),
  };
}

async function readToTheEnd(
  readable: ReadableStream<Uint8Array>,
): Promise<{ bytes: number; error: unknown }> {
  const reader = readable.getReader();
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { bytes, error: undefined };
      bytes += value.length;
    }
  } catch (error) {
    return { bytes, error };
  }
}

/** Puts an empty chunk before every one that is received. */
function emptyChunks(inner: Transport): Transport {
  return {
    writable: inner.writable,
    readable: inner.readable.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          controller.enqueue(new Uint8Array(0));
          controller.enqueue(chunk);
        },
      }),
    ),
  };
}

QUnit.module("pump: what follows close_notify", () => {
  for (const bioPairSize of [8, 100]) {
    QUnit.test(
      `in one chunk with it, with a pair of ${bioPairSize} bytes, all of it is handed back`,
      async (assert) => {
        const plain = randomBytes(300, env.seed);
        let last = false;
        const [near, far] = pair();
        const joined = intercept(near, {
          async receive(chunk) {
            return [last ? concat([chunk, plain]) : chunk];
          },
        });
        const [client, server] = await connected([joined, far], { bioPairSize });
        last = true;
        await server.closeWrite();
        const { trailing } = await client.shutdown();
        assert.deepEqual(concat([trailing]), concat([plain]));
      },
    );
  }
});
