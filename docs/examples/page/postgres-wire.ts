/** As much of PostgreSQL's protocol as a query needs: https://www.postgresql.org/docs/current/protocol.html */
import type { TlsStream } from "wassl";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface Login {
  user: string;
  password: string;
  database: string;
}

export class Postgres {
  readonly #tls: TlsStream;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #received: Uint8Array = new Uint8Array(0);
  /** The login is good on this very TLS connection alone: nobody in between can pass it on. */
  bound = false;

  private constructor(tls: TlsStream) {
    this.#tls = tls;
    this.#writer = tls.writable.getWriter();
    this.#reader = tls.readable.getReader();
  }

  /** Logs in, on a connection on which nothing was said in TLS yet. */
  static async logIn(tls: TlsStream, { user, password, database }: Login): Promise<Postgres> {
    const postgres = new Postgres(tls);
    // The startup message is the only one without a type.
    await postgres.#send(
      "",
      int32(196608),
      cString("user"),
      cString(user),
      cString("database"),
      cString(database),
      [0],
    );
    for (;;) {
      const { type, body } = await postgres.#receive();
      if (type === "Z") return postgres;
      if (type === "R") await postgres.#authenticate(body, password);
    }
  }

  /** The rows of a query, each a list of texts. */
  async query(sql: string): Promise<(string | null)[][]> {
    await this.#send("Q", cString(sql));
    const rows: (string | null)[][] = [];
    for (;;) {
      const { type, body } = await this.#receive();
      if (type === "Z") return rows;
      if (type === "D") rows.push(columnsOf(body));
    }
  }

  /** Says goodbye, and ends the TLS connection: our close_notify, then the server's. The transport is closed by that. */
  async end(): Promise<void> {
    await this.#send("X");
    await this.#writer.close();
    while (!(await this.#reader.read()).done);
  }

  async #authenticate(body: Uint8Array, password: string): Promise<void> {
    const kind = new DataView(body.buffer, body.byteOffset).getUint32(0);
    if (kind === 0) return;
    if (kind !== 10)
      throw new Error(`the server wants authentication of kind ${kind}, and this program knows SCRAM only`);
    const offered = decoder.decode(body.subarray(4)).split("\0");

    const binding = this.#tls.channelBinding("tls-server-end-point");
    this.bound = binding !== undefined && offered.includes("SCRAM-SHA-256-PLUS");
    // "y": we could, and the server says that it cannot. If somebody in between made it say so, the login fails.
    const flag = this.bound ? "p=tls-server-end-point" : binding ? "y" : "n";
    const scram = new Scram(password, flag, this.bound ? binding : undefined);
    const first = encoder.encode(scram.first());
    await this.#send(
      "p",
      cString(this.bound ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256"),
      int32(first.length),
      first,
    );
    const challenge = decoder.decode((await this.#receive()).body.subarray(4));
    await this.#send("p", encoder.encode(await scram.final(challenge)));
    // It ends with the server's proof that it knows the password too.
    await scram.check(decoder.decode((await this.#receive()).body.subarray(4)));
  }

  async #send(type: string, ...parts: ArrayLike<number>[]): Promise<void> {
    const body = parts.flatMap((part) => Array.from(part));
    await this.#writer.write(Uint8Array.of(...encoder.encode(type), ...int32(body.length + 4), ...body));
  }

  async #receive(): Promise<{ type: string; body: Uint8Array }> {
    const head = await this.#take(5);
    const length = new DataView(head.buffer, head.byteOffset).getUint32(1);
    const body = await this.#take(length - 4);
    const type = String.fromCharCode(head[0] ?? 0);
    if (type === "E") throw new Error(`the database says: ${fieldsOf(body).get("M")}`);
    return { type, body };
  }

  async #take(length: number): Promise<Uint8Array> {
    while (this.#received.length < length) {
      const { done, value } = await this.#reader.read();
      if (done) throw new Error("the database has ended the connection");
      const both = new Uint8Array(this.#received.length + value.length);
      both.set(this.#received);
      both.set(value, this.#received.length);
      this.#received = both;
    }
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }
}

/** SCRAM-SHA-256 (RFC 5802, RFC 7677), bound to the TLS connection where `binding` is there. */
class Scram {
  readonly #password: string;
  readonly #gs2: string;
  readonly #binding: Uint8Array;
  readonly #bare = `n=,r=${base64(crypto.getRandomValues(new Uint8Array(18)))}`;
  #serverSignature = "";

  constructor(password: string, flag: string, binding: Uint8Array | undefined) {
    this.#password = password;
    this.#gs2 = `${flag},,`;
    this.#binding = binding ?? new Uint8Array(0);
  }

  first(): string {
    return this.#gs2 + this.#bare;
  }

  async final(challenge: string): Promise<string> {
    const { r: nonce = "", s: salt = "", i: iterations = "" } = attributesOf(challenge);
    if (!nonce.startsWith(this.#bare.slice(5))) throw new Error("the server answers somebody else's login");
    const material = await crypto.subtle.importKey("raw", encoder.encode(this.#password), "PBKDF2", false, [
      "deriveBits",
    ]);
    const parameters = {
      name: "PBKDF2",
      hash: "SHA-256",
      salt: bytesOf(salt),
      iterations: Number(iterations),
    };
    const salted = new Uint8Array(await crypto.subtle.deriveBits(parameters, material, 256));
    const clientKey = await hmac(salted, "Client Key");
    const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
    const withoutProof = `c=${base64([...encoder.encode(this.#gs2), ...this.#binding])},r=${nonce}`;
    const message = `${this.#bare},${challenge},${withoutProof}`;
    this.#serverSignature = base64(await hmac(await hmac(salted, "Server Key"), message));
    const signature = await hmac(storedKey, message);
    return `${withoutProof},p=${base64(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0)))}`;
  }

  async check(final: string): Promise<void> {
    if (attributesOf(final).v !== this.#serverSignature)
      throw new Error("the server does not know the password");
  }
}

async function hmac(key: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array<ArrayBuffer>> {
  const usable = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", usable, encoder.encode(text)));
}

function attributesOf(message: string): Record<string, string> {
  return Object.fromEntries(message.split(",").map((part) => [part[0], part.slice(2)]));
}

function base64(bytes: Iterable<number>): string {
  return btoa(String.fromCharCode(...bytes));
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function int32(value: number): Uint8Array {
  return Uint8Array.of(value >> 24, value >> 16, value >> 8, value);
}

function cString(text: string): Uint8Array {
  return Uint8Array.of(...encoder.encode(text), 0);
}

/** A row: how many columns, then each behind its length; -1 is null. */
function columnsOf(body: Uint8Array): (string | null)[] {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const columns: (string | null)[] = [];
  for (let at = 2; columns.length < view.getUint16(0); ) {
    const length = view.getInt32(at);
    columns.push(length < 0 ? null : decoder.decode(body.subarray(at + 4, at + 4 + length)));
    at += 4 + Math.max(0, length);
  }
  return columns;
}

/** Of an error: "S" is how bad it is, "C" its code, "M" what it says. */
function fieldsOf(body: Uint8Array): Map<string, string> {
  const fields = decoder.decode(body).split("\0");
  return new Map(fields.map((field) => [field[0] ?? "", field.slice(1)]));
}
