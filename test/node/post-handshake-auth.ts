/** Authentication behind the handshake with programs that are not ours: OpenSSL, GnuTLS, Python; and by `wassl`. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import QUnit from "qunit";
import { acceptTls, startTls, type TlsStream } from "wassl";
import { nodeTransport } from "wassl/transports/node";
import { readAtLeast, sleep, text, utf8, write } from "../helpers/basics.ts";
import { client, clientCert, server } from "../helpers/both-ends.ts";
import { certFile, Run, serveWith } from "../helpers/cli.ts";
import { afterTest, env } from "../helpers/env.ts";
import { freePort, start, waitForPort } from "../peers/program.ts";

interface Program {
  child: ChildProcessWithoutNullStreams;
  said(pattern: RegExp): Promise<string>;
}

function program(command: string, args: string[]): Program {
  const child = spawn(command, args, { stdio: "pipe" });
  afterTest(() => child.kill("SIGKILL"));
  child.stdin.on("error", () => {});
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  return {
    child,
    async said(pattern) {
      for (let i = 0; i < 1500 && !pattern.test(output); i++) await sleep(10);
      if (!pattern.test(output)) throw new Error(`${command} did not say ${pattern}; it said:\n${output}`);
      return output;
    },
  };
}

/** A server of ours, and the program that connects to it. */
async function served(command: (port: number) => Program): Promise<{ tls: TlsStream; program: Program }> {
  const tcp = createServer();
  tcp.listen(0, "127.0.0.1");
  await once(tcp, "listening");
  afterTest(() => tcp.close());
  const connected = once(tcp, "connection");
  const started = command((tcp.address() as AddressInfo).port);
  const [socket] = (await connected) as [Socket];
  const tls = await acceptTls(nodeTransport(socket), {
    ...server(),
    clientAuth: "require",
    postHandshakeAuth: true,
    caCerts: env.certs.caPem,
  });
  afterTest(() => tls.abort());
  return { tls, program: started };
}

async function startedClient(port: number, options = {}): Promise<TlsStream> {
  const socket = connectTcp(port, "127.0.0.1");
  afterTest(() => socket.destroy());
  await once(socket, "connect");
  const tls = await startTls(nodeTransport(socket), {
    ...client(),
    ...clientCert(),
    postHandshakeAuth: true,
    sessionStore: false,
    ...options,
  });
  afterTest(() => tls.abort());
  return tls;
}

const PYTHON_CLIENT = `
import socket, ssl, sys
c = ssl.create_default_context(cafile=sys.argv[1])
c.post_handshake_auth = True
c.load_cert_chain(sys.argv[2], sys.argv[3])
s = c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[4]))), server_hostname="localhost")
s.sendall(b"hello from python")
print("got", s.recv(100), flush=True)
`;

const PYTHON_SERVER = `
import socket, ssl, sys
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(sys.argv[2], sys.argv[3])
c.load_verify_locations(sys.argv[1])
c.post_handshake_auth = True
c.verify_mode = ssl.CERT_REQUIRED
l = socket.create_server(("127.0.0.1", 0))
print("port", l.getsockname()[1], flush=True)
s = c.wrap_socket(l.accept()[0], server_side=True)
print("before", s.getpeercert(), s.recv(5), flush=True)
s.verify_client_post_handshake()
s.sendall(b"who are you?")
print("data", s.recv(100), flush=True)
print("after", s.getpeercert()["subject"], flush=True)
s.sendall(b"welcome")
`;

const identity = () => [certFile("client"), certFile("clientKey")] as const;

QUnit.module("post-handshake authentication: other programs", () => {
  for (const name of ["openssl s_client", "gnutls-cli", "python"] as const) {
    QUnit.test(`our server asks ${name}`, async (assert) => {
      const [cert, key] = identity();
      const ca = certFile("ca");
      const { tls, program: peer } = await served((port) => {
        switch (name) {
          case "openssl s_client": {
            const at = ["-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-CAfile", ca];
            return program("openssl", [
              "s_client",
              ...at,
              "-enable_pha",
              "-cert",
              cert,
              "-cert_chain",
              cert,
              "-key",
              key,
              "-quiet",
            ]);
          }
          case "gnutls-cli": {
            const files = [`--x509certfile=${cert}`, `--x509keyfile=${key}`, `--x509cafile=${ca}`];
            return program("gnutls-cli", [
              "--post-handshake-auth",
              ...files,
              "-p",
              String(port),
              "localhost",
            ]);
          }
          case "python":
            return program("python3", ["-c", PYTHON_CLIENT, ca, cert, key, String(port)]);
        }
      });
      assert.strictEqual(tls.info.peerCertificates.length, 0);
      assert.true(tls.info.postHandshakeAuth);
      const asking = tls.verifyClientPostHandshake();
      if (name === "python")
        assert.strictEqual(text(await readAtLeast(tls.readable, 17)), "hello from python");
      const info = await asking;
      assert.true(/CN=client/.test(info.peerCertificates[0]?.subject ?? "") && info.verified);
      await write(tls.writable, utf8("hello, client"));
      await peer.said(/hello, client/);
      if (name === "openssl s_client") {
        peer.child.stdin.write("and back\n");
        assert.strictEqual(text(await readAtLeast(tls.readable, 9)), "and back\n");
      }
    });
  }

  QUnit.test("openssl s_client that offers nothing, or has no certificate", async (assert) => {
    const at = (port: number) => ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", certFile("ca")];
    const silent = await served((port) => program("openssl", [...at(port), "-quiet"]));
    const refused = await silent.tls.verifyClientPostHandshake().catch((error) => error);
    assert.strictEqual(refused.code, "protocol", String(refused));
    await write(silent.tls.writable, utf8("hello, client"));
    await silent.program.said(/hello, client/);

    const poor = await served((port) => program("openssl", [...at(port), "-enable_pha"]));
    const error = await poor.tls.verifyClientPostHandshake().catch((error) => error);
    assert.true(/did not return a certificate/.test(error.message), String(error));
    await poor.program.said(/certificate required/i);
  });

  QUnit.test("openssl s_server asks us", async (assert) => {
    const port = await freePort();
    const leaf = ["-cert", certFile("ecdsa"), "-cert_chain", certFile("ecdsa")];
    const files = [...leaf, "-key", certFile("ecdsaKey"), "-CAfile", certFile("ca")];
    const peer = program("openssl", ["s_server", "-accept", String(port), ...files, "-verify_return_error"]);
    await peer.said(/ACCEPT/);
    const tls = await startedClient(port);
    await write(tls.writable, utf8("a line\n"));
    await peer.said(/a line/);
    const reading = readAtLeast(tls.readable, 7);
    peer.child.stdin.write("c\n");
    await peer.said(/depth=0 .*CN ?= ?client/);
    peer.child.stdin.write("welcome\n");
    assert.strictEqual(text(await reading).slice(0, 7), "welcome");
  });

  QUnit.test("python asks us", async (assert) => {
    const peer = program("python3", [
      "-c",
      PYTHON_SERVER,
      certFile("ca"),
      certFile("ecdsa"),
      certFile("ecdsaKey"),
    ]);
    const [, port] = /port (\d+)/.exec(await peer.said(/port \d+\n/))!;
    const tls = await startedClient(Number(port));
    await write(tls.writable, utf8("hello"));
    await peer.said(/before \{?\}?(None)? ?b'hello'/);
    assert.strictEqual(text(await readAtLeast(tls.readable, 12)), "who are you?");
    await write(tls.writable, utf8("it is me"));
    await peer.said(/after .*'client'/);
    assert.strictEqual(text(await readAtLeast(tls.readable, 7)), "welcome");
  });

  QUnit.test("gnutls-serv asks us", async (assert) => {
    const port = await freePort();
    const files = [`--x509certfile=${certFile("ecdsa")}`, `--x509keyfile=${certFile("ecdsaKey")}`];
    const child = start("gnutls-serv", [
      "--echo",
      "-p",
      String(port),
      ...files,
      `--x509cafile=${certFile("ca")}`,
    ]);
    afterTest(() => child.kill("SIGKILL"));
    await waitForPort(port, child);
    const tls = await startedClient(port);
    await write(tls.writable, utf8("hello\n"));
    assert.strictEqual(text(await readAtLeast(tls.readable, 6)), "hello\n");
    await write(tls.writable, utf8("**REAUTH**\n"));
    // It says so once our answer was good.
    assert.true(/^Successfully executed/.test(text(await readAtLeast(tls.readable, 30))));
    await write(tls.writable, utf8("again\n"));
    assert.true(/again/.test(text(await readAtLeast(tls.readable, 6))));
  });

  QUnit.test("wassl serve --enable-pha", async (assert) => {
    const asks = ["--client-auth", "require", "--ca", certFile("ca"), "--enable-pha"];
    const { server: ours, port } = await serveWith(asks);
    const tls = await startedClient(port);
    const reading = readAtLeast(tls.readable, 1).catch(() => {});
    const { peerCertificates, verified } = await ours.line("client-certificate");
    assert.true(verified === true && /CN=client/.test(JSON.stringify(peerCertificates)), ours.text);
    await tls.close();
    await reading;
    await ours.ended;

    const strict = await serveWith(asks);
    const silent = await startedClient(strict.port, { postHandshakeAuth: false });
    await readAtLeast(silent.readable, 1).catch(() => {});
    assert.strictEqual(await strict.server.ended, 1, strict.server.text);
    assert.true(/does not offer/.test(strict.server.text), strict.server.text);

    const identity = ["--cert", certFile("ecdsa"), "--key", certFile("ecdsaKey")];
    for (const [args, why] of [
      [["--enable-pha"], /needs --client-auth/],
      [[...asks, "--www"], /--www/],
    ] as const) {
      const wrong = new Run(["serve", "0", ...identity, ...args]);
      assert.strictEqual(await wrong.ended, 2);
      assert.true(why.test(wrong.text), wrong.text);
    }
  });

  QUnit.test("wassl connect --enable-pha", async (assert) => {
    const [cert, key] = identity();
    let cli: Run | undefined;
    const { tls } = await served((port) => {
      const options = ["--ca", certFile("ca"), "--cert", cert, "--key", key, "--enable-pha"];
      cli = new Run(["connect", `localhost:${port}`, ...options], { open: true });
      return undefined as never;
    });
    assert.true((await tls.verifyClientPostHandshake()).verified, cli?.text);
    await tls.close();
    cli?.interrupt();
    await cli?.ended;
  });
});
