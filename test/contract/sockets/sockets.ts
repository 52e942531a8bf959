/** `wassl/sockets`: `connect()` as WinterTC and Cloudflare have it. */
import QUnit from "qunit";
import { acceptTls, type Transport } from "wassl";
import { type ConnectSetup, createConnect, type Socket } from "wassl/sockets";
import { requestStartTls } from "wassl/starttls";
import { pair } from "../../fakes/pair.ts";
import {
  eventsOf,
  PENDING,
  readAll,
  readAtLeast,
  rejection,
  sha256,
  text,
  tlsError,
  utf8,
  within,
  write,
} from "../../helpers/basics.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const connectTo = (more: Partial<ConnectSetup> = {}) => {
  // The peers are on 127.0.0.1, and their certificates for localhost.
  const dialer: ConnectSetup["dialer"] = ({ port, signal }) =>
    env.dial({ hostname: "127.0.0.1", port, signal });
  const connect = createConnect({ dialer, caCerts: env.certs.caPem, ...more });
  return (...given: Parameters<typeof connect>) => {
    const socket = connect(...given);
    afterTest(() => socket.close());
    return socket;
  };
};

const portOf = async (peer: string) => (await env.peer(peer)).port;
const inPage = typeof document !== "undefined";

/** In memory: the socket, and what is at the other end. */
function inMemory(options: Parameters<ReturnType<typeof createConnect>>[1] = {}): [Socket, Transport] {
  const [near, far] = pair();
  return [createConnect({ dialer: async () => near })("x:1", options), far];
}

QUnit.module("sockets: connect()", () => {
  QUnit.test("off: bytes go round; both ends of an address", async (assert) => {
    const socket = connectTo()({ hostname: "localhost", port: await portOf("tcp?do=echo") });
    assert.strictEqual(socket.secureTransport, "off");
    const bytes = randomBytes(300_000, env.seed);
    const [got] = await Promise.all([
      readAtLeast(socket.readable, bytes.length),
      write(socket.writable, bytes),
    ]);
    assert.strictEqual(await sha256(new Uint8Array(got)), await sha256(bytes), `seed ${env.seed}`);
    const { remoteAddress, localAddress, alpn } = await socket.opened;
    if (!inPage) {
      assert.true(/^127\.0\.0\.1:\d+$/.test(remoteAddress ?? ""), remoteAddress);
      assert.true(/^127\.0\.0\.1:\d+$/.test(localAddress ?? ""), localAddress);
    }
    assert.strictEqual(alpn, undefined);
    await socket.close();
    await socket.closed;
    assert.strictEqual((await readAll(socket.readable)).length, 0, "readable has ended");
    assert.strictEqual((await tlsError(write(socket.writable, utf8("x")))).code, "closed");
  });

  QUnit.test("on: verified, with ALPN, and an end that is complete", async (assert) => {
    const peer = "tls?do=echo&alpn=yes&id=sockets-on";
    const socket = connectTo()(`localhost:${await portOf(peer)}`, { secureTransport: "on" });
    await write(socket.writable, utf8("hello"));
    assert.strictEqual(text(await readAtLeast(socket.readable, 5)), "hello");
    const waiting = socket.readable.getReader().read();
    await socket.close();
    assert.true((await waiting).done, "a read that waits ends");
    const events = await eventsOf(peer, /^end$/);
    assert.true(events.includes("end"), `close_notify came: ${events}`);
  });

  QUnit.test(
    "on: an unknown authority and a wrong name are refused, by opened, closed and the streams",
    async (assert) => {
      const port = await portOf("tls?do=echo");
      for (const socket of [
        connectTo({ caCerts: env.certs.otherCaPem })(`localhost:${port}`, { secureTransport: "on" }),
        connectTo()(`example.org:${port}`, { secureTransport: "on" }),
        connectTo()(`localhost:${port}`, { secureTransport: "on", sni: "example.org" }),
      ]) {
        const error = await tlsError(socket.opened);
        assert.strictEqual(error.code, "certificate");
        assert.strictEqual(await rejection(socket.closed), error);
        assert.strictEqual(await rejection(readAll(socket.readable)), error);
        assert.strictEqual(await rejection(write(socket.writable, utf8("x"))), error);
      }
      const named = connectTo()(`example.org:${port}`, { secureTransport: "on", sni: "localhost" });
      await named.opened;
    },
  );

  QUnit.test(
    "starttls: PostgreSQL's, and closed of the plain socket waits for the handshake",
    async (assert) => {
      const [near, far] = pair();
      const connect = createConnect({ dialer: async () => near, caCerts: env.certs.caPem });
      const socket = connect("localhost:5432", { secureTransport: "starttls" });
      assert.strictEqual(socket.secureTransport, "starttls");
      let letGo = () => {};
      const gate = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      const serverEnd = (async () => {
        await readAtLeast(far.readable, 8);
        await write(far.writable, utf8("S"));
        await gate;
        const tls = await acceptTls(far, { cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa });
        await write(tls.writable, utf8("welcome"));
        await tls.writable.close();
        return readAll(tls.readable);
      })();
      await requestStartTls(socket, { protocol: "postgres" });
      const waiting = socket.readable.getReader().read();
      const secure = socket.startTls({ expectedServerHostname: "localhost" });
      assert.true(socket.upgraded);
      assert.false(secure.upgraded);
      assert.strictEqual(secure.secureTransport, "on");
      assert.true((await waiting).done, "a read of the plain socket ends");
      assert.strictEqual(
        await within(
          socket.closed.then(() => "closed"),
          20,
        ),
        PENDING,
      );
      letGo();
      await socket.closed;
      await secure.opened;
      assert.throws(() => socket.startTls(), /was called before/);
      assert.strictEqual(text(await readAll(secure.readable)), "welcome");
      await secure.closed;
      assert.strictEqual((await serverEnd).length, 0, "our close_notify came");
    },
  );

  QUnit.test("starttls: a handshake that fails is told by both sockets", async (assert) => {
    const port = await portOf("tls?do=echo");
    const socket = connectTo()(`example.org:${port}`, { secureTransport: "starttls" });
    const secure = socket.startTls();
    const error = await tlsError(secure.opened);
    assert.strictEqual(error.code, "certificate");
    assert.strictEqual(await rejection(socket.closed), error);
    assert.strictEqual(await rejection(secure.closed), error);
  });

  QUnit.test("startTls() is for sockets that said so", (assert) => {
    for (const options of [{}, { secureTransport: "off" as const }, { secureTransport: "on" as const }]) {
      const [socket] = inMemory(options);
      assert.throws(() => socket.startTls(), /needs a socket with secureTransport: "starttls"/);
      socket.close();
    }
  });

  QUnit.test("the peer's end ends both, unless allowHalfOpen", async (assert) => {
    const [socket, far] = inMemory();
    await write(far.writable, utf8("bye"));
    await far.writable.close();
    assert.strictEqual(text(await readAll(socket.readable)), "bye");
    await socket.closed;
    assert.strictEqual((await readAll(far.readable)).length, 0);
    assert.strictEqual((await tlsError(write(socket.writable, utf8("x")))).code, "closed");

    const [open, other] = inMemory({ allowHalfOpen: true });
    await other.writable.close();
    await readAll(open.readable);
    assert.strictEqual(
      await within(
        open.closed.then(() => "closed"),
        30,
      ),
      PENDING,
    );
    const reading = readAll(other.readable);
    await write(open.writable, utf8("late"));
    await open.writable.close();
    assert.strictEqual(text(await reading), "late");
    await open.closed;
  });

  QUnit.test("close() sends what a write has taken, and ends a read that waits", async (assert) => {
    const [socket, far] = inMemory();
    const waiting = socket.readable.getReader().read();
    const received = readAll(far.readable);
    const writing = write(socket.writable, utf8("last words"));
    await writing;
    await socket.close();
    assert.true((await waiting).done);
    assert.strictEqual(text(await received), "last words");
  });

  QUnit.test("close() of one that is still being dialed ends the dialing", async (assert) => {
    let given: AbortSignal | undefined;
    const connect = createConnect({
      dialer: ({ signal }) => {
        given = signal;
        return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      },
    });
    const socket = connect("x:1");
    socket.close().catch(() => {});
    assert.strictEqual((await tlsError(socket.opened)).code, "closed");
    assert.strictEqual((await tlsError(socket.closed)).code, "closed");
    assert.true(given?.aborted);
  });

  QUnit.test("what fails is told everywhere, behind what had arrived", async (assert) => {
    const reason = new Error("no way");
    const connect = createConnect({ dialer: () => Promise.reject(reason) });
    const socket = connect("x:1");
    for (const promise of [
      socket.opened,
      socket.closed,
      readAll(socket.readable),
      write(socket.writable, utf8("x")),
    ])
      assert.strictEqual(await rejection(promise), reason);

    const [broken, far] = inMemory();
    const reading = readAtLeast(broken.readable, 5);
    await write(far.writable, utf8("hello"));
    assert.strictEqual(text(await reading), "hello");
    far.writable.abort(new Error("cut")).catch(() => {});
    const error = await rejection(readAll(broken.readable));
    assert.strictEqual(await rejection(broken.closed), error);
  });

  QUnit.test("addresses and options that cannot be are refused at once", (assert) => {
    const connect = createConnect({ dialer: env.dial });
    for (const [act, message] of [
      [() => connect("example.org"), /an address is a text like/],
      [() => connect(":1"), /an address is a text like/],
      [() => connect("example.org:99999"), /the port must be a whole number, 1 to 65535/],
      [() => connect({ hostname: "x" } as never), /an address needs hostname and port/],
      [() => connect("x:1", { secureTransport: "yes" as never }), /secureTransport must be "off" or "on"/],
      [() => connect("x:1", { allowHalfOpen: 1 as never }), /allowHalfOpen must be true or false/],
      [() => connect("x:1", { halfOpen: true } as never), /halfOpen is no option of connect/],
      [() => createConnect({} as never), /createConnect needs dialer/],
      [
        () => createConnect({ dialer: env.dial, hostname: "x" } as never),
        /hostname is no option of createConnect/,
      ],
      [() => createConnect({ dialer: env.dial, caCert: "" } as never), /did you mean caCerts/],
    ] as const)
      assert.throws(act, message);
  });
});
