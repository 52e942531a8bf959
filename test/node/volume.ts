/** A gibibyte through a peer that is slower than we are: neither linear memory nor the process grows with it. */
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import QUnit from "qunit";
import { OpenSsl, startTls } from "wassl";
import { nodeTransport } from "wassl/transports/node";
import { afterTest, env } from "../helpers/env.ts";
import { randomBytes } from "../helpers/random.ts";

const MiB = 2 ** 20;
const GiB = 1024 * MiB;

QUnit.module("volume", () => {
  QUnit.test("1 GiB through a slow peer keeps memory flat", async (assert) => {
    assert.timeout(280_000);
    const { chains, keys, caPem } = env.certs;
    const piece = randomBytes(MiB, env.seed);
    let received = 0;
    let wrongAt: number | undefined;
    const ended = new Promise<void>((resolve, reject) => {
      // The cipher that takes us the least time: this is about memory.
      const ciphers = "TLS_CHACHA20_POLY1305_SHA256";
      const server = createServer({ cert: chains.ecdsa, key: keys.ecdsa, ciphers }, (socket: TLSSocket) => {
        let sincePause = 0;
        socket.on("data", (chunk: Buffer) => {
          for (let at = 0; at < chunk.length; ) {
            const expected = piece.subarray((received + at) % MiB);
            const part = chunk.subarray(at, at + expected.length);
            if (!part.equals(expected.subarray(0, part.length))) wrongAt ??= received + at;
            at += part.length;
          }
          received += chunk.length;
          sincePause += chunk.length;
          if (sincePause < 4 * MiB) return;
          // By its pauses alone it takes 5 s.
          sincePause = 0;
          socket.pause();
          setTimeout(() => socket.resume(), 20);
        });
        socket.on("end", resolve);
        socket.on("error", reject);
      });
      server.listen(0, "127.0.0.1");
      afterTest(() => server.close());
      listening = once(server, "listening").then(() => (server.address() as AddressInfo).port);
    });
    const socket = connect({ host: "127.0.0.1", port: await listening });
    afterTest(() => socket.destroy());
    await once(socket, "connect");
    const openssl = await OpenSsl.load();
    const tls = await startTls(nodeTransport(socket), { hostname: "localhost", caCerts: caPem, openssl });

    const writer = tls.writable.getWriter();
    for (let i = 0; i < 8; i++) await writer.write(piece);
    const before = { linear: openssl.memory.size, used: openssl.memory.used, process: inUse() };
    let most = 0;
    for (let sent = 8 * MiB; sent < GiB; sent += MiB) {
      await writer.write(piece);
      // Not each time: asking is a good part of what the piece itself takes.
      if (sent % (8 * MiB) === 0) most = Math.max(most, inUse());
    }
    assert.strictEqual(openssl.memory.size, before.linear, "linear memory");
    assert.true(openssl.memory.used <= before.used + 1000, "and what is allocated in it");
    const grown = Math.round((most - before.process) / MiB);
    assert.true(grown < 96, `the process grew by ${grown} MiB at most`);
    await writer.close();
    await ended;
    assert.strictEqual(received, GiB);
    assert.strictEqual(wrongAt, undefined, "where it differs from what was sent");
    await tls.close();
  });
});

let listening: Promise<number>;

/** Bytes of buffers and heap; garbage that waits for collection counts, so it is a bound, not a measure. */
function inUse(): number {
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}
