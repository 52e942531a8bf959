/** What a `ReadableStream` of bytes is made of, and what makes up for what an engine lacks of it. */

/**
 * The part of a controller that is used. That of a byte stream has it all; that of another stream has all but the last.
 */
export interface ByteController {
  readonly desiredSize: number | null;
  enqueue(chunk: Uint8Array<ArrayBuffer>): void;
  close(): void;
  error(reason?: unknown): void;
  /** The buffer of a BYOB reader that waits. */
  readonly byobRequest?: ReadableStreamBYOBRequest | null;
}

export interface ByteSource {
  start(controller: ByteController): void;
  pull(controller: ByteController): void | Promise<void>;
  cancel(reason: unknown): void | Promise<void>;
}

/**
 * A stream that pulls only when a reader waits for a chunk.
 *
 * WebKit has no byte streams. There it is a stream of the same chunks, without `getReader({ mode: "byob" })`, and each
 * chunk is a copy. `for await` cannot read a stream in WebKit by itself, so this one gets what that needs.
 */
export function byteStream(
  source: ByteSource,
): ReadableStream<Uint8Array<ArrayBuffer>> & AsyncIterable<Uint8Array<ArrayBuffer>> {
  const stream = hasByteStreams()
    ? new ReadableStream({ ...source, type: "bytes" } as UnderlyingByteSource)
    : new ReadableStream(source as UnderlyingDefaultSource<Uint8Array<ArrayBuffer>>, {
        highWaterMark: 0,
        size: (chunk) => chunk.byteLength,
      });
  if (!(Symbol.asyncIterator in stream)) {
    const values = (options?: { preventCancel?: boolean }) => iterator(stream, options?.preventCancel);
    Object.assign(stream, { values, [Symbol.asyncIterator]: values });
  }
  return stream;
}

let known: boolean | undefined;

function hasByteStreams(): boolean {
  if (known === undefined) {
    try {
      new ReadableStream({ type: "bytes" });
      known = true;
    } catch {
      known = false;
    }
  }
  return known;
}

/** As the Streams standard has it (§4.2.5): leaving the loop cancels the stream, unless that is prevented. */
function iterator(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  preventCancel = false,
): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  return {
    async next() {
      const { done, value } = await reader.read().catch((error) => {
        reader.releaseLock();
        throw error;
      });
      if (!done) return { done, value };
      reader.releaseLock();
      return { done, value: undefined };
    },
    async return(value?: unknown) {
      const cancelled = preventCancel ? undefined : reader.cancel(value);
      reader.releaseLock();
      await cancelled;
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
