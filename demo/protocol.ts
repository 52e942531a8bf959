/** What the page and its server say to each other: types and numbers only, so that both sides can import it. */

/** An HTTPS server to try. */
export interface Target {
  readonly id: string;
  readonly name: string;
  /** The TLS stack that answers, in words. */
  readonly stack: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Which trust anchors its certificate chains up to. */
  readonly trust: TrustChoice;
}

/** A connection that goes wrong on purpose. */
export interface WhatIf extends Target {
  /** What this one teaches, shown while it is tried. */
  readonly lesson: string;
}

export type TrustChoice = "demo" | "mozilla" | "own" | "nobody";

/** `GET /demo.json`. */
export interface DemoSetup {
  readonly caPem: string;
  readonly targets: readonly Target[];
  readonly whatIfs: readonly WhatIf[];
}

/** One TLS record, as anybody on the wire sees it: five header bytes in the clear, then a body. */
export interface RecordSeen {
  /** RFC 8446 §5.1 ContentType. */
  readonly type: number;
  /** Length of the body in bytes, without the header. */
  readonly length: number;
  /** Milliseconds since the relay took the connection. */
  readonly at: number;
  /** The first bytes, header included, in hex. */
  readonly head: string;
}

/** One direction of a relayed connection. */
export interface DirectionSeen {
  readonly bytes: number;
  /** False once the bytes cannot be TLS records; undefined before the first byte. */
  readonly tls: boolean | undefined;
  readonly recordCount: number;
  /** The first of them; `recordCount` says how many there were. */
  readonly records: readonly RecordSeen[];
  /** The very first bytes in this direction, in hex. */
  readonly start: string;
}

/** `GET /relay/log?id=` and each message of `GET /relay/watch?id=`. */
export interface RelaySnapshot {
  readonly id: string;
  readonly target: string;
  readonly state: "waiting" | "connecting" | "open" | "ended";
  readonly up: DirectionSeen;
  readonly down: DirectionSeen;
  /** The close code and reason which the relay gave or got. */
  readonly end: { readonly code: number; readonly reason: string } | undefined;
}

/** WebSocket close codes of the relay (4000–4999 is the range for private use, RFC 6455 §7.4.2). */
export const RelayClose = {
  /** The request itself makes no sense. */
  badRequest: 4400,
  /** The target is not on the allow-list. */
  notAllowed: 4403,
  /** Nothing moved for a long time. */
  idle: 4408,
  /** Too many connections at once. */
  busy: 4429,
  /** The target could not be reached. */
  unreachable: 4502,
  /** The connection to the target broke off (a reset, not an orderly end). */
  broken: 4504,
} as const;
