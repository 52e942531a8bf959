/** The options of DTLS: those of TLS that have a meaning there, and what datagrams have beside. */
import { callback, flag, group, longerThan0, signal, type Table, whole } from "../check.js";
import type { TlsEvent } from "../connection/events.js";
import { TlsError } from "../errors.js";
import { RESUMPTION_OPTIONS, type ResumptionOptions } from "../handshake/resumption.js";
import { CLIENT_CONTEXT, type ClientContextOptions, OPENSSL } from "../options/context.js";
import { CLIENT_IDENTITY, type ClientIdentity } from "../options/identity.js";
import { SERVER_CONTEXT, type ServerContextOptions } from "../options/tls-context.js";
import type { SocketAddress } from "../transport.js";

/** What only TLS 1.3 has, or only a stream of bytes. */
type OfTls =
  | "minVersion"
  | "maxVersion"
  | "cipherSuites"
  | "maxSendFragment"
  | "postHandshakeAuth"
  | "legacyServerConnect";

/** How long this side waits for an answer in the handshake before it sends again, in milliseconds. */
export interface Retransmission {
  /** At first, 1 to 2,000,000. Default 1,000 (RFC 6347 §4.2.4.1). */
  initial?: number;
  /** The time doubles with each attempt, up to this, 1 to 2,000,000. Default 60,000. After twelve the handshake fails. */
  maximum?: number;
}

/** What a client and a server have in common. */
export interface DtlsOptions {
  /** Aborts the handshake, and afterwards the association. */
  signal?: AbortSignal;
  /** How long the handshake may take, in milliseconds; `Infinity` = for ever. Default 30,000. */
  handshakeTimeout?: number;
  /**
   * How long no datagram may come that is the peer's, in milliseconds, before the association ends ("idle"); `Infinity`
   * = for ever. A peer that has gone away may never say so. Default `Infinity` for a client, 300,000 for a server.
   */
  idleTimeout?: number;
  /**
   * The longest datagram that this side sends, in bytes, 208 to 16,384; the handshake has 4,096 at most. There is no
   * discovery. Default: what the transport says, otherwise 1,200, which fits nearly every path (RFC 9000 §14).
   */
  maxDatagramSize?: number;
  retransmission?: Retransmission;
  /**
   * How many messages wait in `readable`, 1 to 65,536. When it is full, a client reads no more from its transport, and a
   * server drops what comes (`statistics.dropped`). Default 64.
   */
  maxWaiting?: number;
  /** Called with each event, as it happens. It must not throw. */
  onEvent?: (event: TlsEvent) => void;
  /** Whether `onEvent` is also called with each record and handshake message. Default false. */
  trace?: boolean;
}

export interface DtlsClientOptions
  extends DtlsOptions,
    Omit<ClientContextOptions, OfTls>,
    Pick<ClientIdentity, "hostname" | "serverName">,
    Omit<ResumptionOptions, "earlyData"> {}

export interface DtlsServerOptions
  extends DtlsOptions,
    Omit<ServerContextOptions, OfTls | "maxEarlyData" | "selectContext"> {
  /**
   * Whether a client must show that it gets what is sent to its address before anything is kept of it (RFC 6347 §4.2.1).
   * Without it a stranger makes the server send a certificate to any address, and fills its memory. Default true.
   */
  cookies?: boolean;
  /** How many handshakes may be under way at once, 1 to 65,536; other clients are not answered. Default 256. */
  maxHandshakes?: number;
  /** Called with each handshake that failed, which ends nothing but itself. It must not throw. */
  onHandshakeError?: (error: unknown, from: SocketAddress) => void;
}

const RETRANSMISSION: Table<Retransmission> = {
  initial: whole(1, 2_000_000, " milliseconds"),
  maximum: whole(1, 2_000_000, " milliseconds"),
};

const DTLS: Table<DtlsOptions> = {
  signal,
  handshakeTimeout: longerThan0,
  idleTimeout: longerThan0,
  maxDatagramSize: whole(208, 16_384, " bytes"),
  retransmission: group(RETRANSMISSION),
  maxWaiting: whole(1, 65_536),
  onEvent: callback,
  trace: flag,
};

function without<T extends object, K extends keyof T>(table: T, ...names: readonly K[]): Omit<T, K> {
  const all = { ...table };
  for (const name of names) delete all[name];
  return all;
}

const OF_TLS = [
  "minVersion",
  "maxVersion",
  "cipherSuites",
  "maxSendFragment",
  "postHandshakeAuth",
  "legacyServerConnect",
] as const;

export const DTLS_CLIENT: Table<DtlsClientOptions> = {
  ...without(CLIENT_CONTEXT, ...OF_TLS),
  hostname: CLIENT_IDENTITY.hostname,
  serverName: CLIENT_IDENTITY.serverName,
  ...without(RESUMPTION_OPTIONS, "earlyData"),
  ...DTLS,
  openssl: OPENSSL,
};

export const DTLS_SERVER: Table<DtlsServerOptions> = {
  ...without(SERVER_CONTEXT, ...OF_TLS, "maxEarlyData", "selectContext"),
  ...DTLS,
  cookies: flag,
  maxHandshakes: whole(1, 65_536),
  onHandshakeError: callback,
};

const DEFAULT_DATAGRAM = 1_200;
const LEAST_DATAGRAM = 208;
const MOST_DATAGRAM = 16_384;

/** How long datagrams may be, by the options, or by what the transport says. */
export function datagramSize(asked: number | undefined, told: number | undefined): number {
  const most = asked ?? told ?? DEFAULT_DATAGRAM;
  if (!(most >= LEAST_DATAGRAM)) {
    throw new TlsError(
      "invalid-argument",
      `the transport carries datagrams of ${most} bytes, and DTLS needs ${LEAST_DATAGRAM}`,
    );
  }
  return Math.min(Math.floor(most), MOST_DATAGRAM);
}
