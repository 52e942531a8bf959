/** What Node.js and the page have in common. */
import type { Connection, Settings } from "../library.ts";

export const tls13Options = ({ group, suite }: Settings) => ({
  minVersion: "TLSv1.3" as const,
  cipherSuites: suite,
  groups: group,
});

interface Streams {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  close(): Promise<void>;
}

export function overStreams(streams: Streams): Connection {
  const reader = streams.readable.getReader();
  const writer = streams.writable.getWriter();
  let have = 0;
  // That a write has failed is told by `ready`, or by what is not received.
  const toldLater = () => {};
  return {
    async receive(length) {
      while (have < length) {
        const { done, value } = await reader.read();
        if (done) throw new Error("the connection was closed");
        have += value.length;
      }
      have -= length;
    },
    async send(bytes) {
      await writer.ready;
      writer.write(bytes).catch(toldLater);
    },
    close() {
      writer.releaseLock();
      return streams.close();
    },
  };
}
