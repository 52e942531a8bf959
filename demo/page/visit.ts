import {
  type CloseInfo,
  startTls,
  type TlsEvent,
  type TlsInfo,
  type TlsStream,
  type Transport,
  type X509,
} from "wassl";
import { OpenSsl } from "wassl/openssl";
import { connectWebSocket } from "wassl/transports/websocket";
import { authority } from "./format.js";
import { HttpAnswer } from "./http-answer.js";
import { relayUrl } from "./relay-watch.js";

/** What the form asks for. */
export interface Order {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly caCerts: string;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
}

export type StepName = "relay" | "openssl" | "handshake" | "first-byte" | "answer";
export type Verb = "closeWrite" | "shutdown" | "close" | "abort";

/** Something that happened; `time` is `performance.now()`. */
export type Moment = { readonly time: number } & (
  | { type: "step"; step: StepName; phase: "begin" | "end" }
  | { type: "tls"; event: TlsEvent }
  | { type: "connected"; info: TlsInfo }
  | { type: "request"; line: string }
  | { type: "answer"; answer: HttpAnswer }
  | { type: "verb"; verb: Verb; phase: "begin" | "end"; detail?: string }
  | { type: "verb-failed"; verb: Verb; error: unknown }
  | { type: "read-end" }
  | { type: "ended"; info: CloseInfo | undefined; error: unknown }
  | { type: "failed"; error: unknown }
);

/** Omit that keeps a union a union. */
type Untimed<T> = T extends unknown ? Omit<T, "time"> : never;

let loading: Promise<OpenSsl> | undefined;

/** One instance serves every connection of the page. */
function loadOpenSsl(): Promise<OpenSsl> {
  loading ??= OpenSsl.load();
  // A second try must not get the old failure.
  loading.catch(() => {
    loading = undefined;
  });
  return loading;
}

/** One connection: dial, handshake, request, answer, and whichever end the user chooses. */
export class Visit {
  readonly id = crypto.randomUUID();
  readonly began = performance.now();
  readonly #abandoned = new AbortController();
  #stream: TlsStream | undefined;
  #answer: HttpAnswer | undefined;
  #openssl: OpenSsl | undefined;
  #busy = false;
  #over = false;
  #requesting = false;
  #wasAborted = false;

  constructor(
    readonly order: Order,
    private readonly observe: (moment: Moment) => void,
  ) {}

  get flags(): { sent: boolean; received: boolean } {
    return this.#stream?.shutdownFlags ?? { sent: false, received: false };
  }

  /** By this page, and not by something that went wrong. */
  get wasAborted(): boolean {
    return this.#wasAborted;
  }

  get protocol(): string | undefined {
    return this.#stream?.info.protocol;
  }

  get openSslVersion(): string {
    return this.#openssl?.version ?? "";
  }

  /** The one of our trust anchors that issued the last certificate which the server sent. */
  get anchor(): X509 | undefined {
    const openssl = this.#openssl;
    const last = this.#stream?.info.peerCertificates.at(-1);
    if (openssl === undefined || last === undefined) return undefined;
    return pemBlocks(this.order.caCerts)
      .map((pem) => openssl.parseX509(pem))
      .find(({ subject, der }) => subject === last.issuer && !sameBytes(der, last.der));
  }

  /** Which buttons make sense now. */
  get possible(): Record<Verb | "request", boolean> {
    const open = this.#stream !== undefined && !this.#over;
    const { sent, received } = this.flags;
    const idle = open && !this.#busy;
    const canAsk = this.#answer?.state === "complete" && this.#answer.keepsAlive && !this.#requesting;
    return {
      request: idle && !sent && !received && canAsk,
      closeWrite: idle && !sent,
      shutdown: idle,
      close: idle,
      abort: open,
    };
  }

  /** Connects and asks once; afterwards the connection stays open. Failures are moments, too. */
  async run(): Promise<void> {
    try {
      this.#stream = await this.#connect();
    } catch (error) {
      this.#over = true;
      this.#tell({ type: "failed", error });
      return;
    }
    this.#tell({ type: "connected", info: this.#stream.info });
    this.#stream.closed.then(
      (info) => this.#end(info, undefined),
      (error: unknown) => this.#end(undefined, error),
    );
    void this.#readAll(this.#stream);
    await this.request();
  }

  async request(): Promise<void> {
    const { host, port, path } = this.order;
    const line = `GET ${path} HTTP/1.1`;
    const head = [
      line,
      `Host: ${authority(host, port)}`,
      "User-Agent: wassl-demo",
      "Accept: */*",
      "Accept-Encoding: identity",
      "Connection: keep-alive",
      "",
      "",
    ].join("\r\n");
    this.#answer = new HttpAnswer();
    this.#requesting = true;
    this.#tell({ type: "request", line });
    this.#tell({ type: "step", step: "first-byte", phase: "begin" });
    const writer = this.#stream?.writable.getWriter();
    try {
      await writer?.write(new TextEncoder().encode(head));
    } catch {
      // The stream has failed; `closed` says how.
    } finally {
      writer?.releaseLock();
    }
  }

  async do(verb: Verb): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#busy = true;
    if (verb === "abort") this.#wasAborted = true;
    this.#tell({ type: "verb", verb, phase: "begin" });
    try {
      const detail = await perform(stream, verb);
      this.#busy = false;
      this.#tell({ type: "verb", verb, phase: "end", ...(detail === undefined ? {} : { detail }) });
    } catch (error) {
      this.#busy = false;
      this.#tell({ type: "verb-failed", verb, error });
    }
  }

  /** For leaving a connection behind: the page goes on to another one. */
  abandon(): void {
    this.#abandoned.abort();
  }

  async #connect(): Promise<TlsStream> {
    const { host, port, caCerts, minVersion, maxVersion } = this.order;
    const [transport, openssl] = await this.#dialAndLoad(host, port);
    const handshake = this.#timed("handshake", () =>
      startTls(transport, {
        hostname: host,
        caCerts: caCerts === "" ? [] : caCerts,
        minVersion,
        maxVersion,
        alpnProtocols: ["http/1.1"],
        handshakeTimeout: 15_000,
        signal: this.#abandoned.signal,
        openssl,
        onEvent: (event) => this.#tell({ type: "tls", event }),
      }),
    );
    // startTls closes the transport when the handshake fails, but leaves it alone when an option cannot work.
    handshake.catch((error: unknown) => transport.writable.abort(error).catch(() => {}));
    return await handshake;
  }

  /** Side by side: the network and the compiler do not wait for each other. */
  async #dialAndLoad(host: string, port: number): Promise<[Transport, OpenSsl]> {
    const [dialled, loaded] = await Promise.allSettled([
      this.#timed("relay", () =>
        connectWebSocket(relayUrl(this.id, host, port), { signal: this.#abandoned.signal }),
      ),
      this.#timed("openssl", async () => {
        this.#openssl = await loadOpenSsl();
        return this.#openssl;
      }),
    ]);
    if (loaded.status === "rejected" && dialled.status === "fulfilled")
      await dialled.value.writable.abort(loaded.reason).catch(() => {});
    if (loaded.status === "rejected") throw loaded.reason;
    if (dialled.status === "rejected") throw dialled.reason;
    return [dialled.value, loaded.value];
  }

  /** Reads to the end, whether or not an answer is due: the peer's close_notify is found by reading. */
  async #readAll(stream: TlsStream): Promise<void> {
    const reader = stream.readable.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.#take(value);
      }
      this.#finishAnswer(true);
      this.#tell({ type: "read-end" });
    } catch {
      // `closed` says how it failed.
      this.#finishAnswer(false);
    } finally {
      reader.releaseLock();
    }
  }

  #take(chunk: Uint8Array): void {
    const answer = this.#answer;
    if (answer === undefined || answer.state === "complete") return;
    if (answer.statusLine === "") {
      this.#tell({ type: "step", step: "first-byte", phase: "end" });
      this.#tell({ type: "step", step: "answer", phase: "begin" });
    }
    if (answer.add(chunk)) this.#answered();
    this.#tell({ type: "answer", answer });
  }

  #finishAnswer(properly: boolean): void {
    const answer = this.#answer;
    if (answer === undefined || answer.state === "complete") return;
    if (answer.end(properly)) this.#answered();
    this.#tell({ type: "answer", answer });
  }

  #answered(): void {
    this.#requesting = false;
    this.#tell({ type: "step", step: "answer", phase: "end" });
  }

  #end(info: CloseInfo | undefined, error: unknown): void {
    this.#over = true;
    this.#tell({ type: "ended", info, error });
  }

  async #timed<T>(step: StepName, body: () => Promise<T>): Promise<T> {
    this.#tell({ type: "step", step, phase: "begin" });
    const result = await body();
    this.#tell({ type: "step", step, phase: "end" });
    return result;
  }

  #tell(moment: Untimed<Moment>): void {
    this.observe({ ...moment, time: performance.now() });
  }
}

/** Resolves to what is worth telling about it. */
async function perform(stream: TlsStream, verb: Verb): Promise<string | undefined> {
  switch (verb) {
    case "closeWrite":
      await stream.closeWrite();
      return undefined;
    case "shutdown": {
      const { transport, trailing } = await stream.shutdown({ timeout: 10_000 });
      // The transport is ours again, and could go on without TLS or begin it anew. Here it has served its purpose.
      await transport.writable.close().catch(() => {});
      return `the transport came back with ${trailing.length} bytes behind the last record`;
    }
    case "close":
      await stream.close();
      return undefined;
    case "abort":
      stream.abort();
      return undefined;
  }
}

function pemBlocks(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
