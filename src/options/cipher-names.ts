/**
 * Lists of cipher suites as `openssl-ciphers(1)` writes them. OpenSSL leaves out the names that it does not know, and
 * with them each typing error: here they are told. A "?" in front of a name allows it to be unknown, as OpenSSL has it
 * for groups and signature algorithms.
 */
import { nearest } from "../check.js";
import { TlsError } from "../errors.js";

/** OpenSSL takes these at the beginning alone. */
const FIRST = /^(?:DEFAULT|SUITEB128ONLY|SUITEB128C2|SUITEB128|SUITEB192)(?![\w.-])/;

const NAME = /(\??)([-+!@]?)([\w.=-]+(?:\+[\w.=-]+)*)/g;

/** Algorithms that OpenSSL has words for, and this build lacks. */
const LACKED =
  "3?DES|CBC3|RC[24]|IDEA|SEED|ARIA\\w*|CAMELLIA\\d*|DSS|KRB5|EXP\\w*|NULL|MD5|SRP|GOST\\w*|A?(?:EC)?DH[rd]?|anon";
/** A keyword that names nothing here. */
const KEYWORD = new RegExp(
  `^(?:[aek]?(?:${LACKED})|LOW|MEDIUM|FIPS|COMPLEMENTOF\\w+|AES\\w*CCM8?|SSLv\\d|TLSv1(?:\\.0)?)$`,
);
/** A suite with such a part is not here, and does not have to be removed. */
const LACKING = new RegExp(`(?:^|[-_])(?:${LACKED})(?:[-_]|$)`);

/** What a name may have been meant for: suites that TLS 1.2 still has, and keywords. */
function candidates(): string[] {
  const ciphers =
    "AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305 AES128-SHA AES256-SHA AES128-SHA256".split(" ");
  return [
    ...["ECDHE-ECDSA-", "ECDHE-RSA-", "DHE-RSA-", ""].flatMap((key) => ciphers.map((cipher) => key + cipher)),
    ..."DEFAULT ALL HIGH AESGCM CHACHA20 ECDHE PSK kRSA aNULL eNULL 3DES RC4 MD5".split(" "),
  ];
}

/**
 * The list as OpenSSL takes it.
 *
 * @param knows whether OpenSSL has suites by that name or keyword
 * @throws TlsError "invalid-argument" with the first name that OpenSSL would leave out
 */
export function ciphersOf(list: string, knows: (name: string) => boolean): string {
  const first = FIRST.exec(list)?.[0] ?? "";
  for (const [, optional, sign = "", names = ""] of list.slice(first.length).matchAll(NAME)) {
    if (optional || sign === "@") continue;
    for (const name of names.split("+")) {
      // To remove or to move what is not here does nothing, and nothing is what was meant.
      const ignored = KEYWORD.test(name) || (sign !== "" && LACKING.test(name));
      // OpenSSL takes "DEFAULTS" for DEFAULT and an unknown name, and so knows it.
      if (ignored || (!/^(?:DEFAULT|SUITEB)/.test(name) && knows(name))) continue;
      throw new TlsError("invalid-argument", `ciphers "${list.slice(0, 1000)}": ${why(name, knows)}`);
    }
  }
  return list.replaceAll("?", "");
}

function why(name: string, knows: (name: string) => boolean): string {
  if (FIRST.test(name)) return `"${name}" must stand at the beginning`;
  if (/^TLS_(?:AES|CHACHA20)_/.test(name))
    return `"${name}" is of TLS 1.3, whose suites are \`cipherSuites\``;
  const near = nearest(
    name,
    // A suite that begins with a keyword is not meant for the keyword.
    candidates().filter((each) => each.length > name.length / 2 && (KEYWORD.test(each) || knows(each))),
  );
  return `this build of OpenSSL does not know "${name.slice(0, 60)}"${near ? `; did you mean "${near}"?` : ""}`;
}
