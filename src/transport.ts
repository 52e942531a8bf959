/**
 * A byte transport: whatever carries bytes both ways, in order and without loss. A `Deno.Conn` is one as it
 * stands; `wassl/transports/*` make one of a WebSocket, a MessagePort, or a Node.js stream; a `TlsStream` is
 * one itself, so that TLS runs within TLS.
 *
 * - `readable` ends when the peer will send no more, and errors when the transport broke: behind all bytes that had arrived.
 *   It goes on after a write has failed, for the peer may have said why.
 * - `writable.write()` settles once the transport has taken the bytes: waiting for it is the backpressure.
 * - `writable.close()` says that no more bytes follow. Where the transport knows half-close, reading goes on.
 * - `writable.abort()` and `readable.cancel()` give the transport up.
 */
export interface Transport {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Bytes that were taken and have not left yet, where the transport knows. While they become fewer, whoever closes waits
   * for them.
   */
  readonly bufferedAmount?: number;
}
