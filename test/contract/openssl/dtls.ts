/** DTLS 1.2 against a stranger that sends unasked, and over a transport that has no room: `wassl/openssl`. */

import QUnit from "qunit";
import { OpenSsl, SSL_ERROR_WANT_WRITE, type Ssl } from "wassl/openssl";
import { commonName, dnsName, extension, pem, subjectAltNames } from "../../der.ts";
import { concat, sleep, utf8 } from "../../helpers/basics.ts";
import { certificate, type Key, newKey } from "../../helpers/certificates.ts";
import { dispose } from "../../helpers/dispose.ts";
import { env, share } from "../../helpers/env.ts";
import { random } from "../../helpers/random.ts";

const load = () => OpenSsl.load();
type Pair = ReturnType<OpenSsl["newDatagramPair"]>;

/** What is in a server's certificate, and nowhere else. */
const MARK = 0x41;

async function identity(key: Key, filler: number): Promise<string> {
  const extensions = [
    subjectAltNames(dnsName("s.test")),
    extension("1.2.3.4", new Uint8Array(filler).fill(MARK)),
  ];
  const name = commonName("s");
  return pem(await certificate({ issuer: name, subject: name, spki: key.spki, signer: key, extensions }));
}

interface Association extends Disposable {
  client: Ssl;
  server: Ssl;
  clientPair: Pair;
  serverPair: Pair;
}

async function associate(
  openssl: OpenSsl,
  {
    filler = 0,
    room = 40_000,
    mtu = 1400,
    ciphers,
  }: { filler?: number; room?: number; mtu?: number; ciphers?: string } = {},
): Promise<Association> {
  const all: Disposable[] = [];
  const use = <T extends Disposable>(one: T): T => {
    all.unshift(one);
    return one;
  };
  const serverContext = use(openssl.newContext("dtls-server"));
  const clientContext = use(openssl.newContext("dtls-client"));
  const key = await newKey();
  serverContext.useCertificateChain(await identity(key, filler));
  serverContext.usePrivateKey(key.pem);
  if (ciphers !== undefined)
    for (const context of [clientContext, serverContext]) context.setCipherList(ciphers);
  const serverPair = use(openssl.newDatagramPair(room, 40_000));
  const clientPair = use(openssl.newDatagramPair(40_000, 40_000));
  const server = use(serverContext.newSsl(serverPair));
  const client = use(clientContext.newSsl(clientPair));
  server.setAcceptState();
  client.setConnectState();
  server.setMtu(mtu);
  client.setMtu(1400);
  return {
    client,
    server,
    clientPair,
    serverPair,
    [dispose]: () => {
      for (const one of all) one[dispose]();
    },
  };
}

function datagramsOf(pair: Pair): Uint8Array[] {
  const buffer = new Uint8Array(40_000);
  const all: Uint8Array[] = [];
  for (let n = pair.readDatagram(buffer); n > 0; n = pair.readDatagram(buffer)) all.push(buffer.slice(0, n));
  return all;
}

/** Goes back and forth until both have their handshake behind them. Returns what came from the server. */
function finish({ client, server, clientPair, serverPair }: Association): Uint8Array[] {
  const sent: Uint8Array[] = [];
  for (let i = 0; i < 200; i++) {
    const done = [client.tryHandshake(), server.tryHandshake()];
    for (const datagram of datagramsOf(clientPair)) serverPair.writeDatagram(datagram);
    for (const datagram of datagramsOf(serverPair)) {
      sent.push(datagram);
      clientPair.writeDatagram(datagram);
    }
    if (done.every((r) => r === 1)) return sent;
  }
  throw new Error("the handshake does not get on");
}

interface Fragment {
  type: number;
  length: number;
  sequence: number;
  offset: number;
  body: Uint8Array;
}

/** The handshake fragments in the plaintext records of a datagram. */
function fragmentsOf(datagram: Uint8Array): Fragment[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const out: Fragment[] = [];
  for (let at = 0; at + 13 <= datagram.length; at += 13 + view.getUint16(at + 11)) {
    if (datagram[at] !== 22 || view.getUint16(at + 3) !== 0) continue;
    const three = (from: number) => view.getUint32(from - 1) & 0xffffff;
    const body = datagram.subarray(at + 13 + 12, at + 13 + view.getUint16(at + 11));
    const [type, length, sequence, offset] = [
      datagram[at + 13]!,
      three(at + 14),
      view.getUint16(at + 17),
      three(at + 19),
    ];
    out.push({ type, length, sequence, offset, body });
  }
  return out;
}

/** A handshake record of epoch 0. */
function fragment(number: number, { type, length, sequence, offset, body }: Fragment): Uint8Array {
  const out = new Uint8Array(13 + 12 + body.length);
  const view = new DataView(out.buffer);
  out.set([22, 0xfe, 0xfd], 0);
  view.setUint32(7, number);
  view.setUint16(11, 12 + body.length);
  view.setUint32(13, (type << 24) | length);
  view.setUint16(17, sequence);
  view.setUint32(18, offset);
  view.setUint32(21, body.length);
  // The four bytes of an offset or a length begin one byte early: what they overwrite is written again.
  view.setUint16(17, sequence);
  view.setUint8(19, offset >> 16);
  view.setUint16(20, offset & 0xffff);
  view.setUint8(22, body.length >> 16);
  view.setUint16(23, body.length & 0xffff);
  out.set(body, 25);
  return out;
}

QUnit.module("DTLS: strangers and little room", () => {
  QUnit.test(
    "a retransmission carries what the message was, however much of a flight was out (CVE-2026-84782)",
    async (assert) => {
      assert.timeout(60_000);
      const openssl = await load();
      const next = random(env.seed);
      const cases = share(
        Array.from({ length: 12 }, () => {
          const mtu = 300 + Math.floor(next() * 1000);
          return {
            filler: 200 + Math.floor(next() * 20_000),
            // A datagram has to fit, with the two bytes that say how long it is.
            room: mtu + 2 + Math.floor(next() * 6000),
            mtu,
            rounds: 1 + Math.floor(next() * 2),
          };
        }),
      );
      // All of them wait for their timers at the same time.
      await Promise.all(
        cases.map(async (each) => {
          const where = `${JSON.stringify(each)}, seed ${env.seed}`;
          using two = await associate(openssl, each);
          two.client.tryHandshake();
          for (const datagram of datagramsOf(two.clientPair)) two.serverPair.writeDatagram(datagram);
          two.server.tryHandshake();
          const sent = datagramsOf(two.serverPair);
          for (let i = 0; i < each.rounds; i++) {
            await sleep(two.server.dtlsGetTimeout() + 20);
            two.server.dtlsHandleTimeout();
            sent.push(...datagramsOf(two.serverPair));
          }
          for (const datagram of sent) two.clientPair.writeDatagram(datagram);
          sent.push(...finish(two));
          // Whatever was sent twice is the same; so is what its header says of it.
          const messages = new Map<number, { type: number; length: number; bytes: Map<number, number> }>();
          for (const { type, length, sequence, offset, body } of sent.flatMap(fragmentsOf)) {
            const known = messages.get(sequence) ?? { type, length, bytes: new Map() };
            messages.set(sequence, known);
            const same =
              known.type === type &&
              known.length === length &&
              offset + body.length <= length &&
              body.every((byte, i) => (known.bytes.get(offset + i) ?? byte) === byte);
            assert.true(same, `message ${sequence} of type ${type}, at ${offset}: ${where}`);
            body.forEach((byte, i) => {
              known.bytes.set(offset + i, byte);
            });
          }
          const hello = [...messages.values()].find(({ type }) => type === 2)!;
          assert.true(
            [...hello.bytes.values()].filter((byte) => byte === MARK).length < 8,
            `ServerHello: ${where}`,
          );
          assert.strictEqual(two.client.tryWrite(utf8("and on")), 6, where);
        }),
      );
    },
  );

  for (const [suite, ciphers] of [
    ["AES-GCM", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ["AES-CCM", "ECDHE-ECDSA-AES128-CCM"],
    ["ChaCha20-Poly1305", "ECDHE-ECDSA-CHACHA20-POLY1305"],
    ["CBC with encrypt-then-MAC", "ECDHE-ECDSA-AES128-SHA256"],
  ] as const) {
    QUnit.test(
      `no datagram from a stranger ends an association: ${suite} (CVE-2026-75806)`,
      async (assert) => {
        const openssl = await load();
        using two = await associate(openssl, { ciphers });
        finish(two);
        const record = (type: number, body: Uint8Array, number: number) => {
          const out = new Uint8Array(13 + body.length);
          out.set([type, 0xfe, 0xfd, 0, 1]);
          new DataView(out.buffer).setUint32(7, number);
          new DataView(out.buffer).setUint16(11, body.length);
          out.set(body, 13);
          return out;
        };
        const buffer = new Uint8Array(100);
        let number = 1000;
        for (const type of [20, 21, 22, 23]) {
          for (const length of [0, 1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 48, 64, 100]) {
            for (const [ssl, pair] of [
              [two.server, two.serverPair],
              [two.client, two.clientPair],
            ] as const) {
              pair.writeDatagram(record(type, new Uint8Array(length).fill(length), number++));
              assert.true(ssl.tryRead(buffer) < 0, `${length} bytes of type ${type}`);
            }
          }
        }
        assert.strictEqual(two.client.tryWrite(utf8("still here")), 10);
        for (const datagram of datagramsOf(two.clientPair)) two.serverPair.writeDatagram(datagram);
        assert.strictEqual(
          two.server.tryRead(buffer),
          10,
          openssl
            .errors()
            .map(({ text }) => text)
            .join(),
        );
        assert.strictEqual(two.server.tryWrite(utf8("I too")), 5);
        for (const datagram of datagramsOf(two.serverPair)) two.clientPair.writeDatagram(datagram);
        assert.strictEqual(
          two.client.tryRead(buffer),
          5,
          openssl
            .errors()
            .map(({ text }) => text)
            .join(),
        );
      },
    );
  }

  QUnit.test("records of the next epoch take the room that they need (CVE-2026-54874)", async (assert) => {
    const openssl = await load();
    using two = await associate(openssl);
    two.client.tryHandshake();
    const [hello] = datagramsOf(two.clientPair);
    two.serverPair.writeDatagram(hello!);
    two.server.tryHandshake();
    const flight = datagramsOf(two.serverPair);
    const before = openssl.memory.used;
    for (let i = 1; i <= 150; i++) {
      const record = Uint8Array.of(22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, i, 0, 1, 7);
      two.serverPair.writeDatagram(record);
      two.server.tryHandshake();
    }
    const grown = openssl.memory.used - before;
    assert.true(grown < 50_000, `${grown} bytes for 150 records of one byte`);
    for (const datagram of flight) two.clientPair.writeDatagram(datagram);
    finish(two);
    assert.ok(true, "and the handshake goes on");
  });

  QUnit.test(
    "a record of the next epoch does not swallow what follows it in its datagram",
    async (assert) => {
      const openssl = await load();
      using two = await associate(openssl);
      two.client.tryHandshake();
      const [hello] = datagramsOf(two.clientPair);
      const early = Uint8Array.of(22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 7);
      two.serverPair.writeDatagram(concat([early, hello!]));
      two.server.tryHandshake();
      assert.true(datagramsOf(two.serverPair).length > 0, "the server answers the ClientHello");
    },
  );

  QUnit.test(
    "messages that are not yet due share the room of one record (CVE-2026-95690)",
    async (assert) => {
      const openssl = await load();
      using two = await associate(openssl, { filler: 3000, mtu: 600 });
      two.client.tryHandshake();
      for (const datagram of datagramsOf(two.clientPair)) two.serverPair.writeDatagram(datagram);
      two.server.tryHandshake();
      const flight = datagramsOf(two.serverPair);
      const before = openssl.memory.used;
      for (let i = 1; i <= 9; i++) {
        // The first byte of a message of 100,000, which comes i messages too early.
        const body = Uint8Array.of(1);
        const stranger = fragment(40 + i, { type: 11, length: 100_000, sequence: i, offset: 0, body });
        two.clientPair.writeDatagram(stranger);
        two.client.tryHandshake();
      }
      const grown = openssl.memory.used - before;
      assert.true(grown < 40_000, `${grown} bytes for nine fragments of one byte`);
      // What a flight brings out of order is kept all the same.
      for (const datagram of flight.toReversed()) two.clientPair.writeDatagram(datagram);
      two.client.tryHandshake();
      const answer = datagramsOf(two.clientPair);
      assert.true(answer.length > 0, "a flight that came backwards is answered at once");
      for (const datagram of answer) two.serverPair.writeDatagram(datagram);
      finish(two);
    },
  );
});

/** 62 bytes at least: a ClientHello of this client, without a cookie. */
function firstHello(two: Association): Uint8Array {
  two.client.tryHandshake();
  return datagramsOf(two.clientPair)[0]!;
}

QUnit.module("DTLS: the pair, cookies and timers", () => {
  QUnit.test(
    "a pair that is full is a want write, and the handshake goes on when there is room",
    async (assert) => {
      const openssl = await load();
      using two = await associate(openssl, { filler: 11_000, mtu: 600, room: 1_024 });
      two.serverPair.writeDatagram(firstHello(two));
      assert.strictEqual(two.server.tryHandshake(), -SSL_ERROR_WANT_WRITE);
      assert.deepEqual(openssl.errors(), [], "a pair that is full is no error");
      finish(two);
      const sent = { count: 0, r: 1 };
      while (sent.r > 0 && sent.count < 100) {
        sent.r = two.server.tryWrite(new Uint8Array(300));
        sent.count++;
      }
      assert.strictEqual(sent.r, -SSL_ERROR_WANT_WRITE, "data too");
      datagramsOf(two.serverPair);
      assert.strictEqual(two.server.tryWrite(new Uint8Array(300)), 300);
    },
  );

  QUnit.test("a datagram of any length stays whole; what waits, and what fits, is told", async (assert) => {
    const openssl = await load();
    const context = openssl.newContext("dtls-client");
    const pair = openssl.newDatagramPair(70_000, 70_000);
    assert.strictEqual(pair.writeGuarantee(), 65_535);
    const next = random(env.seed);
    const long = Uint8Array.from({ length: 40_000 }, () => Math.floor(next() * 256));
    assert.strictEqual(pair.writeDatagram(long), 40_000);
    assert.strictEqual(pair.wpending(), 40_000);
    assert.strictEqual(pair.writeGuarantee(), 70_000 - 40_002 - 2);
    assert.strictEqual(pair.writeDatagram(long), -1, "no room");
    assert.deepEqual(openssl.errors(), []);
    assert.strictEqual(pair.writeDatagram(new Uint8Array(70_000)), -1, "never");
    assert.strictEqual(openssl.errors().length, 1, "which is an error");
    assert.strictEqual(pair.wpending(), 40_000);
    // OpenSSL throws away what is no record.
    const ssl = context.newSsl(pair);
    ssl.setMtu(4_096);
    ssl.setConnectState();
    ssl.tryHandshake();
    assert.strictEqual(pair.wpending(), 0);
    const hello = new Uint8Array(4_096);
    assert.strictEqual(pair.pending(), pair.readDatagram(hello));
    assert.strictEqual(pair.pending(), 0);
    ssl.free();
    pair.free();
    context.free();
  });

  for (const mtu of [208, 228, 256, 300, 1_500, 4_096]) {
    QUnit.test(`an MTU of ${mtu} is enough for a handshake`, async (assert) => {
      const openssl = await load();
      using two = await associate(openssl, { filler: 30_000, mtu, room: 65_000 });
      two.client.setMtu(mtu);
      const sent = finish(two);
      const longest = Math.max(...sent.map(({ length }) => length));
      assert.true(longest <= mtu, `${longest}`);
      const most = two.server.dtlsGetDataMtu();
      assert.true(most > 100 && most < mtu, `${most}`);
      assert.strictEqual(two.server.tryWrite(new Uint8Array(most)), most);
      assert.strictEqual(
        datagramsOf(two.serverPair)[0]?.length,
        mtu,
        "the longest message fills the datagram",
      );
      for (const no of [207, 0, -1, 1.5, 16_385, Number.NaN]) {
        assert.throws(() => two.client.setMtu(no), /the MTU must be a whole number, 208 to 16384/, `${no}`);
      }
      two.server.setMtu(16_384);
      assert.strictEqual(two.server.tryWrite(new Uint8Array(16_000)), 16_000);
      const [long] = datagramsOf(two.serverPair);
      two.clientPair.writeDatagram(long!);
      const read = new Uint8Array(16_384);
      assert.strictEqual(two.client.tryRead(read), 16_000, "a long one is read whole");
      using another = await associate(openssl);
      assert.throws(() => another.client.setMtu(4_097), /until the handshake is done must be .* 208 to 4096/);
    });
  }

  QUnit.test(
    "a ClientHello without a cookie draws one small datagram, and nothing is kept",
    async (assert) => {
      const openssl = await load();
      using context = openssl.newContext("dtls-server");
      context.useCookies();
      using pair = openssl.newDatagramPair();
      using listener = context.newSsl(pair);
      listener.setAcceptState();
      using two = await associate(openssl);
      const hello = firstHello(two);
      const [here, there] = [utf8("192.0.2.1:5000"), utf8("192.0.2.2:5000")];
      const answers: Uint8Array[] = [];
      let before = 0;
      for (let i = 0; i < 50; i++) {
        pair.writeDatagram(hello);
        assert.strictEqual(listener.dtlsListen(here), 0);
        const all = datagramsOf(pair);
        assert.strictEqual(all.length, 1);
        assert.true(all[0]!.length <= 60, `${all[0]!.length} bytes for ${hello.length}`);
        answers.push(all[0]!);
        if (i === 10) before = openssl.memory.used;
      }
      assert.strictEqual(openssl.memory.used, before, "nothing is kept of a client");
      assert.strictEqual(listener.dtlsGetTimeout(), -1, "nothing is sent again");
      for (const junk of [new Uint8Array(40), new Uint8Array(1), hello.subarray(0, 30), answers[0]!]) {
        pair.writeDatagram(junk);
        assert.strictEqual(listener.dtlsListen(here), 0);
        assert.deepEqual(datagramsOf(pair), [], "no answer to what is no ClientHello");
      }
      openssl.clearErrors();
      two.clientPair.writeDatagram(answers[0]!);
      two.client.tryHandshake();
      const [second] = datagramsOf(two.clientPair);
      pair.writeDatagram(second!);
      assert.strictEqual(listener.dtlsListen(there), 0, "the cookie is of another address");
      assert.strictEqual(datagramsOf(pair).length, 1);
      const changed = Uint8Array.from(second!);
      changed[13 + 12 + 2 + 32 + 1 + 1]! ^= 1;
      pair.writeDatagram(changed);
      assert.strictEqual(listener.dtlsListen(here), 0, "a cookie with one bit changed");
      assert.strictEqual(datagramsOf(pair).length, 1);
      pair.writeDatagram(second!);
      assert.strictEqual(listener.dtlsListen(here), 1);
    },
  );

  QUnit.test("after the cookie the handshake goes on as it does without", async (assert) => {
    const openssl = await load();
    const key = await newKey();
    using context = openssl.newContext("dtls-server");
    context.useCookies();
    context.useCertificateChain(await identity(key, 0));
    context.usePrivateKey(key.pem);
    using pair = openssl.newDatagramPair();
    using server = context.newSsl(pair);
    server.setAcceptState();
    server.setMtu(1400);
    using two = await associate(openssl);
    const here = new Uint8Array(255).fill(7);
    assert.throws(() => server.dtlsListen(new Uint8Array(256)), /the length of the address/);
    pair.writeDatagram(firstHello(two));
    assert.strictEqual(server.dtlsListen(here), 0);
    two.clientPair.writeDatagram(datagramsOf(pair)[0]!);
    two.client.tryHandshake();
    pair.writeDatagram(datagramsOf(two.clientPair)[0]!);
    assert.strictEqual(server.dtlsListen(here), 1);
    finish({ ...two, server, serverPair: pair });
    assert.strictEqual(server.tryWrite(utf8("hello")), 5);
  });

  QUnit.test("the timers are those that were set, and double up to the longest", async (assert) => {
    const openssl = await load();
    using two = await associate(openssl);
    assert.throws(() => two.client.dtlsSetTimeouts(0, 10), /the first timeout/);
    assert.throws(() => two.client.dtlsSetTimeouts(20, 10), /the longest timeout/);
    two.client.dtlsSetTimeouts(20, 50);
    two.client.tryHandshake();
    assert.true(two.client.dtlsGetTimeout() <= 20);
    for (const most of [40, 50, 50]) {
      datagramsOf(two.clientPair);
      // The clock of a busy machine may be late, never early.
      while (two.client.dtlsGetTimeout() > 0) await sleep(two.client.dtlsGetTimeout());
      assert.strictEqual(two.client.dtlsHandleTimeout(), 1);
      assert.strictEqual(datagramsOf(two.clientPair).length, 1, "sent again");
      assert.true(two.client.dtlsGetTimeout() <= most, `${two.client.dtlsGetTimeout()} of ${most}`);
    }
  });
});
