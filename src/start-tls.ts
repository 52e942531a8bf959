import { readOptions, type Table } from "./check.js";
import { COMMON, type CommonOptions, establish } from "./establish.js";
import { RESUMPTION_OPTIONS, Resumption, type ResumptionOptions } from "./handshake/resumption.js";
import { CLIENT_CONTEXT, contextFor, newClientContext, OF_A_CONTEXT, ofAContext } from "./options/context.js";
import { CLIENT_IDENTITY, type ClientIdentity, type Peer } from "./options/identity.js";
import type { TlsStream } from "./stream.js";
import type { Transport } from "./transport.js";

export interface ClientOptions extends CommonOptions, ClientIdentity, ResumptionOptions {}

/** @internal For `wassl/sockets`, which reads them before it connects. */
export const CLIENT: Table<ClientOptions> = {
  ...CLIENT_CONTEXT,
  ...CLIENT_IDENTITY,
  ...RESUMPTION_OPTIONS,
  ...COMMON,
};

/** The names alone: what a server's options may be is not in a client's bundle. */
const SERVER = { ...OF_A_CONTEXT, onEarlyData: true };

/**
 * startTls makes a TLS connection over `transport`, as a client. It resolves when the handshake is done and the server
 * is verified.
 *
 * The streams of the transport belong to the connection from the call on. When the promise rejects, the transport is
 * closed, with two exceptions: when it rejects with "invalid-argument", or when OpenSSL could not be loaded, nothing
 * was touched.
 *
 * @throws TlsCertificateError | TlsAlertError | TlsTruncationError | TlsError, or the reason of `signal`
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 * import { connectWebSocket } from "wassl/transports/websocket";
 *
 * const transport = await connectWebSocket("wss://relay.example.org/?to=db.example.org:5432");
 * const tls = await startTls(transport, { hostname: "db.example.org", caCerts: pem });
 * console.log(tls.info.protocol, tls.info.cipher);
 * ```
 */
export async function startTls(transport: Transport, options: ClientOptions): Promise<TlsStream> {
  // Read at once: later changes of the caller's object do not count.
  const own = readOptions(options, CLIENT, "startTls", { acceptTls: SERVER });
  const { hostname, serverName, sessionPartition = "" } = own;
  const peer: Peer = { hostname, ...(serverName !== undefined && { serverName }) };
  return await establish(transport, own, (library) => {
    const { context, free } = contextFor(library, "client", own.context, ofAContext(own), newClientContext);
    return {
      context,
      free,
      peer,
      resume: (ssl, listeners) =>
        new Resumption({
          library,
          ssl,
          key: () => context.sessionKey(peer, sessionPartition),
          mark: context.sessionMark,
          verifies: context.verifies,
          asks: context.verification.verify !== undefined,
          alpnProtocols: context.alpnProtocols,
          options: own,
          onError: (error) => listeners.tell({ type: "session-store-error", error }),
        }),
    };
  });
}
