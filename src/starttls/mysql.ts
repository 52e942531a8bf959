/** The two packets of MySQL that pass before TLS ("Protocol::HandshakeV10", "Protocol::SSLRequest"). */
import { type Clear, latin1 } from "./clear.js";

const CLIENT_PROTOCOL_41 = 0x200;
const CLIENT_SSL = 0x800;
const CLIENT_SECURE_CONNECTION = 0x8000;
const CLIENT_PLUGIN_AUTH = 0x80000;
const CAPABILITIES = CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION;
const UTF8MB4 = 45;
/** The longest packet, in bytes. */
const MAX_PACKET = 1 << 24;
const REQUEST_LENGTH = 32;

/** The server's greeting, header and all. */
export async function readGreeting(clear: Clear): Promise<Uint8Array<ArrayBuffer>> {
  const [low = 0, middle = 0, high = 0, number] = await clear.take(4);
  if (number !== 0) throw clear.malformed("its first packet is not number 0");
  const greeting = await clear.take(low | (middle << 8) | (high << 16));
  const [version] = greeting;
  // An error: its number, and then a text.
  if (version === 255) {
    const text = latin1(greeting.subarray(3));
    throw clear.refused(`it answered ${text.slice(0, 200)}`, text);
  }
  if (version !== 10) throw clear.malformed(`its greeting is of protocol ${version}, not 10`);
  const endOfName = greeting.indexOf(0, 1);
  // 4 bytes of thread id, 8 of authentication data, a filler; then what it is capable of.
  const at = endOfName + 1 + 4 + 8 + 1;
  if (endOfName < 0 || at + 2 > greeting.length) throw clear.malformed("its greeting is cut short");
  const capabilities = greeting[at]! | (greeting[at + 1]! << 8);
  if ((capabilities & CLIENT_SSL) === 0) throw clear.refused("it has no TLS", "");
  return clear.heard();
}

export function sslRequest(): Uint8Array {
  const request = new DataView(new ArrayBuffer(4 + REQUEST_LENGTH));
  request.setUint32(0, REQUEST_LENGTH | (1 << 24), true);
  request.setUint32(4, CAPABILITIES, true);
  request.setUint32(8, MAX_PACKET, true);
  request.setUint8(12, UTF8MB4);
  return new Uint8Array(request.buffer);
}

/** A greeting, with authentication data that cannot be foreseen. */
export function newGreeting(): Uint8Array<ArrayBuffer> {
  // 20 printable characters: a NUL would end them. A few of 93 are a little likelier than others.
  const data = crypto.getRandomValues(new Uint8Array(20)).map((byte) => 33 + (byte % 93));
  const ascii = (text: string) => new TextEncoder().encode(`${text}\0`);
  const capabilities = CAPABILITIES | CLIENT_PLUGIN_AUTH;
  const payload = [10, ...ascii("8.0.0-wassl"), 1, 0, 0, 0, ...data.subarray(0, 8), 0];
  payload.push(capabilities & 255, (capabilities >> 8) & 255, UTF8MB4, 2, 0);
  payload.push(
    (capabilities >> 16) & 255,
    capabilities >> 24,
    data.length + 1,
    ...new Array<number>(10).fill(0),
  );
  payload.push(...data.subarray(8), 0, ...ascii("mysql_native_password"));
  return Uint8Array.of(payload.length, 0, 0, 0, ...payload);
}

/** Waits for the request for TLS. There is no consent to it: what follows is TLS. */
export async function readSslRequest(clear: Clear): Promise<void> {
  const [low, middle, high, number] = await clear.take(4);
  if (low !== REQUEST_LENGTH || middle !== 0 || high !== 0 || number !== 1) {
    throw clear.refused("its first packet is another one", "");
  }
  const [, capabilities = 0] = await clear.take(REQUEST_LENGTH);
  if (((capabilities << 8) & CLIENT_SSL) === 0) throw clear.refused("its packet has not CLIENT_SSL", "");
}
