/** The client's first message, as far as a server may choose by it (RFC 8446 §4.1.2). */

export interface ClientHello {
  /** The name that the client asks for with SNI (RFC 6066 §3). */
  readonly serverName: string | undefined;
  /** The protocols that the client offers with ALPN (RFC 7301), best first. */
  readonly alpnProtocols: readonly string[];
  /** The versions that the client speaks, best first: 0x0304 = TLS 1.3. */
  readonly versions: readonly number[];
  /** Best first; numbers as in the IANA registry, as are the next two. */
  readonly cipherSuites: readonly number[];
  readonly signatureAlgorithms: readonly number[];
  readonly groups: readonly number[];
}

const SERVER_NAME = 0;
const SUPPORTED_GROUPS = 10;
const SIGNATURE_ALGORITHMS = 13;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;

/**
 * Reads what `Ssl.getClientHello` returns. OpenSSL has checked the lengths of the whole, but not those within an
 * extension.
 */
export function parseClientHello(bytes: Uint8Array): ClientHello {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const legacyVersion = view.getUint16(0);
  let at = 4 + view.getUint16(2);
  const cipherSuites = words(bytes.subarray(4, at));
  const extensions = new Map<number, Uint8Array>();
  while (at + 4 <= bytes.length) {
    const end = at + 4 + view.getUint16(at + 2);
    extensions.set(view.getUint16(at), bytes.subarray(at + 4, end));
    at = end;
  }
  /** The list in an extension, behind a length of so many bytes. */
  const list = (type: number, lengthBytes: number) => extensions.get(type)?.subarray(lengthBytes);
  return {
    serverName: serverName(list(SERVER_NAME, 2)),
    alpnProtocols: names(list(ALPN, 2)),
    versions: extensions.has(SUPPORTED_VERSIONS) ? words(list(SUPPORTED_VERSIONS, 1)) : [legacyVersion],
    cipherSuites,
    signatureAlgorithms: words(list(SIGNATURE_ALGORITHMS, 2)),
    groups: words(list(SUPPORTED_GROUPS, 2)),
  };
}

function words(bytes: Uint8Array = new Uint8Array(0)): number[] {
  return Array.from({ length: bytes.length >> 1 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
}

/** Each item behind its length in one byte. */
function names(bytes: Uint8Array = new Uint8Array(0)): string[] {
  const all: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes[at]!;
    all.push(new TextDecoder().decode(bytes.subarray(at + 1, end)));
    at = end;
  }
  return all;
}

/** One name, of type 0, behind its length in two bytes. */
function serverName(bytes: Uint8Array = new Uint8Array(0)): string | undefined {
  if (bytes.length < 4 || bytes[0] !== 0) return undefined;
  return new TextDecoder().decode(bytes.subarray(3, 3 + ((bytes[1]! << 8) | bytes[2]!)));
}
