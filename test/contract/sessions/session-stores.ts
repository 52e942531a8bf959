/** The stores of sessions, each by the same contract, and what is special about one. */
import QUnit from "qunit";
import { MemorySessionStore, type SessionStore, TlsError, type Transport } from "wassl";
import { type DenoKvLike, DenoKvSessionStore } from "wassl/sessions/deno-kv";
import { IndexedDbSessionStore } from "wassl/sessions/indexeddb";
import { RedisSessionStore } from "wassl/sessions/redis";
import { oneByte } from "../../fakes/wrappers.ts";
import { concat, readAtLeast, sleep, text, tlsError, utf8, write } from "../../helpers/basics.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

let keys = 0;
/** A key that no other test uses. */
const newKey = () => `${env.runtime} ${env.seed} ${keys++}`;
const soon = () => Date.now() + 60_000;
const session = (n: number) => randomBytes(2_000 + n, env.seed + n);

/** `make` gives two that share what they keep, as two processes or tabs do; or one that stands for both. */
function contract(make: () => Promise<readonly [SessionStore, SessionStore]>): void {
  QUnit.test("put, get, take", async (assert) => {
    const [store, other] = await make();
    const key = newKey();
    assert.strictEqual(await store.get(key), undefined);
    assert.strictEqual(await store.take(key), undefined);
    const given = session(1);
    await store.put(key, given, soon());
    given.fill(0);
    assert.deepEqual(await other.get(key), session(1), "a copy was kept");
    assert.deepEqual(await store.get(key), session(1), "it stays");
    assert.strictEqual(await store.get(newKey()), undefined, "under its key alone");
    assert.deepEqual(await other.take(key), session(1));
    assert.strictEqual(await store.take(key), undefined);
    await store.put(key, session(2), soon());
    await store.put(key, session(3), soon());
    assert.deepEqual(await store.take(key), session(3), "the newest first");
  });

  QUnit.test("each session is given to one of those who want to take it", async (assert) => {
    const stores = await make();
    const key = newKey();
    for (let round = 0; round < 5; round++) {
      await stores[0].put(key, session(round), soon());
      const asked = Array.from({ length: 20 }, (_, i) => stores[i % 2]!.take(key));
      const got = (await Promise.all(asked)).filter((each) => each !== undefined);
      assert.deepEqual(got, [session(round)]);
    }
  });

  QUnit.test("what has expired is gone", async (assert) => {
    const [store] = await make();
    const key = newKey();
    await store.put(key, session(1), Date.now() - 1);
    assert.strictEqual(await store.get(key), undefined);
    await store.put(key, session(2), Date.now() + 250);
    assert.deepEqual(await store.get(key), session(2));
    await sleep(270);
    assert.strictEqual(await store.get(key), undefined);
    assert.strictEqual(await store.take(key), undefined);
  });

  QUnit.test("any bytes, and many at a time", async (assert) => {
    const stores = await make();
    const sizes = [0, 1, 2, 100, 60_000];
    await Promise.all(
      sizes.map(async (size) => {
        const key = newKey();
        const bytes = size === 2 ? utf8("\r\n") : randomBytes(size, env.seed + size);
        await stores[0].put(key, bytes, soon());
        assert.deepEqual(await stores[1].take(key), bytes, `${size} bytes`);
      }),
    );
  });
}

QUnit.module("session store: memory", () => {
  contract(async () => {
    const store = new MemorySessionStore();
    return [store, store];
  });

  QUnit.test("keeps some for a key, and as many in all as it may", (assert) => {
    const store = new MemorySessionStore({ max: 5, maxPerKey: 2 });
    for (const n of [1, 2, 3]) store.put("a", session(n), soon());
    assert.strictEqual(store.size, 2);
    assert.deepEqual(
      [store.take("a"), store.take("a"), store.take("a")],
      [session(3), session(2), undefined],
    );
    assert.strictEqual(store.size, 0);
    for (const key of ["a", "b", "c", "d", "e"]) store.put(key, session(1), soon());
    store.get("a");
    store.put("f", session(1), soon());
    assert.strictEqual(store.size, 5);
    assert.strictEqual(store.get("b"), undefined, "whose key was not used for longest");
    assert.true(store.get("a") !== undefined);
    store.clear();
    assert.strictEqual(store.size, 0);
    assert.strictEqual(store.get("a"), undefined);
  });

  QUnit.test("values that cannot be bounds", (assert) => {
    for (const options of [{ max: 0 }, { maxPerKey: 0 }, { max: 1.5 }]) {
      assert.throws(() => new MemorySessionStore(options), TlsError);
    }
  });
});

if (typeof indexedDB !== "undefined") {
  QUnit.module("session store: IndexedDB", () => {
    const open = (name: string, max?: number) => {
      const store = new IndexedDbSessionStore({ name, ...(max && { max }) });
      afterTest(async () => {
        await store.close();
        indexedDB.deleteDatabase(name);
      });
      return store;
    };
    contract(async () => [open("contract"), open("contract")]);

    QUnit.test("outlives the page that opened it, and yields to a deletion", async (assert) => {
      const key = newKey();
      const first = open("outlives");
      await first.put(key, session(1), soon());
      await first.close();
      assert.deepEqual(await first.get(key), session(1), "closed, it opens again");
      const second = open("outlives");
      assert.deepEqual(await second.get(key), session(1));
      await new Promise((resolve) => {
        indexedDB.deleteDatabase("outlives").onsuccess = resolve;
      });
      assert.strictEqual(await second.get(key), undefined);
    });

    QUnit.test("keeps as many as it may, those that expire last", async (assert) => {
      const store = open("bounded", 3);
      for (const n of [5, 1, 4, 2, 3]) await store.put(`${n}`, session(n), Date.now() + n * 60_000);
      const there = await Promise.all(["1", "2", "3", "4", "5"].map(async (key) => !!(await store.get(key))));
      assert.deepEqual(there, [false, false, true, true, true]);
    });
  });
}

const deno = Reflect.get(globalThis, "Deno") as
  | { openKv(path: string): Promise<DenoKvLike & { close(): void }> }
  | undefined;

if (deno) {
  QUnit.module("session store: Deno KV", () => {
    const open = async () => {
      const kv = await deno.openKv(":memory:");
      afterTest(() => kv.close());
      return kv;
    };
    contract(async () => {
      const kv = await open();
      return [new DenoKvSessionStore(kv), new DenoKvSessionStore(kv)];
    });

    QUnit.test(
      "what other code put there is not taken, and what is too large is not kept",
      async (assert) => {
        const kv = await open();
        const store = new DenoKvSessionStore(kv, { prefix: "mine" });
        await kv.set(["mine", "key"], "a text", { expireIn: 60_000 });
        assert.strictEqual(await store.get("key"), undefined);
        assert.strictEqual(await store.take("key"), undefined);
        assert.strictEqual((await kv.get(["mine", "key"])).value, null);
        await store.put("large", new Uint8Array(70_000), soon());
        assert.strictEqual(await store.get("large"), undefined);
      },
    );
  });
}

QUnit.module("session store: Redis", () => {
  const open = (peer: string, options: { password?: string; timeout?: number; database?: number } = {}) => {
    let connections = 0;
    const store = new RedisSessionStore({
      connect: () => {
        connections++;
        return env.connect(peer);
      },
      prefix: `${env.runtime}:`,
      ...options,
    });
    afterTest(() => store.close());
    return Object.assign(store, { connections: () => connections });
  };

  contract(async () => [open("redis"), open("redis")]);

  QUnit.test("over a transport that brings single bytes; Redis itself forgets in time", async (assert) => {
    const store = new RedisSessionStore({
      connect: async () => oneByte(await env.connect("redis")),
      prefix: "bytes:",
      timeout: 10_000,
    });
    afterTest(() => store.close());
    const key = newKey().replaceAll(" ", "-");
    await store.put(key, session(1), Date.now() + 50_000);
    assert.deepEqual(await store.get(key), session(1));
    const raw = await env.connect("redis");
    await write(raw.writable, utf8(`PTTL bytes:${key}\r\n`));
    const left = Number(/^:(\d+)\r\n/.exec(text(await readAtLeast(raw.readable, 8)))?.[1]);
    assert.true(left > 40_000 && left <= 50_000, `${left} ms`);
  });

  QUnit.test("password and database; a wrong password is told", async (assert) => {
    const peer = "redis?password=secret";
    const key = newKey();
    const right = open(peer, { password: "secret", database: 3 });
    await right.put(key, session(1), soon());
    assert.deepEqual(await right.get(key), session(1));
    assert.strictEqual(await open(peer, { password: "secret" }).get(key), undefined, "another database");
    for (const options of [{}, { password: "wrong" }]) {
      const error = await tlsError(open(peer, options).get(key));
      assert.strictEqual(error.code, "session-store");
      assert.true(/NOAUTH|WRONGPASS/.test(error.message), error.message);
    }
  });

  /** A server that answers the first command with these bytes, in pieces of so many, and leaves. */
  const answering = (reply: Uint8Array, step = reply.length, timeout = 20_000) => {
    let ask = () => {};
    const asked = new Promise<void>((resolve) => {
      ask = resolve;
    });
    let at = 0;
    const readable = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await asked;
        if (at >= reply.length) return controller.close();
        controller.enqueue(reply.slice(at, at + step));
        at += step;
      },
    });
    const writable = new WritableStream<Uint8Array>({ write: () => ask() });
    return new RedisSessionStore({ connect: () => ({ readable, writable }), timeout });
  };

  QUnit.test("an answer that is not quite valid is not taken", async (assert) => {
    assert.deepEqual(await answering(utf8("$5\r\nhello\r\n"), 1).get("a"), utf8("hello"));
    assert.strictEqual(await answering(utf8("$-1\r\n")).get("a"), undefined);
    const odd = [
      "$ 5",
      "$5 ",
      "$+5",
      "$0x5",
      "$5e0",
      "$5.0",
      "$-0",
      "$-2",
      "$",
      "$NaN",
      "$1048577",
      "$10000000005",
    ];
    for (const head of [...odd, "5", "*1", "_", ""]) {
      const error = await tlsError(answering(utf8(`${head}\r\nhello\r\n`)).get("a"));
      assert.strictEqual(error.code, "session-store", head);
    }
    for (const reply of [
      "$5\nhello\r\n",
      "$5\r\nhello, world\r\n",
      "$5\r\nhello\n\n",
      "+OK\n",
      "\n",
      "-\n",
    ]) {
      const error = await tlsError(answering(utf8(reply)).get("a"));
      assert.strictEqual(error.code, "session-store", JSON.stringify(reply));
    }
  });

  QUnit.test("a large answer in small pieces costs what it weighs", async (assert) => {
    // Joined anew with each piece, it would be copied for 40 gigabytes.
    const value = randomBytes(2 ** 20, env.seed);
    const store = answering(concat([utf8(`$${value.length}\r\n`), value, utf8("\r\n")]), 13, 5_000);
    const got = await store.get("a");
    assert.true(
      got !== undefined && got.length === value.length && got.every((byte, i) => byte === value[i]),
    );
  });

  QUnit.test("connects again after Redis ended the connection", async (assert) => {
    const store = open("redis");
    const key = newKey();
    await store.put(key, session(1), soon());
    const raw = await env.connect("redis");
    await write(raw.writable, utf8("CLIENT KILL TYPE normal\r\n"));
    await readAtLeast(raw.readable, 4);
    // It is noticed when it is, at the latest by a command that fails.
    let found: Uint8Array | undefined;
    for (let i = 0; i < 50 && !found; i++) {
      await sleep(10);
      found = await store.get(key).catch(() => undefined);
    }
    assert.deepEqual(found, session(1));
    assert.true(store.connections() >= 2);
    await store.close();
    assert.deepEqual(await store.get(key), session(1), "also after close()");
  });

  QUnit.test(
    "a server that says nothing, nonsense, or hangs up costs a moment and an error",
    async (assert) => {
      const codes: Record<string, string> = {
        "raw?do=nothing&then=wait&id=redis": "timeout",
        "raw?do=http-400&id=redis": "session-store",
        "raw?do=garbage&then=wait&id=redis": "session-store",
        "raw?do=nothing&id=redis": "transport",
        "raw?do=nothing&then=reset&id=redis": "transport",
      };
      for (const [peer, code] of Object.entries(codes)) {
        const store = open(peer, { timeout: code === "timeout" ? 300 : 10_000 });
        const both = await Promise.all([tlsError(store.get("a")), tlsError(store.take("b"))]);
        assert.deepEqual(
          both.map((error) => error.code),
          [code, code],
          peer,
        );
        assert.strictEqual((await tlsError(store.get("c"))).code, code, `${peer}, again`);
        assert.strictEqual(store.connections(), 2, `${peer}: anew after a failure`);
      }
    },
  );

  QUnit.test("a failed connection is told, and can be tried again", async (assert) => {
    let fail = true;
    const store = new RedisSessionStore({
      connect: (): Promise<Transport> =>
        fail ? Promise.reject(new Error("no route")) : env.connect("redis"),
    });
    afterTest(() => store.close());
    await assert.rejects(store.get("a"), /no route/);
    fail = false;
    assert.strictEqual(await store.get(newKey()), undefined);
  });
});

if (typeof indexedDB !== "undefined") {
  QUnit.module("session stores: IndexedDB by itself", () => {
    QUnit.test("what has expired leaves the database when it is next opened", async (assert) => {
      const name = `wassl-sweep-${env.seed}`;
      const first = new IndexedDbSessionStore({ name });
      for (let i = 0; i < 3; i++) await first.put(newKey(), session(i), Date.now() + 100);
      await first.put(newKey(), session(3), soon());
      await first.close();
      await sleep(150);
      const second = new IndexedDbSessionStore({ name });
      await second.get(newKey());
      await second.close();
      const count = await new Promise<number>((resolve, reject) => {
        const opening = indexedDB.open(name);
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const counting = opening.result.transaction("sessions").objectStore("sessions").count();
          counting.onsuccess = () => {
            opening.result.close();
            resolve(counting.result);
          };
        };
      });
      assert.strictEqual(count, 1);
      indexedDB.deleteDatabase(name);
    });
  });
}
