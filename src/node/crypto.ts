/**
 * What database and mail drivers ask of `node:crypto`, by the OpenSSL that is in openssl.wasm already: for a bundler's
 * alias of `crypto` and `node:crypto` in a page. Everything is synchronous, as in Node.js, so OpenSSL must be loaded
 * before: `await OpenSsl.preload()`. Random numbers are the engine's own, and need no OpenSSL.
 *
 * ```ts
 * import { OpenSsl } from "wassl";
 * import { createHash } from "wassl/node/crypto";
 *
 * await OpenSsl.preload();
 * console.log(createHash("sha256").update("abc").digest("hex"));
 * ```
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type * as crypto from "node:crypto";
import { Transform, type TransformCallback, type TransformOptions } from "node:stream";
import {
  Digest,
  publicEncrypt as encrypt,
  OpenSsl,
  pbkdf2 as pbkdf2Bytes,
  RSA_NO_PADDING,
  RSA_PKCS1_OAEP_PADDING,
  RSA_PKCS1_PADDING,
  sameBytes,
} from "wassl/openssl";
import {
  argumentError,
  bytesOf,
  memoryOf,
  opensslError,
  outOfRange,
  requireFunction,
  requireInteger,
  requireString,
  wrongType,
} from "./arguments.js";
import { PublicKeyObject, readPublicKey } from "./public-key.js";

/** What has bytes in it. */
type Memory = ArrayBufferLike | NodeJS.ArrayBufferView;
type Encoding = BufferEncoding | "buffer";

// ---- OpenSSL -----------------------------------------------------------------------------------------------------

let given: OpenSsl | undefined;

/**
 * Says which instance of OpenSSL this module uses, instead of the one that `OpenSsl.preload()` loads: one of
 * `OpenSsl.loadSync()`, for code that cannot await.
 *
 * ```ts
 * import { OpenSsl } from "wassl";
 * import { createHash, useOpenSsl } from "wassl/node/crypto";
 *
 * declare const bytes: Uint8Array; // of openssl.wasm
 * useOpenSsl(OpenSsl.loadSync(bytes));
 * console.log(createHash("md5").update("abc").digest("hex"));
 * ```
 */
export function useOpenSsl(openssl: OpenSsl | undefined): void {
  given = openssl;
}

function openssl(): OpenSsl {
  const instance = given ?? OpenSsl.loaded;
  if (instance) return instance;
  throw argumentError(
    Error,
    "ERR_WASSL_NOT_LOADED",
    "wassl/node/crypto is synchronous, so OpenSSL must be loaded before it is used: await OpenSsl.preload(), of wassl",
  );
}

// ---- digests -----------------------------------------------------------------------------------------------------

/** By the names that Node.js has for them; OpenSSL's names. */
const ALGORITHMS = new Map<string, string>();
for (const name of ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256", "sha3-512"]) {
  const algorithm = name.toUpperCase();
  for (const each of [name, `rsa-${name}`]) ALGORITHMS.set(each, algorithm);
  if (name.startsWith("sha3-")) ALGORITHMS.set(`id-rsassa-pkcs1-v1_5-with-${name}`, algorithm);
  else ALGORITHMS.set(`${name}withrsaencryption`, algorithm);
  if (/^sha\d+$/.test(name)) ALGORITHMS.set(name.replace("sha", "sha-"), algorithm);
  if (/^sha\d{3}$/.test(name)) ALGORITHMS.set(name.replace("sha", "sha2-"), algorithm);
  if (/^(md5|sha1)$/.test(name)) ALGORITHMS.set(`ssl3-${name}`, algorithm);
}

const algorithmOf = (name: string) => ALGORITHMS.get(name.toLowerCase());

function invalidDigest(name: string): Error {
  return argumentError(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${name}`);
}

/**
 * The names that {@link createHash} takes, as Node.js writes them.
 *
 * @example
 * ```ts
 * import { getHashes } from "wassl/node/crypto";
 *
 * console.log(getHashes().includes("sha256"));
 * ```
 */
export function getHashes(): string[] {
  // SHA-2 with a hyphen is taken and not told, in Node.js too.
  return [...ALGORITHMS.keys()]
    .filter((name) => !/^sha2?-/.test(name))
    .map((name) => name.replace(/^rsa-(.*)$/, (_, of: string) => `RSA-${of.toUpperCase()}`))
    .map((name) => name.replace("withrsaencryption", "WithRSAEncryption"))
    .sort();
}

/** Gives back what a `Hash` or `Hmac` has in linear memory that nobody finished. */
const abandoned = new FinalizationRegistry<Digest>((digest) => {
  try {
    digest.free();
  } catch {
    // With its instance everything is gone.
  }
});

/** What {@link Hash} and {@link Hmac} have in common: bytes go in, as a stream or not, until there is a digest. */
abstract class Hashing extends Transform {
  #digest: Digest | undefined;

  constructor(digest: Digest, options?: TransformOptions) {
    super(options);
    this.#digest = digest;
    abandoned.register(this, digest, digest);
  }

  /** The digest, while it is in progress. */
  protected get inProgress(): Digest | undefined {
    return this.#digest;
  }

  update(data: string | NodeJS.ArrayBufferView, inputEncoding?: BufferEncoding): this {
    if (!this.#digest) throw finalized();
    if (typeof data !== "string" && !ArrayBuffer.isView(data)) {
      throw wrongType("data", "of type string or an instance of Buffer, TypedArray, or DataView", data);
    }
    this.#digest.update(bytesOf(data, "data", inputEncoding));
    return this;
  }

  /** Ends it; undefined when that was done. */
  protected finish(): Buffer | undefined {
    const digest = this.#digest;
    if (!digest) return undefined;
    this.#digest = undefined;
    abandoned.unregister(digest);
    return Buffer.from(digest.final().buffer);
  }

  abstract digest(): Buffer;

  override _transform(chunk: string | Uint8Array, encoding: BufferEncoding, done: TransformCallback): void {
    this.update(chunk, encoding);
    done();
  }

  override _flush(done: TransformCallback): void {
    this.push(this.digest());
    done();
  }
}

const finalized = () => argumentError(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");

/** Bytes, or a text if an encoding is asked for. */
function encoded(bytes: Buffer, encoding: Encoding | undefined): string | Buffer {
  return encoding === undefined || encoding === "buffer" ? bytes : bytes.toString(encoding);
}

/**
 * A digest in progress, `crypto.Hash` of Node.js: made by {@link createHash}.
 *
 * @example
 * ```ts
 * import { createHash, type Hash } from "wassl/node/crypto";
 *
 * const hash: Hash = createHash("sha256");
 * console.log(hash.update("some ").update("text").digest("base64"));
 * ```
 */
export class Hash extends Hashing implements crypto.Hash {
  readonly #options: crypto.HashOptions | undefined;

  /** @internal */
  constructor(digest: Digest, options?: crypto.HashOptions) {
    super(digest, options);
    this.#options = options;
  }

  digest(): Buffer<ArrayBuffer>;
  digest(encoding: BufferEncoding): string;
  digest(encoding?: Encoding): string | Buffer {
    const bytes = this.finish();
    if (!bytes) throw finalized();
    return encoded(bytes, encoding);
  }

  /** Another one that has had the same bytes. */
  copy(options: crypto.HashOptions | undefined = this.#options): Hash {
    if (!this.inProgress) throw finalized();
    return new Hash(this.inProgress.copy(), options);
  }
}

/**
 * An HMAC in progress, `crypto.Hmac` of Node.js: made by {@link createHmac}.
 *
 * @example
 * ```ts
 * import { createHmac, type Hmac } from "wassl/node/crypto";
 *
 * const hmac: Hmac = createHmac("sha512", "key");
 * console.log(hmac.update("text").digest("hex"));
 * ```
 */
export class Hmac extends Hashing implements crypto.Hmac {
  digest(): Buffer<ArrayBuffer>;
  digest(encoding: BufferEncoding): string;
  digest(encoding?: Encoding): string | Buffer {
    // The second time there is nothing, in Node.js too.
    return encoded(this.finish() ?? Buffer.alloc(0), encoding);
  }
}

/**
 * Begins a digest, as `crypto.createHash` does.
 *
 * @example
 * ```ts
 * import { createHash } from "wassl/node/crypto";
 *
 * const password = createHash("md5").update("secretuser").digest("hex");
 * ```
 *
 * @param algorithm MD5, SHA-1, SHA-224 to SHA-512, SHA3-256 or SHA3-512: {@link getHashes}
 * @throws Error when there is no such algorithm here, or OpenSSL is not loaded (`ERR_WASSL_NOT_LOADED`)
 */
export function createHash(algorithm: string, options?: crypto.HashOptions): Hash {
  requireString(algorithm, "algorithm");
  const name = algorithmOf(algorithm);
  if (!name) throw new Error("Digest method not supported");
  const digest = Digest.create(openssl(), name);
  const { outputLength } = options ?? {};
  if (outputLength !== undefined) {
    requireInteger(outputLength, "options.outputLength", 0, 2 ** 32 - 1);
    // None of these has digests of another length than its own.
    const empty = digest.copy();
    if (empty.final().length !== outputLength) {
      digest.free();
      throw argumentError(Error, "ERR_OSSL_EVP_NOT_XOF_OR_INVALID_LENGTH", "not XOF or invalid length");
    }
  }
  return new Hash(digest, options);
}

/**
 * Begins an HMAC (RFC 2104), as `crypto.createHmac` does.
 *
 * @example
 * ```ts
 * import { createHmac } from "wassl/node/crypto";
 *
 * const proof = createHmac("sha256", "key").update("message").digest();
 * ```
 *
 * @throws TypeError of the code `ERR_CRYPTO_INVALID_DIGEST` when there is no such algorithm here
 */
export function createHmac(
  algorithm: string,
  key: crypto.BinaryLike | crypto.KeyObject,
  options?: TransformOptions,
): Hmac {
  requireString(algorithm, "hmac");
  if (key instanceof PublicKeyObject) {
    const message = "Invalid key object type public, expected secret.";
    throw argumentError(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", message);
  }
  const bytes = bytesOf(key, "key", options?.encoding);
  const name = algorithmOf(algorithm);
  if (!name) throw invalidDigest(algorithm);
  return new Hmac(Digest.create(openssl(), name, bytes), options);
}

// ---- keys of passwords -------------------------------------------------------------------------------------------

const MOST = 2 ** 31 - 1;
/** So many does {@link pbkdf2Bytes} compute. */
const MOST_ROUNDS = 10_000_000;

/** Reads the arguments, and returns what computes. */
function pbkdf2Of(
  password: crypto.BinaryLike,
  salt: crypto.BinaryLike,
  iterations: number,
  keylen: number,
  digest: string,
): () => Buffer<ArrayBuffer> {
  requireString(digest, "digest");
  const from = new Uint8Array(bytesOf(password, "password"));
  const salted = new Uint8Array(bytesOf(salt, "salt"));
  requireInteger(iterations, "iterations", 1, MOST);
  requireInteger(keylen, "keylen", 0, MOST);
  if (iterations > MOST_ROUNDS)
    throw outOfRange("iterations", `<= ${MOST_ROUNDS} in openssl.wasm`, iterations);
  const name = algorithmOf(digest);
  if (!name) throw invalidDigest(digest);
  const instance = openssl();
  return () =>
    keylen === 0
      ? Buffer.alloc(0)
      : Buffer.from(pbkdf2Bytes(instance, name, from, salted, iterations, keylen).buffer);
}

/**
 * PBKDF2 (RFC 8018 §5.2), as `crypto.pbkdf2Sync` does. 10,000,000 rounds at most: a server that says how many there are
 * must not say how long its client computes.
 *
 * @example
 * ```ts
 * import { pbkdf2Sync, randomBytes } from "wassl/node/crypto";
 *
 * const salted = pbkdf2Sync("pencil", randomBytes(16), 4096, 32, "sha256");
 * ```
 */
export function pbkdf2Sync(
  password: crypto.BinaryLike,
  salt: crypto.BinaryLike,
  iterations: number,
  keylen: number,
  digest: string,
): Buffer<ArrayBuffer> {
  return pbkdf2Of(password, salt, iterations, keylen, digest)();
}

/**
 * The same with a callback, which is called later. The computation itself is not done beside anything else: here are no
 * threads.
 *
 * @example
 * ```ts
 * import { pbkdf2 } from "wassl/node/crypto";
 *
 * pbkdf2("pencil", "salt", 4096, 32, "sha256", (error, key) => console.log(error ?? key.toString("hex")));
 * ```
 */
export function pbkdf2(
  password: crypto.BinaryLike,
  salt: crypto.BinaryLike,
  iterations: number,
  keylen: number,
  digest: string,
  callback: (error: Error | null, derivedKey: Buffer<ArrayBuffer>) => void,
): void {
  requireFunction(callback, "callback");
  later(pbkdf2Of(password, salt, iterations, keylen, digest), callback);
}

/** What `callback` throws is not caught. */
function later<T>(compute: () => T, callback: (error: Error | null, value: T) => void): void {
  queueMicrotask(() => {
    let value: T;
    try {
      value = compute();
    } catch (error) {
      callback(error as Error, undefined as T);
      return;
    }
    callback(null, value);
  });
}

// ---- random numbers ----------------------------------------------------------------------------------------------

/** The Web Cryptography API of the engine. */
export const webcrypto = globalThis.crypto as unknown as typeof crypto.webcrypto;

/** So many bytes are given at once. */
const ENTROPY = 65_536;

function fill(bytes: Uint8Array<ArrayBuffer>): void {
  for (let at = 0; at < bytes.length; at += ENTROPY)
    globalThis.crypto.getRandomValues(bytes.subarray(at, at + ENTROPY));
}

/**
 * Random bytes of the engine's own generator, as `crypto.randomBytes` gives them.
 *
 * @example
 * ```ts
 * import { randomBytes } from "wassl/node/crypto";
 *
 * const nonce = randomBytes(18).toString("base64");
 * ```
 */
export const randomBytes: typeof crypto.randomBytes = ((
  size: number,
  callback?: (error: Error | null, buffer: Buffer<ArrayBuffer>) => void,
): Buffer<ArrayBuffer> | undefined => {
  requireInteger(size, "size", 0, MOST);
  if (callback !== undefined) requireFunction(callback, "callback");
  // Not of the pool that small Buffers share.
  const bytes = Buffer.from(new ArrayBuffer(size));
  fill(bytes);
  if (!callback) return bytes;
  later(() => bytes, callback);
  return undefined;
}) as typeof crypto.randomBytes;

/**
 * Fills a buffer, or a part of it, with random bytes, as `crypto.randomFillSync` does; offset and size are in elements.
 *
 * @example
 * ```ts
 * import { randomFillSync } from "wassl/node/crypto";
 *
 * const mask = randomFillSync(new Uint8Array(4));
 * ```
 */
export function randomFillSync<T extends Memory>(buffer: T, offset?: number, size?: number): T {
  const memory = memoryOf(buffer);
  if (!memory) throw wrongType("buf", "an instance of ArrayBuffer or ArrayBufferView", buffer);
  const each = (buffer as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
  const all = memory.length / each;
  const from = offset ?? 0;
  requireInteger(from, "offset", 0, all);
  const count = size ?? all - from;
  requireInteger(count, "size", 0, MOST);
  if (from + count > all) throw outOfRange("size + offset", `<= ${all}`, from + count);
  fill(memory.subarray(from * each, (from + count) * each));
  return buffer;
}

/**
 * A whole number from `min` (0 by default) up to `max`, which is never reached, each as likely as the next, as
 * `crypto.randomInt` gives it.
 *
 * @example
 * ```ts
 * import { randomInt } from "wassl/node/crypto";
 *
 * const dice = randomInt(1, 7);
 * ```
 */
export const randomInt: typeof crypto.randomInt = ((
  first: number,
  second?: number | ((error: Error | null, value: number) => void),
  third?: (error: Error | null, value: number) => void,
): number | undefined => {
  const alone = second === undefined || typeof second === "function";
  const [min, max] = alone ? [0, first] : [first, second];
  const callback = alone ? second : third;
  for (const [name, value] of [
    ["min", min],
    ["max", max],
  ] as const)
    if (!Number.isSafeInteger(value)) throw wrongType(name, "a safe integer", value);
  if (callback !== undefined) requireFunction(callback, "callback");
  if (max <= min) throw outOfRange("max", `greater than the value of "min" (${min})`, max);
  const range = max - min;
  if (range > 2 ** 48 - 1)
    throw outOfRange(alone ? "max" : "max - min", `<= ${2 ** 48 - 1}`, alone ? max : range);
  // The last stretch that is shorter than the others would make its numbers likelier.
  const limit = 2 ** 48 - (2 ** 48 % range);
  let drawn: number;
  do drawn = randomBytes(6).readUIntBE(0, 6);
  while (drawn >= limit);
  const value = min + (drawn % range);
  if (!callback) return value;
  later(() => value, callback);
  return undefined;
}) as typeof crypto.randomInt;

/**
 * A random UUID, version 4 (RFC 9562 §5.4), as `crypto.randomUUID` gives it; also in pages that came by http.
 *
 * @example
 * ```ts
 * import { randomUUID } from "wassl/node/crypto";
 *
 * console.log(randomUUID());
 * ```
 */
export function randomUUID(_options?: crypto.RandomUUIDOptions): crypto.UUID {
  const bytes = randomBytes(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") as crypto.UUID;
}

/**
 * Whether two buffers of the same length hold the same bytes. The time that it takes does not depend on the bytes.
 *
 * @example
 * ```ts
 * import { createHmac, timingSafeEqual } from "wassl/node/crypto";
 *
 * declare const signature: Uint8Array;
 * const right = createHmac("sha256", "key").update("message").digest();
 * console.log(signature.length === right.length && timingSafeEqual(signature, right));
 * ```
 */
export function timingSafeEqual(a: Memory, b: Memory): boolean {
  const expected = "an instance of ArrayBuffer, Buffer, TypedArray, or DataView";
  const [one, other] = [memoryOf(a), memoryOf(b)];
  if (!one) throw wrongType("buf1", expected, a);
  if (!other) throw wrongType("buf2", expected, b);
  if (one.length !== other.length) {
    const message = "Input buffers must have the same byte length";
    throw argumentError(RangeError, "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH", message);
  }
  return sameBytes(openssl(), one, other);
}

// ---- public keys -------------------------------------------------------------------------------------------------

/** What stands beside a key. */
interface EncryptOptions {
  padding?: number | undefined;
  oaepHash?: string | undefined;
  oaepLabel?: crypto.BinaryLike | undefined;
  encoding?: BufferEncoding | undefined;
}

/** How RSA pads. */
export const constants = { RSA_PKCS1_PADDING, RSA_NO_PADDING, RSA_PKCS1_OAEP_PADDING } as const;

/**
 * Reads a public key, for {@link publicEncrypt}: PEM of `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`, or DER of the
 * first two.
 *
 * @example
 * ```ts
 * import { createPublicKey } from "wassl/node/crypto";
 *
 * const key = createPublicKey(pem);
 * console.log(key.asymmetricKeyType, key.asymmetricKeyDetails?.modulusLength);
 * ```
 *
 * @throws Error of the code `ERR_OSSL_UNSUPPORTED` when it cannot be read
 */
export function createPublicKey(key: Parameters<typeof crypto.createPublicKey>[0]): crypto.KeyObject {
  return readPublicKey(openssl(), key);
}

/**
 * Encrypts to an RSA key, as `crypto.publicEncrypt` does: what MySQL's caching_sha2_password asks of a client. With a
 * key alone the padding is OAEP with SHA-1.
 *
 * @example
 * ```ts
 * import { constants, publicEncrypt } from "wassl/node/crypto";
 *
 * const key = { key: pem, padding: constants.RSA_PKCS1_OAEP_PADDING };
 * const encrypted = publicEncrypt(key, new TextEncoder().encode("secret"));
 * ```
 *
 * @throws Error of OpenSSL's code, for example `ERR_OSSL_RSA_DATA_TOO_LARGE_FOR_KEY_SIZE`
 */
export function publicEncrypt(
  key: Parameters<typeof crypto.publicEncrypt>[0],
  buffer: crypto.BinaryLike,
): Buffer<ArrayBuffer> {
  const instance = openssl();
  const options: EncryptOptions = typeof key === "object" && "key" in key ? key : {};
  const { padding = RSA_PKCS1_OAEP_PADDING, oaepHash = "sha1", oaepLabel, encoding } = options;
  requireInteger(padding, "key.padding", 0, MOST);
  requireString(oaepHash, "key.oaepHash");
  const algorithm = algorithmOf(oaepHash);
  if (!algorithm) throw argumentError(Error, "ERR_OSSL_EVP_INVALID_DIGEST", "Invalid digest used");
  const label = oaepLabel === undefined ? undefined : bytesOf(oaepLabel, "key.oaepLabel");
  const data = bytesOf(buffer, "buffer", encoding);
  const der = PublicKeyObject.derOf(readPublicKey(instance, key));
  try {
    const encrypted = encrypt(instance, der, data, { padding, algorithm, ...(label && { label }) });
    return Buffer.from(encrypted.buffer);
  } catch (error) {
    throw opensslError(error);
  }
}

/** What `import crypto from "node:crypto"` gives, as far as it is here. */
export default {
  Hash,
  Hmac,
  constants,
  createHash,
  createHmac,
  createPublicKey,
  getHashes,
  pbkdf2,
  pbkdf2Sync,
  publicEncrypt,
  randomBytes,
  randomFillSync,
  randomInt,
  randomUUID,
  timingSafeEqual,
  webcrypto,
};
