/** Errors as Node.js has them: a `code` in capitals, where Wassl's own error is the `cause`. */
import { TlsAlertError, TlsCertificateError, TlsError, TlsTruncationError } from "wassl";

export type NodeError = Error & { code: string } & Record<string, unknown>;

/** An error with a code, and whatever else belongs to it. */
export function nodeError(
  code: string,
  message: string,
  more: object = {},
  // biome-ignore lint/suspicious/noExplicitAny: TypeError, RangeError
  Type: new (message: string) => any = Error,
): NodeError {
  return Object.assign(new Type(message) as Error, { code }, more) as NodeError;
}

/** Of any realm. */
const isError = (value: unknown): value is Error =>
  typeof (value as Partial<Error> | null)?.message === "string";

/** What Node.js says of an argument of another type. */
export function wrongType(name: string, expected: string): NodeError {
  return nodeError("ERR_INVALID_ARG_TYPE", `The ${name} must be of type ${expected}.`, {}, TypeError);
}

/** The alerts that OpenSSL's own names say in other words than RFC 8446 §6.2. */
const OLD_ALERTS = new Set([
  "unexpected_message",
  "bad_record_mac",
  "decompression_failure",
  "handshake_failure",
  "no_certificate",
  "bad_certificate",
  "unsupported_certificate",
  "certificate_revoked",
  "certificate_expired",
  "certificate_unknown",
  "illegal_parameter",
]);

/** Of a connection that is no more, or that was never there. */
export function connectionError(error: unknown): Error {
  if (error instanceof TlsCertificateError) return verifyError(error.failure, error);
  if (error instanceof TlsAlertError) {
    const { description } = error.alert;
    const prefix = OLD_ALERTS.has(description) ? "SSLV3" : "TLSV1";
    const reason = `${prefix.toLowerCase()} alert ${description.replaceAll("_", " ")}`;
    return sslError(reason, "SSL routines", error.message, error);
  }
  if (error instanceof TlsTruncationError) return reset(error);
  if (error instanceof TlsError) {
    const [first] = error.errors;
    if (first) return sslError(first.reason, first.library, first.text, error);
    if (error.code === "transport") return transportError(error);
    if (error.code === "timeout")
      return nodeError("ERR_TLS_HANDSHAKE_TIMEOUT", "TLS handshake timeout", { cause: error });
    if (error.code === "not-tls")
      return sslError("wrong version number", "SSL routines", error.message, error);
  }
  return isError(error) ? error : new Error(String(error), { cause: error });
}

function sslError(reason: string, library: string, message: string, cause: Error): NodeError {
  const words = (text: string) => text.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_");
  // As Node.js calls it: "SSL routines" are not named twice.
  const room = library === "SSL routines" ? "SSL" : `OSSL_${words(library.replace(/ routines$/, ""))}`;
  const code = `ERR_${room}_${words(reason)}`;
  return nodeError(code, message, { library, reason, cause });
}

function reset(cause: Error): NodeError {
  return nodeError("ECONNRESET", "read ECONNRESET", { errno: -104, syscall: "read", cause });
}

/** The host's own error, ECONNREFUSED say, if one is below. */
function transportError(error: TlsError): Error {
  for (let at: unknown = error.cause; isError(at); at = at.cause) {
    if (/^E[A-Z]+$/.test(String((at as Partial<NodeError>).code))) return at;
  }
  return reset(error);
}

/** Of a connection that did not come about. */
export function connectError(error: unknown, host: string, port: number): Error {
  if (error instanceof TlsError && error.code === "transport") {
    const below = transportError(error) as NodeError;
    if (below.code !== "ECONNRESET") return below;
    const where = { errno: -111, syscall: "connect", address: host, port, cause: error };
    return nodeError("ECONNREFUSED", `connect ECONNREFUSED ${host}:${port}`, where);
  }
  return isError(error) ? error : new Error(String(error), { cause: error });
}

/** As Node.js tells that a certificate was not accepted: OpenSSL's name, and OpenSSL's words. */
export function verifyError(failure: { error: string; text: string }, cause?: unknown): NodeError {
  const code = failure.error.replace("X509_V_ERR_", "");
  return nodeError(code, failure.text, cause === undefined ? {} : { cause });
}
