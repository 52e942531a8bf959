/** A server's identity, and the clients that it accepts: from options to a context. */
import { bytes, either, flag, group, listOf, oneOf, type Table, textOf, whole } from "../check.js";
import { TlsError } from "../errors.js";
import {
  SSL_OP_CIPHER_SERVER_PREFERENCE,
  SSL_OP_NO_TICKET,
  SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
  SSL_VERIFY_NONE,
  SSL_VERIFY_PEER,
  SSL_VERIFY_POST_HANDSHAKE,
} from "../openssl/constants.js";
import type { SslContext } from "../openssl/context.js";
import {
  addCaCerts,
  CA_CERTS,
  type CaCerts,
  IDENTITY,
  type Identity,
  identitiesOf,
  type Keys,
  useIdentity,
  VERIFICATION,
  type Verification,
} from "./identity.js";
import { applyVerifyOptions } from "./verify.js";

/** A server's options: its identity, and the clients that it accepts. */
export interface ServerIdentity extends Identity, Verification {
  /** More identities, one for each kind of key. A client gets the first that it can check. */
  identities?: readonly Identity[];
  /**
   * Whether clients are asked for a certificate ("request"), and must show one ("require"). A certificate that is shown
   * must be good in either case. With "require" a `psk` counts for nothing, because a client that uses it shows no
   * certificate. Default "none"; it must be given beside `caCerts`, `verify` or `verifyOptions`.
   */
  clientAuth?: "none" | "request" | "require";
  /**
   * Asks clients of TLS 1.3 for their certificate not in the handshake, but when `verifyClientPostHandshake()` of the
   * connection is called. `clientAuth` says what becomes of a client that has none then. Clients of TLS 1.2 are asked in
   * the handshake. Default false.
   */
  postHandshakeAuth?: boolean;
  /**
   * The trust anchors for certificates of clients. These are all of them. Their names are sent to the client, see
   * `sendCaNames`.
   */
  caCerts?: CaCerts;
  /**
   * Whether a client is told the names of `caCerts`, by which it may choose its certificate. There is room for 65,535
   * bytes, some 500 names; more are refused here, unless this is `false`. Default true.
   */
  sendCaNames?: boolean;
  /** An OCSP response for this server's certificate, in DER. Clients that ask for it get it (RFC 6066 §8). */
  ocspResponse?: Uint8Array;
  /** How many tickets a TLS 1.3 client gets for later connections; 0 = no tickets, in TLS 1.2 either. Default 2. */
  tickets?: number;
  /**
   * The keys of tickets, 80 bytes each, as random as keys: 16 name, 32 HMAC-SHA-256, 32 AES-256. The first one
   * encrypts, and all of them decrypt: put a new one in front every few hours, and drop old ones. Processes and
   * contexts that share them resume each other's sessions. By default the keys are random, and of this context alone.
   */
  ticketKeys?: readonly Uint8Array[];
  /**
   * Only servers with the same value accept each other's sessions. Up to 32 bytes; a text is taken as UTF-8
   * (`SSL_CTX_set_session_id_context(3)`). By default it is a hash over the server's certificates. In either case it is
   * combined with all that decides about clients (`clientAuth`, `caCerts`, `verifyOptions`, `verify`, `psk`, `ciphers`
   * and their like), as it is when the options are read. So a session never lets a client in that would have been asked
   * for more. By default a `verify` equals only itself in that hash, and so never one of another process; with
   * `sessionIdContext` every `verify` counts as the same, because it is asked again.
   */
  sessionIdContext?: Uint8Array | string;
  /**
   * How much early data (0-RTT) a session allows, in bytes; 0, the default, allows no early data. See `onEarlyData` of
   * `acceptTls` for what it costs. With it, sessions are kept in this context's memory, each for one use, so that no
   * recorded flight is accepted twice; `ticketKeys` count for TLS 1.2 only then.
   */
  maxEarlyData?: number;
  /** How long sessions and tickets are good, in whole seconds, 1 at least, a week at most. Default 7,200. */
  sessionTimeout?: number;
  /**
   * How long a client can go on by resuming, in whole seconds since its last full handshake, 1 to 2^31 - 1. Tickets of
   * TLS 1.3 are renewed with each use: without a bound a client would show its certificate once and for ever
   * (RFC 8446 §4.6.1). Default 604,800, which is 7 days.
   */
  maxSessionAge?: number;
}

/** RFC 8446 §4.6.1: a week. */
const LONGEST_SESSION = 604_800;

export const SERVER_IDENTITY: Table<ServerIdentity> = {
  ...IDENTITY,
  ...VERIFICATION,
  identities: listOf(group(IDENTITY)),
  clientAuth: oneOf("none", "request", "require"),
  postHandshakeAuth: flag,
  caCerts: CA_CERTS,
  sendCaNames: flag,
  ocspResponse: bytes(1),
  tickets: whole(0, 255),
  ticketKeys: listOf(bytes(80, 80), 1),
  sessionIdContext: either(bytes(1, 32), textOf(1, 32)),
  maxEarlyData: whole(0, 2 ** 32 - 1, " bytes"),
  sessionTimeout: whole(1, LONGEST_SESSION, " seconds"),
  maxSessionAge: whole(1, 2 ** 31 - 1, " seconds"),
};

/** What `setIdentity` replaces. */
export type ServerCertificates = Pick<ServerIdentity, keyof Identity | "identities" | "ocspResponse">;

export const SERVER_CERTIFICATES: Table<ServerCertificates> = {
  ...IDENTITY,
  identities: SERVER_IDENTITY.identities,
  ocspResponse: SERVER_IDENTITY.ocspResponse,
};

export function useServerCertificates(ctx: SslContext, options: ServerCertificates, keys: Keys): void {
  const { ocspResponse } = options;
  for (const identity of identitiesOf(options)) useIdentity(ctx, identity, keys);
  if (ocspResponse) ctx.setOcspResponse(ocspResponse);
}

/** Makes `ctx` a server's: its identity, and the clients that it accepts. */
export function configureServer(ctx: SslContext, options: ServerIdentity, keys: Keys): void {
  const { clientAuth = "none", postHandshakeAuth, tickets, sendCaNames = true } = options;
  const unasked = (["caCerts", "verify", "verifyOptions"] as const).find(
    (name) => options[name] !== undefined,
  );
  if (options.clientAuth === undefined && unasked !== undefined) {
    throw new TlsError(
      "invalid-argument",
      `${unasked} is for certificates of clients, and counts only where clientAuth says whether they are asked for one`,
    );
  }
  if (clientAuth !== "none" && options.caCerts === undefined) {
    throw new TlsError(
      "invalid-argument",
      `clientAuth "${clientAuth}" needs caCerts, the trust anchors for clients`,
    );
  }
  if (postHandshakeAuth && clientAuth === "none") {
    throw new TlsError(
      "invalid-argument",
      'postHandshakeAuth needs clientAuth "request" or "require": what becomes of a client without a certificate',
    );
  }
  // Of the two ends this one is slow.
  ctx.setOptions(SSL_OP_CIPHER_SERVER_PREFERENCE);
  useServerCertificates(ctx, options, keys);
  addCaCerts(ctx, options.caCerts);
  ctx.setVerify(CLIENT_AUTH[clientAuth] | (postHandshakeAuth ? SSL_VERIFY_POST_HANDSHAKE : 0));
  if (clientAuth !== "none" && sendCaNames) ctx.sendCaNames();
  if (options.verifyOptions) applyVerifyOptions(ctx, options.verifyOptions, { rfc9525: false });
  if (tickets !== undefined) ctx.setNumTickets(tickets);
  if (options.ticketKeys) ctx.setTicketKeys(options.ticketKeys);
  ctx.setSessionTimeout(options.sessionTimeout ?? DEFAULT_SESSION_TIMEOUT);
  if (options.maxEarlyData !== undefined) {
    ctx.setMaxEarlyData(options.maxEarlyData);
    ctx.setRecvMaxEarlyData(options.maxEarlyData);
  }
  if (tickets === 0) ctx.setOptions(SSL_OP_NO_TICKET);
}

const DEFAULT_SESSION_TIMEOUT = 7_200;

const CLIENT_AUTH = {
  none: SSL_VERIFY_NONE,
  request: SSL_VERIFY_PEER,
  require: SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
} as const;
