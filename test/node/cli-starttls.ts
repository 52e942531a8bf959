/** STARTTLS of `wassl connect`: against servers made here, which do it right, decline, or are being attacked. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import QUnit from "qunit";
import { afterTest, env } from "../contract/env.ts";
import { certFile, Run } from "../fakes/cli.ts";

type Bytes = string | Uint8Array;

/** What a server says, and after which request (as characters, a byte each) it says more. The last one is its consent. */
interface Script {
  greeting?: Bytes;
  steps: Step[];
  /** The steps of `openssl s_client`, where they are others. */
  openssl?: Step[];
}

type Step = [request: RegExp, answer: Bytes];

const ldapRequest = exactly("0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037");
const ldapAnswer = (result: number) => Uint8Array.of(0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, result, 4, 0, 4, 0);
const ldapLongAnswer = Uint8Array.of(
  0x30,
  0x84,
  0,
  0,
  0,
  16,
  2,
  1,
  1,
  0x78,
  0x84,
  0,
  0,
  0,
  7,
  10,
  1,
  0,
  4,
  0,
  4,
  0,
);

function exactly(characters: string, end = "$"): RegExp {
  return new RegExp(`^${characters.replace(/[.\\/]/g, "\\$&")}${end}`);
}

/** As MySQL 8 and MariaDB 11 greet. */
function mysqlGreeting(capabilities: number): Uint8Array {
  const payload = [10, ...new TextEncoder().encode("8.0.36\0"), 1, 0, 0, 0, ...new Array(8).fill(65), 0];
  payload.push(capabilities & 255, capabilities >> 8, 45, 2, 0, 0xff, 0xdf, 21, ...new Array(10).fill(0));
  payload.push(...new Array(12).fill(66), 0, ...new TextEncoder().encode("mysql_native_password\0"));
  return Uint8Array.of(payload.length, 0, 0, 0, ...payload);
}

const xmppHeader =
  "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='localhost' version='1.0'>";
const xmppFeatures = (inside: string) => `${xmppHeader}<stream:features>${inside}</stream:features>`;
const xmppStarttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
const xmppProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

const good: Record<string, Script> = {
  smtp: {
    greeting: "220-mail.wassl.test\r\n220 ESMTP\r\n",
    steps: [
      [/^EHLO \S+\r\n$/, "250-mail.wassl.test\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 HELP\r\n"],
      [/^STARTTLS\r\n$/, "220 go ahead\r\n"],
    ],
  },
  imap: {
    greeting: "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
    steps: [[/^a1 STARTTLS\r\n$/, "* OK by the way\r\na1 OK begin\r\n"]],
    openssl: [
      [/^\. CAPABILITY\r\n$/, "* CAPABILITY IMAP4rev1 STARTTLS\r\n. OK\r\n"],
      [/^\. STARTTLS\r\n$/, ". OK begin\r\n"],
    ],
  },
  pop3: { greeting: "+OK ready\r\n", steps: [[/^STLS\r\n$/, "+OK begin\r\n"]] },
  ftp: {
    greeting: "220-Welcome\r\n all kinds of things, 220 of them\r\n220 ready\r\n",
    steps: [[/^AUTH TLS\r\n$/, "234 begin\r\n"]],
  },
  postgres: { steps: [[exactly("\0\0\0\x08\x04\xd2\x16\x2f"), "S"]] },
  // It says no more than its greeting: TLS begins right behind the request.
  mysql: {
    greeting: mysqlGreeting(0xffff),
    steps: [[exactly(` \0\0\x01\0\x8a\0\0\0\0\0\x01-${"\0".repeat(23)}`, ""), ""]],
    // Its own capabilities, among them 0x800, and another character set.
    openssl: [[exactly(` \0\0\x01\x85\xae\x7f\0\0\0\0\x01!${"\0".repeat(23)}`, ""), ""]],
  },
  xmpp: {
    steps: [
      [/^<\?xml [\s\S]*<stream:stream [^>]*to='localhost'[^>]*>$/, xmppFeatures(xmppStarttls)],
      [/^<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'\/>$/, xmppProceed],
    ],
    // It leaves out the declaration, as it may.
    openssl: [
      [/^<stream:stream [^>]*to='localhost'[^>]*>$/, xmppFeatures(xmppStarttls)],
      [/^<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'\/>$/, xmppProceed],
    ],
  },
  ldap: { steps: [[ldapRequest, ldapAnswer(0)]] },
};

/** It plays the script, and is an echo in TLS then. `consent` is what it does with the last answer. */
async function serverWith(
  script: Script,
  consent?: (socket: Socket, answer: Bytes) => void,
): Promise<number> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    afterTest(() => socket.destroy());
    socket.on("error", () => {});
    const steps = [...script.steps];
    let said = "";
    if (script.greeting !== undefined)
      (steps.length > 0 || !consent ? write : consent)(socket, script.greeting);
    const onData = (chunk: Buffer) => {
      said += chunk.toString("latin1");
      const [pattern, answer] = steps[0] ?? [];
      const found = pattern && said.match(pattern);
      if (!found || answer === undefined) return;
      const rest = said.slice(found[0].length);
      said = "";
      steps.shift();
      if (steps.length > 0) return write(socket, answer);
      socket.off("data", onData);
      if (consent) return consent(socket, answer);
      write(socket, answer);
      socket.pause();
      if (rest) socket.unshift(Buffer.from(rest, "latin1"));
      const { chains, keys } = env.certs;
      const tls = new TLSSocket(socket, { isServer: true, cert: chains.ecdsa, key: keys.ecdsa });
      tls.on("error", () => {});
      tls.pipe(tls);
    };
    socket.on("data", onData);
  });
  server.listen(0, "127.0.0.1");
  afterTest(() => server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function write(socket: Socket, bytes: Bytes): void {
  if (bytes.length > 0) socket.write(bytes);
}

function start(protocol: string, port: number, ...more: string[]): Run {
  const args = ["connect", `localhost:${port}`, "--ca", certFile("ca"), "--starttls", protocol, ...more];
  return new Run(args, { stdin: ["hello\n"] });
}

QUnit.module("wassl connect --starttls", () => {
  for (const [protocol, script] of Object.entries(good)) {
    QUnit.test(`${protocol}: TLS after it`, async (assert) => {
      const run = start(protocol, await serverWith(script));
      assert.strictEqual(await run.ended, 0, run.text);
      assert.strictEqual(run.out, "hello\n");
      assert.strictEqual((await run.line("starttls")).protocol, protocol);
    });

    QUnit.test(`${protocol}: our server is one for openssl too`, async (assert) => {
      const port = await serverWith({ ...script, steps: script.openssl ?? script.steps });
      const args = ["-connect", `127.0.0.1:${port}`, "-starttls", protocol, "-name", "localhost", "-quiet"];
      const child = spawn("openssl", ["s_client", ...args, "-CAfile", certFile("ca")]);
      afterTest(() => child.kill("SIGKILL"));
      child.stdin.write("hello\n");
      const [said] = await Promise.race([once(child.stdout, "data"), once(child, "close")]);
      assert.strictEqual(String(said), "hello\n");
      child.kill();
    });

    QUnit.test(`${protocol}: bytes behind the consent are an attack`, async (assert) => {
      const injected = new TextEncoder().encode("a2 OK it was an attacker who said so\r\n");
      const behind = (socket: Socket, answer: Bytes) =>
        socket.write(Buffer.concat([Buffer.from(answer), injected]));
      // MySQL's server does not answer: it can only be behind the greeting.
      const attacked =
        protocol === "mysql"
          ? { ...script, greeting: Buffer.concat([script.greeting as Uint8Array, injected]) }
          : script;
      const run = start(protocol, await serverWith(attacked, behind));
      assert.strictEqual(await run.ended, 1, run.text);
      assert.true(/injection/.test(run.outcome.error!.message), run.text);
      assert.strictEqual(run.out, "", "none of it is shown");
      assert.false(
        run.lines.some(({ type }) => type === "handshake-start"),
        "and no TLS begun",
      );
    });

    QUnit.test(`${protocol}: in bytes that arrive one by one`, async (assert) => {
      const trickle = async (socket: Socket, bytes: Bytes) => {
        for (const byte of Buffer.from(bytes)) {
          socket.write(Uint8Array.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
        socket.end();
      };
      // Only up to the consent, after which it hangs up.
      const run = start(protocol, await serverWith(script, trickle));
      assert.strictEqual(await run.ended, 1, run.text);
      assert.true(
        run.lines.some(({ type }) => type === "handshake-start"),
        run.text,
      );
    });

    QUnit.test(`${protocol}: a server that hangs up, or says nothing`, async (assert) => {
      const run = start(protocol, await serverWith(script, (socket) => socket.end()));
      assert.strictEqual(await run.ended, 1, run.text);
      const silent = start(protocol, await serverWith({ steps: [[/^never$/, ""]] }), "--timeout", "0.1");
      assert.strictEqual(await silent.ended, 5, silent.text);
    });
  }

  QUnit.test("a server that declines", async (assert) => {
    const { smtp, xmpp } = good;
    const cases: [string, Script, RegExp][] = [
      ["smtp", { greeting: "554 go away\r\n", steps: [[/^$/, ""]] }, /554 go away/],
      [
        "smtp",
        {
          ...smtp!,
          steps: [
            [/EHLO/, "250-me\r\n250 HELP\r\n"],
            [/^$/, ""],
          ],
        },
        /not among/,
      ],
      ["smtp", { ...smtp!, steps: [smtp!.steps[0]!, [/STARTTLS/, "454 not now\r\n"]] }, /454 not now/],
      ["imap", { greeting: "* PREAUTH welcome\r\n", steps: [[/^$/, ""]] }, /PREAUTH/],
      ["imap", { greeting: "* OK\r\n", steps: [[/STARTTLS/, "a1 BAD what?\r\n"]] }, /BAD what/],
      ["pop3", { greeting: "+OK\r\n", steps: [[/STLS/, "-ERR what?\r\n"]] }, /-ERR what/],
      ["ftp", { greeting: "220 \r\n", steps: [[/AUTH/, "502 what?\r\n"]] }, /502 what/],
      ["postgres", { steps: [[/./, "N"]] }, /no TLS/],
      ["postgres", { steps: [[/./, "E"]] }, /E/],
      ["mysql", { greeting: mysqlGreeting(0xffff & ~0x800), steps: [[/^$/, ""]] }, /no TLS/],
      [
        "mysql",
        { greeting: Buffer.from("\x0b\0\0\0\xff\x10\x04too many", "latin1"), steps: [[/^$/, ""]] },
        /too many/,
      ],
      [
        "xmpp",
        {
          steps: [
            [/<stream/, xmppFeatures("<mechanisms/>")],
            [/^$/, ""],
          ],
        },
        /not among/,
      ],
      [
        "xmpp",
        { steps: [xmpp!.steps[0]!, [/starttls/, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"]] },
        /failure/,
      ],
      ["ldap", { steps: [[/1466/, ldapAnswer(2)]] }, /result 2/],
      ["ldap", { steps: [[/1466/, "HTTP/1.1 400 Bad Request\r\n"]] }, /no LDAP/],
      ["smtp", { greeting: "220-x\r\n".repeat(20_000), steps: [[/^$/, ""]] }, /too much/],
    ];
    for (const [protocol, script, message] of cases) {
      const answer = (socket: Socket, bytes: Bytes) => write(socket, bytes);
      const run = start(protocol, await serverWith(script, answer));
      assert.strictEqual(await run.ended, 1, run.text);
      assert.true(message.test(run.outcome.error!.message), `${protocol}: ${run.text}`);
    }
  });

  QUnit.test("what it says cannot command the terminal", async (assert) => {
    const greeting = Buffer.from("554 \x1b[2J\x9b2J\x7f\x07\r\n", "latin1");
    const script: Script = { greeting, steps: [[/^$/, ""]] };
    for (const words of [true, false]) {
      const port = await serverWith(script, write);
      const run = new Run(["connect", `localhost:${port}`, "--starttls", "smtp"], { words });
      assert.strictEqual(await run.ended, 1, run.text);
      assert.true(/554 .*\[2J.*2J/.test(run.text), run.text);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is meant
      assert.false(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(run.text), JSON.stringify(run.text));
      if (!words)
        assert.true(run.outcome.error?.message.includes("\x1b[2J\x9b2J\x7f\x07"), "it is all there");
    }
  });

  QUnit.test("ldap: lengths in several bytes, as some servers write them", async (assert) => {
    const run = start("ldap", await serverWith({ steps: [[ldapRequest, ldapLongAnswer]] }));
    assert.strictEqual(await run.ended, 0, run.text);
  });
});
