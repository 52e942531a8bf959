/** Sessions and what is seen inside a connection, in the faithful layer: against ourselves and against others. */
import QUnit from "qunit";
import { TlsError } from "wassl";
import * as ssl from "wassl/openssl";
import { type ContextSetup, Contexts, type TwoEnds } from "../../fakes/two-ends.ts";
import { concat, eventsOf, sha256, text, utf8 } from "../../helpers/basics.ts";
import { env } from "../../helpers/env.ts";
import { Live } from "../../helpers/live.ts";
import { randomBytes } from "../../helpers/random.ts";

const VERSIONS = [
  { name: "TLS 1.2", short: "1.2", version: ssl.TLS1_2_VERSION },
  { name: "TLS 1.3", short: "1.3", version: ssl.TLS1_3_VERSION },
] as const;

let loaded: Promise<ssl.OpenSsl> | undefined;

function load(): Promise<ssl.OpenSsl> {
  return ssl.OpenSsl.load();
}

function openssl(): Promise<ssl.OpenSsl> {
  loaded ??= load();
  return loaded;
}

const hex = (bytes: Uint8Array | undefined) =>
  bytes && Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const CLIENT_ONLY = ssl.SSL_SESS_CACHE_CLIENT | ssl.SSL_SESS_CACHE_NO_INTERNAL;

/** Contexts whose client tells of its new sessions. */
function contexts(
  instance: ssl.OpenSsl,
  version: number,
  setup: Omit<ContextSetup, "version"> = {},
): Contexts {
  return new Contexts(instance, env.certs, {
    version,
    ...setup,
    client(context) {
      context.setSessionCacheMode(CLIENT_ONLY);
      context.keepNewSessions(true);
      setup.client?.(context);
    },
  });
}

/** Serialised, as they would be kept. */
function newSessions(both: TwoEnds): Uint8Array[] {
  both.client.peek();
  return both.client.ssl.takeSessions().map((session) => {
    const der = session.toDer();
    session.free();
    return der;
  });
}

function ticketKey(seed: number): Uint8Array {
  return randomBytes(80, env.seed + seed);
}

/** Connects with a session; whether it was resumed, by both ends' word, and what is good for the next time. */
function resume(
  instance: ssl.OpenSsl,
  on: Contexts,
  der: Uint8Array | undefined,
): { reused: boolean; next: Uint8Array | undefined } {
  using session = instance.parseSession(der ?? new Uint8Array(0));
  using both = on.connect({ session });
  const reused = both.client.ssl.sessionReused();
  if (both.server.ssl.sessionReused() !== reused)
    throw new Error("the ends disagree on whether they resumed");
  using now = both.client.ssl.getSession();
  return { reused, next: now?.toDer() };
}

function code(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof TlsError) return error.code;
    throw error;
  }
  return "no error";
}

for (const { name, short, version } of VERSIONS) {
  const tls13 = version === ssl.TLS1_3_VERSION;

  QUnit.module(`sessions: ${name}`, () => {
    QUnit.test("new sessions are kept, when asked for, and say what they are of", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version, {
        client: (context) => context.setAlpnProtocols(["h2", "imap"]),
        server: (context) => {
          context.setAlpnProtocols(["imap"]);
          context.setSessionTimeout(1234);
        },
      });
      using both = on.start();
      both.client.ssl.setServerName("localhost");
      both.handshake();
      both.client.peek();
      const sessions = both.client.ssl.takeSessions();
      assert.strictEqual(sessions.length, tls13 ? 2 : 1);
      assert.deepEqual(both.client.ssl.takeSessions(), [], "each is given once");
      for (const session of sessions) {
        assert.true(session.isResumable());
        assert.true(session.hasTicket());
        assert.strictEqual(session.getProtocolVersion(), version);
        assert.strictEqual(session.getTicketLifetimeHint(), 1234);
        assert.true(Math.abs(session.getTime() - Date.now() / 1000) < 10, `began at ${session.getTime()}`);
        assert.strictEqual(session.getTimeout(), 7200, "the client's own settings");
        assert.strictEqual(session.getMaxEarlyData(), 0);
        assert.strictEqual(session.getHostname(), undefined, "this server does not acknowledge it");
        // In TLS 1.2 the protocol is agreed on anew each time.
        if (tls13) assert.strictEqual(session.getAlpnSelected(), "imap");
        const leaf = both.client.ssl.getPeerCertificates()[0];
        assert.strictEqual(session.getPeerCertificate()?.sha256Fingerprint, leaf?.sha256Fingerprint);
        session.free();
      }
      assert.deepEqual(both.server.ssl.takeSessions(), [], "the server was not asked to");

      on.client.keepNewSessions(false);
      using without = on.connect();
      assert.deepEqual(without.client.ssl.takeSessions(), []);
    });

    QUnit.test("tickets under given keys: shared, rotated, renewed, forgotten", async (assert) => {
      const [here, elsewhere] = [await openssl(), await load()];
      const [first, second] = [ticketKey(1), ticketKey(2)];
      const serverWith = (instance: ssl.OpenSsl, ...keys: Uint8Array[]) =>
        contexts(instance, version, { server: (context) => context.setTicketKeys(keys) });
      using old = serverWith(here, first);
      using rotated = serverWith(elsewhere, second, first);
      using after = serverWith(here, second);
      using own = contexts(here, version);

      let ticket: Uint8Array | undefined;
      {
        using both = old.connect();
        ticket = newSessions(both).at(-1);
      }
      assert.false(resume(here, own, ticket).reused, "a server with keys of its own does not know it");
      assert.false(resume(here, after, ticket).reused, "nor does one that has forgotten the key");
      const again = resume(elsewhere, rotated, ticket);
      assert.true(again.reused, "another process that has the key does");
      const renewed = resume(here, after, again.next);
      assert.true(renewed.reused, "and it gave a ticket under the new key");

      rotated.server.setTicketKeys([]);
      assert.false(resume(elsewhere, rotated, renewed.next).reused, "without keys: back to its own");
    });

    QUnit.test("a ticket that was tampered with is not taken", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version, { server: (context) => context.setTicketKeys([ticketKey(1)]) });
      using both = on.connect();
      const der = newSessions(both).at(-1)!;
      // The ticket is the part that begins with the key's name.
      const at = hex(der)!.indexOf(hex(ticketKey(1).subarray(0, 16))!) / 2;
      assert.true(at > 0);
      assert.true(resume(instance, on, der).reused);
      for (const offset of [0, 16, 40, 100]) {
        const damaged = der.slice();
        damaged[at + offset]! ^= 1;
        assert.false(resume(instance, on, damaged).reused, `byte ${offset}`);
      }
    });

    QUnit.test("without tickets the server's own cache resumes, and no other server does", async (assert) => {
      const instance = await openssl();
      const setup = {
        server: (context: ssl.SslContext) => {
          context.setOptions(ssl.SSL_OP_NO_TICKET);
          context.setTicketKeys([ticketKey(1)]);
        },
      };
      using on = contexts(instance, version, setup);
      using other = contexts(instance, version, setup);
      using both = on.connect();
      const [der] = newSessions(both);
      assert.false(resume(instance, other, der).reused);
      assert.true(resume(instance, on, der).reused);
      assert.strictEqual(on.server.sessHits(), 1);
    });

    QUnit.test("a session is good for as long as the server says", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version, { server: (context) => context.setSessionTimeout(1) });
      using both = on.connect();
      // Times are kept in whole seconds.
      const der = newSessions(both).at(-1);
      await new Promise((resolve) => setTimeout(resolve, 1_010));
      assert.false(resume(instance, on, der).reused);
    });

    QUnit.test(
      "a session is verified again before it is offered, with the chain that it was kept with",
      async (assert) => {
        const instance = await openssl();
        using on = contexts(instance, version);
        using other = contexts(instance, version);
        using stranger = instance.newContext("client");
        stranger.addCaCert(env.certs.otherCaPem);
        stranger.setVerify(ssl.SSL_VERIFY_PEER);
        using both = on.connect();
        both.client.peek();
        const fresh = both.client.ssl.takeSessions().at(-1)!;
        const [bytes, der] = [fresh.toBytes(), fresh.toDer()];
        fresh.free();
        assert.deepEqual(bytes.subarray(0, der.length), der, "OpenSSL's own form comes first");
        const results = (context: ssl.SslContext, kept: Uint8Array, host: string) => {
          using pair = instance.newBioPair();
          using connection = context.newSsl(pair);
          using session = instance.parseSession(kept);
          if (!connection.setIp(host)) connection.setHost(host);
          const result = connection.verifySession(session);
          assert.strictEqual(connection.getVerifyFailure(), undefined, "nothing of it is left behind");
          return ssl.X509_V_ERR[result] ?? result;
        };
        assert.strictEqual(results(on.client, bytes, "localhost"), ssl.X509_V_OK);
        assert.strictEqual(results(on.client, bytes, "127.0.0.1"), ssl.X509_V_OK);
        assert.strictEqual(results(on.client, bytes, "wassl.test"), "X509_V_ERR_HOSTNAME_MISMATCH");
        assert.strictEqual(results(on.client, bytes, "127.0.0.2"), "X509_V_ERR_IP_ADDRESS_MISMATCH");
        assert.strictEqual(
          results(stranger, bytes, "localhost"),
          "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        );
        assert.strictEqual(
          results(on.client, der, "localhost"),
          "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
          "without the chain it cannot be told",
        );

        using pair = instance.newBioPair();
        using unverified = stranger.newSsl(pair);
        unverified.setConnectState();
        using wrong = instance.parseSession(bytes);
        unverified.verifySession(wrong);
        assert.deepEqual(instance.errors(), []);

        // It can be used after it was refused elsewhere, and brings its chain along, also to what comes of it.
        let kept = bytes;
        for (let i = 0; i < 2; i++) {
          using session = instance.parseSession(kept);
          using again = on.start();
          assert.strictEqual(again.client.ssl.verifySession(session), ssl.X509_V_OK);
          again.client.ssl.setSession(session);
          again.handshake();
          assert.true(again.client.ssl.sessionReused());
          assert.strictEqual(again.client.ssl.getPeerCertificates().length, 2);
          assert.strictEqual(again.client.ssl.getVerifyResult(), ssl.X509_V_OK);
          again.client.peek();
          using next = again.client.ssl.getSession();
          kept = next!.toBytes();
        }
        assert.false(resume(instance, other, kept).reused);
        assert.strictEqual(
          code(() => instance.parseSession(concat([der, utf8("junk")]))),
          "invalid-argument",
        );
        const cut = bytes.subarray(0, bytes.length - 1);
        assert.strictEqual(
          code(() => instance.parseSession(cut)),
          "invalid-argument",
        );
      },
    );

    const places = ["in a ticket", "in the server's memory", "of a client that knows no tickets"] as const;
    for (const where of tls13 ? places.slice(0, 2) : places) {
      QUnit.test(`a client whose certificate expires is not resumed any more: ${where}`, async (assert) => {
        const instance = await openssl();
        const inMemory = where === "in the server's memory";
        // The server has them, and must not send one that was not asked for: the client would end the handshake.
        const noTickets = where === "of a client that knows no tickets";
        using on = contexts(instance, version, {
          client(context) {
            context.useCertificateChain(env.certs.chains.client);
            context.usePrivateKey(env.certs.keys.client);
            if (noTickets) context.setOptions(ssl.SSL_OP_NO_TICKET);
          },
          server(context) {
            context.setVerify(ssl.SSL_VERIFY_PEER | ssl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
            context.addCaCert(env.certs.caPem);
            context.setSessionIdContext(utf8("one"));
            context.verifyResumed();
            if (!inMemory) return;
            if (short === "1.2") context.setOptions(ssl.SSL_OP_NO_TICKET);
            else context.setMaxEarlyData(1000);
          },
        });
        const connect = (der: Uint8Array | undefined) => {
          using session = der && instance.parseSession(der);
          const both = on.start();
          if (session) both.client.ssl.setSession(session);
          return both;
        };
        using first = connect(undefined);
        first.handshake();
        const [der] = newSessions(first);
        using again = connect(der);
        again.handshake();
        assert.true(again.server.ssl.sessionReused(), "as long as it is good");
        const [next = der] = newSessions(again);
        // Nothing changes but what time it is.
        on.server.setVerifyParam({ time: new Date(Date.now() + 40 * 24 * 3600 * 1000) });
        using late = connect(next);
        assert.throws(() => late.handshake());
        assert.strictEqual(ssl.X509_V_ERR[late.server.ssl.getVerifyResult()], "X509_V_ERR_CERT_HAS_EXPIRED");
      });
    }

    QUnit.test("a session lets no client in where a full handshake would not", async (assert) => {
      const instance = await openssl();
      const { chains, keys, crls, caPem, otherCaPem } = env.certs;
      const REQUIRE = ssl.SSL_VERIFY_PEER | ssl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
      type Set = (context: ssl.SslContext) => void;
      const asks: Set = (context) => context.setVerify(ssl.SSL_VERIFY_PEER);
      const requires: Set = (context) => context.setVerify(REQUIRE);
      const trusts: Set = (context) => context.addCaCert(caPem);
      const forAnything: Set = (context) => context.setVerifyParam({ purpose: "any" });
      const cases: {
        what: string;
        identity?: "client" | "ecdsa";
        before: Set[];
        now: Set[];
        /** What the server says of the client; that of the full handshake. */
        error: string;
        /** Whether the same context cannot come to it. */
        another?: boolean;
      }[] = [
        {
          what: "without a certificate, where one is required",
          before: [trusts, asks],
          now: [trusts, requires],
          error: "peer did not return a certificate",
        },
        {
          what: "revoked",
          identity: "ecdsa",
          before: [trusts, requires, forAnything],
          now: [
            trusts,
            requires,
            forAnything,
            (context) => {
              for (const crl of [crls.ca, crls.revokesEcdsa]) context.addCrl(crl);
              context.setVerifyParam({ flags: ["X509_V_FLAG_CRL_CHECK", "X509_V_FLAG_CRL_CHECK_ALL"] });
            },
          ],
          error: "X509_V_ERR_CERT_REVOKED",
        },
        {
          what: "good for something else",
          identity: "ecdsa",
          before: [trusts, requires, forAnything],
          now: [trusts, requires, (context) => context.setVerifyParam({ purpose: "sslclient" })],
          error: "X509_V_ERR_INVALID_PURPOSE",
        },
        {
          what: "expired",
          identity: "client",
          before: [trusts, requires],
          now: [
            trusts,
            requires,
            (context) => context.setVerifyParam({ time: new Date(Date.now() + 40 * 24 * 3600 * 1000) }),
          ],
          error: "X509_V_ERR_CERT_HAS_EXPIRED",
        },
        {
          what: "not trusted",
          identity: "client",
          before: [trusts, requires],
          now: [requires, (context) => context.addCaCert(otherCaPem)],
          error: "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
          another: true,
        },
      ];
      for (const { what, identity, before, now, error, another } of cases) {
        const made = (...sets: Set[]) =>
          contexts(instance, version, {
            client(context) {
              if (!identity) return;
              context.useCertificateChain(chains[identity]);
              context.usePrivateKey(keys[identity]);
            },
            server(context) {
              context.setTicketKeys([ticketKey(1)]);
              context.setSessionIdContext(utf8("one"));
              context.verifyResumed();
              for (const set of sets) set(context);
            },
          });
        for (const how of another ? ["another server"] : ["another server", "the same server"]) {
          const where = `${what}, ${how}`;
          using on = made(...before);
          using first = on.connect();
          const [der] = newSessions(first);
          const again = resume(instance, on, der);
          assert.true(again.reused, `${where}: before, it is resumed`);
          using other = made(...(how === "another server" ? now : before));
          if (how === "the same server") {
            using control = other.connect();
            assert.strictEqual(resume(instance, other, newSessions(control)[0]).reused, true, where);
            for (const set of now) set(other.server);
          }
          using session = instance.parseSession(again.next ?? der!);
          using late = other.start();
          late.client.ssl.setSession(session);
          const reasons: string[] = [];
          for (let i = 0; i < 5; i++) {
            late.client.handshake();
            reasons.push(...late.server.handshake().reasons);
          }
          assert.false(late.server.ssl.sessionReused(), `${where}: it is not`);
          const said = identity ? ssl.X509_V_ERR[late.server.ssl.getVerifyResult()] : reasons[0];
          assert.strictEqual(said, error, where);
        }
      }
    });

    QUnit.test("the key log is both ends' and fits node:tls's", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version, {
        client: (context) => context.setKeylog(true),
        server: (context) => context.setKeylog(true),
      });
      using both = on.connect();
      const lines = (connection: ssl.Ssl) =>
        connection.takeEvents().flatMap((event) => (event.type === "keylog" ? [event.line] : []));
      const ours = lines(both.client.ssl);
      assert.deepEqual([...ours].sort(), lines(both.server.ssl).sort());
      const labels = ours.map((line) => line.split(" ")[0]).sort();
      const expected = tls13
        ? ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET"].concat(
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_TRAFFIC_SECRET_0",
          )
        : ["CLIENT_RANDOM"];
      assert.deepEqual(labels, expected);

      const peer = `tls?do=inside&version=${short}&id=keylog`;
      using live = new Live(instance, on.client, await env.connect(peer));
      live.ssl.setConnectState();
      await live.run((connection) => connection.tryHandshake());
      await live.run((connection) => connection.tryRead(new Uint8Array(100)));
      await live.end();
      const theirs = (await eventsOf(peer, /^end/)).filter((event) => event.startsWith("keylog "));
      const line = (event: string) => event.slice("keylog ".length);
      assert.deepEqual(theirs.map(line).sort(), lines(live.ssl).sort());
    });

    QUnit.test("the key log is what openssl writes; its exporter gives what ours gives", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version, { client: (context) => context.setKeylog(true) });
      const peer = `openssl?version=${short}&do=nothing&keylog=1&arg=-keymatexport&arg=EXPERIMENTAL%20wassl&arg=-keymatexportlen&arg=42&log=Keying%20material:&id=inside`;
      using live = new Live(instance, on.client, await env.connect(peer));
      live.ssl.setConnectState();
      await live.run((connection) => connection.tryHandshake());
      await live.run((connection) => connection.tryWrite(utf8("hello\n")));
      const material = hex(live.ssl.exportKeyingMaterial("EXPERIMENTAL wassl", 42))?.toUpperCase();
      const ours = live.ssl.takeEvents().flatMap((event) => (event.type === "keylog" ? [event.line] : []));
      const events = await eventsOf(peer, /^Keying/);
      // The one comes through a file, and may come later.
      while (events.filter((event) => /^keylog [A-Z]/.test(event)).length < ours.length) {
        const more = await eventsOf(peer, /^keylog [A-Z]/);
        if (more.length === 0) break;
        events.push(...more);
      }
      await live.end();
      assert.true(events.includes(`Keying material: ${material}`), `${material} in ${events}`);
      const theirs = events.filter((event) => /^keylog [A-Z]/.test(event));
      assert.deepEqual(theirs.map((event) => event.slice("keylog ".length)).sort(), [...ours].sort());
    });

    QUnit.test("exporters and channel bindings: both ends', and node:tls's", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version);
      using both = on.connect();
      const { client, server } = both;
      for (const context of [undefined, new Uint8Array(0), utf8("a context")]) {
        const secret = hex(client.ssl.exportKeyingMaterial("EXPERIMENTAL wassl", 64, context));
        assert.strictEqual(secret, hex(server.ssl.exportKeyingMaterial("EXPERIMENTAL wassl", 64, context)));
        assert.strictEqual(secret?.length, 128);
        assert.notStrictEqual(
          secret,
          hex(client.ssl.exportKeyingMaterial("EXPERIMENTAL other", 64, context)),
        );
      }
      const exported = (context?: Uint8Array) =>
        hex(client.ssl.exportKeyingMaterial("EXPERIMENTAL wassl", 32, context));
      const asEmpty = exported() === exported(new Uint8Array(0));
      assert.strictEqual(asEmpty, tls13, "an empty context is none in TLS 1.3 only");
      assert.strictEqual(client.ssl.getExtmsSupport(), !tls13);
      const leaf = client.ssl.getPeerCertificates()[0]!;
      const digest = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", leaf.der.slice())));
      assert.strictEqual(hex(client.ssl.getServerEndPoint()), digest);
      assert.strictEqual(hex(server.ssl.getServerEndPoint()), digest);
      for (const length of [0, 0.5, 20_000]) {
        assert.strictEqual(
          code(() => client.ssl.exportKeyingMaterial("EXPERIMENTAL wassl", length)),
          "invalid-argument",
        );
      }

      const peer = `tls?do=inside&version=${short}&id=exporter`;
      using live = new Live(instance, on.client, await env.connect(peer));
      live.ssl.setConnectState();
      await live.run((connection) => connection.tryHandshake());
      await live.run((connection) => connection.tryRead(new Uint8Array(100)));
      const ours = [undefined, utf8("a context")].map(
        (context) => `export ${hex(live.ssl.exportKeyingMaterial("EXPERIMENTAL wassl", 32, context))}`,
      );
      const binding = live.ssl.exportKeyingMaterial("EXPORTER-Channel-Binding", 32, new Uint8Array(0));
      await live.end();
      const theirs = (await eventsOf(peer, /^end/)).filter((event) => /^(export|tls-exporter) /.test(event));
      assert.deepEqual(theirs, [...ours, `tls-exporter ${hex(binding)}`]);
    });

    QUnit.test("the server of several certificates binds to the one it showed", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version, {
        server: (context) => {
          context.useCertificateChain(env.certs.chains.rsa);
          context.usePrivateKey(env.certs.keys.rsa);
          context.setTicketKeys([ticketKey(1)]);
        },
        client: (context) => context.setSignatureAlgorithms("ecdsa_secp256r1_sha256:rsa_pkcs1_sha256"),
      });
      let der: Uint8Array | undefined;
      {
        using both = on.connect();
        const { client, server } = both;
        assert.true(client.ssl.getPeerCertificates()[0]?.publicKey.startsWith("EC "));
        assert.strictEqual(hex(server.ssl.getServerEndPoint()), hex(client.ssl.getServerEndPoint()));
        der = newSessions(both).at(-1);
      }
      using session = instance.parseSession(der!);
      using again = on.connect({ session });
      assert.true(again.client.ssl.sessionReused());
      assert.strictEqual(hex(again.client.ssl.getServerEndPoint())?.length, 64, "the client remembers it");
      assert.strictEqual(again.server.ssl.getServerEndPoint(), undefined, "the server does not");
    });

    QUnit.test("a trace tells every record and every handshake message", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version, {
        client: (context) => context.setTrace(true),
        server: (context) => context.setTrace(true),
      });
      using both = on.start();
      let sent = 0;
      for (let done = false; !done; ) {
        const results = [both.client.handshake(), both.server.handshake()];
        sent += results[0]!.bytes;
        done = results.every(({ ret }) => ret === 1);
      }
      sent += both.client.write(utf8("hello")).bytes;
      assert.strictEqual(text(both.server.read().data), "hello");
      both.client.peek();
      const client = both.client.ssl.takeEvents();
      const server = both.server.ssl.takeEvents();
      const mirrored = (events: ssl.SslEvent[], direction: string) =>
        events
          .filter((event) => "direction" in event && event.direction === direction)
          .map(({ ...event }) => JSON.stringify({ ...event, direction: "" }))
          // One end tells of a message when it writes it, the other when it has come.
          .sort();
      assert.deepEqual(mirrored(client, "sent"), mirrored(server, "received"));
      assert.deepEqual(mirrored(server, "sent"), mirrored(client, "received"));
      const records = client.flatMap((event) =>
        event.type === "record" && event.direction === "sent" ? [event] : [],
      );
      const bytes = records.reduce((sum, record) => sum + 5 + record.length, 0);
      assert.strictEqual(bytes, sent, "all bytes that left are in the records that are told");
      assert.deepEqual(
        [records[0]?.contentType, records.at(-1)?.contentType],
        ["handshake", "application_data"],
      );
      const messages = client.flatMap((event) =>
        event.type === "handshake" ? [`${event.direction} ${event.message}`] : [],
      );
      assert.deepEqual(
        messages,
        tls13
          ? [
              "sent client_hello",
              "received server_hello",
              "received encrypted_extensions",
              "received certificate",
              "received certificate_verify",
              "received finished",
              "sent finished",
              "received new_session_ticket",
              "received new_session_ticket",
            ]
          : [
              "sent client_hello",
              "received server_hello",
              "received certificate",
              "received server_key_exchange",
              "received server_hello_done",
              "sent client_key_exchange",
              "sent finished",
              "received new_session_ticket",
              "received finished",
            ],
      );
      if (tls13) {
        const contents = client.filter((event) => event.type === "content");
        assert.true(contents.length > 0, "and what was encrypted");
      }
      using plain = new Contexts(instance, env.certs, { version });
      using untold = plain.connect();
      assert.deepEqual(untold.client.ssl.takeEvents(), [], "nothing is kept unless asked for");
    });

    QUnit.test("s_client resumes with us after the keys were rotated", async (assert) => {
      const instance = await openssl();
      const peer = `s_client?version=${short}&session=rotated-${env.runtime}-${short}&log=^(New|Reused),`;
      for (const [keys, expected] of [
        [[ticketKey(1)], "New"],
        [[ticketKey(2), ticketKey(1)], "Reused"],
        // In TLS 1.2 it does not write a renewed ticket to its file.
        [[ticketKey(2)], tls13 ? "Reused" : "New"],
        [[ticketKey(3)], "New"],
      ] as const) {
        using on = contexts(instance, version, { server: (context) => context.setTicketKeys(keys) });
        using live = new Live(instance, on.server, await env.connect(peer));
        live.ssl.setAcceptState();
        await live.run((connection) => connection.tryHandshake());
        live.ssl.tryWrite(utf8("hello\n"));
        const events = await eventsOf(peer, /^(New|Reused),/);
        assert.true(
          events.some((event) => event.startsWith(expected)),
          `${expected} in ${events}`,
        );
        assert.strictEqual(live.ssl.sessionReused(), expected === "Reused");
        await live.end();
        await eventsOf(peer, /^exit/);
      }
    });

    QUnit.test("node:tls resumes what it gave us", async (assert) => {
      const instance = await openssl();
      using on = contexts(instance, version);
      const peer = `tls?do=inside&version=${short}&id=resumed`;
      let der: Uint8Array | undefined;
      for (const expected of [false, true]) {
        using live = new Live(instance, on.client, await env.connect(peer));
        live.ssl.setConnectState();
        live.ssl.setServerName("localhost");
        if (der) {
          using session = instance.parseSession(der);
          live.ssl.setSession(session);
        }
        await live.run((connection) => connection.tryHandshake());
        await live.run((connection) => connection.tryRead(new Uint8Array(100)));
        assert.strictEqual(live.ssl.sessionReused(), expected);
        // It may say hello before it sends tickets.
        await live.end();
        const session = live.ssl.takeSessions().at(-1);
        if (session) der = session.toDer();
        assert.strictEqual(session?.getHostname() ?? "localhost", "localhost");
        session?.free();
        assert.true((await eventsOf(peer, /^end/)).includes(`reused ${expected}`));
      }
    });
  });
}

QUnit.module("sessions: bounds", () => {
  QUnit.test("of many new sessions the last eight are kept", async (assert) => {
    const instance = await openssl();
    using on = contexts(instance, ssl.TLS1_3_VERSION, { server: (context) => context.setNumTickets(12) });
    using both = on.connect();
    const kept = newSessions(both);
    assert.strictEqual(kept.length, 8);
    using newest = both.client.ssl.getSession();
    assert.strictEqual(hex(kept.at(-1)), hex(newest?.toDer()));
    assert.strictEqual(both.server.ssl.newSessionTicket(), 1);
    both.server.write(utf8("."));
    const [last, ...more] = newSessions(both);
    assert.strictEqual(more.length, 0);
    using session = both.client.ssl.getSession();
    assert.strictEqual(hex(last), hex(session?.toDer()));
  });

  QUnit.test("a server that sends no tickets", async (assert) => {
    const instance = await openssl();
    using on = contexts(instance, ssl.TLS1_3_VERSION, { server: (context) => context.setNumTickets(0) });
    using both = on.connect();
    assert.deepEqual(newSessions(both), []);
    using session = both.client.ssl.getSession();
    assert.false(session?.isResumable());
  });

  QUnit.test("SHA-256", async (assert) => {
    const instance = await openssl();
    for (const length of [0, 1, 1_000, 100_000]) {
      const bytes = randomBytes(length, env.seed);
      assert.strictEqual(hex(instance.sha256(bytes)), await sha256(bytes));
    }
  });

  QUnit.test("wrong input is refused", async (assert) => {
    const instance = await openssl();
    using context = instance.newContext("server");
    for (const [what, action] of Object.entries({
      "a ticket key that is too short": () => context.setTicketKeys([new Uint8Array(79)]),
      "a ticket key that is text": () => context.setTicketKeys(["x".repeat(80) as unknown as Uint8Array]),
      "half a second": () => context.setSessionTimeout(0.5),
      "no time": () => context.setSessionTimeout(0),
      "a negative limit": () => context.setMaxEarlyData(-1),
      "a limit beyond 2^32": () => context.setRecvMaxEarlyData(2 ** 32),
    })) {
      assert.strictEqual(code(action), "invalid-argument", what);
    }
  });

  QUnit.test("nothing stays in linear memory", async (assert) => {
    const instance = await load();
    const once = () => {
      using on = contexts(instance, ssl.TLS1_3_VERSION, {
        client: (context) => {
          context.setKeylog(true);
          context.setTrace(true);
        },
        server: (context) => {
          context.setTicketKeys([ticketKey(1)]);
          context.setTicketKeys([ticketKey(2), ticketKey(1)]);
          context.setSessionCacheMode(ssl.SSL_SESS_CACHE_SERVER);
          context.keepNewSessions(true);
        },
      });
      using both = on.connect();
      const [der] = newSessions(both);
      resume(instance, on, der);
      using session = both.client.ssl.getSession();
      using parsed = instance.parseSession(session!.toBytes());
      both.client.ssl.verifySession(parsed);
      resume(instance, on, parsed.toBytes());
      both.client.ssl.exportKeyingMaterial("EXPERIMENTAL wassl", 32);
      both.client.ssl.getServerEndPoint();
      // Sessions and events that are not fetched go with the connection.
      using unread = on.connect();
      unread.client.write(utf8("hello"));
    };
    for (let i = 0; i < 5; i++) once();
    const before = instance.memory;
    for (let i = 0; i < 30; i++) once();
    const after = instance.memory;
    assert.true(
      Math.abs(after.used - before.used) <= 512,
      `${before.used} bytes before, ${after.used} after`,
    );
  });
});

QUnit.module("sessions: early data", () => {
  const early = utf8("GET /early");

  /** A server that takes early data, and a session that it gave for that. */
  function withEarlyData(instance: ssl.OpenSsl, server?: (context: ssl.SslContext) => void) {
    const on = contexts(instance, ssl.TLS1_3_VERSION, {
      server: (context) => {
        context.setMaxEarlyData(16_384);
        server?.(context);
      },
    });
    using both = on.connect();
    const sessions = newSessions(both);
    // Else the server would take the session out of its cache.
    both.server.shutdown();
    return { on, sessions };
  }

  QUnit.test("written, read, accepted; and the same flight again is not", async (assert) => {
    const instance = await openssl();
    const { on, sessions } = withEarlyData(instance);
    using _on = on;
    using session = instance.parseSession(sessions.at(-1)!);
    assert.strictEqual(session.getMaxEarlyData(), 16_384);
    using both = on.start();
    const { client, server } = both;
    client.ssl.setSession(session);
    assert.strictEqual(client.ssl.writeEarlyData(early), early.length);
    client.drain();
    const flight = server.inbox.slice();
    server.feed();
    const dst = new Uint8Array(100);
    const { status, length } = server.ssl.readEarlyData(dst);
    assert.strictEqual(status, ssl.SSL_READ_EARLY_DATA_SUCCESS);
    assert.strictEqual(text(dst.subarray(0, length)), text(early), "before the handshake is done");
    server.drain();
    for (let i = 0; i < 5; i++) {
      client.handshake();
      server.feed();
      if (server.ssl.tryReadEarlyData(dst) === 0) break;
      server.drain();
    }
    both.handshake();
    assert.strictEqual(client.ssl.getEarlyDataStatus(), ssl.SSL_EARLY_DATA_ACCEPTED);
    assert.strictEqual(server.ssl.getEarlyDataStatus(), ssl.SSL_EARLY_DATA_ACCEPTED);

    // An attacker that has recorded it sends it once more.
    using replay = on.start();
    replay.server.inbox = flight;
    replay.server.feed();
    const answer = replay.server.ssl.tryReadEarlyData(dst);
    assert.true(answer <= 0, `${answer}`);
    assert.strictEqual(replay.server.ssl.getEarlyDataStatus(), ssl.SSL_EARLY_DATA_REJECTED);
    assert.false(replay.server.ssl.sessionReused());
  });

  QUnit.test("a server that does not read it rejects it, and says so", async (assert) => {
    const instance = await openssl();
    const { on, sessions } = withEarlyData(instance);
    using _on = on;
    using session = instance.parseSession(sessions.at(-1)!);
    using both = on.start();
    both.client.ssl.setSession(session);
    assert.strictEqual(both.client.ssl.tryWriteEarlyData(early), early.length);
    both.client.drain();
    both.handshake();
    assert.strictEqual(both.client.ssl.getEarlyDataStatus(), ssl.SSL_EARLY_DATA_REJECTED);
    assert.true(both.client.ssl.sessionReused(), "the session is resumed all the same");
    both.client.write(utf8("again"));
    assert.strictEqual(text(both.server.read().data), "again", "nothing of it is left in between");
  });

  QUnit.test("without a session that allows it no early data is sent", async (assert) => {
    const instance = await openssl();
    using on = contexts(instance, ssl.TLS1_3_VERSION);
    using both = on.connect();
    using session = instance.parseSession(newSessions(both).at(-1)!);
    using next = on.start();
    next.client.ssl.setSession(session);
    assert.strictEqual(next.client.ssl.writeEarlyData(early), undefined);
    instance.clearErrors();
    assert.strictEqual(next.client.ssl.getEarlyDataStatus(), ssl.SSL_EARLY_DATA_NOT_SENT);
  });

  QUnit.test("openssl s_server reads ours", async (assert) => {
    const instance = await openssl();
    using on = contexts(instance, ssl.TLS1_3_VERSION);
    const peer =
      "openssl?version=1.3&do=nothing&arg=-early_data&arg=-max_early_data&arg=1000&log=arly|GET&id=early";
    let der: Uint8Array | undefined;
    for (const expected of [ssl.SSL_EARLY_DATA_NOT_SENT, ssl.SSL_EARLY_DATA_ACCEPTED]) {
      using live = new Live(instance, on.client, await env.connect(peer));
      live.ssl.setConnectState();
      if (der) {
        using session = instance.parseSession(der);
        live.ssl.setSession(session);
        assert.strictEqual(live.ssl.tryWriteEarlyData(concat([early, utf8("\n")])), early.length + 1);
      }
      await live.run((connection) => connection.tryHandshake());
      assert.strictEqual(live.ssl.getEarlyDataStatus(), expected);
      live.ssl.tryWrite(utf8("Q\n"));
      // Its tickets come without any data.
      await Promise.race([
        live.run((connection) => {
          const session = connection.tryPeek() < 0 && connection.takeSessions().at(-1);
          if (!session) return -ssl.SSL_ERROR_WANT_READ;
          der = session.toDer();
          session.free();
          return 0;
        }),
      ]);
      await live.end();
    }
    const events = await eventsOf(peer, /GET \/early/);
    assert.true(events.includes(text(early)), `${events}`);
  });
});
