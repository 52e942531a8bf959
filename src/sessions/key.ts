/**
 * The key under which sessions are kept: a hash over all that must match, so that a session of one connection is never found
 * by another that has another peer in mind, believes others, or is somebody else itself.
 */
export function sessionKey(sha256: (bytes: Uint8Array) => Uint8Array, parts: unknown): string {
  const text = JSON.stringify(canonical(sha256, parts));
  return hex(sha256(new TextEncoder().encode(text)));
}

/** The same for what means the same, whatever the order of names; secrets and large texts as hashes. */
function canonical(sha256: (bytes: Uint8Array) => Uint8Array, value: unknown): unknown {
  if (typeof value === "string") return value.length <= 64 ? `"${value}` : hashOfText(sha256, value);
  if (typeof value === "bigint") return `bigint ${value}`;
  // What a function does cannot be compared. That there is one can.
  if (typeof value === "function") return "function";
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return `date ${value.getTime()}`;
  if (ArrayBuffer.isView(value)) {
    return `sha256 ${hex(sha256(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)))}`;
  }
  if (Array.isArray(value)) return value.map((each) => canonical(sha256, each) ?? null);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return ["object", ...entries.map(([name, each]) => [name, canonical(sha256, each)])];
}

/** Hashes of the last few large texts: a program has one set of trust anchors, and many connections. */
const large = new Map<string, string>();

function hashOfText(sha256: (bytes: Uint8Array) => Uint8Array, text: string): string {
  const known = large.get(text);
  if (known !== undefined) return known;
  const hash = `sha256 ${hex(sha256(encoder.encode(text)))}`;
  if (text.length >= 10_000) {
    if (large.size === 4) large.delete(large.keys().next().value!);
    large.set(text, hash);
  }
  return hash;
}

const encoder = new TextEncoder();

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
