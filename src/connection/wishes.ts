/** What the pump is asked for, and has not done yet. Holds it only: the pump gives each wish its chance. */
import type { TlsError } from "../errors.js";
import type { SslCore } from "../openssl/ssl-core.js";

/**
 * Something that is to happen, and the promise of it. A class, because object literals that are spread cost a write of
 * a few bytes more than its encryption.
 */
export class Wish {
  readonly promise: Promise<void>;
  resolve!: () => void;
  reject!: (reason: unknown) => void;
  /** How many bytes in all the wire must have accepted for it, if it waits for that. */
  target = Infinity;

  constructor() {
    this.promise = new Promise<void>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** A write, until OpenSSL has taken all of its bytes: what it has not taken, it is given again as it was. */
export class PendingWrite extends Wish {
  readonly #bytes: Uint8Array;
  /** Of `#bytes` when the write began. */
  readonly #length: number;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    super();
    this.#bytes = bytes;
    this.#length = bytes.length;
  }

  /** Bytes that OpenSSL has not taken. */
  get rest(): number {
    return this.#length - this.#offset;
  }

  /** The caller's array is not what it was. */
  get isDetached(): boolean {
    return this.#bytes.length !== this.#length;
  }

  /** Gives OpenSSL at most `most` bytes, and returns how many it took. If these are fewer, `ssl.stopped` says why. */
  step(ssl: SslCore, most: number): number {
    const n = ssl.tryWriteMany(this.#bytes.subarray(this.#offset, this.#offset + most));
    this.#offset += n;
    return n;
  }
}

/** What a server asks of its client behind the handshake: a certificate. */
export interface LateWish extends Wish {
  /** Why it cannot be, though nothing is wrong with the connection; `asked` says that there is such a wish already. */
  refusal(closed: boolean, asked: boolean): TlsError | undefined;
  /** OpenSSL is to be told. */
  readonly isDue: boolean;
  /** Tells OpenSSL to ask with its next operation; false if it will not. */
  begin(): boolean;
  /** Settles if the answer is there. */
  look(): void;
  /** The client's data has ended before. */
  giveUp(): void;
  readonly over: boolean;
}

/** All that is wished for on one connection; those that wait for the wire are in the Outbox. */
export class Wishes {
  handshake: Wish | undefined;
  write: PendingWrite | undefined;
  late: LateWish | undefined;
  closeNotify: Wish | undefined;
  /** A ticket should come, even if no reader waits. */
  ticket = false;
  #readers: Wish[] = [];

  get hasReaders(): boolean {
    return this.#readers.length > 0;
  }

  /** The client is to be asked, or is. */
  get asksClient(): boolean {
    return this.late?.over === false;
  }

  /** What is not data is waited for, also while no reader waits. */
  get aheadOfReaders(): boolean {
    return this.ticket || this.asksClient;
  }

  addReader(): Promise<void> {
    const ready = new Wish();
    this.#readers.push(ready);
    return ready.promise;
  }

  /** There is something to read, or the end. */
  wakeReaders(): void {
    for (const reader of this.#readers.splice(0)) reader.resolve();
  }

  /** Forgets what nothing can be sent for any more, and returns it. */
  takeSending(): Wish[] {
    const taken = [this.write, this.closeNotify].filter((wish) => wish !== undefined);
    this.write = this.closeNotify = undefined;
    return taken;
  }

  /** Nothing comes of any of them. */
  reject(reason: unknown): void {
    const all = [this.handshake, this.late, ...this.takeSending(), ...this.#readers.splice(0)];
    this.handshake = this.late = undefined;
    for (const wish of all) wish?.reject(reason);
  }
}
