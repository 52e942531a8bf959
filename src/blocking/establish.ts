/** How a connection that blocks begins: options → context → BlockingTls. */
import { longerThan0, readOptions, type Table } from "../check.js";
import type { Verdict } from "../connection/verdict.js";
import { TlsError } from "../errors.js";
import { LateAuth } from "../handshake/late-auth.js";
import { RESUMPTION_OPTIONS, Resumption, type ResumptionOptions } from "../handshake/resumption.js";
import type { OpenSsl } from "../openssl/openssl.js";
import { newClientContext, newConnection, OPENSSL, ofAContext } from "../options/context.js";
import { CLIENT_IDENTITY, type ClientIdentity, type Peer } from "../options/identity.js";
import { CONNECTION_OPTIONS, CONTEXT_OPTIONS, type TlsOptions } from "../options/protocol.js";
import { SERVER_IDENTITY, type ServerIdentity } from "../options/server-identity.js";
import { TlsContext } from "../options/tls-context.js";
import { BlockingTls } from "./blocking-tls.js";
import type { BlockingTransport } from "./blocking-transport.js";

export interface BlockingOptions extends TlsOptions {
  /** The OpenSSL to use, loaded beforehand: `await OpenSsl.load()`, or `OpenSsl.loadSync(source)`. */
  openssl: OpenSsl;
  /** How long the handshake may take, in milliseconds; `Infinity` = for ever. Default 30,000. */
  handshakeTimeout?: number;
}

/** Options that need an event loop, `verify` and keys in WebCrypto, are refused here. */
export interface ConnectOptions extends BlockingOptions, ClientIdentity, Pick<ResumptionOptions, "session"> {}

export interface AcceptOptions extends BlockingOptions, ServerIdentity {}

const COMMON: Table<BlockingOptions> = {
  ...CONTEXT_OPTIONS,
  ...CONNECTION_OPTIONS,
  openssl: OPENSSL,
  handshakeTimeout: longerThan0,
};

const CONNECT: Table<ConnectOptions> = {
  ...COMMON,
  ...CLIENT_IDENTITY,
  session: RESUMPTION_OPTIONS.session,
};

const ACCEPT: Table<AcceptOptions> = { ...COMMON, ...SERVER_IDENTITY };

const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;

/**
 * connect makes a TLS connection over `transport`, as a client. It returns when the handshake is done and the peer is
 * verified.
 *
 * The transport belongs to the connection from then on. When it throws, the transport is closed; but when it throws
 * "invalid-argument", nothing was touched.
 *
 * @throws TlsCertificateError | TlsAlertError | TlsTruncationError | TlsError
 *
 * @example
 * ```ts
 * import { OpenSsl } from "wassl";
 * import { BlockingTransport, type Channel, connect } from "wassl/blocking";
 *
 * // In a worker. The page makes the channel, and carries its bytes.
 * addEventListener("message", async ({ data }: MessageEvent<Channel>) => {
 *   const openssl = await OpenSsl.load();
 *   const tls = connect(new BlockingTransport(data), { openssl, hostname: "db.example.org", caCerts: pem });
 *   tls.write(request);
 * });
 * ```
 */
export function connect(transport: BlockingTransport, options: ConnectOptions): BlockingTls {
  return establish("client", transport, options);
}

/**
 * accept makes a TLS connection over `transport`, as a server. It returns when the handshake is done. See
 * {@link connect}.
 *
 * @example
 * ```ts
 * import { accept, BlockingTransport, type Channel } from "wassl/blocking";
 *
 * function serve(channel: Channel): void {
 *   const tls = accept(new BlockingTransport(channel), { openssl, cert, key });
 *   const buffer = new Uint8Array(16_384);
 *   for (let n = tls.read(buffer); n > 0; n = tls.read(buffer)) tls.write(buffer.subarray(0, n));
 *   tls.close();
 * }
 * ```
 */
export function accept(transport: BlockingTransport, options: AcceptOptions): BlockingTls {
  return establish("server", transport, options);
}

function establish(
  role: "client" | "server",
  transport: BlockingTransport,
  given: BlockingOptions,
): BlockingTls {
  const options: BlockingOptions & Partial<ConnectOptions> =
    role === "client"
      ? readOptions(given as ConnectOptions, CONNECT, "connect", { accept: ACCEPT })
      : readOptions(given as AcceptOptions, ACCEPT, "accept", { connect: CONNECT });
  const { hostname, serverName } = options as Peer;
  const peer: Peer | undefined =
    role === "client" ? { hostname, ...(serverName !== undefined && { serverName }) } : undefined;
  const { openssl } = options;
  if (openssl === undefined) {
    throw new TlsError("invalid-argument", "openssl must be given: OpenSsl.load(), or OpenSsl.loadSync()");
  }
  const { library } = openssl;
  const newContext = role === "client" ? newClientContext : TlsContext.ofServer;
  const context = newContext(library, ofAContext(options));
  try {
    if (context.verification.verify || context.keys.size > 0) {
      throw new TlsError(
        "invalid-argument",
        "verify and CryptoKeys need an event loop, and a thread that blocks has none: startTls and acceptTls take them",
      );
    }
    const parts = newConnection(context, options, peer);
    let resumption: Resumption | undefined;
    try {
      if (role === "client") {
        const { session } = options;
        resumption = new Resumption({
          library,
          ssl: parts.ssl,
          key: () => "",
          mark: context.sessionMark,
          verifies: context.verifies,
          asks: false,
          alpnProtocols: context.alpnProtocols,
          // A store may answer by promise, which code that blocks cannot wait for.
          options: { sessionStore: false, ...(session && { session }) },
          onError() {},
        });
      }
      transport.lock();
    } catch (error) {
      parts.ssl.free();
      parts.pair.free();
      throw error;
    }
    const name = role === "client" ? `"${peer?.hostname}"` : "the client";
    const verdict = {
      peerName: name,
      defaultCiphers: () => context.defaultCiphers,
      trustsNobody: () => context.trustsNobody,
      eofPolicy: options.eofPolicy,
      quiet: options.quietShutdown,
    };
    const { handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT } = options;
    const all = { ...parts, transport, resumption, verdict, listeners: options };
    const { verifies } = context;
    const newLateAuth = (verdict: Verdict) => new LateAuth(library, parts.ssl, verdict, () => verifies);
    return new BlockingTls(all, verifies, handshakeTimeout, role === "server" ? newLateAuth : undefined);
  } finally {
    // The connection has its own hold on it.
    context.free();
  }
}
