/** The options of the protocol itself (versions, suites, groups), and how a context gets them. Moves no bytes. */

import { bytes, callback, flag, group, listOf, oneOf, type Table, text, textOf, whole } from "../check.js";
import type { EofPolicy, TlsEvent } from "../connection/events.js";
import { TlsError } from "../errors.js";
import {
  DTLS1_2_VERSION,
  SSL_MODE_ENABLE_PARTIAL_WRITE,
  SSL_MODE_RELEASE_BUFFERS,
  SSL_OP_LEGACY_SERVER_CONNECT,
  SSL_OP_NO_RENEGOTIATION,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from "../openssl/constants.js";
import type { SslContextCore } from "../openssl/context-core.js";
import { ciphersOf } from "./cipher-names.js";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** Options of TLS itself. Many connections may share them in a `TlsContext`. */
export interface ContextOptions {
  /**
   * ALPN (RFC 7301): what a client offers, or what a server chooses from, best first; `[]` = no ALPN. 1 to 255 bytes
   * each.
   */
  alpnProtocols?: readonly string[];
  /** Default "TLSv1.2". */
  minVersion?: TlsVersion;
  /** Default "TLSv1.3". */
  maxVersion?: TlsVersion;
  /**
   * Cipher suites of TLS 1.2, as `openssl-ciphers(1)` writes them. A server's order counts. Default: OpenSSL's, those
   * with ChaCha20-Poly1305 first, without RSA key exchange (also of RSA-PSK) and without CBC. A peer from before 2013
   * may have nothing else; "DEFAULT" turns them on. Suites where neither end proves its identity ("aNULL") are never
   * among them. A name that OpenSSL does not know fails with "invalid-argument", where OpenSSL itself leaves it out;
   * behind "?" it is left out here too, as in `groups`.
   */
  ciphers?: string;
  /**
   * Cipher suites of TLS 1.3, best first, with ":" between. A server's order counts. By default the fastest in
   * WebAssembly comes first: "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384". Unknown names as in `ciphers`.
   */
  cipherSuites?: string;
  /**
   * Groups of the key exchange, best first, as `SSL_CTX_set1_groups_list(3)` writes them. Default: OpenSSL's own, the
   * hybrid X25519MLKEM768 first.
   *
   * In TLS 1.2 a server chooses the prime of a finite field (DHE) as it likes. A client accepts a prime of up to 4096
   * bits, or of as many as the largest group has that is named here ("DEFAULT:ffdhe8192"). 8192 bits may cost a second
   * of the client's thread.
   *
   * A server here has no DHE in TLS 1.2: clients that know nothing else of forward secrecy are not served.
   */
  groups?: string;
  /** Signature algorithms, best first, as `SSL_CTX_set1_sigalgs_list(3)` writes them: "ed25519:ECDSA+SHA256". */
  signatureAlgorithms?: string;
  /**
   * How strong keys and signatures must be, those of certificates too: 0 to 5 (`SSL_CTX_set_security_level(3)`).
   * Default 2.
   */
  securityLevel?: number;
  /**
   * How long the peer's certificates may be together, in bytes of its Certificate message, 4096 to 2^24 - 1. A peer
   * that sends more is refused before a certificate is looked at. Default 102400, OpenSSL's own; a server with 5,000
   * names needs more (`SSL_CTX_set_max_cert_list(3)`).
   */
  maxCertificateList?: number;
  /**
   * A key that both ends know beforehand (RFC 8446 §2.2); no certificate is needed then. A server with `clientAuth`
   * "require" does not accept it: its clients must show a certificate.
   */
  psk?: PreSharedKey;
  /**
   * Several keys instead of one `psk`, 1 to 1,000, all for the same `hash`. A server takes each of them, and
   * `info.pskIdentity` says which one was used. A client offers the first; in TLS 1.2 it offers the one that the
   * server's hint names, if the hint names one (RFC 4279 §5.2).
   */
  psks?: readonly PreSharedKey[];
  /**
   * Lets a client connect to servers that do not know secure renegotiation (RFC 5746), which most implementations have
   * had since 2010. Such a server may let an attacker put bytes in front of what the client sends (CVE-2009-3555), and
   * the client cannot see that (`SSL_OP_LEGACY_SERVER_CONNECT`). Default false.
   */
  legacyServerConnect?: boolean;
  /**
   * The most data that a record which is sent carries, in bytes, 512 to 16,384. A peer can decrypt a record only when
   * all of it is there, so short records get the first bytes through sooner on a slow connection; each record costs 22
   * bytes or more. Default 16,384 (`SSL_CTX_set_max_send_fragment(3)`).
   */
  maxSendFragment?: number;
  /**
   * Called with each line of a key log (NSS format, which Wireshark reads; without the newline). Anybody who has the
   * lines can read the connections. It must not throw.
   */
  keylog?: (line: string) => void;
}

/** Options of one connection. */
export interface ConnectionOptions {
  /**
   * The room in each direction between OpenSSL and the transport, in bytes, 1 to 2^30. By default it follows the need:
   * 17 KiB during the handshake, afterwards 0.5 to 65 KiB.
   */
  bioPairSize?: number;
  /** Closes without close_notify, and does not wait for the peer's (`SSL_CTX_set_quiet_shutdown(3)`). Default false. */
  quietShutdown?: boolean;
  /**
   * What an end of the transport without the peer's close_notify means. "strict" (the default): always an error.
   * "record-boundary": an end, if it lies between two records. "ignore": always an end. The last two are for protocols
   * that say themselves where their data ends: an attacker can cut a connection anywhere.
   */
  eofPolicy?: EofPolicy;
  /** Called with each event, as it happens. It must not throw. */
  onEvent?: (event: TlsEvent) => void;
  /** Whether `onEvent` is also called with each record and handshake message. Default false. */
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
  /** The name that both ends use for the key, up to 256 bytes of UTF-8. It is sent in the clear. */
  identity: string;
  /** The key, as random as a cipher's key: TLS does not protect a password from being guessed. */
  key: Uint8Array;
  /** The hash that the key is for. Default "SHA-256". */
  hash?: "SHA-256" | "SHA-384";
}

const PRE_SHARED_KEY: Table<PreSharedKey> = {
  identity: textOf(1, 256),
  key: bytes(1, 512),
  hash: oneOf("SHA-256", "SHA-384"),
};

const PSK = group(PRE_SHARED_KEY, ["identity", "key"]);
/** Each that a client offers is looked for among all. */
const MOST_PSKS = 1_000;

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
  psk: PSK,
  psks: listOf(PSK, 1, MOST_PSKS),
  legacyServerConnect: flag,
  maxSendFragment: whole(512, 16_384, " bytes"),
  keylog: callback,
};

const MAX_CERTIFICATE_LIST = 102_400;

/** The settings that clients and servers have in common. */
export function configure(context: SslContextCore, options: ContextOptions): void {
  const { isDtls } = context;
  context.setMinProtoVersion(isDtls ? DTLS1_2_VERSION : versionNumber(options.minVersion ?? "TLSv1.2"));
  context.setMaxProtoVersion(isDtls ? DTLS1_2_VERSION : versionNumber(options.maxVersion ?? "TLSv1.3"));
  if (options.minVersion === "TLSv1.3" && options.maxVersion === "TLSv1.2") {
    throw new TlsError("invalid-argument", "minVersion is above maxVersion");
  }
  // A large write streams; an idle connection gives its record buffers back; a peer cannot renegotiate (RFC 9325 §3.5).
  context.setMode(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
  context.setOptions(SSL_OP_NO_RENEGOTIATION);
  if (options.keylog) context.setKeylog(true);
  if (options.alpnProtocols?.length) context.setAlpnProtocols(options.alpnProtocols);
  const { securityLevel, ciphers, cipherSuites, groups, signatureAlgorithms } = options;
  const psks = keysOf(options);
  const hash = psks[0]?.hash ?? "SHA-256";
  if (securityLevel !== undefined) context.setSecurityLevel(securityLevel);
  context.setMaxCertList(options.maxCertificateList ?? MAX_CERTIFICATE_LIST);
  // "ALL" includes them, and with them an attacker in between needs no certificate. Only options whose names begin with
  // "unsafely" may turn verification off.
  const asked = ciphers !== undefined && `${ciphersOf(ciphers, (name) => hasCiphers(context, name))}:!aNULL`;
  context.setCipherList(asked || CIPHERS);
  // A pre-shared key counts only with a suite of its hash: a server that also has a certificate would ignore the key
  // otherwise.
  const suites = cipherSuites === undefined ? undefined : suitesOf(context, cipherSuites);
  context.setCiphersuites(suites ?? (psks.length > 0 ? SUITES_BY_HASH[hash] : SUITES));
  if (groups !== undefined) context.setGroups(groups);
  if (signatureAlgorithms !== undefined) context.setSignatureAlgorithms(signatureAlgorithms);
  for (const each of psks) context.setPsk(each.identity, each.key, hash);
  if (options.legacyServerConnect) context.setOptions(SSL_OP_LEGACY_SERVER_CONNECT);
  if (options.maxSendFragment !== undefined) context.setMaxSendFragment(options.maxSendFragment);
}

/** The names of suites that are here. There are no more than the module has. */
const known = new Set<string>();

/** OpenSSL says so only when it finds nothing else; the list of `context` is another one then. */
function hasCiphers(context: SslContextCore, name: string): boolean {
  if (known.has(name)) return true;
  try {
    context.setCipherList(name);
  } catch (error) {
    if (error instanceof TlsError && error.code === "invalid-argument") return false;
    throw error;
  }
  known.add(name);
  return true;
}

/** The same for TLS 1.3, where there are only names. */
function suitesOf(context: SslContextCore, list: string): string {
  for (const name of list.split(":")) {
    if (name && !name.startsWith("?")) context.setCiphersuites(name);
  }
  return list.replaceAll("?", "");
}

function keysOf({ psk, psks }: ContextOptions): readonly PreSharedKey[] {
  if (psk !== undefined && psks !== undefined) {
    throw new TlsError("invalid-argument", "psks stands instead of psk, not beside it");
  }
  const all = psks ?? (psk === undefined ? [] : [psk]);
  const hashes = new Set(all.map(({ hash = "SHA-256" }) => hash));
  if (hashes.size > 1) {
    // A server settles on a cipher suite, and with it a hash, before it looks for the key.
    throw new TlsError("invalid-argument", "psks must all be for the same hash");
  }
  return all;
}

/** Without AES instructions ChaCha20-Poly1305 is by far the fastest, as on the devices that it was made for. */
const SUITES = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
/**
 * All that OpenSSL has by default. "+" moves what it names to the end: first what is slower, then what has no forward
 * secrecy.
 *
 * "!" removes for good what RFC 9325 (§4.1, §4.2) and draft-ietf-tls-deprecate-obsolete-kex advise against. That is RSA
 * key exchange, where an oracle for PKCS #1 padding (Bleichenbacher's) at any server with the same key reads recorded
 * connections. And it is everything that is not AEAD, which is CBC (OpenSSL names it by its MACs): each version of
 * Lucky 13 was an oracle for padding that is checked after decryption. CBC with encrypt-then-MAC (RFC 7366) would be
 * sound. But a peer that knows that extension, of 2014, and has no AES-GCM, of 2008, hardly exists, so a rule that lets
 * it pass would help no peer.
 */
const CIPHERS = "DEFAULT:!kRSA:!kRSAPSK:!SHA1:!SHA256:!SHA384:+AES:+kDHE:+kDHEPSK:+kPSK";

const SUITES_BY_HASH = {
  "SHA-256": SUITES,
  // Alone: a server that uses OpenSSL and has no certificate would prefer suites of SHA-256, and find no key.
  "SHA-384": "TLS_AES_256_GCM_SHA384",
} as const;

function versionNumber(version: TlsVersion): number {
  return version === "TLSv1.2" ? TLS1_2_VERSION : TLS1_3_VERSION;
}
