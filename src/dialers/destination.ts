import { custom, readOptions, signal, type Table, whole } from "../check.js";
import { TlsError } from "../errors.js";
import type { DialOptions, SocketAddress } from "../transport.js";

/** Nothing that could end a host in a URL or a line of a protocol. An IPv6 address may have its brackets, and a zone. */
const HOST = /^(\[[\w.:%-]+\]|[^\s\p{Cc}/?#@[\]\\<>"]+)$/u;

const OPTIONS: Table<DialOptions> = {
  hostname: custom(
    "a host name or an IP address",
    (value) => typeof value === "string" && HOST.test(value),
    (value: string) => value.replace(/^\[|\]$/g, ""),
  ),
  port: whole(1, 65_535),
  signal,
};

/**
 * Reads where to dial. The signal may be aborted already: then this throws its reason.
 *
 * @throws TlsError "invalid-argument"
 */
export function readDestination(to: DialOptions): DialOptions {
  const read = readOptions(to, OPTIONS, "a dialer");
  for (const name of ["hostname", "port"] as const) {
    if (read[name] === undefined) throw new TlsError("invalid-argument", `A dialer needs ${name}`);
  }
  read.signal?.throwIfAborted();
  return read;
}

/** "example.org:443", "[2001:db8::1]:443" */
export function format({ hostname, port }: SocketAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** The error of a dialer that got nowhere. */
export function noConnection(to: SocketAddress, cause: unknown): TlsError {
  return new TlsError("transport", `No connection to ${format(to)}: ${reasonOf(cause)}`, { cause });
}

/** If a name has several addresses, Node.js's error has no message, and the errors are inside. */
function reasonOf(error: unknown): string {
  const { message, errors, name } = Object(error) as { message?: string; errors?: unknown[]; name?: string };
  return message || errors?.map(reasonOf).join(", ") || name || String(error);
}

/**
 * Settles as `work` does, unless the signal is aborted first: then it rejects with the reason. What `work` comes to
 * after that goes to `discard`.
 */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  work: Promise<T>,
  discard: (late: T) => unknown,
): Promise<T> {
  if (!signal) return work;
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
  });
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([aborted, work]);
  } catch (error) {
    if (signal.aborted) work.then(discard).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
