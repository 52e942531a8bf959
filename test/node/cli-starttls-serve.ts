/** STARTTLS of `wassl serve`: to openssl s_client, to our own client, and to clients that do it wrong. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import QUnit from "qunit";
import { certFile, Run, serveWith } from "../helpers/cli.ts";
import { afterTest } from "../helpers/env.ts";

const protocols = ["smtp", "imap", "pop3", "ftp", "postgres", "mysql", "xmpp", "ldap"];

const ldapRequest = "0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037";
const ldapAnswer = "0\x0c\x02\x01\x01x\x07\n\x01\0\x04\0\x04\0";

/** Says something in the clear, in pieces with a pause between, and hears all that comes of it. */
async function clear(port: number, ...pieces: string[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  afterTest(() => socket.destroy());
  socket.on("error", () => {});
  let heard = "";
  socket.on("data", (chunk) => {
    heard += chunk.toString("latin1");
  });
  const closed = once(socket, "close");
  for (const piece of pieces) {
    socket.write(Buffer.from(piece, "latin1"));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  socket.end();
  await closed;
  return heard;
}

QUnit.module("wassl serve --starttls", () => {
  for (const protocol of protocols) {
    QUnit.test(`${protocol}: openssl, and our own`, async (assert) => {
      const { server, port } = await serveWith(["--echo", "--starttls", protocol, "--naccept", "2"]);
      const args = ["-connect", `127.0.0.1:${port}`, "-starttls", protocol, "-name", "localhost", "-quiet"];
      const child = spawn("openssl", [
        "s_client",
        ...args,
        "-CAfile",
        certFile("ca"),
        "-verify_return_error",
      ]);
      afterTest(() => child.kill("SIGKILL"));
      child.stdin.write("hello\n");
      const [said] = await Promise.race([once(child.stdout, "data"), once(child, "close")]);
      assert.strictEqual(String(said), "hello\n");
      child.kill();

      const own = ["connect", `localhost:${port}`, "--ca", certFile("ca"), "--starttls", protocol];
      const client = new Run(own, { stdin: ["hello\n"] });
      assert.strictEqual(await client.ended, 0, client.text);
      assert.strictEqual(client.out, "hello\n");
      await server.ended;
      // That of the other one may come later: it was killed.
      const ended = server.lines.find(({ type, connection }) => type === "ended" && connection === 2);
      assert.strictEqual(ended?.exitCode, 0, server.text);
      assert.strictEqual((await server.line("starttls")).protocol, protocol);
    });
  }

  QUnit.test("bytes behind the request are an attack, and not answered", async (assert) => {
    for (const [protocol, said, heard] of [
      ["smtp", ["STARTTLS\r\nMAIL FROM:<attacker>\r\n"], /^220 [^\n]*\n$/],
      ["imap", ["a STARTTLS\r\nb LOGIN attacker x\r\n"], /^\* OK [^\n]*\n$/],
      ["pop3", ["STLS\r\nUSER attacker\r\n"], /^\+OK [^\n]*\n$/],
      ["ftp", ["AUTH TLS\r\nUSER attacker\r\n"], /^220 [^\n]*\n$/],
      ["postgres", ["\0\0\0\x08\x04\xd2\x16\x2fQ\0\0\0\x0cSELECT 1\0"], /^$/],
      [
        "xmpp",
        ["<stream:stream to='x'>", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><iq/>"],
        /^<((?!proceed)[\s\S])*$/,
      ],
      ["ldap", [`${ldapRequest}0\x05\x02\x01\x03B\0`], /^$/],
    ] as const) {
      const { server, port } = await serveWith(["--echo", "--starttls", protocol, "--naccept", "1"]);
      const answer = await clear(port, ...said);
      assert.true(heard.test(answer), `${protocol}: ${answer}`);
      assert.strictEqual(await server.ended, 1, server.text);
      const ended = JSON.stringify(server.lines.find(({ type }) => type === "ended"));
      assert.true(/"code":"protocol"/.test(ended) && /injection/.test(ended), ended);
    }
  });

  QUnit.test(
    "what is asked for before TLS is declined; who does not ask for TLS is let go",
    async (assert) => {
      for (const [protocol, said, heard] of [
        [
          "smtp",
          ["EHLO x\r\nMAIL FROM:<a>\r\nQUIT\r\n"],
          /^220 .*\r\n250-wassl\r\n250 STARTTLS\r\n530 .*\r\n221 /,
        ],
        [
          "imap",
          ["a CAPABILITY\r\nb LOGIN a b\r\n*\r\nc LOGOUT\r\n"],
          /STARTTLS LOGINDISABLED\r\na OK .*\r\nb NO .*\r\n\* BAD .*\r\n\* BYE\r\nc OK/,
        ],
        ["pop3", ["CAPA\r\nUSER a\r\nQUIT\r\n"], /^\+OK .*\r\n\+OK\r\nSTLS\r\n\.\r\n-ERR .*\r\n\+OK /],
        [
          "ftp",
          ["FEAT\r\nUSER a\r\nQUIT\r\n"],
          /^220 .*\r\n211-.*\r\n AUTH TLS\r\n211 End\r\n534 .*\r\n221 /,
        ],
        ["postgres", ["\0\0\0\x08\x04\xd2\x16\x30", "\0\0\0\x17\0\x03\0\0"], /^N$/],
        ["mysql", ["\x05\0\0\x01hello"], /^[\s\S]{4}\n8\.0/],
        ["mysql", [` \0\0\x01\0\x82\0\0\0\0\0\x01-${"\0".repeat(23)}`], /^[\s\S]{4}\n8\.0/],
        ["xmpp", ["<stream:stream>", "<iq type='get'></iq>"], /<starttls .*<required\/>/],
        ["ldap", ["0\x0c\x02\x01\x02`\x07\x02\x01\x03\x04\0\x80\0"], /^$/],
        ["smtp", [`EHLO ${"x".repeat(20_000)}`], /^220/],
      ] as const) {
        const { server, port } = await serveWith(["--echo", "--starttls", protocol, "--naccept", "1"]);
        const answer = await clear(port, ...said);
        assert.true(heard.test(answer), `${protocol}: ${JSON.stringify(answer)}`);
        assert.strictEqual(await server.ended, 1, server.text);
        const ended = JSON.stringify(server.lines.find(({ type }) => type === "ended"));
        assert.true(/"code":"protocol"/.test(ended) && /the client/.test(ended), ended);
      }
    },
  );

  QUnit.test("ldap: the answer has the number of the request", async (assert) => {
    const { port } = await serveWith(["--echo", "--starttls", "ldap"]);
    // Behind it comes an alert, since no TLS followed.
    assert.strictEqual((await clear(port, ldapRequest)).slice(0, 14), ldapAnswer);
    const other = ldapRequest.replace("0\x1d\x02\x01\x01", "0\x1e\x02\x02\x01\x07");
    assert.strictEqual(
      (await clear(port, other)).slice(0, 15),
      ldapAnswer.replace("0\x0c\x02\x01\x01", "0\x0d\x02\x02\x01\x07"),
    );
  });

  QUnit.test(
    "who says nothing, and who only asks for TLS, are waited for so long, and it can be ended",
    async (assert) => {
      for (const said of ["", "STARTTLS\r\n"]) {
        const { server, port } = await serveWith(["--starttls", "smtp", "--timeout", "0.2"]);
        const socket = connect(port, "127.0.0.1", () => socket.write(said));
        afterTest(() => socket.destroy());
        assert.strictEqual(await server.ended, 5, server.text);
      }
      const { server, port } = await serveWith(["--starttls", "smtp"]);
      const socket = connect(port, "127.0.0.1");
      afterTest(() => socket.destroy());
      await once(socket, "data");
      server.interrupt();
      assert.strictEqual(await server.ended, 130, server.text);
    },
  );
});
