/** `wassl/transports/node` with duplexes of several kinds; what holds for every transport is in test/contract. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Duplex, PassThrough } from "node:stream";
import QUnit from "qunit";
import { startTls } from "wassl";
import { nodeTransport } from "wassl/transports/node";
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
} from "../helpers/basics.ts";
import { over } from "../helpers/both-ends.ts";
import { afterTest, env } from "../helpers/env.ts";

/** Both ends of a TCP connection. */
async function tcp(allowHalfOpen = true): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen });
  const [accepted] = (await once(server, "connection")) as [Socket];
  server.close();
  for (const socket of [client, accepted]) {
    socket.on("error", () => {});
    afterTest(() => socket.destroy());
  }
  return [client, accepted];
}

QUnit.module("transports: node", () => {
  QUnit.test("chunks are plain Uint8Arrays, not Buffers", async (assert) => {
    const [client, peer] = await tcp();
    peer.write("bytes");
    const { value } = await nodeTransport(client).readable.getReader().read();
    assert.strictEqual(Object.getPrototypeOf(value), Uint8Array.prototype);
    assert.strictEqual(text(value!), "bytes");
  });

  QUnit.test("nothing is read until somebody asks", async (assert) => {
    const [client, peer] = await tcp();
    nodeTransport(client);
    let taken = 0;
    const writeOn = () => {
      while (taken < 256 * 2 ** 20 && peer.write(new Uint8Array(2 ** 20))) taken += 2 ** 20;
    };
    peer.on("drain", writeOn);
    writeOn();
    await sleep(300);
    assert.true(taken < 64 * 2 ** 20, `${taken} bytes were taken`);
    assert.true(client.readableLength <= 256 * 1024, `${client.readableLength} bytes wait`);
  });

  QUnit.test("close() sends the FIN, and reading goes on until the peer's", async (assert) => {
    const [client, peer] = await tcp();
    const transport = nodeTransport(client);
    const other = nodeTransport(peer);
    await writeAndClose(transport.writable, utf8("question"));
    assert.strictEqual(text(await readAll(other.readable)), "question");
    await writeAndClose(other.writable, utf8("answer"));
    assert.strictEqual(text(await readAll(transport.readable)), "answer");
    await sleep(20);
    assert.true(client.destroyed && peer.destroyed, "with both directions ended the sockets are closed");
  });

  QUnit.test("abort() settles a write that is stuck, and destroys", async (assert) => {
    const [client, peer] = await tcp();
    peer.pause();
    const transport = nodeTransport(client);
    const writer = transport.writable.getWriter();
    const stuck = rejection(writer.write(new Uint8Array(64 * 2 ** 20)));
    assert.strictEqual(await within(stuck, 200), PENDING);
    const reading = tlsError(readAll(transport.readable));
    await writer.abort(new Error("enough"));
    assert.true((await stuck) instanceof Error);
    const error = await reading;
    assert.strictEqual(error.code, "transport");
    assert.strictEqual((error.cause as Error).message, "enough");
    assert.true(client.destroyed);
  });

  QUnit.test("cancel() destroys, but what was ended before still leaves", async (assert) => {
    const [client, peer] = await tcp();
    const transport = nodeTransport(client);
    const bytes = new Uint8Array(4 * 2 ** 20);
    const writing = writeAndClose(transport.writable, bytes);
    const cancelling = writing.then(() => transport.readable.cancel());
    assert.strictEqual((await readAll(nodeTransport(peer).readable)).byteLength, bytes.byteLength);
    await cancelling;
    assert.true(client.destroyed);
    const [idle] = await tcp();
    const other = nodeTransport(idle);
    await other.readable.cancel();
    assert.true(idle.destroyed);
    assert.strictEqual((await tlsError(write(other.writable, utf8("x")))).code, "closed");
  });

  QUnit.test("closing with bytes unread takes nothing of what was written from the peer", async (assert) => {
    const [client, peer] = await tcp();
    peer.pause();
    // More than the client's own buffer holds, so that the kernel has bytes that are not read.
    peer.write(new Uint8Array(2 ** 20));
    const transport = nodeTransport(client);
    const bytes = new Uint8Array(2 ** 20);
    await write(transport.writable, bytes);
    const closing = transport.writable.close();
    const cancelling = transport.readable.cancel();
    await closing;
    await sleep(100);
    assert.strictEqual((await readAll(nodeTransport(peer).readable)).byteLength, bytes.byteLength);
    peer.end();
    await cancelling;
    assert.true(client.destroyed);
  });

  QUnit.test("the duplex's error is the cause, on both sides", async (assert) => {
    const cause = new Error("out of order");
    const duplex = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const transport = nodeTransport(duplex);
    const reading = tlsError(readAll(transport.readable));
    duplex.destroy(cause);
    const error = await reading;
    assert.strictEqual(error.code, "transport");
    assert.strictEqual(error.cause, cause);
    assert.strictEqual(await rejection(write(transport.writable, utf8("x"))), error);
  });

  QUnit.test("a connect that fails is an error of the transport", async (assert) => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    const error = await tlsError(readAll(nodeTransport(connect({ port, host: "127.0.0.1" })).readable));
    assert.strictEqual(error.code, "transport");
    assert.true(error.message.includes("ECONNREFUSED"), error.message);
  });

  QUnit.test("a duplex that was destroyed, failed or ended before", async (assert) => {
    const destroyed = new PassThrough();
    destroyed.destroy();
    assert.strictEqual((await tlsError(readAll(nodeTransport(destroyed).readable))).code, "transport");
    const cause = new Error("earlier");
    const failed = new PassThrough();
    failed.on("error", () => {});
    failed.destroy(cause);
    await sleep(5);
    assert.strictEqual((await tlsError(readAll(nodeTransport(failed).readable))).cause, cause);
    const closedEarly = new PassThrough();
    const transport = nodeTransport(closedEarly);
    const reading = tlsError(readAll(transport.readable));
    closedEarly.destroy();
    assert.strictEqual((await reading).code, "transport", "destroyed is not ended");
  });

  QUnit.test("a write that fails behind the peer's end gives the duplex up", async (assert) => {
    const reset = Object.assign(new Error("write ECONNRESET"), { syscall: "write" });
    const duplex = new Duplex({
      allowHalfOpen: true,
      read() {},
      write: (_chunk, _encoding, done) => done(reset),
    });
    const transport = nodeTransport(duplex);
    duplex.push(null);
    assert.strictEqual((await readAll(transport.readable)).byteLength, 0);
    assert.strictEqual((await tlsError(write(transport.writable, utf8("x")))).code, "transport");
    await sleep(20);
    assert.true(duplex.destroyed, "nobody else would do it");
  });

  QUnit.test("a duplex of strings is refused", async (assert) => {
    const duplex = new PassThrough({ encoding: "utf8" });
    duplex.write("text");
    assert.strictEqual((await tlsError(readAll(nodeTransport(duplex).readable))).code, "invalid-argument");
  });

  QUnit.test("who had the duplex before hears nothing, and cannot make it deaf", async (assert) => {
    const [client, peer] = await tcp();
    const heard: string[] = [];
    client.on("data", (chunk) => heard.push(String(chunk)));
    peer.write("in the clear");
    await once(client, "data");
    const reader = nodeTransport(client).readable.getReader();
    client.on("data", (chunk) => heard.push(String(chunk)));
    client.pipe(new PassThrough());
    peer.write("one");
    assert.strictEqual(await next(reader), "one");
    client.removeAllListeners();
    peer.write("two");
    assert.strictEqual(await next(reader), "two");
    client.removeAllListeners("readable");
    peer.end("three");
    assert.strictEqual(await next(reader), "three");
    assert.strictEqual(await next(reader), "the end");
    assert.deepEqual(heard, ["in the clear"]);
  });

  QUnit.test("text is refused, before and after", async (assert) => {
    const [early] = await tcp();
    early.setEncoding("utf8");
    assert.strictEqual((await tlsError(readAll(nodeTransport(early).readable))).code, "invalid-argument");
    const [client, peer] = await tcp();
    const reader = nodeTransport(client).readable.getReader();
    assert.throws(() => client.setEncoding("utf8"), /carries bytes, and no text/);
    peer.write("bytes");
    assert.strictEqual(await next(reader), "bytes");
  });

  QUnit.test("closeWrite() ends behind what was written, while the writable is locked", async (assert) => {
    const [client, peer] = await tcp();
    const transport = nodeTransport(client);
    const writer = transport.writable.getWriter();
    await writer.write(utf8("last words"));
    transport.closeWrite!();
    assert.strictEqual(text(await readAll(nodeTransport(peer).readable)), "last words");
    peer.end("an answer");
    assert.strictEqual(text(await readAll(transport.readable)), "an answer");
    await writer.close();
  });
});

/** The next chunk as text. */
async function next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const result = await within(reader.read(), 2000);
  if (result === PENDING) return "nothing";
  return result.done ? "the end" : text(result.value);
}

/** TLS takes a transport's bytes without its streams. Whoever asks for these meanwhile sees them in use. */
QUnit.module("transports: node, without streams", () => {
  const both = async () => {
    const [client, peer] = await tcp();
    return [nodeTransport(client), nodeTransport(peer)] as const;
  };

  for (const when of ["before", "while", "after"]) {
    QUnit.test(`streams that are asked for ${when} TLS has the transport`, async (assert) => {
      const transports = await both();
      const ask = () => transports.map(({ readable, writable }) => [readable.locked, writable.locked]);
      if (when === "before") assert.deepEqual(ask().flat(), [false, false, false, false]);
      const [client, server] = await over(transports);
      if (when === "while") assert.deepEqual(ask().flat(), [true, true, true, true]);
      const bytes = new Uint8Array(300_000).fill(7);
      const reading = readAtLeast(server.readable, bytes.length);
      await write(client.writable, bytes);
      assert.strictEqual((await reading).length, bytes.length);
      const ends = await Promise.all([client.shutdown(), server.shutdown()]);
      assert.deepEqual(
        ends.map(({ transport }) => transport),
        [...transports],
      );
      assert.deepEqual(ask().flat(), [false, false, false, false]);
      const [near, far] = transports;
      await write(near.writable, utf8("plain"));
      assert.strictEqual(text(await readAtLeast(far.readable, 5)), "plain");
      // And TLS once more, over streams that are there now.
      const [again, other] = await over(transports);
      await write(other.writable, utf8("again"));
      assert.strictEqual(text(await readAtLeast(again.readable, 5)), "again");
      await again.close();
    });
  }

  QUnit.test("a stream that is in use is refused, and TLS leaves it alone", async (assert) => {
    const [near] = await both();
    const reader = near.readable.getReader();
    const error = await tlsError(startTls(near, { hostname: "localhost", caCerts: env.certs.caPem }));
    assert.strictEqual(error.code, "invalid-argument");
    reader.releaseLock();
    const [one] = await both();
    const first = startTls(one, { hostname: "localhost", caCerts: env.certs.caPem });
    first.catch(() => {});
    const second = await tlsError(startTls(one, { hostname: "localhost", caCerts: env.certs.caPem }));
    assert.strictEqual(second.code, "invalid-argument");
  });
});
