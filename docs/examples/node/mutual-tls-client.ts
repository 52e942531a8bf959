/**
 * A client that proves who it is with a certificate.
 *
 *     tsx mutual-tls-client.ts HOST:PORT CA-FILE CERTIFICATE-FILE KEY-FILE
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { startTls, TlsAlertError, type TlsStream } from "wassl";
import { nodeTransport } from "wassl/transports/node";

const [address = "", caFile = "", certFile = "", keyFile = ""] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];

const socket = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
await once(socket, "connect");

// #region connect
const tls = await startTls(nodeTransport(socket), {
  hostname,
  caCerts: await readFile(caFile),
  // PEM: our own certificate first, then those between it and the server's trust anchor.
  cert: await readFile(certFile, "utf8"),
  key: await readFile(keyFile, "utf8"),
});
// #endregion

// #region talk
try {
  await ask(tls, "hello\n");
} catch (error) {
  if (!(error instanceof TlsAlertError)) throw error;
  // "unknown_ca", "certificate_expired", "unsupported_certificate" …
  console.log(`the server refused us: ${error.alert.description}`);
  process.exitCode = 1;
}
// #endregion

/** Says a line, and prints the first thing that comes back. */
async function ask(tls: TlsStream, line: string): Promise<void> {
  const writer = tls.writable.getWriter();
  const reader = tls.readable.getReader();
  // The server may refuse us before it takes the line. What it says then is found by the reader.
  const written = writer.write(new TextEncoder().encode(line)).catch(() => {});
  const { value } = await reader.read();
  await written;
  console.log(`the server answered: ${new TextDecoder().decode(value).trim()}`);
  reader.releaseLock();
  writer.releaseLock();
  await tls.close();
}
