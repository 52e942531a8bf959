/**
 * The ways in which a connection ends, each told as what it is.
 *
 *     tsx ending-well.ts WAY HOST:PORT CA-FILE
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { type CloseInfo, startTls, type TlsStream, TlsTruncationError } from "wassl";
import { nodeTransport } from "wassl/transports/node";

const [way = "", address = "", caFile = ""] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const [hostname, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];
const caCerts = await readFile(caFile);

async function open(): Promise<TlsStream> {
  // allowHalfOpen: otherwise Node.js ends our side as soon as the server ends its own, and what we still write is lost.
  const socket = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
  await once(socket, "connect");
  return startTls(nodeTransport(socket), { hostname, caCerts });
}

const ways: Record<string, () => Promise<void>> = {
  async request() {
    // #region request
    // Everything has been asked: say so, and read the answer to its end.
    const tls = await open();
    const writer = tls.writable.getWriter();
    await writer.write(new TextEncoder().encode("what do you make of this?"));
    await writer.close(); // close_notify: the server sees a clean end, and can tell it from a cut
    const answer = await new Response(tls.readable).text(); // to the server's close_notify
    // #endregion
    console.log(`${(await tls.closed).how}: ${answer}`);
  },

  async dispose() {
    // #region dispose
    // Whatever happens inside, close_notify is sent and the transport closed. Nobody waits for the server's.
    let closed: Promise<CloseInfo>;
    {
      await using tls = await open();
      ({ closed } = tls);
      const writer = tls.writable.getWriter();
      await writer.write(new TextEncoder().encode("no answer is needed"));
    }
    console.log((await closed).how); // "closed-without-waiting"
    // #endregion
  },

  async upgrade() {
    // #region shutdown
    // Both ends stop speaking TLS, and go on with the same transport.
    const tls = await open();
    const { transport, trailing, info } = await tls.shutdown({ timeout: 5_000 });
    // `trailing` came right behind the server's close_notify, and belongs before what `transport` gives.
    const reader = transport.readable.getReader();
    const { value } = trailing.length > 0 ? { value: trailing } : await reader.read();
    // #endregion
    console.log(`${info.how}: ${new TextDecoder().decode(value).trim()}`);
    await transport.writable.abort();
  },

  async truncation() {
    // #region truncation
    // The transport ends, and no close_notify came: a crash, or somebody who cut the answer short.
    const tls = await open();
    let received = "";
    try {
      for await (const chunk of tls.readable) received += new TextDecoder().decode(chunk);
      console.log(`all of it: ${received}`);
    } catch (error) {
      if (!(error instanceof TlsTruncationError)) throw error;
      // All that arrived intact was delivered first. Whether more was meant to follow nobody knows.
      console.log(`cut off (${error.at}) behind: ${received.trim()}`);
    } finally {
      await tls.close();
    }
    // #endregion
  },

  async abort() {
    // #region abort
    // At once, without close_notify: the server is to know that this is no proper end.
    const tls = await open();
    tls.abort(new Error("the user has changed their mind"));
    const reason: unknown = await tls.closed.catch((reason) => reason);
    console.log(String(reason));
    // #endregion
  },
};

await ways[way]?.();
