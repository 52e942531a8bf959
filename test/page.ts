/**
 * The first script of the page that runs the suites: its connection to the runner, there before anything else can fail.
 */
import type { Message } from "./runtimes/common.ts";

const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/runner${location.search}`);
const opened = new Promise((resolve) => {
  socket.onopen = resolve;
});
let begun = false;

const runner = {
  emit(message: Message): void {
    begun ||= message.type === "begin";
    void opened.then(() => socket.send(JSON.stringify(message)));
  },
  /** Behind all that was said. */
  close(): void {
    void opened.then(() => socket.close());
  },
};
Object.assign(globalThis, { runner });

// Once QUnit runs, uncaught errors are its affair. Before that they are the end; that of a script that cannot be had
// does not bubble.
function onFailure(event: Event): void {
  if (begun) return;
  const { target } = event;
  const error: unknown =
    event instanceof ErrorEvent
      ? (event.error ?? event.message)
      : event instanceof PromiseRejectionEvent
        ? event.reason
        : `${target instanceof HTMLScriptElement ? target.src : "something"} did not load`;
  const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  runner.emit({ type: "error", text });
  runner.close();
}
addEventListener("error", onFailure, true);
addEventListener("unhandledrejection", onFailure);
