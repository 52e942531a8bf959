import { messageOf } from "../check.js";
import { TransportWire } from "../connection/wire.js";
import { TlsError } from "../errors.js";
import { after } from "../timers.js";
import type { Transport } from "../transport.js";
import { type PeerRole, StartTlsError, type StartTlsProtocol } from "./error.js";

/** The most that a peer may send before TLS, in bytes. */
const LIMIT = 16_384;

const LF = 10;
const GREATER_THAN = 62;

/** A tag of XML, with whatever stands between the one before and it. */
export interface Tag {
  /** Without a prefix, for example "features" of `</stream:features>`. */
  readonly name: string;
  readonly kind: "open" | "close" | "empty";
  /** All of it. */
  readonly text: string;
  /** Something other than white space stands before it. */
  readonly preceded: boolean;
}

/** The two sides of a dialog before TLS: sends, and takes from what was received exactly what belongs to the dialog. */
export class Clear {
  readonly #wire: TransportWire;
  readonly #protocol: StartTlsProtocol;
  readonly #peer: PeerRole;
  /** What was received and not yet taken lies in it from `#from` to `#to`. */
  #store = new Uint8Array(256);
  #from = 0;
  #to = 0;
  readonly #taken: Uint8Array[] = [];
  #takenLength = 0;

  constructor(wire: TransportWire, protocol: StartTlsProtocol, peer: PeerRole) {
    this.#wire = wire;
    this.#protocol = protocol;
    this.#peer = peer;
  }

  async send(what: string | Uint8Array): Promise<void> {
    await this.#wire.send(typeof what === "string" ? new TextEncoder().encode(what) : what);
  }

  /** The next `length` bytes. */
  async take(length: number): Promise<Uint8Array> {
    // Before waiting for what will be too much.
    if (this.#takenLength + length > LIMIT) throw this.#tooMuch();
    while (this.#to - this.#from < length) await this.#more();
    const taken = this.#store.subarray(this.#from, this.#from + length);
    this.#from += length;
    this.#taken.push(taken);
    this.#takenLength += length;
    return taken;
  }

  /** The next line, without its end. */
  async line(): Promise<string> {
    return latin1(await this.#through(LF)).replace(/\r?\n$/, "");
  }

  /** The next tag. A ">" in the value of an attribute counts as its end: nothing that is read here has one. */
  async tag(): Promise<Tag> {
    const text = latin1(await this.#through(GREATER_THAN));
    const found = text.match(/^([^<]*)<(\/?)(?:[\w.-]+:)?([\w.?-]+)[^<]*>$/);
    if (!found) throw this.malformed("what it sent is not XMPP");
    const [, before = "", slash, name = ""] = found;
    const kind = slash ? "close" : text.endsWith("/>") ? "empty" : "open";
    return { name, kind, text, preceded: before.trim() !== "" };
  }

  /** All that was taken so far. */
  heard(): Uint8Array<ArrayBuffer> {
    return joined(this.#taken, this.#takenLength);
  }

  /**
   * A reply that lies here before its request was sent cannot be the peer's reply to it. An attacker in between put it
   * there, or the peer follows a protocol of its own. Where the peer may speak without being asked, `reply` tells what
   * counts as a reply.
   */
  requireNoReply(request: string, reply = /./s): void {
    const waiting = latin1(this.takeRest());
    if (reply.test(waiting)) throw this.#injected(waiting.length, `before ${request} was sent`);
  }

  /** TLS begins: what lies here already was sent in the clear, and would be taken for part of what TLS protects. */
  requireNothingMore(): void {
    const count = this.#to - this.#from;
    const behind =
      this.#peer === "client" ? "together with its request for TLS" : "together with its consent to TLS";
    if (count > 0) throw this.#injected(count, behind);
  }

  /** What was received and not taken. */
  takeRest(): Uint8Array {
    return this.#store.subarray(this.#from, this.#to);
  }

  /** The peer said that there will be no TLS, or does not offer any. */
  refused(how: string, reply: string): StartTlsError {
    const message =
      this.#peer === "client"
        ? `the client does not ask for TLS: ${how}`
        : `the server does not do STARTTLS: ${how}`;
    return new StartTlsError(message, "refused", this.#protocol, reply);
  }

  /** The peer does not speak the protocol. */
  malformed(how: string, reply = ""): StartTlsError {
    return new StartTlsError(
      `the ${this.#peer} does not speak ${this.#protocol}: ${how}`,
      "malformed",
      this.#protocol,
      reply,
    );
  }

  #injected(count: number, when: string): StartTlsError {
    const message = `injection: ${count} bytes from the ${this.#peer} arrived in the clear ${when}; an attacker in between may have put them there`;
    return new StartTlsError(message, "injected", this.#protocol, latin1(this.takeRest()));
  }

  async #through(byte: number): Promise<Uint8Array> {
    for (let seen = 0; ; await this.#more()) {
      const end = this.#store.subarray(this.#from, this.#to).indexOf(byte, seen);
      if (end >= 0) return await this.take(end + 1);
      seen = this.#to - this.#from;
    }
  }

  async #more(): Promise<void> {
    if (this.#takenLength + this.#to - this.#from >= LIMIT) throw this.#tooMuch();
    const chunk = await this.#wire.receive();
    if (!chunk) {
      throw new TlsError(
        "transport",
        `the ${this.#peer} ended the connection before TLS began, in the ${this.#protocol} dialog`,
      );
    }
    const waiting = this.#to - this.#from;
    if (this.#to + chunk.byteLength > this.#store.byteLength) {
      const store = new Uint8Array(2 * (waiting + chunk.byteLength));
      store.set(this.#store.subarray(this.#from, this.#to));
      this.#store = store;
      this.#from = 0;
      this.#to = waiting;
    }
    this.#store.set(chunk, this.#to);
    this.#to += chunk.byteLength;
  }

  #tooMuch(): StartTlsError {
    return this.malformed(`it says too much before TLS, more than ${LIMIT} bytes`);
  }
}

export interface Bounds {
  signal: AbortSignal | undefined;
  /** In milliseconds. */
  timeout: number;
}

/**
 * Leaves the transport unlocked. If `dialog` fails, or runs out of time, or `signal` fires, it gives the transport up.
 */
export async function inTheClear<T>(
  transport: Transport,
  protocol: StartTlsProtocol,
  peer: PeerRole,
  { signal, timeout }: Bounds,
  dialog: (clear: Clear) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const wire = new TransportWire(transport);
  let stop = (_reason: unknown) => {};
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = reject;
  });
  const onAbort = () => stop(signal!.reason);
  signal?.addEventListener("abort", onAbort);
  const stopTimer = after(timeout, () =>
    stop(new TlsError("timeout", `the ${peer} did not come to TLS in ${protocol} within ${timeout} ms`)),
  );
  try {
    // A transport that is given up may never settle what is under way.
    const result = await Promise.race([dialog(new Clear(wire, protocol, peer)), stopped]);
    wire.release();
    return result;
  } catch (error) {
    const failure =
      signal?.aborted || error instanceof TlsError ? error : brokenTransport(protocol, peer, error);
    wire.abort(failure);
    throw failure;
  } finally {
    stopTimer();
    signal?.removeEventListener("abort", onAbort);
  }
}

function brokenTransport(protocol: StartTlsProtocol, peer: PeerRole, cause: unknown): TlsError {
  const how = messageOf(cause);
  const message = `the transport to the ${peer} failed before TLS began, in the ${protocol} dialog: ${how}`;
  return new TlsError("transport", message, { cause });
}

/** Each byte is a character, U+0000 to U+00FF. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  return all;
}
