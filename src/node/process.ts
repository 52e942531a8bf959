/**
 * The part of `node:process` that drivers and the streams of npm's `readable-stream` need where there is no process: in
 * a page. Its `nextTick` is a microtask: where it is a timer, a driver may wait for ever.
 *
 * @module
 */

type Act = (...parts: never[]) => void;

export const nextTick = (act: Act, ...parts: unknown[]): void =>
  queueMicrotask(() => (act as (...parts: unknown[]) => void)(...parts));

export const browser = true;
export const env: Record<string, string | undefined> = {};
export const argv: string[] = [];
export const execArgv: string[] = [];
export const pid = 1;
export const platform = "browser";
export const arch = "wasm32";
export const title = "browser";
export const version = "v20.0.0";
export const versions: Record<string, string> = { node: "20.0.0" };
export const cwd = (): string => "/";
export const umask = (): number => 0o22;
export const uptime = (): number => performance.now() / 1000;
export const emitWarning = (warning: unknown): void => console.warn(warning);

/**
 * [seconds, nanoseconds] since some moment, or since `before`.
 *
 * @example
 * ```ts
 * import { hrtime } from "wassl/node/process";
 *
 * const before = hrtime();
 * console.log(hrtime(before));
 * ```
 */
export function hrtime(before: readonly [number, number] = [0, 0]): [number, number] {
  const now = performance.now();
  const [seconds, nanoseconds] = [Math.floor(now / 1000), Math.round((now % 1000) * 1e6)];
  const borrow = nanoseconds < before[1] ? 1 : 0;
  return [seconds - before[0] - borrow, nanoseconds - before[1] + borrow * 1e9];
}
hrtime.bigint = (): bigint => BigInt(Math.round(performance.now() * 1e6));

/** A page has no such events: what is registered is never called. */
const on = (): unknown => process;

const process: Record<string, unknown> = {
  nextTick,
  browser,
  env,
  argv,
  execArgv,
  pid,
  platform,
  arch,
  title,
  version,
  versions,
  cwd,
  umask,
  uptime,
  emitWarning,
  hrtime,
  on,
  addListener: on,
  once: on,
  off: on,
  removeListener: on,
  removeAllListeners: on,
  prependListener: on,
  emit: () => false,
  listeners: () => [],
  listenerCount: () => 0,
};
export default process;
