/** This side's identity, the peer that is meant, and the trust anchors: from options to a context and a connection. */
import {
  bytes,
  callback,
  custom,
  either,
  flag,
  group,
  holds,
  is,
  isBytes,
  type Kind,
  listOf,
  oneOf,
  type Table,
  text,
  textOf,
  whole,
} from "../check.js";
import { TlsError } from "../errors.js";
import {
  SSL_OP_CIPHER_SERVER_PREFERENCE,
  SSL_OP_NO_TICKET,
  SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
  SSL_VERIFY_NONE,
  SSL_VERIFY_PEER,
} from "../openssl/constants.js";
import type { SslContext } from "../openssl/context.js";
import type { OpenSsl } from "../openssl/openssl.js";
import type { Ssl } from "../openssl/ssl.js";
import type { TrustAnchors } from "../openssl/trust-anchors.js";
import type { ChainFailure, X509Store } from "../openssl/verify.js";
import type { X509 } from "../openssl/x509.js";
import { isCryptoKey, isOfKind, requireKeyOf, signatureAlgorithmsOf } from "./external-key.js";
import { hostName } from "./names.js";
import { applyVerifyOptions, VERIFY_OPTIONS, type VerifyOptions } from "./verify.js";

/** PEM, which may hold several certificates, or one certificate in DER. */
export type CertificateData = string | Uint8Array;

/**
 * Trust anchors: certificates, and sets of them such as the one of `wassl/roots`. A server that names the authorities
 * it accepts does not send those of a set.
 */
export type CaCerts =
  | CertificateData
  | X509
  | TrustAnchors
  | readonly (CertificateData | X509 | TrustAnchors)[];

/** A certificate and its private key, with which an end proves its identity. Either `cert` and `key`, or `pkcs12`. */
export interface Identity {
  /** The certificate, and those between it and the trust anchor: PEM, its own first. */
  cert?: CertificateData;
  /**
   * Its private key: PEM, DER, or a `CryptoKey` that need not be extractable: ECDSA, Ed25519, RSA-PSS, or, for TLS 1.2
   * alone, RSASSA-PKCS1-v1_5. A `CryptoKey` stays in WebCrypto, which signs for this side. A `CryptoKey` that does not
   * belong to `cert` fails: with "invalid-argument" if it is of another kind, else with "callback" when it first signs.
   */
  key?: CertificateData | CryptoKey;
  /** Certificate, key and chain in one file (RFC 7292). */
  pkcs12?: Uint8Array;
  /** The passphrase of an encrypted key or PKCS #12 file. */
  passphrase?: string;
}

/** A certificate, or several in PEM. */
export const CERTIFICATES = either(
  text,
  bytes(),
  // Also one of another copy of this package.
  custom(
    "an X509",
    (value) => isBytes((value as Partial<X509> | null)?.der),
    (value: X509) => new Uint8Array(value.der),
  ),
);

const ANCHORS = custom(
  "trust anchors of wassl/roots",
  (value) => typeof value === "object" && value !== null && holds(value, "table"),
  ({ table }: TrustAnchors) => ({ table }),
);
export const CA_CERTS = either(CERTIFICATES, ANCHORS, listOf(either(CERTIFICATES, ANCHORS)));

const DATA = either(text, bytes());

export const IDENTITY: Table<Identity> = {
  cert: DATA,
  key: either(DATA, custom("a CryptoKey", isCryptoKey)),
  pkcs12: bytes(),
  passphrase: text,
};

/** OpenSSL's verdict about the peer's certificates. */
export interface PreliminaryResult {
  readonly ok: boolean;
  /** The path that OpenSSL accepted, from the peer's own certificate to the trust anchor; empty unless `ok`. */
  readonly verifiedChain: readonly X509[];
  /** The first thing that was wrong; absent when `ok`. */
  readonly failure?: ChainFailure;
  /**
   * All that was wrong, in the order in which OpenSSL found it, 8 at most; the last one is what Node.js tells. Of a
   * session that is resumed only that last one is known.
   */
  readonly failures: readonly ChainFailure[];
}

/** The options about the peer that both ends have. */
export interface Verification {
  /**
   * Has the last word on the peer, whose certificates are given, the peer's own first: for pinning, or for asking a
   * person or a service. `true`, or a promise of `true`, accepts; everything else refuses. It is asked when OpenSSL has
   * accepted the certificates, so it can only be stricter. It is asked again when a session is resumed, and not asked
   * about a peer that shows no certificate. The handshake waits for the answer, up to `handshakeTimeout`.
   */
  verify?: (chain: readonly X509[], preliminary: PreliminaryResult) => boolean | Promise<boolean>;
  /**
   * Asks `verify` also when OpenSSL has refused the peer, and lets `verify` accept it: for trust on first use, for
   * example. `info.verified` is false for a peer that OpenSSL refused. Default false.
   */
  unsafelyLetVerifyOverride?: boolean;
  /** How the peer's certificates are verified: revocation lists, purpose, depth, flags. */
  verifyOptions?: VerifyOptions;
}

const VERIFICATION: Table<Verification> = {
  verify: callback,
  unsafelyLetVerifyOverride: flag,
  verifyOptions: group(VERIFY_OPTIONS),
};

/**
 * A client's options: the server that it means to talk to, its trust anchors, and its own identity if the server asks.
 */
export interface ClientIdentity extends Identity, Verification {
  /**
   * The server's name: a DNS name or an IP literal. The certificate must be for it, as RFC 9525 says: by its
   * alternative names alone, of which a DNS name may begin with `*.` for one label. A DNS name is also sent as SNI.
   * Internationalised names are converted (IDNA). What is neither a name nor an address fails with "invalid-argument".
   */
  hostname: string;
  /**
   * The name that is sent as SNI (RFC 6066 §3) if it is not `hostname`: a DNS name, or `false` to send no name. The
   * certificate must still be for `hostname`.
   */
  serverName?: string | false;
  /** The trust anchors. These are all of them: there is no hidden store. */
  caCerts?: CaCerts;
  /**
   * What becomes of an OCSP response that the server staples (RFC 6066 §8). "require" = there must be one, and it must
   * be good. "soft" = if there is one, it must be good. "off" = no response is asked for. It is judged once, in the
   * full handshake that a session comes from. Default "off".
   */
  ocsp?: "off" | "soft" | "require";
  /**
   * Lets the certificate name the peer also as it was done before RFC 9525: by the common name of its subject if it has
   * no alternative names, and by a wildcard that is a part of a label, `w*.example.com`. "Legacy" is what other
   * implementations call both; it is for appliances whose certificates cannot be changed. A common name may be
   * something other than a host, and an authority's name constraints do not bind it. Default false.
   */
  unsafelyAllowLegacyNames?: boolean;
  /**
   * Verifies the certificate, but not that it is for `hostname`: anybody who has a certificate for any name is accepted
   * then, unless `verify` looks at the name itself. Default false.
   */
  unsafelyDisableHostnameVerification?: boolean;
  /**
   * Accepts any certificate from anybody, which leaves the connection open to an attacker in between. `info.verified`
   * is false then. Default false.
   */
  unsafelyDisableVerification?: boolean;
}

/** What it is, `hostName` says. */
export const NAME: Kind = {
  what: "a host name or an IP address",
  read(value, name) {
    hostName(value, name);
    return value;
  },
};

export const CLIENT_IDENTITY: Table<ClientIdentity> = {
  ...IDENTITY,
  ...VERIFICATION,
  hostname: NAME,
  serverName: either(is(false), NAME),
  caCerts: CA_CERTS,
  ocsp: oneOf("off", "soft", "require"),
  unsafelyAllowLegacyNames: flag,
  unsafelyDisableHostnameVerification: flag,
  unsafelyDisableVerification: flag,
};

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

/** CryptoKeys, by the numbers under which OpenSSL knows them. */
export type Keys = Map<number, CryptoKey>;
let lastKey = 0;

/** Makes `ctx` a client's: its trust anchors and its identity. */
export function configureClient(
  ctx: SslContext,
  options: Omit<ClientIdentity, keyof Peer>,
  keys: Keys,
): void {
  addCaCerts(ctx, options.caCerts);
  ctx.setVerify(options.unsafelyDisableVerification ? SSL_VERIFY_NONE : SSL_VERIFY_PEER);
  applyVerifyOptions(ctx, options.verifyOptions ?? Object.create(null), {
    rfc9525: !options.unsafelyAllowLegacyNames && !options.unsafelyDisableHostnameVerification,
  });
  const { ocsp = "off" } = options;
  if (ocsp !== "off") {
    if (options.unsafelyDisableVerification) {
      throw new TlsError(
        "invalid-argument",
        "ocsp needs verification, which unsafelyDisableVerification turns off",
      );
    }
    ctx.checkOcspResponse(ocsp === "require");
  }
  if (hasIdentity(options)) useIdentity(ctx, options, keys);
}

/**
 * The server that a client's connection is to.
 *
 * @param named the certificate must be for that name
 */
export function setPeer(ssl: Ssl, { hostname, serverName }: Peer, named: boolean): void {
  const { kind, name } = hostName(hostname);
  const sent =
    serverName === undefined ? { kind, name } : serverName !== false && hostName(serverName, "serverName");
  if (serverName !== undefined && sent && sent.kind !== "dns") {
    throw new TlsError("invalid-argument", `serverName must be a DNS name or false, not "${serverName}"`);
  }
  if (named && kind === "dns") ssl.setHost(name);
  else if (named && !ssl.setIp(name)) throw new TlsError("out-of-memory", "no room for an IP address");
  if (sent && sent.kind === "dns") ssl.setServerName(sent.name);
}

export type Peer = Pick<ClientIdentity, "hostname" | "serverName">;

/** Makes `ctx` a server's: its identity, and the clients that it accepts. */
export function configureServer(ctx: SslContext, options: ServerIdentity, keys: Keys): void {
  const { clientAuth = "none", identities = [], tickets, sendCaNames = true } = options;
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
  // Of the two ends this one is slow.
  ctx.setOptions(SSL_OP_CIPHER_SERVER_PREFERENCE);
  const all = hasIdentity(options) ? [options, ...identities] : identities;
  for (const identity of all) useIdentity(ctx, identity, keys);
  addCaCerts(ctx, options.caCerts);
  ctx.setVerify(CLIENT_AUTH[clientAuth]);
  if (clientAuth !== "none" && sendCaNames) ctx.sendCaNames();
  if (options.verifyOptions) applyVerifyOptions(ctx, options.verifyOptions, { rfc9525: false });
  if (options.ocspResponse) ctx.setOcspResponse(options.ocspResponse);
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

export function addCaCerts(to: SslContext | X509Store, caCerts: CaCerts = []): void {
  for (const ca of isList(caCerts) ? caCerts : [caCerts]) {
    // An X509 is DER since it was copied.
    if (typeof ca === "object" && ca !== null && "table" in ca) to.addTrustAnchors(ca);
    else to.addCaCert(ca as CertificateData);
  }
}

function hasIdentity({ cert, key, pkcs12 }: Identity): boolean {
  return cert !== undefined || key !== undefined || pkcs12 !== undefined;
}

function useIdentity(ctx: SslContext, { cert, key, pkcs12, passphrase }: Identity, keys: Keys): void {
  if (pkcs12 !== undefined) {
    if (cert !== undefined || key !== undefined) {
      throw new TlsError("invalid-argument", "an identity is either cert and key, or pkcs12");
    }
    ctx.usePkcs12(pkcs12, passphrase);
    return;
  }
  if (cert === undefined || key === undefined) {
    throw new TlsError("invalid-argument", `an identity needs a ${cert === undefined ? "cert" : "key"} too`);
  }
  ctx.useCertificateChain(cert);
  if (!isCryptoKey(key)) {
    ctx.usePrivateKey(key, passphrase);
    return;
  }
  const algorithms = signatureAlgorithmsOf(key);
  requireKeyOf(ctx.getCertificate(), key);
  ctx.useExternalKey(++lastKey, algorithms);
  keys.set(lastKey, key);
}

/** A private key, and the passphrase that it is under. */
export type PassphrasedKey = { key: NonNullable<Identity["key"]>; passphrase?: string };

/**
 * pairIdentities finds out which key belongs to which certificate, where both come as lists of their own, in any order:
 * for `identities`. One certificate and one key are a pair unseen.
 *
 * @throws TlsError "invalid-argument" if a certificate has no key, or a key no certificate, and if one cannot be read
 *
 * @example
 * ```ts
 * import { type OpenSsl, pairIdentities, TlsContext } from "wassl";
 *
 * function serve(openssl: OpenSsl, certs: string[], keys: string[]): Promise<TlsContext> {
 *   const identities = pairIdentities(openssl, certs, keys.map((key) => ({ key })));
 *   return TlsContext.server({ openssl, identities });
 * }
 * ```
 */
export function pairIdentities(
  openssl: OpenSsl,
  certs: readonly CertificateData[],
  keys: readonly PassphrasedKey[],
): Identity[] {
  if (certs.length === 1 && keys.length === 1) return [{ cert: certs[0]!, ...keys[0]! }];
  const left = [...keys.keys()];
  const paired = certs.map((cert, i) => {
    const at = left.findIndex((each) => belongs(openssl, cert, keys[each]!));
    if (at < 0) throw new TlsError("invalid-argument", `certificate ${i + 1} of ${certs.length} has no key`);
    return { cert, ...keys[left.splice(at, 1)[0]!]! };
  });
  if (left.length > 0) {
    throw new TlsError("invalid-argument", `key ${left[0]! + 1} of ${keys.length} belongs to no certificate`);
  }
  return paired;
}

function belongs(openssl: OpenSsl, cert: CertificateData, { key, passphrase }: PassphrasedKey): boolean {
  const ctx = openssl.newContext("server");
  try {
    // How strong a key must be is looked at where the identity is used.
    ctx.setSecurityLevel(0);
    ctx.useCertificateChain(cert);
    return isCryptoKey(key) ? isOfKind(ctx.getCertificate(), key) : ctx.tryPrivateKey(key, passphrase);
  } finally {
    ctx.free();
  }
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}
