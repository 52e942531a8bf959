/** What transports and dialers tell of what carries the bytes. */
import type { Dialer, Transport } from "wassl";
import { denoDialer } from "wassl/dialers/deno";
import { wispDialer } from "wassl/dialers/wisp";
import { dataChannelTransport } from "wassl/transports/data-channel";
import { denoTransport } from "wassl/transports/deno";
import { messagePortTransport } from "wassl/transports/message-port";
import { connectWebSocket, webSocketTransport } from "wassl/transports/websocket";
import { readAll, sleep, utf8, write } from "../helpers/basics.ts";
import { afterTest, env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

const open = (path: string, options: object = {}) =>
  connectWebSocket(env.ws(path), { WebSocket: env.WebSocket, ...options } as never);
const webSocket =
  (path: string, act: (transport: Transport) => unknown = ({ readable }) => readAll(readable)) =>
  async () => {
    const transport = await open(path);
    afterTest(() => transport.writable.abort().catch(() => {}));
    await act(transport);
  };

/** What one end is told when this is done to the other. */
const port =
  (act: (ours: Transport, theirs: Transport, ports: MessageChannel) => unknown, options: object = {}) =>
  async () => {
    const ports = new MessageChannel();
    afterTest(() => {
      ports.port1.close();
      ports.port2.close();
    });
    await act(messagePortTransport(ports.port1, options), messagePortTransport(ports.port2), ports);
  };
/** The same where the other end is no transport. */
const strange = (message: unknown) => async () => {
  const ports = new MessageChannel();
  afterTest(() => ports.port2.close());
  const { readable } = messagePortTransport(ports.port1, { window: 1000 });
  ports.port2.postMessage(message);
  await readAll(readable);
};

const deno =
  (act: (transport: Transport) => unknown, conn: object = {}) =>
  async () =>
    act(
      denoTransport({
        read: () => new Promise(() => {}),
        write: async (bytes: Uint8Array) => bytes.length,
        closeWrite: async () => {},
        close() {},
        ...conn,
      } as never),
    );

/** A channel that sends nothing, and to which this happens. */
const channel =
  (act: (transport: Transport, channel: FakeChannel) => unknown, options: object = {}, state: object = {}) =>
  async () => {
    const fake = Object.assign(new FakeChannel(), state);
    await act(dataChannelTransport(fake as never, options), fake);
  };
class FakeChannel extends EventTarget {
  ordered = true;
  readyState = "open";
  bufferedAmount = 0;
  send(): void {}
  close(): void {
    this.readyState = "closed";
  }
  tell(type: string, what: object = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), what));
  }
}
/** What the reader is told when this happens. */
const heard =
  (act: (channel: FakeChannel) => unknown) =>
  async ({ readable }: Transport, channel: FakeChannel) => {
    const reading = readAll(readable);
    act(channel);
    await reading;
  };

const notBytes = ({ writable }: Transport) => writable.getWriter().write("hello" as never);
const aborted = async ({ readable, writable }: Transport) => {
  const reading = readAll(readable);
  writable.abort(new Error("enough")).catch(() => {});
  await reading;
};
const cancelled = async ({ readable, writable }: Transport) => {
  const writer = writable.getWriter();
  await readable.cancel();
  await writer.closed;
};

const to = { hostname: "db.example.org", port: 5432 };
const CLOSE = 4;
const packet = (type: number, stream: number, ...payload: number[]) =>
  Uint8Array.of(type, stream, 0, 0, 0, ...payload);
/** CONTINUE: streams can be opened. */
const ready = packet(3, 0, 4, 0, 0, 0);

/** A dialer whose server begins so, and answers so to a CONNECT. */
const wisp =
  (
    { begins = [], answers = [] }: { begins?: (Uint8Array | "close")[]; answers?: Uint8Array[] },
    act: (dial: Dialer) => unknown,
  ) =>
  async () => {
    class Socket extends EventTarget {
      readyState = 0;
      readonly bufferedAmount = 0;
      binaryType = "arraybuffer";
      constructor(readonly url: string) {
        super();
        queueMicrotask(() => {
          this.readyState = 1;
          this.dispatchEvent(new Event("open"));
          for (const each of begins) {
            if (each === "close") this.close();
            else this.give(each);
          }
        });
      }
      give(bytes: Uint8Array): void {
        const { buffer: data } = bytes.slice();
        setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })));
      }
      send([type]: Uint8Array): void {
        if (type === 1) for (const each of answers) this.give(each);
      }
      close(): void {
        if (this.readyState > 1) return;
        this.readyState = 3;
        setTimeout(() =>
          this.dispatchEvent(Object.assign(new Event("close"), { wasClean: true, code: 1000, reason: "" })),
        );
      }
    }
    const dial = wispDialer("ws://relay/", { WebSocket: Socket as never, openTimeout: 50, idleTimeout: 20 });
    await act(dial);
  };

export const transports: Table = {
  "transports: WebSocket": [
    [
      "a server that is not there",
      // WebKitGTK tells nothing of the ports that browsers block, as port 1 is.
      () => connectWebSocket("ws://127.0.0.1:65533/", { WebSocket: env.WebSocket }),
      "transport",
      "No WebSocket to ws://127.0.0.1:65533/: close code …",
    ],
    [
      "a server that refuses",
      webSocket("/ws/refuse"),
      "transport",
      "No WebSocket to ws://127.0.0.1:…/ws/refuse: close code …",
    ],
    [
      "a URL that is none",
      () => connectWebSocket("nowhere:", { WebSocket: env.WebSocket }),
      "transport",
      "Cannot connect to nowhere:: …",
    ],
    [
      "no WebSocket here",
      async () => {
        const own = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
        Object.defineProperty(globalThis, "WebSocket", { value: undefined, configurable: true });
        try {
          await connectWebSocket(env.ws("/ws/echo"));
        } finally {
          if (own) Object.defineProperty(globalThis, "WebSocket", own);
          else Reflect.deleteProperty(globalThis, "WebSocket");
        }
      },
      "invalid-argument",
      "This runtime has no WebSocket. Pass one as the option `WebSocket`, for example that of npm ws",
    ],
    [
      "another close code",
      webSocket("/ws/close?code=1011&reason=full"),
      "transport",
      'No WebSocket to ws://127.0.0.1:…/ws/close?code=1011&reason=full: close code 1011, reason "full"',
    ],
    [
      "a connection that breaks",
      webSocket("/ws/terminate", async ({ readable, writable }) => {
        await write(writable, utf8("now"));
        await readAll(readable);
      }),
      "transport",
      "No WebSocket to ws://127.0.0.1:…/ws/terminate: close code …",
    ],
    [
      "a text frame",
      webSocket("/ws/text"),
      "transport",
      "ws://127.0.0.1:…/ws/text sent a text frame, but only binary frames carry bytes",
    ],
    [
      "more than is kept",
      async () => {
        const transport = await open("/ws/source?bytes=200000&seed=1", { maxUnread: 100_000 });
        await sleep(200);
        await readAll(transport.readable);
      },
      "transport",
      "ws://127.0.0.1:…/ws/source?bytes=200000&seed=1 sent over 100000 bytes that were not read",
    ],
    [
      "a write after the server has closed it",
      webSocket("/ws/close?code=1000&reason=", async ({ readable, writable }) => {
        await readAll(readable);
        await write(writable, utf8("hello"));
      }),
      "closed",
      "ws://127.0.0.1:…/ws/close?code=1000&reason= has closed the WebSocket",
    ],
    [
      "a write while it closes",
      () => {
        const socket = { ...closing, readyState: 1 };
        const { writable } = webSocketTransport(socket as never);
        socket.readyState = 2;
        return write(writable, utf8("hello"));
      },
      "transport",
      "The WebSocket to ws://localhost/ is closing",
    ],
    [
      "a write of no bytes",
      webSocket("/ws/echo", notBytes),
      "invalid-argument",
      "A transport takes Uint8Arrays only",
    ],
    ["abort()", webSocket("/ws/echo", aborted), "transport", "The WebSocket was aborted"],
    [
      "cancel()",
      webSocket("/ws/echo", cancelled),
      "closed",
      "The WebSocket was closed by cancelling its readable",
    ],
    [
      "it was closed already",
      async () => {
        const socket = new env.WebSocket(env.ws("/ws/close?code=1000&reason="));
        await new Promise((resolve) => socket.addEventListener("close", resolve as never));
        await readAll(webSocketTransport(socket).readable);
      },
      "transport",
      "The WebSocket to ws://127.0.0.1:…/ws/close?code=1000&reason= was already closed",
    ],
  ],
  "transports: a data channel": [
    [
      "not ordered",
      channel(() => {}, {}, { ordered: false }),
      "invalid-argument",
      "the channel must be ordered and reliable, or bytes are lost",
    ],
    [
      "cancel()",
      channel(async ({ readable, writable }) => {
        const writer = writable.getWriter();
        await readable.cancel();
        await writer.closed;
      }),
      "closed",
      "The channel was closed by cancelling its readable",
    ],
    ["abort()", channel(aborted), "transport", "The channel was aborted"],
    [
      "a peer that takes nothing",
      channel(({ writable }) => writable.close(), { closeTimeout: 10 }, { bufferedAmount: 1000 }),
      "timeout",
      "nothing left for 10 ms, and the channel was closed",
    ],
    [
      "a text",
      channel(heard((fake) => fake.tell("message", { data: "hello" }))),
      "transport",
      "a text came, but only binary messages carry bytes",
    ],
    [
      "more than may wait",
      channel(
        async ({ readable }, fake) => {
          fake.tell("message", { data: new ArrayBuffer(600) });
          fake.tell("message", { data: new ArrayBuffer(600) });
          await readAll(readable);
        },
        { maxUnread: 1000 },
      ),
      "transport",
      "the peer sent over 1000 bytes that were not read",
    ],
    [
      "the peer closes, and there is more to write",
      channel(async ({ writable }, fake) => {
        fake.tell("close");
        await write(writable, utf8("hello"));
      }),
      "closed",
      "The peer has closed the channel",
    ],
    [
      "a failure",
      channel(
        heard((fake) => {
          fake.tell("error", { error: new Error("the cable is cut") });
          fake.tell("close");
        }),
      ),
      "transport",
      "The channel failed: the cable is cut",
    ],
    [
      "it was closed already",
      channel(({ readable }) => readAll(readable), {}, { readyState: "closed" }),
      "transport",
      "The channel was already closed",
    ],
  ],
  "transports: MessagePort": [
    [
      "the other end aborts",
      port((ours, theirs) => {
        theirs.writable.abort(new Error("enough")).catch(() => {});
        return readAll(ours.readable);
      }),
      "transport",
      "The other end of the MessagePort aborted: Error: enough",
    ],
    [
      "the other end cancels",
      port(async (ours, theirs) => {
        const writer = ours.writable.getWriter();
        await theirs.readable.cancel("enough");
        await writer.closed;
      }),
      "transport",
      "The other end of the MessagePort reads no more: enough",
    ],
    [
      "a message of something else",
      strange("hello"),
      "transport",
      "A message came that is not of this protocol: does the other end use messagePortTransport?",
    ],
    [
      "more than was granted",
      strange(new Uint8Array(2000)),
      "transport",
      "The other end of the MessagePort sent more than it had credit for",
    ],
    [
      "a message that cannot be read",
      async () => {
        const { port1 } = new MessageChannel();
        afterTest(() => port1.close());
        const { readable } = messagePortTransport(port1);
        port1.dispatchEvent(new Event("messageerror"));
        await readAll(readable);
      },
      "transport",
      "A message could not be deserialized",
    ],
    [
      "it is closed",
      async () => {
        const { port1 } = new MessageChannel();
        const { readable } = messagePortTransport(port1);
        port1.dispatchEvent(new Event("close"));
        await readAll(readable);
      },
      "transport",
      "The MessagePort was closed before both directions had ended",
    ],
    ["a write of no bytes", port(notBytes), "invalid-argument", "A transport takes Uint8Arrays only"],
    ["abort()", port(aborted), "transport", "The transport was aborted"],
  ],
  "transports: Deno": [
    [
      "a connection that fails",
      deno(({ readable }) => readAll(readable), {
        read: () => Promise.reject(new Error("connection reset")),
      }),
      "transport",
      "connection reset",
    ],
    ["a write of no bytes", deno(notBytes), "invalid-argument", "A transport takes Uint8Arrays only"],
    ["abort()", deno(aborted), "transport", "The transport was aborted"],
    ["cancel()", deno(cancelled), "closed", "The transport was closed by cancelling its readable"],
  ],
  "dialers: Wisp": [
    [
      "a server that says nothing",
      wisp({}, (dial) => dial(to)),
      "timeout",
      "the Wisp server was not ready within 50 ms",
    ],
    [
      "a server of something else",
      wisp({ begins: [Uint8Array.of(72, 84, 84, 80)] }, (dial) => dial(to)),
      "transport",
      "what the server sent is no packet of Wisp: is its URL that of a Wisp server?",
    ],
    [
      "a server that refuses",
      wisp({ begins: [packet(CLOSE, 0, 0x42)] }, (dial) => dial(to)),
      "transport",
      "the Wisp server refuses the connection because the destination cannot be reached",
    ],
    [
      "a server that closes",
      wisp({ begins: ["close"] }, (dial) => dial(to)),
      "transport",
      "the Wisp server has closed the WebSocket",
    ],
    [
      "the host ends",
      wisp({ begins: [ready], answers: [packet(CLOSE, 1, 2)] }, async (dial) => {
        const { readable, writable } = await dial(to);
        const writer = writable.getWriter();
        await readAll(readable);
        await writer.write(utf8("hello"));
      }),
      "closed",
      "db.example.org:5432 has closed the connection",
    ],
    [
      "the host cannot be reached",
      wisp({ begins: [ready], answers: [packet(CLOSE, 1, 0x42)] }, async (dial) =>
        readAll((await dial(to)).readable),
      ),
      "transport",
      "The relay has closed the connection to db.example.org:5432 because the destination cannot be reached",
    ],
    [
      "abort()",
      wisp({ begins: [ready] }, async (dial) => aborted(await dial(to))),
      "transport",
      "The stream was aborted",
    ],
    [
      "cancel()",
      wisp({ begins: [ready] }, async (dial) => cancelled(await dial(to))),
      "closed",
      "The stream was closed by cancelling its readable",
    ],
  ],
  dialers: [
    [
      "no port",
      () => env.dial({ hostname: "localhost" } as never),
      "invalid-argument",
      "A dialer needs port",
    ],
    ["no Deno", () => withoutDeno(denoDialer), "invalid-argument", "denoDialer needs Deno"],
  ],
};

/** A WebSocket that is closing lasts too short a time to be met by chance. */
const closing = {
  ...{ url: "ws://localhost/", bufferedAmount: 0, binaryType: "arraybuffer" },
  addEventListener() {},
  removeEventListener() {},
  send() {},
  close() {},
};

function withoutDeno<T>(act: () => T): T {
  const own = Object.getOwnPropertyDescriptor(globalThis, "Deno");
  Reflect.deleteProperty(globalThis, "Deno");
  try {
    return act();
  } finally {
    if (own) Object.defineProperty(globalThis, "Deno", own);
  }
}
