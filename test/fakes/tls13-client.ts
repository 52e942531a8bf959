/**
 * A client of TLS 1.3 that is not OpenSSL and has no manners: it sends whatever record a test wants, encrypted as it
 * should be. One suite (TLS_AES_128_GCM_SHA256), one group (secp256r1), no verification, no key update, WebCrypto for
 * all the cryptography, so that it runs wherever the tests do. The numbers are those of RFC 8446.
 */
import { concat } from "./wrappers.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export const ALERT = 21;
export const HANDSHAKE = 22;
export const APPLICATION_DATA = 23;

const utf8 = (text: string): Bytes => new TextEncoder().encode(text) as Bytes;
const bytes = (...values: number[]): Bytes => Uint8Array.from(values);
const u16 = (n: number) => bytes(n >> 8, n & 0xff);
const join = (...parts: Uint8Array[]): Bytes => concat(parts);
/** A vector: its length in `size` bytes, and its content. */
const vector = (size: 1 | 2 | 3, ...parts: Uint8Array[]): Bytes => {
  const content = join(...parts);
  const n = content.length;
  return join(bytes(n >> 16, (n >> 8) & 0xff, n & 0xff).subarray(3 - size), content);
};

const zeros = new Uint8Array(32);
const ecdh = { name: "ECDH", namedCurve: "P-256" };

async function hash(data: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

async function hmac(key: Bytes, data: Bytes): Promise<Bytes> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}

/** HKDF-Expand-Label for what fits one block. */
async function expand(secret: Bytes, label: string, context: Bytes, length: number): Promise<Bytes> {
  const info = join(u16(length), vector(1, utf8(`tls13 ${label}`)), vector(1, context), bytes(1));
  return (await hmac(secret, info)).slice(0, length);
}

/** One direction's keys. */
class Keys {
  readonly #key: CryptoKey;
  readonly #iv: Bytes;
  #sequence = 0;

  private constructor(key: CryptoKey, iv: Bytes) {
    this.#key = key;
    this.#iv = iv;
  }

  static async of(secret: Bytes): Promise<Keys> {
    const raw = await expand(secret, "key", new Uint8Array(0), 16);
    const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
    return new Keys(key, await expand(secret, "iv", new Uint8Array(0), 12));
  }

  #parameters(header: Bytes) {
    const iv = this.#iv.slice();
    const view = new DataView(iv.buffer);
    view.setUint32(8, view.getUint32(8) ^ this.#sequence++);
    return { name: "AES-GCM", iv, additionalData: header };
  }

  async seal(type: number, content: Bytes): Promise<Bytes> {
    const header = join(bytes(APPLICATION_DATA, 3, 3), u16(content.length + 1 + 16));
    const sealed = await crypto.subtle.encrypt(
      this.#parameters(header),
      this.#key,
      join(content, bytes(type)),
    );
    return join(header, new Uint8Array(sealed));
  }

  /** The content and, as its last byte, the type. There is no padding here. */
  async open(record: Bytes): Promise<Bytes> {
    const header = record.slice(0, 5);
    return new Uint8Array(await crypto.subtle.decrypt(this.#parameters(header), this.#key, record.slice(5)));
  }
}

/** The complete records in `data`. */
export function records(data: Uint8Array): Bytes[] {
  const found: Bytes[] = [];
  for (let at = 0; at + 5 <= data.length; ) {
    const end = at + 5 + ((data[at + 3]! << 8) | data[at + 4]!);
    found.push(data.slice(at, end));
    at = end;
  }
  return found;
}

export class Tls13Client {
  readonly #private: CryptoKey;
  readonly #hello: Bytes;
  #ours: Keys | undefined;

  private constructor(key: CryptoKey, hello: Bytes) {
    this.#private = key;
    this.#hello = hello;
  }

  /** `psk`: an identity that it offers, with a binder that is of no key (RFC 8446 §4.2.11). */
  static async create(psk?: Bytes): Promise<Tls13Client> {
    const pair = await crypto.subtle.generateKey(ecdh, false, ["deriveBits"]);
    const share = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    const extension = (type: number, content: Bytes) => join(u16(type), vector(2, content));
    const hello = join(
      bytes(3, 3),
      crypto.getRandomValues(new Uint8Array(32)),
      vector(1), // no session id
      vector(2, u16(0x1301)),
      vector(1, bytes(0)), // no compression
      vector(
        2,
        extension(43, vector(1, u16(0x0304))), // supported_versions
        extension(10, vector(2, u16(0x0017))), // supported_groups
        extension(13, vector(2, u16(0x0403))), // signature_algorithms: ecdsa_secp256r1_sha256
        extension(51, vector(2, u16(0x0017), vector(2, share))), // key_share
        ...(psk
          ? [
              extension(45, vector(1, bytes(1))), // psk_key_exchange_modes: with (EC)DHE
              extension(41, join(vector(2, vector(2, psk), zeros.slice(0, 4)), vector(2, vector(1, zeros)))),
            ]
          : []),
      ),
    );
    return new Tls13Client(pair.privateKey, join(bytes(1), vector(3, hello)));
  }

  /** The record with the ClientHello. */
  clientHello(): Bytes {
    return join(bytes(HANDSHAKE, 3, 1), vector(2, this.#hello));
  }

  /** Answers the server's first flight with the record that ends the handshake. */
  async finish(flight: Uint8Array): Promise<Bytes> {
    const [first, ...rest] = records(flight);
    const serverHello = first!.slice(5);
    const shared = await this.#sharedSecret(serverHello);
    const early = await hmac(zeros, zeros);
    const nothing = await hash(new Uint8Array(0));
    const handshake = await hmac(await expand(early, "derived", nothing, 32), shared);
    const master = await hmac(await expand(handshake, "derived", nothing, 32), zeros);
    const soFar = join(this.#hello, serverHello);
    const theirs = await Keys.of(await expand(handshake, "s hs traffic", await hash(soFar), 32));
    const ourSecret = await expand(handshake, "c hs traffic", await hash(soFar), 32);
    const messages: Bytes[] = [];
    for (const record of rest) {
      // A change_cipher_spec means nothing; the rest is EncryptedExtensions to Finished.
      if (record[0] === APPLICATION_DATA) messages.push((await theirs.open(record)).slice(0, -1));
    }
    const transcript = await hash(join(soFar, ...messages));
    this.#ours = await Keys.of(await expand(master, "c ap traffic", transcript, 32));
    const key = await expand(ourSecret, "finished", new Uint8Array(0), 32);
    const finished = join(bytes(20), vector(3, await hmac(key, transcript)));
    return (await Keys.of(ourSecret)).seal(HANDSHAKE, finished);
  }

  /** The next record to the server, whatever is in it. */
  async record(type: number, ...content: number[]): Promise<Bytes> {
    if (!this.#ours) throw new Error("first the handshake");
    return this.#ours.seal(type, bytes(...content));
  }

  async #sharedSecret(serverHello: Bytes): Promise<Bytes> {
    // Type, length, version, random, session id (as empty as ours), suite, compression; then the extensions.
    const view = new DataView(serverHello.buffer);
    for (let at = 4 + 2 + 32 + 1 + 2 + 1 + 2; at < serverHello.length; ) {
      const length = view.getUint16(at + 2);
      if (view.getUint16(at) === 51) {
        const share = serverHello.slice(at + 4 + 4, at + 4 + length);
        const theirs = await crypto.subtle.importKey("raw", share, ecdh, false, []);
        const parameters = { name: "ECDH", public: theirs };
        return new Uint8Array(await crypto.subtle.deriveBits(parameters, this.#private, 256));
      }
      at += 4 + length;
    }
    throw new Error("the server sent no key share");
  }
}
