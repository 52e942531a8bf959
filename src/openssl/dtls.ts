/** What only DTLS asks of an `SSL` or a pair. As functions, because a client of TLS goes without them. */
import { TlsError } from "../errors.js";
import type { BioPairCore } from "./bio-pair-core.js";
import type { SslContextCore } from "./context-core.js";
import { type Library, requireBytes } from "./library.js";
import type { SslCore } from "./ssl-core.js";

/** OpenSSL's own bound: an MTU of 256 bytes, less 48 for headers of IPv6 and UDP. */
const LEAST_MTU = 208;
/** OpenSSL reads no more of a datagram than one record's length, and drops what is cut. */
const MOST_MTU = 16_384;
/** In a handshake OpenSSL gathers a flight in a buffer of that length, and cuts a longer datagram in two. */
const MOST_HANDSHAKE_MTU = 4_096;
const LONGEST_TIMEOUT = 2 ** 21;
const LONGEST_ADDRESS = 255;

function requireWhole(value: number, least: number, most: number, what: string): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new TlsError(
      "invalid-argument",
      `${what} must be a whole number, ${least} to ${most}, not ${value}`,
    );
  }
}

/** See `Ssl.setMtu`. */
export function setMtu(library: Library, ssl: SslCore, bytes: number): void {
  const [most, when] = ssl.isInitFinished()
    ? [MOST_MTU, ""]
    : [MOST_HANDSHAKE_MTU, " until the handshake is done"];
  requireWhole(bytes, LEAST_MTU, most, `the MTU${when}`);
  library.check(library.abi.wassl_SSL_set_mtu(ssl.ptr, bytes), `no MTU of ${bytes}`, "invalid-argument");
}

/** See `Ssl.dtlsGetDataMtu`. */
export function getDataMtu(library: Library, ssl: SslCore): number {
  return library.abi.wassl_DTLS_get_data_mtu(ssl.ptr);
}

/** See `Ssl.dtlsSetTimeouts`. */
export function setTimeouts(library: Library, ssl: SslCore, initial: number, most: number): void {
  requireWhole(initial, 1, LONGEST_TIMEOUT, "the first timeout");
  requireWhole(most, initial, LONGEST_TIMEOUT, "the longest timeout");
  library.check(
    library.abi.wassl_DTLS_set_timeouts(ssl.ptr, initial, most),
    "no timeouts: they are for DTLS",
    "invalid-argument",
  );
}

/** See `Ssl.dtlsGetTimeout`. */
export function getTimeout(library: Library, ssl: SslCore): number {
  return library.abi.wassl_DTLSv1_get_timeout(ssl.ptr);
}

/** See `Ssl.dtlsHandleTimeout`. */
export function handleTimeout(library: Library, ssl: SslCore): number {
  return library.abi.wassl_DTLSv1_handle_timeout(ssl.ptr);
}

/** See `SslContext.useCookies`. */
export function useCookies(library: Library, context: SslContextCore): void {
  library.check(library.abi.wassl_SSL_CTX_use_cookies(context.ptr), "no keys for cookies");
}

/** See `Ssl.dtlsListen`. */
export function listen(library: Library, ssl: SslCore, address: Uint8Array): number {
  requireBytes(address, "the address");
  requireWhole(address.length, 0, LONGEST_ADDRESS, "the length of the address");
  const { abi, memory } = library;
  abi.wassl_ERR_clear_error();
  return memory.withBytes(address, (ptr, n) => abi.wassl_DTLSv1_listen(ssl.ptr, ptr, n));
}

/** See `BioPair.readDatagram`. */
export function readDatagram(library: Library, pair: BioPairCore, dst: Uint8Array): number {
  requireBytes(dst, "the destination");
  const { abi, memory } = library;
  const most = Math.min(dst.length, pair.pending());
  return memory.withBytes(new Uint8Array(most), (ptr, length) => {
    const n = abi.wassl_BIO_read(pair.ptr, ptr, length);
    if (n > 0) dst.set(memory.view(ptr, n));
    return n > 0 ? n : -1;
  });
}

/** Takes the oldest datagram out, whole; undefined if there is no datagram. */
export function takeDatagram(library: Library, pair: BioPairCore): Uint8Array<ArrayBuffer> | undefined {
  const datagram = new Uint8Array(pair.pending());
  return datagram.length > 0 && readDatagram(library, pair, datagram) > 0 ? datagram : undefined;
}

/** See `BioPair.writeDatagram`. */
export function writeDatagram(library: Library, pair: BioPairCore, src: Uint8Array): number {
  requireBytes(src, "the source");
  return library.memory.withBytes(src, (ptr, n) => library.abi.wassl_BIO_write(pair.ptr, ptr, n));
}
