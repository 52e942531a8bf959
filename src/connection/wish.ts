/**
 * Something that is to happen, and who waits for it. A class, since object literals that are spread cost a write of a few
 * bytes more than its encryption.
 */
export class Wish {
  readonly promise: Promise<void>;
  resolve!: () => void;
  reject!: (reason: unknown) => void;
  /** How many bytes the wire has to have accepted for it, all in all; for what waits for that. */
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
