import type { Bytes, Out } from "../binding/pointers.js";
import { BioPairCore } from "./bio-pair-core.js";
import { readDatagram, writeDatagram } from "./dtls.js";

/**
 * `BIO_s_bio(3)`: two halves, each bounded. OpenSSL works on the internal one. This object is the network half, where
 * the bytes of the transport go in and out.
 *
 * @example
 * ```ts
 * import type { BioPair } from "wassl/openssl";
 *
 * // Sends what OpenSSL has written.
 * async function send(pair: BioPair, writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
 *   const buffer = new Uint8Array(16_384);
 *   for (let n = pair.read(buffer); n > 0; n = pair.read(buffer)) await writer.write(buffer.slice(0, n));
 * }
 * ```
 */
export class BioPair extends BioPairCore {
  /**
   * Reads one datagram, for a pair made with `datagram`. Returns its length; -1 = no datagram is there. A datagram is
   * cut if `dst` is shorter than it is; `pending()` says how long the next one is.
   */
  readDatagram(dst: Uint8Array): number {
    return readDatagram(this.library, this, dst);
  }

  /**
   * Writes one datagram, for a pair made with `datagram`. Returns its length; -1 = no room. Each takes two bytes of the
   * room beside its own, and `writeGuarantee()` says how long one may be now.
   */
  writeDatagram(src: Uint8Array): number {
    return writeDatagram(this.library, this, src);
  }

  /**
   * `BIO_nread0(3)`: what can be read without copying, as a view of linear memory. The view is good until the next call
   * to anything here; it is empty when there is nothing.
   */
  nread0(): Uint8Array {
    return this.#view(this.library.abi.wassl_BIO_nread0(this.ptr, this.#at));
  }

  /** `BIO_nread(3)`: takes up to `max` bytes out; the view is good until the next call to anything here. */
  nread(max: number): Uint8Array {
    return this.#view(this.library.abi.wassl_BIO_nread(this.ptr, this.#at, max));
  }

  /** `BIO_nwrite0(3)`: the room that can be written without copying, as a view that is good until the next call. */
  nwrite0(): Uint8Array {
    return this.#view(this.library.abi.wassl_BIO_nwrite0(this.ptr, this.#at));
  }

  /** `BIO_nwrite(3)`: commits `length` bytes that were put where `nwrite0` showed. Returns how many it took. */
  nwrite(length: number): number {
    return this.library.abi.wassl_BIO_nwrite(this.ptr, this.#at, length);
  }

  #view(n: number): Uint8Array {
    const { memory } = this.library;
    return n > 0 ? memory.view(memory.result(this.#at), n) : new Uint8Array(0);
  }

  /** Where the module says where the bytes are. */
  get #at(): Out<Bytes> {
    return this.library.memory.slot();
  }

  /** `BIO_ctrl_get_write_guarantee(3)`: how many bytes can be written now. */
  writeGuarantee(): number {
    return this.library.abi.wassl_BIO_ctrl_get_write_guarantee(this.ptr);
  }

  /** `BIO_ctrl_get_read_request(3)`: how many bytes OpenSSL wanted when it found too few. */
  readRequest(): number {
    return this.library.abi.wassl_BIO_ctrl_get_read_request(this.ptr);
  }
}
