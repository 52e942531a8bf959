/** What every client does, in whatever engine it runs: this file and the client's are one bundle. */
import type { Dialer, Transport } from "wassl";

/** Where a client is to connect, as the runner says. */
export interface To {
  host: string;
  port: number;
  /** In PEM: what the client trusts. */
  ca: string;
  /** More ports and files, by name. */
  more: Record<string, string>;
}

export interface Order extends To {
  otherCa: string;
  /** Of the relay, for a page. */
  relay?: string;
}

/** What was seen, and what went wrong. */
export interface Report {
  ok: boolean;
  lines: string[];
}

export interface Client {
  /** Connects, moves 3 MB there and back, and ends. */
  talk(to: To, facts: Facts): Promise<void>;
  /** Connects, and nothing more; it must not come that far here. Default: `talk`. */
  refuse?(to: To): Promise<unknown>;
  /** For a client whose server cannot be reached by another name: no wrong name is tried, and this is why. */
  noWrongName?: string;
}

export type Facts = (line: string) => void;

const SIZE = 3_000_000;

/** Bytes that look like nothing else, the same each time. */
export function someBytes(length = SIZE): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 0x2545f491;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}

/** The same as text in letters that every protocol takes, in lines of 76. */
export function someText(length = SIZE): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
  let text = "";
  for (const [i, byte] of someBytes(length).entries()) {
    text += letters[byte & 63];
    if (i % 76 === 75) text += "\r\n";
  }
  return text;
}

export async function hash(data: Uint8Array | string): Promise<string> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Throws unless they are the same. */
export async function same(sent: Uint8Array | string, came: Uint8Array | string): Promise<void> {
  const [a, b] = [await hash(sent), await hash(came)];
  if (a !== b) throw new Error(`${came.length} bytes came back for ${sent.length}, and they are others`);
}

export function check(right: unknown, what: string): asserts right {
  if (!right) throw new Error(`not so: ${what}`);
}

/** Settles as `work` does, or fails after 20 seconds. */
export async function within<T>(what: string, work: Promise<T>, milliseconds = 20_000): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took over ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The first event of that name; it rejects on "error". */
export function event(
  from: { once(name: string, f: (x: never) => void): unknown },
  name: string,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    from.once(name, resolve as (x: never) => void);
    if (name !== "error") from.once("error", reject as (x: never) => void);
  });
}

/** What the certificates may be refused for: an unknown CA, where the server sends its intermediate and not its root. */
const UNKNOWN_CA = [
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_GET_ISSUER_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];

/** All codes that an error has, its causes' too, and what it says, since some clients keep but the text. */
function told(error: unknown): string {
  const words: string[] = [];
  for (let at = error as Error & { code?: string; errors?: unknown[] }, i = 0; at && i < 5; i++) {
    words.push(String(at.code ?? ""), String(at.message ?? at));
    for (const each of at.errors ?? []) words.push(told(each));
    at = at.cause as typeof at;
  }
  return words.join(" | ");
}

async function refusal(what: string, attempt: Promise<unknown>): Promise<string> {
  let outcome: unknown = "came through";
  try {
    await within(what, attempt);
  } catch (error) {
    return told(error);
  }
  outcome = `${what}: the connection ${outcome}`;
  throw new Error(String(outcome));
}

/** How the connections of a client ended: the size of the last record that each of them sent. */
class Ends {
  readonly #last: (number | undefined)[] = [];

  watch<T extends Transport>(transport: T): T {
    const index = this.#last.push(undefined) - 1;
    const writer = transport.writable.getWriter();
    let left = new Uint8Array(0);
    let tls = false;
    const look = (chunk: Uint8Array) => {
      tls ||= chunk[0] === 0x16;
      if (!tls) return;
      let bytes = new Uint8Array(left.length + chunk.length);
      bytes.set(left);
      bytes.set(chunk, left.length);
      while (bytes.length >= 5) {
        const length = (bytes[3]! << 8) | bytes[4]!;
        if (bytes.length < 5 + length) break;
        // An alert, in the clear; or one of TLS 1.3: two bytes, their type, and 16 of the cipher.
        this.#last[index] = bytes[0] === 0x15 ? 19 : length;
        bytes = bytes.slice(5 + length);
      }
      left = bytes;
    };
    const writable = new WritableStream<Uint8Array>({
      write(chunk) {
        look(chunk);
        return writer.write(chunk);
      },
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    });
    return { ...transport, writable };
  }

  /** Of those that came as far as TLS, how many said so before they ended. */
  get told(): string {
    const all = this.#last.filter((length) => length !== undefined);
    return `${all.filter((length) => length === 19).length} of ${all.length}`;
  }
}

/** Runs it all. What `dialer` reaches is on this machine, whatever its name. */
export async function run(
  client: Client,
  order: Order,
  dialer: Dialer,
  use: (dialer: Dialer) => void,
): Promise<Report> {
  const ends = new Ends();
  use(async ({ port, signal }) => ends.watch(await dialer({ hostname: "127.0.0.1", port, signal })));
  const lines: string[] = [];
  const { host, port, ca, otherCa, more } = order;
  const attempt = (to: To) => (client.refuse ? client.refuse(to) : client.talk(to, () => {}));
  try {
    await within(
      "the exchange",
      client.talk({ host, port, ca, more }, (line) => lines.push(line)),
      60_000,
    );
    const [said, all] = ends.told.split(" of ");
    check(said === all && all !== "0", `close_notify left at the end of ${said} of ${all} connections`);
    lines.push(`close_notify at the end of ${all}`);
    const unknown = await refusal("an unknown CA", attempt({ host, port, ca: otherCa, more }));
    check(
      UNKNOWN_CA.some((code) => unknown.includes(code)) || /unable to (get|verify)/.test(unknown),
      `an unknown CA is told: ${unknown}`,
    );
    lines.push("an unknown CA is refused");
    if (client.noWrongName === undefined) {
      const wrong = await refusal("a wrong name", attempt({ host: "wrong.wassl.test", port, ca, more }));
      check(
        wrong.includes("ERR_TLS_CERT_ALTNAME_INVALID") ||
          wrong.includes("does not match certificate's altnames"),
        `a wrong name is told: ${wrong}`,
      );
      lines.push("a wrong name is refused");
    } else lines.push(`no wrong name is tried: ${client.noWrongName}`);
    return { ok: true, lines };
  } catch (error) {
    lines.push(error instanceof Error ? `${error.stack} ${told(error)}` : String(error));
    return { ok: false, lines };
  }
}
