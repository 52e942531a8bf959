import { TlsError } from "../errors.js";

/** The protocols that can begin in the clear, by the names that `openssl s_client -starttls` has for them. */
export type StartTlsProtocol = "smtp" | "imap" | "pop3" | "ftp" | "postgres" | "mysql" | "xmpp" | "ldap";

export type PeerRole = "client" | "server";

/**
 * The dialog before TLS failed for what the peer said. Its code is "protocol".
 *
 * @example
 * ```ts
 * import { requestStartTls, StartTlsError } from "wassl/starttls";
 *
 * try {
 *   await requestStartTls(transport, { protocol: "smtp" });
 * } catch (error) {
 *   if (!(error instanceof StartTlsError)) throw error;
 *   console.log(`${error.kind}: ${error.reply}`); // refused: 454 TLS not available
 * }
 * ```
 */
export class StartTlsError extends TlsError {
  override readonly name: string = "StartTlsError";
  /**
   * - `refused`: the server does not offer TLS or declines it; or the client does not ask for it.
   * - `injected`: bytes arrived in the clear together with the consent to TLS or the request for it, or a reply ahead
   *   of its request. An attacker in between can put them there, to have them taken for what TLS protected
   *   (CVE-2011-0411).
   * - `malformed`: the peer does not speak the protocol, or sends more than 16 KiB before TLS.
   */
  readonly kind: "refused" | "injected" | "malformed";
  readonly protocol: StartTlsProtocol;
  /**
   * What the peer sent that led to it, if anything: for example "454 TLS not available". Each byte is a character,
   * U+0000 to U+00FF. TLS did not protect it: an attacker in between can have written it.
   */
  readonly reply: string;

  /** @internal */
  constructor(message: string, kind: StartTlsError["kind"], protocol: StartTlsProtocol, reply: string) {
    super("protocol", message);
    this.kind = kind;
    this.protocol = protocol;
    this.reply = reply;
  }
}
