/**
 * How connections end, judged from outside: by a peer that is not ours and says what it received, or by what a fault in
 * TCP left of what was sent. docs/shutdown.md has a row for each id.
 *
 * The peers are node:tls, `openssl s_server` and `gnutls-serv` (see test/peers). Each connection has one of its own.
 */
import QUnit from "qunit";
import { acceptTls, TlsError, type TlsStream, TlsTruncationError } from "wassl";
import {
  eventsOf,
  readAll,
  readAtLeast,
  rejection,
  sha256,
  sleep,
  text,
  tlsError,
  utf8,
  viaFault,
  write,
  writeAndClose,
} from "../../helpers/basics.ts";
import { connectTls } from "../../helpers/connect.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const MiB = 2 ** 20;
const versions = ["1.2", "1.3"] as const;
type Version = (typeof versions)[number];

/**
 * Length of a close_notify record, with ChaCha20-Poly1305: header 5, alert 2, tag 16, and in TLS 1.3 a content type.
 */
const alertRecord = { "1.2": 23, "1.3": 24 };

let names = 0;
/** A peer that only this test talks to, so that what it logs is about one connection. */
const own = (peer: string, version: Version) => `${peer}&version=${version}&id=${++names}`;

/** The peer says that it received close_notify, ahead of the transport's end if it had seen that. */
async function toldOfTheEnd(assert: Assert, peer: string, what: string): Promise<void> {
  const events = await eventsOf(peer, /^(end$|transport|error|alert)/);
  const first = events.find((event) => /^(end$|transport|error|alert)/.test(event));
  assert.strictEqual(first, "end", `${what}: ${events.join()}`);
}

/** The peer says that it read exactly these bytes, and then close_notify. */
async function gotAll(assert: Assert, peer: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const events = await eventsOf(peer, /^(read|transport|error)/);
  const wanted = `read ${bytes.byteLength} ${await sha256(bytes)}`;
  assert.deepEqual(
    events.filter((event) => /^(end|read|transport)/.test(event)).slice(0, 2),
    ["end", wanted],
    `${events.join()}, seed ${env.seed}`,
  );
}

async function same(assert: Assert, got: Uint8Array<ArrayBuffer>, wanted: Uint8Array<ArrayBuffer>) {
  assert.strictEqual(got.byteLength, wanted.byteLength, "the length");
  assert.strictEqual(await sha256(got), await sha256(wanted), `the bytes, seed ${env.seed}`);
}

/** Reads on until it fails: what came before, and the failure. */
async function readToFailure(stream: TlsStream): Promise<[Uint8Array<ArrayBuffer>, unknown]> {
  const chunks: Uint8Array[] = [];
  const reader = stream.readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Error("a clean end");
      chunks.push(value);
    }
  } catch (error) {
    return [new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer()), error];
  }
}

/** `error` says where it was truncated, and `closed` rejects with the same. */
async function truncated(assert: Assert, stream: TlsStream, error: unknown, at: string): Promise<void> {
  assert.true(error instanceof TlsTruncationError, String(error));
  if (!(error instanceof TlsTruncationError)) return;
  assert.strictEqual(error.at, at);
  assert.strictEqual(await rejection(stream.closed), error);
  assert.strictEqual(error.outcome?.how, "truncated");
  assert.false(error.outcome?.receivedCloseNotify);
}

/** Whatever peer serves: it reads, and answers our close_notify. */
const servers = { "node:tls": "tls?do=sink&pace=0", openssl: "openssl?", gnutls: "gnutls?" };

async function acceptFrom(peer: string): Promise<TlsStream> {
  const { chains, keys } = env.certs;
  const stream = await acceptTls(await env.connect(peer), { cert: chains.ecdsa, key: keys.ecdsa });
  afterTest(() => stream.abort());
  return stream;
}

QUnit.module("black-box: close_notify is sent", () => {
  const told = async (assert: Assert, end: (stream: TlsStream) => Promise<unknown>) => {
    for (const version of versions) {
      for (const [name, server] of Object.entries(servers)) {
        const peer = own(server, version);
        const stream = await connectTls(peer);
        await write(stream.writable, utf8("a line\n"));
        // A peer that still writes when the transport is closed has its write fail, and may never get to close_notify.
        if (name !== "node:tls") await readAtLeast(stream.readable, 7);
        await end(stream);
        await toldOfTheEnd(assert, peer, `${name}, TLS ${version}`);
      }
      const client = own("tls?role=client&do=sink&pace=0", version);
      const stream = await acceptFrom(client);
      await write(stream.writable, utf8("a line\n"));
      await end(stream);
      await toldOfTheEnd(assert, client, `node:tls as the client, TLS ${version}`);
    }
  };

  QUnit.test("black-box-01 closeWrite() and writable.close()", async (assert) => {
    await told(assert, (stream) => stream.closeWrite());
    await told(assert, (stream) => stream.writable.close());
  });

  QUnit.test("black-box-02 shutdown()", async (assert) => {
    await told(assert, async (stream) => {
      assert.strictEqual((await stream.shutdown()).info.how, "complete");
    });
  });

  QUnit.test("black-box-03 close()", async (assert) => {
    await told(assert, (stream) => stream.close());
  });

  QUnit.test("black-box-04 the peer's close_notify is answered, by each of them", async (assert) => {
    const answers: Record<string, (stream: TlsStream) => Promise<unknown>> = {
      "closeWrite()": (stream) => stream.closeWrite(),
      "writable.close()": (stream) => stream.writable.close(),
      "shutdown()": (stream) => stream.shutdown(),
      "close()": (stream) => stream.close(),
    };
    for (const version of versions) {
      for (const [name, answer] of Object.entries(answers)) {
        const peer = own("tls?do=end-first", version);
        // Its FIN is held back: it would end a relay's WebSocket, both ways.
        const stream = await connectTls(viaFault("hold=fin", peer));
        assert.strictEqual(text(await readAll(stream.readable)), "hello\n");
        await answer(stream);
        await toldOfTheEnd(assert, peer, `${name}, TLS ${version}`);
        const info = await stream.closed;
        assert.true(info.sentCloseNotify && info.receivedCloseNotify, `${name}: ${info.how}`);
      }
    }
  });

  QUnit.test(
    "black-box-05 abort() sends none: an end that is none is not to be taken for one",
    async (assert) => {
      for (const version of versions) {
        const peer = own("tls?do=sink&pace=0", version);
        const stream = await connectTls(peer);
        await write(stream.writable, utf8("half of it"));
        stream.abort();
        const events = await eventsOf(peer, /^transport/);
        const first = events.find((event) => /^(end|transport)/.test(event));
        assert.true(first?.startsWith("transport"), `TLS ${version}: ${events.join()}`);
      }
    },
  );
});

QUnit.module("black-box: truncation is detected", () => {
  const source = (bytes: number) => `tls?do=source&bytes=${bytes}&seed=${env.seed}`;

  QUnit.test(
    "black-box-06 at a record's edge, after all of 1 MiB: only close_notify is missing",
    async (assert) => {
      for (const version of versions) {
        for (const peer of [
          own(`${source(MiB)}&then=fin`, version),
          own(`${source(MiB)}&trim=${alertRecord[version]}`, version),
        ]) {
          const stream = await connectTls(peer);
          const [got, error] = await readToFailure(stream);
          await same(assert, got, randomBytes(MiB, env.seed));
          await truncated(assert, stream, error, "record");
        }
      }
    },
  );

  QUnit.test(
    "black-box-07 in the middle of a record, after all of 1 MiB: a part of close_notify is missing",
    async (assert) => {
      for (const version of versions) {
        for (const trim of [1, alertRecord[version] - 5, alertRecord[version] - 1]) {
          const stream = await connectTls(own(`${source(MiB)}&trim=${trim}`, version));
          const [got, error] = await readToFailure(stream);
          await same(assert, got, randomBytes(MiB, env.seed));
          await truncated(assert, stream, error, "mid-record");
        }
      }
    },
  );

  QUnit.test(
    "black-box-08 in the middle of the data: all intact records, and not a byte more",
    async (assert) => {
      for (const version of versions) {
        // The last record of data lacks its last byte.
        const stream = await connectTls(own(`${source(MiB)}&trim=${alertRecord[version] + 1}`, version));
        const [got, error] = await readToFailure(stream);
        await same(assert, got, randomBytes(MiB, env.seed).slice(0, MiB - 16_384));
        await truncated(assert, stream, error, "mid-record");
      }
    },
  );

  QUnit.test("black-box-09 in the handshake", async (assert) => {
    for (const version of versions) {
      // ServerHello's header, its middle, and among the rest.
      for (const cut of [1, 5, 60, 400]) {
        const error = await rejection(connectTls(viaFault(`cut=${cut}`, own("tls?do=echo", version))));
        assert.true(error instanceof TlsTruncationError, String(error));
        if (error instanceof TlsTruncationError) assert.strictEqual(error.at, "handshake", `cut=${cut}`);
      }
    }
  });

  QUnit.test("black-box-10 a reset: the data before it, then the transport's own error", async (assert) => {
    for (const version of versions) {
      const stream = await connectTls(own("tls?do=reset", version));
      const [got, error] = await readToFailure(stream);
      assert.strictEqual(text(got), "reset follows\n");
      assert.true(error instanceof TlsError, String(error));
      if (!(error instanceof TlsError)) return;
      assert.strictEqual(error.code, "transport", error.message);
      assert.notStrictEqual(error.cause, undefined);
      assert.strictEqual(await rejection(stream.closed), error);
      assert.strictEqual(error.outcome?.how, "failed");
    }
  });

  QUnit.test("black-box-11 after our own close_notify", async (assert) => {
    for (const version of versions) {
      const half = () => own(`tls?do=source&after=end&bytes=${MiB}&seed=${env.seed}&then=fin`, version);
      const stream = await connectTls(half());
      await stream.closeWrite();
      const [got, error] = await readToFailure(stream);
      await same(assert, got, randomBytes(MiB, env.seed));
      await truncated(assert, stream, error, "record");

      const other = await connectTls(half());
      const shutting = await tlsError(other.shutdown());
      await truncated(assert, other, shutting, "record");
    }
  });
});

QUnit.module("black-box: half-close", () => {
  QUnit.test("black-box-12 closeWrite(), and 1 MiB is read that the peer sends then", async (assert) => {
    for (const version of versions) {
      const peer = own(`tls?do=source&after=end&bytes=${MiB}&seed=${env.seed}`, version);
      const stream = await connectTls(peer);
      const question = randomBytes(MiB, env.seed + 1);
      await writeAndClose(stream.writable, question);
      await gotAll(assert, peer, question);
      await same(assert, await readAll(stream.readable), randomBytes(MiB, env.seed));
      assert.strictEqual((await stream.closed).how, "complete");
    }
  });

  QUnit.test("black-box-13 the peer half-closes, and gets 1 MiB that we send then", async (assert) => {
    for (const version of versions) {
      const peer = own("tls?do=end-first", version);
      const stream = await connectTls(viaFault("hold=fin", peer));
      assert.strictEqual(text(await readAll(stream.readable)), "hello\n");
      const bytes = randomBytes(MiB, env.seed);
      await writeAndClose(stream.writable, bytes);
      await gotAll(assert, peer, bytes);
      assert.strictEqual((await stream.closed).how, "complete");
    }
  });
});

QUnit.module("black-box: nothing is lost", () => {
  QUnit.test("black-box-14 4 MiB are written, then close(): the peer has them all", async (assert) => {
    for (const version of versions) {
      for (const waiting of [true, false]) {
        const peer = own("tls?do=sink&pace=0", version);
        const stream = await connectTls(peer);
        const bytes = randomBytes(4 * MiB, env.seed);
        const writer = stream.writable.getWriter();
        const writing: Promise<void>[] = [];
        for (let at = 0; at < bytes.byteLength; at += 100_000) {
          writing.push(writer.write(bytes.subarray(at, at + 100_000)));
          if (waiting) await writing.at(-1);
        }
        await stream.close();
        await Promise.all(writing);
        await gotAll(assert, peer, bytes);
      }
    }
  });

  QUnit.test(
    "black-box-15 the peer sends 4 MiB, close_notify and FIN at once: a late reader has them all",
    async (assert) => {
      for (const version of versions) {
        const stream = await connectTls(own(`tls?do=source&bytes=${4 * MiB}&seed=${env.seed}`, version));
        await sleep(200);
        const chunks: Uint8Array[] = [];
        const reader = stream.readable.getReader();
        for (let i = 0; ; i++) {
          const { done, value } = await reader.read();
          if (done) break;
          chunks.push(value);
          if (i < 10) await sleep(10);
        }
        const got = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
        await same(assert, got, randomBytes(4 * MiB, env.seed));
        assert.true(stream.shutdownFlags.received);
      }
    },
  );

  QUnit.test(
    "black-box-16 what arrives after our close_notify is the reader's, in shutdown() too",
    async (assert) => {
      for (const version of versions) {
        const peer = own(`tls?do=source&after=end&bytes=${MiB}&seed=${env.seed}`, version);
        const stream = await connectTls(peer);
        const reading = readAll(stream.readable);
        const { info } = await stream.shutdown();
        await same(assert, await reading, randomBytes(MiB, env.seed));
        assert.strictEqual(info.how, "complete");
        assert.strictEqual(info.discarded, 0);
      }
    },
  );

  QUnit.test("black-box-17 a write of any length is whole, 1 MiB and around a record's", async (assert) => {
    for (const version of versions) {
      for (const length of [1, 16_383, 16_384, 16_385, 32_768, 65_537, MiB]) {
        const peer = own("tls?do=sink&pace=0", version);
        const stream = await connectTls(peer);
        const bytes = randomBytes(length, env.seed);
        await writeAndClose(stream.writable, bytes);
        await gotAll(assert, peer, bytes);
        await stream.close();
      }
    }
  });

  QUnit.test("black-box-18 1 MiB each way at once, as client and as server", async (assert) => {
    for (const version of versions) {
      for (const role of ["server", "client"]) {
        const peer = own(`tls?role=${role}&do=echo`, version);
        const stream = role === "client" ? await acceptFrom(peer) : await connectTls(peer);
        const bytes = randomBytes(MiB, env.seed);
        const [got] = await Promise.all([
          readAll(stream.readable),
          writeAndClose(stream.writable, bytes, 300_000),
        ]);
        await same(assert, got, bytes);
        assert.strictEqual((await stream.closed).how, "complete");
        await toldOfTheEnd(assert, peer, `TLS ${version}`);
      }
    }
  });

  QUnit.test(
    "black-box-19 what follows the peer's close_notify on the transport is handed over",
    async (assert) => {
      for (const version of versions) {
        const stream = await connectTls(own("tls?do=plaintext-after", version));
        await write(stream.writable, utf8("in TLS"));
        const { transport, trailing } = await stream.shutdown();
        const wanted = "plain hello\n";
        const rest = await readAtLeast(transport.readable, wanted.length - trailing.byteLength);
        assert.strictEqual(text(trailing) + text(rest), wanted);
      }
    },
  );
});
