/** `wassl serve [HOST:]PORT` */
import { acceptTls, type ServerOptions, TlsContext, TlsError, type TlsStream, type Transport } from "wassl";
import { acceptStartTls, startTlsProtocols } from "wassl/starttls";
import { type Answer, answers } from "./answers.js";
import type { Io } from "./io.js";
import { address, choice, duration, integer, type Values } from "./options.js";
import {
  exitCode,
  Interrupted,
  infoFields,
  inWords,
  messageOf,
  type Outcome,
  type Report,
  UsageError,
} from "./report.js";
import { closings, end, ending, type TalkOptions, talk } from "./talk.js";
import { format, type Link, listenTcp, settle } from "./tcp.js";
import { connectionOptions, contextOptions, defined, fileOf, filesOf, identity } from "./tls-options.js";

/** In milliseconds. */
const HANDSHAKE_TIMEOUT = 30_000;
/** How long a client that is answered may neither send nor take anything, in milliseconds. */
const IDLE_TIMEOUT = 60_000;

export async function serve(
  values: Values<"serve">,
  positionals: string[],
  io: Io,
  report: Report,
): Promise<Outcome> {
  const [where, ...more] = positionals;
  if (more.length > 0) throw new UsageError(`"${more[0]}" is one too many: there is one [HOST:]PORT`);
  const at = address(where, "127.0.0.1");
  const [answer, another] = (Object.keys(answers) as Answer[]).filter((name) => values[name]);
  if (another !== undefined) throw new UsageError(`--${answer} or --${another}, not both`);
  if (values.naccept !== undefined && answer === undefined) {
    throw new UsageError("--naccept needs --www, --echo or --rev: without them there is one connection");
  }
  const starttls = choice("starttls", values.starttls, startTlsProtocols);
  const maxEarlyData = integer("early-data", values["early-data"], 1);
  if (maxEarlyData !== undefined && (answer === undefined || values["no-tickets"])) {
    const why = answer === undefined ? "needs --www, --echo or --rev" : "and --no-tickets do not go together";
    throw new UsageError(`--early-data ${why}: it comes with a session of an earlier connection`);
  }
  const most = answer === undefined ? 1 : (integer("naccept", values.naccept, 1) ?? Number.POSITIVE_INFINITY);
  const close = choice("close", values.close, closings) ?? "half";
  if (answer !== undefined && close === "none") {
    throw new UsageError(`--close none: with --${answer} there is no standard input that could end`);
  }
  const foreign =
    answer === "www" ? values.alpn?.split(",").find((each) => !/^http\/1\.[01]$/.test(each)) : undefined;
  if (foreign !== undefined) {
    throw new UsageError(`--www speaks HTTP/1, so --alpn can be http/1.1 or http/1.0; not "${foreign}"`);
  }
  const timeout = duration("timeout", values.timeout);
  const patience = timeout ?? HANDSHAKE_TIMEOUT;
  report.trace = values.trace ?? false;
  const clientAuth = choice("client-auth", values["client-auth"], ["none", "request", "require"]);
  const idle = (["ca", "crl", "policy", "flag"] as const).find((name) => values[name] !== undefined);
  if (idle !== undefined && clientAuth === undefined) {
    throw new UsageError(`--${idle} needs --client-auth: without it no client is asked for a certificate`);
  }
  const asksLater = values["enable-pha"] ?? false;
  if (asksLater && answer !== undefined) {
    throw new UsageError(`--enable-pha: with --${answer} clients are asked in the handshake alone`);
  }
  if (asksLater && (clientAuth ?? "none") === "none") {
    throw new UsageError("--enable-pha needs --client-auth request or require");
  }
  const control = new AbortController();
  const shared = await contextOptions(values, io);
  if ((shared.cert ?? shared.pkcs12 ?? shared.psk ?? shared.psks) === undefined) {
    throw new UsageError("a server needs --cert, --p12 or --psk");
  }
  // Read once: its tickets are good for all connections.
  const context = await TlsContext.server({
    ...shared,
    ...defined({
      caCerts: await filesOf("ca", values.ca, io),
      clientAuth,
      postHandshakeAuth: values["enable-pha"],
      ocspResponse: await fileOf("ocsp", values.ocsp, io),
      tickets: values["no-tickets"] ? 0 : undefined,
      sendCaNames: values["no-ca-names"] ? false : undefined,
      maxSessionAge: integer("max-session-age", values["max-session-age"], 1),
      maxEarlyData,
    }),
  });
  const options: ServerOptions = {
    // HTTP itself says where a message ends, and browsers do not always send close_notify.
    ...(answer === "www" && { eofPolicy: "ignore" }),
    ...connectionOptions(values),
    context,
    signal: control.signal,
    handshakeTimeout: Number.POSITIVE_INFINITY,
  };

  const one = async (link: Link, connection: number): Promise<Outcome> => {
    const fields = answer === undefined ? {} : { connection };
    const prefix = answer === undefined ? "" : `#${connection} `;
    report.tell("accepted", { ...fields, peer: link.peer });
    try {
      const onEvent = report.listener(fields.connection);
      const early: Uint8Array[] = [];
      const onEarlyData = (data: Uint8Array) => void early.push(data);
      const takesEarly = maxEarlyData === undefined ? {} : { onEarlyData };
      const begin = async (transport: Transport, signal: AbortSignal) => {
        if (starttls) {
          const timeout = Number.POSITIVE_INFINITY;
          const bounds = { protocol: starttls, name: "wassl", signal, timeout };
          ({ transport } = await acceptStartTls(transport, bounds));
          report.tell("starttls", { ...fields, protocol: starttls });
        }
        return await acceptTls(transport, { ...options, ...takesEarly, onEvent, signal });
      };
      const stream = await inTime(patience, control.signal, (signal) => begin(link.transport, signal));
      const words = `${prefix}${link.peer}: ${inWords(stream.info)}`;
      report.tell("connected", { ...fields, ...infoFields(stream.info) }, words);
      if (asksLater && stream.info.protocol === "TLSv1.3")
        askLater(stream, patience, report, clientAuth === "require");
      return answer === undefined
        ? await talk(stream, io, report, { close, timeout })
        : await respond(stream, early, answer, { close, timeout });
    } catch (error) {
      return { exitCode: exitCode(error), error };
    } finally {
      await settle(link);
    }
  };

  let accepted = 0;
  let first: Outcome = { exitCode: 0 };
  const running = new Set<Promise<void>>();
  const listener = await listenTcp(at, (link) => {
    if (accepted === most) {
      link.transport.writable.abort().catch(() => {});
      return;
    }
    const connection = ++accepted;
    if (connection === most) listener.close();
    const ended = one(link, connection).then((outcome) => {
      if (first.exitCode === 0) first = outcome;
      if (answer !== undefined) report.ended(outcome, { connection });
      running.delete(ended);
    });
    running.add(ended);
  });
  let reloads = Promise.resolve();
  const reload = async () => {
    if (control.signal.aborted) return;
    try {
      const ocspResponse = await fileOf("ocsp", values.ocsp, io);
      context.setIdentity({ ...(await identity(values, io)), ...defined({ ocspResponse }) });
      report.tell("reloaded", {}, "the certificates have been read again");
    } catch (error) {
      const message = messageOf(error);
      report.tell("not-reloaded", { message }, `the certificates stay as they are: ${message}`);
    }
  };
  if (shared.cert ?? shared.pkcs12)
    io.onHangUp?.(() => {
      reloads = reloads.then(reload);
    });
  report.tell("listening", listener.at, `listening on ${format(listener.at)}`);
  const interrupt = () => {
    control.abort(new Interrupted("interrupted"));
    listener.close();
  };
  io.interrupted.addEventListener("abort", interrupt);
  if (io.interrupted.aborted) interrupt();
  await listener.closed;
  await Promise.all([...running, reloads]);
  context.free();
  io.interrupted.removeEventListener("abort", interrupt);
  if (answer === undefined) {
    return accepted === 0 ? { exitCode: 130, error: control.signal.reason } : first;
  }
  // Without --naccept there is no other way to end the server.
  return { exitCode: io.interrupted.aborted ? 0 : first.exitCode, connections: accepted };
}

/** The data goes on meanwhile: what the client sends before its answer has to be read. */
function askLater(stream: TlsStream, timeout: number, report: Report, required: boolean): void {
  stream.verifyClientPostHandshake({ timeout }).then(
    (info) => report.tell("client-certificate", infoFields(info), inWords(info)),
    (error) => {
      // Where the connection goes on, without a certificate.
      if (required) stream.abort(error);
      else report.tell("client-certificate", { message: messageOf(error) }, messageOf(error));
    },
  );
}

/** Bounds what comes before the first byte of data; afterwards the signal is `signal`. */
async function inTime<T>(
  milliseconds: number,
  signal: AbortSignal,
  what: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new TlsError("timeout", `no TLS with the client within ${milliseconds} ms`));
  }, milliseconds);
  try {
    return await what(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

async function respond(
  stream: TlsStream,
  early: Uint8Array[],
  answer: Answer,
  { close, timeout }: TalkOptions,
): Promise<Outcome> {
  const stopWatching = watch(stream, timeout ?? IDLE_TIMEOUT);
  try {
    const { info, writable } = stream;
    await answers[answer]({ info, writable, readable: after(early, stream.readable) });
    // The client can say nothing more that matters: half closed is as good as closed.
    await end(stream, { close: close === "half" ? "shutdown" : close, timeout });
  } catch {
    // How the stream ended tells of the failure. The stream has to end here: where an end without close_notify passes,
    // a write fails and the connection goes on.
    await stream.close();
  } finally {
    stopWatching();
  }
  return await ending(stream);
}

/** Aborts a connection on which no byte moves for that long, or for twice as long at most. */
function watch(stream: TlsStream, milliseconds: number): () => void {
  let before = -1;
  const look = () => {
    const { sent, received } = stream.statistics;
    const now = sent.bytes + received.bytes;
    if (now === before) {
      stream.abort(new TlsError("timeout", `the client was idle for ${milliseconds / 1000} s`));
    }
    before = now;
  };
  look();
  const timer = setInterval(look, milliseconds);
  return () => clearInterval(timer);
}

/** What came before, and then the rest. */
function after(before: Uint8Array[], readable: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const first = before.filter(({ byteLength }) => byteLength > 0);
  if (first.length === 0) return readable;
  const reader = readable.getReader();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } =
          first.length > 0 ? { done: false, value: first.shift() } : await reader.read();
        if (done) controller.close();
        else controller.enqueue(value!);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
