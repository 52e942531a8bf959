/** The page in Chromium: asks for one job after the other, and does it. */
import { startTls, TlsContext } from "wassl";
import { connectWebSocket } from "wassl/transports/websocket";
import { overStreams, tls13Options } from "./libraries/wassl-streams.ts";
import type { Connection } from "./library.ts";
import type { Row } from "./rows.ts";
import { ask } from "./work.ts";

export interface Job {
  readonly library: "transport" | "wassl";
  readonly row: Row;
  readonly port: number;
  readonly amount: number;
  readonly caPem: string;
}

const contexts = new Map<string, Promise<TlsContext>>();

async function opener({ library, row, port, caPem }: Job): Promise<() => Promise<Connection>> {
  const transport = () =>
    connectWebSocket(new URL(`/relay?port=${port}`, location.href.replace("http", "ws")));
  if (library === "transport") {
    return async () => {
      const { readable, writable } = await transport();
      return overStreams({ readable, writable, close: () => writable.close() });
    };
  }
  const made = contexts.get(row.id) ?? TlsContext.client({ ...tls13Options(row.settings), caCerts: caPem });
  contexts.set(row.id, made);
  const context = await made;
  const resume = row.work === "resumption" ? {} : { sessionStore: false as const };
  return async () =>
    overStreams(await startTls(await transport(), { context, hostname: "localhost", ...resume }));
}

for (;;) {
  const job = (await (await fetch("/job")).json()) as Job;
  let error: string | undefined;
  try {
    await ask(await opener(job), job.row, job.amount);
  } catch (reason) {
    error = reason instanceof Error ? reason.message : String(reason);
  }
  await fetch("/result", { method: "POST", body: JSON.stringify({ error }) });
}
