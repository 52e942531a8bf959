/** Certificates as `getPeerCertificate()` of Node.js gives them, and whether one is for a host. */
import { Buffer } from "node:buffer";
import type { DetailedPeerCertificate, PeerCertificate } from "node:tls";
import type { X509 } from "wassl";
import { nodeError } from "./errors.js";
import { isIP } from "./ip.js";

type Names = Record<string, string | string[]>;

/** One attribute of a distinguished name after the other, in the order of the certificate; RFC 2253 has it reversed. */
function readName(text: string): Names {
  const names: Names = Object.create(null) as Names;
  const parts: string[] = [];
  let part = "";
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === "\\") part += char + (text[++i] ?? "");
    else if (char === "," || char === "+") {
      parts.push(part);
      part = "";
    } else part += char;
  }
  if (part !== "") parts.push(part);
  for (const each of parts.reverse()) {
    const at = each.indexOf("=");
    const [key, value] = [each.slice(0, at), plain(each.slice(at + 1))];
    const before = names[key];
    names[key] = before === undefined ? value : [before, value].flat();
  }
  return names;
}

/** RFC 2253 §2.4: `\,` is a comma, `\C3\A4` two bytes of UTF-8. */
function plain(value: string): string {
  const bytes: number[] = [];
  for (let i = 0; i < value.length; i++) {
    const hex = value[i] === "\\" && /^[\dA-F]{2}/i.exec(value.slice(i + 1))?.[0];
    if (hex) {
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    } else {
      if (value[i] === "\\") i++;
      bytes.push(...Buffer.from(value[i] ?? ""));
    }
  }
  return Buffer.from(bytes).toString();
}

/** What could be taken for the bounds of a name is quoted, as Node.js does since CVE-2021-44532. */
function quoted(name: string): string {
  const at = name.indexOf(":");
  const value = name.slice(at + 1);
  return /^[ -~]*$/.test(value) && !/[,"'\\]/.test(value)
    ? name
    : `${name.slice(0, at)}:${JSON.stringify(value)}`;
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** As OpenSSL prints it: "Nov  3 08:05:09 2026 GMT". */
function printed(date: Date): string {
  const day = String(date.getUTCDate()).padStart(2);
  return `${MONTHS[date.getUTCMonth()]} ${day} ${date.toISOString().slice(11, 19)} ${date.getUTCFullYear()} GMT`;
}

const NIST: Readonly<Record<string, string>> = {
  prime256v1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};

function legacy(x509: X509): PeerCertificate {
  const [algorithm, ...rest] = x509.publicKey.split(" ");
  const curve = algorithm === "EC" ? rest[0] : undefined;
  const found = {
    subject: readName(x509.subject),
    issuer: readName(x509.issuer),
    ...(x509.subjectAltName.length > 0 && { subjectaltname: x509.subjectAltName.map(quoted).join(", ") }),
    infoAccess: undefined,
    ca: isAuthority(x509.der),
    bits: Number(rest.at(-1)),
    ...(curve !== undefined && { asn1Curve: curve, nistCurve: NIST[curve] }),
    pubkey: Buffer.from(x509.publicKeyDer),
    valid_from: printed(x509.notBefore),
    valid_to: printed(x509.notAfter),
    fingerprint: x509.sha1Fingerprint,
    fingerprint256: x509.sha256Fingerprint,
    serialNumber: x509.serialNumber.replaceAll(":", ""),
    raw: Buffer.from(x509.der),
  };
  // Of what Node.js tells, fingerprint512, ext_key_usage, modulus and exponent are missing.
  return found as unknown as PeerCertificate;
}

/** Basic constraints (RFC 5280 §4.2.1.9) with cA. Walks the certificate's outermost structure. */
function isAuthority(der: Uint8Array): boolean {
  const children = ([from, to]: Span): { tag: number; content: Span }[] => {
    const found: { tag: number; content: Span }[] = [];
    for (let at = from; at + 2 <= to; ) {
      const tag = der[at]!;
      let length = der[at + 1]!;
      let start = at + 2;
      if (length >= 0x80) {
        const bytes = length & 0x7f;
        length = der.subarray(start, start + bytes).reduce((sum, byte) => sum * 256 + byte, 0);
        start += bytes;
      }
      found.push({ tag, content: [start, Math.min(start + length, to)] });
      at = start + length;
    }
    return found;
  };
  const [certificate] = children([0, der.length]);
  const [tbs] = certificate ? children(certificate.content) : [];
  const extensions = tbs && children(tbs.content).find(({ tag }) => tag === 0xa3);
  const [list] = extensions ? children(extensions.content) : [];
  for (const { content } of list ? children(list.content) : []) {
    const parts = children(content);
    const id = parts[0] && der.subarray(...parts[0].content);
    if (id?.join() !== "85,29,19") continue;
    const [constraints] = children(parts.at(-1)!.content);
    const [ca] = constraints ? children(constraints.content) : [];
    return ca?.tag === 1 && der[ca.content[0]] !== 0;
  }
  return false;
}
type Span = [from: number, to: number];

/** The first of `chain`; with `detailed` also its issuers, one within the other, the last one within itself. */
export function peerCertificate(chain: readonly X509[], detailed = false): DetailedPeerCertificate {
  const [first, ...issuers] = chain.map(legacy) as [DetailedPeerCertificate, ...DetailedPeerCertificate[]];
  if (!detailed) return first;
  let at = first;
  for (const issuer of issuers) at = at.issuerCertificate = issuer;
  at.issuerCertificate ??= at;
  return first;
}

/** The names in a `subjectaltname`, of which some may be quoted. */
function splitNames(text: string): string[] {
  return [...text.matchAll(/([^:,]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)].map(([, type, value = ""]) => {
    return `${type}:${value.startsWith('"') ? (JSON.parse(value) as string) : value}`;
  });
}

/**
 * Whether `certificate` is for `hostname`: undefined, or the error that says why not. The rules are Node.js's: the
 * alternative names count, or without one of them the common name; `*` stands for a part of the first label.
 *
 * @example
 * ```ts
 * import { checkServerIdentity, connect } from "wassl/node/tls";
 *
 * const pinned = "AB:CD:…";
 * connect({
 *   host: "example.org",
 *   port: 443,
 *   checkServerIdentity: (host, certificate) =>
 *     certificate.fingerprint256 === pinned ? checkServerIdentity(host, certificate) : new Error("another certificate"),
 * });
 * ```
 */
export function checkServerIdentity(hostname: string, certificate: PeerCertificate): Error | undefined {
  const host = String(hostname).replace(/\.$/, "");
  const { subjectaltname, subject } = certificate as { subjectaltname?: string; subject?: Names };
  const names = subjectaltname ? splitNames(subjectaltname) : [];
  const of = (type: string) =>
    names.filter((each) => each.startsWith(type)).map((each) => each.slice(type.length));
  const dns = of("DNS:");
  const addresses = of("IP Address:");
  let reason: string | undefined;
  if (isIP(host)) {
    if (!addresses.some((each) => sameAddress(each, host)))
      reason = `IP: ${host} is not in the cert's list: ${addresses.join(", ")}`;
  } else if (dns.length > 0 || !subject?.CN) {
    if (dns.length === 0 && !subject?.CN) reason = "Cert does not contain a DNS name";
    else if (!dns.some((each) => fits(host, each)))
      reason = `Host: ${host}. is not in the cert's altnames: ${subjectaltname}`;
  } else {
    const common = [subject.CN].flat();
    if (!common.some((each) => fits(host, each))) reason = `Host: ${host}. is not cert's CN: ${common}`;
  }
  return reason === undefined ? undefined : wrongName(reason, hostname, certificate);
}

export function wrongName(reason: string, host: string, cert: PeerCertificate): Error {
  const message = `Hostname/IP does not match certificate's altnames: ${reason}`;
  return nodeError("ERR_TLS_CERT_ALTNAME_INVALID", message, { reason, host, cert });
}

function sameAddress(a: string, b: string): boolean {
  const canonical = (address: string) =>
    address.includes(":") ? new URL(`https://[${address.split("%")[0]}]`).hostname : address;
  try {
    return canonical(a) === canonical(b);
  } catch {
    return false;
  }
}

function fits(host: string, pattern: string): boolean {
  const labels = (name: string) => name.toLowerCase().replace(/\.$/, "").split(".");
  const [wanted, given] = [labels(host), labels(pattern)];
  if (wanted.length !== given.length || given.includes("") || /[^!-~]/.test(pattern)) return false;
  const [first = "", ...rest] = given;
  if (rest.some((label, i) => label !== wanted[i + 1])) return false;
  const [before = "", after, ...more] = first.split("*");
  if (after === undefined) return first === wanted[0];
  // One asterisk, of a host's name and not of a whole domain, and in no label of an internationalised name.
  if (more.length > 0 || given.length <= 2 || first.includes("xn--")) return false;
  const label = wanted[0]!;
  return label.length >= first.length && label.startsWith(before) && label.endsWith(after);
}
