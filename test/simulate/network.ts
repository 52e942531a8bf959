/** The network of a simulated world: two directions, each with its own troubles. */
import type { Transport } from "../../src/transport.ts";
import type { World } from "./world.ts";

/** What befalls a direction once `at` bytes went through. */
export interface Trouble {
  /** The receiver sees the end, an error, or nothing any more; or the sender's writes fail. */
  kind: "end" | "read-error" | "stall" | "write-error";
  at: number;
}

export const networkError = new Error("the simulated network failed");

/** What the receiver of a direction was given, for the model. */
export interface Seen {
  bytes: number;
  ended: boolean;
  failed: boolean;
  /** The sender's writes failed. */
  refused: boolean;
  /** Inside of a record, by a count of its own over the record headers. */
  midRecord: boolean;
}

export function makeDirection(world: World, name: string, trouble: Trouble | undefined, capacity: number) {
  const seen: Seen = { bytes: 0, ended: false, failed: false, refused: false, midRecord: false };
  let pipe: Uint8Array[] = [];
  let inPipe = 0;
  let sent = 0;
  let offered: { chunk: Uint8Array; at: number; done: () => void; failed: (e: unknown) => void } | undefined;
  let finished = false;
  let aborted = false;
  let cancelled = false;
  let reader: { controller: ReadableStreamDefaultController<Uint8Array>; done: () => void } | undefined;
  let writeController: WritableStreamDefaultController;
  const header: number[] = [];
  let body = 0;

  const count = (bytes: Uint8Array) => {
    seen.bytes += bytes.length;
    for (const byte of bytes) {
      if (body > 0) {
        body--;
        continue;
      }
      header.push(byte);
      if (header.length === 5) {
        body = header[3]! * 256 + header[4]!;
        header.length = 0;
      }
    }
    seen.midRecord = body > 0 || header.length > 0;
  };

  const take = (n: number): Uint8Array => {
    const out = new Uint8Array(n);
    let at = 0;
    while (at < n) {
      const first = pipe[0]!;
      const part = first.subarray(0, n - at);
      out.set(part, at);
      at += part.length;
      if (part.length === first.length) pipe.shift();
      else pipe[0] = first.subarray(part.length);
    }
    inPipe -= n;
    return out;
  };

  const give = (act: (controller: ReadableStreamDefaultController<Uint8Array>) => void) => {
    const { controller, done } = reader!;
    reader = undefined;
    act(controller);
    done();
  };
  const end = () => {
    seen.ended = true;
    world.note(`${name}: end`);
    give((controller) => controller.close());
  };
  const fail = () => {
    seen.failed = true;
    world.note(`${name}: the receiver sees an error`);
    give((controller) => controller.error(networkError));
  };
  const refuse = () => {
    seen.refused = true;
    world.note(`${name}: the sender sees an error`);
    const { failed } = offered!;
    offered = undefined;
    failed(networkError);
  };

  world.addEvents(() => {
    const events: { weight: number; happen: () => void }[] = [];
    if (offered) {
      const over = cancelled || (trouble?.kind === "write-error" && sent >= trouble.at);
      if (over) events.push({ weight: 1, happen: refuse });
      else if (inPipe < capacity || trouble?.kind === "end") {
        events.push({
          weight: 2,
          happen: () => {
            const { chunk, at, done } = offered!;
            let n = world.chance(0.5) ? chunk.length - at : world.size(chunk.length - at);
            if (trouble?.kind === "write-error") n = Math.min(n, Math.max(0, trouble.at - sent));
            pipe.push(chunk.slice(at, at + n));
            inPipe += n;
            sent += n;
            offered!.at += n;
            world.note(`${name}: ${n} accepted`);
            if (offered!.at < chunk.length) return;
            offered = undefined;
            done();
          },
        });
      }
    }
    if (reader) {
      const reached = trouble && trouble.kind !== "write-error" && seen.bytes >= trouble.at;
      if (reached) {
        if (trouble.kind === "end") events.push({ weight: 1, happen: end });
        if (trouble.kind === "read-error") events.push({ weight: 1, happen: fail });
        return events; // a stall: nothing, ever
      }
      if (aborted) events.push({ weight: 1, happen: fail });
      else if (inPipe === 0 && finished) events.push({ weight: 1, happen: end });
      else if (inPipe > 0) {
        events.push({
          weight: 2,
          happen: () => {
            let n = world.chance(0.4) ? inPipe : world.size(inPipe);
            if (trouble && trouble.kind !== "write-error") n = Math.min(n, trouble.at - seen.bytes);
            const bytes = take(n);
            count(bytes);
            world.note(`${name}: ${n} delivered`);
            give((controller) => controller.enqueue(bytes));
          },
        });
      }
    }
    return events;
  });

  const readable = new ReadableStream<Uint8Array>(
    {
      pull: (controller) =>
        new Promise<void>((done) => {
          reader = { controller, done };
        }),
      cancel() {
        cancelled = true;
        reader = undefined;
      },
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      writeController = controller;
      controller.signal.addEventListener("abort", () => {
        aborted = true;
        pipe = [];
        inPipe = 0;
        offered?.failed(writeController.signal.reason);
        offered = undefined;
      });
    },
    write: (chunk) =>
      new Promise((done, failed) => {
        // Its bytes are looked at when they are accepted: they must not change before.
        offered = { chunk, at: 0, done, failed };
      }),
    close() {
      finished = true;
    },
  });
  return { readable, writable, seen };
}

export interface Network {
  client: Transport;
  server: Transport;
  toClient: Seen;
  toServer: Seen;
}

export function makeNetwork(world: World, troubles: { toClient?: Trouble; toServer?: Trouble }): Network {
  const toServer = makeDirection(world, "→ server", troubles.toServer, world.size(100_000));
  const toClient = makeDirection(world, "→ client", troubles.toClient, world.size(100_000));
  return {
    client: { readable: toClient.readable, writable: toServer.writable },
    server: { readable: toServer.readable, writable: toClient.writable },
    toClient: toClient.seen,
    toServer: toServer.seen,
  };
}
