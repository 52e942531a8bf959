/** Where the time goes: V8's profiler, which knows WASM functions by name if the module has names. */
import { Session } from "node:inspector/promises";

/** The share of the samples that a function has itself, not by what it calls. */
export interface Share {
  readonly name: string;
  readonly share: number;
}

let session: Session | undefined;

export const profiled = {
  async start(): Promise<void> {
    session = new Session();
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 200 });
    await session.post("Profiler.start");
  },

  /** Largest first; time spent waiting is left out. */
  async stop(): Promise<Share[]> {
    const { profile } = await session!.post("Profiler.stop");
    session!.disconnect();
    const names = new Map(
      profile.nodes.map(({ id, callFrame }) => {
        const file = callFrame.url.split("/").pop();
        const where = callFrame.url.startsWith("wasm:") ? "wasm" : file;
        return [id, `${callFrame.functionName || "(anonymous)"}${where ? ` — ${where}` : ""}`];
      }),
    );
    const times = new Map<string, number>();
    let all = 0;
    for (const [i, id] of (profile.samples ?? []).entries()) {
      const name = names.get(id) ?? "?";
      if (name === "(idle)") continue;
      const time = profile.timeDeltas?.[i] ?? 0;
      all += time;
      times.set(name, (times.get(name) ?? 0) + time);
    }
    return [...times].map(([name, time]) => ({ name, share: time / all })).sort((a, b) => b.share - a.share);
  },
};
