/**
 * node:tls as a process of its own, which does what its standard input says: `say TEXT`, `flood BYTES`, `end`,
 * `destroy`.
 *
 *     node-peer.ts server KEY CHAIN yes|no     prints its port
 *     node-peer.ts client PORT CA yes|no
 *
 * Both send back what comes. The last argument is for `allowHalfOpen`.
 */
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { connect, createServer, type TLSSocket } from "node:tls";

const [, , role, first = "", second = "", halfOpen] = process.argv;
const allowHalfOpen = halfOpen === "yes";
let tls: TLSSocket;

function obey(socket: TLSSocket): void {
  tls = socket;
  tls.on("error", () => {});
  tls.on("data", (chunk) => tls.write(chunk));
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const [verb, ...rest] = line.split(" ");
  if (verb === "say") tls.write(`${rest.join(" ")}\n`);
  if (verb === "flood") tls.write(Buffer.alloc(Number(rest[0])));
  if (verb === "end") tls.end();
  if (verb === "destroy") tls.destroy();
});

if (role === "server") {
  const identity = { key: readFileSync(first), cert: readFileSync(second) };
  const server = createServer({ ...identity, allowHalfOpen }, obey);
  server.listen(0, "127.0.0.1", () => console.log(`port ${(server.address() as AddressInfo).port}`));
} else {
  const address = { host: "127.0.0.1", port: Number(first), servername: "localhost" };
  // tls.connect() takes allowHalfOpen as net.connect() does, though its types don't.
  const options = { ...address, ca: readFileSync(second), allowHalfOpen };
  obey(connect(options));
}
