/** Nothing that has arrived is lost: each transport, each way it ends, and readers of each kind. */
import QUnit from "qunit";
import { startTls, TlsError, type TlsStream, type Transport } from "wassl";
import { messagePortTransport } from "wassl/transports/message-port";
import { connectWebSocket } from "wassl/transports/websocket";
import { deliverWhatArrived, type Ending } from "../../helpers/arrivals.ts";
import { readAll, rejection, sleep, write } from "../../helpers/basics.ts";
import { afterTest, env } from "../../helpers/env.ts";

const seed = () => env.seed;

const socket = (code: number, how: Ending["how"]): Ending => ({
  name: `close code ${code}`,
  how,
  length: 800_000,
  open(bytes) {
    const abort = new AbortController();
    afterTest(() => abort.abort());
    const url = env.ws(`/ws/source?bytes=${bytes.byteLength}&seed=${seed()}&then=${code}`);
    return connectWebSocket(url, { WebSocket: env.WebSocket, signal: abort.signal });
  },
});

const port = (
  name: string,
  how: Ending["how"],
  act: (other: Transport, ports: MessageChannel) => unknown,
) => ({
  name,
  how,
  length: 800_000,
  async open(bytes: Uint8Array) {
    const ports = new MessageChannel();
    afterTest(() => {
      ports.port1.close();
      ports.port2.close();
    });
    const other = messagePortTransport(ports.port2);
    const transport = messagePortTransport(ports.port1, { window: 1_000_000 });
    await write(other.writable, bytes, 10_000);
    await act(other, ports);
    return transport;
  },
});

QUnit.module("arrivals", () => {
  deliverWhatArrived(
    "websocket",
    [
      socket(1000, "end"),
      socket(1001, /1001/),
      socket(1003, /text frame/),
      socket(1006, /1006|No WebSocket to/),
      socket(1011, /1011.*enough/),
    ],
    seed,
  );

  deliverWhatArrived(
    "message port",
    [
      port("end", "end", (other) => other.writable.close()),
      port("abort", /no more/, (other) => other.writable.abort(new Error("no more"))),
      port("a foreign message", /not of this protocol/, (_other, { port2 }) => port2.postMessage("hello")),
      port("more than was granted", /more than it had credit for/, (_other, { port2 }) =>
        port2.postMessage(new Uint8Array(1_000_000)),
      ),
    ],
    seed,
  );

  const own = (then: "end" | "reset", how: Ending["how"], length: number): Ending => ({
    name: `${then} after ${length} bytes`,
    how,
    length,
    open: (bytes) => env.connect(`tcp?do=source&bytes=${bytes.byteLength}&seed=${seed()}&then=${then}`),
  });
  deliverWhatArrived(
    "the runtime's own",
    [
      own("end", "end", 800_000),
      own("reset", /reset|1011/i, 5_000),
      // More is not promised: what the kernel holds for a connection that was reset is its own affair.
      own("reset", /reset|1011/i, 64 * 1024),
    ],
    seed,
  );
});

/** A writer at the time of the refusal learns the reason, and not of the write that failed because of it. */
QUnit.module("arrivals: why the peer went away", () => {
  const writeOn = async (stream: TlsStream) => {
    const writer = stream.writable.getWriter();
    for (;;) {
      await writer.write(new Uint8Array(1_000));
      await sleep(1);
    }
  };
  const clients: Record<string, (stream: TlsStream) => Promise<unknown>[]> = {
    writes: (stream) => [rejection(writeOn(stream))],
    "writes and reads": (stream) => [rejection(writeOn(stream)), rejection(readAll(stream.readable))],
    "reads late": (stream) => [
      rejection(writeOn(stream)),
      sleep(30).then(() => rejection(readAll(stream.readable))),
    ],
  };
  // A page's relay loses what its own socket had when a write to it fails.
  const peers = typeof document === "undefined" ? ["openssl?", "tls?do=echo&", "gnutls?"] : ["openssl?"];
  for (const peer of peers) {
    for (const [what, act] of Object.entries(clients)) {
      QUnit.test(
        `${peer.split("?")[0]} refuses us; a client that ${what} is told the alert, 40 of 40`,
        async (assert) => {
          const told = new Map<string, number>();
          const tell = (error: unknown) => {
            const text = error instanceof TlsError ? `${error.code}: ${error.message}` : String(error);
            told.set(text, (told.get(text) ?? 0) + 1);
            return error instanceof TlsError && error.code === "alert";
          };
          let good = 0;
          for (let i = 0; i < 40; i++) {
            const transport = await env.connect(`${peer}version=1.3&ask=require`);
            try {
              const stream = await startTls(transport, { hostname: "localhost", caCerts: env.certs.caPem });
              const errors = [...(await Promise.all(act(stream))), await rejection(stream.closed)];
              // Each of them, whichever is told first.
              if (errors.map(tell).every(Boolean)) good++;
            } catch (error) {
              if (tell(error)) good++;
            }
          }
          assert.strictEqual(good, 40, JSON.stringify([...told]));
        },
      );
    }
  }
});
