/** Runs the registered suites, and says what comes of it in messages to the runner. */
import QUnit from "qunit";
import type { Dialer, Transport } from "wassl";
import { type Config, disposeLeftovers, type Env, setEnv } from "../helpers/env.ts";

/** Put in by the bundler: a test is registered or not at once, so this has to be there from the beginning. */
declare const GREP: string;

QUnit.config.autostart = false;
/** For a browser that runs a part only, which the page's URL says. */
const sample = new URLSearchParams(globalThis.location?.search).get("sample") ?? "";
// A name that was copied from the report of a run is found too.
QUnit.config.filter = GREP.replaceAll(" › ", ": ") || sample;
// Node.js has two programs, and what is looked for may be in the other one.
QUnit.config.failOnZeroTests = GREP === "";
QUnit.config.reorder = false;
QUnit.config.testTimeout = 20_000;

/** The same for bytes as before, without a call for each of them. What differs is told as ever. */
const { deepEqual } = QUnit.assert;
QUnit.assert.deepEqual = function (this: Assert, actual: unknown, expected: unknown, message?: string): void {
  if (sameBytes(actual, expected))
    this.pushResult({ result: true, actual, expected, message: message ?? "" });
  else deepEqual.call(this, actual, expected, message);
};

function sameBytes(a: unknown, b: unknown): boolean {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return false;
  return a.constructor === b.constructor && a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export type Message =
  | { type: "begin"; name: string }
  | { type: "test"; name: string; milliseconds: number; failures: string[] }
  | { type: "error"; text: string }
  | { type: "end" };

export interface Runtime {
  name: string;
  origin: string;
  WebSocket: Env["WebSocket"];
  connect(peer: { host: string; port: number }): Promise<Transport>;
  dial: Dialer;
  startWorker: Env["startWorker"];
  emit(message: Message): void;
}

export async function run(runtime: Runtime): Promise<void> {
  const get = async (path: string) => {
    const response = await fetch(new URL(path, runtime.origin));
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return response.json();
  };
  const ask = (path: string, name: string) =>
    get(`${path}?${new URLSearchParams({ name, runtime: runtime.name })}`);
  const peer = async (name: string) => {
    const { port } = (await ask("/peer", name)) as { port: number };
    return { host: "127.0.0.1", port };
  };
  setEnv({
    ...((await get("/config.json")) as Config),
    runtime: runtime.name,
    page: typeof document !== "undefined",
    origin: runtime.origin,
    WebSocket: runtime.WebSocket,
    startWorker: runtime.startWorker,
    dial: runtime.dial,
    peer,
    events: async (name) => (await ask("/events", name)) as string[],
    connect: async (name) => runtime.connect(await peer(name)),
    ws: (path) => new URL(path, runtime.origin.replace("http", "ws")).href,
  });

  QUnit.testStart(({ module, name }) => runtime.emit({ type: "begin", name: nameOf(module, name) }));
  QUnit.hooks.afterEach(disposeLeftovers);
  const failures: string[] = [];
  QUnit.log(({ result, message, actual, expected, source, runtime: at }) => {
    if (result) return;
    const lines = [message ?? "assertion failed", `after ${Math.round(at)} ms`];
    if (expected !== undefined || actual !== undefined) {
      lines.push(`expected: ${QUnit.dump.parse(expected)}`, `actual:   ${QUnit.dump.parse(actual)}`);
    }
    failures.push([...lines, source ?? ""].join("\n"));
  });
  QUnit.testDone(({ module, name, runtime: milliseconds, total }) => {
    if (total === 0) failures.push("no assertion was made (was the test skipped?)");
    runtime.emit({ type: "test", name: nameOf(module, name), milliseconds, failures: failures.splice(0) });
  });
  QUnit.on("error", (error) => runtime.emit({ type: "error", text: textOf(error) }));
  const ended = new Promise<void>((resolve) => QUnit.on("runEnd", () => resolve()));
  QUnit.start();
  await ended;
  // Time for what the last test left behind to blow up.
  await new Promise((resolve) => setTimeout(resolve, 100));
  runtime.emit({ type: "end" });
}

/** A worker as browsers and Deno have it. Its failure is that of the test that runs. */
export function webWorker(url: URL, onMessage: (message: unknown) => void): Worker {
  const worker = new Worker(url, { type: "module" });
  worker.addEventListener("message", ({ data }) => onMessage(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    uncaught(new Error(`in a worker: ${event.message}`));
  });
  return worker;
}

/** An error that is not handled fails the test that runs at that time, or the run. */
export function uncaught(error: unknown): void {
  QUnit.onUncaughtException(error instanceof Error ? error : new Error(String(error)));
}

export function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack ?? error}${error.cause === undefined ? "" : `\ncaused by ${textOf(error.cause)}`}`;
}

function nameOf(module: string, name: string): string {
  return module ? `${module} › ${name}` : name;
}
