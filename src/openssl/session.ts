import { type Library, Owned, requireBytes } from "./library.js";

/** `SSL_SESSION`: what two ends keep so that their next handshake is short. Holds secrets. */
export class SslSession extends Owned {
  /** @internal */
  static parse(library: Library, der: Uint8Array): SslSession {
    requireBytes(der, "a session");
    const { abi, memory } = library;
    abi.tls_ERR_clear_error();
    const ptr = memory.withBytes(der, (at, length) => abi.tls_d2i_SSL_SESSION(at, length));
    return new SslSession(library, library.check(ptr, "this is no session", "invalid-argument"));
  }

  /** `SSL_SESSION_is_resumable(3)` */
  isResumable(): boolean {
    return this.library.abi.tls_SSL_SESSION_is_resumable(this.ptr) === 1;
  }

  /** For example 0x0304 for TLS 1.3. */
  getProtocolVersion(): number {
    return this.library.abi.tls_SSL_SESSION_get_protocol_version(this.ptr);
  }

  /** `i2d_SSL_SESSION(3)`. Whoever has these bytes can resume the session: keep them as a key. */
  toDer(): Uint8Array {
    const der = this.library.memory.takeBytes(this.library.abi.tls_i2d_SSL_SESSION(this.ptr));
    if (!der) throw this.library.failure("the session cannot be written");
    return der;
  }

  /** @internal */
  protected override release(ptr: number): void {
    this.library.abi.tls_SSL_SESSION_free(ptr);
  }
}
