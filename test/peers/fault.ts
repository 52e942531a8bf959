/**
 * A TCP proxy in front of another peer that does one thing wrong in the direction of the client:
 *
 *     fault?cut=N&peer=NAME     a FIN after N bytes
 *     fault?reset=N&peer=NAME   a reset after N bytes
 *     fault?stall=N&peer=NAME   nothing more after N bytes
 *     fault?flip=N&peer=NAME    the byte at offset N is changed
 *     fault?hold=fin&peer=NAME  the server's FIN is not passed on
 *     fault?trickle=N&peer=NAME pieces of N bytes, each in a packet of its own
 *
 * (NAME is percent-encoded where it has parameters.) It logs "down N" and "up N", the bytes passed each way,
 * when the client is gone.
 */
import { connect, createServer } from "node:net";
import { setImmediate } from "node:timers/promises";
import { chunksOf, listen, type PeerContext, resetOnceRead } from "./peer.ts";

export async function startFault(context: PeerContext, parameters: URLSearchParams) {
  const target = await context.peer(parameters.get("peer") ?? "");
  const number = (name: string) =>
    parameters.has(name) ? Number(parameters.get(name)) : Number.POSITIVE_INFINITY;
  const last = Math.min(number("cut"), number("reset"), number("stall"));
  const flip = number("flip");
  const trickle = number("trickle");
  const events: string[] = [];

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port: target.port, host: "127.0.0.1", allowHalfOpen: true });
    let up = 0;
    let down = 0;
    let over = false;
    client.on("data", (chunk: Buffer) => {
      up += chunk.byteLength;
      if (!upstream.write(chunk)) client.pause();
    });
    upstream.on("drain", () => client.resume());
    client.on("end", () => {
      events.push("end");
      upstream.end();
    });
    client.on("close", () => {
      events.push(`down ${down}`, `up ${up}`);
      upstream.destroy();
    });
    client.on("error", (error: NodeJS.ErrnoException) => events.push(`error ${error.code}`));
    upstream.on("error", () => client.destroy());

    void (async () => {
      for await (const bytes of chunksOf(upstream)) {
        const chunk = bytes.subarray(0, last - down);
        if (flip >= down && flip < down + chunk.byteLength) chunk[flip - down]! ^= 0xff;
        down += chunk.byteLength;
        for (let at = 0; at < chunk.byteLength; at += trickle) {
          if (client.destroyed) return;
          if (!client.write(chunk.subarray(at, at + trickle))) {
            await new Promise<void>((resolve) => {
              client.once("drain", resolve);
              client.once("close", resolve);
            });
          } else if (Number.isFinite(trickle)) await setImmediate();
        }
        if (down < last || over) continue;
        // Whatever else the server sends is read and lost.
        over = true;
        if (parameters.has("cut")) client.end();
        if (parameters.has("reset")) void resetOnceRead(client);
      }
      if (!parameters.has("hold") && !over) client.end();
    })().catch(() => client.destroy());
  });
  return listen(server, events);
}
