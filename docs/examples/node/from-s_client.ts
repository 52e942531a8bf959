/**
 * What `openssl s_client -connect HOST:PORT -CAfile FILE -alpn h2,http/1.1 -showcerts -msg -keylogfile FILE` tells, from a program.
 *
 *     tsx from-s_client.ts HOST:PORT CA-FILE
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { startTls, TlsCertificateError, TlsError } from "wassl";
import { nodeTransport } from "wassl/transports/node";

const [address = "", caFile = ""] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];

const socket = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
await once(socket, "connect");

try {
  // #region connect
  const tls = await startTls(nodeTransport(socket), {
    hostname, // -servername, and -verify_hostname
    caCerts: await readFile(caFile), // -CAfile
    alpnProtocols: ["h2", "http/1.1"], // -alpn h2,http/1.1
    trace: true, // -msg
    onEvent: (event) => {
      if (event.type === "handshake") console.log(`${event.direction} ${event.message}`);
    },
    keylog: (line) => console.error(line), // -keylogfile
  });

  const { protocol, cipher, group, alpnProtocol, peerCertificates, verifiedChain, sessionReused } = tls.info;
  console.log({ protocol, cipher, group, alpnProtocol, sessionReused });
  for (const { subject, issuer, notAfter, pem } of peerCertificates)
    console.log({ subject, issuer, notAfter, pem }); // -showcerts
  console.log(`verified by ${verifiedChain.at(-1)?.subject}`);
  // #endregion
  await tls.close();
} catch (error) {
  // #region errors
  if (error instanceof TlsCertificateError) {
    // "Verify return code", by name, and which certificate it is about.
    console.log(`${error.verifyError} at depth ${error.depth}: ${error.subject}`);
  } else if (error instanceof TlsError) {
    console.log(`${error.code}: ${error.message}`);
    // OpenSSL's error queue, as s_client prints it.
    for (const { text } of error.errors) console.log(text);
  } else throw error;
  // #endregion
  process.exitCode = 1;
}
