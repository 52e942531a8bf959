/**
 * `node:tls` over Wassl: alias it, and a driver that was written for Node.js runs in a page. See `setDialer`, and
 * `wassl/node/aliases` for what to alias.
 *
 * What differs from Node.js: there are no versions below TLS 1.2, no renegotiation, and no sessions that a server's
 * program keeps; `createSecureContext` finds wrong certificates only once `preload()` has loaded OpenSSL.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import type * as tls from "node:tls";
import { checkServerIdentity } from "./certificate.js";
import { setDialer } from "./dialer.js";
import { nodeError, wrongType } from "./errors.js";
import {
  alpnProtocols,
  createSecureContext,
  DEFAULT_CIPHERS,
  getCACertificates,
  preload,
  rootCertificates,
  SecureContext,
  setDefaultCACertificates,
} from "./secure-context.js";
import { Server as NetServer } from "./server.js";
import { readArguments } from "./socket.js";
import { TLSSocket, type TlsSocketOptions } from "./tls-socket.js";

export { checkServerIdentity } from "./certificate.js";
export { setDialer } from "./dialer.js";
export {
  createSecureContext,
  DEFAULT_CIPHERS,
  getCACertificates,
  preload,
  rootCertificates,
  SecureContext,
  setDefaultCACertificates,
} from "./secure-context.js";
export { TLSSocket, type TlsSocketOptions } from "./tls-socket.js";

export const CLIENT_RENEG_LIMIT = 3;
export const CLIENT_RENEG_WINDOW = 600;
export const DEFAULT_ECDH_CURVE = "auto";
export const DEFAULT_MIN_VERSION = "TLSv1.2";
export const DEFAULT_MAX_VERSION = "TLSv1.3";

/**
 * The cipher suites that there are, in lower case.
 *
 * @example
 * ```ts
 * import { getCiphers } from "wassl/node/tls";
 *
 * console.log(getCiphers().includes("tls_chacha20_poly1305_sha256"));
 * ```
 */
export function getCiphers(): string[] {
  return [...CIPHERS];
}
const CIPHERS = [
  "tls_aes_256_gcm_sha384",
  "tls_aes_128_gcm_sha256",
  "tls_chacha20_poly1305_sha256",
  "ecdhe-ecdsa-aes256-gcm-sha384",
  "ecdhe-rsa-aes256-gcm-sha384",
  "dhe-rsa-aes256-gcm-sha384",
  "ecdhe-ecdsa-chacha20-poly1305",
  "ecdhe-rsa-chacha20-poly1305",
  "dhe-rsa-chacha20-poly1305",
  "ecdhe-ecdsa-aes128-gcm-sha256",
  "ecdhe-rsa-aes128-gcm-sha256",
  "dhe-rsa-aes128-gcm-sha256",
];

/**
 * Writes names as they are on the wire, each behind its length, as some libraries do before they connect.
 *
 * @example
 * ```ts
 * import { convertALPNProtocols } from "wassl/node/tls";
 *
 * const options: { ALPNProtocols?: Buffer } = {};
 * convertALPNProtocols(["h2", "http/1.1"], options);
 * ```
 */
export function convertALPNProtocols(
  protocols: tls.ConnectionOptions["ALPNProtocols"],
  out: { ALPNProtocols?: Buffer },
): void {
  out.ALPNProtocols = Buffer.concat(
    alpnProtocols(protocols).map((name) => {
      const bytes = Buffer.from(name, "latin1");
      if (bytes.length === 0 || bytes.length > 255) {
        const message = `The byte length of the protocol at index exceeds the maximum length. It must be <= 255. Received ${bytes.length}`;
        throw nodeError("ERR_OUT_OF_RANGE", message, {}, RangeError);
      }
      return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    }),
  );
}

/** Those of Node.js, and `eofPolicy`. */
export type ConnectOptions = Omit<tls.ConnectionOptions, keyof TlsSocketOptions> &
  TlsSocketOptions & { timeout?: number; socket?: Duplex };

/**
 * Connects, in all the forms that Node.js has: (options, listener), (port, host, options, listener). With `socket` it
 * begins TLS over a connection that is there, as after STARTTLS: of a socket of `wassl/node/net` it takes the transport,
 * and listeners of that socket hear nothing more.
 *
 * @example
 * ```ts
 * import { connect } from "wassl/node/tls";
 *
 * const socket = connect({ host: "example.org", port: 443, servername: "example.org", ca: pem });
 * socket.on("secureConnect", () => console.log(socket.getProtocol(), socket.authorized));
 * ```
 */
export function connect(options: ConnectOptions, listener?: () => void): TLSSocket;
/**
 * ```ts
 * import { connect } from "wassl/node/tls";
 *
 * connect(443, "example.org", { servername: "example.org" });
 * ```
 */
export function connect(
  port: number,
  host?: string,
  options?: ConnectOptions,
  listener?: () => void,
): TLSSocket;
/**
 * ```ts
 * import { connect } from "wassl/node/tls";
 *
 * connect(443, { host: "example.org", servername: "example.org" });
 * ```
 */
export function connect(port: number, options?: ConnectOptions, listener?: () => void): TLSSocket;
export function connect(...parts: unknown[]): TLSSocket {
  const [first, listener] = readArguments(parts);
  const more = parts.find((part, i) => i > 0 && typeof part === "object" && part !== null);
  const options = { ...first, ...(more as object | undefined) } as ConnectOptions & { socket?: Duplex };
  const check = options.checkServerIdentity;
  if (check !== undefined && typeof check !== "function")
    throw wrongType('"options.checkServerIdentity" property', "function");
  if ((options as { ALPNCallback?: unknown }).ALPNCallback !== undefined)
    throw nodeError("ERR_INVALID_ARG_VALUE", "ALPNCallback is for servers", {}, TypeError);
  const { env } = (globalThis as { process?: { env?: Record<string, string> } }).process ?? {};
  const rejectUnauthorized = options.rejectUnauthorized ?? env?.NODE_TLS_REJECT_UNAUTHORIZED !== "0";
  const socket = new TLSSocket(options.socket, {
    ...options,
    isServer: false,
    rejectUnauthorized,
    secureContext: (options.secureContext as SecureContext | undefined) ?? createSecureContext(options),
    later: true,
  } as TlsSocketOptions);
  if (listener) socket.once("secureConnect", listener);
  if (options.socket) queueMicrotask(() => socket.begin());
  else {
    if (options.timeout) socket.setTimeout(options.timeout);
    const { signal: _, ...to } = options;
    socket.connect(to);
  }
  return socket;
}

type ServerOptions = tls.TlsOptions & TlsSocketOptions;
type OnConnection = (socket: TLSSocket) => void;

/**
 * A TLS server: by the host's sockets, or, in a page, for the streams that are emitted as "connection".
 *
 * @example
 * ```ts
 * import { PassThrough } from "node:stream";
 * import { Server } from "wassl/node/tls";
 *
 * const server = new Server({ cert, key }, (socket) => socket.end("hello"));
 * server.emit("connection", new PassThrough());
 * ```
 */
export class Server extends NetServer {
  #options: ServerOptions;
  #context: SecureContext;
  readonly #contexts: [pattern: RegExp, context: SecureContext][] = [];

  constructor(options: ServerOptions | OnConnection | null = {}, listener?: OnConnection) {
    const given = typeof options === "function" ? {} : (options ?? {});
    if (typeof given !== "object") throw wrongType('"options" argument', "object");
    super({ ...given, allowHalfOpen: true, pauseOnConnect: false });
    this.#options = { ...given };
    this.#context = (given.secureContext as SecureContext | undefined) ?? createSecureContext(given);
    const onConnection = typeof options === "function" ? options : listener;
    if (onConnection) this.on("secureConnection", onConnection);
    this.on("connection", (socket: Duplex) => this.#serve(socket));
  }

  #serve(raw: Duplex): void {
    const { SNICallback } = this.#options;
    const own: TlsSocketOptions["SNICallback"] = (name, done) => {
      const found = this.#contexts.findLast(([pattern]) => pattern.test(name));
      done(null, found?.[1]);
    };
    const socket = new TLSSocket(raw, {
      ...this.#options,
      allowHalfOpen: this.#options.allowHalfOpen ?? false,
      isServer: true,
      server: this,
      secureContext: this.#context,
      SNICallback: SNICallback ?? (this.#contexts.length > 0 ? own : undefined),
    } as TlsSocketOptions);
    const onError = (error: Error) => this.emit("tlsClientError", error, socket);
    socket.on("error", onError);
    socket.on("keylog", (line) => this.emit("keylog", line, socket));
    socket.once("secure", () => {
      socket.removeListener("error", onError);
      this.emit("secureConnection", socket);
    });
  }

  setSecureContext(options: tls.SecureContextOptions): void {
    this.#context = createSecureContext(options);
  }

  addContext(name: string, context: tls.SecureContextOptions | SecureContext): void {
    if (!name)
      throw nodeError(
        "ERR_TLS_REQUIRED_SERVER_NAME",
        '"servername" is required parameter for Server.addContext',
      );
    const pattern = name.replace(/[.^$+?\-\\[\]{}()|]/g, "\\$&").replaceAll("*", "[^.]*");
    const read = context instanceof SecureContext ? context : createSecureContext(context);
    this.#contexts.push([new RegExp(`^${pattern}$`, "i"), read]);
  }
}

/**
 * Makes a server; `listen()` works where the host has sockets.
 *
 * @example
 * ```ts
 * import { createServer } from "wassl/node/tls";
 *
 * createServer({ cert, key }, (socket) => socket.pipe(socket)).listen(8443, "127.0.0.1");
 * ```
 */
export function createServer(options?: ServerOptions | OnConnection | null, listener?: OnConnection): Server {
  return new Server(options, listener);
}

/** What `import tls from "node:tls"` gives. */
export default {
  CLIENT_RENEG_LIMIT,
  CLIENT_RENEG_WINDOW,
  DEFAULT_CIPHERS,
  DEFAULT_ECDH_CURVE,
  DEFAULT_MAX_VERSION,
  DEFAULT_MIN_VERSION,
  SecureContext,
  Server,
  TLSSocket,
  checkServerIdentity,
  connect,
  convertALPNProtocols,
  createSecureContext,
  createServer,
  getCACertificates,
  getCiphers,
  preload,
  rootCertificates,
  setDefaultCACertificates,
  setDialer,
};
