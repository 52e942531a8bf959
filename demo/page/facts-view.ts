import type { TlsInfo } from "wassl";
import { byId, element } from "./dom.js";

const groupWords: Record<string, string> = {
  X25519MLKEM768: "hybrid with ML-KEM: safe against a later quantum computer, too",
  X25519: "elliptic curve Diffie–Hellman",
  "P-256": "elliptic curve Diffie–Hellman",
  secp256r1: "elliptic curve Diffie–Hellman",
};

/** What was agreed on. */
export function showFacts(info: TlsInfo, host: string): void {
  const rows: [name: string, value: string, note?: string | undefined][] = [
    ["Version", info.protocol],
    ["Cipher", info.cipher],
    ["Key exchange", info.group ?? "not told", groupWords[info.group ?? ""]],
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
