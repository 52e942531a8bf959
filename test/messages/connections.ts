/** What is told of connections, once they are open, and of what the application's own functions do to handshakes. */
import { acceptTls, type ClientOptions, type ServerOptions, startTls, type TlsStream } from "wassl";
import { OpenSsl } from "wassl/openssl";
import { pair } from "../fakes/pair.ts";
import { cloggable, failingReader, failingWriter, intercept, truncated } from "../fakes/wrappers.ts";
import { readAll, utf8, write } from "../helpers/basics.ts";
import { afterTest, env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

const id = () => env.unsupported.good;
const trusting = () => ({ hostname: "localhost", caCerts: env.unsupported.root });

async function connected(
  client: Partial<ClientOptions> = {},
  server: Partial<ServerOptions> = {},
  [near, far] = pair(),
): Promise<[TlsStream, TlsStream]> {
  const both = await Promise.all([
    startTls(near, { ...trusting(), ...client }),
    acceptTls(far, { ...id(), ...server }),
  ]);
  for (const each of both) afterTest(() => each.abort());
  return both;
}

/** What an end of a connection is told. */
const then = (act: (near: TlsStream, far: TlsStream) => unknown) => async () => act(...(await connected()));

/** What an end is told where the server may ask later. */
const asks =
  (act: (client: TlsStream, server: TlsStream) => unknown, options: Partial<ClientOptions> = {}) =>
  async () =>
    act(
      ...(await connected(
        { postHandshakeAuth: true, sessionStore: false, ...options },
        { clientAuth: "request", postHandshakeAuth: true, caCerts: env.unsupported.root },
      )),
    );

/** What an end of a handshake is told when a function of its own is no help. */
const server = (options: () => Partial<ServerOptions> | Promise<Partial<ServerOptions>>) => async () => {
  const [near, far] = pair();
  const given = await options();
  startTls(near, trusting()).then(
    (stream) => stream.abort(),
    () => {},
  );
  (await acceptTls(far, { ...id(), ...given } as ServerOptions)).abort();
};

const foreignKey = async () => {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, [
    "sign",
    "verify",
  ]);
  return (pair as CryptoKeyPair).privateKey;
};
/** A key that is for the right curve, and does not sign. */
const keyThatFails = () => ({
  ...{ type: "private", usages: ["sign"], algorithm: { name: "ECDSA", namedCurve: "P-256" } },
});

export const connections: Table = {
  "connections: what the application's functions do": [
    [
      "selectContext refuses",
      server(() => ({ selectContext: () => null })),
      "protocol",
      'selectContext has nothing for the client, which asked for "localhost"',
    ],
    [
      "selectContext throws",
      server(() => ({ selectContext: () => Promise.reject(new Error("no database")) })),
      "callback",
      "selectContext failed: no database",
    ],
    [
      "selectContext gives another OpenSsl's",
      server(async () => {
        const openssl = await OpenSsl.load();
        return { selectContext: () => ({ ...id(), openssl }) };
      }),
      "invalid-argument",
      "selectContext must give a server's context of the same OpenSsl",
    ],
    [
      "a CryptoKey fails",
      server(() => ({ key: keyThatFails() as never })),
      "callback",
      "the private key failed: …",
    ],
    [
      "a CryptoKey of another certificate",
      server(async () => ({ key: await foreignKey() })),
      "callback",
      "the private key is not that of the certificate",
    ],
  ],
  "connections: asking for a certificate later": [
    [
      "by a client",
      asks((client) => client.verifyClientPostHandshake()),
      "invalid-argument",
      "verifyClientPostHandshake() is for servers",
    ],
    [
      "by a server that wants none",
      then((_, far) => far.verifyClientPostHandshake()),
      "invalid-argument",
      'verifyClientPostHandshake() needs clientAuth "request" or "require"',
    ],
    [
      "TLS 1.2",
      asks((_, server) => server.verifyClientPostHandshake(), { maxVersion: "TLSv1.2" }),
      "protocol",
      "TLS 1.2 knows no authentication behind the handshake: clientAuth asks in the handshake",
    ],
    [
      "not offered",
      asks((_, server) => server.verifyClientPostHandshake(), { postHandshakeAuth: false }),
      "protocol",
      "the client does not offer authentication behind the handshake",
    ],
    [
      "twice",
      asks((_, server) => {
        server.verifyClientPostHandshake().catch(() => {});
        return server.verifyClientPostHandshake();
      }),
      "invalid-argument",
      "the client is asked for its certificate already",
    ],
    [
      "no answer",
      asks((_, server) => server.verifyClientPostHandshake({ timeout: 20 })),
      "timeout",
      "the client did not answer within 20 ms when it was asked for its certificate",
    ],
    [
      "the client has ended",
      asks(async (client, server) => {
        await client.closeWrite();
        await server.verifyClientPostHandshake();
      }),
      "closed",
      "the client has closed its side, and can show no certificate any more",
    ],
  ],
  "connections: writing": [
    [
      "text",
      then((near) => near.writable.getWriter().write("hello" as never)),
      "invalid-argument",
      "what is written must be a Uint8Array",
    ],
    [
      "bytes that are given away",
      then((near, far) => {
        const bytes = new Uint8Array(400_000);
        const writing = near.writable.getWriter().write(bytes);
        structuredClone(bytes, { transfer: [bytes.buffer] });
        readAll(far.readable).catch(() => {});
        return writing;
      }),
      "invalid-argument",
      "the bytes of a write were detached before it was done",
    ],
    [
      "after our end",
      then(async (near) => {
        const writer = near.writable.getWriter();
        await near.closeWrite();
        await writer.write(utf8("hello"));
      }),
      "closed",
      "the writing side is closed",
    ],
    [
      "after the peer has closed the transport",
      async () => {
        const [near, far] = pair();
        let over = false;
        const [client, server] = await connected({ eofPolicy: "ignore" }, {}, [
          // The next that comes is the end.
          intercept(near, { receive: async (chunk) => (over ? null : [chunk]) }),
          far,
        ]);
        over = true;
        write(server.writable, utf8("hello")).catch(() => {});
        await readAll(client.readable);
        await write(client.writable, utf8("hello"));
      },
      "closed",
      "the peer closed the transport, and with it this connection",
    ],
    [
      "after close()",
      then(async (near) => {
        await near.close();
        near.exportKeyingMaterial("test", 32);
      }),
      "closed",
      "the TLS connection is over (closed-without-waiting)",
    ],
    [
      "where the transport fails",
      async () => {
        const [near, far] = pair();
        const failing = failingWriter(near, 100_000);
        const [client, server] = await connected({}, {}, [failing, far]);
        readAll(server.readable).catch(() => {});
        await write(client.writable, new Uint8Array(200_000));
      },
      "transport",
      "the transport failed while sending: the cable is cut",
    ],
  ],
  "connections: reading": [
    [
      "where the transport fails",
      async () => {
        const [near, far] = pair();
        const [client, server] = await connected({}, {}, [failingReader(near, 50_000), far]);
        write(server.writable, new Uint8Array(200_000)).catch(() => {});
        await readAll(client.readable);
      },
      "transport",
      "the transport failed while receiving: the cable is cut",
    ],
    [
      "a truncation between two records",
      async () => {
        const [near, far] = pair();
        let over = false;
        const [client, server] = await connected({}, {}, [
          intercept(near, { receive: async (chunk) => (over ? null : [chunk]) }),
          far,
        ]);
        over = true;
        write(server.writable, utf8("hello")).catch(() => {});
        await readAll(client.readable);
      },
      "truncated",
      "the server closed the transport without close_notify, between two records: what came may not be all",
    ],
    [
      "a truncation in the middle of a record",
      async () => {
        const [near, far] = pair();
        const [client, server] = await connected({}, {}, [truncated(near, 50_000), far]);
        write(server.writable, new Uint8Array(200_000)).catch(() => {});
        await readAll(client.readable);
      },
      "truncated",
      "the server closed the transport without close_notify, in the middle of a record: something is missing",
    ],
  ],
  "connections: the end": [
    [
      "shutdown(), and no close_notify",
      then((near) => near.shutdown({ timeout: 20 })),
      "timeout",
      "no close_notify from the peer within 20 ms",
    ],
    [
      "shutdown(), and too much data",
      then((near, far) => {
        write(far.writable, new Uint8Array(200_000)).catch(() => {});
        return near.shutdown({ maxDiscard: 1000 });
      }),
      "discard-limit",
      "the peer sent more than 1000 bytes while we waited for its close_notify",
    ],
    [
      "close(), and a transport that takes nothing",
      async () => {
        const [near, far] = pair();
        const { transport, clog } = cloggable(near, false);
        const [client] = await connected({}, {}, [transport, far]);
        clog();
        await client.close({ timeout: 20 });
        await client.closed;
      },
      "timeout",
      "the transport took nothing for 20 ms, and was closed",
    ],
    [
      "an unknown channel binding",
      then((near) => near.channelBinding("tls-unique" as never)),
      "invalid-argument",
      'a channel binding is "tls-exporter" or "tls-server-end-point", not "tls-unique"',
    ],
    [
      "keying material of no length",
      then((near) => near.exportKeyingMaterial("test", 0)),
      "invalid-argument",
      "the length of keying material must be 1 to 16,384 bytes",
    ],
  ],
};
