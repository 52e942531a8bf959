import type { Duplex } from "node:stream";
import { acceptTls, startTls, TlsContext, type TlsStream } from "wassl";
import { nodeTransport } from "wassl/transports/node";
import type { Connection, Library, Settings } from "../library.ts";

const common = ({ group, suite }: Settings) => ({
  minVersion: "TLSv1.3" as const,
  cipherSuites: suite,
  groups: group,
});

export const library: Library = {
  async client(settings, caCerts, resume) {
    const context = await TlsContext.client({ ...common(settings), caCerts });
    const options = { context, hostname: "localhost", ...(!resume && { sessionStore: false as const }) };
    return async (duplex) => connection(await startTls(transport(duplex), options));
  },

  async server(settings, cert, key) {
    const context = await TlsContext.server({ ...common(settings), cert, key });
    return async (duplex) => connection(await acceptTls(transport(duplex), { context }));
  },
};

const transport = (duplex: Duplex) => nodeTransport(duplex);

function connection(tls: TlsStream): Connection {
  const reader = tls.readable.getReader();
  const writer = tls.writable.getWriter();
  let have = 0;
  return {
    async receive(length) {
      while (have < length) {
        const { done, value } = await reader.read();
        if (done) throw new Error("the connection was closed");
        have += value.length;
      }
      have -= length;
    },
    send: (bytes) => writer.write(bytes),
    close: () => tls.close(),
  };
}
