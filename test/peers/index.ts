/** All peers by name: `kind?parameters`; see the files for what there is. */
import { startFault } from "./fault.ts";
import { startNodeTls } from "./node-tls.ts";
import type { Peer, PeerContext, StartPeer } from "./peer.ts";
import { startPostgres } from "./postgres.ts";
import { startGnutls, startNginx, startOpenssl, startOpensslClient, startRedis } from "./processes.ts";
import { startRaw, startTcp } from "./raw.ts";
import { startFront, startWebsockify } from "./relays.ts";
import { startSmtp } from "./smtp.ts";
import { startWisp } from "./wisp.ts";

const kinds: Record<string, StartPeer> = {
  openssl: startOpenssl,
  s_client: startOpensslClient,
  gnutls: startGnutls,
  nginx: startNginx,
  redis: startRedis,
  postgres: startPostgres,
  tls: startNodeTls,
  raw: startRaw,
  tcp: startTcp,
  fault: startFault,
  smtp: startSmtp,
  websockify: startWebsockify,
  front: startFront,
  wisp: startWisp,
};

export class Peers {
  readonly #context: Omit<PeerContext, "peer">;
  readonly #started = new Map<string, Promise<Peer>>();
  readonly #all: Peer[] = [];

  constructor(context: Omit<PeerContext, "peer">) {
    this.#context = context;
  }

  /**
   * The peer of this name: the one that runs, or a new one, which it always is for `openssl` without an `id`. An `id`
   * has no other meaning than to make a name that no other test uses. Each runtime has peers of its own, since two of
   * them may be at work at once.
   */
  async get(name: string, runtime: string): Promise<Peer> {
    const key = `${runtime} ${name}`;
    const running = this.#started.get(key);
    if (running) return running;
    const [kind = "", parameters = ""] = name.split(/\?(.*)/s);
    const start = kinds[kind];
    if (!start) throw new Error(`there is no peer "${name}"`);
    const context = { ...this.#context, peer: (other: string) => this.get(other, runtime) };
    const given = new URLSearchParams(parameters);
    const starting = start(context, given);
    if (kind !== "openssl" || given.has("id")) this.#started.set(key, starting);
    const peer = await starting;
    this.#all.push(peer);
    return peer;
  }

  has(port: number): boolean {
    return this.#all.some((peer) => peer.port === port);
  }

  close(): void {
    for (const peer of this.#all) peer.close();
  }
}
