import { printable } from "./format.js";

const headLimit = 64 * 1024;
/** Bytes of the body which are kept to be shown; all of them are counted. */
export const bodyLimit = 64 * 1024;

/** How the end of the body is known (RFC 9112 §6.3). */
type Framing = "length" | "chunked" | "until-close" | "none";

/** One HTTP/1.x answer, fed as it arrives. As much of HTTP as it takes to show one; a client for work it is not. */
export class HttpAnswer {
  statusLine = "";
  readonly headers: { name: string; value: string }[] = [];
  framing: Framing = "none";
  bodyBytes = 0;
  state: "head" | "body" | "complete" | "cut" = "head";
  /** Set when the bytes are no HTTP. */
  problem: string | undefined;

  #head: Uint8Array = new Uint8Array(0);
  readonly #body: Uint8Array[] = [];
  #bodyKept = 0;
  /** Bytes left of the body (`length`) or of the current chunk (`chunked`). */
  #left = 0;
  /** What of a chunk's size line, or of the trailer, has come so far; undefined while within a chunk. */
  #line: string | undefined;
  #inTrailer = false;

  constructor(private readonly method: "GET" | "HEAD" = "GET") {}

  get status(): number {
    return Number(/^HTTP\/\S+ (\d{3})/.exec(this.statusLine)?.[1] ?? 0);
  }

  get keepsAlive(): boolean {
    const connection = this.header("connection")?.toLowerCase() ?? "";
    if (this.framing === "until-close" || connection.includes("close")) return false;
    return this.statusLine.startsWith("HTTP/1.1") || connection.includes("keep-alive");
  }

  get bodyText(): string {
    const bytes = new Uint8Array(this.#bodyKept);
    let at = 0;
    for (const part of this.#body) {
      bytes.set(part, at);
      at += part.length;
    }
    return printable(new TextDecoder().decode(bytes));
  }

  header(name: string): string | undefined {
    return this.headers.find((header) => header.name.toLowerCase() === name)?.value;
  }

  /** Returns whether the answer is complete now. */
  add(chunk: Uint8Array): boolean {
    let rest = chunk;
    if (this.state === "head") rest = this.#takeHead(rest);
    while (rest.length > 0 && this.state === "body") {
      rest =
        this.framing === "chunked" && this.#line !== undefined ? this.#takeLine(rest) : this.#takeBody(rest);
    }
    return this.state === "complete";
  }

  /** No more will come: `properly` when the peer said so by close_notify. Returns whether the answer is complete. */
  end(properly: boolean): boolean {
    if (this.state === "complete") return true;
    const isWhole = properly && this.state === "body" && this.framing === "until-close";
    this.state = isWhole ? "complete" : "cut";
    return isWhole;
  }

  #takeHead(bytes: Uint8Array): Uint8Array {
    const joined = new Uint8Array(this.#head.length + bytes.length);
    joined.set(this.#head);
    joined.set(bytes, this.#head.length);
    const end = findHeadEnd(joined);
    if (end === undefined) {
      this.#head = joined;
      if (joined.length > headLimit) this.#fail("The head of the answer is too long.");
      return joined.subarray(joined.length);
    }
    this.#head = new Uint8Array(0);
    const [statusLine = "", ...lines] = printable(
      new TextDecoder("latin1").decode(joined.subarray(0, end)),
    ).split("\n");
    if (!/^HTTP\/1\.[01] \d{3}/.test(statusLine)) {
      this.#fail("The answer is not HTTP/1.1.");
      return joined.subarray(joined.length);
    }
    const rest = joined.subarray(end);
    // 1xx: a word in between; the answer proper follows.
    if (/^HTTP\/1\.1 1\d\d/.test(statusLine)) return this.#takeHead(rest);
    this.statusLine = statusLine;
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon > 0) this.headers.push({ name: line.slice(0, colon), value: line.slice(colon + 1).trim() });
    }
    this.#chooseFraming();
    return rest;
  }

  #chooseFraming(): void {
    this.state = "body";
    const length = this.header("content-length");
    if (this.method === "HEAD" || this.status === 204 || this.status === 304) {
      this.framing = "none";
      this.state = "complete";
    } else if (this.header("transfer-encoding")?.toLowerCase().endsWith("chunked")) {
      this.framing = "chunked";
      this.#line = "";
    } else if (length !== undefined && /^\d+$/.test(length)) {
      this.framing = "length";
      this.#left = Number(length);
      if (this.#left === 0) this.state = "complete";
    } else {
      this.framing = "until-close";
    }
  }

  #takeBody(bytes: Uint8Array): Uint8Array {
    const part = this.framing === "until-close" ? bytes : bytes.subarray(0, this.#left);
    const kept = part.slice(0, bodyLimit - this.#bodyKept);
    if (kept.length > 0) this.#body.push(kept);
    this.#bodyKept += kept.length;
    this.bodyBytes += part.length;
    this.#left -= part.length;
    if (this.#left === 0 && this.framing === "length") this.state = "complete";
    // The empty line behind the chunk is read like a size line, and skipped.
    if (this.#left === 0 && this.framing === "chunked") this.#line = "";
    return bytes.subarray(part.length);
  }

  #takeLine(bytes: Uint8Array): Uint8Array {
    const newline = bytes.indexOf(10);
    const part = newline < 0 ? bytes : bytes.subarray(0, newline + 1);
    this.#line += new TextDecoder("latin1").decode(part);
    if (newline < 0) {
      if ((this.#line?.length ?? 0) > 8192) this.#fail("A chunk's size line is too long.");
      return bytes.subarray(bytes.length);
    }
    const line = this.#line?.trim() ?? "";
    this.#line = "";
    if (this.#inTrailer) {
      if (line === "") this.state = "complete";
    } else if (line !== "") {
      const size = /^[0-9a-f]{1,12}(?=;|\s|$)/i.exec(line)?.[0];
      if (size === undefined) this.#fail("A chunk's size is not a number.");
      this.#left = Number.parseInt(size ?? "0", 16);
      if (this.#left === 0) this.#inTrailer = true;
      else this.#line = undefined;
    }
    return bytes.subarray(part.length);
  }

  #fail(problem: string): void {
    this.problem = problem;
    this.state = "cut";
  }
}

/** The offset behind the empty line; lone newlines are taken too. */
function findHeadEnd(bytes: Uint8Array): number | undefined {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return at + 2;
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return at + 3;
  }
  return undefined;
}
