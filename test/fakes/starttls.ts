/** What servers and clients of the eight protocols say before TLS. */
import type { StartTlsProtocol } from "wassl/starttls";

export type Bytes = string | Uint8Array;

/**
 * What a server says, and after which request (as characters, a byte each) it says more. The last one is its consent.
 */
export interface Script {
  greeting?: Bytes;
  steps: Step[];
  /** The steps of `openssl s_client`, where they are others. */
  openssl?: Step[];
}

export type Step = [request: RegExp, answer: Bytes];

export const ldapRequest = exactly("0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037");
export const ldapAnswer = (result: number) =>
  Uint8Array.of(0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, result, 4, 0, 4, 0);
export const ldapLongAnswer = Uint8Array.of(
  0x30,
  0x84,
  0,
  0,
  0,
  16,
  2,
  1,
  1,
  0x78,
  0x84,
  0,
  0,
  0,
  7,
  10,
  1,
  0,
  4,
  0,
  4,
  0,
);

function exactly(characters: string, end = "$"): RegExp {
  return new RegExp(`^${characters.replace(/[.\\/]/g, "\\$&")}${end}`);
}

/** As MySQL 8 and MariaDB 11 greet. */
export function mysqlGreeting(capabilities: number): Uint8Array {
  const payload = [10, ...new TextEncoder().encode("8.0.36\0"), 1, 0, 0, 0, ...new Array(8).fill(65), 0];
  payload.push(capabilities & 255, capabilities >> 8, 45, 2, 0, 0xff, 0xdf, 21, ...new Array(10).fill(0));
  payload.push(...new Array(12).fill(66), 0, ...new TextEncoder().encode("mysql_native_password\0"));
  return Uint8Array.of(payload.length, 0, 0, 0, ...payload);
}

const xmppHeader =
  "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='localhost' version='1.0'>";
export const xmppFeatures = (inside: string) => `${xmppHeader}<stream:features>${inside}</stream:features>`;
const xmppStarttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
const xmppProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/** How servers of each protocol do it that do it right. */
export const scripts: Record<StartTlsProtocol, Script> = {
  smtp: {
    greeting: "220-mail.wassl.test\r\n220 ESMTP\r\n",
    steps: [
      [/^EHLO \S+\r\n$/, "250-mail.wassl.test\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 HELP\r\n"],
      [/^STARTTLS\r\n$/, "220 go ahead\r\n"],
    ],
  },
  imap: {
    greeting: "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
    steps: [[/^a1 STARTTLS\r\n$/, "* OK by the way\r\na1 OK begin\r\n"]],
    openssl: [
      [/^\. CAPABILITY\r\n$/, "* CAPABILITY IMAP4rev1 STARTTLS\r\n. OK\r\n"],
      [/^\. STARTTLS\r\n$/, ". OK begin\r\n"],
    ],
  },
  pop3: { greeting: "+OK ready\r\n", steps: [[/^STLS\r\n$/, "+OK begin\r\n"]] },
  ftp: {
    greeting: "220-Welcome\r\n all kinds of things, 220 of them\r\n220 ready\r\n",
    steps: [[/^AUTH TLS\r\n$/, "234 begin\r\n"]],
  },
  postgres: { steps: [[exactly("\0\0\0\x08\x04\xd2\x16\x2f"), "S"]] },
  // It says no more than its greeting: TLS begins right behind the request.
  mysql: {
    greeting: mysqlGreeting(0xffff),
    steps: [[exactly(` \0\0\x01\0\x8a\0\0\0\0\0\x01-${"\0".repeat(23)}`, ""), ""]],
    // Its own capabilities, among them 0x800, and another character set.
    openssl: [[exactly(` \0\0\x01\x85\xae\x7f\0\0\0\0\x01!${"\0".repeat(23)}`, ""), ""]],
  },
  xmpp: {
    steps: [
      [/^<\?xml [\s\S]*<stream:stream [^>]*to='localhost'[^>]*>$/, xmppFeatures(xmppStarttls)],
      [/^<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'\/>$/, xmppProceed],
    ],
    // It leaves out the declaration, as it may.
    openssl: [
      [/^<stream:stream [^>]*to='localhost'[^>]*>$/, xmppFeatures(xmppStarttls)],
      [/^<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'\/>$/, xmppProceed],
    ],
  },
  ldap: { steps: [[ldapRequest, ldapAnswer(0)]] },
};

/** What one side of a dialog says, once what it has heard since it last spoke fits. */
export interface Turn {
  hear?: RegExp;
  say: Bytes;
}

export function serverTurns({ greeting, steps }: Script): Turn[] {
  return [
    ...(greeting === undefined ? [] : [{ say: greeting }]),
    ...steps.map(([hear, say]) => ({ hear, say })),
  ];
}

const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** How clients do it that do it right, with some detours. */
export const clientTurns: Record<StartTlsProtocol, Turn[]> = {
  smtp: [
    { hear: /^220 \S+ ESMTP\r\n$/, say: "NOOP\r\n" },
    { hear: /^250 .*\r\n$/, say: "EHLO client.test\r\n" },
    { hear: /^250-.*\r\n250 STARTTLS\r\n$/, say: "MAIL FROM:<a@b>\r\n" },
    { hear: /^530 .*\r\n$/, say: "starttls\r\n" },
    { hear: /^220 .*\r\n$/, say: "" },
  ],
  imap: [
    { hear: /^\* OK .*\r\n$/, say: "a CAPABILITY\r\n" },
    { hear: /STARTTLS.*\r\na OK .*\r\n$/, say: "b LOGIN user pass\r\n" },
    { hear: /^b NO .*\r\n$/, say: "c STARTTLS\r\n" },
    { hear: /^c OK .*\r\n$/, say: "" },
  ],
  pop3: [
    { hear: /^\+OK .*\r\n$/, say: "CAPA\r\n" },
    { hear: /STLS\r\n\.\r\n$/, say: "STLS\r\n" },
    { hear: /^\+OK .*\r\n$/, say: "" },
  ],
  ftp: [
    { hear: /^220 .*\r\n$/, say: "FEAT\r\n" },
    { hear: /AUTH TLS\r\n211 End\r\n$/, say: "AUTH TLS\r\n" },
    { hear: /^234 .*\r\n$/, say: "" },
  ],
  postgres: [
    { say: latin1("\0\0\0\x08\x04\xd2\x16\x30") },
    { hear: /^N$/, say: latin1("\0\0\0\x08\x04\xd2\x16\x2f") },
    { hear: /^S$/, say: "" },
  ],
  mysql: [
    {
      hear: /^[\s\S]{4}\n8\.0[\s\S]*mysql_native_password\0$/,
      say: latin1(` \0\0\x01\0\x8a\0\0\0\0\0\x01-${"\0".repeat(23)}`),
    },
  ],
  xmpp: [
    { say: "<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='localhost' version='1.0'>" },
    {
      hear: /<required\/><\/starttls><\/stream:features>$/,
      say: "\n<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'></starttls>",
    },
    { hear: /^<proceed [^>]*\/>$/, say: "" },
  ],
  ldap: [
    { say: latin1("0\x1e\x02\x02\x01\x07w\x18\x80\x161.3.6.1.4.1.1466.20037") },
    { hear: exactly("0\r\x02\x02\x01\x07x\x07\n\x01\0\x04\0\x04\0"), say: "" },
  ],
};
