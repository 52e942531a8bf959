/**
 * The same request by `node:tls` and by Wassl.
 *
 *     tsx from-node-tls.ts HOST:PORT CA-FILE
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import * as net from "node:net";
import * as nodeTls from "node:tls";
import { startTls } from "wassl";
import { nodeTransport } from "wassl/transports/node";

const [address = "", caFile = ""] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];
const ca = await readFile(caFile);

async function byNode(): Promise<string> {
  // #region node
  const socket = nodeTls.connect({
    host: hostname,
    port,
    servername: hostname,
    ca,
    ALPNProtocols: ["http/1.1"],
  });
  await once(socket, "secureConnect");
  socket.end("GET / HTTP/1.0\r\n\r\n");
  let answer = "";
  for await (const chunk of socket.setEncoding("utf8")) answer += chunk;
  // An answer that was cut off looks the same.
  // #endregion
  return `${socket.authorized} ${answer.split("\r\n")[0]}`;
}

async function byWassl(): Promise<string> {
  // #region wassl
  // Wassl makes no connection: it is given one.
  const socket = net.connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
  await once(socket, "connect");
  const tls = await startTls(nodeTransport(socket), { hostname, caCerts: ca, alpnProtocols: ["http/1.1"] });
  const writer = tls.writable.getWriter();
  await writer.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
  await writer.close();
  // An answer that was cut off rejects, with a TlsTruncationError.
  const answer = await new Response(tls.readable).text();
  // #endregion
  return `${tls.info.verified} ${answer.split("\r\n")[0]}`;
}

console.log(`node:tls: ${await byNode()}`);
console.log(`wassl: ${await byWassl()}`);
