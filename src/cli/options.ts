/** The options: their names, and what `--help` says of them. What they do is in the other files. */
import { parseArgs } from "node:util";
import { UsageError } from "./report.js";

interface Option {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  /** The placeholder for the value in the help. */
  readonly value?: string;
  readonly help: string;
}

const both = {
  ca: {
    type: "string",
    multiple: true,
    value: "FILE",
    help: "trust anchors, PEM or DER; by default Mozilla's",
  },
  cert: {
    type: "string",
    multiple: true,
    value: "FILE",
    help: "our certificate and its chain, PEM or DER; the peer gets the first of several that it takes",
  },
  key: {
    type: "string",
    multiple: true,
    value: "FILE",
    help: "their private keys, in the same order; by default in the file of --cert",
  },
  p12: { type: "string", value: "FILE", help: "certificate, key and chain as PKCS #12" },
  pass: { type: "string", value: "SECRET", help: "passphrase of the key or the PKCS #12 file" },
  psk: { type: "string", multiple: true, value: "SECRET", help: "pre-shared key, as IDENTITY:HEX" },
  "psk-hash": { type: "string", value: "HASH", help: "its hash: sha256 (default) or sha384" },
  alpn: { type: "string", value: "A,B", help: "application protocols, best first" },
  min: { type: "string", value: "VERSION", help: "lowest version: 1.2 (default) or 1.3" },
  max: { type: "string", value: "VERSION", help: "highest version: 1.2 or 1.3 (default)" },
  ciphers: { type: "string", value: "LIST", help: "cipher suites of TLS 1.2, as in openssl-ciphers(1)" },
  ciphersuites: { type: "string", value: "LIST", help: "cipher suites of TLS 1.3" },
  groups: { type: "string", value: "LIST", help: "groups of the key exchange, best first" },
  sigalgs: { type: "string", value: "LIST", help: "signature algorithms, best first" },
  seclevel: { type: "string", value: "N", help: "how strong keys and signatures must be, 0 to 5; default 2" },
  "max-send-frag": {
    type: "string",
    value: "BYTES",
    help: "the most data in a record that is sent, 512 to 16384",
  },
  "max-cert-list": {
    type: "string",
    value: "BYTES",
    help: "how long the peer's certificates may be together; default 102400",
  },
  crl: {
    type: "string",
    multiple: true,
    value: "FILE",
    help: "revocation lists, PEM or DER; then every certificate is checked",
  },
  policy: {
    type: "string",
    multiple: true,
    value: "OID",
    help: "an acceptable certificate policy, for the flag X509_V_FLAG_EXPLICIT_POLICY",
  },
  flag: {
    type: "string",
    multiple: true,
    value: "NAME",
    help: "an X509_V_FLAG_ or X509_CHECK_FLAG_ of OpenSSL's",
  },
  "eof-policy": {
    type: "string",
    value: "POLICY",
    help: "an end without close_notify: strict, record-boundary, ignore",
  },
  "bio-pair-size": { type: "string", value: "BYTES", help: "room between OpenSSL and the transport" },
  close: {
    type: "string",
    value: "HOW",
    help: "what the end of standard input is to the peer: half (default), shutdown, close, abort, none",
  },
  timeout: { type: "string", value: "SECONDS", help: "how long to wait for the peer; see docs/cli.md" },
  keylog: {
    type: "string",
    value: "FILE",
    help: "append the secrets of the connection, for Wireshark (NSS format)",
  },
  trace: { type: "boolean", help: "tell what happens as it happens, records and handshake messages too" },
  json: { type: "boolean", help: "one line of JSON for each event, and a last one for the outcome" },
  help: { type: "boolean", help: "show this help" },
} as const satisfies Record<string, Option>;

const tables = {
  connect: {
    ...both,
    servername: {
      type: "string",
      value: "NAME",
      help: "the server's name, if it is not HOST; also sent as SNI",
    },
    "verify-host": {
      type: "string",
      value: "NAME",
      help: "the name that the certificate must be for, if it is neither",
    },
    "unsafe-legacy-names": {
      type: "boolean",
      help: "common names and partial wildcards count, as before RFC 9525",
    },
    ocsp: { type: "string", value: "HOW", help: "a stapled OCSP response: off (default), soft, require" },
    "enable-pha": {
      type: "boolean",
      help: "let the server ask for our certificate behind the handshake (TLS 1.3)",
    },
    "session-in": { type: "string", value: "FILE", help: "resume the session in a file of --session-out" },
    "session-out": {
      type: "string",
      value: "FILE",
      help: "keep the newest session in this file, if there is one",
    },
    "early-data": {
      type: "string",
      value: "FILE",
      help: "send this file first, ahead of the handshake's end (0-RTT); can be replayed",
    },
    "legacy-server-connect": {
      type: "boolean",
      help: "take a server without secure renegotiation (RFC 5746)",
    },
    "no-verify": { type: "boolean", help: "accept any certificate, also an attacker's" },
    via: { type: "string", value: "URL", help: "through a relay, ws:// or wss://, instead of TCP" },
    starttls: {
      type: "string",
      value: "PROTOCOL",
      help: "ask for TLS first, in smtp, imap, pop3, ftp, postgres, mysql, xmpp or ldap",
    },
  },
  serve: {
    ...both,
    cert: { ...both.cert, help: "our certificate and its chain, PEM or DER; one for each kind of key" },
    ca: { ...both.ca, help: "trust anchors for certificates of clients, PEM or DER" },
    "client-auth": { type: "string", value: "HOW", help: "certificates of clients: none, request, require" },
    "enable-pha": {
      type: "boolean",
      help: "ask for it not in the handshake, but behind it (TLS 1.3); for one connection",
    },
    "no-ca-names": { type: "boolean", help: "do not tell clients the names of --ca" },
    "max-session-age": {
      type: "string",
      value: "SECONDS",
      help: "how long a client can go on by resuming; default 604800, 7 days",
    },
    ocsp: { type: "string", value: "FILE", help: "an OCSP response for our certificate, to be stapled; DER" },
    "early-data": {
      type: "string",
      value: "BYTES",
      help: "take that much ahead of the handshake's end (0-RTT); can be replayed",
    },
    "no-tickets": { type: "boolean", help: "no tickets for later connections" },
    www: { type: "boolean", help: "answer HTTP GET with a page about the connection" },
    echo: { type: "boolean", help: "send back what arrives" },
    rev: { type: "boolean", help: "send back every line reversed" },
    starttls: {
      type: "string",
      value: "PROTOCOL",
      help: "TLS begins when it is asked for in smtp, imap, pop3, ftp, postgres, mysql, xmpp or ldap",
    },
    naccept: { type: "string", value: "N", help: "end after N connections" },
  },
  verify: {
    ca: both.ca,
    untrusted: { type: "string", multiple: true, value: "FILE", help: "intermediate certificates" },
    crl: both.crl,
    "verify-host": {
      type: "string",
      value: "NAME",
      help: "a DNS name or an IP address that the certificate must be for",
    },
    "verify-ip": { type: "string", value: "ADDRESS", help: "an IP address that the certificate must be for" },
    "verify-email": {
      type: "string",
      value: "ADDRESS",
      help: "a mail address that the certificate must be for",
    },
    "unsafe-legacy-names": {
      type: "boolean",
      help: "common names and partial wildcards count, as before RFC 9525",
    },
    purpose: {
      type: "string",
      value: "NAME",
      help: "what the certificate must be good for: sslserver (default), sslclient, any, …",
    },
    time: { type: "string", value: "TIME", help: "verify as of this moment: 2026-11-25T12:00:00Z" },
    depth: { type: "string", value: "N", help: "how many intermediate certificates there may be" },
    "partial-chain": {
      type: "boolean",
      help: "any certificate of --ca may end the chain, self-signed or not",
    },
    seclevel: both.seclevel,
    policy: both.policy,
    flag: both.flag,
    json: both.json,
    help: both.help,
  },
} as const satisfies Record<string, Record<string, Option>>;

type Tables = typeof tables;
export type Command = keyof Tables;
type ValueOf<O extends Option> = O extends { type: "boolean" }
  ? boolean
  : O extends { multiple: true }
    ? string[]
    : string;
export type Values<C extends Command> = {
  [Name in keyof Tables[C]]?: Tables[C][Name] extends Option ? ValueOf<Tables[C][Name]> : never;
};
/** The options that all commands with a connection have. */
export type CommonValues = {
  [Name in keyof typeof both]?: ValueOf<(typeof both)[Name]>;
};

export function isCommand(name: string): name is Command {
  return Object.hasOwn(tables, name);
}

export function parse<C extends Command>(
  command: C,
  args: string[],
): { values: Values<C>; positionals: string[] } {
  try {
    const options: Record<string, Option> = tables[command];
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true });
    return { values: values as Values<C>, positionals };
  } catch (error) {
    // Node.js adds how to give a positional that looks like an option, which is no help here.
    const [message] = (error as Error).message.split(". To specify a positional");
    throw new UsageError(`${message}; see wassl ${command} --help`);
  }
}

// ---- values ------------------------------------------------------------------------------------------------------

export function choice<T extends string>(
  name: string,
  value: string | undefined,
  from: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = from.find((each) => each === value);
  if (found === undefined) throw new UsageError(`--${name} is ${from.join(", ")}; not "${value}"`);
  return found;
}

export function integer(name: string, value: string | undefined, least = 0): number | undefined {
  if (value === undefined) return undefined;
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= least)) throw new UsageError(`--${name} is a number, ${least} or more; not "${value}"`);
  return number;
}

/** Of SECONDS, in milliseconds. */
export function duration(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^(\d+|\d*\.\d+)$/.test(value) ? Number(value) : 0;
  // The longest time that setTimeout can wait for.
  if (seconds <= 0 || seconds * 1000 > 2 ** 31 - 1) {
    throw new UsageError(`--${name} is a number of seconds, more than 0; not "${value}"`);
  }
  return seconds * 1000;
}

export interface Address {
  host: string;
  port: number;
}

/** "host:443", "[::1]:443"; ":443" and "443" with `defaultHost`. */
export function address(text: string | undefined, defaultHost?: string): Address {
  const what = defaultHost === undefined ? "HOST:PORT" : "[HOST:]PORT";
  const [, host, port] = text?.match(/^(?:(\[[0-9a-f:.%\w]+\]|[^:[\]]*):)?(\d{1,5})$/i) ?? [];
  const number = Number(port ?? Number.NaN);
  const name = host || defaultHost;
  if (name === undefined || !(number <= 65_535) || (number === 0 && defaultHost === undefined)) {
    throw new UsageError(text === undefined ? `${what} is missing` : `"${text}" is not ${what}`);
  }
  return { host: name.replace(/^\[|\]$/g, ""), port: number };
}

// ---- help --------------------------------------------------------------------------------------------------------

const usage = {
  connect: "wassl connect HOST:PORT   standard input to the server, the server's data to standard output",
  serve: "wassl serve [HOST:]PORT   on 127.0.0.1 unless told otherwise; port 0 takes a free one",
  verify: "wassl verify FILE…        whether a certificate is good, and if not, why",
} satisfies Record<Command, string>;

const exitCodes = `Exit codes:
  0  complete: the connection ended as it should
  1  the connection could not be made, or it failed
  2  the command line, or a file that it names, is wrong
  3  a certificate was not accepted
  4  truncated: the connection ended without close_notify
  5  timeout
  130  interrupted
`;

export const generalHelp = `TLS on the command line, by OpenSSL in WebAssembly.

  ${Object.values(usage).join("\n  ")}

wassl COMMAND --help tells the options of each.

${exitCodes}`;

export function commandHelp(command: Command): string {
  const lines = Object.entries<Option>(tables[command]).map(([name, { value, multiple, help }]) => {
    const left = `  --${name}${value ? ` ${value}` : ""}`;
    return `${left.padEnd(25)} ${help}${multiple ? " (may be repeated)" : ""}`;
  });
  return `${usage[command]}

${lines.join("\n")}

${"pass" in tables[command] ? secrets : ""}${exitCodes}`;
}

const secrets = `A SECRET is env:NAME, file:PATH or pass:TEXT. Other users can see pass:TEXT in the list of processes.

`;
