import type { TlsInfo, X509 } from "wassl";
import { byId, element } from "./dom.js";
import { printable } from "./format.js";

const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

/** The certificates as the server sent them, its own first, and the trust anchor on which they hang. */
export function showChain({ peerCertificates, verified }: TlsInfo): void {
  const links = peerCertificates.map((certificate, index) => link(certificate, index));
  const last = peerCertificates.at(-1);
  if (verified && last !== undefined && last.subject !== last.issuer) {
    links.push(
      element(
        "li",
        { class: "link link-anchor" },
        element("p", { class: "link-role" }, "Trust anchor"),
        element("p", { class: "link-name" }, name(last.issuer)),
        element("p", { class: "hint" }, "Not sent by the server: it was among your trust anchors."),
      ),
    );
  }
  byId("chain", HTMLOListElement).replaceChildren(...links);
}

export function clearChain(): void {
  byId("chain", HTMLOListElement).replaceChildren();
}

function link(certificate: X509, index: number): HTMLLIElement {
  const row = (term: string, ...values: (Node | string)[]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, ...values));
  const names = certificate.subjectAltName.map((value) => printable(value.replace(/^(DNS|IP Address):/, "")));
  return element(
    "li",
    { class: "link" },
    element("p", { class: "link-role" }, index === 0 ? "The server" : "Intermediate"),
    element("p", { class: "link-name" }, name(certificate.subject)),
    element(
      "dl",
      {},
      names.length === 0 ? undefined : row("For", element("code", {}, names.join(", "))),
      row("Issued by", name(certificate.issuer)),
      row("Valid", `${date.format(certificate.notBefore)} – ${date.format(certificate.notAfter)} UTC`),
      row("Key", keyWords(certificate.publicKey)),
      row("SHA-256", fingerprint(certificate.sha256Fingerprint)),
    ),
  );
}

/** "localhost", or "Example root, of Example Ltd", from "CN=Example root,O=Example Ltd" (RFC 2253). */
function name(subject: string): string {
  const part = (key: string) =>
    new RegExp(`(?:^|[,+])${key}=((?:\\\\.|[^,+\\\\])+)`).exec(subject)?.[1]?.replace(/\\(.)/g, "$1");
  const commonName = part("CN");
  const organization = part("O");
  const words =
    commonName === undefined
      ? subject
      : organization === undefined
        ? commonName
        : `${commonName}, of ${organization}`;
  return words === "" ? "(no name)" : printable(words);
}

/** "EC, P-256" from "EC prime256v1 256"; "RSA, 2048 bits" from "RSA 2048". */
function keyWords(publicKey: string): string {
  const curves: Record<string, string> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };
  const [algorithm = "", ...rest] = publicKey.split(" ");
  const [first = ""] = rest;
  if (rest.length === 0) return algorithm;
  return /^\d+$/.test(first) ? `${algorithm}, ${first} bits` : `${algorithm}, ${curves[first] ?? first}`;
}

/** In groups, so that it may break between bytes and be read aloud. */
function fingerprint(text: string): HTMLElement {
  const pairs = text.split(":");
  const groups = Array.from({ length: Math.ceil(pairs.length / 4) }, (_, i) =>
    pairs.slice(i * 4, i * 4 + 4).join(""),
  );
  return element("code", { class: "fingerprint", "data-fingerprint": text }, groups.join(" ").toLowerCase());
}
