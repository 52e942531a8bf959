/**
 * DTLS 1.2 (RFC 6347): encrypted messages over whatever carries datagrams, as `startTls` is for bytes.
 *
 * @module
 */
export type { DatagramEndpoint, DatagramTransport, ReceivedDatagram } from "../transport.js";
export type { DtlsEnd, DtlsStatistics, HowDtlsEnds } from "./association.js";
export { listenDtls } from "./listen-dtls.js";
export type { DtlsClientOptions, DtlsOptions, DtlsServerOptions, Retransmission } from "./options.js";
export type { DtlsSession } from "./session.js";
export { startDtls } from "./start-dtls.js";
