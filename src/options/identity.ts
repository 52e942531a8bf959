/** Who we are, whom we mean to talk to, and whom we believe: from options to a context and a connection. */
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
import type { Ssl } from "../openssl/ssl.js";
import type { TrustAnchors } from "../openssl/trust-anchors.js";
import type { X509Store } from "../openssl/verify.js";
import type { X509 } from "../openssl/x509.js";
import { isCryptoKey, requireKeyOf, signatureAlgorithmsOf } from "./external-key.js";
import { hostName } from "./names.js";
import { applyVerifyOptions, VERIFY_OPTIONS, type VerifyOptions } from "./verify.js";

/** PEM, which may hold several certificates, or one certificate in DER. */
export type CertificateData = string | Uint8Array;

/**
 * Trust anchors: certificates, and sets of them as `wassl/roots` has one. None of a set is sent where a server names the
 * authorities that it takes.
 */
export type CaCerts =
  | CertificateData
  | X509
  | TrustAnchors
  | readonly (CertificateData | X509 | TrustAnchors)[];

/** A certificate and its private key, with which an end proves who it is. Either `cert` and `key`, or `pkcs12`. */
export interface Identity {
  /** The certificate, and those between it and the trust anchor: PEM, its own first. */
  cert?: CertificateData;
  /**
   * Its private key: PEM, DER, or a `CryptoKey` that need not be extractable: ECDSA, Ed25519, RSA-PSS, or, for TLS 1.2 alone,
   * RSASSA-PKCS1-v1_5. A `CryptoKey` stays in WebCrypto, which signs for us. One that is not for this `cert` fails: with
   * "invalid-argument" if it is of another kind, else with "callback" when it signs first.
   */
  key?: CertificateData | CryptoKey;
  /** Certificate, key and chain in one file (RFC 7292). */
  pkcs12?: Uint8Array;
  /** Of an encrypted key or PKCS #12 file. */
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

/** What OpenSSL found out about the peer's certificates. */
export interface PreliminaryResult {
  readonly ok: boolean;
  /** The path that OpenSSL accepted, from the peer's own certificate to the trust anchor; empty unless `ok`. */
  readonly verifiedChain: readonly X509[];
  /** What was wrong first; absent when `ok`. */
  readonly failure?: {
    /** "X509_V_ERR_CERT_HAS_EXPIRED" */
    readonly error: string;
    /** OpenSSL's words. */
    readonly text: string;
    /** 0 = the peer's own certificate, 1 = its issuer's, and so on. */
    readonly depth: number;
    readonly certificate: X509 | undefined;
  };
}

/** What both ends may say about whom they believe. */
export interface Verification {
  /**
   * Has the last word on the peer, whose certificates these are, its own first: pinning, asking a person, asking a service.
   * `true`, or a promise of it, accepts; all else refuses. It is asked when OpenSSL has accepted them, so it can only be
   * stricter, and again when a session is resumed; not about a peer that shows no certificate. The handshake waits meanwhile,
   * up to `handshakeTimeout`.
   */
  verify?: (chain: readonly X509[], preliminary: PreliminaryResult) => boolean | Promise<boolean>;
  /**
   * `verify` is asked also when OpenSSL has refused the peer, and may accept it: trust on first use, say. `info.verified` is
   * false for whom OpenSSL refused. Default false.
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

/** Whom a client means to talk to, whom it believes, and who it is itself if the server asks. */
export interface ClientIdentity extends Identity, Verification {
  /**
   * Whom we mean to talk to: a DNS name or an IP literal. The certificate must be for it, as RFC 9525 says: by its alternative
   * names alone, of which one of a DNS name may begin with `*.` for one label. A DNS name is also sent as SNI.
   * Internationalised names are converted (IDNA); what is no name and no address fails with "invalid-argument".
   */
  hostname: string;
  /**
   * What is sent as SNI (RFC 6066 §3) where it is not `hostname`: a DNS name, or `false` for none. What the certificate must
   * be for stays `hostname`.
   */
  serverName?: string | false;
  /** The trust anchors: these are all, there is no hidden store. */
  caCerts?: CaCerts;
  /**
   * What becomes of an OCSP response that the server staples (RFC 6066 §8): "require" = there must be one, and it must be good;
   * "soft" = one that is there must be good; "off" = none is asked for. It is judged once, in the full handshake that a session
   * comes from. Default "off".
   */
  ocsp?: "off" | "soft" | "require";
  /**
   * The certificate may also name the peer as it was done before RFC 9525: by the common name of its subject where it has no
   * alternative names, and by a wildcard that is a part of a label, `w*.example.com`. "Legacy" is what other implementations call both; for
   * appliances whose certificates nobody can change. A common name may say something else than a host, and no authority that
   * limits names limits it. Default false.
   */
  unsafelyAllowLegacyNames?: boolean;
  /**
   * Accept any certificate from anybody, which leaves the connection open to whoever sits in between. `info.verified` is
   * false then. Default false.
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
  unsafelyDisableVerification: flag,
};

/** Who a server is, and whom it believes. */
export interface ServerIdentity extends Identity, Verification {
  /** More of them, one for each kind of key: a client gets the first that it can check. */
  identities?: readonly Identity[];
  /**
   * Whether clients are asked for a certificate, and have to show one. One that is shown must be good in either case. With
   * "require" a `psk` counts for nothing, since who uses it shows no certificate. Default "none"; it has to be said where
   * there is `caCerts`, `verify` or `verifyOptions`.
   */
  clientAuth?: "none" | "request" | "require";
  /** The trust anchors for certificates of clients: these are all. Their names are sent to the client, see `sendCaNames`. */
  caCerts?: CaCerts;
  /**
   * Whether a client is told the names of `caCerts`, by which it may choose its certificate. They have room for 65,535 bytes, some
   * 500 names; more are refused here, unless this is `false`. Default true.
   */
  sendCaNames?: boolean;
  /** An OCSP response for our certificate, in DER, which clients that ask for it get (RFC 6066 §8). */
  ocspResponse?: Uint8Array;
  /** How many tickets a TLS 1.3 client gets for later connections; 0 = none, in TLS 1.2 either. Default 2. */
  tickets?: number;
  /**
   * The keys of tickets, 80 bytes each, as random as keys: 16 name, 32 HMAC-SHA-256, 32 AES-256. The first encrypts, all
   * decrypt: put a new one in front every few hours, and drop old ones. Processes and contexts that share them resume each
   * other's sessions. By default random ones, of this context alone.
   */
  ticketKeys?: readonly Uint8Array[];
  /**
   * Only servers with the same accept each other's sessions, up to 32 bytes, a text in UTF-8 (`SSL_CTX_set_session_id_context(3)`).
   * By default a hash over our certificates. In either case it is combined with all that decides on clients (`clientAuth`,
   * `caCerts`, `verifyOptions`, `verify`, `psk`, `ciphers` and their like), as it is when the options are read, so that a session
   * never gets a client where it would have been asked for more. A `verify` is itself alone in that hash, also for another
   * process; with `sessionIdContext` it is like any other, since it is asked again.
   */
  sessionIdContext?: Uint8Array | string;
  /**
   * How much early data (0-RTT) a session allows, in bytes; 0, the default, is none. See `onEarlyData` of `acceptTls` for
   * what it costs. With it, sessions are kept in this context's memory, each for one use, so that no recorded flight is taken
   * twice; `ticketKeys` count for TLS 1.2 only then.
   */
  maxEarlyData?: number;
  /** For how long sessions and tickets are good, in whole seconds, 1 at least, a week at most. Default 7,200. */
  sessionTimeout?: number;
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
};

/** CryptoKeys by the number under which OpenSSL knows them. */
export type Keys = Map<number, CryptoKey>;
let lastKey = 0;

/** Makes `ctx` a client's: whom it believes, and who it is. */
export function configureClient(
  ctx: SslContext,
  options: Omit<ClientIdentity, keyof Peer>,
  keys: Keys,
): void {
  addCaCerts(ctx, options.caCerts);
  ctx.setVerify(options.unsafelyDisableVerification ? SSL_VERIFY_NONE : SSL_VERIFY_PEER);
  applyVerifyOptions(ctx, options.verifyOptions ?? Object.create(null), {
    rfc9525: !options.unsafelyAllowLegacyNames,
  });
  const { ocsp = "off" } = options;
  if (ocsp !== "off") {
    if (options.unsafelyDisableVerification) {
      throw new TlsError("invalid-argument", "without verification nobody judges an OCSP response");
    }
    ctx.checkOcspResponse(ocsp === "require");
  }
  if (hasIdentity(options)) useIdentity(ctx, options, keys);
}

/** Whom a client's connection is to. */
export function setPeer(ssl: Ssl, { hostname, serverName }: Peer): void {
  const { kind, name } = hostName(hostname);
  const sent =
    serverName === undefined ? { kind, name } : serverName !== false && hostName(serverName, "serverName");
  if (serverName !== undefined && sent && sent.kind !== "dns") {
    throw new TlsError("invalid-argument", `serverName is a DNS name, and "${serverName}" is none`);
  }
  if (kind === "dns") ssl.setHost(name);
  else if (!ssl.setIp(name)) throw new TlsError("out-of-memory", "no room for an IP address");
  if (sent && sent.kind === "dns") ssl.setServerName(sent.name);
}

export type Peer = Pick<ClientIdentity, "hostname" | "serverName">;

/** Makes `ctx` a server's: who it is, and whom it believes. */
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
    throw new TlsError("invalid-argument", `clientAuth "${clientAuth}" needs caCerts: whom to believe`);
  }
  // Of the two ends this is the slow one.
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

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}
