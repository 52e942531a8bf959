import type { TlsInfo } from "wassl";
import { byId, element } from "./dom.js";

const ellipticCurve = "elliptic curve Diffie–Hellman";
/** By the group's name in small letters: TLS 1.2 and 1.3 do not write them alike. */
const groupWords: Record<string, string> = {
  x25519mlkem768: "hybrid with ML-KEM: safe against a later quantum computer, too",
  x25519: ellipticCurve,
  secp256r1: ellipticCurve,
  secp384r1: ellipticCurve,
};

/** What was agreed on. */
export function showFacts(info: TlsInfo, host: string): void {
  const rows: [name: string, value: string, note?: string | undefined][] = [
    ["Version", info.protocol],
    ["Cipher", info.cipher],
    ["Key exchange", info.group ?? "not told", groupWords[info.group?.toLowerCase() ?? ""]],
    ["Signature", info.signatureAlgorithm ?? "not told"],
    [
      "ALPN",
      info.alpnProtocol ?? "none",
      info.alpnProtocol === undefined ? "the server chose not to say" : undefined,
    ],
    ["Session", info.sessionReused ? "resumed" : "new"],
    ["Verified", info.verified ? `yes, for ${host}` : "no"],
  ];
  byId("facts", HTMLDListElement).replaceChildren(
    ...rows.map(([name, value, note]) =>
      element(
        "div",
        { "data-fact": name },
        element("dt", {}, name),
        element(
          "dd",
          {},
          element("code", {}, value),
          note === undefined ? undefined : element("small", {}, note),
        ),
      ),
    ),
  );
}

export function clearFacts(): void {
  byId("facts", HTMLDListElement).replaceChildren();
}
