import { withBlock } from "./block.js";
import { RSA_PKCS1_OAEP_PADDING } from "./constants.js";
import { requireBytes } from "./library.js";
import type { OpenSsl } from "./openssl.js";

/** How {@link publicEncrypt} pads. */
export interface EncryptOptions {
  /** `RSA_PKCS1_OAEP_PADDING` (the default), `RSA_PKCS1_PADDING` or `RSA_NO_PADDING`. */
  padding?: number;
  /** The digest of OAEP, by OpenSSL's name. Default: SHA1. */
  algorithm?: string;
  /** The label of OAEP (RFC 8017 §7.1.1). */
  label?: Uint8Array;
}

/**
 * Reads a public key, SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7), and returns its algorithm, its group if it has
 * one, and its bits: "RSA 2048", "EC prime256v1 256".
 *
 * @example
 * ```ts
 * import { describePublicKey, OpenSsl } from "wassl/openssl";
 *
 * const openssl = await OpenSsl.load();
 * console.log(describePublicKey(openssl, openssl.parseX509(pem).publicKeyDer));
 * ```
 *
 * @throws TlsError "invalid-argument"
 */
export function describePublicKey(openssl: OpenSsl, key: Uint8Array): string {
  const { library } = openssl;
  const { abi, memory } = library;
  requireBytes(key, "a public key");
  abi.wassl_ERR_clear_error();
  const text = memory.takeText(withBlock(memory, key, (der) => abi.wassl_PUBKEY_describe(der)));
  if (text === undefined) throw library.failure("this is no public key", "invalid-argument");
  return text;
}

/**
 * `EVP_PKEY_encrypt(3)` with an RSA key: what only the holder of the private key can read.
 *
 * @example
 * ```ts
 * import { OpenSsl, publicEncrypt } from "wassl/openssl";
 *
 * const openssl = await OpenSsl.load();
 * const key = openssl.parseX509(pem).publicKeyDer;
 * const encrypted = publicEncrypt(openssl, key, new TextEncoder().encode("a password"));
 * ```
 *
 * @param key SubjectPublicKeyInfo in DER
 * @throws TlsError "invalid-argument": no RSA key, or more bytes than it has room for
 */
export function publicEncrypt(
  openssl: OpenSsl,
  key: Uint8Array,
  data: Uint8Array,
  { padding = RSA_PKCS1_OAEP_PADDING, algorithm = "SHA1", label }: EncryptOptions = {},
): Uint8Array<ArrayBuffer> {
  const { library } = openssl;
  const { abi, memory } = library;
  requireBytes(key, "a public key");
  requireBytes(data, "what is encrypted");
  if (label !== undefined) requireBytes(label, "a label");
  abi.wassl_ERR_clear_error();
  const encrypted = withBlock(memory, key, (der) =>
    withBlock(memory, data, (from) =>
      memory.withText(algorithm, (name) =>
        label === undefined
          ? abi.wassl_EVP_PKEY_encrypt(der, from, padding, name, 0)
          : withBlock(memory, label, (block) => abi.wassl_EVP_PKEY_encrypt(der, from, padding, name, block)),
      ),
    ),
  );
  const bytes = memory.takeBytes(encrypted);
  if (!bytes) throw library.failure("this cannot be encrypted to this key", "invalid-argument");
  return bytes;
}
