/** A network of datagrams in memory, which loses, doubles, mixes, damages and forges by a seed. */
import type { DatagramEndpoint, DatagramTransport, ReceivedDatagram } from "wassl/dtls";

export interface Weather {
  random?: () => number;
  /** How long each datagram is on the way, in milliseconds. */
  delay?: number;
  /** The chance of each, 0 to 1, for a datagram. */
  loss?: number;
  twice?: number;
  late?: number;
  /** One bit is another. */
  flip?: number;
  /** The end is missing. */
  cut?: number;
  /** A stranger's datagram comes beside it. */
  forge?: number;
}

export interface Network {
  client(port?: number): DatagramTransport;
  server: DatagramEndpoint;
  /** How many datagrams, and how long the longest was, in each direction. */
  readonly seen: { toServer: number; toClients: number; longest: number; bytesToClients: number };
  /** Puts a datagram in as if it were that client's, or the server's for it. */
  inject(to: "server" | "client", data: Uint8Array, port?: number): void;
}

type Sink<T> = { push(value: T): void; readable: ReadableStream<T> };

function sink<T>(): Sink<T> {
  let open = true;
  let controller!: ReadableStreamDefaultController<T>;
  const readable = new ReadableStream<T>(
    {
      start(its) {
        controller = its;
      },
      cancel() {
        open = false;
      },
    },
    { highWaterMark: 10_000 },
  );
  return { readable, push: (value) => open && controller.enqueue(value) };
}

export function network(weather: Weather = {}): Network {
  const {
    random = () => 1,
    delay = 0,
    loss = 0,
    twice = 0,
    late = 0,
    flip = 0,
    cut = 0,
    forge = 0,
  } = weather;
  const seen = { toServer: 0, toClients: 0, longest: 0, bytesToClients: 0 };
  const toServer = sink<ReceivedDatagram>();
  const clients = new Map<number, Sink<Uint8Array>>();
  const held: (() => void)[] = [];

  function carry(data: Uint8Array, arrive: (data: Uint8Array) => void): void {
    const give = delay === 0 ? arrive : (data: Uint8Array) => void setTimeout(arrive, delay, data);
    seen.longest = Math.max(seen.longest, data.length);
    const copy = data.slice();
    const later = held.splice(0);
    if (random() < forge) {
      const stranger = copy.slice();
      for (let i = 13; i < stranger.length; i++) stranger[i] = Math.floor(random() * 256);
      // In the handshake anybody can say anything, and DTLS 1.2 believes some of it; later nothing of a stranger counts.
      if (copy[3] !== 0 || copy[4] !== 0) give(stranger);
    }
    if (random() < loss) {
      // lost
    } else if (random() < flip && (copy[3] !== 0 || copy[4] !== 0)) {
      copy[Math.floor(random() * copy.length)]! ^= 1 << Math.floor(random() * 8);
      give(copy);
    } else if (random() < cut) {
      give(copy.slice(0, Math.floor(random() * copy.length)));
    } else if (random() < late) {
      held.push(() => give(copy));
    } else {
      give(copy);
      if (random() < twice) give(copy.slice());
    }
    for (const each of later) each();
  }
  const fromOf = (port: number) => ({ hostname: "192.0.2.1", port });
  const toClient = (port: number) => (data: Uint8Array) => clients.get(port)?.push(data);
  const fromClient = (port: number) => (data: Uint8Array) => toServer.push({ data, from: fromOf(port) });
  return {
    seen,
    client(port = 1) {
      const to = sink<Uint8Array>();
      clients.set(port, to);
      return {
        readable: to.readable,
        writable: new WritableStream({
          write(data) {
            seen.toServer++;
            carry(data, fromClient(port));
          },
        }),
      };
    },
    server: {
      readable: toServer.readable,
      async send(data, to) {
        seen.toClients++;
        seen.bytesToClients += data.length;
        carry(data, toClient(to.port));
      },
    },
    inject(to, data, port = 1) {
      (to === "server" ? fromClient : toClient)(port)(data);
    },
  };
}
