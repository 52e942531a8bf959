/**
 * From the beginning of a navigation to the end of the first handshake, in Chromium, on a link of 10 Mbit/s and 40 ms:
 * what a person waits for. The engine's own emulation slows down what is fetched; a WebSocket it does not slow down, so
 * the relay here does. Nothing is in a cache.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { WebSocketServer } from "ws";
import type { Prepared } from "./setup.ts";

/** Of a way there and back, in milliseconds. */
const LATENCY = 40;
const BYTES_PER_SECOND = 10_000_000 / 8;

export interface Wait {
  readonly name: string;
  /** In milliseconds, one for each round. */
  readonly values: readonly number[];
}

interface Way {
  readonly name: string;
  readonly encoding: "gzip" | "br";
  /** `OpenSsl.preload()` before the WebSocket is opened. */
  readonly preload: boolean;
  /** `<link rel="preload">` in the page. */
  readonly link: boolean;
}

const WAYS: readonly Way[] = [
  { name: "gzip", encoding: "gzip", preload: false, link: false },
  { name: "gzip, OpenSsl.preload()", encoding: "gzip", preload: true, link: false },
  { name: "brotli, OpenSsl.preload()", encoding: "br", preload: true, link: false },
  { name: "brotli, <link rel=preload>", encoding: "br", preload: false, link: true },
  { name: "brotli, <link rel=preload>, OpenSsl.preload()", encoding: "br", preload: true, link: true },
];

const compressed = { gzip: (bytes: Uint8Array) => gzipSync(bytes, { level: 9 }), br: brotliCompressSync };

export async function navigation(
  { folder, certs }: Prepared,
  rounds: number,
  say: (text: string) => void,
): Promise<Wait[]> {
  const files = new Map<string, { bytes: Uint8Array; type: string }>();
  const wasm = readFileSync(join(folder, "..", "node_modules/wassl/dist/binding/openssl.wasm"));
  const peer = createTlsServer({ cert: certs.chains.ecdsa, key: certs.keys.ecdsa });
  peer.on("tlsClientError", () => {});
  peer.listen(0, "127.0.0.1");
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const server = createServer((request, response) => answer(request.url ?? "/", response));
  const answer = (url: string, response: ServerResponse) => {
    const file = files.get(url);
    if (!file) return response.writeHead(404).end();
    const encoding = url.split("/")[2] as Way["encoding"];
    response.writeHead(200, { "content-type": file.type, "content-encoding": encoding }).end(file.bytes);
  };
  server.on("upgrade", (request, socket, head) => {
    setTimeout(() => sockets.handleUpgrade(request, socket, head, (ws) => slowly(ws, portOf(peer))), LATENCY);
  });
  server.listen(0, "127.0.0.1");
  const browser = await chromium.launch({
    executablePath: process.env.WASSL_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"],
  });
  try {
    for (const [i, way] of WAYS.entries()) {
      const script = await page(folder, way, certs.caPem);
      const link = way.link
        ? '<link rel="preload" href="openssl.wasm" as="fetch" type="application/wasm" crossorigin>'
        : "";
      const html = `<!doctype html><link rel="icon" href="data:,">${link}<script type="module" src="page.js"></script>`;
      const at = `/${i}/${way.encoding}/`;
      const put = (name: string, type: string, bytes: Uint8Array) =>
        files.set(at + name, { type, bytes: compressed[way.encoding](bytes) });
      put("", "text/html", Buffer.from(html));
      put("page.js", "text/javascript", script);
      put("openssl.wasm", "application/wasm", wasm);
    }
    const values = WAYS.map((): number[] => []);
    for (let round = 0; round < rounds; round++) {
      for (const [i, way] of WAYS.entries()) {
        const context = await browser.newContext();
        const tab = await context.newPage();
        const debug = await context.newCDPSession(tab);
        await debug.send("Network.enable");
        await debug.send("Network.emulateNetworkConditions", {
          ...{ offline: false, latency: LATENCY },
          ...{ downloadThroughput: BYTES_PER_SECOND, uploadThroughput: BYTES_PER_SECOND },
        });
        await tab.goto(`http://127.0.0.1:${portOf(server)}/${i}/${way.encoding}/`);
        const done = await tab.waitForFunction(() => (globalThis as { done?: number | string }).done);
        const value = await done.jsonValue();
        if (typeof value !== "number") throw new Error(`${way.name}: ${value}`);
        values[i]!.push(value);
        await context.close();
      }
      say(`navigation, round ${round + 1}: ${values.map((each) => Math.round(each.at(-1)!)).join(", ")} ms`);
    }
    return WAYS.map(({ name }, i) => ({ name, values: values[i]! }));
  } finally {
    await browser.close();
    sockets.close();
    peer.close();
    server.close();
    server.closeAllConnections();
  }
}

const portOf = (server: { address(): AddressInfo | string | null }) => (server.address() as AddressInfo).port;

/** Half of the way takes half of the time, in the order in which it came. */
function slowly(ws: import("ws").WebSocket, port: number): void {
  const tcp = connect({ host: "127.0.0.1", port, noDelay: true });
  const later = (what: () => void) => setTimeout(what, LATENCY / 2);
  ws.on("message", (data) => later(() => tcp.write(data as Buffer)));
  tcp.on("data", (data) => later(() => ws.send(data)));
  ws.on("close", () => tcp.destroy());
  tcp.on("error", () => ws.close());
  tcp.on("close", () => ws.close());
}

/** What an application would write. */
async function page(folder: string, { preload }: Way, ca: string): Promise<Uint8Array> {
  const root = join(folder, "navigation");
  mkdirSync(root, { recursive: true });
  writeFileSync(
    join(root, "main.js"),
    `
      import { ${preload ? "OpenSsl, " : ""}startTls } from "wassl";
      import { connectWebSocket } from "wassl/transports/websocket";
      ${preload ? "OpenSsl.preload();" : ""}
      connectWebSocket(\`ws://\${location.host}/relay\`)
        .then((transport) => startTls(transport, { hostname: "localhost", caCerts: ${JSON.stringify(ca)} }))
        .then(() => { globalThis.done = performance.now(); }, (error) => { globalThis.done = String(error); });
    `,
  );
  const { outputFiles } = await build({
    entryPoints: [join(root, "main.js")],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    logLevel: "error",
  });
  return outputFiles[0]!.contents;
}
