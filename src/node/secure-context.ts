/** What `tls.createSecureContext` takes, as options of Wassl. */
import { Buffer } from "node:buffer";
import type * as tls from "node:tls";
import {
  type ClientOptions,
  type ContextOptions,
  type Identity,
  OpenSsl,
  type PassphrasedKey,
  pairIdentities,
  TlsContext,
  type TlsVersion,
  type TrustAnchors,
} from "wassl";
import { connectionError, nodeError, wrongType } from "./errors.js";

export const DEFAULT_CIPHERS =
  "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256:" +
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384:" +
  "DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA256:DHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384:" +
  "DHE-RSA-AES256-SHA384:ECDHE-RSA-AES256-SHA256:DHE-RSA-AES256-SHA256:HIGH:!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:" +
  "!PSK:!SRP:!CAMELLIA";

type Given = tls.SecureContextOptions;
/** Whatever a list or a single thing is taken for. */
export type Listed<T> = T | readonly T[] | undefined | null;

export function list<T>(given: Listed<T>): T[] {
  if (given === undefined || given === null) return [];
  return Array.isArray(given) ? ((given as T[]).flat() as T[]) : [given as T];
}

/** A Buffer has another `slice` than a Uint8Array; a plain view has not. */
export function data(given: unknown): string | Uint8Array {
  if (typeof given === "string") return given;
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  if (Object.prototype.toString.call(given) === "[object ArrayBuffer]")
    return new Uint8Array(given as ArrayBuffer);
  throw wrongType("certificate or key", "string or an instance of Buffer, TypedArray, or DataView");
}

const VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

function versions(o: Given): Pick<ContextOptions, "minVersion" | "maxVersion"> {
  for (const name of ["minVersion", "maxVersion"] as const) {
    const version = o[name];
    if (version === undefined || version === null) continue;
    if (!VERSIONS.includes(version)) {
      const which = name === "minVersion" ? "minimum" : "maximum";
      const message = `${JSON.stringify(version)} is not a valid ${which} TLS protocol version`;
      throw nodeError("ERR_TLS_INVALID_PROTOCOL_VERSION", message, {}, TypeError);
    }
    if (o.secureProtocol) {
      const message = `TLS protocol version ${JSON.stringify(version)} conflicts with secureProtocol ${JSON.stringify(o.secureProtocol)}`;
      throw nodeError("ERR_TLS_PROTOCOL_VERSION_CONFLICT", message, {}, TypeError);
    }
  }
  if (
    o.maxVersion === "TLSv1" ||
    o.maxVersion === "TLSv1.1" ||
    /^(SSLv[23]|TLSv1(_1)?)_/.test(o.secureProtocol ?? "")
  ) {
    throw nodeError("ERR_SSL_UNSUPPORTED_PROTOCOL", "this OpenSSL has TLS 1.2 and TLS 1.3 alone");
  }
  if (o.secureProtocol?.startsWith("TLSv1_2_")) return { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" };
  if (o.secureProtocol?.startsWith("TLSv1_3_")) return { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" };
  const known = (version: string | null | undefined) =>
    version === "TLSv1.2" || version === "TLSv1.3" ? (version as TlsVersion) : undefined;
  const [minVersion, maxVersion] = [known(o.minVersion), known(o.maxVersion)];
  return { ...(minVersion && { minVersion }), ...(maxVersion && { maxVersion }) };
}

/** Node.js has the suites of both versions in one list, and leaves out what OpenSSL does not know. */
function ciphers({ ciphers: given }: Given): Pick<ContextOptions, "ciphers" | "cipherSuites"> {
  if (given === undefined || given === null || given === "" || given === DEFAULT_CIPHERS) return {};
  if (typeof given !== "string") throw wrongType('"options.ciphers" property', "string");
  const all = given.split(":").filter(Boolean).map(optional);
  const suites = all.filter((name) => name.startsWith("?TLS_"));
  const others = all.filter((name) => !name.startsWith("?TLS_"));
  return {
    ...(suites.length > 0 && { cipherSuites: suites.join(":") }),
    ...(others.length > 0 && { ciphers: others.join(":") }),
  };
}

/** A name may be unknown; a keyword that has to stand first, and an operator, are as they are. */
const optional = (name: string) => (/^(?:[-+!@]|DEFAULT|SUITEB)/.test(name) ? name : `?${name}`);

/** A list of names, or what Node.js makes of it: each behind its length. */
export function alpnProtocols(
  given: readonly (string | Uint8Array)[] | ArrayBufferView | null | undefined,
): string[] {
  if (given === undefined || given === null) return [];
  const names: string[] = [];
  if (ArrayBuffer.isView(given)) {
    const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
    for (let at = 0; at < bytes.length; at += 1 + bytes[at]!)
      names.push(bytes.toString("latin1", at + 1, at + 1 + bytes[at]!));
    return names;
  }
  return [...(given as readonly (string | Uint8Array)[])].map((name) =>
    typeof name === "string" ? name : Buffer.from(name).toString("latin1"),
  );
}

interface Keys {
  pkcs12: Identity[];
  certs: (string | Uint8Array)[];
  keys: PassphrasedKey[];
}

function keysOf(o: Given): Keys {
  const withPassphrase = (own: string | undefined) => {
    const passphrase = own ?? o.passphrase;
    return passphrase === undefined ? {} : { passphrase };
  };
  const pfx = list(o.pfx as Listed<string | Buffer | { buf: string | Buffer; passphrase?: string }>);
  const keys = list(o.key as Listed<string | Buffer | { pem: string | Buffer; passphrase?: string }>);
  return {
    pkcs12: pfx.map((each) => {
      const { buf, passphrase } =
        typeof each === "object" && "buf" in each ? each : { buf: each, passphrase: undefined };
      const bytes = data(buf);
      const pkcs12 = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
      return { pkcs12, ...withPassphrase(passphrase) };
    }),
    certs: list(o.cert as Listed<string | Buffer>).map(data),
    keys: keys.map((each) => {
      const { pem, passphrase } =
        typeof each === "object" && "pem" in each ? each : { pem: each, passphrase: undefined };
      return { key: data(pem), ...withPassphrase(passphrase) };
    }),
  };
}

/** Which key belongs to which certificate is for OpenSSL to say. */
export function identitiesOf(openssl: OpenSsl, { pkcs12, certs, keys }: Keys): Identity[] {
  return [...pkcs12, ...(certs.length + keys.length > 0 ? pairIdentities(openssl, certs, keys) : [])];
}

/** What a context says, read once. */
export interface ReadContext {
  protocol: ContextOptions;
  keys: Keys;
  /** Undefined: the default trust anchors. */
  ca: readonly (string | Uint8Array)[] | undefined;
  crls: readonly (string | Uint8Array)[];
  partialChain: boolean;
  sessionTimeout: number | undefined;
  sessionIdContext: string | undefined;
  ticketKeys: Uint8Array | undefined;
}

export function readContext(o: Given): ReadContext {
  const { ecdhCurve, sigalgs, securityLevel } = o as Given & { securityLevel?: number };
  return {
    protocol: {
      ...versions(o),
      ...ciphers(o),
      ...(ecdhCurve && ecdhCurve !== "auto" && { groups: ecdhCurve }),
      ...(sigalgs && { signatureAlgorithms: sigalgs }),
      ...(typeof securityLevel === "number" && { securityLevel }),
    },
    keys: keysOf(o),
    ca: o.ca === undefined || o.ca === null ? undefined : list(o.ca).map(data),
    crls: list(o.crl).map(data),
    partialChain: o.allowPartialTrustChain ?? false,
    sessionTimeout: o.sessionTimeout,
    sessionIdContext: o.sessionIdContext,
    ticketKeys: o.ticketKeys && new Uint8Array(o.ticketKeys),
  };
}

/**
 * Certificates, keys and settings for many connections.
 *
 * @example
 * ```ts
 * import { SecureContext } from "wassl/node/tls";
 *
 * const secureContext = new SecureContext({ ca: pem, minVersion: "TLSv1.3" });
 * ```
 */
export class SecureContext {
  /** @internal */
  readonly read: ReadContext;
  /** Node.js's own object; what is added here counts from the next connection on. */
  readonly context: {
    addCACert(certificate: string | Uint8Array): void;
    addRootCerts(): void;
  };

  constructor(options: Given = {}) {
    const read = readContext(options);
    this.read = read;
    this.context = {
      addCACert: (certificate) => {
        read.ca = [...(read.ca ?? []), data(certificate)];
      },
      addRootCerts: () => {},
    };
    check(read);
  }
}

/**
 * Makes a context, as Node.js does: what cannot be used throws here. To read certificates OpenSSL has to be there, so
 * call `preload()` of this module before; otherwise a certificate that is wrong fails with the first connection.
 *
 * @example
 * ```ts
 * import { connect, createSecureContext, preload } from "wassl/node/tls";
 *
 * await preload();
 * const secureContext = createSecureContext({ ca: pem, cert, key });
 * connect({ host: "db.example.org", port: 5433, secureContext });
 * ```
 */
export function createSecureContext(options: Given = {}): SecureContext {
  return new SecureContext(options);
}

let anchors: TrustAnchors | undefined;
let defaultCa: readonly (string | Uint8Array)[] | undefined;

/** The certificates of Mozilla's list, in PEM; empty until `preload()` has brought them. */
export const rootCertificates: string[] = [];

/**
 * Loads OpenSSL, and Mozilla's trust anchors, which connections without `ca` trust. A program that calls nothing but
 * `connect` need not wait for it.
 *
 * @example
 * ```ts
 * import { preload, rootCertificates } from "wassl/node/tls";
 *
 * await preload();
 * console.log(rootCertificates.length);
 * ```
 */
export async function preload(): Promise<void> {
  const [loaded, anchors] = await Promise.all([OpenSsl.shared(), defaultAnchors()]);
  if (rootCertificates.length === 0)
    rootCertificates.push(...loaded.parseTrustAnchors(anchors).map(({ pem }) => pem.trimEnd()));
}

/** They are large, and come only where they are needed. */
async function defaultAnchors(): Promise<TrustAnchors> {
  anchors ??= (await import("wassl/roots")).mozillaRoots;
  return anchors;
}

/** The trust anchors of a connection that names `ca`, or does not. */
export async function caCertsOf(ca: ReadContext["ca"]): Promise<NonNullable<ClientOptions["caCerts"]>> {
  return ca ?? defaultCa ?? (await defaultAnchors());
}

/**
 * Sets what connections without `ca` trust from now on, instead of Mozilla's trust anchors.
 *
 * @example
 * ```ts
 * import { setDefaultCACertificates } from "wassl/node/tls";
 *
 * setDefaultCACertificates([pem]);
 * ```
 */
export function setDefaultCACertificates(certificates: readonly (string | ArrayBufferView)[]): void {
  if (!Array.isArray(certificates)) throw wrongType('"certs" argument', "Array");
  defaultCa = certificates.map(data);
}

/**
 * The trust anchors in PEM. There are no other stores here than Mozilla's, and what was set.
 *
 * @example
 * ```ts
 * import { getCACertificates, preload } from "wassl/node/tls";
 *
 * await preload();
 * console.log(getCACertificates("bundled").length);
 * ```
 */
export function getCACertificates(type = "default"): string[] {
  if (!["default", "bundled", "system", "extra"].includes(type))
    throw nodeError(
      "ERR_INVALID_ARG_VALUE",
      `The argument 'type' is invalid. Received '${type}'`,
      {},
      TypeError,
    );
  if (type === "system" || type === "extra") return [];
  if (type === "bundled" || !defaultCa) return [...rootCertificates];
  return defaultCa.map((each) => (typeof each === "string" ? each : Buffer.from(each).toString()));
}

/** Lets OpenSSL look at all of it, if OpenSSL is there. */
function check({ protocol, keys, ca, crls }: ReadContext): void {
  const openssl = OpenSsl.loaded;
  if (!openssl) return;
  try {
    TlsContext.clientSync({
      ...protocol,
      ...{ identities: identitiesOf(openssl, keys), openssl },
      ...(ca && { caCerts: ca }),
      ...(crls.length > 0 && { verifyOptions: { crls } }),
    }).free();
  } catch (error) {
    throw connectionError(error);
  }
}
