import type { ClientHello } from "./client-hello.js";
import { type ConnectionOptions, type ContextOptions, configure } from "./configure.js";
import { TlsError } from "./errors.js";
import {
  type ClientIdentity,
  configureClient,
  configureServer,
  type Keys,
  type Peer,
  type ServerIdentity,
  setPeer,
  type Verification,
} from "./identity.js";
import type { BioPair } from "./openssl/bio-pair.js";
import type { SslContext } from "./openssl/context.js";
import { OpenSsl } from "./openssl/openssl.js";
import type { Ssl } from "./openssl/ssl.js";

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
    this.verifies =
      role === "client" ? !options.unsafelyDisableVerification : (options.clientAuth ?? "none") !== "none";
    this.keys = new Map();
    this.sslContext = openssl.newContext(role);
    try {
      configure(this.sslContext, options);
      if (role === "client") configureClient(this.sslContext, options, this.keys);
      else configureServer(this.sslContext, options, this.keys);
      if (selectContext) this.sslContext.suspendClientHello();
    } catch (error) {
      this.sslContext.free();
      throw error;
    }
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

/** Options that a context is made of; beside a `context` they would count for nothing. */
const OF_A_CONTEXT: ReadonlySet<string> = new Set<keyof ClientContextOptions | keyof ServerContextOptions>([
  ...(["alpnProtocols", "minVersion", "maxVersion", "ciphers", "cipherSuites", "groups"] as const),
  ...(["signatureAlgorithms", "securityLevel", "psk", "cert", "key", "pkcs12", "passphrase"] as const),
  ...([
    "verify",
    "unsafelyLetVerifyOverride",
    "verifyOptions",
    "caCerts",
    "unsafelyDisableVerification",
  ] as const),
  ...(["identities", "clientAuth", "ocspResponse", "tickets", "selectContext"] as const),
]);

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
    if (value !== undefined && OF_A_CONTEXT.has(name)) {
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
