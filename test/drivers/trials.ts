/** Runs clients against servers: in Node.js, in Deno, and in a page through a relay. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { WebSocketServer } from "ws";
import { end, type World } from "../ends/peers.ts";
import { killAtEnd } from "../processes.ts";
import { relay } from "../relay.ts";
import { bundleClient } from "./bundle.ts";
import { installDrivers } from "./install.ts";
import type { Order, Report } from "./kit.ts";
import { type ServerName, type Started, servers } from "./servers.ts";

export const engines = ["node", "deno", "page"] as const;
export type Engine = (typeof engines)[number];

/** Each client, and its server. */
export const clients: Record<string, ServerName> = {
  pg: "postgres",
  postgres: "postgres",
  ioredis: "redis",
  redis: "redis",
  imapflow: "imaps",
  "imapflow-starttls": "imap",
  nodemailer: "smtps",
  "nodemailer-starttls": "smtp",
};
/** Those of `npm test`, each with the engines that it runs in then. */
export const often: readonly [client: string, engines: readonly Engine[]][] = [
  ["pg", ["node", "page"]],
  ["ioredis", ["node", "page"]],
  ["imapflow-starttls", ["node", "page"]],
  ["nodemailer", ["node", "page"]],
];

const PATIENCE = 90_000;

export interface Outcome {
  client: string;
  engine: Engine;
  /** What went wrong. */
  failure?: string;
  lines: readonly string[];
}

interface Given {
  world: World;
  /** Whose node_modules have the package. */
  folder: string;
}

/** Runs them, one after the other, and tells of each. */
export async function tryClients(
  wanted: readonly (readonly [client: string, engines: readonly Engine[]])[],
  { world, folder }: Given,
  tell: (outcome: Outcome) => void,
): Promise<void> {
  const drivers = installDrivers();
  const place = join(folder, "drivers");
  mkdirSync(place, { recursive: true });
  const stage = new Stage(place, world);
  cpSync(
    join(folder, "node_modules", "wassl", "dist", "binding", "openssl.wasm"),
    join(place, "openssl.wasm"),
  );
  try {
    for (const [client, of] of wanted) {
      const server = servers[clients[client]!];
      const running = await server.start(world);
      try {
        for (const engine of of) {
          const target = engine === "page" ? "page" : "node";
          const outfile = join(place, `${client}-${target}.mjs`);
          await bundleClient({ client, target, folder, drivers, outfile });
          const before = logOf(running);
          const report = await stage.run(engine, outfile, orderOf(running, world));
          const failure = judge(report, running, server.truncation, logOf(running).slice(before.length));
          tell({ client, engine, lines: report.lines, ...(failure !== undefined && { failure }) });
        }
      } finally {
        await end(running.child);
      }
    }
  } finally {
    await stage.close();
  }
}

const orderOf = ({ port, more = {} }: Started, { certs }: World): Order => ({
  host: "localhost",
  port,
  more,
  ca: certs.caPem,
  otherCa: certs.otherCaPem,
});

const logOf = (running: Started): string => (running.log ? running.log() : running.child.output);

function judge({ ok, lines }: Report, running: Started, truncation: RegExp, log: string): string | undefined {
  if (!ok) return `${lines.join("\n")}\nThe server:\n${log.slice(-3000)}`;
  const cut = log.split("\n").filter((line) => truncation.test(line) && !/handshak|accept/i.test(line));
  if (cut.length > 0) return `the server tells of a truncation:\n${cut.join("\n")}`;
  for (const line of lines) {
    const [, hash] = /^stored: (\w+)$/.exec(line) ?? [];
    if (hash && !running.stored?.().includes(hash))
      return `the server has stored ${running.stored?.()}, and not what was sent, ${hash}`;
  }
  return undefined;
}

const TYPES: Record<string, string> = {
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".html": "text/html",
};

/** Where the bundles run. */
class Stage {
  readonly #folder: string;
  readonly #world: World;
  #browser: Promise<Browser> | undefined;
  #server: Server | undefined;

  constructor(folder: string, world: World) {
    this.#folder = folder;
    this.#world = world;
  }

  async run(engine: Engine, file: string, order: Order): Promise<Report> {
    return engine === "page" ? await this.#inPage(file, order) : await this.#inProcess(engine, file, order);
  }

  async #inProcess(engine: "node" | "deno", file: string, order: Order): Promise<Report> {
    const { deno } = this.#world.tools;
    const flags = ["run", "--allow-all", "--no-prompt", "--no-remote", "--node-modules-dir=manual"];
    const command = engine === "deno" ? [deno, ...flags, file] : [file];
    const child = spawn(process.execPath, [...command, JSON.stringify(order)], {
      cwd: this.#folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    killAtEnd(child);
    let said = "";
    let complaints = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk));
    child.stderr.on("data", (chunk: Buffer) => (complaints += chunk));
    const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
    // It has to end by itself: a driver that is done keeps nothing open.
    const [code] = (await once(child, "close")) as [number | null];
    clearTimeout(late);
    const line = said.split("\n").find((each) => each.startsWith("\u0001"));
    if (line === undefined || code !== 0)
      return { ok: false, lines: [line ?? "", `exit code ${code}`, complaints.slice(-3000)] };
    return JSON.parse(line.slice(1)) as Report;
  }

  async #inPage(file: string, order: Order): Promise<Report> {
    const origin = await this.#serve();
    const page = await (await this.#launch()).newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.stack ?? String(error)));
    page.on("console", (message) => complaints.push(message.text()));
    try {
      await page.goto(`${origin}/page.html`);
      const run = page.evaluate(
        async ({ url, order }) => {
          await import(url);
          return await (globalThis as unknown as { go(order: Order): Promise<Report> }).go(order);
        },
        {
          url: `${origin}/${file.slice(this.#folder.length + 1)}`,
          order: { ...order, relay: `${origin.replace("http", "ws")}/relay?port={port}` },
        },
      );
      const report = await Promise.race([
        run,
        new Promise<Report>((resolve) =>
          setTimeout(
            () => resolve({ ok: false, lines: [`no report within ${PATIENCE} ms`] }),
            PATIENCE,
          ).unref(),
        ),
      ]);
      if (!report.ok) report.lines.push(...complaints);
      return report;
    } catch (error) {
      return { ok: false, lines: [String(error), ...complaints] };
    } finally {
      await page.close();
    }
  }

  #launch(): Promise<Browser> {
    const args = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"];
    this.#browser ??= chromium.launch({ executablePath: this.#world.tools.chromium, args });
    return this.#browser;
  }

  /** The bundles, and the relay. */
  async #serve(): Promise<string> {
    if (!this.#server) {
      const server = createServer((request, response) => {
        const name = new URL(request.url ?? "/", "http://localhost").pathname.slice(1);
        const type = TYPES[extname(name)];
        if (!type || !/^[\w.-]+$/.test(name)) return response.writeHead(404).end();
        response.writeHead(200, { "content-type": type });
        response.end(
          name === "page.html"
            ? "<!doctype html><title>clients</title>"
            : readFileSync(join(this.#folder, name)),
        );
      });
      const sockets = new WebSocketServer({ server, path: "/relay", perMessageDeflate: false });
      sockets.on("connection", (socket, request) => {
        relay(socket, Number(new URL(request.url ?? "/", "http://localhost").searchParams.get("port")));
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      this.#server = server;
    }
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await (await this.#browser)?.close();
    this.#server?.closeAllConnections();
    this.#server?.close();
  }
}
