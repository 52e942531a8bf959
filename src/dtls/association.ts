/*
 * The pump's sibling for datagrams: one synchronous function, `#turn`, gives the handshake and the reader their chance,
 * and moves datagrams, until nothing moves. There is no backpressure below it, because a network drops what it does not
 * take: so `send` is called for each datagram at once, and whoever writes messages waits for what it returns.
 *
 * 1. A message is whole or not there: what is too long is refused before it is encrypted.
 * 2. One timer: OpenSSL's retransmission while the handshake needs it, otherwise the idle time.
 * 3. What anybody may have sent ends nothing. After the handshake OpenSSL drops what is not authentic. In it an alert is
 *    in the clear: it counts only if nothing better came until this side would have sent again.
 * 4. What has arrived is delivered before the end is told.
 */
import type { Question } from "../connection/events.js";
import { callbackError } from "../connection/failure.js";
import type { Listeners } from "../connection/listeners.js";
import { RecordEdges } from "../connection/record-edges.js";
import { crashProof, type Verdict } from "../connection/verdict.js";
import { TlsError } from "../errors.js";
import type { BioPairCore } from "../openssl/bio-pair-core.js";
import {
  getDataMtu,
  getTimeout,
  handleTimeout,
  setMtu,
  setTimeouts,
  takeDatagram,
  writeDatagram,
} from "../openssl/dtls.js";
import type { Library } from "../openssl/library.js";
import {
  FAILED,
  type SslCore,
  WANT_READ,
  WANT_SIGNATURE,
  WANT_VERIFY,
  WANT_WRITE,
} from "../openssl/ssl-core.js";
import { after } from "../timers.js";
import type { Retransmission } from "./options.js";

/** How an association ended: the peer said so, no datagram came for too long, this side closed it, or it failed. */
export type HowDtlsEnds = "peer" | "idle" | "closed" | "failed";

export interface DtlsEnd {
  readonly how: HowDtlsEnds;
  /** Why it failed. */
  readonly error: unknown;
}

/** What went over an association until now. Duplicates and forgeries are not told apart: both are only dropped. */
export interface DtlsStatistics {
  /** Messages. */
  readonly sent: number;
  /** Messages. */
  readonly received: number;
  /** Records of the peer that have not come, by their numbers: some may still come. */
  readonly lost: number;
  /** Records that were not accepted after the handshake: forged, damaged, or received before. */
  readonly forged: number;
  /** How often this side sent a flight of the handshake again, because no answer came. */
  readonly resent: number;
  /** Datagrams that a server dropped because `readable` was full. */
  readonly dropped: number;
}

export interface AssociationParts {
  library: Library;
  ssl: SslCore;
  pair: BioPairCore;
  verdict: Verdict;
  listeners: Listeners;
  answer(question: Question): Promise<void>;
  onNewSession(): void;
  /** Gives a datagram to the network. */
  send(datagram: Uint8Array): Promise<void>;
  /** A message came. */
  deliver(message: Uint8Array<ArrayBuffer>): void;
  ended(end: DtlsEnd): void;
  maxDatagramSize: number;
  retransmission: Retransmission | undefined;
  idleTimeout: number;
  /** For messages. */
  peerName: string;
}

const INITIAL_TIMEOUT = 1_000;
const LONGEST_TIMEOUT = 60_000;
/** In the handshake OpenSSL cuts longer datagrams. */
const HANDSHAKE_DATAGRAM = 4_096;
/** OpenSSL's words for it, after twelve attempts. */
const NO_ANSWER = "read timeout expired";
const RECORD_HEADER = 13;
const ALERT = 21;
const APPLICATION_DATA = 23;
const LONGEST_MESSAGE = 16_384;
/** Alerts in the clear that are kept until it is known whether they count. */
const MOST_SUSPECTS = 4;

export class Association {
  readonly #parts: AssociationParts;
  readonly #edges = new RecordEdges();
  readonly #buffer = new Uint8Array(LONGEST_MESSAGE);
  #stopTimer = () => {};
  #lastHeard = performance.now();
  #asking = false;
  #over: DtlsEnd | undefined;
  #opened!: () => void;
  #refused!: (reason: unknown) => void;
  #maxMessageSize = 0;
  #suspects: Uint8Array[] = [];
  /** The numbers of the peer's first and last record of data. */
  #first: number | undefined;
  #last = 0;
  #accepted = 0;
  #counts = { sent: 0, received: 0, forged: 0, resent: 0, dropped: 0 };
  readonly open: Promise<void>;

  constructor(parts: AssociationParts) {
    this.#parts = parts;
    const { library, ssl, maxDatagramSize, retransmission = {} } = parts;
    const { initial = INITIAL_TIMEOUT, maximum = Math.max(initial, LONGEST_TIMEOUT) } = retransmission;
    setMtu(library, ssl, Math.min(maxDatagramSize, HANDSHAKE_DATAGRAM));
    setTimeouts(library, ssl, initial, maximum);
    this.open = new Promise((resolve, reject) => {
      this.#opened = resolve;
      this.#refused = reject;
    });
    this.open.catch(() => {});
  }

  get over(): DtlsEnd | undefined {
    return this.#over;
  }

  get maxMessageSize(): number {
    return this.#maxMessageSize;
  }

  get statistics(): DtlsStatistics {
    const expected = this.#first === undefined ? 0 : this.#last - this.#first + 1;
    return { ...this.#counts, lost: Math.max(0, expected - this.#accepted) };
  }

  begin(): void {
    this.#turn();
  }

  /** A datagram came. One that is not the peer's changes nothing. */
  receive(datagram: Uint8Array): void {
    if (this.#over) return;
    const { library, pair, verdict } = this.#parts;
    if (!verdict.open && isPlainAlert(datagram)) {
      if (this.#suspects.length < MOST_SUSPECTS) this.#suspects.push(datagram.slice());
      return;
    }
    if (verdict.open) this.#count(datagram);
    this.#guard(() => {
      writeDatagram(library, pair, datagram);
      this.#turn();
    });
  }

  /** The reader has no room. */
  drop(): void {
    this.#counts.dropped++;
  }

  /** Settles when the transport has the message. */
  async write(message: Uint8Array): Promise<void> {
    this.refuse();
    const { ssl } = this.#parts;
    if (message.length > this.#maxMessageSize) {
      throw new TlsError(
        "too-large",
        `a message of ${message.length} bytes does not fit one datagram: ${this.#maxMessageSize} are the most`,
      );
    }
    if (message.length === 0) {
      throw new TlsError("invalid-argument", "a message must have one byte at least");
    }
    let sending: Promise<void> | undefined;
    this.#guard(() => {
      let r = ssl.tryWrite(message);
      // A pair that was full has room once it is emptied.
      if (r === WANT_WRITE) {
        this.#flush();
        r = ssl.tryWrite(message);
      }
      this.#events();
      if (r <= 0) this.#fail(r);
      else this.#counts.sent++;
      sending = this.#flush();
    });
    this.refuse();
    await sending;
  }

  /** Ends it from this side, with close_notify, which nobody acknowledges. */
  close(how: "closed" | "idle" = "closed"): Promise<void> {
    if (this.#over) return Promise.resolve();
    return this.#end({ how, error: undefined }, this.#parts.verdict.open);
  }

  /** Ends it without a word. */
  abort(reason: unknown): void {
    if (!this.#over) void this.#end({ how: "failed", error: reason }, false);
  }

  /** Throws when it is over: nothing of OpenSSL's may be asked then. */
  refuse(): void {
    if (this.#over) throw refusal(this.#over);
  }

  /** What OpenSSL, or the instance itself, throws ends the association. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.abort(error);
    }
  }

  #turn(): void {
    const { ssl, verdict } = this.#parts;
    for (let moved = true; moved && !this.#over; ) {
      moved = false;
      if (this.#asking) break;
      const r = verdict.open ? ssl.tryRead(this.#buffer) : ssl.tryHandshake();
      this.#events();
      if (this.#over) return;
      if (verdict.open && r > 0) {
        this.#counts.received++;
        this.#accepted++;
        this.#lastHeard = performance.now();
        this.#parts.deliver(this.#buffer.slice(0, r));
        moved = true;
      } else if (!verdict.open && r === 1) {
        this.#open();
        moved = true;
      } else if (r === WANT_WRITE) {
        this.#flush();
        moved = true;
      } else if (r === WANT_VERIFY || r === WANT_SIGNATURE) {
        this.#ask(r === WANT_VERIFY ? "verify" : "signature");
      } else if (verdict.open && verdict.endsCleanly(r)) {
        void this.#end({ how: "peer", error: undefined }, true);
      } else if (r !== WANT_READ) {
        this.#fail(r);
      }
    }
    if (this.#over) return;
    this.#flush();
    this.#arm();
  }

  #open(): void {
    const { library, ssl, verdict, listeners, maxDatagramSize } = this.#parts;
    verdict.opened();
    this.#suspects = [];
    if (maxDatagramSize > HANDSHAKE_DATAGRAM) setMtu(library, ssl, maxDatagramSize);
    this.#maxMessageSize = Math.min(getDataMtu(library, ssl), LONGEST_MESSAGE);
    // The handshake has bounds of its own.
    this.#lastHeard = performance.now();
    listeners.tell({ type: "handshake-done" });
    this.#opened();
  }

  #ask(question: Question): void {
    this.#asking = true;
    this.#parts.answer(question).then(
      () => {
        this.#asking = false;
        if (!this.#over) this.#guard(() => this.#turn());
      },
      (error) => {
        this.#asking = false;
        if (this.#over) return;
        // So that the alert is made which tells the peer.
        this.#guard(() => {
          this.#parts.ssl.tryHandshake();
          this.#events();
        });
        const failure = callbackError(question, error);
        this.#parts.verdict.fail(failure);
        void this.#end({ how: "failed", error: failure }, false);
      },
    );
  }

  #fail(r: number, failure = this.#parts.ssl.takeFailure()): void {
    const { verdict, peerName } = this.#parts;
    const { errors } = failure;
    const scene = { edges: this.#edges, ended: false, sendError: undefined };
    const error = errors.some(({ reason }) => reason === NO_ANSWER)
      ? new TlsError("timeout", `${peerName} did not answer, however often this side sent again`, { errors })
      : verdict.explain(r, failure, scene);
    verdict.fail(error);
    void this.#end({ how: "failed", error }, false);
  }

  #events(): void {
    const { verdict, listeners, onNewSession } = this.#parts;
    for (const event of verdict.takeEvents()) {
      if (event.type === "new-session") onNewSession();
      if (event.type === "keylog") listeners.tellKey(event.line);
      else listeners.tell(event);
    }
  }

  /** Sends what OpenSSL has written; settles when the transport has it. A datagram that is not sent is lost. */
  #flush(): Promise<void> | undefined {
    const { library, pair, send } = this.#parts;
    let last: Promise<void> | undefined;
    for (let one = takeDatagram(library, pair); one; one = takeDatagram(library, pair)) last = send(one);
    last?.catch(() => {});
    return last;
  }

  #arm(): void {
    this.#stopTimer();
    const { library, ssl, verdict, idleTimeout } = this.#parts;
    const again = getTimeout(library, ssl);
    if (again >= 0) {
      this.#stopTimer = after(again, () => this.#guard(() => this.#sendAgain()));
    } else if (verdict.open && idleTimeout < Infinity) {
      const left = this.#lastHeard + idleTimeout - performance.now();
      this.#stopTimer = after(Math.max(0, left), () => this.#whenIdle());
    } else if (this.#suspects.length > 0) {
      this.#stopTimer = after(INITIAL_TIMEOUT, () => this.#guard(() => this.#believe()));
    }
  }

  #sendAgain(): void {
    if (this.#over) return;
    if (this.#suspects.length > 0) {
      this.#believe();
      return;
    }
    const { library, ssl } = this.#parts;
    const r = handleTimeout(library, ssl);
    const failure = r < 0 ? ssl.takeFailure() : undefined;
    this.#events();
    if (failure && failure.errors.length > 0) {
      this.#fail(FAILED, failure);
      return;
    }
    if (r > 0) this.#counts.resent++;
    this.#turn();
  }

  /** Nothing better came than what may be forged. */
  #believe(): void {
    const { library, pair } = this.#parts;
    for (const each of this.#suspects.splice(0)) writeDatagram(library, pair, each);
    this.#turn();
  }

  #whenIdle(): void {
    if (this.#over) return;
    if (performance.now() - this.#lastHeard >= this.#parts.idleTimeout) void this.close("idle");
    else this.#arm();
  }

  /** The records of data in a datagram: their numbers, if all of them were accepted. */
  #count(datagram: Uint8Array): void {
    const numbers = numbersOf(datagram);
    if (numbers.length === 0) return;
    const before = this.#accepted;
    queueMicrotask(() => {
      const accepted = this.#accepted - before;
      if (accepted < numbers.length) this.#counts.forged += numbers.length - accepted;
      else {
        this.#first = Math.min(this.#first ?? numbers[0]!, ...numbers);
        this.#last = Math.max(this.#last, ...numbers);
      }
    });
  }

  async #end(end: DtlsEnd, sayGoodbye: boolean): Promise<void> {
    const { ssl, pair, verdict } = this.#parts;
    this.#stopTimer();
    let sent: Promise<void> | undefined;
    crashProof(() => {
      if (sayGoodbye) ssl.tryShutdown();
      this.#events();
      sent = this.#flush();
    }, undefined);
    this.#over = end;
    const how = end.how === "peer" ? "complete" : end.how === "failed" ? "aborted" : "closed-without-waiting";
    verdict.conclude(how, {
      sentCloseNotify: sayGoodbye,
      ...(end.error !== undefined && { reason: end.error }),
    });
    crashProof(() => {
      ssl.free();
      pair.free();
    }, undefined);
    this.#suspects = [];
    this.#refused(refusal(end));
    // What the transport does with the last datagram changes nothing any more.
    await sent?.catch(() => {});
    this.#parts.ended(end);
  }
}

function refusal({ how, error }: DtlsEnd): unknown {
  return error ?? new TlsError("closed", `the DTLS association is over (${how})`);
}

/** An alert that anybody may have sent: of epoch 0. */
function isPlainAlert(datagram: Uint8Array): boolean {
  return datagram[0] === ALERT && datagram[3] === 0 && datagram[4] === 0;
}

/** The numbers of its records of application data (RFC 6347 §4.1). */
function numbersOf(datagram: Uint8Array): number[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const numbers: number[] = [];
  for (let at = 0; at + RECORD_HEADER <= datagram.length; ) {
    if (datagram[at] === APPLICATION_DATA)
      numbers.push(view.getUint16(at + 5) * 2 ** 32 + view.getUint32(at + 7));
    at += RECORD_HEADER + view.getUint16(at + 11);
  }
  return numbers;
}
