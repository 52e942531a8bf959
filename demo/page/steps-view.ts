import { byId, element } from "./dom.js";
import { formatDuration } from "./format.js";
import type { StepName } from "./visit.js";

const words: Record<StepName, string> = {
  relay: "Relay connected",
  openssl: "OpenSSL loaded",
  handshake: "TLS handshake",
  "first-byte": "First byte back",
  answer: "Answer complete",
};
const order: readonly StepName[] = ["relay", "openssl", "handshake", "first-byte", "answer"];

/** The steps as bars on one time line; steps that ran side by side lie one above the other. */
export class StepsView {
  readonly #list = byId("steps", HTMLOListElement);
  readonly #steps = new Map<StepName, { from: number; to: number | undefined; failed?: true }>();
  #began = 0;
  #frozen = false;

  reset(began: number): void {
    this.#began = began;
    this.#frozen = false;
    this.#steps.clear();
    this.#list.replaceChildren();
  }

  /** The first request is drawn; a second one would stretch the time line to minutes. */
  mark(step: StepName, phase: "begin" | "end", time: number): void {
    if (this.#frozen) return;
    const known = this.#steps.get(step);
    if (phase === "begin") this.#steps.set(step, { from: time, to: undefined });
    else if (known !== undefined) known.to = time;
    if (step === "answer" && phase === "end") this.#frozen = true;
    this.#draw();
  }

  /** Whatever was still under way has failed. */
  fail(time: number): void {
    for (const step of this.#steps.values()) {
      if (step.to !== undefined) continue;
      step.to = time;
      step.failed = true;
    }
    this.#draw();
  }

  get handshakeTime(): number | undefined {
    const step = this.#steps.get("handshake");
    return step?.to === undefined ? undefined : step.to - step.from;
  }

  #draw(): void {
    const ends = [...this.#steps.values()].map(({ from, to }) => to ?? from);
    const total = Math.max(...ends) - this.#began || 1;
    this.#list.replaceChildren(
      ...order.flatMap((name) => {
        const step = this.#steps.get(name);
        if (step === undefined) return [];
        const { from, to, failed } = step;
        const bar = element("span", { class: "step-bar", "aria-hidden": "true" });
        bar.style.setProperty("--from", String((from - this.#began) / total));
        bar.style.setProperty("--length", String(((to ?? from) - from) / total));
        return element(
          "li",
          {
            class: "step",
            "data-step": name,
            "data-phase": failed ? "failed" : to === undefined ? "open" : "done",
          },
          element("span", { class: "step-name" }, words[name]),
          element("span", { class: "step-track", "aria-hidden": "true" }, bar),
          element(
            "span",
            { class: "step-time" },
            failed ? "failed" : to === undefined ? "…" : formatDuration(to - from),
          ),
        );
      }),
    );
  }
}
