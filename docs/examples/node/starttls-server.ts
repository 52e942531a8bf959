/**
 * The other end: a server that begins in the clear, and is an echo in TLS.
 *
 *     tsx starttls-server.ts PROTOCOL CERTIFICATE-FILE KEY-FILE
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { acceptTls, TlsContext, TlsError } from "wassl";
import { acceptStartTls, startTlsProtocols } from "wassl/starttls";
import { nodeTransport } from "wassl/transports/node";

const [name, certFile = "", keyFile = ""] = process.argv.slice(2);
const protocol = startTlsProtocols.find((each) => each === name);
if (!protocol) throw new Error(`PROTOCOL is one of ${startTlsProtocols.join()}`);

// #region accept
const context = await TlsContext.server({
  cert: await readFile(certFile, "utf8"),
  key: await readFile(keyFile, "utf8"),
});

const server = createServer({ allowHalfOpen: true, noDelay: true }, async (socket) => {
  try {
    // Declines all that the client may want before TLS, and resolves when it asks for that.
    const { transport } = await acceptStartTls(nodeTransport(socket), { protocol, timeout: 10_000 });
    const tls = await acceptTls(transport, { context });
    await tls.readable.pipeTo(tls.writable);
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    console.log(`${error.code}: ${error.message}`);
  }
});
// #endregion

server.listen(0, "127.0.0.1", () => console.log("listening on", server.address()));
