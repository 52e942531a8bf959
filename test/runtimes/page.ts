/** Runs the suites in a page, which reaches TCP by the runner's relay. */
import { webSocketDialer } from "wassl/dialers/websocket";
import { connectWebSocket } from "wassl/transports/websocket";
import { afterTest } from "../helpers/env.ts";
import { type Message, run, textOf, webWorker } from "./common.ts";

/** The runner's page gives this (see test/page.ts). Uncaught errors are QUnit's own affair in a browser. */
declare const runner: { emit(message: Message): void; close(): void };
const { emit } = runner;

const relay = `${location.origin.replace("http", "ws")}/relay?port={port}`;

export async function main(): Promise<void> {
  try {
    await run({
      name: new URL(location.href).searchParams.get("browser") ?? "",
      origin: location.origin,
      WebSocket,
      emit,
      startWorker: (name, onMessage) => webWorker(new URL(`./page-${name}.js`, import.meta.url), onMessage),
      dial: webSocketDialer(relay),
      async connect({ port }) {
        const abort = new AbortController();
        afterTest(() => abort.abort());
        return connectWebSocket(relay.replace("{port}", String(port)), { signal: abort.signal });
      },
    });
  } catch (error) {
    emit({ type: "error", text: textOf(error) });
  }
  runner.close();
}
