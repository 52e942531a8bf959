import { isBytes } from "../check.js";
import { type ChannelBinding, channelBinding } from "../connection/exporters.js";
import { asyncDispose } from "../engine.js";
import { TlsError } from "../errors.js";
import type { SslCore } from "../openssl/ssl-core.js";
import type { TlsInfo } from "../options/info.js";
import type { SocketAddress } from "../transport.js";
import type { Association, DtlsEnd, DtlsStatistics } from "./association.js";
import type { Messages } from "./messages.js";

/** @internal */
export interface SessionParts {
  association: Association;
  messages: Messages;
  ssl: SslCore;
  info: TlsInfo;
  peer: SocketAddress | undefined;
  latest(): Uint8Array | undefined;
  closed: Promise<DtlsEnd>;
}

/**
 * A DTLS association: encrypted messages, each whole or not at all. Messages may be lost, and may come in another order;
 * no message comes twice, and no message comes that the peer did not send.
 *
 * @example
 * ```ts
 * import type { DtlsSession } from "wassl/dtls";
 *
 * async function ask(dtls: DtlsSession, question: Uint8Array): Promise<Uint8Array | undefined> {
 *   await dtls.send(question); // may be lost: ask again if no answer comes
 *   const reader = dtls.readable.getReader();
 *   const { value } = await reader.read();
 *   reader.releaseLock();
 *   return value;
 * }
 * ```
 */
export class DtlsSession implements AsyncDisposable {
  /** What the handshake settled. */
  readonly info: TlsInfo;
  /** Where the peer is; undefined over a transport that has only one. */
  readonly peer: SocketAddress | undefined;
  /** A chunk is a message. It ends when the association ends, and errors if that failed. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /**
   * A chunk is a message, 1 to {@link DtlsSession.maxMessageSize} bytes. A stream that refused a chunk refuses all that
   * follow, as streams do; {@link DtlsSession.send} goes on. Its `close()` is that of the session.
   */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Resolves when the association is over, and says how; it never rejects. "peer" says that the peer ended it. A peer's
   * close_notify may be lost like any datagram, so that "idle" may mean as much. And "peer" does not say that all
   * messages came: only the application's own protocol can tell that.
   */
  readonly closed: Promise<DtlsEnd>;
  readonly #parts: SessionParts;

  /** @internal */
  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.info = parts.info;
    this.peer = parts.peer;
    this.closed = parts.closed;
    this.readable = parts.messages.readable;
    this.writable = new WritableStream<Uint8Array>(
      {
        write: (message) => this.send(message),
        close: () => this.close(),
        abort: (reason) => this.abort(reason),
      },
      { highWaterMark: 1 },
    );
  }

  /** The longest message, in bytes: what fits one datagram. */
  get maxMessageSize(): number {
    return this.#parts.association.maxMessageSize;
  }

  get statistics(): DtlsStatistics {
    return this.#parts.association.statistics;
  }

  /**
   * Sends a message. Resolves when the transport has it, which does not mean that it arrives.
   *
   * @throws TlsError "too-large" (longer than {@link DtlsSession.maxMessageSize}; nothing was sent, and the association
   *   goes on) | "invalid-argument" | "closed" | "transport"
   */
  async send(message: Uint8Array): Promise<void> {
    if (!isBytes(message)) throw new TlsError("invalid-argument", "a message must be a Uint8Array");
    await this.#parts.association.write(message);
  }

  /**
   * Ends the association: sends close_notify once and waits for nothing, because no peer has to acknowledge it. (In
   * OpenSSL's words: `SSL_shutdown(3)` is called once, and returns 0.)
   */
  async close(): Promise<void> {
    await this.#parts.association.close();
    await this.closed;
  }

  /** Ends the association without a word to the peer. `closed` says "failed", with `reason`. */
  abort(reason: unknown = new TlsError("closed", "the DTLS association was aborted")): void {
    this.#parts.association.abort(reason);
  }

  /** The newest session, to resume later (`session` of {@link startDtls}); of a client. Keep it as you keep a key. */
  getSession(): Uint8Array | undefined {
    return this.#parts.latest();
  }

  /**
   * Bytes that only the two ends know (RFC 5705), 1 to 16,384. Not after the end.
   *
   * @throws TlsError "invalid-argument" | "closed"
   */
  exportKeyingMaterial(label: string, length: number, context?: Uint8Array): Uint8Array {
    this.#parts.association.refuse();
    return this.#parts.ssl.exportKeyingMaterial(label, length, context);
  }

  /** What only the two ends of this association know (RFC 9266, RFC 5929), to bind something else to it. */
  channelBinding(type: ChannelBinding): Uint8Array | undefined {
    this.#parts.association.refuse();
    return channelBinding(this.#parts.ssl, type);
  }

  async [asyncDispose](): Promise<void> {
    await this.close();
  }
}
