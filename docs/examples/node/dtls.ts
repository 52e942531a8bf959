/**
 * A DTLS 1.2 client over UDP: sends a datagram, and prints what comes back.
 *
 *     tsx dtls.ts HOST:PORT CA-FILE
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { TlsCertificateError } from "wassl";
import { startDtls } from "wassl/dtls";
import { dgramTransport } from "wassl/transports/datagrams";

const [address = "", caFile = ""] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];

try {
  // #region make
  const socket = createSocket("udp4");
  // Datagrams of others than the server do not get here.
  socket.connect(port, hostname);
  await once(socket, "connect");
  const dtls = await startDtls(dgramTransport(socket), {
    hostname,
    caCerts: await readFile(caFile),
    signal: AbortSignal.timeout(10_000),
  });
  console.log(`${dtls.info.protocol}, ${dtls.info.cipher}`);
  // #endregion

  // #region talk
  const reader = dtls.readable.getReader();
  await dtls.send(new TextEncoder().encode("hello\n"));
  // Either message may be lost: a protocol of your own asks again, as CoAP does.
  const { value } = await reader.read();
  if (value) console.log(`the server answered: ${new TextDecoder().decode(value).trim()}`);
  await dtls.close();
  // #endregion
} catch (error) {
  if (!(error instanceof TlsCertificateError)) throw error;
  console.log("the handshake failed:", error.message, error.verifyError);
  process.exitCode = 1;
}
