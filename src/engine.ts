/// <reference lib="esnext.disposable" preserve="true" />
/** What some engines lack, and what stands in its place there. */

/**
 * The names of the methods that `using` and `await using` call. WebKit has not got the symbols: there it is what esbuild, Babel and
 * swc, which compile `using`, look for in their place.
 */
export const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");
export const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");

/** Cloudflare Workers of before May 2025 have no `WeakRef`: what is held is held until its end then. */
export function weakly<T extends object>(target: T): { deref(): T | undefined } {
  return typeof WeakRef === "undefined" ? { deref: () => target } : new WeakRef(target);
}
