/**
 * Writes records in the place of a TLS 1.2 server, such as an `Ssl` would never send. The keys follow from the master
 * secret, which the client's session holds, and from the two randoms (RFC 5246 §6.3). For suites with AES-128-GCM and
 * SHA-256; WebCrypto does the work.
 */
import { concat } from "./wrappers.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** The suite to set on one of the ends. */
export const TLS12_WRITER_SUITE = "ECDHE-ECDSA-AES128-GCM-SHA256";

/** The random of a ClientHello or ServerHello at the beginning of what was sent. */
export function helloRandom(flight: Uint8Array): Bytes {
  // Record header, handshake header, version.
  return flight.slice(5 + 4 + 2, 5 + 4 + 2 + 32);
}

/**
 * The master secret in what `i2d_SSL_SESSION` wrote: the fifth element, after three that are short and the session id.
 */
function masterSecret(der: Uint8Array): Bytes {
  let at = 0;
  const header = () => {
    at++; // the tag
    const first = der[at++]!;
    if (first < 0x80) return first;
    let length = 0;
    for (let i = 0; i < (first & 0x7f); i++) length = length * 256 + der[at++]!;
    return length;
  };
  header();
  for (let skipped = 0; skipped < 4; skipped++) {
    const length = header();
    at += length;
  }
  const length = header();
  if (length !== 48) throw new Error(`a master secret of ${length} bytes`);
  return der.slice(at, at + length);
}

async function hmac(key: Bytes, data: Bytes): Promise<Bytes> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}

/** The PRF of TLS 1.2. */
async function prf(secret: Bytes, label: string, seed: Uint8Array, length: number): Promise<Bytes> {
  const full = concat([new TextEncoder().encode(label), seed]);
  let out = new Uint8Array(0);
  for (let a = full; out.length < length; ) {
    a = await hmac(secret, a);
    out = concat([out, await hmac(secret, concat([a, full]))]);
  }
  return out.slice(0, length);
}

export class Tls12Writer {
  readonly #key: CryptoKey;
  readonly #salt: Bytes;
  /** The server's Finished had the first number. */
  #sequence = 1;

  private constructor(key: CryptoKey, salt: Bytes) {
    this.#key = key;
    this.#salt = salt;
  }

  static async create(session: Uint8Array, client: Uint8Array, server: Uint8Array): Promise<Tls12Writer> {
    const block = await prf(masterSecret(session), "key expansion", concat([server, client]), 40);
    const key = await crypto.subtle.importKey("raw", block.slice(16, 32), "AES-GCM", false, ["encrypt"]);
    return new Tls12Writer(key, block.slice(36, 40));
  }

  /** The next record to the client. */
  async record(type: number, ...content: number[]): Promise<Bytes> {
    const head = Uint8Array.of(type, 3, 3, 0, content.length);
    const sequence = new Uint8Array(8);
    new DataView(sequence.buffer).setUint32(4, this.#sequence++);
    const parameters = {
      name: "AES-GCM",
      iv: concat([this.#salt, sequence]),
      additionalData: concat([sequence, head]),
    };
    const sealed = await crypto.subtle.encrypt(parameters, this.#key, Uint8Array.from(content));
    const body = concat([sequence, new Uint8Array(sealed)]);
    return concat([Uint8Array.of(type, 3, 3, body.length >> 8, body.length & 0xff), body]);
  }
}
