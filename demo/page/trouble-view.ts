import { byId, element } from "./dom.js";
import type { Trouble } from "./troubles.js";

const box = () => byId("trouble", HTMLDivElement);

export function clearTrouble(): void {
  box().hidden = true;
  box().replaceChildren();
}

export function showTrouble({ title, what, advice, code, message, queue }: Trouble): void {
  box().replaceChildren(
    element("h2", {}, title),
    element("p", {}, what),
    element("p", { class: "advice" }, advice),
    element(
      "details",
      {},
      element("summary", {}, "In the library’s own words"),
      element(
        "dl",
        { class: "headers" },
        element("div", {}, element("dt", {}, "code"), element("dd", {}, element("code", {}, code))),
        element("div", {}, element("dt", {}, "message"), element("dd", {}, message)),
        element(
          "div",
          {},
          element("dt", {}, "OpenSSL’s queue"),
          element(
            "dd",
            {},
            ...(queue.length === 0
              ? ["empty"]
              : queue.map((line) => element("code", { class: "line" }, line))),
          ),
        ),
      ),
    ),
  );
  box().hidden = false;
}
