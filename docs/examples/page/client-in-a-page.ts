/** The tab that server-in-a-page.ts opens: a TLS client over the port that it is given. */
import { startTls } from "wassl";
import { messagePortTransport } from "wassl/transports/message-port";

// #region connect
const key = Uint8Array.from(atob(location.hash.slice(1)), (character) => character.charCodeAt(0));

const port = new Promise<MessagePort>((resolve) => {
  addEventListener("message", ({ source, origin, ports: [port] }) => {
    if (source === opener && origin === location.origin && port) resolve(port);
  });
});
(opener as Window).postMessage("here", location.origin);

const tls = await startTls(messagePortTransport(await port), {
  // There is no certificate that a name could be compared with: whoever has the key is the server.
  hostname: "localhost",
  psk: { identity: "two tabs", key },
});
// #endregion

const writer = tls.writable.getWriter();
await writer.write(new TextEncoder().encode("hello from the other tab"));
writer.releaseLock();
await tls.closeWrite();
document.body.textContent = await new Response(tls.readable).text();
const { how } = await tls.closed;
document.body.append(` (${how})`);
