/** Handshakes that are damaged on the way, and what both ends may make of it. */
import {
  acceptTls,
  type ClientOptions,
  type OpenSsl,
  type ServerOptions,
  startTls,
  TlsError,
  type TlsStream,
  type Transport,
} from "wassl";
import { pair } from "../fakes/pair.ts";

export type Damage = (chunk: Uint8Array, at: number) => Uint8Array[];

export const damages = {
  "a bit is flipped": (chunk, at) => {
    const changed = chunk.slice();
    changed[at]! ^= 1 << (at % 8);
    return [changed];
  },
  "a byte is missing": (chunk, at) => [chunk.slice(0, at), chunk.slice(at + 1)],
  "nothing more comes": (chunk, at) => [chunk.slice(0, at)],
} as const satisfies Record<string, Damage>;

export type DamageName = keyof typeof damages;

/**
 * What `from` receives is kept, and damaged at the byte `at`; there the transport is at its end if nothing more comes.
 */
function damaged(from: Transport, at: number, name: DamageName): [Transport, Uint8Array[]] {
  const last = name === "nothing more comes";
  const seen: Uint8Array[] = [];
  let before = 0;
  let over = false;
  const reader = from.readable.getReader();
  const readable = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value } = over ? { value: undefined } : await reader.read();
      if (value === undefined) return controller.close();
      seen.push(value.slice());
      const here = at - before;
      before += value.length;
      const hit = here >= 0 && here < value.length;
      over = hit && last;
      for (const piece of hit ? damages[name](value, here) : [value])
        if (piece.length > 0) controller.enqueue(piece);
      if (over) controller.close();
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return [{ readable, writable: from.writable }, seen];
}

export interface Attempt {
  /** The end that received what was damaged, and the other one. */
  own: PromiseSettledResult<TlsStream>;
  other: PromiseSettledResult<TlsStream>;
  /** What came to `own`, before the damage. */
  received: Uint8Array[];
}

/** One handshake, damaged at the byte `at` of what the victim receives. */
export async function attempt(
  victim: "client" | "server",
  at: number,
  name: DamageName,
  clientOptions: ClientOptions,
  serverOptions: ServerOptions,
): Promise<Attempt> {
  const [near, far] = pair();
  const [bad, received] = damaged(victim === "client" ? near : far, at, name);
  const [client, server] = await Promise.allSettled([
    startTls(victim === "client" ? bad : near, clientOptions),
    acceptTls(victim === "server" ? bad : far, serverOptions),
  ]);
  for (const end of [client, server]) if (end.status === "fulfilled") end.value.abort();
  return victim === "client"
    ? { own: client, other: server, received }
    : { own: server, other: client, received };
}

const codes = ["alert", "protocol", "truncated", "certificate", "not-tls", "timeout", "transport"];

/** What is wrong with the way in which an end failed, if anything. */
export function complaintOf(end: PromiseSettledResult<unknown>): string | undefined {
  if (end.status === "fulfilled") return undefined;
  const { reason } = end;
  if (!(reason instanceof TlsError)) return `no TlsError: ${reason}`;
  return codes.includes(reason.code) ? undefined : `${reason.code}: ${reason}`;
}

/** What is allocated once nothing moves any more: ends that failed let go in their own time. */
export async function settled(openssl: OpenSsl): Promise<number> {
  let used = openssl.memory.used;
  for (let same = 0; same < 3; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    same = openssl.memory.used === used ? same + 1 : 0;
    used = openssl.memory.used;
  }
  return used;
}
