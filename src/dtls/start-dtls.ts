import { readOptions } from "../check.js";
import { transportError } from "../connection/failure.js";
import { Resumption } from "../handshake/resumption.js";
import { sharedLibrary } from "../openssl/shared.js";
import { newClientContext, newConnection, ofAContext } from "../options/context.js";
import type { Peer } from "../options/identity.js";
import type { DatagramTransport } from "../transport.js";
import { type Begun, begin, type Ends } from "./establish.js";
import { DTLS_CLIENT, type DtlsClientOptions, datagramSize } from "./options.js";
import type { DtlsSession } from "./session.js";

/**
 * startDtls makes a DTLS 1.2 association over `transport`, as a client. It resolves when the handshake is done and the
 * server is verified. What is lost on the way is sent again until then.
 *
 * The streams of the transport belong to the association from the call on, and are closed with it. When the promise
 * rejects with "invalid-argument", or because OpenSSL could not be loaded, nothing was touched.
 *
 * @throws TlsCertificateError | TlsAlertError | TlsError, or the reason of `signal`
 *
 * @example
 * ```ts
 * import { type DatagramTransport, startDtls } from "wassl/dtls";
 *
 * async function ask(transport: DatagramTransport, question: Uint8Array): Promise<Uint8Array | undefined> {
 *   const dtls = await startDtls(transport, { hostname: "device.example", caCerts: pem });
 *   await dtls.send(question);
 *   const { value } = await dtls.readable.getReader().read();
 *   await dtls.close();
 *   return value;
 * }
 * ```
 */
export async function startDtls(
  transport: DatagramTransport,
  options: DtlsClientOptions,
): Promise<DtlsSession> {
  const own = readOptions(options, DTLS_CLIENT, "startDtls");
  const { hostname, serverName, sessionPartition = "" } = own;
  const peer: Peer = { hostname, ...(serverName !== undefined && { serverName }) };
  const maxDatagramSize = datagramSize(own.maxDatagramSize, transport.maxDatagramSize);
  own.signal?.throwIfAborted();
  const library = own.openssl?.library ?? (await sharedLibrary());
  own.signal?.throwIfAborted();
  const context = newClientContext(library, ofAContext(own), "dtls-client");
  try {
    const connection = newConnection(context, own.trace ? { trace: true } : {}, peer);
    const writer = transport.writable.getWriter();
    const reader = transport.readable.getReader();
    const beginOrRelease = (ends: Ends): Begun => {
      try {
        return begin(ends);
      } catch (error) {
        writer.releaseLock();
        reader.releaseLock();
        throw error;
      }
    };
    const begun = beginOrRelease({
      context,
      connection,
      peerName: `"${hostname}"`,
      options: own,
      idleTimeout: own.idleTimeout ?? Infinity,
      maxDatagramSize,
      send: async (datagram) => {
        try {
          await writer.write(datagram);
        } catch (error) {
          throw transportError("sending", error);
        }
      },
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
    });
    const { association, messages } = begun;
    const carry = async () => {
      try {
        for (;;) {
          await messages.room();
          const { value, done } = await reader.read();
          if (association.over) return;
          if (done) return association.abort(transportError("receiving", "no more datagrams come"));
          association.receive(value);
        }
      } catch (error) {
        association.abort(transportError("receiving", error));
      }
    };
    void carry();
    void begun.closed.then(() => {
      // A transport that is broken already cannot be closed.
      writer.close().catch(() => {});
      reader.cancel().catch(() => {});
    });
    return await begun.session;
  } finally {
    // The connection has its own hold on the context.
    context.free();
  }
}
