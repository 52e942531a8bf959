/**
 * STARTTLS: connections of SMTP, IMAP, POP3, FTP, PostgreSQL, MySQL, XMPP and LDAP begin in the clear, and become TLS
 * when the client asks for it. The two functions here speak that much of the protocol, and leave a transport on which
 * TLS begins: {@link requestStartTls} for a client and `startTls()` after it, {@link acceptStartTls} for a server and
 * `acceptTls()` after it.
 *
 * An attacker in between can read and change what both sides send here, and can also keep a client from TLS. So nothing
 * that was sent here counts once there is TLS, and a client must not go on without TLS. If the server offers TLS from
 * the first byte, on a port of its own (465 of SMTP, 993 of IMAP, 995 of POP3, 636 of LDAP), that is the better choice
 * (RFC 8314).
 *
 * This module loads no OpenSSL, and works ahead of any TLS.
 *
 * @module
 */
import { custom, type Kind, longerThan0, oneOf, readOptions, signal, type Table } from "../check.js";
import { TlsError } from "../errors.js";
import type { Transport } from "../transport.js";
import { inTheClear } from "./clear.js";
import { dialogs as ofClient } from "./client.js";
import type { StartTlsProtocol } from "./error.js";
import { dialogs as ofServer } from "./server.js";

export { StartTlsError, type StartTlsProtocol } from "./error.js";

/** All values of {@link StartTlsProtocol}. */
export const startTlsProtocols: readonly StartTlsProtocol[] = Object.freeze(
  Object.keys(ofClient) as StartTlsProtocol[],
);

export interface StartTlsOptions {
  protocol: StartTlsProtocol;
  /** Aborts the dialog; the transport is given up. */
  signal?: AbortSignal;
  /** How long the dialog may take, in milliseconds; `Infinity` = as long as it likes. Default 30,000. */
  timeout?: number;
}

export interface RequestStartTlsOptions extends StartTlsOptions {
  /** The server's name, as in `startTls()`. Only XMPP says it before TLS, and needs it. */
  hostname?: string;
  /**
   * The client's name in SMTP's EHLO: a domain name, or an address as in "[192.0.2.1]" (RFC 5321 §4.1.1.1). Default
   * "[127.0.0.1]". No other protocol has one.
   */
  name?: string;
}

export interface AcceptStartTlsOptions extends StartTlsOptions {
  /** What the server calls itself in the greetings of SMTP, IMAP, POP3, FTP and XMPP. Default "localhost". */
  name?: string;
}

export interface RequestStartTlsResult {
  /** The transport as it was given, unlocked. TLS begins with its next byte. */
  readonly transport: Transport;
  /**
   * What the server sent first, to the byte: the greeting of SMTP, IMAP, POP3 and FTP, MySQL's first packet; empty with
   * the others, where the client speaks first. Clients need it for POP3's APOP and for MySQL's authentication, whose
   * data are in it.
   */
  readonly greeting: Uint8Array<ArrayBuffer>;
  /**
   * What the server offered before TLS: SMTP's extensions, as in "SIZE 1000"; IMAP's capabilities, if its greeting
   * tells them; otherwise empty. It is to look at only: in TLS a client must ask again (RFC 3207 §4.2, RFC 9051
   * §6.2.1).
   */
  readonly capabilities: readonly string[];
}

export interface AcceptStartTlsResult {
  /**
   * The transport to go on with, unlocked, on which TLS begins. It is the one that was given, unless bytes of TLS
   * arrived along with the request, as they may with MySQL: then its `readable` is another one, which begins with them.
   */
  readonly transport: Transport;
  /** What was said first, to the byte: MySQL's authentication data are in it. Empty with PostgreSQL, XMPP and LDAP. */
  readonly greeting: Uint8Array<ArrayBuffer>;
}

const DEFAULT_TIMEOUT = 30_000;

/**
 * requestStartTls asks a server for TLS, in the clear. It resolves when TLS can begin, which `startTls()` does then:
 *
 * ```ts
 * import { startTls } from "wassl";
 * import { requestStartTls } from "wassl/starttls";
 * import { nodeTransport } from "wassl/transports/node";
 * import { mozillaRoots } from "wassl/roots";
 * import { connect } from "node:net";
 *
 * const hostname = "mail.example.org";
 * const socket = connect({ host: hostname, port: 587, allowHalfOpen: true });
 * const { transport } = await requestStartTls(nodeTransport(socket), { protocol: "smtp", hostname });
 * const tls = await startTls(transport, { hostname, caCerts: mozillaRoots });
 * // SMTP goes on in TLS, and begins with EHLO.
 * ```
 *
 * In TLS each protocol goes on as its document says: SMTP with EHLO (RFC 3207), IMAP with CAPABILITY, POP3 with CAPA,
 * FTP with PBSZ, PostgreSQL with the startup message, MySQL with packet number 2, XMPP with a new stream, LDAP with
 * message 2.
 *
 * Bytes in the clear that arrive together with the server's consent end the connection: an attacker puts them there to
 * have them taken for part of what TLS protected (CVE-2011-0411, CVE-2021-23222). A reply that is there before its
 * request ends it too. Bytes in the clear that arrive later are refused by TLS itself.
 *
 * The streams of the transport must not be locked, and belong to this function until it settles. When it rejects, the
 * transport was given up: `writable` is aborted and `readable` cancelled, and both stay locked. But after
 * "invalid-argument", and if `signal` was aborted before, nothing was touched.
 *
 * @throws StartTlsError if the server offers no TLS, declines it, sends what it must not, or more than 16 KiB; TlsError
 *   "invalid-argument" | "transport" | "timeout"; or the reason of `signal`
 */
export async function requestStartTls(
  transport: Transport,
  options: RequestStartTlsOptions,
): Promise<RequestStartTlsResult> {
  const {
    protocol,
    signal,
    timeout = DEFAULT_TIMEOUT,
    hostname,
    name = "[127.0.0.1]",
  } = readOptions(options, REQUEST, "requestStartTls");
  requireProtocol(protocol);
  if (hostname === undefined && protocol === "xmpp") {
    throw new TlsError("invalid-argument", 'hostname is missing: a client of "xmpp" says it before TLS');
  }
  const said = await inTheClear(transport, protocol, "server", { signal, timeout }, async (clear) => {
    const said = await ofClient[protocol](clear, { name, hostname: hostname ?? "" });
    clear.requireNothingMore();
    return said;
  });
  return { transport, greeting: said.greeting ?? new Uint8Array(0), capabilities: said.capabilities ?? [] };
}

/**
 * acceptStartTls waits for a client to ask for TLS, in the clear. It resolves when TLS can begin, which `acceptTls()`
 * does then. It greets, offers TLS and nothing else, and declines everything that a client wants before TLS:
 *
 * ```ts
 * import { acceptTls, type TlsContext, type TlsStream, type Transport } from "wassl";
 * import { acceptStartTls } from "wassl/starttls";
 *
 * async function serve(client: Transport, context: TlsContext): Promise<TlsStream> {
 *   const { transport } = await acceptStartTls(client, { protocol: "postgres" });
 *   return await acceptTls(transport, { context });
 * }
 * ```
 *
 * Bytes in the clear that arrive together with the client's request end the connection, and are not answered: an
 * attacker puts them there to have them taken for part of what TLS protects (CVE-2011-0411, CVE-2021-23214). But a
 * client of MySQL waits for no consent, so what follows its request is TLS.
 *
 * For the transport the same holds as with {@link requestStartTls}.
 *
 * @throws StartTlsError if the client does not ask for TLS, sends what it must not, or more than 16 KiB; TlsError
 *   "invalid-argument" | "transport" | "timeout"; or the reason of `signal`
 */
export async function acceptStartTls(
  transport: Transport,
  options: AcceptStartTlsOptions,
): Promise<AcceptStartTlsResult> {
  const {
    protocol,
    signal,
    timeout = DEFAULT_TIMEOUT,
    name = "localhost",
  } = readOptions(options, ACCEPT, "acceptStartTls", { requestStartTls: REQUEST });
  requireProtocol(protocol);
  const { greeting, rest } = await inTheClear(
    transport,
    protocol,
    "client",
    { signal, timeout },
    async (clear) => {
      const greeting = await ofServer[protocol](clear, name);
      return { greeting: greeting ?? new Uint8Array(0), rest: clear.takeRest() };
    },
  );
  return { transport: rest.byteLength > 0 ? new After(rest, transport) : transport, greeting };
}

/** It goes into commands and XML as it is. */
const NAME: Kind = {
  ...custom(
    "a name of 1 to 255 characters, without white space and < > & ' \"",
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a name must not have
    (value) => typeof value === "string" && /^[^\s\x00-\x1f\x7f-\x9f<>&'"]{1,255}$/.test(value),
  ),
  shows: true,
};

const COMMON: Table<StartTlsOptions> = {
  protocol: oneOf(...startTlsProtocols),
  signal,
  timeout: longerThan0,
};
const REQUEST: Table<RequestStartTlsOptions> = { ...COMMON, hostname: NAME, name: NAME };
const ACCEPT: Table<AcceptStartTlsOptions> = { ...COMMON, name: NAME };

function requireProtocol(protocol: StartTlsProtocol | undefined): void {
  if (protocol === undefined) throw new TlsError("invalid-argument", "protocol is missing");
}

/** A transport of which some bytes were received already. */
class After implements Transport {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #transport: Transport;

  constructor(first: Uint8Array, transport: Transport) {
    this.#transport = transport;
    const reader = transport.readable.getReader();
    let waiting: Uint8Array | undefined = first;
    this.readable = new ReadableStream(
      {
        async pull(controller) {
          const next = waiting;
          waiting = undefined;
          const { done, value } = next ? { done: false, value: next } : await reader.read();
          if (done) controller.close();
          else controller.enqueue(value!);
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  }

  get writable(): WritableStream<Uint8Array> {
    return this.#transport.writable;
  }

  get bufferedAmount(): number {
    return this.#transport.bufferedAmount ?? 0;
  }
}
