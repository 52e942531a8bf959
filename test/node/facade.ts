/** `wassl/node/net` and `wassl/node/tls` against the ones of Node.js, as a driver uses them. */
import { once } from "node:events";
import { type AddressInfo as Address, createServer, type Socket as NodeSocket } from "node:net";
import * as nodeTls from "node:tls";
import QUnit from "qunit";
import { nodeDialer } from "wassl/dialers/node";
import { connect as connectNet, setDialer } from "wassl/node/net";
import { connect, createSecureContext, preload, type TLSSocket } from "wassl/node/tls";
import { afterTest, env } from "../helpers/env.ts";

/** A server of Node.js; `talk` gets each of its connections. */
async function serve(talk: (socket: nodeTls.TLSSocket) => void): Promise<number> {
  const { chains, keys } = env.certs;
  const server = nodeTls.createServer(
    { cert: chains.ecdsa, key: keys.ecdsa, allowHalfOpen: true },
    (socket) => {
      socket.on("error", () => {});
      talk(socket);
    },
  );
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterTest(() => server.close());
  return (server.address() as Address).port;
}

/** What a socket tells, in order. */
function told(socket: TLSSocket): string[] {
  const events: string[] = [];
  socket.on("connect", () => events.push("connect"));
  socket.on("secureConnect", () => events.push("secureConnect"));
  socket.on("end", () => events.push("end"));
  socket.on("error", (error: Error & { code?: string }) => events.push(`error ${error.code}`));
  socket.on("close", (hadError) => events.push(`close ${hadError}`));
  return events;
}

const at = (port: number, more: object = {}) => ({
  host: "127.0.0.1",
  port,
  servername: "localhost",
  ca: env.certs.caPem,
  ...more,
});

QUnit.module("node:tls, ours", (hooks) => {
  hooks.before(() => setDialer(nodeDialer()));

  QUnit.test("connects, talks, ends: the events are Node.js's, in its order", async (assert) => {
    const port = await serve((socket) => socket.pipe(socket));
    const socket = connect(at(port, { ALPNProtocols: ["h2"] }));
    const events = told(socket);
    let heard = "";
    socket.on("data", (chunk) => (heard += chunk));
    socket.end("written before the handshake");
    await once(socket, "close");
    assert.strictEqual(heard, "written before the handshake");
    assert.deepEqual(events, ["connect", "secureConnect", "end", "close false"]);
    assert.true(socket.authorized);
    assert.strictEqual(socket.bytesWritten, 28);
  });

  QUnit.test("what is refused has Node.js's codes, and `error` comes before `close`", async (assert) => {
    const port = await serve(() => {});
    const codes = async (more: object) => {
      const socket = connect(at(port, more));
      const events = told(socket);
      await new Promise((resolve) => socket.on("close", resolve));
      return events;
    };
    const theirs = async (more: object) => {
      const socket = nodeTls.connect(at(port, more));
      const [error] = (await once(socket, "error")) as [{ code: string }];
      return error.code;
    };
    for (const more of [
      { ca: env.certs.otherCaPem },
      { servername: "elsewhere.test" },
      { checkServerIdentity: () => Object.assign(new Error("no"), { code: "MINE" }) },
    ]) {
      const code = "checkServerIdentity" in more ? "MINE" : await theirs(more);
      assert.deepEqual(await codes(more), ["connect", `error ${code}`, "close true"]);
    }
  });

  QUnit.test("rejectUnauthorized: false lets in, and says why not", async (assert) => {
    const port = await serve((socket) => socket.end());
    const socket = connect(at(port, { ca: env.certs.otherCaPem, rejectUnauthorized: false }));
    socket.resume();
    const closed = once(socket, "close");
    await once(socket, "secureConnect");
    assert.false(socket.authorized);
    const peer = nodeTls.connect(at(port, { ca: env.certs.otherCaPem, rejectUnauthorized: false }));
    await once(peer, "secureConnect");
    assert.strictEqual(String(socket.authorizationError), String(peer.authorizationError));
    peer.destroy();
    await closed;
  });

  QUnit.test("a context that cannot be is refused at once, when OpenSSL is there", async (assert) => {
    await preload();
    assert.throws(() => createSecureContext({ cert: "no PEM", key: "nor this" }));
    assert.throws(
      () => createSecureContext({ ca: env.certs.caPem, minVersion: "TLSv9" as "TLSv1.2" }),
      /minimum/,
    );
    assert.ok(createSecureContext({ ca: env.certs.caPem }));
  });

  QUnit.test("STARTTLS: the old socket's encoding and listeners are of no matter", async (assert) => {
    const { chains, keys } = env.certs;
    const secureContext = nodeTls.createSecureContext({ cert: chains.ecdsa, key: keys.ecdsa });
    const server = createServer((raw: NodeSocket) => {
      raw.once("data", () => {
        raw.write("GO\r\n", () => {
          const socket = new nodeTls.TLSSocket(raw, { isServer: true, secureContext });
          socket.on("error", () => {});
          socket.pipe(socket);
        });
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    afterTest(() => server.close());
    const { port } = server.address() as Address;
    const plain = connectNet({ host: "127.0.0.1", port });
    plain.setEncoding("utf8");
    const heard: string[] = [];
    plain.on("data", (chunk) => heard.push(chunk));
    plain.write("STARTTLS\r\n");
    await once(plain, "data");
    const socket = connect({ socket: plain, servername: "localhost", ca: env.certs.caPem });
    plain.removeAllListeners();
    await once(socket, "secureConnect");
    socket.write("secret");
    const [chunk] = await once(socket, "data");
    assert.strictEqual(String(chunk), "secret");
    assert.deepEqual(heard, ["GO\r\n"]);
    const closed = new Promise((resolve) => plain.on("close", resolve));
    socket.end();
    await closed;
    assert.true(socket.destroyed);
  });

  QUnit.test("destroy() without an error sends close_notify", async (assert) => {
    const port = await serve((socket) => socket.resume());
    const sizes: number[] = [];
    const dial = nodeDialer();
    setDialer(async (to) => {
      const transport = await dial(to);
      const writer = transport.writable.getWriter();
      const writable = new WritableStream<Uint8Array>({
        write(chunk) {
          sizes.push(chunk.length);
          return writer.write(chunk);
        },
        close: () => writer.close(),
        abort: (reason) => writer.abort(reason),
      });
      return { ...transport, writable };
    });
    afterTest(() => setDialer(nodeDialer()));
    const socket = connect(at(port));
    await once(socket, "secureConnect");
    socket.destroy();
    await once(socket, "close");
    // An alert of TLS 1.3: 5 bytes of the record's head, 2 of the alert, its type, 16 of the cipher.
    assert.strictEqual(sizes.at(-1), 24);
  });
});
