/** What only the two ends of a connection know, and can bind something else to it with. */
import { TlsError } from "../errors.js";
import type { SslCore } from "../openssl/ssl-core.js";

export type ChannelBinding = "tls-exporter" | "tls-server-end-point";

/** RFC 9266 §4.1 */
const EXPORTER_LABEL = "EXPORTER-Channel-Binding";
const EXPORTER_LENGTH = 32;

export function channelBinding(ssl: SslCore, type: ChannelBinding): Uint8Array | undefined {
  switch (type) {
    case "tls-exporter":
      // Without an extended master secret two connections may have the same value (RFC 9266 §4.2).
      if (ssl.getVersion() === "TLSv1.2" && !ssl.getExtmsSupport()) return undefined;
      return ssl.exportKeyingMaterial(EXPORTER_LABEL, EXPORTER_LENGTH, new Uint8Array(0));
    case "tls-server-end-point":
      return ssl.getServerEndPoint();
    default:
      throw new TlsError(
        "invalid-argument",
        `a channel binding is "tls-exporter" or "tls-server-end-point", not "${type}"`,
      );
  }
}
