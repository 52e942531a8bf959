import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { rootCertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { build } from "esbuild";
import type { DemoSetup } from "../protocol.js";
import type { RelayLog } from "./relay-log.js";

const demoFolder = new URL("../", import.meta.url);
const libraryFile = new URL("../../dist/index.js", import.meta.url);
const wasmFile = new URL("../../dist/binding/openssl.wasm", import.meta.url);
/** At most this often a watcher of the relay's log is told the news, in milliseconds. */
const watchInterval = 50;

interface File {
  readonly type: string;
  readonly body: Uint8Array;
  readonly brotli: Uint8Array;
}

/** A twentieth of the time of the best, for 12 % more bytes: somebody waits for the demo to start. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };

/** The page and its parts, and the relay's log. Everything is read once, at start. */
export class Site {
  private constructor(
    private readonly files: ReadonlyMap<string, File>,
    private readonly log: RelayLog,
    private readonly origins: readonly string[],
  ) {}

  static async create(setup: DemoSetup, log: RelayLog, origins: readonly string[]): Promise<Site> {
    if (!existsSync(libraryFile) || !existsSync(wasmFile))
      throw new Error("the library is not built yet: `npm start` does that, or `bash build.sh`");
    const text = (content: string) => new TextEncoder().encode(content);
    const own = async (name: string) => await readFile(fileURLToPath(new URL(name, demoFolder)));
    const [script, style] = await Promise.all([bundle("page.ts"), bundle("style.css")]);
    const files: [string, { type: string; body: Uint8Array }][] = [
      ["/", { type: "text/html; charset=utf-8", body: await own("index.html") }],
      ["/style.css", { type: "text/css; charset=utf-8", body: style }],
      ["/icon.svg", { type: "image/svg+xml", body: await own("icon.svg") }],
      ["/page.js", { type: "text/javascript; charset=utf-8", body: script }],
      // Beside the bundle, because the library looks for it with `new URL("./openssl.wasm", import.meta.url)`.
      ["/openssl.wasm", { type: "application/wasm", body: await readFile(fileURLToPath(wasmFile)) }],
      ["/demo.json", { type: "application/json", body: text(JSON.stringify(setup)) }],
      ["/mozilla.pem", { type: "text/plain; charset=utf-8", body: text(rootCertificates.join("\n")) }],
    ];
    const compressed = files.map(async ([path, { type, body }]): Promise<[string, File]> => {
      return [path, { type, body, brotli: await promisify(brotliCompress)(body, BROTLI) }];
    });
    return new Site(new Map(await Promise.all(compressed)), log, origins);
  }

  handle(request: IncomingMessage, response: ServerResponse, url: URL): void {
    this.#setPolicy(response);
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { Allow: "GET, HEAD" }).end();
    } else if (url.pathname === "/relay/log") {
      this.#sendLog(response, url.searchParams.get("id"));
    } else if (url.pathname === "/relay/watch") {
      this.#watchLog(response, url.searchParams.get("id"));
    } else {
      const file = this.files.get(url.pathname);
      if (file === undefined) {
        response.writeHead(404, { "Content-Type": "text/plain" }).end("There is nothing here.\n");
        return;
      }
      const compress = /\bbr\b/.test(request.headers["accept-encoding"] ?? "");
      if (compress) response.setHeader("Content-Encoding", "br");
      response.setHeader("Vary", "Accept-Encoding");
      const body = compress ? file.brotli : file.body;
      response.writeHead(200, { "Content-Type": file.type, "Content-Length": body.length });
      response.end(request.method === "HEAD" ? undefined : body);
    }
  }

  #setPolicy(response: ServerResponse): void {
    // Older browsers do not count ws: as 'self'.
    const sockets = this.origins.map((origin) => origin.replace(/^http/, "ws")).join(" ");
    const policy = [
      "default-src 'none'",
      "script-src 'self' 'wasm-unsafe-eval'",
      "style-src 'self'",
      "img-src 'self'",
      `connect-src 'self' ${sockets}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ];
    response.setHeader("Content-Security-Policy", policy.join("; "));
    response.setHeader("X-Content-Type-Options", "nosniff");
    response.setHeader("Referrer-Policy", "no-referrer");
    response.setHeader("Cross-Origin-Resource-Policy", "same-origin");
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cache-Control", "no-store");
  }

  #sendLog(response: ServerResponse, id: string | null): void {
    const entry = this.log.find(id);
    if (entry === undefined) {
      response.writeHead(404, { "Content-Type": "text/plain" }).end("no such connection\n");
      return;
    }
    const capture = { up: entry.up.start.toString("base64"), down: entry.down.start.toString("base64") };
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ ...entry.snapshot(), capture }));
  }

  /** Server-sent events: a snapshot now, and one after each change until the connection has ended. */
  #watchLog(response: ServerResponse, id: string | null): void {
    const entry = this.log.entry(id);
    if (entry === undefined) {
      response.writeHead(400, { "Content-Type": "text/plain" }).end("id must be a UUID\n");
      return;
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    let timer: NodeJS.Timeout | undefined;
    const send = () => {
      timer = undefined;
      response.write(`data: ${JSON.stringify(entry.snapshot())}\n\n`);
      if (entry.state === "ended") response.end();
    };
    const stop = entry.watch(() => {
      timer ??= setTimeout(send, watchInterval);
    });
    response.on("close", () => {
      stop();
      clearTimeout(timer);
    });
    send();
  }
}

async function bundle(entry: string): Promise<Uint8Array> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL(entry, demoFolder))],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    minify: true,
    write: false,
    logLevel: "warning",
    alias: bundleAlias(),
  });
  const file = result.outputFiles[0];
  if (file === undefined) throw new Error("esbuild made no file");
  return file.contents;
}

/** For looking at the page with a stand-in for the library: WASSL_DEMO_ALIAS='{"wassl":"/path/to/it.ts"}'. */
function bundleAlias(): Record<string, string> {
  const parsed: unknown = JSON.parse(process.env.WASSL_DEMO_ALIAS ?? "{}");
  return Object.fromEntries(Object.entries(parsed ?? {}).filter(([, path]) => typeof path === "string"));
}
