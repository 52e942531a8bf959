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

export class PendingWrite extends Wish {
  readonly bytes: Uint8Array;
  /** Of `bytes` when the write began. */
  readonly length: number;
  offset = 0;

  constructor(bytes: Uint8Array) {
    super();
    this.bytes = bytes;
    this.length = bytes.length;
  }
}
