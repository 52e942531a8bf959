/** An `Ssl` of the faithful layer over a real transport: as little as one needs to speak with a peer by hand. */

import type { Transport } from "wassl";
import * as ssl from "wassl/openssl";
import { dispose } from "./dispose.ts";

export class Live implements Disposable {
  readonly ssl: ssl.Ssl;
  readonly #pair: ssl.BioPair;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(instance: ssl.OpenSsl, context: ssl.SslContext, transport: Transport) {
    this.#pair = instance.newBioPair(1 << 17);
    this.ssl = context.newSsl(this.#pair);
    this.#reader = transport.readable.getReader();
    this.#writer = transport.writable.getWriter();
  }

  /** Repeats one of the `try…` operations until it is done, and gives what it answered last. */
  async run(operation: (connection: ssl.Ssl) => number): Promise<number> {
    for (;;) {
      const r = operation(this.ssl);
      await this.flush();
      if (r !== -ssl.SSL_ERROR_WANT_READ) return r;
      const { done, value } = await this.#reader.read();
      if (done) this.#pair.shutdownWrite();
      else this.#pair.write(value);
    }
  }

  async flush(): Promise<void> {
    const bytes = new Uint8Array(this.#pair.pending());
    if (bytes.length === 0) return;
    this.#pair.read(bytes);
    await this.#writer.write(bytes);
  }

  /** Sends close_notify, reads to the peer's, and closes the transport. */
  async end(): Promise<void> {
    this.ssl.tryShutdown();
    await this.flush();
    const sink = new Uint8Array(1 << 14);
    let r: number;
    do r = await this.run((connection) => connection.tryRead(sink));
    while (r > 0);
    await this.#writer.close().catch(() => {});
    await this.#reader.cancel().catch(() => {});
  }

  [dispose](): void {
    this.ssl.free();
    this.#pair.free();
  }
}
