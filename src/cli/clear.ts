/** What both sides of STARTTLS need to speak before there is TLS. */
import { TlsError, type Transport } from "wassl";

/** The most that is said before TLS, in bytes. */
const LIMIT = 16_384;

const LF = 10;
/** RFC 4511 §4.14.1 */
export const LDAP_STARTTLS = "1.3.6.1.4.1.1466.20037";
/** A capability of MySQL's. */
export const CLIENT_SSL = 0x800;

/** A transport in the clear, of which nothing stays behind. */
export class Clear {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** Received and not yet used. */
  #buffer = new Uint8Array(0);
  #total = 0;
  readonly #peer: string;

  constructor(transport: Transport, peer: string) {
    this.#peer = peer;
    this.#reader = transport.readable.getReader();
    this.#writer = transport.writable.getWriter();
  }

  async send(what: string | Uint8Array): Promise<void> {
    await this.#writer.write(typeof what === "string" ? new TextEncoder().encode(what) : what);
  }

  /** The next `length` bytes. */
  async take(length: number): Promise<Uint8Array> {
    while (this.#buffer.byteLength < length) await this.#more();
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  /** The next line, without its end. */
  async line(): Promise<string> {
    let end = this.#buffer.indexOf(LF);
    for (; end < 0; end = this.#buffer.indexOf(LF)) await this.#more();
    return latin1(await this.take(end + 1)).replace(/\r?\n$/, "");
  }

  /** What the pattern fits at the beginning, once it does. */
  async match(pattern: RegExp): Promise<string> {
    for (;;) {
      const [found] = latin1(this.#buffer).match(pattern) ?? [];
      if (found !== undefined) return latin1(await this.take(found.length));
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#reader.read();
    if (done) throw new TlsError("transport", `${this.#peer} ended the connection before STARTTLS`);
    this.#total += value.byteLength;
    if (this.#total > LIMIT) throw new TlsError("protocol", `${this.#peer} says too much before STARTTLS`);
    const whole = new Uint8Array(this.#buffer.byteLength + value.byteLength);
    whole.set(this.#buffer);
    whole.set(value, this.#buffer.byteLength);
    this.#buffer = whole;
  }

  /** TLS begins: what lies here already has no business to. */
  requireNothingMore(): void {
    const { byteLength } = this.#buffer;
    if (byteLength === 0) return;
    const behind = this.#peer === "the client" ? "the request for" : "the consent to";
    throw new TlsError("protocol", `injection: ${byteLength} bytes in the clear behind ${behind} TLS`);
  }

  /** What was received, and is not for us. */
  takeRest(): Uint8Array {
    return this.#buffer;
  }

  /** Gives the transport up, which ends what waits here. */
  abort(reason: unknown): void {
    this.#writer.abort(reason).catch(() => {});
  }

  release(): void {
    this.#reader.releaseLock();
    this.#writer.releaseLock();
  }
}

/** Leaves the transport with its streams unlocked. If `dialog` fails, or `signal` says so, it gives the transport up. */
export async function inTheClear<T>(
  transport: Transport,
  peer: string,
  signal: AbortSignal,
  dialog: (clear: Clear) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const clear = new Clear(transport, peer);
  const onAbort = () => clear.abort(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await dialog(clear);
  } catch (error) {
    clear.abort(error);
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    clear.release();
  }
}

/** The content of a sequence in BER, whose first two bytes are given. */
export async function element(clear: Clear, [tag, length = 0]: Uint8Array): Promise<Uint8Array> {
  if (tag !== 0x30) throw new TlsError("protocol", "STARTTLS: that is no LDAP");
  if (length < 128) return await clear.take(length);
  // Then it says how many bytes the length has.
  const bytes = await clear.take(length & 127);
  return await clear.take(
    Math.min(
      bytes.reduce((sum, byte) => sum * 256 + byte, 0),
      LIMIT,
    ),
  );
}

/** Each byte is a character, U+0000 to U+00FF. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** What came before, and then the rest. */
export function after(
  before: Uint8Array[],
  readable: ReadableStream<Uint8Array>,
): ReadableStream<Uint8Array> {
  const first = before.filter(({ byteLength }) => byteLength > 0);
  if (first.length === 0) return readable;
  const reader = readable.getReader();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } =
          first.length > 0 ? { done: false, value: first.shift() } : await reader.read();
        if (done) controller.close();
        else controller.enqueue(value!);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
