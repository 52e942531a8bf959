/**
 * What a peer is called. Every name, whether for SNI, for verification or for the keys of sessions, is read here. With
 * a second parser elsewhere, one of them might read another peer's name.
 */
import { TlsError } from "../errors.js";

/**
 * A DNS name in ASCII, small letters, without a final dot; or an address as RFC 5952 §4 and RFC 6943 §3.1.1 write it.
 */
export interface HostName {
  readonly kind: "dns" | "ip";
  readonly name: string;
}

/** RFC 1035 §2.3.4, without the final dot. */
const LONGEST_NAME = 253;
const LONGEST_LABEL = 63;

/** RFC 9525 §4 does not know the other forms of IPv4 addresses: "127.1", "0x7f.1", "017.0.0.1". */
const IPV4 = /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/;
/**
 * A text whose last label is a number is not a name (WHATWG URL, "ends in a number"): to some programs it is an
 * address.
 */
const NUMBER = /^(\d+|0x[\da-f]*)$/;
/** Letters, digits, hyphens inside; and underscores, which are in the names of services and of some hosts. */
const ASCII_LABEL = /^[a-z\d_]([a-z\d_-]*[a-z\d_])?$/;
/**
 * What a U-label is made of (RFC 5892): letters, marks, digits, hyphens; and a few more, each only between certain
 * neighbours (appendix A). What is written from the right does not begin with a digit (RFC 5893 §2). Joiners stand
 * behind a virama, which is a mark, or in Arabic; the converter knows exactly where.
 */
const UNICODE_LABEL =
  /^(?![\p{M}-])(?!.*-$)(?!.{2}--)(?!\p{Nd}.*[\u0590-\u08ff\ufb1d-\ufdff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}])(?![\u0660-\u0669\u06f0-\u06f9])([\p{L}\p{M}\p{Nd}\u3007-]|(?<=l)\u00b7(?=l)|\u0375(?=\p{Script=Greek})|(?<=\p{Script=Hebrew})[\u05f3\u05f4]|(?<=[\p{M}\p{Script=Arabic}])[\u200c\u200d])+$/u;

/**
 * Reads a DNS name, also one with U-labels (IDNA), or an IP address: `192.0.2.7`, `2001:db8::7`, `[2001:db8::7]`.
 *
 * @param option the option's name, for the error
 * @throws TlsError "invalid-argument" for everything else
 */
export function hostName(given: unknown, option = "hostname"): HostName {
  const refused = () => {
    // An object is not asked for its text: the answer would come from the caller's code, and may throw.
    const isObject = typeof given === "function" || (typeof given === "object" && given !== null);
    const shown =
      typeof given === "string" ? JSON.stringify(given.slice(0, 300)) : isObject ? "[object]" : String(given);
    return new TlsError("invalid-argument", `${option} ${shown} is neither a host name nor an IP address`);
  };
  if (typeof given !== "string" || given === "") throw refused();
  if (given.length > 4 * LONGEST_NAME) throw refused();
  const [, bracketed] = given.match(/^\[(.*)\]$/s) ?? [];
  if (bracketed !== undefined || given.includes(":")) {
    const name = ipv6(bracketed ?? given);
    if (name === undefined) throw refused();
    return { kind: "ip", name };
  }
  if (IPV4.test(given)) return { kind: "ip", name: given };
  const labels = given.replace(/\.$/, "").split(".").map(label);
  const name = labels.join(".");
  if (labels.includes(undefined) || NUMBER.test(labels.at(-1)!) || name.length > LONGEST_NAME)
    throw refused();
  return { kind: "dns", name };
}

/** In ASCII, or undefined for what is no name. */
function label(given: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  const ascii = /^[\x00-\x7f]*$/.test(given) ? given.toLowerCase() : fromUnicode(given);
  if (ascii === undefined || ascii.length > LONGEST_LABEL || !ASCII_LABEL.test(ascii)) return undefined;
  // An A-label must decode to something, or another program reads something else in it. Some that are in use decode to
  // symbols.
  const said = ascii.startsWith("xn--") ? decodePunycode(ascii.slice(4)) : "\u00e9";
  if (!isUnicodeLabel(said?.replace(/[\p{So}\p{Sk}]/gu, "\u00e9"))) return undefined;
  return ascii;
}

/** The A-label of a U-label. */
function fromUnicode(given: string): string | undefined {
  let small = "";
  for (const character of given) {
    const composed = character.normalize("NFC");
    // Full-width letters and digits, ligatures, the Kelvin sign: characters that stand for other characters.
    if (character > "\x7f" && (composed !== character.normalize("NFKC") || composed < "\x80"))
      return undefined;
    // One by one, as IDNA does: in a whole word, the small form of a final sigma is another letter.
    small += character.toLowerCase();
  }
  const unicode = small.normalize("NFC");
  if (!isUnicodeLabel(unicode)) return undefined;
  try {
    // The label holds nothing that ends or begins a part of a URL, nor a dot. URL does the mapping and the rules of
    // IDNA; its answer counts if it stands for the very same label.
    const { hostname } = new URL(`https://${unicode}`);
    return hostname.startsWith("xn--") && decodePunycode(hostname.slice(4)) === unicode
      ? hostname
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether this is a U-label by its characters, at least one of which is not ASCII, and is the only form of what it
 * says.
 */
function isUnicodeLabel(text: string | undefined): boolean {
  return (
    text !== undefined &&
    /[^\x20-\x7e]/.test(text) &&
    UNICODE_LABEL.test(text) &&
    text === text.normalize("NFKC") &&
    text === Array.from(text, (character) => character.toLowerCase()).join("")
  );
}

/**
 * RFC 3492 §6.2; undefined for what is not Punycode. Each text has only one form, so what is read here is what would be
 * written.
 */
function decodePunycode(text: string): string | undefined {
  const hyphen = text.lastIndexOf("-");
  const output = Array.from(text.slice(0, Math.max(hyphen, 0)));
  let [code, at, bias] = [128, 0, 72];
  for (let i = hyphen > 0 ? hyphen + 1 : 0; i < text.length; ) {
    const before = at;
    let weight = 1;
    for (let k = 36; ; k += 36) {
      const digit = "abcdefghijklmnopqrstuvwxyz0123456789".indexOf(text.charAt(i++) || " ");
      if (digit < 0) return undefined;
      at += digit * weight;
      const threshold = Math.min(Math.max(k - bias, 1), 26);
      if (digit < threshold) break;
      weight *= 36 - threshold;
    }
    const length = output.length + 1;
    code += Math.floor(at / length);
    if (code > 0x10_ffff) return undefined;
    let delta = Math.floor((at - before) / (before === 0 ? 700 : 2));
    delta += Math.floor(delta / length);
    for (bias = 0; delta > 455; bias += 36) delta = Math.floor(delta / 35);
    bias += Math.floor((36 * delta) / (delta + 38));
    at %= length;
    output.splice(at++, 0, String.fromCodePoint(code));
  }
  return output.join("");
}

/**
 * As RFC 5952 writes it; undefined for what is no address. A zone belongs to one computer, and no certificate has it.
 */
function ipv6(given: string): string | undefined {
  const last = given.slice(given.lastIndexOf(":") + 1);
  if (!/^[\da-f:]+(\.[\d.]+)?$/i.test(given) || (last.includes(".") && !IPV4.test(last))) return undefined;
  try {
    return new URL(`https://[${given}]`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
}
