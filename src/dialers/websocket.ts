/**
 * Dials by a relay, which copies the bytes of a WebSocket to and from a TCP connection: one WebSocket for each
 * connection. `websockify`, `wsproxy` and many others are such relays. A relay sees where to, when and how much; of
 * what goes over it as TLS it sees ciphertext only.
 *
 * WebSocketStream, which Chromium has and which can be paused, is not used: when the peer closes it, Chromium drops what
 * has arrived and was not read yet.
 *
 * @module
 */

import { callback, custom, either, readOption, readOptions } from "../check.js";
import type { Dialer, SocketAddress } from "../transport.js";
import { CONNECT, type ConnectWebSocketOptions, connectWebSocket } from "../transports/websocket.js";
import { readDestination } from "./destination.js";

/** The URL of the relay for a destination, or a function that makes it. */
export type RelayUrl = string | ((to: SocketAddress) => string | URL | Promise<string | URL>);

/** As for `connectWebSocket`. Each dialing has a signal of its own. */
export type WebSocketDialerOptions = Omit<ConnectWebSocketOptions, "signal">;

const PLACEHOLDER = /\{(.*?)\}/g;
const URL_OF_RELAY = either(
  custom(
    "a URL in which no {…} stands but {hostname} and {port}",
    (value) =>
      typeof value === "string" &&
      value !== "" &&
      [...value.matchAll(PLACEHOLDER)].every(([, name]) => name === "hostname" || name === "port"),
  ),
  callback,
);

/**
 * Makes a dialer from the URL of a relay. `{hostname}` and `{port}` in it stand for the destination; an IPv6 address
 * is put in brackets. A URL without them is that of a relay with one destination, and leads there whatever is dialed:
 * TLS notices, because the name of the server is wrong.
 *
 * A function can do what a template cannot, such as asking for a token that is good once.
 *
 * @throws {TlsError} of code `"invalid-argument"`
 *
 * @example
 * ```ts
 * import { startTls } from "wassl";
 * import { webSocketDialer } from "wassl/dialers/websocket";
 *
 * const dial = webSocketDialer("wss://relay.example.org/?to={hostname}:{port}");
 * // As `wsproxy` has it: webSocketDialer("wss://relay.example.org/{hostname}:{port}")
 * const transport = await dial({ hostname: "db.example.org", port: 5432, signal: AbortSignal.timeout(10_000) });
 * const tls = await startTls(transport, { hostname: "db.example.org", caCerts: pem });
 * ```
 */
export function webSocketDialer(url: RelayUrl, options: WebSocketDialerOptions = {}): Dialer {
  const relay = readOption(URL_OF_RELAY, url, "url") as RelayUrl;
  const { signal: _, ...table } = CONNECT;
  const read = readOptions(options, table, "webSocketDialer");
  return async (to) => {
    const { signal, hostname, port } = readDestination(to);
    const target =
      typeof relay === "string" ? fill(relay, { hostname, port }) : await relay({ hostname, port });
    signal?.throwIfAborted();
    // The signal is for the dialing. The one of connectWebSocket goes on to be for the transport.
    const dialing = new AbortController();
    const onAbort = () => dialing.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    try {
      return await connectWebSocket(target, { ...read, signal: dialing.signal });
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  };
}

/** What stands in a URL as it is. So `[2001:db8::1]:443` can be read, and a relay that decodes nothing understands. */
const PLAIN = /%(3A|5B|5D)/g;

function fill(template: string, { hostname, port }: SocketAddress): string {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return template.replace(PLACEHOLDER, (_, name) =>
    name === "port" ? String(port) : encodeURIComponent(host).replace(PLAIN, decodeURIComponent),
  );
}
