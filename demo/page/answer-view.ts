import { byId, element } from "./dom.js";
import { formatBytes } from "./format.js";
import { bodyLimit, type HttpAnswer } from "./http-answer.js";

/** The HTTP answer: always as text, never as a document. */
export function showAnswer(answer: HttpAnswer): void {
  const box = byId("answer", HTMLDivElement);
  if (answer.statusLine === "") {
    box.replaceChildren(element("p", { class: "hint" }, answer.problem ?? "No answer came."));
    return;
  }
  const headers = element(
    "dl",
    { class: "headers" },
    ...answer.headers.map(({ name, value }) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value)),
    ),
  );
  const body = element("pre", { class: "body", tabindex: "0", "aria-label": "Body" }, answer.bodyText);
  box.replaceChildren(
    element("p", { class: "status-code" }, element("code", {}, answer.statusLine)),
    headers,
    body,
    element("p", { class: answer.state === "cut" ? "hint hint-bad" : "hint" }, note(answer)),
  );
}

export function clearAnswer(): void {
  byId("answer", HTMLDivElement).replaceChildren(element("p", { class: "hint" }, "Nothing has come yet."));
}

function note(answer: HttpAnswer): string {
  const size = formatBytes(answer.bodyBytes);
  const shown =
    answer.bodyBytes > bodyLimit ? `, of which the first ${formatBytes(bodyLimit)} are shown` : "";
  if (answer.problem !== undefined) return answer.problem;
  if (answer.state === "cut") return `${size} of body, and then it was cut off: take it as incomplete.`;
  if (answer.state !== "complete") return `${size} of body so far …`;
  if (answer.framing === "until-close")
    return `${size} of body${shown}. The server’s close_notify vouches that this is all.`;
  return `${size} of body${shown}.`;
}
