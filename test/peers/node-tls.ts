/**
 * Node's own TLS, which is native OpenSSL behind another state machine than ours.
 *
 *     tls?do=BEHAVIOUR&cert=LEAF&version=1.2|1.3&alpn=h2,http/1.1
 *     tls?role=client&…         it is the TLS client of the program that connects
 *     tls?ask=require&…         a client has to show a certificate; hello tells its name
 *     tls?forged=NAME&…         shows a chain of forged.ts, ".look" or ".want" behind its name, as either end
 *
 * It logs "end" for the end of what the other side sends. Ahead of "transport end" that is a close_notify, because TLS
 * is told of the transport's end only then. Behind it, it may be no close_notify.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, createSecureContext, type SecureVersion, TLSSocket } from "node:tls";
import { randomBytes } from "../helpers/random.ts";
import { type LeafName, leafNames } from "./certs.ts";
import { chunksOf, listen, type PeerContext, resetOnceRead } from "./peer.ts";

type Behaviour = (
  tls: TLSSocket,
  raw: Socket,
  parameters: URLSearchParams,
  log: (event: string) => void,
) => void | Promise<void>;

/** No socket closes before the behaviour says so: all are half-open. */
const behaviours: Record<string, Behaviour> = {
  /** Sends back what comes, and ends when the client has ended. */
  echo(tls) {
    tls.pipe(tls);
  },

  /** Says nothing until the client's close_notify; then sends everything back, and ends. */
  async "reply-after-end"(tls) {
    const chunks: Buffer[] = [];
    for await (const chunk of chunksOf(tls)) chunks.push(chunk);
    tls.end(Buffer.concat(chunks));
  },

  /** Greets and sends its close_notify at once; then reads on and logs what came. */
  async "end-first"(tls, _raw, _parameters, log) {
    tls.end("hello\n");
    await digest(tls, log);
  },

  /** Reads slowly and answers the client's end with what it got, as JSON. */
  async sink(tls, _raw, parameters, log) {
    const got = await digest(tls, log, Number(parameters.get("pace") ?? 2));
    tls.end(JSON.stringify(got));
  },

  /**
   * Sends `bytes` bytes that follow from `seed`, then ends; by a FIN alone with `then=fin`. With `trim=N` the last N
   * bytes on the wire never leave. With `after=end` it reads first, and sends when the other side has ended. Logs how
   * many it could give away so far.
   */
  async source(tls, raw, parameters, log) {
    if (parameters.get("after") === "end") await digest(tls, log);
    else tls.resume();
    holdBack(raw, Number(parameters.get("trim") ?? 0));
    const all = randomBytes(Number(parameters.get("bytes") ?? 1 << 20), Number(parameters.get("seed") ?? 1));
    for (let at = 0; at < all.byteLength; at += 65536) {
      if (!tls.write(all.subarray(at, at + 65536)))
        await new Promise((resolve) => tls.once("drain", resolve));
      log(`sent ${Math.min(at + 65536, all.byteLength)}`);
      if (tls.destroyed) return;
    }
    if (parameters.get("then") === "fin") tls.write("", () => raw.end());
    else tls.end();
  },

  /** Says what the handshake came to, as JSON, and ends. */
  hello(tls) {
    tls.resume();
    tls.end(
      JSON.stringify({
        servername: Reflect.get(tls, "servername") ?? false,
        alpn: tls.alpnProtocol,
        protocol: tls.getProtocol(),
        cipher: tls.getCipher().name,
        // Its own, if it was found good; "authorized" is set by a tls.Server only.
        peer: Reflect.get(tls, "ssl").verifyError() ? undefined : tls.getPeerCertificate().subject?.CN,
      }),
    );
  },

  /**
   * Logs what both ends should know, "export HEX" with and without a context, and "tls-exporter HEX"; greets, and ends
   * when the client has ended. The lines of its key log are "keylog LINE".
   */
  inside(tls, _raw, _parameters, log) {
    const hex = (label: string, context?: Buffer) =>
      // Its types want the third argument always; without one there is no context.
      Reflect.apply(tls.exportKeyingMaterial, tls, [32, label, ...(context ? [context] : [])]).toString(
        "hex",
      );
    log(`export ${hex("EXPERIMENTAL wassl")}`);
    log(`export ${hex("EXPERIMENTAL wassl", Buffer.from("a context"))}`);
    log(`tls-exporter ${hex("EXPORTER-Channel-Binding", Buffer.alloc(0))}`);
    log(`reused ${tls.isSessionReused()}`);
    tls.resume();
    tls.write("hello\n");
    tls.on("end", () => tls.end());
  },

  /** Sends a line, then a FIN without close_notify. */
  "no-close-notify"(tls, raw) {
    tls.resume();
    tls.write("cut off\n", () => raw.end());
  },

  /** Sends a line and close_notify, and keeps the connection open for ever. */
  "end-and-wait"(tls) {
    tls.resume();
    tls.end("bye\n");
  },

  /** Reads on, but answers nothing, not even the client's close_notify. */
  mute(tls) {
    tls.resume();
  },

  /** Does not even read. */
  stuck(tls) {
    tls.pause();
  },

  /** Answers the client's close_notify with its own, and goes on in plaintext: echoes it, prefixed with "plain ". */
  async "plaintext-after"(tls, raw, _parameters, log) {
    await digest(tls, log);
    tls.end(() => {
      raw.removeAllListeners("data");
      raw.write("plain hello\n");
      raw.on("data", (chunk) => raw.write(`plain ${chunk}`));
      raw.on("end", () => raw.end());
    });
  },

  /** Sends a line and a reset. */
  reset(tls, raw) {
    tls.resume();
    tls.write("reset follows\n", () => resetOnceRead(raw));
  },
};

export async function startNodeTls(context: PeerContext, parameters: URLSearchParams) {
  const leaf = leafNames.find((name) => name === (parameters.get("cert") ?? "ecdsa"));
  const behaviour = behaviours[parameters.get("do") ?? "echo"];
  if (!leaf || !behaviour) throw new Error(`no such behaviour or certificate: ${parameters}`);
  const version = parameters.get("version");
  const versions: { minVersion?: SecureVersion; maxVersion?: SecureVersion } =
    version === "1.2" || version === "1.3"
      ? { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` }
      : {};
  const forged = parameters.get("forged");
  const shown = forged ? forgery(context, forged) : credentials(context, leaf);
  const identity =
    parameters.get("role") === "client" && !forged
      ? { ca: context.certs.caPem }
      : { ...shown, ca: context.certs.caPem };
  // As tls.createServer() does: without one, a client that it asks for a certificate cannot resume.
  const sessionIdContext = "wassl tests";
  const secureContext = createSecureContext({ ...identity, ...versions, sessionIdContext });
  const alpn = parameters.get("alpn");
  const events: string[] = [];

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (raw) => {
    const log = (event: string) => events.push(event);
    raw.on("error", (error: NodeJS.ErrnoException) => log(`transport error ${error.code}`));
    const readers: Duplex[] = [];
    const duplex = withoutEnd(raw, readers, () => log("transport end"));
    const protocols = alpn ? { ALPNProtocols: alpn.split(",") } : {};
    const tls =
      parameters.get("role") === "client"
        ? connect({ socket: duplex, servername: "localhost", secureContext, ...protocols })
        : new TLSSocket(duplex, {
            isServer: true,
            secureContext,
            // For the servername to be known, the test has to ask for it.
            SNICallback: (_servername, done) => done(null, secureContext),
            ...(parameters.get("ask") === "require" ? { requestCert: true, rejectUnauthorized: true } : {}),
            ...protocols,
          });
    readers.push(tls);
    Reflect.set(tls, "allowHalfOpen", true);
    const onError = (error: NodeJS.ErrnoException) => {
      log(`error ${error.code}`);
      raw.destroy();
    };
    tls.on("error", onError);
    // After the handshake a TLSSocket without a tls.Server keeps its errors to itself, but for this event.
    tls.on("_tlsError", onError);
    tls.on("end", () => log("end"));
    if (parameters.get("do") === "inside")
      tls.on("keylog", (line: Buffer) => log(`keylog ${line.toString("latin1").trim()}`));
    tls.on("finish", () => {
      // With close_notify sent, most servers send their FIN too.
      const stays = ["end-and-wait", "plaintext-after"].includes(parameters.get("do") ?? "");
      if (!stays) raw.end();
    });
    tls.once("secure", () => {
      log("secure");
      // One that reads or writes is interrupted when the connection breaks.
      Promise.resolve(behaviour(tls, raw, parameters, log)).catch(onError);
    });
  });
  return listen(server, events);
}

function forgery({ folder }: PeerContext, name: string) {
  const read = (file: string) => readFileSync(join(folder, "forged", file));
  return { cert: read(`${name}.pem`), key: read("leaf.key") };
}

function credentials(context: PeerContext, leaf: LeafName) {
  return {
    cert: readFileSync(context.certs.file(leaf, "chain")),
    key: readFileSync(context.certs.file(leaf, "key")),
  };
}

/** How often it is looked, and how long at most, whether what came before a FIN has been read; in milliseconds. */
const digestion = 20;
const patience = 2_000;

/** Calls `done` when nothing of what a socket received waits to be read any more. */
async function whenDigested(streams: Duplex[], done: () => void): Promise<void> {
  const begin = Date.now();
  do await sleep(digestion);
  while (streams.some((stream) => stream.readableLength > 0) && Date.now() - begin < patience);
  done();
}

/**
 * The socket as a Duplex whose end is not the socket's end, so that TLS can be left without leaving TCP. The end from
 * the other side is passed on after `onEnd` was called, and that is when `readers` have read what came before.
 */
function withoutEnd(raw: Socket, readers: Duplex[], onEnd: () => void): Duplex {
  const duplex = new Duplex({
    allowHalfOpen: true,
    read: () => void raw.resume(),
    write: (chunk, _encoding, done) => void raw.write(chunk, done),
    final: (done) => done(),
    destroy: (error, done) => {
      done(error);
    },
  });
  raw.on("data", (chunk) => {
    if (!duplex.push(chunk)) raw.pause();
  });
  readers.push(duplex);
  const digested = (done: () => void) => void whenDigested(readers, done);
  raw.on("end", () =>
    digested(() => {
      onEnd();
      duplex.push(null);
    }),
  );
  raw.on("close", () => digested(() => duplex.destroy()));
  return duplex;
}

/** From now on the last `length` bytes that are written never leave. */
function holdBack(raw: Socket, length: number): void {
  const write = raw.write.bind(raw);
  let held: Buffer = Buffer.alloc(0);
  raw.write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
    const all = Buffer.concat([held, Buffer.from(chunk as Uint8Array)]);
    const safe = Math.max(0, all.byteLength - length);
    held = all.subarray(safe);
    return Reflect.apply(write, raw, [all.subarray(0, safe), ...rest]) as boolean;
  };
}

async function digest(tls: TLSSocket, log: (event: string) => void, pace = 0) {
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of chunksOf(tls)) {
    hash.update(chunk);
    length += chunk.byteLength;
    if (pace > 0) await sleep(pace);
  }
  const sha256 = hash.digest("hex");
  log(`read ${length} ${sha256}`);
  return { length, sha256 };
}
