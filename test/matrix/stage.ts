/** What the cells of a run have in common: a server, a relay to it, browsers, and where a visit is reported. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import type { Browser as Playwright } from "playwright-core";
import { type WebSocket, WebSocketServer } from "ws";
import { startChromium, startFirefox, startWebKit } from "../browsers.ts";
import type { CertFiles } from "../peers/certs.ts";
import { Peers } from "../peers/index.ts";
import { killAtEnd } from "../processes.ts";
import { relay } from "../relay.ts";
import type { Tools } from "../setup.ts";
import { NotToBeHad } from "./projects.ts";

/** What a program tells of its visit. */
export interface Visit {
  error?: string;
  protocol?: string;
  verified?: boolean;
  /** SHA-256 of what was sent, and of what came back. */
  sent?: string;
  back?: string;
  how?: string;
  engine?: string;
  /** From the program's first line to the end of the handshake, in milliseconds. */
  handshake?: number;
}

/** What a program has to know; it is in the project as `settings.js`. */
export interface Settings {
  /** The relay's WebSocket, to a server that sends back what comes. */
  relay: string;
  /** The same server, by TCP. */
  port: number;
  /** Where the visit is reported, by POST. */
  report: string;
  ca: string;
}

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

export class Stage {
  readonly tools: Tools;
  readonly #server: Server;
  readonly #origin: string;
  readonly #port: number;
  readonly #ca: string;
  readonly #peers: Peers;
  readonly #visits = new Map<string, (visit: Visit) => void>();
  #chromium: Promise<Playwright> | undefined;

  static async open(tools: Tools, certs: CertFiles, folder: string): Promise<Stage> {
    const peers = new Peers({ tools, certs, folder });
    const { port } = await peers.get("tls", "matrix");
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    const visits = new Map<string, (visit: Visit) => void>();
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      // From pages of any origin, files among them.
      response
        .writeHead(204, { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*" })
        .end();
      const name = new URL(request.url ?? "", "http://a").searchParams.get("cell") ?? "";
      if (request.method === "POST")
        visits.get(name)?.(JSON.parse(Buffer.concat(chunks).toString()) as Visit);
    });
    server.on("upgrade", (request, socket, head) => {
      socket.on("error", () => {});
      sockets.handleUpgrade(request, socket, head, (ws: WebSocket) => relay(ws, port));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Stage(tools, peers, server, visits, port, certs.caPem);
  }

  private constructor(
    tools: Tools,
    peers: Peers,
    server: Server,
    visits: Map<string, (visit: Visit) => void>,
    port: number,
    ca: string,
  ) {
    this.tools = tools;
    this.#peers = peers;
    this.#server = server;
    this.#visits = visits;
    this.#port = port;
    this.#ca = ca;
    this.#origin = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  settings(cell: string): Settings {
    return {
      relay: `ws://${this.#origin}/relay`,
      port: this.#port,
      report: `http://${this.#origin}/report?cell=${encodeURIComponent(cell)}`,
      ca: this.#ca,
    };
  }

  /** The first visit that the programs of this cell report. */
  visit(cell: string): Promise<Visit> {
    return new Promise((resolve) => this.#visits.set(cell, resolve));
  }

  /** Serves the files of `root`; the URL of its index. Missing ones are answered with 404. */
  async serve(root: string, ended: AbortSignal): Promise<string> {
    const server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://a");
      const path = join(root, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
      if (!existsSync(path) || !statSync(path).isFile()) return response.writeHead(404).end();
      response
        .writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" })
        .end(readFileSync(path));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ended.addEventListener("abort", () => {
      server.close();
      server.closeAllConnections();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  /** Opens the page in Chromium. What it complains of goes to `log`. */
  async chromium(url: string, ended: AbortSignal, log: (line: string) => void): Promise<void> {
    const { chromium } = await import("playwright-core");
    this.#chromium ??= chromium.launch({
      executablePath: this.tools.chromium,
      args: ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"],
    });
    const page = await (await this.#chromium).newPage();
    page.on("console", (message) => log(`console: ${message.text()}`));
    page.on("pageerror", (error) => log(`page: ${error.stack ?? error}`));
    page.on("requestfailed", (request) => log(`request failed: ${request.url()}`));
    ended.addEventListener("abort", () => void page.close().catch(() => {}));
    await page.goto(url, { waitUntil: "commit" });
  }

  /** Chromium with the extension that is in `root`, in a process of its own. */
  extension(root: string, profile: string, ended: AbortSignal): void {
    const flags = [`--load-extension=${root}`, "--disable-features=DisableLoadExtensionCommandLineSwitch"];
    this.#end(startChromium(this.tools.chromium, profile, "about:blank", flags), ended);
  }

  async webkit(url: string, profile: string, ended: AbortSignal): Promise<void> {
    const { browser, xvfb } = had(this.tools.webkit);
    this.#end(await startWebKit(browser, xvfb, profile, url), ended);
  }

  firefox(url: string, profile: string, ended: AbortSignal): void {
    this.#end(startFirefox(had(this.tools.firefox), profile, url), ended);
  }

  #end(child: ChildProcess, ended: AbortSignal): void {
    child.stderr?.resume();
    ended.addEventListener("abort", () => child.kill("SIGKILL"));
  }

  async close(): Promise<void> {
    await (await this.#chromium?.catch(() => undefined))?.close();
    this.#server.close();
    this.#server.closeAllConnections();
    this.#peers.close();
  }
}

function had<T>(tool: () => T): T {
  try {
    return tool();
  } catch (error) {
    throw new NotToBeHad((error as Error).message);
  }
}

/** A command that ends by itself; what it said, or an error with the end of that. */
export async function command(
  cwd: string,
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const options = { cwd, timeout: 240_000, maxBuffer: 2 ** 26, env: environment(env) };
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, options);
    return stdout + stderr;
  } catch (error) {
    const { stdout = "", stderr = "", message } = error as Error & { stdout?: string; stderr?: string };
    throw new Error(`${message.split("\n")[0]}\n${`${stdout}${stderr}`.slice(-3000)}`);
  }
}

/** A server of a tool: resolves with what `ready` finds in what it says. It is ended with all that it started. */
export async function server(
  cwd: string,
  program: string,
  args: string[],
  ready: RegExp,
  ended: AbortSignal,
  log: (line: string) => void,
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(program, args, {
    cwd,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: environment(env),
  });
  killAtEnd(child);
  const end = () => {
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch {
      // It has ended.
    }
  };
  ended.addEventListener("abort", end);
  process.once("exit", end);
  return await new Promise<string>((resolve, reject) => {
    let said = "";
    const hear = (chunk: Buffer) => {
      // Without colours, where a tool does not ask.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is how they are written
      const text = String(chunk).replace(/\x1b\[[\d;]*m/g, "");
      said += text;
      log(text.trimEnd());
      const found = ready.exec(said);
      if (found) resolve(found[1] ?? found[0]);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${program} exited with ${code}\n${said.slice(-3000)}`)));
    const timer = setTimeout(
      () => reject(new Error(`${program} was not ready\n${said.slice(-3000)}`)),
      120_000,
    );
    timer.unref();
  });
}

function environment(more: Record<string, string>): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...own } = process.env;
  const quiet = {
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    NEXT_TELEMETRY_DISABLED: "1",
    NUXT_TELEMETRY_DISABLED: "1",
  };
  return { ...own, ...quiet, ASTRO_TELEMETRY_DISABLED: "1", ...more };
}
