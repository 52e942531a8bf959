/**
 * What a program and its other parts may do to us: arguments that make no sense, in any order; Redis; the memory of a
 * channel.
 */
import { readdirSync, readFileSync } from "node:fs";
import { OpenSsl, TlsError, type Transport } from "wassl";
import { BlockingTransport, carry, newChannel } from "wassl/blocking";
import * as openssl from "wassl/openssl";
import { RedisSessionStore } from "wassl/sessions/redis";
import { join } from "../../der.ts";
import { write } from "../der.ts";
import { type Dice, equal } from "../dice.ts";
import {
  attempt,
  attemptAsync,
  checkError,
  Failure,
  insist,
  note,
  type Run,
  type Target,
} from "../target.ts";
import { makeChain } from "./certificates.ts";
import { contextOf, identify } from "./handshakes.ts";

// ---- the ABI -----------------------------------------------------------------------------------------------------

const MARK = new Error("thrown by an argument");

/** Values that a caller may give by mistake. */
function oddValue(dice: Dice, made: readonly object[]): unknown {
  return dice.pick<() => unknown>([
    () => undefined,
    () => null,
    () =>
      dice.pick([
        0,
        1,
        -1,
        2,
        3,
        255,
        65_535,
        65_536,
        2 ** 31 - 1,
        2 ** 31,
        -(2 ** 31),
        2 ** 32,
        2 ** 53,
        0.5,
      ]),
    () => dice.pick([Number.NaN, Infinity, -Infinity]),
    () => dice.pick([0n, 1n, -1n, 2n ** 63n, 2n ** 64n, 2n ** 200n]),
    () =>
      dice.pick([
        "",
        "x",
        "\0",
        "a\0b",
        "ä",
        "\ud800",
        "DEFAULT",
        "ALL:@SECLEVEL=0",
        "localhost",
        "127.0.0.1",
      ]),
    () => "x".repeat(dice.size(70_000)),
    () => dice.chance(0.5),
    () => dice.bytes(dice.size(2_000)),
    () => new Uint8Array(dice.pick([0, 16_384, 16_385, 70_000, 300_000])),
    () => detached(dice),
    () => new Uint8Array(new SharedArrayBuffer(dice.size(300))),
    () => new DataView(new ArrayBuffer(8)),
    () => [],
    () => [dice.bytes(80)],
    () => ["h2", ""],
    () => [0x0403, -1, 70_000],
    () => ({}),
    () => ({ table: dice.pick([5, "", "AAAA", undefined]) }),
    () => ({ time: new Date(Number.NaN), depth: -1, flags: ["X"], hostname: "", purpose: 7 }),
    () => ({ flags: dice.pick([["X509_V_FLAG_CRL_CHECK"], "X509_V_FLAG_CRL_CHECK", [null]]), depth: 2 }),
    () => ({
      valueOf() {
        throw MARK;
      },
    }),
    () => dice.pick(made),
    () => dice.pick(made),
    () => Symbol("s"),
    () => () => 1,
  ])();
}

function detached(dice: Dice): Uint8Array {
  const bytes = new Uint8Array(1 + dice.size(100));
  structuredClone(bytes, { transfer: [bytes.buffer] });
  return bytes;
}

/** What is public, by its declarations: the rest takes pointers. Whole instances are not wanted here. */
const folder = new URL(".", import.meta.resolve("wassl/openssl"));
const PUBLIC = new Set(
  readdirSync(folder)
    .filter((file) => file.endsWith(".d.ts"))
    .flatMap((file) => [...readFileSync(new URL(file, folder), "utf8").matchAll(/^ {4}(\w+)(?:<.*>)?\(/gm)])
    .map(([, name]) => name!),
);
for (const name of ["constructor", "load", "loadSync", "shared"]) PUBLIC.delete(name);

function methodsOf(object: object): string[] {
  const names: string[] = [];
  for (
    let type = Object.getPrototypeOf(object);
    type && type !== Object.prototype;
    type = Object.getPrototypeOf(type)
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(type)))
      if (typeof value === "function" && PUBLIC.has(name)) names.push(name);
  }
  return names;
}

/**
 * Types are TypeScript's to check, so a `TypeError` for what is of another kind is as good as a `TlsError`; what must
 * not be is an instance that has crashed, or one that works otherwise afterwards.
 */
export const abi: Target = {
  name: "arguments",
  share: 5,
  async start(instance, seed): Promise<Run> {
    const chain = makeChain(`${seed} ec`, "ec");
    const stranger = await OpenSsl.load();
    const theirs = [
      stranger.newContext("client"),
      stranger.newBioPair(),
      stranger.newX509Store(),
      stranger.parseX509(write(chain.leaf)),
    ];
    const faithful = instance as unknown as openssl.OpenSsl;
    return (dice) => {
      const owned: Disposable[] = [];
      const own = <T extends Disposable>(object: T): T => {
        owned.push(object);
        return object;
      };
      try {
        const client = own(contextOf(faithful, "client", chain, 0));
        const server = own(contextOf(faithful, dice.chance(0.1) ? "client" : "server", chain, 0));
        identify(server, chain);
        server.setTicketKeys([new Uint8Array(80)]);
        server.setSessionCacheMode(openssl.SSL_SESS_CACHE_OFF);
        const pairs = [own(faithful.newBioPair(dice.pick([0, 1, 100, 1 << 16]))), own(faithful.newBioPair())];
        const ends = [own(client.newSsl(pairs[0]!)), own(server.newSsl(pairs[1]!))];
        ends[0]!.setConnectState();
        ends[1]!.setAcceptState();
        const objects: object[] = [faithful, client, server, ...pairs, ...ends, own(faithful.newX509Store())];
        const buffer = new Uint8Array(20_000);
        const calls: string[] = [];
        for (let count = 1 + dice.below(40); count > 0; count--) {
          if (dice.chance(0.4)) {
            // Some honest work in between, so that methods meet all states.
            for (const [from, to] of [
              [0, 1],
              [1, 0],
            ] as const) {
              try {
                if (!ends[from]!.isInitFinished()) ends[from]!.tryHandshake();
                else ends[from]!.tryRead(buffer);
                const n = pairs[from]!.read(buffer);
                if (n > 0) pairs[to]!.write(buffer.subarray(0, n));
              } catch (error) {
                // Freed by what went before, which is how it should be told.
                if (!(error instanceof TlsError && ["freed", "invalid-argument"].includes(error.code)))
                  throw error;
              }
            }
            continue;
          }
          const object = dice.pick(objects);
          const method = dice.pick(methodsOf(object));
          const args = Array.from({ length: dice.below(4) }, () => oddValue(dice, [...objects, ...theirs]));
          calls.push(`${object.constructor.name}.${method}(${args.map(kindOf).join(", ")})`);
          note("call", calls.at(-1)!);
          try {
            const answer: unknown = (object as Record<string, (...args: unknown[]) => unknown>)[method]!(
              ...args,
            );
            for (const each of Array.isArray(answer) ? answer : [answer])
              if (
                each instanceof openssl.SslSession ||
                each instanceof openssl.BioPair ||
                each instanceof openssl.SslContext ||
                each instanceof openssl.Ssl ||
                each instanceof openssl.X509Store
              )
                objects.push(own(each));
          } catch (error) {
            if (error === MARK) continue;
            const ours = error instanceof TlsError && !["wasm-crashed", "out-of-memory"].includes(error.code);
            if (!ours && !(error instanceof TypeError)) checkError(error, calls.slice(-6).join("; "));
            if (error instanceof TlsError && !ours)
              throw new Failure(`${calls.slice(-6).join("; ")}: ${error.code}: ${error.cause}`);
          }
        }
      } finally {
        faithful.clearErrors();
        for (const each of owned.reverse()) each[Symbol.dispose]();
      }
    };
  },
};

function kindOf(value: unknown): string {
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}[${value.byteLength}]`;
  if (typeof value === "string") return value.length > 30 ? `text of ${value.length}` : JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) return value.constructor.name;
  return typeof value === "function" ? "function" : String(value);
}

// ---- Redis -------------------------------------------------------------------------------------------------------

/** Answers to GET, as they should be, and as they should not. */
export const redis: Target = {
  name: "Redis",
  share: 3,
  start(): Run {
    return async (dice) => {
      const encoder = new TextEncoder();
      const value = dice.bytes(dice.pick([0, 1, 100, 2_000, 60_000]));
      const bulk = join(encoder.encode(`$${value.length}\r\n`), value, encoder.encode("\r\n"));
      const honest = dice.chance(0.2);
      let reply: Uint8Array = bulk;
      if (!honest) {
        reply = dice.pick([
          () => dice.garble(bulk),
          () =>
            encoder.encode(
              `$${dice.pick(["-1", "-2", "", " 5", "5 ", "0x10", "1e3", "+3", "NaN", "99999999999999999999", "1048577", "1.5"])}\r\nhello\r\n`,
            ),
          () =>
            encoder.encode(
              dice.pick([
                "-ERR no\r\n",
                "+OK\r\n",
                ":12\r\n",
                "*1\r\n$1\r\nx\r\n",
                "_\r\n",
                "\r\n",
                "\n",
                "$\n",
                "-\n",
              ]),
            ),
          () => encoder.encode(`+${"x".repeat(dice.size(200_000))}`),
          () => join(bulk, bulk),
          () =>
            join(
              encoder.encode(`$${value.length + dice.pick([-1, 1, 2])}\r\n`),
              value,
              encoder.encode("\r\n"),
            ),
          () => bulk.slice(0, dice.below(bulk.length + 1)),
        ])();
      }
      note("the reply", reply);
      const step = dice.pick([1, 2, 1_000, 100_000]);
      let given = 0;
      let asked = () => {};
      const question = new Promise<void>((resolve) => {
        asked = resolve;
      });
      const transport: Transport = {
        readable: new ReadableStream(
          {
            async pull(controller) {
              await question;
              if (given >= reply.length) return controller.close();
              const size = Math.max(step, Math.ceil(reply.length / 3_000));
              controller.enqueue(reply.slice(given, given + size));
              given += size;
            },
          },
          { highWaterMark: 0 },
        ),
        writable: new WritableStream({ write: () => asked() }),
      };
      const store = new RedisSessionStore({ connect: () => transport, timeout: 5_000 });
      const got = await attemptAsync("get", () => store.get("key"));
      await attemptAsync("close", () => store.close());
      if (honest) insist(got !== undefined && equal(got, value), "an honest answer is not the value");
    };
  },
};

// ---- the memory of a channel -------------------------------------------------------------------------------------

/** Shared memory that another thread has written anything into; and honest use, compared with a queue. */
export const channels: Target = {
  name: "channels",
  share: 2,
  start(): Run {
    return async (dice) => {
      const size = 1 + dice.size(5_000);
      const channel = newChannel({ size });
      const honest = dice.chance(0.5);
      if (honest) {
        await queue(channel, size, dice);
        return;
      }
      const words = new Int32Array(channel, 0, 32);
      const transport = attempt("a transport", () => new BlockingTransport(channel));
      insist(transport !== undefined, "a new channel is refused");
      for (let count = 1 + dice.below(4); count > 0; count--)
        words[1 + dice.below(31)] = dice.pick([
          0,
          1,
          -1,
          size,
          2 * size,
          2 * size - 1,
          2 ** 31 - 1,
          -(2 ** 31),
          dice.below(5_000),
        ]);
      note("the words", words.join());
      const buffer = new Uint8Array(3_000);
      attempt("read", () => transport.read(buffer, { timeout: 5 }));
      attempt("write", () => transport.write(buffer.subarray(0, dice.below(3_000)), { timeout: 5 }));
      attempt("close", () => transport.close());
    };
  },
};

async function queue(channel: SharedArrayBuffer, size: number, dice: Dice): Promise<void> {
  const sent: Uint8Array[] = [];
  const arrived: Uint8Array[] = [];
  const incoming = Array.from({ length: dice.below(6) }, () =>
    dice.bytes(dice.size(Math.min(3_000, 50 * size))),
  );
  const transport: Transport = {
    readable: new ReadableStream({
      start(controller) {
        for (const each of incoming) if (each.length > 0) controller.enqueue(each);
        controller.close();
      },
    }),
    writable: new WritableStream({ write: (chunk: Uint8Array) => void arrived.push(chunk.slice()) }),
  };
  const near = new BlockingTransport(channel);
  const carried = carry(channel, transport);
  const got: Uint8Array[] = [];
  const buffer = new Uint8Array(2_000);
  // This thread carries too, so nothing here may wait: it looks, and lets the other side do something.
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  let over = false;
  for (let turns = 0; turns < 3_000 && !over; turns++) {
    try {
      const n = near.read(buffer.subarray(0, 1 + dice.below(2_000)), { timeout: 0 });
      if (n === 0) over = true;
      else got.push(buffer.slice(0, n));
    } catch (error) {
      checkWait(error);
    }
    // It cannot wait for room, so it writes what there is room for.
    const left =
      sent.reduce((sum, each) => sum + each.length, 0) - arrived.reduce((sum, each) => sum + each.length, 0);
    if (left === 0 && dice.chance(0.3) && sent.length < 8) {
      const bytes = dice.bytes(dice.below(size + 1));
      sent.push(bytes);
      near.write(bytes, { timeout: 0 });
    }
    await turn();
  }
  insist(over, "the end of a channel does not come");
  near.close();
  await attemptAsync("carry", () => carried);
  insist(equal(join(...got), join(...incoming)), "other bytes come out of a channel");
  insist(equal(join(...arrived), join(...sent)), "other bytes leave by a channel");
}

function checkWait(error: unknown): void {
  if (!(error instanceof TlsError && error.code === "cannot-block")) checkError(error, "a channel");
}
