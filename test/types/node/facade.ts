/**
 * What stands in for `node:crypto`, `node:net` and `node:tls` is taken where those are expected. `npm run types` compiles
 * it; it never runs.
 */
import type * as crypto from "node:crypto";
import type * as net from "node:net";
import type * as tls from "node:tls";
import type * as ourCrypto from "wassl/node/crypto";
import type * as ourNet from "wassl/node/net";
import type * as ourTls from "wassl/node/tls";

type Ours<Module, Names extends keyof Module> = Pick<Module, Names>;

export const asNet = (module: typeof ourNet): Ours<typeof net, "isIP" | "isIPv4" | "isIPv6"> => module;
export const asTls = (
  module: typeof ourTls,
): Ours<
  typeof tls,
  | "CLIENT_RENEG_LIMIT"
  | "CLIENT_RENEG_WINDOW"
  | "DEFAULT_CIPHERS"
  | "DEFAULT_ECDH_CURVE"
  | "DEFAULT_MAX_VERSION"
  | "DEFAULT_MIN_VERSION"
  | "checkServerIdentity"
  | "connect"
  | "createSecureContext"
  | "getCACertificates"
  | "getCiphers"
  | "rootCertificates"
  | "setDefaultCACertificates"
> => module;
export const asSocket = (socket: ourNet.Socket): net.Socket => socket;
export const asTlsSocket = (socket: ourTls.TLSSocket): tls.TLSSocket => socket;
export const asCrypto = (
  module: typeof ourCrypto,
): Ours<
  typeof crypto,
  | "createHash"
  | "createHmac"
  | "createPublicKey"
  | "getHashes"
  | "pbkdf2"
  | "pbkdf2Sync"
  | "publicEncrypt"
  | "randomBytes"
  | "randomFillSync"
  | "randomInt"
  | "randomUUID"
  | "timingSafeEqual"
  | "webcrypto"
> => module;
export const asHash = (hash: ourCrypto.Hash): crypto.Hash => hash;
export const asHmac = (hmac: ourCrypto.Hmac): crypto.Hmac => hmac;
export const asConstants = (
  constants: typeof ourCrypto.constants,
): Pick<typeof crypto.constants, "RSA_PKCS1_PADDING" | "RSA_NO_PADDING" | "RSA_PKCS1_OAEP_PADDING"> =>
  constants;
