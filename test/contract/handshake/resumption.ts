/** Resumption, and what is seen inside, through `startTls` and `acceptTls`. */
import QUnit from "qunit";
import {
  acceptTls,
  type ClientOptions,
  MemorySessionStore,
  OpenSsl,
  type ServerContextOptions,
  type SessionStore,
  startTls,
  TlsCertificateError,
  TlsContext,
  type TlsEvent,
  type TlsStream,
} from "wassl";
import { pair } from "../../fakes/pair.ts";
import {
  eventsOf,
  PENDING,
  readAtLeast,
  sleep,
  text,
  tlsError,
  utf8,
  within,
  write,
} from "../../helpers/basics.ts";
import { client, clientCert, server } from "../../helpers/both-ends.ts";
import { connectTls } from "../../helpers/connect.ts";
import { afterTest, env } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;
const ticketKey = (n: number) => randomBytes(80, env.seed + n);
const hex = (bytes: Uint8Array | undefined) =>
  bytes && Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function serverContext(options: Partial<ServerContextOptions> = {}): Promise<TlsContext> {
  const context = await TlsContext.server({ ...server(), ...options });
  afterTest(() => context.free());
  return context;
}

/** Connects and says hello both ways, so that tickets are seen. */
async function connect(
  context: TlsContext,
  options: Partial<ClientOptions> = {},
): Promise<{ client: TlsStream; server: TlsStream }> {
  const [near, far] = pair();
  const [mine, theirs] = await Promise.all([
    startTls(near, { ...client(), ...options }),
    acceptTls(far, { context }),
  ]);
  afterTest(() => mine.abort());
  afterTest(() => theirs.abort());
  for (const [from, to] of [
    [mine, theirs],
    [theirs, mine],
  ] as const) {
    await write(from.writable, utf8("hello"));
    if (text(await readAtLeast(to.readable, 5)) !== "hello") throw new Error("the bytes differ");
  }
  if (mine.info.sessionReused !== theirs.info.sessionReused) throw new Error("the ends disagree");
  return { client: mine, server: theirs };
}

/** The same, and ends it; whether it was resumed. */
async function resumes(context: TlsContext, options: Partial<ClientOptions> = {}): Promise<boolean> {
  const { client: stream } = await connect(context, options);
  await stream.close();
  return stream.info.sessionReused;
}

/** A store that tells what is asked of it. */
function watched(store: SessionStore = new MemorySessionStore()) {
  const log: string[] = [];
  const keys = new Set<string>();
  const note = (what: string, key: string) => {
    keys.add(key);
    log.push(`${what} ${key.slice(-3)}`);
  };
  const wrapped: SessionStore = {
    async get(key) {
      note("get", key);
      return store.get(key);
    },
    async put(key, session, expires) {
      note("put", key);
      await store.put(key, session, expires);
    },
    async take(key) {
      note("take", key);
      return store.take(key);
    },
  };
  return Object.assign(wrapped, { log, keys });
}

for (const version of versions) {
  const only = { minVersion: version, maxVersion: version } as const;
  const tls13 = version === "TLSv1.3";

  QUnit.module(`resumption: ${version}`, () => {
    QUnit.test("the next connection resumes, verified, with the same chain", async (assert) => {
      const context = await serverContext(only);
      const sessionStore = new MemorySessionStore();
      const { client: first } = await connect(context, { sessionStore });
      assert.false(first.info.sessionReused);
      await first.close();
      for (let i = 0; i < 3; i++) {
        const { client: next } = await connect(context, { sessionStore });
        assert.true(next.info.sessionReused);
        assert.true(next.info.verified);
        assert.strictEqual(next.info.protocol, version);
        assert.deepEqual(
          next.info.peerCertificates.map(({ sha256Fingerprint }) => sha256Fingerprint),
          first.info.peerCertificates.map(({ sha256Fingerprint }) => sha256Fingerprint),
        );
        await next.close();
      }
      assert.false(await resumes(context, { sessionStore: false }), "unless it must not");
      assert.false(await resumes(context, { sessionStore: new MemorySessionStore() }), "or knows none");
    });

    QUnit.test("by default sessions are kept in memory, for all contexts and instances", async (assert) => {
      const context = await serverContext(only);
      const partition = { sessionPartition: `default ${version}` };
      assert.false(await resumes(context, partition));
      const openssl = await OpenSsl.load();
      assert.true(await resumes(context, { ...partition, openssl }));
      assert.false(await resumes(context, { sessionPartition: `other ${version}` }));
    });

    QUnit.test("getSession() and the option session", async (assert) => {
      const context = await serverContext(only);
      const { client: first } = await connect(context, { sessionStore: false });
      const session = first.getSession();
      await first.close();
      assert.true(session !== undefined);
      assert.deepEqual(first.getSession(), session, "also after the end");
      const { client: next, server: theirs } = await connect(context, {
        sessionStore: false,
        session: session!,
      });
      assert.true(next.info.sessionReused);
      assert.strictEqual(theirs.getSession(), undefined, "a server has none to give");
      for (const bad of [new Uint8Array(0), randomBytes(1000, env.seed), "text" as unknown as Uint8Array]) {
        const [near] = pair();
        const error = await tlsError(startTls(near, { ...client(), session: bad }));
        assert.strictEqual(error.code, "invalid-argument");
        assert.false(near.readable.locked, "and nothing was touched");
      }
    });

    QUnit.test(
      "a session of another server is not used: host and trust are checked again",
      async (assert) => {
        const context = await serverContext({
          ...only,
          ticketKeys: [ticketKey(1)],
          sessionIdContext: "both",
        });
        const wildcard = await serverContext({
          ...only,
          ticketKeys: [ticketKey(1)],
          sessionIdContext: "both",
          cert: env.certs.chains.ecdsa,
          key: env.certs.keys.ecdsa,
        });
        const { client: first } = await connect(context, { sessionStore: false });
        const session = first.getSession()!;
        // Whatever the key is, this store has just the session for it.
        const evil: SessionStore = { get: () => session, take: () => session, put: () => {} };
        for (const options of [{ session }, { sessionStore: evil }]) {
          assert.true(await resumes(wildcard, options), "the server would take it");
          for (const wrong of [
            { hostname: "wassl.test" },
            { caCerts: env.certs.otherCaPem },
            { caCerts: [] },
          ]) {
            const [near, far] = pair();
            const accepting = acceptTls(far, { context: wildcard });
            const error = await tlsError(startTls(near, { ...client(), ...options, ...wrong }));
            assert.true(
              error instanceof TlsCertificateError,
              `${JSON.stringify(Object.keys(wrong))}: ${error}`,
            );
            await accepting.catch(() => {});
          }
        }
      },
    );

    QUnit.test("sessions are found only by what matches in all", async (assert) => {
      const context = await serverContext({
        ...only,
        alpnProtocols: ["h2", "imap"],
        clientAuth: "request",
        caCerts: env.certs.caPem,
      });
      const base = { caCerts: [env.certs.caPem], alpnProtocols: ["imap"] };
      const others: Partial<ClientOptions>[] = [
        { ...base, hostname: "127.0.0.1" },
        { ...base, sessionPartition: "another" },
        { ...base, alpnProtocols: ["h2"] },
        { ...base, caCerts: [env.certs.caPem, env.certs.otherCaPem] },
        { ...base, ...clientCert() },
        { ...base, verify: () => true },
        { ...base, unsafelyDisableVerification: true },
        { ...base, securityLevel: 1 },
        { ...base, verifyOptions: { depth: 5 } },
        { ...base, ocsp: "soft" },
      ];
      const store = watched();
      assert.false(await resumes(context, { ...base, sessionStore: store }));
      for (const other of others) {
        const before = store.keys.size;
        assert.false(await resumes(context, { ...other, sessionStore: store }), JSON.stringify(other));
        assert.strictEqual(store.keys.size, before + 2, "other keys, for both versions");
      }
      const same = { alpnProtocols: ["imap"], caCerts: [env.certs.caPem], hostname: "LOCALHOST." };
      assert.true(await resumes(context, { ...same, sessionStore: store }), "the order does not matter");
      assert.true([...store.keys].every((key) => /^[0-9a-f]{64}-1\.[23]$/.test(key)));
    });

    QUnit.test("what a store is asked for", async (assert) => {
      const context = await serverContext(only);
      const store = watched();
      await resumes(context, { sessionStore: store });
      const looked = ["take 1.3", "get 1.2"];
      assert.deepEqual(store.log.splice(0), [...looked, ...(tls13 ? ["put 1.3", "put 1.3"] : ["put 1.2"])]);
      await resumes(context, { sessionStore: store });
      // The ticket of TLS 1.3 is gone, and each connection brings a new one. That of TLS 1.2 stays.
      assert.deepEqual(store.log.splice(0), tls13 ? ["take 1.3", "put 1.3"] : looked);
    });

    QUnit.test("a store that fails, lies or is slow costs the session only", async (assert) => {
      const context = await serverContext(only);
      const events: unknown[] = [];
      const onEvent = (event: TlsEvent) => {
        if (event.type === "session-store-error") events.push(event.error);
      };
      const error = new Error("no route to the store");
      const failing: SessionStore = {
        get: () => Promise.reject(error),
        put() {
          throw error;
        },
        take: () => Promise.reject(error),
      };
      assert.false(await resumes(context, { sessionStore: failing, onEvent }));
      await sleep(0);
      assert.true(events.length >= 3 && events.every((each) => each === error), `${events}`);
      for (const junk of [new Uint8Array(0), randomBytes(500, env.seed), "text" as unknown as Uint8Array]) {
        const lying: SessionStore = { get: () => junk, take: () => junk, put: () => {} };
        assert.false(await resumes(context, { sessionStore: lying }));
      }
      const never = new Promise<undefined>(() => {});
      const slow: SessionStore = { get: () => never, take: () => never, put: () => {} };
      const [near] = pair();
      const late = startTls(near, { ...client(), sessionStore: slow, handshakeTimeout: 50 });
      assert.strictEqual((await tlsError(late)).code, "timeout");
      const controller = new AbortController();
      const [other] = pair();
      const aborted = startTls(other, { ...client(), sessionStore: slow, signal: controller.signal });
      controller.abort(new Error("enough"));
      await assert.rejects(aborted, /enough/);
    });

    QUnit.test("after an abort, or a refusal, the session is not to be had any more", async (assert) => {
      const context = await serverContext({ ...only, tickets: 1 });
      const sessionStore = new MemorySessionStore();
      await resumes(context, { sessionStore });
      assert.strictEqual(sessionStore.size, 1);
      const { client: aborted } = await connect(context, { sessionStore });
      assert.true(aborted.info.sessionReused);
      aborted.abort();
      assert.strictEqual(aborted.getSession(), undefined);
      await sleep(0);
      assert.strictEqual(sessionStore.size, 0);
      assert.false(await resumes(context, { sessionStore }));
    });

    QUnit.test("verify is asked again, and may refuse", async (assert) => {
      const context = await serverContext(only);
      const sessionStore = new MemorySessionStore();
      const asked: number[] = [];
      let accept = true;
      const verify = (chain: readonly unknown[]) => {
        asked.push(chain.length);
        return accept;
      };
      assert.false(await resumes(context, { sessionStore, verify }));
      assert.true(await resumes(context, { sessionStore, verify }));
      assert.deepEqual(asked, [2, 2], "with the whole chain");
      accept = false;
      const [near, far] = pair();
      const accepting = acceptTls(far, { context });
      const error = await tlsError(startTls(near, { ...client(), sessionStore, verify }));
      assert.strictEqual(error.code, "certificate");
      accepting.then(
        (stream) => stream.abort(),
        () => {},
      );
    });

    QUnit.test("verify is asked each time about a peer that it alone accepts", async (assert) => {
      const context = await serverContext(only);
      const store = watched();
      const options = {
        caCerts: [],
        unsafelyLetVerifyOverride: true,
        verify: () => true,
        sessionStore: store,
      };
      for (let i = 0; i < 2; i++) {
        const { client: stream } = await connect(context, options);
        assert.false(stream.info.sessionReused);
        assert.false(stream.info.verified);
        const session = stream.getSession()!;
        assert.false(await resumes(context, { ...options, sessionStore: false, session }));
      }
      assert.false(store.log.some((entry) => entry.startsWith("put")));
    });

    QUnit.test("ticket keys: between instances, rotated, and by default one's own", async (assert) => {
      const elsewhere = await OpenSsl.load();
      const options = (...keys: number[]) => ({ ...only, ticketKeys: keys.map(ticketKey) });
      const sessionStore = new MemorySessionStore();
      assert.false(await resumes(await serverContext(options(1)), { sessionStore }));
      assert.true(
        await resumes(await serverContext({ ...options(2, 1), openssl: elsewhere }), {
          sessionStore: new MemorySessionStore(),
          session: (await connect(await serverContext(options(1)))).client.getSession()!,
        }),
      );
      assert.true(await resumes(await serverContext(options(2, 1)), { sessionStore }));
      if (!tls13) sessionStore.clear();
      assert.false(await resumes(await serverContext(only), { sessionStore }), "who has other keys does not");
      for (const ticketKeys of [[], [new Uint8Array(79)], new Uint8Array(80) as unknown as Uint8Array[]]) {
        const error = await tlsError(TlsContext.server({ ...server(), ticketKeys }));
        assert.strictEqual(error.code, "invalid-argument");
      }
    });

    QUnit.test("no session gets a client where it would be asked for more", async (assert) => {
      const shared = { ...only, ticketKeys: [ticketKey(1)] };
      const open = await serverContext(shared);
      const caCerts = env.certs.caPem;
      const closed = await serverContext({ ...shared, clientAuth: "require", caCerts });
      const other = await serverContext({
        ...shared,
        cert: env.certs.chains.rsa,
        key: env.certs.keys.rsa,
      });
      const session = async (context: TlsContext, options: Partial<ClientOptions> = {}) =>
        (await connect(context, { ...options, sessionStore: false })).client.getSession()!;
      assert.true(await resumes(open, { session: await session(open) }));
      assert.false(await resumes(other, { session: await session(open) }), "not with another certificate");
      const [near, far] = pair();
      const accepting = acceptTls(far, { context: closed });
      const stream = await startTls(near, { ...client(), session: await session(open) }).catch(
        () => undefined,
      );
      assert.strictEqual(
        (await tlsError(accepting)).code,
        "protocol",
        "not without a certificate of its own",
      );
      stream?.abort();
      assert.false(await resumes(closed, { ...clientCert(), session: await session(open, clientCert()) }));
      const asked = await serverContext({ ...shared, clientAuth: "request", caCerts });
      assert.false(
        await resumes(closed, { ...clientCert(), session: await session(asked, clientCert()) }),
        "not with the same trust anchors either",
      );

      const both = await connect(closed, {
        ...clientCert(),
        sessionStore: false,
        session: await session(closed, clientCert()),
      });
      assert.true(both.server.info.sessionReused, "where it was asked, it is known again");
      assert.true(both.server.info.verified);
      assert.true(both.server.info.peerCertificates[0]?.subject.includes("CN=client"));
    });

    QUnit.test("a session of other settings is not offered, wherever it comes from", async (assert) => {
      const context = await serverContext({ ...only, clientAuth: "request", caCerts: env.certs.caPem });
      const verify = () => true;
      const { client: first } = await connect(context, { sessionStore: false, verify });
      const session = first.getSession()!;
      const lying: SessionStore = { get: () => session, take: () => session, put: () => {} };
      for (const from of [{ session, sessionStore: false }, { sessionStore: lying }] as const) {
        assert.true(await resumes(context, { ...from, verify }));
        assert.true(
          await resumes(context, { ...from, verify: () => true }),
          "another verify is asked all the same",
        );
        for (const other of [
          { ocsp: "soft" },
          { ...clientCert() },
          { groups: "X25519:P-256" },
          { securityLevel: 1 },
          { verifyOptions: { depth: 7 } },
          { verify: undefined },
        ] as Partial<ClientOptions>[]) {
          assert.false(await resumes(context, { verify, ...from, ...other }), JSON.stringify(other));
        }
      }
    });

    QUnit.test("functions are the same only as themselves, in the key of a store", async (assert) => {
      const context = await serverContext(only);
      const sessionStore = new MemorySessionStore();
      const make = () => () => true;
      const [one, other] = [make(), make()];
      assert.false(await resumes(context, { sessionStore, verify: one }));
      assert.false(await resumes(context, { sessionStore, verify: other }));
      assert.true(await resumes(context, { sessionStore, verify: one }));
    });

    QUnit.test("options are those of the moment when they were read", async (assert) => {
      const der = () => Uint8Array.from(atob(env.certs.caDer), (c) => c.charCodeAt(0));
      const openssl = await OpenSsl.shared();
      const bytes = der();
      const [root] = openssl.parseCertificates(der());
      const options = {
        ...server(),
        ...only,
        ticketKeys: [ticketKey(1)],
        clientAuth: "request" as const,
        caCerts: [bytes, root!],
        verifyOptions: {
          purpose: "any" as const,
          time: new Date(),
          flags: [] as "X509_V_FLAG_TRUSTED_FIRST"[],
        },
        identities: [{ cert: env.certs.chains.rsa, key: env.certs.keys.rsa }],
      };
      const changes: [string, (changed: typeof options) => void][] = [
        ["clientAuth", (changed) => Object.assign(changed, { clientAuth: "none" })],
        ["a list of caCerts", (changed) => void changed.caCerts.pop()],
        ["the bytes of a certificate", (changed) => void (changed.caCerts[0] as Uint8Array).fill(0)],
        ["an X509", (changed) => void (changed.caCerts[1] as { der: Uint8Array }).der.fill(0)],
        ["verifyOptions", (changed) => Object.assign(changed.verifyOptions, { purpose: "sslclient" })],
        [
          "a date",
          (changed) =>
            void changed.verifyOptions.time.setMilliseconds(changed.verifyOptions.time.getMilliseconds() ^ 1),
        ],
        ["flags", (changed) => void changed.verifyOptions.flags.push("X509_V_FLAG_TRUSTED_FIRST")],
        ["identities", (changed) => void changed.identities.pop()],
        ["an identity", (changed) => Object.assign(changed.identities[0]!, { cert: "" })],
        ["ticket keys", (changed) => void changed.ticketKeys[0]!.fill(0)],
        [
          "all",
          (changed) => {
            for (const name of Object.keys(changed)) Reflect.deleteProperty(changed, name);
          },
        ],
      ];
      const fresh = () => ({
        ...options,
        caCerts: [der(), openssl.parseCertificates(der())[0]!],
        verifyOptions: { ...options.verifyOptions, time: new Date(options.verifyOptions.time), flags: [] },
        identities: [{ ...options.identities[0]! }],
        ticketKeys: [ticketKey(1)],
      });
      // What is read is read at once: what comes of it does not depend on when the change is made.
      const before = await serverContext(fresh());
      const { client: first } = await connect(before, { ...clientCert(), sessionStore: false });
      const session = first.getSession()!;
      for (const [name, change] of changes) {
        const changing = fresh();
        const making = TlsContext.server(changing);
        change(changing as typeof options);
        const context = await making;
        afterTest(() => context.free());
        const both = await connect(context, { ...clientCert(), sessionStore: false, session });
        assert.true(both.server.info.sessionReused && both.server.info.verified, `${name}: the same context`);
        // And a context that is made of what it was changed to is another one, unless it has nothing to do with
        // sessions.
      }
      for (const [name, change] of changes.filter(([each]) => !/bytes|X509|an identity|all/.test(each))) {
        const changed = fresh();
        change(changed as typeof options);
        const both = await connect(await serverContext(changed), {
          ...clientCert(),
          sessionStore: false,
          session,
        });
        assert.false(both.server.info.sessionReused, `${name}: another one`);
      }
    });

    QUnit.test("a client's options too", async (assert) => {
      const context = await serverContext(only);
      const store = watched();
      const options = { ...client(), sessionStore: store, caCerts: [env.certs.caPem], alpnProtocols: ["a"] };
      for (const expected of [false, true]) {
        const [near, far] = pair();
        const changing = {
          ...options,
          caCerts: [...options.caCerts],
          alpnProtocols: ["a"],
          sessionPartition: "p",
        };
        const starting = startTls(near, changing);
        changing.caCerts.length = 0;
        changing.alpnProtocols.push("b");
        Object.assign(changing, { hostname: "evil.test", sessionPartition: "q", serverName: "evil.test" });
        const [mine, theirs] = await Promise.all([starting, acceptTls(far, { context })]);
        assert.strictEqual(mine.info.sessionReused, expected);
        assert.true(mine.info.verified);
        await write(theirs.writable, utf8("."));
        await readAtLeast(mine.readable, 1);
        await mine.close();
        await theirs.close();
      }
      assert.strictEqual(store.keys.size, 2, "one for each version");
    });

    QUnit.test("a session is not offered when its time is over", async (assert) => {
      const context = await serverContext({ ...only, sessionTimeout: 1 });
      const { client: first } = await connect(context, { sessionStore: false });
      const session = first.getSession()!;
      const store = watched();
      await resumes(context, { sessionStore: store });
      await sleep(1_010);
      assert.false(await resumes(context, { session }));
      assert.false(await resumes(context, { sessionStore: store }));
      for (const sessionTimeout of [0, 1.5, 604_801]) {
        const error = await tlsError(TlsContext.server({ ...server(), sessionTimeout }));
        assert.strictEqual(error.code, "invalid-argument");
      }
      const none = await serverContext({ ...only, tickets: 0 });
      assert.false(await resumes(none, { sessionStore: store, sessionPartition: "none" }));
      // In TLS 1.2 the server remembers it then.
      assert.strictEqual(await resumes(none, { sessionStore: store, sessionPartition: "none" }), !tls13);
    });

    QUnit.test("others resume what they gave us: node:tls", async (assert) => {
      const peer = `tls?do=inside&version=${version.slice(4)}&id=stores`;
      const sessionStore = new MemorySessionStore();
      for (const expected of [false, true, true]) {
        const stream = await connectTls(peer, { sessionStore });
        await readAtLeast(stream.readable, 6);
        assert.strictEqual(stream.info.sessionReused, expected);
        assert.true(stream.info.verified);
        await stream.shutdown();
        assert.true((await eventsOf(peer, /^reused/)).includes(`reused ${expected}`));
      }
    });

    QUnit.test("keylog, exporters and channel bindings, and node:tls's", async (assert) => {
      const lines = { ours: [] as string[], server: [] as string[] };
      const context = await serverContext({ ...only, keylog: (line) => lines.server.push(line) });
      const both = await connect(context, { keylog: (line) => lines.ours.push(line) });
      await sleep(0);
      assert.true(lines.ours.length > 0);
      assert.deepEqual([...lines.ours].sort(), [...lines.server].sort());
      for (const type of ["tls-exporter", "tls-server-end-point"] as const) {
        const binding = both.client.channelBinding(type);
        assert.strictEqual(binding?.length, 32);
        assert.deepEqual(both.server.channelBinding(type), binding);
      }
      const label = "EXPERIMENTAL wassl";
      assert.deepEqual(
        both.client.exportKeyingMaterial(label, 40, utf8("x")),
        both.server.exportKeyingMaterial(label, 40, utf8("x")),
      );
      assert.throws(
        () => both.client.channelBinding("tls-unique" as "tls-exporter"),
        /a channel binding is "tls-exporter"/,
      );
      await both.client.close();
      assert.throws(() => both.client.exportKeyingMaterial(label, 40), /over/);
      assert.throws(() => both.client.channelBinding("tls-exporter"), /over/);
      const error = await tlsError(
        TlsContext.client({ ...client(), keylog: "file" as unknown as () => void }),
      );
      assert.strictEqual(error.code, "invalid-argument");

      const peer = `tls?do=inside&version=${version.slice(4)}&id=seen`;
      const keylog: string[] = [];
      const stream = await connectTls(peer, { keylog: (line) => keylog.push(line), sessionStore: false });
      await readAtLeast(stream.readable, 6);
      const ours = [
        `export ${hex(stream.exportKeyingMaterial(label, 32))}`,
        `export ${hex(stream.exportKeyingMaterial(label, 32, utf8("a context")))}`,
        `tls-exporter ${hex(stream.channelBinding("tls-exporter"))}`,
      ];
      await stream.shutdown();
      const theirs = await eventsOf(peer, /^end/);
      const named = (name: RegExp) => theirs.filter((event) => name.test(event));
      assert.deepEqual(named(/^(export|tls-exporter) /), ours);
      assert.deepEqual(named(/^keylog /).sort(), keylog.map((line) => `keylog ${line}`).sort());
    });

    QUnit.test("a trace as events, and statistics that fit it", async (assert) => {
      const context = await serverContext(only);
      const events: TlsEvent[] = [];
      const both = await connect(context, {
        trace: true,
        sessionStore: false,
        onEvent: (event) => events.push(event),
      });
      await Promise.all([both.client.shutdown(), both.server.shutdown()]);
      await sleep(0);
      const { statistics } = both.client;
      for (const [direction, traffic] of [
        ["sent", statistics.sent],
        ["received", statistics.received],
      ] as const) {
        const records = events.flatMap((event) =>
          event.type === "record" && event.direction === direction ? [event.length] : [],
        );
        assert.strictEqual(traffic.records, records.length, `${direction} records`);
        assert.strictEqual(
          traffic.bytes,
          records.reduce((sum, length) => sum + 5 + length, 0),
          `${direction} bytes`,
        );
        assert.strictEqual(traffic.data, 5, `${direction} data`);
      }
      assert.deepEqual(statistics.waiting, { toTransport: 0, fromTransport: 0, decrypted: 0 });
      const messages = events.flatMap((event) => (event.type === "handshake" ? [event.message] : []));
      assert.true(messages.includes("client_hello") && messages.includes("finished"), `${messages}`);
      const tickets = events.filter((event) => event.type === "new-session").length;
      assert.strictEqual(tickets, tls13 ? 2 : 1);

      const untold: TlsEvent[] = [];
      await resumes(context, { sessionStore: false, onEvent: (event) => untold.push(event) });
      await sleep(0);
      assert.false(
        untold.some(({ type }) => type === "record" || type === "handshake"),
        "only when asked for",
      );
    });
  });
}

QUnit.module("resumption: tickets without reading", () => {
  QUnit.test("a client that only writes has its ticket", async (assert) => {
    const sessionStore = new MemorySessionStore();
    for (const expected of [false, true]) {
      const stream = await connectTls("tls?do=mute&version=1.3&id=tickets", { sessionStore });
      assert.strictEqual(stream.info.sessionReused, expected);
      // node:tls sends no name when it resumes.
      for (let i = 0; i < 100 && !expected && stream.getSession() === undefined; i++) {
        await write(stream.writable, utf8("only this way\n"));
        await sleep(10);
      }
      assert.strictEqual(stream.getSession() === undefined, expected);
      assert.true(sessionStore.size > 0);
      await stream.close();
    }
  });

  QUnit.test("no more is fetched ahead than what brings the ticket", async (assert) => {
    const context = await serverContext({ minVersion: "TLSv1.3" });
    const [near, far] = pair();
    const [mine, theirs] = await Promise.all([
      startTls(near, { ...client(), sessionStore: false }),
      acceptTls(far, { context }),
    ]);
    afterTest(() => mine.abort());
    afterTest(() => theirs.abort());
    const writing = write(theirs.writable, new Uint8Array(1 << 20), 16_384);
    assert.strictEqual(await within(writing, 300), PENDING, "the peer waits");
    assert.true(mine.getSession() !== undefined);
    const { bytes } = mine.statistics.received;
    assert.true(bytes < 100_000, `${bytes} bytes were fetched`);
    assert.strictEqual((await readAtLeast(mine.readable, 1 << 20)).length, 1 << 20);
    await writing;
  });

  QUnit.test("a server that sends no ticket is heard all the same", async (assert) => {
    const context = await serverContext({ minVersion: "TLSv1.3", tickets: 0 });
    const [near, far] = pair();
    const [mine, theirs] = await Promise.all([
      startTls(near, { ...client(), sessionStore: false }),
      acceptTls(far, { context }),
    ]);
    afterTest(() => mine.abort());
    assert.strictEqual(mine.getSession(), undefined);
    await write(mine.writable, utf8("hello"));
    assert.strictEqual(text(await readAtLeast(theirs.readable, 5)), "hello");
    theirs.abort();
    assert.strictEqual((await tlsError(mine.closed)).code, "transport", "at once, though nobody reads");
  });
});
