/** `wassl/dtls` over UDP, against peers that are not ours: OpenSSL and GnuTLS, as server and as client. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import QUnit from "qunit";
import { type DtlsSession, listenDtls, startDtls } from "wassl/dtls";
import { dgramEndpoint, dgramTransport } from "wassl/transports/datagrams";
import { given } from "../examples.ts";
import { text, utf8 } from "../helpers/basics.ts";
import { afterTest, env } from "../helpers/env.ts";
import { type Started, start, waitForOutput } from "../peers/program.ts";

const HERE = "127.0.0.1";

async function udpPort(): Promise<number> {
  const socket = await bound();
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

async function bound(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(0, HERE);
  await once(socket, "listening");
  return socket;
}

async function connected(port: number): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.connect(port, HERE);
  await once(socket, "connect");
  return socket;
}

function run(program: string, args: string[]): Started {
  // To a pipe they would print in large pieces.
  const child = start("stdbuf", ["-oL", program, ...args]);
  afterTest(() => child.kill("SIGKILL"));
  return child;
}

async function read(session: DtlsSession): Promise<string | undefined> {
  const reader = session.readable.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return value && text(value);
}

const chain = () => given("dtls-chain.pem", env.certs.chains.ecdsa);
const key = () => given("dtls-key.pem", env.certs.keys.ecdsa);
const ca = () => given("dtls-ca.pem", env.certs.caPem);

/** A server that prints what it gets, or says it back. */
const SERVERS = {
  "openssl s_server": (port: number) => {
    const identity = ["-cert", chain(), "-key", key(), "-cert_chain", chain()];
    return run("openssl", ["s_server", "-dtls1_2", "-4", "-accept", `${port}`, "-mtu", "1400", ...identity]);
  },
  "openssl s_server -listen": (port: number) => {
    const identity = ["-cert", chain(), "-key", key(), "-cert_chain", chain()];
    return run("openssl", [
      "s_server",
      "-dtls1_2",
      "-listen",
      "-4",
      "-accept",
      `${port}`,
      "-mtu",
      "1400",
      ...identity,
    ]);
  },
  "gnutls-serv -u": (port: number) =>
    run("gnutls-serv", ["-u", "--echo", "-p", `${port}`, "--x509certfile", chain(), "--x509keyfile", key()]),
};

const CLIENTS = {
  "openssl s_client": (port: number) => {
    const trust = ["-CAfile", ca(), "-verify_return_error", "-servername", "localhost"];
    return run("openssl", ["s_client", "-dtls1_2", "-4", "-connect", `${HERE}:${port}`, ...trust]);
  },
  "gnutls-cli -u": (port: number) =>
    run("gnutls-cli", ["-u", "-p", `${port}`, "--x509cafile", ca(), "--verify-hostname", "localhost", HERE]),
};

QUnit.module("dtls: peers over UDP", () => {
  for (const [name, server] of Object.entries(SERVERS)) {
    QUnit.test(`a client of ours, and ${name}`, async (assert) => {
      assert.timeout(60_000);
      const port = await udpPort();
      const child = server(port);
      await waitForOutput(child, /ACCEPT|listening on/);
      const client = await startDtls(dgramTransport(await connected(port)), {
        hostname: "localhost",
        caCerts: env.certs.caPem,
        sessionStore: false,
      });
      afterTest(() => client.close());
      assert.strictEqual(client.info.protocol, "DTLSv1.2");
      assert.true(client.info.verified);
      await client.send(utf8("a message of ours\n"));
      if (name.startsWith("gnutls")) {
        assert.strictEqual(await read(client), "a message of ours\n");
      } else {
        await waitForOutput(child, /a message of ours/);
        child.stdin!.write("and theirs\n");
        assert.strictEqual(await read(client), "and theirs\n");
      }
      await client.close();
    });
  }

  for (const [name, client] of Object.entries(CLIENTS)) {
    QUnit.test(`a server of ours, and ${name}`, async (assert) => {
      assert.timeout(60_000);
      const socket = await bound();
      const listening = listenDtls(dgramEndpoint(socket), {
        cert: env.certs.chains.ecdsa,
        key: env.certs.keys.ecdsa,
      });
      afterTest(async () => void (await listening.return!()));
      const child = client(socket.address().port);
      const { value } = await listening.next();
      const server: DtlsSession = value;
      afterTest(() => server.close());
      child.stdin!.write("a message of theirs\n");
      assert.strictEqual(await read(server), "a message of theirs\n");
      await server.send(utf8("and ours\n"));
      await waitForOutput(child, /and ours/);
      // At the end of what they are told, they say close_notify.
      child.stdin!.end();
      assert.deepEqual(await server.closed, { how: "peer", error: undefined });
    });
  }
});
