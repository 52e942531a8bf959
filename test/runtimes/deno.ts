/** Runs the suites in Deno: `deno run suite.js ORIGIN`. */
import { denoDialer } from "wassl/dialers/deno";
import { type DenoConnLike, denoTransport } from "wassl/transports/deno";
import { afterTest } from "../helpers/env.ts";
import { type Message, run, textOf, uncaught, webWorker } from "./common.ts";

/** What is used of Deno, whose types are not at hand. */
declare const Deno: {
  args: string[];
  connect(options: { hostname: string; port: number }): Promise<DenoConnLike & { setNoDelay(): void }>;
  exit(): never;
};

addEventListener("error", (event) => {
  event.preventDefault();
  uncaught(event.error);
});
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  uncaught(event.reason);
});

const emit = (message: Message) => console.log(`\u0001${JSON.stringify(message)}`);

export async function main(): Promise<void> {
  const [origin = ""] = Deno.args;
  try {
    await run({
      name: "deno",
      origin,
      WebSocket,
      emit,
      startWorker: (name, onMessage) => webWorker(new URL(`./deno-${name}.js`, import.meta.url), onMessage),
      dial: denoDialer(),
      async connect({ host, port }) {
        const connection = await Deno.connect({ hostname: host, port });
        connection.setNoDelay();
        afterTest(() => connection.close());
        return denoTransport(connection);
      },
    });
  } catch (error) {
    emit({ type: "error", text: textOf(error) });
  }
  Deno.exit();
}
