import { acceptTls, startTls, TlsContext } from "wassl";
import { nodeTransport } from "wassl/transports/node";
import type { Library } from "../library.ts";
import { overStreams, tls13Options } from "./wassl-streams.ts";

export const library: Library = {
  async client(settings, caCerts, resume) {
    const context = await TlsContext.client({ ...tls13Options(settings), caCerts });
    const options = { context, hostname: "localhost", ...(!resume && { sessionStore: false as const }) };
    return async (duplex) => overStreams(await startTls(nodeTransport(duplex), options));
  },

  async server(settings, cert, key) {
    const context = await TlsContext.server({ ...tls13Options(settings), cert, key });
    return async (duplex) => overStreams(await acceptTls(nodeTransport(duplex), { context }));
  },
};
