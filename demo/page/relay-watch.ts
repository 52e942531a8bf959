import type { RelaySnapshot } from "../protocol.js";

/** Follows the relay's log of one connection until that has ended; returns the function that stops it. */
export function watchRelay(id: string, show: (snapshot: RelaySnapshot) => void): () => void {
  const source = new EventSource(`/relay/watch?id=${id}`);
  source.addEventListener("message", ({ data }: MessageEvent<string>) => {
    const snapshot: RelaySnapshot = JSON.parse(data);
    show(snapshot);
    // An EventSource would connect again when its server ends the answer.
    if (snapshot.state === "ended") source.close();
  });
  return () => source.close();
}

/** How the relay ended a connection; undefined when it did not, or cannot be asked. */
export async function relayEnd(id: string): Promise<RelaySnapshot["end"]> {
  try {
    const response = await fetch(`/relay/log?id=${id}`);
    if (!response.ok) return undefined;
    const snapshot: RelaySnapshot = await response.json();
    return snapshot.end;
  } catch {
    return undefined;
  }
}

export function relayUrl(id: string, host: string, port: number): string {
  const url = new URL("/relay", location.href);
  url.protocol = "ws:";
  url.search = new URLSearchParams({ id, host, port: String(port) }).toString();
  return url.href;
}
