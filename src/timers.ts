/** The longest time for `setTimeout`, in milliseconds; with a longer one it fires at once. */
const MOST = 2 ** 31 - 1;

/**
 * Calls `act` in `milliseconds`, which may be any number; `Infinity` is never. The function that it returns stops the
 * timer. A timer in the background does not keep a program alive.
 */
export function after(milliseconds: number, act: () => void, background = false): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const arm = (left: number) => {
    if (left === Infinity) return;
    timer = setTimeout(() => (left > MOST ? arm(left - MOST) : act()), Math.min(left, MOST));
    if (background) unref(timer);
  };
  arm(milliseconds);
  return () => clearTimeout(timer);
}

/** Timers are objects in Node.js and numbers in Deno. In browsers a timer keeps nothing alive. */
function unref(timer: unknown): void {
  if (typeof timer === "object") (timer as { unref?(): void }).unref?.();
  else (globalThis as { Deno?: { unrefTimer?(timer: unknown): void } }).Deno?.unrefTimer?.(timer);
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => void after(milliseconds, resolve));
}

/**
 * Settles as `work` does, unless that takes longer than `milliseconds`: then it rejects with what `late` returns. With
 * `progress`, the time counts only while this number stands still.
 */
export async function within<T>(
  milliseconds: number,
  work: PromiseLike<T>,
  late: () => unknown,
  progress?: () => number,
): Promise<T> {
  let stop = () => {};
  const tooLate = new Promise<never>((_, reject) => {
    let seen = progress?.();
    let still = 0;
    // The steps are small, so that progress late in one step does not count as a standstill for all of it.
    const step = progress ? milliseconds / 8 : milliseconds;
    const watch = () => {
      stop = after(step, () => {
        const now = progress?.();
        still = now === seen ? still + step : 0;
        seen = now;
        if (still >= milliseconds) reject(late());
        else watch();
      });
    };
    watch();
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    stop();
  }
}
