/** What the handshake settled, read from the `Ssl`. */
import type { Ssl } from "../openssl/ssl.js";
import type { X509 } from "../openssl/x509.js";

/** What the handshake settled. */
export interface TlsInfo {
  /** "TLSv1.3" */
  readonly protocol: string;
  /** "TLS_AES_128_GCM_SHA256" */
  readonly cipher: string;
  /** The group of the key exchange, "X25519MLKEM768"; undefined where none took part. */
  readonly group: string | undefined;
  /** The algorithm with which the peer proved its key, "ecdsa_secp256r1_sha256". */
  readonly signatureAlgorithm: string | undefined;
  readonly alpnProtocol: string | undefined;
  /** The name asked for with SNI. */
  readonly serverName: string | undefined;
  /** The peer's certificates as it sent them, its own first. */
  readonly peerCertificates: readonly X509[];
  /**
   * The path by which the peer's certificate was accepted, from it to the trust anchor; empty unless `verified`. It may go by other
   * certificates than the peer sent. Where a session was resumed it is the one that was found when the session's certificate was
   * verified again.
   */
  readonly verifiedChain: readonly X509[];
  /** The peer showed a certificate, and it was checked: chain, dates, and, by a client, the name. */
  readonly verified: boolean;
  /** The handshake was short, by a session of an earlier connection: `peerCertificates` are that one's. */
  readonly sessionReused: boolean;
  /**
   * What became of early data: "none" = none was sent; "accepted"; "rejected" = as if it had never been sent, and to be sent
   * again if it still fits what was agreed on.
   */
  readonly earlyData: "none" | "accepted" | "rejected";
  /** The OCSP response (DER) that the server stapled to its certificate. */
  readonly ocspResponse: Uint8Array | undefined;
}

/** By `SSL_EARLY_DATA_*`. */
const EARLY_DATA = ["none", "rejected", "accepted"] as const;

/** `verifies`: the peer's certificate was checked if it showed one. */
export function infoOf(ssl: Ssl, verifies: boolean): TlsInfo {
  const peerCertificates = ssl.getPeerCertificates();
  // X509_V_OK is also what an unchecked or absent certificate gives.
  const verified = verifies && peerCertificates.length > 0 && ssl.getVerifyResult() === 0;
  return {
    protocol: ssl.getVersion(),
    cipher: ssl.getCipherName() ?? "",
    group: ssl.getGroupName(),
    signatureAlgorithm: ssl.getPeerSignatureName(),
    alpnProtocol: ssl.getAlpnSelected(),
    serverName: ssl.getServerName(),
    peerCertificates,
    verifiedChain: verified ? ssl.getVerifiedChain(peerCertificates) : [],
    verified,
    sessionReused: ssl.sessionReused(),
    earlyData: EARLY_DATA[ssl.getEarlyDataStatus()] ?? "none",
    ocspResponse: ssl.getOcspResponse(),
  };
}
