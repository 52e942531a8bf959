/**
 * `wassl/starttls`: both sides of what is said before TLS, with peers that do it right, wrong, slowly, or are attacked.
 */
import QUnit from "qunit";
import { acceptTls, startTls, TlsError, type Transport } from "wassl";
import {
  acceptStartTls,
  requestStartTls,
  StartTlsError,
  type StartTlsProtocol,
  startTlsProtocols,
} from "wassl/starttls";
import { lockstep, pair } from "../../fakes/pair.ts";
import {
  type Bytes,
  clientTurns,
  ldapAnswer,
  mysqlGreeting,
  scripts,
  serverTurns,
  type Turn,
  xmppFeatures,
} from "../../fakes/starttls.ts";
import { cloggable, concat, oneByte, randomChunks } from "../../fakes/wrappers.ts";
import { PENDING, readAtLeast, rejection, sleep, text, utf8, within, write } from "../../helpers/basics.ts";
import { client, server } from "../../helpers/both-ends.ts";
import { env, share } from "../../helpers/env.ts";
import { random } from "../../helpers/random.ts";

type Role = "client" | "server";
const roles: Role[] = ["client", "server"];
const LIMIT = 16_384;

/** What is under test. */
function own(role: Role, protocol: StartTlsProtocol, transport: Transport, more: object = {}) {
  return role === "client"
    ? requestStartTls(transport, { protocol, hostname: "localhost", ...more })
    : acceptStartTls(transport, { protocol, ...more });
}

/** What its peer says. */
const turnsOf = (role: Role, protocol: StartTlsProtocol) =>
  role === "client" ? serverTurns(scripts[protocol]) : clientTurns[protocol];

/** PostgreSQL's server says one byte, which every runtime can try. */
const placesIn = (length: number) => {
  const all = Array.from({ length }, (_, at) => at);
  return length < env.runtimes.length ? all : share(all);
};

const bytesOf = (bytes: Bytes) => (typeof bytes === "string" ? utf8(bytes) : bytes);
const latin1 = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

/** Does its turns, and leaves the transport unlocked. Returns what it heard that was not for it. */
async function play(transport: Transport, turns: readonly Turn[]): Promise<string> {
  const reader = transport.readable.getReader();
  let heard = "";
  try {
    for (const { hear, say } of turns) {
      let found = heard.match(hear ?? /^/);
      for (; !found; found = heard.match(hear ?? /^/)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`it ended, and was to say ${hear}; it said ${JSON.stringify(heard)}`);
        heard += latin1(value);
      }
      heard = heard.slice(found.index! + found[0].length);
      if (say.length > 0) await write(transport.writable, bytesOf(say));
    }
    return heard;
  } finally {
    reader.releaseLock();
  }
}

/** Does its turns whatever it hears, all at once; and reads, so that nobody has to wait for it. */
function blurt(transport: Transport, says: readonly Uint8Array[]): void {
  void transport.readable.pipeTo(new WritableStream()).catch(() => {});
  void (async () => {
    for (const bytes of says) await write(transport.writable, bytes);
  })().catch(() => {});
}

/** Of what comes it gives `count` bytes, and calls `then` in place of more. */
function upTo(
  inner: Transport,
  count: number,
  then: (controller: ReadableStreamDefaultController<Uint8Array>) => unknown,
): Transport {
  const reader = inner.readable.getReader();
  let left = count;
  return {
    writable: inner.writable,
    readable: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          if (left === 0) return void then(controller);
          const { done, value } = await reader.read();
          const part = done ? undefined : value.subarray(0, left);
          left = part ? left - part.byteLength : 0;
          if (part) controller.enqueue(part);
          else controller.close();
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    ),
  };
}

/** Transports that were given up, by what is seen below them. */
const givenUp = new WeakSet<Transport>();

function watched(inner: Transport): Transport {
  const writer = inner.writable.getWriter();
  writer.closed.catch(() => {});
  const transport: Transport = {
    readable: inner.readable,
    writable: new WritableStream({
      start({ signal }) {
        signal.addEventListener("abort", () => {
          givenUp.add(transport);
          writer.abort(signal.reason).catch(() => {});
        });
      },
      write: (chunk) => writer.write(chunk),
    }),
  };
  return transport;
}

/** The function under test rejects in time, and has given the transport up. */
async function failing(
  assert: Assert,
  role: Role,
  protocol: StartTlsProtocol,
  inner: Transport,
  what: string,
  options: object = {},
): Promise<unknown> {
  const transport = watched(inner);
  const error = await within(rejection(own(role, protocol, transport, options)), 5_000);
  assert.notStrictEqual(error, PENDING, `${what}: it does not hang`);
  assert.true(transport.readable.locked && transport.writable.locked, `${what}: the transport stays locked`);
  assert.true(givenUp.has(transport), `${what}: the transport was given up`);
  return error;
}

function isStartTls(assert: Assert, error: unknown, kind: StartTlsError["kind"], what: string): void {
  if (error instanceof StartTlsError) {
    assert.strictEqual(error.kind, kind, `${what}: ${error.message}`);
    assert.strictEqual(error.code, "protocol", what);
  } else assert.true(false, `${what}: a StartTlsError was expected, not ${String(error)}`);
}

/** TLS on both, and a word each way. */
async function speak(assert: Assert, ours: Transport, theirs: Transport, what: string): Promise<void> {
  const [a, b] = await Promise.all([startTls(ours, client()), acceptTls(theirs, server())]);
  const [, , heard, answered] = await Promise.all([
    write(a.writable, utf8("ping")),
    write(b.writable, utf8("pong")),
    readAtLeast(b.readable, 4),
    readAtLeast(a.readable, 4),
  ]);
  assert.strictEqual(`${text(heard)} ${text(answered)}`, "ping pong", what);
  a.abort();
  b.abort();
}

const ways: Record<string, () => [Transport, Transport]> = {
  "as it comes": () => pair(),
  "without a buffer": () => lockstep(),
  "byte by byte": () => {
    const [a, b] = pair();
    return [oneByte(a), b];
  },
  "in pieces of any size": () => {
    const [a, b] = pair();
    return [randomChunks(a, env.seed, 200), b];
  },
};

QUnit.module("starttls", () => {
  QUnit.test("the protocols", (assert) => {
    assert.deepEqual([...startTlsProtocols].sort(), Object.keys(scripts).sort());
  });

  for (const protocol of startTlsProtocols) {
    QUnit.module(protocol, () => {
      QUnit.test("a client, and TLS after it", async (assert) => {
        for (const [way, open] of Object.entries(ways)) {
          const [ours, theirs] = open();
          const [{ transport }] = await Promise.all([
            own("client", protocol, ours),
            play(theirs, serverTurns(scripts[protocol])),
          ]);
          assert.strictEqual(transport, ours);
          await speak(assert, transport, theirs, way);
        }
      });

      QUnit.test("a server, and TLS after it", async (assert) => {
        for (const [way, open] of Object.entries(ways)) {
          const [ours, theirs] = open();
          const [{ transport }] = await Promise.all([
            own("server", protocol, ours),
            play(theirs, clientTurns[protocol]),
          ]);
          assert.strictEqual(transport, ours);
          await speak(assert, theirs, transport, way);
        }
      });

      QUnit.test("both of ours, with each other", async (assert) => {
        const [ours, theirs] = lockstep();
        const [asked, accepted] = await Promise.all([
          requestStartTls(ours, { protocol, hostname: "localhost", name: "client.test" }),
          acceptStartTls(theirs, { protocol, name: "server.test" }),
        ]);
        assert.deepEqual(asked.greeting, accepted.greeting, "the greeting is told to both");
        assert.strictEqual(asked.greeting.length > 0, !["postgres", "xmpp", "ldap"].includes(protocol));
        await speak(assert, asked.transport, accepted.transport, protocol);
      });

      for (const role of roles) {
        QUnit.test(`a ${role}: bytes behind the consent, or the request, are an attack`, async (assert) => {
          const injected = utf8("a2 OK it was an attacker who said so\r\n");
          const turns = turnsOf(role, protocol).filter(({ say }) => say.length > 0);
          const last = turns.at(-1)!;
          const attacked = [...turns.slice(0, -1), { ...last, say: concat([bytesOf(last.say), injected]) }];
          const [ours, theirs] = pair();
          const played = play(theirs, attacked).catch(() => {});
          if (role === "server" && protocol === "mysql") {
            // There is no consent that a client waits for: what follows is TLS, as far as it is that.
            const { transport } = await own(role, protocol, ours);
            assert.notStrictEqual(transport, ours);
            const error = await rejection(acceptTls(transport, server()));
            assert.strictEqual((error as TlsError).code, "not-tls");
            return;
          }
          const error = await failing(assert, role, protocol, ours, protocol);
          await played;
          isStartTls(assert, error, "injected", protocol);
          assert.strictEqual((error as StartTlsError).reply, text(injected));
        });

        QUnit.test(`a ${role}: the peer ends after any of its bytes`, async (assert) => {
          const turns = turnsOf(role, protocol);
          const length = turns.reduce((sum, { say }) => sum + say.length, 0);
          for (const at of placesIn(length)) {
            const [inner, theirs] = pair();
            const ours = upTo(inner, at, (controller) => controller.close());
            void play(theirs, turns).catch(() => {});
            const error = await failing(assert, role, protocol, ours, `after ${at} bytes`);
            assert.strictEqual((error as TlsError).code, "transport", `after ${at} bytes`);
          }
        });

        QUnit.test(`a ${role}: aborted after any byte of the peer's, or out of time`, async (assert) => {
          const turns = turnsOf(role, protocol);
          const length = turns.reduce((sum, { say }) => sum + say.length, 0);
          for (const at of placesIn(length)) {
            const [inner, theirs] = pair();
            const control = new AbortController();
            const reason = new Error(`no more after ${at} bytes`);
            const late = at % 8 === 0;
            const ours = upTo(inner, at, () => setTimeout(() => late || control.abort(reason)));
            const bounds = { signal: control.signal, ...(late && { timeout: 20 }) };
            void play(theirs, turns).catch(() => {});
            const error = await failing(assert, role, protocol, ours, `after ${at} bytes`, bounds);
            if (late) assert.strictEqual((error as TlsError).code, "timeout", `after ${at} bytes`);
            else assert.strictEqual(error, reason);
          }
        });

        QUnit.test(`a ${role}: what never ends is not heard to its end`, async (assert) => {
          for (const what of [
            "x",
            "220-x\r\n",
            "* x\r\n",
            "a b\r\n",
            "+",
            "<a>",
            "<",
            " ",
            "\0",
            "0",
            "\xff",
          ]) {
            for (const size of [1, 200_000]) {
              const unit = Uint8Array.from(what.repeat(Math.ceil(size / what.length)), (c) =>
                c.charCodeAt(0),
              );
              let given = 0;
              const [inner, theirs] = pair();
              const ours: Transport = {
                writable: inner.writable,
                readable: new ReadableStream(
                  {
                    pull(controller) {
                      const piece = size === 1 ? unit.subarray(given % unit.length).subarray(0, 1) : unit;
                      given += piece.length;
                      controller.enqueue(piece);
                    },
                  },
                  { highWaterMark: 0 },
                ),
              };
              void theirs.readable.pipeTo(new WritableStream()).catch(() => {});
              const where = `${JSON.stringify(what)} in ${size}`;
              const error = await failing(assert, role, protocol, ours, where);
              assert.true(error instanceof StartTlsError, `${where}: ${String(error)}`);
              assert.true(given <= LIMIT + unit.length, `${given} bytes were taken`);
            }
          }
        });

        QUnit.test(`a ${role}: a peer that takes nothing, and one that says nothing`, async (assert) => {
          for (const silent of [true, false]) {
            const [inner, theirs] = pair();
            const { transport: ours } = cloggable(inner, !silent);
            const promise = own(role, protocol, ours, { timeout: 50 });
            promise.catch(() => {});
            if (!silent)
              blurt(
                theirs,
                turnsOf(role, protocol)
                  .slice(0, 1)
                  .map(({ say }) => bytesOf(say)),
              );
            const error = await within(rejection(promise), 5_000);
            assert.strictEqual((error as TlsError).code, "timeout", String(error));
            assert.true(ours.readable.locked && ours.writable.locked);
          }
        });

        QUnit.test(`a ${role}: noise in what the peer says`, async (assert) => {
          const says = turnsOf(role, protocol).map(({ say }) => bytesOf(say));
          const next = random(env.seed);
          const below = (n: number) => Math.floor(next() * n);
          const outcomes = new Set<string>();
          for (let i = 0; i < 80; i++) {
            const noisy = says.map((bytes) => bytes.slice());
            for (let n = 1 + below(3); n > 0; n--) {
              const which = below(noisy.length);
              const bytes = noisy[which]!;
              const at = below(bytes.length + 1);
              const cut = below(2) === 0 ? 1 : 1 + below(8);
              const noise = Uint8Array.from({ length: below(4) }, () => below(256));
              noisy[which] = concat([bytes.subarray(0, at), noise, bytes.subarray(at + below(2) * cut)]);
            }
            const [inner, theirs] = pair();
            const ours = randomChunks(inner, env.seed + i, 1 + below(300));
            const promise = own(role, protocol, ours, { timeout: 1_000 });
            promise.catch(() => {});
            blurt(theirs, noisy);
            // Its end, so that what waits for more has none.
            setTimeout(() => void theirs.writable.close().catch(() => {}), 5);
            const outcome = await within(
              promise.then(
                (result) => result.transport,
                (error) => error,
              ),
              3_000,
            );
            const what = `case ${i} of seed ${env.seed}: ${String(outcome)}`;
            assert.notStrictEqual(outcome, PENDING, what);
            if (outcome instanceof TlsError) {
              assert.true(["protocol", "transport"].includes(outcome.code), what);
              outcomes.add(outcome instanceof StartTlsError ? outcome.kind : outcome.code);
            } else {
              const { readable, writable } = outcome as Transport;
              assert.false(readable.locked || writable.locked, what);
            }
          }
          assert.true(outcomes.size > 0, [...outcomes].join());
        });
      }
    });
  }

  QUnit.test("a reply that is there before its request", async (assert) => {
    for (const protocol of ["smtp", "imap", "pop3", "ftp", "xmpp"] as const) {
      const [ours, theirs] = pair();
      blurt(theirs, [concat(serverTurns(scripts[protocol]).map(({ say }) => bytesOf(say)))]);
      const error = await within(rejection(own("client", protocol, ours)), 5_000);
      isStartTls(assert, error, "injected", protocol);
    }
  });

  QUnit.test("IMAP: what the server says by itself is no reply", async (assert) => {
    const [ours, theirs] = pair();
    const greeting = "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n";
    const turns = [
      { say: `${greeting}* CAPABILITY IMAP4rev1\r\n` },
      { hear: /STARTTLS/, say: "* BYE not yet\r\na1 OK begin\r\n" },
    ];
    const [result] = await Promise.all([own("client", "imap", ours), play(theirs, turns)]);
    assert.strictEqual(text(result.greeting), greeting);
    assert.deepEqual((result as { capabilities?: unknown }).capabilities, ["IMAP4rev1", "STARTTLS"]);
  });

  QUnit.test("what a client is told: the greeting, to the byte, and what is offered", async (assert) => {
    const told = async (protocol: StartTlsProtocol) => {
      const [inner, theirs] = pair();
      const ours = oneByte(inner);
      const [result] = await Promise.all([
        requestStartTls(ours, { protocol, hostname: "localhost" }),
        play(theirs, serverTurns(scripts[protocol])),
      ]);
      return result;
    };
    for (const protocol of startTlsProtocols) {
      const { greeting, capabilities } = await told(protocol);
      assert.deepEqual(greeting, bytesOf(scripts[protocol].greeting ?? "").slice(), protocol);
      const offered = {
        smtp: ["SIZE 1000", "STARTTLS", "HELP"],
        imap: ["IMAP4rev1", "STARTTLS"],
      } as Partial<Record<StartTlsProtocol, string[]>>;
      assert.deepEqual(capabilities, offered[protocol] ?? [], protocol);
    }
  });

  QUnit.test("the names that are said", async (assert) => {
    const heard = async (role: Role, protocol: StartTlsProtocol, options: object) => {
      const [ours, theirs] = pair();
      const control = new AbortController();
      own(role, protocol, ours, { ...options, signal: control.signal }).catch(() => {});
      if (role === "client" && scripts[protocol].greeting !== undefined)
        await write(theirs.writable, bytesOf(scripts[protocol].greeting!));
      if (role === "server" && protocol === "xmpp") await write(theirs.writable, utf8("<stream:stream>"));
      const reader = theirs.readable.getReader();
      const { value } = await reader.read();
      control.abort();
      return text(value!);
    };
    assert.strictEqual(await heard("client", "smtp", {}), "EHLO [127.0.0.1]\r\n");
    assert.strictEqual(await heard("client", "smtp", { name: "me.test" }), "EHLO me.test\r\n");
    assert.true(/ to='bücher\.test' /.test(await heard("client", "xmpp", { hostname: "bücher.test" })));
    for (const protocol of ["smtp", "imap", "pop3", "ftp", "xmpp"] as const) {
      assert.true(/\blocalhost\b/.test(await heard("server", protocol, {})), protocol);
      assert.true(/\bmx\.test\b/.test(await heard("server", protocol, { name: "mx.test" })), protocol);
    }
  });

  QUnit.test("MySQL's greeting cannot be foreseen", async (assert) => {
    const greet = async () => {
      const [ours, theirs] = pair();
      const [result] = await Promise.all([own("server", "mysql", ours), play(theirs, clientTurns.mysql)]);
      return result.greeting;
    };
    const [a, b] = [await greet(), await greet()];
    const data = (greeting: Uint8Array) => [
      // Behind the header, the protocol, its name and the thread; and the second part.
      ...greeting.subarray(21, 29),
      ...greeting.subarray(48, 60),
    ];
    assert.notDeepEqual(data(a), data(b));
    assert.true(
      [...data(a), ...data(b)].every((byte) => byte > 32 && byte < 127),
      "printable, without a NUL",
    );
    assert.strictEqual(latin1(a.subarray(60)), "\0mysql_native_password\0");
  });

  QUnit.test("FTP: a server that asks to wait first", async (assert) => {
    const [ours, theirs] = pair();
    const turns = [
      { say: "120-in a moment\r\n120 or two\r\n220 ready\r\n" },
      { hear: /AUTH TLS/, say: "234 begin\r\n" },
    ];
    await Promise.all([own("client", "ftp", ours), play(theirs, turns)]);
    assert.false(ours.readable.locked);
  });

  QUnit.test("a server that declines, or is another one", async (assert) => {
    const { smtp, xmpp } = scripts;
    const begun = (protocol: StartTlsProtocol, ...turns: Turn[]): [StartTlsProtocol, Turn[]] => [
      protocol,
      turns,
    ];
    const cases: [[StartTlsProtocol, Turn[]], StartTlsError["kind"], RegExp, string][] = [
      [begun("smtp", { say: "554 go away\r\n" }), "refused", /answered 554 go away/, "554 go away"],
      [
        begun("smtp", { say: smtp.greeting! }, { hear: /EHLO/, say: "250-me\r\n250-HELP\r\n250 SIZE 1\r\n" }),
        "refused",
        /not among what it offers \(HELP, SIZE 1\)/,
        "HELP, SIZE 1",
      ],
      [begun("smtp", { say: smtp.greeting! }, { hear: /EHLO/, say: "250 me\r\n" }), "refused", /nothing/, ""],
      [
        begun("smtp", ...serverTurns(smtp).slice(0, 2), { hear: /STARTTLS/, say: "454 not now\r\n" }),
        "refused",
        /454 not now/,
        "454 not now",
      ],
      [begun("imap", { say: "* PREAUTH welcome\r\n" }), "refused", /PREAUTH/, "* PREAUTH welcome"],
      [
        begun("imap", { say: "* OK\r\n" }, { hear: /STARTTLS/, say: "a1 BAD what?\r\n" }),
        "refused",
        /BAD what/,
        "a1 BAD what?",
      ],
      [begun("pop3", { say: "-ERR busy\r\n" }), "refused", /busy/, "-ERR busy"],
      [
        begun("ftp", { say: "220 \r\n" }, { hear: /AUTH/, say: "502 what?\r\n" }),
        "refused",
        /502/,
        "502 what?",
      ],
      [begun("postgres", { hear: /./, say: "N" }), "refused", /no TLS/, "N"],
      [begun("postgres", { hear: /./, say: "E\0\0\0\x50SFATAL\0" }), "refused", /an error/, "E"],
      [begun("postgres", { hear: /./, say: "H" }), "malformed", /"H"/, "H"],
      [begun("mysql", { say: mysqlGreeting(0xffff & ~0x800) }), "refused", /no TLS/, ""],
      [
        begun("mysql", { say: Uint8Array.from("\x0b\0\0\0\xff\x10\x04too many", (c) => c.charCodeAt(0)) }),
        "refused",
        /too many/,
        "too many",
      ],
      [begun("mysql", { say: "\x04\0\0\0\n8.0" }), "malformed", /cut short/, ""],
      [begun("mysql", { say: "\x01\0\0\0\x09" }), "malformed", /protocol 9/, ""],
      [begun("mysql", { say: "HTTP/1.1 400\r\n" }), "malformed", /number 0/, ""],
      [
        begun("xmpp", { hear: /<stream/, say: xmppFeatures("<mechanisms/>") }),
        "refused",
        /not among what it offers \(.*mechanisms\)/,
        "?xml, stream, features, mechanisms",
      ],
      [
        begun("xmpp", { hear: /<stream/, say: "<stream:stream><stream:features/>" }),
        "refused",
        /not among/,
        "stream",
      ],
      [
        begun("xmpp", {
          hear: /<stream/,
          say: "<stream:stream><stream:error><host-unknown/></stream:error>",
        }),
        "refused",
        /the error host-unknown/,
        "host-unknown",
      ],
      [
        begun("xmpp", serverTurns(xmpp)[0]!, {
          hear: /starttls/,
          say: "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        }),
        "refused",
        /failure/,
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
      ],
      [begun("xmpp", { hear: /<stream/, say: "220 <hello> there" }), "refused", /./, "hello"],
      [begun("ldap", { hear: /1466/, say: ldapAnswer(2) }), "refused", /result 2/, "2"],
      [begun("ldap", { hear: /1466/, say: "HTTP/1.1 400 Bad Request\r\n" }), "malformed", /no LDAP/, ""],
      [begun("ldap", { hear: /1466/, say: "0\x80\0\0" }), "malformed", /definite length/, ""],
      [begun("ldap", { hear: /1466/, say: "0\x05\x02\x01\x02x\0" }), "malformed", /no answer/, ""],
      [begun("ldap", { hear: /1466/, say: "0\x05\x02\x01\x01x\0" }), "malformed", /no result/, ""],
    ];
    for (const [[protocol, turns], kind, message, reply] of cases) {
      const [ours, theirs] = pair();
      const promise = own("client", protocol, ours);
      promise.catch(() => {});
      await play(
        theirs,
        turns.map((turn) => ({
          ...turn,
          say: typeof turn.say === "string" ? Uint8Array.from(turn.say, (c) => c.charCodeAt(0)) : turn.say,
        })),
      );
      if (protocol === "xmpp" && reply === "hello") await theirs.writable.close();
      const error = await rejection(promise);
      if (reply === "hello") {
        assert.strictEqual((error as TlsError).code, "transport", String(error));
        continue;
      }
      isStartTls(assert, error, kind, protocol);
      assert.true(message.test((error as Error).message), (error as Error).message);
      assert.strictEqual((error as StartTlsError).reply, reply, (error as Error).message);
      assert.strictEqual((error as StartTlsError).protocol, protocol);
    }
  });

  QUnit.test("a client that does not ask for TLS", async (assert) => {
    const cases: [StartTlsProtocol, string, StartTlsError["kind"]][] = [
      ["smtp", "QUIT\r\n", "refused"],
      ["imap", "a LOGOUT\r\n", "refused"],
      ["pop3", "QUIT\r\n", "refused"],
      ["ftp", "QUIT\r\n", "refused"],
      ["postgres", "\0\0\0\x17\0\x03\0\0", "refused"],
      ["postgres", "\x16\x03\x01\0\x80\x01\0\0", "refused"],
      ["mysql", `\x20\0\0\x01\0\x82${"\0".repeat(30)}`, "refused"],
      ["mysql", `\x21\0\0\x01${"\0".repeat(33)}`, "refused"],
      ["xmpp", "<stream:stream><iq/>", "refused"],
      ["xmpp", "<iq/>", "malformed"],
      ["xmpp", "<stream:stream>hello<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "refused"],
      ["ldap", "0\x0c\x02\x01\x02`\x07\x02\x01\x03\x04\0\x80\0", "refused"],
      // Some other extended request, in whose value the name stands.
      ["ldap", "0\x20\x02\x01\x01w\x1b\x80\x011\x81\x161.3.6.1.4.1.1466.20037", "refused"],
      ["ldap", "GET / HTTP/1.0\r\n", "malformed"],
    ];
    for (const [protocol, says, kind] of cases) {
      const [ours, theirs] = pair();
      blurt(theirs, [Uint8Array.from(says, (c) => c.charCodeAt(0))]);
      const error = await within(rejection(own("server", protocol, ours)), 5_000);
      isStartTls(assert, error, kind, `${protocol}: ${JSON.stringify(says)}`);
    }
  });

  QUnit.test("a transport that fails", async (assert) => {
    for (const role of roles) {
      const cause = new Error("the cable is cut");
      const broken: Transport = {
        readable: new ReadableStream({ pull: (controller) => controller.error(cause) }, { highWaterMark: 0 }),
        writable: new WritableStream(),
      };
      const error = (await rejection(own(role, "smtp", broken))) as TlsError;
      assert.strictEqual(error.code, "transport");
      assert.strictEqual(error.cause, cause);
      assert.true(/the cable is cut/.test(error.message) && /smtp/.test(error.message), error.message);
      const stuck: Transport = {
        readable: new ReadableStream({ pull: () => new Promise(() => {}) }, { highWaterMark: 0 }),
        writable: new WritableStream({
          write: () => new Promise(() => {}),
          abort: () => new Promise(() => {}),
        }),
      };
      const reason = new Error("enough");
      const control = new AbortController();
      const promise = own(role, "smtp", stuck, { signal: control.signal });
      await sleep(5);
      control.abort(reason);
      assert.strictEqual(await within(rejection(promise), 1_000), reason, "nothing of it answers");
    }
  });

  QUnit.test("what cannot work is said at once, and nothing is touched", async (assert) => {
    const [ours] = pair();
    const bad: [Role, object, RegExp][] = [
      ["client", { protocol: "nntp" }, /protocol must be "smtp" or .*not "nntp"/],
      ["client", { protocol: undefined }, /protocol/],
      ["client", { protocol: "smtp", timeout: 0 }, /timeout/],
      ["client", { protocol: "smtp", timeout: Number.NaN }, /timeout/],
      ["client", { protocol: "smtp", timeout: "5" }, /timeout/],
      ["client", { protocol: "smtp", signal: "x" }, /signal/],
      ["client", { protocol: "smtp", name: "me\r\nMAIL FROM:<a>" }, /name/],
      ["client", { protocol: "smtp", name: "" }, /name/],
      ["client", { protocol: "smtp", name: 7 }, /name/],
      ["client", { protocol: "xmpp", hostname: undefined }, /hostname is missing/],
      ["client", { protocol: "xmpp", hostname: "a' to='b" }, /hostname/],
      ["server", { protocol: "smtp", name: "mx\n" }, /name/],
      ["server", { protocol: "xmpp", name: "<mx>" }, /name/],
      ["server", { protocol: "toString" }, /protocol/],
      [
        "client",
        { protocol: "smtp", timout: 5 },
        /timout is no option of requestStartTls: did you mean timeout/,
      ],
      ["server", { protocol: "smtp", host: "x" }, /host is no option of acceptStartTls/],
    ];
    for (const [role, options, message] of bad) {
      const error = (await rejection(own(role, "smtp", ours, options))) as TlsError;
      assert.strictEqual(error.code, "invalid-argument", JSON.stringify(options));
      assert.true(message.test(error.message), error.message);
      assert.false(ours.readable.locked || ours.writable.locked);
    }
    const reader = ours.readable.getReader();
    const locked = (await rejection(own("client", "smtp", ours))) as TlsError;
    assert.strictEqual(locked.code, "invalid-argument");
    assert.false(ours.writable.locked, "and the other one is not locked for it");
    reader.releaseLock();
    const reason = new Error("before it began");
    assert.strictEqual(
      await rejection(own("client", "smtp", ours, { signal: AbortSignal.abort(reason) })),
      reason,
    );
    assert.false(ours.readable.locked || ours.writable.locked);
    const none = (await rejection(
      requestStartTls(undefined as unknown as Transport, { protocol: "smtp" }),
    )) as TlsError;
    assert.strictEqual(none.code, "invalid-argument");
  });

  QUnit.test("MySQL: TLS that follows the request at once, however much of it", async (assert) => {
    const [inner, theirs] = pair({ capacity: 1_000_000 });
    const more = new Uint8Array(100_000).fill(22);
    const promise = own("server", "mysql", inner);
    await play(theirs, [
      { ...clientTurns.mysql[0]!, say: concat([bytesOf(clientTurns.mysql[0]!.say), more]) },
    ]);
    const { transport } = await promise;
    assert.deepEqual(await readAtLeast(transport.readable, more.length), more);
    await theirs.writable.close();
    const { done } = await transport.readable.getReader().read();
    assert.true(done, "and its end follows");
    assert.false(transport.writable.locked);
  });
});
