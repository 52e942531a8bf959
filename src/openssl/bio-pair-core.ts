import { type Borrowed, type Bytes, bool, lend, type Owned } from "../binding/pointers.js";
import { TlsError } from "../errors.js";
import { Handle, type Library, requireBytes } from "./library.js";

/** What this package's own connections need of a BIO pair. {@link BioPair} has the rest. */
export class BioPairCore extends Handle<"bioPairs"> {
  /** @internal */
  static readonly kind = "bioPairs";
  /** The internal half, which lives as long as the `Ssl` that has taken it; 0 = it is gone. */
  #internal: Borrowed<"BIO"> | 0;
  /** The same, until then: 0 = an `Ssl` has taken it. */
  #ours: Owned<"BIO"> | 0;

  /** @internal */
  constructor(library: Library, network: Owned<"BIO">, internal: Owned<"BIO">) {
    super(library, network);
    this.#internal = lend(internal);
    this.#ours = internal;
  }

  get #lent(): Borrowed<"BIO"> {
    if (this.#internal === 0) throw new TlsError("freed", "the Ssl of this BioPair was freed");
    return this.#internal;
  }

  /**
   * @param internalSize room for what OpenSSL has written and was not fetched yet, in bytes; 0 = 17 KiB, a record
   * @param networkSize room for what the transport brought and OpenSSL has not read yet, in bytes; 0 = 17 KiB
   * @param datagram keep the bounds of each write, as DTLS needs
   * @internal
   */
  static create<T extends BioPairCore>(
    this: new (
      library: Library,
      network: Owned<"BIO">,
      internal: Owned<"BIO">,
    ) => T,
    library: Library,
    internalSize: number,
    networkSize: number,
    datagram: boolean,
  ): T {
    const { abi, memory } = library;
    abi.wassl_ERR_clear_error();
    // The network half is put behind the internal one.
    const [internal, network] = [memory.slot<Owned<"BIO">>(0), memory.slot<Owned<"BIO">>(1)];
    const made = abi.wassl_BIO_new_bio_pair(internalSize, networkSize, bool(datagram), internal);
    library.check(made, `no BIO pair of ${internalSize} and ${networkSize} bytes`);
    return new this(library, memory.result(network), memory.result(internal));
  }

  /**
   * Gives the pair rings of other sizes (see {@link BioPairCore.create}). Returns false if the pair holds bytes or there is
   * no memory. Not after {@link BioPairCore.shutdownWrite}.
   *
   * @internal
   */
  resize(internalSize: number, networkSize: number): boolean {
    return this.library.abi.wassl_BIO_resize_bio_pair(this.#lent, internalSize, this.ptr, networkSize) === 1;
  }

  /**
   * Hands the internal half to the `SSL` that `make` makes, which frees it; if it makes none the half stays here.
   * @internal
   */
  giveInternal(make: (internal: Owned<"BIO">) => Owned<"SSL"> | 0): Owned<"SSL"> | 0 {
    if (this.#ours === 0) {
      throw new TlsError("invalid-argument", "this BIO pair belongs to another Ssl already");
    }
    const ssl = make(this.#ours);
    if (ssl !== 0) this.#ours = 0;
    return ssl;
  }

  /** The `Ssl` is freed, and has freed it. @internal */
  internalFreed(): void {
    this.#internal = 0;
  }

  get internalIsTaken(): boolean {
    return this.#ours === 0;
  }

  /** `BIO_read(3)` on the network half. Returns how many bytes; 0 = the end, -1 = nothing is there now. */
  read(dst: Uint8Array): number {
    requireBytes(dst, "the destination");
    const { abi, memory } = this.library;
    let done = 0;
    // Twice at most: the ring may wrap around.
    while (done < dst.length) {
      const from = memory.slot<Bytes>();
      const n = abi.wassl_BIO_nread(this.ptr, from, dst.length - done);
      if (n <= 0) return done > 0 ? done : n;
      dst.set(memory.view(memory.result(from), n), done);
      done += n;
    }
    return done;
  }

  /** Takes out what is there, up to where the ring wraps around. @internal */
  take(): Uint8Array<ArrayBuffer> {
    const { abi, memory } = this.library;
    const from = memory.slot<Bytes>();
    const n = abi.wassl_BIO_nread(this.ptr, from, 2 ** 30);
    return n > 0 ? memory.copyOut(memory.result(from), n) : new Uint8Array(0);
  }

  /** `BIO_write(3)` on the network half. Returns how many bytes there was room for; -1 = no room. */
  write(src: Uint8Array): number {
    requireBytes(src, "the source");
    const { abi, memory } = this.library;
    let done = 0;
    while (done < src.length) {
      const to = memory.slot<Bytes>();
      const n = abi.wassl_BIO_nwrite(this.ptr, to, src.length - done);
      if (n <= 0) return done > 0 ? done : n;
      memory.copyIn(src.subarray(done, done + n), memory.result(to));
      done += n;
    }
    return done;
  }

  /** Bytes that wait to be read from the network half. */
  pending(): number {
    return this.library.abi.wassl_BIO_ctrl_pending(this.ptr);
  }

  /** Bytes written to the network half that OpenSSL has not read. */
  wpending(): number {
    return this.library.abi.wassl_BIO_ctrl_wpending(this.ptr);
  }

  /** `BIO_shutdown_wr(3)`: the transport has ended; OpenSSL reads what is left, then the end. */
  shutdownWrite(): void {
    this.library.abi.wassl_BIO_shutdown_wr(this.ptr);
  }

  /**
   * Takes back what was written to the network half and OpenSSL has not read. After the peer's close_notify that is
   * what followed it. Only while the `Ssl` lives.
   */
  takeUnread(): Uint8Array<ArrayBuffer> {
    const { abi, memory } = this.library;
    const bytes = new Uint8Array(this.wpending());
    let done = 0;
    while (done < bytes.length) {
      const from = memory.slot<Bytes>();
      const n = abi.wassl_BIO_nread(this.#lent, from, bytes.length - done);
      if (n <= 0) break;
      bytes.set(memory.view(memory.result(from), n), done);
      done += n;
    }
    return bytes.subarray(0, done);
  }

  /** @internal */
  protected override release(ptr: Owned<"BIO">): void {
    this.library.abi.wassl_BIO_free(ptr);
    if (this.#ours !== 0) this.library.abi.wassl_BIO_free(this.#ours);
  }
}
