import { WASSL_ROLE_DTLS, WASSL_ROLE_SERVER, WASSL_TICKET_KEY_SIZE } from "../binding/abi.js";
import { type Borrowed, type Bytes, bool, type Ok, type Owned, type Text } from "../binding/pointers.js";
import { type OpenSslError, TlsError } from "../errors.js";
import { whatIsLacking } from "./algorithms.js";
import type { BioPair } from "./bio-pair.js";
import { bytesOf, Handle, type Library, requireBytes } from "./library.js";
import { Ssl } from "./ssl.js";
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

function requireList(value: unknown, what: string): void {
  if (!Array.isArray(value)) throw new TlsError("invalid-argument", `${what} must be a list`);
}

function requireVersion(version: unknown): void {
  if (typeof version !== "number") throw new TlsError("invalid-argument", "a version must be a number");
}

function requireUint32(value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > 2 ** 32 - 1) {
    throw new TlsError("invalid-argument", "the limit of early data must be whole bytes, 0 to 2^32 - 1");
  }
}

/**
 * `SSL_CTX`: what many connections share. It is as OpenSSL makes it, except for one mode:
 * `SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER` is on, because JavaScript has no addresses that could stay the same.
 *
 * Methods that set something throw a `TlsError` with OpenSSL's reasons when OpenSSL refuses it.
 *
 * @example
 * ```ts
 * import { SSL_VERIFY_PEER } from "wassl/openssl";
 *
 * using context = openssl.newContext("client");
 * context.addCaCert(pem);
 * context.setVerify(SSL_VERIFY_PEER);
 * using pair = openssl.newBioPair();
 * using ssl = context.newSsl(pair);
 * ssl.setHost("example.org"); // the name that the certificate must be for
 * ssl.setConnectState();
 * ```
 */
export class SslContext extends Handle<"contexts"> {
  /** @internal */
  static readonly kind = "contexts";
  /** @internal */
  static create(library: Library, role: Role): SslContext {
    const bits = ROLE_BITS[role];
    if (bits === undefined) throw new TlsError("invalid-argument", `there is no role "${role}"`);
    library.abi.wassl_ERR_clear_error();
    return new SslContext(library, library.check(library.abi.wassl_SSL_CTX_new(bits), "no SSL_CTX"));
  }

  #set(
    what: string,
    call: (ctx: Borrowed<"SSL_CTX">) => Ok,
    explain?: (errors: readonly OpenSslError[]) => string,
  ): void {
    const ctx = this.ptr;
    this.library.abi.wassl_ERR_clear_error();
    this.library.check(call(ctx), what, "invalid-argument", explain);
  }

  /** A list of names. OpenSSL takes it or not; the name that it does not know is found by trying each. */
  #setNames(what: string, list: string, call: (ctx: Borrowed<"SSL_CTX">, ptr: Text) => Ok): void {
    const { memory } = this.library;
    const isUnknown = (name: string) => memory.withText(name, (ptr) => call(this.ptr, ptr)) === 0;
    const explain = () => {
      // "?" and "*" and "-" in front of a group are no part of its name, and "/" is as good as ":".
      const names =
        typeof list === "string" ? list.split(/[:/]/).map((each) => each.replace(/^[?*-]+/, "")) : [];
      const unknown = names.filter(isUnknown).map((each) => `"${each}"`);
      return unknown.length > 0 ? `this build of OpenSSL does not know ${unknown.join(", ")}` : "";
    };
    memory.withText(list, (ptr) => this.#set(`${what} "${list}"`, (ctx) => call(ctx, ptr), explain));
  }

  #setBytes(
    what: string,
    data: string | Uint8Array,
    call: (ctx: Borrowed<"SSL_CTX">, ptr: Bytes, n: number) => Ok,
    explain: (errors: readonly OpenSslError[]) => string = () => "",
  ): void {
    this.library.memory.withBytes(bytesOf(data, what), (ptr, n) =>
      this.#set(
        `the ${what} cannot be used`,
        (ctx) => call(ctx, ptr, n),
        (errors) => explain(errors) || whatIsWrong(what, data, errors),
      ),
    );
  }

  /** `TLS1_2_VERSION`, `TLS1_3_VERSION`, `DTLS1_2_VERSION`, or 0 for the lowest version. */
  setMinProtoVersion(version: number): void {
    requireVersion(version);
    this.#set(`minimum version ${version}`, (c) =>
      this.library.abi.wassl_SSL_CTX_set_min_proto_version(c, version),
    );
  }

  /** The same, or 0 for the highest version. */
  setMaxProtoVersion(version: number): void {
    requireVersion(version);
    this.#set(`maximum version ${version}`, (c) =>
      this.library.abi.wassl_SSL_CTX_set_max_proto_version(c, version),
    );
  }

  /** Adds `SSL_OP_*` to those that are set. Returns all of them. */
  setOptions(options: bigint): bigint {
    return this.library.abi.wassl_SSL_CTX_set_options(this.ptr, options);
  }

  clearOptions(options: bigint): bigint {
    return this.library.abi.wassl_SSL_CTX_clear_options(this.ptr, options);
  }

  /** Adds `SSL_MODE_*` to those that are set. Returns all of them. */
  setMode(mode: number): number {
    return this.library.abi.wassl_SSL_CTX_set_mode(this.ptr, mode);
  }

  clearMode(mode: number): number {
    return this.library.abi.wassl_SSL_CTX_clear_mode(this.ptr, mode);
  }

  /** `SSL_VERIFY_*`. As in OpenSSL nothing is verified until this is called. */
  setVerify(mode: number): void {
    this.library.abi.wassl_SSL_CTX_set_verify(this.ptr, mode);
  }

  setVerifyDepth(depth: number): void {
    this.library.abi.wassl_SSL_CTX_set_verify_depth(this.ptr, depth);
  }

  /** How long a peer's certificates may be together, in bytes (`SSL_CTX_set_max_cert_list(3)`). */
  setMaxCertList(bytes: number): void {
    this.library.abi.wassl_SSL_CTX_set_max_cert_list(this.ptr, bytes);
  }

  /** Adds `X509_V_FLAG_*` to those that are set. */
  setVerifyFlags(flags: number): void {
    const { abi } = this.library;
    abi.wassl_X509_VERIFY_PARAM_set_flags(abi.wassl_SSL_CTX_get0_param(this.ptr), flags);
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
      this.#set(`ciphers "${asked}"`, (c) => this.library.abi.wassl_SSL_CTX_set_cipher_list(c, ptr)),
    );
  }

  /** Cipher suites of TLS 1.3, by name, with colons between. */
  setCiphersuites(list: string): void {
    this.#setNames("cipher suites", list, (c, p) => this.library.abi.wassl_SSL_CTX_set_ciphersuites(c, p));
  }

  /** `SSL_CTX_set1_groups_list(3)` */
  setGroups(list: string): void {
    this.#setNames("groups", list, (c, p) => this.library.abi.wassl_SSL_CTX_set1_groups_list(c, p));
  }

  /** `SSL_CTX_set1_sigalgs_list(3)` */
  setSignatureAlgorithms(list: string): void {
    this.#setNames("signature algorithms", list, (c, p) =>
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
      throw new TlsError("invalid-argument", "the ALPN protocols must be one at least and fit 65,535 bytes");
    }
    this.#setBytes("ALPN protocols", Uint8Array.from(wire), (c, p, n) =>
      this.library.abi.wassl_SSL_CTX_set_alpn(c, p, n),
    );
  }

  /** Adds trust anchors: PEM, one or several, or one DER. All of them are added, or none. Returns how many. */
  addCaCert(data: string | Uint8Array): number {
    return addCaCert(this.library, this.#store, data);
  }

  /** Makes a server that asks for certificates tell clients the names of the trust anchors that it has now. */
  sendCaNames(): void {
    this.#set("the names of caCerts cannot be sent (sendCaNames: false sends none)", (c) =>
      this.library.abi.wassl_SSL_CTX_send_ca_names(c),
    );
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
    this.#setBytes(
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
      this.#setBytes(
        "private key",
        data,
        (c, p, n) => abi.wassl_SSL_CTX_use_PrivateKey(c, p, n, pass),
        (errors) => {
          const certificate = this.getCertificate();
          const whose = certificate ? ` (${certificate.subject}: ${certificate.publicKey})` : "";
          if (isOfAnotherKind(errors)) return `it is of another kind than the key of the certificate${whose}`;
          return isAnotherKey(errors) ? `it is not the key of the certificate${whose}` : "";
        },
      ),
    );
  }

  /** The same, unless the key is another one's than the certificate's: false then. @internal */
  tryPrivateKey(data: string | Uint8Array, passphrase?: string): boolean {
    try {
      this.usePrivateKey(data, passphrase);
      return true;
    } catch (error) {
      const errors = error instanceof TlsError ? error.errors : [];
      if (isOfAnotherKind(errors) || isAnotherKey(errors)) return false;
      throw error;
    }
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
    this.#setBytes("private key", new Uint8Array(words.buffer), (c, p) =>
      abi.wassl_SSL_CTX_use_external_key(c, id, p, words.length),
    );
  }

  /**
   * Makes a server that asks for certificates resume a session only if it would accept the client's certificate now;
   * otherwise it makes a full handshake. OpenSSL verifies nothing when it resumes. For that the server's tickets hold
   * the certificates above the client's own, up to 8 KiB.
   *
   * @param maxAge how many seconds ago the full handshake of a session may have been; by default 7 days. Without a
   *   bound a session would be renewed time and again.
   */
  verifyResumed(maxAge = 604_800): void {
    this.library.abi.wassl_SSL_CTX_verify_resumed(this.ptr, maxAge);
  }

  /**
   * Sets the most data that a record which is sent carries, in bytes, 512 to 16,384
   * (`SSL_CTX_set_max_send_fragment(3)`).
   */
  setMaxSendFragment(bytes: number): void {
    this.#set(`records of ${bytes} bytes`, (c) =>
      this.library.abi.wassl_SSL_CTX_set_max_send_fragment(c, bytes),
    );
  }

  /** Makes a server stop at each ClientHello, see `Ssl.getClientHello`. */
  suspendClientHello(): void {
    this.library.abi.wassl_SSL_CTX_suspend_client_hello(this.ptr);
  }

  /** Sets certificate, key and chain from a PKCS #12 file. */
  usePkcs12(data: Uint8Array, passphrase?: string): void {
    const { abi } = this.library;
    this.#withPassphrase(passphrase, (pass) =>
      this.#setBytes("PKCS #12 file", data, (c, p, n) => abi.wassl_SSL_CTX_use_PKCS12(c, p, n, pass)),
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
      this.#setBytes("pre-shared key", key, (c, p, n) => abi.wassl_SSL_CTX_add_psk(c, id, p, n, suite)),
    );
  }

  /** The OCSP response (DER) that a server staples when the client asks for one. */
  setOcspResponse(der: Uint8Array): void {
    const { abi } = this.library;
    this.#setBytes("OCSP response", der, (c, p, n) => abi.wassl_SSL_CTX_set_ocsp_response(c, p, n));
  }

  /** Makes a client ask for a stapled OCSP response. */
  requestOcspResponse(): void {
    this.#set("no OCSP request", (c) => this.library.abi.wassl_SSL_CTX_request_ocsp_response(c));
  }

  /**
   * Makes a client ask for a response and judge it (RFC 6960): its signature and signer, the certificate it is about,
   * whether it is current, and what it says. A response that is not good ends the handshake with
   * bad_certificate_status_response; so does a missing one when `required`.
   */
  checkOcspResponse(required: boolean): void {
    this.#set("no OCSP request", (c) =>
      this.library.abi.wassl_SSL_CTX_check_ocsp_response(c, bool(required)),
    );
  }

  /** `SSL_CTX_set_quiet_shutdown(3)` */
  setQuietShutdown(on: boolean): void {
    this.library.abi.wassl_SSL_CTX_set_quiet_shutdown(this.ptr, bool(on));
  }

  getQuietShutdown(): boolean {
    return this.library.abi.wassl_SSL_CTX_get_quiet_shutdown(this.ptr) !== 0;
  }

  /** Sets `SSL_SESS_CACHE_*`. Returns the mode before. */
  setSessionCacheMode(mode: number): number {
    return this.library.abi.wassl_SSL_CTX_set_session_cache_mode(this.ptr, mode);
  }

  /** Up to 32 bytes. A server that verifies clients must set one, or resumption fails. */
  setSessionIdContext(id: Uint8Array): void {
    const { abi } = this.library;
    this.#setBytes("session id context", id, (c, p, n) => abi.wassl_SSL_CTX_set_session_id_context(c, p, n));
  }

  /** How many tickets a TLS 1.3 server sends after a full handshake. */
  setNumTickets(count: number): void {
    this.#set("number of tickets", (c) => this.library.abi.wassl_SSL_CTX_set_num_tickets(c, count));
  }

  /** `SSL_CTX_set_timeout(3)`: how long new sessions are good, in seconds; OpenSSL's default is 7,200. */
  setSessionTimeout(seconds: number): void {
    // OpenSSL takes 0 for its default.
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > 2 ** 31 - 1) {
      throw new TlsError("invalid-argument", "a session's time must be whole seconds, 1 to 2^31 - 1");
    }
    this.library.abi.wassl_SSL_CTX_set_timeout(this.ptr, seconds);
  }

  /**
   * Sets the keys of a server's tickets, 80 bytes each: 16 name, 32 HMAC-SHA-256, 32 AES-256. The first one encrypts,
   * and all of them decrypt; a client whose ticket is under another key than the first gets a new ticket. Processes
   * that share keys resume each other's sessions. Anybody who has a key can read what was sent under TLS 1.2 sessions
   * and 0-RTT: change them often (RFC 5077 §5.5). With an empty list the context uses random keys of its own, as it
   * does until this is called.
   */
  setTicketKeys(keys: readonly Uint8Array[]): void {
    requireList(keys, "ticket keys");
    const all = new Uint8Array(keys.length * WASSL_TICKET_KEY_SIZE);
    for (const [i, key] of keys.entries()) {
      requireBytes(key, "a ticket key");
      if (key.length !== WASSL_TICKET_KEY_SIZE) {
        throw new TlsError(
          "invalid-argument",
          `a ticket key has ${WASSL_TICKET_KEY_SIZE} bytes, not ${key.length}`,
        );
      }
      all.set(key, i * WASSL_TICKET_KEY_SIZE);
    }
    const { abi } = this.library;
    this.#setBytes("ticket keys", all, (c, p) => abi.wassl_SSL_CTX_set_ticket_keys(c, p, keys.length));
    all.fill(0);
  }

  /** Whether `Ssl.takeSessions` returns the sessions that the cache mode names (`SSL_CTX_sess_set_new_cb(3)`). */
  keepNewSessions(on: boolean): void {
    this.library.abi.wassl_SSL_CTX_keep_new_sessions(this.ptr, bool(on));
  }

  /** How much early data the tickets of a TLS 1.3 server allow, in bytes; 0, the default, is none. */
  setMaxEarlyData(bytes: number): void {
    requireUint32(bytes);
    this.#set("early data", (c) => this.library.abi.wassl_SSL_CTX_set_max_early_data(c, bytes));
  }

  /**
   * `SSL_CTX_set_recv_max_early_data(3)`: how much early data a server takes, in bytes; OpenSSL's default is 16,384.
   */
  setRecvMaxEarlyData(bytes: number): void {
    requireUint32(bytes);
    this.#set("early data", (c) => this.library.abi.wassl_SSL_CTX_set_recv_max_early_data(c, bytes));
  }

  /** Whether `Ssl.takeEvents` returns the lines of a key log, with which anybody can read the connection. */
  setKeylog(on: boolean): void {
    this.library.abi.wassl_SSL_CTX_set_keylog(this.ptr, bool(on));
  }

  /** Whether `Ssl.takeEvents` tells of records and handshake messages, on connections made from now on. */
  setTrace(on: boolean): void {
    this.library.abi.wassl_SSL_CTX_set_trace(this.ptr, bool(on));
  }

  /** `SSL_CTX_sess_number(3)`: sessions in the cache now. */
  sessNumber(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 20);
  }
  /** `SSL_CTX_sess_connect_good(3)` */
  sessConnectGood(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 22);
  }
  /** `SSL_CTX_sess_accept_good(3)` */
  sessAcceptGood(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 25);
  }
  /** `SSL_CTX_sess_hits(3)`: handshakes that resumed a session. */
  sessHits(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 27);
  }
  /** `SSL_CTX_sess_misses(3)` */
  sessMisses(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 29);
  }
  /** `SSL_CTX_sess_timeouts(3)` */
  sessTimeouts(): number {
    return this.library.abi.wassl_SSL_CTX_session_counter(this.ptr, 30);
  }

  /** `SSL_new(3)` with the internal half of `pair`, which then belongs to the `Ssl`. */
  newSsl(pair: BioPair): Ssl {
    return Ssl.create(this.library, this.ptr, pair);
  }

  /** @internal */
  protected override release(ptr: Owned<"SSL_CTX">): void {
    this.library.abi.wassl_SSL_CTX_free(ptr);
  }
}
