/**
 * Many connections that are open and idle, in one process: `idle.js COUNT…`, ascending. Both ends are ours, in an
 * instance each, so that each side's linear memory is its own. A line of JSON for each count.
 */
import { readFileSync } from "node:fs";
import { acceptTls, OpenSsl, startTls, TlsContext, type TlsStream } from "wassl";
import { pair } from "../fakes/pair.ts";

export interface Idle {
  readonly connections: number;
  /** Of linear memory that is allocated, by the client's or server's end, in bytes. */
  readonly client: number;
  readonly server: number;
  /** What the instance's memory has grown by, which never shrinks. */
  readonly clientSize: number;
  readonly serverSize: number;
  /** Of JavaScript, both ends and the transport between them, in bytes. */
  readonly heap: number;
  /** CPU time of a handshake, both ends, among those that were added last, in milliseconds. */
  readonly cpu: number;
}

const [chain, key, ca, ...counts] = process.argv.slice(2);
const read = (file: string | undefined) => readFileSync(file ?? "", "utf8");
const clientSsl = await OpenSsl.load();
const serverSsl = await OpenSsl.load();
const client = await TlsContext.client({ openssl: clientSsl, caCerts: read(ca) });
const server = await TlsContext.server({ openssl: serverSsl, cert: read(chain), key: read(key) });
const streams: TlsStream[] = [];

async function open(): Promise<void> {
  const [near, far] = pair();
  const options = { context: client, hostname: "localhost", sessionStore: false } as const;
  const both = await Promise.all([startTls(near, options), acceptTls(far, { context: server })]);
  // What a connection needs only while it is busy must be seen to have gone.
  for (const [from, to] of [both, [...both].reverse()] as [TlsStream, TlsStream][]) {
    const writer = from.writable.getWriter();
    const reader = to.readable.getReader();
    await Promise.all([writer.write(new Uint8Array(1)), reader.read()]);
    writer.releaseLock();
    reader.releaseLock();
  }
  streams.push(...both);
}

const cpu = () => process.cpuUsage().user + process.cpuUsage().system;
function heap(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  // Linear memory is not among them.
  return heapUsed + arrayBuffers;
}

// What the first one needs is no connection's own.
for (let i = 0; i < 4; i++) await open();
const already = streams.length / 2;
const before = { client: clientSsl.memory, server: serverSsl.memory, heap: heap() };
for (const count of counts.map(Number)) {
  const begun = cpu();
  const from = streams.length / 2 - already;
  while (streams.length / 2 - already < count) await open();
  const each = (value: number) => value / count;
  const idle: Idle = {
    connections: count,
    cpu: (cpu() - begun) / 1000 / (count - from),
    client: each(clientSsl.memory.used - before.client.used),
    server: each(serverSsl.memory.used - before.server.used),
    clientSize: each(clientSsl.memory.size - before.client.size),
    serverSize: each(serverSsl.memory.size - before.server.size),
    heap: each(heap() - before.heap),
  };
  console.log(JSON.stringify(idle));
}
process.exit();
