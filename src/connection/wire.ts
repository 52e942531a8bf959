import { TlsError } from "../errors.js";
import { requireBytes } from "../openssl/library.js";
import { within } from "../timers.js";
import { type Ends, type Transport, WITHOUT_STREAMS } from "../transport.js";

/** How long the writing side may take to abort before the reading side is cancelled, in milliseconds. */
const ABORT_PATIENCE = 100;

/** A transport, reduced to four verbs. */
export interface Wire {
  /** The next bytes from the peer; null at the end. Never called while an earlier call is unsettled. */
  receive(): Promise<Uint8Array | null>;
  /** Settles when the transport has accepted the bytes. Never called while an earlier call is unsettled. */
  send(bytes: Uint8Array): Promise<void>;
  /** Closes the writing side and gives the reading side up. Settles when the transport has done so. */
  close(): Promise<void>;
  /** Gives both sides up at once. The peer must not take that for an orderly end. */
  abort(reason: unknown): void;
}

/** A {@link Transport} whose streams both belong to the connection, until they are released or closed. */
export class TransportWire implements Wire {
  readonly transport: Transport;
  #reader: Ends["reader"];
  #writer: Ends["writer"];

  constructor(transport: Transport) {
    this.transport = transport;
    const ends = WITHOUT_STREAMS.get(transport)?.() ?? endsOfStreams(transport);
    this.#reader = ends.reader;
    this.#writer = ends.writer;
  }

  async receive(): Promise<Uint8Array | null> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      requireBytes(value, "what the transport delivers");
      if (value.length > 0) return value;
    }
  }

  /** Async, because Node.js throws where it should reject: on a stream that is closed. */
  async send(bytes: Uint8Array): Promise<void> {
    await this.#writer.write(bytes);
  }

  /** Bytes that the transport took and has not sent, if it says so. */
  get waiting(): number {
    const { bufferedAmount } = this.transport;
    return typeof bufferedAmount === "number" ? bufferedAmount : 0;
  }

  /** Gives the streams back, open as they are. */
  release(): void {
    this.#reader.releaseLock();
    this.#writer.releaseLock();
    // What is called late must not reach the transport's next user.
    this.#reader = this.#writer = RELEASED;
  }

  async close(): Promise<void> {
    const closed = this.endWriting();
    this.cancelReading();
    await closed;
  }

  /** Says that no more bytes follow. Settles when the transport has accepted all. */
  async endWriting(): Promise<void> {
    await this.#writer.close();
  }

  cancelReading(): void {
    this.#reader.cancel().catch(() => {});
  }

  abort(reason: unknown): void {
    // First the writing side, which knows how to abort; cancelling alone might look like an orderly end. But a sink
    // whose write is stuck may never finish its abort, and the reading side must go all the same.
    const aborted = this.#writer.abort(reason).catch(() => {});
    const cancel = () => void this.#reader.cancel(reason).catch(() => {});
    within(ABORT_PATIENCE, aborted, () => undefined).then(cancel, cancel);
  }
}

const refuse = () => Promise.reject(new TypeError("the transport was released"));
const RELEASED: Ends["reader"] & Ends["writer"] = {
  read: refuse,
  cancel: refuse,
  write: refuse,
  close: refuse,
  abort: refuse,
  releaseLock() {},
};

function endsOfStreams(transport: Transport): Ends {
  const { readable, writable } = transport ?? {};
  if (typeof readable?.getReader !== "function" || typeof writable?.getWriter !== "function") {
    throw new TlsError("invalid-argument", "a transport must have a readable and a writable stream");
  }
  if (readable.locked || writable.locked) {
    throw new TlsError("invalid-argument", "a stream of the transport is locked: other code uses it");
  }
  const reader = readable.getReader();
  const writer = writable.getWriter();
  // Their failures arrive with the calls that meet them.
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  writer.ready.catch(() => {});
  return { reader, writer };
}
