/** The open connection against real servers: bulk, half-close, every way to end, and no more memory than needed. */
import QUnit from "qunit";
import { OpenSsl, startTls, TlsError, type TlsStream, TlsTruncationError } from "wassl";
import { pair } from "../../fakes/pair.ts";
import { oneByte, randomChunks } from "../../fakes/wrappers.ts";
import {
  eventsOf,
  PENDING,
  readAll,
  readAtLeast,
  rejection,
  sha256,
  sleep,
  text,
  tlsError,
  utf8,
  viaFault,
  within,
  write,
  writeAndClose,
} from "../../helpers/basics.ts";
import { connected, over } from "../../helpers/both-ends.ts";
import { connectTls } from "../../helpers/connect.ts";
import { env } from "../../helpers/env.ts";
import { random, randomBytes } from "../../helpers/random.ts";
import { nginxFile } from "../../peers/nginx-file.ts";

const MiB = 1024 * 1024;

/** A peer that no other test has talked to yet. */
async function fresh(peer: string): Promise<string> {
  await env.peer(peer);
  await env.events(peer);
  return peer;
}

QUnit.module("streams: bulk", () => {
  for (const version of ["1.2", "1.3"]) {
    QUnit.test(`4 MiB go round, TLS ${version}`, async (assert) => {
      const stream = await connectTls(`tls?version=${version}`);
      const bytes = randomBytes(4 * MiB, env.seed);
      const [back] = await Promise.all([
        readAll(stream.readable),
        writeAndClose(stream.writable, bytes, 300_000),
      ]);
      assert.strictEqual(await sha256(back), await sha256(bytes), `seed ${env.seed}`);
      assert.strictEqual((await stream.closed).how, "complete");
    });
  }

  QUnit.test("8 MiB from nginx, in packets of any size", async (assert) => {
    const stream = await connectTls(viaFault("trickle=9973", "nginx"));
    const request = `GET /${nginxFile.name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
    await write(stream.writable, utf8(request));
    const response = await readAll(stream.readable);
    const body = response.slice(response.byteLength - nginxFile.length);
    assert.strictEqual(await sha256(body), await sha256(randomBytes(nginxFile.length, nginxFile.seed)));
    await stream.close();
  });

  QUnit.test("a server that reads slowly gets it all", async (assert) => {
    const stream = await connectTls("tls?do=sink&pace=1");
    const bytes = randomBytes(3 * MiB, env.seed);
    await writeAndClose(stream.writable, bytes, MiB);
    const reply = JSON.parse(text(await readAll(stream.readable))) as { length: number; sha256: string };
    assert.deepEqual(reply, { length: bytes.byteLength, sha256: await sha256(bytes) }, `seed ${env.seed}`);
  });

  QUnit.test("a BYOB reader's own buffer is filled", async (assert) => {
    const stream = await connectTls("tls");
    const bytes = randomBytes(100_000, env.seed);
    const writing = writeAndClose(stream.writable, bytes);
    const reader = stream.readable.getReader({ mode: "byob" });
    const back = new Uint8Array(bytes.byteLength);
    let buffer = new ArrayBuffer(10_000);
    let at = 0;
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer, 0, 10_000));
      if (done || !value) break;
      back.set(value, at);
      at += value.byteLength;
      buffer = value.buffer;
      assert.strictEqual(buffer.byteLength, 10_000);
    }
    await writing;
    assert.strictEqual(at, bytes.byteLength);
    assert.strictEqual(await sha256(back), await sha256(bytes), `seed ${env.seed}`);
  });

  QUnit.test("over a transport that gives and takes one byte at a time", async (assert) => {
    const transport = oneByte(await env.connect("tls"));
    const stream = await startTls(transport, { hostname: "localhost", caCerts: env.certs.caPem });
    const [back] = await Promise.all([
      readAll(stream.readable),
      writeAndClose(stream.writable, utf8("byte by byte")),
    ]);
    assert.strictEqual(text(back), "byte by byte");
  });

  QUnit.test("over a transport that cuts the stream anywhere, with BIO pairs of any size", async (assert) => {
    for (const bioPairSize of [1, 100, 5000, 17_408, 100_000, "as needed"]) {
      const transport = randomChunks(await env.connect("tls"), env.seed);
      const options = { hostname: "localhost", caCerts: env.certs.caPem };
      const fixed = typeof bioPairSize === "number" ? { bioPairSize } : {};
      const stream = await startTls(transport, { ...options, ...fixed });
      const bytes = randomBytes(bioPairSize === 1 ? 20_000 : 200_000, env.seed);
      const [back] = await Promise.all([
        readAll(stream.readable),
        writeAndClose(stream.writable, bytes, 70_000),
      ]);
      assert.strictEqual(
        await sha256(back),
        await sha256(bytes),
        `bioPairSize ${bioPairSize}, seed ${env.seed}`,
      );
    }
  });
});

QUnit.module("streams: an idle connection", () => {
  QUnit.test(
    "has no room for records, and again after each burst, small or large, either way",
    async (assert) => {
      const openssl = await OpenSsl.load();
      const before = openssl.memory.used;
      const fixed = await connected({ openssl, bioPairSize: 17_408 }, { openssl, bioPairSize: 17_408 });
      const withRoom = openssl.memory.used - before;
      fixed.client.abort();
      fixed.server.abort();
      const { client, server } = await connected({ openssl }, { openssl });
      const idle = openssl.memory.used - before;
      assert.true(idle < withRoom - 4 * 16_384, `${idle} of ${withRoom} bytes, both ends`);
      const next = random(env.seed);
      for (let i = 0; i < 40; i++) {
        const bytes = randomBytes(Math.ceil(200_000 ** next()), env.seed + i);
        const [from, to] = next() < 0.5 ? [client, server] : [server, client];
        const [back] = await Promise.all([
          readAtLeast(to.readable, bytes.byteLength),
          write(from.writable, bytes, Math.ceil(100_000 ** (0.5 + next() / 2))),
        ]);
        assert.deepEqual(back, bytes, `seed ${env.seed}, burst ${i} of ${bytes.byteLength} bytes`);
        const now = openssl.memory.used - before;
        // The first use makes what the instance keeps for all of them.
        assert.true(now < idle + 65_536 + 1024, `${now} bytes after burst ${i}, ${idle} before`);
      }
    },
  );
});

QUnit.module("streams: half-close", () => {
  for (const version of ["1.2", "1.3"]) {
    QUnit.test(`the peer answers after our close_notify, TLS ${version}`, async (assert) => {
      const stream = await connectTls(`tls?do=reply-after-end&version=${version}`);
      await writeAndClose(stream.writable, utf8("question"));
      assert.deepEqual(stream.shutdownFlags, { sent: true, received: false });
      assert.strictEqual(text(await readAll(stream.readable)), "question");
      const info = await stream.closed;
      assert.strictEqual(info.how, "complete");
      assert.true(info.sentCloseNotify && info.receivedCloseNotify);
    });

    // A relay's WebSocket is gone when the server's FIN follows its close_notify, so the server keeps that back.
    const peer = viaFault("hold=fin", `tls?do=end-first&version=${version}`);
    QUnit.test(`we write after the peer's close_notify, TLS ${version}`, async (assert) => {
      const server = await fresh(`tls?do=end-first&version=${version}`);
      const stream = await connectTls(peer);
      assert.strictEqual(text(await readAll(stream.readable)), "hello\n");
      assert.deepEqual(stream.shutdownFlags, { sent: false, received: true });
      await writeAndClose(stream.writable, utf8("late"));
      const events = await eventsOf(server, /^end/);
      assert.true(events.includes(`read 4 ${await sha256(utf8("late"))}`), events.join());
      assert.strictEqual((await stream.closed).how, "complete");
    });
  }

  QUnit.test("closeWrite() comes after all that was written", async (assert) => {
    const server = await fresh("tls?do=sink&pace=0");
    const stream = await connectTls(server);
    const bytes = randomBytes(MiB, env.seed);
    const writer = stream.writable.getWriter();
    const writing = writer.write(bytes);
    await stream.closeWrite();
    await writing;
    const events = await eventsOf(server, /^end/);
    assert.true(events.includes(`read ${bytes.byteLength} ${await sha256(bytes)}`), events.join());
  });
});

QUnit.module("streams: asked for only after the end", () => {
  QUnit.test("they are as they would be if they had been asked for before", async (assert) => {
    const [client, server] = await over(pair());
    const ends = await Promise.all([client.shutdown(), server.shutdown()]);
    assert.deepEqual(
      ends.map(({ info }) => info.how),
      ["complete", "complete"],
    );
    for (const { readable, writable } of [client, server]) {
      assert.deepEqual(await within(readable.getReader().read(), 3_000), { done: true, value: undefined });
      const error = await rejection(within(writable.getWriter().write(utf8("late")), 3_000));
      assert.strictEqual((error as TlsError).code, "closed");
    }
  });

  QUnit.test("after an abort both give its reason, and are the same streams each time", async (assert) => {
    const [[early], [late]] = [await over(pair()), await over(pair())];
    const reason = new Error("enough");
    const before = [early.readable, early.writable];
    for (const stream of [early, late]) {
      stream.abort(reason);
      const { readable, writable } = stream;
      assert.true(stream.readable === readable && stream.writable === writable);
      assert.strictEqual(await rejection(within(readable.getReader().read(), 3_000)), reason);
      const writer = writable.getWriter();
      assert.strictEqual(await rejection(within(writer.write(utf8("late")), 3_000)), reason);
      assert.strictEqual(await rejection(within(writer.closed, 3_000)), reason);
    }
    assert.true(before[0] === early.readable && before[1] === early.writable);
  });

  QUnit.test("closeWrite() before the writable was asked for closes it", async (assert) => {
    const [client, server] = await over(pair());
    await client.closeWrite();
    assert.strictEqual((await readAll(server.readable)).length, 0);
    const error = await rejection(within(client.writable.getWriter().write(utf8("late")), 3_000));
    assert.strictEqual((error as TlsError).code, "closed");
    await write(server.writable, utf8("still"));
    assert.strictEqual(text(await readAtLeast(client.readable, 5)), "still");
  });
});

QUnit.module("streams: the end", () => {
  QUnit.test("shutdown() gives the transport back, and what followed in plaintext", async (assert) => {
    const stream = await connectTls("tls?do=plaintext-after");
    await write(stream.writable, utf8("in TLS"));
    const { transport, trailing, info } = await stream.shutdown();
    assert.strictEqual(info.how, "complete");
    const hello = utf8("plain hello\n");
    const rest = await readAtLeast(transport.readable, hello.byteLength - trailing.byteLength);
    assert.strictEqual(text(trailing) + text(rest), "plain hello\n");
    await write(transport.writable, utf8("again"));
    assert.strictEqual(text(await readAtLeast(transport.readable, 11)), "plain again");
  });

  QUnit.test(
    "a peer that does not answer: shutdown() has its timeout, close() does not wait",
    async (assert) => {
      const waiting = await connectTls("tls?do=mute");
      const begin = Date.now();
      await waiting.close();
      assert.true(Date.now() - begin < 3000, `${Date.now() - begin} ms`);
      assert.strictEqual((await waiting.closed).how, "closed-without-waiting");

      const patient = await connectTls("tls?do=mute");
      const error = await tlsError(patient.shutdown({ timeout: 300 }));
      assert.strictEqual(error.code, "timeout");
      assert.strictEqual(await rejection(patient.closed), error);
    },
  );

  QUnit.test("close_notify from a peer that keeps the connection open ends the readable", async (assert) => {
    const stream = await connectTls("tls?do=end-and-wait");
    assert.strictEqual(text(await readAll(stream.readable)), "bye\n");
    await stream.close();
    assert.true((await stream.closed).receivedCloseNotify);
  });

  QUnit.test("a FIN without close_notify is a truncation, after all data was read", async (assert) => {
    for (const version of ["1.2", "1.3"]) {
      const stream = await connectTls(`tls?do=no-close-notify&version=${version}`);
      assert.strictEqual(text(await readAtLeast(stream.readable, 8)), "cut off\n");
      const error = await rejection(readAll(stream.readable));
      assert.true(error instanceof TlsTruncationError, String(error));
      if (!(error instanceof TlsTruncationError)) return;
      assert.strictEqual(error.code, "truncated");
      assert.strictEqual(error.at, "record");
      const closed = await rejection(stream.closed);
      assert.true(closed instanceof TlsError && closed.outcome?.how === "truncated", String(closed));
    }
  });

  QUnit.test("a FIN in the middle of a record is a worse truncation", async (assert) => {
    const stream = await connectTls(viaFault("cut=50000", "tls?do=source&bytes=200000&seed=3"));
    const error = await rejection(readAll(stream.readable));
    assert.true(error instanceof TlsTruncationError, String(error));
    if (error instanceof TlsTruncationError) assert.strictEqual(error.at, "mid-record");
  });

  QUnit.test("eofPolicy", async (assert) => {
    const between = "tls?do=no-close-notify";
    const within = viaFault("cut=50000", "tls?do=source&bytes=200000&seed=3");
    for (const eofPolicy of ["record-boundary", "ignore"] as const) {
      const stream = await connectTls(between, { eofPolicy });
      assert.strictEqual(text(await readAll(stream.readable)), "cut off\n", eofPolicy);
      await stream.close();
    }
    const strict = await connectTls(within, { eofPolicy: "record-boundary" });
    assert.true((await rejection(readAll(strict.readable))) instanceof TlsTruncationError);
    const lax = await connectTls(within, { eofPolicy: "ignore" });
    const got = await readAll(lax.readable);
    assert.strictEqual(await sha256(got), await sha256(randomBytes(200_000, 3).slice(0, got.byteLength)));
    assert.true(got.byteLength > 10_000);
  });

  QUnit.test("a reset is a transport error with its cause", async (assert) => {
    const stream = await connectTls(viaFault("reset=50000", "tls?do=source&bytes=200000&seed=3"));
    const error = await tlsError(readAll(stream.readable));
    assert.strictEqual(error.code, "transport", error.message);
    assert.notStrictEqual(error.cause, undefined);
    assert.strictEqual(await rejection(stream.closed), error);
  });

  QUnit.test("a changed byte is noticed, and the peer is told", async (assert) => {
    const server = await fresh("tls?do=echo&of=flip");
    const stream = await connectTls(viaFault("flip=20000", server));
    await write(stream.writable, new Uint8Array(30_000));
    const error = await tlsError(readAll(stream.readable));
    assert.true(["protocol", "alert"].includes(error.code), `${error.code}: ${error.message}`);
    assert.strictEqual(await rejection(stream.closed), error);
    const events = await eventsOf(server, /^error/);
    assert.true(/ALERT_BAD_RECORD_MAC/.test(events.join()), events.join());
  });

  QUnit.test("close() tells the peer that all is well", async (assert) => {
    const server = await fresh("tls?do=sink&pace=0");
    const stream = await connectTls(server);
    await write(stream.writable, utf8("fine"));
    await stream.close();
    // Node.js takes a bare FIN for an end, too; but then that comes second.
    const events = await eventsOf(server, /^transport end/);
    assert.true(events.slice(0, events.indexOf("transport end")).includes("end"), events.join());
  });

  QUnit.test("abort() does not: the peer sees a truncation", async (assert) => {
    const server = await fresh("tls?do=mute&of=abort");
    const stream = await connectTls(server);
    const reading = rejection(readAll(stream.readable));
    const reason = new Error("enough");
    stream.abort(reason);
    assert.strictEqual(await reading, reason);
    assert.strictEqual(await rejection(write(stream.writable, utf8("x"))), reason);
    assert.strictEqual(await rejection(stream.closed), reason);
    const events = await eventsOf(server, /^transport/);
    assert.true(
      events.some((event) => event.startsWith("transport")),
      events.join(),
    );
    assert.false(events.slice(0, events.indexOf("transport end")).includes("end"), events.join());
  });

  QUnit.test("the signal aborts an open connection, too", async (assert) => {
    const abort = new AbortController();
    const stream = await connectTls("tls", { signal: abort.signal });
    await write(stream.writable, utf8("x"));
    const reading = rejection(readAll(stream.readable));
    const reason = new Error("that will do");
    setTimeout(() => abort.abort(reason), 20);
    assert.strictEqual(await reading, reason);
    assert.strictEqual(await rejection(stream.closed), reason);
  });

  QUnit.test("writing after the end, and what is no Uint8Array", async (assert) => {
    const stream = await connectTls("tls");
    await stream.writable.close();
    // Any error: Node.js 20 has an assertion of its own that fails here, for every WritableStream.
    const writing = Promise.resolve().then(() => stream.writable.getWriter().write(utf8("x")));
    assert.true((await rejection(writing)) instanceof Error);
    const other = await connectTls("tls");
    for (const value of ["text", 5, null, new ArrayBuffer(5)]) {
      const fresh = value === "text" ? other : await connectTls("tls");
      const error = await tlsError(fresh.writable.getWriter().write(value as never));
      assert.strictEqual(error.code, "invalid-argument");
    }
  });
});

QUnit.module("streams: backpressure", () => {
  QUnit.test("a peer that does not read makes writes wait", async (assert) => {
    const stream: TlsStream = await connectTls("tls?do=stuck");
    const writer = stream.writable.getWriter();
    let taken = 0;
    while (taken < 256 * MiB) {
      const writing = writer.write(new Uint8Array(MiB));
      writing.catch(() => {});
      if ((await within(writing, 400)) === PENDING) break;
      taken += MiB;
    }
    assert.true(taken < 64 * MiB, `${taken} bytes were taken`);
    stream.abort();
  });

  // A browser's WebSocket cannot be paused; there `maxUnread` is the bound.
  if (typeof document === "undefined") {
    QUnit.test("a side that does not read makes the peer wait", async (assert) => {
      const server = await fresh(`tls?do=source&bytes=${64 * MiB}&of=backpressure`);
      const stream = await connectTls(server);
      await readAtLeast(stream.readable, 1);
      // Until it has been stuck for a while.
      let events = await env.events(server);
      for (let more = events; more.length > 0; more = await env.events(server)) {
        events = more;
        await sleep(400);
      }
      const sent = events.filter((event) => event.startsWith("sent")).at(-1);
      assert.true(Number(sent?.slice(5)) < 32 * MiB, sent);
      await sleep(200);
      assert.deepEqual(await env.events(server), [], "and it goes on waiting");
      assert.strictEqual((await readAll(stream.readable)).byteLength > 63 * MiB, true, "then all comes");
    });
  }
});
