/** The way of a connection, from its options to its stream. What is a client's or a server's alone is a {@link Side}. */
import { custom, duration, flag, longerThan0, signal, type Table } from "./check.js";
import { freeWhenDropped, hasEnded, type Waiting } from "./connection/dropped.js";
import { Listeners } from "./connection/listeners.js";
import { Pump, type PumpOptions } from "./connection/pump.js";
import { Verdict } from "./connection/verdict.js";
import { TransportWire } from "./connection/wire.js";
import { weakly } from "./engine.js";
import { TlsError } from "./errors.js";
import { Answers } from "./handshake/answers.js";
import type { LateAuth } from "./handshake/late-auth.js";
import type { Resumption } from "./handshake/resumption.js";
import type { BioPairCore } from "./openssl/bio-pair-core.js";
import type { Library } from "./openssl/library.js";
import type { OpenSsl } from "./openssl/openssl.js";
import { sharedLibrary } from "./openssl/shared.js";
import type { SslCore } from "./openssl/ssl-core.js";
import { type Connection, Context, newConnection, OPENSSL } from "./options/context.js";
import type { Peer } from "./options/identity.js";
import { infoOf } from "./options/info.js";
import { CONNECTION_OPTIONS, type ContextOptions, type TlsOptions } from "./options/protocol.js";
import type { TlsContext } from "./options/tls-context.js";
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

const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;

export const COMMON: Table<Omit<CommonOptions, keyof ContextOptions>> = {
  ...CONNECTION_OPTIONS,
  openssl: OPENSSL,
  context: custom("a TlsContext", (value) => value instanceof Context),
  signal,
  handshakeTimeout: longerThan0,
  closeTimeout: duration,
  preventClose: flag,
};

/** What a client and a server do each in its way. */
export interface Side {
  context: Context;
  /** Lets go of the context. The connection has its own hold on it. */
  free(): void;
  /** The server that a client means to talk to. */
  peer?: Peer;
  /** A client's sessions. */
  resume?(ssl: SslCore, listeners: Listeners): Resumption;
  /** A server's choice of a context. */
  select?: (ssl: SslCore) => Promise<Context>;
  /** A server's early data. */
  earlyRead?(ssl: SslCore): PumpOptions["newEarlyRead"];
  /** A server's question behind the handshake. */
  lateAuth?(ssl: SslCore, verdict: Verdict, answers: Answers): LateAuth;
}

/**
 * @param options as they were when they were read
 * @param sideOf makes the context, or finds the one that is given
 */
export async function establish(
  transport: Transport,
  options: CommonOptions,
  sideOf: (library: Library) => Side,
): Promise<TlsStream> {
  const library = await begin(options);
  const { handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT, closeTimeout = DEFAULT_CLOSE_TIMEOUT } = options;
  const parts = assemble(sideOf(library), transport, options);
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

async function begin(options: CommonOptions): Promise<Library> {
  options.signal?.throwIfAborted();
  const library = options.openssl?.library ?? options.context?.library ?? (await sharedLibrary());
  options.signal?.throwIfAborted();
  return library;
}

/** The parts of a connection. */
interface Parts {
  ssl: SslCore;
  pair: BioPairCore;
  wire: TransportWire;
  verdict: Verdict;
  pump: Pump;
  answers: Answers;
  /** Of a client. */
  resumption: Resumption | undefined;
  /** Of a server. */
  lateAuth: LateAuth | undefined;
  /** The name of the server or the client in messages. */
  peerName: string;
  /** The application is to be asked about the peer's certificate. */
  asksToVerify: boolean;
}

/** Makes them all, or throws: then nothing is left in OpenSSL's memory, and the transport is untouched. */
function assemble(side: Side, transport: Transport, options: CommonOptions): Parts {
  const { context, peer, select } = side;
  const peerName = peer ? `"${peer.hostname}"` : "the client";
  let connection: Connection | undefined;
  try {
    connection = newConnection(context, options, peer);
    const { ssl, pair } = connection;
    const answers = new Answers(ssl, context, peerName, select && (() => select(ssl)));
    // The key log is that of the context that was selected.
    const listeners = new Listeners(options.onEvent, (line) => answers.context.keylog?.(line));
    const resumption = side.resume?.(ssl, listeners);
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
      newEarlyRead: side.earlyRead?.(ssl),
      answer: answers.answer,
    });
    const asksToVerify = context.verification.verify !== undefined;
    const lateAuth = side.lateAuth?.(ssl, verdict, answers);
    return { ssl, pair, wire, verdict, pump, answers, resumption, lateAuth, peerName, asksToVerify };
  } catch (error) {
    connection?.ssl.free();
    connection?.pair.free();
    throw error;
  } finally {
    // The connection has its own hold on the context.
    side.free();
  }
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
function open(parts: Parts, closeTimeout: number, options: CommonOptions): TlsStream {
  const { ssl, pair, wire, verdict, pump, answers, resumption, lateAuth } = parts;
  const { signal, onEvent, preventClose = false } = options;
  // The signal may have fired since the handshake was done.
  signal?.throwIfAborted();
  const readInfo = () => infoOf(ssl, answers.context.verifies);
  const stopListening = () => signal?.removeEventListener("abort", onAbort);
  const ended = () => {
    stopListening();
    hasEnded(pump);
  };
  const waiting: Waiting = {};
  const stream = new TlsStream({
    waiting,
    ssl,
    verdict,
    pump,
    wire,
    resumption,
    readInfo,
    lateAuth,
    closeTimeout,
    preventClose,
    stopListening: ended,
  });
  const { info } = stream;
  resumption?.opened(info.verified);
  const whole = weakly(stream);
  // The signal may live for as long as the program.
  const onAbort = () => whole.deref()?.abort(signal!.reason);
  signal?.addEventListener("abort", onAbort);
  // The connection may have failed between the handshake and here.
  pump.failed.then((error) => whole.deref()?.failed(error));
  freeWhenDropped(stream, { ssl, pair, wire, pump, stopListening, waiting, onEvent });
  if (!verdict.failure && resumption && info.protocol === "TLSv1.3") pump.awaitTicket();
  return stream;
}
