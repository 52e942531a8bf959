/** Both ends of a connection in memory, through the public API. */
import {
  acceptTls,
  type ClientOptions,
  type ServerOptions,
  startTls,
  type TlsStream,
  type Transport,
} from "wassl";
import { pair } from "../fakes/pair.ts";
import { readAtLeast, text, utf8, within, write } from "./basics.ts";
import { afterTest, env } from "./env.ts";

/** What a server needs. */
export const server = (): ServerOptions => ({ cert: env.certs.chains.ecdsa, key: env.certs.keys.ecdsa });
/** What a client needs. */
export const client = (): ClientOptions => ({ hostname: "localhost", caCerts: env.certs.caPem });
/** The identity of a client. */
export const clientCert = () => ({ cert: env.certs.chains.client, key: env.certs.keys.client });

/** Both ends over these transports. */
export async function over(
  [near, far]: readonly [Transport, Transport],
  clientOptions: Partial<ClientOptions> = {},
  serverOptions: Partial<ServerOptions> = {},
): Promise<[client: TlsStream, server: TlsStream]> {
  const both = await Promise.all([
    startTls(near, { ...client(), ...clientOptions }),
    acceptTls(far, { ...server(), ...serverOptions }),
  ]);
  for (const stream of both) afterTest(() => stream.abort());
  return both;
}

/** Both ends in memory; each with what its handshake came to. */
export async function handshake(
  clientOptions: Partial<ClientOptions>,
  serverOptions: Partial<ServerOptions>,
): Promise<[client: PromiseSettledResult<TlsStream>, server: PromiseSettledResult<TlsStream>]> {
  const [near, far] = pair();
  const both = await Promise.allSettled([
    startTls(near, { ...client(), ...clientOptions }),
    acceptTls(far, { ...server(), ...serverOptions }),
  ]);
  for (const end of both) if (end.status === "fulfilled") afterTest(() => end.value.abort());
  return both;
}

/** The client's newest session. In TLS 1.3 it comes behind the handshake, and so ahead of a byte of the server. */
export async function sessionAfter(near: TlsStream, far: TlsStream): Promise<Uint8Array | undefined> {
  await write(far.writable, utf8("."));
  await within(readAtLeast(near.readable, 1), 3_000);
  return near.getSession();
}

/** Both ends after a handshake that succeeds, and a few bytes each way. */
export async function connected(
  clientOptions: Partial<ClientOptions>,
  serverOptions: Partial<ServerOptions>,
): Promise<{ client: TlsStream; server: TlsStream }> {
  const [near, far] = await handshake(clientOptions, serverOptions);
  if (near.status === "rejected") throw near.reason;
  if (far.status === "rejected") throw far.reason;
  for (const [from, to] of [
    [near.value, far.value],
    [far.value, near.value],
  ] as const) {
    await write(from.writable, utf8("hello"));
    if (text(await readAtLeast(to.readable, 5)) !== "hello") throw new Error("the bytes differ");
  }
  return { client: near.value, server: far.value };
}
