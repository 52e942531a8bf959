/**
 * The thread that blocks: it does one call after the other, as it is told, and answers what came of it. What it is told
 * comes in as `{ id, name, args }`, what it answers is `{ id, value }` or `{ id, error }`; see `calls`.
 */
import {
  type AcceptOptions,
  accept,
  BlockingTimeoutError,
  type BlockingTls,
  BlockingTransport,
  type Channel,
  type ConnectOptions,
  connect,
} from "wassl/blocking";
import { OpenSsl } from "wassl/openssl";
import { concat } from "../fakes/wrappers.ts";
import { random, randomBytes } from "../helpers/random.ts";

let openssl: OpenSsl;
let transport: BlockingTransport;
let tls: BlockingTls;
let events: string[] = [];

type Options<T> = Partial<Omit<T, "openssl" | "onEvent">>;

const ready = () => {
  const { protocol, cipher, alpnProtocol, serverName, verified, sessionReused } = tls.info;
  return { protocol, cipher, alpnProtocol, serverName, verified, sessionReused };
};

const common = () => ({
  openssl,
  onEvent: (event: { type: string; description?: string; direction?: string }) =>
    void events.push([event.type, event.direction, event.description].filter(Boolean).join(" ")),
});

/** Reads to the end, with buffers of `size`. */
function readAll(read: (dst: Uint8Array) => number, size = 65_536): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const dst = new Uint8Array(size);
    const n = read(dst);
    if (n === 0) return concat(parts);
    parts.push(dst.subarray(0, n));
  }
}

function readSome(read: (dst: Uint8Array) => number, size: number): Uint8Array<ArrayBuffer> {
  const dst = new Uint8Array(size);
  return dst.slice(0, read(dst));
}

const calls = {
  async load(): Promise<void> {
    openssl ??= await OpenSsl.load();
  },
  loadSync(source: BufferSource | WebAssembly.Module): string {
    openssl = OpenSsl.loadSync(source);
    return openssl.version;
  },
  memory: () => openssl.memory.used,
  /** Forgets the connection, which has no end, and says how many are left once it was collected. */
  async drop(): Promise<number> {
    tls = undefined as never;
    transport = undefined as never;
    for (let i = 0; i < 60 && openssl.live.connections > 0; i++) {
      (globalThis as { gc?: () => void }).gc?.();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return openssl.live.connections + openssl.live.bioPairs;
  },
  open(channel: Channel): void {
    transport = new BlockingTransport(channel);
    events = [];
  },
  connect(options: Options<ConnectOptions>) {
    tls = connect(transport, { hostname: "localhost", ...common(), ...options });
    return ready();
  },
  accept(options: Options<AcceptOptions>) {
    tls = accept(transport, { cert: "", key: "", ...common(), ...options });
    return ready();
  },
  verifyClient(timeout?: number): string[] {
    const { peerCertificates, verified } = tls.verifyClientPostHandshake(only(timeout));
    return [String(verified), ...peerCertificates.map(({ subject }) => subject)];
  },
  read: (size: number, timeout?: number) => readSome((dst) => tls.read(dst, only(timeout)), size),
  readAll: (size?: number) => readAll((dst) => tls.read(dst), size),
  write: (bytes: Uint8Array, timeout?: number) => tls.write(bytes, only(timeout)),
  /** Time after time, until all are taken. */
  writeInBits(bytes: Uint8Array, timeout: number): number {
    let timeouts = 0;
    for (let rest = bytes; ; ) {
      try {
        tls.write(rest, { timeout });
        return timeouts;
      } catch (error) {
        if (!(error instanceof BlockingTimeoutError)) throw error;
        timeouts++;
        rest = rest.subarray(error.written);
      }
    }
  },
  /**
   * Writes and reads by turns, in pieces and with deadlines that follow from `seed`, and then ends. The peer echoes.
   */
  exchange(bytes: Uint8Array, seed: number): { received: Uint8Array; timeouts: number } {
    const next = random(seed);
    const received = new Uint8Array(bytes.length);
    let timeouts = 0;
    const bounded = (act: (options: { timeout: number }) => number): number => {
      try {
        return act({ timeout: 3 * next() });
      } catch (error) {
        if (!(error instanceof BlockingTimeoutError)) throw error;
        timeouts++;
        return error.written;
      }
    };
    for (let sent = 0, got = 0; got < bytes.length; ) {
      const size = Math.ceil(40_000 ** next());
      if (next() < 0.5) {
        sent += bounded((options) => tls.write(bytes.subarray(sent, sent + size), options));
      } else {
        const dst = received.subarray(got, got + size);
        got += bounded((options) => tls.read(dst, options));
      }
    }
    while (bounded((options) => tls.shutdown(options)) !== 1);
    return { received, timeouts };
  },
  /**
   * `rounds` times: writes with a deadline, and then only reads, until the peer has echoed whatever was said to be
   * taken. Or calls this and that with any deadline, until something fails that is no lack of time, if `doomed`. Gives
   * what was wrong, and what failed.
   */
  schedule(
    seed: number,
    rounds: number,
    doomed: boolean,
    most = 50_000,
  ): { problem?: string; code?: string; after: string[] } {
    const next = random(seed);
    const sent = randomBytes(1 << 20, seed);
    let [written, got, expired] = [0, 0, 0];
    const deadline = () => ({ timeout: [0, 0, 1, 3, 20][Math.floor(5 * next())]! });
    const bounded = (act: () => number | undefined): number => {
      try {
        return act() ?? 0;
      } catch (error) {
        if (!(error instanceof BlockingTimeoutError)) throw error;
        expired++;
        return error.written;
      }
    };
    const write = () => {
      const size = Math.ceil(most ** next());
      written += bounded(() => tls.write(sent.subarray(written, written + size), deadline()));
    };
    const dst = new Uint8Array(65_536);
    const read = (options: { timeout?: number }) => {
      const n = bounded(() => tls.read(dst.subarray(0, Math.ceil(60_000 ** next())), options));
      if (dst.subarray(0, n).some((byte, i) => byte !== sent[got + i]))
        throw new Error(`wrong bytes at ${got}`);
      got += n;
    };
    try {
      for (let i = 0; doomed || (i < rounds && written < 600_000); i++) {
        if (!doomed || written < 600_000) write();
        if (doomed) {
          read(deadline());
          if (next() < 0.01) tls.exportKeyingMaterial("test", 16);
          continue;
        }
        const begin = performance.now();
        while (got < written) {
          read(next() < 0.5 ? deadline() : { timeout: 200 });
          if (performance.now() - begin > 8_000) {
            return {
              problem: `${written} bytes were taken, ${got} came back, ${expired} deadlines`,
              after: [],
            };
          }
        }
      }
      // The end, in pieces too: half closed, with what is still under way, which is read on; or at once.
      const half = next() < 0.7;
      if (half) {
        write();
        const inTime = () => {
          tls.closeWrite(deadline());
          return 1;
        };
        while (bounded(inTime) !== 1);
        const begin = performance.now();
        for (let ended = false; !ended; ) {
          const before = got;
          const late = expired;
          read(next() < 0.5 ? deadline() : { timeout: 200 });
          ended = got === before && expired === late;
          if (performance.now() - begin > 8_000) break;
        }
        if (got !== written)
          return { problem: `after our end: ${written} bytes were taken, ${got} came back`, after: [] };
      }
      for (let done = false; !done; ) done = bounded(() => tls.shutdown(deadline())) === 1;
      return { after: [] };
    } catch (error) {
      const codeOf = (failure: unknown) => String((failure as { code?: string }).code ?? failure);
      const after = [
        () => tls.read(dst, { timeout: 0 }),
        () => tls.write(sent.subarray(0, 10), { timeout: 0 }),
        () => tls.shutdown({ timeout: 0 }),
        () => tls.read(dst, { timeout: 5 }),
      ].map((call) => {
        try {
          return String(call());
        } catch (failure) {
          return codeOf(failure);
        }
      });
      return { ...(doomed ? {} : { problem: String(error) }), code: codeOf(error), after };
    }
  },
  /** The same for a transport without TLS, whose other end echoes: what was wrong, if anything was. */
  plainSchedule(seed: number, rounds: number, most: number): string | undefined {
    const next = random(seed);
    const sent = randomBytes(600_000, seed);
    let [written, got, late, ended] = [0, 0, 0, false];
    const deadline = () => ({ timeout: [0, 0, 1, 3, 20][Math.floor(5 * next())]! });
    const bounded = (act: () => number): number | undefined => {
      try {
        return act();
      } catch (error) {
        if (!(error instanceof BlockingTimeoutError)) throw error;
        late = error.written;
        return undefined;
      }
    };
    const dst = new Uint8Array(65_536);
    const begin = performance.now();
    const read = () => {
      const n = bounded(() => transport.read(dst.subarray(0, Math.ceil(60_000 ** next())), deadline()));
      if (n === undefined) return;
      ended = n === 0;
      if (dst.subarray(0, n).some((byte, i) => byte !== sent[got + i]))
        throw new Error(`wrong bytes at ${got}`);
      got += n;
    };
    const inTime = () => performance.now() - begin < 8_000;
    for (let i = 0; i < rounds && written < 500_000; i++) {
      const size = Math.ceil(most ** next());
      const taken = bounded(() => transport.write(sent.subarray(written, written + size), deadline()));
      written += taken ?? late;
      while (got < written && next() < 0.9 && inTime()) read();
    }
    transport.closeWrite();
    while (!ended && inTime()) read();
    return ended && got === written ? undefined : `${written} bytes were taken, ${got} came back (${ended})`;
  },
  writeRandom: (length: number, seed: number) => tls.write(randomBytes(length, seed)),
  shutdown: (timeout?: number) => tls.shutdown(only(timeout)),
  closeWrite: (timeout?: number) => tls.closeWrite(only(timeout)),
  close: (timeout?: number) => tls.close(only(timeout)),
  abort: (reason?: string) => tls.abort(reason && new Error(reason)),
  session: () => tls.getSession(),
  exporter: () => tls.exportKeyingMaterial("test", 16).length,
  state: () => ({ ...tls.shutdownFlags, closed: tls.closed, events }),
  /** Answers each line reversed, until the client has ended, and ends. */
  serve(): number {
    const lines = readAll((dst) => {
      const n = tls.read(dst);
      if (n > 0) tls.write(dst.slice(0, n).reverse());
      return n;
    });
    tls.shutdown();
    return lines.length;
  },
  plainRead: (size: number, timeout?: number) => readSome((dst) => transport.read(dst, only(timeout)), size),
  plainReadAll: (size?: number) => readAll((dst) => transport.read(dst), size),
  plainWrite: (bytes: Uint8Array, timeout?: number) => transport.write(bytes, only(timeout)),
  plainCloseWrite: () => transport.closeWrite(),
  plainClose: () => transport.close(),
  plainAbort: (reason?: string) => transport.abort(reason && new Error(reason)),
  release: () => transport.release(),
};

const only = (timeout: number | undefined) => (timeout === undefined ? {} : { timeout });

export type Calls = typeof calls;

interface Call {
  id: number;
  name: keyof Calls;
  args: unknown[];
}

async function answer({ id, name, args }: Call): Promise<unknown> {
  try {
    const value = await (calls[name] as (...args: unknown[]) => unknown)(...args);
    return { id, value };
  } catch (error) {
    // As it is, it would lose all but its message on the way.
    const { name, message, stack, ...own } = error as Error;
    return { id, error: { name, message, stack, ...own } };
  }
}

if ("process" in globalThis && !("Deno" in globalThis)) {
  const { parentPort } = await import("node:worker_threads");
  parentPort?.on("message", async (call: Call) => parentPort.postMessage(await answer(call)));
} else {
  addEventListener("message", async ({ data }: MessageEvent<Call>) => postMessage(await answer(data)));
}
