/**
 * A server that lets in only clients with a certificate, and only those that it knows.
 *
 *     tsx mutual-tls-server.ts CERTIFICATE-FILE KEY-FILE CLIENTS-CA-FILE NAME…
 *
 * A NAME is one of a certificate's alternative names: "DNS:worker-1.example.org", "email:eve@example.org".
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { acceptTls, TlsContext, TlsError, type TlsStream } from "wassl";
import { nodeTransport } from "wassl/transports/node";

const [certFile = "", keyFile = "", caFile = "", ...names] = process.argv.slice(2);

// #region context
/** Read once, for all connections. */
const context = await TlsContext.server({
  cert: await readFile(certFile, "utf8"),
  key: await readFile(keyFile, "utf8"),
  // A client must show a certificate that chains up to one of these …
  clientAuth: "require",
  caCerts: await readFile(caFile, "utf8"),
  // … and it must be one that we know. This is asked after OpenSSL has accepted the chain, so it can only be stricter.
  verify: ([client]) => client?.subjectAltName.some((name) => names.includes(name)) ?? false,
});
// #endregion

const server = createServer({ allowHalfOpen: true, noDelay: true }, async (socket) => {
  try {
    await serve(await acceptTls(nodeTransport(socket), { context }));
  } catch (error) {
    // A client without a good certificate never gets beyond the handshake.
    if (!(error instanceof TlsError)) throw error;
    console.log(`refused: ${error.code}: ${error.message}`);
  }
});

// #region serve
async function serve(tls: TlsStream): Promise<void> {
  const [certificate] = tls.info.peerCertificates;
  const writer = tls.writable.getWriter();
  await writer.write(new TextEncoder().encode(`hello, ${certificate?.subject}\n`));
  writer.releaseLock();
  await tls.close();
  console.log(`served: ${certificate?.subject}`);
}
// #endregion

server.listen(0, "127.0.0.1", () => console.log("listening on", server.address()));
