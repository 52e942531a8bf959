/**
 * What is known of a connection's end, in a table: what the peer does, what we do, and what is told. Each row is tried
 * with both loops, the one that never waits (`acceptTls`) and the one that blocks (`wassl/blocking`), and they must
 * tell the same. The peer is a client that is not OpenSSL (test/fakes/tls13-client.ts), so that it can say whatever a
 * row wants.
 */
import QUnit from "qunit";
import { acceptTls, type CloseInfo, type EofPolicy, TlsError, type Transport } from "wassl";
import { pair } from "../../fakes/pair.ts";
import { ALERT, APPLICATION_DATA, Tls13Client } from "../../fakes/tls13-client.ts";
import { intercept } from "../../fakes/wrappers.ts";
import { concat, PENDING, rejection, sleep, text, utf8, within, write } from "../../helpers/basics.ts";
import { over, server } from "../../helpers/both-ends.ts";
import { afterTest, share } from "../../helpers/env.ts";
import { blocking } from "../../helpers/thread.ts";

/** One end of ours, whichever loop it has. What fails rejects with what that loop throws. */
interface End {
  /** Some bytes; none is the end. */
  read(): Promise<Uint8Array>;
  write(bytes: Uint8Array): Promise<unknown>;
  closeWrite(): Promise<unknown>;
  close(): Promise<unknown>;
  abort(): Promise<unknown>;
  exporter(): Promise<unknown>;
  /** `SSL_get_shutdown(3)`. */
  flags(): Promise<{ sent: boolean; received: boolean }>;
  closed(): Promise<CloseInfo | undefined>;
}

interface Options {
  eofPolicy?: EofPolicy;
  quietShutdown?: boolean;
}

type Loop = (transport: Transport, options: Options) => Promise<End>;

const loops: Record<string, Loop> = {
  async "the loop that never waits"(transport, options) {
    const tls = await acceptTls(transport, { ...server(), ...options });
    afterTest(() => tls.abort());
    const reader = tls.readable.getReader();
    const writer = tls.writable.getWriter();
    for (const { closed } of [reader, writer]) closed.catch(() => {});
    return {
      read: async () => (await reader.read()).value ?? new Uint8Array(0),
      write: (bytes) => writer.write(bytes),
      closeWrite: () => tls.closeWrite(),
      close: () => tls.close(),
      abort: async () => tls.abort(new TlsError("callback", "enough")),
      exporter: async () => tls.exportKeyingMaterial("test", 16),
      flags: async () => tls.shutdownFlags,
      closed: async () => {
        const how = await within(
          tls.closed.catch((reason: TlsError) => reason.outcome),
          2_000,
        );
        return how === PENDING ? undefined : how;
      },
    };
  },
  async "the loop that blocks"(transport, options) {
    const { remote, carried } = await blocking(transport);
    carried.catch(() => {});
    await remote.accept({ ...server(), ...options });
    const state = () => remote.state();
    return {
      read: () => remote.read(100),
      write: (bytes) => remote.write(bytes),
      closeWrite: () => remote.closeWrite(),
      close: () => remote.close(),
      abort: () => remote.abort("enough"),
      exporter: () => remote.exporter(),
      flags: async () => {
        const { sent, received } = await state();
        return { sent, received };
      },
      closed: async () => (await state()).closed,
    };
  },
};

/** The peer: what it sends, one after the other, and how its transport ends. */
interface Peer {
  says: Record<"data" | "canceled" | "closeNotify" | "fatal" | "garbage" | "half", () => Promise<void>> & {
    alert(level: number, code: number): Promise<void>;
  };
  ends(): Promise<void>;
  fails(): Promise<void>;
  /** From now on nothing that we send gets through. */
  cuts(): void;
}

async function connected(open: Loop, options: Options): Promise<[End, Peer]> {
  const [near, far] = pair();
  let cut = false;
  const cuttable = intercept(near, {
    async send(chunk, forward) {
      if (cut) throw new Error("the cable is cut");
      await forward(chunk);
    },
  });
  const opening = open(cuttable, options);
  opening.catch(() => {});
  const client = await Tls13Client.create();
  await write(far.writable, client.clientHello());
  const reader = far.readable.getReader();
  const flight: Uint8Array[] = [];
  for (;;) {
    const part = await within(reader.read(), flight.length > 0 ? 100 : 5000);
    if (part === PENDING || part.done) break;
    flight.push(part.value);
  }
  await write(far.writable, await client.finish(concat(flight)));
  const end = await opening;
  const writer = far.writable.getWriter();
  writer.closed.catch(() => {});
  const say = async (bytes: Promise<Uint8Array>) => writer.write(await bytes);
  return [
    end,
    {
      says: {
        data: () => say(client.record(APPLICATION_DATA, ...utf8("data"))),
        canceled: () => say(client.record(ALERT, 1, 90)),
        closeNotify: () => say(client.record(ALERT, 1, 0)),
        fatal: () => say(client.record(ALERT, 2, 80)),
        alert: (level, code) => say(client.record(ALERT, level, code)),
        garbage: () => say(client.record(APPLICATION_DATA, 1, 2, 3).then((record) => record.fill(7, 10))),
        half: () => say(client.record(APPLICATION_DATA, 1, 2, 3).then((record) => record.subarray(0, 10))),
      },
      ends: () => writer.close(),
      fails: () => writer.abort(new Error("the cable is cut")),
      cuts: () => {
        cut = true;
      },
    },
  ];
}

interface Row {
  name: string;
  options?: Options;
  peer?: (peer: Peer) => Promise<void> | void;
  /** What is done instead of reading to the end and closing. */
  ours?: (end: End, peer: Peer) => Promise<unknown>;
  /** What reading came to: all the bytes, or the code of the error behind them. */
  reads?: string;
  /** What later calls are refused with. */
  refusal: string;
  flags: { sent: boolean; received: boolean };
  closed: Omit<CloseInfo, "discarded">;
}

const no = { sentCloseNotify: false, receivedCloseNotify: false, resumable: false } as const;
const both = { sentCloseNotify: true, receivedCloseNotify: true, resumable: true } as const;
const internalError = {
  direction: "received",
  level: "fatal",
  description: "internal_error",
  code: 80,
} as const;
const ours = (description: string, code: number) =>
  ({ direction: "sent", level: "fatal", description, code }) as const;
/** For OpenSSL a truncation is an error, and it answers one as it answers any. */
const truncated = { ...no, how: "truncated", alert: ours("decode_error", 50) } as const;

const rows: Row[] = [
  {
    name: "close_notify",
    peer: ({ says }) => says.closeNotify(),
    reads: "data",
    refusal: "closed",
    flags: { sent: true, received: true },
    closed: { ...both, how: "complete" },
  },
  {
    name: "close_notify, and the transport's end",
    peer: async ({ says, ends }) => {
      await says.closeNotify();
      await ends();
    },
    reads: "data",
    refusal: "closed",
    flags: { sent: true, received: true },
    closed: { ...both, how: "complete" },
  },
  {
    name: "user_canceled, then close_notify",
    peer: async ({ says }) => {
      await says.canceled();
      await says.closeNotify();
    },
    reads: "data",
    refusal: "closed",
    flags: { sent: true, received: true },
    closed: { ...both, how: "complete" },
  },
  {
    name: "user_canceled, and the transport's end",
    peer: async ({ says, ends }) => {
      await says.canceled();
      await ends();
    },
    reads: "data, then truncated",
    refusal: "truncated",
    flags: { sent: false, received: false },
    closed: { ...truncated, truncatedAt: "record" },
  },
  {
    name: "a fatal alert",
    peer: ({ says }) => says.fatal(),
    reads: "data, then alert",
    refusal: "alert",
    flags: { sent: false, received: true },
    closed: { ...no, how: "alert", alert: internalError },
  },
  // In TLS 1.3 the level says nothing (RFC 8446 §6), be it one of the two or another.
  ...[1, 0, 42].map(
    (level): Row => ({
      name: `a fatal alert whose level is ${level}`,
      peer: ({ says }) => says.alert(level, 80),
      reads: "data, then alert",
      refusal: "alert",
      flags: { sent: false, received: true },
      closed: { ...no, how: "alert", alert: internalError },
    }),
  ),
  {
    name: "user_canceled and close_notify whose level is that of fatal alerts",
    peer: async ({ says }) => {
      await says.alert(2, 90);
      await says.alert(2, 0);
    },
    reads: "data",
    refusal: "closed",
    flags: { sent: true, received: true },
    closed: { ...both, how: "complete" },
  },
  {
    name: "what is not encrypted as it should be",
    peer: ({ says }) => says.garbage(),
    reads: "data, then protocol",
    refusal: "protocol",
    flags: { sent: false, received: false },
    closed: { ...no, how: "alert", alert: ours("bad_record_mac", 20) },
  },
  ...(["strict", "record-boundary", "ignore"] as const).flatMap((eofPolicy): Row[] =>
    (["record", "mid-record"] as const).map((at): Row => {
      const passes = eofPolicy === "ignore" || (eofPolicy === "record-boundary" && at === "record");
      return {
        name: `the transport's end, ${at}, ${eofPolicy}`,
        options: { eofPolicy },
        peer: async ({ says, ends }) => {
          if (at === "mid-record") await says.half();
          await ends();
        },
        reads: passes ? "data" : "data, then truncated",
        refusal: passes ? "closed" : "truncated",
        flags: { sent: false, received: false },
        closed: { ...truncated, truncatedAt: at },
      };
    }),
  ),
  {
    name: "the transport's end passes: nothing can be written",
    options: { eofPolicy: "ignore" },
    peer: ({ ends }) => ends(),
    ours: async (end) => {
      await readToEnd(end);
      const refused = (await rejection(end.write(utf8("x")))) as TlsError;
      if (refused.code !== "closed" || !/peer closed/.test(refused.message)) throw refused;
      await end.close();
    },
    refusal: "closed",
    flags: { sent: false, received: false },
    closed: { ...truncated, truncatedAt: "record" },
  },
  {
    name: "the transport fails",
    peer: ({ fails }) => fails(),
    ours: readToEnd,
    refusal: "transport",
    flags: { sent: false, received: false },
    closed: { ...no, how: "failed" },
  },
  {
    name: "close_notify, and then our writing fails",
    peer: ({ says }) => says.closeNotify(),
    ours: async (end, peer) => {
      await readToEnd(end);
      peer.cuts();
      // Until it is known: a channel takes bytes that its carrier cannot send.
      for (
        let i = 0;
        i < 100 &&
        (await end.write(utf8("x")).then(
          () => true,
          () => false,
        ));
        i++
      )
        await sleep(10);
    },
    refusal: "transport",
    flags: { sent: false, received: true },
    closed: { ...no, receivedCloseNotify: true, how: "failed" },
  },
  {
    name: "we close, and do not read",
    ours: (end) => end.close(),
    refusal: "closed",
    flags: { sent: true, received: false },
    closed: { ...both, receivedCloseNotify: false, how: "closed-without-waiting" },
  },
  {
    name: "we give it up",
    ours: (end) => end.abort(),
    refusal: "ours",
    flags: { sent: false, received: false },
    closed: { ...no, how: "aborted" },
  },
  {
    name: "we give it up behind close_notify",
    peer: ({ says }) => says.closeNotify(),
    ours: async (end) => {
      await readToEnd(end);
      await end.abort();
    },
    refusal: "ours",
    flags: { sent: false, received: true },
    closed: { ...no, receivedCloseNotify: true, how: "aborted" },
  },
  {
    name: "quiet: we close",
    options: { quietShutdown: true },
    ours: (end) => end.close(),
    refusal: "closed",
    flags: { sent: true, received: true },
    closed: { ...no, how: "quiet", resumable: true },
  },
  {
    name: "quiet: behind the peer's close_notify",
    options: { quietShutdown: true },
    peer: ({ says }) => says.closeNotify(),
    reads: "data",
    refusal: "closed",
    flags: { sent: true, received: true },
    closed: { ...no, receivedCloseNotify: true, how: "quiet", resumable: true },
  },
  {
    name: "quiet: what arrives behind the end of our writing is read",
    options: { quietShutdown: true },
    ours: async (end, { says }) => {
      await end.closeWrite();
      await says.data();
      await says.closeNotify();
      await readToEnd(end);
      await end.close();
    },
    refusal: "closed",
    flags: { sent: true, received: true },
    closed: { ...no, receivedCloseNotify: true, how: "quiet", resumable: true },
  },
  {
    name: "quiet: the transport's end is still a truncation",
    options: { quietShutdown: true },
    peer: ({ ends }) => ends(),
    reads: "data, then truncated",
    refusal: "truncated",
    flags: { sent: false, received: false },
    closed: { ...truncated, truncatedAt: "record" },
  },
];

/** All that comes, and the code of what comes instead of an end. */
async function readToEnd(end: End): Promise<string> {
  let all = "";
  try {
    for (;;) {
      const part = await end.read();
      if (part.length === 0) return all;
      all += text(part);
    }
  } catch (error) {
    return `${all}, then ${(error as TlsError).code}`;
  }
}

async function tell(assert: Assert, row: Row, open: Loop, what: string): Promise<void> {
  const [end, peer] = await connected(open, row.options ?? {});
  assert.ok(await end.exporter(), `${what}: the exporter, while it is open`);
  await peer.says.data();
  await row.peer?.(peer);
  await row.ours?.(end, peer);
  if (row.reads !== undefined) {
    assert.strictEqual(await readToEnd(end), row.reads, `${what}: what was read`);
    await end.close();
  }
  assert.deepEqual(await end.closed(), { ...row.closed, discarded: 0 }, `${what}: how it ended`);
  assert.deepEqual(await end.flags(), row.flags, `${what}: SSL_get_shutdown`);
  const error = (await rejection(end.exporter())) as TlsError;
  if (row.refusal === "ours") assert.strictEqual(error.message, "enough", `${what}: later calls`);
  else assert.strictEqual(error.code, row.refusal, `${what}: later calls`);
}

QUnit.module("verdict", () => {
  for (const [loop, open] of Object.entries(loops)) {
    QUnit.test(`each end is told as in the table, by ${loop}`, async (assert) => {
      assert.timeout(120_000);
      for (const row of share(rows)) await tell(assert, row, open, row.name);
    });
  }

  QUnit.test(
    "close_notify comes and a send fails, in any order: the reader meets the clean end",
    async (assert) => {
      assert.timeout(60_000);
      // Both are on their way through promises: one is some microtasks later than the other.
      for (let delay = -20; delay <= 20; delay++) {
        let [holds, arrive, fail] = [false, () => {}, () => {}];
        const [near, far] = pair();
        const held = intercept(near, {
          async receive(chunk) {
            if (!holds) return [chunk];
            await new Promise<void>((resolve) => {
              arrive = resolve;
            });
            return [chunk];
          },
          async send(chunk, forward) {
            if (!holds) return forward(chunk);
            await new Promise((_resolve, reject) => {
              fail = () => reject(new Error("the cable is cut"));
            });
          },
        });
        const [client, peer] = await over([held, far]);
        holds = true;
        const reading = client.readable.getReader().read();
        const writing = rejection(client.writable.getWriter().write(utf8("lost")));
        await peer.closeWrite();
        await sleep(2);
        const [first, second] = delay < 0 ? [fail, arrive] : [arrive, fail];
        first();
        for (let i = Math.abs(delay); i > 0; i--) await undefined;
        second();
        const what = `${delay} microtasks later`;
        assert.true((await reading).done, what);
        assert.strictEqual(((await writing) as TlsError).code, "transport", what);
        client.abort();
      }
    },
  );
});
