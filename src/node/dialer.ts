/** How sockets reach the network: one dialer for all of them. */
import type { Dialer } from "wassl";
import { nodeError } from "./errors.js";

let dialer: Dialer | undefined;

/**
 * Says how `wassl/node/net` and `wassl/node/tls` connect: over a relay in a page, by a socket elsewhere. It counts for
 * every connection from then on; without it a connection fails with the code "ERR_NO_DIALER".
 *
 * @example
 * ```ts
 * import { webSocketDialer } from "wassl/dialers/websocket";
 * import { setDialer } from "wassl/node/net";
 *
 * setDialer(webSocketDialer("wss://relay.example.org/?to={hostname}:{port}"));
 * ```
 */
export function setDialer(to: Dialer | undefined): void {
  dialer = to;
}

export const dial: Dialer = async (to) => {
  if (!dialer) {
    throw nodeError(
      "ERR_NO_DIALER",
      "there is no way to the network yet: call setDialer() of wassl/node/net",
    );
  }
  return await dialer(to);
};
