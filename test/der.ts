/** Writes DER (X.690), in any runtime: the encodings that all who make certificates and parts of them share. */

export type Bytes = Uint8Array<ArrayBuffer>;

export function join(...parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const utf8 = (text: string): Bytes => new TextEncoder().encode(text);

/** In base 256, most significant first; of 0 there are none. */
export function octetsOf(n: number): number[] {
  const octets: number[] = [];
  for (let left = n; left > 0; left = Math.floor(left / 256)) octets.unshift(left % 256);
  return octets;
}

/** The shortest form. */
export function lengthOf(n: number): Bytes {
  const octets = octetsOf(n);
  return Uint8Array.from(n < 0x80 ? [n] : [0x80 | octets.length, ...octets]);
}

export function tlv(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = join(...parts);
  return join(Uint8Array.of(tag), lengthOf(content.length), content);
}

/** What is in an INTEGER that is not negative; bytes are big-endian. */
export function integerContent(value: number | bigint | Uint8Array): Bytes {
  let bytes: Uint8Array;
  if (value instanceof Uint8Array) bytes = value;
  else {
    const hex = value.toString(16);
    const pairs = (hex.length % 2 ? `0${hex}` : hex).match(/../g)!;
    bytes = Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
  }
  const first = bytes.findIndex((byte) => byte !== 0);
  bytes = bytes.subarray(first < 0 ? bytes.length - 1 : first);
  return bytes[0]! < 0x80 ? join(bytes) : join(Uint8Array.of(0), bytes);
}

/** What is in an OBJECT IDENTIFIER. */
export function oidContent(dotted: string): Bytes {
  const [first = 0, second = 0, ...arcs] = dotted.split(".").map(Number);
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...arcs]) {
    const group = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      group.unshift(128 | (left % 128));
    octets.push(...group);
  }
  return Uint8Array.from(octets);
}

export const sequence = (...parts: readonly Uint8Array[]): Bytes => tlv(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]): Bytes => tlv(0x31, ...parts);
export const octets = (...parts: readonly Uint8Array[]): Bytes => tlv(0x04, ...parts);
export const bits = (...parts: readonly Uint8Array[]): Bytes => tlv(0x03, Uint8Array.of(0), ...parts);
export const utf8String = (value: string): Bytes => tlv(0x0c, utf8(value));
export const integer = (value: number | bigint | Uint8Array): Bytes => tlv(0x02, integerContent(value));
export const oid = (dotted: string): Bytes => tlv(0x06, oidContent(dotted));
export const NULL = tlv(0x05);
export const TRUE = tlv(0x01, Uint8Array.of(255));
export const generalizedTime = (date: Date): Bytes =>
  tlv(0x18, utf8(`${date.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`));

export const rdn = (type: string, value: string): Bytes => set(sequence(oid(type), utf8String(value)));
/** A Name of one common name. */
export const commonName = (value: string): Bytes => sequence(rdn("2.5.4.3", value));
/** A GeneralName. */
export const dnsName = (name: string): Bytes => tlv(0x82, utf8(name));
export const extension = (id: string, value: Uint8Array, critical = false): Bytes =>
  sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));
export const subjectAltNames = (...names: readonly Uint8Array[]): Bytes =>
  extension("2.5.29.17", sequence(...names));
export const basicConstraints = (ca: boolean): Bytes =>
  extension("2.5.29.19", ca ? sequence(TRUE) : sequence(), true);

export function pem(der: Uint8Array, what = "CERTIFICATE"): string {
  let binary = "";
  for (const byte of der) binary += String.fromCharCode(byte);
  return `-----BEGIN ${what}-----\n${btoa(binary).replace(/.{1,64}/g, "$&\n")}-----END ${what}-----\n`;
}
