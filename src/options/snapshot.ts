/**
 * Options as they are at one moment: copies that nobody else can change afterwards, so that what was checked, what was set and
 * what sessions are kept by are the same. They inherit from nobody: what somebody else has put into Object.prototype is no option
 * of this call.
 */
import { isBytes } from "../openssl/library.js";
import { X509 } from "../openssl/x509.js";

/** The names of what an object has, or that it is no object of options. */
export type Fields = Readonly<Record<string, unknown>>;

/** Each of `fields` is read once, also where it is inherited, but not from Object.prototype; what is undefined is left out. */
export function snapshot(
  options: object,
  fields: Fields,
  nested: Readonly<Record<string, Fields>> = {},
): object {
  const own: Record<string, unknown> = Object.create(null);
  for (const name of Object.keys(fields)) {
    if (name in Object.prototype && !holds(options, name)) continue;
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined) own[name] = copyOf(value, nested[name]);
  }
  return own;
}

/** Whether it has that, or its class. */
export function holds(options: object, name: string): boolean {
  for (let at = options; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    if (Object.hasOwn(at, name)) return true;
  }
  return false;
}

/** Bytes, dates, lists, certificates, and objects that have `fields`. All else cannot change, or is a CryptoKey or no option. */
function copyOf(value: unknown, fields: Fields | undefined): unknown {
  if (typeof value !== "object" || value === null) return value;
  // One that was detached has none, and cannot be copied.
  if (isBytes(value)) return value.length === 0 ? new Uint8Array(0) : new Uint8Array(value);
  if (Array.isArray(value)) return Array.from(value, (each) => copyOf(each, fields));
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof X509) return new Uint8Array(value.der);
  return fields === undefined ? value : snapshot(value, fields);
}
