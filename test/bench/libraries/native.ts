/** Node.js's own `tls`: OpenSSL with assembly, in native code. */
import { once } from "node:events";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import { type Library, overStream, type Settings } from "../library.ts";

const common = ({ group, suite }: Settings) => ({
  minVersion: "TLSv1.3" as const,
  ciphers: suite,
  ecdhCurve: group,
});

export const library: Library = {
  async client(settings, caPem, resume) {
    const secureContext = createSecureContext({ ...common(settings), ca: caPem });
    let session: Buffer | undefined;
    return async (duplex) => {
      const socket = connect({
        socket: duplex,
        secureContext,
        servername: "localhost",
        ...(session && { session }),
      });
      if (resume) {
        socket.on("session", (latest) => {
          session = latest;
        });
      }
      await once(socket, "secureConnect");
      if (!socket.authorized && !socket.isSessionReused()) throw socket.authorizationError;
      return overStream(socket);
    };
  },

  async server(settings, cert, key) {
    const secureContext = createSecureContext({ ...common(settings), cert, key });
    return async (duplex) => {
      const socket = new TLSSocket(duplex, { isServer: true, secureContext });
      await once(socket, "secure");
      return overStream(socket);
    };
  },
};
