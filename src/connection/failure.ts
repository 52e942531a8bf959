/** What it means when an operation of OpenSSL failed: the typed error, from all that is known at that moment. */
import { messageOf } from "../check.js";
import { type Alert, TlsAlertError, TlsCertificateError, TlsError, TlsTruncationError } from "../errors.js";
import { FAILED_SYSCALL, type SslFailure, ZERO_RETURN } from "../openssl/ssl-core.js";
import {
  adviceOnAlert,
  adviceOnCertificate,
  adviceOnForeign,
  adviceOnReason,
  detailOnCertificate,
  type Peer,
  type Trust,
} from "./advice.js";
import type { RecordEdges } from "./record-edges.js";

/** What OpenSSL does not know, or does not say. */
export interface Circumstances extends Trust {
  /** The handshake is done. */
  open: boolean;
  /** Of what was received. */
  edges: RecordEdges;
  /** OpenSSL was told that the transport has ended. */
  ended: boolean;
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
  const peer: Peer = peerName === "the client" ? peerName : "the server";
  const { errors } = failure;
  const truncated = failure.unexpectedEof || (r === FAILED_SYSCALL && ended && errors.length === 0);
  const foreign = open ? undefined : edges.foreign;
  if (failure.verify) {
    const { text, depth, certificate } = failure.verify;
    const which = certificate?.subject ? ` (depth ${depth}, ${certificate.subject})` : "";
    const detail = detailOnCertificate(errors);
    const why = detail ? `${text}: ${detail}` : text;
    const advice = adviceOnCertificate(failure.verify, circumstances);
    return new TlsCertificateError(
      `the certificate of ${peerName} was not accepted: ${why}${which}${advice}`,
      failure.verify,
      { errors },
    );
  }
  if (foreign !== undefined) {
    const said = foreign === "" ? "" : `: it sent "${foreign}"`;
    return new TlsError("not-tls", `${peer} does not speak TLS${said}${adviceOnForeign(foreign, peer)}`, {
      errors,
    });
  }
  if (alert?.direction === "received") {
    const advice = open ? "" : adviceOnAlert(alert, peer, defaultCiphers);
    return new TlsAlertError(
      `${peer} ended the connection with the alert ${alert.description}${advice}`,
      alert,
      { errors, cause: sendError },
    );
  }
  if (truncated) {
    if (sendError) return sendError;
    const at = !open ? "handshake" : edges.atEdge ? "record" : "mid-record";
    const where = {
      handshake: !edges.silent
        ? "in the middle of the handshake"
        : peer === "the client"
          ? "before it began a handshake"
          : "before it answered the handshake",
      record: "without close_notify, between two records: what came may not be all",
      "mid-record": "without close_notify, in the middle of a record: something is missing",
    }[at];
    return new TlsTruncationError(`${peer} closed the transport ${where}`, at, { errors });
  }
  if (failure.outOfMemory) return new TlsError("out-of-memory", "linear memory is exhausted", { errors });
  if (r === ZERO_RETURN) {
    const close: Alert = { direction: "received", level: "warning", description: "close_notify", code: 0 };
    const message = `${peer} sent close_notify in the middle of the handshake: it does not want the connection`;
    return new TlsAlertError(message, close, { errors });
  }
  const last = errors.at(-1);
  const why = last ? (last.data ? `${last.reason} (${last.data})` : last.reason) : "OpenSSL gave no reason";
  const where = open ? "the connection" : "the handshake";
  const advice = last ? adviceOnReason(last.reasonCode, last.data, peer, defaultCiphers) : "";
  return new TlsError("protocol", `${where} with ${peerName} failed: ${why}${advice}`, { errors });
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
