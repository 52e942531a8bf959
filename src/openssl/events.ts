/**
 * What happened on a connection, as OpenSSL's callbacks reported it, fetched after the call. See abi.h for the bytes.
 */
import {
  WASSL_EVENT_ALERT,
  WASSL_EVENT_CONTENT,
  WASSL_EVENT_HANDSHAKE,
  WASSL_EVENT_KEYLOG,
  WASSL_EVENT_LOST,
  WASSL_EVENT_RECORD,
  WASSL_EVENT_SESSION,
} from "../binding/abi.js";
import type { Alert } from "../errors.js";
import { alertName } from "./alerts.js";

/** `sent` by this side, or `received`. */
export type Direction = Alert["direction"];

/** A record went over the connection (RFC 8446 §5.1). */
export interface RecordEvent {
  readonly type: "record";
  readonly direction: Direction;
  /** As it stands in the header: in TLS 1.3 "application_data" for everything that is encrypted. */
  readonly contentType: string;
  /** As it stands in the header, for example 0x0303. */
  readonly version: number;
  /** Bytes behind the header. */
  readonly length: number;
}

/** What a TLS 1.3 record held when it was decrypted, or before it was encrypted: the record of the event before. */
export interface ContentEvent {
  readonly type: "content";
  readonly direction: Direction;
  readonly contentType: string;
}

/** A whole handshake message (RFC 8446 §4). */
export interface HandshakeEvent {
  readonly type: "handshake";
  readonly direction: Direction;
  /** The name in the RFCs, for example "client_hello". */
  readonly message: string;
  /** Bytes behind its header of 4. */
  readonly length: number;
}

export type TraceEvent = RecordEvent | ContentEvent | HandshakeEvent;

export type SslEvent =
  | ({ readonly type: "alert" } & Alert)
  | TraceEvent
  /** A line for a key log file (NSS format, without the newline). Anybody who has it can read the connection. */
  | { readonly type: "keylog"; readonly line: string }
  /** `Ssl.takeSessions` has a new session. */
  | { readonly type: "new-session" }
  /** More happened than was kept: memory is short, or the events were not fetched for long. */
  | { readonly type: "lost" };

const CONTENT_TYPES: Readonly<Record<number, string>> = {
  20: "change_cipher_spec",
  21: "alert",
  22: "handshake",
  23: "application_data",
};

const MESSAGES: Readonly<Record<number, string>> = {
  0: "hello_request",
  1: "client_hello",
  2: "server_hello",
  3: "hello_verify_request",
  4: "new_session_ticket",
  5: "end_of_early_data",
  8: "encrypted_extensions",
  11: "certificate",
  12: "server_key_exchange",
  13: "certificate_request",
  14: "server_hello_done",
  15: "certificate_verify",
  16: "client_key_exchange",
  20: "finished",
  22: "certificate_status",
  24: "key_update",
  25: "compressed_certificate",
};

const contentType = (code: number) => CONTENT_TYPES[code] ?? `content_${code}`;

/** The events of one block from `wassl_SSL_take_events`. */
export function parseEvents(block: Uint8Array): SslEvent[] {
  const bytes = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const events: SslEvent[] = [];
  for (let at = 0; at + 4 <= block.length; ) {
    const head = bytes.getUint32(at, true);
    const length = head >>> 16;
    const event = parse(head & 0xff, (head >>> 8) & 1 ? "sent" : "received", bytes, at + 4, length);
    if (event) events.push(event);
    at += 4 + ((length + 3) & ~3);
  }
  return events;
}

function parse(
  kind: number,
  direction: Direction,
  bytes: DataView,
  at: number,
  length: number,
): SslEvent | undefined {
  const byte = (offset: number) => bytes.getUint8(at + offset);
  switch (kind) {
    case WASSL_EVENT_LOST:
      return { type: "lost" };
    case WASSL_EVENT_ALERT: {
      const level = byte(0) === 2 ? "fatal" : "warning";
      return { type: "alert", direction, level, description: alertName(byte(1)), code: byte(1) };
    }
    case WASSL_EVENT_KEYLOG: {
      const text = new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
      return { type: "keylog", line: new TextDecoder().decode(text) };
    }
    case WASSL_EVENT_RECORD: {
      const [version, size] = [bytes.getUint16(at + 1), bytes.getUint16(at + 3)];
      return { type: "record", direction, contentType: contentType(byte(0)), version, length: size };
    }
    case WASSL_EVENT_CONTENT:
      return { type: "content", direction, contentType: contentType(byte(0)) };
    case WASSL_EVENT_HANDSHAKE: {
      const size = bytes.getUint32(at) & 0xff_ffff;
      return {
        type: "handshake",
        direction,
        message: MESSAGES[byte(0)] ?? `message_${byte(0)}`,
        length: size,
      };
    }
    case WASSL_EVENT_SESSION:
      return { type: "new-session" };
    default:
      return undefined;
  }
}
