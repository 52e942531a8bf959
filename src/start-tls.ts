import { TlsError } from "./errors.js";
import type { EofPolicy } from "./failure.js";
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
import { OpenSsl } from "./openssl/openssl.js";
import type { Ssl } from "./openssl/ssl.js";
import { Pump, type TlsEvent } from "./pump.js";
import { farewell, type TlsInfo, TlsStream } from "./stream.js";
import type { Transport } from "./transport.js";
import { TransportWire } from "./wire.js";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** PEM, which may hold several certificates, or one certificate in DER. */
export type CertificateData = string | Uint8Array;

export interface CommonOptions {
  /** ALPN (RFC 7301): what a client offers, or what a server chooses from, best first. */
  alpnProtocols?: readonly string[];
  /** Default "TLSv1.2". */
  minVersion?: TlsVersion;
  /** Default "TLSv1.3". */
  maxVersion?: TlsVersion;
  /** Aborts the handshake, and afterwards the connection. */
  signal?: AbortSignal;
  /** How long the handshake may take, in milliseconds; `Infinity` = as long as it likes. Default 30,000. */
  handshakeTimeout?: number;
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
  /** Leave the transport open when both directions have ended through the streams. Default false. */
  preventClose?: boolean;
  /** The OpenSSL to use. By default one that all connections share, loaded at the first. */
  openssl?: OpenSsl;
  /** Told of what happens, as it happens. It must not throw. */
  onEvent?: (event: TlsEvent) => void;
}

export interface ClientOptions extends CommonOptions {
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

export interface ServerOptions extends CommonOptions {
  /** Our certificate, and those between it and the trust anchor: PEM, our own first. */
  cert: CertificateData;
  /** Its private key: PEM, or DER. */
  key: CertificateData;
  /** Of an encrypted key. */
  passphrase?: string;
}

const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;

/**
 * Makes a TLS connection over `transport`, as a client. Resolves when the handshake is done and the peer is verified.
 *
 * The streams of the transport belong to the connection from the call on. When the promise rejects, the transport is
 * closed; but not when it rejects with "invalid-argument" or could not load OpenSSL: then nothing was touched.
 *
 * @throws TlsCertificateError | TlsAlertError | TlsTruncationError | TlsError, or the reason of `signal`
 */
export async function startTls(transport: Transport, options: ClientOptions): Promise<TlsStream> {
  const name = canonicalName(options?.hostname);
  const openssl = await begin(options);
  return await establish(openssl, transport, options, `"${options.hostname}"`, {
    role: "client",
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
  });
}

/**
 * Makes a TLS connection over `transport`, as a server. Resolves when the handshake is done. See {@link startTls} for
 * what happens to the transport.
 */
export async function acceptTls(transport: Transport, options: ServerOptions): Promise<TlsStream> {
  const openssl = await begin(options);
  return await establish(openssl, transport, options, "the client", {
    role: "server",
    context(ctx) {
      ctx.useCertificateChain(options.cert);
      ctx.usePrivateKey(options.key, options.passphrase);
    },
    connection(ssl) {
      ssl.setAcceptState();
    },
  });
}

interface Side {
  role: "client" | "server";
  context(ctx: SslContext): void;
  connection(ssl: Ssl): void;
}

async function begin(options: CommonOptions): Promise<OpenSsl> {
  options.signal?.throwIfAborted();
  const openssl = options.openssl ?? (await OpenSsl.shared());
  options.signal?.throwIfAborted();
  return openssl;
}

async function establish(
  openssl: OpenSsl,
  transport: Transport,
  options: CommonOptions,
  peerName: string,
  side: Side,
): Promise<TlsStream> {
  const { signal, handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT, eofPolicy = "strict", bioPairSize } = options;
  if (typeof handshakeTimeout !== "number" || !(handshakeTimeout > 0)) {
    throw new TlsError("invalid-argument", "handshakeTimeout must be more than 0 ms");
  }
  if (!["strict", "record-boundary", "ignore"].includes(eofPolicy)) {
    throw new TlsError("invalid-argument", `there is no eofPolicy "${eofPolicy}"`);
  }
  if (bioPairSize === 0) throw new TlsError("invalid-argument", "bioPairSize must be 1 byte at least");

  using context = openssl.newContext(side.role);
  configure(context, options);
  side.context(context);
  const pair = openssl.newBioPair(bioPairSize);
  let ssl: Ssl;
  let wire: TransportWire;
  try {
    ssl = context.newSsl(pair);
  } catch (error) {
    pair.free();
    throw error;
  }
  try {
    side.connection(ssl);
    // Last, since from here on the transport's streams are locked.
    wire = new TransportWire(transport);
  } catch (error) {
    ssl.free();
    pair.free();
    throw error;
  }

  let stream: TlsStream | undefined;
  const pump = new Pump({
    ssl,
    pair,
    wire,
    peerName,
    eofPolicy,
    quiet: options.quietShutdown ?? false,
    onEvent: options.onEvent,
    onFailure: (error) => stream?.failed(error),
  });
  const giveUp = (reason: unknown) => {
    wire.abort(reason);
    pump.release(reason);
  };
  const onAbort = () => giveUp(signal!.reason);
  signal?.addEventListener("abort", onAbort);
  const timer =
    handshakeTimeout === Infinity
      ? undefined
      : setTimeout(
          () =>
            giveUp(
              new TlsError("timeout", `no TLS handshake with ${peerName} within ${handshakeTimeout} ms`),
            ),
          handshakeTimeout,
        );
  try {
    await pump.handshake();
    stream = new TlsStream({
      ssl,
      pump,
      wire,
      info: infoOf(ssl, options),
      quiet: options.quietShutdown ?? false,
      preventClose: options.preventClose ?? false,
      signal,
    });
    // Between the handshake and here it may have failed, before there was anybody to tell.
    if (pump.failure) stream.failed(pump.failure);
    return stream;
  } catch (error) {
    // The alert that tells the peer why is on its way; nobody needs to wait for it.
    void farewell(pump, wire, error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

function configure(context: SslContext, options: CommonOptions): void {
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

function infoOf(ssl: Ssl, options: CommonOptions & Partial<ClientOptions>): TlsInfo {
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
