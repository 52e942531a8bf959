/**
 * What a server says in the clear before TLS begins, in eight protocols: as little as a client needs that wants TLS.
 * Everything else is declined.
 */
import type { Clear } from "./clear.js";
import type { StartTlsProtocol } from "./error.js";
import * as ldap from "./ldap.js";
import * as mysql from "./mysql.js";
import { isXmppTls, streamHeader, XMPP_TLS } from "./xmpp.js";

const GSSENC_REQUEST = 80877104;
const SSL_REQUEST = 80877103;

/** Returns the greeting that was sent, if there was one. */
type Dialog = (clear: Clear, name: string) => Promise<Uint8Array<ArrayBuffer> | undefined>;

export const dialogs: Record<StartTlsProtocol, Dialog> = {
  /** RFC 3207 */
  async smtp(clear, name) {
    return await commands(clear, `220 ${name} ESMTP`, (line) => {
      if (/^EHLO\b/i.test(line)) return [`250-${name}\r\n250 STARTTLS`];
      if (/^(HELO|NOOP|RSET)\b/i.test(line)) return [`250 ${name}`];
      if (/^STARTTLS$/i.test(line)) return ["220 begin", "tls"];
      if (/^QUIT$/i.test(line)) return ["221 bye", "end"];
      return ["530 5.7.0 STARTTLS first"];
    });
  },

  /** RFC 9051 §6.2.1 */
  async imap(clear, name) {
    const capabilities = "CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED";
    return await commands(clear, `* OK [${capabilities}] ${name}`, (line) => {
      const [, tag, word] = line.match(/^([^\s*+]{1,64}) ([a-z]+)/i) ?? [];
      const command = word?.toUpperCase();
      if (command === undefined) return ["* BAD that is no command"];
      if (command === "CAPABILITY") return [`* ${capabilities}\r\n${tag} OK done`];
      if (command === "NOOP") return [`${tag} OK done`];
      if (command === "STARTTLS") return [`${tag} OK begin`, "tls"];
      if (command === "LOGOUT") return [`* BYE\r\n${tag} OK done`, "end"];
      return [`${tag} NO [PRIVACYREQUIRED] STARTTLS first`];
    });
  },

  /** RFC 2595 §4 */
  async pop3(clear, name) {
    return await commands(clear, `+OK ${name}`, (line) => {
      if (/^CAPA$/i.test(line)) return ["+OK\r\nSTLS\r\n."];
      if (/^STLS$/i.test(line)) return ["+OK begin", "tls"];
      if (/^QUIT$/i.test(line)) return ["+OK bye", "end"];
      return ["-ERR STLS first"];
    });
  },

  /** RFC 4217 §4 */
  async ftp(clear, name) {
    return await commands(clear, `220 ${name}`, (line) => {
      if (/^FEAT$/i.test(line)) return ["211-Features:\r\n AUTH TLS\r\n211 End"];
      if (/^AUTH (TLS|TLS-C|SSL)$/i.test(line)) return ["234 begin", "tls"];
      if (/^QUIT$/i.test(line)) return ["221 bye", "end"];
      return ["534 AUTH TLS first"];
    });
  },

  /** PostgreSQL's manual, "Message Flow" */
  async postgres(clear) {
    let request = await startupRequest(clear);
    // It would rather have GSSAPI.
    if (request === GSSENC_REQUEST) {
      await clear.send("N");
      request = await startupRequest(clear);
    }
    if (request !== SSL_REQUEST) throw clear.refused("its first packet is another one", "");
    clear.requireNothingMore();
    await clear.send("S");
    return undefined;
  },

  /** MySQL's manual, "Connection Phase" */
  async mysql(clear) {
    const greeting = mysql.newGreeting();
    await clear.send(greeting);
    await mysql.readSslRequest(clear);
    return greeting;
  },

  /** RFC 6120 §5 */
  async xmpp(clear, name) {
    let tag = await clear.tag();
    if (tag.name === "?xml") tag = await clear.tag();
    if (tag.name !== "stream" || tag.kind !== "open") throw clear.malformed("what it sent is no stream");
    const offer = `<starttls xmlns='${XMPP_TLS}'><required/></starttls>`;
    await clear.send(
      `${streamHeader(`id='${newId()}' from='${name}'`)}<stream:features>${offer}</stream:features>`,
    );
    const asked = await clear.tag();
    if (!isXmppTls(asked, "starttls") || asked.preceded)
      throw clear.refused("it sent something else", asked.text);
    if (asked.kind === "open") {
      const end = await clear.tag();
      if (end.name !== "starttls" || end.kind !== "close")
        throw clear.malformed("that is no <starttls/>", end.text);
    }
    clear.requireNothingMore();
    await clear.send(`<proceed xmlns='${XMPP_TLS}'/>`);
    return undefined;
  },

  /** RFC 4511 §4.14 */
  async ldap(clear) {
    const response = await ldap.readRequest(clear);
    clear.requireNothingMore();
    await clear.send(response);
    return undefined;
  },
};

/** Greets, and answers lines until one asks for TLS. Returns the greeting. */
async function commands(
  clear: Clear,
  greeting: string,
  answer: (line: string) => [answer: string, what?: "tls" | "end"],
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new TextEncoder().encode(`${greeting}\r\n`);
  await clear.send(bytes);
  for (;;) {
    const line = await clear.line();
    const [text, what] = answer(line);
    if (what === "tls") clear.requireNothingMore();
    await clear.send(`${text}\r\n`);
    if (what === "tls") return bytes;
    if (what === "end") throw clear.refused("it said good-bye", line);
  }
}

async function startupRequest(clear: Clear): Promise<number | undefined> {
  const bytes = await clear.take(8);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(0) === 8 ? view.getUint32(4) : undefined;
}

/** The number cannot be foreseen, as RFC 6120 §4.7.3 asks. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}
