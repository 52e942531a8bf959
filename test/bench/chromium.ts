/**
 * A page in Chromium, measured as a process is: the CPU time of its renderer. No debugger is attached, which would copy
 * each frame of a WebSocket; the page asks us for its work. It reaches TCP by a relay in this process.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocketServer } from "ws";
import { startChromium } from "../browsers.ts";
import { relay } from "../relay.ts";
import type { Request } from "./end.ts";
import type { Job } from "./page.ts";

/** A page that does not answer for so long, in milliseconds, never will. */
const PATIENCE = 120_000;

export class Chromium {
  readonly #child: ChildProcess;
  readonly #close: () => void;
  readonly #next: (job: Job) => Promise<void>;

  private constructor(child: ChildProcess, next: (job: Job) => Promise<void>, close: () => void) {
    this.#child = child;
    this.#next = next;
    this.#close = close;
  }

  /** `folder` has page.js and openssl.wasm. */
  static async start(folder: string): Promise<Chromium> {
    /** The page's request for work, or the work that waits for it. */
    let waiting: ServerResponse | undefined;
    let job: Job | undefined;
    let settle: { resolve(): void; reject(error: Error): void } | undefined;
    const give = () => {
      if (!waiting || !job) return;
      waiting.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(job));
      waiting = job = undefined;
    };
    const types = { js: "text/javascript", wasm: "application/wasm" };
    const server = createServer((request, response) => {
      const path = new URL(request.url ?? "/", "http://127.0.0.1").pathname;
      const type = types[path.split(".")[1] as keyof typeof types];
      if (path === "/job") {
        waiting = response;
        give();
      } else if (path === "/result") {
        let text = "";
        request.on("data", (chunk) => {
          text += chunk;
        });
        request.on("end", () => {
          response.end();
          const { error } = JSON.parse(text) as { error?: string };
          if (error === undefined) settle?.resolve();
          else settle?.reject(new Error(error));
        });
      } else if (path === "/") {
        response
          .writeHead(200, { "Content-Type": "text/html" })
          .end(
            '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
          );
      } else if (type && /^\/[\w-]+\.\w+$/.test(path)) {
        response.writeHead(200, { "Content-Type": type }).end(readFileSync(join(folder, path)));
      } else response.writeHead(404).end();
    });
    const sockets = new WebSocketServer({ server, path: "/relay", perMessageDeflate: false });
    sockets.on("connection", (ws, { url }) =>
      relay(ws, Number(new URL(url ?? "", "http://a").searchParams.get("port"))),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;

    const profile = mkdtempSync(join(tmpdir(), "wassl-bench-chromium-"));
    const executable = process.env.WASSL_CHROMIUM ?? "chromium";
    const child = startChromium(executable, profile, `http://127.0.0.1:${port}/`);
    child.stderr.resume();
    process.once("exit", () => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }));
    let gone: Error | undefined;
    const onGone = (error: Error) => {
      gone ??= error;
      settle?.reject(gone);
    };
    child.once("error", onGone);
    child.once("exit", (code) => onGone(new Error(`Chromium exited with ${code}`)));
    return new Chromium(
      child,
      (next) =>
        new Promise((resolve, reject) => {
          if (gone) return reject(gone);
          const timer = setTimeout(() => reject(new Error("no answer from the page")), PATIENCE);
          const end = (how: () => void) => {
            clearTimeout(timer);
            how();
          };
          settle = {
            resolve: () => end(resolve),
            reject: (error) => end(() => reject(error)),
          };
          job = next;
          give();
        }),
      () => {
        for (const socket of sockets.clients) socket.terminate();
        server.close();
        server.closeAllConnections();
      },
    );
  }

  /** What a process is asked, as far as a page can do it. */
  async ask<T>(request: Request, library: Job["library"]): Promise<T> {
    if (request.do === "cpu") return this.#cpu() as T;
    if (request.do !== "run") throw new Error(`a page cannot do that: ${request.do}`);
    const { row, port, amount, caPem } = request;
    return (await this.#next({ library, row, port, amount, caPem })) as T;
  }

  /** Of all renderers, in seconds. Those that have no page do nothing. */
  #cpu(): number {
    const parents = new Map<number, number>();
    const renderers: number[] = [];
    for (const name of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        parents.set(
          Number(name),
          Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1]),
        );
        if (readFileSync(`/proc/${name}/cmdline`, "utf8").includes("--type=renderer"))
          renderers.push(Number(name));
      } catch {
        // It has just ended.
      }
    }
    const ours = (pid: number | undefined): boolean =>
      pid === this.#child.pid || (pid !== undefined && pid > 1 && ours(parents.get(pid)));
    let nanoseconds = 0;
    for (const pid of renderers.filter(ours)) {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        // Time on a CPU, in nanoseconds, comes first.
        nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
      }
    }
    return nanoseconds / 1e9;
  }

  stop(): void {
    this.#child.removeAllListeners("exit");
    this.#child.kill();
    this.#close();
  }
}
