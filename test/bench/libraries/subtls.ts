/** TLS 1.3 by WebCrypto: P-256 and AES-128-GCM alone, a client alone. */
import type { Duplex } from "node:stream";
import { chunksOf, type Library } from "../library.ts";

type Read = (length: number, mode?: number) => Promise<Uint8Array | undefined>;

interface Subtls {
  LazyReadFunctionReadQueue: new (read: () => Promise<Uint8Array | undefined>) => { read: Read };
  TrustedCert: { databaseFromPEM(pem: string): Promise<unknown> };
  startTls(
    host: string,
    roots: unknown,
    read: Read,
    write: (bytes: Uint8Array) => void,
    options: { requireDigitalSigKeyUsage: boolean },
  ): Promise<{ read(): Promise<Uint8Array | undefined>; write(bytes: Uint8Array): Promise<void> }>;
}

const name: string = "subtls";
const { LazyReadFunctionReadQueue, TrustedCert, startTls } = (await import(name)) as Subtls;

export const library: Library = {
  async client({ suite, group }, caPem, resume) {
    if (suite !== "TLS_AES_128_GCM_SHA256") throw new Error("subtls: AES-128-GCM is its only cipher");
    if (group !== "P-256") throw new Error(`subtls: no ${group}`);
    if (resume) throw new Error("subtls: no resumption");
    const roots = await TrustedCert.databaseFromPEM(caPem);
    return async (duplex: Duplex) => {
      const next = chunksOf(duplex);
      const queue = new LazyReadFunctionReadQueue(next);
      const tls = await startTls(
        "localhost",
        roots,
        (length, mode) => queue.read(length, mode),
        (bytes) => duplex.write(bytes),
        { requireDigitalSigKeyUsage: false },
      );
      let have = 0;
      return {
        async receive(length) {
          while (have < length) {
            const bytes = await tls.read();
            if (!bytes) throw new Error("the connection was closed");
            have += bytes.length;
          }
          have -= length;
        },
        async send(bytes) {
          await tls.write(bytes);
          // Its write to the transport returns nothing, so this is ours to look at.
          while (duplex.writableNeedDrain) await new Promise((resolve) => duplex.once("drain", resolve));
        },
        close: () => void duplex.end(),
      };
    };
  },
};
