/** What threads that wait are told, and those that carry their bytes. */
import { acceptTls, startTls } from "wassl";
import { BlockingTransport, carry, newChannel } from "wassl/blocking";
import { pair } from "../fakes/pair.ts";
import { cloggable } from "../fakes/wrappers.ts";
import { write } from "../helpers/basics.ts";
import { afterTest, env } from "../helpers/env.ts";
import { blocking as blocked, type Remote } from "../helpers/thread.ts";
import type { Table } from "./told.ts";

const id = () => env.unsupported.good;

/** A transport alone, carried for a thread. */
const plain =
  (
    act: (remote: Remote, parts: { carried: Promise<unknown>; far: ReturnType<typeof pair>[1] }) => unknown,
    size?: number,
  ) =>
  async () => {
    const [near, far] = pair();
    const { remote, carried } = await blocked(near, size === undefined ? {} : { size });
    carried.catch(() => {});
    await act(remote, { carried, far });
  };

/** A TLS client that blocks, and a server here. */
const tls = (act: (remote: Remote, server: Awaited<ReturnType<typeof acceptTls>>) => unknown) => async () => {
  const [near, far] = pair();
  const { remote, carried } = await blocked(near);
  carried.catch(() => {});
  const [server] = await Promise.all([
    acceptTls(far, id()),
    remote.connect({ hostname: "localhost", caCerts: env.unsupported.root }),
  ]);
  afterTest(() => server.abort());
  await act(remote, server);
};

/** A TLS server that blocks, and may ask for a certificate later. */
const asking =
  (act: (remote: Remote, client: Awaited<ReturnType<typeof startTls>>) => unknown) => async () => {
    const [near, far] = pair();
    const { remote, carried } = await blocked(near);
    carried.catch(() => {});
    const caCerts = env.unsupported.root;
    const [client] = await Promise.all([
      startTls(far, { hostname: "localhost", caCerts, postHandshakeAuth: true, sessionStore: false }),
      remote.accept({ ...id(), clientAuth: "request", postHandshakeAuth: true, caCerts }),
    ]);
    afterTest(() => client.abort());
    await act(remote, client);
  };

export const blocking: Table = {
  "blocking: channels": [
    [
      "no channel",
      () => carry({} as never, pair()[0]),
      "invalid-argument",
      "a channel must be what newChannel() made",
    ],
    [
      "one that is used already",
      async () => {
        const channel = newChannel({ size: 1024 });
        carry(channel, pair()[0]).catch(() => {});
        await carry(channel, pair()[0]);
      },
      "invalid-argument",
      "this end of the channel is used already: each transport needs a channel of its own, from newChannel()",
    ],
    [
      "no shared memory",
      () => {
        const own = Object.getOwnPropertyDescriptor(globalThis, "SharedArrayBuffer");
        Object.defineProperty(globalThis, "SharedArrayBuffer", { value: undefined, configurable: true });
        try {
          newChannel({ size: 1024 });
        } finally {
          if (own) Object.defineProperty(globalThis, "SharedArrayBuffer", own);
        }
      },
      "not-isolated",
      'there is no shared memory here: the page must be cross-origin isolated, by the response headers "Cross-Origin-Opener-Policy: same-origin" and "Cross-Origin-Embedder-Policy: require-corp"',
    ],
    [
      "a thread that must not wait",
      () => {
        const own = Atomics.wait;
        try {
          Object.assign(Atomics, {
            wait() {
              throw new TypeError("Atomics.wait cannot be called in this context");
            },
          });
          new BlockingTransport(newChannel({ size: 1024 }));
        } finally {
          Object.assign(Atomics, { wait: own });
        }
      },
      "cannot-block",
      "this thread must not block: use a Worker",
    ],
  ],
  "blocking: a transport": [
    ["nothing comes", plain((remote) => remote.plainRead(10, 0)), "timeout", "no data within 0 ms"],
    [
      "nothing is taken",
      plain((remote) => remote.plainWrite(new Uint8Array(200_000), 20), 1024),
      "timeout",
      "the transport did not take all bytes within 20 ms",
    ],
    [
      "no room for a byte",
      plain((remote) => remote.plainRead(0)),
      "invalid-argument",
      "the destination of read() must have room for one byte at least",
    ],
    [
      "no bytes",
      plain((remote) => remote.plainWrite("hello" as never)),
      "invalid-argument",
      "what is written must be a Uint8Array",
    ],
    [
      "data ahead of the client's certificate",
      asking(async (remote, client) => {
        await write(client.writable, new Uint8Array(10));
        await remote.verifyClient();
      }),
      "unread-data",
      "data came before the client's certificate: read it, and ask again",
    ],
    [
      "a certificate that a client asks for",
      tls((remote) => remote.verifyClient()),
      "invalid-argument",
      "verifyClientPostHandshake() is for servers",
    ],
    [
      "writing after our end",
      plain(async (remote) => {
        await remote.plainCloseWrite();
        await remote.plainWrite(new Uint8Array(1));
      }),
      "closed",
      "the writing side is closed",
    ],
    [
      "TLS after our end",
      plain(async (remote) => {
        await remote.plainCloseWrite();
        await remote.connect({ hostname: "localhost" });
      }),
      "closed",
      "the writing side of the transport is closed",
    ],
    [
      "reading after close()",
      plain(async (remote) => {
        await remote.plainClose();
        await remote.plainRead(1);
      }),
      "closed",
      "the transport is closed on our side",
    ],
    [
      "the carrier is told to give up",
      async () => {
        const control = new AbortController();
        const { remote, carried } = await blocked(pair()[0], { signal: control.signal });
        carried.catch(() => {});
        control.abort(new Error("the program ends"));
        await remote.plainRead(1);
      },
      "transport",
      "the transport was given up: the program ends",
    ],
    [
      "the transport fails",
      plain(async (remote, { far }) => {
        await far.writable.abort(new Error("the cable is cut"));
        await remote.plainRead(1);
      }),
      "transport",
      "the transport failed while receiving: the cable is cut",
    ],
    [
      "what the carrier is told",
      plain(async (remote, { carried }) => {
        await remote.plainAbort("nobody wants it");
        await carried;
      }),
      "closed",
      "the side that blocks gave up: nobody wants it",
    ],
  ],
  "blocking: TLS": [
    [
      "no OpenSsl",
      plain((remote) => remote.connect({ openssl: undefined } as never)),
      "invalid-argument",
      "openssl must be given: OpenSsl.load(), or OpenSsl.loadSync()",
    ],
    [
      "a CryptoKey",
      plain((remote) => remote.accept({ cert: id().cert, key: cryptoKey } as never)),
      "invalid-argument",
      "verify and CryptoKeys need an event loop, and a thread that blocks has none: startTls and acceptTls take them",
    ],
    [
      "no handshake",
      plain((remote) => remote.connect({ hostname: "localhost", handshakeTimeout: 20 })),
      "timeout",
      'no TLS handshake with "localhost" within 20 ms',
    ],
    [
      "the transport under TLS",
      tls((remote) => remote.plainRead(1)),
      "invalid-argument",
      "this transport belongs to a TLS connection: read and write that one",
    ],
    ["nothing comes", tls((remote) => remote.read(10, 0)), "timeout", "no data within 0 ms"],
    [
      "nothing is taken",
      async () => {
        const [near, far] = pair();
        const { transport, clog } = cloggable(near, false);
        const { remote, carried } = await blocked(transport, { size: 1024 });
        carried.catch(() => {});
        const [server] = await Promise.all([
          acceptTls(far, id()),
          remote.connect({ hostname: "localhost", caCerts: env.unsupported.root }),
        ]);
        afterTest(() => server.abort());
        clog();
        await remote.write(new Uint8Array(200_000), 20);
      },
      "timeout",
      "the transport did not take all bytes within 20 ms",
    ],
    [
      "no close_notify",
      tls(async (remote) => {
        await remote.shutdown(100);
        await remote.shutdown(0);
      }),
      "timeout",
      "no close_notify from the peer within 0 ms",
    ],
    [
      "data ahead of the peer's close_notify",
      tls(async (remote, server) => {
        await write(server.writable, new Uint8Array(10));
        await remote.shutdown();
        await remote.shutdown();
      }),
      "unread-data",
      "data came before the peer's close_notify: read it, to the end",
    ],
    [
      "writing after our end",
      tls(async (remote) => {
        await remote.closeWrite();
        await remote.write(new Uint8Array(1));
      }),
      "closed",
      "the writing side is closed",
    ],
    [
      "a failure of the transport",
      tls(async (remote, server) => {
        server.abort();
        await remote.read(1);
      }),
      "transport",
      "the transport failed while receiving: the TLS connection was aborted",
    ],
  ],
};

/** As one looks that has been sent to the thread. */
const cryptoKey = {
  ...{ type: "private", usages: ["sign"], algorithm: { name: "ECDSA", namedCurve: "P-256" } },
};
