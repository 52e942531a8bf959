/** A real PostgreSQL, whose TLS is OpenSSL's. */
import { execFileSync } from "node:child_process";
import { chownSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setUpDaemon } from "../setup.ts";
import type { Peer, PeerContext } from "./peer.ts";
import { freePort, start, waitForOutput } from "./program.ts";

/** It refuses to run as root. */
const nobody = 65534;

/**     postgres?password=SECRET                   one user, "page", who logs in by SCRAM-SHA-256, and over TLS only */
export async function startPostgres(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const daemon = setUpDaemon("postgres");
  // The run's own folder is closed to others.
  const home = mkdtempSync(join(tmpdir(), "wassl-postgres-"));
  process.once("exit", () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
  const data = join(home, "data");
  const file = (name: string) => join(home, name);
  writeFileSync(file("password"), parameters.get("password") ?? "");
  writeFileSync(file("hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n");
  copyFileSync(context.certs.file("ecdsa", "chain"), file("chain.pem"));
  copyFileSync(context.certs.file("ecdsa", "key"), file("key.pem"));
  for (const name of ["", "password", "hba.conf", "chain.pem", "key.pem"])
    chownSync(file(name), nobody, nobody);

  const asNobody = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
  const command = (program: string) => [...daemon.prefix, ...asNobody, join(daemon.bin, program)];
  const settings = [
    "-A",
    "scram-sha-256",
    "-U",
    "page",
    `--pwfile=${file("password")}`,
    "-E",
    "UTF8",
    "--locale=C",
  ];
  execFileSync("env", [...command("initdb"), "-D", data, "--no-sync", ...settings], { stdio: "pipe" });
  const port = await freePort();
  const configuration = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    hba_file: file("hba.conf"),
    fsync: "off",
    ssl: "on",
    ssl_cert_file: file("chain.pem"),
    ssl_key_file: file("key.pem"),
    log_connections: "on",
  };
  const child = start("env", [
    ...command("postgres"),
    ...["-D", data, "-p", String(port)],
    ...Object.entries(configuration).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ]);
  await waitForOutput(child, /ready to accept connections/);
  return { port, events: [], close: () => void child.kill("SIGINT") };
}
