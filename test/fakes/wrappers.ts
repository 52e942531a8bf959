/** Transports around transports, which do to the bytes what networks do, and worse. */
import type { Transport } from "wassl";
import { random } from "../helpers/random.ts";

export interface Hooks {
  /** Sends a written chunk on, in whatever pieces, or throws. */
  send?(chunk: Uint8Array, forward: (chunk: Uint8Array) => Promise<void>): Promise<void>;
  /** What a received chunk becomes. An empty list keeps the reader waiting; `null` ends the readable here. */
  receive?(chunk: Uint8Array): Promise<Uint8Array[] | null>;
}

/** The ground of all wrappers. Nothing is read ahead; a written chunk settles when its hook does. */
export function intercept(inner: Transport, hooks: Hooks): Transport {
  const reader = inner.readable.getReader();
  const writer = inner.writable.getWriter();
  let received: Uint8Array[] = [];
  let next = 0;
  let onAbort = (_reason: unknown) => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = reject;
  });
  aborted.catch(() => {});
  return {
    readable: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          while (next === received.length) {
            const { done, value } = await reader.read();
            const pieces = done ? null : hooks.receive ? await hooks.receive(value) : [value];
            if (!pieces) return controller.close();
            received = pieces;
            next = 0;
          }
          // Counted, not shifted out of a long list, which is moved by one each time.
          controller.enqueue(received[next++]!);
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    ),
    writable: new WritableStream<Uint8Array>({
      start(controller) {
        writer.closed.catch((error: unknown) => controller.error(error));
        // A sink's abort() would wait for a write that is stuck.
        controller.signal.addEventListener("abort", () => {
          onAbort(controller.signal.reason);
          writer.abort(controller.signal.reason).catch(() => {});
        });
      },
      async write(chunk) {
        const forward = (piece: Uint8Array) => writer.write(piece);
        await Promise.race([hooks.send ? hooks.send(chunk, forward) : forward(chunk), aborted]);
      },
      close: () => writer.close(),
    }),
  };
}

/** Cuts every chunk, both ways, into pieces of the sizes that `nextSize` gives. */
export function rechunk(inner: Transport, nextSize: () => number): Transport {
  const cut = (chunk: Uint8Array) => {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < chunk.byteLength; ) {
      const size = Math.max(1, Math.floor(nextSize()));
      pieces.push(chunk.subarray(at, at + size));
      at += size;
    }
    return pieces;
  };
  return intercept(inner, {
    async send(chunk, forward) {
      for (const piece of cut(chunk)) await forward(piece);
    },
    receive: async (chunk) => cut(chunk),
  });
}

/** One byte at a time, both ways. */
export function oneByte(inner: Transport): Transport {
  return rechunk(inner, () => 1);
}

/** Pieces of 1 to `max` bytes, small ones as often as large ones. The seed belongs in the assertion's message. */
export function randomChunks(inner: Transport, seed: number, max = 40_000): Transport {
  const next = random(seed);
  return rechunk(inner, () => max ** next());
}

/** Every chunk takes `milliseconds`, both ways. */
export function slow(inner: Transport, milliseconds: number): Transport {
  const wait = () => new Promise((resolve) => setTimeout(resolve, milliseconds));
  return intercept(inner, {
    async send(chunk, forward) {
      await wait();
      await forward(chunk);
    },
    async receive(chunk) {
      await wait();
      return [chunk];
    },
  });
}

export interface Clog {
  transport: Transport;
  /** From now on writes do not settle, nor do their bytes leave. */
  clog(): void;
  /** Lets them go, in order. */
  release(): void;
  /** Resolves when a write is stuck. */
  readonly stuck: Promise<void>;
}

/** A transport whose sending direction can be stopped up; it starts clogged unless told otherwise. */
export function cloggable(inner: Transport, startClogged = true): Clog {
  let open = () => {};
  let gate: Promise<void> | undefined;
  let onStuck = () => {};
  const stuck = new Promise<void>((resolve) => {
    onStuck = resolve;
  });
  const clog = () => {
    gate ??= new Promise<void>((resolve) => {
      open = resolve;
    });
  };
  if (startClogged) clog();
  return {
    transport: intercept(inner, {
      async send(chunk, forward) {
        if (gate) onStuck();
        while (gate) await gate;
        await forward(chunk);
      },
    }),
    clog,
    release() {
      gate = undefined;
      open();
    },
    stuck,
  };
}

/** Sending fails with `error` once `bytes` bytes have left. The failing write lets its first part out, as TCP does. */
export function failingWriter(
  inner: Transport,
  bytes: number,
  error: unknown = new Error("the cable is cut"),
): Transport {
  let left = bytes;
  return intercept(inner, {
    async send(chunk, forward) {
      const part = chunk.subarray(0, left);
      left -= part.byteLength;
      if (part.byteLength > 0) await forward(part);
      if (part.byteLength < chunk.byteLength) throw error;
    },
  });
}

/** Receiving fails with `error` once `bytes` bytes have come. */
export function failingReader(
  inner: Transport,
  bytes: number,
  error: unknown = new Error("the cable is cut"),
): Transport {
  let left = bytes;
  return intercept(inner, {
    async receive(chunk) {
      if (left === 0) throw error;
      const part = chunk.subarray(0, left);
      left -= part.byteLength;
      return [part];
    },
  });
}

/** Receiving ends, as if the peer had sent a FIN, once `bytes` bytes have come. */
export function truncated(inner: Transport, bytes: number): Transport {
  let left = bytes;
  return intercept(inner, {
    async receive(chunk) {
      if (left === 0) return null;
      const part = chunk.subarray(0, left);
      left -= part.byteLength;
      return [part];
    },
  });
}

export interface Tap {
  transport: Transport;
  /** All bytes so far. */
  sent(): Uint8Array;
  received(): Uint8Array;
}

/** Copies down what passes, for tests that look at the records on the wire. */
export function tap(inner: Transport): Tap {
  const sent: Uint8Array[] = [];
  const received: Uint8Array[] = [];
  return {
    transport: intercept(inner, {
      async send(chunk, forward) {
        sent.push(chunk.slice());
        await forward(chunk);
      },
      async receive(chunk) {
        received.push(chunk.slice());
        return [chunk];
      },
    }),
    sent: () => concat(sent),
    received: () => concat(received),
  };
}

export function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
