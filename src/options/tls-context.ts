import { callback, readOption, readOptions as readTable, type Table } from "../check.js";
import { TlsError } from "../errors.js";
import { SslContext } from "../openssl/context.js";
import type { Library } from "../openssl/library.js";
import type { OpenSsl } from "../openssl/openssl.js";
import { loadedLibrary, sharedLibrary } from "../openssl/shared.js";
import { anyFunction, whichFunction } from "../sessions/key.js";
import type { ClientHello } from "./client-hello.js";
import {
  CLIENT_CONTEXT,
  type ClientContextOptions,
  Context,
  type ContextParts,
  clientParts,
  hash,
  markOf,
  OPENSSL,
  ofAContext,
  prepared,
  type ReadOptions,
  settingsOf,
} from "./context.js";
import { CLIENT_IDENTITY, type Keys } from "./identity.js";
import { CONTEXT_OPTIONS, type ContextOptions } from "./protocol.js";
import {
  configureServer,
  SERVER_CERTIFICATES,
  SERVER_IDENTITY,
  type ServerCertificates,
  type ServerIdentity,
  useServerCertificates,
} from "./server-identity.js";

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

/** As they were read. */
type ServerRead = ReadOptions & Pick<ServerContextOptions, "selectContext">;

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
export class TlsContext extends Context {
  /** @internal */
  readonly selectContext: ServerContextOptions["selectContext"];
  /** Of a server. */
  readonly #server: SslContext | undefined;
  readonly #markWith: MarkWith | undefined;
  /** Of CryptoKeys: those of the identity before, with which handshakes may be under way, and those of this one. */
  #keyIds: [before: number[], now: number[]] = [[], []];

  private constructor(
    library: Library,
    role: "client" | "server",
    options: ServerRead,
    parts: ContextParts,
    server?: SslContext,
    markWith?: MarkWith,
  ) {
    super(library, role, options, parts);
    this.selectContext = options.selectContext;
    this.#server = server;
    this.#markWith = markWith;
    this.#keyIds[1] = [...parts.keys.keys()];
  }

  /** @throws TlsError */
  static async client(options: ClientContextOptions): Promise<TlsContext> {
    const { openssl, ...read } = readClientContext(options, "TlsContext.client");
    return TlsContext.#ofClient(openssl?.library ?? (await sharedLibrary()), ofAContext(read));
  }

  /** @throws TlsError */
  static async server(options: ServerContextOptions): Promise<TlsContext> {
    const { openssl, ...read } = readServerContext(options, "TlsContext.server");
    return TlsContext.ofServer(openssl?.library ?? (await sharedLibrary()), ofAContext(read));
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
    return TlsContext.#ofClient(openssl?.library ?? loaded("clientSync"), ofAContext(read));
  }

  /** The same for a server. See {@link TlsContext.clientSync}. */
  static serverSync(options: ServerContextOptions): TlsContext {
    const { openssl, ...read } = readServerContext(options, "TlsContext.serverSync");
    return TlsContext.ofServer(openssl?.library ?? loaded("serverSync"), ofAContext(read));
  }

  static #ofClient(library: Library, options: ReadOptions): TlsContext {
    return new TlsContext(library, "client", options, clientParts(library, options));
  }

  /** @internal */
  static ofServer(
    library: Library,
    options: ServerRead,
    role: "server" | "dtls-server" = "server",
  ): TlsContext {
    requireCertificates(options);
    const server = SslContext.create(library, role);
    const markWith = newMarkWith(library, options);
    const parts = serverParts(server, options, markWith);
    return new TlsContext(library, "server", options, parts, server, markWith);
  }

  /**
   * Replaces a server's certificates and keys, as when a certificate is renewed: for all connections whose handshake
   * begins from now on. Those that are under way keep theirs. All identities are replaced, and the OCSP response:
   * without a new one none is stapled. If something is wrong with what is given, nothing changes.
   *
   * Sessions of before stay good where `sessionIdContext` was given. Otherwise they are bound to the certificates, as
   * between two contexts, and their clients make a full handshake.
   *
   * @example
   * ```ts
   * import { acceptTls, TlsContext } from "wassl";
   *
   * const context = await TlsContext.server({ cert, key });
   * // … and when there is a new certificate, while connections come in:
   * context.setIdentity({ cert: pem, key });
   * ```
   *
   * @throws TlsError "invalid-argument" | "freed"
   */
  setIdentity(identity: ServerCertificates): void {
    if (!this.#server) {
      throw new TlsError(
        "invalid-argument",
        "setIdentity is for a server's context: a client's sessions are kept by its identity, so it needs a new context",
      );
    }
    const read = readTable(identity, SERVER_CERTIFICATES, "setIdentity()");
    if (!hasCertificate(read)) {
      throw new TlsError("invalid-argument", "setIdentity() needs cert and key, pkcs12, or identities");
    }
    const mark = this.#markWith!(read);
    const keys: Keys = new Map();
    const other = SslContext.create(this.library, "server");
    try {
      other.setSecurityLevel(this.#server.getSecurityLevel());
      useServerCertificates(other, read, keys);
      this.#server.swapIdentity(other);
    } finally {
      other.free();
    }
    this.#server.setSessionIdContext(mark);
    for (const id of this.#keyIds[0]) this.keys.delete(id);
    for (const [id, key] of keys) this.keys.set(id, key);
    this.#keyIds = [this.#keyIds[1], [...keys.keys()]];
  }

  /**
   * Replaces the keys of a server's tickets, see `ticketKeys`, at once and for all connections: also those that are under
   * way. A ticket under a key that is not among the new ones is good for nothing.
   *
   * @throws TlsError "invalid-argument" | "freed"
   */
  setTicketKeys(keys: readonly Uint8Array[]): void {
    if (!this.#server) {
      throw new TlsError(
        "invalid-argument",
        "setTicketKeys is for a server's context: clients make no tickets",
      );
    }
    this.#server.setTicketKeys(readOption(SERVER_IDENTITY.ticketKeys, keys, "keys") as Uint8Array[]);
  }
}

/** A client that uses a pre-shared key shows no certificate, in either version. */
function requireCertificates(options: ReadOptions): void {
  if (options.clientAuth !== "require" || (options.psk ?? options.psks) === undefined) return;
  if (!hasCertificate(options)) {
    throw new TlsError(
      "invalid-argument",
      'with clientAuth "require" a psk does not do: a certificate is needed',
    );
  }
  delete options.psk;
  delete options.psks;
}

/** The mark of a server's sessions, with this identity. It holds no keys. */
type MarkWith = (identity: ServerIdentity) => Uint8Array;

function newMarkWith(library: Library, options: ServerRead): MarkWith {
  const { sessionIdContext } = options;
  const functions = sessionIdContext === undefined ? whichFunction : anyFunction;
  const decides = hash(library, settingsOf(options, ["decides"]), functions);
  const given = sessionIdContext === undefined ? undefined : idContext(sessionIdContext);
  return (identity) => {
    const who = given
      ? // Without a certificate only clients get in that have the pre-shared key.
        [given, hasCertificate(identity)]
      : settingsOf(identity, ["who"]);
    return markOf(library, hash(library, [who, decides]));
  };
}

/** The parts of a server's context. */
function serverParts(server: SslContext, options: ServerRead, markWith: MarkWith): ContextParts {
  const { clientAuth = "none" } = options;
  return prepared(server, options, (keys) => {
    configureServer(server, options, keys);
    // Also if no client is asked for a certificate: a selected context may ask, and the tickets are this context's.
    server.verifyResumed(options.maxSessionAge);
    if (options.selectContext) server.suspendClientHello();
    const mark = markWith(options);
    server.setSessionIdContext(mark);
    return { settings: "", mark, verifies: clientAuth !== "none" };
  });
}

export const SERVER_CONTEXT: Table<ServerContextOptions> = {
  ...CONTEXT_OPTIONS,
  ...SERVER_IDENTITY,
  openssl: OPENSSL,
  selectContext: callback,
};

function loaded(name: string): Library {
  const library = loadedLibrary();
  if (library) return library;
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

function hasCertificate({ cert, pkcs12, identities = [] }: ServerIdentity): boolean {
  return cert !== undefined || pkcs12 !== undefined || identities.length > 0;
}

function idContext(given: Uint8Array | string): Uint8Array {
  return typeof given === "string" ? new TextEncoder().encode(given) : given;
}
