/// <reference lib="esnext.disposable" preserve="true" />
/** What some engines lack, and what stands in its place there. */

/**
 * The names of the methods that `using` and `await using` call. WebKit does not have the symbols: there these are what
 * esbuild, Babel and swc, which compile `using`, look for instead.
 */
export const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");
export const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");

/** Cloudflare Workers from before May 2025 have no `WeakRef`: what is held there is held until its end. */
export function weakly<T extends object>(target: T): { deref(): T | undefined } {
  return typeof WeakRef === "undefined" ? { deref: () => target } : new WeakRef(target);
}

const others =
  typeof FinalizationRegistry === "undefined"
    ? undefined
    : new FinalizationRegistry<() => void>((free) => {
        try {
          free();
        } catch {
          // The instance has crashed, and its memory with it.
        }
      });

/**
 * Calls `free` with `held` when `owner` is collected, unless what this returns was called before. Neither may hold `owner`,
 * or it is never collected: so `free` is no function within a method, which would hold `this`.
 */
export function whenDropped<T>(owner: object, held: T, free: (held: T) => void): () => void {
  const token = {};
  others?.register(owner, () => free(held), token);
  return () => void others?.unregister(token);
}
