/** @reclaimprotocol/tls: WebCrypto, and ChaCha20-Poly1305 in JavaScript; a client alone. */
import type { Duplex } from "node:stream";
import { Arrivals, type Library } from "../library.ts";

interface Tls {
  startHandshake(options?: { psk?: unknown }): Promise<void>;
  handleReceivedBytes(bytes: Uint8Array): Promise<void>;
  write(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
  getPskFromTicket(ticket: unknown): Promise<unknown>;
}

interface Reclaim {
  setCryptoImplementation(implementation: unknown): void;
  loadX509FromPem(pem: string): unknown;
  makeTLSClient(options: {
    host: string;
    rootCAs: unknown[];
    logger: Record<"info" | "debug" | "trace" | "warn" | "error", () => void>;
    cipherSuites: string[];
    namedCurves: string[];
    supportedProtocolVersions: string[];
    write(packet: { header: Uint8Array; content: Uint8Array }): void;
    onHandshake(): void;
    onApplicationData(bytes: Uint8Array): void;
    onSessionTicket(ticket: unknown): void;
    onTlsEnd(error?: Error): void;
  }): Tls;
}

const name: string = "@reclaimprotocol/tls";
const { setCryptoImplementation, loadX509FromPem, makeTLSClient } = (await import(name)) as Reclaim;
const { webcryptoCrypto } = (await import(`${name}/webcrypto`)) as { webcryptoCrypto: unknown };
setCryptoImplementation(webcryptoCrypto);
const silence = () => {};

export const library: Library = {
  async client({ suite, group }, caPem, resume) {
    if (group !== "X25519") throw new Error(`@reclaimprotocol/tls: no ${group}`);
    const rootCAs = [loadX509FromPem(caPem)];
    let psk: unknown;
    return async (duplex: Duplex) => {
      const arrivals = new Arrivals();
      let tls!: Tls;
      const ready = new Promise<void>((resolve, reject) => {
        tls = makeTLSClient({
          host: "localhost",
          rootCAs,
          logger: { info: silence, debug: silence, trace: silence, warn: silence, error: silence },
          cipherSuites: [suite],
          namedCurves: [group],
          supportedProtocolVersions: ["TLS1_3"],
          write({ header, content }) {
            duplex.write(header);
            duplex.write(content);
          },
          onHandshake: resolve,
          onApplicationData: (bytes) => arrivals.add(bytes.length),
          onSessionTicket(ticket) {
            if (!resume) return;
            tls.getPskFromTicket(ticket).then((key) => {
              psk = key;
            });
          },
          onTlsEnd(error) {
            const reason = error ?? new Error("the connection was closed");
            reject(reason);
            arrivals.fail(reason);
          },
        });
      });
      duplex.on("data", (bytes: Uint8Array) => void tls.handleReceivedBytes(bytes));
      await tls.startHandshake(psk === undefined ? {} : { psk });
      await ready;
      return {
        receive: (length) => arrivals.take(length),
        async send(bytes) {
          await tls.write(bytes);
          while (duplex.writableNeedDrain) await new Promise((resolve) => duplex.once("drain", resolve));
        },
        close: () => void duplex.end(),
      };
    };
  },
};
