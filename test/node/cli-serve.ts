/** `wassl serve`: to the clients of the world, how it ends, and each of its options. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { get } from "node:https";
import { connect as netConnect } from "node:net";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import QUnit from "qunit";
import { sleep } from "../helpers/basics.ts";
import { certFile, Run, serveWith } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";
import { browser } from "../peers/browser.ts";

const run = promisify(execFile);

/** A client that connects, says `text`, and tells all that it gets to the end. */
async function node(
  port: number,
  text: string,
  options: object = {},
): Promise<{ said: string; tls: TLSSocket; tickets: number }> {
  let tickets = 0;
  const tls = connect({ port, host: "127.0.0.1", servername: "localhost", ca: env.certs.caPem, ...options });
  tls.on("session", () => tickets++);
  afterTest(() => tls.destroy());
  await once(tls, "secureConnect");
  tls.write(text);
  let said = "";
  for await (const chunk of tls) said += chunk;
  return { said, tls, tickets };
}

/** What a program says that is given those lines, once it has said `ready`; its exit code must be 0. */
async function program(command: string, args: string[], lines: string[], ready = ""): Promise<string> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  afterTest(() => child.kill("SIGKILL"));
  child.stdin.on("error", () => {});
  let output = "";
  const wait = async (text: string) => {
    while (!output.includes(text)) await sleep(5);
  };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const closed = once(child, "close");
  const typing = async () => {
    await wait(ready);
    for (const line of lines) {
      child.stdin.write(line);
      // gnutls-cli looks only at the first of those that come together.
      await sleep(50);
    }
    await wait("</html>");
    child.stdin.end();
  };
  await Promise.race([closed, typing()]);
  const [code] = await closed;
  if (code !== 0) throw new Error(`${command} ended with ${code}:\n${output}`);
  return output;
}

const requestLines = ["GET /some/path?a=<b> HTTP/1.0\r\n", "\r\n"];
const request = requestLines.join("");

QUnit.module("wassl serve", () => {
  QUnit.test("--www: curl, openssl, gnutls, python, Node.js", async (assert) => {
    const { server, port } = await serveWith(["--www", "--naccept", "7"]);
    const url = `https://localhost:${port}/`;
    const page = /<h1>wassl serve<\/h1>.*TLSv1\.[23]/s;
    for (const version of ["--tlsv1.3", "--tls-max=1.2"]) {
      const flags = version === "--tlsv1.3" ? [version] : ["--tls-max", "1.2"];
      const { stdout } = await run("curl", ["-sS", "--fail", ...flags, "--cacert", certFile("ca"), url]);
      assert.true(page.test(stdout), `curl ${version}: ${stdout}`);
    }
    const ca = certFile("ca");
    const openssl = ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", ca, "-verify_return_error"];
    const said = await program("openssl", [...openssl, "-servername", "localhost", "-ign_eof"], requestLines);
    assert.true(page.test(said) && /&#60;b&#62;/.test(said), `openssl: ${said}`);
    const gnutls = ["--x509cafile", ca, "--port", String(port), "localhost"];
    const other = await program("gnutls-cli", gnutls, requestLines, "Simple Client Mode");
    assert.true(page.test(other), `gnutls: ${other}`);
    const python = await program("python3", ["-c", pythonClient, ca, String(port)], []);
    assert.true(page.test(python) && /unwrapped/.test(python), `python: ${python}`);
    const { said: raw } = await node(port, request);
    assert.true(/^HTTP\/1\.1 200 OK\r\n/.test(raw) && page.test(raw), `tls: ${raw}`);

    const answer = await new Promise<string>((resolve, reject) => {
      get(url, { ca: env.certs.caPem, agent: false }, async (response) => {
        let text = "";
        for await (const chunk of response) text += chunk;
        resolve(`${response.statusCode} ${response.complete} ${text}`);
      }).on("error", reject);
    });
    assert.true(answer.startsWith("200 true <!doctype html>"), `node:https: ${answer}`);

    assert.strictEqual(await server.ended, 0, server.text);
    assert.strictEqual(server.outcome.connections, 7);
    const ends = server.lines.filter(({ type }) => type === "ended");
    assert.strictEqual(ends.length, 7);
    for (const end of ends) assert.strictEqual(end.exitCode, 0, JSON.stringify(end));
  });

  QUnit.test("--www: Chromium", async (assert) => {
    const { server, port } = await serveWith(["--www", "--alpn", "http/1.1"]);
    const page = await (await browser()).newPage();
    afterTest(() => page.close());
    const response = await page.goto(`https://localhost:${port}/path`);
    assert.strictEqual(response?.status(), 200);
    assert.strictEqual(await page.textContent("h1"), "wassl serve");
    const cells = await page.locator("td").allTextContents();
    assert.strictEqual(cells[0], "/path");
    assert.true(cells.includes("TLSv1.3") && cells.includes("http/1.1"), cells.join());
    await page.reload();
    assert.strictEqual(await page.textContent("h1"), "wassl serve", "and again");
    server.interrupt();
    assert.strictEqual(await server.ended, 0, server.text);
  });

  QUnit.test("--www answers GET and HEAD, and says no to the rest", async (assert) => {
    const { port } = await serveWith(["--www"]);
    for (const [request, answer] of [
      ["HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s],
      ["POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", /^HTTP\/1\.1 405 .*Allow: GET, HEAD\r\n/s],
      ["hello\r\n\r\n", /^HTTP\/1\.1 400 /],
      [`GET /${"x".repeat(70_000)}`, /^HTTP\/1\.1 400 /],
    ] as const) {
      const { said } = await node(port, request);
      assert.true(answer.test(said), said);
    }
  });

  QUnit.test("--echo and --rev, with --naccept", async (assert) => {
    for (const [mode, answer] of [
      ["--echo", "hello\nthere\nend"],
      ["--rev", "olleh\nereht\ndne"],
    ] as const) {
      const { server, port } = await serveWith([mode, "--naccept", "2"]);
      for (let i = 0; i < 2; i++) {
        const client = new Run(["connect", `localhost:${port}`, "--ca", certFile("ca")], {
          stdin: ["hello\nthe", "re\n", "end"],
        });
        assert.strictEqual(await client.ended, 0, client.text);
        assert.strictEqual(client.out, answer);
        assert.strictEqual(client.outcome.how, "complete");
      }
      assert.strictEqual(await server.ended, 0, server.text);
    }
  });

  QUnit.test("a line that never ends is reversed in pieces", async (assert) => {
    const { port } = await serveWith(["--rev"]);
    const client = new Run(["connect", `localhost:${port}`, "--ca", certFile("ca")], {
      stdin: ["a".repeat(16_383), "bc\n"],
    });
    assert.strictEqual(await client.ended, 0, client.text);
    assert.strictEqual(client.out, `b${"a".repeat(16_383)}c\n`);
  });

  QUnit.test("without them it is one connection's standard input and output", async (assert) => {
    const { server, port } = await serveWith([], { stdin: ["from the server\n"] });
    const client = new Run(["connect", `localhost:${port}`, "--ca", certFile("ca")], {
      stdin: [50, "from the client\n"],
    });
    assert.strictEqual(await client.ended, 0, client.text);
    assert.strictEqual(await server.ended, 0, server.text);
    assert.strictEqual(client.out, "from the server\n");
    assert.strictEqual(server.out, "from the client\n");
    assert.strictEqual(server.outcome.how, "complete");
    const refused = netConnect(port, "127.0.0.1");
    const [error] = await once(refused, "error");
    assert.strictEqual(error.code, "ECONNREFUSED", "and no more");
  });

  QUnit.test("exit codes: that of the first connection that failed", async (assert) => {
    const cut = await serveWith([]);
    const socket = netConnect(cut.port, "127.0.0.1");
    await once(connect({ socket, ca: env.certs.caPem, servername: "localhost" }).resume(), "secureConnect");
    await cut.server.line("connected");
    socket.end();
    assert.strictEqual(await cut.server.ended, 4, cut.server.text);

    const { server, port } = await serveWith(["--echo", "--naccept", "2"]);
    const plain = netConnect(port, "127.0.0.1");
    plain.end("hello\r\n");
    await once(plain.resume(), "close");
    const good = new Run(["connect", `localhost:${port}`, "--ca", certFile("ca")]);
    assert.strictEqual(await good.ended, 0);
    assert.strictEqual(await server.ended, 1, server.text);
    const [first] = server.lines.filter(({ type }) => type === "ended");
    assert.strictEqual(first?.exitCode, 1, "of the one that spoke no TLS");
    assert.true(JSON.stringify(first).includes('"code":"not-tls"'), JSON.stringify(first));

    const slow = await serveWith(["--echo", "--naccept", "1", "--timeout", "0.2"]);
    const mute = netConnect(slow.port, "127.0.0.1");
    afterTest(() => mute.destroy());
    assert.strictEqual(await slow.server.ended, 5, slow.server.text);

    const taken = new Run(["serve", String((await serveWith([])).port), "--psk", "pass:a:00"]);
    assert.strictEqual(await taken.ended, 1, taken.text);
    assert.true(/EADDRINUSE/.test(taken.text), taken.text);

    const waiting = await serveWith([]);
    waiting.server.interrupt();
    assert.strictEqual(await waiting.server.ended, 130, "nobody came");
  });

  QUnit.test(
    "a client whose end without close_notify passes: what we still say fails, and it is over",
    async (assert) => {
      const { server, port } = await serveWith(["--eof-policy", "ignore"], {
        stdin: [300, "late\n"],
        open: true,
      });
      const socket = netConnect({ port, host: "127.0.0.1", allowHalfOpen: true });
      afterTest(() => socket.destroy());
      const tls = connect({ socket, ca: env.certs.caPem, servername: "localhost" }).resume();
      tls.on("error", () => {});
      await once(tls, "secureConnect");
      await server.line("connected");
      socket.end();
      assert.strictEqual(await server.ended, 0, server.text);
      assert.strictEqual(server.outcome.how, "truncated");
    },
  );

  QUnit.test("--www speaks HTTP/1, and nobody is told something else", async (assert) => {
    const args = ["serve", "0", "--www", "--cert", certFile("ecdsa"), "--key", certFile("ecdsaKey")];
    const server = new Run([...args, "--alpn", "http/1.1,h2"]);
    assert.strictEqual(await server.ended, 2, server.text);
    assert.true(/--alpn .*not "h2"/.test(server.outcome.error!.message), server.text);
  });

  QUnit.test("options that cannot work are found before any client is", async (assert) => {
    for (const [args, message] of [
      [["--ciphers", "NO-SUCH"], /NO-SUCH/],
      [["--client-auth", "require"], /^--client-auth: .*caCerts/],
      [["--close", "none"], /^--close none: /],
      [["--key", certFile("rsaKey")], /private key/],
    ] as const) {
      const server = new Run([
        "serve",
        "0",
        "--echo",
        "--cert",
        certFile("ecdsa"),
        ...keyUnless(args),
        ...args,
      ]);
      assert.strictEqual(await server.ended, 2, server.text);
      assert.true(message.test(server.outcome.error!.message), server.text);
      assert.false(server.lines.some(({ type }) => type === "listening"));
    }
  });

  QUnit.test("--client-auth", async (assert) => {
    const { chains, keys } = env.certs;
    const identity = { cert: chains.client, key: keys.client };
    for (const [how, client, code] of [
      ["none", {}, 0],
      ["request", {}, 0],
      ["request", identity, 0],
      ["require", identity, 0],
      ["require", {}, 1],
      ["require", { cert: chains.ecdsa, key: keys.ecdsa }, 3],
    ] as const) {
      const args = ["--www", "--naccept", "1", "--client-auth", how, "--ca", certFile("ca")];
      const { server, port } = await serveWith(args);
      const answer = await node(port, request, client).catch(() => undefined);
      assert.strictEqual(await server.ended, code, `${how}: ${server.text}`);
      assert.strictEqual(answer?.said.includes("CN=client") ?? false, client === identity, how);
    }
  });

  QUnit.test(
    "a client that has but old cipher suites: what the error says, and what turns them on",
    async (assert) => {
      for (const ciphers of ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"]) {
        const rsa = ["--cert", certFile("rsa"), "--key", certFile("rsaKey")];
        const old = { ciphers, maxVersion: "TLSv1.2" };
        const { server, port } = await serveWith(["--www", "--naccept", "1", ...rsa]);
        await node(port, request, old).catch(() => {});
        assert.strictEqual(await server.ended, 1, server.text);
        assert.true(
          /no shared cipher; [^"]* off by default: --ciphers DEFAULT turns them on"/.test(server.text),
          server.text,
        );
        const on = await serveWith(["--www", "--naccept", "1", ...rsa, "--ciphers", "DEFAULT"]);
        const { said } = await node(on.port, request, old);
        assert.true(said.includes(ciphers), said);
      }
    },
  );

  QUnit.test("--ocsp is stapled; --crl is for certificates of clients", async (assert) => {
    const stapled = await serveWith(["--echo", "--ocsp", certFile("ocspGood")]);
    const args = ["s_client", "-connect", `127.0.0.1:${stapled.port}`, "-status"];
    const said = await program("openssl", args, ["</html>\n"]);
    assert.true(/OCSP Response Status: successful/.test(said), said);

    const auth = ["--client-auth", "require", "--ca", certFile("ca"), "--crl", certFile("intermediateCrl")];
    const { server, port } = await serveWith(["--www", "--naccept", "1", ...auth]);
    const { chains, keys } = env.certs;
    await node(port, request, { cert: chains.client, key: keys.client }).catch(() => {});
    assert.strictEqual(await server.ended, 3, server.text);
    assert.true(/X509_V_ERR_UNABLE_TO_GET_CRL/.test(server.text), server.text);
  });

  QUnit.test("--cert and --key again: a certificate for each kind of key", async (assert) => {
    const rsa = ["--cert", certFile("rsa"), "--key", certFile("rsaKey")];
    const { port } = await serveWith(["--www", ...rsa]);
    for (const [sigalgs, type] of [
      ["ecdsa_secp256r1_sha256", "ec"],
      ["rsa_pss_rsae_sha256", "rsa"],
      // A server's own order counts.
      ["rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", "ec"],
    ] as const) {
      const options = { sigalgs, minVersion: "TLSv1.3" } as const;
      const tls = connect({
        port,
        host: "127.0.0.1",
        servername: "localhost",
        ca: env.certs.caPem,
        ...options,
      });
      await once(tls, "secureConnect");
      assert.strictEqual(tls.getPeerX509Certificate()?.publicKey.asymmetricKeyType, type, sigalgs);
      tls.destroy();
    }
  });

  QUnit.test("--keylog, of a server", async (assert) => {
    const file = join(process.cwd(), "cli-serve-keylog");
    const { port } = await serveWith(["--echo", "--keylog", file]);
    const client = new Run([
      "connect",
      `localhost:${port}`,
      "--ca",
      certFile("ca"),
      "--keylog",
      `${file}-client`,
    ]);
    assert.strictEqual(await client.ended, 0, client.text);
    const lines = (path: string) => readFileSync(path, "utf8").trim().split("\n").sort();
    assert.deepEqual(lines(file), lines(`${file}-client`));
  });

  QUnit.test("--no-tickets", async (assert) => {
    for (const args of [[], ["--no-tickets"]]) {
      const { port } = await serveWith(["--echo", ...args]);
      const tls = connect({ port, host: "127.0.0.1", ca: env.certs.caPem, servername: "localhost" });
      let tickets = 0;
      tls.on("session", () => tickets++);
      await once(tls, "secureConnect");
      tls.write("x");
      await once(tls, "data");
      assert.strictEqual(tickets, args.length > 0 ? 0 : 2);
      tls.end();
      await once(tls.resume(), "close");
    }
  });

  QUnit.test("--close: what a client sees of it", async (assert) => {
    for (const [close, properly] of [
      ["half", true],
      ["shutdown", true],
      ["close", true],
      ["abort", false],
    ] as const) {
      const { port } = await serveWith(["--echo", "--close", close]);
      const client = new Run(["connect", `localhost:${port}`, "--ca", certFile("ca")], { stdin: ["x"] });
      const code = await client.ended;
      assert.true(properly ? code === 0 : code === 1 || code === 4, `${close}: ${client.text}`);
    }
  });

  QUnit.test("--psk instead of a certificate, to openssl; --psk-hash", async (assert) => {
    const secret = { env: { KEY: "me:0011223344556677" } };
    const psk = ["--psk", "env:KEY"];
    const server = new Run(["serve", "0", "--rev", ...psk], secret);
    const { port } = await server.line("listening");
    const key = ["-psk_identity", "me", "-psk", "0011223344556677"];
    const args = ["s_client", "-connect", `127.0.0.1:${port}`, ...key];
    const said = await program("openssl", args, [">lmth/<\n"]);
    assert.true(said.includes("</html>"), said);

    const other = new Run(["serve", "0", "--rev", ...psk, "--psk-hash", "sha384"], secret);
    const at = `localhost:${(await other.line("listening")).port}`;
    const client = new Run(["connect", at, ...psk, "--psk-hash", "sha384"], secret);
    assert.strictEqual(await client.ended, 0, client.text);
    assert.strictEqual((await client.line("connected")).cipher, "TLS_AES_256_GCM_SHA384");
  });

  QUnit.test("it listens on 127.0.0.1, or where it is told", async (assert) => {
    const { server } = await serveWith(["--echo"]);
    assert.strictEqual((await server.line("listening")).host, "127.0.0.1");
    const any = new Run(["serve", "[::1]:0", "--psk", "pass:a:00", "--echo"]);
    assert.strictEqual((await any.line("listening")).host, "::1");
  });
});

function keyUnless(args: readonly string[]): string[] {
  return args.includes("--key") ? [] : ["--key", certFile("ecdsaKey")];
}

/** It takes an end without close_notify for the error that it is, and answers one. */
const pythonClient = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
raw = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
tls = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
tls.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
text = b""
while chunk := tls.recv(65536): text += chunk
print(text.decode())
tls.unwrap()
print("unwrapped </html>")
`;
