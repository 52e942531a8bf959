/**
 * A MessagePort as a transport: two tabs, a page and its worker, two Node.js threads. Both ends of the channel use this
 * file, because a bare port knows neither an end nor backpressure. These messages go over it:
 *
 * | message | meaning |
 * |---|---|
 * | a `Uint8Array` | bytes; never more than the receiver's credit |
 * | `{ credit: n }` | the sender of this may be sent `n` more bytes. The first one opens the transport |
 * | `{ alive: name }` | the sender holds the Web Lock of that name until it is done or gone |
 * | `{ end: true }` | no more bytes follow; the other direction goes on |
 * | `{ cancel: text }` | no more bytes are wanted; the other direction goes on |
 * | `{ abort: text }` | the transport is given up, both ways |
 *
 * Credit bounds memory. A receiver grants `window` bytes in advance, and grants more only as its reader takes them. So
 * at most `window` bytes wait in each direction, however long the other tab sleeps.
 *
 * Bytes are copied once, and the copy is transferred: the writer keeps its memory (that of a WebAssembly module could
 * not be transferred at all).
 *
 * A side that finds both directions ended closes the port; what it posted before still arrives. A peer may vanish,
 * because its tab is closed or its worker terminated. In Node.js the port itself tells that (the `close` event). In
 * pages a Web Lock tells it, if they have `navigator.locks` (secure contexts) and both ends are of one origin.
 * Elsewhere, in Deno and between origins, nothing tells it: use a timeout of your own. Only Node.js tells that the port
 * was transferred to other code meanwhile; in other engines writes are lost then. A browser may keep a page with an
 * open transport out of the back/forward cache.
 *
 * @module
 */

import { isBytes, readOptions, type Table, whole } from "../check.js";
import { TlsError, type TlsErrorCode } from "../errors.js";
import { sleep } from "../timers.js";
import type { Transport } from "../transport.js";
import { Inbox } from "./inbox.js";

/** The part of a MessagePort that is used. The ports of browsers, Deno and Node.js all have it. */
export interface MessagePortLike {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  start(): void;
  close(): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  addEventListener(type: "messageerror" | "close", listener: () => void): void;
  /** Only Node.js has these: an idle port must not keep the process alive. */
  ref?(): void;
  unref?(): void;
}

export interface MessagePortOptions {
  /** Bytes that the other end may send before the reader here has taken any. Default 256 KiB. */
  window?: number;
}

const OPTIONS: Table<MessagePortOptions> = { window: whole(1, Number.MAX_SAFE_INTEGER, " bytes") };

type Message =
  | Uint8Array
  | { credit: number }
  | { alive: string }
  | { end: true }
  | { cancel: string }
  | { abort: string };

/** One message carries no more than this, so that credit flows back while a large write is under way. */
const MAX_MESSAGE = 64 * 1024;
/** How long the peer's last messages may take to arrive after its lock is free, in milliseconds. */
const STRAGGLING = 1_000;

/** The part of a page's `navigator.locks` that is used. */
interface Locks {
  request(name: string, options: { signal: AbortSignal }, holding: () => Promise<void>): Promise<unknown>;
  query(): Promise<{ held?: { name?: string }[] }>;
}
const locks = (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks;

/**
 * Makes a transport from a port. The port belongs to the transport from then on.
 *
 * Failures are `TlsError`s of code `"transport"`.
 *
 * @example
 * ```ts
 * import { messagePortTransport } from "wassl/transports/message-port";
 *
 * const { port1, port2 } = new MessageChannel();
 * const transport = messagePortTransport(port1);
 * new Worker("worker.js", { type: "module" }).postMessage("your end", [port2]); // which makes a transport of it too
 * ```
 */
export function messagePortTransport(port: MessagePortLike, options: MessagePortOptions = {}): Transport {
  const { window = 256 * 1024 } = readOptions(options, OPTIONS, "messagePortTransport");
  let writing: WritableStreamDefaultController;
  let failure: TlsError | undefined;
  let sendOpen = true;
  /** The peer has said so. */
  let ended = false;

  /** Bytes that this side may send. */
  let credit = 0;
  /** Bytes that the peer may send, and bytes that the reader took since the peer was last told. */
  let granted = 0;
  let taken = 0;

  /** What waits for the next message. Each looks at the state again then. */
  const waiting: (() => void)[] = [];
  const event = () => {
    port.ref?.();
    return new Promise<void>((resolve) => waiting.push(resolve));
  };
  const wake = () => {
    if (!inbox.waiting) port.unref?.();
    for (const resolve of waiting.splice(0)) resolve();
  };

  const post = (message: Message, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
  const grant = (bytes: number) => {
    granted += bytes;
    post({ credit: bytes });
  };
  const take = (bytes: number) => {
    taken += bytes;
    // In large steps: one message per chunk would double the number of messages.
    if (2 * taken < window || !inbox.open) return;
    grant(taken);
    taken = 0;
  };

  /** Gives up this side's lock, and stops waiting for the peer's. */
  const life = new AbortController();
  const leave = () => {
    port.close();
    life.abort();
  };
  const { signal } = life;
  const showLife = (name: string) =>
    locks
      ?.request(name, { signal }, async () => {
        post({ alive: name });
        if (!signal.aborted)
          await new Promise<void>((done) => signal.addEventListener("abort", () => done()));
      })
      .catch(() => {});
  const watchLife = async (name: string) => {
    // Another origin has other locks. A lock that is free here says nothing then.
    const { held = [] } = (await locks?.query()) ?? {};
    if (!held.some((lock) => lock.name === name)) return;
    await locks?.request(name, { signal }, async () => {});
    await sleep(STRAGGLING);
    if (sendOpen || inbox.open) fail("The other end of the MessagePort is gone, its page or worker with it");
  };

  const closeWhenDone = () => {
    if (!sendOpen && !inbox.open) leave();
  };

  /**
   * Errors the sides that are still open, the reading side behind what has arrived, and gives the port up. Of several
   * failures the first one is told.
   */
  const fail = (message: string, cause?: unknown, code: TlsErrorCode = "transport") => {
    failure ??= new TlsError(code, message, { cause });
    inbox.fail(failure);
    writing.error(failure);
    sendOpen = false;
    wake();
    leave();
    return failure;
  };

  const inbox = new Inbox({
    wanted: () => port.ref?.(),
    taken: take,
    cancel(reason) {
      if (!ended && !failure) post({ cancel: String(reason) });
      wake();
      closeWhenDone();
    },
  });

  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      writing = controller;
      const { signal } = controller;
      // A sink's own abort() is called only after a write that is under way, which may never end. In a microtask,
      // because the stream must not be errored while it aborts.
      signal.addEventListener("abort", () =>
        queueMicrotask(() => {
          if (!failure) post({ abort: String(signal.reason) });
          failure ??= new TlsError("transport", "The transport was aborted", { cause: signal.reason });
          inbox.drop(failure);
          fail(failure.message);
        }),
      );
    },
    async write(chunk) {
      if (!isBytes(chunk)) {
        post({ abort: "not bytes" });
        throw fail("A transport takes Uint8Arrays only", undefined, "invalid-argument");
      }
      for (let at = 0; at < chunk.byteLength; ) {
        while (sendOpen && credit === 0) await event();
        if (failure) throw failure;
        if (!sendOpen) return; // Cancelled by the peer: the stream is errored already.
        const bytes = new Uint8Array(chunk.subarray(at, at + Math.min(credit, MAX_MESSAGE)));
        at += bytes.byteLength;
        credit -= bytes.byteLength;
        post(bytes, [bytes.buffer]);
      }
    },
    close() {
      sendOpen = false;
      post({ end: true });
      closeWhenDone();
    },
  });

  const receive = (message: unknown) => {
    if (failure) return;
    const fields = Object(message) as { [field: string]: unknown };
    if (isBytes(message)) {
      granted -= message.byteLength;
      if (granted < 0) fail("The other end of the MessagePort sent more than it had credit for");
      else inbox.push(message);
    } else if (Number.isSafeInteger(fields.credit) && Number(fields.credit) > 0) {
      credit += Number(fields.credit);
    } else if (typeof fields.alive === "string") {
      watchLife(fields.alive).catch(() => {});
    } else if (fields.end === true) {
      ended = true;
      inbox.end();
    } else if (typeof fields.cancel === "string") {
      sendOpen = false;
      writing.error(
        new TlsError("transport", `The other end of the MessagePort reads no more: ${fields.cancel}`),
      );
    } else if (typeof fields.abort === "string") {
      fail(`The other end of the MessagePort aborted: ${fields.abort}`);
    } else {
      fail("A message came that is not of this protocol: does the other end use messagePortTransport?");
    }
    closeWhenDone();
    wake();
  };
  port.addEventListener("message", ({ data }) => receive(data));
  port.addEventListener("messageerror", () => fail("A message could not be deserialized"));
  port.addEventListener("close", () => {
    if (sendOpen || inbox.open) fail("The MessagePort was closed before both directions had ended");
  });
  port.start();
  port.unref?.();
  grant(window);
  if (locks)
    void showLife(`wassl ${Array.from({ length: 4 }, () => Math.random().toString(36).slice(2)).join("")}`);

  return { readable: inbox.readable, writable };
}
