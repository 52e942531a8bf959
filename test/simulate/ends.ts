/** What the two programs at the ends of a simulated connection do, and what they see of it. */
import { type CloseInfo, TlsError } from "../../src/errors.ts";
import type { TlsStream } from "../../src/stream.ts";
import type { World } from "./world.ts";

export const abortReason = new Error("the simulated program aborts");
/** Written in plaintext once TLS was shut down. */
export const MARKER = "plaintext follows";

/** The byte at `at` of what one end sends: the receiver can check each without having them all. */
export const byteAt = (role: string, at: number) =>
  (at * 31 + (at >>> 8) * 17 + (role === "client" ? 7 : 99)) & 0xff;

export interface End {
  role: "client" | "server";
  stream?: TlsStream;
  handshakeError?: unknown;
  /** Bytes given to write(), and those of them in writes that settled well. */
  offered: number;
  /** Bytes offered before our side of the connection was closed: those that must arrive before a clean end. */
  promised: number;
  read: number;
  /** What the reader came to. */
  readEnd?: "end" | "cancelled" | { error: unknown };
  /** The bytes that were read are not those that were sent. */
  wrongByte?: number;
  /** Verbs that were called, in order. */
  verbs: string[];
  outcome?: CloseInfo;
  closedWith?: unknown;
  shutdownOk?: boolean;
  /** What came in plaintext after shutdown(). */
  plaintext?: string;
  /** What is under way, by name: nothing may be at the end. */
  pending: Map<string, number>;
}

export function makeEnd(role: End["role"]): End {
  return { role, offered: 0, promised: 0, read: 0, verbs: [], pending: new Map() };
}

/** Keeps note of what is under way. The outcome of `promise`, never its rejection. */
export async function watch<T>(
  end: End,
  name: string,
  promise: Promise<T>,
): Promise<{ value: T } | { error: unknown }> {
  end.pending.set(name, (end.pending.get(name) ?? 0) + 1);
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  } finally {
    end.pending.set(name, end.pending.get(name)! - 1);
  }
}

export interface Plan {
  writes: number[];
  /** Wait for each write before the next. */
  patient: boolean;
  closesWriter: boolean;
  reads: "all" | "some" | "none" | "cancel" | "byob";
  /** Verbs, after how many steps each. */
  verbs: { verb: "closeWrite" | "shutdown" | "close" | "abort"; after: number }[];
}

export function makePlan(world: World): Plan {
  const total = world.chance(0.2) ? 0 : world.size(60_000);
  const writes: number[] = [];
  for (let left = total; left > 0; ) {
    const n = Math.min(left, world.size(40_000));
    writes.push(n);
    left -= n;
    if (writes.length > 12) break;
  }
  const verbs: Plan["verbs"] = [];
  for (let i = world.below(3); i > 0; i--) {
    const verb = world.pick(["closeWrite", "shutdown", "shutdown", "close", "abort"] as const);
    verbs.push({ verb, after: world.size(30) });
  }
  return {
    writes,
    patient: world.chance(0.5),
    closesWriter: world.chance(0.6),
    reads: world.pick(["all", "all", "all", "byob", "byob", "some", "none", "cancel"]),
    verbs,
  };
}

/** Runs the plan's actors; settles when all have ended, and the connection is over. */
export async function act(world: World, end: End, plan: Plan): Promise<void> {
  const stream = end.stream!;
  const { role } = end;
  void watch(end, "closed", stream.closed).then((result) => {
    if ("value" in result) end.outcome = result.value;
    else {
      end.closedWith = result.error;
      if (result.error instanceof TlsError && result.error.outcome) end.outcome = result.error.outcome;
    }
  });
  const closing = (verb: string) => {
    // What is offered later is refused, and no promise is made about it.
    if (!end.verbs.some((each) => each !== "abort")) end.promised = end.offered;
    end.verbs.push(verb);
  };

  /** No call waits for ever. */
  const patience = () =>
    new Promise<{ done: true; value: undefined }>((resolve) => {
      setTimeout(() => resolve({ done: true, value: undefined }), 60_000);
    });

  const writer = async () => {
    const sink = stream.writable.getWriter();
    sink.closed.catch(() => {});
    sink.ready.catch(() => {});
    for (const n of plan.writes) {
      await world.step(`${role} writes ${n}`);
      const bytes = Uint8Array.from({ length: n }, (_, i) => byteAt(role, end.offered + i));
      if (end.verbs.length === 0) end.offered += n;
      const writing = watch(end, "write", sink.write(bytes));
      if (plan.patient && "error" in (await writing)) break;
    }
    if (plan.closesWriter) {
      await world.step(`${role} closes its writer`);
      closing("writer.close");
      await watch(end, "writer.close", sink.close());
    }
    sink.releaseLock();
  };

  const took = (bytes: Uint8Array) => {
    const from = role === "client" ? "server" : "client";
    for (const byte of bytes) {
      if (byte !== byteAt(from, end.read) && end.wrongByte === undefined) end.wrongByte = end.read;
      end.read++;
    }
  };
  const reader = async () => {
    if (plan.reads === "none") return;
    if (plan.reads === "byob") {
      const source = stream.readable.getReader({ mode: "byob" });
      source.closed.catch(() => {});
      for (;;) {
        await world.step(`${role} reads`);
        const result = await watch(end, "read", source.read(new Uint8Array(world.size(70_000))));
        if ("error" in result) {
          end.readEnd = { error: result.error };
          return;
        }
        if (result.value.value) took(result.value.value);
        if (result.value.done) {
          end.readEnd = "end";
          return;
        }
      }
    }
    const source = stream.readable.getReader();
    source.closed.catch(() => {});
    for (let i = plan.reads === "all" ? Number.POSITIVE_INFINITY : world.below(4); i > 0; i--) {
      await world.step(`${role} reads`);
      const result = await watch(end, "read", source.read());
      if ("error" in result) {
        end.readEnd = { error: result.error };
        return;
      }
      if (result.value.done) {
        end.readEnd = "end";
        return;
      }
      took(result.value.value);
    }
    if (plan.reads === "cancel") {
      end.readEnd = "cancelled";
      await watch(end, "cancel", source.cancel(new Error("no more")));
    }
    source.releaseLock();
  };

  const call = async (verb: Plan["verbs"][number]["verb"]) => {
    closing(verb);
    if (verb === "abort") {
      stream.abort(abortReason);
    } else if (verb === "shutdown") {
      const result = await watch(end, "shutdown", stream.shutdown());
      if ("value" in result && !end.shutdownOk) {
        end.shutdownOk = true;
        await afterwards(result.value);
      }
    } else {
      await watch(end, verb, stream[verb]());
    }
  };
  /** The transport is ours again: we say something in plaintext, and listen. */
  const afterwards = async ({ transport, trailing, info }: Awaited<ReturnType<TlsStream["shutdown"]>>) => {
    // Otherwise the peer has not been told, and takes what follows for TLS.
    if (info.how !== "complete") return;
    const { readable, writable } = transport;
    const sink = writable.getWriter();
    sink.closed.catch(() => {});
    void sink.write(new TextEncoder().encode(MARKER)).catch(() => {});
    sink.close().catch(() => {});
    const source = readable.getReader();
    let text = new TextDecoder().decode(trailing);
    try {
      while (text.length < MARKER.length) {
        const { done, value } = await Promise.race([source.read(), patience()]);
        if (done) break;
        text += new TextDecoder().decode(value);
      }
    } catch {
      // the peer, or the network, is gone
    }
    end.plaintext = text;
  };
  const closers = plan.verbs.map(async ({ verb, after }) => {
    for (let i = 0; i < after; i++) await world.step(`${role} waits`);
    await world.step(`${role}: ${verb}()`);
    await call(verb);
  });

  const writing = writer();
  const reading = reader();
  const closed = Promise.all(closers);
  // An end that has nothing else to do closes, so everything must come to an end.
  await Promise.race([Promise.all([writing, closed]), patience(), stream.closed.catch(() => {})]);
  await world.step(`${role} has done all it wanted`);
  if (plan.reads === "all" || plan.reads === "byob") {
    // Give the peer's data its chance, but not for ever.
    await Promise.race([reading, patience(), stream.closed.catch(() => {})]);
  }
  await world.step(`${role}: close() at last`);
  await call("close");
  await Promise.all([writing, reading, closed]);
}
