/**
 * Two workers, one after the other, of which the second resumes the session of the first.
 *
 * The page is told by its URL: `relay`, the WebSocket of a relay; `ca`, where the trust anchor is.
 */
import type { Job, Outcome } from "./resumption-worker.js";

const parameters = new URLSearchParams(location.search);

// #region page
/** Compiled once, and shared: compiling takes longest, and each worker would do it again. */
const module = await WebAssembly.compileStreaming(fetch("openssl.wasm"));

async function inWorker(job: Job): Promise<Outcome> {
  const worker = new Worker(new URL("./resumption-worker.js", import.meta.url), { type: "module" });
  try {
    return await new Promise<Outcome>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(job);
    });
  } finally {
    worker.terminate();
  }
}
// #endregion

const job = {
  module,
  relay: parameters.get("relay") ?? "",
  pem: await (await fetch(parameters.get("ca") ?? "")).text(),
};
for (const name of ["first", "second"]) {
  const { sessionReused, answer } = await inWorker(job);
  document.body.append(`${name}: ${sessionReused ? "resumed" : "full handshake"}, ${answer}; `);
}
