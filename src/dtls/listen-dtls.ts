import { readOptions } from "../check.js";
import { transportError } from "../connection/failure.js";
import { listen, takeDatagram, useCookies, writeDatagram } from "../openssl/dtls.js";
import type { Library } from "../openssl/library.js";
import { sharedLibrary } from "../openssl/shared.js";
import { type Connection, newConnection, ofAContext } from "../options/context.js";
import { TlsContext } from "../options/tls-context.js";
import type { DatagramEndpoint, ReceivedDatagram, SocketAddress } from "../transport.js";
import { type Begun, begin } from "./establish.js";
import { DTLS_SERVER, type DtlsServerOptions, datagramSize } from "./options.js";
import type { DtlsSession } from "./session.js";

const IDLE_TIMEOUT = 300_000;
const MOST_HANDSHAKES = 256;
const HANDSHAKE = 22;
/** A record's header, and that of a handshake message. */
const LEAST_HELLO = 25;

/**
 * listenDtls makes DTLS 1.2 associations with all peers that send to `endpoint`, as a server. Each step of the iteration
 * is an association whose handshake is done. A handshake that fails ends only itself.
 *
 * A client must first show that it gets what is sent to its address (`cookies`): until then nothing is kept of it, and one
 * ClientHello draws one datagram of 60 bytes. When the iteration is left, no new peers are let in; the associations
 * go on until they end. `signal` ends everything.
 *
 * @throws TlsError "invalid-argument", and what a context may throw, at the first step
 *
 * @example
 * ```ts
 * import { type DatagramEndpoint, listenDtls } from "wassl/dtls";
 *
 * async function echo(endpoint: DatagramEndpoint): Promise<void> {
 *   for await (const dtls of listenDtls(endpoint, { cert, key })) {
 *     void dtls.readable.pipeTo(dtls.writable).catch(() => {});
 *   }
 * }
 * ```
 */
export function listenDtls(
  endpoint: DatagramEndpoint,
  options: DtlsServerOptions,
): AsyncIterableIterator<DtlsSession> {
  // Read at once: later changes of the caller's object do not count.
  const own = readOptions(options, DTLS_SERVER, "listenDtls");
  return new Listening(endpoint, own, datagramSize(own.maxDatagramSize, endpoint.maxDatagramSize));
}

/** A peer, and its association. */
interface Known extends Begun {
  open: boolean;
}

class Listening implements AsyncIterableIterator<DtlsSession> {
  readonly #endpoint: DatagramEndpoint;
  readonly #options: DtlsServerOptions;
  readonly #maxDatagramSize: number;
  readonly #known = new Map<string, Known>();
  #library!: Library;
  #context: TlsContext | undefined;
  #reader: ReadableStreamDefaultReader<ReceivedDatagram> | undefined;
  /** What answers clients that have no cookie; it becomes the association of the first that has one. */
  #listener: Connection | undefined;
  #handshakes = 0;
  #begun: Promise<void> | undefined;
  #ready: DtlsSession[] = [];
  #asking: ((result: IteratorResult<DtlsSession>) => void)[] = [];
  /** No new peers are let in. */
  #left = false;
  #failure: { reason: unknown } | undefined;

  constructor(endpoint: DatagramEndpoint, options: DtlsServerOptions, maxDatagramSize: number) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#maxDatagramSize = maxDatagramSize;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<DtlsSession>> {
    this.#begun ??= this.#begin();
    await this.#begun;
    const ready = this.#ready.shift();
    if (ready) return { value: ready, done: false };
    if (this.#failure) {
      const { reason } = this.#failure;
      this.#failure = undefined;
      throw reason;
    }
    if (this.#left) return { value: undefined, done: true };
    const result = await new Promise<IteratorResult<DtlsSession> | undefined>((resolve) => {
      this.#asking.push(resolve);
    });
    return result ?? this.next();
  }

  async return(): Promise<IteratorResult<DtlsSession>> {
    this.#leave();
    for (const session of this.#ready.splice(0)) void session.close();
    return { value: undefined, done: true };
  }

  async #begin(): Promise<void> {
    const { signal, openssl, cookies = true } = this.#options;
    signal?.throwIfAborted();
    this.#library = openssl?.library ?? (await sharedLibrary());
    if (this.#left) return;
    signal?.throwIfAborted();
    const context = TlsContext.ofServer(this.#library, ofAContext(this.#options), "dtls-server");
    try {
      if (cookies) useCookies(this.#library, context.sslContext);
      this.#reader = this.#endpoint.readable.getReader();
    } catch (error) {
      context.free();
      throw error;
    }
    this.#context = context;
    signal?.addEventListener("abort", this.#onAbort);
    void this.#carry(this.#reader);
  }

  readonly #onAbort = () => this.#fail(this.#options.signal!.reason);

  async #carry(reader: ReadableStreamDefaultReader<ReceivedDatagram>): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done)
          return this.#fail(this.#left ? undefined : transportError("receiving", "no more datagrams come"));
        try {
          this.#receive(value);
        } catch (error) {
          // No peer may end what is others', whatever went wrong for it.
          this.#options.onHandshakeError?.(error, value.from);
        }
      }
    } catch (error) {
      this.#fail(transportError("receiving", error));
    }
  }

  #receive({ data, from }: ReceivedDatagram): void {
    const key = `${from.hostname} ${from.port}`;
    const known = this.#known.get(key);
    const hello = data.length >= LEAST_HELLO && data[0] === HANDSHAKE && data[3] === 0 && data[4] === 0;
    // A peer that has begun anew shows it by a cookie; so it gets here what its old association could not answer.
    if (known && !(known.open && hello && this.#options.cookies !== false)) {
      if (known.open && known.messages.full) known.association.drop();
      else known.association.receive(data);
      return;
    }
    const { maxHandshakes = MOST_HANDSHAKES } = this.#options;
    if (!hello || this.#left || this.#handshakes >= maxHandshakes) return;
    if (this.#admits(data, from, key)) {
      known?.association.abort(transportError("receiving", "the peer has begun a new association"));
      this.#associate(key, from, data);
    }
  }

  /** Whether the client has shown that it is at that address. If not it is asked to. */
  #admits(data: Uint8Array, from: SocketAddress, key: string): boolean {
    this.#listener ??= newConnection(this.#context!, this.#options.trace ? { trace: true } : {});
    if (this.#options.cookies === false) return true;
    const { ssl, pair } = this.#listener;
    writeDatagram(this.#library, pair, data);
    const shown = listen(this.#library, ssl, new TextEncoder().encode(key)) === 1;
    this.#library.takeErrors();
    ssl.takeEvents();
    for (let one = takeDatagram(this.#library, pair); one; one = takeDatagram(this.#library, pair)) {
      this.#endpoint.send(one, from).catch(() => {});
    }
    return shown;
  }

  #associate(key: string, from: SocketAddress, data: Uint8Array): void {
    const connection = this.#listener!;
    this.#listener = undefined;
    const begun = begin({
      context: this.#context!,
      connection,
      peerName: "the client",
      options: this.#options,
      idleTimeout: this.#options.idleTimeout ?? IDLE_TIMEOUT,
      maxDatagramSize: this.#maxDatagramSize,
      peer: from,
      send: async (datagram) => {
        try {
          await this.#endpoint.send(datagram, from);
        } catch (error) {
          throw transportError("sending", error);
        }
      },
    });
    const known: Known = { ...begun, open: false };
    this.#known.set(key, known);
    this.#handshakes++;
    // Where there are no cookies OpenSSL has not seen it yet.
    if (this.#options.cookies === false) begun.association.receive(data);
    void begun.session
      .then(
        (session) => {
          known.open = true;
          if (this.#left) void session.close();
          else this.#give(session);
        },
        (error) => this.#options.onHandshakeError?.(error, from),
      )
      .finally(() => {
        this.#handshakes--;
      });
    void begun.closed.then(() => {
      if (this.#known.get(key) === known) this.#known.delete(key);
      this.#endIfEmpty();
    });
  }

  #give(session: DtlsSession): void {
    const asking = this.#asking.shift();
    if (asking) asking({ value: session, done: false });
    else this.#ready.push(session);
  }

  #leave(): void {
    this.#left = true;
    for (const asking of this.#asking.splice(0)) asking({ value: undefined, done: true });
    this.#endIfEmpty();
  }

  #endIfEmpty(): void {
    if (!this.#left || this.#known.size > 0) return;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#reader?.cancel().catch(() => {});
    this.#listener?.ssl.free();
    this.#listener?.pair.free();
    this.#listener = undefined;
    this.#context?.free();
    this.#context = undefined;
  }

  #fail(reason: unknown): void {
    if (reason !== undefined && !this.#left) this.#failure ??= { reason };
    this.#left = true;
    for (const { association } of this.#known.values()) association.abort(reason);
    for (const asking of this.#asking.splice(0)) asking(undefined as never);
    this.#endIfEmpty();
  }
}
