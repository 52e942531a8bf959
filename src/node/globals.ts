/**
 * What programs for Node.js take for granted: `process`, `Buffer`, `global`, `setImmediate`. Import it before them, in
 * a page. What is there already stays.
 *
 * ```ts
 * import "wassl/node/globals";
 * console.log(typeof setImmediate, Buffer.from("hello").toString("hex"));
 * ```
 *
 * @module
 */
import { Buffer } from "node:buffer";
import process from "./process.js";

/** Behind what is under way, and behind microtasks. */
function setImmediate(act: (...parts: unknown[]) => void, ...parts: unknown[]): () => void {
  let cancelled = false;
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    if (!cancelled) act(...parts);
  };
  port2.postMessage(undefined);
  return () => {
    cancelled = true;
  };
}
const clearImmediate = (cancel?: () => void): void => cancel?.();

const all = globalThis as unknown as Record<string, unknown>;
for (const [name, value] of Object.entries({
  process,
  Buffer,
  global: globalThis,
  setImmediate,
  clearImmediate,
}))
  all[name] ??= value;

export { Buffer, process };
