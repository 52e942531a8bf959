import type { CloseInfo, TlsEvent } from "wassl";
import { byId, element } from "./dom.js";
import { formatDuration } from "./format.js";
import type { Verb, Visit } from "./visit.js";

type Flags = { readonly sent: boolean; readonly received: boolean };
type Kind = "up" | "down" | "here" | "there" | "both";

const verbs: readonly { verb: Verb | "request"; label: string; words: string }[] = [
  { verb: "request", label: "Ask again", words: "Send the same request on this connection." },
  { verb: "closeWrite", label: "closeWrite()", words: "Send close_notify, and go on reading." },
  {
    verb: "shutdown",
    label: "shutdown()",
    words: "Send it, wait for the server’s, take the transport back.",
  },
  { verb: "close", label: "close()", words: "Send it, and close without waiting." },
  { verb: "abort", label: "abort()", words: "Send nothing, and drop the connection." },
];

/**
 * The conversation as a sequence diagram, this page on the left and the server on the right, with the two bits of
 * SSL_get_shutdown(3) beside each moment; and the buttons.
 */
export class ClosingView {
  readonly #list = byId("timeline", HTMLOListElement);
  readonly #outcome = byId("outcome", HTMLParagraphElement);
  readonly #buttons = new Map<Verb | "request", HTMLButtonElement>();
  #began = 0;
  #flags: () => Flags = () => ({ sent: false, received: false });

  constructor(press: (verb: Verb | "request") => void) {
    const box = byId("verbs", HTMLDivElement);
    for (const { verb, label, words } of verbs) {
      const button = element(
        "button",
        { type: "button", class: `verb verb-${verb}`, "data-verb": verb },
        element(verb === "request" ? "span" : "code", { class: "verb-name" }, label),
        element("span", { class: "verb-words" }, words),
      );
      button.disabled = true;
      button.addEventListener("click", () => press(verb));
      this.#buttons.set(verb, button);
      box.append(button);
    }
  }

  reset(visit: Visit): void {
    this.#began = visit.began;
    this.#flags = () => visit.flags;
    this.#outcome.textContent = "";
    this.#outcome.removeAttribute("data-how");
    this.#list.replaceChildren(heading());
  }

  enable(possible: Visit["possible"]): void {
    for (const [verb, button] of this.#buttons) button.disabled = !possible[verb];
    const { sent, received } = this.#flags();
    light("flag-sent", sent);
    light("flag-received", received);
  }

  tls(event: TlsEvent, time: number): void {
    switch (event.type) {
      case "handshake-start":
        break;
      case "handshake-done":
        this.#row("both", "TLS established", time, "established");
        break;
      case "alert": {
        const kind = event.direction === "sent" ? "up" : "down";
        const words =
          event.description === "close_notify"
            ? "close_notify"
            : `${event.level} alert: ${event.description}`;
        this.#row(kind, words, time, event.description === "close_notify" ? "notify" : "bad");
        break;
      }
      case "transport-end":
        this.#row("there", "the transport ended", time, "end");
        break;
    }
  }

  message(direction: "up" | "down", words: string, time: number): void {
    this.#row(direction, words, time, "message");
  }

  pressed(verb: Verb, time: number): void {
    this.#row("here", `${verb}()`, time, "verb");
  }

  settled(verb: Verb, detail: string | undefined, time: number): void {
    this.#row("here", `${verb}() settled${detail === undefined ? "" : `: ${detail}`}`, time, "settled");
  }

  failed(verb: Verb, error: unknown, time: number): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#row("here", `${verb}() failed: ${message}`, time, "bad");
  }

  end(how: CloseInfo["how"], words: string): void {
    this.#outcome.textContent = words;
    this.#outcome.dataset.how = how;
  }

  #row(kind: Kind, words: string, time: number, tone: string): void {
    const { sent, received } = this.#flags();
    const flag = (name: string, on: boolean) =>
      element(
        "span",
        { class: on ? "flag flag-on" : "flag", title: `${name}: ${on ? "set" : "not set"}` },
        on ? "1" : "0",
      );
    this.#list.append(
      element(
        "li",
        { class: `event event-${kind}`, "data-tone": tone },
        element("span", { class: "event-time" }, `+${formatDuration(time - this.#began)}`),
        element(
          "span",
          { class: "event-field" },
          element(
            "span",
            { class: "event-words" },
            element("span", { class: "unseen" }, spoken[kind]),
            words,
          ),
        ),
        element(
          "span",
          { class: "event-flags" },
          flag("SSL_SENT_SHUTDOWN", sent),
          flag("SSL_RECEIVED_SHUTDOWN", received),
        ),
      ),
    );
  }
}

/** What the arrow says to those who do not see it. */
const spoken: Record<Kind, string> = {
  up: "page to server: ",
  down: "server to page: ",
  here: "page: ",
  there: "server: ",
  both: "",
};

function light(id: string, on: boolean): void {
  const flag = byId(id, HTMLElement);
  flag.dataset.on = String(on);
  flag.setAttribute("aria-label", `${flag.textContent} is ${on ? "set" : "not set"}`);
}

function heading(): HTMLLIElement {
  return element(
    "li",
    { class: "event event-heading" },
    element("span", { class: "event-time" }, "after"),
    element("span", { class: "event-field" }, element("span", {}, "page"), element("span", {}, "server")),
    element(
      "span",
      { class: "event-flags", title: "SSL_get_shutdown: SSL_SENT_SHUTDOWN, SSL_RECEIVED_SHUTDOWN" },
      element("span", { class: "flag-name" }, "sent"),
      element("span", { class: "flag-name" }, "rcvd"),
    ),
  );
}
