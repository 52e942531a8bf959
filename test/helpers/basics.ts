/** Small things that most tests need. */
import { concat } from "../fakes/wrappers.ts";
import { env } from "./env.ts";

export { concat };

export const utf8 = (text: string) => new TextEncoder().encode(text);
export const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
export const sleep = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Everything up to the end. */
export async function readAll(readable: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  const reader = readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  reader.releaseLock();
  return concat(chunks);
}

/** At least `length` bytes, or all that there are; the stream can be read on. */
export async function readAtLeast(readable: ReadableStream<Uint8Array>, length: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const reader = readable.getReader();
  try {
    for (let got = 0; got < length; ) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      got += value.byteLength;
    }
  } finally {
    reader.releaseLock();
  }
  return concat(chunks);
}

/** Writes `bytes` in pieces of `size`, waiting for each. The stream stays open. */
export async function write(
  writable: WritableStream<Uint8Array>,
  bytes: Uint8Array,
  size = bytes.byteLength || 1,
): Promise<void> {
  const writer = writable.getWriter();
  try {
    for (let at = 0; at < bytes.byteLength; at += size) await writer.write(bytes.subarray(at, at + size));
  } finally {
    writer.releaseLock();
  }
}

/** Writes `bytes` and then closes. */
export async function writeAndClose(
  writable: WritableStream<Uint8Array>,
  bytes: Uint8Array,
  size?: number,
): Promise<void> {
  await write(writable, bytes, size);
  await writable.close();
}

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const PENDING = Symbol("pending");

/** What a promise came to within some time: a value, or PENDING. Its rejection is thrown. */
export function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | typeof PENDING> {
  return Promise.race([promise, sleep(milliseconds).then((): typeof PENDING => PENDING)]);
}

/** The error that a promise rejects with; that it resolves is an error too. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`a rejection was expected, but it resolved to ${String(value)}`);
}

/** The same for an error that is one of ours. */
export async function tlsError(promise: Promise<unknown>): Promise<Error & { code: string }> {
  const error = await rejection(promise);
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return error as Error & { code: string };
  }
  throw new Error(`a TlsError was expected, but it rejected with ${String(error)}`, { cause: error });
}

/** The name of a peer that is reached through this fault (see test/peers/fault.ts). */
export const viaFault = (fault: string, peer = "tls") => `fault?${fault}&peer=${encodeURIComponent(peer)}`;

/** What the peer logged, once something of it fits; all that there is after three seconds otherwise. */
export async function eventsOf(peer: string, pattern: RegExp): Promise<string[]> {
  const events: string[] = [];
  for (let i = 0; i < 150 && !events.some((event) => pattern.test(event)); i++) {
    events.push(...(await env.events(peer)));
    await sleep(20);
  }
  return events;
}
