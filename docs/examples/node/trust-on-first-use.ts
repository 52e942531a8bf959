/**
 * A client that believes a server when it meets it first, and notices when the server's key changes, as ssh does.
 *
 *     tsx trust-on-first-use.ts HOST:PORT KNOWN-SERVERS-FILE
 */
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { startTls, TlsCertificateError, type X509 } from "wassl";
import { nodeTransport } from "wassl/transports/node";

const [address = "", knownFile = ""] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];

async function pinOf({ publicKeyDer }: X509): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", Uint8Array.from(publicKeyDer));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

const socket = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
await once(socket, "connect");

// #region connect
/** Pins by address, `{ "printer.local:443": "…" }`. */
const known = JSON.parse(await readFile(knownFile, "utf8").catch(() => "{}")) as Record<string, string>;
const expected = known[address];
let seen: string | undefined;

try {
  const tls = await startTls(nodeTransport(socket), {
    hostname,
    // Nobody vouches for the server, so OpenSSL refuses its certificate, and `verify` has the last word.
    unsafelyLetVerifyOverride: true,
    verify: async ([certificate]) => {
      seen = certificate && (await pinOf(certificate));
      return seen !== undefined && (expected === undefined || expected === seen);
    },
  });
  if (expected === undefined && seen !== undefined) {
    // Only now: when `verify` was asked the server had shown a certificate, and not yet proven that the key is its own.
    await writeFile(knownFile, JSON.stringify({ ...known, [address]: seen }));
  }
  console.log(expected === undefined ? `met ${address} for the first time: ${seen}` : `${address} is known`);
  await tls.close();
} catch (error) {
  if (!(error instanceof TlsCertificateError)) throw error;
  console.log(`${address} has another key than before: ${seen} instead of ${expected}`);
  process.exitCode = 1;
}
// #endregion
