/**
 * Two `Ssl` in one instance, joined in memory by a wire that does only what it is told: nothing moves but in a call
 * that says so. Through `wassl/openssl` alone, so that a test sees what OpenSSL itself answers.
 */

import type { Alert } from "wassl";
import * as ssl from "wassl/openssl";
import { dispose } from "../helpers/dispose.ts";
import type { Certs } from "../peers/certs.ts";
import { concat } from "./wrappers.ts";

/** The names of what `SSL_get_error(3)` answers. */
const ERROR_NAMES: Readonly<Record<number, string>> = {
  [ssl.SSL_ERROR_NONE]: "NONE",
  [ssl.SSL_ERROR_SSL]: "SSL",
  [ssl.SSL_ERROR_WANT_READ]: "WANT_READ",
  [ssl.SSL_ERROR_WANT_WRITE]: "WANT_WRITE",
  [ssl.SSL_ERROR_SYSCALL]: "SYSCALL",
  [ssl.SSL_ERROR_ZERO_RETURN]: "ZERO_RETURN",
};

/** What one operation came to. */
export class Outcome {
  /** OpenSSL's return value. */
  readonly ret: number;
  /** `SSL_get_error(3)` by name. */
  readonly error: string;
  /** The reasons in the error queue, earliest first. */
  readonly reasons: readonly string[];
  /** `SSL_get_shutdown(3)` afterwards. */
  readonly flags: number;
  /** How many bytes left for the peer. */
  readonly bytes: number;
  /** How often OpenSSL's function was called: 1, unless the pair was too small. */
  readonly calls: number;
  /** What the calls before the last one answered, each different answer once. */
  readonly waits: readonly string[];
  readonly data: Uint8Array;

  constructor(fields: Omit<Outcome, "toString">) {
    this.ret = fields.ret;
    this.error = fields.error;
    this.reasons = fields.reasons;
    this.flags = fields.flags;
    this.bytes = fields.bytes;
    this.calls = fields.calls;
    this.waits = fields.waits;
    this.data = fields.data;
  }

  /** All that matters in one line, as in `-1 SSL (shutdown while in init), st 0, 0 bytes`. */
  toString(): string {
    const why = this.reasons.length > 0 ? ` (${this.reasons.join("; ")})` : "";
    const error = this.ret > 0 ? "" : ` ${this.error}`;
    return `${this.ret}${error}${why}, st ${this.flags}, ${this.bytes} bytes`;
  }
}

/** One end: its `Ssl`, and what is on the wire towards it. */
export class End {
  readonly pair: ssl.BioPair;
  readonly ssl: ssl.Ssl;
  /** Where what this end sends goes. */
  peer: End | undefined;
  /** What arrived, and is not in the BIO pair yet. Tests change it, as an attacker or an accident would. */
  inbox: Uint8Array = new Uint8Array(0);
  readonly #instance: ssl.OpenSsl;
  #ended = false;

  constructor(instance: ssl.OpenSsl, context: ssl.SslContext, size: number, networkSize: number) {
    this.#instance = instance;
    this.pair = instance.newBioPair(size, networkSize);
    this.ssl = context.newSsl(this.pair);
  }

  /** After what arrived comes the end of the transport. */
  end(): void {
    this.#ended = true;
  }

  /** Moves what OpenSSL has written from the pair to the peer's inbox; how many bytes. */
  drain(): number {
    const bytes = this.#take();
    this.#send([bytes]);
    return bytes.length;
  }

  #take(): Uint8Array {
    const bytes = new Uint8Array(this.pair.pending());
    if (bytes.length > 0) this.pair.read(bytes);
    return bytes;
  }

  #send(chunks: readonly Uint8Array[]): void {
    if (this.peer && chunks.length > 0) this.peer.inbox = concat([this.peer.inbox, ...chunks]);
  }

  /** Moves what arrived into the pair, as far as there is room; whether anything changed. */
  feed(): boolean {
    const n = Math.min(this.inbox.length, this.pair.writeGuarantee());
    if (n > 0) this.pair.write(this.inbox.subarray(0, n));
    this.inbox = this.inbox.subarray(n);
    if (this.#ended && this.inbox.length === 0) {
      this.#ended = false;
      this.pair.shutdownWrite();
      return true;
    }
    return n > 0;
  }

  shutdown(): Outcome {
    return this.#run(
      () => this.ssl.shutdown(),
      (ret) => ret < 0,
    );
  }

  handshake(): Outcome {
    return this.#run(() => this.ssl.doHandshake());
  }

  write(bytes: Uint8Array): Outcome {
    return this.#run(() => this.ssl.write(bytes));
  }

  read(max = 20_000): Outcome {
    const dst = new Uint8Array(max);
    return this.#run(() => this.ssl.read(dst), undefined, dst);
  }

  peek(max = 20_000): Outcome {
    const dst = new Uint8Array(max);
    return this.#run(() => this.ssl.peek(dst), undefined, dst);
  }

  /** One call as it is: nothing is moved before or after it, and no error is cleared. */
  once(call: (connection: ssl.Ssl) => number): Outcome {
    const ret = call(this.ssl);
    return this.#outcome(ret, 0, 1, new Set(), new Uint8Array(0));
  }

  /** Calls until OpenSSL waits for something that the wire does not have, or has an answer. */
  #run(call: () => number, failed = (ret: number) => ret <= 0, dst = new Uint8Array(0)): Outcome {
    const waits = new Set<string>();
    // It goes off at the end: a pair of one byte makes thousands of them.
    const sent: Uint8Array[] = [];
    let bytes = 0;
    for (let calls = 1; ; calls++) {
      this.feed();
      this.#instance.clearErrors();
      const ret = call();
      const outcome = this.#outcome(ret, bytes, calls, waits, dst.subarray(0, Math.max(ret, 0)));
      const drained = this.#take();
      if (drained.length > 0) sent.push(drained);
      bytes += drained.length;
      const mayGoOn =
        (outcome.error === "WANT_WRITE" && drained.length > 0) ||
        (outcome.error === "WANT_READ" && this.feed());
      if (!failed(ret) || !mayGoOn) {
        this.#send(sent);
        return new Outcome({ ...outcome, bytes });
      }
      waits.add(`${outcome.ret} ${outcome.error}, st ${outcome.flags}`);
    }
  }

  #outcome(ret: number, bytes: number, calls: number, waits: Set<string>, data: Uint8Array): Outcome {
    // Asked at once, and before the queue is emptied, as SSL_get_error(3) wants it.
    const error = ERROR_NAMES[this.ssl.getError(ret)] ?? "?";
    const reasons = this.#instance.errors().map(({ reason }) => reason);
    return new Outcome({
      ret,
      error,
      reasons,
      flags: this.ssl.getShutdown(),
      bytes,
      calls,
      waits: [...waits],
      data,
    });
  }

  free(): void {
    this.ssl.free();
    this.pair.free();
  }
}

/** The alerts since the events were last taken, without what else there was. */
export function alertsOf(connection: ssl.Ssl): Alert[] {
  return connection.takeEvents().flatMap((event) => (event.type === "alert" ? [event] : []));
}

export interface ContextSetup {
  version?: number;
  client?(context: ssl.SslContext): void;
  server?(context: ssl.SslContext): void;
}

/** A client's and a server's `SSL_CTX`, for as many connections as a test needs. */
export class Contexts implements Disposable {
  readonly client: ssl.SslContext;
  readonly server: ssl.SslContext;
  readonly #instance: ssl.OpenSsl;

  constructor(instance: ssl.OpenSsl, certs: Certs, setup: ContextSetup = {}) {
    this.#instance = instance;
    this.client = instance.newContext("client");
    this.client.addCaCert(certs.caPem);
    this.client.setVerify(ssl.SSL_VERIFY_PEER);
    this.server = instance.newContext("server");
    this.server.useCertificateChain(certs.chains.ecdsa);
    this.server.usePrivateKey(certs.keys.ecdsa);
    for (const context of [this.client, this.server]) {
      context.setMinProtoVersion(setup.version ?? 0);
      context.setMaxProtoVersion(setup.version ?? 0);
      // The cheapest of the groups; which one it is makes no difference to closing.
      context.setGroups("x25519:secp256r1");
    }
    setup.client?.(this.client);
    setup.server?.(this.server);
  }

  /** Two ends in their states, with nothing sent. */
  start(size = 0, networkSize = size): TwoEnds {
    const client = new End(this.#instance, this.client, size, networkSize);
    const server = new End(this.#instance, this.server, size, networkSize);
    client.peer = server;
    server.peer = client;
    client.ssl.setConnectState();
    server.ssl.setAcceptState();
    return new TwoEnds(client, server);
  }

  /** Two ends after the handshake. Tickets of TLS 1.3 are on the wire, or were read if `quiet`. */
  connect(options: { size?: number; session?: ssl.SslSession; quiet?: boolean } = {}): TwoEnds {
    const both = this.start(options.size);
    if (options.session) both.client.ssl.setSession(options.session);
    both.handshake();
    if (options.quiet ?? true) both.client.peek();
    return both;
  }

  [dispose](): void {
    this.client.free();
    this.server.free();
  }
}

export class TwoEnds implements Disposable {
  readonly client: End;
  readonly server: End;

  constructor(client: End, server: End) {
    this.client = client;
    this.server = server;
  }

  handshake(): void {
    for (let i = 0; i < 20; i++) {
      const done = [this.client.handshake(), this.server.handshake()];
      if (done.every(({ ret }) => ret === 1)) return;
    }
    throw new Error("the handshake does not get on");
  }

  [dispose](): void {
    this.client.free();
    this.server.free();
  }
}
