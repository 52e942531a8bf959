import type { DirectionSeen, RecordSeen } from "../protocol.js";

const recordsKept = 40;
const recordHeadKept = 48;
const startKept = 16 * 1024;

/**
 * What an observer can read off one direction of a TLS connection without any key: where the records begin, their
 * types and their lengths. It keeps the first bytes as they were, so that anybody may look for cleartext in them.
 */
export class RecordLog {
  #bytes = 0;
  #recordCount = 0;
  #tls: boolean | undefined;
  readonly #records: { type: number; length: number; at: number; head: Buffer }[] = [];
  readonly #start: Buffer[] = [];
  #startLength = 0;
  /** The header (or the part of it that has come) of the record being received. */
  #header = Buffer.alloc(0);
  /** Bytes of the current record's body which are still to come. */
  #bodyLeft = 0;

  add(chunk: Buffer, at: number): void {
    this.#keepStart(chunk);
    this.#bytes += chunk.length;
    let rest = chunk;
    while (rest.length > 0 && this.#tls !== false)
      rest = this.#bodyLeft > 0 ? this.#takeBody(rest) : this.#takeHeader(rest, at);
  }

  snapshot(): DirectionSeen {
    const records = this.#records.map(
      ({ type, length, at, head }): RecordSeen => ({ type, length, at, head: head.toString("hex") }),
    );
    return {
      bytes: this.#bytes,
      tls: this.#tls,
      recordCount: this.#recordCount,
      records,
      start: Buffer.concat(this.#start).subarray(0, 2048).toString("hex"),
    };
  }

  /** Everything kept of the first bytes; a snapshot carries less of it. */
  get start(): Buffer {
    return Buffer.concat(this.#start);
  }

  #keepStart(chunk: Buffer): void {
    const room = startKept - this.#startLength;
    if (room <= 0) return;
    const part = Buffer.from(chunk.subarray(0, room));
    this.#start.push(part);
    this.#startLength += part.length;
  }

  #takeHeader(bytes: Buffer, at: number): Buffer {
    const wanted = 5 - this.#header.length;
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, wanted)]);
    const type = this.#header[0] ?? 0;
    // Change cipher spec, alert, handshake, application data; heartbeat never became common.
    if (type < 20 || type > 23 || (this.#header.length > 1 && this.#header[1] !== 3)) {
      this.#tls = false;
      return bytes.subarray(bytes.length);
    }
    if (this.#header.length === 5) {
      this.#tls = true;
      this.#bodyLeft = this.#header.readUInt16BE(3);
      this.#recordCount++;
      if (this.#records.length < recordsKept)
        this.#records.push({ type, length: this.#bodyLeft, at: Math.round(at), head: this.#header });
      this.#header = Buffer.alloc(0);
    }
    return bytes.subarray(wanted);
  }

  #takeBody(bytes: Buffer): Buffer {
    const part = bytes.subarray(0, this.#bodyLeft);
    const last = this.#records.at(-1);
    if (last !== undefined && this.#records.length === this.#recordCount) {
      const room = recordHeadKept - last.head.length;
      if (room > 0) last.head = Buffer.concat([last.head, part.subarray(0, room)]);
    }
    this.#bodyLeft -= part.length;
    return bytes.subarray(part.length);
  }
}
