/** A client's connection to a peer of this run. */
import { type ClientOptions, startTls, type TlsStream } from "wassl";
import { afterTest, env } from "./env.ts";

/** Connects as "localhost", trusting this run's CA, unless told otherwise. */
export async function connectTls(peer: string, options: Partial<ClientOptions> = {}): Promise<TlsStream> {
  const transport = await env.connect(peer);
  const stream = await startTls(transport, { hostname: "localhost", caCerts: env.certs.caPem, ...options });
  afterTest(() => stream.abort());
  return stream;
}
