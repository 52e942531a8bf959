/**
 * What a client says in the clear before TLS begins, in eight protocols.
 *
 * Whatever arrives together with the server's consent was not protected by TLS, and would be taken for part of what was:
 * an attacker in between can put it there (CVE-2011-0411, CVE-2021-23222). So it ends the connection.
 */
import { TlsError, type Transport } from "wassl";
import { CLIENT_SSL, type Clear, element, inTheClear, LDAP_STARTTLS, latin1 } from "./clear.js";

type Dialog = (clear: Clear, hostname: string) => Promise<void>;

const dialogs = {
  /** RFC 3207 */
  async smtp(clear) {
    await reply(clear, "220");
    await clear.send("EHLO [127.0.0.1]\r\n");
    const extensions = await reply(clear, "250");
    if (!extensions.some((each) => /^STARTTLS\b/i.test(each))) throw notOffered("250");
    await clear.send("STARTTLS\r\n");
    await reply(clear, "220");
  },

  /** RFC 9051 §6.2.1. An attacker's greeting PREAUTH would make STARTTLS impossible (§11.1). */
  async imap(clear) {
    const greeting = await clear.line();
    if (!/^\* OK\b/i.test(greeting)) throw refused(greeting);
    await clear.send("a1 STARTTLS\r\n");
    let answer = await clear.line();
    while (answer.startsWith("* ")) answer = await clear.line();
    if (!/^a1 OK\b/i.test(answer)) throw refused(answer);
  },

  /** RFC 2595 §4 */
  async pop3(clear) {
    for (const command of ["", "STLS\r\n"]) {
      if (command) await clear.send(command);
      const answer = await clear.line();
      if (!/^\+OK\b/.test(answer)) throw refused(answer);
    }
  },

  /** RFC 4217 §4 */
  async ftp(clear) {
    await reply(clear, "220");
    await clear.send("AUTH TLS\r\n");
    await reply(clear, "234");
  },

  /** PostgreSQL's manual, "SSL Session Encryption" */
  async postgres(clear) {
    await clear.send(Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47));
    const answer = latin1(await clear.take(1));
    if (answer !== "S") throw refused(answer === "N" ? "N, it has no TLS" : answer);
  },

  /** MySQL's manual, "Protocol::SSLRequest" */
  async mysql(clear) {
    const [low = 0, middle = 0, high = 0] = await clear.take(4);
    const greeting = await clear.take(low | (middle << 8) | (high << 16));
    const [version] = greeting;
    if (version !== 10) throw refused(version === 255 ? latin1(greeting.subarray(3)) : `protocol ${version}`);
    // Version, its name, 4 bytes of thread id, 8 of authentication data, a filler; then what it is capable of.
    const at = greeting.indexOf(0) + 1 + 4 + 8 + 1;
    const capabilities = (greeting[at] ?? 0) | ((greeting[at + 1] ?? 0) << 8);
    if ((capabilities & CLIENT_SSL) === 0) throw refused("it has no TLS");
    const request = new DataView(new ArrayBuffer(36));
    request.setUint32(0, 32 | (1 << 24), true);
    request.setUint32(4, CLIENT_SSL | CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION, true);
    request.setUint32(8, 1 << 24, true);
    request.setUint8(12, UTF8MB4);
    clear.requireNothingMore();
    await clear.send(new Uint8Array(request.buffer));
  },

  /** RFC 6120 §5 */
  async xmpp(clear, hostname) {
    const header = `<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' to='${hostname}' version='1.0'>`;
    await clear.send(header);
    const features = await clear.match(/^.*?<\/(?:stream:)?(?:features|error|stream)>/s);
    if (!/<starttls[^>]*urn:ietf:params:xml:ns:xmpp-tls/.test(features)) throw notOffered(features);
    await clear.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    const answer = await clear.match(/^\s*<[^>]*[^/]>\s*<\/[^>]*>|^\s*<[^>]*>/);
    if (!/^\s*<proceed\b[^>]*urn:ietf:params:xml:ns:xmpp-tls/.test(answer)) throw refused(answer);
  },

  /** RFC 4511 §4.14 */
  async ldap(clear) {
    const oid = new TextEncoder().encode(LDAP_STARTTLS);
    await clear.send(Uint8Array.of(0x30, 29, 2, 1, 1, 0x77, 24, 0x80, oid.length, ...oid));
    const message = await element(clear, await clear.take(2));
    // Message 1, an extended response, whose first field is the result: 0 is success.
    const [one, response] = [
      message.slice(0, 4),
      message.slice(message[4]! < 128 ? 5 : 5 + (message[4]! & 127)),
    ];
    if (String([...one]) !== "2,1,1,120" || response[0] !== 10) throw refused("that is no answer to it");
    if (response[2] !== 0) throw refused(`result ${response[2]}`);
  },
} satisfies Record<string, Dialog>;

export type Protocol = keyof typeof dialogs;
export const protocols = Object.keys(dialogs) as Protocol[];

/** Brings the transport to where TLS begins, with its streams unlocked. If that fails, it gives the transport up. */
export async function startTlsIn(
  protocol: Protocol,
  transport: Transport,
  hostname: string,
  signal: AbortSignal,
): Promise<void> {
  await inTheClear(transport, "the server", signal, async (clear) => {
    const dialog: Dialog = dialogs[protocol];
    await dialog(clear, hostname);
    clear.requireNothingMore();
  });
}

const CLIENT_PROTOCOL_41 = 0x200;
const CLIENT_SECURE_CONNECTION = 0x8000;
const UTF8MB4 = 45;

/** The lines of a reply of SMTP or FTP (RFC 5321 §4.2.1, RFC 959 §4.2), without the code, which must be this one. */
async function reply(clear: Clear, code: string): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    const line = await clear.line();
    // FTP's lines in the middle need not have a code.
    const [, given, more] = line.match(/^(\d{3})([ -]|$)/) ?? [];
    if (lines.length === 0 && given !== code) throw refused(line);
    lines.push(line.slice(4));
    if (given === code && more !== "-") return lines;
  }
}

function refused(answer: string): TlsError {
  return new TlsError("protocol", `the server does not do STARTTLS: ${answer.slice(0, 200)}`);
}

function notOffered(answer: string): TlsError {
  return refused(`it is not among what it offers (${answer.slice(0, 100)})`);
}
