import type { TlsInfo, X509 } from "wassl";
import { byId, element } from "./dom.js";
import { printable } from "./format.js";
import { nameWords } from "./names.js";

const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

/** The certificates as the server sent them, its own first, and the trust anchor on which they hang. */
export function showChain({ peerCertificates }: TlsInfo, anchor: X509 | undefined): void {
  const links = peerCertificates.map((certificate, index) =>
    link(certificate, index === 0 ? "The server" : "Intermediate"),
  );
  if (anchor !== undefined) links.push(link(anchor, "Trust anchor, yours: the server did not send it"));
  links.at(-1)?.classList.toggle("link-anchor", anchor !== undefined);
  byId("chain", HTMLOListElement).replaceChildren(...links);
}

export function clearChain(): void {
  byId("chain", HTMLOListElement).replaceChildren();
}

function link(certificate: X509, role: string): HTMLLIElement {
  const row = (term: string, ...values: (Node | string)[]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, ...values));
  const names = certificate.subjectAltName.map((value) => printable(value.replace(/^(DNS|IP Address):/, "")));
  return element(
    "li",
    { class: "link" },
    element("p", { class: "link-role" }, role),
    element("p", { class: "link-name" }, nameWords(certificate.subject)),
    element(
      "dl",
      {},
      names.length === 0 ? undefined : row("For", element("code", {}, names.join(", "))),
      row("Issued by", certificate.issuer === certificate.subject ? "itself" : nameWords(certificate.issuer)),
      row("Valid", `${date.format(certificate.notBefore)} – ${date.format(certificate.notAfter)} UTC`),
      row("Key", keyWords(certificate.publicKey)),
      row("SHA-256", fingerprint(certificate.sha256Fingerprint)),
    ),
  );
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
