/**
 * Behind our close_notify nothing leaves (RFC 8446 §6.1), whatever the peer goes on to send: random sequences of all
 * that may come after a handshake, in random pieces, to a client and to a server, and what the peer writes is delivered
 * to its end. By `wassl/openssl`, where the peer is driven by hand, by the pump, and with DTLS.
 */
import QUnit from "qunit";
import { acceptTls, startTls, type TlsStream, type Transport } from "wassl";
import * as ssl from "wassl/openssl";
import { Contexts, type End, type TwoEnds } from "../../fakes/two-ends.ts";
import { concat, readAll, text, utf8 } from "../../helpers/basics.ts";
import { env, share } from "../../helpers/env.ts";
import { random, randomBytes } from "../../helpers/random.ts";

let loaded: Promise<ssl.OpenSsl> | undefined;

function openssl(): Promise<ssl.OpenSsl> {
  loaded ??= ssl.OpenSsl.load();
  return loaded;
}

const versions = { "TLS 1.2": ssl.TLS1_2_VERSION, "TLS 1.3": ssl.TLS1_3_VERSION };
const roles = ["client", "server"] as const;
type Role = (typeof roles)[number];

function contextsFor(instance: ssl.OpenSsl, version: number): Contexts {
  return new Contexts(instance, env.certs, {
    version,
    client(context) {
      context.useCertificateChain(env.certs.chains.client);
      context.usePrivateKey(env.certs.keys.client);
    },
    server(context) {
      context.addCaCert(env.certs.caPem);
      context.setVerify(ssl.SSL_VERIFY_PEER | ssl.SSL_VERIFY_POST_HANDSHAKE);
      context.setOptions(ssl.SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    },
  });
}

/** Everything an end may send after the handshake; false if it cannot at the moment. */
const messages: Record<string, (end: End) => boolean> = {
  KeyUpdate: (end) => end.ssl.keyUpdate(ssl.SSL_KEY_UPDATE_NOT_REQUESTED) === 1,
  "KeyUpdate, update_requested": (end) => end.ssl.keyUpdate(ssl.SSL_KEY_UPDATE_REQUESTED) === 1,
  NewSessionTicket: (end) => end.ssl.newSessionTicket() === 1,
  CertificateRequest: (end) => end.ssl.verifyClientPostHandshake() === 1,
  renegotiation: (end) => end.ssl.renegotiate() === 1,
};
const names = Object.keys(messages);

/** What has a say in a case, all of it from one number. */
class Dice {
  readonly #next: () => number;
  readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#next = random(seed);
  }

  below(n: number): number {
    return Math.floor(this.#next() * n);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** The peer says something; what it was, and the data in it. */
function say(peer: End, dice: Dice, told: string[], allowed = names): Uint8Array {
  if (dice.below(3) > 0) {
    const name = dice.of(allowed);
    const begun = messages[name]!(peer);
    told.push(begun ? name : `no ${name}`);
    if (begun) peer.handshake();
    return new Uint8Array(0);
  }
  const data = randomBytes(1 + dice.below(3000), dice.below(2 ** 31));
  const written = peer.write(data);
  // In the middle of a handshake that is not answered it cannot.
  told.push(written.ret > 0 ? `${written.ret} bytes` : "no bytes");
  return written.ret > 0 ? data : new Uint8Array(0);
}

/** One connection that `closer` has ended its side of. */
function oneCase(both: TwoEnds, closer: Role, dice: Dice): { told: string[]; wrong: string | undefined } {
  const us = both[closer];
  const peer = both[closer === "client" ? "server" : "client"];
  const told: string[] = [];
  const expected: Uint8Array[] = [];
  const got: Uint8Array[] = [];
  both.client.ssl.setPostHandshakeAuth(dice.below(4) > 0);
  both.handshake();
  const take = (): string | undefined => {
    // A peek takes nothing.
    for (let peeks = 0; peeks < 3; peeks++) {
      if (dice.below(4) === 0) us.peek();
      const outcome = us.read(1 + dice.below(5000));
      if (outcome.ret > 0) got.push(outcome.data.slice());
      else if (!/WANT_READ|ZERO_RETURN/.test(outcome.error)) return String(outcome);
      if (outcome.ret <= 0) break;
    }
    return undefined;
  };
  // Something may be under way already: a KeyUpdate that was not answered yet, a request for a certificate.
  for (let i = dice.below(3); i > 0; i--) expected.push(say(peer, dice, told));
  if (dice.below(2) === 0) {
    const wrong = take();
    if (wrong) return { told, wrong: undefined }; // It has failed before its end.
  }
  if (dice.below(3) === 0) {
    // Of our own accord, and not sent yet in some of the cases.
    const name = dice.of(names);
    told.push(`we: ${messages[name]!(us) ? name : `no ${name}`}`);
    if (dice.below(2) === 0) us.handshake();
  }
  let ended = us.shutdown();
  // Half of a handshake is here, which has to go on first.
  for (let i = 0; i < 10 && ended.ret < 0; i++) {
    peer.read();
    peer.handshake();
    us.handshake();
    const wrong = take();
    if (wrong) return { told, wrong: undefined }; // It has failed before its end.
    ended = us.shutdown();
  }
  if (ended.ret < 0) return { told, wrong: undefined }; // A renegotiation that the other did not take part in.
  told.push("close_notify");
  const look = dice.below(2) === 0;
  for (let i = 1 + dice.below(6); i > 0; i--) {
    if (look && dice.below(3) === 0) peer.read();
    const before = peer.inbox.length;
    expected.push(say(peer, dice, told));
    // In pieces.
    const all = us.inbox;
    us.inbox = new Uint8Array(0);
    for (let at = 0; at < all.length; ) {
      const end = dice.below(3) === 0 ? all.length : at + 1 + dice.below(all.length);
      us.inbox = concat([us.inbox, all.subarray(at, end)]);
      at = end;
      const wrong = take();
      if (wrong) return { told, wrong };
    }
    // Of our own accord: refused, or nothing.
    if (dice.below(4) === 0) {
      const name = dice.of(names);
      if (messages[name]!(us)) return { told, wrong: `we could still say ${name}` };
      us.handshake();
    }
    if (peer.inbox.length > before) return { told, wrong: `${peer.inbox.length - before} bytes left` };
  }
  const last = utf8("the last word");
  if (peer.write(last).ret > 0) expected.push(last);
  for (let i = 0; i < 200 && (us.inbox.length > 0 || i < 30); i++) {
    const wrong = take();
    if (wrong) return { told, wrong };
  }
  const [want, have] = [concat(expected), concat(got)];
  if (text(want) !== text(have))
    return { told, wrong: `${have.length} of ${want.length} bytes came through` };
  return { told, wrong: undefined };
}

QUnit.module("after our close_notify", () => {
  for (const [name, version] of Object.entries(versions)) {
    QUnit.test(`nothing leaves, and all that the peer says arrives: ${name}`, async (assert) => {
      const instance = await openssl();
      using contexts = contextsFor(instance, version);
      let closed = 0;
      for (const i of share(Array.from({ length: 120 }, (_, i) => i))) {
        for (const role of roles) {
          const dice = new Dice(env.seed + i);
          using both = contexts.start(dice.of([0, 0, 64, 1024]));
          instance.clearErrors();
          const { told, wrong } = oneCase(both, role, dice);
          if (told.includes("close_notify")) closed++;
          if (wrong) assert.strictEqual(wrong, "", `a ${role} closes, seed ${dice.seed}: ${told.join("; ")}`);
        }
      }
      instance.clearErrors();
      assert.true(closed > 30, `${closed} cases`);
    });
  }

  for (const [name, version] of Object.entries(versions)) {
    QUnit.test(`the pump: ${name}`, async (assert) => {
      const instance = await openssl();
      using contexts = contextsFor(instance, version);
      for (const i of share(Array.from({ length: 48 }, (_, i) => i))) {
        for (const role of roles) {
          const dice = new Dice(env.seed + i);
          const told: string[] = [];
          using both = contexts.start();
          const peer = both[role === "client" ? "server" : "client"];
          const far = new Far(peer, dice);
          const common = {
            eofPolicy: "ignore" as const,
            minVersion: TLS_NAMES[name]!,
            maxVersion: TLS_NAMES[name]!,
          };
          const { chains, keys, caPem } = env.certs;
          const begun: Promise<TlsStream> =
            role === "client"
              ? startTls(far.transport, {
                  ...common,
                  hostname: "localhost",
                  caCerts: caPem,
                  sessionStore: false,
                })
              : acceptTls(far.transport, { ...common, cert: chains.ecdsa, key: keys.ecdsa });
          if (role === "server") far.turn();
          const stream = await begun;
          const expected: Uint8Array[] = [];
          // It would be declined, and the peer does not get over that.
          const others = names.filter((name) => name !== "renegotiation");
          for (let n = dice.below(2); n > 0; n--) expected.push(say(peer, dice, told, others));
          const reading = readAll(stream.readable);
          far.flush();
          await stream.closeWrite();
          told.push("close_notify");
          const before = far.received;
          for (let n = 1 + dice.below(6); n > 0; n--) {
            expected.push(say(peer, dice, told));
            far.flush();
          }
          const answered = peer.shutdown().ret >= 0;
          far.flush();
          // A client that waits for an answer to its ClientHello cannot.
          if (!answered) far.end();
          const got = await reading;
          const closed = await stream.closed;
          const what = `a ${role}, seed ${dice.seed}: ${told.join("; ")}`;
          const [want, after] = [concat(expected), far.received];
          const how = answered ? "complete" : "truncated";
          if (closed.how !== how) assert.strictEqual(closed.how, how, what);
          if (text(got) !== text(want))
            assert.strictEqual(got.length, want.length, `what came through; ${what}`);
          if (after !== before) assert.strictEqual(after, before, `bytes that left; ${what}`);
        }
      }
      assert.true(true, "all of them");
    });
  }

  QUnit.test("DTLS: data, the flights once more, another handshake", async (assert) => {
    const instance = await openssl();
    using clientContext = instance.newContext("dtls-client");
    using serverContext = instance.newContext("dtls-server");
    serverContext.useCertificateChain(env.certs.chains.ecdsa);
    serverContext.usePrivateKey(env.certs.keys.ecdsa);
    serverContext.setOptions(ssl.SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    clientContext.addCaCert(env.certs.caPem);
    for (const role of roles) {
      for (let i = 0; i < 12; i++) {
        const dice = new Dice(env.seed + i);
        using clientPair = instance.newDatagramPair();
        using serverPair = instance.newDatagramPair();
        using client = clientContext.newSsl(clientPair);
        using server = serverContext.newSsl(serverPair);
        client.setConnectState();
        server.setAcceptState();
        const ends = { client: { ssl: client, pair: clientPair }, server: { ssl: server, pair: serverPair } };
        const sent: Record<Role, Uint8Array[]> = { client: [], server: [] };
        const datagram = new Uint8Array(20_000);
        const carry = (from: Role) => {
          const to = from === "client" ? "server" : "client";
          for (
            let n = ends[from].pair.readDatagram(datagram);
            n > 0;
            n = ends[from].pair.readDatagram(datagram)
          ) {
            sent[from].push(datagram.slice(0, n));
            ends[to].pair.writeDatagram(datagram.subarray(0, n));
          }
        };
        for (let n = 0; n < 6; n++) {
          client.setMtu(1200);
          server.setMtu(1200);
          client.tryHandshake();
          carry("client");
          server.tryHandshake();
          carry("server");
        }
        const us = ends[role];
        const other = role === "client" ? "server" : "client";
        const peer = ends[other];
        assert.strictEqual(us.ssl.shutdown(), 0, role);
        carry(role);
        let words = 0;
        let read = 0;
        for (let n = 0; n < 6; n++) {
          const what = dice.of(["data", "flight", "renegotiation"] as const);
          if (what === "data" && peer.ssl.tryWrite(utf8("word")) > 0) words++;
          if (what === "flight") for (const each of sent[other].slice()) us.pair.writeDatagram(each);
          if (what === "renegotiation") {
            peer.ssl.renegotiate();
            peer.ssl.tryHandshake();
          }
          carry(other);
          for (let calls = 0; calls < 30; calls++) if (us.ssl.tryRead(datagram) > 0) read++;
          if (us.pair.pending() > 0)
            assert.strictEqual(us.pair.pending(), 0, `${role}, seed ${dice.seed}: ${what}`);
        }
        assert.strictEqual(read, words, `${role}, seed ${dice.seed}: what the peer still says arrives`);
      }
    }
    instance.clearErrors();
  });
});

const TLS_NAMES: Record<string, "TLSv1.2" | "TLSv1.3"> = { "TLS 1.2": "TLSv1.2", "TLS 1.3": "TLSv1.3" };

/** An `End` as the other side of a transport. What it says comes in pieces. */
class Far {
  readonly transport: Transport;
  /** Bytes that it was sent. */
  received = 0;
  readonly #end: End;
  readonly #dice: Dice;
  /** What the end sends goes there first. */
  readonly #out = { inbox: new Uint8Array(0) };
  #controller!: ReadableStreamDefaultController<Uint8Array>;

  constructor(end: End, dice: Dice) {
    this.#end = end;
    this.#dice = dice;
    end.peer = this.#out as unknown as End;
    this.transport = {
      readable: new ReadableStream({
        start: (controller) => {
          this.#controller = controller;
        },
      }),
      writable: new WritableStream({
        write: (chunk) => {
          this.received += chunk.length;
          end.inbox = concat([end.inbox, chunk]);
          if (!end.ssl.isInitFinished()) this.turn();
        },
      }),
    };
  }

  /** Goes on with its handshake. */
  turn(): void {
    this.#end.handshake();
    this.flush();
  }

  end(): void {
    this.#controller.close();
  }

  flush(): void {
    const all = this.#out.inbox;
    this.#out.inbox = new Uint8Array(0);
    for (let at = 0; at < all.length; ) {
      const end = Math.min(all.length, at + 1 + this.#dice.below(1500));
      this.#controller.enqueue(all.slice(at, end));
      at = end;
    }
  }
}
