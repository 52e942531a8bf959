import { callback, duration, flag, instance, longerThan0, readOptions, signal, type Table } from "./check.js";
import { freeWhenDropped, hasEnded } from "./connection/dropped.js";
import type { OnEarlyData } from "./connection/early-data.js";
import { Listeners } from "./connection/listeners.js";
import { Pump } from "./connection/pump.js";
import { Verdict } from "./connection/verdict.js";
import { TransportWire } from "./connection/wire.js";
import { weakly } from "./engine.js";
import { TlsError } from "./errors.js";
import { Answers } from "./handshake/answers.js";
import { RESUMPTION_OPTIONS, Resumption, type ResumptionOptions } from "./handshake/resumption.js";
import type { BioPair } from "./openssl/bio-pair.js";
import { OpenSsl } from "./openssl/openssl.js";
import type { Ssl } from "./openssl/ssl.js";
import {
  CLIENT_CONTEXT,
  type Connection,
  contextFor,
  newConnection,
  ofAContext,
  SERVER_CONTEXT,
  type ServerContextOptions,
  TlsContext,
} from "./options/context.js";
import { CLIENT_IDENTITY, type ClientIdentity, type Peer } from "./options/identity.js";
import { infoOf } from "./options/info.js";
import { CONNECTION_OPTIONS, type ContextOptions, type TlsOptions } from "./options/protocol.js";
import { DEFAULT_CLOSE_TIMEOUT, farewell, TlsStream } from "./stream.js";
import { after } from "./timers.js";
import type { Transport } from "./transport.js";

export interface CommonOptions extends TlsOptions {
  /** Aborts the handshake, and afterwards the connection. */
  signal?: AbortSignal;
  /** How long the handshake may take, in milliseconds; `Infinity` = for ever. Default 30,000. */
  handshakeTimeout?: number;
  /**
   * How long `close()` and `await using` wait while the transport takes nothing, in milliseconds; `Infinity` = for
   * ever. They go on as long as the transport takes bytes. Default 2,000.
   */
  closeTimeout?: number;
  /** Leaves the transport open when both directions have ended through the streams. Default false. */
  preventClose?: boolean;
  /** The OpenSSL to use. By default the context's, or one that all connections share, loaded at the first use. */
  openssl?: OpenSsl;
  /** What is the same for many connections, read once. The options that it is made of must not stand beside it. */
  context?: TlsContext;
}

export interface ClientOptions extends CommonOptions, ClientIdentity, ResumptionOptions {}

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

const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;

const OWN: Table<Omit<CommonOptions, keyof ContextOptions>> = {
  ...CONNECTION_OPTIONS,
  openssl: instance(OpenSsl),
  context: instance(TlsContext),
  signal,
  handshakeTimeout: longerThan0,
  closeTimeout: duration,
  preventClose: flag,
};

type OwnOptions = CommonOptions & Partial<ClientOptions> & EarlyDataOptions;

const CLIENT: Table<ClientOptions> = { ...CLIENT_CONTEXT, ...CLIENT_IDENTITY, ...RESUMPTION_OPTIONS, ...OWN };

const SERVER: Table<ServerOptions> = { ...SERVER_CONTEXT, ...OWN, onEarlyData: callback };

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
  return await establish("client", transport, options);
}

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
  return await establish("server", transport, options);
}

type Role = "client" | "server";

/** The way of a connection, from its options to its stream. */
async function establish(role: Role, transport: Transport, given: object): Promise<TlsStream> {
  // Read at once: later changes of the caller's object do not count.
  const options: OwnOptions =
    role === "client"
      ? readOptions(given as ClientOptions, CLIENT, "startTls", { acceptTls: SERVER })
      : readOptions(given as ServerOptions, SERVER, "acceptTls", { startTls: CLIENT });
  const openssl = await begin(options);
  const { handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT, closeTimeout = DEFAULT_CLOSE_TIMEOUT } = options;
  const parts = assemble(role, openssl, transport, options);
  try {
    await bounded(parts, handshakeTimeout, options.signal, (stopped) => shakeHands(parts, stopped));
    return open(parts, closeTimeout, options);
  } catch (error) {
    parts.resumption?.discard();
    // The alert that tells the peer why is on its way. It is not awaited.
    void farewell(parts.pump, parts.wire, error);
    throw error;
  }
}

async function begin(options: OwnOptions): Promise<OpenSsl> {
  options.signal?.throwIfAborted();
  const openssl = options.openssl ?? options.context?.openssl ?? (await OpenSsl.shared());
  options.signal?.throwIfAborted();
  return openssl;
}

/** The parts of a connection. */
interface Parts {
  ssl: Ssl;
  pair: BioPair;
  wire: TransportWire;
  verdict: Verdict;
  pump: Pump;
  answers: Answers;
  /** Of a client. */
  resumption: Resumption | undefined;
  /** The name of the server or the client in messages. */
  peerName: string;
  /** The application is to be asked about the peer's certificate. */
  asksToVerify: boolean;
}

/** Makes them all, or throws: then nothing is left in OpenSSL's memory, and the transport is untouched. */
function assemble(role: Role, openssl: OpenSsl, transport: Transport, options: OwnOptions): Parts {
  const { hostname, serverName } = options as Peer;
  const peer: Peer | undefined =
    role === "client" ? { hostname, ...(serverName !== undefined && { serverName }) } : undefined;
  const peerName = peer ? `"${peer.hostname}"` : "the client";
  const { context, free } = contextFor(openssl, role, options, ofAContext(options));
  let connection: Connection | undefined;
  try {
    connection = newConnection(context, options, peer);
    const { ssl, pair } = connection;
    const answers = new Answers(ssl, context, peerName);
    // The key log is that of the context that was selected.
    const listeners = new Listeners(options.onEvent, (line) => answers.context.keylog?.(line));
    const resumption = peer && newResumption(openssl, ssl, context, peer, options, listeners);
    const verdict = new Verdict({
      ssl,
      peerName,
      defaultCiphers: () => answers.context.defaultCiphers,
      trustsNobody: () => answers.context.trustsNobody,
      eofPolicy: options.eofPolicy,
      quiet: options.quietShutdown,
    });
    // Last, because from here on the transport's streams are locked.
    const wire = new TransportWire(transport);
    const pump = new Pump({
      ssl,
      pair,
      wire,
      verdict,
      listeners,
      fixedPair: options.bioPairSize !== undefined,
      onNewSession: () => resumption?.collect(),
      onEarlyData: options.onEarlyData,
      answer: answers.answer,
    });
    const asksToVerify = context.verification.verify !== undefined;
    return { ssl, pair, wire, verdict, pump, answers, resumption, peerName, asksToVerify };
  } catch (error) {
    connection?.ssl.free();
    connection?.pair.free();
    throw error;
  } finally {
    // The connection has its own hold on the context.
    free();
  }
}

function newResumption(
  openssl: OpenSsl,
  ssl: Ssl,
  context: TlsContext,
  peer: Peer,
  options: OwnOptions,
  listeners: Listeners,
): Resumption {
  const { sessionPartition = "" } = options;
  return new Resumption({
    openssl,
    ssl,
    key: () => context.sessionKey(peer, sessionPartition),
    mark: context.sessionMark,
    verifies: context.verifies,
    asks: context.verification.verify !== undefined,
    alpnProtocols: context.alpnProtocols,
    options,
    onError: (error) => listeners.tell({ type: "session-store-error", error }),
  });
}

/**
 * Waits for `work`. When the signal fires, or the time is over, everything is given up for that reason: the promise
 * that `work` is given rejects, and so does what waits for the pump.
 */
async function bounded(
  { wire, pump, peerName }: Parts,
  timeout: number,
  signal: AbortSignal | undefined,
  work: (stopped: Promise<never>) => Promise<void>,
): Promise<void> {
  let stop!: (reason: unknown) => void;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = reject;
  });
  stopped.catch(() => {});
  const giveUp = (reason: unknown) => {
    stop(reason);
    wire.abort(reason);
    pump.release(reason);
  };
  const onAbort = () => giveUp(signal!.reason);
  signal?.addEventListener("abort", onAbort);
  const stopTimer = after(timeout, () =>
    giveUp(new TlsError("timeout", `no TLS handshake with ${peerName} within ${timeout} ms`)),
  );
  try {
    await work(stopped);
  } finally {
    stopTimer();
    signal?.removeEventListener("abort", onAbort);
  }
}

async function shakeHands(
  { pump, answers, resumption, asksToVerify }: Parts,
  stopped: Promise<never>,
): Promise<void> {
  if (resumption) await Promise.race([resumption.find(), stopped]);
  // Early data is sent before `verify` could be asked.
  await pump.handshake(asksToVerify ? undefined : resumption?.earlyData);
  await Promise.race([answers.afterHandshake(), stopped]);
}

/**
 * The stream of a connection whose handshake is done. What carries bytes must not keep the stream alive when it is not
 * held otherwise, or it is never freed. So no function in here may see the stream itself.
 */
function open(parts: Parts, closeTimeout: number, options: OwnOptions): TlsStream {
  const { ssl, pair, wire, verdict, pump, answers, resumption } = parts;
  const { signal, onEvent, preventClose = false } = options;
  // The signal may have fired since the handshake was done.
  signal?.throwIfAborted();
  const info = infoOf(ssl, answers.context.verifies);
  resumption?.opened(info.verified);
  const stopListening = () => signal?.removeEventListener("abort", onAbort);
  const ended = () => {
    stopListening();
    hasEnded(pump);
  };
  const stream = new TlsStream({
    ssl,
    verdict,
    pump,
    wire,
    resumption,
    info,
    closeTimeout,
    preventClose,
    stopListening: ended,
  });
  const whole = weakly(stream);
  // The signal may live for as long as the program.
  const onAbort = () => whole.deref()?.abort(signal!.reason);
  signal?.addEventListener("abort", onAbort);
  // The connection may have failed between the handshake and here.
  pump.failed.then((error) => whole.deref()?.failed(error));
  freeWhenDropped(stream, { ssl, pair, wire, pump, stopListening, onEvent });
  if (!verdict.failure && resumption && info.protocol === "TLSv1.3") pump.awaitTicket();
  return stream;
}
