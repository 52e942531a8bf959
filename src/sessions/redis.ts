/**
 * Sessions in Redis (6.2 or later), for many processes that speak with the same servers.
 *
 * @module
 */

import { callback, isBytes, longerThan0, readOptions, type Table, text, whole } from "../check.js";
import { asyncDispose } from "../engine.js";
import { TlsError } from "../errors.js";
import { within } from "../timers.js";
import type { Transport } from "../transport.js";
import { type Reply, RespConnection } from "./resp.js";
import type { SessionStore } from "./store.js";

export type { SessionStore } from "./store.js";

export interface RedisSessionStoreOptions {
  /**
   * Connects to the server: a socket, or a `TlsStream` over one. Called at the first use, and again after the
   * connection has failed. The connection carries keys: over a network that you do not trust, use TLS.
   */
  connect(): Transport | Promise<Transport>;
  /** The text before each key. Default "wassl:session:". */
  prefix?: string;
  /** For `AUTH`; without a `username` it is the default user's. */
  password?: string;
  username?: string;
  /** For `SELECT`. Default 0. */
  database?: number;
  /**
   * How long an answer may take, connecting included, in milliseconds. A handshake waits for it, for two seconds at
   * most. Default 1,000.
   */
  timeout?: number;
}

const OPTIONS: Table<RedisSessionStoreOptions> = {
  connect: callback,
  prefix: text,
  password: text,
  username: text,
  database: whole(0, 2 ** 31 - 1),
  timeout: longerThan0,
};

/**
 * Keeps one session for each key. Its connection keeps a Node.js program alive until `close()`.
 *
 * @example
 * ```ts
 * import { connect } from "node:net";
 * import { startTls } from "wassl";
 * import { RedisSessionStore } from "wassl/sessions/redis";
 * import { nodeTransport } from "wassl/transports/node";
 *
 * await using sessionStore = new RedisSessionStore({
 *   connect: () => nodeTransport(connect({ host: "redis.internal", port: 6379, allowHalfOpen: true })),
 *   password: "secret",
 * });
 * const tls = await startTls(transport, { hostname: "example.org", caCerts: pem, sessionStore });
 * ```
 */
export class RedisSessionStore implements SessionStore, AsyncDisposable {
  readonly #options: RedisSessionStoreOptions;
  readonly #prefix: string;
  readonly #timeout: number;
  #connection: Promise<RespConnection> | undefined;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(options: RedisSessionStoreOptions) {
    const read = readOptions(options, OPTIONS, "RedisSessionStore");
    if (read.connect === undefined)
      throw new TlsError(
        "invalid-argument",
        "RedisSessionStore needs connect, a function that makes a transport to Redis",
      );
    // It may be a method, of whatever that is.
    this.#options = { ...read, connect: () => read.connect.call(options) };
    this.#prefix = read.prefix ?? "wassl:session:";
    this.#timeout = read.timeout ?? 1_000;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return bytesOf(await this.#command("GET", this.#prefix + key));
  }

  async put(key: string, session: Uint8Array, expires: number): Promise<void> {
    const left = Math.floor(expires - Date.now());
    if (left > 0) await this.#command("SET", this.#prefix + key, session, "PX", String(left));
  }

  async take(key: string): Promise<Uint8Array | undefined> {
    return bytesOf(await this.#command("GETDEL", this.#prefix + key));
  }

  /** Closes the connection when what is under way is done; the next use opens a new one. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    const connection = this.#connection;
    this.#connection = undefined;
    await (await connection?.catch(() => undefined))?.close();
  }

  [asyncDispose](): Promise<void> {
    return this.close();
  }

  #command(...parts: (string | Uint8Array)[]): Promise<Reply> {
    const answer = this.#answer(parts);
    this.#underWay.add(answer);
    const done = () => this.#underWay.delete(answer);
    answer.then(done, done);
    return answer;
  }

  async #answer(parts: (string | Uint8Array)[]): Promise<Reply> {
    const connecting = this.#connection ?? this.#begin();
    let late = false;
    const ask = async () => (await connecting).command(...parts);
    try {
      return await within(this.#timeout, ask(), () => {
        late = true;
        return new TlsError("timeout", `Redis did not answer within ${this.#timeout} ms`);
      });
    } catch (error) {
      // Replies have no numbers. After a command whose reply is not awaited any more, its late reply would be taken for
      // the next command's. So the connection is given up.
      if (late) {
        this.#forget(connecting);
        connecting.then(
          (connection) => connection.abort(error),
          () => {},
        );
      }
      throw error;
    }
  }

  #begin(): Promise<RespConnection> {
    const connecting = this.#connect();
    this.#connection = connecting;
    connecting
      .then((connection) => connection.ended)
      .catch(() => {})
      .then(() => this.#forget(connecting));
    return connecting;
  }

  #forget(connecting: Promise<RespConnection>): void {
    if (this.#connection === connecting) this.#connection = undefined;
  }

  async #connect(): Promise<RespConnection> {
    const { username, password, database = 0 } = this.#options;
    let connection: RespConnection | undefined;
    try {
      connection = new RespConnection(await this.#options.connect());
      if (password !== undefined) await connection.command("AUTH", ...(username ? [username] : []), password);
      if (database !== 0) await connection.command("SELECT", String(database));
      return connection;
    } catch (error) {
      connection?.abort(error);
      throw error;
    }
  }
}

function bytesOf(reply: unknown): Uint8Array | undefined {
  return isBytes(reply) ? reply : undefined;
}
