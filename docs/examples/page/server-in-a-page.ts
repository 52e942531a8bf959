/**
 * A TLS server in a page. Its client is another tab, or whoever is at the other end of the `relay` that its URL names.
 */
import { acceptTls, type Transport } from "wassl";
import { messagePortTransport } from "wassl/transports/message-port";
import { connectWebSocket } from "wassl/transports/websocket";

const parameters = new URLSearchParams(location.search);

// #region serve
/** Answers each line in capitals, until the client ends. Neither end has a certificate: both have the key. */
async function serve(transport: Transport, key: Uint8Array): Promise<void> {
  const tls = await acceptTls(transport, { psk: { identity: "two tabs", key } });
  say(`connected: ${tls.info.protocol}, ${tls.info.cipher}`);
  const decoder = new TextDecoder();
  const inCapitals = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, to) =>
      to.enqueue(new TextEncoder().encode(decoder.decode(chunk, { stream: true }).toUpperCase())),
  });
  // The client's close_notify ends `readable`, the pipe ends `writable`, and that sends ours.
  await tls.readable.pipeThrough(inCapitals).pipeTo(tls.writable);
  const { how } = await tls.closed;
  say(`ended: ${how}`);
}
// #endregion

function say(line: string): void {
  document.body.append(line, document.createElement("br"));
}

const relay = parameters.get("relay");
if (relay) {
  const key = Uint8Array.from(atob(parameters.get("key") ?? ""), (character) => character.charCodeAt(0));
  await serve(await connectWebSocket(relay), key);
} else {
  const button = document.createElement("button");
  button.append("open the other tab");
  button.onclick = openOtherTab;
  document.body.append(button);
}

// #region open
/** From a click, for otherwise browsers block it. */
function openOtherTab(): void {
  const key = crypto.getRandomValues(new Uint8Array(32));
  // What is behind "#" stays in the browser: no server is told.
  const tab = open(`client-in-a-page.html#${btoa(String.fromCharCode(...key))}`);

  addEventListener("message", async ({ source, origin }) => {
    if (source !== tab || tab === null || origin !== location.origin) return;
    const { port1, port2 } = new MessageChannel();
    tab.postMessage("your end", origin, [port2]);
    await serve(messagePortTransport(port1), key);
  });
}
// #endregion
