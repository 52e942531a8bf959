import type { ClientHello } from "./client-hello.js";
import { type ConnectionOptions, type ContextOptions, configure } from "./configure.js";
import { TlsError } from "./errors.js";
import {
  type ClientIdentity,
  canonicalName,
  configureClient,
  configureServer,
  type Keys,
  type Peer,
  type ServerIdentity,
  setPeer,
  type Verification,
} from "./identity.js";
import type { BioPair } from "./openssl/bio-pair.js";
import { SSL_SESS_CACHE_CLIENT, SSL_SESS_CACHE_NO_INTERNAL } from "./openssl/constants.js";
import type { SslContext } from "./openssl/context.js";
import { OpenSsl } from "./openssl/openssl.js";
import type { Ssl } from "./openssl/ssl.js";
import { sessionKey } from "./sessions/key.js";

/** What a client's connections have in common. */
export interface ClientContextOptions extends ContextOptions, Omit<ClientIdentity, keyof Peer> {
  /** The OpenSSL to use. By default one that all connections share, loaded at the first. */
  openssl?: OpenSsl;
}

/** What a server's connections have in common. */
export interface ServerContextOptions extends ContextOptions, ServerIdentity {
  /** The OpenSSL to use. By default one that all connections share, loaded at the first. */
  openssl?: OpenSsl;
  /**
   * Chooses what a client is served with by what it says first: its certificate by SNI, say. `undefined` = with what stands
   * here; `null` = not at all (unrecognized_name). Options are read for this one connection; a {@link TlsContext} is
   * read once. The handshake waits meanwhile, up to `handshakeTimeout`.
   */
  selectContext?: (hello: ClientHello) => Selected | Promise<Selected>;
}

export type Selected = TlsContext | ServerContextOptions | null | undefined;

/**
 * Certificates, keys, trust anchors and settings, read once for many connections: give it to `startTls` or `acceptTls` as
 * `context`. A server's tickets are good for all connections of one context. Freed with `free()`; connections that are
 * open go on.
 */
export class TlsContext implements Disposable {
  readonly role: "client" | "server";
  /** @internal */
  readonly openssl: OpenSsl;
  /** @internal */
  readonly sslContext: SslContext;
  /** @internal */
  readonly keys: Keys;
  /** @internal The peer's certificate is checked if it shows one. */
  readonly verifies: boolean;
  /** @internal */
  readonly verification: Verification;
  /** @internal */
  readonly selectContext: ServerContextOptions["selectContext"];
  /** @internal */
  readonly keylog: ContextOptions["keylog"];
  /** @internal */
  readonly alpnProtocols: readonly string[];
  readonly #options: object;
  #settings: string | undefined;

  private constructor(
    openssl: OpenSsl,
    role: "client" | "server",
    options: ClientContextOptions & ServerContextOptions,
  ) {
    const { verify, unsafelyLetVerifyOverride, selectContext } = options;
    for (const [name, value] of Object.entries({ verify, selectContext })) {
      if (value !== undefined && typeof value !== "function") {
        throw new TlsError("invalid-argument", `${name} must be a function`);
      }
    }
    this.role = role;
    this.openssl = openssl;
    this.verification = { ...(verify && { verify, unsafelyLetVerifyOverride }) } as Verification;
    this.selectContext = selectContext;
    this.keylog = options.keylog;
    this.alpnProtocols = [...(options.alpnProtocols ?? [])];
    this.#options = options;
    this.verifies =
      role === "client" ? !options.unsafelyDisableVerification : (options.clientAuth ?? "none") !== "none";
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
        // Also where nobody is asked for a certificate: the context that is selected may, and the tickets are this one's.
        this.sslContext.verifyResumed();
        this.sslContext.setSessionIdContext(this.#sessionIdContext(options));
      }
      if (selectContext) this.sslContext.suspendClientHello();
    } catch (error) {
      this.sslContext.free();
      throw error;
    }
  }

  /** @internal The key for sessions with that peer: a hash of all that must match. */
  sessionKey({ hostname, serverName }: Peer, partition: string): string {
    this.#settings ??= this.#hash(
      Object.entries(this.#options).filter(
        ([name]) => Object.hasOwn(OF_A_CONTEXT, name) && !NOT_OF_A_SESSION.has(name),
      ),
    );
    return this.#hash([this.#settings, canonicalName(hostname).toLowerCase(), serverName ?? null, partition]);
  }

  #sessionIdContext(options: ServerIdentity): Uint8Array {
    const {
      sessionIdContext: given,
      cert,
      pkcs12,
      identities = [],
      clientAuth,
      caCerts,
      verifyOptions,
    } = options;
    if (given === undefined) {
      const certs = identities.map((identity) => [identity.cert, identity.pkcs12]);
      const hash = this.#hash([cert, pkcs12, certs, clientAuth ?? "none", caCerts, verifyOptions]);
      return this.openssl.sha256(new TextEncoder().encode(hash));
    }
    const bytes = typeof given === "string" ? new TextEncoder().encode(given) : given;
    if (!(bytes instanceof Uint8Array) || bytes.length < 1 || bytes.length > 32) {
      throw new TlsError("invalid-argument", "sessionIdContext must be 1 to 32 bytes");
    }
    return bytes;
  }

  #hash(parts: unknown): string {
    return sessionKey((bytes) => this.openssl.sha256(bytes), parts);
  }

  /** @internal */
  static create(openssl: OpenSsl, role: "client" | "server", options: object): TlsContext {
    return new TlsContext(openssl, role, options);
  }

  /** @throws TlsError */
  static async client(options: ClientContextOptions): Promise<TlsContext> {
    return new TlsContext(options.openssl ?? (await OpenSsl.shared()), "client", options);
  }

  /** @throws TlsError */
  static async server(options: ServerContextOptions): Promise<TlsContext> {
    return new TlsContext(options.openssl ?? (await OpenSsl.shared()), "server", options);
  }

  free(): void {
    this.sslContext.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

type OfAContext = Exclude<keyof ClientContextOptions | keyof ServerContextOptions, "openssl">;

/** All options that a context is made of; beside a `context` they would count for nothing. */
const OF_A_CONTEXT: Record<OfAContext, true> = {
  alpnProtocols: true,
  minVersion: true,
  maxVersion: true,
  ciphers: true,
  cipherSuites: true,
  groups: true,
  signatureAlgorithms: true,
  securityLevel: true,
  psk: true,
  keylog: true,
  cert: true,
  key: true,
  pkcs12: true,
  passphrase: true,
  verify: true,
  unsafelyLetVerifyOverride: true,
  verifyOptions: true,
  caCerts: true,
  unsafelyDisableVerification: true,
  ocsp: true,
  identities: true,
  clientAuth: true,
  ocspResponse: true,
  tickets: true,
  ticketKeys: true,
  sessionIdContext: true,
  sessionTimeout: true,
  maxEarlyData: true,
  selectContext: true,
};

/** Whose sessions they are is said by the certificate. */
const NOT_OF_A_SESSION: ReadonlySet<string> = new Set<OfAContext>(["key", "passphrase", "keylog"]);

/** The context that was given, or one for this connection alone, which is the caller's to free once it is used. */
export function contextFor(
  openssl: OpenSsl,
  role: "client" | "server",
  options: { context?: TlsContext },
): { context: TlsContext; free(): void } {
  const { context } = options;
  if (context === undefined) {
    const own = TlsContext.create(openssl, role, options);
    return { context: own, free: () => own.free() };
  }
  if (!(context instanceof TlsContext) || context.role !== role) {
    throw new TlsError("invalid-argument", `context must be a TlsContext for a ${role}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && Object.hasOwn(OF_A_CONTEXT, name)) {
      throw new TlsError("invalid-argument", `${name} is the context's, and cannot stand beside it`);
    }
  }
  return { context, free: () => {} };
}

export interface Connection {
  /** Before its handshake. */
  readonly ssl: Ssl;
  /** Its network half is ours. */
  readonly pair: BioPair;
}

/** Makes a connection of `context`; both parts are the caller's to free. `peer`: whom a client means to talk to. */
export function newConnection(context: TlsContext, options: ConnectionOptions, peer?: Peer): Connection {
  const { eofPolicy = "strict", bioPairSize } = options;
  if (!["strict", "record-boundary", "ignore"].includes(eofPolicy)) {
    throw new TlsError("invalid-argument", `there is no eofPolicy "${eofPolicy}"`);
  }
  if (bioPairSize === 0) throw new TlsError("invalid-argument", "bioPairSize must be 1 byte at least");
  const pair = context.openssl.newBioPair(bioPairSize);
  let ssl: Ssl | undefined;
  try {
    ssl = context.sslContext.newSsl(pair);
    ssl.setQuietShutdown(options.quietShutdown ?? false);
    if (options.trace) ssl.setTrace(true);
    if (context.role === "client") {
      setPeer(ssl, peer ?? { hostname: "" });
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
