/** `wassl/dtls`: both ends ours, over a network in memory that does what networks do. */
import QUnit from "qunit";
import { OpenSsl, type TlsError } from "wassl";
import {
  type DtlsClientOptions,
  type DtlsServerOptions,
  type DtlsSession,
  listenDtls,
  startDtls,
} from "wassl/dtls";
import { type Network, network, type Weather } from "../../fakes/network.ts";
import { sleep, text, utf8 } from "../../helpers/basics.ts";
import { clientCert } from "../../helpers/both-ends.ts";
import { env, share } from "../../helpers/env.ts";
import { random } from "../../helpers/random.ts";

const identity = () => ({ cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa });
const trust = () => ({ hostname: "localhost", caCerts: env.certs.caPem, sessionStore: false as const });
/** So that a test of loss need not wait for seconds. */
const retransmission = { initial: 30, maximum: 1_000 };

/** What `promise` comes to, or an error that says what did not come. */
function within<T>(promise: Promise<T>, what: string, milliseconds: number): Promise<T> {
  const late = sleep(milliseconds).then((): never => {
    throw new Error(`${what}: nothing within ${milliseconds} ms`);
  });
  late.catch(() => {});
  return Promise.race([promise, late]);
}

interface Both {
  net: Network;
  client: DtlsSession;
  server: DtlsSession;
  listening: AsyncIterableIterator<DtlsSession>;
}

async function both(
  client: Partial<DtlsClientOptions> = {},
  server: Partial<DtlsServerOptions> = {},
  weather: Weather = {},
): Promise<Both> {
  const net = network(weather);
  const listening = listenDtls(net.server, { ...identity(), retransmission, ...server });
  const coming = listening.next();
  coming.catch(() => {});
  const opened = await within(
    startDtls(net.client(), { ...trust(), retransmission, ...client }),
    "startDtls",
    20_000,
  );
  const { value } = await within(coming, "listenDtls", 20_000);
  return { net, client: opened, server: value!, listening };
}

async function endAll({ client, server, listening }: Both): Promise<void> {
  await Promise.all([client.close(), server.close()]);
  await listening.return!();
}

const next = async (session: DtlsSession): Promise<Uint8Array | undefined> => {
  const reader = session.readable.getReader();
  try {
    return (await within(reader.read(), "a message", 10_000)).value;
  } finally {
    reader.releaseLock();
  }
};

QUnit.module("dtls", () => {
  QUnit.test("messages both ways, close_notify, and how it ended", async (assert) => {
    const before = (await OpenSsl.shared()).live;
    const all = await both({ alpnProtocols: ["coap"] }, { alpnProtocols: ["coap"] });
    const { client, server, net } = all;
    assert.strictEqual(client.info.protocol, "DTLSv1.2");
    assert.strictEqual(client.info.alpnProtocol, "coap");
    assert.true(client.info.verified);
    assert.deepEqual(server.peer, { hostname: "192.0.2.1", port: 1 });
    assert.deepEqual(
      client.exportKeyingMaterial("EXPORTER-test", 32),
      server.exportKeyingMaterial("EXPORTER-test", 32),
    );
    await client.send(utf8("question"));
    assert.strictEqual(text((await next(server))!), "question");
    const writer = server.writable.getWriter();
    await writer.write(utf8("answer 1"));
    await writer.write(utf8("answer 2"));
    assert.strictEqual(text((await next(client))!), "answer 1");
    assert.strictEqual(text((await next(client))!), "answer 2");
    assert.strictEqual(client.statistics.sent, 1);
    assert.strictEqual(client.statistics.received, 2);
    assert.strictEqual(client.statistics.lost, 0);
    assert.true(net.seen.longest <= 1_200, `${net.seen.longest}`);
    await client.close();
    assert.deepEqual(await within(client.closed, "closed", 5_000), { how: "closed", error: undefined });
    assert.deepEqual(await within(server.closed, "closed", 5_000), { how: "peer", error: undefined });
    assert.strictEqual(await next(server), undefined, "the readable ends");
    await assert.rejects(server.send(utf8("more")), /is over \(peer\)/);
    await all.listening.return!();
    assert.deepEqual((await OpenSsl.shared()).live, before, "nothing is left");
  });

  QUnit.test(
    "a message that is too long is refused before it is encrypted, and ends nothing",
    async (assert) => {
      for (const maxDatagramSize of [208, 300, 1_200, 9_000]) {
        const all = await both({ maxDatagramSize });
        const { client, server, net } = all;
        const most = client.maxMessageSize;
        assert.true(most < maxDatagramSize && most > maxDatagramSize - 60, `${most}`);
        const count = net.seen.toServer;
        const error = await client.send(new Uint8Array(most + 1)).catch((error: unknown) => error);
        assert.strictEqual((error as TlsError).code, "too-large");
        assert.strictEqual(net.seen.toServer, count, "nothing was sent");
        await assert.rejects(client.send(new Uint8Array(0)), /one byte at least/);
        await client.send(new Uint8Array(most).fill(7));
        assert.deepEqual(await next(server), new Uint8Array(most).fill(7));
        assert.true(net.seen.longest <= Math.max(maxDatagramSize, 1_200));
        await endAll(all);
      }
    },
  );

  QUnit.test("a server keeps nothing of a client without a cookie, and does not amplify", async (assert) => {
    const net = network();
    const listening = listenDtls(net.server, identity());
    listening.next().catch(() => {});
    const silent = network();
    const nowhere = startDtls(silent.client(), { ...trust(), handshakeTimeout: 1_500 });
    nowhere.catch(() => {});
    const { value } = await silent.server.readable.getReader().read();
    const hello = value!.data;
    net.inject("server", hello, 1_000);
    for (let i = 0; net.seen.toClients < 1 && i < 200; i++) await sleep(10);
    const { memory } = await OpenSsl.shared();
    for (let port = 1; port <= 100; port++) net.inject("server", hello, port);
    for (let i = 0; net.seen.toClients < 101 && i < 200; i++) await sleep(10);
    await sleep(100);
    assert.strictEqual(net.seen.toClients, 101, "one datagram for each");
    assert.true(
      net.seen.longest <= 60 && net.seen.longest < hello.length,
      `${net.seen.longest} for ${hello.length}`,
    );
    assert.true((await OpenSsl.shared()).memory.used < memory.used + 50_000);
    await listening.return!();
    await nowhere.catch(() => {});
  });

  QUnit.test("without cookies, and with a bound for handshakes", async (assert) => {
    const all = await both({}, { cookies: false, maxHandshakes: 1 });
    const { listening, net } = all;
    // Those are two at once, of which one must wait for the other.
    const coming = [listening.next(), listening.next()];
    const clients = [2, 3].map((port) => startDtls(net.client(port), { ...trust(), retransmission }));
    for (const each of await within(Promise.all(clients), "both", 20_000)) await each.close();
    for (const { value } of await Promise.all(coming)) await value!.close();
    await endAll(all);
    assert.ok(true);
  });

  QUnit.test("a handshake succeeds at 30 % loss, and no wrong message is ever delivered", async (assert) => {
    assert.timeout(120_000);
    const draw = random(env.seed);
    const cases = share(
      Array.from({ length: 12 }, (_, i) => ({
        random: random(env.seed + i),
        loss: 0.3 * draw(),
        twice: 0.3 * draw(),
        late: 0.3 * draw(),
        flip: 0.2 * draw(),
        cut: 0.1 * draw(),
        forge: 0.3 * draw(),
        mtu: 300 + Math.floor(draw() * 1_200),
      })),
    );
    for (const { mtu, ...weather } of cases) {
      const where = JSON.stringify({ ...weather, mtu, seed: env.seed });
      const all = await both({ maxDatagramSize: mtu }, { maxDatagramSize: mtu }, weather);
      const { client, server, net } = all;
      assert.true(net.seen.longest <= mtu, where);
      const sent = new Set<string>();
      for (let i = 0; i < 100; i++) {
        const message = `${i} ${"x".repeat(Math.floor(draw() * 100))}`;
        sent.add(message);
        await client.send(utf8(message));
      }
      for (let i = 0; server.statistics.received === 0 && i < 500; i++) await sleep(10);
      await server.close();
      let count = 0;
      for await (const message of server.readable as unknown as AsyncIterable<Uint8Array>) {
        assert.true(sent.delete(text(message)), `what was sent, and only once: ${where}`);
        count++;
      }
      assert.true(count > 0, where);
      await endAll(all);
    }
  });

  QUnit.test("a stranger ends nothing, before the handshake is done and after", async (assert) => {
    const net = network();
    const listening = listenDtls(net.server, { ...identity(), retransmission: { initial: 1_000 } });
    const coming = listening.next();
    const opening = startDtls(net.client(), { ...trust(), retransmission: { initial: 1_000 } });
    const plain = Uint8Array.of(21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 77, 0, 2, 2, 40);
    for (let i = 0; i < 3; i++) {
      net.inject("client", plain);
      net.inject("server", plain);
      await sleep(1);
    }
    const client = await within(opening, "the handshake", 20_000);
    const server = (await within(coming, "the handshake", 20_000)).value!;
    const draw = random(env.seed);
    for (let i = 0; i < 200; i++) {
      const junk = Uint8Array.from({ length: 1 + Math.floor(draw() * 100) }, () => Math.floor(draw() * 256));
      if (i % 2) junk.set([20 + (i % 5), 0xfe, 0xfd, 0, i % 4 === 1 ? 1 : 0].slice(0, junk.length));
      net.inject("client", junk);
      net.inject("server", junk);
    }
    net.inject("client", plain);
    net.inject("server", plain);
    await client.send(utf8("still here"));
    assert.strictEqual(text((await next(server))!), "still here", `seed ${env.seed}`);
    await server.send(utf8("I too"));
    assert.strictEqual(text((await next(client))!), "I too", `seed ${env.seed}`);
    await Promise.all([client.close(), server.close()]);
    await listening.return!();
  });

  QUnit.test("a client that begins anew at the same address replaces its association", async (assert) => {
    const all = await both();
    const { net, listening, server } = all;
    const coming = listening.next();
    const again = await within(startDtls(net.client(1), { ...trust(), retransmission }), "again", 20_000);
    const { value } = await within(coming, "again", 20_000);
    assert.strictEqual((await within(server.closed, "the old one", 5_000)).how, "failed");
    await again.send(utf8("new"));
    assert.strictEqual(text((await next(value!))!), "new");
    await again.close();
    all.client.abort();
    await value!.close();
    await listening.return!();
  });

  QUnit.test("idle, aborted, timed out, refused: each has its outcome", async (assert) => {
    const all = await both({}, { idleTimeout: 80 });
    assert.strictEqual((await within(all.server.closed, "idle", 5_000)).how, "idle");
    assert.strictEqual((await within(all.client.closed, "told", 5_000)).how, "peer");
    await all.listening.return!();

    // The handshake's own time does not count, nor does that of its messages.
    const slow = await both({ idleTimeout: 400, retransmission: {} }, { retransmission: {} }, { delay: 120 });
    const open = performance.now();
    assert.strictEqual((await within(slow.client.closed, "idle later", 5_000)).how, "idle");
    assert.true(performance.now() - open >= 390, `${performance.now() - open} ms`);
    await endAll(slow);

    const stop = new AbortController();
    const another = await both({ signal: stop.signal });
    stop.abort(new Error("enough"));
    assert.strictEqual(String((await another.client.closed).error), "Error: enough");
    await assert.rejects(another.client.send(utf8("x")), /enough/);
    await another.server.close();
    await another.listening.return!();

    const silent = network();
    const late = startDtls(silent.client(), { ...trust(), handshakeTimeout: 60 });
    await assert.rejects(late, /no DTLS handshake with "localhost" within 60 ms/);

    const net = network();
    const told: unknown[] = [];
    const listening = listenDtls(net.server, {
      ...identity(),
      retransmission,
      onHandshakeError: (error) => told.push(error),
    });
    listening.next().catch(() => {});
    const wrong = startDtls(net.client(), { ...trust(), hostname: "wrong.test", retransmission });
    const error = await wrong.catch((error: unknown) => error);
    assert.strictEqual((error as TlsError).code, "certificate", String(error));
    for (let i = 0; told.length === 0 && i < 200; i++) await sleep(10);
    assert.strictEqual((told[0] as TlsError | undefined)?.code, "alert", String(told[0]));
    await listening.return!();
  });

  QUnit.test("resumption, pre-shared keys, client certificates, the key log", async (assert) => {
    const lines: string[] = [];
    const first = await both({ keylog: (line) => lines.push(line) });
    const session = first.client.getSession();
    assert.notStrictEqual(session, undefined);
    assert.true(
      lines.some((line) => line.startsWith("CLIENT_RANDOM ")),
      lines.join(),
    );
    const { net, listening } = first;
    const coming = listening.next();
    const again = await startDtls(net.client(2), { ...trust(), session: session!, retransmission });
    const { value } = await coming;
    assert.true(again.info.sessionReused);
    assert.true(again.info.verified);
    await again.close();
    await value!.close();
    await endAll(first);

    const psks = ["a", "b"].map((name) => ({ identity: name, key: utf8(`a key of 16 bytes ${name}`) }));
    const ciphers = "PSK";
    const keyed = await both({ psk: psks[1]!, ciphers, caCerts: [] }, {
      psks,
      ciphers,
      cert: undefined,
      key: undefined,
    } as never);
    assert.strictEqual(keyed.server.info.pskIdentity, "b");
    await endAll(keyed);

    const shown = await both(clientCert(), { clientAuth: "require", caCerts: env.certs.caPem });
    assert.true(shown.server.info.verified);
    await endAll(shown);
  });

  QUnit.test(
    "options of TLS alone are no options here; what no handshake can use is refused",
    async (assert) => {
      const transport = () => network().client();
      const wrong = (options: object) =>
        startDtls(transport(), { ...trust(), ...options } as DtlsClientOptions);
      await assert.rejects(wrong({ minVersion: "TLSv1.2" }), /minVersion is no option of startDtls/);
      await assert.rejects(
        wrong({ maxDatagramSize: 100 }),
        /maxDatagramSize must be a whole number, 208 to 16384/,
      );
      await assert.rejects(
        startDtls({ ...transport(), maxDatagramSize: 100 }, trust()),
        /carries datagrams of 100 bytes, and DTLS needs 208/,
      );
      const untouched = transport();
      const backwards = { initial: 50, maximum: 10 };
      await assert.rejects(
        startDtls(untouched, { ...trust(), retransmission: backwards }),
        /longest timeout/,
      );
      assert.false(untouched.readable.locked || untouched.writable.locked, "the transport is untouched");
      assert.throws(() => listenDtls(network().server, { earlyData: 1 } as never), /earlyData is no option/);
    },
  );
});
