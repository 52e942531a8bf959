/**
 * A set of trust anchors that costs little, however many it has: only those to which a chain leads are parsed, and the
 * set lies in linear memory once, however many connections use it. `wassl/roots` has one.
 */
export interface TrustAnchors {
  /** Base64 of certificates, behind a table of where each begins; `wasm/abi/abi.h` has the layout. */
  readonly table: string;
}
