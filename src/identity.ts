/** Who we are, whom we mean to talk to, and whom we believe: from options to a context and a connection. */
import { TlsError } from "./errors.js";
import {
  SSL_OP_NO_TICKET,
  SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
  SSL_VERIFY_NONE,
  SSL_VERIFY_PEER,
} from "./openssl/constants.js";
import type { SslContext } from "./openssl/context.js";
import type { Ssl } from "./openssl/ssl.js";

/** PEM, which may hold several certificates, or one certificate in DER. */
export type CertificateData = string | Uint8Array;

/** A certificate and its private key, with which an end proves who it is. Either `cert` and `key`, or `pkcs12`. */
export interface Identity {
  /** The certificate, and those between it and the trust anchor: PEM, its own first. */
  cert?: CertificateData;
  /** Its private key: PEM, or DER. */
  key?: CertificateData;
  /** Certificate, key and chain in one file (RFC 7292). */
  pkcs12?: Uint8Array;
  /** Of an encrypted key or PKCS #12 file. */
  passphrase?: string;
}

/** Whom a client means to talk to, whom it believes, and who it is itself if the server asks. */
export interface ClientIdentity extends Identity {
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

/** Who a server is, and whom it believes. */
export interface ServerIdentity extends Identity {
  /** More of them, one for each kind of key: a client gets the first that it can check. */
  identities?: readonly Identity[];
  /**
   * Whether clients are asked for a certificate, and have to show one. One that is shown must be good in either case.
   * Default "none".
   */
  clientAuth?: "none" | "request" | "require";
  /** The trust anchors for certificates of clients: these are all. Their names are sent to the client. */
  caCerts?: CertificateData | readonly CertificateData[];
  /** An OCSP response for our certificate, in DER, which clients that ask for it get (RFC 6066 §8). */
  ocspResponse?: Uint8Array;
  /** How many tickets a TLS 1.3 client gets for later connections; 0 = none, in TLS 1.2 either. Default 2. */
  tickets?: number;
}

/** A client or a server: what makes its context and its connection different from the other's. */
export interface Side {
  readonly role: "client" | "server";
  /** The other end, for messages. */
  readonly peerName: string;
  /** The other end's certificate is checked if it shows one. */
  readonly verifies: boolean;
  context(ctx: SslContext): void;
  connection(ssl: Ssl): void;
}

export function clientSide(options: ClientIdentity): Side {
  const name = canonicalName(options?.hostname);
  const verifies = !options.unsafelyDisableVerification;
  return {
    role: "client",
    peerName: `"${options.hostname}"`,
    verifies,
    context(ctx) {
      addCaCerts(ctx, options.caCerts);
      ctx.setVerify(verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE);
      if (hasIdentity(options)) useIdentity(ctx, options);
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
  const { clientAuth = "none", identities = [] } = options;
  if (!Object.hasOwn(CLIENT_AUTH, clientAuth)) {
    throw new TlsError("invalid-argument", `there is no clientAuth "${clientAuth}"`);
  }
  if (clientAuth !== "none" && options.caCerts === undefined) {
    throw new TlsError("invalid-argument", `clientAuth "${clientAuth}" needs caCerts: whom to believe`);
  }
  return {
    role: "server",
    peerName: "the client",
    verifies: clientAuth !== "none",
    context(ctx) {
      const all = hasIdentity(options) ? [options, ...identities] : identities;
      for (const identity of all) useIdentity(ctx, identity);
      addCaCerts(ctx, options.caCerts);
      ctx.setVerify(CLIENT_AUTH[clientAuth]);
      if (clientAuth !== "none") ctx.sendCaNames();
      if (options.ocspResponse) ctx.setOcspResponse(options.ocspResponse);
      const { tickets } = options;
      if (tickets !== undefined) {
        if (!Number.isInteger(tickets) || tickets < 0 || tickets > 255) {
          throw new TlsError("invalid-argument", "tickets must be 0 to 255");
        }
        ctx.setNumTickets(tickets);
        if (tickets === 0) ctx.setOptions(SSL_OP_NO_TICKET);
      }
    },
    connection(ssl) {
      ssl.setAcceptState();
    },
  };
}

const CLIENT_AUTH = {
  none: SSL_VERIFY_NONE,
  request: SSL_VERIFY_PEER,
  require: SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
} as const;

function addCaCerts(ctx: SslContext, caCerts: ClientIdentity["caCerts"] = []): void {
  for (const ca of isList(caCerts) ? caCerts : [caCerts]) ctx.addCaCert(ca);
}

function hasIdentity({ cert, key, pkcs12 }: Identity): boolean {
  return cert !== undefined || key !== undefined || pkcs12 !== undefined;
}

function useIdentity(ctx: SslContext, { cert, key, pkcs12, passphrase }: Identity): void {
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
  ctx.usePrivateKey(key, passphrase);
}

/** The name as it is compared and sent: without brackets and final dot, in ASCII. */
export function canonicalName(hostname: unknown): string {
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
