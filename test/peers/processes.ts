/**
 * TLS servers that are programs of their own. `openssl` and `gnutls` log the alerts that they receive: "end" for
 * close_notify, "alert NAME" for any other.
 */
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { randomBytes } from "../helpers/random.ts";
import { type LeafName, leafNames, type OcspName } from "./certs.ts";
import { nginxFile } from "./nginx-file.ts";
import { listen, type Peer, type PeerContext } from "./peer.ts";
import { freePort, type Started, start, waitForOutput, waitForPort } from "./program.ts";

/**
 *     openssl?version=1.2|1.3&cert=LEAF            sends every line back reversed
 *     openssl?do=www&…                             an HTTP server that shows the connection
 *     openssl?do=nothing&…                         reads, and tells most about the connection in its output
 *     openssl?ask=require&…                        a client has to show a certificate of the run's CA
 *     openssl?ocsp=NAME&…                          staples that response of certs.ts
 *     openssl?arg=-alpn&arg=h2,http/1.1&…          with further arguments
 *     openssl?keylog=1&…                           logs its key log too, as "keylog LINE"
 *     openssl?log=REGEXP&…                         and the lines of its output that match, as they are
 *
 * `s_server` serves one client at a time, so every test that asks for it is given one of its own.
 */
export async function startOpenssl(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const { certs } = context;
  const leaf = leafOf(parameters);
  const version = parameters.get("version");
  const ocsp = parameters.get("ocsp");
  const keylog = parameters.has("keylog") && join(mkdtempSync(join(context.folder, "openssl-")), "keylog");
  const child = start(context.tools.openssl, [
    "s_server",
    ...(keylog ? ["-keylogfile", keylog] : []),
    ...["-accept", "127.0.0.1:0"],
    ...[
      "-cert",
      certs.file(leaf, "cert"),
      "-key",
      certs.file(leaf, "key"),
      "-cert_chain",
      certs.intermediateFile,
    ],
    ...(version ? [`-tls${version.replace(".", "_")}`] : []),
    ...({ www: ["-www"], nothing: [] }[parameters.get("do") ?? ""] ?? ["-rev"]),
    ...(parameters.get("ask") === "require"
      ? ["-Verify", "3", "-CAfile", certs.caFile, "-verify_return_error"]
      : []),
    ...(ocsp ? ["-status_file", certs.ocspFile(ocsp as OcspName)] : []),
    "-msg",
    ...parameters.getAll("arg"),
  ]);
  const events = receivedAlerts(child, /^<<< .*Alert.*(?:warning|fatal) (\w+)/);
  if (keylog)
    onLines(start("tail", ["-F", "-s", "0.05", "-n", "+1", keylog]), (line) => events.push(`keylog ${line}`));
  logLines(child, parameters, events);
  const [, port] = await waitForOutput(child, /ACCEPT \S*:(\d+)/);
  return { port: Number(port), events, close: () => void child.kill() };
}

/**
 *     s_client?version=1.2|1.3&arg=…&log=REGEXP     is the TLS client of the program that connects
 *     s_client?early=TEXT&…                         sends that as early data
 *     s_client?session=NAME&…                       keeps its session in a file, and resumes from there
 *
 * It sends back nothing; it logs alerts, and what matches `log`, as `openssl` does.
 */
export async function startOpensslClient(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const events: string[] = [];
  const version = parameters.get("version");
  const session = parameters.get("session");
  const early = parameters.get("early");
  const earlyFile = join(context.folder, `s_client-${session}.early`);
  if (early) writeFileSync(earlyFile, early);
  const file = session && join(context.folder, `s_client-${session}.pem`);
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (ours) => {
    // A test may give up before the two are joined.
    ours.on("error", () => {});
    // It can only connect by itself, so it does to a port of its own, and the two are joined.
    const inner = createServer({ allowHalfOpen: true, noDelay: true }, (theirs) => {
      inner.close();
      theirs.on("error", () => {});
      ours.pipe(theirs).pipe(ours);
    });
    inner.listen(0, "127.0.0.1", () => {
      const { port } = inner.address() as AddressInfo;
      const child = start(context.tools.openssl, [
        ...["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-msg"],
        ...["-CAfile", context.certs.caFile, "-verify_return_error"],
        ...(version ? [`-tls${version.replace(".", "_")}`] : []),
        ...(file ? ["-sess_out", file, ...(existsSync(file) ? ["-sess_in", file] : [])] : []),
        ...(early && file && existsSync(file) ? ["-early_data", earlyFile] : []),
        ...parameters.getAll("arg"),
      ]);
      receivedAlerts(child, /^<<< .*Alert.*(?:warning|fatal) (\w+)/, events);
      logLines(child, parameters, events);
      child.on("close", () => events.push("exit"));
    });
  });
  return listen(server, events);
}

/**
 *     gnutls?version=1.2|1.3&cert=LEAF            echoes lines
 *     gnutls?ask=require&…                        a client has to show a certificate of the run's CA
 */
export async function startGnutls(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const { certs } = context;
  const leaf = leafOf(parameters);
  const version = parameters.get("version");
  const port = await freePort();
  const child = start(context.tools.gnutlsServ, [
    ...["--echo", "--noticket", "--debug", "5", "--port", String(port)],
    ...(parameters.get("ask") === "require"
      ? ["--require-client-cert", "--verify-client-cert", "--x509cafile", certs.caFile]
      : ["--disable-client-cert"]),
    ...["--x509certfile", certs.file(leaf, "chain"), "--x509keyfile", certs.file(leaf, "key")],
    ...(version ? ["--priority", `NORMAL:-VERS-ALL:+VERS-TLS${version}`] : []),
    ...parameters.getAll("arg"),
  ]);
  const events = receivedAlerts(child, /Alert\[\d+\|\d+\] - (.+) - was received/);
  await waitForPort(port, child);
  return { port, events, close: () => void child.kill() };
}

/**     nginx?version=1.2|1.3&cert=LEAF             an HTTPS server of static files */
export async function startNginx(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const { certs } = context;
  const leaf = leafOf(parameters);
  const version = parameters.get("version");
  const folder = mkdtempSync(join(context.folder, "nginx-"));
  mkdirSync(join(folder, "www"));
  writeFileSync(join(folder, "www", "index.html"), "It is nginx that says this.\n");
  writeFileSync(join(folder, "www", nginxFile.name), randomBytes(nginxFile.length, nginxFile.seed));
  const { child, port } = await serveByNginx(context.tools.nginx, folder, [
    `ssl_certificate ${certs.file(leaf, "chain")}`,
    `ssl_certificate_key ${certs.file(leaf, "key")}`,
    `ssl_protocols ${version ? `TLSv${version}` : "TLSv1.2 TLSv1.3"}`,
  ]);
  return { port, events: [], close: () => void child.kill() };
}

/**     redis?password=SECRET                      keeps nothing on disk */
export async function startRedis(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const [program = "", ...rest] = context.tools.redis;
  const password = parameters.get("password");
  const port = await freePort();
  const child = start(program, [
    ...[...rest, "--bind", "127.0.0.1", "--port", String(port)],
    ...["--save", "", "--appendonly", "no", "--dir", context.folder],
    ...(password ? ["--requirepass", password] : []),
  ]);
  await waitForPort(port, child);
  return { port, events: [], close: () => void child.kill() };
}

/** Serves `folder`/www by TLS, with those directives. */
export async function serveByNginx(
  nginx: string,
  folder: string,
  directives: string[],
): Promise<{ child: Started; port: number }> {
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
  server {
    listen 127.0.0.1:${port} ssl;
    ${directives.map((directive) => `${directive};`).join("\n    ")}
    root ${folder}/www;
  }
}
`,
  );
  const child = start(nginx, ["-e", "stderr", "-p", folder, "-c", join(folder, "nginx.conf")]);
  await waitForPort(port, child);
  return { child, port };
}

function leafOf(parameters: URLSearchParams): LeafName {
  const leaf = leafNames.find((name) => name === (parameters.get("cert") ?? "ecdsa"));
  if (!leaf) throw new Error(`no such certificate: ${parameters}`);
  return leaf;
}

/** The events of a program that tells of alerts in lines of that pattern. */
function receivedAlerts(child: ChildProcess, pattern: RegExp, events: string[] = []): string[] {
  onLines(child, (line) => {
    const [, name] = line.match(pattern) ?? [];
    if (name) events.push(/close.notify/i.test(name) ? "end" : `alert ${name}`);
  });
  return events;
}

function logLines(child: ChildProcess, parameters: URLSearchParams, events: string[]): void {
  const pattern = parameters.get("log");
  if (!pattern) return;
  onLines(child, (line) => {
    if (new RegExp(pattern).test(line)) events.push(line.trim());
  });
}

function onLines(child: ChildProcess, see: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on("line", see);
  }
}
