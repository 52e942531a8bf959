/** What `wassl/sockets` tells. */

import { directSocketsDialer } from "wassl/dialers/direct-sockets";
import { createConnect } from "wassl/sockets";
import { pair } from "../fakes/pair.ts";
import { utf8 } from "../helpers/basics.ts";
import type { Table } from "./told.ts";

const connect = createConnect({ dialer: async () => pair()[0] });
const to = { hostname: "db.example.org", port: 5432 };

export const connecting: Table = {
  "connect() of sockets": [
    ["no dialer", () => createConnect({} as never), "invalid-argument", "createConnect needs dialer"],
    [
      "an address without a port",
      () => connect("db.example.org"),
      "invalid-argument",
      "an address is a text like db.example.org:5432",
    ],
    [
      "an address without a name",
      () => connect({ port: 5432 } as never),
      "invalid-argument",
      "an address needs hostname and port",
    ],
    [
      "a write after close()",
      async () => {
        const socket = connect(to);
        const writer = socket.writable.getWriter();
        await socket.opened;
        const closing = socket.close();
        const writing = writer.write(utf8("hello"));
        writing.catch(() => {});
        await closing;
        await writing;
      },
      "closed",
      "The socket is closed, or was upgraded",
    ],
    [
      "the end of one that was closed",
      async () => {
        const socket = connect(to);
        const writer = socket.writable.getWriter();
        await socket.opened;
        await socket.close();
        await writer.closed;
      },
      "closed",
      "The socket was closed",
    ],
    [
      "startTls() of one that is plain",
      () => connect(to).startTls(),
      "invalid-argument",
      'startTls() needs a socket with secureTransport: "starttls"',
    ],
    [
      "startTls() twice",
      () => {
        const socket = connect(to, { secureTransport: "starttls" });
        socket.startTls().opened.catch(() => {});
        socket.startTls();
      },
      "invalid-argument",
      "startTls() was called before",
    ],
    [
      "startTls() after close()",
      async () => {
        const socket = connect(to, { secureTransport: "starttls" });
        socket.opened.catch(() => {});
        await socket.close();
        socket.startTls();
      },
      "closed",
      "The socket is closed",
    ],
    [
      "a dialer of direct sockets elsewhere",
      () => directSocketsDialer(),
      "invalid-argument",
      "directSocketsDialer needs TCPSocket, which Isolated Web Apps have",
    ],
  ],
};
