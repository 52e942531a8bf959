import type { DirectionSeen, RecordSeen, RelaySnapshot } from "../protocol.js";
import { findServerName } from "./client-hello.js";
import { byId, element } from "./dom.js";
import { formatBytes, fromHex, printable, spacedHex } from "./format.js";

const handshakeNames: Record<number, string> = {
  1: "ClientHello",
  2: "ServerHello",
  4: "NewSessionTicket",
  11: "Certificate, readable",
  12: "ServerKeyExchange",
  14: "ServerHelloDone",
  16: "ClientKeyExchange",
  22: "CertificateStatus",
};
const rowsShown = 24;

/** The relay's own log: what it could read, what it could not, and the bytes themselves. */
export function showRelayView(snapshot: RelaySnapshot, protocol: string | undefined): void {
  const { up, down } = snapshot;
  const box = byId("relay-view", HTMLDivElement);
  if (up.bytes === 0 && down.bytes === 0) {
    const end = snapshot.end;
    box.replaceChildren(
      element(
        "p",
        { class: "hint" },
        end === undefined ? "Nothing yet." : `Nothing. ${printable(end.reason)}.`,
      ),
    );
    return;
  }
  const clue = findServerName(fromHex(up.start));
  box.replaceChildren(
    element("p", { class: "relay-summary" }, ...summary(up, down, clue?.serverName, protocol)),
    dump(fromHex(up.start), clue),
    ...(up.tls === false || down.tls === false ? [] : [recordTable(up, down)]),
  );
}

function summary(
  up: DirectionSeen,
  down: DirectionSeen,
  serverName: string | undefined,
  protocol: string | undefined,
): (Node | string)[] {
  if (down.tls === false) {
    const start = printable(new TextDecoder("latin1").decode(fromHex(down.start).subarray(0, 300)));
    return [
      "The server’s answer is not TLS, and so the relay could read it: ",
      element("mark", {}, start.split("\n")[0] ?? ""),
    ];
  }
  const name: (Node | string)[] =
    serverName === undefined
      ? ["No name in the clear, because you asked for an IP address"]
      : ["The name ", element("mark", {}, serverName), ", which TLS sends in the clear"];
  return [
    ...name,
    `; the sizes and times of ${up.recordCount} and ${down.recordCount} records, ${formatBytes(up.bytes + down.bytes)} in all. `,
    protocol === "TLSv1.2"
      ? "The server’s certificate as well, because TLS 1.2 sends it in the clear. Not the request, not the answer."
      : "Not the request, not the answer.",
  ];
}

/** The beginning of the ClientHello as a hex dump with the readable bytes marked; what lies between is left out. */
function dump(bytes: Uint8Array, clue: { from: number; to: number } | undefined): HTMLElement {
  const lines: HTMLElement[] = [];
  const lastLine = clue === undefined ? 8 : Math.floor(clue.to / 16) + 1;
  const firstAgain = clue === undefined ? 0 : Math.floor(clue.from / 16) - 1;
  for (let line = 0; line <= lastLine && line * 16 < bytes.length; line++) {
    if (line < 4 || line >= firstAgain) lines.push(dumpLine(bytes, line * 16, clue));
    else if (line === 4) lines.push(element("span", { class: "dump-line" }, "   ⋮"));
  }
  return element(
    "div",
    {
      class: "dump",
      tabindex: "0",
      role: "group",
      "aria-label": "The first bytes that the page sent, in hexadecimal",
    },
    ...lines,
  );
}

function dumpLine(
  bytes: Uint8Array,
  at: number,
  clue: { from: number; to: number } | undefined,
): HTMLElement {
  const hex = element("span", { class: "dump-hex" });
  const text = element("span", { class: "dump-text" });
  bytes.subarray(at, at + 16).forEach((byte, i) => {
    const isClue = clue !== undefined && at + i >= clue.from && at + i < clue.to;
    const kind = isClue ? "mark" : "span";
    hex.append(element(kind, {}, byte.toString(16).padStart(2, "0")), " ");
    text.append(element(kind, {}, byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·"));
  });
  const offset = element("span", { class: "dump-at" }, at.toString(16).padStart(4, "0"));
  return element("span", { class: "dump-line" }, offset, hex, text);
}

function recordTable(up: DirectionSeen, down: DirectionSeen): HTMLElement {
  const rows = [...described(up, "→"), ...described(down, "←")].sort((a, b) => a.record.at - b.record.at);
  const table = element(
    "table",
    { class: "records" },
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        ...["", "Record", "Bytes", "Begins with"].map((title) => element("th", { scope: "col" }, title)),
      ),
    ),
    element(
      "tbody",
      {},
      ...rows
        .slice(0, rowsShown)
        .map(({ arrow, words, sealed, record }) =>
          element(
            "tr",
            { class: sealed ? "sealed" : "" },
            element("td", { "aria-label": arrow === "→" ? "to the server" : "to the page" }, arrow),
            element("td", {}, words),
            element("td", { class: "number" }, String(record.length)),
            element("td", { class: "begin" }, element("code", {}, spacedHex(record.head.slice(0, 42)))),
          ),
        ),
    ),
  );
  const more = up.recordCount + down.recordCount - Math.min(rows.length, rowsShown);
  return element(
    "div",
    { class: "records-box", tabindex: "0", role: "group", "aria-label": "The records that passed" },
    table,
    more > 0 ? element("p", { class: "hint" }, `and ${more} more`) : undefined,
  );
}

interface Described {
  readonly arrow: "→" | "←";
  readonly words: string;
  readonly sealed: boolean;
  readonly record: RecordSeen;
}

/** The name that an observer can give to each record. Behind a change_cipher_spec everything is encrypted. */
function described(seen: DirectionSeen, arrow: "→" | "←"): Described[] {
  let encrypted = false;
  return seen.records.map((record) => {
    const sealed = encrypted || record.type === 23;
    let words = "sealed";
    if (record.type === 20) {
      encrypted = true;
      words = "change_cipher_spec";
    } else if (record.type === 21) {
      words = sealed ? "alert, sealed" : "alert";
    } else if (record.type === 22) {
      words = sealed ? "handshake, sealed" : (handshakeNames[fromHex(record.head)[5] ?? 0] ?? "handshake");
    }
    return { arrow, words, sealed: sealed && record.type !== 20, record };
  });
}
