/** Blocking mode: one thread waits (test/workers/blocking.ts does what it is told), this one carries its bytes. */
import QUnit from "qunit";
import { acceptTls, startTls, TlsContext, type TlsVersion, type Transport } from "wassl";
import { BlockingTransport, carry, newChannel } from "wassl/blocking";
import { pair } from "../../fakes/pair.ts";
import { HANDSHAKE, Tls13Client } from "../../fakes/tls13-client.ts";
import { cloggable, failingWriter, intercept, tap } from "../../fakes/wrappers.ts";
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
import { afterTest, env, share } from "../../helpers/env.ts";
import { random, randomBytes } from "../../helpers/random.ts";
import { blocking, type Remote, type RemoteError, startThread, takeThread } from "../../helpers/thread.ts";

const trusting = () => ({ caCerts: env.certs.caPem });
const identity = () => ({ cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa });

/** A client that blocks, and a server here. */
async function connected(
  options: {
    client?: Parameters<Remote["connect"]>[0];
    version?: TlsVersion;
    size?: number;
    transports?: [Transport, Transport];
    signal?: AbortSignal;
    thread?: Remote;
  } = {},
) {
  const { client = {}, version, size, transports: [near, far] = pair(), signal, thread } = options;
  const parts = await blocking(near, {
    ...(size && { size }),
    ...(signal && { signal }),
    ...(thread && { thread }),
  });
  const [info, server] = await Promise.all([
    parts.remote.connect({ ...trusting(), ...client, ...(version && { maxVersion: version }) }),
    acceptTls(far, identity()),
  ]);
  afterTest(() => server.abort());
  return { ...parts, info, server, near, far };
}

const remoteError = (promise: Promise<unknown>) => tlsError(promise) as Promise<RemoteError>;

/** Registers a test for each version of TLS. */
function each(name: string, body: (assert: Assert, version: TlsVersion) => Promise<void>): void {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    QUnit.test(`${name}, ${version}`, (assert) => body(assert, version));
  }
}

QUnit.module("blocking: SSL_shutdown(3)", () => {
  each(
    "blocking-01 it returns only once its step is finished: 0 with close_notify sent, 1 with the peer's received",
    async (assert, version) => {
      const { remote, carried, server, near } = await connected({ version });
      assert.strictEqual(await remote.shutdown(), 0, "the first call");
      assert.strictEqual((await readAll(server.readable)).length, 0, "the peer has it");
      assert.deepEqual(server.shutdownFlags, { sent: false, received: true });
      const second = remote.shutdown();
      assert.strictEqual(await within(second, 50), PENDING, "the second call waits");
      await server.closeWrite();
      assert.strictEqual(await second, 1);
      assert.strictEqual(await remote.shutdown(), 1, "and again");
      const { sent, received, closed } = await remote.state();
      assert.true(sent && received);
      assert.deepEqual(closed, {
        sentCloseNotify: true,
        receivedCloseNotify: true,
        how: "complete",
        resumable: true,
        discarded: 0,
      });
      await remote.release();
      const { how, transport } = await carried;
      assert.strictEqual(how, "released");
      assert.strictEqual(transport, near);
      assert.false(near.readable.locked || near.writable.locked);
    },
  );

  each(
    "blocking-02 the first call returns 1 when the peer's close_notify was read",
    async (assert, version) => {
      const { remote, server } = await connected({ version });
      await writeAndClose(server.writable, utf8("bye"));
      assert.strictEqual(text(await remote.readAll()), "bye");
      assert.strictEqual((await remote.read(10)).length, 0, "the end stays the end");
      const { sent, received } = await remote.state();
      assert.deepEqual({ sent, received }, { sent: false, received: true });
      assert.strictEqual(await remote.shutdown(), 1);
      assert.strictEqual((await remote.state()).closed?.how, "complete");
      assert.strictEqual((await readAll(server.readable)).length, 0);
    },
  );

  each("blocking-03 it has arrived, but nobody has read it: 0, then 1 at once", async (assert, version) => {
    const { remote, server } = await connected({ version });
    await server.closeWrite();
    await sleep(30);
    assert.strictEqual(await remote.shutdown(0), 0);
    assert.strictEqual(await remote.shutdown(0), 1);
  });

  each("blocking-04 data ahead of the peer's close_notify is not lost", async (assert, version) => {
    const { remote, server } = await connected({ version });
    assert.strictEqual(await remote.shutdown(), 0);
    const bytes = randomBytes(30_000, env.seed);
    const sending = writeAndClose(server.writable, bytes);
    for (let i = 0; i < 2; i++) {
      const error = await remoteError(remote.shutdown());
      assert.strictEqual(error.code, "unread-data", error.message);
    }
    assert.deepEqual(await remote.readAll(1000), bytes, "all of it");
    await sending;
    assert.strictEqual(await remote.shutdown(), 1);
    assert.strictEqual((await remote.state()).closed?.how, "complete");
  });

  each("blocking-05 quiet: nothing is sent, and it returns 1", async (assert, version) => {
    const [near, far] = pair();
    const tapped = tap(near);
    const { remote, server, carried } = await connected({
      version,
      client: { quietShutdown: true },
      transports: [tapped.transport, far],
    });
    await sleep(30);
    const before = tapped.sent().length;
    assert.strictEqual(await remote.shutdown(), 1);
    const { closed, sent, received } = await remote.state();
    assert.true(sent && received);
    assert.strictEqual(closed?.how, "quiet");
    assert.false(closed?.sentCloseNotify);
    await remote.plainClose();
    assert.strictEqual((await carried).how, "closed");
    assert.strictEqual((await tlsError(readAll(server.readable))).code, "truncated");
    assert.strictEqual(tapped.sent().length, before);
  });

  each("blocking-06 out of time it may be called again, in either step", async (assert, version) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const { remote, server } = await connected({ version, transports: [clog.transport, far], size: 8 });
    await sleep(30);
    clog.clog();
    for (let i = 0; i < 3; i++) {
      const error = await remoteError(remote.shutdown(20));
      assert.strictEqual(error.code, "timeout", error.message);
      assert.strictEqual(error.name, "BlockingTimeoutError");
    }
    const first = remote.shutdown();
    clog.release();
    assert.strictEqual(await first, 0);
    for (let i = 0; i < 3; i++) {
      assert.strictEqual((await remoteError(remote.shutdown(20))).code, "timeout");
    }
    assert.strictEqual((await readAll(server.readable)).length, 0);
    await server.closeWrite();
    assert.strictEqual(await remote.shutdown(1000), 1);
  });

  each("blocking-07 the transport ends instead of the peer's close_notify", async (assert, version) => {
    const { remote, server, far } = await connected({ version });
    assert.strictEqual(await remote.shutdown(), 0);
    await readAll(server.readable);
    const second = remoteError(remote.shutdown());
    server.abort();
    await far.writable.close().catch(() => {});
    const error = await second;
    assert.true(["truncated", "transport"].includes(error.code), error.message);
    assert.strictEqual((await remoteError(remote.shutdown())).code, error.code, "and it stays so");
    assert.strictEqual((await remoteError(remote.read(10))).code, error.code);
  });

  each("blocking-08 behind the close_notify of both the transport goes on", async (assert, version) => {
    for (const where of ["here", "there"]) {
      const transport = await env.connect(`tls?do=plaintext-after&version=${version.slice(4)}`);
      const { remote, carried } = await blocking(transport, { size: 64 });
      await remote.connect(trusting());
      await remote.write(utf8("in TLS"));
      assert.strictEqual(await remote.shutdown(), 0);
      assert.strictEqual(await remote.shutdown(), 1);
      if (where === "there") {
        let got = "";
        while (!got.includes("\n")) got += text(await remote.plainRead(100));
        assert.strictEqual(got, "plain hello\n");
        await remote.plainWrite(utf8("echo"));
        got = "";
        while (got.length < 10) got += text(await remote.plainRead(100));
        assert.strictEqual(got, "plain echo");
        await remote.plainClose();
        assert.strictEqual((await carried).how, "closed");
      } else {
        // Some of it has been received by now, perhaps.
        await sleep(20);
        await remote.release();
        const { how, transport: again, trailing } = await carried;
        assert.strictEqual(how, "released");
        const rest = 12 - trailing.length;
        const more = rest > 0 ? await readAtLeast(again.readable, rest) : new Uint8Array(0);
        assert.strictEqual(text(concat([trailing, more])), "plain hello\n");
        await write(again.writable, utf8("echo"));
        assert.strictEqual(text(await readAtLeast(again.readable, 10)), "plain echo");
        await again.writable.close();
      }
    }
  });
});

QUnit.module("blocking: independent peers", () => {
  for (const version of ["1.2", "1.3"]) {
    QUnit.test(`openssl s_server, TLS ${version}`, async (assert) => {
      const { remote } = await blocking(await env.connect(`openssl?version=${version}`));
      const info = await remote.connect(trusting());
      assert.strictEqual(info.protocol, `TLSv${version}`);
      assert.true(info.verified);
      await remote.write(utf8("a line of text\n"));
      assert.strictEqual(text(await remote.read(100)), "txet fo enil a\n");
      assert.strictEqual(await remote.shutdown(), 0);
      assert.strictEqual(await remote.shutdown(5000), 1);
    });

    QUnit.test(`node:tls as the client of a server that blocks, TLS ${version}`, async (assert) => {
      // A peer of our own: runtimes are tested at the same time.
      const name = `tls?role=client&do=echo&version=${version}&for=blocking-${env.runtime}`;
      const { remote, carried } = await blocking(await env.connect(name));
      const info = await remote.accept(identity());
      assert.strictEqual(info.protocol, `TLSv${version}`);
      assert.strictEqual(info.serverName, "localhost");
      const bytes = randomBytes(5000, env.seed);
      await remote.write(bytes);
      assert.strictEqual(await remote.shutdown(), 0);
      assert.deepEqual(await remote.readAll(), bytes);
      assert.strictEqual(await remote.shutdown(), 1);
      await remote.plainClose();
      // The peer closes too, and may be the first.
      await carried.catch(() => {});
      const events: string[] = [];
      for (let i = 0; i < 50 && !events.includes("transport end"); i++) {
        events.push(...(await env.events(name)));
        await sleep(20);
      }
      assert.true(events.includes("end"), `it saw our close_notify: ${events}`);
      assert.true(events.indexOf("end") < events.indexOf("transport end"), `${events}`);
    });

    QUnit.test(`half-close: the answer comes after our close_notify, TLS ${version}`, async (assert) => {
      const { remote } = await blocking(await env.connect(`tls?do=reply-after-end&version=${version}`));
      await remote.connect(trusting());
      const bytes = randomBytes(200_000, env.seed);
      assert.strictEqual(await remote.write(bytes), bytes.length);
      await remote.closeWrite();
      assert.strictEqual((await remoteError(remote.write(utf8("more")))).code, "closed");
      assert.deepEqual(await remote.readAll(), bytes);
      assert.strictEqual(await remote.shutdown(), 1);
    });
  }

  for (const [what, peer, line, code] of [
    ["ends without close_notify", "no-close-notify", "cut off\n", "truncated"],
    ["resets the connection", "reset", "reset follows\n", "transport"],
    ["does not answer our close_notify", "mute", "", "timeout"],
    ["closes, and keeps the connection open", "end-and-wait", "bye\n", undefined],
  ] as const) {
    QUnit.test(`one that ${what}`, async (assert) => {
      const { remote } = await blocking(await env.connect(`tls?do=${peer}`));
      await remote.connect(trusting());
      if (line) {
        let got = "";
        while (!got.endsWith("\n")) got += text(await remote.read(100));
        assert.strictEqual(got, line);
      }
      if (code === "timeout") assert.strictEqual(await remote.shutdown(), 0);
      const ending = code === "timeout" ? remote.shutdown(50) : remote.read(100);
      if (code) {
        const error = await remoteError(ending);
        assert.strictEqual(error.code, code, error.message);
      } else {
        assert.deepEqual(await ending, new Uint8Array(0));
        assert.strictEqual(await remote.shutdown(), 1);
      }
    });
  }

  for (const [size, bioPairSize] of [
    [8, 17_408],
    [4096, 1],
    [4096, 17_408],
  ] as const) {
    QUnit.test(
      `a certificate that is not trusted is told to both, rings of ${size} bytes, a pair of ${bioPairSize}`,
      async (assert) => {
        const [near, far] = pair();
        const { remote, carried } = await blocking(near, { size });
        const serving = tlsError(acceptTls(far, identity()).then((server) => readAll(server.readable)));
        const error = await remoteError(remote.connect({ caCerts: env.certs.otherCaPem, bioPairSize }));
        assert.strictEqual(error.code, "certificate", error.message);
        assert.strictEqual(error.name, "TlsCertificateError");
        assert.strictEqual(error.outcome?.how, "alert");
        const other = await serving;
        assert.strictEqual(other.code, "alert", other.message);
        // Both ends close the transport, and either one may be the first.
        await carried.catch(() => {});
      },
    );
  }

  QUnit.test("what is no TLS", async (assert) => {
    const { remote } = await blocking(await env.connect("raw?do=smtp-banner&first=yes"), { size: 7 });
    const error = await remoteError(remote.connect(trusting()));
    assert.strictEqual(error.code, "not-tls", error.message);
  });
});

QUnit.module("blocking: against ourselves", () => {
  QUnit.test(
    "a server that blocks asks for the client's certificate behind the handshake",
    async (assert) => {
      const [near, far] = pair();
      const { remote } = await blocking(near, { size: 100 });
      const later = { clientAuth: "require", postHandshakeAuth: true, ...trusting() } as const;
      const [, client] = await Promise.all([
        remote.accept({ ...identity(), ...later }),
        startTls(far, {
          hostname: "localhost",
          ...trusting(),
          cert: env.certs.chains.client,
          key: env.certs.keys.client,
          postHandshakeAuth: true,
          sessionStore: false,
        }),
      ]);
      // Nothing is read by the client: time runs out, and nothing is lost.
      assert.strictEqual((await remoteError(remote.verifyClient(20))).code, "timeout");
      await write(client.writable, utf8("first this"));
      assert.strictEqual((await remoteError(remote.verifyClient())).code, "unread-data");
      assert.strictEqual(text(await remote.read(100)), "first this");
      const reading = readAtLeast(client.readable, 5);
      const [verified, subject] = await remote.verifyClient();
      assert.deepEqual([verified, /CN=client/.test(subject ?? "")], ["true", true]);
      await remote.write(utf8("hello"));
      assert.strictEqual(text(await reading), "hello");
      await client.closeWrite();
      assert.strictEqual(text(await remote.read(100)), "");
      assert.strictEqual((await remoteError(remote.verifyClient())).code, "closed");

      for (const [what, options, why] of [
        ["not offered", {}, "protocol"],
        ["no certificate", { postHandshakeAuth: true }, "protocol"],
      ] as const) {
        const [here, there] = pair();
        const { remote } = await blocking(here);
        const [, poor] = await Promise.all([
          remote.accept({ ...identity(), ...later }),
          startTls(there, { hostname: "localhost", ...trusting(), sessionStore: false, ...options }),
        ]);
        const reading = rejection(readAll(poor.readable));
        const error = await remoteError(remote.verifyClient());
        assert.strictEqual(error.code, why, `${what}: ${error.message}`);
        if (what === "not offered") await remote.abort();
        else assert.true(/certificate_required/.test(String(await reading)), String(await reading));
        await reading;
      }
    },
  );

  each("a server that blocks", async (assert, version) => {
    const [near, far] = pair();
    const { remote } = await blocking(near);
    const [info, client] = await Promise.all([
      remote.accept({ ...identity(), alpnProtocols: ["b", "a"] }),
      startTls(far, { hostname: "localhost", ...trusting(), maxVersion: version, alpnProtocols: ["a", "b"] }),
    ]);
    assert.strictEqual(info.protocol, version);
    assert.strictEqual(info.alpnProtocol, "b");
    assert.strictEqual(info.serverName, "localhost");
    const serving = remote.serve();
    await write(client.writable, utf8("olleh"));
    assert.strictEqual(text(await readAtLeast(client.readable, 5)), "hello");
    const { info: closed } = await client.shutdown();
    assert.strictEqual(closed.how, "complete");
    assert.strictEqual(await serving, 5);
    assert.strictEqual((await remote.state()).closed?.how, "complete");
    const { events } = await remote.state();
    assert.deepEqual(
      events.filter((event) => !/transport/.test(event)),
      ["handshake-start", "handshake-done", "alert received close_notify", "alert sent close_notify"],
    );
  });

  for (const size of [1, 16, 1000]) {
    for (const bioPairSize of [1, 17 * 1024]) {
      each(`rings of ${size} bytes, pairs of ${bioPairSize}`, async (assert, version) => {
        const bytes = randomBytes(size === 1 ? 200 : 10_000, env.seed);
        const { remote, server } = await connected({ version, size, client: { bioPairSize } });
        const echo = server.readable.pipeTo(server.writable);
        const half = bytes.subarray(0, bytes.length / 2);
        await remote.write(half);
        const got: Uint8Array[] = [];
        for (let n = 0; n < half.length; n += got.at(-1)!.length) got.push(await remote.read(70_000));
        assert.deepEqual(concat(got), half);
        assert.strictEqual(await remote.shutdown(), 0);
        await echo;
        assert.strictEqual(await remote.shutdown(), 1);
      });
    }
  }

  for (const [kibibytes, size] of [
    [512, 4096],
    [2048, 256 * 1024],
  ] as const) {
    QUnit.test(`${kibibytes} KiB each way, in turn, rings of ${size} bytes`, async (assert) => {
      const length = kibibytes * 1024;
      const { remote, server } = await connected({ size });
      const expected = await sha256(randomBytes(length, 5));
      const [received] = await Promise.all([
        readAll(server.readable).then(sha256),
        remote.writeRandom(length, 5).then(() => remote.closeWrite()),
      ]);
      assert.strictEqual(received, expected);
      const other = randomBytes(length, 6);
      const [got] = await Promise.all([remote.readAll(), writeAndClose(server.writable, other, 100_000)]);
      assert.strictEqual(await sha256(got), await sha256(other));
      assert.strictEqual(await remote.shutdown(), 1);
    });
  }

  each("after the shutdown of both a second handshake on the same transport", async (assert, version) => {
    const { remote, server, carried } = await connected({ version, size: 300 });
    const serving = server.shutdown().then((result) => acceptTls(goingOn(result), identity()));
    assert.strictEqual(await remote.shutdown(), 0);
    assert.strictEqual(await remote.shutdown(), 1);
    await remote.connect(trusting());
    const again = await serving;
    await remote.write(utf8("again"));
    assert.strictEqual(text(await readAtLeast(again.readable, 5)), "again");
    assert.strictEqual((await remoteError(remote.plainRead(1))).code, "invalid-argument", "TLS has it");
    assert.strictEqual((await remoteError(remote.connect(trusting()))).code, "invalid-argument");
    await remote.close();
    assert.strictEqual((await carried).how, "closed");
    assert.strictEqual((await readAll(again.readable)).length, 0);
  });

  each("in pieces and with deadlines of any size nothing is lost or doubled", async (assert, version) => {
    for (const seed of share([0, 1, 2, 3, 4, 5].map((i) => env.seed + i))) {
      const next = random(seed);
      const size = Math.ceil(3000 ** next());
      const bioPairSize = Math.ceil(20_000 ** next());
      const { remote, server } = await connected({ version, size, client: { bioPairSize } });
      const bytes = randomBytes(Math.min(60_000, 100 * size), seed);
      const echo = server.readable.pipeTo(server.writable);
      const { received } = await remote.exchange(bytes, seed);
      assert.deepEqual(received, bytes, `seed ${seed}, rings of ${size} bytes, pairs of ${bioPairSize}`);
      await echo;
      assert.strictEqual((await remote.state()).closed?.how, "complete");
    }
  });

  QUnit.test("half of a KeyUpdate is here when it closes", async (assert) => {
    const [near, far] = pair();
    const { remote } = await blocking(near);
    const accepting = remote.accept(identity());
    const peer = await Tls13Client.create();
    await write(far.writable, peer.clientHello());
    const flight: Uint8Array[] = [];
    const reader = far.readable.getReader();
    for (;;) {
      const part = await within(reader.read(), flight.length > 0 ? 200 : 5000);
      if (part === PENDING || part.done) break;
      flight.push(part.value);
    }
    await write(far.writable, await peer.finish(concat(flight)));
    await accepting;
    // The header of the message, and later its one byte.
    await write(far.writable, await peer.record(HANDSHAKE, 24, 0, 0, 1));
    for (const name of ["read", "shutdown", "shutdown"] as const) {
      const error = await remoteError(name === "read" ? remote.read(10, 20) : remote.shutdown(20));
      assert.strictEqual(error.code, "timeout", error.message);
    }
    const first = remote.shutdown();
    await write(far.writable, await peer.record(HANDSHAKE, 0));
    assert.strictEqual(await first, 0);
    assert.strictEqual((await remoteError(remote.shutdown(20))).code, "timeout");
  });

  each("a write waits for room while the peer's data waits as well", async (assert, version) => {
    const { remote, server } = await connected({ version, size: 100 });
    const bytes = randomBytes(100_000, env.seed);
    const writing = remote.write(bytes);
    const sending = write(server.writable, bytes.subarray(0, 10_000));
    const got = await readAtLeast(server.readable, bytes.length);
    assert.deepEqual(got, bytes);
    assert.strictEqual(await writing, bytes.length);
    let n = 0;
    while (n < 10_000) n += (await remote.read(5000)).length;
    assert.strictEqual(n, 10_000);
    await sending;
  });

  QUnit.test("without Atomics.waitAsync it looks by a timer", async (assert) => {
    const own = Object.getOwnPropertyDescriptor(Atomics, "waitAsync");
    Reflect.deleteProperty(Atomics, "waitAsync");
    try {
      assert.false("waitAsync" in Atomics);
      const { remote, server, carried } = await connected({ size: 500 });
      const bytes = randomBytes(20_000, env.seed);
      const [got] = await Promise.all([
        readAll(server.readable),
        remote.write(bytes).then(() => remote.closeWrite()),
      ]);
      assert.deepEqual(got, bytes);
      await writeAndClose(server.writable, bytes);
      assert.deepEqual(await remote.readAll(), bytes);
      assert.strictEqual(await remote.shutdown(), 1);
      await remote.release();
      assert.strictEqual((await carried).how, "released");
    } finally {
      if (own) Object.defineProperty(Atomics, "waitAsync", own);
    }
  });

  QUnit.test("loadSync: from bytes and from a module", async (assert) => {
    const remote = await takeThread();
    const bytes = await (await fetch(`${env.origin}/openssl.wasm`)).arrayBuffer();
    assert.true((await remote.loadSync(bytes)).startsWith("OpenSSL 3."));
    assert.true((await remote.loadSync(await WebAssembly.compile(bytes))).startsWith("OpenSSL 3."));
    assert.strictEqual((await remoteError(remote.loadSync(bytes.slice(0, 1000)))).code, "wasm-corrupt");
    const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    assert.strictEqual((await remoteError(remote.loadSync(empty))).code, "wasm-corrupt");
    const near = pair()[0];
    const channel = newChannel();
    await remote.open(channel);
    carry(channel, near);
    assert.strictEqual(
      (await remoteError(remote.connect({ handshakeTimeout: 10 }))).code,
      "timeout",
      "and it works",
    );
  });

  QUnit.test(
    "a connection that is dropped without an end is freed, and the transport given up",
    async (assert) => {
      const { remote, server, carried } = await connected({ version: "TLSv1.3" });
      assert.strictEqual(await remote.drop(), 0);
      const error = await tlsError(carried);
      assert.true(/dropped without an end/.test(error.message), error.message);
      await rejection(readAll(server.readable));
    },
  );

  QUnit.test("nothing is left in linear memory", async (assert) => {
    const used: number[] = [];
    // Another one may still hold what a test before this did not end.
    const remote = await takeThread();
    for (let i = 0; i < 3; i++) {
      const { server } = await connected({ thread: remote });
      await write(server.writable, new Uint8Array(1000));
      const [, error] = await Promise.all([
        remote.write(new Uint8Array(100)),
        remote.abort("enough").then(() => rejection(remote.read(10))),
      ]);
      assert.true(error instanceof Error);
      used.push(await remote.memory());
    }
    // A connection would be tens of kilobytes.
    assert.true(used[2]! - used[1]! < 500, used.join());
  });
});

QUnit.module("blocking: ends and failures", () => {
  each("truncation, between and within records", async (assert, version) => {
    const record = version === "TLSv1.3" ? 5 + 1 + 1 + 16 : 5 + 1 + 16;
    for (const [length, at] of [
      [record, "record"],
      [record + 3, "mid-record"],
    ] as const) {
      for (const eofPolicy of ["strict", "record-boundary", "ignore"] as const) {
        const [near, far] = pair();
        const late = cuttable(near);
        const { remote, server, carried } = await connected({
          version,
          client: { eofPolicy },
          transports: [late.transport, far],
        });
        await write(server.writable, utf8("some"));
        assert.strictEqual(text(await remote.read(10)), "some");
        late.endAfter(length);
        await write(server.writable, utf8("x"));
        await server.closeWrite().catch(() => {});
        const what = `${at}, ${eofPolicy}`;
        const passes = eofPolicy === "ignore" || (eofPolicy === "record-boundary" && at === "record");
        const reading = (async () => {
          let all = "";
          for (;;) {
            const part = await remote.read(10);
            if (part.length === 0) return all;
            all += text(part);
          }
        })();
        if (passes) {
          assert.strictEqual(await reading, "x", what);
          assert.strictEqual(await remote.shutdown(), 1, what);
          const { closed } = await remote.state();
          assert.strictEqual(closed?.how, "truncated", what);
          assert.strictEqual(closed?.truncatedAt, at, what);
        } else {
          const error = await remoteError(reading);
          assert.strictEqual(error.code, "truncated", what);
          assert.strictEqual(error.at, at, what);
          assert.strictEqual(error.name, "TlsTruncationError");
          assert.strictEqual((await remote.state()).closed?.how, "truncated");
          await carried.catch(() => {});
        }
      }
    }
  });

  QUnit.test("truncation in the handshake", async (assert) => {
    const [near, far] = pair();
    const cutting = cuttable(near);
    cutting.endAfter(10);
    const { remote } = await blocking(cutting.transport);
    acceptTls(far, identity()).catch(() => {});
    const error = await remoteError(remote.connect({ ...trusting(), eofPolicy: "ignore" }));
    assert.strictEqual(error.code, "truncated", error.message);
    assert.strictEqual(error.at, "handshake");
  });

  QUnit.test("deadlines: in each operation, and what it does again", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const { remote, server } = await connected({ transports: [clog.transport, far], size: 1000 });
    for (const timeout of [0, 30]) {
      const error = await remoteError(remote.read(10, timeout));
      assert.strictEqual(error.code, "timeout", error.message);
    }
    await write(server.writable, utf8("late"));
    assert.strictEqual(text(await remote.read(10, 5000)), "late");

    clog.clog();
    const bytes = randomBytes(100_000, env.seed);
    const error = await remoteError(remote.write(bytes, 30));
    assert.strictEqual(error.code, "timeout");
    assert.true(error.written! > 0 && error.written! < bytes.length, `${error.written}`);
    assert.strictEqual((await remoteError(remote.closeWrite(10))).code, "timeout", "a close waits for them");
    assert.strictEqual((await remoteError(remote.closeWrite(10))).code, "timeout");
    clog.release();
    await remote.closeWrite();
    assert.deepEqual(await readAll(server.readable), bytes.subarray(0, error.written));
    for (const each of [-1, Number.NaN]) {
      assert.strictEqual((await remoteError(remote.read(10, each))).code, "invalid-argument");
    }
    assert.strictEqual((await remoteError(remote.read(0))).code, "invalid-argument");
  });

  each("a write that is out of time again and again loses and doubles nothing", async (assert, version) => {
    const { remote, server } = await connected({ version, size: 50 });
    const bytes = randomBytes(30_000, env.seed);
    const writing = remote.writeInBits(bytes, 1);
    const [got, timeouts] = await Promise.all([
      readAll(server.readable),
      writing.then(async (n) => {
        await remote.closeWrite();
        return n;
      }),
    ]);
    assert.deepEqual(got, bytes);
    assert.true(timeouts > 0, `${timeouts} times out of time`);
  });

  QUnit.test("deadlines: however long, they do not pass at once", async (assert) => {
    const { remote, server } = await connected();
    for (const timeout of [2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE]) {
      const reading = remote.read(10, timeout);
      assert.strictEqual(await within(reading, 60), PENDING, `${timeout}`);
      await write(server.writable, utf8("x"));
      assert.strictEqual(text(await reading), "x");
    }
  });

  QUnit.test("the handshake's deadline gives the transport up", async (assert) => {
    const [near, far] = pair();
    const { remote, carried } = await blocking(near);
    const error = await remoteError(remote.connect({ ...trusting(), handshakeTimeout: 50 }));
    assert.strictEqual(error.code, "timeout", error.message);
    assert.strictEqual(error.outcome?.how, "timeout");
    assert.strictEqual((await tlsError(carried)).code, "closed");
    assert.true((await rejection(readAll(far.readable))) !== undefined);
  });

  QUnit.test("the signal wakes a waiting thread", async (assert) => {
    for (const name of ["read", "write", "shutdown"] as const) {
      const controller = new AbortController();
      const [near, far] = pair();
      const clog = cloggable(near, false);
      const { remote, carried } = await connected({
        transports: [clog.transport, far],
        signal: controller.signal,
      });
      if (name === "shutdown") await remote.shutdown();
      else clog.clog();
      const waiting: Promise<unknown> = {
        read: () => remote.read(10),
        write: () => remote.write(new Uint8Array(100_000)),
        shutdown: () => remote.shutdown(),
      }[name]();
      assert.strictEqual(await within(waiting, 50), PENDING);
      const reason = new Error("the user went away");
      controller.abort(reason);
      const error = await remoteError(waiting);
      assert.strictEqual(error.code, "transport");
      assert.true(error.message.includes("the user went away"), error.message);
      assert.strictEqual(await rejection(carried), reason);
      assert.strictEqual((await remote.state()).closed?.how, "aborted");
      assert.strictEqual((await remote.state()).closed?.resumable, name === "shutdown");
      assert.strictEqual((await remoteError(remote.read(10))).message, error.message);
    }
  });

  QUnit.test("abort over there: the peer sees a truncation, and carry() says why", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const { remote, carried, server } = await connected({ transports: [clog.transport, far] });
    clog.clog();
    assert.strictEqual((await remoteError(remote.write(new Uint8Array(100_000), 20))).code, "timeout");
    await remote.abort("had enough");
    const error = await tlsError(carried);
    assert.strictEqual(error.code, "closed");
    assert.true(error.message.includes("had enough"), error.message);
    assert.strictEqual(((await rejection(remote.read(10))) as Error).message, "had enough");
    assert.true(["transport", "truncated"].includes((await tlsError(readAll(server.readable))).code));
  });

  QUnit.test("close: close_notify, then the transport's end", async (assert) => {
    const { remote, carried, server } = await connected();
    await remote.write(utf8("last words"));
    await remote.close();
    assert.strictEqual((await carried).how, "closed");
    assert.strictEqual(text(await readAll(server.readable)), "last words");
    assert.strictEqual((await remote.state()).closed?.how, "closed-without-waiting");
    assert.strictEqual((await remoteError(remote.read(10))).code, "closed");
    assert.strictEqual((await remoteError(remote.shutdown())).code, "closed");
    await remote.close();
  });

  QUnit.test("close: what is in the channel still leaves, however long that takes", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const { remote, carried, server } = await connected({ transports: [clog.transport, far] });
    clog.clog();
    const bytes = randomBytes(3000, env.seed);
    await remote.write(bytes.subarray(0, 1000));
    await clog.stuck;
    await remote.write(bytes.subarray(1000));
    await remote.close();
    assert.strictEqual(await within(carried, 50), PENDING);
    clog.release();
    assert.strictEqual((await carried).how, "closed");
    assert.deepEqual(await readAll(server.readable), bytes);
  });

  QUnit.test("close with a stuck transport waits as long as it may", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const { remote, carried } = await connected({ transports: [clog.transport, far], size: 10 });
    clog.clog();
    await remote.close(50);
    assert.strictEqual((await remote.state()).closed?.how, "timeout");
    assert.strictEqual((await tlsError(carried)).code, "closed");
  });

  QUnit.test("the transport fails while receiving: after the data that came before", async (assert) => {
    const [near, far] = pair();
    const broken = new Error("the cable is cut");
    const cutting = cuttable(near);
    const { remote, carried, server } = await connected({ transports: [cutting.transport, far] });
    await write(server.writable, utf8("before"));
    await sleep(20);
    cutting.fail(broken);
    assert.strictEqual(text(await remote.read(10)), "before");
    const error = await remoteError(remote.read(10));
    assert.strictEqual(error.code, "transport", error.message);
    assert.true(error.message.includes("the cable is cut"), error.message);
    assert.strictEqual((await remote.state()).closed?.how, "failed");
    assert.strictEqual(await rejection(carried), broken);
  });

  QUnit.test(
    "the transport fails while sending: told by the next write, data is still read",
    async (assert) => {
      const [near, far] = pair();
      const broken = new Error("no more");
      const { remote, carried, server } = await connected({
        transports: [failingWriter(near, 2500, broken), far],
        size: 100,
      });
      const error = await remoteError(remote.write(new Uint8Array(50_000)));
      assert.strictEqual(error.code, "transport", error.message);
      assert.true(error.message.includes("no more"), error.message);
      await write(server.writable, utf8("still there"));
      assert.strictEqual(text(await remote.read(100)), "still there");
      const last = await remoteError(remote.read(100));
      assert.strictEqual(last.message, error.message, "nothing comes within a second");
      assert.strictEqual(await rejection(carried), broken);
    },
  );

  QUnit.test("the transport fails while sending, but the peer has said why", async (assert) => {
    const [near, far] = pair();
    let damage = false;
    const transport = intercept(near, {
      async send(chunk, forward) {
        if (!damage) return forward(chunk);
        const copy = chunk.slice();
        copy[copy.length - 1]! ^= 1;
        await forward(copy);
        throw new Error("no more");
      },
    });
    const { remote, server } = await connected({ transports: [transport, far] });
    damage = true;
    // Whether this one knows of the failure already is a matter of luck.
    await remote.write(utf8("damaged")).catch(() => {});
    assert.strictEqual((await tlsError(readAll(server.readable))).code, "protocol");
    await sleep(20);
    const error = await remoteError(remote.write(utf8("more")));
    assert.strictEqual(error.code, "transport", error.message);
    const why = await remoteError(remote.read(10));
    assert.strictEqual(why.code, "alert", why.message);
    assert.strictEqual((await remote.state()).closed?.alert?.description, "bad_record_mac");
  });

  QUnit.test("plain: read, write, half-close, without TLS", async (assert) => {
    const { remote, carried } = await blocking(await env.connect("tcp?do=reply-after-end"), { size: 100 });
    const bytes = randomBytes(20_000, env.seed);
    assert.strictEqual(await remote.plainWrite(bytes), bytes.length);
    await remote.plainCloseWrite();
    // The relay's WebSocket knows no half-close: it ends both ways, and the reply is lost.
    const reply = env.page ? new Uint8Array() : bytes;
    assert.deepEqual(await remote.plainReadAll(), reply);
    assert.strictEqual((await carried).how, "closed");
    assert.strictEqual((await remoteError(remote.plainWrite(bytes))).code, "closed");
  });

  QUnit.test("plain: deadlines", async (assert) => {
    const [near] = pair();
    const clog = cloggable(near);
    const { remote } = await blocking(clog.transport, { size: 100 });
    assert.strictEqual((await remoteError(remote.plainRead(10, 20))).code, "timeout");
    const error = await remoteError(remote.plainWrite(new Uint8Array(1000), 20));
    assert.strictEqual(error.code, "timeout");
    assert.strictEqual(error.written, 100);
  });

  QUnit.test("plain: aborted, while a write is stuck", async (assert) => {
    const [near, far] = pair();
    const clog = cloggable(near);
    const { remote, carried } = await blocking(clog.transport, { size: 100 });
    await remoteError(remote.plainWrite(new Uint8Array(1000), 20));
    await remote.plainAbort("enough");
    const error = await tlsError(carried);
    assert.strictEqual(error.code, "closed");
    assert.ok(error.message.includes("enough"), error.message);
    assert.strictEqual(await rejection(readAll(far.readable)), error, "the transport is told");
  });

  QUnit.test("released at once, nothing lost: what was received and not read comes along", async (assert) => {
    const [near, far] = pair();
    const { remote, carried } = await blocking(near, { size: 10 });
    const bytes = randomBytes(5000, env.seed);
    const sending = writeAndClose(far.writable, bytes, 100);
    assert.strictEqual((await remote.plainRead(3)).length, 3);
    assert.strictEqual(await remote.plainWrite(utf8("to the peer, all of it")), 22);
    await remote.release();
    const { transport, trailing } = await carried;
    const rest = await readAll(transport.readable);
    await sending;
    assert.deepEqual(concat([trailing, rest]), bytes.subarray(3));
    assert.strictEqual(text(await readAtLeast(far.readable, 22)), "to the peer, all of it");
    assert.strictEqual((await remoteError(remote.plainRead(3))).code, "closed");
  });
});

/** What ran out of time is owed, and harms nothing, whatever carries the bytes. Each schedule follows from its seed. */
QUnit.module("blocking: schedules", () => {
  const carriers: Record<string, (inner: Transport, next: () => number, pause: number) => Transport> = {
    quick: (inner) => inner,
    slow: (inner, next, pause) =>
      intercept(inner, {
        async send(chunk, forward) {
          await sleep(pause * next());
          await forward(chunk);
        },
        async receive(chunk) {
          await sleep(pause * next());
          return [chunk];
        },
      }),
    "stalling now and then": (inner, next, pause) =>
      intercept(inner, {
        async send(chunk, forward) {
          if (next() < pause / 100) await sleep(120);
          await forward(chunk);
        },
        async receive(chunk) {
          if (next() < pause / 100) await sleep(120);
          return [chunk];
        },
      }),
  };
  const echo = (server: { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }) =>
    server.readable.pipeTo(server.writable).catch(() => {});

  for (const [name, make] of Object.entries(carriers)) {
    for (const size of [1, 700, 4096, 20_000]) {
      each(`a carrier that is ${name}, rings of ${size} bytes`, async (assert, version) => {
        const seed = env.seed + size;
        const [near, far] = pair();
        const transports: [Transport, Transport] = [make(near, random(seed), size === 1 ? 0.5 : 10), far];
        const { remote, server, carried } = await connected({ version, size, transports });
        void echo(server);
        const { problem } = await remote.schedule(seed, size === 1 ? 3 : 12, false, size === 1 ? 60 : 50_000);
        assert.strictEqual(problem, undefined, `seed ${env.seed}`);
        assert.strictEqual((await remote.state()).closed?.how, "complete");
        await remote.plainClose();
        assert.strictEqual((await carried).how, "closed");
      });
    }
  }

  for (const [name, make] of Object.entries(carriers)) {
    for (const size of [1, 700, 20_000]) {
      QUnit.test(`without TLS: a carrier that is ${name}, rings of ${size} bytes`, async (assert) => {
        const [near, far] = pair();
        const carried = make(near, random(env.seed + size), size === 1 ? 0.5 : 10);
        const { remote, ...parts } = await blocking(carried, { size });
        void far.readable.pipeTo(far.writable).catch(() => {});
        const problem = await remote.plainSchedule(
          env.seed + size,
          size === 1 ? 5 : 30,
          size === 1 ? 60 : 50_000,
        );
        assert.strictEqual(problem, undefined, `seed ${env.seed}`);
        await remote.plainClose();
        assert.strictEqual((await parts.carried).how, "closed");
      });
    }
  }

  each("a carrier that dies: what fails is the transport, and no lack of time", async (assert, version) => {
    const next = random(env.seed);
    // One thread for all of them: each takes half a second to start when the machine is busy.
    const remote = await takeThread();
    for (let i = 0; i < 25; i++) {
      const controller = new AbortController();
      const { server, carried } = await connected({
        version,
        size: 2_000,
        thread: remote,
        signal: controller.signal,
      });
      void echo(server);
      setTimeout(() => controller.abort(new Error("the carrier dies")), 40 * next());
      const { code, after } = await remote.schedule(env.seed + i, 0, true);
      assert.strictEqual(code, "transport", `seed ${env.seed}, ${i}`);
      // "closed" for shutdown() and the like is as good; what must not come is a lack of time.
      assert.deepEqual(new Set(after), new Set(["transport"]));
      assert.true(String(await rejection(carried)).includes("the carrier dies"));
      server.abort();
    }
  });

  QUnit.test("a thread that is terminated: the signal ends what it left", async (assert) => {
    const next = random(env.seed);
    for (let i = 0; i < 5; i++) {
      const { worker, remote } = startThread();
      await remote.load();
      const channel = newChannel({ size: 2_000 });
      await remote.open(channel);
      const [near, far] = pair();
      const controller = new AbortController();
      const carried = carry(channel, near, { signal: controller.signal });
      const [, server] = await Promise.all([remote.connect(trusting()), acceptTls(far, identity())]);
      const echoing = echo(server);
      remote.schedule(env.seed + i, 0, true).catch(() => {});
      await sleep(30 * next());
      worker.terminate();
      controller.abort(new Error("it was terminated"));
      assert.true(String(await rejection(carried)).includes("it was terminated"));
      await echoing;
      server.abort();
    }
  });

  QUnit.test("carry() resolves after a complete end, though the peer is gone by then", async (assert) => {
    for (const how of ["the last word is not taken", "a failure while receiving", "a close that fails"]) {
      const [near, far] = pair();
      let gone = false;
      const cut = new Error("it is gone");
      const reader = near.readable.getReader();
      const writer = near.writable.getWriter();
      const transport: Transport = {
        readable: new ReadableStream({
          async pull(controller) {
            const { done, value } = await reader.read();
            if (gone && how === "a failure while receiving") controller.error(cut);
            else if (done) controller.close();
            else controller.enqueue(value);
          },
        }),
        writable: new WritableStream({
          async write(chunk) {
            if (gone && how === "the last word is not taken") throw cut;
            await writer.write(chunk);
          },
          async close() {
            if (gone) throw cut;
            await writer.close();
          },
        }),
      };
      const { remote, server, carried } = await connected({ transports: [transport, far] });
      await server.closeWrite();
      assert.strictEqual((await remote.read(10)).length, 0);
      gone = true;
      // It may see at once that its last bytes are not taken. At that moment it is not known that this does not matter
      // to it.
      const complete = await remote.shutdown().catch((error: RemoteError) => error.code);
      if (complete === "transport" && how === "the last word is not taken") continue;
      assert.strictEqual(complete, 1, how);
      void far.writable.close().catch(() => {});
      await sleep(50);
      await remote.plainClose();
      assert.strictEqual((await carried).how, "closed", how);
    }
  });
});

QUnit.module("blocking: where it can be", () => {
  const code = (act: () => unknown): string => {
    try {
      act();
      return "none";
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  QUnit.test("arguments that make no sense", async (assert) => {
    assert.strictEqual(
      code(() => newChannel({ size: 0 })),
      "invalid-argument",
    );
    assert.strictEqual(
      code(() => newChannel({ size: 1.5 })),
      "invalid-argument",
    );
    const [near] = pair();
    const foreign = new SharedArrayBuffer(10_000);
    for (const channel of [foreign, new ArrayBuffer(10_000), undefined, new SharedArrayBuffer(1)]) {
      assert.strictEqual(
        code(() => carry(channel as SharedArrayBuffer, near)),
        "invalid-argument",
      );
    }
    const channel = newChannel();
    assert.strictEqual(
      code(() => carry(channel, {} as Transport)),
      "invalid-argument",
    );
    const controller = new AbortController();
    const carried = carry(channel, near, { signal: controller.signal });
    assert.strictEqual(
      code(() => carry(channel, pair()[0])),
      "invalid-argument",
      "one carrier",
    );
    assert.strictEqual(
      code(() => carry(newChannel(), near)),
      "invalid-argument",
      "it is locked",
    );
    controller.abort(new Error("enough"));
    assert.strictEqual(((await rejection(carried)) as Error).message, "enough");
    assert.throws(() => carry(newChannel(), pair()[0], { signal: controller.signal }), /enough/);
    const remote = await takeThread();
    const other = newChannel();
    await remote.open(other);
    assert.strictEqual((await remoteError(remote.open(other))).code, "invalid-argument", "one that blocks");
  });

  QUnit.test("a thread that must not block, and one that would wait for itself", async (assert) => {
    const channel = newChannel();
    if (env.page) {
      assert.strictEqual(
        code(() => new BlockingTransport(channel)),
        "cannot-block",
      );
    } else {
      const transport = new BlockingTransport(channel);
      const carried = carry(channel, pair()[0]);
      assert.strictEqual(
        code(() => transport.read(new Uint8Array(1))),
        "cannot-block",
      );
      transport.close();
      assert.strictEqual((await carried).how, "closed");
    }
  });

  QUnit.test("a page that is not isolated is told what to set", async (assert) => {
    let said: Promise<{ code: string; message: string }>;
    if (env.page) {
      assert.true(crossOriginIsolated, "this page is");
      said = new Promise((resolve) => {
        const channel = new BroadcastChannel("not-isolated");
        channel.onmessage = ({ data }) => resolve(data);
        afterTest(() => channel.close());
        const page = open("/not-isolated.html", "_blank", "noopener");
        afterTest(() => page?.close());
      });
    } else {
      const own = globalThis.SharedArrayBuffer;
      Reflect.set(globalThis, "SharedArrayBuffer", undefined);
      try {
        said = rejection((async () => newChannel())()) as typeof said;
      } finally {
        globalThis.SharedArrayBuffer = own;
      }
    }
    const { code, message } = await said;
    assert.strictEqual(code, "not-isolated");
    assert.true(message.includes("Cross-Origin-Opener-Policy: same-origin"), message);
    assert.true(message.includes("Cross-Origin-Embedder-Policy: require-corp"), message);
  });
});

/** A transport whose receiving can be made to end behind so many bytes more, or to fail. */
function cuttable(inner: Transport) {
  let left = Infinity;
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const reader = inner.readable.getReader();
  const readable = new ReadableStream<Uint8Array>({
    start(own) {
      controller = own;
    },
    async pull() {
      const { done, value } = await reader.read();
      const part = value?.subarray(0, left);
      if (part && part.length > 0) controller.enqueue(part);
      left -= part?.length ?? 0;
      if (done || left === 0) controller.close();
    },
  });
  return {
    transport: { readable, writable: inner.writable },
    endAfter(bytes: number): void {
      left = bytes;
    },
    fail: (error: unknown) => controller.error(error),
  };
}

/**
 * The transport after `shutdown()`: what came behind close_notify, the peer's next ClientHello perhaps, is read first.
 */
function goingOn({ transport, trailing }: { transport: Transport; trailing: Uint8Array }): Transport {
  const reader = transport.readable.getReader();
  let first = trailing;
  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (first.length > 0) {
          controller.enqueue(first);
          first = new Uint8Array(0);
          return;
        }
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return { readable, writable: transport.writable };
}

QUnit.module("blocking: sessions", () => {
  each("one is resumed, here and there; one that would not be believed is not", async (assert, version) => {
    const context = await TlsContext.server(identity());
    afterTest(() => context.free());
    const run = async (options: Parameters<Remote["connect"]>[0]) => {
      const [near, far] = pair();
      const { remote } = await blocking(near);
      const accepting = acceptTls(far, { context });
      accepting.catch(() => {});
      const info = await remote.connect({ ...trusting(), maxVersion: version, ...options });
      const server = await accepting;
      afterTest(() => server.abort());
      assert.strictEqual(server.info.sessionReused, info.sessionReused);
      // A ticket of TLS 1.3 is seen with what is read.
      await write(server.writable, utf8("x"));
      assert.strictEqual(text(await remote.read(1)), "x");
      return { info, session: (await remote.session())! };
    };
    const first = await run({});
    assert.false(first.info.sessionReused);
    const second = await run({ session: first.session });
    assert.true(second.info.sessionReused && second.info.verified, "resumed");
    const [near, far] = pair();
    const [stream, server] = await Promise.all([
      startTls(near, {
        ...trusting(),
        hostname: "localhost",
        maxVersion: version,
        session: second.session,
        sessionStore: false,
      }),
      acceptTls(far, { context }),
    ]);
    afterTest(() => stream.abort());
    afterTest(() => server.abort());
    assert.true(stream.info.sessionReused, "by startTls too");

    const third = await run({});
    const other = { session: third.session, caCerts: env.certs.otherCaPem };
    assert.strictEqual((await remoteError(run(other))).code, "certificate", "by a full handshake");
    assert.strictEqual((await remoteError(run({ session: utf8("none") }))).code, "invalid-argument");
  });
});
