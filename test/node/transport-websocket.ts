/** `wassl/transports/websocket` over npm `ws` on a server; what holds for every WebSocket is in test/contract. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import QUnit from "qunit";
import { webSocketTransport } from "wassl/transports/websocket";
import { WebSocket, WebSocketServer } from "ws";
import { readAtLeast, write } from "../helpers/basics.ts";
import { afterTest } from "../helpers/env.ts";

QUnit.module("transports: websocket on a server", () => {
  for (const side of ["server", "client"] as const) {
    QUnit.test(`${side}: after a write has settled its memory is the caller's again`, async (assert) => {
      const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
      afterTest(() => server.close());
      await once(server, "listening");
      const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
      const [accepted] = (await once(server, "connection")) as [WebSocket];
      for (const each of [client, accepted]) afterTest(() => each.terminate());
      const [near, far] = side === "server" ? [accepted, client] : [client, accepted];
      if (client.readyState !== WebSocket.OPEN) await once(client, "open");
      // More than the kernel takes, so that the rest waits in this process.
      far.pause();
      const length = 32 * 2 ** 20;
      const { writable } = webSocketTransport(near, { maxBufferedAmount: 2 * length });
      const { readable } = webSocketTransport(far);
      const bytes = new Uint8Array(length).fill(7);
      await write(writable, bytes);
      bytes.fill(0);
      far.resume();
      const got = await readAtLeast(readable, length);
      assert.strictEqual(got.indexOf(0), -1);
    });
  }
});
