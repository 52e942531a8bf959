/** What `wassl serve` answers by itself: --www, --echo, --rev. */
import type { TlsStream } from "wassl";
import { infoFields } from "./report.js";

export const answers = { www, echo, rev };
export type Answer = keyof typeof answers;

type Served = Pick<TlsStream, "writable" | "info"> & { readonly readable: ReadableStream<Uint8Array> };

/** Sends back what arrives. */
async function echo({ readable, writable }: Served): Promise<void> {
  await readable.pipeTo(writable, { preventClose: true });
}

/** The longest line that is reversed as one, in bytes. */
const LINE = 16_384;
const LF = 10;

/** Sends back every line with its bytes reversed, as `openssl s_server -rev` does. */
async function rev({ readable, writable }: Served): Promise<void> {
  const writer = writable.getWriter();
  const reader = readable.getReader();
  let line: number[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const out: number[] = [];
    for (const byte of value) {
      if (byte !== LF) line.push(byte);
      if (byte !== LF && line.length < LINE) continue;
      out.push(...line.reverse(), ...(byte === LF ? [LF] : []));
      line = [];
    }
    if (out.length > 0) await writer.write(Uint8Array.from(out));
  }
  if (line.length > 0) await writer.write(Uint8Array.from(line.reverse()));
  reader.releaseLock();
  writer.releaseLock();
}

/** The longest head of a request, in bytes. */
const HEAD = 65_536;

/** Answers one HTTP request with a page about the connection. */
async function www(stream: Served): Promise<void> {
  const head = await requestHead(stream.readable);
  if (head === undefined) return;
  const [, method, path] = head.match(/^([A-Z]+) (\S+) HTTP\/1\.[01]\r?\n/) ?? [];
  const answer =
    method === undefined || path === undefined
      ? page("400 Bad Request", "<p>That is no HTTP request.</p>")
      : method !== "GET" && method !== "HEAD"
        ? page("405 Method Not Allowed", "<p>There is only GET here.</p>", "Allow: GET, HEAD\r\n")
        : page("200 OK", table(stream, path));
  const writer = stream.writable.getWriter();
  await writer.write(new TextEncoder().encode(method === "HEAD" ? answer.head : answer.head + answer.body));
  writer.releaseLock();
}

async function requestHead(readable: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const reader = readable.getReader();
  const decoder = new TextDecoder();
  try {
    for (let text = ""; text.length <= HEAD; ) {
      const { done, value } = await reader.read();
      if (done) return text === "" ? undefined : "";
      text += decoder.decode(value, { stream: true });
      if (/\r?\n\r?\n/.test(text)) return text;
    }
    return "";
  } finally {
    reader.releaseLock();
  }
}

function page(status: string, content: string, header = ""): { head: string; body: string } {
  const body = `<!doctype html><html lang="en"><meta charset="utf-8"><title>wassl serve</title><link rel="icon" href="data:,"><h1>wassl serve</h1>${content}</html>\n`;
  const length = new TextEncoder().encode(body).byteLength;
  const head = `HTTP/1.1 ${status}\r\n${header}Content-Type: text/html; charset=utf-8\r\nContent-Length: ${length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n`;
  return { head, body };
}

function table({ info }: Served, path: string): string {
  const { peerCertificates, verifiedChain: _, ...fields } = infoFields(info) as Record<string, unknown>;
  const [leaf] = peerCertificates as object[];
  const rows = Object.entries({ path, ...fields, ...(leaf && { certificate: leaf }) });
  const cell = (value: unknown) => {
    const text = typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "–");
    return `<td><code>${escaped(text)}</code></td>`;
  };
  return `<table>${rows.map(([name, value]) => `<tr><th>${escaped(name)}</th>${cell(value)}</tr>`).join("\n")}</table>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
