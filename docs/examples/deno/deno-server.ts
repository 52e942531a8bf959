/**
 * An HTTPS server in Deno that tells its clients who they are. `Deno.listenTls` cannot ask for a certificate; this can.
 *
 *     deno run --allow-net --allow-read deno-server.ts CERTIFICATE-FILE KEY-FILE CLIENTS-CA-FILE
 */
import { acceptTls, TlsContext, TlsError, type TlsStream } from "wassl";
import { denoTransport } from "wassl/transports/deno";

const [certFile = "", keyFile = "", caFile = ""] = Deno.args;

// #region listen
const context = await TlsContext.server({
  cert: await Deno.readTextFile(certFile),
  key: await Deno.readTextFile(keyFile),
  // A client may show a certificate. One that it shows must be good.
  clientAuth: "request",
  caCerts: await Deno.readTextFile(caFile),
  alpnProtocols: ["http/1.1"],
});

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log("listening on", listener.addr);
for await (const conn of listener) {
  // Not awaited: the next client must not wait for this one.
  void serve(conn);
}
// #endregion

// #region serve
async function serve(conn: Deno.TcpConn): Promise<void> {
  try {
    // HTTP says itself where a message ends, so that an end without close_notify is no truncation; some clients end so.
    const tls = await acceptTls(denoTransport(conn), { context, eofPolicy: "record-boundary" });
    // What a client may take from us, at most: time, and the length of its request.
    await answer(tls, AbortSignal.timeout(10_000), 16_384);
  } catch (error) {
    // A scanner, a certificate that is not good, a client that left: an affair of one connection, not of the server.
    if (!(error instanceof TlsError)) throw error;
    console.log(`${error.code}: ${error.message}`);
  }
}

async function answer(tls: TlsStream, signal: AbortSignal, longest: number): Promise<void> {
  const stop = () => tls.abort(new TlsError("timeout", "the client took too long"));
  signal.addEventListener("abort", stop);
  try {
    let request = "";
    for await (const chunk of tls.readable.values({ preventCancel: true })) {
      request += new TextDecoder().decode(chunk);
      if (request.includes("\r\n\r\n") || request.length > longest) break;
    }
    const [certificate] = tls.info.peerCertificates;
    const body = new TextEncoder().encode(`you are ${certificate?.subject ?? "a stranger"}\n`);
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
    const writer = tls.writable.getWriter();
    await writer.write(new TextEncoder().encode(head));
    await writer.write(body);
    writer.releaseLock();
    // Sends close_notify, waits for the client's, and gives the TCP connection back, which is closed then.
    const { transport } = await tls.shutdown();
    await transport.writable.close();
    await transport.readable.cancel();
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
// #endregion
