/** The relay: which clients it lets in and where it goes, how it ends, and that it never holds more than a little. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { brotliDecompressSync } from "node:zlib";
import WebSocket from "ws";
import { RelayClose, type RelaySnapshot } from "../../demo/protocol.ts";
import type { Test } from "../demo.test.ts";
import { acceptsNow, type Demo, outerAddresses } from "./demo-process.ts";
import type { TargetServer } from "./target-server.ts";

const mebi = 1 << 20;

export async function testRelay(test: Test, demo: Demo, target: TargetServer): Promise<void> {
  const origin = new URL(demo.url).origin;
  const open = (host: string, port: number | string, id = randomUUID(), headers = { origin }) => {
    const query = new URLSearchParams({ id, host, port: String(port) });
    return new WebSocket(`${origin.replace("http", "ws")}/relay?${query}`, { headers });
  };
  const connected = async (id?: ReturnType<typeof randomUUID>): Promise<[WebSocket, Socket]> => {
    const accepted = target.next();
    const webSocket = open("127.0.0.1", target.port, id);
    const [socket] = await Promise.all([accepted, once(webSocket, "open")]);
    return [webSocket, socket];
  };
  const closing = async (webSocket: WebSocket): Promise<{ code: number; reason: string }> => {
    const [code, reason] = await once(webSocket, "close");
    return { code, reason: String(reason) };
  };

  await test("everything listens on 127.0.0.1 only", async () => {
    const ports = [...demo.setup.targets, ...demo.setup.whatIfs]
      .filter(({ host, id }) => host === "localhost" && id !== "silent")
      .map(({ port }) => port);
    ports.push(Number(new URL(demo.url).port));
    for (const port of ports) {
      assert.ok(await acceptsNow("127.0.0.1", port), `${port} is open on 127.0.0.1`);
      for (const address of outerAddresses()) {
        assert.ok(!(await acceptsNow(address, port)), `${port} is closed on ${address}`);
      }
    }
  });

  await test("the relay turns away other sites' pages and foreign host names, but no program", async () => {
    for (const foreign of ["http://evil.example", "null", origin.replace("http:", "https:"), ""]) {
      const webSocket = open("127.0.0.1", target.port, randomUUID(), { origin: foreign });
      const [error] = await once(webSocket, "error");
      assert.match(String(error), /403/, `origin ${foreign}`);
    }
    const program = open("127.0.0.1", target.port, randomUUID(), {} as { origin: string });
    await once(program, "open");
    program.close();
    const port = new URL(demo.url).port;
    const headers = { host: `rebound.example:${port}` };
    const get = request({ host: "127.0.0.1", port, path: "/demo.json", headers }).end();
    const [response] = await once(get, "response");
    response.resume();
    assert.equal(response.statusCode, 403);
  });

  await test("requests that make no sense are answered, and leave the server standing", async () => {
    const { port, host } = new URL(demo.url);
    const cases: [path: string, method: string, status: number][] = [
      ["//", "GET", 400],
      ["/../etc/passwd", "GET", 404],
      ["/relay/log?id=1", "GET", 404],
      ["/relay/watch?id=1", "GET", 400],
      ["/", "POST", 405],
    ];
    for (const [path, method, status] of cases) {
      const sent = request({ host: "127.0.0.1", port, path, method, headers: { host } }).end();
      const [response] = await once(sent, "response");
      response.resume();
      assert.equal(response.statusCode, status, `${method} ${path}`);
    }
    const page = await fetch(demo.url);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-security-policy") ?? "", /script-src 'self' 'wasm-unsafe-eval';/);
    const wasm = await fetch(new URL("/openssl.wasm", demo.url));
    assert.equal(wasm.headers.get("content-type"), "application/wasm");
    const plain = Buffer.from(await wasm.arrayBuffer());
    const headers = { host, "accept-encoding": "gzip, deflate, br" };
    const compressed = request({ host: "127.0.0.1", port, path: "/openssl.wasm", headers }).end();
    const [response] = (await once(compressed, "response")) as [IncomingMessage];
    assert.equal(response.headers["content-encoding"], "br");
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const brotli = Buffer.concat(chunks);
    assert.ok(brotliDecompressSync(brotli).equals(plain));
    assert.ok(brotli.length < plain.length / 2);
  });

  await test("the relay goes only where it may, and says why not", async () => {
    const cases: [string, number | string, number, RegExp][] = [
      ["example.com", 443, RelayClose.notAllowed, /example\.com:443 is not on the relay's allow-list/],
      ["127.0.0.1", 22, RelayClose.notAllowed, /allow-list/],
      ["localhost.", target.port, RelayClose.notAllowed, /allow-list/],
      ["127.0.0.1", "0x50", RelayClose.notAllowed, /allow-list/],
      [`${"long.".repeat(100)}example`, 443, RelayClose.notAllowed, /^long\.long\..*…$/],
      ["127.0.0.1", 70_000, RelayClose.badRequest, /host, port/],
      ["", target.port, RelayClose.badRequest, /host, port/],
    ];
    for (const [host, port, code, reason] of cases) {
      const closed = await closing(open(host, port));
      assert.equal(closed.code, code, `${host}:${port}`);
      assert.match(closed.reason, reason);
    }
    const silent = demo.setup.whatIfs.find(({ id }) => id === "silent");
    assert.ok(silent);
    const refused = await closing(open(silent.host, silent.port));
    assert.equal(refused.code, RelayClose.unreachable);
    assert.match(refused.reason, /^ECONNREFUSED: nothing listens/);
  });

  await test("an id serves one connection", async () => {
    const id = randomUUID();
    const [webSocket, socket] = await connected(id);
    assert.equal((await closing(open("127.0.0.1", target.port, id))).code, RelayClose.badRequest);
    webSocket.close();
    socket.destroy();
  });

  await test("the server's FIN closes the WebSocket behind the last byte", async () => {
    const [webSocket, socket] = await connected();
    const chunks: Buffer[] = [];
    webSocket.on("message", (data: Buffer) => chunks.push(data));
    const closed = closing(webSocket);
    socket.end(Buffer.alloc(3 * mebi, "x"));
    assert.deepEqual(await closed, { code: 1000, reason: "the server ended the connection" });
    assert.equal(Buffer.concat(chunks).length, 3 * mebi);
    socket.destroy();
  });

  await test("the page's close ends TCP behind the last byte; a page that vanishes resets it", async () => {
    const [webSocket, socket] = await connected();
    let received = 0;
    socket.on("data", (data) => {
      received += data.length;
    });
    const ended = once(socket, "end");
    webSocket.send(Buffer.alloc(3 * mebi, "x"));
    webSocket.close(1000);
    socket.resume();
    await ended;
    assert.equal(received, 3 * mebi);
    socket.destroy();

    const [lost, other] = await connected();
    other.resume();
    const failed = new Promise((resolve) => other.once("error", resolve));
    lost.terminate();
    assert.match(String(await failed), /ECONNRESET/);
  });

  await test("a reset by the server reaches the page as what it is", async () => {
    const [webSocket, socket] = await connected();
    const closed = closing(webSocket);
    socket.resetAndDestroy();
    const { code, reason } = await closed;
    assert.equal(code, RelayClose.broken);
    assert.match(reason, /^ECONNRESET/);
  });

  await test("text frames are refused", async () => {
    const [webSocket, socket] = await connected();
    const closed = closing(webSocket);
    webSocket.send("hello");
    assert.equal((await closed).code, 1003);
    socket.destroy();
  });

  await test("backpressure: a page that does not read stops the server", async () => {
    const [webSocket, socket] = await connected();
    webSocket.pause();
    const total = 48 * mebi;
    let sent = 0;
    const pump = () => {
      while (sent < total) {
        sent += mebi;
        if (!socket.write(Buffer.alloc(mebi, sent / mebi))) break;
      }
      if (sent >= total) socket.end();
    };
    socket.on("drain", pump);
    pump();
    await sleep(700);
    // What is on its way sits in the kernel's buffers and in the relay's one mebibyte.
    assert.ok(sent - socket.writableLength < 32 * mebi, `${sent - socket.writableLength} bytes were taken`);
    let received = 0;
    webSocket.on("message", (data: Buffer) => {
      received += data.length;
    });
    const closed = closing(webSocket);
    webSocket.resume();
    assert.equal((await closed).code, 1000);
    assert.equal(received, total);
    socket.destroy();
  });

  await test("backpressure: a server that does not read stops the page", async () => {
    const id = randomUUID();
    const [webSocket, socket] = await connected(id);
    const total = 48 * mebi;
    for (let at = 0; at < total; at += mebi) webSocket.send(Buffer.alloc(mebi, at / mebi));
    await sleep(700);
    const { up } = await relayLog(demo, id);
    assert.ok(up.bytes < 32 * mebi, `the relay took ${up.bytes} bytes`);
    let received = 0;
    socket.on("data", (data) => {
      received += data.length;
    });
    const ended = once(socket, "end");
    webSocket.close(1000);
    socket.resume();
    await ended;
    assert.equal(received, total);
    socket.destroy();
  });
}

/** The relay's own log of a connection, and the very first bytes that it saw in each direction. */
export async function relayLog(
  demo: Demo,
  id: string,
): Promise<RelaySnapshot & { capture: { up: string; down: string } }> {
  const response = await fetch(new URL(`/relay/log?id=${id}`, demo.url));
  assert.equal(response.status, 200);
  return (await response.json()) as RelaySnapshot & { capture: { up: string; down: string } };
}
