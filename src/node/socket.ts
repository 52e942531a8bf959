/** `net.Socket` over what a dialer brings. */
import type { AddressInfo, Server } from "node:net";
import { Duplex } from "node:stream";
import type { DialedTransport, Transport, SocketAddress as Where } from "wassl";
import { dial } from "./dialer.js";
import { connectError, connectionError, nodeError, wrongType } from "./errors.js";
import { isIP } from "./ip.js";
import { Line, settle, unheeded } from "./line.js";
import { Timeout } from "./timeout.js";

/** @internal */
export const LINE: unique symbol = Symbol("line");
/** @internal Called with the transport that was dialed. */
export const OPENED: unique symbol = Symbol("opened");
/** @internal Gives the socket up, and calls back when it has left. */
export const LEAVE: unique symbol = Symbol("leave");
/** @internal A TLS socket takes the transport: from then on this one is a shell. */
export const TAKE: unique symbol = Symbol("take");
/** @internal */
export const ACTIVE: unique symbol = Symbol("active");
/** @internal The name that was dialed. */
export const HOST: unique symbol = Symbol("host");

interface ConnectOptions {
  port?: number | string;
  host?: string;
  path?: string;
  signal?: AbortSignal;
  timeout?: number;
}

export interface SocketOptions {
  allowHalfOpen?: boolean | undefined;
  highWaterMark?: number | undefined;
  readableHighWaterMark?: number | undefined;
  writableHighWaterMark?: number | undefined;
  signal?: AbortSignal | undefined;
  fd?: number | undefined;
  /** Bytes that are there already: an accepted connection, for example. */
  transport?: DialedTransport | undefined;
}

/** The forms in which `connect` is called: (options, cb), (port, host, cb), (path, cb). */
export function readArguments(parts: readonly unknown[]): [ConnectOptions, (() => void) | undefined] {
  const [first, second] = parts;
  let options: ConnectOptions = {};
  if (typeof first === "object" && first !== null) options = first;
  else if (typeof first === "string" && Number.isNaN(Number(first))) options = { path: first };
  else if (parts.length > 0) {
    options = { port: first as number };
    if (typeof second === "string") options.host = second;
  }
  const last = parts.at(-1);
  return [options, typeof last === "function" ? (last as () => void) : undefined];
}

/**
 * A socket over what {@link setDialer} dials. Its members and events are those of Node.js's `net.Socket`.
 *
 * @example
 * ```ts
 * import { connect } from "wassl/node/net";
 *
 * const socket = connect({ host: "example.org", port: 7 });
 * socket.on("connect", () => socket.end("hello")).on("data", (chunk) => console.log(chunk.toString()));
 * ```
 */
export class Socket extends Duplex {
  connecting = false;
  /** Node.js has the server here that accepted the connection. */
  server: Server | null = null;
  readonly autoSelectFamilyAttemptedAddresses: string[] = [];
  /** @internal */
  readonly [LINE]: Line;
  /** @internal */
  [HOST]: string | undefined;
  #hadError = false;
  readonly #timeout: Timeout;
  #remote: Where | undefined;
  #local: Where | undefined;
  readonly #stop = new AbortController();
  /** The TLS socket that has the transport now. */
  #taken: Duplex | undefined;

  constructor(options: SocketOptions | number = {}) {
    const given = typeof options === "number" ? { fd: options } : options;
    const { allowHalfOpen = false, highWaterMark, readableHighWaterMark, writableHighWaterMark } = given;
    if (given.fd !== undefined)
      throw nodeError(
        "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM",
        "a socket of a file descriptor is not to be had",
      );
    super({
      allowHalfOpen,
      autoDestroy: true,
      emitClose: true,
      ...(highWaterMark !== undefined && { highWaterMark }),
      ...(readableHighWaterMark !== undefined && { readableHighWaterMark }),
      ...(writableHighWaterMark !== undefined && { writableHighWaterMark }),
    });
    this[LINE] = new Line(this, {
      active: () => this[ACTIVE](),
      translate: connectionError,
    });
    this.#timeout = new Timeout(() => this.emit("timeout"));
    if (given.signal) this.#obey(given.signal);
    if (given.transport) {
      this.#addresses(given.transport);
      this[OPENED](given.transport);
    }
  }

  #obey(signal: AbortSignal): void {
    const onAbort = () => this.destroy(signal.reason);
    if (signal.aborted) queueMicrotask(onAbort);
    else signal.addEventListener("abort", onAbort, { once: true });
  }

  #addresses({ localAddress, remoteAddress }: DialedTransport): void {
    this.#local = localAddress;
    this.#remote = remoteAddress ?? this.#remote;
  }

  /** The last event says whether there was an error. */
  override emit(event: string | symbol, ...parts: unknown[]): boolean {
    if (event === "close" && parts.length === 0) return super.emit(event, this.#hadError);
    return super.emit(event as string, ...parts);
  }

  connect(...parts: unknown[]): this {
    const [options, listener] = readArguments(Array.isArray(parts[0]) ? parts[0] : parts);
    if (listener) this.once("connect", listener);
    const { path, host = "localhost", signal } = options;
    if (path !== undefined) {
      const message = `connect ENOENT ${path}`;
      queueMicrotask(() =>
        this.destroy(nodeError("ENOENT", message, { errno: -2, syscall: "connect", address: path })),
      );
      return this;
    }
    const port = readPort(options.port);
    if (typeof host !== "string") throw wrongType('"options.host" property', "string");
    if (signal) this.#obey(signal);
    this.connecting = true;
    this[HOST] = host;
    this.#remote = { hostname: host, port };
    this[ACTIVE]();
    settle(
      dial({ hostname: host, port, signal: this.#stop.signal }),
      (transport) => {
        if (this.destroyed) {
          unheeded(transport.readable.cancel());
          return unheeded(transport.writable.abort());
        }
        this.connecting = false;
        this.#addresses(transport);
        this[OPENED](transport);
        this.emit("connect");
        this.emit("ready");
      },
      (error) => {
        if (!this.destroyed) this.destroy(connectError(error, host, port));
      },
    );
    return this;
  }

  /** @internal */
  [OPENED](transport: Transport): void {
    this[LINE].open(transport);
    // So that an end is seen also where nothing is read.
    queueMicrotask(() => {
      if (!this.destroyed && !this.#taken && !this.isPaused()) this.read(0);
    });
  }

  /** @internal */
  [TAKE](by: Duplex): Transport | undefined {
    const transport = this[LINE].release();
    if (transport) this.#taken = by;
    return transport;
  }

  get pending(): boolean {
    return this.connecting || (!this[LINE].transport && !this.#taken);
  }
  get readyState(): "opening" | "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.connecting) return "opening";
    if (this.pending || this.destroyed) return "closed";
    if (this.readable && this.writable) return "open";
    if (this.readable) return "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }
  get bytesRead(): number {
    return this[LINE].bytesRead;
  }
  get bytesWritten(): number {
    const { bytesWritten, bytesPending } = this[LINE];
    return bytesWritten + Math.max(bytesPending, this.writableLength);
  }
  get bufferSize(): number {
    return this.writableLength;
  }
  get timeout(): number | undefined {
    return this.#timeout.milliseconds || undefined;
  }
  get remoteAddress(): string | undefined {
    return this.pending ? undefined : this.#remote?.hostname;
  }
  get remotePort(): number | undefined {
    return this.pending ? undefined : this.#remote?.port;
  }
  get remoteFamily(): string | undefined {
    return this.pending ? undefined : familyOf(this.#remote?.hostname);
  }
  get localAddress(): string | undefined {
    return this.pending ? undefined : this.#local?.hostname;
  }
  get localPort(): number | undefined {
    return this.pending ? undefined : this.#local?.port;
  }
  get localFamily(): string | undefined {
    return this.pending ? undefined : familyOf(this.#local?.hostname);
  }
  address(): AddressInfo | Record<string, never> {
    if (this.pending || !this.#local) return {};
    return {
      address: this.#local.hostname,
      family: familyOf(this.#local.hostname) ?? "",
      port: this.#local.port,
    };
  }

  override _read(): void {
    this[LINE].read();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#taken) done(nodeError("EPIPE", "TLS has taken this socket over"));
    else this[LINE].write([chunk], done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error | null) => void): void {
    if (this.#taken) {
      done(nodeError("EPIPE", "TLS has taken this socket over"));
      return;
    }
    this[LINE].write(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#taken || (!this.connecting && this.pending)) done();
    else this[LINE].end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connecting = false;
    this.#timeout.stop();
    this.#hadError = error !== null;
    this.#stop.abort(error ?? new DOMException("the socket was destroyed", "AbortError"));
    const taken = this.#taken;
    if (taken && !taken.destroyed) taken.destroy();
    this[LEAVE](error, () => done(error));
  }

  /** @internal */
  [LEAVE](error: Error | null, left: () => void): void {
    this[LINE].drop(error ?? undefined);
    left();
  }

  override end(done?: () => void): this;
  override end(chunk: string | Uint8Array, done?: () => void): this;
  override end(chunk: string | Uint8Array, encoding?: BufferEncoding, done?: () => void): this;
  override end(...parts: unknown[]): this {
    return super.end(...(parts as []));
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** There is no reset here: the peer sees that the connection is gone. */
  resetAndDestroy(): this {
    if (this.pending && !this.connecting) {
      this.destroy(nodeError("ERR_SOCKET_CLOSED", "Socket is closed"));
    } else {
      this[LINE].drop(nodeError("ECONNRESET", "the socket was reset"));
      this.destroy();
    }
    return this;
  }

  /** @internal */
  [ACTIVE](): void {
    this.#timeout.renew();
  }

  setTimeout(milliseconds: number, listener?: () => void): this {
    if (typeof milliseconds !== "number") throw wrongType('"msecs" argument', "number");
    if (listener) {
      if (milliseconds === 0) this.removeListener("timeout", listener);
      else this.once("timeout", listener);
    }
    this.#timeout.set(this.destroyed ? 0 : milliseconds);
    return this;
  }
  /** Is for the dialer to decide. */
  setNoDelay(_on?: boolean): this {
    return this;
  }
  /** Is for the dialer to decide. */
  setKeepAlive(..._settings: unknown[]): this {
    return this;
  }
  getTypeOfService(): number {
    return 0;
  }
  setTypeOfService(_value: number): this {
    return this;
  }
  /** What keeps a program alive is the dialer's affair. */
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

function familyOf(address: string | undefined): "IPv4" | "IPv6" | undefined {
  const version = isIP(address);
  return version === 0 ? undefined : `IPv${version}`;
}

export function readPort(port: number | string | undefined): number {
  const number = typeof port === "string" && port.trim() !== "" ? Number(port) : port;
  if (typeof number !== "number" || !Number.isInteger(number) || number < 0 || number > 65_535) {
    const message = `Port should be >= 0 and < 65536. Received ${typeof port === "string" ? `'${port}'` : port}.`;
    throw nodeError("ERR_SOCKET_BAD_PORT", message, {}, RangeError);
  }
  return number;
}
