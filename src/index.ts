/**
 * TLS over any byte transport, by OpenSSL in WebAssembly. {@link startTls} and {@link acceptTls} turn a
 * {@link Transport} into a {@link TlsStream}.
 *
 * @module
 */
export { acceptTls, type EarlyDataOptions, type ServerOptions } from "./accept-tls.js";
export type { WasmSource } from "./binding/loader.js";
export type { OnEarlyData } from "./connection/early-read.js";
export type { EofPolicy, Statistics, TlsEvent, Traffic } from "./connection/events.js";
export type { ChannelBinding } from "./connection/exporters.js";
export {
  type Alert,
  type CertificateFailure,
  type CloseInfo,
  type OpenSslError,
  TlsAlertError,
  TlsCertificateError,
  TlsError,
  type TlsErrorCode,
  type TlsErrorOptions,
  TlsTruncationError,
  type TruncationPoint,
} from "./errors.js";
export type { CommonOptions } from "./establish.js";
export type { VerifyClientOptions } from "./handshake/late-auth.js";
export type { ResumptionOptions } from "./handshake/resumption.js";
export type {
  ContentEvent,
  Direction,
  HandshakeEvent,
  RecordEvent,
  SslEvent,
  TraceEvent,
} from "./openssl/events.js";
export { type LoadOptions, OpenSsl } from "./openssl/openssl.js";
export type { TrustAnchors } from "./openssl/trust-anchors.js";
export type { ChainFailure, Purpose, VerifyFlag, VerifyResult } from "./openssl/verify.js";
export { X509 } from "./openssl/x509.js";
export type { ClientHello } from "./options/client-hello.js";
export type { ClientContextOptions } from "./options/context.js";
export type {
  CaCerts,
  CertificateData,
  ClientIdentity,
  Identity,
  PreliminaryResult,
  Verification,
} from "./options/identity.js";
export type { TlsInfo } from "./options/info.js";
export { type PassphrasedKey, pairIdentities } from "./options/pair-identities.js";
export type {
  ConnectionOptions,
  ContextOptions,
  PreSharedKey,
  TlsOptions,
  TlsVersion,
} from "./options/protocol.js";
export type { ServerCertificates, ServerIdentity } from "./options/server-identity.js";
export { type Selected, type ServerContextOptions, TlsContext } from "./options/tls-context.js";
export type { VerifyOptions } from "./options/verify.js";
export { MemorySessionStore, type MemorySessionStoreOptions } from "./sessions/memory.js";
export type { Awaitable, SessionStore } from "./sessions/store.js";
export { type ClientOptions, startTls } from "./start-tls.js";
export type { CloseOptions, ShutdownOptions, ShutdownResult, TlsStream } from "./stream.js";
export type { DialedTransport, Dialer, DialOptions, SocketAddress, Transport } from "./transport.js";
export { type Certificates, type VerifyChainOptions, verifyChain } from "./verify-chain.js";
