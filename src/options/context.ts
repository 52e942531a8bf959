import { callback, instance, readOption, readOptions as readTable, type Table } from "../check.js";
import { dispose, whenDropped } from "../engine.js";
import { TlsError } from "../errors.js";
import type { BioPair } from "../openssl/bio-pair.js";
import { SSL_SESS_CACHE_CLIENT, SSL_SESS_CACHE_NO_INTERNAL } from "../openssl/constants.js";
import type { SslContext } from "../openssl/context.js";
import { OpenSsl } from "../openssl/openssl.js";
import type { Ssl } from "../openssl/ssl.js";
import { anyFunction, sessionKey, whichFunction } from "../sessions/key.js";
import type { ClientHello } from "./client-hello.js";
import {
  CLIENT_IDENTITY,
  type ClientIdentity,
  configureClient,
  configureServer,
  type Identity,
  type Keys,
  type Peer,
  SERVER_IDENTITY,
  type ServerIdentity,
  setPeer,
  type Verification,
} from "./identity.js";
import { hostName } from "./names.js";
import { CONTEXT_OPTIONS, type ConnectionOptions, type ContextOptions, configure } from "./protocol.js";

/** The options that a client's connections have in common. */
export interface ClientContextOptions extends ContextOptions, Omit<ClientIdentity, keyof Peer> {
  /** The OpenSSL to use. By default one that all connections share, loaded at the first use. */
  openssl?: OpenSsl;
}

/** The options that a server's connections have in common. */
export interface ServerContextOptions extends ContextOptions, ServerIdentity {
  /** The OpenSSL to use. By default one that all connections share, loaded at the first use. */
  openssl?: OpenSsl;
  /**
   * Chooses the options for a client by the client's first message, for example a certificate by SNI. `undefined` = the
   * options that stand here; `null` = refuse the client (unrecognized_name). Options are read for this one connection;
   * a {@link TlsContext} is read once. The handshake waits for the answer, up to `handshakeTimeout`.
   */
  selectContext?: (hello: ClientHello) => Selected | Promise<Selected>;
}

export type Selected = TlsContext | ServerContextOptions | null | undefined;

/**
 * TlsContext holds certificates, keys, trust anchors and settings, read once for many connections: give it to
 * `startTls` or `acceptTls` as `context`. A server's tickets are good for all connections of one context. `free()`
 * frees it; connections that are open go on.
 *
 * @example
 * ```ts
 * import { acceptTls, TlsContext, type Transport } from "wassl";
 *
 * using context = await TlsContext.server({ cert, key, alpnProtocols: ["h2", "http/1.1"] });
 * const serve = (transport: Transport) => acceptTls(transport, { context });
 * await serve(transport);
 * ```
 */
export class TlsContext implements Disposable {
  readonly role: "client" | "server";
  /** @internal */
  readonly openssl: OpenSsl;
  /** @internal */
  readonly sslContext: SslContext;
  /** @internal */
  readonly keys: Keys;
  /** @internal The peer's certificate is checked if the peer shows one. */
  readonly verifies: boolean;
  /** @internal By a client, for the name that is meant. */
  readonly namesPeer: boolean;
  /** @internal */
  readonly verification: Verification;
  /** @internal */
  readonly selectContext: ServerContextOptions["selectContext"];
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

  private constructor(openssl: OpenSsl, role: "client" | "server", options: ReadOptions) {
    const { verify, unsafelyLetVerifyOverride, selectContext, clientAuth = "none" } = options;
    if (role === "server" && clientAuth === "require" && (options.psk ?? options.psks) !== undefined) {
      if (!hasCertificate(options)) {
        throw new TlsError(
          "invalid-argument",
          'with clientAuth "require" a psk does not do: a certificate is needed',
        );
      }
      // A client that uses a pre-shared key shows no certificate, in either version.
      delete options.psk;
      delete options.psks;
    }
    this.role = role;
    this.openssl = openssl;
    this.verification = { verify, unsafelyLetVerifyOverride } as Verification;
    this.selectContext = selectContext;
    this.keylog = options.keylog;
    this.alpnProtocols = [...(options.alpnProtocols ?? [])];
    this.defaultCiphers = options.ciphers === undefined && options.minVersion !== "TLSv1.3";
    const { caCerts } = options;
    this.trustsNobody = caCerts === undefined || (Array.isArray(caCerts) && caCerts.length === 0);
    this.verifies = role === "client" ? !options.unsafelyDisableVerification : clientAuth !== "none";
    this.namesPeer = !options.unsafelyDisableHostnameVerification;
    this.keys = new Map();
    this.sslContext = openssl.newContext(role);
    try {
      configure(this.sslContext, options);
      if (role === "client") {
        configureClient(this.sslContext, options, this.keys);
        this.sslContext.setSessionCacheMode(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        this.sslContext.keepNewSessions(true);
      } else {
        configureServer(this.sslContext, options, this.keys);
        // Also if no client is asked for a certificate: a selected context may ask, and the tickets are this context's.
        this.sslContext.verifyResumed(options.maxSessionAge);
      }
      if (selectContext) this.sslContext.suspendClientHello();
      const settings = (functions: (value: object) => string, ...counts: Counts[]) =>
        this.#hash(settingsOf(options, counts), functions);
      if (role === "client") {
        this.#settings = settings(whichFunction, "decides", "who", "client");
        const mark = verify ? settings(anyFunction, "decides", "who", "client") : this.#settings;
        this.sessionMark = this.#sha256(mark);
      } else {
        const { sessionIdContext } = options;
        this.#settings =
          sessionIdContext === undefined
            ? settings(whichFunction, "decides", "who")
            : this.#hash([
                idContext(sessionIdContext),
                // Without a certificate only clients get in that have the pre-shared key.
                hasCertificate(options),
                settings(anyFunction, "decides"),
              ]);
        this.sessionMark = this.#sha256(this.#settings);
        this.sslContext.setSessionIdContext(this.sessionMark);
      }
    } catch (error) {
      this.sslContext.free();
      throw error;
    }
    this.#keep = whenDropped(this, this.sslContext, freeContext);
  }

  /** @internal The key for sessions with that peer: a hash of everything that must match. */
  sessionKey({ hostname, serverName }: Peer, partition: string): string {
    const sent = serverName ? hostName(serverName, "serverName").name : (serverName ?? null);
    return this.#hash([this.#settings, hostName(hostname).name, sent, partition]);
  }

  #hash(parts: unknown, functions?: (value: object) => string): string {
    return sessionKey((bytes) => this.openssl.sha256(bytes), parts, functions);
  }

  #sha256(text: string): Uint8Array {
    return this.openssl.sha256(new TextEncoder().encode(text));
  }

  /** @internal */
  static create(openssl: OpenSsl, role: "client" | "server", options: ReadOptions): TlsContext {
    return new TlsContext(openssl, role, options);
  }

  /** @throws TlsError */
  static async client(options: ClientContextOptions): Promise<TlsContext> {
    const { openssl, ...read } = readClientContext(options, "TlsContext.client");
    return new TlsContext(openssl ?? (await OpenSsl.shared()), "client", ofAContext(read));
  }

  /** @throws TlsError */
  static async server(options: ServerContextOptions): Promise<TlsContext> {
    const { openssl, ...read } = readServerContext(options, "TlsContext.server");
    return new TlsContext(openssl ?? (await OpenSsl.shared()), "server", ofAContext(read));
  }

  /**
   * The same as {@link TlsContext.client}, at once, for code that cannot await. Unless `openssl` is given,
   * `OpenSsl.preload()` must have resolved before.
   *
   * @example
   * ```ts
   * import { OpenSsl, TlsContext } from "wassl";
   *
   * await OpenSsl.preload();
   * const context = TlsContext.clientSync({ caCerts: pem });
   * ```
   *
   * @throws TlsError
   */
  static clientSync(options: ClientContextOptions): TlsContext {
    const { openssl, ...read } = readClientContext(options, "TlsContext.clientSync");
    return new TlsContext(openssl ?? loaded("clientSync"), "client", ofAContext(read));
  }

  /** The same for a server. See {@link TlsContext.clientSync}. */
  static serverSync(options: ServerContextOptions): TlsContext {
    const { openssl, ...read } = readServerContext(options, "TlsContext.serverSync");
    return new TlsContext(openssl ?? loaded("serverSync"), "server", ofAContext(read));
  }

  /**
   * Replaces the keys of a server's tickets, see `ticketKeys`, at once and for all connections: also those that are under
   * way. A ticket under a key that is not among the new ones is good for nothing.
   *
   * @throws TlsError "invalid-argument" | "freed"
   */
  setTicketKeys(keys: readonly Uint8Array[]): void {
    if (this.role !== "server") {
      throw new TlsError(
        "invalid-argument",
        "setTicketKeys is for a server's context: clients make no tickets",
      );
    }
    this.sslContext.setTicketKeys(readOption(SERVER_IDENTITY.ticketKeys, keys, "keys") as Uint8Array[]);
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

function freeContext(context: SslContext): void {
  context.free();
}

type OfAContext = Exclude<keyof ClientContextOptions | keyof ServerContextOptions, "openssl">;

/**
 * What an option means for sessions. "decides": which peers get in; a session is not good for two contexts that differ
 * in it. "who": this side's identity; a server's `sessionIdContext` stands for it. "client": like "decides" for a
 * client, and nothing for a server, which settles it anew each time. "no": nothing.
 */
type Counts = "decides" | "who" | "client" | "no";

/** All options that a context is made of. Beside a `context` they would have no effect. */
const OF_A_CONTEXT: Record<OfAContext, Counts> = {
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

const OPENSSL = instance(OpenSsl);
const { hostname: _hostname, serverName: _serverName, ...CLIENT } = CLIENT_IDENTITY;

export const CLIENT_CONTEXT: Table<ClientContextOptions> = {
  ...CONTEXT_OPTIONS,
  ...CLIENT,
  openssl: OPENSSL,
};

export const SERVER_CONTEXT: Table<ServerContextOptions> = {
  ...CONTEXT_OPTIONS,
  ...SERVER_IDENTITY,
  openssl: OPENSSL,
  selectContext: callback,
};

function loaded(name: string): OpenSsl {
  const { loaded } = OpenSsl;
  if (loaded) return loaded;
  throw new TlsError(
    "invalid-argument",
    `TlsContext.${name} needs an OpenSSL that is there: await OpenSsl.preload() before, or give openssl`,
  );
}

/** @param of what was called */
function readClientContext(options: ClientContextOptions, of: string): ClientContextOptions {
  return readTable(options, CLIENT_CONTEXT, of, {
    "TlsContext.server": SERVER_CONTEXT,
    startTls: CLIENT_IDENTITY,
  });
}

/** @param of what was called */
export function readServerContext(options: ServerContextOptions, of: string): ServerContextOptions {
  return readTable(options, SERVER_CONTEXT, of, { "TlsContext.client": CLIENT_CONTEXT });
}

/**
 * The options that make a context, as they were when they were read. Later changes of the caller's objects do not
 * count.
 */
export type ReadOptions = Omit<ClientContextOptions & ServerContextOptions, "openssl"> & {
  readonly read: true;
};

/** Those of them that make a context. */
export function ofAContext(options: object): ReadOptions {
  const entries = Object.entries(options).filter(([name]) => Object.hasOwn(OF_A_CONTEXT, name));
  return Object.assign(Object.create(null), Object.fromEntries(entries), { read: true });
}

function settingsOf(options: ReadOptions, counts: readonly Counts[]): unknown[] {
  const entries = Object.entries(options).filter(([name]) =>
    counts.includes(OF_A_CONTEXT[name as OfAContext]),
  );
  return entries.map(([name, value]) =>
    name === "identities"
      ? [name, (value as Identity[]).map(({ cert, pkcs12 }) => [cert, pkcs12])]
      : [name, value],
  );
}

function hasCertificate({ cert, pkcs12, identities = [] }: ServerIdentity): boolean {
  return cert !== undefined || pkcs12 !== undefined || identities.length > 0;
}

function idContext(given: Uint8Array | string): Uint8Array {
  return typeof given === "string" ? new TextEncoder().encode(given) : given;
}

/** The context that was given, or one for this connection alone, which the caller must free once it is used. */
export function contextFor(
  openssl: OpenSsl,
  role: "client" | "server",
  options: { context?: TlsContext },
  read: ReadOptions,
): { context: TlsContext; free(): void } {
  const { context } = options;
  if (context === undefined) {
    const own = TlsContext.create(openssl, role, read);
    return { context: own, free: () => own.free() };
  }
  if (context.role !== role) {
    throw new TlsError("invalid-argument", `context must be a TlsContext for a ${role}`);
  }
  if (context.openssl !== openssl) {
    throw new TlsError("invalid-argument", "context is of another OpenSsl than the one that is given");
  }
  // Also if it is inherited, or a getter: a caller that gives a `verify` means it to be asked.
  const beside = Object.keys(read).find((name) => Object.hasOwn(OF_A_CONTEXT, name));
  if (beside !== undefined) {
    throw new TlsError("invalid-argument", `${beside} is the context's, and cannot stand beside it`);
  }
  return { context, free: () => {} };
}

export interface Connection {
  /** A connection before its handshake. */
  readonly ssl: Ssl;
  /** The network half is ours. */
  readonly pair: BioPair;
}

/**
 * Makes a connection of `context`. The caller must free both parts. `peer` is the server that a client means to talk
 * to.
 */
export function newConnection(context: TlsContext, options: ConnectionOptions, peer?: Peer): Connection {
  const pair = context.openssl.newBioPair(options.bioPairSize);
  let ssl: Ssl | undefined;
  try {
    ssl = context.sslContext.newSsl(pair);
    ssl.setQuietShutdown(options.quietShutdown ?? false);
    if (options.trace) ssl.setTrace(true);
    if (context.role === "client") {
      setPeer(ssl, peer ?? { hostname: "" }, context.namesPeer);
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
