/** Runs the suites in workerd: they begin with a request for `/?origin=ORIGIN`, and its answer is their messages. */
import { connect } from "cloudflare:sockets";
import { cloudflareDialer } from "wassl/dialers/cloudflare";
import { afterTest } from "../helpers/env.ts";
import { type Message, run, textOf } from "./common.ts";

/** The constructor of workerd takes no URL objects. */
class UrlWebSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(String(url), protocols);
  }
}

export default {
  async fetch({ url }: Request): Promise<Response> {
    const origin = new URL(url).searchParams.get("origin") ?? "";
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const encoder = new TextEncoder();
    const emit = (message: Message) =>
      void writer.write(encoder.encode(`${JSON.stringify(message)}\n`)).catch(() => {});
    const dial = cloudflareDialer(connect);
    void run({
      name: "workerd",
      origin,
      WebSocket: UrlWebSocket,
      emit,
      startWorker() {
        throw new Error("workerd has no workers");
      },
      dial,
      async connect({ host, port }) {
        const transport = await dial({ hostname: host, port });
        afterTest(() => transport.writable.abort().catch(() => {}));
        return transport;
      },
    })
      .catch((error) => emit({ type: "error", text: textOf(error) }))
      .finally(() => writer.close());
    return new Response(readable);
  },
};
