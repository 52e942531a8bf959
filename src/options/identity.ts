/**
 * This side's identity, the peer that is meant, and the trust anchors: from options to a context and a connection. What
 * only servers have is in server-identity.ts.
 */
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
} from "../check.js";
import { TlsError } from "../errors.js";
import { SSL_VERIFY_NONE, SSL_VERIFY_PEER } from "../openssl/constants.js";
import type { SslContextCore } from "../openssl/context-core.js";
import type { SslCore } from "../openssl/ssl-core.js";
import type { TrustAnchors } from "../openssl/trust-anchors.js";
import type { ChainFailure, X509Store } from "../openssl/verify.js";
import type { X509 } from "../openssl/x509.js";
import { isCryptoKey, requireKeyOf, signatureAlgorithmsOf } from "./external-key.js";
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
  /** Certificate, key and chain in one file (RFC 7292), of old too, with 3DES and RC2. */
  pkcs12?: Uint8Array;
  /**
   * The passphrase of an encrypted key or PKCS #12 file. A file says itself how much work its passphrase takes; more
   * than ten million rounds, or scrypt with more than 32 MiB, fail with "invalid-argument".
   */
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

export const VERIFICATION: Table<Verification> = {
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
   * More identities, for servers that differ in what they ask for. The server is shown the first one whose key can sign
   * as the server asks (`signature_algorithms`, and the kinds of certificates in TLS 1.2) and whose chain leads to an
   * authority that the server names; if none leads there, the first one that can sign. `cert` and `key` come first.
   */
  identities?: readonly Identity[];
  /**
   * Offers the server to ask for this side's certificate behind the handshake (TLS 1.3's post-handshake authentication,
   * RFC 8446 §4.6.2), which some servers do once they know what is wanted of them. It is answered with the certificate
   * of these options, or with none, while something is read. HTTP/2 forbids it (RFC 8740). With a `bioPairSize` below
   * 64 bytes a question in the middle of data fails the connection. Default false.
   */
  postHandshakeAuth?: boolean;
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
  identities: listOf(group(IDENTITY)),
  postHandshakeAuth: flag,
  ocsp: oneOf("off", "soft", "require"),
  unsafelyAllowLegacyNames: flag,
  unsafelyDisableHostnameVerification: flag,
  unsafelyDisableVerification: flag,
};

/** CryptoKeys, by the numbers under which OpenSSL knows them. */
export type Keys = Map<number, CryptoKey>;
let lastKey = 0;

/** Makes `ctx` a client's: its trust anchors and its identity. */
export function configureClient(
  ctx: SslContextCore,
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
  const all = identitiesOf(options);
  for (const identity of all) {
    useIdentity(ctx, identity, keys);
    if (all.length > 1) ctx.keepIdentity();
  }
}

/**
 * The server that a client's connection is to.
 *
 * @param named the certificate must be for that name
 */
export function setPeer(ssl: SslCore, { hostname, serverName }: Peer, named: boolean): void {
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

export function addCaCerts(to: SslContextCore | X509Store, caCerts: CaCerts = []): void {
  for (const ca of isList(caCerts) ? caCerts : [caCerts]) {
    // An X509 is DER since it was copied.
    if (typeof ca === "object" && ca !== null && "table" in ca) to.addTrustAnchors(ca);
    else to.addCaCert(ca as CertificateData);
  }
}

/** `cert` and `key`, or `pkcs12`, then `identities`. */
export function identitiesOf(options: Identity & { identities?: readonly Identity[] }): readonly Identity[] {
  const { identities = [] } = options;
  return hasIdentity(options) ? [options, ...identities] : identities;
}

function hasIdentity({ cert, key, pkcs12 }: Identity): boolean {
  return cert !== undefined || key !== undefined || pkcs12 !== undefined;
}

export function useIdentity(
  ctx: SslContextCore,
  { cert, key, pkcs12, passphrase }: Identity,
  keys: Keys,
): void {
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
