/**
 * Two workers, one after the other, of which the second resumes the session of the first.
 *
 * The page is told by its URL: `relay`, the WebSocket of a relay; `ca`, where the trust anchor is.
 */
import { OpenSsl } from "wassl";
import type { Job, Outcome } from "./resumption-worker.js";

const parameters = new URLSearchParams(location.search);

// #region page
/** Compiled once, and shared: compiling takes longest, and each worker would do it again. */
const module = await OpenSsl.compile();

function startWorker(): (job: Job) => Promise<Outcome> {
  const worker = new Worker(new URL("./resumption-worker.js", import.meta.url), { type: "module" });
  return (job) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(job);
    });
}

// They stay: one that is terminated at once may take its session along, which is being written to the database.
const workers = { first: startWorker(), second: startWorker() };
// #endregion

const job = {
  module,
  relay: parameters.get("relay") ?? "",
  pem: await (await fetch(parameters.get("ca") ?? "")).text(),
};
for (const [name, work] of Object.entries(workers)) {
  const { sessionReused, answer } = await work(job);
  document.body.append(`${name}: ${sessionReused ? "resumed" : "full handshake"}, ${answer}; `);
}
