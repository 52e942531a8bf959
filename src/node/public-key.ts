/** Public keys, as far as it takes to encrypt to one. */
import { Buffer } from "node:buffer";
import type * as crypto from "node:crypto";
import { describePublicKey, type OpenSsl } from "wassl/openssl";
import { argumentError, bytesOf, opensslError, requireString, wrongType } from "./arguments.js";

/** rsaEncryption (RFC 8017 appendix C), with the NULL behind it. */
const RSA = Uint8Array.of(0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0);

/** A key in DER, SubjectPublicKeyInfo, and what OpenSSL said of it. */
export class PublicKeyObject implements crypto.KeyObject {
  readonly type = "public";
  readonly #der: Uint8Array;
  readonly #words: string[];

  constructor(openssl: OpenSsl, der: Uint8Array) {
    this.#words = describePublicKey(openssl, der).split(" ");
    this.#der = new Uint8Array(der);
  }

  /** SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). */
  static derOf(key: PublicKeyObject): Uint8Array {
    return key.#der;
  }

  /** "rsa", "rsa-pss", "ec", "ed25519" … */
  get asymmetricKeyType(): crypto.AsymmetricKeyType {
    return this.#words[0]!.toLowerCase() as crypto.AsymmetricKeyType;
  }

  get asymmetricKeyDetails(): crypto.AsymmetricKeyDetails {
    const [type, group = ""] = this.#words;
    if (type === "EC") return { namedCurve: group };
    if (type !== "RSA") return {};
    const exponent = elementsOf(elementsOf(this.#pkcs1())[0]!.content)[1]!.content;
    return {
      modulusLength: Number(this.#words.at(-1)),
      publicExponent: BigInt(`0x${Buffer.from(exponent).toString("hex")}`),
    };
  }

  /** RSAPublicKey (RFC 8017 appendix A.1.1). */
  #pkcs1(): Uint8Array {
    // A bit string begins with how many bits of its last byte do not count.
    return elementsOf(elementsOf(this.#der)[0]!.content)[1]!.content.subarray(1);
  }

  /** As `spki`, the default, or RSA keys as `pkcs1`, in PEM, the default, or `der`. */
  // biome-ignore lint/suspicious/noExplicitAny: what it is depends on the format, by types that change with Node.js
  export(options: { type?: string | undefined; format?: string | undefined } = {}): any {
    const { type = "spki", format = "pem" } = options;
    const rsa = this.#words[0] === "RSA";
    if (!(type === "spki" || (type === "pkcs1" && rsa)) || !(format === "pem" || format === "der"))
      throw argumentError(TypeError, "ERR_INVALID_ARG_VALUE", `no export as ${type} in ${format}`);
    const der = Buffer.from(type === "spki" ? this.#der : this.#pkcs1());
    if (format === "der") return der;
    const label = type === "spki" ? "PUBLIC KEY" : "RSA PUBLIC KEY";
    const lines = der.toString("base64").replace(/.{1,64}/g, "$&\n");
    return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
  }

  equals(other: crypto.KeyObject): boolean {
    return other instanceof PublicKeyObject && Buffer.compare(this.#der, other.#der) === 0;
  }

  toCryptoKey(): never {
    throw argumentError(
      Error,
      "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM",
      "WebCrypto imports a key asynchronously: crypto.subtle.importKey('spki', key.export({ type: 'spki', format: 'der' }), …)",
    );
  }
}

/** What `createPublicKey` takes. */
export function readPublicKey(openssl: OpenSsl, given: unknown, encoding?: string): PublicKeyObject {
  if (given instanceof PublicKeyObject) return given;
  if (typeof given === "object" && given !== null && "key" in given) {
    const { key, format = "pem", type, encoding } = given as Record<string, unknown>;
    if (key instanceof PublicKeyObject) return key;
    if (encoding !== undefined) requireString(encoding, "key.encoding");
    if (format === "der") {
      const der = bytesOf(key, "key.key", encoding);
      return ofDer(openssl, type === "pkcs1" ? spkiOf(der) : der);
    }
    if (format === "pem")
      return readPublicKey(openssl, typeof key === "object" ? memory(key) : key, encoding);
    throw argumentError(
      TypeError,
      "ERR_INVALID_ARG_VALUE",
      `keys in the format ${String(format)} are not read here`,
    );
  }
  if ((given as { type?: unknown } | undefined)?.type === "public")
    throw wrongType("key", "of this module's createPublicKey()", given);
  return ofPem(openssl, Buffer.from(bytesOf(given, "key", encoding)).toString("latin1"));
}

const memory = (key: unknown) => bytesOf(key, "key.key");

function ofPem(openssl: OpenSsl, pem: string): PublicKeyObject {
  const found =
    /-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY|(?:TRUSTED |X509 )?CERTIFICATE)-----([^-]+)-----END \1-----/.exec(
      pem,
    );
  if (!found) throw noKey("neither PUBLIC KEY, RSA PUBLIC KEY nor CERTIFICATE is in the PEM");
  const [block, label, base64 = ""] = found;
  if (label?.endsWith("CERTIFICATE"))
    return new PublicKeyObject(openssl, openssl.parseX509(block).publicKeyDer);
  const der = Buffer.from(base64, "base64");
  return ofDer(openssl, label === "RSA PUBLIC KEY" ? spkiOf(der) : der);
}

function ofDer(openssl: OpenSsl, der: Uint8Array): PublicKeyObject {
  try {
    return new PublicKeyObject(openssl, der);
  } catch (cause) {
    throw opensslError(cause);
  }
}

/** As Node.js tells that nothing could read a key. */
function noKey(why: string): Error {
  return argumentError(Error, "ERR_OSSL_UNSUPPORTED", `error:1E08010C:DECODER routines::unsupported: ${why}`);
}

/** SubjectPublicKeyInfo around a RSAPublicKey. */
function spkiOf(pkcs1: Uint8Array): Uint8Array {
  return element(0x30, RSA, element(3, Uint8Array.of(0), pkcs1));
}

function element(tag: number, ...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, { length }) => sum + length, 0);
  const octets =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...octets), ...parts]);
}

/** The elements of DER that stand here, one behind the other. It is DER: OpenSSL has read it. */
function elementsOf(der: Uint8Array): { content: Uint8Array }[] {
  const all: { content: Uint8Array }[] = [];
  for (let at = 0; at < der.length; ) {
    const short = der[at + 1]!;
    const from = at + (short < 0x80 ? 2 : 2 + (short & 0x7f));
    let length = short < 0x80 ? short : 0;
    for (const octet of der.subarray(at + 2, from)) length = length * 256 + octet;
    all.push({ content: der.subarray(from, from + length) });
    at = from + length;
  }
  return all;
}
