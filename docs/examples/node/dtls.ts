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
let timer: NodeJS.Timeout | undefined;
let arrived = () => {};

socket.on("message", (datagram) => {
  pair.writeDatagram(datagram);
  arrived();
});

/** Sends what OpenSSL has to say, and says it again when no answer comes: UDP loses datagrams. */
function flush(): void {
  const datagram = new Uint8Array(2048);
  for (let n = pair.readDatagram(datagram); n > 0; n = pair.readDatagram(datagram)) {
    socket.send(datagram.slice(0, n), port, "127.0.0.1");
  }
  clearTimeout(timer);
  const milliseconds = ssl.dtlsGetTimeout();
  if (milliseconds < 0) return;
  timer = setTimeout(() => {
    ssl.dtlsHandleTimeout();
    flush();
  }, milliseconds);
}

/** Does `step` until it needs no more datagrams; what it comes to. Gives up after ten seconds. */
async function until(step: () => number): Promise<number> {
  for (const deadline = Date.now() + 10_000; ; ) {
    const result = step();
    flush();
    if (result !== -SSL_ERROR_WANT_READ) return result;
    const left = deadline - Date.now();
    if (left <= 0) throw new Error("the server does not answer");
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, left);
      arrived = () => {
        clearTimeout(late);
        resolve();
      };
    });
  }
}
// #endregion

// #region talk
if ((await until(() => ssl.tryHandshake())) !== 1) {
  console.log("the handshake failed:", ssl.getVerifyFailure()?.name ?? ssl.takeFailure().errors.at(0)?.text);
  process.exitCode = 1;
} else {
  console.log(`${ssl.getVersion()}, ${ssl.getCipherName()}`);
  ssl.tryWrite(new TextEncoder().encode("hello\n"));
  const answer = new Uint8Array(16_384);
  const length = await until(() => ssl.tryRead(answer));
  if (length !== -SSL_ERROR_ZERO_RETURN) {
    console.log(`the server answered: ${new TextDecoder().decode(answer.subarray(0, length)).trim()}`);
  }
  // close_notify is a datagram too, and may get lost: nobody waits for it.
  ssl.tryShutdown();
  flush();
}
// #endregion

clearTimeout(timer);
// Not before the last datagram has left.
socket.send(new Uint8Array(0), port, "127.0.0.1", () => socket.close());
await once(socket, "close");
// What is in OpenSSL's memory is not collected.
ssl.free();
pair.free();
context.free();
