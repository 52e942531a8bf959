/**
 * A DTLS 1.2 client over UDP, by `wassl/openssl`: sends a datagram, and prints what comes back.
 *
 *     tsx dtls.ts HOST:PORT CA-FILE
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { OpenSsl, SSL_ERROR_WANT_READ, SSL_ERROR_ZERO_RETURN, SSL_VERIFY_PEER } from "wassl/openssl";

const [address = "", caFile = ""] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];

// #region make
const openssl = await OpenSsl.load();
const context = openssl.newContext("dtls-client");
context.addCaCert(await readFile(caFile));
// Without this line anybody is believed: `wassl/openssl` has OpenSSL's defaults.
context.setVerify(SSL_VERIFY_PEER);

const pair = openssl.newDatagramPair();
const ssl = context.newSsl(pair);
// The name that the certificate must be for, and the one that is sent as SNI.
ssl.setHost(hostname);
ssl.setServerName(hostname);
// No datagram is longer: 1,500 bytes of Ethernet, less the headers of IPv6 and UDP, and some for tunnels.
ssl.setMtu(1400);
ssl.setConnectState();
// #endregion

// #region carry
const socket = createSocket("udp4");
// Datagrams of others than the server do not get here.
socket.connect(port, hostname);
await once(socket, "connect");
socket.on("message", (datagram) => pair.writeDatagram(datagram));
let timer: NodeJS.Timeout | undefined;

/** Sends what OpenSSL has to say, and says it again when no answer comes: UDP loses datagrams. */
function flush(): Promise<unknown> {
  const sending: Promise<unknown>[] = [];
  const datagram = new Uint8Array(2048);
  for (let n = pair.readDatagram(datagram); n > 0; n = pair.readDatagram(datagram)) {
    const bytes = datagram.slice(0, n);
    sending.push(new Promise((resolve) => socket.send(bytes, resolve)));
  }
  clearTimeout(timer);
  const milliseconds = ssl.dtlsGetTimeout();
  if (milliseconds >= 0) {
    timer = setTimeout(() => {
      ssl.dtlsHandleTimeout();
      flush();
    }, milliseconds);
  }
  return Promise.all(sending);
}

/** Does `step` until it needs no more datagrams, ten seconds at most; what it comes to. */
async function until(step: () => number): Promise<number> {
  for (const signal = AbortSignal.timeout(10_000); ; ) {
    const result = step();
    flush();
    if (result !== -SSL_ERROR_WANT_READ) return result;
    await once(socket, "message", { signal });
  }
}
// #endregion

// #region talk
if ((await until(() => ssl.tryHandshake())) !== 1) {
  console.log("the handshake failed:", ssl.getVerifyFailure()?.error ?? ssl.takeFailure().errors.at(0)?.text);
  process.exitCode = 1;
} else {
  console.log(`${ssl.getVersion()}, ${ssl.getCipherName()}`);
  ssl.tryWrite(new TextEncoder().encode("hello\n"));
  const answer = new Uint8Array(16_384);
  const length = await until(() => ssl.tryRead(answer));
  if (length !== -SSL_ERROR_ZERO_RETURN) {
    console.log(`the server answered: ${new TextDecoder().decode(answer.subarray(0, length)).trim()}`);
  }
  // close_notify is a datagram too, and may get lost: nobody waits for the server's.
  ssl.tryShutdown();
}
await flush();
// #endregion

clearTimeout(timer);
socket.close();
// What is in OpenSSL's memory is not collected.
ssl.free();
pair.free();
context.free();
