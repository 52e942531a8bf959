/** What it means when an operation of OpenSSL failed: the typed error, from all that is known at that moment. */
import { messageOf } from "../check.js";
import { type Alert, TlsAlertError, TlsCertificateError, TlsError, TlsTruncationError } from "../errors.js";
import {
  SSL_R_BAD_DH_VALUE,
  SSL_R_CERTIFICATE_VERIFY_FAILED,
  SSL_R_EXCESSIVE_MESSAGE_SIZE,
  SSL_R_NO_SHARED_CIPHER,
} from "../openssl/constants.js";
import { FAILED_SYSCALL, type SslFailure, ZERO_RETURN } from "../openssl/ssl.js";
import type { RecordEdges } from "./record-edges.js";

/** The command line has its own name for the option, and looks for this one. */
const CIPHERS_HINT =
  '; if all that it has in common with us are suites with RSA key exchange or CBC, those are off by default: `ciphers` ("DEFAULT") turns them on';

const PRIME_HINT =
  '; more than 4096 bits are slow, and accepted if `groups` names a group that large ("DEFAULT:ffdhe8192")';

/** What OpenSSL does not know, or does not say. */
export interface Circumstances {
  /** The handshake is done. */
  open: boolean;
  /** Of what was received. */
  edges: RecordEdges;
  /** OpenSSL was told that the transport has ended. */
  ended: boolean;
  /** The name of the peer whose certificate is checked; for messages. */
  peerName: string;
  fatalAlert: Alert | undefined;
  /** The cipher suites of TLS 1.2 are the default ones, and no suite was settled on. */
  defaultCiphers: boolean;
  /** The transport failed while sending, which explains the end that is seen then. */
  sendError: TlsError | undefined;
}

/**
 * @param r what the operation answered: minus an `SSL_ERROR_*` that is not a want
 * @param failure taken right after it
 */
export function explain(r: number, failure: SslFailure, circumstances: Circumstances): TlsError {
  const { open, edges, ended, peerName, defaultCiphers, fatalAlert: alert, sendError } = circumstances;
  const { errors } = failure;
  const truncated = failure.unexpectedEof || (r === FAILED_SYSCALL && ended && errors.length === 0);
  const foreign = open ? undefined : edges.foreign;
  if (failure.verify) {
    const { name, text, depth, certificate } = failure.verify;
    const subject = certificate?.subject ?? "";
    const which = subject ? ` (depth ${depth}, ${subject})` : "";
    // Where OpenSSL has but a number, wasm/abi/ocsp.c says more.
    const detail = errors.find(
      ({ reasonCode, data }) => reasonCode === SSL_R_CERTIFICATE_VERIFY_FAILED && data,
    );
    const why = detail ? `${text}: ${detail.data}` : text;
    return new TlsCertificateError(
      `the certificate of ${peerName} was not accepted: ${why}${which}`,
      { verifyError: name, depth, subject },
      { errors },
    );
  }
  if (foreign !== undefined) {
    const said = foreign === "" ? "" : `: it answered "${foreign}"`;
    return new TlsError("not-tls", `the peer does not speak TLS${said}`, { errors });
  }
  if (alert?.direction === "received") {
    const message = `the peer ended the connection with the alert ${alert.description}`;
    // RFC 5246 §7.2.2 has it for "an acceptable set of security parameters", and OpenSSL sends it for that.
    const hint = !open && defaultCiphers && alert.description === "handshake_failure" ? CIPHERS_HINT : "";
    return new TlsAlertError(message + hint, alert, { errors, cause: sendError });
  }
  if (truncated) {
    if (sendError) return sendError;
    const at = !open ? "handshake" : edges.atEdge ? "record" : "mid-record";
    const where = {
      handshake: edges.silent ? "before it answered the handshake" : "in the middle of the handshake",
      record: "without close_notify, between two records",
      "mid-record": "without close_notify, in the middle of a record",
    }[at];
    return new TlsTruncationError(`the peer closed the transport ${where}`, at, { errors });
  }
  if (failure.outOfMemory) return new TlsError("out-of-memory", "linear memory is exhausted", { errors });
  if (r === ZERO_RETURN) {
    const close: Alert = { direction: "received", level: "warning", description: "close_notify", code: 0 };
    return new TlsAlertError("the peer sent close_notify in the middle of the handshake", close, { errors });
  }
  const last = errors.at(-1);
  const why = last ? (last.data ? `${last.reason} (${last.data})` : last.reason) : "OpenSSL gave no reason";
  const where = open ? "the connection" : "the handshake";
  const tooLong = !open && last?.reasonCode === SSL_R_EXCESSIVE_MESSAGE_SIZE;
  const largePrime = last?.reasonCode === SSL_R_BAD_DH_VALUE && last.data !== "";
  const ciphersHint = defaultCiphers && last?.reasonCode === SSL_R_NO_SHARED_CIPHER ? CIPHERS_HINT : "";
  const hint = tooLong
    ? "; for a peer's certificates maxCertificateList is the bound"
    : largePrime
      ? PRIME_HINT
      : ciphersHint;
  return new TlsError("protocol", `${where} failed: ${why}${hint}`, { errors });
}

/** What a function of the application threw. */
export function callbackError(who: string, error: unknown): TlsError {
  if (error instanceof TlsError) return error;
  const why = messageOf(error);
  return new TlsError("callback", `${who} failed: ${why}`, { cause: error });
}

export function transportError(doing: "sending" | "receiving", cause: unknown): TlsError {
  const why = messageOf(cause);
  return new TlsError("transport", `the transport failed while ${doing}: ${why}`, { cause });
}
