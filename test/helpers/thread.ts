/** A thread that waits (test/workers/blocking.ts does what it is told), and a transport that is carried for it here. */
import type { Transport } from "wassl";
import { type CarryOptions, carry, newChannel } from "wassl/blocking";
import type { Calls } from "../workers/blocking.ts";
import { afterTest, env, type WorkerLike } from "./env.ts";

/** What can be called over there. */
export type Remote = {
  [K in keyof Calls]: (...args: Parameters<Calls[K]>) => Promise<Awaited<ReturnType<Calls[K]>>>;
};
export type RemoteError = Error & { code: string; written?: number; at?: string; outcome?: { how: string } };

export interface Thread {
  worker: WorkerLike;
  remote: Remote;
  waiting: Map<number, unknown>;
}

export function startThread(): Thread {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  let calls = 0;
  const worker = env.startWorker("blocking", (message) => {
    const { id, value, error } = message as { id: number; value?: unknown; error?: object };
    const call = waiting.get(id);
    waiting.delete(id);
    if (error) call?.reject(Object.assign(new Error(), error));
    else call?.resolve(value);
  });
  const remote = new Proxy({} as Remote, {
    get(_, name) {
      // A promise's value must not look like a promise.
      if (name === "then") return undefined;
      return (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          waiting.set(++calls, { resolve, reject });
          worker.postMessage({ id: calls, name, args });
        });
    },
  });
  return { worker, remote, waiting };
}

/** A thread that is not stuck serves the next test too: starting OpenSSL takes a while. */
const idle: Thread[] = [];

export async function takeThread(): Promise<Remote> {
  const thread = idle.pop() ?? startThread();
  afterTest(() => {
    if (thread.waiting.size === 0) idle.push(thread);
    else thread.worker.terminate();
  });
  await thread.remote.load();
  return thread.remote;
}

/** A thread that blocks, on a transport that is carried here. `thread` is one whose last connection is over. */
export async function blocking(
  transport: Transport,
  options: { size?: number; thread?: Remote } & CarryOptions = {},
) {
  const { size = 4096, thread, ...rest } = options;
  const remote = thread ?? (await takeThread());
  const channel = newChannel({ size });
  await remote.open(channel);
  const controller = new AbortController();
  afterTest(() => controller.abort(new Error("the test is over")));
  const carried = carry(channel, transport, { signal: controller.signal, ...rest });
  return { remote, carried };
}
