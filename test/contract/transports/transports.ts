/** Each transport, without TLS: what it promises in `src/transports` holds in every runtime. */
import QUnit from "qunit";
import type { Transport } from "wassl";
import { messagePortTransport } from "wassl/transports/message-port";
import { connectWebSocket, webSocketTransport } from "wassl/transports/websocket";
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
import { afterTest, env, type WorkerLike } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const MiB = 1024 * 1024;

/** Writes until the transport makes us wait, and gives the bytes that it took; at most `limit`. */
async function fill(transport: Transport, limit: number, piece = 64 * 1024): Promise<number> {
  const writer = transport.writable.getWriter();
  let taken = 0;
  while (taken < limit) {
    const pending = writer.write(new Uint8Array(piece));
    pending.catch(() => {});
    if ((await within(pending, 300)) === PENDING) break;
    taken += piece;
  }
  writer.releaseLock();
  return taken;
}

QUnit.module("transports: the runtime's own", () => {
  QUnit.test("bytes go round in order", async (assert) => {
    const transport = await env.connect("tcp?do=echo");
    const bytes = randomBytes(MiB, env.seed);
    const writing = write(transport.writable, bytes, 50_000);
    const back = await readAtLeast(transport.readable, bytes.byteLength);
    await writing;
    assert.strictEqual(await sha256(concat([back])), await sha256(bytes), `seed ${env.seed}`);
  });

  QUnit.test("the peer's end ends the readable", async (assert) => {
    const transport = await env.connect("tcp?do=end-first");
    assert.strictEqual(text(await readAll(transport.readable)), "hello");
  });

  if (typeof document === "undefined") {
    QUnit.test("half-close: the peer answers after our end", async (assert) => {
      const transport = await env.connect("tcp?do=reply-after-end");
      await writeAndClose(transport.writable, utf8("question"));
      assert.strictEqual(text(await readAll(transport.readable)), "question");
    });

    QUnit.test("half-close: we write after the peer's end", async (assert) => {
      await env.events("tcp?do=end-first");
      const transport = await env.connect("tcp?do=end-first");
      assert.strictEqual(text(await readAll(transport.readable)), "hello");
      await writeAndClose(transport.writable, utf8("late"));
      await sleep(100);
      assert.deepEqual(await env.events("tcp?do=end-first"), ["data late", "end", "close"]);
    });
  }

  QUnit.test("a reset errors the readable", async (assert) => {
    const transport = await env.connect("raw?do=http-400&then=reset");
    await write(transport.writable, utf8("anything"));
    assert.true((await rejection(readAll(transport.readable))) instanceof Error);
  });

  QUnit.test("a peer that does not read makes writes wait", async (assert) => {
    const transport = await env.connect("tcp?do=never-read");
    const taken = await fill(transport, 256 * MiB, MiB);
    assert.true(taken < 64 * MiB, `${taken} bytes were taken`);
  });
});

QUnit.module("transports: websocket", () => {
  const open = (path: string, options: Parameters<typeof connectWebSocket>[1] = {}) => {
    const abort = new AbortController();
    afterTest(() => abort.abort());
    return connectWebSocket(env.ws(path), { WebSocket: env.WebSocket, signal: abort.signal, ...options });
  };

  QUnit.test("bytes go round in order; large chunks are cut, empty ones skipped", async (assert) => {
    const transport = await open("/ws/echo");
    const bytes = randomBytes(2 * MiB + 1, env.seed);
    const writing = (async () => {
      await write(transport.writable, bytes.subarray(0, MiB));
      await transport.writable.getWriter().write(new Uint8Array(0));
    })();
    const first = await readAtLeast(transport.readable, MiB);
    await writing;
    assert.strictEqual(await sha256(concat([first])), await sha256(bytes.slice(0, MiB)), `seed ${env.seed}`);
  });

  QUnit.test("chunks are plain Uint8Arrays of at most 64 KiB", async (assert) => {
    const transport = await open("/ws/echo");
    await write(transport.writable, new Uint8Array(200_000));
    const reader = transport.readable.getReader();
    const { value } = await reader.read();
    assert.strictEqual(Object.getPrototypeOf(value), Uint8Array.prototype);
    assert.strictEqual(value?.byteLength, 65536);
  });

  QUnit.test("writable.close() closes the socket, and the readable ends", async (assert) => {
    const transport = await open("/ws/echo");
    await write(transport.writable, utf8("last words"));
    assert.strictEqual(text(await readAtLeast(transport.readable, 10)), "last words");
    await transport.writable.close();
    assert.strictEqual((await readAll(transport.readable)).byteLength, 0);
  });

  QUnit.test("a close with code 1000 ends the readable; writing fails", async (assert) => {
    const transport = await open("/ws/close?code=1000");
    assert.strictEqual(text(await readAll(transport.readable)), "hello");
    assert.strictEqual((await tlsError(write(transport.writable, utf8("x")))).code, "closed");
  });

  QUnit.test("another close code is an error that names code and reason", async (assert) => {
    const transport = await open("/ws/close?code=4321&reason=because");
    const error = await tlsError(readAll(transport.readable));
    assert.strictEqual(error.code, "transport");
    assert.true(/4321/.test(error.message) && /because/.test(error.message), error.message);
    assert.strictEqual(
      await rejection(write(transport.writable, utf8("x"))),
      error,
      "the writable has it too",
    );
  });

  QUnit.test("what came before an error is read first", async (assert) => {
    const transport = await open("/ws/close?code=1000");
    await sleep(100);
    assert.strictEqual(text(await readAll(transport.readable)), "hello");
  });

  QUnit.test("a connection that breaks is an error, not an end", async (assert) => {
    const transport = await open("/ws/terminate");
    await write(transport.writable, new Uint8Array(1));
    const error = await tlsError(readAll(transport.readable));
    assert.strictEqual(error.code, "transport");
    assert.true(/1006/.test(error.message) || env.runtime === "deno", error.message);
  });

  QUnit.test("a text frame is an error", async (assert) => {
    const transport = await open("/ws/text");
    const error = await tlsError(readAll(transport.readable));
    assert.strictEqual(error.code, "transport");
    assert.true(/text frame/.test(error.message), error.message);
  });

  QUnit.test("a failed connect rejects, and names the URL", async (assert) => {
    const url = env.ws("/ws/refuse");
    const error = await tlsError(connectWebSocket(url, { WebSocket: env.WebSocket }));
    assert.strictEqual(error.code, "transport");
    assert.true(error.message.includes(url), error.message);
    const nobody = await tlsError(connectWebSocket("ws://127.0.0.1:49151/", { WebSocket: env.WebSocket }));
    assert.strictEqual(nobody.code, "transport");
    const malformed = await tlsError(connectWebSocket("ws://[", { WebSocket: env.WebSocket }));
    assert.strictEqual(malformed.code, "transport");
  });

  QUnit.test("a signal ends the connecting with its own reason", async (assert) => {
    const abort = new AbortController();
    const reason = new Error("changed my mind");
    const connecting = connectWebSocket(env.ws("/ws/hang"), {
      WebSocket: env.WebSocket,
      signal: abort.signal,
    });
    setTimeout(() => abort.abort(reason), 50);
    assert.strictEqual(await rejection(connecting), reason);
    const aborted = AbortSignal.abort(reason);
    const path = env.ws("/ws/echo");
    assert.strictEqual(
      await rejection(connectWebSocket(path, { WebSocket: env.WebSocket, signal: aborted })),
      reason,
    );
  });

  QUnit.test("a signal aborts the open transport", async (assert) => {
    const abort = new AbortController();
    const reason = new Error("enough");
    const transport = await open("/ws/echo", { signal: abort.signal });
    const reading = rejection(readAll(transport.readable));
    abort.abort(reason);
    assert.strictEqual(await reading, reason);
    assert.strictEqual(await rejection(write(transport.writable, utf8("x"))), reason);
  });

  QUnit.test("abort() errors the readable; cancel() errors the writable", async (assert) => {
    const aborted = await open("/ws/echo");
    const reading = tlsError(readAll(aborted.readable));
    await aborted.writable.abort(new Error("no"));
    assert.strictEqual((await reading).code, "transport");
    const cancelled = await open("/ws/echo");
    await cancelled.readable.cancel();
    assert.strictEqual((await tlsError(write(cancelled.writable, utf8("x")))).code, "closed");
  });

  QUnit.test("a peer that does not read makes writes wait", async (assert) => {
    const transport = await open("/ws/never-read", { maxBufferedAmount: 100_000 });
    const taken = await fill(transport, 256 * MiB, MiB);
    assert.true(taken < 32 * MiB, `${taken} bytes were taken`);
    await transport.writable.abort();
  });

  QUnit.test(
    "a reader that sleeps fails the transport at maxUnread, unless the socket can be paused",
    async (assert) => {
      const transport = await open(`/ws/source?bytes=${8 * MiB}&seed=1`, { maxUnread: 2 * MiB });
      await sleep(500);
      if ("pause" in env.WebSocket.prototype) {
        const bytes = await readAtLeast(transport.readable, 8 * MiB);
        assert.strictEqual(await sha256(concat([bytes])), await sha256(randomBytes(8 * MiB, 1)));
      } else {
        const error = await tlsError(readAll(transport.readable));
        assert.strictEqual(error.code, "transport");
        assert.true(error.message.includes(String(2 * MiB)), error.message);
      }
    },
  );

  QUnit.test("a socket that is still connecting can be wrapped", async (assert) => {
    const transport = webSocketTransport(new env.WebSocket(env.ws("/ws/echo")));
    afterTest(() => transport.writable.abort());
    await write(transport.writable, utf8("early"));
    assert.strictEqual(text(await readAtLeast(transport.readable, 5)), "early");
  });

  QUnit.test("only Uint8Arrays can be written", async (assert) => {
    const transport = await open("/ws/echo");
    const writer = transport.writable.getWriter();
    assert.strictEqual((await tlsError(writer.write("text" as never))).code, "invalid-argument");
  });
});

QUnit.module("transports: message-port", () => {
  const channel = (options?: { window?: number }): [Transport, Transport, MessageChannel] => {
    const ports = new MessageChannel();
    afterTest(() => {
      ports.port1.close();
      ports.port2.close();
    });
    return [messagePortTransport(ports.port1, options), messagePortTransport(ports.port2, options), ports];
  };

  QUnit.test("bytes go through in order, both ways at once", async (assert) => {
    const [a, b] = channel();
    const there = randomBytes(3 * MiB + 5, env.seed);
    const back = randomBytes(2 * MiB + 7, env.seed + 1);
    const [gotThere, gotBack] = await Promise.all([
      readAll(b.readable),
      readAll(a.readable),
      writeAndClose(a.writable, there, 100_000),
      writeAndClose(b.writable, back),
    ]);
    assert.strictEqual(await sha256(gotThere), await sha256(there), `seed ${env.seed}`);
    assert.strictEqual(await sha256(gotBack), await sha256(back));
  });

  QUnit.test("the writer's memory stays its own", async (assert) => {
    const [a, b] = channel();
    const bytes = utf8("mine");
    await write(a.writable, bytes);
    bytes.fill(0);
    assert.strictEqual(text(await readAtLeast(b.readable, 4)), "mine");
    assert.strictEqual(bytes.byteLength, 4);
  });

  QUnit.test("half-close: the answer comes after the end", async (assert) => {
    const [a, b] = channel();
    await writeAndClose(a.writable, utf8("question"));
    assert.strictEqual(text(await readAll(b.readable)), "question");
    await writeAndClose(b.writable, utf8("answer"));
    assert.strictEqual(text(await readAll(a.readable)), "answer");
  });

  QUnit.test("a reader that sleeps makes writes wait at its window", async (assert) => {
    const [a, b] = channel({ window: 100_000 });
    const taken = await fill(a, MiB, 10_000);
    assert.strictEqual(taken, 100_000);
    await readAtLeast(b.readable, 100_000);
    assert.true((await fill(a, MiB, 10_000)) > 0, "reading lets writes go on");
  });

  QUnit.test("abort() errors the other end, both ways, and our readable", async (assert) => {
    const [a, b] = channel();
    const theirs = tlsError(readAll(b.readable));
    const ours = tlsError(readAll(a.readable));
    await a.writable.abort(new Error("no more"));
    const error = await theirs;
    assert.strictEqual(error.code, "transport");
    assert.true(error.message.includes("no more"), error.message);
    assert.strictEqual((await ours).code, "transport");
    assert.strictEqual(await rejection(write(b.writable, utf8("x"))), error);
  });

  QUnit.test("cancel() errors the other end's writable only", async (assert) => {
    const [a, b] = channel();
    await a.readable.cancel("not interested");
    await sleep(50);
    const error = await tlsError(write(b.writable, utf8("x")));
    assert.true(error.message.includes("not interested"), error.message);
    await writeAndClose(a.writable, utf8("but I say"));
    assert.strictEqual(text(await readAll(b.readable)), "but I say");
  });

  QUnit.test("a write that waits is told when the other end cancels or aborts", async (assert) => {
    for (const give of [
      (t: Transport) => t.readable.cancel("full"),
      (t: Transport) => t.writable.abort("full"),
    ]) {
      const [a, b] = channel({ window: 1000 });
      const writer = a.writable.getWriter();
      const writing = rejection(writer.write(new Uint8Array(5000)).then(() => writer.closed));
      await sleep(50);
      await give(b);
      assert.true(String(await writing).includes("full"));
    }
  });

  // In Deno nothing tells.
  const unlessDeno: typeof QUnit.test | undefined = "Deno" in globalThis ? undefined : QUnit.test;
  unlessDeno?.("a worker that is terminated: what it had sent arrives, and then an error", async (assert) => {
    const { port1, port2 } = new MessageChannel();
    afterTest(() => port1.close());
    const transport = messagePortTransport(port1);
    let worker!: WorkerLike;
    await new Promise<void>((resolve) => {
      worker = env.startWorker("port", () => resolve());
      (worker as Worker).postMessage({ port: port2, bytes: 100_000 }, [port2]);
    });
    const reading = readAll(transport.readable);
    // It may fail before terminate() has settled.
    reading.catch(() => {});
    await sleep(100);
    await worker.terminate();
    const error = await tlsError(Promise.race([reading, sleep(5_000).then(() => new Error("nothing"))]));
    assert.strictEqual(error.code, "transport");
    assert.strictEqual((await tlsError(write(transport.writable, utf8("x")))).code, "transport");
  });

  // Browsers do not show it, by anything that leaves the port as it is.
  const inNode: typeof QUnit.test | undefined =
    unlessDeno && "process" in globalThis ? QUnit.test : undefined;
  inNode?.("a port that was transferred away swallows nothing: writes fail", async (assert) => {
    const { port1, port2 } = new MessageChannel();
    const other = messagePortTransport(port2);
    const transport = messagePortTransport(port1);
    await write(transport.writable, utf8("before"));
    assert.strictEqual(text(await readAtLeast(other.readable, 6)), "before");
    const elsewhere = new MessageChannel();
    afterTest(() => elsewhere.port1.close());
    elsewhere.port1.postMessage("yours", [port1]);
    await sleep(50);
    assert.strictEqual((await tlsError(write(transport.writable, utf8("lost")))).code, "transport");
  });

  QUnit.test("many small messages that wait cost no more each than few", async (assert) => {
    const take = async (count: number) => {
      const { port1, port2 } = new MessageChannel();
      afterTest(() => port1.close());
      const { readable } = messagePortTransport(port1, { window: count });
      for (let i = 0; i < count; i++) port2.postMessage(new Uint8Array(1));
      port2.postMessage({ end: true });
      await sleep(100 + count / 50);
      const reader = readable.getReader();
      const begun = performance.now();
      for (let got = 0; got < count; got++) await reader.read();
      return (performance.now() - begun) / count;
    };
    await take(1_000);
    // Where each costs in proportion to how many wait, it is ten times as much; a machine that is busy slows both.
    const few = await take(10_000);
    const dear = (each: number) => each > 3 * few + 0.02;
    let many = await take(100_000);
    if (dear(many)) many = await take(100_000);
    assert.false(dear(many), `${(1000 * many).toFixed(1)} µs each, of few ${(1000 * few).toFixed(1)} µs`);
  });

  QUnit.test("a foreign message, or more than was granted, is an error", async (assert) => {
    for (const message of ["hello", { credit: -1 }, null, new Uint8Array(2000)]) {
      const ports = new MessageChannel();
      const transport = messagePortTransport(ports.port1, { window: 1000 });
      ports.port2.postMessage(message);
      assert.strictEqual((await tlsError(readAll(transport.readable))).code, "transport", String(message));
      ports.port2.close();
    }
  });

  QUnit.test("only Uint8Arrays can be written", async (assert) => {
    const [a] = channel();
    const writer = a.writable.getWriter();
    assert.strictEqual((await tlsError(writer.write("text" as never))).code, "invalid-argument");
  });
});
