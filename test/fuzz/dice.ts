/** The choices of one case. They follow from the run's seed and the case's number alone. */
import { join } from "../der.ts";
import { random } from "../helpers/random.ts";

/** Where parsers have their borders. */
const BORDERS = [
  0, 1, 2, 3, 7, 15, 31, 32, 33, 47, 48, 63, 64, 127, 128, 129, 255, 256, 257, 511, 1024, 4096,
];

export class Dice {
  /** In [0, 1). */
  readonly next: () => number;

  constructor(seed: number, number: number) {
    this.next = random((seed ^ Math.imul(number + 1, 0x9e37_79b1)) >>> 0);
    // Neighbours begin alike.
    this.next();
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  chance(p: number): boolean {
    return this.next() < p;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Mostly small; `max` at most. */
  size(max: number): number {
    const n = this.chance(0.7) ? this.pick(BORDERS) : Math.floor(max * this.next() ** 4);
    return Math.min(n, max);
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.below(256);
    return bytes;
  }

  /** A big-endian number of `width` bytes such as breaks arithmetic. */
  border(width: number): Uint8Array {
    const bytes = new Uint8Array(width).fill(this.pick([0, 0, 0xff, 0x7f, 0x80]));
    if (width > 0 && this.chance(0.6)) bytes[width - 1] = this.pick([0, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff]);
    return bytes;
  }

  /** The bytes changed without regard to what they mean: 1 to 3 edits. */
  garble(bytes: Uint8Array): Uint8Array {
    let out = bytes.slice();
    for (let edits = 1 + this.below(3); edits > 0; edits--) {
      const at = this.below(out.length + 1);
      const span = 1 + this.size(Math.max(out.length >> 1, 1));
      const [before, after] = [out.subarray(0, at), out.subarray(at)];
      switch (this.below(6)) {
        case 0:
          if (at < out.length) out[at]! ^= 1 << this.below(8);
          break;
        case 1:
          if (at < out.length) out[at] = this.border(1)[0]!;
          break;
        case 2:
          out = join(before, this.bytes(this.size(64)), after);
          break;
        case 3:
          out = join(before, after.subarray(span));
          break;
        case 4:
          out = join(before, after.subarray(0, span), after);
          break;
        default:
          out = before.slice();
      }
    }
    return out;
  }
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
