/** Two transports that are each other's other end, in memory. */
import type { Transport } from "wassl";

export interface PairOptions {
  /** Bytes that wait per direction before writes wait too. Default 64 KiB. */
  capacity?: number;
}

/** A pair with a buffer in each direction, as sockets have. Half-close, abort and cancel travel as in TCP. */
export function pair({ capacity = 64 * 1024 }: PairOptions = {}): [Transport, Transport] {
  const there = channel(capacity);
  const back = channel(capacity);
  return [
    { readable: back.readable, writable: there.writable },
    { readable: there.readable, writable: back.writable },
  ];
}

/**
 * A pair without any buffer: a write settles only when the other side reads it. Code that waits for a write to settle
 * before it reads, while its peer does the same, deadlocks here at once instead of once a year.
 */
export function lockstep(): [Transport, Transport] {
  return pair({ capacity: 0 });
}

function channel(capacity: number): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream<Uint8Array, Uint8Array>(
    {
      transform(chunk, controller) {
        if (!(chunk instanceof Uint8Array)) throw new TypeError("A transport takes Uint8Arrays only");
        // Copied when it is taken, not when it is written: a writer that touches its bytes before the write has
        // settled is seen to corrupt them, one that does so afterwards is in its right.
        if (chunk.byteLength > 0) controller.enqueue(chunk.slice());
      },
    },
    // The writable's own queue does not concern the transport.
    { highWaterMark: 1 },
    { highWaterMark: capacity, size: (chunk) => chunk.byteLength },
  );
}
