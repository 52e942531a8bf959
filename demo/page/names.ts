import { printable } from "./format.js";

/** "localhost", or "Example root, of Example Ltd", from "CN=Example root,O=Example Ltd" (RFC 2253). */
export function nameWords(subject: string): string {
  const organization = attribute(subject, "O");
  const commonName = commonNameOf(subject);
  return printable(organization === undefined ? commonName : `${commonName}, of ${organization}`);
}

/** The common name; where there is none, the subject as it is. */
export function commonNameOf(subject: string): string {
  return printable(attribute(subject, "CN") ?? (subject === "" ? "(no name)" : subject));
}

function attribute(subject: string, key: string): string | undefined {
  const value = new RegExp(`(?:^|[,+])${key}=((?:\\\\.|[^,+\\\\])+)`).exec(subject)?.[1];
  return value?.replace(/\\(.)/g, "$1");
}
