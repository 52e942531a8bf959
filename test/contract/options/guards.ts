/** Options and settings whose loss only the other end would notice: see test/mutants. */
import QUnit from "qunit";
import {
  acceptTls,
  MemorySessionStore,
  OpenSsl,
  type ServerContextOptions,
  startTls,
  TlsContext,
  type TlsStream,
  TlsTruncationError,
  type Transport,
  verifyChain,
} from "wassl";
import * as ssl from "wassl/openssl";
import { pair } from "../../fakes/pair.ts";
import { alertsOf, Contexts, type End } from "../../fakes/two-ends.ts";
import { concat, eventsOf, readAtLeast, tlsError, utf8, write } from "../../helpers/basics.ts";
import { client, server } from "../../helpers/both-ends.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;
/** ExtensionType, RFC 5077 §3.2 and RFC 8446 §4.2. */
const SESSION_TICKET = 35;
const PRE_SHARED_KEY = 41;

/** The lengths of the extensions in a record with a ClientHello. */
function extensionsOf(record: Uint8Array): Map<number, number> {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  // Behind both headers, the version and the random: the session's id, cipher suites, compression methods.
  let at = 5 + 4 + 2 + 32;
  at += 1 + view.getUint8(at);
  at += 2 + view.getUint16(at);
  at += 1 + view.getUint8(at);
  const lengths = new Map<number, number>();
  for (at += 2; at + 4 <= record.length; at += 4 + view.getUint16(at + 2))
    lengths.set(view.getUint16(at), view.getUint16(at + 2));
  return lengths;
}

/** The transport of whoever talks to `end`, which acts at each arrival. */
function transportTo(end: End, act: () => void): Transport {
  let arrive = (_bytes: Uint8Array) => {};
  const readable = new ReadableStream<Uint8Array>({
    start(controller) {
      arrive = (bytes) => controller.enqueue(bytes);
    },
  });
  const peer = {
    get inbox() {
      return new Uint8Array(0);
    },
    set inbox(bytes: Uint8Array) {
      if (bytes.length > 0) arrive(bytes);
    },
  };
  end.peer = peer as End;
  const writable = new WritableStream<Uint8Array>({
    write(bytes) {
      end.inbox = concat([end.inbox, bytes]);
      act();
    },
  });
  return { readable, writable };
}

async function serverContext(options: Partial<ServerContextOptions>): Promise<TlsContext> {
  const context = await TlsContext.server({ ...server(), ...options });
  afterTest(() => context.free());
  return context;
}

/** A connection whose ends have said a word. */
async function talk(context: TlsContext, options: object = {}): Promise<TlsStream> {
  const [near, far] = pair();
  const [mine, theirs] = await Promise.all([
    startTls(near, { ...client(), ...options }),
    acceptTls(far, { context }),
  ]);
  afterTest(() => mine.abort());
  afterTest(() => theirs.abort());
  await write(theirs.writable, utf8("."));
  await readAtLeast(mine.readable, 1);
  return mine;
}

QUnit.module("guards", () => {
  for (const role of ["client", "server"] as const) {
    QUnit.test(`TLS 1.2: a ${role} does not renegotiate when its peer wants to`, async (assert) => {
      const instance = await ssl.OpenSsl.load();
      using contexts = new Contexts(instance, env.certs, { version: ssl.TLS1_2_VERSION });
      using both = contexts.start();
      const peer = role === "client" ? both.server : both.client;
      const transport = transportTo(peer, () => peer.handshake());
      const opening = role === "client" ? startTls(transport, client()) : acceptTls(transport, server());
      peer.handshake();
      const stream = await opening;
      afterTest(() => stream.abort());
      alertsOf(peer.ssl);
      assert.strictEqual(peer.ssl.renegotiate(), 1);
      peer.handshake();
      // The answer comes while the stream reads. OpenSSL as a client ends for it; as a server it goes on.
      const reading = readAtLeast(stream.readable, 1).catch(() => {});
      let alerts: string[] = [];
      for (let i = 0; i < 100 && alerts.length === 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        // A server that has said HelloRequest is done with that; its next call is SSL_read.
        if (peer.handshake().ret === 1) peer.read();
        alerts = alertsOf(peer.ssl).map(({ direction, description }) => `${direction} ${description}`);
      }
      assert.strictEqual(alerts[0], "received no_renegotiation");
      stream.abort();
      await reading;
    });
  }

  for (const version of versions) {
    const only = { minVersion: version, maxVersion: version } as const;
    const number = version.slice(4);

    QUnit.test(`${version}: a client learns which authorities the server takes`, async (assert) => {
      const log = encodeURIComponent("Acceptable client certificate CA names|No client certificate CA names");
      const peer = `s_client?version=${number}&log=${log}&id=names-${env.runtime}`;
      const stream = await acceptTls(await env.connect(peer), {
        ...server(),
        clientAuth: "request",
        caCerts: env.certs.caPem,
      });
      afterTest(() => stream.abort());
      const said = (await eventsOf(peer, /CA names/)).find((event) => /CA names/.test(event));
      assert.strictEqual(said, "Acceptable client certificate CA names");
    });

    QUnit.test(`${version}: tickets: 0 gives none, and 1 gives one`, async (assert) => {
      const { parseSession } = await OpenSsl.shared().then((openssl) => ({
        parseSession: (bytes: Uint8Array) => openssl.parseSession(bytes),
      }));
      for (const tickets of [0, 1]) {
        const stream = await talk(await serverContext({ ...only, tickets }), { sessionStore: false });
        const bytes = stream.getSession();
        if (version === "TLSv1.3" && tickets === 0) {
          assert.strictEqual(bytes, undefined);
          continue;
        }
        using session = parseSession(bytes!);
        assert.strictEqual(session.hasTicket(), tickets > 0, `${tickets}`);
      }
    });

    QUnit.test(
      `${version}: a session is not offered when its time is over, nor to another name`,
      async (assert) => {
        const context = await serverContext({ ...only, tickets: 1, sessionTimeout: 2 });
        const session = (await talk(context, { sessionStore: false })).getSession()!;
        /** Whether the first flight has it; the server does not answer. */
        const offered = async (options: object) => {
          const [near, far] = pair();
          const abort = new AbortController();
          const opening = startTls(near, { ...client(), session, signal: abort.signal, ...options });
          opening.catch(() => {});
          const hello = await readAtLeast(far.readable, 1);
          abort.abort();
          const lengths = extensionsOf(hello);
          return version === "TLSv1.3" ? lengths.has(PRE_SHARED_KEY) : (lengths.get(SESSION_TICKET) ?? 0) > 0;
        };
        assert.true(await offered({}));
        // Its certificate is not for that one.
        assert.false(await offered({ hostname: "elsewhere.wassl.test", serverName: "localhost" }));
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        assert.false(await offered({}));
      },
    );

    QUnit.test(
      `${version}: a handshake that fails takes the session that it offered out of use`,
      async (assert) => {
        const sessionStore = new MemorySessionStore();
        const given = { sessionStore, sessionPartition: `guards ${env.seed}` };
        await (await talk(await serverContext({ ...only, tickets: 1 }), given)).close();
        assert.strictEqual(sessionStore.size, 1);
        const [near, far] = pair();
        const ends = await Promise.allSettled([
          startTls(near, { ...client(), ...given }),
          acceptTls(far, { ...server(), ...only, selectContext: () => null }),
        ]);
        assert.deepEqual(
          ends.map(({ status }) => status),
          ["rejected", "rejected"],
        );
        await new Promise((resolve) => setTimeout(resolve, 0));
        assert.strictEqual(sessionStore.size, 0);
      },
    );
  }

  QUnit.test("a server takes as much early data as its sessions allow, and no more", async (assert) => {
    const context = await serverContext({ maxEarlyData: 100_000, tickets: 1 });
    const sessionStore = new MemorySessionStore();
    for (const [length, becomes] of [
      [60_000, "accepted"],
      [100_000, "accepted"],
      [100_001, "none"],
    ] as const) {
      await (await talk(context, { sessionStore })).close();
      const bytes = randomBytes(length, env.seed);
      const early: Uint8Array[] = [];
      const [near, far] = pair();
      const [mine, theirs] = await Promise.all([
        startTls(near, { ...client(), sessionStore, earlyData: bytes }),
        acceptTls(far, { context, onEarlyData: (piece) => void early.push(piece) }),
      ]);
      afterTest(() => mine.abort());
      afterTest(() => theirs.abort());
      assert.strictEqual(mine.info.earlyData, becomes, `${length} bytes`);
      assert.deepEqual(concat(early), becomes === "none" ? new Uint8Array(0) : bytes);
      await mine.close();
    }
  });

  QUnit.test(
    "a transport that ends within the handshake is no end of data, whatever eofPolicy says",
    async (assert) => {
      for (const eofPolicy of ["ignore", "record-boundary"] as const) {
        const [near, far] = pair();
        const opening = startTls(near, { ...client(), eofPolicy, handshakeTimeout: 5_000 });
        await readAtLeast(far.readable, 1);
        await far.writable.close();
        const error = await tlsError(opening);
        assert.true(error instanceof TlsTruncationError, String(error));
        assert.strictEqual((error as TlsTruncationError).at, "handshake");
      }
    },
  );

  QUnit.test("a stream that other code uses is refused", async (assert) => {
    for (const side of ["readable", "writable"] as const) {
      const [near] = pair();
      if (side === "readable") near.readable.getReader();
      else near.writable.getWriter();
      const error = await tlsError(startTls(near, client()));
      assert.strictEqual(error.code, "invalid-argument");
      assert.true(error.message.includes("locked"), error.message);
    }
  });

  QUnit.test("TLS 1.2 without an extended master secret has no tls-exporter", async (assert) => {
    const instance = await ssl.OpenSsl.load();
    for (const without of [false, true]) {
      using contexts = new Contexts(instance, env.certs, {
        version: ssl.TLS1_2_VERSION,
        client(context) {
          if (without) context.setOptions(ssl.SSL_OP_NO_EXTENDED_MASTER_SECRET);
        },
      });
      using both = contexts.start();
      const peer = both.client;
      const opening = acceptTls(
        transportTo(peer, () => peer.handshake()),
        server(),
      );
      peer.handshake();
      const stream = await opening;
      afterTest(() => stream.abort());
      assert.strictEqual(stream.channelBinding("tls-exporter") === undefined, without, `${without}`);
      stream.abort();
    }
  });

  QUnit.test("a server that gave a connection up does not resume its session", async (assert) => {
    const only = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
    // In its own cache, since a ticket cannot be taken back.
    const context = await serverContext({ ...only, tickets: 0 });
    for (const end of ["close", "abort"] as const) {
      const [near, far] = pair();
      const [mine, theirs] = await Promise.all([
        startTls(near, { ...client(), sessionStore: false }),
        acceptTls(far, { context }),
      ]);
      afterTest(() => mine.abort());
      const session = mine.getSession()!;
      if (end === "close") await Promise.all([theirs.close(), mine.close()]);
      else theirs.abort();
      const next = await talk(context, { session, sessionStore: false });
      assert.strictEqual(next.info.sessionReused, end === "close", end);
    }
  });

  QUnit.test("a session store that did not answer is not asked again", async (assert) => {
    let asked = 0;
    const hang = () => {
      asked++;
      return new Promise<never>(() => {});
    };
    await talk(await serverContext({}), { sessionStore: { get: hang, put: hang, take: hang } });
    assert.strictEqual(asked, 1);
  });

  QUnit.test("bytes are those of the moment of the call", async (assert) => {
    const key = randomBytes(32, env.seed);
    const psk = () => ({ psk: { identity: "guard", key: key.slice() } });
    for (const role of ["client", "server"] as const) {
      const [near, far] = pair();
      const options = { client: psk(), server: psk() };
      const both = Promise.all([
        startTls(near, { hostname: "localhost", ...options.client }),
        acceptTls(far, options.server),
      ]);
      // It is read, and OpenSSL is still to come.
      options[role].psk.key.fill(0);
      for (const stream of await both) afterTest(() => stream.abort());
    }
    assert.true(true, "connected");
  });

  QUnit.test("what weakens a decision about trust is true or false, and nothing like it", async (assert) => {
    const { caPem } = env.certs;
    const untouched = {
      get readable(): never {
        throw new Error("the transport was touched");
      },
      get writable(): never {
        throw new Error("the transport was touched");
      },
    };
    for (const value of ["false", "true", 0, 1, null, {}]) {
      const wrong = (name: string) => ({ [name]: value }) as object;
      for (const [what, attempt] of Object.entries({
        disable: () => startTls(untouched, { ...client(), ...wrong("unsafelyDisableVerification") }),
        names: () => startTls(untouched, { ...client(), ...wrong("unsafelyAllowLegacyNames") }),
        override: () => startTls(untouched, { ...client(), ...wrong("unsafelyLetVerifyOverride") }),
        server: () => acceptTls(untouched, { ...server(), ...wrong("unsafelyLetVerifyOverride") }),
        chain: () => verifyChain({ leaf: caPem, roots: caPem, ...wrong("unsafelyAllowLegacyNames") }),
      })) {
        const error = await tlsError(attempt());
        assert.strictEqual(error.code, "invalid-argument", `${what}: ${JSON.stringify(value)}`);
        assert.true(error.message.includes("true or false"), error.message);
      }
    }
  });

  QUnit.test("which contexts resume each other's sessions", async (assert) => {
    const only = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
    const psk = { identity: "guard", key: randomBytes(32, env.seed) };
    const common = { ...only, ticketKeys: [randomBytes(80, env.seed)] };
    const { cert, key } = server();
    const ecdsa = { cert: cert!, key: key! };
    const rsa = { cert: env.certs.chains.rsa, key: env.certs.keys.rsa };
    /** Whether a client without the pre-shared key resumes with `to` what `from` gave it. */
    const resumed = async (from: ServerContextOptions, to: ServerContextOptions) => {
      const contexts = await Promise.all([from, to].map((each) => TlsContext.server({ ...common, ...each })));
      for (const context of contexts) afterTest(() => context.free());
      const given = { ...only, sessionStore: new MemorySessionStore() };
      await (await talk(contexts[0]!, given)).close();
      const stream = await talk(contexts[1]!, given);
      await stream.close();
      return stream.info.sessionReused;
    };
    // It stands for who the server is, and for nothing that decides on clients.
    const asks = { clientAuth: "request", caCerts: env.certs.caPem } as const;
    const named = { ...ecdsa, ...asks, sessionIdContext: "guards" };
    assert.true(await resumed(named, { ...named }), "the same");
    assert.true(await resumed(named, { ...named, ...rsa }), "another certificate");
    for (const [what, other] of Object.entries({
      verifyOptions: { verifyOptions: { depth: 1 } },
      securityLevel: { securityLevel: 1 },
      caCerts: { caCerts: env.certs.otherCaPem },
      ciphers: { ciphers: "DEFAULT" },
      cipherSuites: { cipherSuites: "TLS_AES_128_GCM_SHA256" },
      groups: { groups: "X25519" },
      signatureAlgorithms: { signatureAlgorithms: "ECDSA+SHA256:RSA-PSS+SHA256" },
      maxCertificateList: { maxCertificateList: 50_000 },
      psk: { psk },
      verify: { verify: () => true },
      unsafelyLetVerifyOverride: { verify: () => true, unsafelyLetVerifyOverride: true },
      "another sessionIdContext": { sessionIdContext: "others" },
    })) {
      assert.false(await resumed(named, { ...named, ...other }), what);
    }
    const { clientAuth: _asked, caCerts: _believed, ...asksNobody } = named;
    assert.false(await resumed(asksNobody, named), "clientAuth");
    // Without it, what it would stand for counts.
    assert.true(
      await resumed({ identities: [ecdsa] }, { identities: [{ ...ecdsa }] }),
      "identities, the same",
    );
    assert.false(await resumed({ identities: [ecdsa] }, { identities: [rsa] }), "other identities");
    assert.false(await resumed(ecdsa, rsa), "another certificate, which nothing stands for");
    // Where a server has no certificate, only those get in who have the key.
    const { cert: _cert, key: _key, ...nobody } = { ...named, psk };
    const contexts = await Promise.all(
      [{ ...named, psk }, nobody].map((each) => TlsContext.server({ ...common, ...each })),
    );
    for (const context of contexts) afterTest(() => context.free());
    const given = { ...only, sessionStore: new MemorySessionStore() };
    await (await talk(contexts[0]!, given)).close();
    assert.strictEqual(given.sessionStore.size, 1);
    await assert.rejects(talk(contexts[1]!, given), "no certificate, and no key");
  });
});
