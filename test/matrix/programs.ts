/** The programs of the cells: what a stranger would paste, and the telling of how it went. */
import type { Settings } from "./stage.ts";

/** `visit.js`: a verified handshake, 1 MiB there and back, and a shutdown that is complete. */
const VISIT = `
import { OpenSsl, startTls } from "wassl";
import { settings } from "./settings.js";

const MiB = 2 ** 20;

export async function visit(connect) {
  const begun = performance.now();
  const result = {};
  try {
    OpenSsl.preload();
    const tls = await startTls(await connect(settings), { hostname: "localhost", caCerts: settings.ca });
    result.handshake = performance.now() - begun;
    result.protocol = tls.info.protocol;
    result.verified = tls.info.verified;

    const sent = new Uint8Array(MiB);
    for (let i = 0, x = 1; i < MiB; i++) sent[i] = x = (Math.imul(x, 48271) >>> 0) % 2147483647;
    const writer = tls.writable.getWriter();
    const writing = writer.write(sent);
    const back = new Uint8Array(MiB);
    let got = 0;
    for await (const chunk of tls.readable.values({ preventCancel: true })) {
      back.set(chunk, got);
      got += chunk.length;
      if (got >= MiB) break;
    }
    await writing;
    const openssl = await OpenSsl.shared();
    const hash = (bytes) => Array.from(openssl.sha256(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
    result.sent = hash(sent);
    result.back = hash(back);

    const { info } = await tls.shutdown();
    result.how = info.how;
  } catch (error) {
    result.error = String(error?.stack ?? error) + (error?.cause ? "\\ncause: " + error.cause : "");
  }
  result.engine = globalThis.navigator?.userAgent ?? String(globalThis.process?.version);
  return result;
}

export async function tell(result) {
  await fetch(settings.report, { method: "POST", body: JSON.stringify(result) });
  return result;
}
`;

const WEBSOCKET = `
import { connectWebSocket } from "wassl/transports/websocket";
import { tell, visit } from "./visit.js";

export const go = () => visit(({ relay }) => connectWebSocket(relay)).then(tell);
`;

const TCP = `
import { connect } from "node:net";
import { nodeTransport } from "wassl/transports/node";
import { tell, visit } from "./visit.js";

export const go = () => visit(({ port }) => nodeTransport(connect({ host: "127.0.0.1", port, allowHalfOpen: true }))).then(tell);
`;

/** Those of a project, by name: `page.js` goes by the relay's WebSocket, `node.js` by node:net; each exports `go`. */
export function programs(settings: Settings): Record<string, string> {
  return {
    "settings.js": `export const settings = ${JSON.stringify(settings)};\n`,
    "visit.js": VISIT,
    "page.js": WEBSOCKET,
    "node.js": TCP,
  };
}

export const html = (script: string) =>
  `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>wassl</title>${script}`;
export const moduleScript = (src: string) => html(`<script type="module" src="${src}"></script>`);
export const classicScript = (src: string) => html(`<script src="${src}"></script>`);
