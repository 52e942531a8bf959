/**
 * `npm run soak`: thousands of connections in one instance, opened and aborted, and opened and shut down, one after the
 * other; and over TCP, some at a time, with accidents: ends that are dropped, hang, are reset or aborted at any moment,
 * in the handshake too. Linear memory, and the counts of OpenSSL's objects and of sockets, must end where they began.
 *
 *     npm run soak -- [--cycles N] [--accidents N] [--seed N]
 *
 * Both ends are ours and live in the same instance, so each cycle is two connections.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { acceptTls } from "../src/accept-tls.ts";
import { TlsError } from "../src/errors.ts";
import { OpenSsl } from "../src/openssl/openssl.ts";
import { startTls } from "../src/start-tls.ts";
import type { TlsStream } from "../src/stream.ts";
import { nodeTransport } from "../src/transports/node.ts";
import { pair } from "./fakes/pair.ts";
import { random } from "./helpers/random.ts";
import { makeCerts } from "./peers/certs.ts";

const { values } = parseArgs({
  options: {
    cycles: { type: "string", default: "10000" },
    accidents: { type: "string", default: "2000" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});
const [cycles, accidents] = (["cycles", "accidents"] as const).map((name) => {
  const count = Number(values[name]);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new Error(`--${name} must be a whole number, 1 or more`);
  return count;
}) as [number, number];
const seed = Number(values.seed);

const folder = mkdtempSync(join(tmpdir(), "wassl-soak-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const certs = makeCerts("openssl", folder);
const openssl = await OpenSsl.load();

const reason = new Error("the soak test aborts");

/** Each lets the whole connection end, both sides of it. */
const endings = {
  async abort(client: TlsStream, server: TlsStream) {
    client.abort(reason);
    const saw = await server.readable
      .getReader()
      .read()
      .then(
        () => "an end",
        (error: unknown) => error,
      );
    if (!(saw instanceof TlsError)) throw new Error(`the server saw ${saw}`);
    await server.closed.catch(() => {});
    if ((await client.closed.catch((error: unknown) => error)) !== reason) throw new Error("not aborted");
  },
  async shutdown(client: TlsStream, server: TlsStream) {
    const [{ info }] = await Promise.all([client.shutdown(), server.shutdown()]);
    if (info.how !== "complete" || !info.resumable) throw new Error(`it ended ${info.how}`);
  },
};

async function cycle(ending: keyof typeof endings, version: "TLSv1.2" | "TLSv1.3"): Promise<void> {
  const [near, far] = pair();
  const common = { openssl, maxVersion: version };
  const [client, server] = await Promise.all([
    startTls(near, { ...common, hostname: "localhost", caCerts: certs.caPem }),
    acceptTls(far, { ...common, cert: certs.chains.ecdsa, key: certs.keys.ecdsa }),
  ]);
  await endings[ending](client, server);
}

/**
 * What is still to be freed is freed by then: a farewell to a peer that is gone takes a few turns of the event loop.
 */
const settled = () => new Promise((resolve) => setTimeout(resolve, 100));

let failed = false;
for (const ending of ["abort", "shutdown"] as const) {
  const run = async (count: number) => {
    for (let i = 0; i < count; i++) await cycle(ending, i % 2 === 0 ? "TLSv1.3" : "TLSv1.2");
    await settled();
    return openssl.memory;
  };
  // OpenSSL makes some things once, at the first use of each.
  const before = await run(10);
  const began = performance.now();
  const after = await run(cycles);
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${cycles} × open and ${ending}: ${seconds.toFixed(1)} s; allocated ${before.used} bytes before, ${after.used} after; ` +
      `linear memory ${before.size} bytes before, ${after.size} after`,
  );
  // malloc rounds what is in use now so, now so, by a few bytes.
  if (after.size !== before.size || Math.abs(after.used - before.used) > 256) failed = true;
}

// ---- accidents ------------------------------------------------------------------------------------------------------

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** What an end does with its connection, sooner or later. */
const fates = ["close", "shutdown", "abort", "reset", "drop", "hang", "write and drop"] as const;
type Fate = (typeof fates)[number];
/** A connection that hangs is given up by its other end, or by its signal at last. */
const PATIENCE = 1_000;

/** Ends come here over TCP, each with the fate that its client has chosen for it. */
const waiting: ((socket: Socket) => void)[] = [];
const listener = createServer({ allowHalfOpen: true }, (socket) => waiting.shift()!(socket));
listener.listen(0, "127.0.0.1");
await once(listener, "listening");
const { port } = listener.address() as AddressInfo;

const sockets = () =>
  process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap" || name === "TCPConnectWrap")
    .length;

/**
 * One end: its handshake, and its fate after `after` ms, which may be before the handshake is done. Nothing here may
 * throw.
 */
async function live(
  begin: (signal: AbortSignal) => Promise<TlsStream>,
  socket: Socket,
  fate: Fate,
  after: number,
): Promise<void> {
  const control = new AbortController();
  const opening = begin(control.signal);
  opening.catch(() => {});
  const patience = setTimeout(() => control.abort(reason), PATIENCE);
  const early = setTimeout(() => {
    if (fate === "reset") socket.resetAndDestroy();
    if (fate === "abort") control.abort(reason);
  }, after);
  try {
    const stream = await opening;
    await sleep(after);
    switch (fate) {
      case "close":
        return await stream.close();
      case "shutdown":
        await stream.shutdown();
        // It gives the transport back, open as it is.
        return void socket.destroy();
      case "abort":
        return stream.abort(reason);
      case "reset":
        return void socket.resetAndDestroy();
      case "hang":
        // It holds its connection, and does nothing; the signal ends it.
        await stream.closed;
        return;
      case "write and drop": {
        const writer = stream.writable.getWriter();
        writer.write(new Uint8Array(200_000)).catch(() => {});
        writer.releaseLock();
        stream.closed.catch(() => {});
        return;
      }
      case "drop":
        stream.closed.catch(() => {});
        return;
    }
  } catch {
    // What it met is other tests' matter.
  } finally {
    clearTimeout(early);
    // Who drops a connection has dropped the signal too.
    if (!fate.includes("drop")) clearTimeout(patience);
    else patience.unref();
  }
}

async function accident(next: () => number): Promise<void> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const [ours, theirs] = [pick(fates), pick(fates)];
  const [soon, later] = [next() * 20, next() * 20];
  const version = pick(["TLSv1.2", "TLSv1.3"] as const);
  const common = { openssl, maxVersion: version, handshakeTimeout: PATIENCE, closeTimeout: 100 };
  const accepted = new Promise<Socket>((resolve) => waiting.push(resolve));
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  await once(socket, "connect");
  const far = await accepted;
  for (const each of [socket, far]) each.on("error", () => {});
  await Promise.all([
    live(
      (signal) =>
        startTls(nodeTransport(socket), {
          ...common,
          signal,
          hostname: "localhost",
          caCerts: certs.caPem,
          sessionStore: false,
        }),
      socket,
      ours,
      soon,
    ),
    // Some clients reach a peer that never says a word.
    next() < 0.1
      ? sleep(later).then(() => void (theirs === "reset" ? far.resetAndDestroy() : far.destroy()))
      : live(
          (signal) =>
            acceptTls(nodeTransport(far), {
              ...common,
              signal,
              cert: certs.chains.ecdsa,
              key: certs.keys.ecdsa,
            }),
          far,
          theirs,
          later,
        ),
  ]);
}

/** Until all is where it was, or for so long that it never will be. */
async function atRest(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !isSo(); i++) {
    collect();
    await sleep(50);
  }
}

{
  const next = random(seed);
  const run = async (count: number) => {
    for (let left = count; left > 0; left -= 20)
      await Promise.all(Array.from({ length: Math.min(left, 20) }, () => accident(next)));
    const none = (live: typeof openssl.live) => live.connections === 0 && live.bioPairs === 0;
    await atRest(() => none(openssl.live) && sockets() === 0);
    await settled();
    return { ...openssl.memory, sockets: sockets(), live: JSON.stringify(openssl.live) };
  };
  console.log(`seed ${seed}`);
  const before = await run(100);
  const after = await run(accidents);
  const told = ({ used, sockets, live }: typeof before) =>
    `${used} bytes, ${sockets} sockets, objects ${live.replaceAll('"', "")}`;
  console.log(`${accidents} × an accident: before, ${told(before)}; after, ${told(after)}`);
  // Linear memory never shrinks, and how much was in use at once is a matter of luck: what is in use now counts.
  if (after.sockets !== 0 || after.live !== before.live || Math.abs(after.used - before.used) > 4096)
    failed = true;
}
listener.close();
console.log(failed ? "it did not end where it began" : "it ended where it began");
process.exit(failed ? 1 : 0);
