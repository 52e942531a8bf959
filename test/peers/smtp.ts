/** A real SMTP server: Debian's Exim. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { servers } from "../drivers/servers.ts";
import { killFamily } from "../ends/peers.ts";
import type { Peer, PeerContext } from "./peer.ts";

/**
 *     smtp?tls=yes|starttls        its log is its events
 */
export async function startSmtp(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const server = servers[parameters.get("tls") === "yes" ? "smtps" : "smtp"];
  // The run's own folder is closed to others.
  const folder = mkdtempSync(join(tmpdir(), "wassl-smtp-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  chmodSync(folder, 0o755);
  const { child, port, log } = await server.start({ ...context, folder });
  return {
    port,
    get events() {
      return (log?.() ?? "").split("\n").filter(Boolean);
    },
    close: () => killFamily(child.pid),
  };
}
