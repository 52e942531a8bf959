/** What is told on standard error, for people or as JSON, and the exit code of each end. */
import { Buffer } from "node:buffer";
import {
  type CloseInfo,
  type Statistics,
  TlsCertificateError,
  TlsError,
  type TlsEvent,
  type TlsInfo,
  TlsTruncationError,
  type X509,
} from "wassl";
import type { Io } from "./io.js";

/** The command line, or a file that it names, is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Ctrl-C, or SIGTERM. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

export interface Outcome {
  exitCode: number;
  error?: unknown;
  info?: CloseInfo;
  /** Bytes of application data. */
  sent?: number;
  received?: number;
  /** What went over the transport. */
  statistics?: Pick<Statistics, "sent" | "received">;
  /** Bytes that followed the peer's close_notify. */
  trailing?: number;
  /** How many connections there were, where there may be several. */
  connections?: number;
}

export function exitCode(error: unknown): number {
  if (error instanceof UsageError) return 2;
  if (error instanceof Interrupted) return 130;
  if (error instanceof TlsCertificateError) return 3;
  // A server that hangs up in the handshake has cut off no data.
  if (error instanceof TlsTruncationError) return error.at === "handshake" ? 1 : 4;
  if (error instanceof TlsError && error.code === "timeout") return 5;
  if (error instanceof TlsError && error.code === "invalid-argument") return 2;
  return 1;
}

export class Report {
  trace = false;
  readonly json: boolean;
  readonly #io: Io;
  readonly #command: string;
  readonly #begun = performance.now();
  #progressShown = false;
  #progressAt = 0;
  #toStdout = false;
  #written = Promise.resolve();

  constructor(io: Io, command: string, json: boolean) {
    this.#io = io;
    this.#command = command;
    this.json = json;
  }

  /** One event: as JSON, or in words if there are any. */
  tell(type: string, fields: object, words?: string): void {
    const time = Math.round(performance.now() - this.#begun) / 1000;
    if (this.json) this.#line(json({ type, time, ...fields }));
    else if (words !== undefined) this.#line(`wassl: ${printable(words)}`);
  }

  /** A line for people. */
  say(words: string): void {
    if (!this.json) this.#line(printable(words));
  }

  /** Whether reports go to standard output. Where there is a connection, standard output belongs to the connection. */
  toStdout(really: boolean): void {
    this.#toStdout = really;
  }

  /** Settles when everything that was told has been taken. */
  get written(): Promise<void> {
    return this.#written;
  }

  /** What the library tells, about connection number `connection` if there are several. */
  listener(connection?: number): (event: TlsEvent) => void {
    return ({ time: _, type, ...rest }) => {
      const words = [type, ...Object.values(rest)].join(" ");
      this.tell(
        type,
        { ...(connection !== undefined && { connection }), ...rest },
        this.trace ? `${connection === undefined ? "" : `#${connection} `}${words}` : undefined,
      );
    };
  }

  /** A line that is written over and over, for people who wait. */
  progress(sent: number, received: number): void {
    const now = performance.now();
    if (this.json || !this.#io.stderrIsTerminal || now - this.#begun < PROGRESS_AFTER) return;
    if (now - this.#progressAt < PROGRESS_EVERY) return;
    this.#progressAt = now;
    this.#progressShown = true;
    const seconds = (now - this.#begun) / 1000;
    const rate = bytes(Math.round((sent + received) / seconds));
    this.#io.stderr(`\r\x1b[K${bytes(sent)} sent, ${bytes(received)} received, ${rate}/s`);
  }

  /** The end of one connection among several. */
  ended(outcome: Outcome, { connection }: { connection: number }): void {
    this.#end("ended", { connection }, outcome, `#${connection} `);
  }

  /** The last line. */
  outcome(outcome: Outcome): number {
    this.#end("outcome", { command: this.#command }, outcome, "");
    return outcome.exitCode;
  }

  #end(type: string, fields: object, outcome: Outcome, prefix: string): void {
    const { error, info, ...rest } = outcome;
    const words: string[] = [];
    if (error !== undefined) words.push(messageOf(error));
    else if (info) words.push(howItEnded(info));
    if (rest.sent !== undefined) {
      words.push(`${bytes(rest.sent)} sent, ${bytes(rest.received ?? 0)} received`);
    }
    this.tell(
      type,
      { ...fields, ...rest, ...info, ...(error !== undefined && errorFields(error)) },
      words.length > 0 ? prefix + words.join("; ") : undefined,
    );
  }

  #line(text: string): void {
    const line = `${this.#progressShown ? "\r\x1b[K" : ""}${text}\n`;
    this.#progressShown = false;
    if (!this.#toStdout) this.#io.stderr(line);
    // Standard error may be closed.
    else this.#written = this.#io.stdout(new TextEncoder().encode(line)).catch(() => {});
  }
}

/** In milliseconds. */
const PROGRESS_AFTER = 2000;
const PROGRESS_EVERY = 500;

/** What the peer sends must not command the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is meant
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** JSON, without the control characters that JSON.stringify would leave in. */
function json(value: object): string {
  return JSON.stringify(value).replace(/[\x7f-\x9f]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
}

/** What the command line calls the library's options, of which the library's messages speak in backticks. */
const OPTIONS: Readonly<Record<string, string>> = {
  alpnProtocols: "--alpn",
  caCerts: "--ca",
  cert: "--cert",
  cipherSuites: "--ciphersuites",
  ciphers: "--ciphers",
  clientAuth: "--client-auth",
  groups: "--groups",
  hostname: "HOST",
  key: "--key",
  legacyServerConnect: "--legacy-server-connect",
  maxCertificateList: "--max-cert-list",
  maxSendFragment: "--max-send-frag",
  maxSessionAge: "--max-session-age",
  maxVersion: "--max",
  minVersion: "--min",
  passphrase: "--pass",
  postHandshakeAuth: "--enable-pha",
  psk: "--psk",
  psks: "--psk",
  securityLevel: "--seclevel",
  sendCaNames: "--no-ca-names",
  serverName: "--servername",
  signatureAlgorithms: "--sigalgs",
  "verifyOptions.crls": "--crl",
};

/** Where a value is refused the message begins with what it was, and the option must be told. */
const REFUSED: readonly (readonly [begins: RegExp, option: string])[] = [
  [/^ciphers /, "--ciphers"],
  [/^cipher suites /, "--ciphersuites"],
  [/^groups /, "--groups"],
  [/^signature algorithms /, "--sigalgs"],
  [/^securityLevel/, "--seclevel"],
  [/^minVersion/, "--min"],
  [/^the certificate /, "--cert"],
  [/^the private key /, "--key"],
  [/^the PKCS #12 file /, "--p12"],
  [/^the CA certificate /, "--ca"],
  [/^the CRL /, "--crl"],
  [/^the OCSP response /, "--ocsp"],
  [/^there is no flag /, "--flag"],
  [/^policies |^the policy /, "--policy"],
  [/^the ALPN protocols? /, "--alpn"],
  [/^the pre-shared key /, "--psk"],
  [/^the purpose /, "--purpose"],
  [/^serverName /, "--servername"],
  [/^bioPairSize /, "--bio-pair-size"],
  [/^clientAuth /, "--client-auth"],
  [/^this is no session/, "--session-in"],
  [/^early data|^the limit of early data/, "--early-data"],
];

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message || error.name;
  const refused = error instanceof TlsError && error.code === "invalid-argument";
  const [named = ""] = message.match(/^[A-Za-z]+/) ?? [];
  const option =
    refused &&
    (REFUSED.find(([begins]) => begins.test(message))?.[1] ??
      (Object.hasOwn(OPTIONS, named) ? OPTIONS[named] : undefined));
  const words = message
    .replace('`ciphers` ("DEFAULT")', "--ciphers DEFAULT")
    .replace(/`([\w.]+)`/g, (_, name: string) => (Object.hasOwn(OPTIONS, name) ? OPTIONS[name]! : name));
  return option ? `${option}: ${words}` : words;
}

function errorFields(error: unknown): object {
  const fields: Record<string, unknown> = { message: messageOf(error) };
  if (error instanceof TlsError) fields.code = error.code;
  if (error instanceof TlsCertificateError) {
    const { verifyError, depth, subject } = error;
    Object.assign(fields, { verifyError, depth, subject });
  }
  return { error: fields };
}

/** What the handshake settled, for people. */
export function inWords(info: TlsInfo): string {
  const { protocol, cipher, group, alpnProtocol, sessionReused, earlyData, peerCertificates, verified } =
    info;
  const [leaf] = peerCertificates;
  const words = [protocol, cipher];
  if (group) words.push(group);
  if (alpnProtocol !== undefined) words.push(`ALPN ${JSON.stringify(alpnProtocol)}`);
  if (sessionReused) words.push("resumed");
  if (earlyData !== "none") words.push(`early data ${earlyData}`);
  if (leaf) words.push(`certificate of ${leaf.subject} ${verified ? "verified" : "NOT VERIFIED"}`);
  return words.join(", ");
}

/** The same for programs. */
export function infoFields(given: TlsInfo): object {
  const { peerCertificates, verifiedChain, verifyFailures, ocspResponse, ...info } = given;
  return {
    ...info,
    verifyFailures: verifyFailures.map(({ certificate, ...failure }) => ({
      ...failure,
      subject: certificate?.subject,
    })),
    ocspResponse: ocspResponse && Buffer.from(ocspResponse).toString("base64"),
    peerCertificates: peerCertificates.map(certificateFields),
    verifiedChain: verifiedChain.map(certificateFields),
  };
}

export function certificateFields(certificate: X509): object {
  const { subject, issuer, subjectAltName, notBefore, notAfter, serialNumber } = certificate;
  const { sha256Fingerprint, publicKey } = certificate;
  return { subject, issuer, subjectAltName, notBefore, notAfter, serialNumber, sha256Fingerprint, publicKey };
}

function howItEnded({ how, truncatedAt }: CloseInfo): string {
  switch (how) {
    case "complete":
      return "complete: close_notify went both ways";
    case "closed-without-waiting":
      return "closed, without waiting for the peer";
    case "truncated":
      return `ended without close_notify (${truncatedAt ?? "record"})`;
    default:
      return how;
  }
}

function bytes(count: number): string {
  if (count < 10_000) return `${count} bytes`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let amount = count / 1024;
  let unit = 0;
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
  return `${amount.toFixed(1)} ${units[unit]}`;
}
