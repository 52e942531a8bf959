/** Dialers: what all of them promise, and what each does beside it. */
import QUnit from "qunit";
import { type Dialer, startTls } from "wassl";
import { cloudflareDialer } from "wassl/dialers/cloudflare";
import { directSocketsDialer } from "wassl/dialers/direct-sockets";
import { webSocketDialer } from "wassl/dialers/websocket";
import { wispDialer } from "wassl/dialers/wisp";
import { createConnect } from "wassl/sockets";
import { readAtLeast, rejection, sha256, sleep, text, tlsError, utf8, write } from "../../helpers/basics.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const byRelay = () =>
  webSocketDialer(env.ws("/relay?port={port}").replaceAll("%7B", "{").replaceAll("%7D", "}"), {
    WebSocket: env.WebSocket,
  });

/** By npm's wisp-js. */
const byWisp = (version: 1 | 2) => async () => {
  const { host, port } = await env.peer(`wisp?version=${version}`);
  return wispDialer(`ws://${host}:${port}/`, { WebSocket: env.WebSocket, idleTimeout: 50 });
};

/** The dialers of this runtime. */
const dialers: Record<string, () => Dialer | Promise<Dialer>> = {
  "the runtime's own": () => env.dial,
  "a relay": byRelay,
  "Wisp 1": byWisp(1),
  "Wisp 2": byWisp(2),
};

async function destination(peer: string) {
  const { host, port } = await env.peer(peer);
  return { hostname: host, port };
}

async function dial(dialer: Dialer, peer: string, signal?: AbortSignal) {
  const { host, port } = await env.peer(peer);
  const transport = await dialer({ hostname: host, port, signal });
  afterTest(() => transport.writable.abort());
  return transport;
}

for (const [name, make] of Object.entries(dialers)) {
  QUnit.module(`dialers: ${name}`, () => {
    QUnit.test("bytes go round, and TLS over them", async (assert) => {
      const plain = await dial(await make(), "tcp?do=echo");
      const bytes = randomBytes(300_000, env.seed);
      const writing = write(plain.writable, bytes);
      const back = await readAtLeast(plain.readable, bytes.length);
      await writing;
      assert.strictEqual(await sha256(new Uint8Array(back)), await sha256(bytes), `seed ${env.seed}`);

      const transport = await dial(await make(), "openssl?do=echo");
      const tls = await startTls(transport, { hostname: "localhost", caCerts: env.certs.caPem });
      assert.true(tls.info.verified);
      assert.strictEqual((await tls.shutdown()).info.how, "complete");
    });

    QUnit.test("many at once, each its own", async (assert) => {
      const dialer = await make();
      const answers = await Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const transport = await dial(dialer, "tcp?do=echo");
          await write(transport.writable, utf8(`number ${i}`));
          return text(await readAtLeast(transport.readable, 8));
        }),
      );
      assert.deepEqual(
        answers,
        answers.map((_, i) => `number ${i}`),
      );
    });

    QUnit.test("a destination that cannot be one is refused, and nothing is dialed", async (assert) => {
      const dialer = await make();
      const wrong: [object, RegExp][] = [
        [{ hostname: "localhost" }, /needs port/],
        [{ port: 443 }, /needs hostname/],
        [{ hostname: "", port: 443 }, /hostname must be a host name or an IP address, not an empty text/],
        [{ hostname: "a b", port: 443 }, /hostname/],
        [{ hostname: "a\r\nb", port: 443 }, /hostname/],
        [{ hostname: "a/b", port: 443 }, /hostname/],
        [{ hostname: "a@b", port: 443 }, /hostname/],
        [{ hostname: "localhost", port: 0 }, /port must be a whole number, 1 to 65535/],
        [{ hostname: "localhost", port: 65536 }, /port/],
        [{ hostname: "localhost", port: "443" }, /port/],
        [{ host: "localhost", port: 443 }, /host is no option of a dialer: did you mean hostname/],
        [{ hostname: "localhost", port: 443, signal: 1 }, /signal must be an AbortSignal/],
      ];
      for (const [to, message] of wrong) {
        const error = await tlsError(dialer(to as never));
        assert.strictEqual(error.code, "invalid-argument", JSON.stringify(to));
        assert.true(message.test(error.message), error.message);
      }
    });

    QUnit.test("a signal ends the dialing with its own reason, and not the transport", async (assert) => {
      const reason = new Error("changed my mind");
      const aborted = AbortSignal.abort(reason);
      assert.strictEqual(await rejection(dial(await make(), "tcp?do=echo", aborted)), reason);
      const soon = new AbortController();
      const { host, port } = await env.peer("tcp?do=echo");
      const dialing = (await make())({ hostname: host, port, signal: soon.signal });
      soon.abort(reason);
      assert.strictEqual(await rejection(dialing), reason);
      const late = new AbortController();
      const transport = await dial(await make(), "tcp?do=echo", late.signal);
      late.abort(reason);
      await write(transport.writable, utf8("still here"));
      assert.strictEqual(text(await readAtLeast(transport.readable, 10)), "still here");
    });
  });
}

const inPage = typeof document !== "undefined";

QUnit.module("dialers: the runtime's own socket", () => {
  if (inPage) return;

  QUnit.test("both ends have an address", async (assert) => {
    const { host, port } = await env.peer("tcp?do=echo");
    const { localAddress, remoteAddress } = await dial(env.dial, "tcp?do=echo");
    assert.deepEqual(remoteAddress, { hostname: host, port });
    assert.strictEqual(localAddress?.hostname, "127.0.0.1");
    assert.true((localAddress?.port ?? 0) > 0);
  });

  QUnit.test(
    "a port that nobody listens on is a failure of the transport, which names it",
    async (assert) => {
      const error = await tlsError(env.dial({ hostname: "127.0.0.1", port: 1 }));
      assert.strictEqual(error.code, "transport");
      assert.true(error.message.startsWith("No connection to 127.0.0.1:1: "), error.message);
      assert.true(error.cause instanceof Error);
      const v6 = await tlsError(env.dial({ hostname: "[::1]", port: 1 }));
      assert.true(v6.message.startsWith("No connection to [::1]:1: "), v6.message);
    },
  );
});

QUnit.module("dialers: other engines' sockets", () => {
  QUnit.test("cloudflareDialer: connect() of another implementation", async (assert) => {
    const connect = createConnect({ dialer: env.dial });
    const dial = cloudflareDialer(connect);
    const transport = await dial(await destination("tcp?do=echo"));
    afterTest(() => transport.writable.abort());
    await write(transport.writable, utf8("hello"));
    assert.strictEqual(text(await readAtLeast(transport.readable, 5)), "hello");
    if (!inPage) assert.deepEqual(transport.remoteAddress, await destination("tcp?do=echo"));
    const failing = cloudflareDialer(createConnect({ dialer: () => Promise.reject(new Error("no way")) }));
    const error = await tlsError(failing({ hostname: "x", port: 1 }));
    assert.strictEqual(error.code, "transport");
    assert.strictEqual(error.message, "No connection to x:1: no way");
    assert.throws(() => cloudflareDialer(undefined as never), /connect must be a function/);
    const reason = new Error("changed my mind");
    let closed = false;
    const silent = cloudflareDialer(() => ({
      readable: new ReadableStream(),
      writable: new WritableStream(),
      opened: new Promise(() => {}),
      async close() {
        closed = true;
      },
    }));
    const abort = new AbortController();
    const dialing = silent({ hostname: "x", port: 1, signal: abort.signal });
    abort.abort(reason);
    assert.strictEqual(await rejection(dialing), reason);
    assert.true(closed);
  });

  QUnit.test("directSocketsDialer: a TCPSocket of the same shape", async (assert) => {
    const scope = globalThis as { TCPSocket?: unknown };
    assert.throws(() => directSocketsDialer(), /needs TCPSocket/);
    const seen: unknown[] = [];
    let closed = 0;
    scope.TCPSocket = class {
      readonly opened: Promise<object>;
      constructor(hostname: string, port: number, options: object) {
        seen.push([hostname, port, options]);
        this.opened =
          port === 1
            ? Promise.reject(new DOMException("refused", "NetworkError"))
            : env.dial({ hostname, port }).then(({ readable, writable }) => ({
                ...{ readable, writable, localAddress: "127.0.0.1", localPort: 7 },
                ...{ remoteAddress: hostname, remotePort: port },
              }));
      }
      async close() {
        closed++;
      }
    };
    try {
      const dial = directSocketsDialer();
      const to = await destination("tcp?do=echo");
      const transport = await dial(to);
      afterTest(() => transport.writable.abort());
      await write(transport.writable, utf8("hello"));
      assert.strictEqual(text(await readAtLeast(transport.readable, 5)), "hello");
      assert.deepEqual(transport.localAddress, { hostname: "127.0.0.1", port: 7 });
      assert.deepEqual(transport.remoteAddress, to);
      assert.deepEqual(seen, [[to.hostname, to.port, { noDelay: true }]]);
      const error = await tlsError(dial({ hostname: "x", port: 1 }));
      assert.strictEqual(error.message, "No connection to x:1: refused");
      const abort = new AbortController();
      const dialing = dial({ ...to, signal: abort.signal });
      abort.abort(new Error("no"));
      assert.strictEqual(String(await rejection(dialing)), "Error: no");
      for (let i = 0; i < 100 && closed === 0; i++) await sleep(20);
      assert.strictEqual(closed, 1, "what opens too late is closed");
    } finally {
      delete scope.TCPSocket;
    }
  });
});

QUnit.module("dialers: webSocketDialer", () => {
  /** Notes what it is asked for, and fails. */
  const asked = (url: Parameters<typeof webSocketDialer>[0]) => {
    const urls: string[] = [];
    class Nothing {
      constructor(url: string | URL) {
        urls.push(String(url));
        throw new Error("not now");
      }
    }
    return { urls, dial: webSocketDialer(url, { WebSocket: Nothing as never }) };
  };

  QUnit.test("the destination goes into the URL", async (assert) => {
    for (const [template, hostname, expected] of [
      ["ws://r/?to={hostname}:{port}", "db.example.org", "ws://r/?to=db.example.org:5432"],
      ["ws://r/{hostname}:{port}", "2001:db8::1", "ws://r/[2001:db8::1]:5432"],
      ["ws://r/{hostname}:{port}", "[::1]", "ws://r/[::1]:5432"],
      ["ws://r/{hostname}/{port}", "a&b=c%", "ws://r/a%26b%3Dc%25/5432"],
      ["ws://r/{port}/{port}", "x", "ws://r/5432/5432"],
      ["ws://r/", "x", "ws://r/"],
    ] as const) {
      const { urls, dial } = asked(template);
      assert.strictEqual((await tlsError(dial({ hostname, port: 5432 }))).code, "transport");
      assert.deepEqual(urls, [expected]);
    }
  });

  QUnit.test("a function makes the URL, in its own time", async (assert) => {
    const { urls, dial } = asked(async ({ hostname, port }) => new URL(`ws://r/${hostname}/${port}?once=1`));
    await rejection(dial({ hostname: "x", port: 1 }));
    assert.deepEqual(urls, ["ws://r/x/1?once=1"]);
    const reason = new Error("no token");
    const failing = webSocketDialer(() => Promise.reject(reason), { WebSocket: env.WebSocket });
    assert.strictEqual(await rejection(failing({ hostname: "x", port: 1 })), reason);
  });

  QUnit.test("what is no template and no option is refused when the dialer is made", (assert) => {
    for (const [make, message] of [
      [() => webSocketDialer("ws://r/{host}"), /url must be a URL in which no \{…\} stands but/],
      [() => webSocketDialer(""), /url must be/],
      [() => webSocketDialer(7 as never), /url must be/],
      [() => webSocketDialer("ws://r/", { maxUnread: -1 }), /maxUnread must be/],
      [() => webSocketDialer("ws://r/", { signal: AbortSignal.abort() } as never), /signal is no option/],
    ] as const) {
      assert.throws(make, message);
    }
  });

  QUnit.test("a relay that refuses is a failure of the transport", async (assert) => {
    const dialer = webSocketDialer(env.ws("/ws/refuse"), { WebSocket: env.WebSocket });
    assert.strictEqual((await tlsError(dialer({ hostname: "x", port: 1 }))).code, "transport");
  });

  QUnit.test("a signal ends a dialing that gets no answer", async (assert) => {
    const reason = new Error("too long");
    const abort = new AbortController();
    const dialer = webSocketDialer(env.ws("/ws/hang"), { WebSocket: env.WebSocket });
    const dialing = dialer({ hostname: "x", port: 1, signal: abort.signal });
    setTimeout(() => abort.abort(reason), 30);
    assert.strictEqual(await rejection(dialing), reason);
  });
});
