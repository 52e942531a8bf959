/** A worker that makes one connection, for resumption-in-workers.ts. */
import { OpenSsl, startTls } from "wassl";
import { IndexedDbSessionStore } from "wassl/sessions/indexeddb";
import { connectWebSocket } from "wassl/transports/websocket";

export interface Job {
  module: WebAssembly.Module;
  relay: string;
  pem: string;
}

export interface Outcome {
  sessionReused: boolean;
  answer: string;
}

// #region worker
/** In the browser's database: workers and tabs of one origin share it, and it outlives them. */
const sessionStore = new IndexedDbSessionStore();

async function work({ module, relay, pem }: Job): Promise<Outcome> {
  OpenSsl.configure({ source: module });
  const tls = await startTls(await connectWebSocket(relay), {
    hostname: "localhost",
    caCerts: pem,
    sessionStore,
    // Servers of one name that do not share their tickets: say which one this is.
    sessionPartition: relay,
  });
  const writer = tls.writable.getWriter();
  await writer.write(new TextEncoder().encode("hello\n"));
  const reader = tls.readable.getReader();
  // A TLS 1.3 server sends its tickets behind the handshake: whoever reads gets them.
  const { value } = await reader.read();
  reader.releaseLock();
  writer.releaseLock();
  await tls.close();
  return { sessionReused: tls.info.sessionReused, answer: new TextDecoder().decode(value).trim() };
}
// #endregion

addEventListener("message", async ({ data }: MessageEvent<Job>) => {
  postMessage(await work(data));
});
