/** The options of the protocol itself (versions, suites, groups), and how a context gets them. Moves no bytes. */

import { bytes, callback, flag, group, listOf, oneOf, type Table, text, textOf, whole } from "../check.js";
import type { EofPolicy, TlsEvent } from "../connection/events.js";
import { TlsError } from "../errors.js";
import {
  SSL_MODE_ENABLE_PARTIAL_WRITE,
  SSL_MODE_RELEASE_BUFFERS,
  SSL_OP_NO_RENEGOTIATION,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from "../openssl/constants.js";
import type { SslContext } from "../openssl/context.js";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** What TLS itself is asked for; many connections may share it in a `TlsContext`. */
export interface ContextOptions {
  /** ALPN (RFC 7301): what a client offers, or what a server chooses from, best first; `[]` = no ALPN. 1 to 255 bytes each. */
  alpnProtocols?: readonly string[];
  /** Default "TLSv1.2". */
  minVersion?: TlsVersion;
  /** Default "TLSv1.3". */
  maxVersion?: TlsVersion;
  /**
   * Cipher suites of TLS 1.2, as `openssl-ciphers(1)` writes them. A server's order counts. Default OpenSSL's, those with
   * ChaCha20-Poly1305 first, and without RSA key exchange (also of RSA-PSK) and CBC: what a peer from before 2013 has may be no
   * more than that, and "DEFAULT" turns it on. Those where neither end proves who it is ("aNULL") are never among them.
   */
  ciphers?: string;
  /**
   * Cipher suites of TLS 1.3, best first, ":" between. A server's order counts. By default the fastest here comes first:
   * "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384".
   */
  cipherSuites?: string;
  /**
   * Groups of the key exchange, best first, as `SSL_CTX_set1_groups_list(3)` writes them. Default OpenSSL's own, the
   * hybrid X25519MLKEM768 first.
   *
   * In TLS 1.2 a server chooses the prime of a finite field (DHE) as it likes. A client takes one of up to 4096 bits, or of
   * as many as the largest group has that is named here ("DEFAULT:ffdhe8192"): 8192 bits may cost a second of its thread.
   */
  groups?: string;
  /** Signature algorithms, best first, as `SSL_CTX_set1_sigalgs_list(3)` writes them: "ed25519:ECDSA+SHA256". */
  signatureAlgorithms?: string;
  /** What is too weak to be used, keys and signatures of certificates too: 0 to 5, default 2 (`SSL_CTX_set_security_level(3)`). */
  securityLevel?: number;
  /**
   * How long the peer's certificates may be together, in bytes of its Certificate message, 4096 to 2^24 - 1. Whoever sends
   * more is refused before a certificate is looked at. Default 102400, OpenSSL's own; for a server with 5,000 names more is
   * needed (`SSL_CTX_set_max_cert_list(3)`).
   */
  maxCertificateList?: number;
  /**
   * A key that both ends know beforehand (RFC 8446 §2.2); no certificate is needed then. A server with `clientAuth` "require"
   * does not take it: its clients must show a certificate.
   */
  psk?: PreSharedKey;
  /**
   * Told the lines of a key log (NSS format, which Wireshark reads; without the newline). With them anybody can read the
   * connections. It must not throw.
   */
  keylog?: (line: string) => void;
}

/** What is each connection's own. */
export interface ConnectionOptions {
  /**
   * Room in each direction between OpenSSL and the transport, in bytes, 1 to 2^30. By default what is needed at the moment:
   * 17 KiB during the handshake, afterwards 0.5 to 65 KiB.
   */
  bioPairSize?: number;
  /** Close without close_notify, and do not wait for the peer's (`SSL_CTX_set_quiet_shutdown(3)`). Default false. */
  quietShutdown?: boolean;
  /**
   * What it means when the transport ends without the peer's close_notify. "strict" (the default): an error, always.
   * "record-boundary": an end, if it lies between two records. "ignore": an end, always. The last two are for protocols
   * that say themselves where their data ends: an attacker can cut a connection anywhere.
   */
  eofPolicy?: EofPolicy;
  /** Told of what happens, as it happens. It must not throw. */
  onEvent?: (event: TlsEvent) => void;
  /** Whether `onEvent` is told of each record and handshake message too. Default false. */
  trace?: boolean;
}

export const CONNECTION_OPTIONS: Table<ConnectionOptions> = {
  bioPairSize: whole(1, 2 ** 30, " bytes"),
  quietShutdown: flag,
  eofPolicy: oneOf("strict", "record-boundary", "ignore"),
  onEvent: callback,
  trace: flag,
};

export interface TlsOptions extends ContextOptions, ConnectionOptions {}

export interface PreSharedKey {
  /** What both ends call it, up to 256 bytes of UTF-8; it is sent in the clear. */
  identity: string;
  /** As random as a cipher's key: TLS does not protect a password from being guessed. */
  key: Uint8Array;
  /** The hash that it is for. Default "SHA-256". */
  hash?: "SHA-256" | "SHA-384";
}

const PRE_SHARED_KEY: Table<PreSharedKey> = {
  identity: textOf(1, 256),
  key: bytes(1, 512),
  hash: oneOf("SHA-256", "SHA-384"),
};

const VERSION = oneOf("TLSv1.2", "TLSv1.3");

export const CONTEXT_OPTIONS: Table<ContextOptions> = {
  alpnProtocols: listOf(textOf(1, 255)),
  minVersion: VERSION,
  maxVersion: VERSION,
  ciphers: text,
  cipherSuites: text,
  groups: text,
  signatureAlgorithms: text,
  securityLevel: whole(0, 5),
  maxCertificateList: whole(4096, 2 ** 24 - 1, " bytes"),
  psk: group(PRE_SHARED_KEY, ["identity", "key"]),
  keylog: callback,
};

const MAX_CERTIFICATE_LIST = 102_400;

/** What is the same for clients and servers. */
export function configure(context: SslContext, options: ContextOptions): void {
  context.setMinProtoVersion(versionNumber(options.minVersion ?? "TLSv1.2"));
  context.setMaxProtoVersion(versionNumber(options.maxVersion ?? "TLSv1.3"));
  if (options.minVersion === "TLSv1.3" && options.maxVersion === "TLSv1.2") {
    throw new TlsError("invalid-argument", "minVersion is above maxVersion");
  }
  // A large write streams; an idle connection gives its record buffers back; a peer cannot renegotiate (RFC 9325 §3.5).
  context.setMode(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
  context.setOptions(SSL_OP_NO_RENEGOTIATION);
  if (options.keylog) context.setKeylog(true);
  if (options.alpnProtocols?.length) context.setAlpnProtocols(options.alpnProtocols);
  const { securityLevel, ciphers, cipherSuites, groups, signatureAlgorithms, psk } = options;
  if (securityLevel !== undefined) context.setSecurityLevel(securityLevel);
  context.setMaxCertList(options.maxCertificateList ?? MAX_CERTIFICATE_LIST);
  // "ALL" means them too, and with them whoever sits in between needs no certificate: what turns verification off says "unsafely".
  context.setCipherList(ciphers === undefined ? CIPHERS : `${ciphers}:!aNULL`);
  // A pre-shared key counts only with a suite of its hash: a server that has a certificate too would pass it over.
  context.setCiphersuites(cipherSuites ?? (psk ? SUITES_BY_HASH[psk.hash ?? "SHA-256"] : SUITES));
  if (groups !== undefined) context.setGroups(groups);
  if (signatureAlgorithms !== undefined) context.setSignatureAlgorithms(signatureAlgorithms);
  if (psk) {
    context.setPsk(psk.identity, psk.key, psk.hash);
  }
}

/** Without AES instructions ChaCha20-Poly1305 is the fastest by far, as on the devices that it was made for. */
const SUITES = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
/**
 * All that OpenSSL has by default; "+" moves what it names to the end: what is slower, then what has no forward secrecy.
 *
 * "!" takes out for good what RFC 9325 (§4.1, §4.2) and draft-ietf-tls-deprecate-obsolete-kex advise against: RSA key exchange, where
 * an oracle for PKCS #1 padding (Bleichenbacher's) at any server with the same key reads recorded connections; and all that is
 * no AEAD, which is CBC (OpenSSL's names for it are those of its MACs), where each version of Lucky 13 was one of padding that
 * is checked after decryption. CBC with encrypt-then-MAC (RFC 7366) would be sound; but whoever knows that extension, of 2014, and
 * has no AES-GCM, of 2008, hardly exists, so nobody gains by a rule that lets it pass.
 */
const CIPHERS = "DEFAULT:!kRSA:!kRSAPSK:!SHA1:!SHA256:!SHA384:+AES:+kDHE:+kDHEPSK:+kPSK";

const SUITES_BY_HASH = {
  "SHA-256": SUITES,
  // Alone: a server of OpenSSL's that has no certificate would prefer those of SHA-256, and find no key.
  "SHA-384": "TLS_AES_256_GCM_SHA384",
} as const;

function versionNumber(version: TlsVersion): number {
  return version === "TLSv1.2" ? TLS1_2_VERSION : TLS1_3_VERSION;
}
