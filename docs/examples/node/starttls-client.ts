/**
 * A client of a mail server that begins in the clear.
 *
 *     tsx starttls-client.ts HOST:PORT CA-FILE
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { startTls } from "wassl";
import { requestStartTls, StartTlsError } from "wassl/starttls";
import { nodeTransport } from "wassl/transports/node";

const [address = "", caFile = ""] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];

const socket = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
await once(socket, "connect");

// #region connect
try {
  // In the clear: the server's greeting, EHLO, STARTTLS, and the server's consent.
  const { transport } = await requestStartTls(nodeTransport(socket), { protocol: "smtp" });
  const tls = await startTls(transport, { hostname, caCerts: await readFile(caFile) });

  // What was said in the clear counts for nothing (RFC 3207 §4.2): the server's extensions are asked for again.
  const writer = tls.writable.getWriter();
  const reader = tls.readable.getReader();
  await writer.write(new TextEncoder().encode("EHLO client.example.org\r\n"));
  const { value } = await reader.read();
  console.log(new TextDecoder().decode(value).trim());
  reader.releaseLock();
  writer.releaseLock();
  await tls.close();
} catch (error) {
  if (!(error instanceof StartTlsError)) throw error;
  // The server declined, or somebody in between has put words into its mouth. Going on without TLS would be the attacker's wish.
  console.log(`no TLS: ${error.message}`);
  process.exitCode = 1;
}
// #endregion
