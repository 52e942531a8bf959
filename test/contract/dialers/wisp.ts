/** `wispDialer` packet by packet, with a server in memory; the real one is in dialers.ts and in the kit. */
import QUnit from "qunit";
import { startTls } from "wassl";
import { type WispDialerOptions, wispDialer } from "wassl/dialers/wisp";
import {
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
} from "../../helpers/basics.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const [CONNECT, DATA, CONTINUE, CLOSE, INFO] = [1, 2, 3, 4, 5];
const u32 = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];

interface Packet {
  type: number;
  id: number;
  payload: Uint8Array;
}

/** What a server does with what comes. */
type Act = (packet: Packet, server: Server) => void;

/** A WebSocket whose other end is a Wisp server. */
class Server extends EventTarget {
  static all: Server[] = [];
  binaryType = "arraybuffer";
  readyState = 0;
  readonly bufferedAmount = 0;
  readonly packets: Packet[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
    readonly act: Act,
    begin: (server: Server) => void,
  ) {
    super();
    Server.all.push(this);
    setTimeout(() => {
      if (this.readyState !== 0) return;
      this.readyState = 1;
      this.dispatchEvent(new Event("open"));
      begin(this);
    }, 1);
  }

  /** From the client. */
  send(bytes: Uint8Array): void {
    const copy = bytes.slice();
    const packet = {
      type: copy[0]!,
      id: new DataView(copy.buffer).getUint32(1, true),
      payload: copy.subarray(5),
    };
    this.packets.push(packet);
    queueMicrotask(() => this.act(packet, this));
  }

  /** To the client. */
  give(type: number, id: number, payload: Iterable<number> = []): void {
    this.giveBytes(Uint8Array.from([type, ...u32(id), ...payload]));
  }

  giveBytes(bytes: Uint8Array<ArrayBuffer>): void {
    this.dispatchEvent(new MessageEvent("message", { data: bytes.buffer }));
  }

  close(code = 1005): void {
    if (this.readyState > 1) return;
    this.readyState = 3;
    const event = Object.assign(new Event("close"), { wasClean: true, code, reason: "" });
    setTimeout(() => this.dispatchEvent(event), 1);
  }
}

/** A dialer to a server in memory, and all WebSockets that it opened. */
function serve(
  act: Act,
  options: WispDialerOptions = {},
  begin: (server: Server) => void = (server) => server.give(CONTINUE!, 0, u32(4)),
) {
  const servers: Server[] = [];
  class Socket extends Server {
    constructor(url: string | URL, protocols: string | string[] = []) {
      super(String(url), [protocols].flat(), act, begin);
      servers.push(this);
    }
  }
  const dial = wispDialer("ws://r/wisp/", { WebSocket: Socket as never, idleTimeout: 20, ...options });
  return { dial, servers };
}

const to = { hostname: "db.example.org", port: 5432 };
const nothing: Act = () => {};

QUnit.module("dialers: Wisp, packet by packet", () => {
  QUnit.test("CONNECT says where to; each connection is a stream of its own", async (assert) => {
    const { dial, servers } = serve(nothing);
    await Promise.all([dial(to), dial({ hostname: "[2001:db8::1]", port: 65535 })]);
    await sleep(5);
    assert.strictEqual(servers.length, 1, "one WebSocket");
    const connects = servers[0]!.packets.map(({ type, id, payload }) => [
      type,
      id,
      ...payload.subarray(0, 3),
    ]);
    assert.deepEqual(connects, [
      [CONNECT, 1, 1, 5432 & 255, 5432 >> 8],
      [CONNECT, 2, 1, 255, 255],
    ]);
    assert.deepEqual(
      servers[0]!.packets.map(({ payload }) => text(payload.subarray(3))),
      ["db.example.org", "2001:db8::1"],
    );
  });

  QUnit.test("a write waits for the credit of its own stream", async (assert) => {
    const { dial, servers } = serve(nothing);
    const [slow, fast] = await Promise.all([dial(to), dial(to)]);
    const writer = slow.writable.getWriter();
    for (let i = 0; i < 4; i++) await writer.write(utf8("x"));
    const fifth = writer.write(utf8("5"));
    assert.strictEqual(await within(fifth, 50), PENDING);
    await write(fast.writable, utf8("not held up"));
    servers[0]!.give(CONTINUE!, 1, u32(2));
    await fifth;
    await writer.write(utf8("6"));
    assert.strictEqual(await within(writer.write(utf8("7")), 50), PENDING);
    // An overflow at the server: minus one.
    servers[0]!.give(CONTINUE!, 1, [255, 255, 255, 255]);
    for (let i = 8; i < 11; i++) await writer.write(utf8("x"));
    assert.strictEqual(await within(writer.write(utf8("11")), 50), PENDING);
    const sent = servers[0]!.packets.filter(({ type, id }) => type === DATA && id === 1);
    assert.strictEqual(sent.length, 10);
  });

  QUnit.test(
    "version 2: INFO is answered, and an open stream is waited for where the server says so",
    async (assert) => {
      const confirm: Act = ({ type, id, payload }, server) => {
        if (type === INFO) server.give(CONTINUE!, 0, u32(4));
        else if (type === CONNECT && text(payload).endsWith("refused")) server.give(CLOSE!, id, [0x44]);
        else if (type === CONNECT && !text(payload).endsWith("silent"))
          setTimeout(() => server.give(CONTINUE!, id, u32(1)), 30);
      };
      // A message of the day, UDP, and the confirmation.
      const info = [2, 0, 4, ...u32(3), 1, 2, 3, 1, ...u32(0), 5, ...u32(0)];
      const { dial, servers } = serve(confirm, {}, (server) => server.give(INFO!, 0, info));
      const dialing = dial(to);
      assert.strictEqual(await within(dialing, 15), PENDING);
      const { writable } = await dialing;
      assert.deepEqual(servers[0]!.protocols, ["wisp-v2"]);
      assert.deepEqual([...servers[0]!.packets[0]!.payload], [2, 0, 5, 0, 0, 0, 0]);
      await write(writable, utf8("1"));
      assert.strictEqual(
        await within(write(writable, utf8("2")), 50),
        PENDING,
        "the credit is that of the answer",
      );

      const error = await tlsError(dial({ hostname: "refused", port: 1 }));
      assert.strictEqual(error.code, "transport");
      assert.true(
        /^No connection to refused:1: .*the destination refused/.test(error.message),
        error.message,
      );
      const abort = new AbortController();
      const silent = dial({ hostname: "silent", port: 1, signal: abort.signal });
      setTimeout(() => abort.abort(new Error("too long")), 20);
      assert.strictEqual(String(await rejection(silent)), "Error: too long");
      await sleep(5);
      assert.deepEqual(
        servers[0]!.packets.filter(({ type }) => type === CLOSE).map(({ id }) => id),
        [3],
        "the stream that nobody waits for is closed",
      );
    },
  );

  QUnit.test(
    "a server of version 1, which takes no subprotocol, is asked again without one",
    async (assert) => {
      const tried: string[][] = [];
      class Old extends Server {
        constructor(url: string | URL, protocols: string | string[] = []) {
          super(String(url), [protocols].flat(), nothing, (server) => {
            if (server.protocols.length === 0) server.give(CONTINUE!, 0, u32(4));
            else server.close(1006);
          });
          tried.push(this.protocols);
          if (this.protocols.length > 0) {
            this.readyState = 3;
            setTimeout(
              () => this.dispatchEvent(Object.assign(new Event("close"), { wasClean: false, code: 1006 })),
              1,
            );
          }
        }
      }
      const options = { WebSocket: Old as never, idleTimeout: 20 };
      await wispDialer("ws://r/", options)(to);
      assert.deepEqual(tried, [["wisp-v2"], []]);
      tried.length = 0;
      await wispDialer("ws://r/", { ...options, version: 1 })(to);
      assert.deepEqual(tried, [[]]);
      const error = await tlsError(wispDialer("ws://r/", { ...options, version: 2 })(to));
      assert.strictEqual(error.code, "transport");
    },
  );

  QUnit.test("the server's CLOSE is an end, or says why not, behind what came before", async (assert) => {
    const { dial, servers } = serve(({ type, id, payload }, server) => {
      if (type !== CONNECT) return;
      server.give(DATA!, id, utf8("hello"));
      server.give(CLOSE!, id, [payload[1]!]);
    });
    const ended = await dial({ hostname: "x", port: 2 });
    await sleep(20);
    assert.strictEqual(text(await readAll(ended.readable)), "hello");
    assert.strictEqual((await tlsError(write(ended.writable, utf8("x")))).code, "closed");
    for (const [reason, message] of [
      [0x01, /for no reason that it says/],
      [0x03, /network error/],
      [0x42, /x:66 because the destination cannot be reached/],
      [0x48, /does not go to this destination/],
      [0x99, /for reason 153/],
    ] as const) {
      const failed = await dial({ hostname: "x", port: reason });
      await sleep(5);
      assert.strictEqual(text(await readAtLeast(failed.readable, 5)), "hello");
      const error = await tlsError(readAll(failed.readable));
      assert.strictEqual(error.code, "transport");
      assert.true(message.test(error.message), error.message);
      assert.strictEqual(await rejection(write(failed.writable, utf8("x"))), error);
    }
    assert.strictEqual(servers.length, 1);
  });

  QUnit.test(
    "close() sends no CLOSE before the peer has ended, or nothing has moved for some time",
    async (assert) => {
      const closes = (server: Server) => server.packets.filter(({ type }) => type === CLOSE).length;
      const { dial, servers } = serve(nothing, { closeTimeout: 200 });
      const answered = await dial(to);
      await write(answered.writable, utf8("last words"));
      const closing = answered.writable.close();
      assert.strictEqual(await within(closing, 50), PENDING);
      servers[0]!.give(DATA!, 1, utf8("answer"));
      servers[0]!.give(CLOSE!, 1, [2]);
      await closing;
      assert.strictEqual(text(await readAll(answered.readable)), "answer");
      assert.strictEqual(closes(servers[0]!), 0, "the server has closed it already");

      const silent = await dial(to);
      const server = servers.at(-1)!;
      const reading = readAll(silent.readable);
      await silent.writable.close();
      await sleep(5);
      assert.strictEqual(closes(server), 1);
      assert.strictEqual((await reading).length, 0);

      const cancelled = await dial(to);
      const ending = cancelled.writable.close();
      await cancelled.readable.cancel();
      await sleep(20);
      assert.strictEqual(
        closes(servers.at(-1)!),
        server === servers.at(-1) ? 1 : 0,
        "cancel() does not hurry it",
      );
      await ending;
    },
  );

  QUnit.test("what is given up is closed at once", async (assert) => {
    const { dial, servers } = serve(nothing);
    const [aborted, cancelled, wrong] = await Promise.all([dial(to), dial(to), dial(to)]);
    await aborted.writable.abort(new Error("no"));
    await cancelled.readable.cancel();
    assert.strictEqual(
      (await tlsError(wrong.writable.getWriter().write("x" as never))).code,
      "invalid-argument",
    );
    await sleep(5);
    assert.deepEqual(
      servers[0]!.packets.filter(({ type }) => type === CLOSE).map(({ id, payload }) => [id, payload[0]]),
      [
        [1, 0x81],
        [2, 2],
        [3, 0x81],
      ],
    );
    assert.strictEqual((await tlsError(write(cancelled.writable, utf8("x")))).code, "closed");
  });

  QUnit.test("a stream that is not read fails at maxUnread, and no other one", async (assert) => {
    const { dial, servers } = serve(nothing, { maxUnread: 100 });
    const [full, other] = await Promise.all([dial(to), dial(to)]);
    servers[0]!.give(DATA!, 1, new Uint8Array(60));
    servers[0]!.give(DATA!, 1, new Uint8Array(60));
    servers[0]!.give(DATA!, 2, utf8("fine"));
    await sleep(10);
    const error = await tlsError(readAll(full.readable));
    assert.true(/over 100 bytes that were not read/.test(error.message), error.message);
    assert.strictEqual(text(await readAtLeast(other.readable, 4)), "fine");
  });

  QUnit.test(
    "what breaks the WebSocket fails its streams; the next dialing opens another",
    async (assert) => {
      for (const spoil of [
        (server: Server) => server.close(1011),
        (server: Server) => server.close(1000),
        (server: Server) => server.giveBytes(Uint8Array.of(1, 2, 3)),
        (server: Server) => server.give(CONTINUE!, 1, [1]),
        (server: Server) => server.give(CLOSE!, 0, [0xc2]),
      ]) {
        const { dial, servers } = serve(nothing);
        const transport = await dial(to);
        spoil(servers[0]!);
        assert.strictEqual((await tlsError(readAll(transport.readable))).code, "transport");
        assert.strictEqual((await tlsError(write(transport.writable, utf8("x")))).code, "transport");
        await dial(to);
        assert.strictEqual(servers.length, 2);
      }
    },
  );

  QUnit.test("a server that refuses, or says nothing, fails the dialing", async (assert) => {
    const refusing = serve(nothing, {}, (server) => server.give(CLOSE!, 0, [0xc0]));
    const error = await tlsError(refusing.dial(to));
    assert.true(/the name or the password is wrong/.test(error.message), error.message);
    const silent = serve(nothing, { openTimeout: 50 }, () => {});
    assert.strictEqual((await tlsError(silent.dial(to))).code, "timeout");
    const abort = new AbortController();
    const patient = serve(nothing, {}, () => {});
    const both = [patient.dial({ ...to, signal: abort.signal }), patient.dial(to)];
    both[1]!.catch(() => {});
    await sleep(10);
    abort.abort(new Error("enough"));
    assert.strictEqual(String(await rejection(both[0]!)), "Error: enough");
    patient.servers[0]!.give(CONTINUE!, 0, u32(4));
    assert.true((await both[1]) !== undefined, "the other one goes on");
    const alone = serve(nothing, {}, () => {});
    const gone = new AbortController();
    const dialing = alone.dial({ ...to, signal: gone.signal });
    await sleep(10);
    gone.abort(new Error("enough"));
    await rejection(dialing);
    await sleep(10);
    assert.strictEqual(alone.servers[0]!.readyState, 3, "nobody waits for it any more");
  });

  QUnit.test("the WebSocket is closed some time after its last stream", async (assert) => {
    const { dial, servers } = serve(nothing);
    const transport = await dial(to);
    await sleep(60);
    assert.strictEqual(servers[0]!.readyState, 1);
    await transport.writable.abort();
    await sleep(60);
    assert.strictEqual(servers[0]!.readyState, 3);
    await dial(to);
    assert.strictEqual(servers.length, 2);
  });

  QUnit.test("wrong options are refused", (assert) => {
    for (const [make, message] of [
      [() => wispDialer(""), /url must be a URL/],
      [() => wispDialer(7 as never), /url must be/],
      [() => wispDialer("ws://r/", { version: 3 as never }), /version must be a whole number, 1 to 2/],
      [() => wispDialer("ws://r/", { idleTimeout: -1 }), /idleTimeout must be/],
      [() => wispDialer("ws://r/", { timeout: 1 } as never), /timeout is no option of wispDialer/],
    ] as const)
      assert.throws(make, message);
  });
});

QUnit.module("dialers: Wisp, npm's wisp-js", () => {
  for (const version of [1, 2] as const) {
    const dialer = async (options: WispDialerOptions = {}, more = "") => {
      const { host, port } = await env.peer(`wisp?version=${version}${more}`);
      return wispDialer(`ws://${host}:${port}/`, { WebSocket: env.WebSocket, idleTimeout: 50, ...options });
    };

    QUnit.test(
      `version ${version}: what is written before close() is not lost, however slow the peer`,
      async (assert) => {
        const pair = `tcp?do=pair&id=wisp-close-${version}`;
        const { host, port } = await env.peer(pair);
        const transport = await (await dialer())({ hostname: host, port });
        const peer = await env.connect(pair);
        const bytes = randomBytes(20 * 1024 * 1024, env.seed);
        const reading = (async () => {
          await sleep(300);
          const got = await readAtLeast(peer.readable, bytes.length);
          await peer.writable.close();
          return got;
        })();
        await write(transport.writable, bytes, 256 * 1024);
        await transport.writable.close();
        const got = await reading;
        assert.strictEqual(got.length, bytes.length, `seed ${env.seed}`);
        assert.strictEqual(await sha256(new Uint8Array(got)), await sha256(bytes));
      },
    );

    QUnit.test(`version ${version}: TLS ends complete, both by shutdown() and by close()`, async (assert) => {
      const dial = await dialer();
      for (const verb of ["shutdown", "close"] as const) {
        const name = `openssl?do=echo&id=wisp-${version}-${verb}`;
        const { host, port } = await env.peer(name);
        const transport = await dial({ hostname: host, port });
        const tls = await startTls(transport, { hostname: "localhost", caCerts: env.certs.caPem });
        afterTest(() => tls.abort());
        await tls[verb]();
        const info = await tls.closed;
        assert.true(info.sentCloseNotify);
        assert.strictEqual(info.how, verb === "shutdown" ? "complete" : "closed-without-waiting");
      }
    });

    QUnit.test(
      `version ${version}: a destination that is not allowed, or that nobody listens on`,
      async (assert) => {
        const blocked = await (await dialer({}, "&port=9"))({ hostname: "127.0.0.1", port: 10 });
        const refused = await tlsError(readAll(blocked.readable));
        assert.true(/does not go to this destination/.test(refused.message), refused.message);
        const closed = await (await dialer())({ hostname: "127.0.0.1", port: 1 });
        assert.true(/network error/.test((await tlsError(readAll(closed.readable))).message));
      },
    );
  }
});
