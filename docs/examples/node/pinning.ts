/**
 * A client that talks only to servers whose keys it knows.
 *
 *     tsx pinning.ts HOST:PORT CA-FILE PIN…
 *
 * A PIN is the SHA-256 of a public key, in base64.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { startTls, TlsCertificateError, type X509 } from "wassl";
import { nodeTransport } from "wassl/transports/node";

const [address = "", caFile = "", ...given] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];

// #region pin
/** The pin of RFC 7469: SHA-256 over the SubjectPublicKeyInfo. It stays the same when a certificate is renewed with its key. */
async function pinOf({ publicKeyDer }: X509): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", Uint8Array.from(publicKeyDer));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}
// #endregion

const socket = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
await once(socket, "connect");

// #region connect
const pins = new Set(given);

try {
  const tls = await startTls(nodeTransport(socket), {
    hostname,
    caCerts: await readFile(caFile),
    verify: async (_chain, { verifiedChain }) => {
      // The server's own key, or that of any authority above it: a pin of a spare authority is how one gets over a lost key.
      const theirs = await Promise.all(verifiedChain.map(pinOf));
      return theirs.some((pin) => pins.has(pin));
    },
  });
  console.log(`connected to ${tls.info.peerCertificates[0]?.subject}`);
  await tls.close();
} catch (error) {
  if (!(error instanceof TlsCertificateError)) throw error;
  console.log(`refused: ${error.message}`);
  process.exitCode = 1;
}
// #endregion
