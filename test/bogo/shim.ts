/**
 * What BoGo's shim does, over `startTls` and `acceptTls`: the flags are those of BoringSSL's ssl/test/test_config.cc, as
 * far as this package has what they are about; any other flag makes a test "unimplemented".
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import {
  acceptTls,
  type ClientOptions,
  type ServerContextOptions,
  startTls,
  TlsContext,
  TlsError,
  type TlsStream,
} from "wassl";
import { OpenSsl } from "wassl/openssl";
import { nodeTransport } from "wassl/transports/node";

/** The runner takes this for "unimplemented". */
const UNIMPLEMENTED = 89;
/** No exchange may last longer, in milliseconds. */
const PATIENCE = 10_000;

class Unimplemented extends Error {}
class Unexpected extends Error {}

/** How many values each flag has. */
const FLAGS: Record<string, 0 | 1> = {
  ...{ port: 1, server: 0, "resume-count": 1, "key-file": 1, "cert-file": 1, "host-name": 1 },
  ...{ "min-version": 1, "max-version": 1, "no-tls13": 0, "no-tls12": 0, "no-tls11": 0, "no-tls1": 0 },
  ...{
    "expect-version": 1,
    "expect-server-name": 1,
    "expect-alpn": 1,
    "advertise-alpn": 1,
    "select-alpn": 1,
  },
  ...{ "shim-writes-first": 0, "shim-shuts-down": 0, "check-close-notify": 0, "no-ticket": 0 },
  ...{ "require-any-client-certificate": 0, "verify-peer": 0, psk: 1, "psk-identity": 1 },
  ...{ "expect-session-miss": 0, "expect-no-session": 0, "enable-early-data": 0 },
  ...{ "expect-accept-early-data": 0, "expect-reject-early-data": 0, "expect-ticket-supports-early-data": 0 },
  ...{ "export-keying-material": 1, "export-label": 1, "export-context": 1, "use-export-context": 0 },
  ...{ "write-different-record-sizes": 0, "expect-extended-master-secret": 0, "max-send-fragment": 1 },
  // Of these each way of calling the library is the same here.
  ...{ async: 0, "implicit-handshake": 0, "partial-write": 0, "read-size": 1, "peek-then-read": 0 },
  ...{
    "use-early-callback": 0,
    "no-op-extra-handshake": 0,
    "handshake-twice": 0,
    "use-custom-verify-callback": 0,
  },
  ...{ "expect-secure-renegotiation": 0, "server-preference": 0, "forbid-renegotiation-after-handshake": 0 },
};

type Flags = { get(name: string): string | undefined; has(name: string): boolean };

/** Those that are for this connection: the first, or one that resumes. */
function flagsOf(args: readonly string[], resumes: boolean): Flags {
  const found = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const [, when, name] = /^--?(?:on-(initial|resume|retry)-)?(.*)$/.exec(args[i]!)!;
    const values = FLAGS[name!];
    if (values === undefined) throw new Unimplemented(args[i]);
    const value = values === 0 ? "" : args[++i]!;
    if (when === "retry") continue;
    if (when === undefined || (when === "resume") === resumes) found.set(name!, value);
  }
  return { get: (name) => found.get(name), has: (name) => found.has(name) };
}

/** The versions of this package among those that are asked for. */
function versionsOf(flags: Flags): { minVersion: "TLSv1.2" | "TLSv1.3"; maxVersion: "TLSv1.2" | "TLSv1.3" } {
  const least = Math.max(Number(flags.get("min-version") ?? 0), flags.has("no-tls12") ? 0x0304 : 0x0303);
  const most = Math.min(Number(flags.get("max-version") ?? 0x0304), flags.has("no-tls13") ? 0x0303 : 0x0304);
  if (least > most) throw new Unimplemented("versions");
  const name = (version: number) => (version === 0x0304 ? "TLSv1.3" : "TLSv1.2");
  return { minVersion: name(least), maxVersion: name(most) };
}

const HELLO = new TextEncoder().encode("hello");
const inverted = (bytes: Uint8Array) => bytes.map((byte) => byte ^ 0xff);

/** Names of ALPN, each with its length before it. */
function alpnOf(wire: string): string[] {
  const names: string[] = [];
  for (let at = 0; at < wire.length; at += 1 + wire.charCodeAt(at)) {
    names.push(wire.slice(at + 1, at + 1 + wire.charCodeAt(at)));
  }
  return names;
}

/** All connections of one test, in an instance of their own. */
class Test {
  readonly #args: readonly string[];
  readonly #openssl: OpenSsl;
  readonly #ticketKey = crypto.getRandomValues(new Uint8Array(80));
  #session: Uint8Array | undefined;
  /** A server's, which knows the sessions that it has given; by what it was made of. */
  readonly #contexts = new Map<string, Promise<TlsContext>>();

  constructor(args: readonly string[], openssl: OpenSsl) {
    this.#args = args;
    this.#openssl = openssl;
  }

  async run(): Promise<void> {
    const count = Number(flagsOf(this.#args, false).get("resume-count") ?? 0);
    // What is not implemented is told before the first connection.
    const all = Array.from({ length: count + 1 }, (_, i) => flagsOf(this.#args, i > 0));
    for (const flags of all) versionsOf(flags);
    for (const [i, flags] of all.entries()) await this.#connect(flags, i > 0);
  }

  async #connect(flags: Flags, resumes: boolean): Promise<void> {
    const socket = connect({
      port: Number(flags.get("port")),
      host: "::1",
      allowHalfOpen: true,
      noDelay: true,
    });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    socket.on("error", () => {});
    const signal = AbortSignal.timeout(PATIENCE);
    let stream: TlsStream | undefined;
    try {
      stream = await (flags.has("server")
        ? this.#accept(socket, flags, signal)
        : this.#start(socket, flags, signal, resumes));
      check(stream, flags, resumes);
      await exchange(stream, flags);
      if (!flags.has("server")) this.#keep(stream, flags);
      await end(stream, flags);
    } finally {
      stream?.abort();
      // The alert of a failed handshake is on its way.
      await gone(socket);
    }
    const { connections, bioPairs } = this.#openssl.live;
    if (connections + bioPairs > 0) throw new Unexpected(`${connections} connections are left`);
  }

  #common(flags: Flags, signal: AbortSignal) {
    const key = flags.get("key-file");
    const cert = flags.get("cert-file");
    const psk = flags.get("psk");
    const alpn = flags.get("advertise-alpn");
    const select = flags.get("select-alpn");
    return {
      ...{
        openssl: this.#openssl,
        signal,
        securityLevel: 0,
        ciphers: "ALL:@SECLEVEL=0",
        ...versionsOf(flags),
      },
      ...(cert && key && { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") }),
      ...(psk && { psk: { identity: flags.get("psk-identity") ?? "", key: new TextEncoder().encode(psk) } }),
      ...(alpn && { alpnProtocols: alpnOf(alpn) }),
      ...(select && { alpnProtocols: [select] }),
      ...(flags.has("max-send-fragment") && { maxSendFragment: Number(flags.get("max-send-fragment")) }),
      quietShutdown: !flags.has("check-close-notify"),
      // As BoringSSL's shim: it takes an end of either kind.
      eofPolicy: flags.has("check-close-notify") ? "strict" : "ignore",
    } as const;
  }

  async #start(socket: Socket, flags: Flags, signal: AbortSignal, resumes: boolean): Promise<TlsStream> {
    if (resumes && this.#session === undefined) throw new Unexpected("there is no session to offer");
    const name = flags.get("host-name");
    const early = resumes && flags.has("enable-early-data") && flags.has("shim-writes-first");
    const options: ClientOptions = {
      ...this.#common(flags, signal),
      hostname: name ?? "localhost",
      ...(name === undefined && { serverName: false }),
      unsafelyDisableVerification: true,
      sessionStore: false,
      ...(resumes && this.#session && { session: this.#session }),
      ...(early && { earlyData: HELLO }),
    };
    return await startTls(nodeTransport(socket), options);
  }

  async #accept(socket: Socket, flags: Flags, signal: AbortSignal): Promise<TlsStream> {
    const asks = flags.has("require-any-client-certificate") || flags.has("verify-peer");
    const { signal: _signal, quietShutdown, eofPolicy, ...common } = this.#common(flags, signal);
    const options: ServerContextOptions = {
      ...common,
      sessionIdContext: new Uint8Array([1]),
      ticketKeys: [this.#ticketKey],
      ...(flags.has("no-ticket") && { tickets: 0 }),
      ...(asks && {
        clientAuth: flags.has("require-any-client-certificate") ? "require" : "request",
        caCerts: [],
        verify: () => true,
        unsafelyLetVerifyOverride: true,
      }),
      ...(flags.has("enable-early-data") && { maxEarlyData: 16_384 }),
    };
    const { openssl: _openssl, ...made } = options;
    const key = JSON.stringify(made);
    const context = this.#contexts.get(key) ?? TlsContext.server(options);
    this.#contexts.set(key, context);
    return await acceptTls(nodeTransport(socket), {
      ...{ context: await context, signal, quietShutdown, eofPolicy },
      ...(flags.has("enable-early-data") && {
        onEarlyData: (bytes: Uint8Array, reply: (bytes: Uint8Array) => unknown) =>
          void reply(inverted(bytes)),
      }),
    });
  }

  #keep(stream: TlsStream, flags: Flags): void {
    this.#session = stream.getSession();
    const wanted = !flags.has("expect-no-session") && !flags.has("shim-shuts-down");
    if (stream.info.protocol === "TLSv1.3" && wanted && this.#session === undefined)
      throw new Unexpected("no session came");
  }
}

function check({ info }: TlsStream, flags: Flags, resumes: boolean): void {
  const expect = (what: string, is: unknown, wanted: unknown) => {
    if (is !== wanted) throw new Unexpected(`${what} is ${is}, not ${wanted}`);
  };
  const version = flags.get("expect-version");
  if (version) expect("the version", info.protocol, Number(version) === 0x0304 ? "TLSv1.3" : "TLSv1.2");
  const alpn = flags.get("server") !== undefined ? flags.get("select-alpn") : flags.get("expect-alpn");
  if (alpn !== undefined) expect("ALPN", info.alpnProtocol ?? "", alpn);
  const name = flags.get("expect-server-name");
  if (name !== undefined) expect("the server's name", info.serverName, name);
  expect("whether it was resumed", info.sessionReused, resumes && !flags.has("expect-session-miss"));
  if (flags.has("expect-accept-early-data")) expect("early data", info.earlyData, "accepted");
  if (flags.has("expect-reject-early-data")) expect("early data", info.earlyData, "rejected");
}

async function exchange(stream: TlsStream, flags: Flags): Promise<void> {
  const writer = stream.writable.getWriter();
  const length = Number(flags.get("export-keying-material") ?? 0);
  if (length > 0) {
    const context = flags.has("use-export-context")
      ? new TextEncoder().encode(flags.get("export-context") ?? "")
      : undefined;
    await writer.write(stream.exportKeyingMaterial(flags.get("export-label") ?? "", length, context));
  }
  if (flags.has("write-different-record-sizes")) {
    for (const size of [0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769])
      await writer.write(new Uint8Array(size).fill(0x42));
    writer.releaseLock();
    return;
  }
  // What went ahead as early data is not written again.
  if (flags.has("shim-writes-first") && stream.info.earlyData !== "accepted") await writer.write(HELLO);
  if (!flags.has("shim-shuts-down")) {
    const reader = stream.readable.getReader();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read())
      await writer.write(inverted(value!));
    reader.releaseLock();
  }
  writer.releaseLock();
}

async function end(stream: TlsStream, flags: Flags): Promise<void> {
  if (!flags.has("check-close-notify")) return await stream.close();
  const { info } = await stream.shutdown({ maxDiscard: 0 });
  if (info.how !== "complete") throw new Unexpected(`it ended ${info.how}`);
}

/** Waits until what is to be said to the runner was said. */
async function gone(socket: Socket): Promise<void> {
  const late = setTimeout(() => socket.destroy(), 2_000);
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  clearTimeout(late);
}

/** Runs the test that these arguments ask for: the exit code, and what goes to standard error. */
export async function shim(
  args: readonly string[],
  module: WebAssembly.Module,
): Promise<{ Code: number; Stderr: string }> {
  try {
    await new Test(args, await OpenSsl.load({ source: module })).run();
    return { Code: 0, Stderr: "" };
  } catch (error) {
    // An option that this package refuses is one that it does not have.
    const lacks =
      error instanceof Unimplemented || (error instanceof TlsError && error.code === "invalid-argument");
    if (lacks) return { Code: UNIMPLEMENTED, Stderr: `${error.message}\n` };
    return { Code: 1, Stderr: `${textOf(error)}\n` };
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof TlsError)) return String((error as Error).stack ?? error);
  const reasons = error.errors.map(({ reason }) => `:${reason.toUpperCase().replaceAll(" ", "_")}:`);
  return [`${error.code}: ${error.message}`, ...reasons].join("\n");
}
