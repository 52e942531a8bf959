/** What only Node.js can show: its streams, and where its OpenSSL comes from. */
import { Duplex } from "node:stream";
import { BlockingTransport, carry, newChannel } from "wassl/blocking";
import { nodeTransport } from "wassl/transports/node";
import { pair } from "../fakes/pair.ts";
import { readAll, utf8, write } from "../helpers/basics.ts";
import { afterTest, env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

/** A duplex of which nothing is heard. */
const quiet = (options: object = {}) =>
  new Duplex({ read() {}, write: (_bytes, _encoding, done) => done(), ...options });
const reading =
  (duplex: Duplex, act: () => void = () => {}) =>
  async () => {
    const { readable } = nodeTransport(duplex);
    const read = readAll(readable);
    act();
    await read;
  };

export const sockets: Table = {
  "transports: Node.js": [
    [
      "a stream of texts",
      reading(Duplex.from(["hello"])),
      "invalid-argument",
      "The duplex gives strings or objects instead of bytes",
    ],
    [
      "a stream that decodes",
      reading(quiet().setEncoding("utf8")),
      "invalid-argument",
      'The duplex gives text (setEncoding("utf8")), not bytes',
    ],
    [
      "a stream that is to decode",
      () => {
        const duplex = quiet();
        nodeTransport(duplex);
        duplex.setEncoding("utf8");
      },
      "invalid-argument",
      "The duplex belongs to a transport: it carries bytes, and no text",
    ],
    [
      "a failure",
      async () => {
        const duplex = quiet();
        await reading(duplex, () => void duplex.destroy(new Error("the cable is cut")))();
      },
      "transport",
      "the cable is cut",
    ],
    [
      "closed before its end",
      async () => {
        const duplex = quiet();
        await reading(duplex, () => void duplex.destroy())();
      },
      "transport",
      "The duplex closed before it had ended",
    ],
    [
      "closed for writing",
      async () => {
        const duplex = quiet({ write() {} });
        const { readable, writable } = nodeTransport(duplex);
        const writing = write(writable, utf8("hello"));
        duplex.push(null);
        await readAll(readable);
        duplex.destroy();
        await writing;
      },
      "transport",
      "The duplex closed for writing",
    ],
    [
      "destroyed already",
      async () => {
        const duplex = quiet();
        duplex.destroy();
        await new Promise((resolve) => duplex.once("close", resolve));
        await reading(duplex)();
      },
      "transport",
      "The duplex was already destroyed",
    ],
    [
      "a write of no bytes",
      () =>
        nodeTransport(quiet())
          .writable.getWriter()
          .write("hello" as never),
      "invalid-argument",
      "A transport takes Uint8Arrays only",
    ],
    [
      "cancel()",
      async () => {
        const { readable, writable } = nodeTransport(quiet());
        const writer = writable.getWriter();
        await readable.cancel();
        await writer.closed;
      },
      "closed",
      "The transport was closed by cancelling its readable",
    ],
  ],
  // Elsewhere this may be the page's own thread, which must not wait anyway.
  "blocking: this thread": [
    [
      "the thread that carries",
      () => {
        const channel = newChannel({ size: 1024 });
        const [near] = pair();
        const control = new AbortController();
        afterTest(() => control.abort());
        carry(channel, near, { signal: control.signal }).catch(() => {});
        new BlockingTransport(channel).read(new Uint8Array(1));
      },
      "cannot-block",
      "the thread that carries the bytes would wait for itself",
    ],
  ],
  dialers: [
    [
      "nobody there",
      () => env.dial({ hostname: "127.0.0.1", port: 1 }),
      "transport",
      "No connection to 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1",
    ],
  ],
};
