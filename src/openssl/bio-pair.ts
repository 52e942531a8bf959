import { TlsError } from "../errors.js";
import { type Library, Owned, requireBytes } from "./library.js";

/**
 * `BIO_s_bio(3)`: two halves, each bounded. OpenSSL works on the internal one; this object is the network half, where
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
export class BioPair extends Owned {
  /** @internal */
  static readonly kind = "bioPairs";
  #internal: number;
  #internalIsOurs = true;

  private constructor(library: Library, network: number, internal: number) {
    super(library, network);
    this.#internal = internal;
  }

  /** The internal half, which lives as long as the `Ssl` that has taken it. @internal */
  get internal(): number {
    if (this.#internal === 0) throw new TlsError("freed", "the Ssl of this BioPair was freed");
    return this.#internal;
  }

  /**
   * @param internalSize room for what OpenSSL has written and nobody has fetched yet, in bytes; 0 = 17 KiB, a record
   * @param networkSize room for what the transport brought and OpenSSL has not read yet, in bytes; 0 = 17 KiB
   * @param datagram keep the bounds of each write, as DTLS needs
   * @internal
   */
  static create(library: Library, internalSize: number, networkSize: number, datagram: boolean): BioPair {
    const { abi, memory } = library;
    abi.wassl_ERR_clear_error();
    const made = abi.wassl_BIO_new_bio_pair(internalSize, networkSize, Number(datagram), memory.scratch);
    library.check(made, `no BIO pair of ${internalSize} and ${networkSize} bytes`);
    return new BioPair(library, memory.word(memory.scratch + 4), memory.word(memory.scratch));
  }

  /**
   * Gives the pair rings of other sizes (see {@link BioPair.create}), unless it holds bytes or there is no memory: false.
   * Not after {@link BioPair.shutdownWrite}.
   *
   * @internal
   */
  resize(internalSize: number, networkSize: number): boolean {
    return (
      this.library.abi.wassl_BIO_resize_bio_pair(this.internal, internalSize, this.ptr, networkSize) === 1
    );
  }

  /** Hands the internal half to an `Ssl`, which frees it. @internal */
  giveInternal(): void {
    this.#internalIsOurs = false;
  }

  /** The `Ssl` is freed, and has freed it. @internal */
  internalFreed(): void {
    this.#internal = 0;
  }

  get internalIsTaken(): boolean {
    return !this.#internalIsOurs;
  }

  /** `BIO_read(3)` on the network half: how many bytes, 0 = the end, -1 = nothing there now. */
  read(dst: Uint8Array): number {
    requireBytes(dst, "the destination");
    const { abi, memory } = this.library;
    let done = 0;
    // Twice at most: the ring may wrap around.
    while (done < dst.length) {
      const n = abi.wassl_BIO_nread(this.ptr, memory.scratch, dst.length - done);
      if (n <= 0) return done > 0 ? done : n;
      dst.set(memory.view(memory.word(memory.scratch), n), done);
      done += n;
    }
    return done;
  }

  /** Takes out what is there, up to where the ring wraps around. @internal */
  take(): Uint8Array<ArrayBuffer> {
    const { abi, memory } = this.library;
    const n = abi.wassl_BIO_nread(this.ptr, memory.scratch, 2 ** 30);
    return n > 0 ? memory.copyOut(memory.word(memory.scratch), n) : new Uint8Array(0);
  }

  /** `BIO_write(3)` on the network half: how many bytes there was room for, -1 = none. */
  write(src: Uint8Array): number {
    requireBytes(src, "the source");
    const { abi, memory } = this.library;
    let done = 0;
    while (done < src.length) {
      const n = abi.wassl_BIO_nwrite(this.ptr, memory.scratch, src.length - done);
      if (n <= 0) return done > 0 ? done : n;
      memory.copyIn(src.subarray(done, done + n), memory.word(memory.scratch));
      done += n;
    }
    return done;
  }

  /** One datagram, for a pair made with `datagram`: its length, -1 = none. It is cut where `dst` is too short. */
  readDatagram(dst: Uint8Array): number {
    requireBytes(dst, "the destination");
    const { abi, memory } = this.library;
    const n = abi.wassl_BIO_read(this.ptr, memory.scratch, Math.min(dst.length, 16_384));
    if (n > 0) dst.set(memory.view(memory.scratch, n));
    return n;
  }

  /** One datagram, for a pair made with `datagram`: its length, -1 = no room. */
  writeDatagram(src: Uint8Array): number {
    requireBytes(src, "the source");
    return this.library.memory.withBytes(src, (ptr, n) => this.library.abi.wassl_BIO_write(this.ptr, ptr, n));
  }

  /**
   * `BIO_nread0(3)`: what can be read without copying, as a view of linear memory. It is good until the next call to
   * anything here; empty when there is nothing.
   */
  nread0(): Uint8Array {
    return this.#view(this.library.abi.wassl_BIO_nread0(this.ptr, this.library.memory.scratch));
  }

  /** `BIO_nread(3)`: takes up to `max` bytes out; the view is good until the next call to anything here. */
  nread(max: number): Uint8Array {
    return this.#view(this.library.abi.wassl_BIO_nread(this.ptr, this.library.memory.scratch, max));
  }

  /** `BIO_nwrite0(3)`: the room that can be written without copying, as a view good until the next call. */
  nwrite0(): Uint8Array {
    return this.#view(this.library.abi.wassl_BIO_nwrite0(this.ptr, this.library.memory.scratch));
  }

  /** `BIO_nwrite(3)`: commits `length` bytes that were put where `nwrite0` showed; how many it took. */
  nwrite(length: number): number {
    return this.library.abi.wassl_BIO_nwrite(this.ptr, this.library.memory.scratch, length);
  }

  #view(n: number): Uint8Array {
    const { memory } = this.library;
    return n > 0 ? memory.view(memory.word(memory.scratch), n) : new Uint8Array(0);
  }

  /** Bytes that wait to be read from the network half. */
  pending(): number {
    return this.library.abi.wassl_BIO_ctrl_pending(this.ptr);
  }

  /** Bytes written to the network half that OpenSSL has not read. */
  wpending(): number {
    return this.library.abi.wassl_BIO_ctrl_wpending(this.ptr);
  }

  /** `BIO_ctrl_get_write_guarantee(3)`: how many bytes can be written now. */
  writeGuarantee(): number {
    return this.library.abi.wassl_BIO_ctrl_get_write_guarantee(this.ptr);
  }

  /** `BIO_ctrl_get_read_request(3)`: how many bytes OpenSSL wanted when it found too few. */
  readRequest(): number {
    return this.library.abi.wassl_BIO_ctrl_get_read_request(this.ptr);
  }

  /** `BIO_shutdown_wr(3)`: the transport has ended; OpenSSL reads what is left, then the end. */
  shutdownWrite(): void {
    this.library.abi.wassl_BIO_shutdown_wr(this.ptr);
  }

  /**
   * Takes back what was written to the network half and OpenSSL has not read. After the peer's close_notify that is what
   * followed it. Only while the `Ssl` lives.
   */
  takeUnread(): Uint8Array<ArrayBuffer> {
    const { abi, memory } = this.library;
    const bytes = new Uint8Array(this.wpending());
    let done = 0;
    while (done < bytes.length) {
      const n = abi.wassl_BIO_nread(this.internal, memory.scratch, bytes.length - done);
      if (n <= 0) break;
      bytes.set(memory.view(memory.word(memory.scratch), n), done);
      done += n;
    }
    return bytes.subarray(0, done);
  }

  /** @internal */
  protected override release(ptr: number): void {
    this.library.abi.wassl_BIO_free(ptr);
    if (this.#internalIsOurs) this.library.abi.wassl_BIO_free(this.internal);
  }
}
