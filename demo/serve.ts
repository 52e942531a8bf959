/**
 * `npm start`: serves the page, the relay, and a few servers to talk to, all on 127.0.0.1.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { DemoSetup, Target, WhatIf } from "./protocol.js";
import { AllowList } from "./server/allow-list.js";
import { type Arguments, parseArguments, usage } from "./server/arguments.js";
import { makeCertificates } from "./server/certificates.js";
import { startOpenSslServer, startRustls } from "./server/children.js";
import { Cleanup } from "./server/cleanup.js";
import { findSilentPort, startCutting, startNodeHttps, startPlainHttp } from "./server/endpoints.js";
import { Relay } from "./server/relay.js";
import { Site } from "./server/site.js";

const usualPort = 8443;

async function main(): Promise<void> {
  const cleanup = new Cleanup();
  process.once("SIGINT", () => cleanup.runAndExit(0));
  process.once("SIGTERM", () => cleanup.runAndExit(0));
  try {
    const options = parseArguments(process.argv.slice(2), process.env);
    if (options.help) {
      console.log(usage);
      return;
    }
    const url = await start(options, cleanup);
    console.log(`Wassl: ${url}   (Ctrl-C ends it)`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    cleanup.runAndExit(1);
  }
}

async function start(options: Arguments, cleanup: Cleanup): Promise<string> {
  const setup = await startTargets(options, cleanup);
  const allowed = new AllowList();
  const reachable = setup.whatIfs.filter(({ id }) => id !== "forbidden");
  for (const { host, port } of [...setup.targets, ...reachable]) allowed.add(host, port);
  // The same servers by their other name, so that an IP address in a certificate can be tried too.
  for (const { host, port } of setup.targets) if (host === "localhost") allowed.add("127.0.0.1", port);

  const server = createServer();
  const port = await listen(server, options.port);
  cleanup.add(() => {
    server.close();
    server.closeAllConnections();
  });
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  const origins = hosts.map((host) => `http://${host}`);
  // Browsers always say which site a WebSocket is for. Who does not is a program here, which needs no relay for harm.
  const relay = new Relay(allowed, (origin) => origin === undefined || origins.includes(origin));
  cleanup.add(() => relay.close());
  const site = await Site.create(setup, relay.log, origins);

  // A foreign name that resolves to 127.0.0.1 (DNS rebinding) betrays itself in the Host header.
  const isOwnHost = (request: IncomingMessage) => hosts.includes(request.headers.host ?? "");
  // Undefined for what is no URL, as "//".
  const urlOf = ({ url = "/" }: IncomingMessage) =>
    URL.canParse(url, origins[0]) ? new URL(url, origins[0]) : undefined;
  server.on("request", (request, response) => {
    const url = urlOf(request);
    const refuse = (status: number, words: string) =>
      response.writeHead(status, { "Content-Type": "text/plain" }).end(`${words}\n`);
    if (!isOwnHost(request)) refuse(403, "This server answers to localhost only.");
    else if (url === undefined) refuse(400, "That is no URL.");
    else site.handle(request, response, url);
  });
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy());
    const url = urlOf(request);
    if (isOwnHost(request) && url?.pathname === "/relay") relay.upgrade(request, socket, head, url);
    else socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  });
  return `${origins[0]}/`;
}

async function startTargets(options: Arguments, cleanup: Cleanup): Promise<DemoSetup> {
  const certificates = await makeCertificates();
  cleanup.removeDirectory(certificates.directory);
  const [rustls, openssl, node, misnamed, expired, plain, cutting, silent] = await Promise.all([
    startRustls(certificates, cleanup),
    startOpenSslServer(certificates.good, cleanup),
    startNodeHttps(certificates.good, cleanup),
    startNodeHttps(certificates.misnamed, cleanup),
    startNodeHttps(certificates.expired, cleanup),
    startPlainHttp(cleanup),
    startCutting(certificates.good, cleanup),
    findSilentPort(),
  ]);

  const local = { host: "localhost", path: "/", trust: "demo" } as const;
  const targets: Target[] = [];
  if (rustls !== undefined)
    targets.push({ ...local, id: "rustls", name: "rustls", stack: "rustls, in Deno", port: rustls });
  targets.push(
    { ...local, id: "node", name: "Node.js", stack: "node:https", port: node },
    { ...local, id: "s_server", name: "OpenSSL s_server", stack: "openssl s_server", port: openssl },
  );
  for (const { host, port } of options.allow)
    targets.push({
      id: `${host}:${port}`,
      name: host,
      stack: "the internet",
      host,
      port,
      path: "/",
      trust: "mozilla",
    });

  const first = targets[0]?.port ?? node;
  const whatIf = (
    id: string,
    name: string,
    lesson: string,
    port: number,
    more: Partial<Target> = {},
  ): WhatIf => ({
    ...{ ...local, id, name, lesson, port, stack: "node:https" },
    ...more,
  });
  const whatIfs: WhatIf[] = [
    whatIf("misnamed", "the wrong name", "The certificate is genuine, but it is for another name.", misnamed),
    whatIf(
      "untrusted",
      "nobody is trusted",
      "The same good server, and an empty list of trust anchors.",
      first,
      {
        trust: "nobody",
        stack: targets[0]?.stack ?? "node:https",
      },
    ),
    whatIf("expired", "it has expired", "A certificate for the right name whose time is over.", expired),
    whatIf("plain", "it is not TLS", "A web server that speaks HTTP in the clear.", plain, {
      stack: "node:http",
    }),
    whatIf(
      "cut",
      "the cable is cut",
      "The server vanishes in the middle of its answer, without close_notify.",
      cutting,
      {
        stack: "node:tls, cut off",
      },
    ),
    whatIf("silent", "nobody listens", "A port on which no program listens.", silent, { stack: "nobody" }),
    whatIf("forbidden", "the relay refuses", "A host that is not on the relay's allow-list.", 443, {
      host: "not-allowed.example",
      stack: "a stranger",
    }),
  ];
  return { caPem: certificates.caPem, targets, whatIfs };
}

async function listen(server: Server, port: number | undefined): Promise<number> {
  const attempt = (candidate: number) =>
    new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen(candidate, "127.0.0.1", () => {
        server.off("error", reject);
        resolve((server.address() as AddressInfo).port);
      });
    });
  if (port !== undefined) return await attempt(port);
  try {
    return await attempt(usualPort);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return await attempt(0);
    throw error;
  }
}

await main();
