/**
 * OpenSSL as it is: synchronous, without policy, with OpenSSL's own names and return values. For most programs
 * `startTls` and `acceptTls` of the package itself are the better choice.
 *
 * @module
 */
export type { WasmSource } from "../binding/loader.js";
export type { Alert, OpenSslError } from "../errors.js";
export { BioPair } from "./bio-pair.js";
export * from "./constants.js";
export { type Role, SslContext } from "./context.js";
export { Digest, pbkdf2, sameBytes } from "./digest.js";
export type {
  ContentEvent,
  Direction,
  HandshakeEvent,
  RecordEvent,
  SslEvent,
  TraceEvent,
} from "./events.js";
export type { Handle, Live } from "./library.js";
export { type LoadOptions, OpenSsl } from "./openssl.js";
export { describePublicKey, type EncryptOptions, publicEncrypt } from "./public-key.js";
export { SslSession } from "./session.js";
export { Ssl } from "./ssl.js";
export type { SslFailure } from "./ssl-core.js";
export type { TrustAnchors } from "./trust-anchors.js";
export {
  type ChainFailure,
  type Purpose,
  type VerifyFlag,
  type VerifyParam,
  type VerifyResult,
  X509_CHECK_FLAG,
  X509_V_FLAG,
  X509Store,
} from "./verify.js";
export { X509 } from "./x509.js";
