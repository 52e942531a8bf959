/** Why OpenSSL could not use what it was given, where its own words ("nested asn1 error") lead nowhere. */
import type { OpenSslError } from "../errors.js";

const ERR_LIB_EVP = 6;
const ERR_LIB_PEM = 9;
const ERR_LIB_X509 = 11;
const ERR_LIB_SSL = 20;
const ERR_LIB_PKCS12 = 35;
const EVP_R_BAD_DECRYPT = 100;
const PEM_R_BAD_DECRYPT = 101;
const PEM_R_BAD_PASSWORD_READ = 104;
const PKCS12_R_DECODE_ERROR = 101;
const PKCS12_R_MAC_VERIFY_FAILURE = 113;
const X509_R_KEY_TYPE_MISMATCH = 115;
const X509_R_KEY_VALUES_MISMATCH = 116;
const SSL_R_NO_CERTIFICATE_ASSIGNED = 177;
const SSL_R_CA_KEY_TOO_SMALL = 397;
const SSL_R_CA_MD_TOO_WEAK = 398;
const SSL_R_EE_KEY_TOO_SMALL = 399;

const is = (error: OpenSslError | undefined, library: number, ...reasons: number[]) =>
  error !== undefined && ((error.code >>> 23) & 0xff) === library && reasons.includes(error.reasonCode);
const has = (errors: readonly OpenSslError[], library: number, ...reasons: number[]) =>
  errors.some((error) => is(error, library, ...reasons));

export const isTooWeak = (errors: readonly OpenSslError[]) =>
  is(errors.at(-1), ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL, SSL_R_CA_KEY_TOO_SMALL, SSL_R_CA_MD_TOO_WEAK);

/** OpenSSL has a place for a certificate of each kind of key, and the place for this key's kind is empty. */
export const isOfAnotherKind = (errors: readonly OpenSslError[]) =>
  is(errors.at(-1), ERR_LIB_SSL, SSL_R_NO_CERTIFICATE_ASSIGNED) ||
  is(errors.at(-1), ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH);

export const isAnotherKey = (errors: readonly OpenSslError[]) =>
  is(errors.at(-1), ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH);

/** What a PEM block must be for this, by the end of its name; no ending for what is DER only. */
const LABELS: Record<string, RegExp | undefined> = {
  certificate: /CERTIFICATE$/,
  "CA certificate": /CERTIFICATE$/,
  "private key": /PRIVATE KEY$/,
  CRL: /CRL$/,
  "PKCS #12 file": undefined,
  "OCSP response": undefined,
};

const PEM_BEGIN = /-----BEGIN ([^-\n]+)-----/g;

/** What only the right passphrase makes sense of made no sense. */
const isNotDecrypted = (errors: readonly OpenSslError[]) =>
  has(errors, ERR_LIB_EVP, EVP_R_BAD_DECRYPT) ||
  has(errors, ERR_LIB_PEM, PEM_R_BAD_DECRYPT) ||
  has(errors, ERR_LIB_PKCS12, PKCS12_R_DECODE_ERROR, PKCS12_R_MAC_VERIFY_FAILURE) ||
  errors.some(({ data }) => data === "maybe wrong password" || data === "empty password");

/**
 * What is wrong with data that OpenSSL could not read, by their looks and OpenSSL's errors; "" if it cannot be told.
 *
 * @param passphrase what they were to be decrypted with, if anything
 */
export function whatIsWrong(
  what: string,
  data: string | Uint8Array,
  errors: readonly OpenSslError[],
  passphrase?: string,
): string {
  const undecrypted = isNotDecrypted(errors);
  if (has(errors, ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ) || (undecrypted && passphrase === undefined))
    return "it is encrypted, and there is no `passphrase`";
  if (undecrypted) return "the `passphrase` is wrong, or it is damaged";
  // Neither is a pre-shared key, or a session id context.
  if (!Object.hasOwn(LABELS, what)) return "";
  if (data.length === 0) return "it is empty";
  const text = typeof data === "string" ? data : textOf(data);
  const wanted = LABELS[what];
  if (text !== undefined) {
    const found = [...text.matchAll(PEM_BEGIN)].map(([, label = ""]) => label);
    if (found.length === 0) {
      if (/^[^\n]{1,1000}$/.test(text.trim()) && /[./\\]/.test(text) && !/[<>{}]/.test(text)) {
        return `${JSON.stringify(text.trim())} looks like the name of a file or a URL: what is in it must be given`;
      }
      return wanted ? "it is text without a PEM block (-----BEGIN …)" : "it is text, and must be DER";
    }
    if (!wanted) return "it is PEM, and must be DER";
    if (found.some((label) => wanted.test(label))) return "";
    return `it is PEM of ${[...new Set(found)].join(", ")}`;
  }
  if (data[0] !== 0x30) return wanted ? "it is neither PEM nor DER" : "it is no DER";
  return "";
}

/** Bytes that may be text: a file's name, or PEM. */
function textOf(bytes: Uint8Array): string | undefined {
  const head = bytes.subarray(0, 65_536);
  if (!head.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 10 || byte === 13 || byte === 9))
    return undefined;
  return new TextDecoder().decode(head);
}
