import { callback, readOptions, type Table } from "./check.js";
import { EarlyRead, type OnEarlyData } from "./connection/early-read.js";
import { COMMON, type CommonOptions, establish } from "./establish.js";
import { LateAuth } from "./handshake/late-auth.js";
import { RESUMPTION_OPTIONS } from "./handshake/resumption.js";
import { select } from "./handshake/select.js";
import { contextFor, ofAContext } from "./options/context.js";
import { CLIENT_IDENTITY } from "./options/identity.js";
import { SERVER_CONTEXT, type ServerContextOptions, TlsContext } from "./options/tls-context.js";
import type { TlsStream } from "./stream.js";
import type { Transport } from "./transport.js";

export interface ServerOptions
  extends CommonOptions,
    Omit<ServerContextOptions, "openssl">,
    EarlyDataOptions {}

export interface EarlyDataOptions {
  /**
   * Takes early data (0-RTT, RFC 8446 §2.3): called with each piece that the client sends along with its first message,
   * before the handshake is done. Without it early data is rejected, which costs the client only time. Early data is
   * also rejected where `verify` is to be asked about the client's certificate, because that is after the handshake.
   * Needs a `context` with `maxEarlyData`.
   *
   * What it costs: the client has not proven yet that it is there, and an attacker that has recorded its first flight
   * can send it again. `context` takes each session once; but a second server of the same name, or the client itself
   * after a lost answer, may bring the same request once more. And anybody who gets the session later can read early
   * data (no forward secrecy). So take only what may be done twice, by anybody who once could: a GET, and no transfer
   * of money (RFC 8446 §8, RFC 8470).
   *
   * `reply` writes to the client as early; false means that it is too late for that: write to the stream.
   */
  onEarlyData?: OnEarlyData;
}

const SERVER: Table<ServerOptions> = { ...SERVER_CONTEXT, ...COMMON, onEarlyData: callback };
const CLIENT = { ...CLIENT_IDENTITY, ...RESUMPTION_OPTIONS };

/**
 * acceptTls makes a TLS connection over `transport`, as a server. It resolves when the handshake is done. See
 * {@link startTls} for what happens to the transport.
 *
 * @example
 * ```ts
 * import { acceptTls, TlsContext } from "wassl";
 *
 * const context = await TlsContext.server({ cert, key });
 * const tls = await acceptTls(transport, { context });
 * await tls.readable.pipeTo(tls.writable); // an echo, which ends when the client ends
 * ```
 */
export async function acceptTls(transport: Transport, options: ServerOptions): Promise<TlsStream> {
  // Read at once: later changes of the caller's object do not count.
  const own = readOptions(options, SERVER, "acceptTls", { startTls: CLIENT });
  const { onEarlyData } = own;
  return await establish(transport, own, (library) => {
    const { context, free } = contextFor(
      library,
      "server",
      own.context,
      ofAContext(own),
      TlsContext.ofServer,
    );
    return {
      context,
      free,
      select: (ssl) => select(ssl, context),
      lateAuth: (ssl, verdict, answers) =>
        new LateAuth(library, ssl, verdict, () => answers.context.verifies),
      earlyRead: (ssl) => onEarlyData && ((goOn) => new EarlyRead(library, ssl, onEarlyData, goOn)),
    };
  });
}
