/** The one operation of LDAP that matters before TLS (RFC 4511 §4.14), in BER (X.690). */
import { type Clear, latin1 } from "./clear.js";

const START_TLS = "1.3.6.1.4.1.1466.20037";

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const ENUMERATED = 0x0a;
const EXTENDED_REQUEST = 0x77;
const EXTENDED_RESPONSE = 0x78;
/** The field requestName. */
const NAME = 0x80;

interface Element {
  readonly tag: number | undefined;
  readonly content: Uint8Array;
  /** What follows it. */
  readonly rest: Uint8Array;
}

export function startTlsRequest(): Uint8Array {
  const oid = new TextEncoder().encode(START_TLS);
  const name = [NAME, oid.length, ...oid];
  return Uint8Array.of(SEQUENCE, 5 + name.length, INTEGER, 1, 1, EXTENDED_REQUEST, name.length, ...name);
}

/** The result code of the response to {@link startTlsRequest}: 0 is success. */
export async function readResult(clear: Clear): Promise<number> {
  const { id, operation } = await readMessage(clear);
  if (String([...id.content]) !== "1" || operation.tag !== EXTENDED_RESPONSE) {
    throw clear.malformed("that is no answer to the request for TLS");
  }
  const result = elementOf(operation.content);
  const [code, ...more] = result?.tag === ENUMERATED ? result.content : [];
  if (code === undefined || more.length > 0) throw clear.malformed("its answer has no result");
  return code;
}

/** Waits for the request for TLS. Returns the response that grants it. */
export async function readRequest(clear: Clear): Promise<Uint8Array> {
  const { id, operation } = await readMessage(clear);
  const name = operation.tag === EXTENDED_REQUEST ? elementOf(operation.content) : undefined;
  if (name?.tag !== NAME || latin1(name.content) !== START_TLS) {
    throw clear.refused("its first request is another one", "");
  }
  const success = [EXTENDED_RESPONSE, 7, ENUMERATED, 1, 0, 4, 0, 4, 0];
  const number = [INTEGER, id.content.length, ...id.content];
  return Uint8Array.of(SEQUENCE, number.length + success.length, ...number, ...success);
}

async function readMessage(clear: Clear): Promise<{ id: Element; operation: Element }> {
  const [tag, short = 0] = await clear.take(2);
  if (tag !== SEQUENCE) throw clear.malformed("that is no LDAP");
  let length = short;
  if (short > 127) {
    // Then it says how many bytes the length has.
    if (short < 0x81 || short > 0x84) throw clear.malformed("its message has no definite length");
    length = numberOf(await clear.take(short & 127));
  }
  const id = elementOf(await clear.take(length));
  const operation = id && elementOf(id.rest);
  if (!operation || id.tag !== INTEGER || id.content.length < 1 || id.content.length > 4) {
    throw clear.malformed("that is no message of LDAP's");
  }
  return { id, operation };
}

function elementOf(bytes: Uint8Array): Element | undefined {
  const [tag, short] = bytes;
  if (short === undefined || short === 128 || short > 0x84) return undefined;
  const from = short < 128 ? 2 : 2 + (short & 127);
  const to = from + (short < 128 ? short : numberOf(bytes.subarray(2, from)));
  if (to > bytes.length) return undefined;
  return { tag, content: bytes.subarray(from, to), rest: bytes.subarray(to) };
}

function numberOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}
