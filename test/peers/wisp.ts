/** A Wisp server that is not ours: npm's wisp-js. */
import { join } from "node:path";
import { installDrivers } from "../drivers/install.ts";
import type { Peer, PeerContext } from "./peer.ts";
import { freePort, start, waitForPort } from "./program.ts";

/**
 *     wisp?version=1|2         goes anywhere on this machine
 *     wisp?…&port=N            goes to that port alone
 */
export async function startWisp(_context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const program = join(installDrivers(), "node_modules/@mercuryworkshop/wisp-js/src/bin/server_cli.mjs");
  const port = await freePort();
  const only = parameters.get("port");
  const options = {
    wisp_version: Number(parameters.get("version") ?? 2),
    allow_loopback_ips: true,
    allow_private_ips: true,
    allow_udp_streams: false,
    ...(only !== null && { port_whitelist: [Number(only)] }),
  };
  const child = start(process.execPath, [
    ...[program, "--host", "127.0.0.1", "--port", String(port)],
    ...["--logging", "WARN", "--options", JSON.stringify(options)],
  ]);
  await waitForPort(port, child);
  return { port, events: [], close: () => void child.kill() };
}
