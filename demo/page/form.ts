import type { DemoSetup, Target, TrustChoice, WhatIf } from "../protocol.js";
import { byId, element } from "./dom.js";
import type { Order } from "./visit.js";

const trustWords: Record<TrustChoice, string> = {
  demo: "this demo’s own root",
  mozilla: "Mozilla’s list",
  own: "your own",
  nobody: "nobody",
};

/** The form: where to go, whom to trust. */
export class Form {
  readonly #form = byId("form", HTMLFormElement);
  readonly #host = byId("host", HTMLInputElement);
  readonly #port = byId("port", HTMLInputElement);
  readonly #path = byId("path", HTMLInputElement);
  readonly #version = byId("version", HTMLSelectElement);
  readonly #caCerts = byId("ca-certs", HTMLTextAreaElement);
  readonly #error = byId("form-error", HTMLParagraphElement);
  readonly #connect = byId("connect", HTMLButtonElement);
  readonly #picks: { target: Target; button: HTMLButtonElement }[] = [];
  readonly #trustButtons = new Map<TrustChoice, HTMLButtonElement>();
  #mozilla = "";

  constructor(
    private readonly setup: DemoSetup,
    private readonly submit: (order: Order, target: Target | undefined) => void,
    /** Told when another server is picked, before anything is connected. */
    private readonly picked: (stack: string, host: string, port: number) => void,
  ) {
    const targets = byId("targets", HTMLDivElement);
    for (const target of setup.targets) targets.append(this.#pickButton(target));
    const whatIfs = byId("what-ifs", HTMLDivElement);
    for (const whatIf of setup.whatIfs) whatIfs.append(this.#pickButton(whatIf));
    const choices = byId("trust-choices", HTMLDivElement);
    for (const choice of ["demo", "mozilla", "nobody"] as const) choices.append(this.#trustButton(choice));

    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#form.addEventListener("input", () => this.#show());
    const first = setup.targets[0];
    if (first !== undefined) void this.#fill(first);
  }

  set busy(busy: boolean) {
    this.#connect.disabled = busy;
    this.#connect.textContent = busy ? "Connecting …" : "Connect";
  }

  #pickButton(target: Target | WhatIf): HTMLButtonElement {
    const isWhatIf = "lesson" in target;
    const button = element(
      "button",
      {
        type: "button",
        class: "pick",
        "data-pick": target.id,
        title: isWhatIf ? target.lesson : target.stack,
      },
      target.name,
    );
    button.addEventListener("click", async () => {
      await this.#fill(target);
      // A what-if is there to be watched; a target may still be changed before it is tried.
      if (isWhatIf) this.#send();
    });
    this.#picks.push({ target, button });
    return button;
  }

  #trustButton(choice: TrustChoice): HTMLButtonElement {
    const button = element(
      "button",
      { type: "button", class: "pick", "data-trust": choice },
      trustWords[choice],
    );
    button.addEventListener("click", () => this.#trust(choice));
    this.#trustButtons.set(choice, button);
    return button;
  }

  async #fill(target: Target): Promise<void> {
    this.#host.value = target.host;
    this.#port.value = String(target.port);
    this.#path.value = target.path;
    await this.#trust(target.trust);
  }

  async #trust(choice: TrustChoice): Promise<void> {
    if (choice === "mozilla" && this.#mozilla === "") {
      const response = await fetch("/mozilla.pem");
      this.#mozilla = await response.text();
    }
    const texts: Partial<Record<TrustChoice, string>> = {
      demo: this.setup.caPem,
      mozilla: this.#mozilla,
      nobody: "",
    };
    this.#caCerts.value = texts[choice] ?? this.#caCerts.value;
    this.#show();
  }

  get #trustChoice(): TrustChoice {
    // A textarea turns line ends into \n.
    const same = (text: string) => this.#caCerts.value.trim() === text.replace(/\r/g, "").trim();
    if (same("")) return "nobody";
    if (same(this.setup.caPem)) return "demo";
    return this.#mozilla !== "" && same(this.#mozilla) ? "mozilla" : "own";
  }

  #current(): Target | undefined {
    const trust = this.#trustChoice;
    const isMeant = (target: Target) =>
      target.host === this.#host.value.trim() && String(target.port) === this.#port.value.trim();
    const meant = this.#picks.map(({ target }) => target).filter(isMeant);
    return meant.find((target) => target.trust === trust) ?? meant[0];
  }

  #show(): void {
    this.#error.hidden = true;
    const trust = this.#trustChoice;
    byId("trust-summary", HTMLSpanElement).textContent = trustWords[trust];
    for (const [choice, button] of this.#trustButtons)
      button.setAttribute("aria-pressed", String(choice === trust));
    const current = this.#current();
    for (const { target, button } of this.#picks)
      button.setAttribute("aria-pressed", String(target === current));
    this.picked(current?.stack ?? "", this.#host.value.trim(), Number(this.#port.value));
  }

  #send(): void {
    const order = this.#read();
    if (typeof order === "string") {
      this.#error.textContent = order;
      this.#error.hidden = false;
      return;
    }
    this.#error.hidden = true;
    this.submit(order, this.#current());
  }

  /** What is asked for, or what is wrong with it. */
  #read(): Order | string {
    const host = this.#host.value.trim().replace(/^\[(.*)\]$/, "$1");
    const port = Number(this.#port.value);
    const path = this.#path.value.trim();
    if (host === "" || /[\s/]/.test(host))
      return "A host is a name or an IP address, without https:// or a path.";
    if (!Number.isInteger(port) || port < 1 || port > 65535) return "A port is a number from 1 to 65535.";
    if (!/^\/[\x21-\x7e]*$/.test(path)) return "A path begins with / and has no spaces.";
    const [minVersion, maxVersion] = this.#version.value.split(" ");
    return {
      host,
      port,
      path,
      caCerts: this.#caCerts.value.trim(),
      minVersion: minVersion === "TLSv1.3" ? minVersion : "TLSv1.2",
      maxVersion: maxVersion === "TLSv1.2" ? maxVersion : "TLSv1.3",
    };
  }
}
