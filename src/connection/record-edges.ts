const PREVIEW = 48;
/** ContentType of RFC 8446 §5.1: change_cipher_spec to application_data, and heartbeat, which is hardly ever sent. */
const FIRST_TYPE = 20;
const LAST_TYPE = 24;
const CLIENT_HELLO = 1;

/**
 * Follows the record layer's framing (RFC 8446 §5.1: type, version, length, then that many bytes) through the bytes
 * that arrive. It answers two questions that OpenSSL does not: did the transport end between two records or within one,
 * and was it TLS at all. It judges nothing else.
 */
export class RecordEdges {
  /** Bytes of the current record's body that are still to come. */
  #body = 0;
  /** Bytes of the current header that are here, and the length that they say. */
  #header = 0;
  #length = 0;
  readonly #preview: number[] = [];
  readonly #previewLength: number;
  #records = 0;
  #first = true;
  /** The header is that of a ClientHello in the form of SSL 2.0, of 2 bytes: its first bit, and the length (RFC 5246 §E.2). */
  #sslv2 = false;

  /** `previews`: the first bytes are kept, for {@link RecordEdges.foreign}. */
  constructor(previews = true) {
    this.#previewLength = previews ? PREVIEW : 0;
  }

  observe(bytes: Uint8Array): void {
    const { length } = this.#preview;
    for (let i = 0; length + i < this.#previewLength && i < bytes.length; i++) this.#preview.push(bytes[i]!);
    let at = 0;
    while (at < bytes.length) {
      if (this.#body > 0) {
        const n = Math.min(this.#body, bytes.length - at);
        this.#body -= n;
        at += n;
        if (this.#body === 0) this.#records++;
        continue;
      }
      const byte = bytes[at++]!;
      if (this.#sslv2 && this.#header === 1) {
        this.#body = this.#length | byte;
        this.#header = 0;
        this.#sslv2 = false;
        continue;
      }
      if (this.#first) {
        this.#first = false;
        this.#sslv2 = (byte & 0x80) !== 0;
        this.#length = (byte & 0x7f) << 8;
      }
      if (this.#header === 3) this.#length = byte << 8;
      if (this.#header === 4) {
        this.#body = this.#length | byte;
        this.#header = 0;
      } else {
        this.#header++;
      }
    }
  }

  /** True when the last record is complete, or no record has begun. */
  get atEdge(): boolean {
    return this.#body === 0 && this.#header === 0;
  }

  /** How many records are complete, empty ones aside. */
  get records(): number {
    return this.#records;
  }

  /** True when nothing arrived. */
  get silent(): boolean {
    return this.#preview.length === 0;
  }

  /** What the peer sent first, as text, if that is no TLS record; else undefined. */
  get foreign(): string | undefined {
    const [type, major, message, version] = this.#preview;
    if (type !== undefined && (type & 0x80) !== 0 && message === CLIENT_HELLO && version === 3)
      return undefined;
    if (type === undefined || (type >= FIRST_TYPE && type <= LAST_TYPE && (major ?? 3) === 3))
      return undefined;
    return String.fromCharCode(...this.#preview.map((b) => (b >= 0x20 && b < 0x7f ? b : 0x2e)))
      .split("..")[0]!
      .trim();
  }
}
