/**
 * An RTCDataChannel of WebRTC as a transport: from page to page, without a server in between. Every binary message is a
 * piece of the byte stream, and the boundaries of messages mean nothing.
 *
 * - **It has to be ordered and reliable**, which is the default of `createDataChannel()`.
 * - Messages have 16 KiB at most, which every engine takes. A write waits while more than `maxBufferedAmount` is buffered.
 * - **It cannot be paused.** What arrives is queued, and when more than `maxUnread` bytes wait, the transport fails
 *   instead of filling the memory of the page.
 * - **It has no half-close, and no abort.** `writable.close()` sends what is buffered and then closes both ways;
 *   `writable.abort()` closes at once, and the peer cannot tell one from the other. TLS can.
 *
 * @module
 */

import { byteCount, duration, isBytes, messageOf, readOptions, type Table, tagOf } from "../check.js";
import { TlsError } from "../errors.js";
import { after, sleep, within } from "../timers.js";
import type { Transport } from "../transport.js";
import { Inbox } from "./inbox.js";

/** The part of an RTCDataChannel that is used. */
export interface DataChannelLike {
  binaryType: string;
  readonly readyState: string;
  readonly ordered: boolean;
  readonly maxPacketLifeTime: number | null;
  readonly maxRetransmits: number | null;
  readonly bufferedAmount: number;
  bufferedAmountLowThreshold: number;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(): void;
  addEventListener(
    type: "open" | "close" | "bufferedamountlow" | "error",
    listener: (event: object) => void,
  ): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
}

export interface DataChannelOptions {
  /** In bytes: a write waits while more than this is buffered for sending. Default 1 MiB. */
  maxBufferedAmount?: number;
  /** In bytes: when more than this has arrived and waits to be read, the transport fails. Default 64 MiB. */
  maxUnread?: number;
  /** In milliseconds: how long `writable.close()` waits while nothing that is buffered leaves. Default 5,000. */
  closeTimeout?: number;
}

const OPTIONS: Table<DataChannelOptions> = {
  maxBufferedAmount: byteCount,
  maxUnread: byteCount,
  closeTimeout: duration,
};

const MAX_MESSAGE = 16 * 1024;
/** How often it is looked how much is buffered, should no event tell; in milliseconds. */
const GLANCE = 50;
/**
 * In milliseconds: how long the first write to a channel that was open from the beginning waits, unless a message comes
 * first. Chromium says "open" to the side that was called before its own parts are connected, and now and then loses
 * what is sent meanwhile, or counts it as buffered forever.
 */
const SETTLING = 100;

/**
 * Makes a transport from a channel that is open or still connecting; in the second case its writes wait until it is
 * open, in the first one for 100 ms or the first message, because Chromium loses what is sent at once. Call it before the first message can have arrived. The channel belongs to the transport from then on.
 *
 * @throws {TlsError} of code `"invalid-argument"`, if the channel is not ordered or not reliable.
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 * import { dataChannelTransport } from "wassl/transports/data-channel";
 *
 * const channel = new RTCPeerConnection().createDataChannel("tls");
 * const tls = await startTls(dataChannelTransport(channel), { hostname: "peer.example.org", caCerts: pem });
 * ```
 */
export function dataChannelTransport(channel: DataChannelLike, options: DataChannelOptions = {}): Transport {
  const {
    maxBufferedAmount = 1024 * 1024,
    maxUnread = 64 * 1024 * 1024,
    closeTimeout = 5_000,
  } = readOptions(options, OPTIONS, "dataChannelTransport");
  if (!channel.ordered || channel.maxRetransmits != null || channel.maxPacketLifeTime != null)
    throw new TlsError("invalid-argument", "the channel must be ordered and reliable, or bytes are lost");
  let writing!: WritableStreamDefaultController;
  let failure: { reason: unknown } | undefined;
  let lastError: unknown;
  /** What waits for the channel's next event. Each looks at its state again then. */
  const waiting: (() => void)[] = [];
  const event = () => new Promise<void>((resolve) => waiting.push(resolve));
  const wake = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };

  let settling = channel.readyState === "open";
  const settled = () => {
    settling = false;
    wake();
  };

  /** Errors the sides that are still open, the reading side behind what has arrived, and gives the channel up. */
  const fail = (reason: unknown) => {
    failure ??= { reason };
    inbox.fail(failure.reason);
    writing.error(failure.reason);
    channel.close();
    wake();
    return failure.reason;
  };
  const drop = (reason: unknown) => {
    inbox.drop(failure?.reason ?? reason);
    return fail(reason);
  };

  const inbox = new Inbox({
    cancel() {
      fail(new TlsError("closed", "The channel was closed by cancelling its readable"));
    },
  });

  /** Waits until no more than `amount` bytes are buffered for sending. */
  const drained = async (amount: number) => {
    while (!failure && channel.bufferedAmount > amount) {
      channel.bufferedAmountLowThreshold = amount;
      // Chromium does not always tell that the last bytes have left.
      await Promise.race([event(), sleep(GLANCE)]);
    }
    if (failure) throw failure.reason;
  };

  const writable = new WritableStream<Uint8Array>({
    async start(controller) {
      writing = controller;
      const { signal } = controller;
      // A sink's own abort() is called only after a write that is under way, which may never end. In a microtask,
      // because the stream must not be errored while it aborts.
      signal.addEventListener("abort", () =>
        queueMicrotask(() =>
          drop(new TlsError("transport", "The channel was aborted", { cause: signal.reason })),
        ),
      );
      if (settling) after(SETTLING, settled);
      while ((settling || channel.readyState === "connecting") && !failure) await event();
    },
    async write(chunk) {
      if (!isBytes(chunk)) throw drop(new TlsError("invalid-argument", "A transport takes Uint8Arrays only"));
      for (let at = 0; at < chunk.byteLength; at += MAX_MESSAGE) {
        if (failure) throw failure.reason;
        // (The type of send() has no SharedArrayBuffer in it, and a transport has none either.)
        channel.send(chunk.subarray(at, at + MAX_MESSAGE) as Uint8Array<ArrayBuffer>);
        await drained(maxBufferedAmount);
      }
    },
    async close() {
      await within(
        closeTimeout,
        drained(0),
        () =>
          fail(new TlsError("timeout", `nothing left for ${closeTimeout} ms, and the channel was closed`)),
        () => channel.bufferedAmount,
      );
      channel.close();
      const closed = async () => {
        while (channel.readyState !== "closed") await event();
      };
      await within(closeTimeout, closed(), () => undefined).catch(() => {});
    },
  });

  channel.binaryType = "arraybuffer";
  channel.addEventListener("open", wake);
  channel.addEventListener("bufferedamountlow", wake);
  channel.addEventListener("message", ({ data }) => {
    if (tagOf(data) !== "ArrayBuffer") {
      fail(new TlsError("transport", "a text came, but only binary messages carry bytes"));
      return;
    }
    inbox.push(new Uint8Array(data as ArrayBuffer));
    if (settling) settled();
    if (inbox.size > maxUnread)
      fail(new TlsError("transport", `the peer sent over ${maxUnread} bytes that were not read`));
  });
  channel.addEventListener("error", (event) => {
    lastError = "error" in event && event.error ? event.error : event;
  });
  channel.addEventListener("close", () => {
    if (lastError === undefined) {
      inbox.end();
      failure ??= { reason: new TlsError("closed", "The peer has closed the channel") };
      writing.error(failure.reason);
      wake();
    } else {
      fail(new TlsError("transport", `The channel failed: ${messageOf(lastError)}`, { cause: lastError }));
    }
  });
  if (channel.readyState === "closing" || channel.readyState === "closed")
    fail(new TlsError("transport", "The channel was already closed"));

  return {
    readable: inbox.readable,
    writable,
    get bufferedAmount() {
      return channel.bufferedAmount;
    },
  };
}
