/** The most that `setTimeout` can wait for, in milliseconds; with more it fires at once. */
const MOST = 2 ** 31 - 1;

/**
 * Calls back in so many milliseconds, however many: `Infinity` is never. What it returns stops that. In the background, it
 * keeps no program alive.
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

/** Node.js has objects for timers, and Deno numbers. In browsers nothing is kept alive by one. */
function unref(timer: unknown): void {
  if (typeof timer === "object") (timer as { unref?(): void }).unref?.();
  else (globalThis as { Deno?: { unrefTimer?(timer: unknown): void } }).Deno?.unrefTimer?.(timer);
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => void after(milliseconds, resolve));
}

/**
 * What `work` comes to, unless it takes longer than `milliseconds`: then a rejection with what `late` makes. With `progress`
 * the time is that during which this number stands still.
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
    // Looked at in small steps, so that what moves late in one is not thought to have stood still for all of it.
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
