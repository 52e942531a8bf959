/** How certificates are verified: the same for a handshake and for `verifyChain`. */
import { bytes, date, either, flag, listOf, oneOf, type Table, text, whole } from "../check.js";
import { TlsError } from "../errors.js";
import type { Purpose, VerifyFlag, VerifyParam } from "../openssl/verify.js";

/** How to verify a chain of certificates (`openssl-verification-options(1)`). */
export interface VerifyOptions {
  /** Verifies as of this moment instead of now; years 0 to 9999. */
  time?: Date | undefined;
  /** What the certificate must be good for. Default "sslserver"; when a server verifies a client, "sslclient". */
  purpose?: Purpose | undefined;
  /** How many certificates there may be between the leaf and the trust anchor, 0 to 100. Default 100. */
  depth?: number | undefined;
  /**
   * Lets a trust anchor be a certificate that is not self-signed: an intermediate certificate, or the leaf. Default
   * false.
   */
  partialChain?: boolean | undefined;
  /**
   * Revocation lists: PEM, which may hold several, or one in DER. With them every certificate of the chain is checked,
   * and a certificate without a current list fails. The flag `X509_V_FLAG_CRL_CHECK` checks the leaf alone. `[]` checks
   * too, and accepts nothing. Of two lists of one issuer the newer counts; two lists of the same second must say the
   * same.
   */
  crls?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /**
   * The certificate policies that are acceptable, as object identifiers: "2.23.140.1.2.1" (RFC 5280 §6.1.1,
   * user-initial-policy-set). With the flag `X509_V_FLAG_EXPLICIT_POLICY` the chain must be good for one of them;
   * without the flag only what certificates themselves demand must be met. "2.5.29.32.0" stands for any policy. At
   * least one is needed. If this is left out, no policy is acceptable where one is asked for.
   */
  policies?: readonly string[] | undefined;
  /**
   * OpenSSL's flags by name, `X509_VERIFY_PARAM_set_flags(3)` and `X509_check_host(3)`. Some of them make the
   * verification laxer. Beside them `X509_CHECK_FLAG_NEVER_CHECK_SUBJECT` and `X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS`
   * are set wherever a name is compared (RFC 9525 §6.3), unless `unsafelyAllowLegacyNames` is set; without that option
   * `X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT` is refused.
   */
  flags?: readonly VerifyFlag[] | undefined;
}

const LIST = either(text, bytes());

export const VERIFY_OPTIONS: Table<VerifyOptions> = {
  time: date,
  purpose: oneOf(
    ...keysOf<Purpose>({
      sslclient: 0,
      sslserver: 0,
      nssslserver: 0,
      smimesign: 0,
      smimeencrypt: 0,
      crlsign: 0,
      any: 0,
      ocsphelper: 0,
      timestampsign: 0,
      codesign: 0,
    }),
  ),
  depth: whole(0, 100),
  partialChain: flag,
  crls: either(LIST, listOf(LIST)),
  policies: listOf(text, 1),
  flags: listOf(text),
};

function keysOf<Name extends string>(names: Record<Name, unknown>): Name[] {
  return Object.keys(names) as Name[];
}

/** What an `SslContext` and an `X509Store` have in common. */
interface Verifier {
  addCrl(data: string | Uint8Array): number;
  setVerifyParam(param: VerifyParam): void;
}

/** RFC 9525 §6.3. OpenSSL's own default follows RFC 2818. */
const NAMES: readonly VerifyFlag[] = [
  "X509_CHECK_FLAG_NEVER_CHECK_SUBJECT",
  "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS",
];

export interface MoreToVerify extends Omit<VerifyParam, "flags"> {
  /**
   * Names are compared as RFC 9525 says. If no name is compared, OpenSSL compares the common name with the name
   * constraints of the authorities above, in case a program takes it for a name.
   */
  rfc9525: boolean;
}

/** `more` is what else is known of the peer. */
export function applyVerifyOptions(
  to: Verifier,
  options: VerifyOptions,
  { rfc9525, ...more }: MoreToVerify,
): void {
  // Without a prototype: a flag that it does not name must not be found in Object.prototype.
  const set = (param: VerifyParam) => to.setVerifyParam(Object.assign(Object.create(null), param));
  const { time, purpose, depth, partialChain, crls, policies, flags = [] } = options;
  // First, because it checks whether `flags` is a list of names. In OpenSSL each X509_CHECK_FLAG_ that is set turns off
  // all others.
  set({ time, purpose, depth, flags, policies, ...more });
  if (rfc9525) {
    if (flags.includes("X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT")) {
      throw new TlsError(
        "invalid-argument",
        "X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT needs unsafelyAllowLegacyNames",
      );
    }
    const names = flags.filter((flag) => flag.startsWith("X509_CHECK_FLAG_"));
    set({ flags: [...names, ...NAMES] });
  }
  if (partialChain) set({ flags: ["X509_V_FLAG_PARTIAL_CHAIN"] });
  const all = flags.includes("X509_V_FLAG_CRL_CHECK_ALL");
  const leafAlone = flags.includes("X509_V_FLAG_CRL_CHECK") && !all;
  // CRL_CHECK_ALL has no effect in OpenSSL without CRL_CHECK, so setting it sets both.
  if (all || crls !== undefined) set({ flags: ["X509_V_FLAG_CRL_CHECK"] });
  if (crls === undefined) return;
  for (const crl of Array.isArray(crls) ? crls : [crls]) to.addCrl(crl);
  if (!leafAlone) set({ flags: ["X509_V_FLAG_CRL_CHECK_ALL"] });
}
