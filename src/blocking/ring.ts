/**
 * Bytes in shared memory from one thread to another: one writes, one reads, neither locks. `head` and `tail` count
 * modulo twice the size, so that full and empty differ at any size. Each is stored by one side only, and after the
 * bytes it speaks of; `Atomics` makes the other side see them in that order.
 */
export class Ring {
  readonly #words: Int32Array;
  readonly #head: number;
  readonly #tail: number;
  readonly #bytes: Uint8Array;

  /** @param head @param tail where in `words` they are */
  constructor(words: Int32Array, head: number, tail: number, bytes: Uint8Array) {
    this.#words = words;
    this.#head = head;
    this.#tail = tail;
    this.#bytes = bytes;
  }

  /** Bytes that were written and not consumed. */
  get filled(): number {
    const turns = 2 * this.#bytes.length;
    return (Atomics.load(this.#words, this.#tail) - Atomics.load(this.#words, this.#head) + turns) % turns;
  }

  // The writer's

  /** Free bytes, to be written in place: as many as lie side by side, so the rest may be behind the next `produce`. */
  space(): Uint8Array {
    const size = this.#bytes.length;
    const at = Atomics.load(this.#words, this.#tail) % size;
    return this.#bytes.subarray(at, Math.min(size, at + size - this.filled));
  }

  /** The first `count` bytes of `space()` are written. */
  produce(count: number): void {
    this.#advance(this.#tail, count);
  }

  /** Copies in what there is room for, and returns how much that was. */
  write(bytes: Uint8Array): number {
    let done = 0;
    for (let space = this.space(); space.length > 0 && done < bytes.length; space = this.space()) {
      const part = bytes.subarray(done, done + space.length);
      space.set(part);
      this.produce(part.length);
      done += part.length;
    }
    return done;
  }

  // The reader's

  /** What was written, from `offset` on, in place: as much as lies side by side. It stays until it is consumed. */
  view(offset = 0): Uint8Array {
    const size = this.#bytes.length;
    const count = this.filled - offset;
    const at = (Atomics.load(this.#words, this.#head) + offset) % size;
    return this.#bytes.subarray(at, Math.min(size, at + count));
  }

  /** Gives the room of the first `count` bytes back. */
  consume(count: number): void {
    this.#advance(this.#head, count);
  }

  /** Copies out at most `dst.length` bytes without consuming them, and returns how many. */
  peek(dst: Uint8Array): number {
    let done = 0;
    for (let part = this.view(); part.length > 0 && done < dst.length; part = this.view(done)) {
      const some = part.subarray(0, dst.length - done);
      dst.set(some, done);
      done += some.length;
    }
    return done;
  }

  #advance(index: number, count: number): void {
    const turns = 2 * this.#bytes.length;
    Atomics.store(this.#words, index, (Atomics.load(this.#words, index) + count) % turns);
  }
}
