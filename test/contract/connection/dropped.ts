/** Connections that were not ended and are not held any more. */
import QUnit from "qunit";
import { acceptTls, startTls, TlsContext, type TlsError, type TlsEvent } from "wassl";
import { OpenSsl } from "wassl/openssl";
import { pair } from "../../fakes/pair.ts";
import { readAtLeast, sleep, text, utf8, write } from "../../helpers/basics.ts";
import { env } from "../../helpers/env.ts";

const gc = (globalThis as { gc?: () => void }).gc;

/** Until it is so, or for three seconds. */
async function collected(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 60 && !isSo(); i++) {
    gc?.();
    await sleep(50);
  }
}

QUnit.module("dropped", () => {
  const identity = () => ({ cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa });

  QUnit.test("contexts that were not freed", async (assert) => {
    const openssl = await OpenSsl.load();
    for (let i = 0; i < 5; i++) {
      await TlsContext.client({ caCerts: env.certs.caPem, openssl });
      await TlsContext.server({ ...identity(), openssl });
      (await TlsContext.server({ ...identity(), openssl })).free();
    }
    assert.strictEqual(openssl.live.contexts, 10);
    await collected(() => openssl.live.contexts === 0);
    assert.strictEqual(openssl.live.contexts, 0);
  });

  QUnit.test("a context that is freed while a handshake with it is under way", async (assert) => {
    const openssl = await OpenSsl.load();
    const stages = ["called", "store", "hello", "verify"] as const;
    for (const stage of stages) {
      const other = await TlsContext.server({ ...identity(), openssl });
      const server = await TlsContext.server({
        ...identity(),
        openssl,
        selectContext() {
          if (stage === "hello") server.free();
          return other;
        },
      });
      const client = await TlsContext.client({
        caCerts: env.certs.caPem,
        openssl,
        verify() {
          if (stage === "verify") for (const each of [client, server, other]) each.free();
          return true;
        },
      });
      const [near, far] = pair();
      const store = {
        get: () => undefined,
        put() {},
        take() {
          if (stage === "store") client.free();
          return undefined;
        },
      };
      const both = [
        startTls(near, { hostname: "localhost", context: client, sessionStore: store }),
        acceptTls(far, { context: server }),
      ] as const;
      if (stage === "called") {
        await Promise.resolve();
        await Promise.resolve();
        client.free();
        server.free();
      }
      const [a, b] = await Promise.allSettled(both);
      if (stage === "called" && a.status === "rejected") {
        assert.strictEqual(a.reason.code, "freed", String(a.reason));
        assert.false(near.readable.locked, "and nothing was touched");
      } else {
        assert.strictEqual([a.status, b.status].join(), "fulfilled,fulfilled", stage);
      }
      for (const end of [a, b]) if (end.status === "fulfilled") end.value.abort();
      for (const each of [client, server, other]) each.free();
    }
    const { connections, bioPairs, contexts } = openssl.live;
    assert.deepEqual({ connections, bioPairs, contexts }, { connections: 0, bioPairs: 0, contexts: 0 });
  });

  QUnit.test("a connection that was not ended is freed, and an event says so", async (assert) => {
    const openssl = await OpenSsl.load();
    const client = await TlsContext.client({ caCerts: env.certs.caPem, openssl });
    const server = await TlsContext.server({ ...identity(), openssl });
    let dropped = 0;
    const onEvent = (event: TlsEvent) => {
      if (event.type === "dropped") dropped++;
    };
    const control = new AbortController();
    const { signal } = control;
    const connect = async (n: number) => {
      for (let i = 0; i < n; i++) {
        const [near, far] = pair();
        const [a, b] = await Promise.all([
          startTls(near, { hostname: "localhost", context: client, sessionStore: false, onEvent }),
          // Node.js warns of more listeners than that.
          acceptTls(far, { context: server, onEvent, ...(i < 10 && { signal }) }),
        ]);
        await write(a.writable, utf8("hello"));
        assert.strictEqual(text(await readAtLeast(b.readable, 5)), "hello");
      }
    };
    await connect(10);
    await collected(() => openssl.live.connections === 0 && dropped === 20);
    const { connections, bioPairs, contexts } = openssl.live;
    assert.deepEqual(
      { connections, bioPairs, contexts, dropped },
      {
        connections: 0,
        bioPairs: 0,
        contexts: 2,
        dropped: 20,
      },
    );
    const { used } = openssl.memory;
    await connect(20);
    await collected(() => openssl.live.connections === 0);
    assert.true(openssl.memory.used < used + 100_000, `${used} bytes, then ${openssl.memory.used}`);
    control.abort();
    client.free();
    server.free();
    const { stores, ...others } = openssl.live;
    assert.deepEqual(
      Object.values(others).filter((count) => count > 0),
      [],
      `${stores} stores`,
    );
  });

  QUnit.test("code that waits for the end of a dropped connection is told", async (assert) => {
    const openssl = await OpenSsl.load();
    const [near, far] = pair();
    // The signal holds nothing.
    const { signal } = new AbortController();
    const told: TlsError[] = [];
    await (async () => {
      const [client, server] = await Promise.all([
        startTls(near, { hostname: "localhost", caCerts: env.certs.caPem, openssl, signal }),
        acceptTls(far, { ...identity(), openssl }),
      ]);
      for (const end of [client, server]) end.closed.catch((error) => void told.push(error));
    })();
    await collected(() => openssl.live.connections === 0 && told.length === 2);
    assert.strictEqual(openssl.live.connections, 0);
    assert.deepEqual(
      told.map(({ code, outcome }) => [code, outcome?.how]),
      [
        ["closed", "aborted"],
        ["closed", "aborted"],
      ],
    );
  });

  QUnit.test("a connection that code still waits for is not dropped", async (assert) => {
    const [near, far] = pair();
    const openssl = await OpenSsl.load();
    const [reading, writable] = await (async () => {
      const [client, server] = await Promise.all([
        startTls(near, { hostname: "localhost", caCerts: env.certs.caPem, openssl }),
        acceptTls(far, { ...identity(), openssl }),
      ]);
      return [readAtLeast(client.readable, 5), server.writable] as const;
    })();
    for (let i = 0; i < 5; i++) {
      gc?.();
      await sleep(20);
    }
    await write(writable, utf8("there"));
    assert.strictEqual(text(await reading), "there");
    assert.strictEqual(openssl.live.connections, 2);
  });
});
