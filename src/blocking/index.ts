/**
 * TLS for code that has to be synchronous: a port of a program to WebAssembly, a worker. Each call waits until it is
 * done, as on a blocking socket. The thread that waits and the thread that has the transport share a {@link Channel}:
 *
 * ```ts
 * // where the transport is: for example in a page
 * import { carry, newChannel } from "wassl/blocking";
 * import { connectWebSocket } from "wassl/transports/websocket";
 *
 * const channel = newChannel();
 * new Worker("worker.js", { type: "module" }).postMessage(channel);
 * const url = "wss://relay.example.org/?to=db.example.org:5432";
 * const { transport, trailing } = await carry(channel, await connectWebSocket(url)); // until the worker is done
 * ```
 *
 * ```ts
 * // in the worker
 * import { BlockingTransport, type Channel, connect } from "wassl/blocking";
 *
 * addEventListener("message", ({ data }: MessageEvent<Channel>) => {
 *   const tls = connect(new BlockingTransport(data), { openssl, hostname: "db.example.org", caCerts: pem });
 *   tls.write(request);
 *   tls.closeWrite();
 *   const buffer = new Uint8Array(16_384);
 *   while (tls.read(buffer) > 0); // 0 is the peer's close_notify
 *   tls.shutdown();
 * });
 * ```
 *
 * Browsers share memory only within pages that are cross-origin isolated, and let only workers wait.
 *
 * @module
 */
export type { TlsInfo } from "../options/info.js";
export type { TlsOptions, TlsVersion } from "../options/protocol.js";
export { BlockingTls } from "./blocking-tls.js";
export { BlockingTransport } from "./blocking-transport.js";
export { type Carried, type CarryOptions, carry } from "./carrier.js";
export { type Channel, type ChannelOptions, newChannel } from "./channel.js";
export { BlockingTimeoutError, type Timeout } from "./deadline.js";
export {
  type AcceptOptions,
  accept,
  type BlockingOptions,
  type ConnectOptions,
  connect,
} from "./establish.js";
