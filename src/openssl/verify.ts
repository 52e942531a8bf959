import {
  type Borrowed,
  type Bytes,
  type Count,
  Held,
  type Ok,
  type Owned,
  type Text,
} from "../binding/pointers.js";
import { timeOf } from "../check.js";
import { type CertificateFailure, TlsError } from "../errors.js";
import { whatIsLacking } from "./algorithms.js";
import { X509_V_ERR } from "./constants.js";
import { bytesOf, Handle, type Library } from "./library.js";
import type { TrustAnchors } from "./trust-anchors.js";
import { whatIsWrong } from "./unusable.js";
import { CertificateList, X509 } from "./x509.js";

/**
 * `X509_VERIFY_PARAM_set_flags(3)`. Two flags are missing: `X509_V_FLAG_USE_CHECK_TIME`, which {@link VerifyParam.time}
 * sets, and `X509_V_FLAG_CB_ISSUER_CHECK`, which does nothing any more.
 */
export const X509_V_FLAG = {
  X509_V_FLAG_CRL_CHECK: 0x4,
  X509_V_FLAG_CRL_CHECK_ALL: 0x8,
  X509_V_FLAG_IGNORE_CRITICAL: 0x10,
  X509_V_FLAG_X509_STRICT: 0x20,
  X509_V_FLAG_ALLOW_PROXY_CERTS: 0x40,
  X509_V_FLAG_POLICY_CHECK: 0x80,
  X509_V_FLAG_EXPLICIT_POLICY: 0x100,
  X509_V_FLAG_INHIBIT_ANY: 0x200,
  X509_V_FLAG_INHIBIT_MAP: 0x400,
  X509_V_FLAG_NOTIFY_POLICY: 0x800,
  X509_V_FLAG_EXTENDED_CRL_SUPPORT: 0x1000,
  X509_V_FLAG_USE_DELTAS: 0x2000,
  X509_V_FLAG_CHECK_SS_SIGNATURE: 0x4000,
  X509_V_FLAG_TRUSTED_FIRST: 0x8000,
  X509_V_FLAG_SUITEB_128_LOS_ONLY: 0x10000,
  X509_V_FLAG_SUITEB_192_LOS: 0x20000,
  X509_V_FLAG_SUITEB_128_LOS: 0x30000,
  X509_V_FLAG_PARTIAL_CHAIN: 0x80000,
  X509_V_FLAG_NO_ALT_CHAINS: 0x100000,
  X509_V_FLAG_NO_CHECK_TIME: 0x200000,
} as const;

/** `X509_check_host(3)`: how names are compared. */
export const X509_CHECK_FLAG = {
  X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT: 0x1,
  X509_CHECK_FLAG_NO_WILDCARDS: 0x2,
  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS: 0x4,
  X509_CHECK_FLAG_MULTI_LABEL_WILDCARDS: 0x8,
  X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS: 0x10,
  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT: 0x20,
} as const;

/** The name of a flag of either kind. */
export type VerifyFlag = keyof typeof X509_V_FLAG | keyof typeof X509_CHECK_FLAG;

/** What a certificate is to be good for, as `openssl-verification-options(1)` names it; "any" checks nothing. */
export type Purpose =
  | "sslclient"
  | "sslserver"
  | "nssslserver"
  | "smimesign"
  | "smimeencrypt"
  | "crlsign"
  | "any"
  | "ocsphelper"
  | "timestampsign"
  | "codesign";

/** `X509_VERIFY_PARAM_set_flags(3)` and its siblings. What is left out stays as it is. */
export interface VerifyParam {
  /** Verifies as of this moment instead of now; years 0 to 9999. */
  time?: Date | undefined;
  /** How many certificates there may be between the leaf and the trust anchor, 0 to 100; OpenSSL's default is 100. */
  depth?: number | undefined;
  purpose?: Purpose | undefined;
  /** Added to those that are set. The `X509_CHECK_FLAG_*` replace all that are set of their kind. */
  flags?: readonly VerifyFlag[] | undefined;
  /** `X509_VERIFY_PARAM_add0_policy(3)`: object identifiers, "2.23.140.1.2.1", added to those that are set. */
  policies?: readonly string[] | undefined;
  /** `X509_VERIFY_PARAM_set_auth_level(3)`, 0 to 5: how strong keys and signatures must be. */
  securityLevel?: number | undefined;
  /** A DNS name in ASCII that the certificate must be for. */
  hostname?: string | undefined;
  /** An IP address that the certificate must be for. */
  ip?: string | undefined;
  /** A mail address that the certificate must be for. */
  email?: string | undefined;
}

/** One failure, as OpenSSL reported it to its verify callback. */
export interface ChainFailure extends CertificateFailure {
  readonly certificate: X509 | undefined;
}

/** Those that may mean that this build lacks an algorithm: OpenSSL says so in neither. */
const OF_ALGORITHMS: ReadonlySet<string> = new Set([
  "X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
  "X509_V_ERR_CERT_SIGNATURE_FAILURE",
  "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT",
  "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT",
  "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN",
  "X509_V_ERR_EE_KEY_TOO_SMALL",
  "X509_V_ERR_CA_KEY_TOO_SMALL",
  "X509_V_ERR_CA_MD_TOO_WEAK",
  "X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM",
  "X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH",
  "X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY",
]);

/** @internal */
export function chainFailure(
  library: Library,
  code: number,
  depth: number,
  ptr: Borrowed<"X509"> | 0,
): ChainFailure {
  const certificate = ptr === 0 ? undefined : X509.copy(library, ptr);
  const error = X509_V_ERR[code] ?? `X509_V_ERR_${code}`;
  const text = library.memory.text(library.abi.wassl_X509_verify_cert_error_string(code)) ?? "";
  const lacking = certificate && OF_ALGORITHMS.has(error) ? whatIsLacking(certificate.der) : "";
  return { error, code, text: lacking ? `${text}: ${lacking}` : text, depth, certificate };
}

/**
 * The result of a verification. `chain` begins with the leaf, and ends with the trust anchor, or where nothing further
 * was found. The first failure is OpenSSL's verdict, with which a handshake would have ended. The others were found by
 * going on, and may follow from it.
 */
export type VerifyResult =
  | { readonly ok: true; readonly chain: readonly X509[] }
  | { readonly ok: false; readonly chain: readonly X509[]; readonly failures: readonly ChainFailure[] };

/**
 * `X509_STORE`: trust anchors, revocation lists, and how to verify. At first nothing is trusted, and no purpose, name
 * or level is checked.
 *
 * Methods that set something throw a `TlsError` with OpenSSL's reasons when OpenSSL refuses it.
 *
 * @example
 * ```ts
 * using store = openssl.newX509Store();
 * store.addCaCert(pem);
 * store.setVerifyParam({ hostname: "example.org", purpose: "sslserver", securityLevel: 2 });
 * const result = store.verify([cert]);
 * console.log(result.ok || result.failures);
 * ```
 */
export class X509Store extends Handle<"stores"> {
  /** @internal */
  static readonly kind = "stores";
  /** @internal */
  static create(library: Library): X509Store {
    library.abi.wassl_ERR_clear_error();
    return new X509Store(library, library.check(library.abi.wassl_X509_STORE_new(), "no X509_STORE"));
  }

  /** Adds trust anchors: PEM, one or several, or one DER. All of them are added, or none. Returns how many. */
  addCaCert(data: string | Uint8Array): number {
    return addCaCert(this.library, this.ptr, data);
  }

  /** Adds many trust anchors at the price of one: they are parsed when a chain leads to them. */
  addTrustAnchors(anchors: TrustAnchors): void {
    addTrustAnchors(this.library, this.ptr, anchors);
  }

  /** Adds revocation lists: PEM, one or several, or one DER. They count once flags ask for them. */
  addCrl(data: string | Uint8Array): number {
    return addCrl(this.library, this.ptr, data);
  }

  setVerifyParam(param: VerifyParam): void {
    setVerifyParam(this.library, this.library.abi.wassl_X509_STORE_get0_param(this.ptr), param);
  }

  /**
   * `X509_verify_cert(3)`, with a callback that notes each failure and goes on.
   *
   * @param certificates PEM or DER: the leaf first, and then what may help to build its chain, which is not trusted
   */
  verify(certificates: readonly (string | Uint8Array)[]): VerifyResult {
    const { abi } = this.library;
    const store = this.ptr;
    if (certificates.length === 0)
      throw new TlsError("invalid-argument", "verify() needs a certificate: the list is empty");
    const list = new CertificateList(this.library);
    try {
      for (const [i, data] of certificates.entries()) {
        list.add(data, i === 0 ? "the certificate" : "the intermediate certificates");
      }
      abi.wassl_ERR_clear_error();
      const made = abi.wassl_X509_verify_cert(store, list.ptr);
      const verification: Held<"wassl_verification"> = new Held(
        this.library.check(made, "the certificate cannot be verified"),
      );
      try {
        return this.#result(verification.ptr);
      } finally {
        verification.giveTo(abi.wassl_verification_free);
      }
    } finally {
      list.free();
    }
  }

  #result(verification: Borrowed<"wassl_verification">): VerifyResult {
    const { abi } = this.library;
    const chain = X509.copyAll(this.library, abi.wassl_verification_chain(verification));
    const failures = Array.from({ length: abi.wassl_verification_failures(verification) }, (_, i) => {
      const code = abi.wassl_verification_error(verification, i);
      const depth = abi.wassl_verification_depth(verification, i);
      return chainFailure(this.library, code, depth, abi.wassl_verification_certificate(verification, i));
    });
    return failures.length === 0 ? { ok: true, chain } : { ok: false, chain, failures };
  }

  /** @internal */
  protected override release(ptr: Owned<"X509_STORE">): void {
    this.library.abi.wassl_X509_STORE_free(ptr);
  }
}

/** Adds to a store, which may be a context's. */
export function addCaCert(
  library: Library,
  store: Borrowed<"X509_STORE">,
  data: string | Uint8Array,
): number {
  return add(library, "CA certificate", data, (at, n) => library.abi.wassl_X509_STORE_add_ca(store, at, n));
}

export function addTrustAnchors(
  library: Library,
  store: Borrowed<"X509_STORE">,
  anchors: TrustAnchors,
): void {
  const table = library.anchors(anchors);
  library.abi.wassl_ERR_clear_error();
  library.check(library.abi.wassl_X509_STORE_add_anchors(store, table), "the trust anchors cannot be used");
}

export function addCrl(library: Library, store: Borrowed<"X509_STORE">, data: string | Uint8Array): number {
  return add(library, "CRL", data, (at, n) => library.abi.wassl_X509_STORE_add_crl(store, at, n));
}

function add(
  library: Library,
  what: string,
  data: string | Uint8Array,
  call: (at: Bytes, length: number) => Count,
): number {
  library.abi.wassl_ERR_clear_error();
  const count = library.memory.withBytes(bytesOf(data, what), call);
  return library.check(count, `the ${what} cannot be used`, "invalid-argument", (errors) =>
    whatIsWrong(what, data, errors),
  );
}

/** Everything is looked at before anything is set. */
export function setVerifyParam(
  library: Library,
  to: Borrowed<"X509_VERIFY_PARAM">,
  param: VerifyParam,
): void {
  const { abi } = library;
  const { time, depth, purpose, policies = [], securityLevel, hostname, ip, email } = param;
  const seconds = time === undefined ? undefined : secondsOf(time);
  const flags = bitsOf(param.flags);
  if (depth !== undefined) requireInteger(depth, "depth", 100);
  if (securityLevel !== undefined) requireInteger(securityLevel, "securityLevel", 5);
  requirePolicies(policies);

  const setText = (
    what: string,
    text: string | undefined,
    call: (to: Borrowed<"X509_VERIFY_PARAM">, ptr: Text) => Ok,
  ) => {
    if (text === undefined) return;
    if (typeof text !== "string" || text === "")
      throw new TlsError("invalid-argument", `the ${what} must be a text that is not empty`);
    abi.wassl_ERR_clear_error();
    library.memory.withText(text, (ptr) =>
      library.check(call(to, ptr), `the ${what} "${text}" cannot be used`, "invalid-argument"),
    );
  };
  setText("purpose", purpose, (p, text) => abi.wassl_X509_VERIFY_PARAM_set_purpose(p, text));
  for (const policy of policies) {
    setText("policy", policy, (p, text) => abi.wassl_X509_VERIFY_PARAM_add_policy(p, text));
  }
  setText("IP address", ip, (p, text) => abi.wassl_X509_VERIFY_PARAM_set1_ip_asc(p, text));
  setText("host name", hostname, (p, text) => abi.wassl_X509_VERIFY_PARAM_set1_host(p, text));
  setText("mail address", email, (p, text) => abi.wassl_X509_VERIFY_PARAM_set1_email(p, text));
  if (seconds !== undefined) abi.wassl_X509_VERIFY_PARAM_set_time(to, seconds);
  if (depth !== undefined) abi.wassl_X509_VERIFY_PARAM_set_depth(to, depth);
  if (securityLevel !== undefined) abi.wassl_X509_VERIFY_PARAM_set_auth_level(to, securityLevel);
  if (flags.verify !== 0) abi.wassl_X509_VERIFY_PARAM_set_flags(to, flags.verify);
  if (flags.check !== 0) abi.wassl_X509_VERIFY_PARAM_set_hostflags(to, flags.check);
}

function bitsOf(names: readonly VerifyFlag[] = []): { verify: number; check: number } {
  if (!Array.isArray(names)) throw new TlsError("invalid-argument", "flags must be a list of names");
  const bits = { verify: 0, check: 0 };
  for (const name of names as readonly string[]) {
    if (Object.hasOwn(X509_V_FLAG, name)) bits.verify |= X509_V_FLAG[name as keyof typeof X509_V_FLAG];
    else if (Object.hasOwn(X509_CHECK_FLAG, name))
      bits.check |= X509_CHECK_FLAG[name as keyof typeof X509_CHECK_FLAG];
    else
      throw new TlsError(
        "invalid-argument",
        `there is no flag "${name}": their names are OpenSSL's, X509_V_FLAG_… and X509_CHECK_FLAG_…`,
      );
  }
  return bits;
}

/** OpenSSL judges their numbers. */
function requirePolicies(policies: unknown): asserts policies is readonly string[] {
  if (
    !Array.isArray(policies) ||
    !policies.every((oid) => typeof oid === "string" && /^\d+(\.\d+)+$/.test(oid))
  ) {
    throw new TlsError(
      "invalid-argument",
      'policies must be a list of object identifiers, as "2.23.140.1.2.1"',
    );
  }
}

/** Seconds since 1970. OpenSSL knows the years 0 to 9999. */
function secondsOf(time: Date): number {
  const milliseconds = timeOf(time);
  const year = new Date(milliseconds).getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) {
    throw new TlsError("invalid-argument", "time must be a valid Date, of the years 0 to 9999");
  }
  return Math.floor(milliseconds / 1000);
}

function requireInteger(value: number, name: string, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new TlsError("invalid-argument", `${name} must be a whole number, 0 to ${max}`);
  }
}
