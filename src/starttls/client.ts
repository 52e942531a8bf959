/** What a client says in the clear before TLS begins, in eight protocols. */
import type { Clear, Tag } from "./clear.js";
import { latin1 } from "./clear.js";
import type { StartTlsError, StartTlsProtocol } from "./error.js";
import * as ldap from "./ldap.js";
import * as mysql from "./mysql.js";
import { isXmppTls, streamHeader, XMPP_TLS } from "./xmpp.js";

/** What a client is told before TLS. */
export interface Said {
  greeting?: Uint8Array<ArrayBuffer>;
  capabilities?: string[];
}

export interface ClientNames {
  /** How we call ourselves. */
  name: string;
  /** The server's. */
  hostname: string;
}

type Dialog = (clear: Clear, names: ClientNames) => Promise<Said>;

export const dialogs: Record<StartTlsProtocol, Dialog> = {
  /** RFC 3207 */
  async smtp(clear, { name }) {
    await reply(clear, "220");
    const greeting = clear.heard();
    await ask(clear, `EHLO ${name}`);
    // Its first line is a greeting.
    const [, ...capabilities] = await reply(clear, "250");
    if (!capabilities.some((each) => /^STARTTLS\b/i.test(each))) throw notOffered(clear, capabilities);
    await ask(clear, "STARTTLS");
    await reply(clear, "220");
    return { greeting, capabilities };
  },

  /** RFC 9051 §6.2.1. A greeting "PREAUTH" makes STARTTLS impossible, so an attacker might put it there (§11.1). */
  async imap(clear) {
    const line = await clear.line();
    if (!/^\* OK\b/i.test(line)) throw declined(clear, line);
    const greeting = clear.heard();
    const [, capabilities] = line.match(/\[CAPABILITY ([^\]]*)\]/i) ?? [];
    // What it says without being asked may lie here already (§7).
    clear.requireNoReply("STARTTLS", /^a1 /im);
    await clear.send("a1 STARTTLS\r\n");
    let answer = await clear.line();
    while (answer.startsWith("* ")) answer = await clear.line();
    if (!/^a1 OK\b/i.test(answer)) throw declined(clear, answer);
    return { greeting, ...(capabilities !== undefined && { capabilities: capabilities.split(" ") }) };
  },

  /** RFC 2595 §4 */
  async pop3(clear) {
    const ok = async () => {
      const answer = await clear.line();
      if (!/^\+OK\b/.test(answer)) throw declined(clear, answer);
    };
    await ok();
    const greeting = clear.heard();
    await ask(clear, "STLS");
    await ok();
    return { greeting };
  },

  /** RFC 4217 §4 */
  async ftp(clear) {
    await reply(clear, "220", "120");
    const greeting = clear.heard();
    await ask(clear, "AUTH TLS");
    await reply(clear, "234");
    return { greeting };
  },

  /** PostgreSQL's manual, "SSL Session Encryption" */
  async postgres(clear) {
    await clear.send(Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47));
    const answer = latin1(await clear.take(1));
    if (answer === "N") throw clear.refused("it answered N, it has no TLS", answer);
    // The text of an error would be a stranger's: nothing protects it (CVE-2024-10977).
    if (answer === "E") throw clear.refused("it answered E, an error", answer);
    if (answer !== "S") throw clear.malformed(`it answered ${JSON.stringify(answer)}`, answer);
    return {};
  },

  /** MySQL's manual, "Protocol::SSLRequest". There is no consent: the server waits for TLS behind the request. */
  async mysql(clear) {
    const greeting = await mysql.readGreeting(clear);
    clear.requireNothingMore();
    await clear.send(mysql.sslRequest());
    return { greeting };
  },

  /** RFC 6120 §5 */
  async xmpp(clear, { hostname }) {
    await clear.send(streamHeader(`to='${hostname}'`));
    const features: Tag[] = [];
    for (;;) {
      const tag = await clear.tag();
      if (tag.name === "error" && tag.kind !== "close") {
        const { name } = await clear.tag();
        throw clear.refused(`it answered with the error ${name}`, name);
      }
      if (tag.name === "stream" && tag.kind === "close") throw declined(clear, tag.text);
      if (tag.name === "features" && tag.kind !== "open") break;
      features.push(tag);
    }
    if (!features.some((tag) => isXmppTls(tag, "starttls"))) {
      throw notOffered(
        clear,
        features.filter(({ kind }) => kind !== "close").map(({ name }) => name),
      );
    }
    await ask(clear, `<starttls xmlns='${XMPP_TLS}'/>`, "");
    const answer = await clear.tag();
    if (!isXmppTls(answer, "proceed") || answer.preceded) throw declined(clear, answer.text);
    if (answer.kind === "open") {
      const end = await clear.tag();
      if (end.name !== "proceed" || end.kind !== "close") throw declined(clear, end.text);
    }
    return {};
  },

  /** RFC 4511 §4.14 */
  async ldap(clear) {
    await clear.send(ldap.startTlsRequest());
    const result = await ldap.readResult(clear);
    if (result !== 0) throw clear.refused(`it answered with result ${result}`, String(result));
    return {};
  },
};

/** Sends a request, to which no reply can have come yet. */
async function ask(clear: Clear, request: string, end = "\r\n"): Promise<void> {
  clear.requireNoReply(request.split(" ")[0]!);
  await clear.send(request + end);
}

/**
 * The lines of a reply of SMTP or FTP (RFC 5321 §4.2.1, RFC 959 §4.2) without the code, which must be this one. Replies
 * with the code `before` may come ahead.
 */
async function reply(clear: Clear, code: string, before?: string): Promise<string[]> {
  let lines: string[] = [];
  let of = code;
  for (;;) {
    const line = await clear.line();
    // FTP's lines in the middle need not have a code.
    const [, given, more] = line.match(/^(\d{3})([ -]|$)/) ?? [];
    if (lines.length === 0) {
      if (given !== code && (given === undefined || given !== before)) throw declined(clear, line);
      of = given;
    }
    lines.push(line.slice(4));
    if (given !== of || more === "-") continue;
    if (of === code) return lines;
    lines = [];
  }
}

function declined(clear: Clear, answer: string): StartTlsError {
  return clear.refused(`it answered ${answer.slice(0, 200)}`, answer);
}

function notOffered(clear: Clear, offered: readonly string[]): StartTlsError {
  const all = offered.join(", ");
  return clear.refused(`it is not among what it offers (${all.slice(0, 200) || "nothing"})`, all);
}
