/** Early data (0-RTT), through `startTls` and `acceptTls`. */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  MemorySessionStore,
  type ServerContextOptions,
  type ServerOptions,
  startTls,
  TlsContext,
  type TlsStream,
  type Transport,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import { intercept, oneByte, tap } from "../../fakes/wrappers.ts";
import { concat, eventsOf, readAtLeast, sleep, text, tlsError, utf8, write } from "../../helpers/basics.ts";
import { client, clientCert, server } from "../../helpers/both-ends.ts";
import { connectTls } from "../../helpers/connect.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const earlyData = utf8("GET /early\n");

async function context(options: Partial<ServerContextOptions> = {}): Promise<TlsContext> {
  const made = await TlsContext.server({ ...server(), maxEarlyData: 16_384, ...options });
  afterTest(() => made.free());
  return made;
}

interface Both {
  client: TlsStream;
  server: TlsStream;
  /** What the server was told early, and whether that was before its handshake was done. */
  early: string;
  before: boolean;
}

/** Connects; the server replies early to what comes early, unless told otherwise. */
async function connect(
  on: TlsContext,
  clientOptions: Partial<ClientOptions>,
  serverOptions: Partial<ServerOptions> = {},
  between: (ends: [Transport, Transport]) => [Transport, Transport] = (ends) => ends,
): Promise<Both> {
  const [near, far] = between(pair());
  const pieces: Uint8Array[] = [];
  let done = false;
  let before = false;
  const starting = startTls(near, { ...client(), ...clientOptions });
  const accepting = acceptTls(far, {
    context: on,
    onEarlyData(data, reply) {
      pieces.push(data);
      before ||= !done;
      reply(utf8("early answer\n"));
    },
    ...serverOptions,
  }).then((stream) => {
    done = true;
    return stream;
  });
  const [mine, theirs] = await Promise.all([starting, accepting]);
  afterTest(() => mine.abort());
  afterTest(() => theirs.abort());
  return { client: mine, server: theirs, early: text(concat(pieces)), before };
}

/** A store with sessions that allow early data. */
async function prepared(
  on: TlsContext,
  options: Partial<ClientOptions> = {},
): Promise<{ sessionStore: MemorySessionStore }> {
  const sessionStore = new MemorySessionStore();
  const both = await connect(on, { ...options, sessionStore });
  if (both.client.info.earlyData !== "none") throw new Error("there was no session");
  await both.server.closeWrite();
  await both.client.shutdown();
  await both.server.shutdown();
  return { sessionStore };
}

async function answerOf(both: Both): Promise<string> {
  return text(await readAtLeast(both.client.readable, 13));
}

QUnit.module("early data", () => {
  QUnit.test("is taken before the handshake is done, and answered as early", async (assert) => {
    const on = await context();
    const options = await prepared(on);
    const both = await connect(on, { ...options, earlyData });
    assert.strictEqual(both.early, text(earlyData));
    assert.true(both.before);
    assert.strictEqual(both.client.info.earlyData, "accepted");
    assert.strictEqual(both.server.info.earlyData, "accepted");
    assert.true(both.client.info.verified);
    assert.strictEqual(await answerOf(both), "early answer\n");
    // And it goes on as ever.
    await write(both.client.writable, utf8("later"));
    assert.strictEqual(text(await readAtLeast(both.server.readable, 5)), "later");
    await write(both.server.writable, utf8("later"));
    assert.strictEqual(text(await readAtLeast(both.client.readable, 5)), "later");
    assert.strictEqual(both.client.statistics.sent.data, earlyData.length + 5);
    assert.strictEqual(both.server.statistics.received.data, earlyData.length + 5);
  });

  QUnit.test("of any size that is allowed, at any pair size, in any pieces", async (assert) => {
    const on = await context();
    const large = randomBytes(16_384, env.seed);
    for (const [bioPairSize, bytes, between] of [
      [1, earlyData, undefined],
      [300, large, undefined],
      [17_408, large, undefined],
      [
        100,
        earlyData,
        ([a, b]: [Transport, Transport]) => [oneByte(a), oneByte(b)] as [Transport, Transport],
      ],
    ] as const) {
      const options = await prepared(on);
      let told = 0;
      const both = await connect(
        on,
        { ...options, earlyData: bytes, bioPairSize },
        {
          bioPairSize,
          onEarlyData: (data, reply) => {
            told += data.length;
            if (told === bytes.length) reply(utf8("early answer\n"));
          },
        },
        between,
      );
      assert.strictEqual(both.client.info.earlyData, "accepted");
      assert.strictEqual(told, bytes.length, `a pair of ${bioPairSize}`);
      const late = both.client.readable.getReader();
      late.releaseLock();
      assert.strictEqual(await answerOf(both), "early answer\n");
    }
  });

  QUnit.test("an early reply of any size arrives whole before the client has said more", async (assert) => {
    const on = await context();
    for (const [bioPairSize, length] of [
      [10, 100],
      [100, 50_000],
      [17_408, 50_000],
    ] as const) {
      const large = randomBytes(length, env.seed);
      const options = await prepared(on);
      const [near, far] = pair();
      let letGo = () => {};
      const held = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      let flights = 0;
      const holding = intercept(near, {
        async send(chunk, forward) {
          if (flights++ > 0) await held;
          await forward(chunk);
        },
      });
      const accepting = acceptTls(far, {
        context: on,
        bioPairSize,
        onEarlyData: (_data, reply) => void reply(large),
      });
      const stream = await startTls(holding, { ...client(), ...options, earlyData });
      afterTest(() => stream.abort());
      assert.deepEqual(await readAtLeast(stream.readable, large.length), large, `a pair of ${bioPairSize}`);
      letGo();
      const theirs = await accepting;
      afterTest(() => theirs.abort());
      assert.strictEqual(theirs.info.earlyData, "accepted");
    }
  });

  QUnit.test(
    "what the server does not read is rejected, and arrives when it is written again",
    async (assert) => {
      const on = await context();
      const options = await prepared(on);
      const both = await connect(on, { ...options, earlyData }, { onEarlyData: undefined as never });
      assert.strictEqual(both.client.info.earlyData, "rejected");
      assert.strictEqual(both.server.info.earlyData, "rejected");
      assert.true(both.client.info.sessionReused);
      await write(both.client.writable, earlyData);
      assert.strictEqual(text(await readAtLeast(both.server.readable, 11)), text(earlyData));
    },
  );

  QUnit.test("a reply that comes too late is told so", async (assert) => {
    const on = await context();
    const options = await prepared(on);
    let reply: ((bytes: Uint8Array) => boolean) | undefined;
    const both = await connect(
      on,
      { ...options, earlyData },
      {
        onEarlyData(_data, how) {
          reply = how;
        },
      },
    );
    assert.strictEqual(both.client.info.earlyData, "accepted");
    assert.false(reply?.(utf8("late")));
    await both.server.close();
    assert.false(reply?.(utf8("later")));
  });

  QUnit.test("a flight that was recorded is not taken again", async (assert) => {
    const on = await context();
    const options = await prepared(on);
    let recorded = () => new Uint8Array(0);
    const first = await connect(on, { ...options, earlyData }, {}, ([near, far]) => {
      const { transport, sent } = tap(near);
      recorded = () => sent() as Uint8Array<ArrayBuffer>;
      return [transport, far];
    });
    assert.strictEqual(first.client.info.earlyData, "accepted");

    const [near, far] = pair();
    let told = 0;
    const accepting = acceptTls(far, { context: on, onEarlyData: () => told++ });
    await write(near.writable, recorded());
    await near.writable.close();
    await tlsError(accepting);
    await sleep(10);
    assert.strictEqual(told, 0);
  });

  QUnit.test("what onEarlyData throws ends its connection, and no other", async (assert) => {
    const on = await context();
    const thrown = new Error("none of that");
    for (const onEarlyData of [
      () => {
        throw thrown;
      },
      async () => {
        throw thrown;
      },
    ]) {
      const [near, far] = pair();
      const starting = startTls(near, { ...client(), ...(await prepared(on)), earlyData });
      const accepting = acceptTls(far, { context: on, onEarlyData });
      starting.then((stream) => afterTest(() => stream.abort())).catch(() => {});
      const error = await tlsError(accepting);
      assert.strictEqual(error.code, "callback", error.message);
      assert.strictEqual(error.cause, thrown);
    }
    const { early } = await connect(on, { ...(await prepared(on)), earlyData });
    assert.strictEqual(early, text(earlyData));
  });

  QUnit.test("is not sent where it is not allowed", async (assert) => {
    const on = await context({ alpnProtocols: ["h2", "imap"] });
    const base = { alpnProtocols: ["imap"] };
    const none = async (why: string, options: Partial<ClientOptions>, context = on) => {
      const both = await connect(context, { earlyData, ...options });
      assert.strictEqual(both.early, "", why);
      assert.strictEqual(both.client.info.earlyData, "none", why);
    };
    await none("no session", { ...base, sessionStore: new MemorySessionStore() });
    const verify = () => true;
    await none("verify", { ...base, verify, ...(await prepared(on, { ...base, verify })) });
    await none("too long", { ...base, ...(await prepared(on, base)), earlyData: new Uint8Array(16_385) });
    const [session] = await (async () => {
      const { client: stream, server: theirs } = await connect(on, { ...base, sessionStore: false });
      await write(theirs.writable, utf8("."));
      await readAtLeast(stream.readable, 1);
      return [stream.getSession()!];
    })();
    await none("another protocol", { alpnProtocols: ["h2"], session, sessionStore: false });
    const without = await context({ maxEarlyData: 0 });
    await none("a server that allows none", await prepared(without), without);
    const twelve = await context({ maxVersion: "TLSv1.2" });
    await none("TLS 1.2", await prepared(twelve), twelve);
    for (const wrong of [new Uint8Array(0), "text" as unknown as Uint8Array]) {
      const [near] = pair();
      const error = await tlsError(startTls(near, { ...client(), earlyData: wrong }));
      assert.strictEqual(error.code, "invalid-argument");
    }
    assert.strictEqual((await tlsError(context({ maxEarlyData: -1 }))).code, "invalid-argument");
  });

  for (const how of ["directly", "through selectContext", "by selectContext's options"] as const) {
    QUnit.test(`where verify is to be asked nothing is told or answered before: ${how}`, async (assert) => {
      let banned = false;
      const log: string[] = [];
      const options: ServerContextOptions = {
        ...server(),
        maxEarlyData: 16_384,
        clientAuth: "request",
        caCerts: env.certs.caPem,
        async verify() {
          log.push("asked");
          await sleep(5);
          log.push("answered");
          return !banned;
        },
      };
      const chosen = await context(options);
      // The base has its own memory of sessions, and no verify: neither counts.
      const on =
        how === "directly"
          ? chosen
          : await context({ selectContext: () => (how.includes("options") ? options : chosen) });
      const early = { onEarlyData: () => void log.push("told") };
      const earlyOf = async (
        who: Partial<ClientOptions>,
        withSession: { sessionStore: MemorySessionStore },
      ) => {
        const both = await connect(on, { ...who, ...withSession, earlyData }, early);
        return [both.client.info.sessionReused, both.client.info.earlyData, both.server.info.earlyData];
      };
      const resumes = how !== "by selectContext's options";
      const known = await prepared(on, clientCert());
      log.length = 0;
      assert.deepEqual(await earlyOf(clientCert(), known), [resumes, ...Array(2).fill("rejected")]);
      assert.deepEqual(log, ["asked", "answered"], "and the connection is as any other");
      // There is no certificate to ask about.
      const nobody = await prepared(on);
      assert.deepEqual(await earlyOf({}, nobody), [
        resumes,
        ...Array(2).fill(resumes ? "accepted" : "rejected"),
      ]);
      const again = await prepared(on, clientCert());
      banned = true;
      log.length = 0;
      const error = await tlsError(earlyOf(clientCert(), again));
      assert.true(["certificate", "alert"].includes(error.code), String(error));
      await sleep(10);
      assert.deepEqual(log, ["asked", "answered"]);
    });
  }

  QUnit.test("a server that has to choose its context takes it all the same", async (assert) => {
    const chosen = await context();
    const chooser = await context({
      selectContext: async () => {
        await sleep(1);
        return chosen;
      },
    });
    const options = await prepared(chooser);
    const both = await connect(chooser, { ...options, earlyData });
    assert.strictEqual(both.early, text(earlyData));
    assert.strictEqual(both.client.info.earlyData, "accepted");
    assert.strictEqual(await answerOf(both), "early answer\n");
  });

  QUnit.test("openssl s_server takes ours", async (assert) => {
    const peer =
      "openssl?version=1.3&do=nothing&arg=-early_data&arg=-max_early_data&arg=1000&log=GET&id=early-high";
    const sessionStore = new MemorySessionStore();
    for (const expected of ["none", "accepted"]) {
      const stream = await connectTls(peer, { sessionStore, earlyData });
      assert.strictEqual(stream.info.earlyData, expected);
      await write(stream.writable, utf8("hello\n"));
      for (let i = 0; i < 200 && stream.getSession() === undefined; i++) await sleep(5);
      await stream.close();
    }
    assert.true((await eventsOf(peer, /GET \/early/)).includes("GET /early"));
  });

  QUnit.test("openssl s_client's is taken", async (assert) => {
    const on = await context();
    const peer = `s_client?version=1.3&session=early-${env.runtime}&early=GET%20early&log=^Early data was`;
    for (const expected of ["", "GET early"]) {
      const pieces: Uint8Array[] = [];
      const stream = await acceptTls(await env.connect(peer), {
        context: on,
        onEarlyData: (data) => void pieces.push(data),
      });
      assert.strictEqual(text(concat(pieces)), expected);
      await write(stream.writable, utf8("hello\n"));
      await eventsOf(peer, /^Early data was/);
      await stream.shutdown().catch(() => stream.abort());
      await eventsOf(peer, /^exit/);
    }
  });
});
