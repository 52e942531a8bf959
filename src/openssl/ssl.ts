import { SSL_READ_EARLY_DATA_ERROR, SSL_READ_EARLY_DATA_SUCCESS } from "./constants.js";
import * as dtls from "./dtls.js";
import type { Handle } from "./library.js";
import {
  answerClientHello,
  getClientHello,
  tryReadEarlyData,
  verifyClientPostHandshake,
} from "./server-side.js";
import { receive, SslCore, send } from "./ssl-core.js";

/**
 * `SSL`: one connection over one half of a {@link BioPair}. Each method does what OpenSSL's function of that name does,
 * with its return values, and changes nothing: see the manual pages. In particular the caller must take care of the
 * error queue: `OpenSsl.clearErrors()` before an operation, {@link Ssl.getError} right after it.
 *
 * The `try…` methods do these three steps at once.
 *
 * @example
 * ```ts
 * import { type BioPair, SSL_ERROR_WANT_READ, type Ssl } from "wassl/openssl";
 *
 * // Gives OpenSSL what came from the peer; true when the handshake is done.
 * function handshake(ssl: Ssl, pair: BioPair, received: Uint8Array): boolean {
 *   pair.write(received);
 *   const r = ssl.tryHandshake();
 *   if (r !== 1 && r !== -SSL_ERROR_WANT_READ) throw new Error(ssl.takeFailure().errors[0]?.text);
 *   return r === 1; // what OpenSSL has to say is in the pair, either way
 * }
 * ```
 */
export class Ssl extends SslCore {
  clear(): number {
    return this.library.abi.wassl_SSL_clear(this.ptr);
  }

  isServer(): boolean {
    return this.library.abi.wassl_SSL_is_server(this.ptr) === 1;
  }

  setOptions(options: bigint): bigint {
    return this.library.abi.wassl_SSL_set_options(this.ptr, options);
  }

  setMode(mode: number): number {
    return this.library.abi.wassl_SSL_set_mode(this.ptr, mode);
  }

  clearMode(mode: number): number {
    return this.library.abi.wassl_SSL_clear_mode(this.ptr, mode);
  }

  // Operations

  doHandshake(): number {
    return this.library.abi.wassl_SSL_do_handshake(this.ptr);
  }

  connect(): number {
    return this.library.abi.wassl_SSL_connect(this.ptr);
  }

  accept(): number {
    return this.library.abi.wassl_SSL_accept(this.ptr);
  }

  read(dst: Uint8Array): number {
    return receive(this.library, dst, (p, n) => this.library.abi.wassl_SSL_read(this.ptr, p, n));
  }

  peek(dst: Uint8Array): number {
    return receive(this.library, dst, (p, n) => this.library.abi.wassl_SSL_peek(this.ptr, p, n));
  }

  /** Writes all of `src`. As in OpenSSL it is less only with `SSL_MODE_ENABLE_PARTIAL_WRITE`. */
  write(src: Uint8Array): number {
    return send(this.library, src, (p, n) => this.library.abi.wassl_SSL_write(this.ptr, p, n));
  }

  /**
   * `SSL_write_ex(3)`: returns how many bytes were written, or undefined when OpenSSL returned 0. Ask `getError(0)`
   * then.
   */
  writeEx(src: Uint8Array): number | undefined {
    const { abi, memory } = this.library;
    const ptr = this.ptr;
    const written = memory.slot<number>();
    const ok = send(this.library, src, (p, n) => abi.wassl_SSL_write_ex(ptr, p, n, written));
    return ok === 1 ? memory.result(written) : undefined;
  }

  /** 1, 0 or -1: see `SSL_shutdown(3)`. */
  shutdown(): number {
    return this.library.abi.wassl_SSL_shutdown(this.ptr);
  }

  /** `SSL_get_error(3)`: `SSL_ERROR_*` for what the operation just before returned. */
  getError(ret: number): number {
    return this.library.abi.wassl_SSL_get_error(this.ptr, ret);
  }

  setShutdown(flags: number): void {
    this.library.abi.wassl_SSL_set_shutdown(this.ptr, flags);
  }

  getQuietShutdown(): boolean {
    return this.library.abi.wassl_SSL_get_quiet_shutdown(this.ptr) !== 0;
  }

  /** Whether OpenSSL holds any bytes, decrypted or not. */
  hasPending(): boolean {
    return this.library.abi.wassl_SSL_has_pending(this.ptr) === 1;
  }

  /** `SSL_NOTHING`, `SSL_WRITING`, `SSL_READING` … */
  want(): number {
    return this.library.abi.wassl_SSL_want(this.ptr);
  }

  // After the handshake

  keyUpdate(kind: number): number {
    return this.library.abi.wassl_SSL_key_update(this.ptr, kind);
  }

  /** `SSL_verify_client_post_handshake(3)`: makes a TLS 1.3 server ask with its next operation. */
  verifyClientPostHandshake(): number {
    return verifyClientPostHandshake(this.library, this);
  }

  renegotiate(): number {
    return this.library.abi.wassl_SSL_renegotiate(this.ptr);
  }

  /** `SSL_new_session_ticket(3)`: makes a TLS 1.3 server send one more ticket with its next write. */
  newSessionTicket(): number {
    return this.library.abi.wassl_SSL_new_session_ticket(this.ptr);
  }

  // Early data (RFC 8446 §2.3). An attacker may have recorded it and send it again: see SSL_read_early_data(3).

  /**
   * `SSL_write_early_data(3)`, by a client before its handshake: returns how many bytes, or undefined. Ask
   * `getError(0)` then.
   */
  writeEarlyData(src: Uint8Array): number | undefined {
    const { abi, memory } = this.library;
    const ptr = this.ptr;
    const written = memory.slot<number>();
    const ok = send(this.library, src, (p, n) => abi.wassl_SSL_write_early_data(ptr, p, n, written));
    return ok === 1 ? memory.result(written) : undefined;
  }

  /** `SSL_read_early_data(3)`, by a server before its handshake: `SSL_READ_EARLY_DATA_*`, and how many bytes. */
  readEarlyData(dst: Uint8Array): { status: number; length: number } {
    const { abi, memory } = this.library;
    const ptr = this.ptr;
    const read = memory.slot<number>();
    let status = SSL_READ_EARLY_DATA_ERROR;
    const length = receive(this.library, dst, (p, n) => {
      status = abi.wassl_SSL_read_early_data(ptr, p, n, read);
      return status === SSL_READ_EARLY_DATA_SUCCESS ? memory.result(read) : 0;
    });
    return { status, length };
  }

  /** Bytes read; 0 = there is no more early data, go on with the handshake; or minus an `SSL_ERROR_*`. */
  tryReadEarlyData(dst: Uint8Array): number {
    return tryReadEarlyData(this.library, this, dst);
  }

  // DTLS

  /** Milliseconds until {@link Ssl.dtlsHandleTimeout} is due, or -1 while no timer runs. */
  dtlsGetTimeout(): number {
    return dtls.getTimeout(this.library, this);
  }

  /** Sends again what was lost: 1 sent, 0 not due, -1 failed. */
  dtlsHandleTimeout(): number {
    return dtls.handleTimeout(this.library, this);
  }

  /**
   * How long this side waits for an answer before it sends again, at first and at most, each 1 to 2^21 milliseconds: the
   * time doubles with each attempt (`DTLS_set_timer_cb(3)`). OpenSSL's own are 1,000 and 60,000. After the twelfth
   * attempt the handshake fails.
   */
  dtlsSetTimeouts(initial: number, most: number): void {
    dtls.setTimeouts(this.library, this, initial, most);
  }

  /**
   * Sets the largest datagram, in bytes, 208 to 4,096, and once the handshake is done up to 16,384; OpenSSL does not ask
   * the network then.
   */
  setMtu(bytes: number): void {
    dtls.setMtu(this.library, this, bytes);
  }

  /**
   * `DTLS_get_data_mtu(3)`: how many bytes of application data fit a datagram of that MTU; 0 before the handshake has
   * settled on a cipher.
   */
  dtlsGetDataMtu(): number {
    return dtls.getDataMtu(this.library, this);
  }

  /**
   * `DTLSv1_listen(3)`, by a server before its handshake, after {@link SslContext.useCookies}. Everything that waits in
   * the pair must be of the client at `address`, up to 255 bytes, whatever they mean. 1 = a ClientHello came with the
   * cookie of that address, so the handshake may begin; 0 = each ClientHello without it is answered with one
   * HelloVerifyRequest of 60 bytes, and everything is forgotten, so that the next client may be asked about; -1 = failed.
   */
  dtlsListen(address: Uint8Array): number {
    return dtls.listen(this.library, this, address);
  }

  // Where the handshake waits for an answer from outside

  /**
   * The ClientHello that a server stopped at (`SSL_ERROR_WANT_CLIENT_HELLO_CB`, see `SslContext.suspendClientHello`):
   * its legacy version, the length of its cipher suites, the suites, and its extensions as on the wire.
   */
  getClientHello(): Uint8Array<ArrayBuffer> | undefined {
    return getClientHello(this.library, this);
  }

  /** Goes on, with `context` (an `SslContext`) if one is given; or, with an alert, refuses the client. */
  answerClientHello(context?: Handle<"contexts">, alert = -1): void {
    answerClientHello(this.library, this, context, alert);
  }
}
