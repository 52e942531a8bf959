/**
 * TLS servers that are programs of their own. `openssl` and `gnutls` log the alerts that they receive: "end" for
 * close_notify, "alert NAME" for any other.
 */
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { randomBytes } from "../fakes/random.ts";
import { type LeafName, leafNames } from "./certs.ts";
import { nginxFile } from "./nginx-file.ts";
import type { Peer, PeerContext } from "./peer.ts";
import { freePort, type Started, start, waitForOutput, waitForPort } from "./program.ts";

/**
 *     openssl?version=1.2|1.3&cert=LEAF            sends every line back reversed
 *     openssl?do=www&…                             an HTTP server that shows the connection
 *     openssl?arg=-alpn&arg=h2,http/1.1&…          with further arguments
 *
 * `s_server` serves one client at a time, so whoever asks for it is given one of his own.
 */
export async function startOpenssl(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const { certs } = context;
  const leaf = leafOf(parameters);
  const version = parameters.get("version");
  const child = start(context.tools.openssl, [
    "s_server",
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
    parameters.get("do") === "www" ? "-www" : "-rev",
    "-msg",
    ...parameters.getAll("arg"),
  ]);
  const events = receivedAlerts(child, /^<<< .*Alert.*(?:warning|fatal) (\w+)/);
  const [, port] = await waitForOutput(child, /ACCEPT \S*:(\d+)/);
  return { port: Number(port), events, close: () => void child.kill() };
}

/**     gnutls?version=1.2|1.3&cert=LEAF            echoes lines */
export async function startGnutls(context: PeerContext, parameters: URLSearchParams): Promise<Peer> {
  const { certs } = context;
  const leaf = leafOf(parameters);
  const version = parameters.get("version");
  const port = await freePort();
  const child = start(context.tools.gnutlsServ, [
    ...["--echo", "--noticket", "--disable-client-cert", "--debug", "5", "--port", String(port)],
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
function receivedAlerts(child: ChildProcess, pattern: RegExp): string[] {
  const events: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on("line", (line) => {
      const [, name] = line.match(pattern) ?? [];
      if (name) events.push(/close.notify/i.test(name) ? "end" : `alert ${name}`);
    });
  }
  return events;
}
