import { freeWhenDropped, hasEnded } from "./connection/dropped.js";
import type { OnEarlyData } from "./connection/early-data.js";
import { Listeners } from "./connection/listeners.js";
import { Pump } from "./connection/pump.js";
import { Verdict } from "./connection/verdict.js";
import { TransportWire } from "./connection/wire.js";
import { weakly } from "./engine.js";
import { TlsError } from "./errors.js";
import { Answers } from "./handshake/answers.js";
import { Resumption, type ResumptionOptions } from "./handshake/resumption.js";
import { OpenSsl } from "./openssl/openssl.js";
import {
  type Connection,
  contextFor,
  newConnection,
  type ReadOptions,
  readOptions,
  type ServerContextOptions,
  type TlsContext,
} from "./options/context.js";
import type { ClientIdentity, Peer } from "./options/identity.js";
import { infoOf } from "./options/info.js";
import { CONNECTION_OPTIONS, type TlsOptions } from "./options/protocol.js";
import { snapshot } from "./options/snapshot.js";
import { DEFAULT_CLOSE_TIMEOUT, farewell, requireBound, TlsStream } from "./stream.js";
import { after } from "./timers.js";
import type { Transport } from "./transport.js";

export interface CommonOptions extends TlsOptions {
  /** Aborts the handshake, and afterwards the connection. */
  signal?: AbortSignal;
  /** How long the handshake may take, in milliseconds; `Infinity` = as long as it likes. Default 30,000. */
  handshakeTimeout?: number;
  /**
   * How long `close()` and `await using` wait while the transport takes nothing, in milliseconds; `Infinity` = for ever. As
   * long as it takes bytes they go on. Default 2,000.
   */
  closeTimeout?: number;
  /** Leave the transport open when both directions have ended through the streams. Default false. */
  preventClose?: boolean;
  /** The OpenSSL to use. By default the context's, or one that all connections share, loaded at the first. */
  openssl?: OpenSsl;
  /** What is the same for many connections, read once; none of that may stand here then. */
  context?: TlsContext;
}

export interface ClientOptions extends CommonOptions, ClientIdentity, ResumptionOptions {}

export interface ServerOptions
  extends CommonOptions,
    Omit<ServerContextOptions, "openssl">,
    EarlyDataOptions {}

export interface EarlyDataOptions {
  /**
   * Takes early data (0-RTT, RFC 8446 §2.3): told piece by piece what the client sends along with its first message, before
   * the handshake is done. Without it early data is rejected, which costs the client nothing but the time; so it is where
   * `verify` is to be asked about the client's certificate, for that is after the handshake. Needs a `context` with `maxEarlyData`.
   *
   * What it costs: nobody has proven yet that the client is there. Who has recorded its first flight can send it again;
   * `context` takes each session once, but a second server of the same name, or the client itself after a lost answer, may
   * bring the same request once more. And it is readable for whoever gets the session later (no forward secrecy). So take only
   * what may be done twice, and by anybody who once could: a GET, and no transfer of money (RFC 8446 §8, RFC 8470).
   *
   * `reply` writes to the client as early; false means that it is too late for that: write to the stream.
   */
  onEarlyData?: OnEarlyData;
}

const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;

type OwnOptions = Omit<ClientOptions, keyof ReadOptions | "hostname"> & EarlyDataOptions & Partial<Peer>;

/** All that is a connection's own, by name: what is not here is not read. */
const OF_A_CONNECTION: Record<keyof OwnOptions, true> = {
  ...CONNECTION_OPTIONS,
  openssl: true,
  context: true,
  signal: true,
  handshakeTimeout: true,
  closeTimeout: true,
  preventClose: true,
  hostname: true,
  serverName: true,
  session: true,
  sessionStore: true,
  sessionPartition: true,
  earlyData: true,
  onEarlyData: true,
};

/**
 * Makes a TLS connection over `transport`, as a client. Resolves when the handshake is done and the peer is verified.
 *
 * The streams of the transport belong to the connection from the call on. When the promise rejects, the transport is
 * closed; but not when it rejects with "invalid-argument" or could not load OpenSSL: then nothing was touched.
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
  return await establish("client", transport, options);
}

/**
 * Makes a TLS connection over `transport`, as a server. Resolves when the handshake is done. See {@link startTls} for
 * what happens to the transport.
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
  return await establish("server", transport, options);
}

async function begin(options: CommonOptions): Promise<OpenSsl> {
  options.signal?.throwIfAborted();
  const openssl = options.openssl ?? options.context?.openssl ?? (await OpenSsl.shared());
  options.signal?.throwIfAborted();
  return openssl;
}

async function establish(role: "client" | "server", transport: Transport, given: object): Promise<TlsStream> {
  // At once: what the caller does with its object meanwhile is of no consequence.
  const read = readOptions(given);
  const options = snapshot(given, OF_A_CONNECTION) as OwnOptions;
  const { signal, handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT, sessionPartition = "" } = options;
  const { hostname, serverName } = options as Peer;
  const peer: Peer | undefined =
    role === "client" ? { hostname, ...(serverName !== undefined && { serverName }) } : undefined;
  const openssl = await begin(options);
  if (typeof handshakeTimeout !== "number" || !(handshakeTimeout > 0)) {
    throw new TlsError("invalid-argument", "handshakeTimeout must be more than 0 ms");
  }
  const { closeTimeout = DEFAULT_CLOSE_TIMEOUT } = options;
  requireBound(closeTimeout, "closeTimeout");
  const { context, free } = contextFor(openssl, role, options, read);
  // The key log is that of the context that was selected.
  const listeners = new Listeners(options.onEvent, (line) => answers.context.keylog?.(line));
  let connection: Connection | undefined;
  let resumption: Resumption | undefined;
  let wire: TransportWire;
  try {
    connection = newConnection(context, options, peer);
    if (role === "client") {
      resumption = new Resumption({
        openssl,
        ssl: connection.ssl,
        key: () => context.sessionKey(peer!, sessionPartition),
        mark: context.sessionMark,
        verifies: context.verifies,
        alpnProtocols: context.alpnProtocols,
        options,
        onError: (error) => listeners.tell({ type: "session-store-error", error }),
      });
    }
    // Last, since from here on the transport's streams are locked.
    wire = new TransportWire(transport);
  } catch (error) {
    connection?.ssl.free();
    connection?.pair.free();
    throw error;
  } finally {
    // The connection has its own hold on it.
    free();
  }
  const { ssl, pair } = connection;
  const peerName = role === "client" ? `"${peer?.hostname}"` : "the client";
  const answers = new Answers(ssl, context, peerName);
  // Weak, for what carries bytes must not keep alive what nobody else holds. So no function here may see the stream itself.
  let whole: { deref(): TlsStream | undefined } | undefined;
  const verdict = new Verdict({
    ssl,
    peerName,
    defaultCiphers: () => answers.context.defaultCiphers,
    eofPolicy: options.eofPolicy,
    quiet: options.quietShutdown,
  });
  const pump = new Pump({
    ssl,
    pair,
    wire,
    verdict,
    fixedPair: options.bioPairSize !== undefined,
    listeners,
    onNewSession: () => resumption?.collect(),
    onEarlyData: options.onEarlyData,
    answer: answers.answer,
    onFailure: (error) => whole?.deref()?.failed(error),
  });
  let stop = (_reason: unknown) => {};
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = reject;
  });
  stopped.catch(() => {});
  const giveUp = (reason: unknown) => {
    stop(reason);
    wire.abort(reason);
    pump.release(reason);
  };
  // It may live for as long as the program.
  const onAbort = () => (whole ? whole.deref()?.abort(signal!.reason) : giveUp(signal!.reason));
  const stopListening = () => signal?.removeEventListener("abort", onAbort);
  signal?.addEventListener("abort", onAbort);
  const stopTimer = after(handshakeTimeout, () =>
    giveUp(new TlsError("timeout", `no TLS handshake with ${peerName} within ${handshakeTimeout} ms`)),
  );
  try {
    if (resumption) await Promise.race([resumption.find(), stopped]);
    // What is early is sent before verify could be asked.
    await pump.handshake(context.verification.verify ? undefined : resumption?.earlyData);
    await Promise.race([answers.afterHandshake(), stopped]);
    const info = infoOf(ssl, answers.context.verifies);
    resumption?.opened(info.verified);
    const stream = new TlsStream({
      ssl,
      verdict,
      pump,
      wire,
      resumption,
      info,
      closeTimeout,
      preventClose: options.preventClose ?? false,
      stopListening: () => {
        stopListening();
        hasEnded(pump);
      },
    });
    whole = weakly(stream);
    freeWhenDropped(stream, { ssl, pair, wire, pump, stopListening, onEvent: options.onEvent });
    // Between the handshake and here it may have failed, before there was anybody to tell.
    if (verdict.failure) stream.failed(verdict.failure);
    else if (resumption && info.protocol === "TLSv1.3") pump.awaitTicket();
    return stream;
  } catch (error) {
    resumption?.discard();
    stopListening();
    // The alert that tells the peer why is on its way; nobody needs to wait for it.
    void farewell(pump, wire, error);
    throw error;
  } finally {
    stopTimer();
  }
}
