/**
 * Every option that is a time: however long it is it does not fire at once, and when it has passed it is told alike.
 */
import QUnit from "qunit";
import {
  acceptTls,
  MemorySessionStore,
  type SessionStore,
  startTls,
  TlsError,
  type TlsEvent,
  type Transport,
} from "wassl";
import { RedisSessionStore } from "wassl/sessions/redis";
import { connectWebSocket } from "wassl/transports/websocket";
import { pair } from "../../fakes/pair.ts";
import { cloggable } from "../../fakes/wrappers.ts";
import { PENDING, readAtLeast, rejection, sleep, text, utf8, within, write } from "../../helpers/basics.ts";
import { over } from "../../helpers/both-ends.ts";
import { env } from "../../helpers/env.ts";

/** What a runtime's own timers can wait for, one more than that, and what a caller writes to mean "for ever". */
const long = [2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, Infinity];

const stuck = async () => {
  const [near, far] = pair();
  const clog = cloggable(near, false);
  const [client] = await over([clog.transport, far], {});
  clog.clog();
  return client;
};
const identity = () => ({ cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa });

/**
 * For each option: something that waits for so long. When that has passed, it rejects with the error that the waiting
 * call gets. (Blocking calls: test/contract/blocking/blocking.ts.)
 */
const options: Record<string, (time: number, signal: AbortSignal) => Promise<unknown>> = {
  "startTls handshakeTimeout": (handshakeTimeout, signal) =>
    startTls(pair()[0], { hostname: "localhost", handshakeTimeout, signal }),
  "acceptTls handshakeTimeout": (handshakeTimeout, signal) =>
    acceptTls(pair()[0], { ...identity(), handshakeTimeout, signal }),
  async "shutdown({ timeout })"(timeout, signal) {
    const [client] = await over(pair(), {});
    await client.shutdown({ timeout, signal });
  },
  async "close({ timeout })"(timeout, signal) {
    const client = await stuck();
    signal.addEventListener("abort", () => client.abort());
    await client.close({ timeout });
    await client.closed;
  },
  async closeTimeout(closeTimeout, signal) {
    const [near, far] = pair();
    const clog = cloggable(near, false);
    const [client] = await over([clog.transport, far], { closeTimeout });
    clog.clog();
    signal.addEventListener("abort", () => client.abort());
    await client.close();
    await client.closed;
  },
  async "RedisSessionStore timeout"(timeout) {
    const store = new RedisSessionStore({ connect: () => new Promise<Transport>(() => {}), timeout });
    await store.get("key");
  },
};

QUnit.module("time", () => {
  for (const [name, wait] of Object.entries(options)) {
    QUnit.test(`${name}: long times do not pass at once`, async (assert) => {
      await Promise.all(
        long.map(async (time) => {
          const controller = new AbortController();
          const waiting = wait(time, controller.signal);
          waiting.catch(() => {});
          assert.strictEqual(await within(waiting, 150), PENDING, `${time}`);
          controller.abort();
        }),
      );
    });

    QUnit.test(`${name}: when it has passed the code is "timeout"`, async (assert) => {
      const error = await rejection(wait(30, new AbortController().signal));
      assert.true(error instanceof TlsError && error.code === "timeout", String(error));
    });
  }

  QUnit.test("a WebSocket's closeTimeout: long times do not pass at once", async (assert) => {
    for (const closeTimeout of long) {
      const transport = await connectWebSocket(env.ws("/ws/echo"), {
        WebSocket: env.WebSocket,
        closeTimeout,
      });
      await write(transport.writable, utf8("last"));
      assert.strictEqual(text(await readAtLeast(transport.readable, 4)), "last");
      await transport.writable.close();
    }
  });

  const hanging: Record<string, SessionStore> = {
    "hangs in all": {
      get: () => new Promise(() => {}),
      take: () => new Promise(() => {}),
      put: () => new Promise(() => {}),
    },
    "hangs in put": { get: () => undefined, take: () => undefined, put: () => new Promise(() => {}) },
    "hangs in get": { get: () => new Promise(() => {}), take: () => undefined, put() {} },
  };
  for (const [name, sessionStore] of Object.entries(hanging)) {
    QUnit.test(`a session store that ${name} costs the session, not the connection`, async (assert) => {
      const errors: unknown[] = [];
      const onEvent = (event: TlsEvent) => {
        if (event.type === "session-store-error") errors.push(event.error);
      };
      const begun = Date.now();
      const [client, server] = await over(pair(), { sessionStore, onEvent });
      assert.true(Date.now() - begun < 5_000, `${Date.now() - begun} ms`);
      await write(server.writable, utf8("here"));
      assert.strictEqual(text(await readAtLeast(client.readable, 4)), "here");
      for (let i = 0; i < 40 && errors.length === 0; i++) await sleep(100);
      const codes = errors.map((error) => (error as TlsError).code);
      assert.deepEqual([...new Set(codes)], ["timeout"]);
    });
  }

  QUnit.test("sessions that have expired leave the store by themselves", async (assert) => {
    const store = new MemorySessionStore();
    const session = new Uint8Array(10);
    for (const [key, time] of [
      ["a", 100],
      ["b", 50],
      ["b", 5_000],
      ["c", 100],
    ] as const) {
      store.put(key, session, Date.now() + time);
    }
    assert.strictEqual(store.size, 4);
    await sleep(250);
    assert.strictEqual(store.size, 1);
    store.put("d", session, Date.now() + 50);
    await sleep(150);
    assert.strictEqual(store.size, 1, "later ones too");
    store.clear();
  });
});
