/**
 * Options: what each may be, and how an object of them is read. A table stands next to each interface of options. Its
 * type names all of them, so that a new option does not compile until the table has it.
 *
 * What is read is a copy that other code cannot change afterwards, so that what was checked, what was set and what
 * sessions are kept by are the same. It inherits from nothing: what other code has put into Object.prototype is not an
 * option of this call.
 */
import { TlsError } from "./errors.js";

/** What an option may be. */
export interface Kind {
  /** In words, behind "must be". */
  readonly what: string;
  /** A text that is wrong is no secret, and may be shown. */
  readonly shows?: boolean;
  /**
   * The value, or a copy if other code could change it; {@link NO} if the value is of another kind. It throws if
   * something within is wrong: `name` is the option's name.
   */
  read(value: unknown, name: string): unknown;
}

/** The kind of each option of `T`. */
export type Table<T> = { readonly [Name in keyof T]-?: Kind };

const NO: unique symbol = Symbol("of another kind");

function kind(what: string, fits: (value: never) => boolean, copy = (value: never): unknown => value): Kind {
  return { what, read: (value) => (fits(value as never) ? copy(value as never) : NO) };
}

export const flag = kind("true or false", (value: unknown) => typeof value === "boolean");
export const text = kind("a text", (value: unknown) => typeof value === "string");
export const callback = kind("a function", (value: unknown) => typeof value === "function");
/** No `Infinity` here: what is counted is in memory. */
export const byteCount = kind(
  "a number of bytes, 0 or more",
  (value: unknown) => typeof value === "number" && value >= 0,
);
export const duration = kind(
  "a number of milliseconds, 0 or more",
  (value: unknown) => typeof value === "number" && value >= 0,
);
export const longerThan0 = kind(
  "a number of milliseconds, more than 0",
  (value: unknown) => typeof value === "number" && value > 0,
);
/** A brand check: a Date of another realm is one too. */
export const date = kind(
  "a valid Date",
  (value: unknown) => !Number.isNaN(timeOf(value)),
  (value: unknown) => new Date(timeOf(value)),
);
/** By the part of it that is used: one of another realm will do too. */
export const signal = like("an AbortSignal", "addEventListener", "throwIfAborted");

/** "Uint8Array", "ArrayBuffer", "Response": what the engine, or the standard, calls its kind in any realm. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** What it says of itself, if it is an error or the like. */
export function messageOf(error: unknown): string {
  const { message } = (error ?? {}) as { message?: unknown };
  return typeof message === "string" ? message : String(error);
}

/** Of a Date, in milliseconds since 1970; NaN of anything else. */
export function timeOf(value: unknown): number {
  try {
    return Date.prototype.getTime.call(value);
  } catch {
    return Number.NaN;
  }
}

export function whole(least: number, most: number, unit = ""): Kind {
  const bound =
    most > 2 ** 20 && Number.isInteger(Math.log2(most + 1)) ? `2^${Math.log2(most + 1)} - 1` : most;
  return kind(
    `a whole number, ${least} to ${bound}${unit}`,
    (value: unknown) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  );
}

export function oneOf(...names: readonly string[]): Kind {
  const what = names.map((name) => JSON.stringify(name)).join(" or ");
  return { ...kind(what, (value: unknown) => names.includes(value as string)), shows: true };
}

export function is(value: unknown): Kind {
  return kind(String(value), (given: unknown) => given === value);
}

/** A text of so many bytes in UTF-8. */
export function textOf(least: number, most: number): Kind {
  return kind(`a text of ${least} to ${most} bytes`, (value: unknown) => {
    if (typeof value !== "string") return false;
    const { length } = new TextEncoder().encode(value);
    return length >= least && length <= most;
  });
}

export function bytes(least = 0, most = Infinity): Kind {
  const size =
    most < Infinity
      ? ` of ${least === most ? most : `${least} to ${most}`} bytes`
      : least > 0
        ? " with something in it"
        : "";
  return kind(
    `a Uint8Array${size}`,
    (value: unknown) => isBytes(value) && value.length >= least && value.length <= most,
    // A detached buffer has no bytes, and cannot be copied.
    (value: Uint8Array) => (value.length === 0 ? new Uint8Array(0) : new Uint8Array(value)),
  );
}

/** An object that has these methods, its own or its class's. */
export function like(what: string, ...methods: readonly string[]): Kind {
  return kind(
    what,
    (value: unknown) =>
      typeof value === "object" &&
      value !== null &&
      methods.every((name) => typeof (value as Record<string, unknown>)[name] === "function"),
  );
}

/** Whatever `fits`, as it is or as `copy` makes it. */
export function custom(
  what: string,
  fits: (value: unknown) => boolean,
  copy?: (value: never) => unknown,
): Kind {
  return kind(what, fits, copy);
}

export function listOf(each: Kind, least = 0, most = Infinity): Kind {
  const count = most < Infinity ? `, ${least} to ${most} of them` : least > 0 ? `, ${least} at least` : "";
  return {
    what: `a list, each ${each.what}${count}`,
    read(value, name) {
      if (!Array.isArray(value) || value.length < least || value.length > most) return NO;
      // By number: the iterator of a list may be the caller's code.
      return Array.from({ length: value.length }, (_, i) => readOption(each, value[i], `${name}[${i}]`));
    },
  };
}

export function either(...kinds: readonly Kind[]): Kind {
  return {
    what: kinds.map(({ what }) => what).join(", or "),
    read(value, name) {
      for (const each of kinds) {
        const found = each.read(value, name);
        if (found !== NO) return found;
      }
      return NO;
    },
  };
}

/** An object of options within the options, of which some have to be there. */
export function group<T extends object>(table: Table<T>, required: readonly (keyof T & string)[] = []): Kind {
  return {
    what: `an object with ${Object.keys(table).join(", ")}`,
    read(value, name) {
      if (!isObject(value)) return NO;
      const found = readNames(value, table, name, `${name}.`);
      const missing = required.find((each) => !Object.hasOwn(found, each));
      if (missing !== undefined) throw new TlsError("invalid-argument", `${name}.${missing} is missing`);
      return found;
    },
  };
}

/**
 * Reads the options of `of`, which is their name in messages. Each is read once, also if it is inherited, but not from
 * an Object.prototype. What is undefined is left out. An option that `table` does not have is refused; but a class's
 * instance may have more, which is its own affair.
 *
 * @param others where else the name of an option is known, for the message
 * @throws TlsError "invalid-argument"
 */
export function readOptions<T extends object>(
  given: T | undefined,
  table: Table<T>,
  of: string,
  others: Readonly<Record<string, object>> = {},
): T {
  if (!isObject(given)) throw refused(`the options of ${of}`, "an object", shown(given));
  return readNames(given, table, of, "", others) as T;
}

function readNames(
  given: object,
  table: Readonly<Record<string, Kind>>,
  of: string,
  path: string,
  others: Readonly<Record<string, object>> = {},
): object {
  const own: Record<string, unknown> = Object.create(null);
  for (const name of Object.keys(table)) {
    if (name in given && !holds(given, name)) continue;
    const value = (given as Record<string, unknown>)[name];
    if (value !== undefined) own[name] = readOption(table[name]!, value, path + name);
  }
  if (isPlain(given)) {
    for (const name in given) {
      if (Object.hasOwn(table, name) || !holds(given, name)) continue;
      if ((given as Record<string, unknown>)[name] !== undefined) throw unknown(name, table, of, others);
    }
  }
  return own;
}

/** The value as that option, or why not. */
export function readOption(kind: Kind, value: unknown, name: string): unknown {
  const found = kind.read(value, name);
  if (found !== NO) return found;
  const given = kind.shows && typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : shown(value);
  throw refused(name, kind.what, given);
}

function refused(name: string, what: string, given: string): TlsError {
  return new TlsError("invalid-argument", `${name} must be ${what}, not ${given}`);
}

/** A text may be a secret, and the text of an object comes from the caller's code. */
function shown(value: unknown): string {
  if (typeof value === "string")
    return value === "" ? "an empty text" : `a text of ${value.length} characters`;
  if (typeof value === "function") return "a function";
  if (isBytes(value)) return `${value.length} bytes`;
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  return typeof value === "object" && value !== null ? "such an object" : String(value);
}

/** What could have options, and is not something else that was given by mistake. */
function isObject(value: unknown): value is object {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value) &&
    !["ArrayBuffer", "Date", "Map", "Promise", "Set"].includes(tagOf(value))
  );
}

/** Whether it has that, or its class. */
export function holds(given: object, name: string): boolean {
  for (let at: object | null = given; at !== null && !isRoot(at); at = Object.getPrototypeOf(at)) {
    if (Object.hasOwn(at, name)) return true;
  }
  return false;
}

/** Object.prototype, this realm's or another one's. */
function isRoot(value: object): boolean {
  return Object.getPrototypeOf(value) === null && Object.hasOwn(value, "isPrototypeOf");
}

/** No class has made it: it inherits from other plain objects at most. */
function isPlain(value: object): boolean {
  for (let at: object | null = value; at !== null && !isRoot(at); at = Object.getPrototypeOf(at)) {
    if (at !== value && Object.hasOwn(at, "constructor")) return false;
  }
  return true;
}

// ---- names that are no option

/** What node:tls, and Deno of old, call what we have. Of several the first that is known there counts. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  ALPNProtocols: ["alpnProtocols"],
  ALPNCallback: ["selectContext"],
  SNICallback: ["selectContext"],
  allowPartialTrustChain: ["verifyOptions", "partialChain"],
  ca: ["caCerts", "roots"],
  caCerts: ["roots"],
  cert: ["leaf"],
  certChain: ["cert"],
  checkServerIdentity: ["verify"],
  crl: ["crls", "verifyOptions"],
  ecdhCurve: ["groups"],
  enableTrace: ["trace"],
  host: ["hostname"],
  minDHSize: ["groups"],
  pfx: ["pkcs12"],
  privateKey: ["key"],
  pskCallback: ["psk"],
  rejectUnauthorized: ["unsafelyDisableVerification", "clientAuth"],
  requestCert: ["clientAuth"],
  requestOCSP: ["ocsp"],
  secureContext: ["context"],
  secureProtocol: ["minVersion"],
  servername: ["serverName", "hostname"],
  sigalgs: ["signatureAlgorithms"],
};

function unknown(
  name: string,
  table: object,
  of: string,
  others: Readonly<Record<string, object>>,
): TlsError {
  const known = (each: string) => Object.hasOwn(table, each);
  const alias = Object.hasOwn(ELSEWHERE, name) ? ELSEWHERE[name]!.find(known) : undefined;
  const other = Object.keys(others).find((each) => Object.hasOwn(others[each]!, name));
  const near = alias ?? (other === undefined ? nearest(name, Object.keys(table)) : undefined);
  const hint =
    near !== undefined ? `: did you mean ${near}?` : other !== undefined ? `, but of ${other}` : "";
  // A text that may come from elsewhere (a page's query, for example) is shown no longer than a name is.
  return new TlsError("invalid-argument", `${name.slice(0, 60)} is no option of ${of}${hint}`);
}

/** A third of the letters may differ, or one is the beginning of the other. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const small = name.slice(0, 60).toLowerCase();
  const begins = (a: string, b: string) => a.length >= 3 && b.startsWith(a);
  let best: string | undefined;
  let least = small.length / 3 + 0.01;
  for (const each of known) {
    const other = each.toLowerCase();
    const far = begins(small, other) || begins(other, small) ? 1 : distance(small, other);
    if (far < least) [best, least] = [each, far];
  }
  return best;
}

/** How many letters are wrong, missing, too many, or in the place of their neighbour. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const [row, above] = [[i], rows[i - 1]!];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let far = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + Number(!same));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        far = Math.min(far, rows[i - 2]![j - 2]! + 1);
      }
      row.push(far);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

// ---- of any realm

/** Whether `value` is a Uint8Array, of any realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && (value as Uint8Array)[Symbol.toStringTag] === "Uint8Array";
}
