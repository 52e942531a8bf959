/**
 * The relays of this repository: none loses what a server had sent before it broke the connection off. Whether that is
 * then told as an end or as a failure is up to libuv, which takes a reset that comes with data for an end.
 */
import { EventEmitter, once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import QUnit from "qunit";
import { WebSocket } from "ws";
import { splice } from "../../demo/server/relay.ts";
import { RelayEntry } from "../../demo/server/relay-log.ts";
import { inNode, portOf } from "../examples.ts";
import { sleep } from "../helpers/basics.ts";
import { afterTest } from "../helpers/env.ts";
import { randomBytes } from "../helpers/random.ts";
import { relay } from "../relay.ts";

/** The first goes to the page; the others wait in the relay's kernel when its write fails. */
const parts = [60_000, 20_000].map((length, at) => Buffer.from(randomBytes(length, at)));

/** A server, and the first connection to it. */
async function listen(): Promise<{ port: number; accepted: Promise<Socket> }> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterTest(() => server.close());
  const accepted = once(server, "connection").then(([socket]: Socket[]) => {
    socket!.on("error", () => {});
    return socket!;
  });
  return { port: (server.address() as AddressInfo).port, accepted };
}

const sent = (socket: Socket, bytes: Uint8Array) =>
  new Promise<void>((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve())));

/** The relay's side of a WebSocket whose page takes nothing until `release()`. */
class SlowPage extends EventEmitter {
  binaryType = "";
  readonly OPEN = 1;
  readonly readyState = 1;
  readonly chunks: Uint8Array[] = [];
  readonly closed: Promise<[code: number, reason: string]>;
  #close!: (how: [number, string]) => void;
  #held: (() => void)[] | undefined = [];

  constructor() {
    super();
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }

  get bufferedAmount(): number {
    return this.#held?.length ? 2 ** 21 : 0;
  }

  send(chunk: Uint8Array, done: () => void): void {
    this.chunks.push(Uint8Array.from(chunk));
    this.emit("sent");
    if (this.#held) this.#held.push(done);
    else setImmediate(done);
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const done of held) done();
  }

  close(code: number, reason: string): void {
    this.#close([code, reason]);
  }

  pause(): void {}
  resume(): void {}
}

QUnit.module("relays: a server that breaks the connection off while the page is slow", () => {
  const kinds: [name: string, begin: (page: WebSocket, port: number) => Promise<void>][] = [
    ["that of the tests", async (page, port) => relay(page, port)],
    [
      "that of the demo",
      async (page, port) => {
        const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
        await once(socket, "connect");
        splice(new RelayEntry("test"), page, socket);
      },
    ],
  ];
  for (const [name, begin] of kinds) {
    QUnit.test(name, async (assert) => {
      const { port, accepted } = await listen();
      const page = new SlowPage();
      await begin(page as unknown as WebSocket, port);
      const server = await accepted;
      const first = once(page, "sent");
      await sent(server, parts[0]!);
      await first;
      await sent(server, parts[1]!);
      server.resetAndDestroy();
      await sleep(50);
      // The write of this fails.
      page.emit("message", Buffer.from("hello"), true);
      await sleep(50);
      page.release();
      await page.closed;
      const got = Buffer.concat(page.chunks);
      assert.true(got.equals(Buffer.concat(parts)), `${got.length} bytes`);
      page.emit("close", 1000, Buffer.alloc(0));
    });
  }

  // It is a process, which the test stops while all this comes to it.
  QUnit.test("that of the examples", async (assert) => {
    const { port, accepted } = await listen();
    const origin = "http://localhost";
    const child = await inNode("relay", "0", origin, `127.0.0.1:${port}`);
    const page = new WebSocket(`ws://127.0.0.1:${await portOf(child)}/?to=127.0.0.1:${port}`, { origin });
    const chunks: Buffer[] = [];
    page.on("message", (data: Buffer) => chunks.push(data));
    const closed = once(page, "close");
    await once(page, "open");
    const server = await accepted;
    const first = once(page, "message");
    await sent(server, parts[0]!.subarray(0, 1));
    await first;
    child.kill("SIGSTOP");
    page.send("hello");
    await sleep(50);
    await sent(server, parts[1]!);
    server.resetAndDestroy();
    await sleep(50);
    child.kill("SIGCONT");
    await closed;
    const got = Buffer.concat(chunks.slice(1));
    assert.true(got.equals(parts[1]!), `${got.length} bytes`);
  });
});
