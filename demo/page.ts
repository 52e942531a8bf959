/**
 * The page: it connects what the user asks for (form), what happens (visit), and what is to be seen of it (views).
 */
import { TlsError } from "wassl";
import { clearAnswer, showAnswer } from "./page/answer-view.js";
import { clearChain, showChain } from "./page/chain-view.js";
import { ClosingView } from "./page/closing-view.js";
import { byId } from "./page/dom.js";
import { clearFacts, showFacts } from "./page/facts-view.js";
import { Form } from "./page/form.js";
import { formatDuration } from "./page/format.js";
import { abortedWords, outcomeWords } from "./page/outcome.js";
import { showRelayView } from "./page/relay-view.js";
import { relayEnd, watchRelay } from "./page/relay-watch.js";
import { StepsView } from "./page/steps-view.js";
import { clearTrouble, showTrouble } from "./page/trouble-view.js";
import { explain } from "./page/troubles.js";
import { type Moment, type Order, type Verb, Visit } from "./page/visit.js";
import { WayView } from "./page/way-view.js";
import type { DemoSetup, Target } from "./protocol.js";

const way = new WayView();
const steps = new StepsView();
const closing = new ClosingView(press);
const statusLine = byId("status-line", HTMLParagraphElement);
const results = byId("results", HTMLDivElement);

let visit: Visit | undefined;
let stopWatching: () => void = () => {};

const response = await fetch("/demo.json");
const setup: DemoSetup = await response.json();
const form = new Form(setup, begin, (stack, host, port) => {
  // While a connection is shown, its own server is.
  if (visit === undefined) way.setServer(stack, host, port);
});

function begin(order: Order, target: Target | undefined): void {
  visit?.abandon();
  stopWatching();
  const current = new Visit(order, (moment) => {
    // What comes late from a connection that was left behind is no longer of interest.
    if (visit === current) observe(current, moment);
  });
  visit = current;
  clearTrouble();
  clearFacts();
  clearChain();
  clearAnswer();
  steps.reset(current.began);
  closing.reset(current);
  closing.enable(current.possible);
  way.setServer(target?.stack ?? "", order.host, order.port);
  way.reset();
  say(target !== undefined && "lesson" in target ? `What if … ${String(target.lesson)}` : "Connecting …");
  document.body.dataset.state = "connecting";
  results.hidden = true;
  form.busy = true;
  stopWatching = watchRelay(current.id, (snapshot) => {
    way.showRelay(snapshot);
    showRelayView(snapshot, current.protocol);
  });
  void current.run();
}

function press(verb: Verb | "request"): void {
  if (verb === "request") void visit?.request();
  else void visit?.do(verb);
}

function observe(current: Visit, moment: Moment): void {
  switch (moment.type) {
    case "step":
      steps.mark(moment.step, moment.phase, moment.time);
      if (moment.step === "openssl") way.setOpenSsl(current.openSslVersion);
      break;
    case "tls":
      closing.tls(moment.event, moment.event.time);
      break;
    case "connected": {
      const { info } = moment;
      form.busy = false;
      show("connected");
      showFacts(info, current.order.host);
      showChain(info, info.verified ? current.anchor : undefined);
      way.setOpenSsl(current.openSslVersion);
      const agreed = [info.protocol, info.cipher, info.group].filter(Boolean).join(" · ");
      way.set("sealed", `Sealed from end to end: ${agreed}. The relay holds no key.`);
      const time = steps.handshakeTime;
      const took = time === undefined ? "" : `, after a handshake of ${formatDuration(time)}`;
      say(`Connected: ${words(info.protocol)}, and ${current.order.host} has proved who it is${took}.`);
      break;
    }
    case "request":
      way.setRequest(moment.line);
      closing.message("up", moment.line, moment.time);
      break;
    case "answer":
      showAnswer(moment.answer);
      way.setAnswer(moment.answer.statusLine);
      if (moment.answer.state === "complete")
        closing.message("down", `${moment.answer.statusLine}, complete`, moment.time);
      else if (moment.answer.state === "cut" && moment.answer.statusLine !== "")
        closing.message("down", `${moment.answer.statusLine}, cut off`, moment.time);
      break;
    case "verb":
      if (moment.phase === "begin") closing.pressed(moment.verb, moment.time);
      else closing.settled(moment.verb, moment.detail, moment.time);
      break;
    case "verb-failed":
      closing.failed(moment.verb, moment.error, moment.time);
      break;
    case "read-end":
      say("The server has said that it sends no more. We still may: close when you like.");
      break;
    case "ended":
      void ended(current, moment);
      break;
    case "failed":
      form.busy = false;
      steps.fail(moment.time);
      show("never-connected");
      void fail(current, moment.error);
      break;
  }
  closing.enable(current.possible);
}

async function ended(current: Visit, { info, error }: Extract<Moment, { type: "ended" }>): Promise<void> {
  if (info !== undefined || current.wasAborted) {
    const words = info === undefined ? abortedWords : outcomeWords(info);
    closing.end(info?.how ?? "aborted", words);
    document.body.dataset.state = "ended";
    way.set("ended", words);
    say("The connection has ended. Connect again to try another way.");
    return;
  }
  steps.fail(performance.now());
  const outcome = error instanceof TlsError ? error.outcome : undefined;
  closing.end(
    outcome?.how ?? "failed",
    outcome === undefined ? "The connection failed." : outcomeWords(outcome),
  );
  await fail(current, error);
}

async function fail(current: Visit, error: unknown): Promise<void> {
  const end = await relayEnd(current.id);
  if (visit !== current) return;
  const trouble = explain(error, current.order, end);
  document.body.dataset.state = "failed";
  way.set(
    "failed",
    current.protocol === undefined
      ? "Stopped before this page said anything of its own."
      : "The way broke off while it was in use.",
  );
  say("");
  showTrouble(trouble);
}

/** A connection that never was has no answer, no chain and nothing to close. */
function show(stage: "connected" | "never-connected"): void {
  document.body.dataset.state = stage;
  results.dataset.stage = stage;
  results.hidden = false;
  byId("facts-title", HTMLHeadingElement).textContent =
    stage === "connected" ? "The connection" : "How far it got";
}

function say(text: string): void {
  statusLine.textContent = text;
  statusLine.hidden = text === "";
}

/** "TLS 1.3", from OpenSSL's "TLSv1.3". */
function words(protocol: string): string {
  return protocol.replace("TLSv", "TLS ");
}
