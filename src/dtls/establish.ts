/** The way of an association, from its options to its session, for both ends. */
import { Listeners } from "../connection/listeners.js";
import { Verdict } from "../connection/verdict.js";
import { TlsError } from "../errors.js";
import { Answers } from "../handshake/answers.js";
import type { Resumption } from "../handshake/resumption.js";
import type { SslCore } from "../openssl/ssl-core.js";
import type { Connection, Context } from "../options/context.js";
import { infoOf } from "../options/info.js";
import { after } from "../timers.js";
import type { SocketAddress } from "../transport.js";
import { Association, type DtlsEnd } from "./association.js";
import { Messages } from "./messages.js";
import type { DtlsOptions } from "./options.js";
import { DtlsSession } from "./session.js";

const HANDSHAKE_TIMEOUT = 30_000;
const MOST_WAITING = 64;

export interface Ends {
  context: Context;
  connection: Connection;
  /** For messages. */
  peerName: string;
  options: DtlsOptions;
  idleTimeout: number;
  maxDatagramSize: number;
  peer?: SocketAddress;
  send(datagram: Uint8Array): Promise<void>;
  resume?(ssl: SslCore, listeners: Listeners): Resumption;
}

/** An association under way, with what belongs to it. */
export interface Begun {
  association: Association;
  messages: Messages;
  closed: Promise<DtlsEnd>;
  /** Resolves with the session when the handshake is done and the peer accepted. */
  session: Promise<DtlsSession>;
}

/** Begins the handshake. Frees the connection if it cannot. */
export function begin(ends: Ends): Begun {
  const { context, peerName, options, peer } = ends;
  const { ssl, pair } = ends.connection;
  const { maxWaiting = MOST_WAITING, onEvent, handshakeTimeout = HANDSHAKE_TIMEOUT, signal } = options;
  try {
    const answers = new Answers(ssl, context, peerName);
    const listeners = new Listeners(onEvent, context.keylog);
    const resumption = ends.resume?.(ssl, listeners);
    const verdict = new Verdict({
      ssl,
      peerName,
      defaultCiphers: () => context.defaultCiphers,
      trustsNobody: () => context.trustsNobody,
      eofPolicy: undefined,
      quiet: false,
    });
    let tellEnd!: (end: DtlsEnd) => void;
    const closed = new Promise<DtlsEnd>((resolve) => {
      tellEnd = resolve;
    });
    const onAbort = () => association.abort(signal!.reason);
    const messages = new Messages(maxWaiting, () => void association.close());
    const association = new Association({
      library: context.library,
      ssl,
      pair,
      verdict,
      listeners,
      answer: answers.answer,
      onNewSession: () => resumption?.collect(),
      send: ends.send,
      deliver: (message) => messages.push(message),
      ended: (end) => {
        signal?.removeEventListener("abort", onAbort);
        if (end.how === "failed") messages.end({ error: end.error });
        else messages.end();
        tellEnd(end);
      },
      peerName,
      maxDatagramSize: ends.maxDatagramSize,
      retransmission: options.retransmission,
      idleTimeout: ends.idleTimeout,
    });
    signal?.addEventListener("abort", onAbort);
    const stopTimer = after(handshakeTimeout, () =>
      association.abort(
        new TlsError("timeout", `no DTLS handshake with ${peerName} within ${handshakeTimeout} ms`),
      ),
    );
    const settle = async (): Promise<DtlsSession> => {
      try {
        await resumption?.find();
        if (!association.over) association.begin();
        await association.open;
        await answers.afterHandshake();
        signal?.throwIfAborted();
        association.refuse();
        const info = infoOf(ssl, context.verifies);
        resumption?.opened(info.verified);
        return new DtlsSession({
          association,
          messages,
          ssl,
          info,
          peer,
          latest: () => resumption?.latest,
          closed,
        });
      } catch (error) {
        resumption?.discard();
        association.abort(error);
        throw error;
      } finally {
        stopTimer();
      }
    };
    const session = settle();
    session.catch(() => {});
    return { association, messages, closed, session };
  } catch (error) {
    ssl.free();
    pair.free();
    throw error;
  }
}
