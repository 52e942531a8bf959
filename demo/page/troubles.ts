import { TlsAlertError, TlsCertificateError, TlsError, TlsTruncationError } from "wassl";
import { RelayClose, type RelaySnapshot } from "../protocol.js";
import { authority } from "./format.js";
import { commonNameOf } from "./names.js";
import type { Order } from "./visit.js";

/** A failure in words. */
export interface Trouble {
  readonly title: string;
  /** What happened, and why that stops us. */
  readonly what: string;
  /** What one can do. */
  readonly advice: string;
  /** The library’s own code and words, for those who look closer. */
  readonly code: string;
  readonly message: string;
  readonly queue: readonly string[];
}

type Words = Pick<Trouble, "title" | "what" | "advice">;

export function explain(error: unknown, order: Order, relayEnd: RelaySnapshot["end"]): Trouble {
  const words = relayWords(order, relayEnd) ?? wordsFor(error, order);
  const relayCode = relayEnd !== undefined && relayEnd.code >= 4400 ? ` · relay ${relayEnd.code}` : "";
  if (error instanceof TlsError) {
    const detail =
      error instanceof TlsCertificateError ? ` · ${error.verifyError} at depth ${error.depth}` : "";
    return {
      ...words,
      code: error.code + detail + relayCode,
      message: error.message,
      queue: error.errors.map(({ text }) => text),
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  const code = (error instanceof Error ? error.name : "unknown") + relayCode;
  return { ...words, code, message, queue: [] };
}

/** When the relay ended it, the relay knows why; the library only sees that its transport is gone. */
function relayWords({ host, port }: Order, end: RelaySnapshot["end"]): Words | undefined {
  const target = authority(host, port);
  switch (end?.code) {
    case RelayClose.notAllowed:
      return {
        title: "The relay refuses to go there",
        what: `${target} is not on the relay’s allow-list. A relay that takes every visitor everywhere is an open door into its own network.`,
        advice: `If you mean it, start the demo again with: npm start -- --allow ${target}`,
      };
    case RelayClose.unreachable:
      return end.reason.startsWith("ECONNREFUSED")
        ? {
            title: "No program listens there",
            what: `The relay knocked at ${target}, and the machine answered that no program listens on that port (ECONNREFUSED).`,
            advice: "Check the port, and whether the server is running.",
          }
        : {
            title: "The server cannot be reached",
            what: `The relay could not connect to ${target}: ${end.reason}.`,
            advice: "Check the name and the port, and whether the relay’s machine has a way there.",
          };
    case RelayClose.broken:
      return {
        title: "The connection broke off",
        what: `The relay lost its connection to the server: ${end.reason}. Neither side had ended TLS, so nothing that was under way counts as complete.`,
        advice: "Try again. If it keeps happening, the server’s own log knows more.",
      };
    case RelayClose.badRequest:
    case RelayClose.busy:
    case RelayClose.idle:
      return {
        title: "The relay gave up",
        what: `The relay ended the connection: ${end.reason}.`,
        advice: "Connect again.",
      };
    default:
      return undefined;
  }
}

function wordsFor(error: unknown, order: Order): Words {
  if (error instanceof TlsCertificateError) return certificateWords(error, order);
  if (error instanceof TlsTruncationError) return truncationWords(error);
  if (error instanceof TlsAlertError) {
    const { direction, description, code } = error.alert;
    return {
      title: direction === "received" ? "The server broke it off" : "OpenSSL broke it off",
      what: `A fatal alert was ${direction}: ${description} (${code}).`,
      advice: alertAdvice[description] ?? "The alert’s name says what its sender did not like.",
    };
  }
  if (error instanceof TlsError) {
    const words = wordsByCode[error.code]?.(order);
    if (words !== undefined) return words;
  }
  return {
    title: "That did not work",
    what: error instanceof Error ? error.message : String(error),
    advice: "The details below say where it came from.",
  };
}

function certificateWords(error: TlsCertificateError, { host, caCerts }: Order): Words {
  const subject =
    error.subject === "" ? "The server’s certificate" : `The certificate of “${commonNameOf(error.subject)}”`;
  switch (error.verifyError) {
    case "X509_V_ERR_HOSTNAME_MISMATCH":
    case "X509_V_ERR_IP_ADDRESS_MISMATCH":
      return {
        title: "The certificate is for another name",
        what: `You asked for ${host}. ${subject} is signed by an authority you trust, but it does not name ${host}. The server did not prove that it is the one you asked for, so OpenSSL stopped before a byte of your request was sent.`,
        advice:
          "Use the name that the certificate was issued for, or have the server given one for this name.",
      };
    case "X509_V_ERR_CERT_HAS_EXPIRED":
      return {
        title: "The certificate has expired",
        what: `${subject} was valid once; that time is over. An old certificate may belong to a key that has long been lost, so it proves nothing today.`,
        advice: "The server needs a new one. If it is new, check this machine’s clock.",
      };
    case "X509_V_ERR_CERT_NOT_YET_VALID":
      return {
        title: "The certificate is not valid yet",
        what: `${subject} begins to be valid at a later time than this machine’s clock shows.`,
        advice: "Check the clock first.",
      };
    case "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT":
    case "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN":
    case "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT":
    case "X509_V_ERR_CERT_UNTRUSTED":
      return {
        title: "No authority that you trust vouches for this server",
        what:
          caCerts === ""
            ? `${subject} cannot be traced to a trust anchor, because your list of trust anchors is empty. There is no hidden list: the page trusts what you put in, and nothing else.`
            : `${subject} cannot be traced to any of your trust anchors. It may be honest and unknown to you, or an attacker in between may have made it this minute: nothing here can tell the two apart.`,
        advice:
          "If you know the server’s authority, put its certificate (PEM) under “Trust anchors”, and connect again.",
      };
    default:
      return {
        title: "The certificate was not accepted",
        what: `${subject} failed the check: ${error.message}.`,
        advice: "The details below name the rule that it breaks.",
      };
  }
}

function truncationWords(error: TlsTruncationError): Words {
  if (error.at === "handshake") {
    return {
      title: "The server hung up during the handshake",
      what: "The connection ended before TLS was established, without an alert that would say why.",
      advice: "Is this the right port? Does the server take this version of TLS?",
    };
  }
  const where = error.at === "mid-record" ? "in the middle of a record" : "between two records";
  return {
    title: "The answer was cut off",
    what: `The connection ended ${where}, without the server’s close_notify. What arrived is genuine, but there may have been more: a broken server looks just like an attacker who cuts the cable at a chosen place. That is why an end without close_notify is an error here, and not simply the end.`,
    advice: "Treat what arrived as incomplete, and ask again.",
  };
}

const alertAdvice: Record<string, string> = {
  protocol_version: "The server does not speak the chosen version of TLS: choose another one.",
  handshake_failure:
    "Client and server have no cipher suite or group in common, or the server wants something that the page did not offer.",
  unrecognized_name: "The server knows no host of this name: check the name.",
  certificate_required: "The server wants a certificate from the page, too.",
  no_application_protocol: "The server does not speak HTTP/1.1 here.",
};

const wordsByCode: Record<string, ((order: Order) => Words) | undefined> = {
  "not-tls": ({ host, port }) => ({
    title: "That is not TLS",
    what: `Something listens on ${authority(host, port)}, but its answer to the page’s ClientHello is not TLS. It probably speaks HTTP, or another protocol, in the clear.`,
    advice: "Check the port: HTTPS is usually on 443 or 8443, HTTP on 80 or 8080.",
  }),
  protocol: () => ({
    title: "No agreement on how to talk",
    what: "The two ends found no protocol version or algorithm in common, or one of them broke the rules.",
    advice: "Allow another version of TLS, and look at OpenSSL's words below.",
  }),
  timeout: () => ({
    title: "No answer in time",
    what: "The connection is there, but the server did not send what had to come next.",
    advice: "Try again; a server that serves one connection at a time may be busy with another tab.",
  }),
  transport: () => ({
    title: "The relay is gone",
    what: "The WebSocket to the relay failed.",
    advice: "Is the demo still running in its terminal?",
  }),
  "invalid-argument": () => ({
    title: "Something in the form cannot work",
    what: "OpenSSL did not understand an option. Broken PEM among the trust anchors is the usual reason.",
    advice: "Each certificate goes from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, complete.",
  }),
  "wasm-not-found": () => ({
    title: "openssl.wasm is missing",
    what: "The page could not fetch OpenSSL from beside its own script.",
    advice: "Run npm start again: it builds and serves the file.",
  }),
  "wasm-csp": () => ({
    title: "A policy keeps this page from compiling WebAssembly",
    what: "A Content-Security-Policy without 'wasm-unsafe-eval' forbids it.",
    advice: "An extension or a proxy may have changed the page’s policy.",
  }),
  "wasm-corrupt": () => ({
    title: "openssl.wasm is damaged",
    what: "The browser could not compile the file.",
    advice: "Build again with npm start.",
  }),
  "wasm-crashed": () => ({
    title: "OpenSSL crashed",
    what: "The WebAssembly instance trapped and cannot be used any more.",
    advice: "Reload the page, and please report what led to it.",
  }),
};
