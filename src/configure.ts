/** From options to an `Ssl` that is ready for its handshake, and from there to what was settled. Moves no bytes. */
import { TlsError } from "./errors.js";
import type { EofPolicy } from "./failure.js";
import type { BioPair } from "./openssl/bio-pair.js";
import {
  SSL_MODE_ENABLE_PARTIAL_WRITE,
  SSL_MODE_RELEASE_BUFFERS,
  SSL_OP_NO_RENEGOTIATION,
  SSL_VERIFY_NONE,
  SSL_VERIFY_PEER,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from "./openssl/constants.js";
import type { SslContext } from "./openssl/context.js";
import type { OpenSsl } from "./openssl/openssl.js";
import type { Ssl } from "./openssl/ssl.js";
import type { X509 } from "./openssl/x509.js";
import type { TlsEvent } from "./pump.js";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** PEM, which may hold several certificates, or one certificate in DER. */
export type CertificateData = string | Uint8Array;

/** What TLS itself is asked for, whoever moves the bytes. */
export interface TlsOptions {
  /** ALPN (RFC 7301): what a client offers, or what a server chooses from, best first. */
  alpnProtocols?: readonly string[];
  /** Default "TLSv1.2". */
  minVersion?: TlsVersion;
  /** Default "TLSv1.3". */
  maxVersion?: TlsVersion;
  /** Room in each direction between OpenSSL and the transport, in bytes, 1 to 2^30. Default 17 KiB, one record. */
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
}

/** Whom a client means to talk to, and whom it believes. */
export interface ClientIdentity {
  /**
   * Whom we mean to talk to: a DNS name or an IP literal. The certificate must be for it. A DNS name is also sent as
   * SNI. Internationalised names are converted (IDNA).
   */
  hostname: string;
  /** The trust anchors: these are all, there is no hidden store. */
  caCerts?: CertificateData | readonly CertificateData[];
  /**
   * Accept any certificate from anybody, which leaves the connection open to whoever sits in between. `info.verified` is
   * false then. Default false.
   */
  unsafelyDisableVerification?: boolean;
}

/** Who a server is. */
export interface ServerIdentity {
  /** Our certificate, and those between it and the trust anchor: PEM, our own first. */
  cert: CertificateData;
  /** Its private key: PEM, or DER. */
  key: CertificateData;
  /** Of an encrypted key. */
  passphrase?: string;
}

/** What the handshake settled. */
export interface TlsInfo {
  /** "TLSv1.3" */
  readonly protocol: string;
  /** "TLS_AES_128_GCM_SHA256" */
  readonly cipher: string;
  /** The group of the key exchange, "X25519MLKEM768"; undefined where none took part. */
  readonly group: string | undefined;
  /** The algorithm with which the peer proved its key, "ecdsa_secp256r1_sha256". */
  readonly signatureAlgorithm: string | undefined;
  readonly alpnProtocol: string | undefined;
  /** The name asked for with SNI. */
  readonly serverName: string | undefined;
  /** The peer's certificates as it sent them, its own first. */
  readonly peerCertificates: readonly X509[];
  /** The peer showed a certificate, and it was checked: chain, dates, and, by a client, the name. */
  readonly verified: boolean;
  readonly sessionReused: boolean;
}

/** A client or a server: what makes its context and its connection different from the other's. */
export interface Side {
  readonly role: "client" | "server";
  /** The other end, for messages. */
  readonly peerName: string;
  context(ctx: SslContext): void;
  connection(ssl: Ssl): void;
}

export function clientSide(options: ClientIdentity): Side {
  const name = canonicalName(options?.hostname);
  return {
    role: "client",
    peerName: `"${options.hostname}"`,
    context(ctx) {
      const { caCerts = [] } = options;
      for (const ca of isList(caCerts) ? caCerts : [caCerts]) ctx.addCaCert(ca);
      ctx.setVerify(options.unsafelyDisableVerification ? SSL_VERIFY_NONE : SSL_VERIFY_PEER);
    },
    connection(ssl) {
      if (!ssl.setIp(name)) {
        // With a colon it would have to be an IPv6 address: "name:443" and URLs are none.
        if (name.includes(":")) throw noHostname(options.hostname);
        ssl.setHost(name);
        ssl.setServerName(name);
      }
      ssl.setConnectState();
    },
  };
}

export function serverSide(options: ServerIdentity): Side {
  return {
    role: "server",
    peerName: "the client",
    context(ctx) {
      ctx.useCertificateChain(options.cert);
      ctx.usePrivateKey(options.key, options.passphrase);
    },
    connection(ssl) {
      ssl.setAcceptState();
    },
  };
}

/** An `Ssl` before its handshake, and the pair whose network half is ours. Both are the caller's to free. */
export function newConnection(
  openssl: OpenSsl,
  options: TlsOptions,
  side: Side,
): { ssl: Ssl; pair: BioPair } {
  const { eofPolicy = "strict", bioPairSize } = options;
  if (!["strict", "record-boundary", "ignore"].includes(eofPolicy)) {
    throw new TlsError("invalid-argument", `there is no eofPolicy "${eofPolicy}"`);
  }
  if (bioPairSize === 0) throw new TlsError("invalid-argument", "bioPairSize must be 1 byte at least");
  using context = openssl.newContext(side.role);
  configure(context, options);
  side.context(context);
  const pair = openssl.newBioPair(bioPairSize);
  let ssl: Ssl | undefined;
  try {
    ssl = context.newSsl(pair);
    side.connection(ssl);
    return { ssl, pair };
  } catch (error) {
    ssl?.free();
    pair.free();
    throw error;
  }
}

function configure(context: SslContext, options: TlsOptions): void {
  context.setMinProtoVersion(versionNumber(options.minVersion ?? "TLSv1.2"));
  context.setMaxProtoVersion(versionNumber(options.maxVersion ?? "TLSv1.3"));
  if (options.minVersion === "TLSv1.3" && options.maxVersion === "TLSv1.2") {
    throw new TlsError("invalid-argument", "minVersion is above maxVersion");
  }
  // A large write streams; an idle connection gives its record buffers back; a peer cannot renegotiate (RFC 9325 §3.5).
  context.setMode(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
  context.setOptions(SSL_OP_NO_RENEGOTIATION);
  context.setQuietShutdown(options.quietShutdown ?? false);
  if (options.alpnProtocols) context.setAlpnProtocols(options.alpnProtocols);
}

function versionNumber(version: TlsVersion): number {
  if (version === "TLSv1.2") return TLS1_2_VERSION;
  if (version === "TLSv1.3") return TLS1_3_VERSION;
  throw new TlsError("invalid-argument", `there is no version "${version}": it is "TLSv1.2" or "TLSv1.3"`);
}

export function infoOf(ssl: Ssl, options: TlsOptions & Partial<ClientIdentity>): TlsInfo {
  const peerCertificates = ssl.getPeerCertificates();
  const checked = !ssl.isServer() && !options.unsafelyDisableVerification;
  return {
    protocol: ssl.getVersion(),
    cipher: ssl.getCipherName() ?? "",
    group: ssl.getGroupName(),
    signatureAlgorithm: ssl.getPeerSignatureName(),
    alpnProtocol: ssl.getAlpnSelected(),
    serverName: ssl.getServerName(),
    peerCertificates,
    // X509_V_OK is also what an unchecked or absent certificate gives.
    verified: checked && peerCertificates.length > 0 && ssl.getVerifyResult() === 0,
    sessionReused: ssl.sessionReused(),
  };
}

/** The name as it is compared and sent: without brackets and final dot, in ASCII. */
function canonicalName(hostname: unknown): string {
  if (typeof hostname !== "string" || hostname === "") {
    throw new TlsError("invalid-argument", "hostname must say whom to talk to: a DNS name or an IP address");
  }
  if (hostname.startsWith("[") && hostname.endsWith("]")) return hostname.slice(1, -1);
  if (hostname.includes(":")) return hostname; // IPv6, or nothing
  let ascii = hostname;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is "not ASCII"
  if (/[^\x00-\x7f]/.test(hostname)) {
    try {
      ascii = new URL(`https://${hostname}`).hostname;
    } catch (cause) {
      throw noHostname(hostname, { cause });
    }
  }
  if (ascii.endsWith(".")) ascii = ascii.slice(0, -1);
  if (!/^[a-z0-9_*-]+(\.[a-z0-9_-]+)*$/i.test(ascii) || ascii.length > 253) {
    throw noHostname(hostname);
  }
  return ascii;
}

function noHostname(hostname: string, options?: { cause: unknown }): TlsError {
  return new TlsError("invalid-argument", `"${hostname}" is no host name and no IP address`, options);
}

function isList(value: CertificateData | readonly CertificateData[]): value is readonly CertificateData[] {
  return Array.isArray(value);
}
