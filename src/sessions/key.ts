import { tagOf } from "../check.js";

/**
 * The key under which sessions are kept: a hash over everything that must match. So a connection never finds a session
 * of another connection that means another peer, trusts other anchors, or has another identity itself. `functions` says
 * which functions count as the same.
 */
export function sessionKey(
  sha256: (bytes: Uint8Array) => Uint8Array,
  parts: unknown,
  functions: (value: object) => string = whichFunction,
): string {
  const text = JSON.stringify(canonical({ sha256, functions }, parts));
  return hex(sha256(new TextEncoder().encode(text)));
}

/** What a function does cannot be compared: each function equals itself alone, in this program alone. */
export function whichFunction(value: object): string {
  let name = known.get(value);
  if (name === undefined) {
    program ??= hex(crypto.getRandomValues(new Uint8Array(16)));
    name = `function ${program} ${++count}`;
    known.set(value, name);
  }
  return name;
}

/** For an option that is asked again whatever it is. */
export function anyFunction(): string {
  return "function";
}

const known = new WeakMap<object, string>();
let program: string | undefined;
let count = 0;

interface Means {
  sha256(bytes: Uint8Array): Uint8Array;
  functions(value: object): string;
}

/** The same text for what means the same, whatever the order of names; secrets and large texts as hashes. */
function canonical(means: Means, value: unknown): unknown {
  const { sha256, functions } = means;
  if (typeof value === "string") return value.length <= 64 ? `"${value}` : hashOfText(sha256, value);
  if (typeof value === "bigint") return `bigint ${value}`;
  if (typeof value === "function") return functions(value);
  if (typeof value !== "object" || value === null) return value;
  if (tagOf(value) === "Date") return `date ${(value as Date).getTime()}`;
  if (ArrayBuffer.isView(value)) {
    return `sha256 ${hex(sha256(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)))}`;
  }
  if (Array.isArray(value)) return value.map((each) => canonical(means, each) ?? null);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return ["object", ...entries.map(([name, each]) => [name, canonical(means, each)])];
}

/** Hashes of the last few large texts: a program has one set of trust anchors, and many connections. */
const large = new Map<string, string>();

function hashOfText(sha256: (bytes: Uint8Array) => Uint8Array, text: string): string {
  const before = large.get(text);
  if (before !== undefined) return before;
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
