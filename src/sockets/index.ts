/**
 * `connect()` of the WinterTC Sockets API, which `cloudflare:sockets` has too, over a dialer of your choice: programs
 * that were written for Workers run in a page, in Node.js, in Deno, and trust what you say.
 *
 * What differs: errors are `TlsError`s. An address whose place cannot be dialed is told by `opened`, as everything else
 * that goes wrong is.
 *
 * @module
 */

import {
  callback,
  custom,
  flag,
  listOf,
  oneOf,
  readOption,
  readOptions,
  type Table,
  text,
  whole,
} from "../check.js";
import { format } from "../dialers/destination.js";
import { TlsError } from "../errors.js";
import { CLIENT, type ClientOptions, startTls } from "../start-tls.js";
import type { TlsStream } from "../stream.js";
import { within } from "../timers.js";
import type { DialedTransport, Dialer, SocketAddress, Transport } from "../transport.js";

export type { DialedTransport, Dialer, DialOptions, SocketAddress, Transport } from "../transport.js";

/** What `connect()` of {@link createConnect} uses: a dialer, and options of `startTls` for each connection with TLS. */
export interface ConnectSetup extends Omit<ClientOptions, "hostname" | "serverName" | "signal"> {
  dialer: Dialer;
}

export interface SocketOptions {
  /**
   * - `off`: no TLS, now or later. The default.
   * - `on`: TLS from the first byte.
   * - `starttls`: no TLS until {@link Socket.startTls}.
   */
  secureTransport?: "off" | "on" | "starttls";
  /** When the peer ends, this side goes on until it ends too. Default false: then the peer's end ends both. */
  allowHalfOpen?: boolean;
  /** The name that the server is asked for, and that its certificate must be for. Default: the address's. */
  sni?: string | null;
  /** Application protocols, the preferred one first. Default: those of {@link ConnectSetup}. */
  alpn?: string[];
}

/** What `opened` resolves to. */
export interface SocketInfo {
  /** "192.0.2.1:5432"; undefined behind a relay. */
  readonly remoteAddress?: string | undefined;
  readonly localAddress?: string | undefined;
  /** The application protocol that both ends agreed on. */
  readonly alpn?: string | undefined;
}

export interface StartTlsOptions {
  /** The name that the server's certificate must be for. Default: `sni`, or the address's. */
  expectedServerHostname?: string;
}

/** A connection, or one that is being made: the streams can be used at once. */
export interface Socket {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when the connection stands, and with TLS when the server is verified. */
  readonly opened: Promise<SocketInfo>;
  /**
   * Resolves when both directions have ended, or `close()` has; rejects when the connection has failed. Of a socket that
   * was upgraded: when the handshake is done.
   */
  readonly closed: Promise<void>;
  readonly secureTransport: "off" | "on" | "starttls";
  /** `startTls()` was called: the connection belongs to another socket. */
  readonly upgraded: boolean;
  /**
   * Ends the connection: what a write has taken is sent, and with TLS close_notify. Then `readable` ends, whether the
   * peer has or not. Wait for your writes before: what still queues behind one is lost.
   */
  close(): Promise<void>;
  /**
   * Goes on with TLS, in a new socket. This one's streams end. Read what the server says before it begins with TLS, and
   * nothing more; what has arrived unread would be taken for TLS.
   *
   * @throws {TlsError} of code `"invalid-argument"` unless `secureTransport` is `"starttls"`, and if it was called
   * before.
   */
  startTls(options?: StartTlsOptions): Socket;
}

/** WinterTC's and Cloudflare's function. An address may be a text: "db.example.org:5432", "[2001:db8::1]:5432". */
export type Connect = (address: SocketAddress | string, options?: SocketOptions) => Socket;

const { hostname: _hostname, serverName: _serverName, signal: _signal, ...TLS } = CLIENT;
const SETUP: Table<ConnectSetup> = { ...TLS, dialer: callback };
const OPTIONS: Table<SocketOptions> = {
  secureTransport: oneOf("off", "on", "starttls"),
  allowHalfOpen: flag,
  sni: custom("a text", (value) => value === null || typeof value === "string"),
  alpn: listOf(text),
};
const ADDRESS: Table<SocketAddress> = { hostname: text, port: whole(1, 65_535) };

/** How long `close()` lets a plain connection that takes nothing more stand, in milliseconds. */
const PATIENCE = 2_000;

/**
 * Makes a `connect()`. Give it to programs in the place of that of `cloudflare:sockets`: a bundler's alias leads there.
 *
 * @throws {TlsError} of code `"invalid-argument"`
 *
 * @example
 * ```ts
 * // What `cloudflare:sockets` is an alias of.
 * import { webSocketDialer } from "wassl/dialers/websocket";
 * import { createConnect } from "wassl/sockets";
 *
 * export const connect = createConnect({
 *   dialer: webSocketDialer("wss://relay.example.org/?to={hostname}:{port}"),
 *   caCerts: pem,
 * });
 * ```
 */
export function createConnect(setup: ConnectSetup): Connect {
  const { dialer, ...tls } = readOptions(setup, SETUP, "createConnect");
  if (dialer === undefined) throw new TlsError("invalid-argument", "createConnect needs dialer");
  return (address, options = {}) => {
    const to = readAddress(address);
    const read = readOptions(options, OPTIONS, "connect");
    const { secureTransport = "off", allowHalfOpen = false } = read;
    const secure: Secure = (transport, hostname, signal) =>
      startTls(transport, {
        ...tls,
        ...(read.alpn && { alpnProtocols: read.alpn }),
        hostname: hostname ?? read.sni ?? to.hostname,
        signal,
      });
    const open = async (signal: AbortSignal): Promise<Line> => {
      const transport = await dialer({ ...to, signal });
      const info = {
        remoteAddress: named(transport.remoteAddress),
        localAddress: named(transport.localAddress),
      };
      return secureTransport === "on"
        ? secured(await secure(transport, undefined, signal), info)
        : { transport, info };
    };
    return new WasslSocket(open, secureTransport, allowHalfOpen, secure);
  };
}

type Secure = (transport: Transport, hostname: string | undefined, signal: AbortSignal) => Promise<TlsStream>;

/** What a socket stands on. */
interface Line {
  readonly transport: Transport;
  readonly info: SocketInfo;
  /** The same as the transport, if it is TLS. */
  readonly tls?: TlsStream;
}

function secured(tls: TlsStream, info: SocketInfo): Line {
  return { transport: tls, tls, info: { ...info, alpn: tls.info.alpnProtocol } };
}

function named(address: DialedTransport["remoteAddress"]): string | undefined {
  return address && format(address);
}

function readAddress(address: SocketAddress | string): SocketAddress {
  if (typeof address !== "string") {
    const { hostname, port } = readOptions(address, ADDRESS, "an address");
    if (hostname === undefined || port === undefined)
      throw new TlsError("invalid-argument", "an address needs hostname and port");
    return { hostname, port };
  }
  // As Cloudflare's, it takes what stands behind the last colon for the port.
  const colon = address.lastIndexOf(":");
  const port = /^\d+$/.test(address.slice(colon + 1)) ? Number(address.slice(colon + 1)) : undefined;
  if (colon < 1 || port === undefined)
    throw new TlsError("invalid-argument", "an address is a text like db.example.org:5432");
  return { hostname: address.slice(0, colon), port: readOption(ADDRESS.port, port, "the port") as number };
}

class WasslSocket implements Socket {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly opened: Promise<SocketInfo>;
  readonly closed: Promise<void>;
  readonly secureTransport: "off" | "on" | "starttls";
  upgraded = false;
  readonly #allowHalfOpen: boolean;
  readonly #secure: Secure;
  readonly #line: Promise<Line>;
  readonly #opening = new AbortController();
  #reading!: ReadableStreamDefaultController<Uint8Array>;
  #writing!: WritableStreamDefaultController;
  #onClosed!: () => void;
  #onFailed!: (reason: unknown) => void;
  #isOpen = false;
  #readEnded = false;
  #writeEnded = false;
  #close: Promise<void> | undefined;
  /** The lock under which a read waits. */
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  /** The write that is under way. */
  #written: Promise<unknown> = Promise.resolve();

  constructor(
    open: (signal: AbortSignal) => Promise<Line>,
    secureTransport: Socket["secureTransport"],
    allowHalfOpen: boolean,
    secure: Secure,
  ) {
    this.secureTransport = secureTransport;
    this.#allowHalfOpen = allowHalfOpen;
    this.#secure = secure;
    this.closed = new Promise((resolve, reject) => {
      this.#onClosed = resolve;
      this.#onFailed = reject;
    });
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#reading = controller;
        },
        pull: () => this.#pull(),
        cancel: () => this.#cancel(),
      },
      // Read no sooner than somebody asks: what is here when TLS begins would be lost for it.
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writing = controller;
        controller.signal.addEventListener("abort", () =>
          queueMicrotask(() => this.#fail(controller.signal.reason)),
        );
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#endWriting(),
    });
    this.#line = open(this.#opening.signal).then((line) => {
      this.#isOpen = true;
      return line;
    });
    this.opened = this.#line.then(({ info }) => info);
    this.#line.catch((error: unknown) => this.#fail(error));
    // What reads or writes learns of it too; nobody has to ask.
    for (const promise of [this.opened, this.closed]) promise.catch(() => {});
  }

  async #pull(): Promise<void> {
    const { transport } = await this.#line;
    if (this.#readEnded) return;
    const reader = transport.readable.getReader();
    this.#reader = reader;
    try {
      const { done, value } = await reader.read();
      if (!done) this.#reading.enqueue(value);
      else await this.#peerEnded();
    } catch (error) {
      // A read that was given back, because the socket was closed or upgraded.
      if (!this.#readEnded) this.#fail(error);
    } finally {
      reader.releaseLock();
      if (this.#reader === reader) this.#reader = undefined;
    }
  }

  async #peerEnded(): Promise<void> {
    this.#endReading();
    if (this.#allowHalfOpen || this.#writeEnded) return this.#settle();
    await this.close();
  }

  #endReading(): void {
    if (this.#readEnded) return;
    this.#readEnded = true;
    this.#reading.close();
    this.#reader?.releaseLock();
  }

  async #write(chunk: Uint8Array): Promise<void> {
    const { transport } = await this.#line;
    if (this.upgraded || this.#close) throw new TlsError("closed", "The socket is closed, or was upgraded");
    const writing = this.#withWriter(transport, (writer) => writer.write(chunk));
    this.#written = writing.catch(() => {});
    // When it fails, the peer may have said why: that is read.
    await writing;
  }

  async #withWriter<T>(
    { writable }: Transport,
    act: (writer: WritableStreamDefaultWriter<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    const writer = writable.getWriter();
    try {
      return await act(writer);
    } finally {
      writer.releaseLock();
    }
  }

  async #endWriting(): Promise<void> {
    const { transport } = await this.#line;
    await this.#withWriter(transport, (writer) => writer.close());
    this.#writeEnded = true;
    this.#settle();
  }

  async #cancel(): Promise<void> {
    this.#readEnded = true;
    await this.close();
  }

  #settle(): void {
    if (this.#readEnded && this.#writeEnded) this.#onClosed();
  }

  #fail(reason: unknown): void {
    if (!this.#readEnded) this.#reading.error(reason);
    this.#readEnded = this.#writeEnded = true;
    this.#writing.error(reason);
    this.#onFailed(reason);
    this.#opening.abort(reason);
    this.#reader?.releaseLock();
    this.#line
      .then(({ transport, tls }) => (tls ? tls.abort(reason) : giveUp(transport, reason)))
      .catch(() => {});
  }

  close(): Promise<void> {
    this.#close ??= this.#closeNow();
    return this.closed;
  }

  async #closeNow(): Promise<void> {
    if (this.upgraded) return;
    const closed = new TlsError("closed", "The socket was closed");
    let line: Line;
    try {
      // One that is not there yet is not waited for. Afterwards the signal is that of the TLS connection.
      if (!this.#isOpen) this.#opening.abort(closed);
      line = await this.#line;
    } catch {
      return;
    }
    const { transport, tls } = line;
    const end = async () => {
      await this.#written;
      if (tls) await tls.close();
      else if (!this.#writeEnded) await this.#withWriter(transport, (writer) => writer.close());
    };
    // First, because a stream of TLS that is closed errors.
    this.#endReading();
    await within(PATIENCE, end(), () => closed).catch(() => giveUp(transport, closed));
    if (!tls) transport.readable.cancel(closed).catch(() => {});
    if (!this.#writeEnded) this.#writing.error(closed);
    this.#writeEnded = true;
    this.#onClosed();
  }

  startTls(options: StartTlsOptions = {}): Socket {
    if (this.secureTransport !== "starttls")
      throw new TlsError("invalid-argument", 'startTls() needs a socket with secureTransport: "starttls"');
    if (this.upgraded) throw new TlsError("invalid-argument", "startTls() was called before");
    if (this.#close || this.#readEnded) throw new TlsError("closed", "The socket is closed");
    // Of what others put there, only this is known.
    const { expectedServerHostname } = Object(options) as StartTlsOptions;
    if (expectedServerHostname !== undefined)
      readOption(text, expectedServerHostname, "expectedServerHostname");
    this.upgraded = true;
    this.#endReading();
    const open = async (signal: AbortSignal) => {
      const { transport, info } = await this.#line;
      await this.#written;
      return secured(await this.#secure(transport, expectedServerHostname, signal), info);
    };
    const upgraded = new WasslSocket(open, "on", this.#allowHalfOpen, this.#secure);
    upgraded.opened.then(this.#onClosed, this.#onFailed);
    return upgraded;
  }
}

function giveUp({ readable, writable }: Transport, reason: unknown): void {
  if (!writable.locked) writable.abort(reason).catch(() => {});
  if (!readable.locked) readable.cancel(reason).catch(() => {});
}
