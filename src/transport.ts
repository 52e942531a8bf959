/**
 * A byte transport: anything that carries bytes both ways, in order and without loss. A `Deno.Conn` is one as it
 * stands. `wassl/transports/*` makes one from a WebSocket, a MessagePort, or a Node.js stream. A `TlsStream` is one
 * itself, so that TLS can run within TLS.
 *
 * - `readable` ends when the peer will send no more. It errors when the transport failed, but only behind all bytes
 *   that had arrived. It goes on after a write has failed, because the peer may have said why.
 * - `writable.write()` settles once the transport has taken the bytes: to wait for it is the backpressure.
 * - `writable.close()` says that no more bytes follow. If the transport knows half-close, reading goes on.
 * - `writable.abort()` and `readable.cancel()` give the transport up.
 */
export interface Transport {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Bytes that the transport has taken and not sent yet, if it knows. While this number falls, `close()` goes on
   * waiting.
   */
  readonly bufferedAmount?: number;
}
