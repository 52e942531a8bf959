/** The command line in this process: `main()` of the packed tarball, with a world that a test makes and watches. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import WebSocket from "ws";
import type { Io } from "../../src/cli/io.ts";
import { concat } from "../fakes/wrappers.ts";
import { afterTest, env } from "./env.ts";

/** The runner starts us in a folder whose node_modules hold the unpacked tarball. */
export const cliFolder = join(process.cwd(), "node_modules/wassl/dist/cli");
const { main } = (await import(pathToFileURL(join(cliFolder, "main.js")).href)) as {
  main(args: readonly string[], io: Io): Promise<number>;
};

/** One line of `--json`. */
export type Line = { type: string; time: number } & Record<string, unknown>;

export interface RunOptions {
  /** Pieces of standard input; a number is a pause in milliseconds. */
  stdin?: (string | Uint8Array | number)[];
  /** Standard input does not end. */
  open?: boolean;
  terminal?: boolean;
  env?: Record<string, string>;
  /** Without --json, then. */
  words?: boolean;
  stdout?: (bytes: Uint8Array) => Promise<void>;
  WebSocket?: Io["WebSocket"];
}

export class Run {
  /** The exit code. */
  readonly ended: Promise<number>;
  readonly #out: Uint8Array[] = [];
  /** Standard error. */
  text = "";
  readonly #interrupt = new AbortController();
  #heard = () => {};

  constructor(args: string[], options: RunOptions = {}) {
    const { stdin = [], open = false, terminal = false, words = false } = options;
    const io: Io = {
      stdin: input(stdin, open),
      stdinIsTerminal: terminal,
      stdout: async (bytes) => {
        await options.stdout?.(bytes);
        // What is given stays the giver's.
        this.#out.push(bytes.slice());
      },
      stderr: (text) => {
        this.text += text;
        this.#heard();
      },
      stderrIsTerminal: terminal,
      env: (name) => options.env?.[name],
      interrupted: this.#interrupt.signal,
      WebSocket: options.WebSocket ?? WebSocket,
    };
    this.ended = main(words ? args : [...args, "--json"], io);
    afterTest(() => this.interrupt());
  }

  get out(): string {
    return new TextDecoder().decode(this.bytes);
  }
  get bytes(): Uint8Array {
    return concat(this.#out);
  }
  get lines(): Line[] {
    return this.text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Line);
  }
  /** The last line, once it has ended. */
  get outcome(): Line & { error?: { message: string; code?: string; verifyError?: string } } {
    return this.lines.at(-1)!;
  }

  interrupt(): void {
    this.#interrupt.abort();
  }

  /** The first line of that type, now or later. */
  async line(type: string): Promise<Line> {
    for (;;) {
      const found = this.text.includes("\n") && this.lines.find((line) => line.type === type);
      if (found) return found;
      const over = await Promise.race([
        this.ended.then(() => true),
        new Promise<false>((resolve) => {
          this.#heard = () => resolve(false);
        }),
      ]);
      if (over && !this.lines.some((line) => line.type === type)) {
        throw new Error(`it ended without "${type}":\n${this.text}`);
      }
    }
  }
}

async function* input(pieces: (string | Uint8Array | number)[], open: boolean): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    if (typeof piece === "number") await new Promise((resolve) => setTimeout(resolve, piece));
    else yield typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
  }
  if (open) await new Promise(() => {});
}

/** `wassl connect` to a peer (see test/peers), of which it trusts the CA. */
export async function connectTo(peer: string, args: string[] = [], options: RunOptions = {}): Promise<Run> {
  const { port } = await env.peer(peer);
  return new Run(["connect", `localhost:${port}`, "--ca", certFile("ca"), ...args], options);
}

/** `wassl serve`, with its own certificate, once it listens. */
export async function serveWith(
  args: string[],
  options: RunOptions = {},
): Promise<{ server: Run; port: number }> {
  const server = new Run(
    ["serve", "0", "--cert", certFile("ecdsa"), "--key", certFile("ecdsaKey"), ...args],
    options,
  );
  const { port } = await server.line("listening");
  return { server, port: port as number };
}

let written: string | undefined;

/** The path of one of {@link files}, which are the run's certificates and keys. */
export function certFile(name: keyof ReturnType<typeof files>): string {
  if (written === undefined) {
    written = join(process.cwd(), "cli-certs");
    mkdirSync(written, { recursive: true, mode: 0o700 });
    for (const [file, content] of Object.entries(files())) writeFileSync(join(written, file), content);
  }
  return join(written, name);
}

function files() {
  const { caPem, otherCaPem, intermediatePem, chains, keys, clientP12, crls, ocsp } = env.certs;
  return {
    ca: caPem,
    otherCa: otherCaPem,
    intermediate: intermediatePem,
    ecdsa: chains.ecdsa,
    ecdsaKey: keys.ecdsa,
    expired: chains.expired,
    rsa: chains.rsa,
    rsaKey: keys.rsa,
    client: chains.client,
    clientKey: keys.client,
    clientBoth: keys.client + chains.client,
    clientP12: Buffer.from(clientP12, "base64"),
    caCrl: crls.ca,
    intermediateCrl: crls.intermediate,
    revokesEcdsa: crls.revokesEcdsa,
    ocspGood: Buffer.from(ocsp.good, "base64"),
    ocspRevoked: Buffer.from(ocsp.revoked, "base64"),
  };
}
