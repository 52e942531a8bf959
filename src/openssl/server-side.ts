/** What only a server asks of an `SSL`. As functions, because a client's bundle goes without them. */
import { Handle, type Library } from "./library.js";
import { receive, requireAnswered, type SslCore } from "./ssl-core.js";

/** See `Ssl.getClientHello`. */
export function getClientHello(library: Library, ssl: SslCore): Uint8Array<ArrayBuffer> | undefined {
  return library.memory.takeBytes(library.abi.wassl_SSL_get_client_hello(ssl.ptr));
}

/** See `Ssl.answerClientHello`. */
export function answerClientHello(
  library: Library,
  ssl: SslCore,
  context?: Handle<"contexts">,
  alert = -1,
): void {
  const ctx = context === undefined ? 0 : Handle.ptrOf(library, context, "contexts");
  requireAnswered(library.abi.wassl_SSL_answer_client_hello(ssl.ptr, ctx, alert), "ClientHello");
}

/** See `Ssl.verifyClientPostHandshake`. */
export function verifyClientPostHandshake(library: Library, ssl: SslCore): number {
  return library.abi.wassl_SSL_verify_client_post_handshake(ssl.ptr);
}

/** See `Ssl.tryReadEarlyData`. */
export function tryReadEarlyData(library: Library, ssl: SslCore, dst: Uint8Array): number {
  return receive(library, dst, (p, n) => library.abi.wassl_try_read_early_data(ssl.ptr, p, n));
}
