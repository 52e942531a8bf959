import { type Borrowed, Held, type Owned } from "../binding/pointers.js";
import { bytesOf, Handle, type Library } from "./library.js";
import type { TrustAnchors } from "./trust-anchors.js";
import { whatIsWrong } from "./unusable.js";

interface Fields {
  subject: string;
  issuer: string;
  subjectAltName: readonly string[];
  notBefore: Date;
  notAfter: Date;
  serialNumber: string;
  sha1Fingerprint: string;
  sha256Fingerprint: string;
  publicKey: string;
  publicKeyDer: Uint8Array;
}

/**
 * A certificate. It keeps its DER bytes in JavaScript, and reads the fields when one is first asked for. So there is
 * nothing to free.
 *
 * @example
 * ```ts
 * for (const certificate of openssl.parseCertificates(pem)) {
 *   console.log(certificate.subject, certificate.subjectAltName, certificate.notAfter, certificate.sha256Fingerprint);
 * }
 * ```
 */
export class X509 {
  /** The certificate as it was on the wire. */
  readonly der: Uint8Array;
  readonly #library: Library;
  #fields: Fields | undefined;

  /** @internal */
  constructor(library: Library, der: Uint8Array) {
    this.#library = library;
    this.der = der;
  }

  /** Reads one certificate, PEM or DER. @internal */
  static parse(library: Library, data: string | Uint8Array): X509 {
    const { abi, memory } = library;
    abi.wassl_ERR_clear_error();
    const ptr = memory.withBytes(bytesOf(data, "a certificate"), (at, length) =>
      abi.wassl_d2i_X509(at, length),
    );
    return X509.#take(library, library.check(ptr, "this is no certificate", "invalid-argument"));
  }

  static #take(library: Library, ptr: Owned<"X509">): X509 {
    const x509: Held<"X509"> = new Held(ptr);
    try {
      return X509.copy(library, x509.ptr);
    } finally {
      x509.giveTo(library.abi.wassl_X509_free);
    }
  }

  /** Reads all certificates of a PEM text, or the one of a DER block. @internal */
  static parseAll(library: Library, data: string | Uint8Array): X509[] {
    const list = new CertificateList(library);
    try {
      list.add(data, "the certificates");
      return X509.copyAll(library, list.ptr);
    } finally {
      list.free();
    }
  }

  /** From a `STACK_OF(X509)`, which still belongs to its owner. @internal */
  static copyAll(library: Library, stack: Borrowed<"STACK_OF(X509)">): X509[] {
    const { abi } = library;
    return Array.from({ length: abi.wassl_sk_X509_num(stack) }, (_, i) =>
      X509.copy(library, abi.wassl_sk_X509_value(stack, i)),
    );
  }

  /** @internal */
  static ofAnchors(library: Library, anchors: TrustAnchors): X509[] {
    const { abi } = library;
    const table = library.anchors(anchors);
    return Array.from({ length: abi.wassl_anchors_count(table) }, (_, i) => {
      abi.wassl_ERR_clear_error();
      const ptr = abi.wassl_anchors_certificate(table, i);
      return X509.#take(library, library.check(ptr, "a trust anchor cannot be read"));
    });
  }

  /** From a pointer, which still belongs to its owner. @internal */
  static copy(library: Library, ptr: Borrowed<"X509">): X509 {
    const der = library.memory.takeBytes(library.abi.wassl_i2d_X509(ptr));
    if (!der) throw library.failure("a certificate cannot be written");
    return new X509(library, der);
  }

  /** Distinguished name as RFC 2253 writes it, for example "CN=example.org,O=Example". */
  get subject(): string {
    return this.#read().subject;
  }
  get issuer(): string {
    return this.#read().issuer;
  }
  /** For example ["DNS:example.org", "IP Address:127.0.0.1"]. */
  get subjectAltName(): readonly string[] {
    return this.#read().subjectAltName;
  }
  get notBefore(): Date {
    return this.#read().notBefore;
  }
  get notAfter(): Date {
    return this.#read().notAfter;
  }
  /** Hexadecimal. */
  get serialNumber(): string {
    return this.#read().serialNumber;
  }
  /** "AA:BB:…", 20 bytes: for comparison with what other programs show, and not for pinning. */
  get sha1Fingerprint(): string {
    return this.#read().sha1Fingerprint;
  }
  /** "AA:BB:…", 32 bytes. */
  get sha256Fingerprint(): string {
    return this.#read().sha256Fingerprint;
  }
  /** For example "EC prime256v1 256" or "RSA 2048": algorithm, group if it has one, bits. */
  get publicKey(): string {
    return this.#read().publicKey;
  }
  /** The same as DER, SubjectPublicKeyInfo (RFC 5280 §4.1.2.7): what WebCrypto imports as "spki". */
  get publicKeyDer(): Uint8Array {
    return this.#read().publicKeyDer;
  }
  get pem(): string {
    let binary = "";
    for (const byte of this.der) binary += String.fromCharCode(byte);
    const base64 = btoa(binary);
    return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`;
  }

  #read(): Fields {
    if (this.#fields) return this.#fields;
    const { abi, memory } = this.#library;
    abi.wassl_ERR_clear_error();
    const read = memory.withBytes(this.der, (at, length) => abi.wassl_d2i_X509(at, length));
    const x509: Held<"X509"> = new Held(this.#library.check(read, "a certificate cannot be read"));
    try {
      const { ptr } = x509;
      const fields = {
        subject: memory.takeText(abi.wassl_X509_subject(ptr)) ?? "",
        issuer: memory.takeText(abi.wassl_X509_issuer(ptr)) ?? "",
        subjectAltName: textsOf(memory.takeBytes(abi.wassl_X509_subject_alt_names(ptr))),
        notBefore: new Date(abi.wassl_X509_not_before(ptr) * 1000),
        notAfter: new Date(abi.wassl_X509_not_after(ptr) * 1000),
        serialNumber: memory.takeText(abi.wassl_X509_serial(ptr)) ?? "",
        sha1Fingerprint: hex(memory.takeBytes(abi.wassl_X509_sha1(ptr))),
        sha256Fingerprint: hex(memory.takeBytes(abi.wassl_X509_sha256(ptr))),
        publicKey: memory.takeText(abi.wassl_X509_public_key(ptr)) ?? "unknown",
        publicKeyDer: memory.takeBytes(abi.wassl_i2d_X509_PUBKEY(ptr)) ?? new Uint8Array(0),
      };
      // What cannot be read is told as empty. But when there was no memory for it, that is an error.
      const failure = this.#library.failure("a certificate cannot be read");
      if (failure.code === "out-of-memory") throw failure;
      this.#fields = fields;
      return fields;
    } finally {
      x509.giveTo(abi.wassl_X509_free);
    }
  }
}

/** `STACK_OF(X509)`. Not public. */
export class CertificateList extends Handle<"certificateLists"> {
  /** @internal */
  static readonly kind = "certificateLists";
  constructor(library: Library) {
    library.abi.wassl_ERR_clear_error();
    super(library, library.check(library.abi.wassl_sk_X509_new(), "no list of certificates"));
  }

  /** All of a PEM text, or the one of a DER block, or none of them if one cannot be read. */
  add(data: string | Uint8Array, what: string): void {
    const { abi, memory } = this.library;
    abi.wassl_ERR_clear_error();
    const count = memory.withBytes(bytesOf(data, what), (at, length) =>
      abi.wassl_sk_X509_add(this.ptr, at, length),
    );
    this.library.check(count, `${what} cannot be read`, "invalid-argument", (errors) =>
      whatIsWrong("certificate", data, errors),
    );
  }

  protected override release(ptr: Owned<"STACK_OF(X509)">): void {
    this.library.abi.wassl_sk_X509_free(ptr);
  }
}

const decoder = new TextDecoder();

/** Texts with a length word before each (see abi.h). */
function textsOf(bytes = new Uint8Array(0)): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + view.getUint32(at, true);
    texts.push(decoder.decode(bytes.subarray(at + 4, end)));
    at = end;
  }
  return texts;
}

function hex(bytes = new Uint8Array(0)): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0").toUpperCase()).join(":");
}
