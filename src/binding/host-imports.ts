import { TlsError } from "../errors.js";

const ERRNO_SUCCESS = 0;
const ERRNO_IO = 29;
const ERRNO_NOTSUP = 58;
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
/** `crypto.getRandomValues` gives at most so many bytes at a time (W3C Web Cryptography §10.1.1). */
const ENTROPY_MAX = 65_536;

/**
 * All that the module imports: entropy and the clock, with WASI's numbers. A missing or failing source of entropy is
 * fatal, because no safe fallback exists.
 */
export function hostImports(memory: () => WebAssembly.Memory): WebAssembly.Imports {
  if (typeof globalThis.crypto?.getRandomValues !== "function") {
    throw new TlsError("entropy", "this platform has no crypto.getRandomValues, and so no secure randomness");
  }
  return {
    host: {
      random_get(ptr: number, length: number): number {
        try {
          const bytes = new Uint8Array(memory().buffer as ArrayBuffer, ptr, length);
          for (let i = 0; i < length; i += ENTROPY_MAX) {
            globalThis.crypto.getRandomValues(bytes.subarray(i, i + ENTROPY_MAX));
          }
          return ERRNO_SUCCESS;
        } catch {
          // Never let an exception cross C frames. The operation that wanted random numbers fails.
          return ERRNO_IO;
        }
      },
      clock_get(id: number, out: number): number {
        try {
          let milliseconds: number;
          if (id === CLOCK_REALTIME) milliseconds = Date.now();
          else if (id === CLOCK_MONOTONIC) milliseconds = performance.now();
          else return ERRNO_NOTSUP;
          const nanoseconds = BigInt(Math.round(milliseconds * 1000)) * 1000n;
          new DataView(memory().buffer).setBigUint64(out, nanoseconds, true);
          return ERRNO_SUCCESS;
        } catch {
          return ERRNO_IO; // as above: a clock that somebody has replaced
        }
      },
    },
  };
}
