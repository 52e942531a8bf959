/** `tls.TLSSocket`: TLS over what a dialer or another stream brings. */
import { Buffer } from "node:buffer";
import type { Server } from "node:net";
import type { Duplex } from "node:stream";
import type {
  CipherNameAndProtocol,
  DetailedPeerCertificate,
  EphemeralKeyInfo,
  PeerCertificate,
  PSKCallbackNegotation,
} from "node:tls";
import {
  acceptTls,
  type ClientOptions,
  type EofPolicy,
  OpenSsl,
  type PreliminaryResult,
  type ServerContextOptions,
  startTls,
  TlsError,
  type TlsEvent,
  type TlsStream,
  type Transport,
  type X509,
} from "wassl";
import { nodeTransport } from "wassl/transports/node";
import { checkServerIdentity, peerCertificate, wrongName } from "./certificate.js";
import { connectionError, nodeError, verifyError, wrongType } from "./errors.js";
import { isIP } from "./ip.js";
import { settle } from "./line.js";
import { alpnProtocols, caCertsOf, identitiesOf, SecureContext } from "./secure-context.js";
import { ACTIVE, HOST, LEAVE, LINE, OPENED, Socket, TAKE } from "./socket.js";

/** What a TLS socket is told, by `connect` or by a server. */
export interface TlsSocketOptions {
  isServer?: boolean;
  server?: unknown;
  secureContext?: SecureContext;
  rejectUnauthorized?: boolean;
  requestCert?: boolean;
  checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
  servername?: string;
  host?: string;
  session?: Buffer | Uint8Array | string;
  ALPNProtocols?: readonly (string | Uint8Array)[] | ArrayBufferView;
  SNICallback?: (name: string, done: (error: Error | null, context?: SecureContext) => void) => void;
  pskCallback?: (hint: string | null) => PSKCallbackNegotation | null;
  requestOCSP?: boolean;
  allowHalfOpen?: boolean;
  highWaterMark?: number;
  signal?: AbortSignal;
  handshakeTimeout?: number;
  enableTrace?: boolean;
  /** Beyond Node.js: see `startTls`. Default "record-boundary". */
  eofPolicy?: EofPolicy;
  /** Of `connect`, which begins the handshake itself. @internal */
  later?: boolean;
}

const GONE = "Client network socket disconnected before secure TLS connection was established";
/** A server's own default; a client waits as long as its program. */
const SERVER_HANDSHAKE_TIMEOUT = 120_000;
/** For what cannot be a server's name, where no name is checked. */
const NO_NAME = "invalid.invalid";
const OF_NAMES = new Set(["X509_V_ERR_HOSTNAME_MISMATCH", "X509_V_ERR_IP_ADDRESS_MISMATCH"]);

/**
 * A TLS connection with the members and events of Node.js's `tls.TLSSocket`.
 *
 * An end of the connection without close_notify is an end if it lies between two records, as in Node.js; within a record
 * it is the error ECONNRESET, which Node.js does not tell. `eofPolicy: "strict"` makes each of them an error.
 *
 * @example
 * ```ts
 * import { connect } from "wassl/node/net";
 * import { TLSSocket } from "wassl/node/tls";
 *
 * const plain = connect({ host: "mail.example.org", port: 587 });
 * // … STARTTLS …
 * const socket = new TLSSocket(plain, { servername: "mail.example.org" });
 * socket.on("secure", () => console.log(socket.getCipher().standardName));
 * ```
 */
export class TLSSocket extends Socket {
  readonly encrypted = true;
  authorized = false;
  /** In Node.js a text, whatever its types say. */
  authorizationError: Error = null as unknown as Error;
  alpnProtocol: string | false | null = null;
  servername: string | false | null = null;
  secureConnecting = true;
  #tls: TlsStream | undefined;
  readonly #options: TlsSocketOptions;
  #parent: Duplex | undefined;
  #transport: Transport | undefined;
  /** Of the handshake. */
  readonly #stop = new AbortController();
  #started = false;
  #session: Uint8Array | undefined;
  #verifyError: Error | undefined;

  constructor(socket?: Duplex | null, options: TlsSocketOptions = {}) {
    const { highWaterMark, signal } = options;
    const allowHalfOpen = options.allowHalfOpen ?? socket?.allowHalfOpen ?? false;
    super({ allowHalfOpen, highWaterMark, signal });
    this.#options = options;
    this.server = (options.server as Server | undefined) ?? null;
    if (typeof options.servername === "string") this.servername = options.servername;
    if (options.session) this.setSession(options.session);
    if (socket) this.#over(socket);
    if (socket && !options.later) queueMicrotask(() => this.#begin());
  }

  /** The socket below, or another stream. */
  #over(socket: Duplex): void {
    this.#parent = socket;
    this.connecting = socket instanceof Socket && socket.connecting;
    if (socket instanceof Socket) this[HOST] ??= socket[HOST];
    socket.on("error", (error) => {
      if (!this.#started) this.destroy(error);
    });
    socket.on("close", () => {
      if (!this.#started) this.destroy(nodeError("ECONNRESET", GONE));
    });
    if (!this.connecting) return;
    socket.once("connect", () => {
      this.connecting = false;
      this.emit("connect");
      this.#begin();
    });
  }

  /** @internal Of `connect`, when all listeners are there. */
  begin(): void {
    if (this.#parent) this.#begin();
  }

  #begin(): void {
    if (this.#started || this.destroyed || this.connecting || !this.#parent) return;
    try {
      this.#start(this.#transportOf(this.#parent));
    } catch (error) {
      this.destroy(connectionError(error));
    }
  }

  #transportOf(parent: Duplex): Transport {
    if (parent instanceof TLSSocket && parent.#tls === undefined && !parent.destroyed)
      throw nodeError("ERR_TLS_INVALID_STATE", "TLS within TLS begins when the outer one is established");
    const transport = parent instanceof Socket ? parent[TAKE](this) : nodeTransport(parent);
    if (!transport) throw nodeError("ECONNRESET", "the socket is not connected any more");
    return transport;
  }

  /** @internal */
  override [OPENED](transport: Transport): void {
    this.#start(transport);
  }

  #start(transport: Transport): void {
    this.#started = true;
    this.#transport = transport;
    const handshake = this.#options.isServer ? this.#accept(transport) : this.#connect(transport);
    settle(
      handshake,
      (tls) => this.#established(tls),
      (error) => {
        if (!this.destroyed) this.destroy(this.#refused(error));
      },
    );
  }

  get #context(): SecureContext {
    return this.#options.secureContext ?? new SecureContext();
  }

  get #common() {
    const { read } = this.#context;
    const { ALPNProtocols, eofPolicy = "record-boundary", enableTrace } = this.#options;
    const names = alpnProtocols(ALPNProtocols);
    return {
      ...read.protocol,
      ...(names.length > 0 && { alpnProtocols: names }),
      ...(this.listenerCount("keylog") > 0 && {
        keylog: (line: string) => this.emit("keylog", Buffer.from(`${line}\n`)),
      }),
      eofPolicy,
      signal: this.#stop.signal,
      ...(enableTrace && { trace: true, onEvent: (event: TlsEvent) => console.error(event) }),
    };
  }

  /** The name that the certificate must be for. */
  get #hostname(): string {
    return String(this.servername || this.#options.host || this[HOST] || "localhost");
  }

  async #connect(transport: Transport): Promise<TlsStream> {
    const { read } = this.#context;
    const { rejectUnauthorized = true, pskCallback, requestOCSP } = this.#options;
    const openssl = await OpenSsl.shared();
    const psk = pskCallback?.(null);
    const named = rejectUnauthorized && this.#checksNames;
    const options: ClientOptions = {
      ...this.#common,
      identities: identitiesOf(openssl, read.keys),
      openssl,
      hostname: this.#hostname,
      serverName: this.servername && !isIP(this.servername) ? this.servername : false,
      caCerts: await caCertsOf(read.ca),
      // As Node.js compares names; or the program does.
      ...(named ? { unsafelyAllowLegacyNames: true } : { unsafelyDisableHostnameVerification: true }),
      // Of all that is wrong Node.js tells the last, so OpenSSL has to go on. What is wrong is refused all the same.
      unsafelyLetVerifyOverride: true,
      verify: (chain, found) => this.#judge(chain, found),
      verifyOptions: {
        ...(read.crls.length > 0 && { crls: read.crls }),
        ...(read.partialChain && { partialChain: true }),
      },
      // Sessions are the program's to keep.
      sessionStore: false,
      onNewSession: (session) => {
        if (!this.destroyed) this.emit("session", Buffer.from(session));
      },
      handshakeTimeout: Number.POSITIVE_INFINITY,
      ...(psk && {
        psk: {
          identity: psk.identity,
          key: new Uint8Array(psk.psk.buffer, psk.psk.byteOffset, psk.psk.byteLength),
        },
      }),
      ...(requestOCSP && { ocsp: "soft" as const }),
      ...(this.#session && { session: this.#session }),
    };
    try {
      return await startTls(transport, options);
    } catch (error) {
      if (!(error instanceof TlsError) || error.code !== "invalid-argument") throw error;
      // Nothing was touched. A session that cannot be used is no session; and where no name is checked, any is good.
      const { session: _, ...without } = options;
      return await startTls(transport, named ? without : { ...without, hostname: NO_NAME });
    }
  }

  /** OpenSSL compares names, and not a function of the program. */
  get #checksNames(): boolean {
    const check = this.#options.checkServerIdentity;
    return check === undefined || check === checkServerIdentity;
  }

  #judge(chain: readonly X509[], { failures }: PreliminaryResult): boolean {
    const { rejectUnauthorized = true, checkServerIdentity: check = checkServerIdentity } = this.#options;
    const failure = failures.findLast(({ error }) => !OF_NAMES.has(error));
    if (failure) this.#verifyError = verifyError(failure);
    else if (failures.length > 0) this.#verifyError = this.#wrongName(chain[0]!);
    else if (!rejectUnauthorized || !this.#checksNames)
      this.#verifyError = check(this.#hostname, peerCertificate(chain, true));
    return this.#verifyError === undefined || !rejectUnauthorized;
  }

  /** In Node.js's words. */
  #wrongName(certificate: X509): Error {
    const legacy = peerCertificate([certificate]);
    return checkServerIdentity(this.#hostname, legacy) ?? wrongName("Unknown reason", this.#hostname, legacy);
  }

  #refused(error: unknown): Error {
    if (this.#verifyError) return this.#verifyError;
    const told = connectionError(error);
    if (!this.#options.isServer && error instanceof TlsError && error.code === "truncated")
      told.message = GONE;
    return told;
  }

  async #accept(transport: Transport): Promise<TlsStream> {
    const { handshakeTimeout = SERVER_HANDSHAKE_TIMEOUT, SNICallback } = this.#options;
    return await acceptTls(transport, {
      ...(await this.#serverContext(this.#context)),
      ...this.#common,
      handshakeTimeout: handshakeTimeout > 0 ? handshakeTimeout : Number.POSITIVE_INFINITY,
      ...(SNICallback && {
        selectContext: async ({ serverName }) => {
          this.servername = serverName ?? false;
          if (serverName === undefined) return undefined;
          const context = await new Promise<SecureContext | undefined>((resolve, reject) => {
            SNICallback.call(this, serverName, (error, found) => (error ? reject(error) : resolve(found)));
          });
          if (!context) return undefined;
          if (!(context instanceof SecureContext))
            throw nodeError("ERR_TLS_INVALID_CONTEXT", "context must be a SecureContext", {}, TypeError);
          const { alpnProtocols: names } = this.#common;
          return {
            ...context.read.protocol,
            ...(names && { alpnProtocols: names }),
            ...(await this.#serverContext(context)),
          };
        },
      }),
    });
  }

  async #serverContext({ read }: SecureContext): Promise<ServerContextOptions> {
    const { requestCert = false, rejectUnauthorized } = this.#options;
    const openssl = await OpenSsl.shared();
    const [first, ...identities] = identitiesOf(openssl, read.keys);
    const { sessionTimeout, sessionIdContext } = read;
    const options: ServerContextOptions = {
      openssl,
      ...first,
      ...(identities.length > 0 && { identities }),
      ...(sessionTimeout !== undefined && { sessionTimeout }),
      ...(sessionIdContext !== undefined && { sessionIdContext }),
    };
    if (!requestCert) return options;
    return {
      ...options,
      clientAuth: rejectUnauthorized === false ? "request" : "require",
      caCerts: await caCertsOf(read.ca),
      ...(read.ca === undefined && { sendCaNames: false }),
      ...(read.crls.length > 0 && { verifyOptions: { crls: read.crls } }),
      ...(rejectUnauthorized === false && {
        unsafelyLetVerifyOverride: true,
        verify: (_chain: readonly X509[], { failures }: PreliminaryResult) => {
          const failure = failures.at(-1);
          this.#verifyError = failure && verifyError(failure);
          return true;
        },
      }),
    };
  }

  #established(tls: TlsStream): void {
    if (this.destroyed) {
      tls.abort();
      return;
    }
    this.#tls = tls;
    this.secureConnecting = false;
    const { info } = tls;
    this.alpnProtocol = info.alpnProtocol ?? false;
    const { isServer, requestCert } = this.#options;
    if (isServer) this.servername = info.serverName ?? false;
    if (!isServer || requestCert) {
      const shown = info.peerCertificates.length > 0 || info.pskIdentity !== undefined;
      this.authorized = shown && !this.#verifyError;
      if (!this.authorized) {
        const { code, message } = (this.#verifyError ?? {}) as { code?: string; message?: string };
        const told = code ?? message ?? "UNABLE_TO_GET_ISSUER_CERT";
        this.authorizationError = told as unknown as Error;
      }
    }
    this[LINE].open(tls);
    this.emit("secure");
    if (!isServer) {
      if (info.ocspResponse || this.#options.requestOCSP)
        this.emit("OCSPResponse", info.ocspResponse ? Buffer.from(info.ocspResponse) : null);
      this.emit("secureConnect");
    }
    if (!this.destroyed && !this.isPaused()) this.read(0);
  }

  /** @internal Sends close_notify, unless there was an error. */
  override [LEAVE](error: Error | null, left: () => void): void {
    const tls = this.#tls;
    if (!tls) {
      this.#stop.abort(error ?? new DOMException("the socket was destroyed", "AbortError"));
      left();
    } else if (error) {
      tls.abort(error);
      left();
    } else settle(tls.close(), left, left);
  }

  /** The socket below closes last: a driver still listens to it, and must hear of an error first. */
  override emit(event: string | symbol, ...parts: unknown[]): boolean {
    try {
      return super.emit(event, ...parts);
    } finally {
      const parent = event === "close" ? this.#parent : undefined;
      if (parent && (parent instanceof Socket || !this.#started)) parent.destroy();
    }
  }

  /** @internal */
  override [ACTIVE](): void {
    super[ACTIVE]();
    if (this.#parent instanceof Socket) this.#parent[ACTIVE]();
  }

  override _final(done: (error?: Error | null) => void): void {
    // What was written before the handshake leaves after it.
    if (this.destroyed) done();
    else
      this[LINE].end(() => {
        // As Node.js does: some servers take close_notify for no end before the connection itself has one.
        this.#transport?.closeWrite?.();
        done();
      });
  }

  override get pending(): boolean {
    return this.connecting || (!this.#parent && super.pending && !this.#started);
  }
  override get remoteAddress(): string | undefined {
    return this.#parent ? (this.#parent as Socket).remoteAddress : super.remoteAddress;
  }
  override get remotePort(): number | undefined {
    return this.#parent ? (this.#parent as Socket).remotePort : super.remotePort;
  }
  override get remoteFamily(): string | undefined {
    return this.#parent ? (this.#parent as Socket).remoteFamily : super.remoteFamily;
  }
  override get localAddress(): string | undefined {
    return this.#parent ? (this.#parent as Socket).localAddress : super.localAddress;
  }
  override get localPort(): number | undefined {
    return this.#parent ? (this.#parent as Socket).localPort : super.localPort;
  }
  override get localFamily(): string | undefined {
    return this.#parent ? (this.#parent as Socket).localFamily : super.localFamily;
  }

  setServername(name: string): void {
    if (typeof name !== "string") throw wrongType('"name" argument', "string");
    if (this.#options.isServer)
      throw nodeError("ERR_TLS_SNI_FROM_SERVER", "Cannot issue SNI from a TLS server-side socket");
    if (name !== "") this.servername = name;
  }

  setSession(session: Uint8Array | string): void {
    const bytes = typeof session === "string" ? Buffer.from(session, "latin1") : session;
    this.#session = new Uint8Array(bytes);
  }

  getSession(): Buffer<ArrayBuffer> | undefined {
    const session = this.#tls?.getSession();
    return session && Buffer.from(session);
  }
  isSessionReused(): boolean {
    return this.#tls?.info.sessionReused ?? false;
  }
  /** A ticket is within the session, and is not told apart. */
  getTLSTicket(): Buffer<ArrayBuffer> | undefined {
    return undefined;
  }
  getProtocol(): string | null {
    return this.#tls?.info.protocol ?? null;
  }
  getCipher(): CipherNameAndProtocol {
    const info = this.#tls?.info;
    if (!info) return {} as CipherNameAndProtocol;
    return { name: info.cipher, standardName: info.cipherStandardName, version: info.protocol };
  }
  getEphemeralKeyInfo(): EphemeralKeyInfo | object | null {
    const group = this.#tls?.info.group;
    if (this.#options.isServer) return null;
    if (!group) return {};
    const prime = /^ffdhe(\d+)$/i.exec(group)?.[1];
    if (prime) return { type: "DH", size: Number(prime) };
    return { type: "ECDH", name: GROUPS[group] ?? group, size: Number(/\d+/.exec(group)?.[0]) };
  }
  getSharedSigalgs(): string[] {
    return [];
  }
  getPeerCertificate(detailed?: boolean): DetailedPeerCertificate {
    const chain = this.#tls?.info.peerCertificates;
    if (!chain) return null as unknown as DetailedPeerCertificate;
    if (chain.length === 0) return {} as DetailedPeerCertificate;
    const { verifiedChain } = this.#tls!.info;
    return peerCertificate(verifiedChain.length > 0 ? verifiedChain : chain, detailed);
  }
  /** Is of `node:crypto`, and not to be had. */
  getPeerX509Certificate(): undefined {
    return undefined;
  }
  getX509Certificate(): undefined {
    return undefined;
  }
  getCertificate(): PeerCertificate | object | null {
    return this.#tls ? {} : null;
  }
  getFinished(): Buffer<ArrayBuffer> | undefined {
    const finished = this.#tls?.getFinished();
    return finished && Buffer.from(finished);
  }
  getPeerFinished(): Buffer<ArrayBuffer> | undefined {
    const finished = this.#tls?.getPeerFinished();
    return finished && Buffer.from(finished);
  }
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Buffer<ArrayBuffer> {
    if (!this.#tls)
      throw nodeError("ERR_TLS_INVALID_STATE", "TLS socket connection must be securely established");
    return Buffer.from(this.#tls.exportKeyingMaterial(label, length, context));
  }
  /** There is no renegotiation here. */
  renegotiate(_options: object, listener?: (error: Error | null) => void): false {
    const error = nodeError(
      "ERR_TLS_RENEGOTIATION_DISABLED",
      "TLS session renegotiation disabled for this socket",
    );
    queueMicrotask(() => listener?.(error));
    return false;
  }
  disableRenegotiation(): void {}
  setMaxSendFragment(size: number): boolean {
    return size >= 512 && size <= 16_384;
  }
  setKeyCert(_context: unknown): void {}
  enableTrace(): void {}
}

/** As OpenSSL's curves are called. */
const GROUPS: Readonly<Record<string, string>> = {
  secp256r1: "prime256v1",
  x25519: "X25519",
  x448: "X448",
};
