/** A TCP proxy that does nothing but watch: which records, FINs and resets went each way. */
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { listen } from "../peers/peer.ts";

/** So long nothing may happen until it is over, in milliseconds, and so long that is waited for. */
const quiet = 300;
const patience = 3_000;

/**
 * As on a real network, what one end says takes a while to get to the other, in milliseconds: so that all of what it
 * says at once was seen before the other one can react. A reset would hide the FIN ahead of it, for one.
 */
const latency = 40;

export interface Tap {
  readonly port: number;
  /** TLS begins here: what went before is no record. */
  beginTls(): void;
  /** Forgets what was seen so far, but not how many alerts there were. */
  mark(): void;
  /** What was seen since, once nothing happens any more. */
  seen(): Promise<Record<"ours" | "theirs", Sight[]>>;
  close(): void;
}

/** `alert`: the how manyth of its direction, from 0. */
export type Sight = "data" | "handshake" | "plaintext" | "FIN" | "RST" | { alert: number };

/** @param weListen the near side is the peer's: it connects to the tap, and we are behind it */
export async function openTap(target: number, weListen: boolean): Promise<Tap> {
  const ours = new Direction();
  const theirs = new Direction();
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    sockets.push(near, far);
    forward(near, far, weListen ? theirs : ours);
    forward(far, near, weListen ? ours : theirs);
  });
  const { port } = await listen(server, []);
  return {
    port,
    beginTls() {
      for (const direction of [ours, theirs]) direction.tls = true;
    },
    mark() {
      for (const direction of [ours, theirs]) direction.sights = [];
    },
    async seen() {
      const begin = Date.now();
      const last = () => Math.max(begin, ours.last, theirs.last);
      while (Date.now() - begin < patience && Date.now() - last() < quiet) await sleep(20);
      return { ours: ours.sights, theirs: theirs.sights };
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function forward(from: Socket, to: Socket, direction: Direction): void {
  // Timers of one duration keep their order.
  const later = (act: () => void) => setTimeout(act, latency);
  from.on("data", (chunk: Buffer) => {
    direction.observe(chunk);
    later(() => to.write(chunk) || from.pause());
  });
  to.on("drain", () => from.resume());
  from.on("end", () => {
    direction.note("FIN");
    later(() => to.end());
  });
  from.on("error", () => {
    direction.note("RST");
    later(() => to.resetAndDestroy());
  });
}

/** One way through the tap, record by record (RFC 8446 §5.1). */
class Direction {
  tls = false;
  sights: Sight[] = [];
  last = Date.now();
  #alerts = 0;
  #rest: Buffer = Buffer.alloc(0);

  observe(chunk: Buffer): void {
    this.last = Date.now();
    if (!this.tls) return;
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 5) {
      const type = this.#rest[0]!;
      if (type < 20 || type > 24) {
        this.note("plaintext");
        return;
      }
      const length = this.#rest.readUInt16BE(3);
      if (this.#rest.length < 5 + length) {
        // Of a record that is cut there will be no more.
        if (type === 23 && length !== 19) this.note("data");
        return;
      }
      this.#rest = this.#rest.subarray(5 + length);
      // In TLS 1.3 an alert is under the same cover as data, but nothing else has 2 bytes, a type and a tag of 16.
      if (type === 21 || (type === 23 && length === 19)) this.note({ alert: this.#alerts++ });
      else this.note(type === 23 ? "data" : "handshake");
    }
  }

  note(sight: Sight): void {
    this.last = Date.now();
    if (this.sights.at(-1) !== sight) this.sights.push(sight);
  }
}
