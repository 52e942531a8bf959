/** What associations of DTLS tell. */
import { type DtlsClientOptions, type DtlsSession, listenDtls, startDtls } from "wassl/dtls";
import { dgramTransport } from "wassl/transports/datagrams";
import { network } from "../fakes/network.ts";
import { env } from "../helpers/env.ts";
import type { Table } from "./told.ts";

const options = (more: object = {}): DtlsClientOptions => ({
  hostname: "localhost",
  caCerts: env.certs.caPem,
  sessionStore: false,
  ...more,
});

const alone = (more: object) => () => startDtls(network().client(), options(more));

const open = (act: (session: DtlsSession) => unknown) => async () => {
  const net = network();
  const listening = listenDtls(net.server, { cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa });
  const coming = listening.next();
  const client = await startDtls(net.client(), options());
  const { value } = await coming;
  try {
    await act(client);
  } finally {
    client.abort();
    value.abort();
    await listening.return!();
  }
};

/** A socket whose kernel refuses to send. */
const refusing = {
  on() {},
  send(_data: Uint8Array, callback: (error: Error) => void) {
    callback(new Error("EMSGSIZE"));
  },
  close() {},
};

export const dtls: Table = {
  dtls: [
    [
      "a message that is too long",
      open((session) => session.send(new Uint8Array(2_000))),
      "too-large",
      "a message of 2000 bytes does not fit one datagram: 1171 are the most",
    ],
    [
      "an empty message",
      open((session) => session.send(new Uint8Array(0))),
      "invalid-argument",
      "a message must have one byte at least",
    ],
    [
      "a message that is a text",
      open((session) => session.send("text" as never)),
      "invalid-argument",
      "a message must be a Uint8Array",
    ],
    [
      "a message after the end",
      open(async (session) => {
        await session.close();
        await session.send(new Uint8Array(1));
      }),
      "closed",
      "the DTLS association is over (closed)",
    ],
    [
      "keying material after abort()",
      open((session) => {
        session.abort();
        session.exportKeyingMaterial("EXPORTER-x", 16);
      }),
      "closed",
      "the DTLS association was aborted",
    ],
    [
      "no answer",
      alone({ retransmission: { initial: 20, maximum: 20 } }),
      "timeout",
      '"localhost" did not answer, however often this side sent again',
    ],
    [
      "no answer in time",
      alone({ handshakeTimeout: 20 }),
      "timeout",
      'no DTLS handshake with "localhost" within 20 ms',
    ],
    [
      "a transport of short datagrams",
      () => startDtls({ ...network().client(), maxDatagramSize: 100 }, options()),
      "invalid-argument",
      "the transport carries datagrams of 100 bytes, and DTLS needs 208",
    ],
    [
      "a socket that does not send",
      () =>
        dgramTransport(refusing as never)
          .writable.getWriter()
          .write(new Uint8Array(1)),
      "transport",
      "the datagram was not sent: EMSGSIZE",
    ],
  ],
};
