import { bytesOf, type Library } from "./library.js";

interface Fields {
  subject: string;
  issuer: string;
  subjectAltName: readonly string[];
  notBefore: Date;
  notAfter: Date;
  serialNumber: string;
  sha256Fingerprint: string;
  publicKey: string;
}

/**
 * A certificate. It keeps its DER bytes in JavaScript and reads the fields when one is first asked for, so there is
 * nothing to free.
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
    abi.tls_ERR_clear_error();
    const ptr = memory.withBytes(bytesOf(data, "a certificate"), (at, length) =>
      abi.tls_d2i_X509(at, length),
    );
    library.check(ptr, "this is no certificate", "invalid-argument");
    try {
      return X509.copy(library, ptr);
    } finally {
      abi.tls_X509_free(ptr);
    }
  }

  /** From a pointer that stays its owner's. @internal */
  static copy(library: Library, ptr: number): X509 {
    const der = library.memory.takeBytes(library.abi.tls_i2d_X509(ptr));
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
  /** "AA:BB:…", 32 bytes. */
  get sha256Fingerprint(): string {
    return this.#read().sha256Fingerprint;
  }
  /** For example "EC prime256v1 256" or "RSA 2048": algorithm, group if it has one, bits. */
  get publicKey(): string {
    return this.#read().publicKey;
  }
  get pem(): string {
    const base64 = btoa(String.fromCharCode(...this.der));
    return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`;
  }

  #read(): Fields {
    if (this.#fields) return this.#fields;
    const { abi, memory } = this.#library;
    abi.tls_ERR_clear_error();
    const ptr = memory.withBytes(this.der, (at, length) => abi.tls_d2i_X509(at, length));
    this.#library.check(ptr, "a certificate cannot be read");
    try {
      const names = memory.takeText(abi.tls_X509_subject_alt_names(ptr)) ?? "";
      const digest = memory.takeBytes(abi.tls_X509_sha256(ptr)) ?? new Uint8Array(0);
      this.#fields = {
        subject: memory.takeText(abi.tls_X509_subject(ptr)) ?? "",
        issuer: memory.takeText(abi.tls_X509_issuer(ptr)) ?? "",
        subjectAltName: names === "" ? [] : names.split("\n"),
        notBefore: new Date(abi.tls_X509_not_before(ptr) * 1000),
        notAfter: new Date(abi.tls_X509_not_after(ptr) * 1000),
        serialNumber: memory.takeText(abi.tls_X509_serial(ptr)) ?? "",
        sha256Fingerprint: Array.from(digest, (b) => b.toString(16).padStart(2, "0").toUpperCase()).join(":"),
        publicKey: memory.takeText(abi.tls_X509_public_key(ptr)) ?? "unknown",
      };
      return this.#fields;
    } finally {
      abi.tls_X509_free(ptr);
    }
  }
}
