/** npm's `buffer`, with the constants that ioredis asks for. Not unenv's: imapflow takes what that cuts for no Buffer. */
import module from "buffer/";

/** Its own types lack the constants. */
const all = module as unknown as Record<
  "Buffer" | "SlowBuffer" | "INSPECT_MAX_BYTES" | "kMaxLength",
  unknown
>;

export const { Buffer, SlowBuffer, INSPECT_MAX_BYTES, kMaxLength } = all;
export const constants = { MAX_LENGTH: kMaxLength as number, MAX_STRING_LENGTH: 2 ** 29 - 24 };
export const { atob, btoa } = globalThis;
export default { Buffer, SlowBuffer, INSPECT_MAX_BYTES, kMaxLength, constants };
