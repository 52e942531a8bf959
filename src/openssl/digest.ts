import type { Owned } from "../binding/pointers.js";
import { withBlock } from "./block.js";
import { Handle, requireBytes } from "./library.js";
import type { OpenSsl } from "./openssl.js";

/** How many bytes cross into linear memory at once: what is hashed may be larger than all of it. */
const AT_ONCE = 65_536;

/**
 * A digest in progress, `EVP_MD_CTX(3)`; with a key it is an HMAC (RFC 2104).
 *
 * @example
 * ```ts
 * import { Digest, OpenSsl } from "wassl/openssl";
 *
 * const openssl = await OpenSsl.load();
 * const digest = Digest.create(openssl, "SHA256");
 * digest.update(new TextEncoder().encode("abc"));
 * console.log(digest.final()); // ba7816bf…
 * ```
 */
export class Digest extends Handle<"digests"> {
  /** @internal */
  static readonly kind = "digests";

  /**
   * Begins one. {@link final} frees it.
   *
   * @param algorithm by OpenSSL's name: MD5, SHA1, SHA224, SHA256, SHA384, SHA512, SHA3-256 or SHA3-512
   * @param key of an HMAC; it may be empty
   * @throws TlsError "invalid-argument" when this build has no such algorithm
   */
  static create(openssl: OpenSsl, algorithm: string, key?: Uint8Array): Digest {
    const { library } = openssl;
    const { abi, memory } = library;
    if (key !== undefined) requireBytes(key, "a key");
    abi.wassl_ERR_clear_error();
    const ptr = memory.withText(algorithm, (name) =>
      key === undefined
        ? abi.wassl_EVP_DigestInit(name, 0)
        : withBlock(memory, key, (block) => abi.wassl_EVP_DigestInit(name, block)),
    );
    return new Digest(library, library.check(ptr, `no digest "${algorithm}"`, "invalid-argument"));
  }

  /** Takes more bytes. */
  update(bytes: Uint8Array): void {
    requireBytes(bytes, "what is hashed");
    const { abi, memory } = this.library;
    abi.wassl_ERR_clear_error();
    for (let at = 0; at < bytes.length; at += AT_ONCE) {
      const done = memory.withBytes(bytes.subarray(at, at + AT_ONCE), (from, length) =>
        abi.wassl_EVP_DigestUpdate(this.ptr, from, length),
      );
      this.library.check(done, "bytes cannot be hashed");
    }
  }

  /** Returns the digest of all bytes, and frees this. */
  final(): Uint8Array<ArrayBuffer> {
    const { abi, memory } = this.library;
    abi.wassl_ERR_clear_error();
    const digest = memory.takeBytes(abi.wassl_EVP_DigestFinal(this.ptr));
    if (!digest) throw this.library.failure("a digest cannot be made");
    this.free();
    return digest;
  }

  /** Another one that has had the same bytes, `EVP_MD_CTX_dup(3)`. It is freed on its own. */
  copy(): Digest {
    const { abi } = this.library;
    abi.wassl_ERR_clear_error();
    const ptr = abi.wassl_EVP_MD_CTX_dup(this.ptr);
    return new Digest(this.library, this.library.check(ptr, "a digest cannot be copied"));
  }

  protected override release(ptr: Owned<"EVP_MD_CTX">): void {
    this.library.abi.wassl_EVP_MD_CTX_free(ptr);
  }
}

/**
 * `PKCS5_PBKDF2_HMAC(3)`, RFC 8018 §5.2: a key made of a password.
 *
 * @example
 * ```ts
 * import { OpenSsl, pbkdf2 } from "wassl/openssl";
 *
 * const openssl = await OpenSsl.load();
 * const password = new TextEncoder().encode("correct horse");
 * const salt = crypto.getRandomValues(new Uint8Array(16));
 * const key = pbkdf2(openssl, "SHA256", password, salt, 4096, 32);
 * ```
 *
 * @param algorithm of the HMAC, by OpenSSL's name
 * @param rounds 1 to 10,000,000: a server that may choose the number must not choose how long its client computes
 * @param length of the key, in bytes
 * @throws TlsError "invalid-argument"
 */
export function pbkdf2(
  openssl: OpenSsl,
  algorithm: string,
  password: Uint8Array,
  salt: Uint8Array,
  rounds: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  const { library } = openssl;
  const { abi, memory } = library;
  requireBytes(password, "a password");
  requireBytes(salt, "a salt");
  abi.wassl_ERR_clear_error();
  const key = memory.withText(algorithm, (name) =>
    withBlock(memory, password, (from) =>
      withBlock(memory, salt, (with_) => abi.wassl_PKCS5_PBKDF2_HMAC(name, from, with_, rounds, length)),
    ),
  );
  const bytes = memory.takeBytes(key);
  if (!bytes) throw library.failure("no key can be made of a password so", "invalid-argument");
  return bytes;
}

/**
 * `CRYPTO_memcmp(3)`: whether bytes are the same. How long it takes depends on their number alone. Those of another
 * number are never the same.
 *
 * @example
 * ```ts
 * import { OpenSsl, sameBytes } from "wassl/openssl";
 *
 * const openssl = await OpenSsl.load();
 * console.log(sameBytes(openssl, Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
 * ```
 */
export function sameBytes(openssl: OpenSsl, a: Uint8Array, b: Uint8Array): boolean {
  const { abi, memory } = openssl.library;
  requireBytes(a, "what is compared");
  requireBytes(b, "what is compared");
  return (
    a.length === b.length &&
    memory.withBytes(a, (one, length) =>
      memory.withBytes(b, (other) => abi.wassl_CRYPTO_memcmp(one, other, length)),
    ) === 1
  );
}
