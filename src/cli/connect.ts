/** `wassl connect HOST:PORT` */
import { isIP } from "node:net";
import { type ClientOptions, startTls, TlsContext, TlsError, type TlsStream, type Transport } from "wassl";
import { requestStartTls, startTlsProtocols } from "wassl/starttls";
import { connectWebSocket } from "wassl/transports/websocket";
import type { Io, WebSocketClass } from "./io.js";
import { type Address, address, choice, duration, type Values } from "./options.js";
import { Interrupted, infoFields, inWords, type Outcome, type Report, UsageError } from "./report.js";
import { SecretFile } from "./secret-file.js";
import { closings, talk } from "./talk.js";
import { connectTcp, format, type Link, settle } from "./tcp.js";
import { connectionOptions, contextOptions, defined, fileOf, trustAnchors } from "./tls-options.js";

/** In milliseconds, for everything that comes before the first byte of data. */
const CONNECT_TIMEOUT = 30_000;

export async function connect(
  values: Values<"connect">,
  positionals: string[],
  io: Io,
  report: Report,
): Promise<Outcome> {
  const [target, ...more] = positionals;
  if (more.length > 0) throw new UsageError(`"${more[0]}" is one too many: there is one HOST:PORT`);
  const to = address(target);
  const close = choice("close", values.close, closings) ?? "half";
  const timeout = duration("timeout", values.timeout);
  const starttls = choice("starttls", values.starttls, startTlsProtocols);
  const name = values.servername ?? to.host;
  const via = values.via === undefined ? undefined : relayUrl(values.via, to);
  const earlyData = await earlyDataOf(values, io);
  if (values["session-out"] !== undefined) SecretFile.judge("session-out", values["session-out"]);
  report.trace = values.trace ?? false;
  const control = new AbortController();
  const session = await fileOf("session-in", values["session-in"], io);
  const context = await TlsContext.client({
    ...(await contextOptions(values, io)),
    ...defined({
      postHandshakeAuth: values["enable-pha"],
      legacyServerConnect: values["legacy-server-connect"],
      ocsp: choice("ocsp", values.ocsp, ["off", "soft", "require"]),
    }),
    caCerts: await trustAnchors(values.ca, io),
    unsafelyAllowLegacyNames: values["unsafe-legacy-names"] ?? false,
    unsafelyDisableVerification: values["no-verify"] ?? false,
  });
  const options: ClientOptions = {
    ...connectionOptions(values),
    ...defined({ session }),
    context,
    sessionStore: false,
    hostname: values["verify-host"] ?? name,
    serverName: isIP(name) ? false : name,
    handshakeTimeout: Number.POSITIVE_INFINITY,
  };

  const interrupt = () => control.abort(new Interrupted("interrupted"));
  if (io.interrupted.aborted) interrupt();
  io.interrupted.addEventListener("abort", interrupt);
  const patience = timeout ?? CONNECT_TIMEOUT;
  const timer = setTimeout(() => {
    control.abort(new TlsError("timeout", `no TLS with ${format(to)} within ${patience / 1000} s`));
  }, patience);
  let link: Link | undefined;
  let stream: TlsStream | undefined;
  try {
    await judge(options, values);
    link = via ? await connectRelay(via, io, control.signal) : await connectTcp(to, control.signal);
    report.tell("transport", { peer: link.peer });
    const { transport } = link;
    if (starttls) {
      const { signal } = control;
      await requestStartTls(transport, {
        protocol: starttls,
        hostname: name,
        signal,
        timeout: Number.POSITIVE_INFINITY,
      });
      report.tell("starttls", { protocol: starttls });
    }
    const onEvent = report.listener();
    const { signal } = control;
    stream = await startTls(transport, { ...options, ...defined({ earlyData }), onEvent, signal });
    clearTimeout(timer);
    report.tell(
      "connected",
      { host: to.host, port: to.port, ...infoFields(stream.info) },
      `${format(to)}${link.peer === format(to) ? "" : ` (${link.peer})`}: ${inWords(stream.info)}`,
    );
    const outcome = await talk(stream, io, report, { close, timeout, earlyData });
    keepSession(stream, values["session-out"], report);
    return outcome;
  } finally {
    clearTimeout(timer);
    io.interrupted.removeEventListener("abort", interrupt);
    if (link) await settle(link);
    context.free();
  }
}

/**
 * Makes a ClientHello that goes nowhere. Whatever is wrong with the options, or keeps them from going together, is told
 * before there is a connection to a server.
 *
 * @throws UsageError | TlsError
 */
async function judge(options: ClientOptions, { "verify-host": verifyHost, servername }: Values<"connect">) {
  const enough = new AbortController();
  const nowhere: Transport = {
    readable: new ReadableStream(),
    writable: new WritableStream({ write: () => enough.abort() }),
  };
  try {
    await startTls(nowhere, { ...options, signal: enough.signal });
  } catch (error) {
    if (error === enough.signal.reason) return;
    if (!(error instanceof TlsError)) throw error;
    const { code, message, errors } = error;
    if (code === "protocol") {
      const why = errors.map(({ reason, data }) => (data ? `${reason} (${data})` : reason)).join(", ");
      throw new UsageError(`no ClientHello can be made of these options: ${why}`, { cause: error });
    }
    const named = verifyHost !== undefined ? "--verify-host" : servername !== undefined && "--servername";
    if (named && message.startsWith("hostname "))
      throw new UsageError(`${named}: ${message}`, { cause: error });
    throw error;
  }
}

async function earlyDataOf(values: Values<"connect">, io: Io): Promise<Uint8Array | undefined> {
  const bytes = await fileOf("early-data", values["early-data"], io);
  if (bytes && values["session-in"] === undefined) {
    throw new UsageError("--early-data needs --session-in: it goes with a session that is resumed");
  }
  if (bytes?.length === 0) throw new UsageError("--early-data: the file is empty");
  return bytes;
}

function keepSession(stream: TlsStream, path: string | undefined, report: Report): void {
  if (path === undefined) return;
  const session = stream.getSession();
  if (!session) {
    report.tell("session", { kept: false }, "there is no session to keep");
    return;
  }
  // Anybody who has the file can resume the session in our name.
  const file = new SecretFile("session-out", path, "replace");
  try {
    file.write(session);
  } finally {
    file.close();
  }
  report.tell("session", { kept: true });
}

/** Where a relay is told which server to connect to: in place of {host} and {port}, or as parameters of these names. */
function relayUrl(via: string, { host, port }: Address): URL {
  const filled = via.replaceAll("{host}", encodeURIComponent(host)).replaceAll("{port}", String(port));
  const url = URL.canParse(filled) ? new URL(filled) : undefined;
  if (url?.protocol !== "ws:" && url?.protocol !== "wss:") {
    throw new UsageError(`--via is a ws:// or wss:// URL; not "${via}"`);
  }
  if (filled === via) {
    url.searchParams.set("host", host);
    url.searchParams.set("port", String(port));
  }
  return url;
}

async function connectRelay(url: URL, io: Io, signal: AbortSignal): Promise<Link> {
  let onGone: () => void;
  const gone = new Promise<void>((resolve) => {
    onGone = resolve;
  });
  const WebSocket = io.WebSocket ?? (globalThis.WebSocket as unknown as WebSocketClass | undefined);
  if (!WebSocket) throw new UsageError("--via needs a WebSocket: Node.js 20.10 or later, or Deno");
  const transport = await connectWebSocket(url, {
    signal,
    WebSocket: class extends WebSocket {
      constructor(to: string | URL, protocols?: string | string[]) {
        super(to, protocols);
        this.addEventListener("close", () => onGone());
      }
    },
  });
  return { transport, peer: url.href, gone };
}
