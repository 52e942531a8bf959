/**
 * A page with a client certificate whose private key never leaves WebCrypto: not even the page can read it.
 *
 * It is told by its URL: `relay`, the WebSocket of a relay; `ca`, where the trust anchor is; `enrol`, where keys are certified.
 */
import { startTls } from "wassl";
import { connectWebSocket } from "wassl/transports/websocket";

const parameters = new URLSearchParams(location.search);
const [relay = "", ca = "", enrol = ""] = ["relay", "ca", "enrol"].map(
  (name) => parameters.get(name) ?? undefined,
);

// #region identity
interface ClientIdentity {
  cert: string;
  key: CryptoKey;
}

/** Makes a key, and has it certified. Only the public half is sent. */
async function newIdentity(): Promise<ClientIdentity> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  // `false`: the private key cannot be exported, by nobody.
  const { publicKey, privateKey } = await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"]);
  const spki = await crypto.subtle.exportKey("spki", publicKey);
  const response = await fetch(enrol, { method: "POST", body: spki });
  if (!response.ok) throw new Error(`no certificate: ${response.status}`);
  return { cert: await response.text(), key: privateKey };
}
// #endregion

// #region keep
/** The identity of this browser: the one that was kept, or a new one. A `CryptoKey` can be kept without being exported. */
async function identity(): Promise<ClientIdentity> {
  const opening = indexedDB.open("identity", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("identities");
  const database = await done(opening);
  const store = () => database.transaction("identities", "readwrite").objectStore("identities");
  const kept = await done<ClientIdentity | undefined>(store().get("mine"));
  if (kept) return kept;
  const fresh = await newIdentity();
  await done(store().put(fresh, "mine"));
  return fresh;
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
// #endregion

// #region connect
const { cert, key } = await identity();
const tls = await startTls(await connectWebSocket(relay), {
  hostname: "localhost",
  caCerts: await (await fetch(ca)).text(),
  cert,
  // WebCrypto signs for OpenSSL, which never sees the key.
  key,
});
// #endregion

const writer = tls.writable.getWriter();
await writer.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
writer.releaseLock();
document.body.textContent = await new Response(tls.readable).text();
await tls.close();
