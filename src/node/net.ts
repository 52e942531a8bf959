/**
 * `node:net` over a dialer: what a driver that was written for Node.js needs of sockets. See {@link setDialer}.
 *
 * What differs from Node.js: `remoteAddress` is the name that was dialed where the dialer knows no address; options of
 * TCP (`setNoDelay`, `setKeepAlive`) are the dialer's affair and change nothing; there are no files and no pipes
 * (`path`, `fd`); a server exists where the host has one.
 *
 * @module
 */
import { setDialer } from "./dialer.js";
import { isIP, isIPv4, isIPv6 } from "./ip.js";
import { createServer, Server } from "./server.js";
import { readArguments, Socket, type SocketOptions } from "./socket.js";

export { setDialer } from "./dialer.js";
export { isIP, isIPv4, isIPv6 } from "./ip.js";
export { createServer, Server } from "./server.js";
export { Socket } from "./socket.js";
export { Socket as Stream };

/**
 * Connects, in the forms that Node.js has: (options, listener), (port, host, listener).
 *
 * @example
 * ```ts
 * import { createConnection } from "wassl/node/net";
 *
 * createConnection(7, "echo.example.org", () => console.log("connected"));
 * ```
 */
export function createConnection(...parts: unknown[]): Socket {
  const [options, listener] = readArguments(parts);
  const socket = new Socket(options as SocketOptions);
  if (options.timeout) socket.setTimeout(options.timeout);
  return socket.connect(options, listener);
}

export { createConnection as connect };

let autoSelectFamily = false;
let autoSelectFamilyTimeout = 250;
/** Which address is dialed is for the dialer to decide. */
export const getDefaultAutoSelectFamily = (): boolean => autoSelectFamily;
export const setDefaultAutoSelectFamily = (on: boolean): void => {
  autoSelectFamily = on;
};
export const getDefaultAutoSelectFamilyAttemptTimeout = (): number => autoSelectFamilyTimeout;
export const setDefaultAutoSelectFamilyAttemptTimeout = (milliseconds: number): void => {
  autoSelectFamilyTimeout = milliseconds;
};

/** What `import net from "node:net"` gives. */
export default {
  Server,
  Socket,
  Stream: Socket,
  connect: createConnection,
  createConnection,
  createServer,
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  isIPv4,
  isIPv6,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout,
  setDialer,
};
