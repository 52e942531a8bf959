import type { Memory } from "../binding/memory.js";
import type { Borrowed } from "../binding/pointers.js";

/** Copies bytes in as a `wassl_bytes` block (see abi.h), for the time of one call. */
export function withBlock<T>(
  memory: Memory,
  bytes: Uint8Array,
  use: (block: Borrowed<"wassl_bytes">) => T,
): T {
  const block = new Uint8Array(4 + bytes.length);
  new DataView(block.buffer).setUint32(0, bytes.length, true);
  block.set(bytes, 4);
  try {
    return memory.withBytes(block, (ptr) => use(ptr as number as Borrowed<"wassl_bytes">));
  } finally {
    // It may be a key.
    block.fill(0);
  }
}
