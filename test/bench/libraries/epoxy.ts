/**
 * epoxy-tls: rustls in WebAssembly; a client alone. It speaks TLS only through a Wisp server, so here is one, which has
 * one connection. It cannot be given trust anchors, so it verifies nothing.
 */
import { readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { chunksOf, type Library } from "../library.ts";
import { overStreams } from "./wassl-streams.ts";

type Streams<T> = { read: ReadableStream<T>; write: WritableStream<Uint8Array> };

interface Epoxy {
  default(options: { module_or_path: BufferSource }): Promise<void>;
  EpoxyClientOptions: new () => {
    disable_certificate_validation: boolean;
    wisp_v2: boolean;
    user_agent: string;
  };
  EpoxyClient: new (
    transport: () => Streams<ArrayBuffer>,
    options: unknown,
  ) => { connect_tls(url: string): Promise<Streams<Uint8Array>> };
}

const name: string = "@mercuryworkshop/epoxy-tls/minimal-epoxy";
const epoxy = (await import(name)) as Epoxy;
await epoxy.default({ module_or_path: readFileSync(new URL("epoxy.wasm", import.meta.resolve(name))) });

/** Wisp's packets: a type, the number of the stream, the payload. */
const CONNECT = 1;
const DATA = 2;
const CONTINUE = 3;
const CLOSE = 4;
/** How many packets may be under way to us: no bound that matters. */
const WINDOW = 0x7fffffff;

function packet(type: number, stream: number, payload: Uint8Array): ArrayBuffer {
  const bytes = new Uint8Array(5 + payload.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, stream, true);
  bytes.set(payload, 5);
  return bytes.buffer;
}

function wisp(duplex: Duplex): Streams<ArrayBuffer> {
  const window = new Uint8Array(new Uint32Array([WINDOW]).buffer);
  const next = chunksOf(duplex);
  let stream = 0;
  let connected = () => {};
  const connection = new Promise<void>((resolve) => {
    connected = resolve;
  });
  return {
    read: new ReadableStream<ArrayBuffer>({
      start: (controller) => controller.enqueue(packet(CONTINUE, 0, window)),
      async pull(controller) {
        await connection;
        // A connection that is closed in the middle is an end like others: it would log it otherwise.
        const chunk = await next().catch(() => undefined);
        controller.enqueue(chunk ? packet(DATA, stream, chunk) : packet(CLOSE, stream, new Uint8Array([2])));
        if (!chunk) controller.close();
      },
    }),
    write: new WritableStream<Uint8Array>({
      async write(bytes) {
        const type = bytes[0];
        if (type === CONNECT) {
          stream = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1, true);
          connected();
        } else if (type === DATA && !duplex.write(bytes.slice(5))) {
          await new Promise((resolve) => duplex.once("drain", resolve));
        } else if (type === CLOSE) duplex.end();
      },
    }),
  };
}

export const library: Library = {
  async client({ group }, _caPem, resume) {
    if (group !== "X25519") throw new Error(`epoxy-tls: no ${group}`);
    if (resume) throw new Error("epoxy-tls: a new client for each connection, which has no session");
    return async (duplex: Duplex) => {
      const options = new epoxy.EpoxyClientOptions();
      options.disable_certificate_validation = true;
      options.wisp_v2 = false;
      const client = new epoxy.EpoxyClient(() => wisp(duplex), options);
      const { read, write } = await client.connect_tls("localhost:443");
      return overStreams({ readable: read, writable: write, close: async () => void duplex.end() });
    };
  },
};
