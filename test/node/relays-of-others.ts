/** Relays that exist: each leads to `openssl s_server`, lets nobody else through, and loses no close_notify. */
import QUnit from "qunit";
import { type Dialer, startTls } from "wassl";
import { webSocketDialer } from "wassl/dialers/websocket";
import { wispDialer } from "wassl/dialers/wisp";
import WebSocket from "ws";
import { inWorkerd } from "../examples.ts";
import { readAtLeast, sha256, tlsError, write } from "../helpers/basics.ts";
import { afterTest, env } from "../helpers/env.ts";
import { randomBytes } from "../helpers/random.ts";

const server = async (id: string) => (await env.peer(`tls?do=echo&id=relays-${id}`)).port;

/** 300 KB there and back, and a proper end. */
async function tryOut(assert: Assert, dial: Dialer, port: number): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const transport = await dial({ hostname: "localhost", port });
    const tls = await startTls(transport, { hostname: "localhost", caCerts: env.certs.caPem });
    afterTest(() => tls.abort());
    const bytes = randomBytes(300_000, env.seed);
    const [got] = await Promise.all([readAtLeast(tls.readable, bytes.length), write(tls.writable, bytes)]);
    assert.strictEqual(await sha256(new Uint8Array(got)), await sha256(bytes), `seed ${env.seed}`);
    assert.strictEqual((await tls.shutdown()).info.how, "complete");
  }
}

/** What a page's browser sends by itself. */
const withCookie = (cookie: string) =>
  class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols, { headers: { cookie: `relay=${cookie}` } });
    }
  };

QUnit.module("relays of others", () => {
  QUnit.test("websockify, with a list of the places that it goes to", async (assert) => {
    assert.timeout(120_000);
    const port = await server("websockify");
    const relay = await env.peer(`websockify?to=${port}`);
    const dial = webSocketDialer(`ws://127.0.0.1:${relay.port}/?token={hostname}-{port}`, { WebSocket });
    await tryOut(assert, dial, port);
    assert.strictEqual((await tlsError(dial({ hostname: "localhost", port: port + 1 }))).code, "transport");
  });

  QUnit.test("nginx in front of websockify and of a Wisp server: a cookie, and a limit", async (assert) => {
    assert.timeout(120_000);
    const port = await server("front");
    const websockify = await env.peer(`websockify?to=${port}`);
    const wisp = await env.peer(`wisp?version=2&port=${port}`);
    for (const [behind, make] of [
      [
        websockify,
        (origin: string, cookie: string) =>
          webSocketDialer(`${origin}/?token={hostname}-{port}`, { WebSocket: withCookie(cookie) }),
      ],
      [
        wisp,
        (origin: string, cookie: string) =>
          wispDialer(`${origin}/`, { WebSocket: withCookie(cookie), idleTimeout: 20 }),
      ],
    ] as const) {
      const front = await env.peer(`front?to=${behind.port}&cookie=secret`);
      const origin = `ws://127.0.0.1:${front.port}`;
      await tryOut(assert, make(origin, "secret"), port);
      const error = await tlsError(make(origin, "guess")({ hostname: "localhost", port }));
      assert.true(/401/.test(error.message), error.message);
    }
    const front = await env.peer(`front?to=${websockify.port}&cookie=secret`);
    const dial = webSocketDialer(`ws://127.0.0.1:${front.port}/?token={hostname}-{port}`, {
      WebSocket: withCookie("secret"),
    });
    const open = async () => {
      const transport = await dial({ hostname: "localhost", port });
      afterTest(() => transport.writable.abort());
    };
    const most = await Promise.allSettled(Array.from({ length: 8 }, open));
    const refused = most.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assert.true(refused.length >= 4, `${refused.length} of 8 were refused`);
    assert.true(refused.every(({ reason }) => /503/.test(String(reason))));
  });

  QUnit.test("a Cloudflare Worker, in workerd: a token in the subprotocol", async (assert) => {
    const port = await server("worker");
    const url = await inWorkerd({ PLACES: `localhost:${port}`, TOKEN: "secret" }, ["relay", "relay.capnp"]);
    const relay = `${url.replace("http", "ws")}?to={hostname}:{port}`;
    const dialer = (token: string) => webSocketDialer(relay, { WebSocket, protocols: ["relay", token] });
    await tryOut(assert, dialer("secret"), port);
    const stranger = await tlsError(dialer("guess")({ hostname: "localhost", port }));
    assert.true(/401/.test(stranger.message), stranger.message);
    const elsewhere = await tlsError(dialer("secret")({ hostname: "localhost", port: port + 1 }));
    assert.true(/403/.test(elsewhere.message), elsewhere.message);
  });
});
