/** What anybody on the wire can read in a TLS connection's first message. */
export interface ClientHelloClue {
  /** The host name in the server_name extension (RFC 6066 §3), which TLS sends in the clear. */
  readonly serverName: string;
  /** Where the name's bytes are, from the beginning of the record. */
  readonly from: number;
  readonly to: number;
}

/**
 * Finds the server's name in the first record a client sent; undefined when there is none, as for an IP address.
 * The record may be cut off behind the name.
 */
export function findServerName(record: Uint8Array): ClientHelloClue | undefined {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  try {
    // Record header (5), handshake header (4), version (2), random (32).
    if (view.getUint8(0) !== 22 || view.getUint8(5) !== 1) return undefined;
    let at = 5 + 4 + 2 + 32;
    at += 1 + view.getUint8(at); // session id
    at += 2 + view.getUint16(at); // cipher suites
    at += 1 + view.getUint8(at); // compression methods
    const end = at + 2 + view.getUint16(at);
    at += 2;
    while (at < end) {
      const type = view.getUint16(at);
      const length = view.getUint16(at + 2);
      if (type === 0) {
        // List length (2), name type (1), name length (2).
        const from = at + 4 + 5;
        const to = from + view.getUint16(from - 2);
        if (to > record.length) return undefined;
        return { serverName: new TextDecoder().decode(record.subarray(from, to)), from, to };
      }
      at += 4 + length;
    }
  } catch (error) {
    // Read past the end: it was cut off, or it is no ClientHello.
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}
