/**
 * `SSL_shutdown(3)`, sentence by sentence, and what OpenSSL does beyond it: return value, `SSL_get_error(3)`, reasons,
 * `SSL_get_shutdown(3)` and bytes on the wire, for TLS 1.2 and 1.3 and BIO pairs of every size. Each test begins with
 * an id; docs/shutdown.md has a row for each.
 *
 * An outcome is written `ret error (reasons), st flags, bytes`, as in `-1 SSL (shutdown while in init), st 0, 0 bytes`.
 */

import QUnit from "qunit";
import { TlsError } from "wassl";
import * as ssl from "wassl/openssl";
import { helloRandom, TLS12_WRITER_SUITE, Tls12Writer } from "../../fakes/tls12-writer.ts";
import { ALERT, APPLICATION_DATA, HANDSHAKE, records, Tls13Client } from "../../fakes/tls13-client.ts";
import {
  alertsOf,
  type ContextSetup,
  Contexts,
  type End,
  type Outcome,
  type TwoEnds,
} from "../../fakes/two-ends.ts";
import { concat, text, utf8 } from "../../helpers/basics.ts";
import { dispose } from "../../helpers/dispose.ts";
import { env, share } from "../../helpers/env.ts";
import { randomBytes } from "../../helpers/random.ts";

const TLS12 = { name: "TLS 1.2", version: ssl.TLS1_2_VERSION, overhead: 29 } as const;
const TLS13 = { name: "TLS 1.3", version: ssl.TLS1_3_VERSION, overhead: 22 } as const;
const BOTH = [TLS12, TLS13];

/** A byte, less than a header, a header, less than an alert, an alert; then a flight, a page, a record, several. */
const SIZES = [1, 2, 5, 16, 64, 1024, 4096, 17 * 1024, 64 * 1024];
const DEFAULT_SIZE = 17 * 1024;

const SENT = ssl.SSL_SENT_SHUTDOWN;
const RECEIVED = ssl.SSL_RECEIVED_SHUTDOWN;
const NOTHING = new Uint8Array(0);
const MAC_FAILED = "decryption failed or bad record mac";

let loaded: Promise<ssl.OpenSsl> | undefined;

function openssl(): Promise<ssl.OpenSsl> {
  loaded ??= ssl.OpenSsl.load();
  return loaded;
}

/** Made once for each version: no test changes their settings. */
const shared = new Map<number, Contexts>();

function contextsOf(instance: ssl.OpenSsl, version: number): Contexts {
  const contexts = shared.get(version) ?? new Contexts(instance, env.certs, { version });
  shared.set(version, contexts);
  return contexts;
}

/** What a test has at hand: one version, one size of the BIO pairs, and contexts for them. */
class Case {
  readonly #assert: Assert;
  readonly #where: string;
  readonly instance: ssl.OpenSsl;
  readonly version: number;
  readonly size: number;
  /** Bytes that a record has besides its content. */
  readonly overhead: number;
  /** Bytes of the record with an alert: 31 in TLS 1.2 (AES-GCM), 24 in TLS 1.3. */
  readonly alert: number;
  readonly contexts: Contexts;

  constructor(assert: Assert, instance: ssl.OpenSsl, protocol: (typeof BOTH)[number], size: number) {
    this.#assert = assert;
    this.#where = `pairs of ${size} bytes`;
    this.instance = instance;
    this.version = protocol.version;
    this.size = size;
    this.overhead = protocol.overhead;
    this.alert = protocol.overhead + 2;
    this.contexts = contextsOf(instance, protocol.version);
  }

  newContexts(setup: ContextSetup): Contexts {
    return new Contexts(this.instance, env.certs, { version: this.version, ...setup });
  }

  /** Two ends after the handshake, with nothing on the wire (`quiet: false`: but tickets of TLS 1.3). */
  connect(quiet = true): TwoEnds {
    return this.contexts.connect({ size: this.size, quiet });
  }

  /** The record with a five-letter word. */
  get word(): number {
    return this.overhead + 5;
  }

  says(outcome: Outcome, expected: string, why = ""): void {
    this.equal(String(outcome), expected, why);
  }

  reads(outcome: Outcome, expected: string): void {
    this.equal(text(outcome.data), expected);
  }

  equal(actual: unknown, expected: unknown, why = ""): void {
    this.#assert.deepEqual(actual, expected, why ? `${why}; ${this.#where}` : this.#where);
  }

  /**
   * The first step, by the side that is first: 0, and one alert; in as many calls as the pair's size makes necessary.
   */
  first(end: End): void {
    const outcome = end.shutdown();
    this.says(outcome, `0 SYSCALL, st 1, ${this.alert} bytes`, "the first step");
    this.equal(outcome.calls, Math.ceil(this.alert / this.size));
    this.equal(outcome.waits, this.size < this.alert ? ["-1 WANT_WRITE, st 1"] : []);
  }

  /** The peer's `SSL_shutdown`, which answers to our close_notify. */
  answers(end: End): void {
    this.says(end.read(), "0 ZERO_RETURN, st 2, 0 bytes", "our close_notify is read");
    this.says(end.shutdown(), `1, st 3, ${this.alert} bytes`, "and answered");
  }
}

type Body = (on: Case) => unknown;

function register(
  id: string,
  what: string,
  sizes: readonly number[],
  versions: readonly (typeof BOTH)[number][],
  body: Body,
) {
  for (const protocol of versions) {
    QUnit.test(`${id} ${what} (${protocol.name})`, async (assert) => {
      const instance = await openssl();
      for (const size of sizes.length > 1 ? share(sizes) : sizes) {
        instance.clearErrors();
        const on = new Case(assert, instance, protocol, size);
        try {
          await body(on);
        } finally {
          instance.clearErrors();
        }
      }
    });
  }
}

/** A test in both versions, with pairs that have room. */
function each(id: string, what: string, body: Body, versions: readonly (typeof BOTH)[number][] = BOTH): void {
  register(id, what, [DEFAULT_SIZE], versions, body);
}

/** A test in both versions, with pairs of every size; each runtime has its share of them. */
function sized(
  id: string,
  what: string,
  body: Body,
  versions: readonly (typeof BOTH)[number][] = BOTH,
): void {
  register(id, what, SIZES, versions, body);
}

/** Changes a byte of what arrived last, so that the record does not verify. */
function damage(end: End): void {
  end.inbox = end.inbox.slice();
  end.inbox[end.inbox.length - 1]! ^= 1;
}

function alerts(end: End): string[] {
  return alertsOf(end.ssl).map((alert) => `${alert.direction} ${alert.level} ${alert.description}`);
}

function resumable(end: End): boolean | undefined {
  using session = end.ssl.getSession();
  return session?.isResumable();
}

/** How many bytes of data, in records of 16 KiB at most, make exactly `total` bytes on the wire. */
function payloadOf(total: number, overhead: number): number {
  return total - overhead * Math.ceil(total / (16_384 + overhead));
}

/** Reads until there is nothing more for now; the bytes, and how it ended. */
function readAll(end: End): { data: Uint8Array; last: string } {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const outcome = end.read();
    if (outcome.ret <= 0) return { data: concat(chunks), last: `${outcome.ret} ${outcome.error}` };
    chunks.push(outcome.data);
  }
}

/** A server of ours, TLS 1.3, and a client that sends it whatever we like. */
async function withCraftedClient(on: Case): Promise<{ both: TwoEnds; server: End; peer: Tls13Client }> {
  const both = on.contexts.start();
  const { client, server } = both;
  const peer = await Tls13Client.create();
  server.inbox = peer.clientHello();
  on.says(server.handshake(), `-1 WANT_READ, st 0, ${client.inbox.length} bytes`);
  server.inbox = await peer.finish(client.inbox);
  on.equal(server.handshake().ret, 1);
  client.inbox = NOTHING;
  return { both, server, peer };
}

/** A client of ours, TLS 1.2, and a writer for the server's side of the wire. */
async function withCraftedServer(on: Case): Promise<{ both: TwoEnds; client: End; peer: Tls12Writer }> {
  using contexts = on.newContexts({ client: (context) => context.setCipherList(TLS12_WRITER_SUITE) });
  const both = contexts.start();
  const { client, server } = both;
  client.handshake();
  const ours = helloRandom(server.inbox);
  server.handshake();
  const theirs = helloRandom(client.inbox);
  both.handshake();
  using session = client.ssl.getSession();
  return { both, client, peer: await Tls12Writer.create(session?.toDer() ?? NOTHING, ours, theirs) };
}

QUnit.module("shutdown: the manual page", () => {
  sized("page-01", "close_notify goes to the peer: one alert, and nothing else", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.equal(server.inbox.length, on.alert);
    on.equal(records(server.inbox).length, 1);
    on.says(server.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.equal(alerts(server), ["received warning close_notify"]);
  });

  sized(
    "page-02",
    "SENT is set even if the alert does not leave, and is not if the handshake is not done",
    (on) => {
      using both = on.connect();
      const { client } = both;
      const used = on.size < 64 ? 0 : on.size - 10;
      const payload = payloadOf(used, on.overhead);
      if (payload > 0) client.once((connection) => connection.write(new Uint8Array(payload)));
      const outcome = client.once((connection) => connection.shutdown());
      if (on.size < on.alert || used > 0) on.says(outcome, "-1 WANT_WRITE, st 1, 0 bytes");
      using early = on.contexts.start(on.size);
      on.says(early.client.shutdown(), "-1 SSL (shutdown while in init), st 0, 0 bytes");
    },
  );

  each("page-03", "the session is good, and stays in the caches of both ends", (on) => {
    using contexts = on.newContexts({
      client: (context) => context.setSessionCacheMode(ssl.SSL_SESS_CACHE_CLIENT),
      server: (context) => {
        context.setOptions(ssl.SSL_OP_NO_TICKET);
        context.setSessionIdContext(utf8("shutdown"));
      },
    });
    const inCaches = () => [contexts.client.sessNumber(), contexts.server.sessNumber()];
    // TLS 1.3 caches a session for each ticket, two by default.
    const count = on.version === ssl.TLS1_3_VERSION ? 2 : 1;
    {
      using both = contexts.connect();
      on.first(both.client);
      on.first(both.server);
      on.equal(inCaches(), [count, count]);
    }
    on.equal(inCaches(), [count, count], "after SSL_free too");
    {
      using both = contexts.connect();
      on.equal(inCaches(), [2 * count, 2 * count]);
      both.client.drain();
    }
    on.equal(inCaches(), [2 * count - 1, 2 * count - 1], "without SSL_shutdown it is taken out");
  });

  sized("page-04", "there are two steps: close_notify is sent, and the peer's is received", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.equal(client.ssl.getShutdown(), SENT);
    on.answers(server);
    on.says(client.shutdown(), "1, st 3, 0 bytes");
    on.equal(client.ssl.getShutdown(), SENT | RECEIVED);
    on.equal(alerts(server), ["received warning close_notify", "sent warning close_notify"]);
  });

  sized(
    "page-05",
    "sending one's own and closing the transport is enough: the peer sees a clean end",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      client.write(utf8("bye"));
      on.first(client);
      server.end();
      on.reads(server.read(), "bye");
      on.says(
        server.read(),
        "0 ZERO_RETURN, st 2, 0 bytes",
        "not a truncation, although the transport has ended",
      );
      on.says(server.shutdown(), `1, st 3, ${on.alert} bytes`, "whom the answer reaches does not matter");
      on.equal(resumable(client), true);
    },
  );

  sized(
    "page-06",
    "after both close_notify the transport carries something else: no byte is lost or added",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      server.write(utf8("late"));
      on.first(client);
      on.answers(server);
      const after = utf8("what follows is no TLS");
      client.inbox = concat([client.inbox, after]);
      on.reads(client.read(), "late");
      on.says(client.read(), "0 ZERO_RETURN, st 3, 0 bytes");
      on.says(client.shutdown(), "1, st 3, 0 bytes");
      client.feed();
      on.equal(text(concat([client.pair.takeUnread(), client.inbox])), text(after));
      on.equal(server.inbox.length, 0);
      // The same two transports, and a second TLS handshake.
      using second = on.contexts.connect({ size: on.size });
      on.says(second.client.write(utf8("again")), `5, st 0, ${on.word} bytes`);
      on.reads(second.server.read(), "again");
    },
  );

  sized("page-07", "unidirectional is one call on the side that ends, bidirectional is two", (on) => {
    using one = on.connect();
    on.first(one.client);
    on.says(one.server.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.says(one.server.write(utf8("hello")), `5, st 2, ${on.word} bytes`, "the other direction stays open");
    on.reads(one.client.read(), "hello");
    on.says(one.server.shutdown(), `1, st 3, ${on.alert} bytes`);
    on.says(one.client.shutdown(), "1, st 3, 0 bytes");
  });

  sized("page-08", "the first party sends the alert, sets SENT and gets 0", (on) => {
    for (const first of ["client", "server"] as const) {
      using both = on.connect();
      on.equal(both[first].ssl.getShutdown(), 0);
      on.first(both[first]);
      on.equal(both[first].ssl.getShutdown(), SENT);
    }
  });

  sized("page-09", "for a unidirectional shutdown the first call suffices", (on) => {
    using both = on.connect();
    const { client, server } = both;
    using session = client.ssl.getSession();
    on.first(client);
    client.free();
    on.equal(session?.isResumable(), true);
    on.says(server.read(), "0 ZERO_RETURN, st 2, 0 bytes");
  });

  sized("page-10", "the second call waits for the peer's close_notify, and then returns 1", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.says(client.shutdown(), "-1 WANT_READ, st 1, 0 bytes", "a BIO pair does not block");
    on.answers(server);
    on.says(client.shutdown(), "1, st 3, 0 bytes");
  });

  sized(
    "page-11",
    "if SSL_read has seen the peer's close_notify, one call sends ours and returns 1",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      on.first(server);
      on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
      const outcome = client.shutdown();
      on.says(outcome, `1, st 3, ${on.alert} bytes`);
      on.equal(outcome.calls, Math.ceil(on.alert / on.size));
    },
  );

  each("page-12", "SSL_get_shutdown tells whether RECEIVED is set", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(server);
    client.feed();
    on.equal(client.ssl.getShutdown(), 0, "arrived, and not yet read");
    client.peek();
    on.equal(client.ssl.getShutdown(), RECEIVED, "SSL_peek reads it too");
  });

  sized(
    "page-13",
    "calling again after 0 completes only if no data is in the way; reading first always does",
    (on) => {
      {
        using both = on.connect();
        on.first(both.client);
        on.answers(both.server);
        on.says(both.client.shutdown(), "1, st 3, 0 bytes");
      }
      using both = on.connect();
      const { client, server } = both;
      on.first(client);
      server.write(utf8("hello"));
      on.answers(server);
      on.reads(client.read(), "hello");
      on.says(client.read(), "0 ZERO_RETURN, st 3, 0 bytes");
      on.says(client.shutdown(), "1, st 3, 0 bytes");
    },
  );

  each(
    "page-14",
    "there is no SSLv2 in which the first call would succeed, nor anything below TLS 1.2",
    (on) => {
      using context = on.instance.newContext("client");
      let code = "it can be set";
      try {
        context.setMaxProtoVersion(0x0002);
      } catch (error) {
        if (error instanceof TlsError) code = error.code;
      }
      on.equal(code, "invalid-argument");
      // SSLv3, TLS 1.0, TLS 1.1: names that are known, of protocols that are not there.
      for (const version of [0x0300, 0x0301, 0x0302]) {
        using contexts = on.newContexts({
          client: (old) => {
            old.setMinProtoVersion(0);
            old.setMaxProtoVersion(version);
          },
        });
        using both = contexts.start();
        on.says(both.client.handshake(), "-1 SSL (no protocols available), st 0, 7 bytes");
      }
    },
  );

  sized("page-15", "what the BIO lacks is told by WANT_READ and WANT_WRITE", (on) => {
    using both = on.connect();
    const { client } = both;
    const call = () => client.once((connection) => connection.shutdown());
    if (on.size < on.alert) on.says(call(), "-1 WANT_WRITE, st 1, 0 bytes");
    on.equal(client.shutdown().ret, 0);
    on.says(call(), "-1 WANT_READ, st 1, 0 bytes");
  });

  sized("page-16", "the call is repeated after the BIO has been seen to", (on) => {
    using both = on.connect();
    const { client, server } = both;
    let calls = 0;
    let ret = -1;
    for (let drained = -1; ret < 0 && drained !== 0; calls++) {
      drained = 0;
      ret = client.ssl.shutdown();
      if (ret < 0) drained = client.drain();
    }
    on.equal([ret, calls], [0, Math.ceil(on.alert / on.size)]);
    client.drain();
    on.answers(server);
    for (calls = 0, ret = -1; ret < 0 && client.feed(); calls++) ret = client.ssl.shutdown();
    on.equal([ret, calls], [1, Math.ceil(on.alert / on.size)]);
  });

  sized(
    "page-17",
    "repeated without need it does no harm: as with a socket, nothing is to be done but wait",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      on.first(client);
      for (let i = 0; i < 20; i++) on.says(client.shutdown(), "-1 WANT_READ, st 1, 0 bytes");
      on.answers(server);
      on.says(client.shutdown(), "1, st 3, 0 bytes");
    },
  );

  sized(
    "page-18",
    "with a BIO pair, bytes must be taken out of it or put into it before it goes on",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      const call = () => client.once((connection) => connection.shutdown());
      // Out of it.
      let left = on.alert;
      while (left > on.size) {
        on.says(call(), "-1 WANT_WRITE, st 1, 0 bytes");
        on.equal(client.pair.pending(), on.size, "the pair is full");
        on.says(call(), "-1 WANT_WRITE, st 1, 0 bytes", "and stays so");
        on.equal(client.pair.pending(), on.size);
        left -= client.drain();
      }
      on.says(call(), "0 SYSCALL, st 1, 0 bytes");
      on.equal(client.drain(), left);
      // Into it.
      on.answers(server);
      while (client.inbox.length > on.size) {
        client.feed();
        on.says(call(), "-1 WANT_READ, st 1, 0 bytes");
        on.equal(client.pair.wpending(), 0, "all of it is taken");
      }
      client.feed();
      on.says(call(), "1, st 3, 0 bytes");
    },
  );

  sized("page-19", "quiet shutdown sets the state and sends nothing", (on) => {
    using both = on.connect();
    const { client, server } = both;
    client.ssl.setQuietShutdown(true);
    on.says(client.shutdown(), "1, st 3, 0 bytes");
    on.equal(client.pair.pending(), 0);
    on.says(server.read(), "-1 WANT_READ, st 0, 0 bytes", "the peer knows nothing of it");
    on.equal(resumable(client), true);
  });

  each("page-20", "quiet shutdown returns 1 always, but before the end of the handshake", (on) => {
    using both = on.connect();
    both.client.ssl.setQuietShutdown(true);
    both.server.shutdown();
    for (let i = 0; i < 3; i++) on.says(both.client.shutdown(), "1, st 3, 0 bytes");
    using early = on.contexts.start();
    early.client.ssl.setQuietShutdown(true);
    on.says(early.client.shutdown(), "-1 SSL (shutdown while in init), st 0, 0 bytes");
    early.client.handshake();
    on.says(early.client.shutdown(), "-1 SSL (shutdown while in init), st 0, 0 bytes");
    using context = on.instance.newContext("client");
    using pair = on.instance.newBioPair();
    using connection = context.newSsl(pair);
    connection.setQuietShutdown(true);
    on.equal(connection.shutdown(), -1, "nor without connect or accept state");
  });

  sized("page-21", "1: close_notify was sent and the peer's was received", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.answers(server);
    const outcome = client.shutdown();
    on.equal([outcome.ret, outcome.error, outcome.flags], [1, "NONE", SENT | RECEIVED]);
    if (on.size >= on.alert) {
      on.equal(alerts(client), ["sent warning close_notify", "received warning close_notify"]);
    }
  });

  sized("page-22", "0: not finished; the second call finishes it", (on) => {
    using both = on.connect();
    on.first(both.client);
    on.first(both.server);
    on.says(both.client.shutdown(), "1, st 3, 0 bytes");
    on.says(both.server.shutdown(), "1, st 3, 0 bytes");
  });

  sized("page-23", "after 0 SSL_get_error says SYSCALL, although there was no error", (on) => {
    using both = on.connect();
    const outcome = both.client.shutdown();
    on.equal([outcome.ret, outcome.error, outcome.reasons], [0, "SYSCALL", []]);
    both.server.read();
    on.equal(both.server.ssl.getShutdown(), RECEIVED, "and all had gone well");
  });

  each("page-24", "-1: a fatal error of the protocol, or of the transport", (on) => {
    {
      using both = on.connect();
      const { client, server } = both;
      on.first(client);
      server.write(utf8("hello"));
      damage(client);
      const outcome = client.shutdown();
      on.equal([outcome.ret, outcome.error, outcome.flags], [-1, "SSL", SENT]);
      on.equal(outcome.reasons.includes(MAC_FAILED), true, String(outcome));
    }
    using both = on.connect();
    const { client } = both;
    on.first(client);
    client.end();
    on.says(client.shutdown(), "-1 SSL (unexpected eof while reading), st 1, 0 bytes");
  });

  sized("page-25", "-1 also if there is only something to be done first", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.says(client.shutdown(), "-1 WANT_READ, st 1, 0 bytes");
    on.answers(server);
    on.says(client.shutdown(), "1, st 3, 0 bytes", "nothing had gone wrong");
  });

  each("page-26", "SSL_get_error tells these apart, if the error queue was empty before", (on) => {
    using both = on.connect();
    const { client } = both;
    const call = () => client.once((connection) => connection.shutdown());
    on.first(client);
    on.equal(call().error, "WANT_READ");
    on.instance.raiseError(ssl.ERR_LIB_SSL, ssl.SSL_R_BAD_WRITE_RETRY);
    on.says(call(), "-1 SSL (bad write retry), st 1, 0 bytes", "an old error, not one of this call");
    on.equal(call().error, "WANT_READ");
    on.equal(client.ssl.tryShutdown(), -ssl.SSL_ERROR_WANT_READ);
    on.instance.raiseError(ssl.ERR_LIB_SSL, ssl.SSL_R_BAD_WRITE_RETRY);
    on.equal(client.ssl.tryShutdown(), -ssl.SSL_ERROR_WANT_READ, "tryShutdown empties it before");
  });

  each(
    "page-27",
    "SSL_get_error: after 0 of SSL_read it tells close_notify from an end without one",
    (on) => {
      using both = on.connect();
      on.first(both.server);
      on.says(both.client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
      using cut = on.connect();
      cut.client.end();
      on.equal(cut.client.read().error, "SSL");
    },
  );

  each("page-28", "SSL_connect and SSL_accept do not begin anew after a shutdown", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.answers(server);
    on.says(client.shutdown(), "1, st 3, 0 bytes");
    on.says(
      client.once((connection) => connection.connect()),
      "1, st 3, 0 bytes",
    );
    on.says(
      server.once((connection) => connection.accept()),
      "1, st 3, 0 bytes",
    );
    on.equal([client.pair.pending(), server.pair.pending()], [0, 0]);
  });

  each(
    "page-29",
    "SSL_set_shutdown sets the flags, so that the procedure seems to be where they say",
    (on) => {
      using both = on.connect();
      const { client } = both;
      for (const flags of [SENT, RECEIVED, SENT | RECEIVED, 0]) {
        client.ssl.setShutdown(flags);
        on.equal(client.ssl.getShutdown(), flags);
        on.equal(client.pair.pending(), 0, "it sends nothing");
      }
      on.first(client);
      client.ssl.setShutdown(0);
      on.says(client.write(utf8("hello")), `5, st 0, ${on.word} bytes`, "even back to open");
    },
  );

  each(
    "page-30",
    "SSL_CTX_set_quiet_shutdown is for the SSLs made afterwards; each has its own switch",
    (on) => {
      using contexts = on.newContexts({});
      using before = contexts.connect();
      on.equal(contexts.client.getQuietShutdown(), false);
      contexts.client.setQuietShutdown(true);
      on.equal(contexts.client.getQuietShutdown(), true);
      using after = contexts.connect();
      on.equal(before.client.ssl.getQuietShutdown(), false);
      on.first(before.client);
      on.equal(after.client.ssl.getQuietShutdown(), true);
      on.says(after.client.shutdown(), "1, st 3, 0 bytes");
      using loud = contexts.connect();
      loud.client.ssl.setQuietShutdown(false);
      on.first(loud.client);
    },
  );

  sized(
    "page-31",
    "SSL_clear begins anew on the same BIO pair; after a shutdown the session is resumed",
    (on) => {
      for (const closed of [true, false]) {
        using both = on.connect();
        const { client, server } = both;
        if (closed) {
          on.first(client);
          on.answers(server);
          on.says(client.shutdown(), "1, st 3, 0 bytes");
        }
        on.equal([client.ssl.clear(), server.ssl.clear()], [1, 1]);
        on.equal([client.ssl.getShutdown(), server.ssl.getShutdown()], [0, 0]);
        on.says(client.shutdown(), "-1 SSL (shutdown while in init), st 0, 0 bytes");
        const hits = on.contexts.server.sessHits();
        both.handshake();
        on.equal(client.ssl.sessionReused(), closed, "without a shutdown the session was bad");
        on.equal(on.contexts.server.sessHits() - hits, closed ? 1 : 0);
        client.write(utf8("again"));
        on.reads(server.read(), "again");
        on.first(client);
      }
    },
  );

  each("page-32", "SSL_free sends nothing, and without a shutdown the session is no longer good", (on) => {
    for (const closed of [true, false]) {
      using both = on.connect();
      const { client, server } = both;
      if (closed) on.first(client);
      using session = client.ssl.getSession();
      on.equal(session?.isResumable(), true);
      client.ssl.free();
      on.equal(client.drain(), 0);
      on.equal(session?.isResumable(), closed);
      on.says(server.read(), closed ? "0 ZERO_RETURN, st 2, 0 bytes" : "-1 WANT_READ, st 0, 0 bytes");
    }
  });
});

QUnit.module("shutdown: behaviours", () => {
  each("behaviour-01", "without connect or accept state: uninitialized", (on) => {
    using pair = on.instance.newBioPair();
    using connection = on.contexts.client.newSsl(pair);
    const ret = connection.shutdown();
    on.equal([ret, connection.getError(ret)], [-1, ssl.SSL_ERROR_SSL]);
    on.equal(
      on.instance.errors().map(({ reason }) => reason),
      ["uninitialized"],
    );
    on.equal([connection.getShutdown(), pair.pending()], [0, 0]);
  });

  sized("behaviour-02", "state set, handshake not started: in init, no flag, no bytes", (on) => {
    using both = on.contexts.start(on.size);
    for (const end of [both.client, both.server]) {
      on.says(end.shutdown(), "-1 SSL (shutdown while in init), st 0, 0 bytes");
    }
  });

  sized("behaviour-03", "in the middle of the handshake: the same, and the handshake goes on", (on) => {
    using both = on.contexts.start(on.size);
    const { client, server } = both;
    const notYet = "-1 SSL (shutdown while in init), st 0, 0 bytes";
    client.handshake();
    on.says(client.shutdown(), notYet);
    server.handshake();
    on.says(server.shutdown(), notYet);
    on.says(client.shutdown(), notYet);
    both.handshake();
    on.says(client.write(utf8("hello")), `5, st 0, ${on.word} bytes`);
  });

  sized("behaviour-04", "first call: 0, st 1, one record; SSL_get_error misleads", (on) => {
    using both = on.connect();
    on.first(both.client);
    on.equal(
      records(both.server.inbox).map((record) => record.length),
      [on.version === ssl.TLS1_3_VERSION ? 24 : 31],
    );
  });

  sized("behaviour-05", "second call, nothing from the peer: WANT_READ, as often as one likes", (on) => {
    using both = on.connect();
    on.first(both.client);
    for (let i = 0; i < 5; i++) on.says(both.client.shutdown(), "-1 WANT_READ, st 1, 0 bytes");
  });

  sized("behaviour-06", "the peer closed and that was read: one call, 1, st 3", (on) => {
    using both = on.connect();
    on.first(both.server);
    on.says(both.client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.says(both.client.shutdown(), `1, st 3, ${on.alert} bytes`);
    on.says(both.server.shutdown(), "1, st 3, 0 bytes");
  });

  sized("behaviour-07", "the peer closed and that was not read: 0, then 1", (on) => {
    using both = on.connect();
    on.first(both.server);
    on.first(both.client);
    on.says(both.client.shutdown(), "1, st 3, 0 bytes");
  });

  sized(
    "behaviour-08",
    "the peer's close_notify is 0 and ZERO_RETURN, for each read and peek from then on",
    (on) => {
      using both = on.connect();
      on.first(both.server);
      for (let i = 0; i < 3; i++) {
        on.says(both.client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
        on.says(both.client.peek(), "0 ZERO_RETURN, st 2, 0 bytes");
      }
    },
  );

  sized("behaviour-09", "half-close: after the peer's close_notify our data still reaches it", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(server);
    on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.says(client.write(utf8("hello")), `5, st 2, ${on.word} bytes`);
    const outcome = server.read();
    on.says(outcome, "5, st 1, 0 bytes");
    on.reads(outcome, "hello");
  });

  sized(
    "behaviour-10",
    "a write after one's own shutdown fails, of no bytes too, and sends nothing",
    (on) => {
      using both = on.connect();
      const { client } = both;
      on.first(client);
      for (const bytes of [utf8("hello"), NOTHING]) {
        on.says(client.write(bytes), "-1 SSL (protocol is shutdown), st 1, 0 bytes");
        on.equal(client.ssl.writeEx(bytes), undefined);
        on.equal(
          on.instance.errors().map(({ reason }) => reason),
          ["protocol is shutdown"],
        );
      }
      on.equal(client.pair.pending(), 0);
    },
  );

  sized("behaviour-11", "a read after one's own shutdown delivers", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.says(server.write(utf8("hello")), `5, st 0, ${on.word} bytes`);
    const outcome = client.read();
    on.says(outcome, "5, st 1, 0 bytes");
    on.reads(outcome, "hello");
  });

  sized(
    "behaviour-12",
    "unread data at the second call: it fails, the connection is dead, the data lost",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      server.write(utf8("hello"));
      on.first(server);
      on.first(client);
      on.says(client.shutdown(), "-1 SSL (application data after close notify), st 1, 0 bytes");
      on.says(client.read(), "-1 SYSCALL, st 1, 0 bytes");
      on.says(client.shutdown(), "-1 SSL (shutdown while in init), st 1, 0 bytes");
      on.says(client.write(utf8("hello")), "-1 SSL (protocol is shutdown), st 1, 0 bytes");
    },
  );

  sized("behaviour-13", "the same for plaintext that is decrypted and not yet read", (on) => {
    using both = on.connect();
    const { client, server } = both;
    server.write(utf8("hello"));
    on.first(server);
    on.reads(client.read(1), "h");
    on.equal(client.ssl.pending(), 4);
    on.first(client);
    on.says(client.shutdown(), "-1 SSL (application data after close notify), st 1, 0 bytes");
    on.equal(client.ssl.pending(), 0);
    on.says(client.read(), "-1 SYSCALL, st 1, 0 bytes");
  });

  sized(
    "behaviour-14",
    "the transport ends without an alert: unexpected eof; a decode_error goes out",
    (on) => {
      using both = on.connect();
      const { client } = both;
      client.end();
      // The alert is written once: what has no room in the pair is never sent, and SSL_get_error keeps asking for room.
      const bytes = Math.min(on.alert, on.size);
      const dead = on.size < on.alert ? "WANT_WRITE" : "SYSCALL";
      on.says(client.read(), `0 SSL (unexpected eof while reading), st 0, ${bytes} bytes`);
      on.equal(resumable(client), false);
      on.says(client.read(), `-1 ${dead}, st 0, 0 bytes`);
      on.says(client.shutdown(), "-1 SSL (shutdown while in init), st 0, 0 bytes");
      if (on.size >= on.alert) on.equal(alerts(client), ["sent fatal decode_error"]);
    },
  );

  sized(
    "behaviour-15",
    "the transport ends after one's own shutdown: the second call says unexpected eof",
    (on) => {
      using both = on.connect();
      const { client } = both;
      on.first(client);
      client.end();
      on.says(client.shutdown(), "-1 SSL (unexpected eof while reading), st 1, 0 bytes");
      on.says(client.shutdown(), "-1 SSL (shutdown while in init), st 1, 0 bytes");
    },
  );

  sized("behaviour-16", "SSL_OP_IGNORE_UNEXPECTED_EOF takes the transport's end for a close_notify", (on) => {
    using both = on.connect();
    const { client } = both;
    client.ssl.setOptions(ssl.SSL_OP_IGNORE_UNEXPECTED_EOF);
    client.end();
    on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.says(client.shutdown(), `1, st 3, ${on.alert} bytes`);
    on.equal(resumable(client), true);
  });

  sized("behaviour-17", "it does so in the middle of a record as well", (on) => {
    using both = on.connect();
    const { client, server } = both;
    client.ssl.setOptions(ssl.SSL_OP_IGNORE_UNEXPECTED_EOF);
    server.write(utf8("hello"));
    client.inbox = client.inbox.slice(0, 20);
    client.end();
    on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.says(client.shutdown(), `1, st 3, ${on.alert} bytes`);
  });

  sized(
    "behaviour-18",
    "with it, the transport ends after one's own shutdown: 0 and ZERO_RETURN, then 1",
    (on) => {
      using both = on.connect();
      const { client } = both;
      client.ssl.setOptions(ssl.SSL_OP_IGNORE_UNEXPECTED_EOF);
      on.first(client);
      client.end();
      // The flags are overwritten, not added to: SENT is forgotten, and close_notify is sent once more.
      on.says(client.shutdown(), "0 ZERO_RETURN, st 2, 0 bytes");
      on.says(client.shutdown(), `1, st 3, ${on.alert} bytes`);
    },
  );

  sized("behaviour-19", "quiet: 1, no bytes, st 3; writes fail", (on) => {
    using both = on.connect();
    const { client } = both;
    client.ssl.setQuietShutdown(true);
    on.says(client.shutdown(), "1, st 3, 0 bytes");
    on.says(client.write(utf8("hello")), "-1 SSL (protocol is shutdown), st 3, 0 bytes");
    on.says(client.read(), "0 ZERO_RETURN, st 3, 0 bytes");
  });

  sized("behaviour-20", "a quiet responder: 1, and it sends nothing", (on) => {
    using both = on.connect();
    const { client, server } = both;
    server.ssl.setQuietShutdown(true);
    on.first(client);
    on.says(server.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.says(server.shutdown(), "1, st 3, 0 bytes");
    on.says(client.shutdown(), "-1 WANT_READ, st 1, 0 bytes", "who waits for it waits on");
  });

  sized("behaviour-21", "no room in the pair for the alert: WANT_WRITE, st 1; drained: 0, then 1", (on) => {
    using both = on.connect();
    const { client, server } = both;
    const call = () => client.once((connection) => connection.shutdown());
    // Ten bytes of room, or as much as there is in the small ones.
    const used = on.size < 64 ? 0 : on.size - 10;
    const payload = payloadOf(used, on.overhead);
    if (payload > 0) {
      const bytes = randomBytes(payload, env.seed);
      on.says(
        client.once((connection) => connection.write(bytes)),
        `${payload}, st 0, 0 bytes`,
      );
    }
    on.equal(client.pair.pending(), used);
    for (let i = 0; i < 3; i++) {
      on.says(call(), "-1 WANT_WRITE, st 1, 0 bytes");
      on.equal(client.pair.pending(), on.size, "what has room is in the pair");
    }
    client.drain();
    const outcome = client.shutdown();
    on.says(outcome, `0 SYSCALL, st 1, ${used + on.alert - on.size} bytes`);
    const { data, last } = readAll(server);
    on.equal([data.length, last], [Math.max(payload, 0), "0 ZERO_RETURN"]);
    on.says(server.shutdown(), `1, st 3, ${on.alert} bytes`);
    on.says(client.shutdown(), "1, st 3, 0 bytes");
    on.equal(
      alerts(client),
      ["sent warning close_notify", "received warning close_notify"],
      "the trace has it, also when it left in pieces",
    );
  });

  sized(
    "behaviour-22",
    "shutdown during an unfinished write: neither the rest of it nor the alert ever leaves",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      const bytes = randomBytes(on.size, env.seed);
      on.says(
        client.once((connection) => connection.write(bytes)),
        "-1 WANT_WRITE, st 0, 0 bytes",
      );
      on.says(
        client.once((connection) => connection.shutdown()),
        "-1 WANT_WRITE, st 1, 0 bytes",
      );
      on.equal(client.drain(), on.size, "what the write had put into the pair");
      on.says(client.write(bytes), "-1 SSL (protocol is shutdown), st 1, 0 bytes");
      // As if the alert had been sent, SSL_shutdown goes on to wait for the peer.
      on.says(client.shutdown(), "-1 SYSCALL, st 1, 0 bytes");
      for (let i = 0; i < 3; i++) on.says(client.shutdown(), "-1 WANT_READ, st 1, 0 bytes");
      // Whole records that left before are read; for the rest the peer waits forever.
      const { data, last } = readAll(server);
      on.equal(data.length, 16_384 * Math.floor(on.size / (16_384 + on.overhead)));
      on.equal(last, "-1 WANT_READ");
      on.equal(server.inbox.length, 0);
    },
  );

  sized("behaviour-23", "the write finished first: the data arrives, then close_notify", (on) => {
    using both = on.connect();
    const { client, server } = both;
    const bytes = randomBytes(Math.min(on.size, 40_000) + 3000, env.seed);
    on.equal(client.write(bytes).ret, bytes.length);
    on.first(client);
    const { data, last } = readAll(server);
    on.equal(data, bytes);
    on.equal(last, "0 ZERO_RETURN");
  });

  sized("behaviour-24", "both at once: 0 and 0, then 1 and 1", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.first(server);
    on.says(client.shutdown(), "1, st 3, 0 bytes");
    on.says(server.shutdown(), "1, st 3, 0 bytes");
  });

  sized("behaviour-25", "calls after 1: still 1, no bytes", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(client);
    on.answers(server);
    for (let i = 0; i < 4; i++) {
      on.says(client.shutdown(), "1, st 3, 0 bytes");
      on.says(server.shutdown(), "1, st 3, 0 bytes");
    }
  });

  sized(
    "behaviour-26",
    "a fatal alert while waiting: 1, with the alert in the error queue; not clean",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      client.write(utf8("hello"));
      damage(server);
      on.first(client);
      on.equal(server.read().error, "SSL");
      if (on.size < on.alert) return; // The server's alert has no room and is never sent: see behaviour-14.
      on.says(client.shutdown(), "1 (ssl/tls alert bad record mac), st 3, 0 bytes");
      on.equal(alerts(client), ["sent warning close_notify", "received fatal bad_record_mac"]);
      on.equal(resumable(client), false);
      on.says(client.shutdown(), "-1 SSL (shutdown while in init), st 3, 0 bytes", "this 1 does not last");
      on.says(client.read(), "0 ZERO_RETURN, st 3, 0 bytes", "and this is no close_notify");
    },
  );

  sized("behaviour-27", "after an own fatal error: in init; a write is -1 and SYSCALL", (on) => {
    using both = on.connect();
    const { client, server } = both;
    client.write(utf8("hello"));
    damage(server);
    const outcome = server.read();
    on.equal([outcome.ret, outcome.error, outcome.bytes], [-1, "SSL", Math.min(on.alert, on.size)]);
    on.equal(outcome.reasons.includes(MAC_FAILED), true, String(outcome));
    on.equal(resumable(server), false);
    on.says(server.shutdown(), "-1 SSL (shutdown while in init), st 0, 0 bytes");
    on.says(server.write(utf8("hello")), "-1 SYSCALL, st 0, 0 bytes");
    on.says(server.read(), "-1 SYSCALL, st 0, 0 bytes");
  });

  sized(
    "behaviour-28",
    "pending tickets: the second call processes them, returns 1, and the session is resumable",
    (on) => {
      using both = on.connect(false);
      const { client, server } = both;
      on.equal(records(client.inbox).length, 2, "two tickets wait");
      on.equal(resumable(client), false);
      on.first(client);
      on.equal(resumable(client), false);
      on.answers(server);
      on.says(client.shutdown(), "1, st 3, 0 bytes");
      on.equal(resumable(client), true);
    },
    [TLS13],
  );

  each(
    "behaviour-28",
    "a KeyUpdate split across records: WANT_READ, then in init; reading gets over it",
    async (on) => {
      const { both, server, peer } = await withCraftedClient(on);
      using _ = both;
      on.first(server);
      // The header of the message, then its one byte.
      server.inbox = await peer.record(HANDSHAKE, 24, 0, 0, 1);
      on.says(server.shutdown(), "-1 WANT_READ, st 1, 0 bytes");
      on.says(server.shutdown(), "-1 SSL (shutdown while in init), st 1, 0 bytes");
      server.inbox = await peer.record(HANDSHAKE, 0);
      on.says(
        server.shutdown(),
        "-1 SSL (shutdown while in init), st 1, 0 bytes",
        "it does not read any more",
      );
      on.says(server.read(), "-1 WANT_READ, st 1, 0 bytes");
      on.says(server.shutdown(), "-1 WANT_READ, st 1, 0 bytes", "and now it does");
    },
    [TLS13],
  );

  sized(
    "behaviour-29",
    "a HelloRequest while waiting: WANT_READ, then 1 after the peer closes",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      on.equal(server.ssl.renegotiate(), 1);
      on.says(server.handshake(), `1, st 0, ${on.overhead + 4} bytes`);
      on.first(client);
      on.says(client.shutdown(), "-1 WANT_READ, st 1, 0 bytes", "it is not answered");
      on.answers(server);
      on.says(client.shutdown(), "1, st 3, 0 bytes");
    },
    [TLS12],
  );

  sized("behaviour-30", "SSL_set_shutdown: both → 1; RECEIVED → sends the alert, 1; SENT → waits", (on) => {
    for (const [flags, expected] of [
      [SENT | RECEIVED, "1, st 3, 0 bytes"],
      [RECEIVED, `1, st 3, ${on.alert} bytes`],
      [SENT, "-1 WANT_READ, st 1, 0 bytes"],
      [0, `0 SYSCALL, st 1, ${on.alert} bytes`],
    ] as const) {
      using both = on.connect();
      both.client.ssl.setShutdown(flags);
      on.says(both.client.shutdown(), expected);
    }
  });
});

QUnit.module("shutdown: and also", () => {
  sized("also-01", "close_notify in the handshake: -1 and ZERO_RETURN, once", (on) => {
    const closeNotify = Uint8Array.of(ALERT, 3, 3, 0, 2, 1, 0);
    {
      using both = on.contexts.start(on.size);
      const { client } = both;
      client.handshake();
      client.inbox = closeNotify;
      on.says(client.handshake(), "-1 ZERO_RETURN, st 2, 0 bytes");
      // A loop that calls again gets WANT_READ, for which no byte will come; RECEIVED tells.
      for (let i = 0; i < 3; i++) on.says(client.handshake(), "-1 WANT_READ, st 2, 0 bytes");
      on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
      on.says(client.shutdown(), "-1 SSL (shutdown while in init), st 2, 0 bytes");
    }
    {
      using both = on.contexts.start(on.size);
      const { client, server } = both;
      client.handshake();
      server.handshake();
      server.inbox = closeNotify;
      on.says(server.handshake(), "-1 ZERO_RETURN, st 2, 0 bytes", "a server that waits for the client");
    }
    // As the very first record it is no close_notify, since a server expects a ClientHello.
    using both = on.contexts.start(on.size);
    both.server.inbox = closeNotify;
    const bytes = Math.min(7, on.size);
    on.says(both.server.handshake(), `-1 SSL (unexpected message), st 0, ${bytes} bytes`);
  });

  sized("also-02", "data after the peer's close_notify is never delivered", (on) => {
    using both = on.connect();
    const { client, server } = both;
    on.first(server);
    // A peer that OpenSSL would not be on its own account.
    server.ssl.setShutdown(0);
    on.says(server.write(utf8("hello")), `5, st 0, ${on.word} bytes`);
    on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    on.says(client.shutdown(), `1, st 3, ${on.alert} bytes`);
    on.says(client.read(), "0 ZERO_RETURN, st 3, 0 bytes");
    // It is where plaintext would be: left for the next user of the transport.
    client.feed();
    on.equal(client.pair.takeUnread().length + client.inbox.length, on.word);
  });

  each(
    "also-03",
    "SSL_free without a shutdown spoils the session, SSL_shutdown keeps it, sent or not",
    (on) => {
      const endings: readonly [string, (end: End) => void, boolean][] = [
        ["nothing", () => {}, false],
        ["sent", (end) => on.first(end), true],
        [
          "no room",
          (end) => {
            const payload = payloadOf(DEFAULT_SIZE, on.overhead);
            on.equal(end.once((connection) => connection.write(new Uint8Array(payload))).ret, payload);
            on.says(
              end.once((connection) => connection.shutdown()),
              "-1 WANT_WRITE, st 1, 0 bytes",
            );
          },
          true,
        ],
      ];
      for (const [how, close, good] of endings) {
        using both = on.connect();
        using session = both.client.ssl.getSession();
        close(both.client);
        both.client.free();
        on.equal(session?.isResumable(), good, how);
      }
    },
  );

  each(
    "also-04",
    "a client that only writes has no ticket, unless it reads to ZERO_RETURN",
    (on) => {
      for (const reads of [false, true]) {
        using both = on.connect(false);
        const { client, server } = both;
        client.write(utf8("hello"));
        on.first(client);
        on.equal(server.read().ret, 5);
        on.answers(server);
        if (reads) on.says(client.read(), "0 ZERO_RETURN, st 3, 0 bytes");
        using session = client.ssl.getSession();
        on.equal(session?.isResumable(), reads);
      }
    },
    [TLS13],
  );

  each(
    "also-05",
    "user_canceled, then close_notify: SYSCALL in TLS 1.3; the alert trace tells",
    async (on) => {
      const trace = ["received warning user_canceled", "received warning close_notify"];
      const is13 = on.version === ssl.TLS1_3_VERSION;
      const end13 = is13 ? await withCraftedClient(on) : undefined;
      const end12 = is13 ? undefined : await withCraftedServer(on);
      using _ = (end13 ?? end12)?.both;
      const [end, peer] = end13 ? [end13.server, end13.peer] : [end12!.client, end12!.peer];
      end.inbox = concat([
        await peer.record(APPLICATION_DATA, 111, 107),
        await peer.record(ALERT, 1, 90),
        await peer.record(ALERT, 1, 0),
      ]);
      on.reads(end.read(), "ok");
      for (let i = 0; i < 2; i++) {
        on.says(end.read(), is13 ? "0 SYSCALL, st 2, 0 bytes" : "0 ZERO_RETURN, st 2, 0 bytes");
      }
      on.equal(alerts(end), trace);
      on.says(end.shutdown(), `1, st 3, ${on.alert} bytes`);
      on.equal(resumable(end), true);
    },
  );

  each(
    "also-05",
    "the same while SSL_shutdown waits: 1, and nothing in the error queue",
    async (on) => {
      const { both, server, peer } = await withCraftedClient(on);
      using _ = both;
      on.first(server);
      server.inbox = concat([await peer.record(ALERT, 1, 90), await peer.record(ALERT, 1, 0)]);
      on.says(server.shutdown(), "1, st 3, 0 bytes");
      on.says(server.read(), "0 SYSCALL, st 3, 0 bytes");
    },
    [TLS13],
  );

  each("also-06", "a stale error turns WANT_READ into SSL", (on) => {
    using both = on.connect();
    const { client } = both;
    const stale = () => on.instance.raiseError(ssl.ERR_LIB_SSL, ssl.SSL_R_WRONG_VERSION_NUMBER);
    stale();
    on.says(
      client.once((connection) => connection.read(new Uint8Array(1))),
      "-1 SSL (wrong version number), st 0, 0 bytes",
    );
    on.says(
      client.once((connection) => connection.read(new Uint8Array(1))),
      "-1 WANT_READ, st 0, 0 bytes",
    );
    stale();
    on.says(
      client.once((connection) => connection.shutdown()),
      "0 SSL (wrong version number), st 1, 0 bytes",
    );
    stale();
    on.says(
      client.once((connection) => connection.shutdown()),
      "-1 SSL (wrong version number), st 1, 0 bytes",
    );
  });

  each(
    "also-07",
    "SSL_write of no bytes is 0 and SYSCALL, SSL_write_ex succeeds, and nothing is sent",
    (on) => {
      using both = on.connect();
      const { client } = both;
      on.says(client.write(NOTHING), "0 SYSCALL, st 0, 0 bytes");
      on.equal(client.ssl.writeEx(NOTHING), 0);
      on.equal(client.pair.pending(), 0);
    },
  );

  sized("also-08", "SSL_free frees the internal half of the pair; the network half is ours", (on) => {
    {
      using both = on.connect();
      const { client } = both;
      client.once((connection) => connection.shutdown());
      on.equal(client.pair.pending(), Math.min(on.alert, on.size));
      client.ssl.free();
      on.equal(client.pair.pending(), 0, "what was not fetched before is gone");
      on.equal(client.pair.read(new Uint8Array(10)) <= 0, true);
      on.equal(client.pair.write(utf8("hello")) <= 0, true);
      on.equal(client.pair.freed, false);
    }
    const once = () => {
      using both = on.contexts.connect();
      both.client.shutdown();
      both.client.ssl.free();
      both.client.pair.free();
      both.server.pair.free();
      both.server.ssl.free();
    };
    once();
    const before = on.instance.memory.used;
    once();
    on.equal(on.instance.memory.used, before, "in either order nothing stays");
  });

  sized(
    "also-09",
    "a KeyUpdate that arrives while closing is processed; what it asks for is not sent any more",
    (on) => {
      for (const second of ["none", "key update", "ticket"] as const) {
        using both = on.connect();
        const { client, server } = both;
        on.first(client);
        on.equal(server.ssl.keyUpdate(ssl.SSL_KEY_UPDATE_REQUESTED), 1);
        on.says(server.handshake(), `1, st 0, ${on.overhead + 5} bytes`);
        on.says(client.shutdown(), "-1 WANT_READ, st 1, 0 bytes");
        // With the next message it would leave.
        if (second === "key update") server.ssl.keyUpdate(ssl.SSL_KEY_UPDATE_REQUESTED);
        if (second === "ticket") server.ssl.newSessionTicket();
        server.write(utf8("hello"));
        on.reads(client.read(), "hello");
        on.says(client.read(), "-1 WANT_READ, st 1, 0 bytes", second);
        on.equal(client.ssl.keyUpdate(ssl.SSL_KEY_UPDATE_NOT_REQUESTED), 0, "nor what we would like to");
        on.equal(on.instance.errors().at(-1)?.reason, "protocol is shutdown");
        on.answers(server);
        on.says(client.shutdown(), "1, st 3, 0 bytes", "with the new keys");
      }
    },
    [TLS13],
  );

  sized(
    "also-10",
    "a NewSessionTicket that arrives while closing is taken",
    (on) => {
      using both = on.connect();
      const { client, server } = both;
      using before = client.ssl.getSession();
      on.first(client);
      on.equal(server.ssl.newSessionTicket(), 1);
      const ticket = server.handshake();
      on.equal([ticket.ret, ticket.bytes > 200], [1, true], String(ticket));
      on.says(client.shutdown(), "-1 WANT_READ, st 1, 0 bytes");
      on.answers(server);
      on.says(client.shutdown(), "1, st 3, 0 bytes");
      using after = client.ssl.getSession();
      on.equal([before?.isResumable(), after?.isResumable()], [true, true]);
      on.equal(text(before?.toDer() ?? NOTHING) === text(after?.toDer() ?? NOTHING), false, "another one");
    },
    [TLS13],
  );

  sized(
    "also-14",
    "a CertificateRequest that arrives while closing is not answered, nor is the next one",
    (on) => {
      using contexts = on.newContexts({
        server: (context) => context.setVerify(ssl.SSL_VERIFY_PEER | ssl.SSL_VERIFY_POST_HANDSHAKE),
      });
      for (const how of ["reading", "shutdown", "not offered"] as const) {
        using both = contexts.start(on.size);
        const { client, server } = both;
        client.ssl.setPostHandshakeAuth(how !== "not offered");
        both.handshake();
        client.peek();
        on.first(client);
        on.equal(server.ssl.verifyClientPostHandshake(), how === "not offered" ? 0 : 1);
        if (how === "not offered") continue;
        on.equal(server.handshake().ret, 1);
        const answered = how === "reading" ? client.read() : client.shutdown();
        on.says(answered, "-1 WANT_READ, st 1, 0 bytes");
        server.write(utf8("hello"));
        on.reads(client.read(), "hello");
        on.answers(server);
        on.says(client.shutdown(), "1, st 3, 0 bytes");
      }
    },
    [TLS13],
  );

  sized(
    "also-11",
    "a ClientHello that arrives after our close_notify is not answered",
    (on) => {
      using contexts = on.newContexts({
        server: (context) => context.setOptions(ssl.SSL_OP_ALLOW_CLIENT_RENEGOTIATION),
      });
      using both = contexts.connect({ size: on.size });
      const { client, server } = both;
      on.equal(client.ssl.renegotiate(), 1);
      on.first(server);
      client.inbox = NOTHING; // The client does not see it yet.
      const hello = client.handshake();
      on.equal([hello.ret, hello.error, hello.bytes > 100], [-1, "WANT_READ", true], String(hello));
      on.says(server.shutdown(), "-1 WANT_READ, st 1, 0 bytes");
      on.says(
        client.shutdown(),
        "-1 SSL (shutdown while in init), st 0, 0 bytes",
        "the client is stuck in it",
      );
    },
    [TLS12],
  );

  sized(
    "also-12",
    "after the peer's fatal alert the first read tells, the next one says ZERO_RETURN",
    (on) => {
      if (on.size < on.alert) return; // The server's alert has no room and is never sent: see behaviour-14.
      using both = on.connect();
      const { client, server } = both;
      client.write(utf8("hello"));
      damage(server);
      server.read();
      on.says(client.read(), "0 SSL (ssl/tls alert bad record mac), st 2, 0 bytes");
      on.equal(resumable(client), false);
      on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes", "which is no close_notify");
      on.says(client.shutdown(), "-1 SSL (shutdown while in init), st 2, 0 bytes");
      on.equal(alerts(client), ["received fatal bad_record_mac"]);
    },
  );

  sized("also-13", "a fatal alert or the transport's end in the handshake", (on) => {
    {
      using both = on.contexts.start(on.size);
      const { client } = both;
      client.handshake();
      client.inbox = Uint8Array.of(ALERT, 3, 3, 0, 2, 2, 40);
      on.says(client.handshake(), "-1 SSL (ssl/tls alert handshake failure), st 2, 0 bytes");
      on.says(client.handshake(), "-1 ZERO_RETURN, st 2, 0 bytes", "which is no close_notify");
    }
    using both = on.contexts.start(on.size);
    const { client } = both;
    client.handshake();
    client.end();
    const bytes = Math.min(7, on.size);
    on.says(client.handshake(), `-1 SSL (unexpected eof while reading), st 0, ${bytes} bytes`);
    on.says(client.handshake(), `-1 ${on.size < 7 ? "WANT_WRITE" : "SYSCALL"}, st 0, 0 bytes`);
    on.says(client.shutdown(), "-1 SSL (shutdown while in init), st 0, 0 bytes");
  });
});

/** How one end, or both, come to their end; then both `Ssl` are freed. */
interface Ending {
  id: string;
  what: string;
  act(both: TwoEnds, on: Case): void;
  /** Whether the client's session may be used again. */
  resumable: boolean;
  /** Whether a server that keeps sessions still has it; with tickets the server keeps nothing that could be lost. */
  cached: boolean;
}

const ENDINGS: readonly Ending[] = [
  {
    id: "session-01",
    what: "both close_notify: resumed",
    act({ client, server }, on) {
      on.first(client);
      on.answers(server);
      on.says(client.shutdown(), "1, st 3, 0 bytes");
    },
    resumable: true,
    cached: true,
  },
  {
    id: "session-02",
    what: "both sent close_notify, neither read the other's: resumed",
    act({ client, server }, on) {
      on.first(client);
      on.first(server);
    },
    resumable: true,
    cached: true,
  },
  {
    id: "session-03",
    what: "SSL_shutdown was called, and the alert never left: resumed",
    act({ client, server }, on) {
      for (const end of [client, server]) {
        end.once((connection) => connection.write(new Uint8Array(payloadOf(DEFAULT_SIZE, on.overhead))));
        on.says(
          end.once((connection) => connection.shutdown()),
          "-1 WANT_WRITE, st 1, 0 bytes",
        );
      }
    },
    resumable: true,
    cached: true,
  },
  {
    id: "session-04",
    what: "quiet shutdown: resumed",
    act({ client, server }, on) {
      for (const end of [client, server]) {
        end.ssl.setQuietShutdown(true);
        on.says(end.shutdown(), "1, st 3, 0 bytes");
      }
    },
    resumable: true,
    cached: true,
  },
  {
    id: "session-05",
    what: "SSL_set_shutdown(SENT) instead of a shutdown: resumed",
    act({ client, server }) {
      for (const end of [client, server]) end.ssl.setShutdown(SENT);
    },
    resumable: true,
    cached: true,
  },
  {
    id: "session-06",
    what: "SSL_free without a shutdown: not resumed",
    act() {},
    resumable: false,
    cached: false,
  },
  {
    id: "session-07",
    what: "only the server shut down: the client's session is spoilt",
    act({ client, server }, on) {
      on.first(server);
      on.says(client.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    },
    resumable: false,
    cached: true,
  },
  {
    id: "session-08",
    what: "only the client shut down: a server that keeps sessions has thrown it away",
    act({ client, server }, on) {
      on.first(client);
      on.says(server.read(), "0 ZERO_RETURN, st 2, 0 bytes");
    },
    resumable: true,
    cached: false,
  },
  {
    id: "session-09",
    what: "truncation: not resumed",
    act({ client, server }, on) {
      for (const end of [client, server]) {
        end.inbox = NOTHING;
        end.end();
        on.equal(end.read().reasons, ["unexpected eof while reading"]);
      }
    },
    resumable: false,
    cached: false,
  },
  {
    id: "session-10",
    what: "truncation after one's own close_notify: resumed all the same",
    act({ client, server }, on) {
      for (const end of [client, server]) {
        on.first(end);
        // It does not arrive.
        client.inbox = server.inbox = NOTHING;
      }
      for (const end of [client, server]) {
        end.end();
        on.says(end.shutdown(), "-1 SSL (unexpected eof while reading), st 1, 0 bytes");
      }
    },
    resumable: true,
    cached: true,
  },
  {
    id: "session-11",
    what: "a fatal alert from the server: not resumed",
    act({ client, server }, on) {
      client.write(utf8("hello"));
      damage(server);
      on.equal(server.read().error, "SSL");
      on.says(client.read(), "0 SSL (ssl/tls alert bad record mac), st 2, 0 bytes");
    },
    resumable: false,
    cached: false,
  },
  {
    id: "session-12",
    what: "a fatal alert from the client: not resumed",
    act({ client, server }, on) {
      server.write(utf8("hello"));
      damage(client);
      on.equal(client.read().error, "SSL");
      on.says(server.read(), "0 SSL (ssl/tls alert bad record mac), st 2, 0 bytes");
    },
    resumable: false,
    cached: false,
  },
  {
    id: "session-13",
    what: "a fatal alert while waiting, which SSL_shutdown answers with 1: not resumed",
    act({ client, server }, on) {
      client.write(utf8("hello"));
      damage(server);
      on.first(client);
      on.equal(server.read().error, "SSL");
      on.says(client.shutdown(), "1 (ssl/tls alert bad record mac), st 3, 0 bytes");
    },
    resumable: false,
    cached: false,
  },
  {
    id: "session-14",
    what: "SSL_set_shutdown(RECEIVED) alone: not resumed",
    act({ client, server }) {
      for (const end of [client, server]) end.ssl.setShutdown(RECEIVED);
    },
    resumable: false,
    cached: false,
  },
];

/** A server that keeps sessions, or gives them to the client as tickets. */
const KEEPERS = {
  "the server's cache": (context: ssl.SslContext) => {
    context.setOptions(ssl.SSL_OP_NO_TICKET);
    context.setSessionIdContext(utf8("shutdown"));
  },
  tickets: (context: ssl.SslContext) => context.setSessionIdContext(utf8("shutdown")),
};

/** A second handshake with that session: whether it resumed, and what the server's counters say. */
function second(contexts: Contexts, session: ssl.SslSession): unknown[] {
  const before = [contexts.server.sessHits(), contexts.server.sessMisses(), contexts.server.sessAcceptGood()];
  using both = contexts.connect({ session });
  const { client, server } = both;
  const after = [contexts.server.sessHits(), contexts.server.sessMisses(), contexts.server.sessAcceptGood()];
  client.shutdown();
  server.shutdown();
  const reused = client.ssl.sessionReused();
  if (reused !== server.ssl.sessionReused()) throw new Error("the two ends do not agree");
  return [reused, ...after.map((count, i) => count - before[i]!)];
}

QUnit.module("shutdown: sessions", () => {
  for (const { id, what, act, ...expected } of ENDINGS) {
    each(id, what, (on) => {
      for (const [keeper, keep] of Object.entries(KEEPERS)) {
        const kept = keeper === "tickets" || expected.cached;
        using contexts = on.newContexts({
          server: (context) => {
            keep(context);
            context.setNumTickets(1);
          },
        });
        const both = contexts.connect();
        act(both, on);
        using session = both.client.ssl.getSession();
        if (!session) {
          on.equal(session, "a session", keeper);
          return;
        }
        both[dispose]();
        on.equal(session.isResumable(), expected.resumable, keeper);
        if (keeper !== "tickets") on.equal(contexts.server.sessNumber(), Number(expected.cached), keeper);
        // [resumed, hits, misses, handshakes]. A session that is not good is not even offered.
        const hit = [true, 1, 0, 1];
        const miss = [false, 0, 1, 1];
        const full = [false, 0, 0, 1];
        on.equal(second(contexts, session), !expected.resumable ? full : kept ? hit : miss, keeper);
      }
    });
  }

  each(
    "session-15",
    "a copy is another session: it is not spoilt, and only the server's cache can refuse it",
    (on) => {
      for (const [keeper, keep] of Object.entries(KEEPERS)) {
        using contexts = on.newContexts({ server: keep });
        const both = contexts.connect();
        using session = both.client.ssl.getSession();
        using copy = on.instance.parseSession(session?.toDer() ?? NOTHING);
        both[dispose]();
        on.equal([session?.isResumable(), copy.isResumable()], [false, true], keeper);
        on.equal(second(contexts, copy), keeper === "tickets" ? [true, 1, 0, 1] : [false, 0, 1, 1], keeper);
      }
    },
  );

  each(
    "session-16",
    "of several tickets SSL_free spoils the last one's session, on both sides",
    (on) => {
      for (const [keeper, keep] of Object.entries(KEEPERS)) {
        using contexts = on.newContexts({ server: keep });
        const both = contexts.connect({ quiet: false });
        const { client } = both;
        const [first, last] = records(client.inbox);
        client.inbox = first!;
        client.peek();
        using earlier = client.ssl.getSession();
        client.inbox = last!;
        client.peek();
        using later = client.ssl.getSession();
        both[dispose]();
        on.equal([earlier?.isResumable(), later?.isResumable()], [true, false], keeper);
        if (keeper !== "tickets") on.equal(contexts.server.sessNumber(), 1, keeper);
        if (earlier) on.equal(second(contexts, earlier), [true, 1, 0, 1], keeper);
      }
    },
    [TLS13],
  );
});
