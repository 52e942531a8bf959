import { WASSL_ROLE_DTLS, WASSL_ROLE_SERVER } from "../binding/abi.js";
import { type Borrowed, type Bytes, bool, type Ok, type Owned, type Text } from "../binding/pointers.js";
import { nearest } from "../check.js";
import { type OpenSslError, TlsError } from "../errors.js";
import { whatIsLacking } from "./algorithms.js";
import type { BioPairCore } from "./bio-pair-core.js";
import { bytesOf, Handle, type Library } from "./library.js";
import { SslCore } from "./ssl-core.js";
import type { TrustAnchors } from "./trust-anchors.js";
import { isAnotherKey, isOfAnotherKind, isTooWeak, whatIsWrong } from "./unusable.js";
import { addCaCert, addCrl, addTrustAnchors, setVerifyParam, type VerifyParam } from "./verify.js";
import { X509 } from "./x509.js";

/** `TLS_client_method()` and its siblings. */
export type Role = "client" | "server" | "dtls-client" | "dtls-server";

const ROLE_BITS: Readonly<Record<Role, number>> = {
  client: 0,
  server: WASSL_ROLE_SERVER,
  "dtls-client": WASSL_ROLE_DTLS,
  "dtls-server": WASSL_ROLE_SERVER | WASSL_ROLE_DTLS,
};

export function requireList(value: unknown, what: string): void {
  if (!Array.isArray(value)) throw new TlsError("invalid-argument", `${what} must be a list`);
}

function requireVersion(version: unknown): void {
  if (typeof version !== "number")
    throw new TlsError(
      "invalid-argument",
      "a version must be one of OpenSSL's numbers, such as TLS1_3_VERSION",
    );
}

/** What a name that OpenSSL does not know may have been meant for. */
const SUITES = "TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384";
const GROUPS = "X25519MLKEM768 X25519 P-256 P-384 P-521 secp256r1 secp384r1 secp521r1";
const SIGNATURES =
  "ecdsa_secp256r1_sha256 ecdsa_secp384r1_sha384 ed25519 rsa_pss_rsae_sha256 rsa_pkcs1_sha256 ECDSA+SHA256 RSA-PSS+SHA256";

/** What this package's own clients need of an `SSL_CTX`. {@link SslContext} has the rest. */
export class SslContextCore extends Handle<"contexts"> {
  /** @internal */
  static readonly kind = "contexts";
  /** @internal */
  static create<T extends SslContextCore>(
    this: new (
      library: Library,
      ptr: Owned<"SSL_CTX">,
    ) => T,
    library: Library,
    role: Role,
  ): T {
    const bits = ROLE_BITS[role];
    if (bits === undefined)
      throw new TlsError(
        "invalid-argument",
        `the role must be "client", "server", "dtls-client" or "dtls-server", not "${role}"`,
      );
    library.abi.wassl_ERR_clear_error();
    const made = new this(library, library.check(library.abi.wassl_SSL_CTX_new(bits), "no SSL_CTX"));
    made.isDtls = (bits & WASSL_ROLE_DTLS) !== 0;
    return made;
  }

  /** Its connections carry datagrams. @internal */
  isDtls = false;

  /** @internal */
  protected set(
    what: string,
    call: (ctx: Borrowed<"SSL_CTX">) => Ok,
    explain?: (errors: readonly OpenSslError[]) => string,
  ): void {
    const ctx = this.ptr;
    this.library.abi.wassl_ERR_clear_error();
    this.library.check(call(ctx), what, "invalid-argument", explain);
  }

  /** A list of names. OpenSSL takes it or not; the name that it does not know is found by trying each. */
  #setNames(
    what: string,
    list: string,
    usual: string,
    call: (ctx: Borrowed<"SSL_CTX">, ptr: Text) => Ok,
  ): void {
    const { memory } = this.library;
    const isUnknown = (name: string) => memory.withText(name, (ptr) => call(this.ptr, ptr)) === 0;
    const explain = () => {
      // "?" and "*" and "-" in front of a group are no part of its name, and "/" is as good as ":".
      const names =
        typeof list === "string" ? list.split(/[:/]/).map((each) => each.replace(/^[?*-]+/, "")) : [];
      const unknown = names.filter(isUnknown);
      const [first = ""] = unknown;
      const near = unknown.length === 1 && nearest(first, usual.split(" "));
      const hint = near ? `; did you mean "${near}"?` : "";
      const quoted = unknown.map((each) => `"${each}"`).join(", ");
      return unknown.length > 0 ? `this build of OpenSSL does not know ${quoted}${hint}` : "";
    };
    memory.withText(list, (ptr) => this.set(`${what} "${list}"`, (ctx) => call(ctx, ptr), explain));
  }

  /** @internal */
  protected setBytes(
    what: string,
    data: string | Uint8Array,
    call: (ctx: Borrowed<"SSL_CTX">, ptr: Bytes, n: number) => Ok,
    explain: (errors: readonly OpenSslError[]) => string = () => "",
    passphrase?: string,
  ): void {
    this.library.memory.withBytes(bytesOf(data, what), (ptr, n) =>
      this.set(
        `the ${what} cannot be used`,
        (ctx) => call(ctx, ptr, n),
        (errors) => explain(errors) || whatIsWrong(what, data, errors, passphrase),
      ),
    );
  }

  /** `TLS1_2_VERSION`, `TLS1_3_VERSION`, `DTLS1_2_VERSION`, or 0 for the lowest version. */
  setMinProtoVersion(version: number): void {
    requireVersion(version);
    this.set(`minimum version ${version}`, (c) =>
      this.library.abi.wassl_SSL_CTX_set_min_proto_version(c, version),
    );
  }

  /** The same, or 0 for the highest version. */
  setMaxProtoVersion(version: number): void {
    requireVersion(version);
    this.set(`maximum version ${version}`, (c) =>
      this.library.abi.wassl_SSL_CTX_set_max_proto_version(c, version),
    );
  }

  /** Adds `SSL_OP_*` to those that are set. Returns all of them. */
  setOptions(options: bigint): bigint {
    return this.library.abi.wassl_SSL_CTX_set_options(this.ptr, options);
  }

  /** Adds `SSL_MODE_*` to those that are set. Returns all of them. */
  setMode(mode: number): number {
    return this.library.abi.wassl_SSL_CTX_set_mode(this.ptr, mode);
  }

  /** `SSL_VERIFY_*`. As in OpenSSL nothing is verified until this is called. */
  setVerify(mode: number): void {
    this.library.abi.wassl_SSL_CTX_set_verify(this.ptr, mode);
  }

  /** How long a peer's certificates may be together, in bytes (`SSL_CTX_set_max_cert_list(3)`). */
  setMaxCertList(bytes: number): void {
    this.library.abi.wassl_SSL_CTX_set_max_cert_list(this.ptr, bytes);
  }

  /**
   * `SSL_CTX_get0_param(3)` and `X509_VERIFY_PARAM_set_flags(3)` with its siblings: how the connections that are made
   * from now on verify their peer. By default `purpose` is "sslserver" for a client and "sslclient" for a server.
   */
  setVerifyParam(param: VerifyParam): void {
    setVerifyParam(this.library, this.library.abi.wassl_SSL_CTX_get0_param(this.ptr), param);
  }

  /** `SSL_CTX_get_cert_store(3)`. The store goes when the context goes. */
  get #store(): Borrowed<"X509_STORE"> {
    return this.library.abi.wassl_SSL_CTX_get_cert_store(this.ptr);
  }

  /** 0 to 5; OpenSSL's default is 2. */
  setSecurityLevel(level: number): void {
    this.library.abi.wassl_SSL_CTX_set_security_level(this.ptr, level);
  }

  getSecurityLevel(): number {
    return this.library.abi.wassl_SSL_CTX_get_security_level(this.ptr);
  }

  /** Ciphers of TLS 1.2, in the syntax of `openssl-ciphers(1)`. */
  setCipherList(list: string): void {
    // What is never let in (options/protocol.ts) is no part of what was asked for.
    const asked = typeof list === "string" ? list.replace(/:!aNULL$/, "") : list;
    this.library.memory.withText(list, (ptr) =>
      this.set(`ciphers "${asked}"`, (c) => this.library.abi.wassl_SSL_CTX_set_cipher_list(c, ptr)),
    );
  }

  /** Cipher suites of TLS 1.3, by name, with colons between. */
  setCiphersuites(list: string): void {
    this.#setNames("cipher suites", list, SUITES, (c, p) =>
      this.library.abi.wassl_SSL_CTX_set_ciphersuites(c, p),
    );
  }

  /** `SSL_CTX_set1_groups_list(3)` */
  setGroups(list: string): void {
    this.#setNames("groups", list, GROUPS, (c, p) => this.library.abi.wassl_SSL_CTX_set1_groups_list(c, p));
  }

  /** `SSL_CTX_set1_sigalgs_list(3)` */
  setSignatureAlgorithms(list: string): void {
    this.#setNames("signature algorithms", list, SIGNATURES, (c, p) =>
      this.library.abi.wassl_SSL_CTX_set1_sigalgs_list(c, p),
    );
  }

  /**
   * The protocols that a client offers, or that a server chooses from in this order (RFC 7301). 1 to 255 bytes each, in
   * UTF-8.
   */
  setAlpnProtocols(protocols: readonly string[]): void {
    requireList(protocols, "the ALPN protocols");
    const encoder = new TextEncoder();
    const wire: number[] = [];
    for (const protocol of protocols) {
      const name = encoder.encode(protocol);
      if (name.length < 1 || name.length > 255) {
        throw new TlsError(
          "invalid-argument",
          `the ALPN protocol "${protocol}" has ${name.length} bytes, not 1 to 255`,
        );
      }
      wire.push(name.length, ...name);
    }
    if (wire.length === 0 || wire.length > 65_535) {
      throw new TlsError(
        "invalid-argument",
        "there must be one ALPN protocol at least, and all of them must fit 65,535 bytes",
      );
    }
    this.setBytes("ALPN protocols", Uint8Array.from(wire), (c, p, n) =>
      this.library.abi.wassl_SSL_CTX_set_alpn(c, p, n),
    );
  }

  /** Adds trust anchors: PEM, one or several, or one DER. All of them are added, or none. Returns how many. */
  addCaCert(data: string | Uint8Array): number {
    return addCaCert(this.library, this.#store, data);
  }

  /** Adds many trust anchors at the price of one: they are parsed when a chain leads to them. */
  addTrustAnchors(anchors: TrustAnchors): void {
    addTrustAnchors(this.library, this.#store, anchors);
  }

  /** Adds revocation lists: PEM, one or several, or one DER. They count once `setVerifyFlags` asks for them. */
  addCrl(data: string | Uint8Array): number {
    return addCrl(this.library, this.#store, data);
  }

  /** Sets this side's certificate and those above it: PEM, leaf first, or one DER. */
  useCertificateChain(data: string | Uint8Array): void {
    this.setBytes(
      "certificate",
      data,
      (c, p, n) => this.library.abi.wassl_SSL_CTX_use_certificate_chain(c, p, n),
      (errors) => (isTooWeak(errors) ? this.#whichIsTooWeak(data) : ""),
    );
  }

  #whichIsTooWeak(data: string | Uint8Array): string {
    const chain = X509.parseAll(this.library, data);
    for (const { der, subject } of chain) {
      const lacking = whatIsLacking(der);
      if (lacking) return `${subject}: ${lacking}`;
    }
    const all = chain.map(({ subject, publicKey }) => `${subject}: ${publicKey}`).join("; ");
    return `a key or a signature is too weak for \`securityLevel\` ${this.getSecurityLevel()} (${all})`;
  }

  /** Sets the key of that certificate: PEM or DER, PKCS #8 or the algorithm's own form; encrypted with `passphrase`. */
  usePrivateKey(data: string | Uint8Array, passphrase?: string): void {
    const { abi } = this.library;
    this.#withPassphrase(passphrase, (pass) =>
      this.setBytes(
        "private key",
        data,
        (c, p, n) => abi.wassl_SSL_CTX_use_PrivateKey(c, p, n, pass),
        (errors) => {
          const certificate = this.getCertificate();
          const whose = certificate ? ` (${certificate.subject}: ${certificate.publicKey})` : "";
          if (isOfAnotherKind(errors)) return `it is of another kind than the key of the certificate${whose}`;
          return isAnotherKey(errors) ? `it is not the key of the certificate${whose}` : "";
        },
        passphrase,
      ),
    );
  }

  /** The certificate that was used last (`SSL_CTX_get0_certificate(3)`). */
  getCertificate(): X509 | undefined {
    const ptr = this.library.abi.wassl_SSL_CTX_get0_certificate(this.ptr);
    return ptr === 0 ? undefined : X509.copy(this.library, ptr);
  }

  /**
   * Says that the key of that certificate is elsewhere: the handshake stops where it has to sign, see
   * `Ssl.getToBeSigned`. The caller knows the key by `id`. `algorithms` are the signatures that the key makes (RFC 8446
   * §4.2.3).
   */
  useExternalKey(id: number, algorithms: readonly number[]): void {
    const { abi } = this.library;
    const words = Uint16Array.from(algorithms);
    this.setBytes("private key", new Uint8Array(words.buffer), (c, p) =>
      abi.wassl_SSL_CTX_use_external_key(c, id, p, words.length),
    );
  }

  /**
   * Puts the identity that this client's context has on its list, and takes it from the context. A connection shows the
   * first of the list that the server asks for.
   */
  keepIdentity(): void {
    this.set("an identity", (c) => this.library.abi.wassl_SSL_CTX_keep_identity(c));
  }

  /**
   * Sets the most data that a record which is sent carries, in bytes, 512 to 16,384
   * (`SSL_CTX_set_max_send_fragment(3)`).
   */
  setMaxSendFragment(bytes: number): void {
    this.set(`records of ${bytes} bytes`, (c) =>
      this.library.abi.wassl_SSL_CTX_set_max_send_fragment(c, bytes),
    );
  }

  /** Sets certificate, key and chain from a PKCS #12 file. */
  usePkcs12(data: Uint8Array, passphrase?: string): void {
    const { abi } = this.library;
    this.#withPassphrase(passphrase, (pass) =>
      this.setBytes(
        "PKCS #12 file",
        data,
        (c, p, n) => abi.wassl_SSL_CTX_use_PKCS12(c, p, n, pass),
        undefined,
        passphrase,
      ),
    );
  }

  #withPassphrase(passphrase: string | undefined, use: (ptr: Text | 0) => void): void {
    if (passphrase === undefined) use(0);
    else this.library.memory.withText(passphrase, use);
  }

  /**
   * Adds an external pre-shared key of 1 to 512 bytes, known to both ends under `identity` (up to 256 bytes of UTF-8).
   * In TLS 1.3 it is bound to the hash of a cipher suite, by default SHA-256. TLS 1.2 needs PSK suites in
   * {@link SslContext.setCipherList}. Of several keys a client offers the first, in TLS 1.2 the one that the server's
   * hint names; a server takes each.
   */
  setPsk(identity: string, key: Uint8Array, hash: "SHA-256" | "SHA-384" = "SHA-256"): void {
    const { abi, memory } = this.library;
    if (hash !== "SHA-256" && hash !== "SHA-384") {
      throw new TlsError("invalid-argument", `a pre-shared key is for "SHA-256" or "SHA-384", not "${hash}"`);
    }
    const suite = hash === "SHA-384" ? 0x1302 : 0x1301;
    memory.withText(identity, (id) =>
      this.setBytes("pre-shared key", key, (c, p, n) => abi.wassl_SSL_CTX_add_psk(c, id, p, n, suite)),
    );
  }

  /**
   * Makes a client ask for a response and judge it (RFC 6960): its signature and signer, the certificate it is about,
   * whether it is current, and what it says. A response that is not good ends the handshake with
   * bad_certificate_status_response; so does a missing one when `required`.
   */
  checkOcspResponse(required: boolean): void {
    this.set("no OCSP request", (c) => this.library.abi.wassl_SSL_CTX_check_ocsp_response(c, bool(required)));
  }

  /** Sets `SSL_SESS_CACHE_*`. Returns the mode before. */
  setSessionCacheMode(mode: number): number {
    return this.library.abi.wassl_SSL_CTX_set_session_cache_mode(this.ptr, mode);
  }

  /** Whether `Ssl.takeSessions` returns the sessions that the cache mode names (`SSL_CTX_sess_set_new_cb(3)`). */
  keepNewSessions(on: boolean): void {
    this.library.abi.wassl_SSL_CTX_keep_new_sessions(this.ptr, bool(on));
  }

  /** Whether `Ssl.takeEvents` returns the lines of a key log, with which anybody can read the connection. */
  setKeylog(on: boolean): void {
    this.library.abi.wassl_SSL_CTX_set_keylog(this.ptr, bool(on));
  }

  /** See {@link SslContext.newSsl}. */
  newSsl(pair: BioPairCore): SslCore {
    return SslCore.create(this.library, this.ptr, pair);
  }

  /** @internal */
  protected override release(ptr: Owned<"SSL_CTX">): void {
    this.library.abi.wassl_SSL_CTX_free(ptr);
  }
}
