import type { DirectionSeen, RelaySnapshot } from "../protocol.js";
import { findServerName } from "./client-hello.js";
import { byId, element } from "./dom.js";
import { authority, formatBytes, fromHex, printable, spacedHex } from "./format.js";

export type WayState = "idle" | "connecting" | "sealed" | "clear" | "ended" | "failed";

/** How many bytes of a record are drawn in the tube, and of how many records. */
const bytesDrawn = 40;
const recordsDrawn = 12;

/** The picture of the way: clear text at both ends, and in the tube between them the bytes which the relay saw. */
export class WayView {
  readonly #figure = byId("way", HTMLElement);
  readonly #up = byId("lane-up", HTMLDivElement);
  readonly #down = byId("lane-down", HTMLDivElement);
  readonly #count = byId("way-count", HTMLParagraphElement);
  readonly #caption = byId("way-caption", HTMLElement);
  readonly #server = byId("way-server", HTMLParagraphElement);
  readonly #request = byId("way-request", HTMLElement);
  readonly #answer = byId("way-answer", HTMLElement);
  readonly #openssl = byId("way-openssl", HTMLSpanElement);

  setServer(stack: string, host: string, port: number): void {
    this.#server.replaceChildren(authority(host, port), element("small", {}, stack));
  }

  setOpenSsl(version: string): void {
    if (version !== "") this.#openssl.textContent = /OpenSSL \S+/.exec(version)?.[0] ?? version;
  }

  reset(): void {
    this.set("connecting", "Connecting …");
    this.#request.textContent = "nothing said yet";
    this.#answer.textContent = "nothing said yet";
    this.#up.replaceChildren();
    this.#down.replaceChildren();
    this.#count.textContent = "sees what passes here";
  }

  set(state: WayState, caption: string): void {
    this.#figure.dataset.state = state;
    this.#caption.textContent = caption;
  }

  setRequest(line: string): void {
    this.#request.textContent = line;
  }

  setAnswer(statusLine: string): void {
    if (statusLine !== "") this.#answer.textContent = statusLine;
  }

  showRelay({ up, down }: RelaySnapshot): void {
    if (up.bytes + down.bytes > 0)
      this.#count.textContent = `saw ${formatBytes(up.bytes)} → and ${formatBytes(down.bytes)} ←`;
    draw(this.#up, up, true);
    draw(this.#down, down, false);
  }
}

function draw(lane: HTMLDivElement, seen: DirectionSeen, newestFirst: boolean): void {
  const key = `${seen.recordCount} ${seen.bytes}`;
  if (lane.dataset.drawn === key || seen.bytes === 0) return;
  lane.dataset.drawn = key;
  lane.dataset.tls = String(seen.tls);
  if (seen.tls === false) {
    const text = printable(new TextDecoder("latin1").decode(fromHex(seen.start).subarray(0, 80)));
    lane.replaceChildren(element("span", { class: "bytes-clear" }, text.replaceAll("\n", " ⏎ ")));
    return;
  }
  const spans = seen.records.slice(-recordsDrawn).map((record, index) => {
    // Only the first record of a connection can hold the name, and the lane may have moved on from it.
    const clue =
      index === 0 && seen.records.length <= recordsDrawn ? findServerName(fromHex(seen.start)) : undefined;
    const name =
      clue === undefined ? undefined : element("span", { class: "bytes-clear" }, ` ${clue.serverName} `);
    const hex = spacedHex(record.head.slice(0, bytesDrawn * 2));
    const span = element("span", { class: "bytes", "data-type": String(record.type) });
    span.append(element("b", {}, hex.slice(0, 14)), hex.slice(14), "…");
    if (name !== undefined) span.append(name, "…");
    return span;
  });
  lane.replaceChildren(...(newestFirst ? spans.reverse() : spans));
  lane.classList.remove("moving");
  // Reading a measure makes the browser notice that the class was off, so that the animation begins anew.
  void lane.offsetWidth;
  lane.classList.add("moving");
}
