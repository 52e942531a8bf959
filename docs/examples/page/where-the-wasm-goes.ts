/**
 * A page that says where openssl.wasm is, and fetches it while the WebSocket opens.
 *
 * It is told by its URL: `wasm`, where the file is; `relay`, the WebSocket of a relay; `ca`, where the trust anchor is.
 */
import { OpenSsl, startTls, TlsError } from "wassl";
import { connectWebSocket } from "wassl/transports/websocket";

const parameters = new URLSearchParams(location.search);
const [wasm = "", relay = "", ca = ""] = ["wasm", "relay", "ca"].map(
  (name) => parameters.get(name) ?? undefined,
);

// #region configure
// Once, before the first connection. Where a bundler has put the file by itself it is not needed.
OpenSsl.configure({ source: new URL(wasm, location.href) });
// #endregion

try {
  // #region load
  // Fetched and compiled meanwhile. Nobody waits for it: what fails here fails again in startTls, and is told there.
  OpenSsl.preload();
  const [transport, pem] = await Promise.all([
    connectWebSocket(relay),
    fetch(ca).then((response) => response.text()),
  ]);
  const tls = await startTls(transport, { hostname: "localhost", caCerts: pem });
  // #endregion
  document.body.textContent = `${(await OpenSsl.shared()).version}: ${tls.info.protocol}`;
  await tls.close();
} catch (error) {
  if (!(error instanceof TlsError)) throw error;
  // #region errors
  // wasm-not-found: nothing there. wasm-mime: a page is there. wasm-csp: the page's policy forbids it. wasm-corrupt: damaged.
  document.body.textContent = `${error.code}: ${error.message}`;
  // #endregion
}
