/**
 * What a server says in the clear before TLS begins, in eight protocols: as little as a client needs that wants TLS. All
 * else is declined.
 *
 * Whatever arrives together with the request for TLS was not protected by it, and would be taken for part of what was: an
 * attacker in between can put it there (CVE-2011-0411, CVE-2021-23214). So it ends the connection.
 */
import { TlsError, type Transport } from "wassl";
import { after, CLIENT_SSL, type Clear, element, inTheClear, LDAP_STARTTLS, latin1 } from "./clear.js";
import type { Protocol } from "./starttls.js";

const dialogs: Record<Protocol, (clear: Clear) => Promise<void>> = {
  /** RFC 3207 */
  async smtp(clear) {
    await clear.send("220 wassl ESMTP\r\n");
    await commands(clear, (line) => {
      if (/^EHLO\b/i.test(line)) return ["250-wassl\r\n250 STARTTLS\r\n"];
      if (/^(HELO|NOOP|RSET)\b/i.test(line)) return ["250 wassl\r\n"];
      if (/^STARTTLS$/i.test(line)) return ["220 begin\r\n", "tls"];
      if (/^QUIT$/i.test(line)) return ["221 bye\r\n", "end"];
      return ["530 5.7.0 STARTTLS first\r\n"];
    });
  },

  /** RFC 9051 §6.2.1 */
  async imap(clear) {
    const capabilities = "CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED";
    await clear.send(`* OK [${capabilities}] wassl\r\n`);
    await commands(clear, (line) => {
      const [, tag, name] = line.match(/^([^\s*+]{1,64}) ([a-z]+)/i) ?? [];
      const command = name?.toUpperCase();
      if (command === undefined) return ["* BAD that is no command\r\n"];
      if (command === "CAPABILITY") return [`* ${capabilities}\r\n${tag} OK done\r\n`];
      if (command === "NOOP") return [`${tag} OK done\r\n`];
      if (command === "STARTTLS") return [`${tag} OK begin\r\n`, "tls"];
      if (command === "LOGOUT") return [`* BYE\r\n${tag} OK done\r\n`, "end"];
      return [`${tag} NO [PRIVACYREQUIRED] STARTTLS first\r\n`];
    });
  },

  /** RFC 2595 §4 */
  async pop3(clear) {
    await clear.send("+OK wassl\r\n");
    await commands(clear, (line) => {
      if (/^CAPA$/i.test(line)) return ["+OK\r\nSTLS\r\n.\r\n"];
      if (/^STLS$/i.test(line)) return ["+OK begin\r\n", "tls"];
      if (/^QUIT$/i.test(line)) return ["+OK bye\r\n", "end"];
      return ["-ERR STLS first\r\n"];
    });
  },

  /** RFC 4217 §4 */
  async ftp(clear) {
    await clear.send("220 wassl\r\n");
    await commands(clear, (line) => {
      if (/^FEAT$/i.test(line)) return ["211-Features:\r\n AUTH TLS\r\n211 End\r\n"];
      if (/^AUTH (TLS|TLS-C|SSL)$/i.test(line)) return ["234 begin\r\n", "tls"];
      if (/^QUIT$/i.test(line)) return ["221 bye\r\n", "end"];
      return ["534 AUTH TLS first\r\n"];
    });
  },

  /** PostgreSQL's manual, "Message Flow" */
  async postgres(clear) {
    let request = await startupRequest(clear);
    // It would rather have GSSAPI.
    if (request === 80877104) {
      await clear.send("N");
      request = await startupRequest(clear);
    }
    if (request !== 80877103) throw noTls();
    clear.requireNothingMore();
    await clear.send("S");
  },

  /** MySQL's manual, "Protocol::HandshakeV10", "Protocol::SSLRequest" */
  async mysql(clear) {
    await clear.send(mysqlGreeting);
    const [low, middle, high, number] = await clear.take(4);
    if (low !== 32 || middle !== 0 || high !== 0 || number !== 1) throw noTls();
    const request = new DataView((await clear.take(32)).slice().buffer);
    if ((request.getUint32(0, true) & CLIENT_SSL) === 0) throw noTls();
    // There is no consent to wait for: what follows is TLS.
  },

  /** RFC 6120 §5 */
  async xmpp(clear) {
    await clear.match(/^[^<]*(<\?xml[^>]*>)?[^<]*<stream:stream\b[^>]*>/);
    const starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
    await clear.send(
      `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='wassl' version='1.0'><stream:features>${starttls}</stream:features>`,
    );
    const asked = await clear.match(/^\s*<[^>]*\/>|^\s*<[^>]*>\s*<\/[^>]*>/);
    if (!/^\s*<starttls\b[^>]*urn:ietf:params:xml:ns:xmpp-tls/.test(asked)) throw noTls();
    clear.requireNothingMore();
    await clear.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
  },

  /** RFC 4511 §4.14 */
  async ldap(clear) {
    const message = await element(clear, await clear.take(2));
    // The message's number, up to four bytes of it, and an extended request.
    const length = message[1] ?? 0;
    if (message[0] !== 2 || length > 4 || message[2 + length] !== 0x77) throw noTls();
    if (!latin1(message).includes(LDAP_STARTTLS)) throw noTls();
    clear.requireNothingMore();
    const success = [0x78, 7, 10, 1, 0, 4, 0, 4, 0];
    const id = message.subarray(0, 2 + length);
    await clear.send(Uint8Array.of(0x30, id.length + success.length, ...id, ...success));
  },
};

/** Brings the transport to where TLS begins, as {@link startTlsIn} does for a client; the one to go on with is returned. */
export async function acceptStartTls(
  protocol: Protocol,
  transport: Transport,
  signal: AbortSignal,
): Promise<Transport> {
  const rest = await inTheClear(transport, "the client", signal, async (clear) => {
    await dialogs[protocol](clear);
    return clear.takeRest();
  });
  const { readable, writable } = transport;
  return { writable, readable: after([rest], readable) };
}

/** Answers lines until one asks for TLS. */
async function commands(
  clear: Clear,
  answer: (line: string) => [answer: string, what?: "tls" | "end"],
): Promise<void> {
  for (;;) {
    const [text, what] = answer(await clear.line());
    if (what === "tls") clear.requireNothingMore();
    await clear.send(text);
    if (what === "tls") return;
    if (what === "end") throw noTls();
  }
}

async function startupRequest(clear: Clear): Promise<number | undefined> {
  const view = new DataView((await clear.take(8)).slice().buffer);
  return view.getUint32(0) === 8 ? view.getUint32(4) : undefined;
}

/** Protocol 10, a version, number 1 of the connections, 20 bytes nobody uses, UTF-8. */
const mysqlGreeting = (() => {
  const capabilities = 0x200 | CLIENT_SSL | 0x8000; // protocol 4.1, TLS, secure connection
  const bytes = [10, ...new TextEncoder().encode("8.0.0-wassl\0"), 1, 0, 0, 0, ...Array(8).fill(65), 0];
  bytes.push(capabilities & 255, capabilities >> 8, 45, 2, 0, 8, 0, 21, ...Array(10).fill(0));
  bytes.push(...Array(12).fill(65), 0, ...new TextEncoder().encode("mysql_native_password\0"));
  return Uint8Array.of(bytes.length, 0, 0, 0, ...bytes);
})();

function noTls(): TlsError {
  return new TlsError("protocol", "the client does not ask for TLS");
}
