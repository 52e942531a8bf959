/** What the handshake settled, read from the `Ssl`. */
import type { SslCore } from "../openssl/ssl-core.js";
import type { ChainFailure } from "../openssl/verify.js";
import type { X509 } from "../openssl/x509.js";

/** What the handshake settled. */
export interface TlsInfo {
  /** "TLSv1.3" */
  readonly protocol: string;
  /** "TLS_AES_128_GCM_SHA256" */
  readonly cipher: string;
  /** The same as IANA has it: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" for "ECDHE-RSA-AES128-GCM-SHA256". */
  readonly cipherStandardName: string;
  /** The group of the key exchange, "X25519MLKEM768"; undefined if no group took part. */
  readonly group: string | undefined;
  /** The algorithm with which the peer proved that it has the key, "ecdsa_secp256r1_sha256". */
  readonly signatureAlgorithm: string | undefined;
  readonly alpnProtocol: string | undefined;
  /** The name that the client asked for with SNI. */
  readonly serverName: string | undefined;
  /** The peer's certificates as the peer sent them, its own first. */
  readonly peerCertificates: readonly X509[];
  /**
   * The path by which the peer's certificate was accepted, from that certificate to the trust anchor; empty unless
   * `verified`. The path may have other certificates than the peer sent. If a session was resumed, it is the path that
   * was found when the session's certificate was verified again.
   */
  readonly verifiedChain: readonly X509[];
  /**
   * The peer showed a certificate, and it was checked: chain, dates, and, by a client, the name, unless
   * `unsafelyDisableHostnameVerification` is set.
   */
  readonly verified: boolean;
  /**
   * What is wrong with the peer's certificate where the connection goes on all the same
   * (`unsafelyDisableVerification`, `unsafelyLetVerifyOverride`), in the order in which OpenSSL found it, 8 at most; the
   * last one is what Node.js tells. Of a session that is resumed only that last one is known.
   */
  readonly verifyFailures: readonly ChainFailure[];
  /**
   * The handshake was short, by a session of an earlier connection: `peerCertificates` are those of that connection.
   */
  readonly sessionReused: boolean;
  /**
   * The name of the pre-shared key that was used, in this connection or in the one whose session it resumed; undefined
   * if no key was used.
   */
  readonly pskIdentity: string | undefined;
  /**
   * What became of early data. "none" = no early data was sent; "accepted"; "rejected" = the server treats it as if it
   * had never been sent, so send it again if it still fits what was agreed on.
   */
  readonly earlyData: "none" | "accepted" | "rejected";
  /**
   * The client lets itself be asked for its certificate behind the handshake: TLS 1.3, and the client's
   * `postHandshakeAuth`.
   */
  readonly postHandshakeAuth: boolean;
  /** The OCSP response (DER) that the server stapled to its certificate. */
  readonly ocspResponse: Uint8Array | undefined;
}

/** By `SSL_EARLY_DATA_*`. */
const EARLY_DATA = ["none", "rejected", "accepted"] as const;

/** `verifies`: the peer's certificate was checked if it showed one. */
export function infoOf(ssl: SslCore, verifies: boolean): TlsInfo {
  const peerCertificates = ssl.getPeerCertificates();
  // X509_V_OK is also the result for a certificate that is unchecked or absent.
  const verified = verifies && peerCertificates.length > 0 && ssl.getVerifyResult() === 0;
  return {
    protocol: ssl.getVersion(),
    cipher: ssl.getCipherName() ?? "",
    cipherStandardName: ssl.getCipherStandardName() ?? "",
    group: ssl.getGroupName(),
    signatureAlgorithm: ssl.getPeerSignatureName(),
    alpnProtocol: ssl.getAlpnSelected(),
    serverName: ssl.getServerName(),
    peerCertificates,
    verifiedChain: verified ? ssl.getVerifiedChain(peerCertificates) : [],
    verified,
    verifyFailures: ssl.getVerifyFailures(),
    // An external key is no session of an earlier connection.
    sessionReused: ssl.sessionReused() && !ssl.usedPsk(),
    pskIdentity: ssl.getPskIdentity(),
    earlyData: EARLY_DATA[ssl.getEarlyDataStatus()] ?? "none",
    postHandshakeAuth: ssl.getVersion() === "TLSv1.3" && ssl.getPostHandshakeAuth() !== "none",
    ocspResponse: ssl.getOcspResponse(),
  };
}
