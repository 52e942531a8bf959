/** No TLS at all: what the transport costs by itself. */
import { type Library, overStream } from "../library.ts";

export const library: Library = {
  client: async () => async (duplex) => overStream(duplex),
  server: async () => async (duplex) => overStream(duplex),
};
