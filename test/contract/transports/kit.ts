/** `wassl/transports/test`: each of our transports passes it, and one with a fault does not. */
import QUnit from "qunit";
import type { Transport } from "wassl";
import { wispDialer } from "wassl/dialers/wisp";
import { type DataChannelLike, dataChannelTransport } from "wassl/transports/data-channel";
import { messagePortTransport } from "wassl/transports/message-port";
import { type TransportTestOptions, transportTests } from "wassl/transports/test";
import { connectWebSocket } from "wassl/transports/websocket";
import { intercept } from "../../fakes/wrappers.ts";
import { readAtLeast, rejection, write } from "../../helpers/basics.ts";
import { over } from "../../helpers/both-ends.ts";
import { afterTest, env } from "../../helpers/env.ts";

let pairs = 0;
const inPage = typeof document !== "undefined";

const kit = (name: string, options: () => TransportTestOptions) => {
  QUnit.module(`transports: the kit, ${name}`, () => {
    // The seed is known when a test runs.
    const count = transportTests(options()).length;
    for (let i = 0; i < count; i++) {
      const { name } = transportTests(options())[i]!;
      QUnit.test(name, async (assert) => {
        assert.timeout(60_000);
        await transportTests({ ...options(), seed: env.seed })[i]!.run();
        assert.true(true);
      });
    }
  });
};

kit("message port", () => ({
  open() {
    const { port1, port2 } = new MessageChannel();
    afterTest(() => {
      port1.close();
      port2.close();
    });
    return { transport: messagePortTransport(port1), peer: messagePortTransport(port2) };
  },
}));

/** Two connections of WebRTC in one page, each the other's. Other engines want a network for that, or a permission. */
const webRtc = inPage && /Chrome/.test(navigator.userAgent);

async function channels(): Promise<[RTCDataChannel, RTCDataChannel]> {
  const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
  afterTest(() => {
    near.close();
    far.close();
  });
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const)
    from.addEventListener("icecandidate", ({ candidate }) => void to.addIceCandidate(candidate ?? undefined));
  const channel = near.createDataChannel("kit");
  const other = new Promise<RTCDataChannel>((resolve) =>
    far.addEventListener("datachannel", ({ channel }) => resolve(channel)),
  );
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription!);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription!);
  return [channel, await other];
}

QUnit.module("transports: data channel", () => {
  // A fake, because Chromium itself does it in one of fifty runs, and in those where the machine is busy.
  for (const first of ["time", "a message"]) {
    QUnit.test(`a channel that says "open" too early loses nothing: ${first} comes first`, async (assert) => {
      const sent: Uint8Array[] = [];
      let connected = false;
      const channel = Object.assign(new EventTarget(), {
        binaryType: "blob",
        readyState: "open",
        ordered: true,
        maxPacketLifeTime: null,
        maxRetransmits: null,
        bufferedAmount: 0,
        bufferedAmountLowThreshold: 0,
        send(data: Uint8Array<ArrayBuffer>) {
          if (connected) sent.push(data.slice());
        },
        close() {},
      });
      const { readable, writable } = dataChannelTransport(channel as unknown as DataChannelLike);
      const writing = write(writable, Uint8Array.of(1, 2, 3));
      // Chromium tells "open" a second time, and only then it is.
      channel.dispatchEvent(new Event("open"));
      await new Promise((resolve) => setTimeout(resolve, 10));
      connected = true;
      if (first === "a message") {
        channel.dispatchEvent(Object.assign(new Event("message"), { data: Uint8Array.of(9).buffer }));
        assert.deepEqual((await readable.getReader().read()).value, Uint8Array.of(9));
      }
      await writing;
      assert.deepEqual(sent, [Uint8Array.of(1, 2, 3)]);
    });
  }
});

if (webRtc) {
  kit("data channel", () => ({
    async open() {
      const [near, far] = await channels();
      return { transport: dataChannelTransport(near), peer: dataChannelTransport(far) };
    },
    halfClose: false,
    aborts: false,
    backpressure: false,
  }));

  QUnit.module("transports: data channel", () => {
    QUnit.test("TLS over it, ended complete", async (assert) => {
      const [near, far] = await channels();
      const [client, server] = await over([dataChannelTransport(near), dataChannelTransport(far)]);
      const answering = server.shutdown();
      assert.strictEqual((await client.shutdown()).info.how, "complete");
      await answering;
    });

    QUnit.test("a write waits while much is buffered", async (assert) => {
      const [near, far] = await channels();
      const [transport, peer] = [
        dataChannelTransport(near, { maxBufferedAmount: 50_000 }),
        dataChannelTransport(far),
      ];
      const reading = readAtLeast(peer.readable, 2_000_000);
      const writer = transport.writable.getWriter();
      let most = 0;
      for (let i = 0; i < 20; i++) {
        await writer.write(new Uint8Array(100_000));
        most = Math.max(most, near.bufferedAmount);
      }
      assert.true(most <= 50_000, `${most} bytes are buffered`);
      assert.strictEqual((await reading).length, 2_000_000);
    });

    QUnit.test("what it cannot carry is refused or told", async (assert) => {
      const unordered = new RTCPeerConnection().createDataChannel("x", { ordered: false });
      assert.throws(() => dataChannelTransport(unordered), /must be ordered and reliable/);
      const [near, far] = await channels();
      const transport = dataChannelTransport(near, { maxUnread: 1_000 });
      if (far.readyState !== "open") await new Promise((resolve) => far.addEventListener("open", resolve));
      far.send(new Uint8Array(2_000));
      await new Promise((resolve) => near.addEventListener("close", resolve));
      const reader = transport.readable.getReader();
      assert.strictEqual((await reader.read()).value?.length, 2_000);
      assert.true(/over 1000 bytes/.test(String(await rejection(reader.read()))));
    });
  });
}

kit("TLS", () => ({
  async open() {
    const { port1, port2 } = new MessageChannel();
    afterTest(() => {
      port1.close();
      port2.close();
    });
    const [transport, peer] = await over([messagePortTransport(port1), messagePortTransport(port2)]);
    return { transport, peer };
  },
}));

const webSocketPair = async () => {
  const url = env.ws(`/ws/pair?id=${env.runtime}-kit-${pairs++}`);
  const connect = () => connectWebSocket(url, { WebSocket: env.WebSocket });
  const transport = await connect();
  return { transport, peer: await connect() };
};
/** The WebSocket at the other end can be paused: npm ws. */
const pausable = !inPage && !("Deno" in globalThis);
kit("WebSocket", () => ({ open: webSocketPair, halfClose: false, backpressure: pausable }));

kit("the runtime's own", () => ({
  async open() {
    const name = `tcp?do=pair&id=kit-${pairs++}`;
    return { transport: await env.connect(name), peer: await env.connect(name) };
  },
  halfClose: !inPage,
  // A socket that is destroyed sends a FIN. The relay tells an abort from an end, and resets.
  aborts: inPage,
  ordered: false,
  backpressure: !inPage,
}));

for (const version of [1, 2]) {
  kit(`Wisp ${version}`, () => ({
    async open() {
      const pair = `tcp?do=pair&id=kit-${pairs++}`;
      const [server, to] = await Promise.all([env.peer(`wisp?version=${version}`), env.peer(pair)]);
      const dial = wispDialer(`ws://${server.host}:${server.port}/`, {
        WebSocket: env.WebSocket,
        idleTimeout: 50,
      });
      const transport = await dial({ hostname: to.host, port: to.port });
      return { transport, peer: await env.connect(pair) };
    },
    halfClose: false,
    // wisp-js ends the connection whatever a stream was closed for, and tells a reset as an end.
    aborts: false,
    ordered: false,
    // 128 packets in the server, as many under way, and the sockets of three programs.
    buffers: 256 * 1024 * 1024,
    // The other end is a WebSocket there.
    backpressure: !inPage,
  }));
}

/** The kit over a message port whose nearer end `spoil` makes of a good one. */
const spoiled = (spoil: (inner: Transport) => Transport): TransportTestOptions => ({
  open() {
    const { port1, port2 } = new MessageChannel();
    afterTest(() => {
      port1.close();
      port2.close();
    });
    return { transport: spoil(messagePortTransport(port1)), peer: messagePortTransport(port2) };
  },
  buffers: 8 * 1024 * 1024,
  seed: env.seed,
  patience: 1_500,
});

QUnit.module("transports: the kit notices", () => {
  const notices = (what: string, name: RegExp, message: RegExp, spoil: (inner: Transport) => Transport) => {
    QUnit.test(what, async (assert) => {
      const cases = transportTests(spoiled(spoil)).filter((each) => name.test(each.name));
      assert.strictEqual(cases.length, 1, cases.map((each) => each.name).join());
      const error = await rejection(cases[0]!.run());
      assert.true(message.test(String(error)), String(error));
    });
  };

  notices("a byte that is lost", /^order: bytes/, /nothing came of it/, (inner) => {
    let count = 0;
    return intercept(inner, { receive: async (chunk) => [count++ === 3 ? chunk.subarray(1) : chunk] });
  });
  notices("pieces that change places", /^order: a byte/, /is another one/, (inner) => {
    let kept: Uint8Array | undefined;
    return intercept(inner, {
      async send(chunk, forward) {
        if (!kept) {
          kept = chunk.slice();
          return;
        }
        await forward(chunk);
        await forward(kept);
        kept = undefined;
      },
    });
  });
  notices("memory that is read after the write", /^memory/, /what was overwritten afterwards/, (inner) =>
    intercept(inner, {
      async send(chunk, forward) {
        setTimeout(() => void forward(chunk).catch(() => {}), 20);
      },
    }),
  );
  notices("an empty chunk", /^chunks: what is read/, /an empty one/, (inner) =>
    intercept(inner, { receive: async (chunk) => [new Uint8Array(0), chunk] }),
  );
  notices("chunks of another class", /^chunks: what is read/, /and no plain Uint8Array/, (inner) => {
    class Special extends Uint8Array {}
    return intercept(inner, { receive: async (chunk) => [new Special(chunk)] });
  });
  notices("texts that are taken", /^chunks: nothing else/, /should be rejected/, (inner) => ({
    readable: inner.readable,
    writable: new WritableStream(),
  }));
  notices("no backpressure", /^backpressure/, /bytes were taken, and nobody has read one/, (inner) => ({
    readable: inner.readable,
    writable: new WritableStream(),
  }));
  notices("an end that overtakes bytes", /^late reader/, /bytes came, not/, (inner) => ({
    writable: inner.writable,
    readable: new ReadableStream({
      async start(controller) {
        const reader = inner.readable.getReader();
        await reader.read();
        controller.close();
      },
    }),
  }));
  notices("a failure that overtakes bytes", /^failure/, /bytes came, not/, (inner) => ({
    writable: inner.writable,
    // The stream's own queue, which an error empties.
    readable: new ReadableStream(
      {
        async start(controller) {
          const reader = inner.readable.getReader();
          (async () => {
            for (;;) controller.enqueue((await reader.read()).value!);
          })().catch((error: unknown) => controller.error(error));
        },
      },
      { highWaterMark: 1000 },
    ),
  }));
  notices("a failure that is told as an end", /^failure/, /should be rejected, but it is not/, (inner) => ({
    writable: inner.writable,
    readable: new ReadableStream({
      async start(controller) {
        const reader = inner.readable.getReader();
        (async () => {
          for (;;) controller.enqueue((await reader.read()).value!);
        })().catch(() => controller.close());
      },
    }),
  }));
  notices(
    "no half-close, where it should be",
    /^half-close: the peer/,
    /bytes came|nothing came|Error/,
    (inner) => ({
      readable: inner.readable,
      writable: new WritableStream({
        write: (chunk) => write(inner.writable, chunk),
        async close() {
          await inner.writable.close();
          await inner.readable.cancel();
        },
      }),
    }),
  );
  notices("an abort that does nothing", /^abort: what waits is rejected/, /nothing came of it/, (inner) => ({
    readable: inner.readable,
    writable: new WritableStream({ write: (chunk) => write(inner.writable, chunk) }),
  }));
  notices("a wait that is for ever", /^closed/, /nothing came of it/, (inner) => ({
    readable: inner.readable,
    writable: new WritableStream({ close: () => new Promise(() => {}) }),
  }));
  notices("a cancel that is for ever", /^cancel/, /cancel\(\): nothing came of it/, (inner) => ({
    readable: new ReadableStream({ cancel: () => new Promise<void>(() => {}) }),
    writable: inner.writable,
  }));
});
