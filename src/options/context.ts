import { custom, type Table } from "../check.js";
import { dispose, whenDropped } from "../engine.js";
import { TlsError } from "../errors.js";
import { BioPairCore } from "../openssl/bio-pair-core.js";
import { SSL_SESS_CACHE_CLIENT, SSL_SESS_CACHE_NO_INTERNAL } from "../openssl/constants.js";
import { SslContextCore } from "../openssl/context-core.js";
import { Library } from "../openssl/library.js";
import type { OpenSsl } from "../openssl/openssl.js";
import type { SslCore } from "../openssl/ssl-core.js";
import { anyFunction, sessionKey, whichFunction } from "../sessions/key.js";
import {
  CLIENT_IDENTITY,
  type ClientIdentity,
  configureClient,
  type Identity,
  type Keys,
  type Peer,
  setPeer,
  type Verification,
} from "./identity.js";
import { hostName } from "./names.js";
import { CONTEXT_OPTIONS, type ConnectionOptions, type ContextOptions, configure } from "./protocol.js";
import type { ServerIdentity } from "./server-identity.js";

/** The options that a client's connections have in common. */
export interface ClientContextOptions extends ContextOptions, Omit<ClientIdentity, keyof Peer> {
  /** The OpenSSL to use. By default one that all connections share, loaded at the first use. */
  openssl?: OpenSsl;
}

/** What a {@link Context} is made of. */
export interface ContextParts {
  sslContext: SslContextCore;
  /** Those that stay in WebCrypto. */
  keys: Keys;
  /** The peer's certificate is checked if the peer shows one. */
  verifies: boolean;
  /** Of a client: a hash of all that must be the same where a session is offered. */
  settings: string;
  /** The mark that sessions carry. */
  mark: Uint8Array;
}

/**
 * What is read once for many connections. `TlsContext` is what an application makes; a client that was given none has
 * one of these, whose code knows no server.
 */
export class Context implements Disposable {
  readonly role: "client" | "server";
  /** @internal */
  readonly library: Library;
  /** @internal */
  readonly sslContext: SslContextCore;
  /** @internal */
  readonly keys: Keys;
  /** @internal The peer's certificate is checked if the peer shows one. */
  readonly verifies: boolean;
  /** @internal By a client, for the name that is meant. */
  readonly namesPeer: boolean;
  /** @internal Of a client: the server may ask for its certificate later. */
  readonly postHandshakeAuth: boolean;
  /** @internal */
  readonly verification: Verification;
  /** @internal */
  readonly keylog: ContextOptions["keylog"];
  /** @internal */
  readonly alpnProtocols: readonly string[];
  /** @internal Those of TLS 1.2; false if TLS 1.2 is off. */
  readonly defaultCiphers: boolean;
  /** @internal There is not a single trust anchor. */
  readonly trustsNobody: boolean;
  /**
   * @internal The mark that a client's sessions carry. Only connections of the same settings offer them, wherever they
   *   were kept. `verify` is asked again anyway, so it need not be the same function.
   */
  readonly sessionMark: Uint8Array;
  readonly #settings: string;
  /** What nobody frees is freed when it is collected, unless this is called. */
  readonly #keep: () => void;

  /** @internal */
  constructor(library: Library, role: "client" | "server", options: ReadOptions, parts: ContextParts) {
    const { verify, unsafelyLetVerifyOverride, caCerts } = options;
    this.role = role;
    this.library = library;
    this.sslContext = parts.sslContext;
    this.keys = parts.keys;
    this.verifies = parts.verifies;
    this.namesPeer = !options.unsafelyDisableHostnameVerification;
    this.postHandshakeAuth = options.postHandshakeAuth ?? false;
    this.sessionMark = parts.mark;
    this.#settings = parts.settings;
    this.verification = { verify, unsafelyLetVerifyOverride } as Verification;
    this.keylog = options.keylog;
    this.alpnProtocols = [...(options.alpnProtocols ?? [])];
    this.defaultCiphers = options.ciphers === undefined && options.minVersion !== "TLSv1.3";
    this.trustsNobody = caCerts === undefined || (Array.isArray(caCerts) && caCerts.length === 0);
    this.#keep = whenDropped(this, this.sslContext, freeContext);
  }

  /** @internal The key for sessions with that peer: a hash of everything that must match. */
  sessionKey({ hostname, serverName }: Peer, partition: string): string {
    const sent = serverName ? hostName(serverName, "serverName").name : (serverName ?? null);
    return hash(this.library, [this.#settings, hostName(hostname).name, sent, partition]);
  }

  /** Frees what it holds in linear memory. Connections that are open, or whose handshake is under way, go on. */
  free(): void {
    this.#keep();
    this.sslContext.free();
  }

  [dispose](): void {
    this.free();
  }
}

function freeContext(context: SslContextCore): void {
  context.free();
}

/** A hash over `parts`. */
export function hash(library: Library, parts: unknown, functions?: (value: object) => string): string {
  return sessionKey((bytes) => library.sha256(bytes), parts, functions);
}

/** The mark for sessions of these settings. */
export function markOf(library: Library, settings: string): Uint8Array {
  return library.sha256(new TextEncoder().encode(settings));
}

/** What `set` made of a new context, which has what clients and servers have in common. Frees it if that fails. */
export function prepared<S extends SslContextCore>(
  sslContext: S,
  options: ReadOptions,
  set: (keys: Keys) => Pick<ContextParts, "settings" | "mark" | "verifies">,
): ContextParts {
  try {
    configure(sslContext, options);
    const keys: Keys = new Map();
    return { sslContext, keys, ...set(keys) };
  } catch (error) {
    sslContext.free();
    throw error;
  }
}

/** The parts of a client's context. */
export function clientParts(
  library: Library,
  options: ReadOptions,
  role: "client" | "dtls-client" = "client",
): ContextParts {
  const sslContext = SslContextCore.create(library, role);
  return prepared(sslContext, options, (keys) => {
    configureClient(sslContext, options, keys);
    sslContext.setSessionCacheMode(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    sslContext.keepNewSessions(true);
    const all = settingsOf(options, ["decides", "who", "client"]);
    // A session is of one of the two protocols.
    if (sslContext.isDtls) all.push(role);
    const settings = hash(library, all, whichFunction);
    const mark = options.verify ? hash(library, all, anyFunction) : settings;
    const verifies = !options.unsafelyDisableVerification;
    return { settings, mark: markOf(library, mark), verifies };
  });
}

export function newClientContext(
  library: Library,
  options: ReadOptions,
  role: "client" | "dtls-client" = "client",
): Context {
  return new Context(library, "client", options, clientParts(library, options, role));
}

type OfAContext = Exclude<keyof ClientContextOptions | keyof ServerIdentity | "selectContext", "openssl">;

/**
 * What an option means for sessions. "decides": which peers get in; a session is not good for two contexts that differ
 * in it. "who": this side's identity; a server's `sessionIdContext` stands for it. "client": like "decides" for a
 * client, and nothing for a server, which settles it anew each time. "no": nothing.
 */
export type Counts = "decides" | "who" | "client" | "no";

/** All options that a context is made of. Beside a `context` they would have no effect. */
export const OF_A_CONTEXT: Record<OfAContext, Counts> = {
  alpnProtocols: "client",
  minVersion: "client",
  maxVersion: "client",
  ciphers: "decides",
  cipherSuites: "decides",
  groups: "decides",
  signatureAlgorithms: "decides",
  securityLevel: "decides",
  maxCertificateList: "decides",
  psk: "decides",
  psks: "decides",
  legacyServerConnect: "decides",
  maxSendFragment: "no",
  keylog: "no",
  cert: "who",
  // The certificate says whose key it is.
  key: "no",
  pkcs12: "who",
  passphrase: "no",
  verify: "decides",
  unsafelyLetVerifyOverride: "decides",
  verifyOptions: "decides",
  caCerts: "decides",
  unsafelyAllowLegacyNames: "client",
  unsafelyDisableHostnameVerification: "client",
  unsafelyDisableVerification: "client",
  ocsp: "client",
  identities: "who",
  clientAuth: "decides",
  postHandshakeAuth: "decides",
  sendCaNames: "no",
  ocspResponse: "no",
  tickets: "no",
  ticketKeys: "no",
  sessionIdContext: "no",
  sessionTimeout: "no",
  maxSessionAge: "no",
  maxEarlyData: "no",
  selectContext: "no",
};

/** Any that this copy of the package has made. By what it has in it: the class itself has all of OpenSSL behind it. */
export const OPENSSL = custom(
  "an OpenSsl",
  (value) => (value as Partial<OpenSsl> | null)?.library instanceof Library,
);

const { hostname: _hostname, serverName: _serverName, ...CLIENT } = CLIENT_IDENTITY;

export const CLIENT_CONTEXT: Table<ClientContextOptions> = {
  ...CONTEXT_OPTIONS,
  ...CLIENT,
  openssl: OPENSSL,
};

/**
 * The options that make a context, as they were when they were read. Later changes of the caller's objects do not
 * count.
 */
export type ReadOptions = Omit<ClientContextOptions & ServerIdentity, "openssl"> & {
  readonly read: true;
};

/** Those of them that make a context. */
export function ofAContext(options: object): ReadOptions {
  const entries = Object.entries(options).filter(([name]) => Object.hasOwn(OF_A_CONTEXT, name));
  return Object.assign(Object.create(null), Object.fromEntries(entries), { read: true });
}

export function settingsOf(options: object, counts: readonly Counts[]): unknown[] {
  const entries = Object.entries(options).filter(([name]) =>
    counts.includes(OF_A_CONTEXT[name as OfAContext]),
  );
  return entries.map(([name, value]) =>
    name === "identities"
      ? [name, (value as Identity[]).map(({ cert, pkcs12 }) => [cert, pkcs12])]
      : [name, value],
  );
}

/** The context that was given, or one for this connection alone, which the caller must free once it is used. */
export function contextFor<C extends Context>(
  library: Library,
  role: "client" | "server",
  context: C | undefined,
  read: ReadOptions,
  make: (library: Library, read: ReadOptions) => C,
): { context: C; free(): void } {
  if (context === undefined) {
    const own = make(library, read);
    return { context: own, free: () => own.free() };
  }
  if (context.role !== role) {
    throw new TlsError("invalid-argument", `context must be a TlsContext for a ${role}`);
  }
  if (context.library !== library) {
    throw new TlsError("invalid-argument", "context is of another OpenSsl than the one that is given");
  }
  // Also if it is inherited, or a getter: a caller that gives a `verify` means it to be asked.
  const beside = Object.keys(read).find((name) => Object.hasOwn(OF_A_CONTEXT, name));
  if (beside !== undefined) {
    throw new TlsError(
      "invalid-argument",
      `${beside} is read when a TlsContext is made: it must be given there, and not beside context`,
    );
  }
  return { context, free: () => {} };
}

/** A flight of DTLS is sent again as a whole, so that it needs room as a whole: with long certificates, in bytes. */
const FLIGHT = 65_536;

export interface Connection {
  /** A connection before its handshake. */
  readonly ssl: SslCore;
  /** The network half is ours. */
  readonly pair: BioPairCore;
}

/**
 * Makes a connection of `context`. The caller must free both parts. `peer` is the server that a client means to talk
 * to.
 */
export function newConnection(context: Context, options: ConnectionOptions, peer?: Peer): Connection {
  const { bioPairSize = 0 } = options;
  const { isDtls } = context.sslContext;
  const pair = BioPairCore.create(context.library, isDtls ? FLIGHT : bioPairSize, bioPairSize, isDtls);
  let ssl: SslCore | undefined;
  try {
    ssl = context.sslContext.newSsl(pair);
    ssl.setQuietShutdown(options.quietShutdown ?? false);
    if (options.trace) ssl.setTrace(true);
    if (context.role === "client") {
      setPeer(ssl, peer ?? { hostname: "" }, context.namesPeer);
      if (context.postHandshakeAuth) ssl.setPostHandshakeAuth(true);
      ssl.setConnectState();
    } else {
      ssl.setAcceptState();
    }
    const { verify, unsafelyLetVerifyOverride } = context.verification;
    if (verify) ssl.suspendVerify(unsafelyLetVerifyOverride ? "anyway" : "accepted");
    return { ssl, pair };
  } catch (error) {
    ssl?.free();
    pair.free();
    throw error;
  }
}
