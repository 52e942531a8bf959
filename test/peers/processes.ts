/**
 * TLS servers that are programs of their own. `openssl` and `gnutls` log the alerts that they receive: "end" for
 * close_notify, "alert NAME" for any other.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { randomBytes } from "../fakes/random.ts";
import { killAtEnd } from "../processes.ts";
import { type LeafName, leafNames } from "./certs.ts";
import { nginxFile } from "./nginx-file.ts";
import type { Peer, PeerContext } from "./peer.ts";

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
  const port = await freePort();
  mkdirSync(join(folder, "www"));
  writeFileSync(join(folder, "www", "index.html"), "It is nginx that says this.\n");
  writeFileSync(join(folder, "www", nginxFile.name), randomBytes(nginxFile.length, nginxFile.seed));
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
    ssl_certificate ${certs.file(leaf, "chain")};
    ssl_certificate_key ${certs.file(leaf, "key")};
    ssl_protocols ${version ? `TLSv${version}` : "TLSv1.2 TLSv1.3"};
    root ${folder}/www;
  }
}
`,
  );
  const child = start(context.tools.nginx, ["-e", "stderr", "-p", folder, "-c", join(folder, "nginx.conf")]);
  await waitForPort(port, child);
  return { port, events: [], close: () => void child.kill() };
}

function leafOf(parameters: URLSearchParams): LeafName {
  const leaf = leafNames.find((name) => name === (parameters.get("cert") ?? "ecdsa"));
  if (!leaf) throw new Error(`no such certificate: ${parameters}`);
  return leaf;
}

interface Started extends ChildProcess {
  output: string;
}

function start(program: string, args: string[]): Started {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  killAtEnd(child);
  const started = Object.assign(child, { output: "" });
  const keep = (chunk: Buffer) => {
    started.output = (started.output + chunk).slice(-10_000);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  child.on("error", (error) => keep(Buffer.from(String(error))));
  return started;
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

/** Waits until `ready` says so, at most ten seconds. */
async function waitUntil<T>(child: Started, what: string, ready: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(10)) {
    const result = await ready();
    if (result !== undefined) return result;
    if (child.exitCode !== null || child.pid === undefined) break;
  }
  throw new Error(`${child.spawnfile} did not start (${what}); it said:\n${child.output}`);
}

function waitForOutput(child: Started, pattern: RegExp): Promise<RegExpMatchArray> {
  return waitUntil(child, String(pattern), async () => child.output.match(pattern) ?? undefined);
}

function waitForPort(port: number, child: Started): Promise<true> {
  const attempt = () =>
    new Promise<true | undefined>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("connect", () => resolve(true)).on("error", () => resolve(undefined));
      socket.on("connect", () => socket.destroy());
    });
  return waitUntil(child, `port ${port}`, attempt);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("a TCP port was expected");
  return address.port;
}
