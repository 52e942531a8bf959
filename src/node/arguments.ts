/** What functions of `node:crypto` say of their arguments, by Node.js' codes. */
import { Buffer } from "node:buffer";
import { TlsError } from "wassl";

/** An error with a code. */
export function argumentError<T extends Error>(
  Type: new (message: string) => T,
  code: string,
  message: string,
): T & { code: string } {
  return Object.assign(new Type(message), { code });
}

/** What OpenSSL said, with a code as Node.js makes them of OpenSSL's words. */
export function opensslError(error: unknown): unknown {
  const [first] = error instanceof TlsError ? error.errors : [];
  if (!first) return error;
  const words = (text: string) => text.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_");
  const { library, reason, text } = first;
  // As Node.js calls them.
  const short: Record<string, string> = {
    "digital envelope routines": "EVP",
    "asn1 encoding routines": "ASN1",
    "DECODER routines": "",
  };
  const room = short[library] ?? words(library.replace(/ routines$/, ""));
  const code = ["ERR_OSSL", ...(room ? [room] : []), words(reason)].join("_");
  return Object.assign(new Error(text, { cause: error }), { code, library, reason });
}

export function wrongType(name: string, expected: string, received: unknown): Error {
  const message = `The "${name}" argument must be ${expected}. Received ${told(received)}`;
  return argumentError(TypeError, "ERR_INVALID_ARG_TYPE", message);
}

function told(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === "function") return `function ${value.name}`;
  if (typeof value === "object") {
    const { name } = (value as { constructor?: { name?: string } }).constructor ?? {};
    return name ? `an instance of ${name}` : "an object";
  }
  return `type ${typeof value} (${typeof value === "string" ? `'${value}'` : String(value)})`;
}

export function outOfRange(name: string, range: string, received: unknown): Error {
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${String(received)}`;
  return argumentError(RangeError, "ERR_OUT_OF_RANGE", message);
}

export function requireString(value: unknown, name: string): asserts value is string {
  if (typeof value !== "string") throw wrongType(name, "of type string", value);
}

/** A whole number of that range. */
export function requireInteger(
  value: unknown,
  name: string,
  least: number,
  most: number,
): asserts value is number {
  if (typeof value !== "number") throw wrongType(name, "of type number", value);
  if (!Number.isInteger(value)) throw outOfRange(name, "an integer", value);
  if (value < least || value > most) throw outOfRange(name, `>= ${least} && <= ${most}`, value);
}

export function requireFunction(value: unknown, name: string): void {
  if (typeof value !== "function") throw wrongType(name, "of type function", value);
}

const isView = (value: unknown): value is ArrayBufferView => ArrayBuffer.isView(value);
/** Of any realm; a `SharedArrayBuffer` too. */
const isBuffer = (value: unknown): value is ArrayBuffer =>
  /^\[object (Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(value));

/** The memory of a view or a buffer. */
export function memoryOf(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (isView(value)) return new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
  return isBuffer(value) ? new Uint8Array(value) : undefined;
}

/** The bytes of a string, a view, or a buffer. */
export function bytesOf(value: unknown, name: string, encoding?: string): Uint8Array {
  if (typeof value === "string")
    return Buffer.from(
      value,
      encoding === undefined || encoding === "buffer" ? "utf8" : (encoding as "utf8"),
    );
  const bytes = memoryOf(value);
  if (bytes) return bytes;
  const expected = "of type string or an instance of ArrayBuffer, Buffer, TypedArray, or DataView";
  throw wrongType(name, expected, value);
}
