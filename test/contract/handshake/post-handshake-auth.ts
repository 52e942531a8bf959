/** A client that is asked for its certificate behind the handshake (RFC 8446 §4.6.2). */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  MemorySessionStore,
  type ServerOptions,
  startTls,
  type TlsAlertError,
  TlsCertificateError,
  TlsContext,
  type TlsInfo,
  type TlsStream,
  type X509,
} from "wassl";
import { lockstep, pair } from "../../fakes/pair.ts";
import { cloggable, oneByte, randomChunks } from "../../fakes/wrappers.ts";
import {
  concat,
  PENDING,
  readAll,
  readAtLeast,
  rejection,
  text,
  tlsError,
  utf8,
  within,
  write,
} from "../../helpers/basics.ts";
import { client, clientCert, connected, over, server } from "../../helpers/both-ends.ts";
import { cryptoKey, P256 } from "../../helpers/crypto-keys.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { random, randomBytes } from "../../helpers/random.ts";

const later = (): Partial<ServerOptions> => ({
  clientAuth: "require",
  postHandshakeAuth: true,
  caCerts: env.certs.caPem,
});
const offers = (): Partial<ClientOptions> => ({
  ...clientCert(),
  postHandshakeAuth: true,
  sessionStore: false,
});
const names = (certificates: readonly X509[]) =>
  certificates.map(({ subject }) => /CN=([^,]*)/.exec(subject)?.[1]);

/** Reads until the end, so that what is asked is answered; the bytes, or what went wrong. */
function reading(stream: TlsStream): Promise<Uint8Array | Error> {
  return readAll(stream.readable).catch((error) => error);
}

QUnit.module("post-handshake authentication", () => {
  QUnit.test("not in the handshake, and then when it is asked for", async (assert) => {
    const both = await connected(offers(), later());
    for (const end of [both.client, both.server]) assert.true(end.info.postHandshakeAuth);
    const before = both.server.info;
    assert.deepEqual([before.peerCertificates.length, before.verified], [0, false]);

    const read = reading(both.client);
    const after = await both.server.verifyClientPostHandshake();
    assert.strictEqual(both.server.info, after);
    assert.deepEqual(names(after.peerCertificates), ["client", "Wassl test intermediate"]);
    assert.deepEqual(names(after.verifiedChain), ["client", "Wassl test intermediate", "Wassl test ca"]);
    assert.true(after.verified);
    assert.strictEqual(after.signatureAlgorithm, "ecdsa_secp256r1_sha256");
    assert.strictEqual(before.peerCertificates.length, 0, "what was known before stays as it was");

    await write(both.client.writable, utf8("question"));
    assert.strictEqual(text(await readAtLeast(both.server.readable, 8)), "question");
    await both.server.verifyClientPostHandshake();
    assert.true(both.server.info.verified, "a second time");
    await write(both.server.writable, utf8("answer"));
    await both.server.closeWrite();
    assert.strictEqual(text((await read) as Uint8Array), "answer");
  });

  QUnit.test("verify has the last word, and is asked once for each", async (assert) => {
    const asked: (string | undefined)[][] = [];
    let answer = true;
    const both = await connected(offers(), {
      ...later(),
      async verify(chain, { ok }) {
        assert.true(ok);
        asked.push(names(chain));
        await Promise.resolve();
        return answer;
      },
    });
    assert.deepEqual(asked, []);
    const read = reading(both.client);
    await both.server.verifyClientPostHandshake();
    assert.deepEqual(asked, [["client", "Wassl test intermediate"]]);
    answer = false;
    const error = await tlsError(both.server.verifyClientPostHandshake());
    assert.true(
      error instanceof TlsCertificateError && /refused by verify/.test(error.message),
      String(error),
    );
    assert.strictEqual(asked.length, 2);
    assert.strictEqual(await rejection(both.server.closed), error);
    const told = (await read) as TlsAlertError;
    assert.strictEqual(told.alert?.description, "bad_certificate", String(told));
  });

  QUnit.test(
    "what the server does not trust ends the connection, and the client is told why",
    async (assert) => {
      const strange = { cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa };
      const cases: [string, Partial<ClientOptions>, Partial<ServerOptions>, RegExp, string][] = [
        ["another CA", {}, { caCerts: env.certs.otherCaPem }, /unable to get local issuer/, "unknown_ca"],
        ["a server's", strange, {}, /purpose/, "unsupported_certificate"],
        [
          "none",
          { cert: undefined!, key: undefined! },
          {},
          /did not return a certificate/,
          "certificate_required",
        ],
      ];
      for (const [what, theirs, ours, why, alert] of cases) {
        const near = Object.fromEntries(
          Object.entries({ ...offers(), ...theirs }).filter(([, value]) => value !== undefined),
        );
        const both = await connected(near, { ...later(), ...ours });
        const read = reading(both.client);
        const error = await tlsError(both.server.verifyClientPostHandshake());
        assert.true(why.test(error.message), `${what}: ${error}`);
        const { alert: told } = (await read) as TlsAlertError;
        assert.strictEqual(told?.description, alert, what);
        assert.strictEqual((await tlsError(both.server.verifyClientPostHandshake())).message, error.message);
        assert.strictEqual((await tlsError(both.server.closed)).message, error.message);
      }
      const both = await connected(
        { postHandshakeAuth: true, sessionStore: false },
        { ...later(), clientAuth: "request" },
      );
      reading(both.client);
      const info = await both.server.verifyClientPostHandshake();
      assert.deepEqual(
        [info.peerCertificates.length, info.verified],
        [0, false],
        "request: it need not have one",
      );
      await both.server.close();
    },
  );

  QUnit.test("where nobody can be asked: why, and the connection goes on", async (assert) => {
    const goesOn = async ({ client, server }: { client: TlsStream; server: TlsStream }) => {
      await write(server.writable, utf8("still here"));
      assert.strictEqual(text(await readAtLeast(client.readable, 10)), "still here");
    };
    const { postHandshakeAuth: _, ...silent } = offers();
    const none = await connected(silent, later());
    assert.false(none.server.info.postHandshakeAuth);
    const refused = await tlsError(none.server.verifyClientPostHandshake());
    assert.deepEqual([refused.code, /does not offer/.test(refused.message)], ["protocol", true]);
    await goesOn(none);

    const old = await connected({ ...offers(), maxVersion: "TLSv1.2" }, later());
    assert.deepEqual(names(old.server.info.peerCertificates), ["client", "Wassl test intermediate"]);
    const tls12 = await tlsError(old.server.verifyClientPostHandshake());
    assert.deepEqual([tls12.code, /TLS 1\.2/.test(tls12.message)], ["protocol", true]);
    await goesOn(old);

    const open = await connected(offers(), {});
    assert.strictEqual((await tlsError(open.server.verifyClientPostHandshake())).code, "invalid-argument");
    assert.strictEqual((await tlsError(open.client.verifyClientPostHandshake())).code, "invalid-argument");
    await goesOn(open);

    const both = await connected(offers(), later());
    const first = both.server.verifyClientPostHandshake();
    const second = await tlsError(both.server.verifyClientPostHandshake());
    assert.deepEqual([second.code, /already/.test(second.message)], ["invalid-argument", true]);
    const read = readAtLeast(both.client.readable, 5);
    assert.true((await first).verified);
    await write(both.server.writable, utf8("12345"));
    assert.strictEqual(text(await read), "12345");

    // Also while the first one waits for data to leave.
    const behind = await connected(offers(), later());
    const writing = write(behind.server.writable, randomBytes(1_000_000, env.seed));
    const waiting = behind.server.verifyClientPostHandshake();
    assert.strictEqual((await tlsError(behind.server.verifyClientPostHandshake())).code, "invalid-argument");
    const all = readAtLeast(behind.client.readable, 1_000_000);
    await writing;
    await all;
    const rest = reading(behind.client);
    assert.true((await waiting).verified);
    await behind.server.closeWrite();
    await rest;

    const context = await tlsError(TlsContext.server({ ...server(), postHandshakeAuth: true }));
    assert.deepEqual([context.code, /clientAuth/.test(context.message)], ["invalid-argument", true]);
  });

  QUnit.test("a client that does not answer: up to the timeout, or the signal", async (assert) => {
    for (const how of ["timeout", "signal"] as const) {
      const both = await connected(offers(), later());
      const stop = new AbortController();
      const options = how === "timeout" ? { timeout: 30 } : { signal: stop.signal };
      const asking = both.server.verifyClientPostHandshake(options);
      assert.strictEqual(
        await within(
          asking.catch(() => "over"),
          how === "signal" ? 30 : 0,
        ),
        PENDING,
      );
      const reason = new Error("enough");
      stop.abort(reason);
      const error = await rejection(asking);
      if (how === "signal") assert.strictEqual(error, reason);
      else assert.strictEqual((error as { code: string }).code, "timeout");
      assert.strictEqual(await rejection(both.server.closed), error);
    }
    const { server } = await connected(offers(), later());
    const fired = AbortSignal.abort(new Error("before"));
    assert.strictEqual(await rejection(server.verifyClientPostHandshake({ signal: fired })), fired.reason);
    await server.close();
  });

  QUnit.test(
    "the answer is whole when the new tickets have left, and the client can be asked again",
    async (assert) => {
      const [left, right] = pair();
      const { transport, clog, release } = cloggable(right, false);
      let onAsked = () => {};
      const [near, far] = await Promise.all([
        startTls(left, {
          ...client(),
          ...offers(),
          trace: true,
          onEvent: (event) => {
            // From then on nothing more of the server's leaves.
            if (
              event.type === "handshake" &&
              event.direction === "received" &&
              event.message === "certificate_request"
            ) {
              clog();
              onAsked();
            }
          },
        }),
        // They have the client's certificates in them, and are more than may wait.
        acceptTls(transport, { ...server(), ...later(), tickets: 100 }),
      ]);
      for (const end of [near, far]) afterTest(() => end.abort());
      reading(near);
      for (const time of ["once", "again"]) {
        const asked = new Promise<void>((resolve) => {
          onAsked = resolve;
        });
        const asking = far.verifyClientPostHandshake();
        await asked;
        assert.strictEqual(await within(asking, 100), PENDING, time);
        release();
        assert.true((await asking).verified, time);
      }
    },
  );

  QUnit.test("data that waits for a reader comes before the answer", async (assert) => {
    const both = await connected(offers(), later());
    await write(both.client.writable, utf8("first this"));
    const asking = both.server.verifyClientPostHandshake();
    const read = reading(both.client);
    assert.strictEqual(await within(asking, 30), PENDING);
    assert.strictEqual(text(await readAtLeast(both.server.readable, 10)), "first this");
    assert.true((await asking).verified);
    await both.server.closeWrite();
    await read;
  });

  QUnit.test(
    "at the end: it is asked before our close_notify, and not answered behind theirs",
    async (assert) => {
      // Ours, behind the question: what was asked is still answered, and nothing but that is sent.
      const ours = await connected(offers(), { ...later(), tickets: 2 });
      const asking = ours.server.verifyClientPostHandshake();
      const closing = ours.server.closeWrite();
      assert.strictEqual((await tlsError(ours.server.verifyClientPostHandshake())).code, "closed");
      const end = await readAll(ours.client.readable);
      assert.strictEqual(end.length, 0);
      assert.true((await asking).verified);
      await closing;
      await write(ours.client.writable, utf8("the rest"));
      await ours.client.closeWrite();
      assert.strictEqual(text(await readAll(ours.server.readable)), "the rest");
      assert.strictEqual((await ours.server.closed).how, "complete");

      const closed = await connected(offers(), later());
      await closed.server.closeWrite();
      assert.strictEqual((await tlsError(closed.server.verifyClientPostHandshake())).code, "closed");

      // Theirs: a client that said close_notify answers no more (and its end is seen first, or the question).
      for (const order of ["asked first", "closed first"] as const) {
        const theirs = await connected(offers(), later());
        const closes = () => theirs.client.closeWrite();
        if (order === "closed first") await closes();
        const asks = tlsError(theirs.server.verifyClientPostHandshake());
        if (order === "asked first") await closes();
        const read = reading(theirs.client);
        const error = await asks;
        assert.deepEqual([error.code, /closed its side/.test(error.message)], ["closed", true], order);
        await write(theirs.server.writable, utf8("bye"));
        await theirs.server.closeWrite();
        assert.strictEqual(text((await read) as Uint8Array), "bye", order);
        assert.strictEqual((await readAll(theirs.server.readable)).length, 0, order);
        assert.strictEqual((await theirs.server.closed).how, "complete", order);
      }

      // shutdown() at the same time.
      const both = await connected(offers(), later());
      const outcome = both.server.verifyClientPostHandshake().then(
        ({ verified }) => verified,
        ({ code }) => code,
      );
      const shut = both.server.shutdown();
      await readAll(both.client.readable);
      await both.client.shutdown();
      assert.strictEqual((await shut).info.how, "complete");
      assert.strictEqual(await outcome, true);
    },
  );

  QUnit.test("a key in WebCrypto signs then, too", async (assert) => {
    const key = await cryptoKey("client", P256);
    const both = await connected({ ...offers(), key }, later());
    const read = reading(both.client);
    assert.true((await both.server.verifyClientPostHandshake()).verified);
    await both.server.closeWrite();
    assert.strictEqual(((await read) as Uint8Array).length, 0);
  });

  QUnit.test("early data, and then the question", async (assert) => {
    const context = await TlsContext.server({ ...server(), ...later(), maxEarlyData: 1000 });
    afterTest(() => context.free());
    const options = { ...client(), ...offers(), sessionStore: new MemorySessionStore() };
    let early = "";
    for (const earlyData of [undefined, utf8("hello early")]) {
      const [near, far] = pair();
      const [ours, theirs] = await Promise.all([
        startTls(near, { ...options, ...(earlyData && { earlyData }) }),
        acceptTls(far, {
          context,
          onEarlyData(chunk) {
            early += text(chunk);
          },
        }),
      ]);
      const read = reading(ours);
      assert.strictEqual(ours.info.earlyData, earlyData ? "accepted" : "none");
      if (earlyData) assert.true((await theirs.verifyClientPostHandshake()).verified);
      await theirs.closeWrite();
      await read;
      await ours.close();
    }
    assert.strictEqual(early, "hello early");
  });
});

QUnit.module("post-handshake authentication: sessions", () => {
  for (const stateful of [false, true]) {
    QUnit.test(
      `a session of before knows nobody, one of after does (${stateful ? "in memory" : "tickets"})`,
      async (assert) => {
        let asked = 0;
        const context = await TlsContext.server({
          ...server(),
          ...later(),
          tickets: 1,
          ...(stateful && { maxEarlyData: 100 }),
          verify() {
            asked++;
            return true;
          },
        });
        afterTest(() => context.free());
        const connect = async (session: Uint8Array | undefined, ask: boolean) => {
          const sessions: Uint8Array[] = [];
          const [near, far] = pair();
          const [ours, theirs] = await Promise.all([
            startTls(near, {
              ...client(),
              ...offers(),
              ...(session && { session }),
              onNewSession: (each) => sessions.push(each),
            }),
            acceptTls(far, { context }),
          ]);
          const atFirst = theirs.info;
          const read = reading(ours);
          if (ask) await theirs.verifyClientPostHandshake();
          await theirs.closeWrite();
          await read;
          await ours.close();
          await theirs.close();
          return { sessions, info: atFirst };
        };
        const first = await connect(undefined, true);
        const [before, after] = first.sessions;
        assert.strictEqual(first.sessions.length, 2, "one more behind the answer");
        assert.strictEqual(asked, 1);

        const unknown = await connect(before, false);
        assert.true(unknown.info.sessionReused);
        assert.deepEqual([unknown.info.peerCertificates.length, unknown.info.verified], [0, false]);
        assert.strictEqual(asked, 1, "there is nobody to be asked about");

        const known = await connect(after, true);
        assert.true(known.info.sessionReused);
        assert.deepEqual(names(known.info.peerCertificates), ["client", "Wassl test intermediate"]);
        assert.true(known.info.verified);
        assert.strictEqual(asked, 3, "about the session, and about the answer");
      },
    );
  }

  QUnit.test(
    "where a certificate is asked for in the handshake such a session is not enough",
    async (assert) => {
      const ticketKeys = [randomBytes(80, env.seed)];
      const shared = { ...server(), ticketKeys, sessionIdContext: "both", tickets: 1 };
      const lax = await TlsContext.server({ ...shared, ...later() });
      const { postHandshakeAuth: _, ...now } = later();
      const strict = await TlsContext.server({ ...shared, ...now });
      for (const context of [lax, strict]) afterTest(() => context.free());
      const connect = async (context: TlsContext, session?: Uint8Array) => {
        const [near, far] = pair();
        const [ours, theirs] = await Promise.all([
          startTls(near, { ...client(), ...offers(), ...(session && { session }) }),
          acceptTls(far, { context }),
        ]);
        await theirs.closeWrite();
        await readAll(ours.readable);
        const latest = ours.getSession();
        await ours.close();
        return { reused: theirs.info.sessionReused, latest, verified: theirs.info.verified };
      };
      const { latest } = await connect(lax);
      assert.true((await connect(lax, latest)).reused);
      assert.deepEqual(
        [(await connect(strict, latest)).reused, (await connect(strict, latest)).verified],
        [false, true],
      );
    },
  );
});

QUnit.module("post-handshake authentication: in the middle of data", () => {
  for (const bioPairSize of [undefined, 512, 2_000])
    for (const capacity of [5_000, 60_000])
      QUnit.test(`a pair of ${bioPairSize ?? "any size"}, ${capacity} bytes on the way`, async (assert) => {
        const size = bioPairSize === undefined ? {} : { bioPairSize };
        const [ours, theirs] = await over(
          pair({ capacity }),
          { ...offers(), ...size },
          { ...later(), ...size },
        );
        const reads = [readAll(ours.readable), readAll(theirs.readable)] as const;
        const bytes = randomBytes(1_500_000, env.seed);
        const asking: Promise<TlsInfo>[] = [];
        const send = async (stream: TlsStream, asks: boolean) => {
          const writer = stream.writable.getWriter();
          // Always one of them is on its way when a question or an answer comes.
          for (let at = 0; at < bytes.length; at += 500_000) {
            const written = writer.write(bytes.subarray(at, at + 500_000));
            if (asks) asking.push(stream.verifyClientPostHandshake());
            await written;
            if (asks) await asking.at(-1);
          }
          return writer;
        };
        for (const writer of await Promise.all([send(ours, false), send(theirs, true)])) await writer.close();
        const [atClient, atServer] = await Promise.all(reads);
        assert.deepEqual(atClient, bytes);
        assert.deepEqual(atServer, bytes);
        for (const { verified } of await Promise.all(asking)) assert.true(verified);
      });
});

QUnit.module("post-handshake authentication: in any order", () => {
  QUnit.test("data both ways, questions, ends; through transports of all kinds", async (assert) => {
    const next = random(env.seed);
    const below = (n: number) => Math.floor(next() * n);
    for (let round = 0; round < 25; round++) {
      const seed = Math.floor(next() * 2 ** 31);
      const kind = ["pair", "lockstep", "one byte", "chunks"][below(4)]!;
      let [near, far] = kind === "lockstep" ? lockstep() : pair({ capacity: [0, 100, 65_536][below(3)]! });
      if (kind === "one byte") [near, far] = [oneByte(near), oneByte(far)];
      if (kind === "chunks") [near, far] = [randomChunks(near, seed), randomChunks(far, seed + 1)];
      const size = [undefined, 1, 100, 20_000][below(4)];
      const most = kind === "one byte" || size === 1 ? 300 : 40_000;
      const what = `seed ${env.seed}, round ${round}: ${kind}, pair of ${size}`;
      const slow = below(2) === 1;
      const [ours, theirs] = await Promise.all([
        startTls(near, { ...client(), ...offers(), ...(size && { bioPairSize: size }) }),
        acceptTls(far, {
          ...server(),
          ...later(),
          ...(size && { bioPairSize: size }),
          ...(slow && { verify: () => new Promise((resolve) => setTimeout(() => resolve(true))) }),
        }),
      ]);
      for (const end of [ours, theirs]) afterTest(() => end.abort());
      const reads = [readAll(ours.readable), readAll(theirs.readable)];
      const sends = async (stream: TlsStream, from: number, asks: boolean) => {
        const sent: Uint8Array[] = [];
        const writer = stream.writable.getWriter();
        const pending: Promise<unknown>[] = [];
        let answers = 0;
        for (let i = below(6); i >= 0; i--) {
          if (asks && below(2) === 0) {
            const asking = stream.verifyClientPostHandshake().then(
              ({ verified }) => (answers += Number(verified)),
              (error: { code: string; message: string }) => {
                // Of two questions the second; and one that meets the client's end.
                if (!/already|closed its side/.test(error.message)) throw error;
              },
            );
            if (below(2) === 0) await asking;
            else pending.push(asking);
          }
          const bytes = randomBytes(1 + below(most), from + i);
          sent.push(bytes);
          const written = writer.write(bytes);
          if (below(2) === 0) await written;
          else pending.push(written);
        }
        await Promise.all([...pending, writer.close()]);
        return { sent: concat(sent), answers };
      };
      const work = Promise.all([
        sends(ours, seed, false),
        sends(theirs, seed + 100, true),
        ...reads,
      ] as const);
      const done = await within(work, 20_000);
      if (done === PENDING) {
        assert.true(false, `${what}: it hangs`);
        return;
      }
      const [here, there, atClient, atServer] = done;
      assert.deepEqual(atServer, here.sent, `${what}: to the server`);
      assert.deepEqual(atClient, there.sent, `${what}: to the client`);
      assert.strictEqual(theirs.info.verified, there.answers > 0, what);
      assert.deepEqual(
        (await Promise.all([ours.closed, theirs.closed])).map(({ how }) => how),
        ["complete", "complete"],
        what,
      );
    }
  });
});
