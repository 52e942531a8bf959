/** STARTTLS of `wassl connect`: against servers made here, which do it right, decline, or are being attacked. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import QUnit from "qunit";
import {
  type Bytes,
  ldapAnswer,
  ldapLongAnswer,
  ldapRequest,
  mysqlGreeting,
  type Script,
  scripts,
  xmppFeatures,
} from "../fakes/starttls.ts";
import { certFile, Run } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";

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
  for (const [protocol, script] of Object.entries(scripts)) {
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
    const { smtp, xmpp } = scripts;
    const cases: [string, Script, RegExp][] = [
      ["smtp", { greeting: "554 go away\r\n", steps: [[/^$/, ""]] }, /554 go away/],
      [
        "smtp",
        {
          ...smtp,
          steps: [
            [/EHLO/, "250-me\r\n250 HELP\r\n"],
            [/^$/, ""],
          ],
        },
        /not among/,
      ],
      ["smtp", { ...smtp, steps: [smtp.steps[0]!, [/STARTTLS/, "454 not now\r\n"]] }, /454 not now/],
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
        { steps: [xmpp.steps[0]!, [/starttls/, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"]] },
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
