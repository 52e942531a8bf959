/**
 * What a failure means to its reader, and what can be done: a sentence behind OpenSSL's words. Options are named in
 * backticks, for which the command line puts its own names.
 */
import type { Alert, OpenSslError } from "../errors.js";
import {
  SSL_R_BAD_DH_VALUE,
  SSL_R_BINDER_DOES_NOT_VERIFY,
  SSL_R_CERTIFICATE_VERIFY_FAILED,
  SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
  SSL_R_DH_KEY_TOO_SMALL,
  SSL_R_DIGEST_CHECK_FAILED,
  SSL_R_EXCESSIVE_MESSAGE_SIZE,
  SSL_R_NO_APPLICATION_PROTOCOL,
  SSL_R_NO_SHARED_CIPHER,
  SSL_R_NO_SHARED_GROUPS,
  SSL_R_NO_SUITABLE_GROUPS,
  SSL_R_NO_SUITABLE_KEY_SHARE,
  SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
  SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE,
  SSL_R_UNEXPECTED_MESSAGE,
  SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED,
  SSL_R_UNSUPPORTED_PROTOCOL,
  SSL_R_WRONG_SIGNATURE_TYPE,
} from "../openssl/constants.js";
import type { ChainFailure } from "../openssl/verify.js";

/** The other end. */
export type Peer = "the client" | "the server";

const CIPHERS =
  'if only suites with RSA key exchange or CBC are in common, they are off by default: `ciphers` ("DEFAULT") turns them on';

const VERSIONS = "this build has TLS 1.2 and 1.3, of which `minVersion` and `maxVersion` choose";

const certificateOfOurs = (why: string) => `it did not accept our certificate: ${why}`;

/** What a fatal alert of the peer says, in a handshake. */
const ALERTS: Record<string, (peer: Peer) => string> = {
  handshake_failure: (peer) =>
    `it has no cipher suite, group or signature algorithm in common with us${peer === "the server" ? ", or it asks for a client certificate (`cert`, `key`)" : ""}`,
  protocol_version: () => `it has no version in common with us: ${VERSIONS}`,
  insufficient_security: () => "what we have in common is too weak for it",
  unrecognized_name: () => "it does not serve the name that was sent (`serverName`, by default `hostname`)",
  no_application_protocol: () => "it does not speak any of our `alpnProtocols`",
  certificate_required: () => "it asks for a client certificate, and did not get one (`cert`, `key`)",
  unknown_ca: () =>
    certificateOfOurs("it does not trust the issuer, or `cert` lacks the intermediate certificates"),
  bad_certificate: () =>
    certificateOfOurs("the certificate is for another name, is damaged, or is not meant for this use"),
  unsupported_certificate: () => certificateOfOurs("certificates of this kind are not supported there"),
  certificate_revoked: () => certificateOfOurs("the certificate was revoked"),
  certificate_expired: () => certificateOfOurs("the certificate has expired, or one of the clocks is wrong"),
  certificate_unknown: () => certificateOfOurs("the alert does not say why"),
  access_denied: () => "it does not let us in",
  unknown_psk_identity: () => "it does not know the identity of our `psk`",
  decrypt_error: () =>
    "a signature or a check of ours is wrong for it: another `psk` or `key`, or a damaged message",
  bad_certificate_status_response: () => "the OCSP response that this server stapled is not good",
  internal_error: () => "the fault is its own",
  user_canceled: () => "a user or a program there cancelled the handshake",
};

export function adviceOnAlert({ description }: Alert, peer: Peer, defaultCiphers: boolean): string {
  const advice = Object.hasOwn(ALERTS, description) ? `; ${ALERTS[description]!(peer)}` : "";
  // RFC 5246 §7.2.2 has it for "an acceptable set of security parameters", and OpenSSL sends it for that.
  return description === "handshake_failure" && defaultCiphers ? `${advice}; ${CIPHERS}` : advice;
}

/** What a reason of OpenSSL's says, in a handshake. */
const REASONS: Record<number, (peer: Peer) => string> = {
  [SSL_R_UNSUPPORTED_PROTOCOL]: (peer) => `${peer} has no version in common with us: ${VERSIONS}`,
  [SSL_R_NO_SHARED_CIPHER]: (peer) =>
    `${peer} offers no cipher suite that we take, with the \`cert\` or \`psk\` that we have`,
  [SSL_R_NO_SUITABLE_KEY_SHARE]: (peer) => `${peer} has no group in common with us (\`groups\`)`,
  [SSL_R_NO_SUITABLE_GROUPS]: (peer) => `${peer} has no group in common with us (\`groups\`)`,
  [SSL_R_NO_SHARED_GROUPS]: (peer) => `${peer} has no group in common with us (\`groups\`)`,
  [SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM]: (peer) =>
    `${peer} takes no signature that our \`cert\` can make (\`signatureAlgorithms\`), or we have no \`cert\``,
  [SSL_R_WRONG_SIGNATURE_TYPE]: (peer) =>
    `${peer} signed in a way that we did not offer (\`signatureAlgorithms\`)`,
  [SSL_R_NO_APPLICATION_PROTOCOL]: (peer) => `${peer} does not offer any of our \`alpnProtocols\``,
  [SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE]: (peer) =>
    `${peer} showed no certificate, and \`clientAuth\` "require" wants one`,
  [SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED]: (peer) =>
    `${peer} does not know RFC 5746, secure renegotiation: its software is from before 2010; \`legacyServerConnect\` lets a client take it`,
  [SSL_R_UNEXPECTED_MESSAGE]: (peer) => `${peer} sent a message that does not belong there`,
  [SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC]: (peer) =>
    `what ${peer} sent was damaged on the way, or is not encrypted with the keys that were agreed on`,
  [SSL_R_DIGEST_CHECK_FAILED]: (peer) =>
    `what ${peer} heard is not what we said: something in between changes it`,
  [SSL_R_BINDER_DOES_NOT_VERIFY]: (peer) => `${peer} has another key for this identity of \`psk\``,
  [SSL_R_DH_KEY_TOO_SMALL]: (peer) => `the prime of ${peer} is too weak for \`securityLevel\``,
  [SSL_R_BAD_DH_VALUE]: () =>
    'more than 4096 bits are slow, and accepted if `groups` names a group that large ("DEFAULT:ffdhe8192")',
  [SSL_R_EXCESSIVE_MESSAGE_SIZE]: () => "for a peer's certificates maxCertificateList is the bound",
};

/** @param data what OpenSSL says beside the reason */
export function adviceOnReason(reason: number, data: string, peer: Peer, defaultCiphers: boolean): string {
  // Of the reasons about a prime, only that it is too large has data.
  if (reason === SSL_R_BAD_DH_VALUE && data === "") return "";
  const advice = Object.hasOwn(REASONS, reason) ? `; ${REASONS[reason]!(peer)}` : "";
  return reason === SSL_R_NO_SHARED_CIPHER && defaultCiphers ? `${advice}; ${CIPHERS}` : advice;
}

/** What the peer sent first, which was not TLS. */
export function adviceOnForeign(said: string, peer: Peer): string {
  if (/^(GET|POST|HEAD|PUT|OPTIONS|CONNECT) \S/.test(said))
    return "; that is HTTP without TLS, perhaps from an http:// URL";
  if (/^HTTP\//.test(said)) return "; that is HTTP without TLS: is it the port for https?";
  if (peer === "the server" && /^(220[ -]|\* (OK|PREAUTH)|\+OK|.{4}\n)/.test(said)) {
    return "; a server that greets in the clear wants STARTTLS first (wassl/starttls), or has another port for TLS";
  }
  return peer === "the server" ? "; is it the port for TLS?" : "";
}

export interface Trust {
  /** The name that the certificate must be for; for messages. */
  peerName: string;
  /** There is not a single trust anchor. */
  trustsNobody: boolean;
}

/** The most names that are listed. */
const NAMES = 5;

/** What is known of a certificate's failure beside its number: wasm/abi/ocsp.c adds it to the error. */
export function detailOnCertificate(errors: readonly OpenSslError[]): string | undefined {
  return errors.find(({ reasonCode, data }) => reasonCode === SSL_R_CERTIFICATE_VERIFY_FAILED && data)?.data;
}

export function adviceOnCertificate(
  { error, certificate }: ChainFailure,
  { peerName, trustsNobody }: Trust,
): string {
  switch (error) {
    case "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT":
    case "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT":
    case "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN":
    case "X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE": {
      if (trustsNobody) {
        return "; no certificate is trusted, because `caCerts` is missing or empty: there is no hidden store (wassl/roots has Mozilla's trust anchors)";
      }
      if (error.includes("SELF_SIGNED")) return "; it is not among `caCerts`, which are all that is trusted";
      const issuer = certificate ? `its issuer, ${certificate.issuer},` : "its issuer";
      return `; ${issuer} is neither among \`caCerts\` nor among what was sent`;
    }
    case "X509_V_ERR_HOSTNAME_MISMATCH":
    case "X509_V_ERR_IP_ADDRESS_MISMATCH": {
      const names = certificate?.subjectAltName ?? [];
      if (names.length === 0) {
        return `; it has no alternative names, by which alone it can be for ${peerName} (RFC 9525)`;
      }
      const more = names.length > NAMES ? `, and ${names.length - NAMES} more` : "";
      return `; it is for ${names.slice(0, NAMES).join(", ")}${more}`;
    }
    case "X509_V_ERR_CERT_HAS_EXPIRED":
      return certificate ? `; it was good until ${certificate.notAfter.toISOString()}` : "";
    case "X509_V_ERR_CERT_NOT_YET_VALID":
      return certificate
        ? `; it is good from ${certificate.notBefore.toISOString()}: is the clock right?`
        : "";
    case "X509_V_ERR_EE_KEY_TOO_SMALL":
    case "X509_V_ERR_CA_KEY_TOO_SMALL":
      return certificate?.publicKey
        ? `; it is ${certificate.publicKey}, and \`securityLevel\` wants more`
        : "";
    case "X509_V_ERR_CA_MD_TOO_WEAK":
      return "; `securityLevel` wants a signature with a stronger hash";
    case "X509_V_ERR_UNABLE_TO_GET_CRL":
      return "; where revocation lists are checked there must be one of each issuer (`verifyOptions.crls`)";
    case "X509_V_ERR_INVALID_PURPOSE":
      return "; it was issued for another purpose (extended key usage)";
    default:
      return "";
  }
}
